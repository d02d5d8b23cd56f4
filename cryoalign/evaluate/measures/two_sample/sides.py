"""What classifiers see of the images: features of their spectra, windows, folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.evaluate.measures.two_sample.classifiers import spectral_features
from cryoalign.evaluate.measures.two_sample.held_out import Side, two_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.measures.two_sample.held_out import Rows
    from cryoalign.evaluate.stacks import Stacks

_WINDOW = 128  # px, of what the CNN sees
_WINDOWS = 2  # of each image that is larger


def split_in_two(groups: Rows, seed: int) -> tuple[Rows, Rows]:
    """Split the images of each group into two classes at random, as evenly as can be.

    Parameters
    ----------
    groups : (n,) int64
    seed : int

    Returns
    -------
    one, other : int64
        Rows, none of them in both.
    """
    order = np.lexsort((np.random.default_rng([seed, 2]).random(len(groups)), groups))
    return order[::2], order[1::2]


def read_sides(
    pairs: Stacks, rows: Rows, *, seed: int, progress: bool = False, device: str = "cpu"
) -> dict[str, Side]:
    """Read what the classifiers see of fake, raw and, where there is one, sim.

    The CNN sees images at their full pixel size: whole, or, of more than 128 px, two windows of 128 px at
    random places, the same for both images of a pair, so that memory does not grow with the box.

    Parameters
    ----------
    pairs : Stacks
    rows : (n,) int64
    seed : int
        Of the folds and the windows.
    progress : bool
        Show a progress bar.
    device : str
        Where features are computed.

    Returns
    -------
    dict of str to Side
        On the CPU.
    """
    kinds = [kind for kind in ("fake", "raw", "sim") if kind in pairs.kinds]
    count = 1 if pairs.box <= _WINDOW else _WINDOWS
    free = max(pairs.box - _WINDOW, 0) + 1
    corners = np.random.default_rng([seed, 3]).integers(0, free, (len(rows), count, 2))
    features: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    windows: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    start = 0
    for part, images in pairs.batches(kinds, rows=rows, label="two-sample test: reading", progress=progress):
        for kind in kinds:
            features[kind].append(spectral_features(images[kind].to(device)).cpu())
            if kind != "sim":
                windows[kind].append(_windows(images[kind], corners[start : start + len(part)]))
        start += len(part)
    facts = (two_folds(pairs.groups[rows], seed), pairs.units[rows], pairs.bins[rows])
    return {
        kind: Side(
            torch.cat(features[kind]),
            torch.cat(windows[kind]) if windows[kind] else torch.empty(len(rows), 0),
            *facts,
        )
        for kind in kinds
    }


def _windows(images: Tensor, corners: NDArray[np.int64]) -> Tensor:
    """Cut (B, W, S, S) windows out of (B, N, N) images."""
    return torch.stack(
        [
            torch.stack([image[y : y + _WINDOW, x : x + _WINDOW] for y, x in places.tolist()])
            for image, places in zip(images, corners, strict=True)
        ]
    )
