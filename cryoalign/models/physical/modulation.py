"""Noise that is stronger in some places of an image than in others: thicker ice, a crowd of molecules.

Noise n0 is multiplied by ``exp(g - <g^2>)``, g a smooth Gaussian field of power S by ring. Of white noise w
the square has the same power at each frequency. Where w was multiplied by 1 + g it has ``4 S`` more, so S is
read off the square of the whitened residual: what its lowest rings have above the rings beyond.
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
    """Power of the squared whitened noise, image by image.

    Parameters
    ----------
    box : int
        Image size in px.
    """

    def __init__(self, box: int) -> None:
        self._box = box
        self._power: list[Tensor] = []
        self._group: list[Tensor] = []

    def add(self, white: Tensor, group: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        white : (B, N, N // 2 + 1) complex tensor
            Whitened noise.
        group : (B,) int64 tensor
        """
        box, rings = self._box, half_plane(self._box)
        square = torch.fft.irfft2(white, s=(box, box), norm="ortho").square()
        square = square / square.mean((1, 2), keepdim=True)
        power = squared(torch.fft.rfft2(square, norm="ortho")) * rings.weight.float()
        sums = torch.zeros(len(white), len(rings.pixels))
        self._power.append(sums.index_add_(1, rings.ring.flatten(), power.flatten(1)).double())
        self._group.append(group)

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
        pixels, last = half_plane(self._box).pixels, reach(self._box)
        low = slice(1, last + 1)
        beyond = slice(2 * last + 1, self._box // 2 + 1)
        sums = torch.cat(self._power)
        floor = sums[:, beyond].sum(1) / pixels[beyond].sum()
        excess = sums[:, low].sum(1) - pixels[low].sum() * floor.mean()
        fold = torch.cat(self._group) % FOLDS
        count, total = (
            torch.zeros(FOLDS, dtype=torch.float64).index_add_(0, fold, values)
            for values in (torch.ones_like(excess), excess)
        )
        others = ((total.sum() - total) / (len(excess) - count).clamp(min=1))[fold].clamp(min=0)
        scatter2 = float(excess.var(correction=0)) if len(excess) > 1 else 0.0
        gains = others * (excess - others / 2) / max(scatter2, 1e-30)
        verdict = decide(setting, fold_sums(gains, fold, FOLDS), default=False)
        power = torch.zeros(len(pixels))
        if verdict.kept:
            power[low] = ((sums[:, low].mean(0) / pixels[low] - floor.mean()) / 4).clamp(min=0).float()
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
    sums, ring = ModulationSums(box), half_plane(box).ring
    for spectra in sample:
        left, fraction = model.residual(spectra)
        power = model.power(spectra.ctf) * variation.expected(spectra, model)[:, ring].exp() * fraction
        sums.add(left / power.clamp(min=UNSEEN * power.mean()).sqrt(), spectra.group)
    return sums.fit(setting)


def modulated(noise: Tensor, power: Tensor, maps: Tensor) -> Tensor:
    """Make noise stronger in places.

    Parameters
    ----------
    noise : (B, N, N // 2 + 1) complex tensor
    power : (R,) tensor
        Of the field, by ring.
    maps : (B, N, N) tensor
        Standard normal.

    Returns
    -------
    (B, N, N // 2 + 1) complex tensor
        With the same mean power.
    """
    box = maps.shape[-1]
    rings = half_plane(box)
    plane = power[rings.ring.to(power.device)]
    spread2 = (plane * rings.weight.to(plane)).sum() / box**2
    field = torch.fft.irfft2(plane.sqrt() * torch.fft.rfft2(maps, norm="ortho"), s=(box, box), norm="ortho")
    images = torch.fft.irfft2(noise, s=(box, box), norm="ortho") * (field - spread2).exp()
    changed: Tensor = torch.fft.rfft2(images, norm="ortho")
    return changed
