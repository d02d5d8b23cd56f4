"""Pairs with noise as a microscope's: skewed, another spectrum in each image, through the lens, cut out."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from cryoalign.physics.conditions import conditions
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.half_plane import half_plane
from tests.fakes.known import Known

#: Of the log-normal innovations, before they are filtered.
SHAPE = 0.07
#: Standard deviations of ln power at Nyquist against that at the origin: micrographs, images of one.
MICROGRAPHS, IMAGES = 0.5, 0.25


class Measured(Known):
    """Known pairs with such noise: boxes cut from a larger image, as from a micrograph."""

    @cached_property
    def ctf_squared(self) -> torch.Tensor:
        """(n, N, N // 2 + 1) of all particles."""
        return self.ctf_squared_in(self.box)

    @cached_property
    def ctf_squared_around(self) -> torch.Tensor:
        """(n, 2 N, N + 1): in what boxes are cut from."""
        return self.ctf_squared_in(2 * self.box)

    def ctf_squared_in(self, box: int) -> torch.Tensor:
        """(n, B, B // 2 + 1) in another box."""
        optics = conditions(self.particles, np.arange(len(self.particles)), "cpu")
        return optics.ctf(box, None).square()

    def rows(self, count: int) -> np.ndarray:
        """All particles, those that are judged, those of the training set, or as many of those judged."""
        total = len(self.particles)
        known = {total: np.arange(total), self.count: self.judged, total - self.count: self.trained}
        return known.get(count, self.judged[:count])

    def noise(
        self,
        count: int,
        stream: int,
        *,
        skewed: bool = True,
        varied: bool = True,
        through_lens: bool = True,
        periodic: bool = False,
    ) -> torch.Tensor:
        """(count, N, N) noise of standard deviation 1, that of each particle's image."""
        generator = torch.Generator().manual_seed(1000 * self.seed + stream)
        box = self.box if periodic else 2 * self.box
        drawn = torch.randn(count, box, box, generator=generator)
        drawn = -log_normal(drawn, SHAPE) if skewed else drawn
        rows, height = self.rows(count), half_plane(box).radius / (box / 2)
        squared = self.ctf_squared if periodic else self.ctf_squared_around
        squared = squared[rows] if through_lens else squared.mean(0, keepdim=True)
        power = (0.6 + squared) * (1 / (1 + (height / 0.24).square()) + 0.25)
        if varied:
            micrograph = np.unique(self.particles.micrograph, return_inverse=True)[1][rows]
            shared = torch.randn(int(micrograph.max()) + 1, generator=generator)[torch.from_numpy(micrograph)]
            level = MICROGRAPHS * shared + IMAGES * torch.randn(count, generator=generator)
            power = power * torch.exp(level[:, None, None] * height)
        images = irfft2(rfft2(drawn) * power.float().sqrt(), box)[:, : self.box, : self.box]
        return images / images.std()


def log_normal(normal: torch.Tensor, shape: float) -> torch.Tensor:
    """Skew standard normal numbers: mean 0, standard deviation 1, skewness about 3 times the shape."""
    middle = np.exp(shape**2 / 2)
    return (torch.exp(shape * normal) - middle) / (middle * np.sqrt(np.expm1(shape**2)))
