"""Pairs whose noise is as a microscope's: skewed, another spectrum in each image, and through the lens."""

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
    """Known pairs with such noise."""

    @cached_property
    def ctf_squared(self) -> torch.Tensor:
        """(n, N, N // 2 + 1) of all particles."""
        optics = conditions(self.particles, np.arange(len(self.particles)), "cpu")
        return optics.ctf(self.box, None).square()

    def rows(self, count: int) -> np.ndarray:
        """All particles, those that are judged, those of the training set, or as many of those judged."""
        total = len(self.particles)
        known = {total: np.arange(total), self.count: self.judged, total - self.count: self.trained}
        return known.get(count, self.judged[:count])

    def noise(
        self, count: int, stream: int, *, skewed: bool = True, varied: bool = True, through_lens: bool = True
    ) -> torch.Tensor:
        """(count, N, N) noise of standard deviation 1, that of each particle's image."""
        generator = torch.Generator().manual_seed(1000 * self.seed + stream)
        drawn = torch.randn(count, self.box, self.box, generator=generator)
        drawn = -log_normal(drawn, SHAPE) if skewed else drawn
        rows, height = self.rows(count), half_plane(self.box).radius / (self.box / 2)
        squared = self.ctf_squared[rows] if through_lens else self.ctf_squared.mean(0, keepdim=True)
        power = (0.6 + squared) * (1 / (1 + (height / 0.24).square()) + 0.25)
        if varied:
            micrograph = np.unique(self.particles.micrograph, return_inverse=True)[1][rows]
            shared = torch.randn(int(micrograph.max()) + 1, generator=generator)[torch.from_numpy(micrograph)]
            level = MICROGRAPHS * shared + IMAGES * torch.randn(count, generator=generator)
            power = power * torch.exp(level[:, None, None] * height)
        images = irfft2(rfft2(drawn) * power.float().sqrt(), self.box)
        return images / images.std()


def log_normal(normal: torch.Tensor, shape: float) -> torch.Tensor:
    """Skew standard normal numbers: mean 0, standard deviation 1, skewness about 3 times the shape."""
    middle = np.exp(shape**2 / 2)
    return (torch.exp(shape * normal) - middle) / (middle * np.sqrt(np.expm1(shape**2)))
