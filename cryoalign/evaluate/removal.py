"""A domain taken out of sims, and the map of the specimen that this needs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoalign.evaluate.measures.reference import lay_in
from cryoalign.physics.reconstruction import Reconstruction
from cryoalign.physics.threads import one_thread_each
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.data.images import ParticleImages

LARGEST_MAP = 96
"""Box in px of a map that is made of sims, at the most."""

_FIT_IMAGES = 64  # sims that the gain is fitted to


def map_of_sims(data: PairedDataModule, rows: NDArray[np.int64]) -> tuple[torch.Tensor, float]:
    """Make a map of sims at the poses of their metadata, in the grey values of their stack.

    Returns
    -------
    volume : (M, M, M) tensor
    voxel_size : float
        In A.
    """
    box = min(data.box, LARGEST_MAP)
    pixel_size = data.pixel_size * data.box / box
    made = Reconstruction(box)
    lay_in(made, partial(_read, data.sim_images), data.sim, rows, pixel_size)
    return made.density(), pixel_size


class Removal:
    """Take a domain's views out of sims.

    A map may have other grey values than the sims: one gain, fitted to some of them, brings it to theirs.

    Parameters
    ----------
    data : PairedDataModule
        Set up.
    volume, domain : (M, M, M) tensor
    voxel_size : float
        In A.
    rows : (n,) int64
        Of the sims that will come.
    """

    def __init__(
        self,
        data: PairedDataModule,
        volume: torch.Tensor,
        domain: torch.Tensor,
        voxel_size: float,
        rows: NDArray[np.int64],
    ) -> None:
        grid: dict[str, Any] = {
            "pixel_size": voxel_size, "box": data.box, "image_pixel_size": data.pixel_size
        }  # fmt: skip
        group = (replace(one, pixel_size=data.pixel_size, box_size=data.box) for one in data.sim.optics)
        self.particles = replace(data.sim, optics=tuple(group))
        self.views = WeakPhase(domain, **grid)
        some = rows[:_FIT_IMAGES]
        sims, whole = _read(data.sim_images, some), WeakPhase(volume, **grid)(self.particles, some)
        whole, sims = (images - images.mean((-2, -1), keepdim=True) for images in (whole, sims))
        self.gain = float((sims * whole).sum() / whole.square().sum())

    @one_thread_each()
    def __call__(self, sims: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return sims without the domain."""
        views = self.views(self.particles, rows)
        without: NDArray[np.float32] = (torch.from_numpy(sims) - self.gain * views).numpy()
        return without


def _read(images: ParticleImages, rows: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.stack([images.image(int(row)) for row in rows]))
