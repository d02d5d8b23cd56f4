"""Whether noise continues across opposite edges of the box, and noise that does not.

What a Fourier transform filters in its own box is periodic: the left edge continues at the right one. An
image that was cut out of a micrograph ends at its edges; one that was multiplied by its CTF in its box does
not. So noise that ends is made in a box of twice the size, and cut out of it. Cutting multiplies the
covariance of pixels at a distance (dy, dx) by ``(1 - |dy| / N) (1 - |dx| / N)``: what the power of the larger
box has to be for the power of the cut image to be that of raw is found by repeated division.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import Verdict, decide, fold_sums
from cryoalign.models.physical.model import ramps_left, unit_ramps
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.spectra import Spectra

#: The box in which noise that ends at the edges is made, over that of the images.
LARGER = 2

_LAGS = 6  # px; neighbours further apart have little in common
_SEEN = 5.0  # standard deviations by which all images together have to tell the two kinds of noise apart
_ROUNDS = 30
_STEP, _FURTHEST = 2.0, 50.0  # of the correction: in one round, and in all


class EdgeSums:
    """Products of pixels on both sides of opposite edges, image by image.

    Parameters
    ----------
    box : int
        Image size in px.
    """

    def __init__(self, box: int) -> None:
        self._lags = range(1, max(min(_LAGS, box // 8), 1) + 1)
        self._across: list[Tensor] = []
        self._inside: list[Tensor] = []
        self._group: list[Tensor] = []

    def add(self, residual: Tensor, group: Tensor) -> None:
        """Add what the signal leaves of images.

        Parameters
        ----------
        residual : (B, N, N // 2 + 1) complex tensor
        group : (B,) int64 tensor
        """
        box = residual.shape[1]
        images = torch.fft.irfft2(residual, s=(box, box), norm="ortho")
        images = images - images.mean((1, 2), keepdim=True)
        across, inside = [], []
        for lag in self._lags:
            ends = (images[:, -lag:] * images[:, :lag]).sum((1, 2))
            ends = ends + (images[:, :, -lag:] * images[:, :, :lag]).sum((1, 2))
            within = (images[:, lag:] * images[:, :-lag]).mean((1, 2))
            within = within + (images[:, :, lag:] * images[:, :, :-lag]).mean((1, 2))
            across.append(ends)
            inside.append(within / 2)
        self._across.append(torch.stack(across, 1).double().cpu())
        self._inside.append(torch.stack(inside, 1).double().cpu())
        self._group.append(group.cpu())

    def fit(self, setting: bool | str, box: int) -> Verdict:
        """Decide whether the noise ends at the edges.

        Each image's products across the edges, weighted by the covariance at their distance, are a number
        whose mean is known for noise that continues and is 0 for noise that ends, with the same scatter.

        Parameters
        ----------
        setting : bool or str
        box : int

        Returns
        -------
        Verdict
        """
        across, inside = torch.cat(self._across), torch.cat(self._inside).mean(0)
        pairs = 2.0 * box * torch.tensor(list(self._lags), dtype=torch.float64)
        continued = float((pairs * inside.square()).sum())
        found = across @ inside
        scatter2 = float(found.var(correction=0).clamp(min=1e-30)) if len(found) > 1 else 1.0
        gains = continued * (continued / 2 - found) / scatter2
        seen = len(found) * continued**2 / scatter2 > _SEEN**2
        folds = fold_sums(gains, torch.cat(self._group) % FOLDS, FOLDS)
        return decide(setting, folds, default=bool(gains.sum() > 0), needed=seen)


def choose_edges(sample: Iterable[Spectra], model: Model, setting: bool | str) -> Verdict:
    """Decide whether the noise of images ends at the edges of their box.

    Parameters
    ----------
    sample : iterable of Spectra
    model : Model
    setting : bool or str
    """
    box = len(model.pattern)
    sums = EdgeSums(box)
    for spectra in sample:
        sums.add(model.to(spectra.raw.device).residual(spectra)[0], spectra.group)
    return sums.fit(setting, box)


def larger_table(table: Tensor, box: int) -> Tensor:
    """Interpolate a table over rings to the half plane of the larger box.

    Parameters
    ----------
    table : (..., R) tensor
        By ring of images of `box` px. The zero frequency is a ring of its own, and has no part in it.
    box : int

    Returns
    -------
    (..., M, M // 2 + 1) tensor
        M = 2 N.
    """
    last = table.shape[-1] - 1
    radius = (half_plane(LARGER * box).radius / LARGER).clamp(min=1, max=last).to(table)
    low = radius.floor().long().clamp(max=max(last - 1, 0))
    return torch.lerp(table[..., low], table[..., (low + 1).clamp(max=last)], radius - low)


def larger_plane(plane: Tensor) -> Tensor:
    """Interpolate a half plane to that of the larger box: each new frequency is the mean of its neighbours.

    Parameters
    ----------
    plane : (N, N // 2 + 1) tensor

    Returns
    -------
    (M, M // 2 + 1) tensor
        M = 2 N.
    """
    box = len(plane)
    rows = torch.arange(LARGER * box, device=plane.device)
    below, above = rows // 2 % box, (rows + 1) // 2 % box
    tall = (plane[below] + plane[above]) / 2
    columns = torch.arange(LARGER * box // 2 + 1, device=plane.device)
    left, right = columns // 2, ((columns + 1) // 2).clamp(max=plane.shape[1] - 1)
    return (tall[:, left] + tall[:, right]) / 2


def power_of_cut(power: Tensor) -> Tensor:
    """Compute the expected power of noise that is cut out of a box of twice the size.

    Parameters
    ----------
    power : (M, M // 2 + 1) tensor
        Expected |F|^2 of orthonormal transforms in the larger box.

    Returns
    -------
    (N, N // 2 + 1) tensor
        That in the box of N = M / 2.
    """
    found: Tensor = torch.fft.rfft2(_folded(_folded(_covariance(power), 0), 1)).real
    return found


def correction(model: Model, ctf_power: Tensor) -> Tensor:
    """Find what the power of each frequency has to be multiplied by for cut noise to have that of the model.

    Parameters
    ----------
    model : Model
    ctf_power : (N, N // 2 + 1) tensor
        Mean of CTF^2 over images.

    Returns
    -------
    (N, N // 2 + 1) tensor
    """
    model = model._replace(
        constant=model.constant.double(), following=model.following.double(), pattern=model.pattern.double()
    )
    box, ctf_power = len(ctf_power), ctf_power.double()
    ring = half_plane(box).ring
    ramps = bool((model.ramps > 0).any())
    wanted = (model.constant[ring] + model.following[ring] * ctf_power) * model.pattern
    left = wanted * ramps_left(wanted) if ramps else wanted
    rings = larger_table(model.constant, box) + larger_table(model.following, box) * larger_plane(ctf_power)
    factor = torch.ones_like(wanted)
    for _ in range(_ROUNDS):
        power = rings * larger_plane(model.pattern * factor)
        found = _without_slopes(power) if ramps else power_of_cut(power)
        step = (left / found.clamp(min=1e-30)).clamp(1 / _STEP, _STEP)
        factor = (factor * step).clamp(1 / _FURTHEST, _FURTHEST)
    return factor


def mean_ctf_power(sample: Iterable[Spectra]) -> Tensor:
    """Average CTF^2 over images, (N, N // 2 + 1), on the CPU."""
    count, total = 0, torch.zeros(())
    for spectra in sample:
        count += len(spectra.ctf)
        total = total + spectra.ctf.square().sum(0, dtype=torch.float64)
    return total.cpu() / count


def _covariance(power: Tensor) -> Tensor:
    """Covariance of pixels by their distance, (M, M)."""
    covariance: Tensor = torch.fft.irfft2(power, s=(len(power), len(power)))
    return covariance


def _folded(covariance: Tensor, axis: int) -> Tensor:
    """Cut one axis to half its length: weigh each distance by the pairs that have it, and add its alias."""
    box = covariance.shape[axis] // LARGER
    near, far = covariance.narrow(axis, 0, box), covariance.narrow(axis, box, box)
    shape = [1, 1]
    shape[axis] = box
    part = (torch.arange(box) / box).to(covariance).reshape(shape)
    folded: Tensor = (1 - part) * near + part * far
    return folded


def _without_slopes(power: Tensor) -> Tensor:
    """Do the same as `power_of_cut` for images whose slopes along y and x are taken out."""
    covariance, found = _covariance(power), power_of_cut(power)
    box = len(found)
    place = torch.arange(box)
    distance = (place[:, None] - place) % len(covariance)
    for axis, ramp in enumerate(unit_ramps(box)):
        column = _folded(covariance, 1 - axis).sum(1 - axis)  # of the means over the other axis, times N
        line = ramp[:, 0] if axis == 0 else torch.cat([ramp[0], ramp[0, 1 : (box + 1) // 2].flip(0).conj()])
        shape = torch.fft.ifft(line, norm="ortho").real.to(power)
        rest = torch.eye(box, dtype=power.dtype) - shape[:, None] * shape
        matrix = rest @ column[distance] @ rest
        spectrum = torch.fft.ifft(torch.fft.fft(matrix, dim=0), dim=1).diagonal().real
        if axis == 0:
            found[:, 0] = spectrum
        else:
            found[0] = spectrum[: found.shape[1]]
    return found
