"""Pairs drawn from the model with everything known, by numpy where it matters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from cryoalign.models.baseline import Batch
from cryoalign.models.generator import Metadata, map_metadata
from cryoalign.physics.ctf_parameters import ctf_image
from cryoalign.physics.half_plane import half_plane


@dataclass(frozen=True)
class Drawn:
    """A microscope; rings of the box are the argument of what depends on frequency."""

    box: int = 32
    count: int = 480
    groups: int = 16
    seed: int = 0
    constant: float = 0.7
    following: float = 1.5
    ramps: tuple[float, float] = (0.0, 0.0)
    pattern: float = 0.0  # excess along y at high frequency
    gain_by_defocus: float = 0.0
    skewness: float = 0.0  # of the white noise, 0 or less
    level: tuple[float, ...] = field(default=())  # noise level of each image relative to the mean
    micrograph: str = ""  # what the metadata have of it: nothing, "named" or "unnamed"

    @property
    def ring(self) -> np.ndarray:
        return half_plane(self.box).ring.numpy()

    @property
    def gain(self) -> np.ndarray:
        return 0.6 * np.exp(-((np.arange(self.ring.max() + 1) / (0.3 * self.box)) ** 2))

    @property
    def power(self) -> tuple[np.ndarray, np.ndarray]:
        """B and C by ring."""
        radius = np.arange(self.ring.max() + 1) / self.box
        return self.constant * (1 + 2 * radius), self.following * (1 - radius)

    @property
    def pattern_power(self) -> np.ndarray:
        power = np.ones(self.ring.shape)
        power[self.box // 4 : -self.box // 4, : self.box // 8] += self.pattern
        return power

    def parameters(self, rng: np.random.Generator) -> torch.Tensor:
        defocus = rng.uniform(8e3, 24e3, self.count)
        row = [0.0, 0.0, 30.0, 0.0, 0.0, 1.0, 4.0, 300.0, 2.7, 0.1, 1.0, 0.0, 0.0, 1.0]
        table = np.tile(row, (self.count, 1))
        table[:, 0], table[:, 1] = defocus + 300, defocus - 300
        return torch.from_numpy(table)

    def errors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smallest standard errors of gain, B and C on whole rings from 1 on, by Fisher's information."""
        weight = half_plane(self.box).weight.numpy()
        ctf2 = np.square(self.ctf(self.parameters(np.random.default_rng(self.seed))))
        constant, following = (values[self.ring] for values in self.power)
        power = constant + following * ctf2

        def summed(values: np.ndarray) -> np.ndarray:
            return np.bincount(self.ring.ravel(), (weight * values).sum(0).ravel())[1 : self.box // 2]

        gain = summed(ctf2 / power)
        information = [[summed(a * b / power**2) / 2 for a in (1, ctf2)] for b in (1, ctf2)]
        covariance = np.linalg.inv(np.moveaxis(np.array(information), -1, 0))
        return 1 / np.sqrt(gain), np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])

    def ctf(self, parameters: torch.Tensor) -> np.ndarray:
        return ctf_image(parameters, self.box).double().numpy()

    def batches(self) -> list[Batch]:
        rng = np.random.default_rng(self.seed)
        parameters = self.parameters(rng)
        ctf = self.ctf(parameters)
        defocus = parameters[:, :2].mean(1).float()
        sim, white = rng.normal(size=(2, self.count, self.box, self.box))
        if self.skewness:
            counts = 4 / self.skewness**2
            white = (counts - rng.gamma(counts, size=white.shape)) / np.sqrt(counts)
        transform = np.fft.rfft2(sim, norm="ortho") * ctf
        sim = np.fft.irfft2(transform, s=(self.box, self.box), norm="ortho")
        constant, following = (values[self.ring] for values in self.power)
        power = self.pattern_power * (constant + following * ctf**2)
        if self.level:
            power = power * np.reshape(self.level, (-1, 1, 1))
        noise = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(power), s=(self.box, self.box))
        noise = self._with_ramps(noise, rng)
        slope = 1 + self.gain_by_defocus * (defocus.numpy() / 1.6e4 - 1)[:, None, None]
        signal = np.fft.irfft2(slope * self.gain[self.ring] * transform, s=(self.box, self.box), norm="ortho")
        group = torch.arange(self.count) * self.groups // self.count
        sims, raws = (
            torch.from_numpy(values.astype(np.float32))[:, None] for values in (sim, signal + noise)
        )
        known: Metadata = {"defocus": defocus, "ctf": parameters}
        if self.micrograph:
            known["micrograph"] = (group + 1) * (self.micrograph == "named")
        return [
            (sims[rows], raws[rows], map_metadata(lambda values, rows=rows: values[rows], known), group[rows])
            for rows in torch.arange(self.count).split(37)
        ]

    def _with_ramps(self, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Put slopes of known spread in the place of those of the noise."""
        if not any(self.ramps):
            return noise
        axis = np.arange(self.box) - (self.box - 1) / 2
        along_y, along_x = np.meshgrid(axis, axis, indexing="ij")
        for ramp, spread in zip((along_y, along_x), self.ramps, strict=True):
            unit = ramp / np.sqrt(np.square(ramp).sum())
            slope = (noise * unit).sum((1, 2))
            noise = noise + (spread * rng.normal(size=len(noise)) - slope)[:, None, None] * unit
        return noise
