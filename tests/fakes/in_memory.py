"""Pairs from tensors, without files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.evaluate.stacks import Stacks
from cryoalign.particles import Optics, Particles
from cryoalign.physics.fourier import irfft2, rfft2

PIXEL_SIZE = 2.0


class Images:
    """Stands for a `ParticleImages`."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images, self.box, self.pixel_size = images.float().numpy(), images.shape[-1], PIXEL_SIZE

    def __len__(self) -> int:
        return len(self.images)

    def image(self, row: int) -> np.ndarray:
        return self.images[row]


def pairs(groups: np.ndarray, **images: torch.Tensor) -> Stacks:
    """Stacks whose images are taken as they are."""
    count, box = len(groups), next(iter(images.values())).shape[-1]
    optics = Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, box)
    defocus = np.linspace(9000, 15000, count)
    particles = Particles.make(
        Path("made.star"), (optics,), count, defocus=np.stack([defocus, defocus, np.zeros(count)], axis=1)
    )
    maps = dict.fromkeys(("raw", "sim", "truth"), Normalization())
    stacks = {kind: Images(values) for kind, values in images.items()}
    return Stacks(particles, stacks, maps, groups.astype(np.int64), "none")


def noise(count: int, box: int, seed: int, *, falloff: float = 0.15) -> torch.Tensor:
    """(count, box, box) Gaussian noise of spectrum 1 / (1 + (k / falloff)^2), k in cycles per px."""
    white = torch.randn(count, box, box, generator=torch.Generator().manual_seed(seed))
    ky, kx = torch.fft.fftfreq(box)[:, None], torch.fft.rfftfreq(box)[None]
    gain = (1 + (ky.square() + kx.square()) / falloff**2).rsqrt()
    coloured = irfft2(rfft2(white) * gain, box)
    return coloured / coloured.std()


def blobs(count: int, box: int, seed: int) -> torch.Tensor:
    """(count, box, box) a particle of two blobs, turned and moved."""
    generator = torch.Generator().manual_seed(seed)
    angle, shift = torch.rand(count, generator=generator) * 6.283, torch.randn(count, 2, generator=generator)
    axis = torch.arange(box) - box // 2
    images = torch.zeros(count, box, box)
    for distance, width in ((0.0, 3.0), (5.0, 2.0)):
        y = axis[:, None] - (distance * angle.sin() + shift[:, 0])[:, None, None]
        x = axis[None] - (distance * angle.cos() + shift[:, 1])[:, None, None]
        images += torch.exp(-(x.square() + y.square()) / (2 * width**2))
    return images
