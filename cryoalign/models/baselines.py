"""Baselines: generators in closed form, which a trained one has to beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor

from cryoalign.errors import InputError
from cryoalign.models.baseline import Baseline
from cryoalign.models.defocus_bins import MOST_KNOTS
from cryoalign.models.physical.generator import Physical
from cryoalign.models.ring_fit import Knots, RingSums, at_defocus
from cryoalign.models.transplant import Transplant
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoalign.models.baseline import Batch
    from cryoalign.models.generator import Metadata


class Identity(Baseline):
    """``fake = sim``: how far the simulation is from the measurement.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        Noise maps that it is handed, and does not use.
    """

    def __init__(self, box: int, noise_channels: int = 0) -> None:
        super().__init__(box, noise_channels)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Do nothing; no batch is read."""

    def description(self) -> str:
        """Report that there was nothing to fit."""
        return "nothing to fit"

    def forward(
        self,
        sim: Tensor,
        noise: Tensor | None = None,  # noqa: ARG002  the call of every generator
        metadata: Metadata | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the (B, 1, N, N) sims back."""
        return sim.clone()


class WhiteNoise(Baseline):
    """``fake = a sim + b + sigma white noise``: the classical simulation at one signal-to-noise ratio.

    Gain and offset are the least-squares line of raw's pixels on sim's, sigma what is left of them.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        1.

    Raises
    ------
    InputError
        If the number of noise maps is another.
    """

    fits_anywhere: ClassVar[bool] = True
    gain: Tensor
    offset: Tensor
    sigma: Tensor

    def __init__(self, box: int, noise_channels: int = 1) -> None:
        super().__init__(box, _one_map(noise_channels))
        for name in ("gain", "offset", "sigma"):
            self.register_buffer(name, torch.tensor(math.nan))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit gain, offset and sigma; see `Baseline.fit`."""
        sums = torch.zeros(6, dtype=torch.float64)
        for sim, raw, *_ in batches:
            s, r = sim.double(), raw.double()
            moments = [torch.ones_like(s), s, r, s * s, s * r, r * r]
            sums += torch.stack([moment.sum() for moment in moments]).cpu()
        if sums[0] == 0:
            raise ValueError("there are no pairs to fit")
        s1, r1, ss, sr, rr = (sums[1:] / sums[0]).unbind()
        spread, cross = ss - s1**2, sr - s1 * r1
        gain = cross / spread if spread > 0 else torch.zeros_like(cross)
        for name, value in (
            ("gain", gain),
            ("offset", r1 - gain * s1),
            ("sigma", (rr - r1**2 - gain * cross).clamp(min=0).sqrt()),
        ):
            getattr(self, name).copy_(value)

    def description(self) -> str:
        """Describe gain and noise."""
        return f"{float(self.gain):.3g} sim + noise of standard deviation {float(self.sigma):.3g}"

    def forward(
        self,
        sim: Tensor,
        noise: Tensor | None = None,
        metadata: Metadata | None = None,  # noqa: ARG002  the call of every generator
    ) -> Tensor:
        """Scale the sims and add noise.

        Parameters
        ----------
        sim : (B, 1, N, N) tensor
        noise : (B, 1, N, N) tensor
            Standard normal.
        metadata : optional
            Not used.

        Returns
        -------
        (B, 1, N, N) tensor

        Raises
        ------
        ValueError
            If it was not fitted, or the noise is of another shape.
        """
        white = _checked(self.gain, sim, noise)
        return self.gain * sim + self.offset + self.sigma * white


class Spectral(Baseline):
    """``fake = g(k) sim + Gaussian noise of power P(k)``: the best that a filter and stationary noise can do.

    Gain and power are constant on rings of the whole Fourier plane, corners included, and depend on the
    defocus where that predicts micrographs that were held out better (`cryoalign.models.ring_fit`). The
    noise is a noise map times the root of P, so a fake can be made again, and two draws of one sim differ in
    their noise only.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        1.

    Attributes
    ----------
    defocus : (8,) float32
        Knots in A; those that are not used lie at infinity.
    gain, power : (8, R) float32
        At the knots, by ring.
    offset : (8,) float32
        Of the zero frequency, orthonormal transform.

    Raises
    ------
    InputError
        If the number of noise maps is another.
    """

    conditions: ClassVar[frozenset[str]] = frozenset({"defocus"})
    fits_anywhere: ClassVar[bool] = True
    defocus: Tensor
    gain: Tensor
    power: Tensor
    offset: Tensor
    ring: Tensor

    def __init__(self, box: int, noise_channels: int = 1) -> None:
        super().__init__(box, _one_map(noise_channels))
        rings = half_plane(box)
        self.register_buffer("ring", rings.ring.clone(), persistent=False)
        count = len(rings.pixels)
        self.register_buffer("defocus", torch.full((MOST_KNOTS,), math.inf))
        for name in ("gain", "power"):
            self.register_buffer(name, torch.full((MOST_KNOTS, count), math.nan))
        self.register_buffer("offset", torch.full((MOST_KNOTS,), math.nan))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit gain and power; see `Baseline.fit` and `cryoalign.models.ring_fit.RingSums.fit`."""
        sums = RingSums(self.box)
        for sim, raw, metadata, group in batches:
            sums.add(sim, raw, metadata["defocus"], group)
        knots = sums.fit()
        used = len(knots.defocus)
        self.defocus.fill_(math.inf)
        self.defocus[:used] = knots.defocus
        for name in ("gain", "power", "offset"):
            buffer, values = cast("Tensor", getattr(self, name)), getattr(knots, name)
            buffer[:used] = values
            buffer[used:] = values[-1]  # no part in anything, but finite

    def description(self) -> str:
        """Describe on how many defoci it depends."""
        used = self.defocus[self.defocus.isfinite()]
        if len(used) == 1:
            return "one spectrum for every defocus"
        return f"{len(used)} spectra, at a defocus of {used[0]:.0f} to {used[-1]:.0f} A"

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:
        """Filter the sims and add noise.

        Parameters
        ----------
        sim : (B, 1, N, N) tensor
        noise : (B, 1, N, N) tensor
            Standard normal.
        metadata : Metadata
            With the defocus.

        Returns
        -------
        (B, 1, N, N) float32 tensor

        Raises
        ------
        ValueError
            If it was not fitted, the defocus is missing, or the noise is of another shape.
        """
        white = _checked(self.gain, sim, noise)
        if metadata is None or "defocus" not in metadata:
            raise ValueError("this generator depends on the defocus, but none came")
        knots = Knots(self.defocus, self.gain, self.power, self.offset)
        gain, power, offset = at_defocus(knots, metadata["defocus"].to(sim.device))
        with torch.autocast(sim.device.type, enabled=False):
            signal, grain = (
                torch.fft.rfft2(image.squeeze(1).float(), norm="ortho") for image in (sim, white)
            )
            spectra = gain[:, self.ring] * signal + power.sqrt()[:, self.ring] * grain
            spectra[:, 0, 0] += offset
            fake: Tensor = torch.fft.irfft2(spectra, s=(self.box, self.box), norm="ortho")
        return fake[:, None]


#: The baselines by the names of their configurations, the simplest first.
BASELINES: dict[str, type[Identity | WhiteNoise | Spectral | Physical | Transplant]] = {
    "identity": Identity,
    "white_noise": WhiteNoise,
    "spectral": Spectral,
    "physical": Physical,
    "transplant": Transplant,
}


def _one_map(noise_channels: int) -> int:
    if noise_channels != 1:
        raise InputError(
            "generator.noise_channels cannot be used",
            expected="1: the noise of this baseline is one map",
            found=noise_channels,
            remedy="leave generator.noise_channels out",
        )
    return 1


def _checked(fitted: Tensor, sim: Tensor, noise: Tensor | None) -> Tensor:
    """Return the noise after checking that there is some, and that the baseline was fitted."""
    if bool(fitted.isnan().any()):
        raise ValueError("fit() comes first")
    if noise is None or noise.shape != sim.shape:
        found = None if noise is None else tuple(noise.shape)
        raise ValueError(f"expected noise of shape {tuple(sim.shape)}, found {found}")
    return noise
