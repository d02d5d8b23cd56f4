"""Does a domain that sims lack stay away from the fakes? Its contrast, in images and in their map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.measures.reference import Views, reference_of, whitening
from cryoalign.physics.fourier import fourier_resize_volume
from cryoalign.physics.half_plane import product, squared
from cryoalign.physics.mask import raised_cosine
from cryoalign.physics.reconstruction import Reconstruction
from cryoalign.physics.spectrum import ring_sum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.finding import Interval
    from cryoalign.evaluate.resampling import Resampling

_BANDS = 5
_BATCH = 64
_SEARCHED = 48  # voxels of the grid on which a domain is looked for
_CANDIDATES = 500
_SOLID = 2.0  # standard deviations above the mean: what counts as density
_EDGE = 6.0  # A


@dataclass(frozen=True)
class Parts:
    """A map without a domain, and the domain.

    Attributes
    ----------
    rest, domain : (M, M, M) tensor
        Their sum is the map.
    voxel_size : float
        In A.
    """

    rest: Tensor
    domain: Tensor
    voxel_size: float


@dataclass(frozen=True)
class Presence:
    """How much of a domain images show, in units of the rest's contrast: 0 it is away, 1 it is there in full.

    Attributes
    ----------
    images : Interval
        By regression of the images.
    map : Interval
        By regression of the map that is made of them.
    count : int
        Images.
    """

    images: Interval
    map: Interval
    count: int


def presence(
    spectra: Tensor,
    views: Views,
    units: NDArray[np.int64],
    parts: Parts,
    *,
    pixel_size: float,
    resampling: Resampling,
) -> Presence:
    """Measure how much of a domain is in images of particles whose poses are known.

    In each of five bands of rings the images are fitted by g (R + a D), with the CTF'd projections R of the
    rest and D of the domain: least squares with weights of one over the images' power gives g and g a, and
    the a of all bands are averaged with the weight of their information. The gain g is free in every band,
    so that a generator that damps or lifts frequencies does not look as if it had added or removed anything.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
        Half planes of centred images.
    views : Views
        Of them.
    units : (n,) int64
        Resampling units.
    parts : Parts
    pixel_size : float
        Of the images, in A.
    resampling : Resampling
        Over the units.

    Returns
    -------
    Presence
    """
    box, unit = spectra.shape[-2], torch.from_numpy(units)
    rest, domain = (
        reference_of(part, parts.voxel_size, box, pixel_size).projections(views)
        for part in (parts.rest, parts.domain)
    )
    weight = whitening(spectra)
    pairs = ((rest, rest), (rest, domain), (domain, domain), (rest, spectra), (domain, spectra))
    sums = torch.stack([ring_sum(product(a, b) * weight, box) for a, b in pairs], -1)  # (n, R, 5)
    by_unit = torch.zeros(resampling.units, *sums.shape[1:], dtype=torch.float64)
    by_unit.index_add_(0, unit, sums.double())
    made = _shell_sums([spectra, rest, domain], views, unit, resampling.units)
    return Presence(
        images=resampling.of(_ratio, by_unit), map=resampling.of(_ratio, made), count=len(spectra)
    )


def _ratio(total: Tensor) -> Tensor:
    """Amplitude of the domain in units of the rest's, of (b, R, 5) sums over rings or shells."""
    bands = torch.tensor_split(total[:, 1:], _BANDS, dim=1)
    rr, rd, dd, rx, dx = torch.stack([band.sum(1) for band in bands], 1).unbind(-1)  # (b, bands)
    determinant = rr * dd - rd.square()
    known = determinant > 1e-9 * rr * dd
    safe = torch.where(known, determinant, 1.0)
    gain, extra = (dd * rx - rd * dx) / safe, (rr * dx - rd * rx) / safe
    information = torch.where(known, determinant / torch.where(known, rr, 1.0), 0.0)
    return (information * gain * extra).sum(1) / (information * gain.square()).sum(1)


def _shell_sums(stacks: list[Tensor], views: Views, unit: Tensor, units: int) -> Tensor:
    """(units, shells, 5) sums for `_ratio` of maps that are made of images, and of both their templates.

    The three maps are made with the same CTFs and orientations, so that they lack and damp the same. The sums
    that need no images are shared out evenly.
    """
    box = stacks[0].shape[-2]
    made = [Reconstruction(box, units=units), Reconstruction(box), Reconstruction(box)]
    for start in range(0, len(unit), _BATCH):
        few = views.part(start, start + _BATCH)
        part = slice(start, start + _BATCH)
        for place, (into, images) in enumerate(zip(made, stacks, strict=True)):
            into.add(images[part], few.transfers, few.rotations, None if place else unit[part])
    shares = torch.fft.rfftn(made[0].shares(), dim=(-3, -2, -1))
    whole = shares.sum(0)
    rest, domain = (torch.fft.rfftn(one.density(), dim=(-3, -2, -1)) for one in made[1:])
    axis = torch.fft.fftfreq(box, 1 / box)
    radius = torch.sqrt(
        axis.square()[:, None, None] + axis.square()[:, None] + torch.arange(box // 2 + 1).square()
    )
    shell = radius.round().long().clamp(max=box // 2 + 1).flatten()

    def over_shells(values: Tensor) -> Tensor:
        flat = values.reshape(-1, shell.numel()).double()
        sums = torch.zeros(len(flat), box // 2 + 2, dtype=torch.float64).index_add_(1, shell, flat)
        return sums[:, :-1]

    noise = over_shells(squared(whole)).clamp_min(1e-300)
    fixed = [
        over_shells(product(a, b)) / noise / units
        for a, b in ((rest, rest), (rest, domain), (domain, domain))
    ]
    seen_in = [over_shells(product(part[None], shares)) / noise for part in (rest, domain)]
    return torch.stack([*(values.expand(units, -1) for values in fixed), *seen_in], -1)


def remove_domain(volume: Tensor, voxel_size: float, *, share: float = 0.1) -> tuple[Tensor, Tensor]:
    """Divide a map into a compact piece off its centre and the rest.

    Of the balls about voxels of the density that hold `share` of its mass, the one is taken whose inner end
    is furthest from the centre of mass: a protrusion, if there is one. Its edge is soft, a raised cosine of
    6 A, two voxels at the least. All that is in the ball belongs to the domain, also what is below the
    threshold.

    Parameters
    ----------
    volume : (M, M, M) tensor
        Axes [z, y, x].
    voxel_size : float
        In A.
    share : float
        Of the mass, between 0 and 1; density is what lies two standard deviations above the mean.

    Returns
    -------
    rest, domain : (M, M, M) float32 tensor
        Their sum is `volume`.

    Raises
    ------
    ValueError
        The share is not between 0 and 1, or nothing lies above the threshold.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share has to be between 0 and 1, not {share}")
    volume = volume.float()
    size = volume.shape[-1]
    coarse = fourier_resize_volume(volume, min(size, _SEARCHED))
    scale = size / coarse.shape[-1]
    solid = coarse > coarse.mean() + _SOLID * coarse.std()
    if not solid.any():
        raise ValueError("nothing in this map stands out from its mean")
    places = solid.nonzero().float()  # (V, 3), z, y, x
    mass = coarse[solid]
    candidates = places[:: max(len(places) // _CANDIDATES, 1)]
    distance, order = torch.cdist(candidates, places).sort(dim=1)
    within = mass[order].cumsum(1)
    last = (within < share * mass.sum()).sum(1).clamp(max=len(places) - 1)
    radius = distance.gather(1, last[:, None])[:, 0]
    middle = (places * mass[:, None]).sum(0) / mass.sum()
    best = int((torch.linalg.vector_norm(candidates - middle, dim=1) - radius).argmax())

    # Origins match: voxel M // 2 of one grid lies on that of the other.
    centre = (candidates[best] - coarse.shape[-1] // 2) * scale + size // 2
    axis = torch.arange(size, dtype=torch.float32)
    z, y, x = ((axis - place).square() for place in centre)
    off = torch.sqrt(z[:, None, None] + y[:, None] + x)
    edge = max(_EDGE / voxel_size, 2.0)
    domain = volume * raised_cosine(off, radius[best] * scale + edge / 2, edge)
    return volume - domain, domain
