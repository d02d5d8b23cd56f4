"""The stationary part of the model: signal gain, noise power that follows each particle's CTF, ramps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.models.defocus_bins import between_knots
from cryoalign.physics.half_plane import half_plane, product, squared

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.physical.spectra import Spectra


#: Of the mean power: of frequencies with less nobody sees anything in an image.
UNSEEN = 1e-4


class Gain(NamedTuple):
    """What is left of sim in raw, at some defoci.

    Attributes
    ----------
    defocus : (K,) tensor
        Knots in A, ascending; those at infinity are not used.
    factor : (K, R) tensor
        By ring.
    offset : (K,) tensor
        Of the zero frequency of the orthonormal transform.
    """

    defocus: Tensor
    factor: Tensor
    offset: Tensor


class Model(NamedTuple):
    """Signal and noise of an image whose power is that of the mean image.

    Attributes
    ----------
    gain : Gain
    constant, following : (R,) tensor
        Noise power that is the same at any CTF, and that is multiplied by CTF^2.
    pattern : (N, N // 2 + 1) tensor
        Power of each frequency relative to its ring.
    ramps : (2,) tensor
        Standard deviation of the slopes along y and x, in units of ramps of unit square sum; 0 where they are
        what the power makes them.
    """

    gain: Gain
    constant: Tensor
    following: Tensor
    pattern: Tensor
    ramps: Tensor

    def to(self, device: torch.device) -> Model:
        """Return the same on a device."""
        gain, *others = self
        return Model(Gain(*(values.to(device) for values in gain)), *(values.to(device) for values in others))

    def power(self, ctf: Tensor) -> Tensor:
        """Compute the noise power at each frequency of an orthonormal transform.

        Parameters
        ----------
        ctf : (B, N, N // 2 + 1) tensor

        Returns
        -------
        (B, N, N // 2 + 1) tensor
        """
        ring = half_plane(ctf.shape[1]).ring.to(ctf.device)
        following, constant = self.following[ring] * self.pattern, self.constant[ring] * self.pattern
        return torch.addcmul(constant, following, ctf.square())

    def signal(self, sim: Tensor, defocus: Tensor) -> Tensor:
        """Return what is left of sims.

        Parameters
        ----------
        sim : (B, N, N // 2 + 1) complex tensor
        defocus : (B,) tensor
            In A.

        Returns
        -------
        (B, N, N // 2 + 1) complex tensor
        """
        ring = half_plane(sim.shape[1]).ring.to(sim.device)
        gain, offset = between_knots(
            self.gain.defocus, (self.gain.factor, self.gain.offset[:, None]), defocus
        )
        signal = gain.to(sim.real)[:, ring] * sim
        signal[:, 0, 0] += offset[:, 0].to(sim.real)
        return signal

    def residual(self, spectra: Spectra) -> tuple[Tensor, Tensor]:
        """Compute what is left of raw, and how much power the ramps' removal left in it.

        Returns
        -------
        residual : (B, N, N // 2 + 1) complex tensor
            Without the slopes where the model has ramps.
        fraction : (N, N // 2 + 1) tensor
            Expected power of what was left, relative to that of the noise.
        """
        left = spectra.raw - self.signal(spectra.sim, spectra.defocus)
        if bool((self.ramps > 0).any()):
            return without_ramps(left), ramps_left(self.power(spectra.ctf).mean(0))
        return left, torch.ones_like(self.pattern)

    def relative(self, spectra: Spectra) -> Tensor:
        """Compute the power of the residual over what is expected, (B, N, N // 2 + 1).

        To both a little is added, which nobody sees in an image: where filters have left next to nothing, the
        ratio would tell of them.
        """
        left, fraction = self.residual(spectra)
        power = self.power(spectra.ctf) * fraction
        little = UNSEEN * power.mean()
        return (squared(left) + little) / (power + little)


def ramps_left(power: Tensor) -> Tensor:
    """Compute how much of the power of noise is left when the slopes of each image are taken out.

    Parameters
    ----------
    power : (N, N // 2 + 1) tensor

    Returns
    -------
    (N, N // 2 + 1) tensor
        As a fraction.
    """
    fraction = torch.ones_like(power)
    weight = half_plane(len(power)).weight.to(power)
    for ramp in unit_ramps(len(power)):
        ramp_power = squared(ramp).to(power)
        slope = (weight * power * ramp_power).sum()
        fraction = fraction - 2 * ramp_power + ramp_power * slope / power
    return fraction.clamp(min=0.01)


def unit_ramps(box: int) -> Tensor:
    """Return the transforms of ramps along y and along x, of mean 0 and unit square sum.

    Parameters
    ----------
    box : int

    Returns
    -------
    (2, N, N // 2 + 1) complex64 tensor
    """
    along = torch.arange(box, dtype=torch.float64) - (box - 1) / 2
    along /= along.square().sum().mul(box).sqrt()
    ramps = torch.stack([along[:, None].expand(box, box), along.expand(box, box)])
    spectra: Tensor = torch.fft.rfft2(ramps, norm="ortho").to(torch.complex64)
    return spectra


def slopes(spectra: Tensor) -> Tensor:
    """Return the slopes of images along the unit ramps.

    Parameters
    ----------
    spectra : (B, N, N // 2 + 1) complex tensor

    Returns
    -------
    (B, 2) tensor
    """
    box = spectra.shape[1]
    weight = half_plane(box).weight.to(spectra.real)
    ramps = unit_ramps(box).to(spectra.device)
    along_y, along_x = spectra[:, :, 0], spectra[:, 0]  # a ramp lies on one axis
    y = (weight[:, 0] * product(along_y, ramps[0, :, 0])).sum(-1)
    x = (weight[0] * product(along_x, ramps[1, 0])).sum(-1)
    return torch.stack([y, x], 1)


def without_ramps(spectra: Tensor, instead: Tensor | None = None) -> Tensor:
    """Take the slopes out of images, or put others in their place.

    Parameters
    ----------
    spectra : (B, N, N // 2 + 1) complex tensor
    instead : (B, 2) tensor, optional

    Returns
    -------
    (B, N, N // 2 + 1) complex tensor
    """
    change = -slopes(spectra) if instead is None else instead - slopes(spectra)
    ramps = unit_ramps(spectra.shape[1]).to(spectra.device)
    changed = spectra.clone()
    changed[:, :, 0] += change[:, :1] * ramps[0, :, 0]
    changed[:, 0] += change[:, 1:] * ramps[1, 0]
    return changed
