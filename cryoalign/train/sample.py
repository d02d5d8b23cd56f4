"""Images of the training part that scores and networks see before the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from cryoalign.data.dataset import PairedImages

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.data.normalize import Normalization
    from cryoalign.train.system import PairedGAN

#: How many pairs are read at the most: enough for the mean power of a ring to a few percent.
IMAGES = 256


def fit_to_sample(system: PairedGAN, data: PairedDataModule) -> None:
    """Fit what is not trained but follows from the data, from the same pairs whenever a run is continued.

    What is whitened by the data sees some of them. Nothing is read where nothing has to be fitted.

    Parameters
    ----------
    system : PairedGAN
    data : PairedDataModule
        Set up.

    Raises
    ------
    InputError
        If an image cannot be used.
    """
    fitted = [system.objective, system.discriminator]
    if not any(part is not None and part.needs_fit for part in fitted):
        return
    sim, raw = sample_pairs(data)
    system.objective.fit(raw)
    if system.discriminator is not None:
        system.discriminator.fit(sim, raw)


def sample_pairs(data: PairedDataModule) -> tuple[Tensor, Tensor]:
    """Read (B, 1, N, N) sims and raw images of pairs spread evenly over the training part, never turned."""
    rows = data.rows["train"]
    rows = rows[np.linspace(0, len(rows) - 1, min(IMAGES, len(rows))).astype(np.int64)]
    pairs = PairedImages(
        data.sim_images, data.raw_images, cast("Normalization", data.normalization), seed=data.seed
    )
    items = [pairs[0, int(row)] for row in rows]
    sim, raw = (torch.stack([item[kind] for item in items]) for kind in ("sim", "raw"))
    return sim, raw
