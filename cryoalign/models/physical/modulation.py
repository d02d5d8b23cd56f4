"""Noise that is stronger in some places of an image than in others: thicker ice, a crowd of molecules.

The white noise that the noise is filtered from is multiplied by ``exp(g - <g^2>)``, g a smooth Gaussian
field of power S by ring: the power at every frequency stays as it is, and so do the zeros of a CTF. Where the
filter has the amplitudes h, with mean square 1, the square of the noise has ``4 S(q) A(q)^2`` more power than
that of an image of the same amplitudes and random phases, with ``A(q) = <h(k) h(q - k)>``. With random phases
the covariance of squares is twice the square of the covariance. Values that are not Gaussian look like a
field with the same power on every ring, which is found on rings beyond, and left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import Verdict, decide, fold_sums
from cryoalign.models.physical.model import UNSEEN
from cryoalign.physics.half_plane import half_plane, squared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.spectra import Spectra
    from cryoalign.models.physical.variation import Variation

_REACH = 8  # last ring of the field


def reach(box: int) -> int:
    """Return the last ring of the field in images of a box in px."""
    return min(_REACH, box // 6)


class ModulationSums:
    """Power of the squared noise beyond that of random phases, image by image.

    Parameters
    ----------
    box : int
        Image size in px.
    """

    def __init__(self, box: int) -> None:
        self._box = box
        self._excess: list[Tensor] = []
        self._response: list[Tensor] = []
        self._group: list[Tensor] = []

    def add(self, noise: Tensor, power: Tensor, group: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        noise : (B, N, N // 2 + 1) complex tensor
        power : (B, N, N // 2 + 1) tensor
            That the noise of each image is expected to have.
        group : (B,) int64 tensor
        """
        rings = half_plane(self._box, power.device)
        level = (self._ring_sums(power) / rings.pixels)[:, rings.ring].to(power)
        level = level.clamp(min=UNSEEN * power.mean())
        # Beyond, interpolation leaves next to nothing, or anything.
        counted = rings.ring <= self._box // 2
        image = self._image(noise / level.sqrt() * counted)
        image = image / image.square().mean((1, 2), keepdim=True).sqrt()
        covariance = self._image(squared(torch.fft.rfft2(image, norm="ortho"))) / self._box
        excess = squared(torch.fft.rfft2(image.square(), norm="ortho"))
        excess = excess - 2 * torch.fft.rfft2(covariance.square()).real
        amplitude = self._image((power / level).sqrt() * counted) / self._box
        product = torch.fft.rfft2(amplitude.square()).real
        response = self._ring_sums(4 * (product / product[:, :1, :1]).square())
        self._excess.append(self._ring_sums(excess).cpu())
        self._response.append(response.cpu())
        self._group.append(group.cpu())

    def _image(self, spectra: Tensor) -> Tensor:
        image: Tensor = torch.fft.irfft2(spectra, s=(self._box, self._box), norm="ortho")
        return image

    def _ring_sums(self, values: Tensor) -> Tensor:
        rings = half_plane(self._box, values.device)
        weighted = (values * rings.weight).flatten(1).double()
        sums = weighted.new_zeros(len(values), len(rings.pixels))
        return sums.index_add_(1, rings.ring.flatten(), weighted)

    def fit(self, setting: bool | str) -> tuple[Tensor, Verdict]:
        """Decide whether the noise is stronger in places.

        Parameters
        ----------
        setting : bool or str

        Returns
        -------
        power : (R,) tensor
            S by ring; 0 where the noise is even.
        verdict : Verdict
        """
        last = reach(self._box)
        low = slice(1, last + 1)
        beyond = slice(2 * last + 1, self._box // 2 + 1)
        sums, response = torch.cat(self._excess), torch.cat(self._response).mean(0)
        white = float(sums[:, beyond].sum(1).mean() / response[beyond].sum())  # a field without smoothness
        excess = sums[:, low].sum(1) - white * response[low].sum()
        fold = torch.cat(self._group) % FOLDS
        count, total = (
            torch.zeros(FOLDS, dtype=torch.float64).index_add_(0, fold, values)
            for values in (torch.ones_like(excess), excess)
        )
        others = ((total.sum() - total) / (len(excess) - count).clamp(min=1))[fold].clamp(min=0)
        scatter2 = float(excess.var(correction=0)) if len(excess) > 1 else 0.0
        gains = others * (excess - others / 2) / max(scatter2, 1e-30)
        verdict = decide(setting, fold_sums(gains, fold, FOLDS), default=False)
        power = torch.zeros(len(response))
        if verdict.kept:
            power[low] = (sums[:, low].mean(0) / response[low] - white).clamp(min=0).float()
        return power, verdict


def choose_modulation(
    sample: Iterable[Spectra], model: Model, variation: Variation, setting: bool | str
) -> tuple[Tensor, Verdict]:
    """Decide whether the noise is stronger in places, and how much; see `ModulationSums.fit`.

    Parameters
    ----------
    sample : iterable of Spectra
    model : Model
    variation : Variation
    setting : bool or str
    """
    box = len(model.pattern)
    sums = ModulationSums(box)
    for spectra in sample:
        device = spectra.raw.device
        ring, model, variation = half_plane(box, device).ring, model.to(device), variation.to(device)
        left, fraction = model.residual(spectra)
        power = model.power(spectra.ctf) * variation.expected(spectra, model)[:, ring].exp() * fraction
        sums.add(left, power, spectra.group)
    return sums.fit(setting)


def modulated(white: Tensor, power: Tensor, maps: Tensor) -> Tensor:
    """Make white noise stronger in places.

    Parameters
    ----------
    white : (B, M, M) tensor
        M = N, or a multiple of it: there the field is repeated, which has no seam.
    power : (R,) tensor
        Of the field, by ring.
    maps : (B, N, N) tensor
        Standard normal.

    Returns
    -------
    (B, M, M) tensor
        With the same mean power.
    """
    box = maps.shape[-1]
    rings = half_plane(box)
    plane = power[rings.ring.to(power.device)]
    spread2 = (plane * rings.weight.to(plane)).sum() / box**2
    field = torch.fft.irfft2(plane.sqrt() * torch.fft.rfft2(maps, norm="ortho"), s=(box, box), norm="ortho")
    times = white.shape[-1] // box
    changed: Tensor = white * (field - spread2).exp().repeat(1, times, times)
    return changed
