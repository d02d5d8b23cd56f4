"""What memorization is judged by of training pairs, and of held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.evaluate.measures.memorization.copies import whitened_residuals
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.stacks import Stacks

_LARGEST_BOX = 64  # px: larger images are cropped to it in Fourier space


class Distances(NamedTuple):
    """Distances of images to raw, (n,) each."""

    rpsd_l1: NDArray[np.float64]
    pixel_l1: NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Noise of the images of one part of the pairs, and distances of the images to raw.

    Attributes
    ----------
    noise : dict of str to (n, N, N) float32 tensor
        By kind, on the case's device.
    distances : dict of str to Distances
        By kind.
    units, groups : (n,) int64
    """

    noise: dict[str, Tensor]
    distances: dict[str, Distances]
    units: NDArray[np.int64]
    groups: NDArray[np.int64]


def read_part(stacks: Stacks, count: int, kinds: Sequence[str], case: Case) -> Part:
    """Read pairs: the noise of `kinds`, and with fakes the distances to raw of fake, sim and other raw."""
    rows = stacks.choose(count, case.seed)
    box = min(stacks.box, _LARGEST_BOX)
    compared = ("fake", "sim", "other1") if "fake" in kinds else ()
    small: dict[str, list[Tensor]] = {kind: [] for kind in (*kinds, "sim")}
    distances: dict[str, list[Distances]] = {kind: [] for kind in compared}
    wanted = sorted({*small, *compared})
    for _, read in stacks.batches(wanted, rows=rows, label="memory: reading", progress=case.progress):
        images = {kind: values.to(case.device) for kind, values in read.items()}
        for kind, parts in small.items():
            parts.append(fourier_resize(images[kind], box))
        for kind in compared:
            distances[kind].append(_distances(images[kind], images["raw"]))
    sims = torch.cat(small["sim"])
    return Part(
        {kind: whitened_residuals(torch.cat(small[kind]), sims) for kind in kinds},
        {
            kind: Distances(*map(np.concatenate, zip(*parts, strict=True)))
            for kind, parts in distances.items()
        },
        stacks.units[rows],
        stacks.groups[rows],
    )


def _distances(images: Tensor, raws: Tensor) -> Distances:
    spectral = rpsd_distance(radial_log_power(images), radial_log_power(raws))
    pixel = (images.double() - raws.double()).abs().mean((-2, -1))
    return Distances(spectral.double().cpu().numpy(), pixel.cpu().numpy())
