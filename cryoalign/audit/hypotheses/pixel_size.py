"""Another pixel size, of the simulated images or of the map that they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
import torch.nn.functional as F

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.transfer import applied, undone
from cryoalign.physics.fourier import irfft2, rfft2, shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.audit.hypotheses.hypothesis import Basis

#: Magnifications of the simulated images.
FACTORS = (0.5, 0.67, 0.8, 0.85, 0.9, 0.95, 0.975, 1.025, 1.05, 1.1, 1.15, 1.2, 1.25, 1.5, 2.0)
_REMEDY = "check the pixel size of the map (volume_pixel_size=) and of the optics group"


@final
@dataclass(frozen=True)
class PixelSize(Hypothesis):
    """Whole images magnified, CTF and shift with them."""

    by: float
    family = "pixel size"
    scan = "pixel size"
    treatment = Treatment.INTERPOLATED
    remedy = _REMEDY

    @property
    def name(self) -> str:
        return f"pixel size x {self.by:g}"

    @property
    def value(self) -> float:
        return self.by

    @property
    def line(self) -> str:
        return f"pixel sizes differ: sim has to be magnified {self.by:g} times to fit raw"

    def images(self) -> torch.Tensor:
        return rfft2(magnify(self.basis.sample.sims, self.by))


@final
@dataclass(frozen=True)
class MapPixelSize(Hypothesis):
    """The specimen magnified, but neither CTF nor shift."""

    by: float
    family = "pixel size"
    scan = "map's pixel size"
    treatment = Treatment.INTERPOLATED_MAP
    remedy = _REMEDY

    @property
    def name(self) -> str:
        return f"map x {self.by:g}"

    @property
    def value(self) -> float:
        return self.by

    @property
    def line(self) -> str:
        return f"pixel sizes differ: the map in sim has to be magnified {self.by:g} times to fit raw"

    def images(self) -> torch.Tensor:
        return magnify_map(self.basis, self.by)


def every_magnification(basis: Basis) -> Iterator[Hypothesis]:
    """Yield each factor for the images and for the map."""
    for factor in FACTORS:
        yield PixelSize(basis, factor)
        yield MapPixelSize(basis, factor)


def magnify_map(basis: Basis, *factors: float) -> torch.Tensor:
    """(n, N, N // 2 + 1) half planes, the specimen magnified by each factor in turn without CTF and shift."""
    sample = basis.sample
    move = torch.from_numpy(sample.sim.shift / sample.pixel_size).float()
    without = shift(rfft2(sample.sims) * undone(basis.ctf, basis.carried), move, sample.box)
    images = irfft2(without, sample.box)
    for factor in factors:
        images = magnify(images, factor)
    return shift(rfft2(images) * applied(basis.ctf, basis.carried), -move, sample.box)


def magnify(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Magnify images about pixel ``N // 2``, by bicubic interpolation.

    Parameters
    ----------
    images : (n, N, N) tensor
    factor : float
        Above 1, the content becomes larger.

    Returns
    -------
    (n, N, N) tensor
        Zeros where nothing is known.
    """
    box = images.shape[-1]
    axis = (torch.arange(box) - box // 2) / factor + box // 2
    place = (2 * axis + 1) / box - 1
    y, x = torch.meshgrid(place, place, indexing="ij")
    grid = torch.stack([x, y], -1).float().expand(len(images), -1, -1, -1)
    background = images.mean((-2, -1), keepdim=True)
    return F.grid_sample((images - background)[:, None], grid, mode="bicubic", align_corners=False)[:, 0]
