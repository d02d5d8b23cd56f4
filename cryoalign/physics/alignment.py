"""Local projection matching: the orientation and the place that an image speaks for, near given ones."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cryoalign.physics.fourier import frequency_grid
from cryoalign.physics.half_plane import half_plane, squared
from cryoalign.physics.rotation import angular_distance, rotation_vector_to_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.projection import Projector

_ROUNDS = 3  # each halves the steps of the one before
_AT_ONCE = 2**19  # samples of projections that are held at a time


@dataclass(frozen=True)
class Search:
    """Where local projection matching looks.

    Attributes
    ----------
    radius : float
        Of the ball of rotations about the given one, in degrees.
    step : float
        Of the cubic grid of rotation vectors in it, in degrees; three refinements end at an eighth of it.
    reach : int
        Largest shift along x and along y in px; the grid's step is 1 px, in the end an eighth.
    """

    radius: float = 24.0
    step: float = 6.0
    reach: int = 3


@dataclass(frozen=True)
class Alignment:
    """Where images fit best, for B particles and K images of each.

    Attributes
    ----------
    rotations : (B, K, 3, 3) tensor
        Image frame to volume frame.
    shift : (B, K, 2) tensor
        Where the content sits, off the origin of the images, (x, y) in px.
    score : (B, K) tensor
        Correlation of image and projection at the best place, -1 to 1.
    angle : (B, K) tensor
        From the given rotation, in degrees.
    tilt : (B, K) tensor
        Angle between the beams (out of plane), in degrees.
    turn : (B, K) tensor
        Rotation about the beam (in plane), in degrees, -180 to 180.
    """

    rotations: Tensor
    shift: Tensor
    score: Tensor
    angle: Tensor
    tilt: Tensor
    turn: Tensor


@torch.no_grad()
def align(
    projector: Projector,
    spectra: Tensor,
    *,
    transfers: Tensor,
    weights: Tensor,
    rotations: Tensor,
    pixel_ratio: float = 1.0,
    magnification: Tensor | None = None,
    search: Search | None = None,
    seed: int = 0,
) -> Alignment:
    """Find for each image the projection in a ball about the given orientation that it fits best.

    The score is the whitened correlation with the CTF'd projection T,
    Re sum w conj(T) F / sqrt(sum w |T|^2 sum w |F|^2) over the plane without its origin and corners: with w
    one over the noise's power it grows with the likelihood of the image whose contrast is free (Sigworth
    1998, doi:10.1006/jsbi.1998.4014). A grid of rotations and shifts comes first, then finer ones about the
    best. Projections of the first serve all K images of a particle. The grid is turned at random for each
    particle, so that the given orientation is no point of it and has no advantage.

    Parameters
    ----------
    projector : Projector
        Of the reference, with the box of the images. All tensors are on its device.
    spectra : (B, K, N, N // 2 + 1) complex tensor
        Half planes, the given shift already undone.
    transfers : (B, N, N // 2 + 1) real tensor
        CTF, or its square where the images carry that.
    weights : (K, N, N // 2 + 1) real tensor
        One over the power of the noise. Frequencies of weight zero are left out.
    rotations : (B, 3, 3) tensor
        The given orientations, image frame to volume frame.
    pixel_ratio : float
        Pixel size in units of the voxel size.
    magnification : (B, 2, 2) tensor, optional
        As `cryoalign.physics.projection.Projector.slices` takes it.
    search : Search, optional
    seed : int
        Of the turns of the grids.

    Returns
    -------
    Alignment
    """
    search = search or Search()
    generator = torch.Generator().manual_seed(seed)
    grid = _ball(search).to(spectra.device)
    jitter = (torch.rand(len(spectra), 3, generator=generator) - 0.5) * math.radians(search.step)
    jitter = jitter.to(spectra.device)
    step = max(_AT_ONCE // (len(grid) * spectra.shape[-1] * spectra.shape[-2]), 1)
    found = []
    for start in range(0, len(spectra), step):
        part = slice(start, start + step)
        matcher = _Matcher(
            projector,
            spectra[part],
            transfers[part],
            weights,
            pixel_ratio=pixel_ratio,
            magnification=None if magnification is None else magnification[part],
        )
        found.append(_align(matcher, rotations[part].float(), grid + jitter[part, None], search))
    return Alignment(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _align(
    matcher: _Matcher, given: Tensor, vectors: Tensor, search: Search
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Search a few particles; the parts of an `Alignment`, in its order."""
    count, kinds = len(given), matcher.kinds
    turned = given[:, None] @ _matrices(vectors)  # (b, G, 3, 3)
    moves = _square(search.reach).to(given.device)
    scores = matcher.scores(turned, moves.expand(count, kinds, -1, -1), shared=True)  # (b, K, G, S)
    best = scores.flatten(2).argmax(2)
    rotation = turned[torch.arange(count, device=given.device)[:, None], best // len(moves)]
    shift = moves[best % len(moves)]
    score = scores.flatten(2).amax(2)
    turns, steps = (values.to(given.device) for values in (_cube(), _square(1)))
    for level in range(1, _ROUNDS + 1):
        finer = _matrices(turns * math.radians(search.step / 2**level))
        turned = rotation[:, :, None] @ finer
        moves = shift[:, :, None] + steps / 2**level
        scores = matcher.scores(turned, moves, shared=False)
        best = scores.flatten(2).argmax(2)
        score = scores.flatten(2).amax(2)
        rotation = _pick(turned, best // moves.shape[2])
        shift = _pick(moves, best % moves.shape[2])
    relative = given[:, None].mT @ rotation
    flat = relative.reshape(-1, 3, 3)
    angle = angular_distance(torch.eye(3).to(flat).expand_as(flat), flat).reshape(count, kinds)
    tilt = torch.rad2deg(torch.acos(relative[..., 2, 2].clamp(-1, 1)))
    turn = torch.rad2deg(
        torch.atan2(relative[..., 1, 0] - relative[..., 0, 1], relative[..., 0, 0] + relative[..., 1, 1])
    )
    return rotation, shift, score, angle, tilt, turn


class _Matcher:
    """Images of a few particles, whitened and multiplied by their CTF, to be held against projections."""

    def __init__(
        self,
        projector: Projector,
        spectra: Tensor,
        transfers: Tensor,
        weights: Tensor,
        *,
        pixel_ratio: float,
        magnification: Tensor | None,
    ) -> None:
        box = projector.box
        self.projector, self.ratio, self.magnification = projector, pixel_ratio, magnification
        self.kinds = spectra.shape[1]
        ky, kx = frequency_grid(box, 1 / box, device=weights.device)
        ring, often = (values.to(weights.device) for values in (half_plane(box).ring, half_plane(box).weight))
        used = (ring > 0) & (ring <= box // 2) & (weights > 0).any(0)
        self.used = used
        self.frequency = torch.stack([(kx + 0 * ky)[used], (ky + 0 * kx)[used]]) / box  # (2, S)
        weight = weights[:, used] * often[used].float()  # (K, S)
        transfer = transfers[:, None, used]  # (b, 1, S)
        images = spectra[..., used]
        power = (weight * squared(images)).sum(-1)  # (b, K)
        self.norm = weight * transfer.square()  # (b, K, S): of the squared projections
        self.images = images * transfer * weight / power.sqrt().clamp_min(1e-30)[..., None]

    def scores(self, rotations: Tensor, moves: Tensor, *, shared: bool) -> Tensor:
        """Correlate with projections at trial rotations and shifts.

        Parameters
        ----------
        rotations : (b, R, 3, 3) tensor if they are shared by all kinds, else (b, K, R, 3, 3)
        moves : (b, K, S, 2) tensor
            Where the content is taken to sit, in px.
        shared : bool

        Returns
        -------
        (b, K, R, S) tensor
        """
        lead = rotations.shape[:-2]
        each = rotations.shape[1:-2].numel()
        magnification = self.magnification
        if magnification is not None:
            magnification = magnification.repeat_interleave(each, 0)
        planes = self.projector.slices(rotations.reshape(-1, 3, 3), self.ratio, magnification)
        planes = planes[:, self.used].reshape(*lead, -1)
        phase = 2 * math.pi * (moves @ self.frequency)  # content at s: undone by exp(+2 pi i k s)
        moved = self.images[:, :, None] * torch.polar(torch.ones_like(phase), phase)  # (b, K, S, f)
        square = squared(planes)
        if shared:
            cross = _real(planes) @ _real(moved.flatten(1, 2)).mT  # (b, R, K S)
            cross = cross.reshape(*cross.shape[:2], self.kinds, -1).movedim(2, 1)
            norm = (square @ self.norm.mT).mT  # (b, K, R)
        else:
            cross = _real(planes) @ _real(moved).mT  # (b, K, R, S)
            norm = (square @ self.norm[..., None])[..., 0]
        scores: Tensor = cross / norm.sqrt().clamp_min(1e-30)[..., None]
        return scores


def _real(values: Tensor) -> Tensor:
    """Concatenate real and imaginary parts, so that a real product gives Re conj(a) b."""
    return torch.view_as_real(values).flatten(-2)


def _matrices(vectors: Tensor) -> Tensor:
    """Convert (..., 3) rotation vectors in rad to matrices."""
    return rotation_vector_to_matrix(vectors.reshape(-1, 3)).reshape(*vectors.shape[:-1], 3, 3)


def _ball(search: Search) -> Tensor:
    """(G, 3) rotation vectors in rad: a cubic grid inside the ball."""
    most = math.floor(search.radius / search.step)
    axis = torch.arange(-most, most + 1) * search.step
    grid = torch.cartesian_prod(axis, axis, axis)
    return torch.deg2rad(grid[torch.linalg.vector_norm(grid, dim=1) <= search.radius + 1e-6])


def _cube() -> Tensor:
    """(27, 3) steps to a point's neighbours, the point itself first."""
    steps = sorted(itertools.product((-1.0, 0.0, 1.0), repeat=3), key=lambda step: sum(map(abs, step)))
    return torch.tensor(steps)


def _square(reach: int) -> Tensor:
    """(S, 2) shifts in whole px."""
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return torch.cartesian_prod(axis, axis)


def _pick(values: Tensor, place: Tensor) -> Tensor:
    """Gather from (b, K, R, ...) the (b, K) chosen ones."""
    first, second = torch.meshgrid(
        *(torch.arange(size, device=values.device) for size in values.shape[:2]), indexing="ij"
    )
    return values[first, second, place]
