"""What images are held against: views of a reference map, at a small box, with each particle's CTF."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from cryoalign.errors import InputError
from cryoalign.io.progress import progress_bar
from cryoalign.physics.conditions import Announced, conditions
from cryoalign.physics.fourier import fourier_resize, rfft2, shift
from cryoalign.physics.half_plane import rings_and_corner, squared
from cryoalign.physics.projection import Projector
from cryoalign.physics.reconstruction import Reconstruction
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulate.weak_phase import fit_volume

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.stacks import Stacks
    from cryoalign.particles import Particles

#: Small boxes have this many px at least: of a particle in fewer nothing is left.
SMALLEST_BOX = 16

_BATCH = 64
_QUIET = 1e-2  # of the mean power, added to every ring's: images without noise have empty ones


@dataclass(frozen=True)
class Views:
    """What some particles' images are taken with, at a small box.

    Attributes
    ----------
    rotations : (B, 3, 3) float32 tensor
        Image frame to volume frame.
    transfers : (B, n, n // 2 + 1) float32 tensor
        CTF, or its square where images are premultiplied; without antisymmetric aberrations, whose mean over
        a ring is none.
    move : (B, 2) float32 tensor
        Shift in px that centres the content.
    magnification : (B, 2, 2) tensor or None
    """

    rotations: Tensor
    transfers: Tensor
    move: Tensor
    magnification: Tensor | None

    @classmethod
    def of(cls, particles: Particles, rows: NDArray[np.int64], box: int, pixel_size: float) -> Views:
        """Gather them.

        Parameters
        ----------
        particles : Particles
        rows : (B,) int64
        box : int
            n in px.
        pixel_size : float
            Of the small box, in A.

        Returns
        -------
        Views
        """
        optics = conditions(particles, rows, "cpu")
        optics = replace(optics, pixel_size=torch.full_like(optics.pixel_size, pixel_size))
        even, _ = optics.aberrations(*optics.frequencies(box))
        once = optics.ctf(box, even)
        return cls(
            rotations=optics.rotations.float(),
            transfers=torch.where(optics.premultiplied[:, None, None], once.square(), once),
            move=optics.shift / pixel_size,
            magnification=optics.magnification,
        )

    def part(self, start: int, stop: int) -> Views:
        """Return those of some of the particles."""
        of = slice(start, stop)
        magnification = None if self.magnification is None else self.magnification[of]
        return Views(self.rotations[of], self.transfers[of], self.move[of], magnification)


@dataclass(frozen=True)
class Reference:
    """A map to be looked at.

    Attributes
    ----------
    projector : Projector
    pixel_ratio : float
        Pixel size of the images in units of the voxel size.
    made_of : str
        Where it is from, in words.
    """

    projector: Projector
    pixel_ratio: float
    made_of: str

    def projections(self, views: Views) -> Tensor:
        """Project with CTF.

        Parameters
        ----------
        views : Views

        Returns
        -------
        (B, n, n // 2 + 1) complex tensor
            Half planes, centred.
        """
        planes = self.projector.slices(views.rotations, self.pixel_ratio, views.magnification)
        return planes * views.transfers


def reference_of(
    volume: Tensor,
    voxel_size: float,
    box: int,
    pixel_size: float,
    made_of: str = "the reference map",
    *,
    device: str = "cpu",
) -> Reference:
    """Prepare a map for images of a small box.

    Parameters
    ----------
    volume : (M, M, M) tensor
    voxel_size : float
        In A.
    box : int
        Of the images, in px.
    pixel_size : float
        Of the images, in A.
    made_of : str
        Where the map is from, in words.
    device : str
        Where its views are made.

    Returns
    -------
    Reference
    """
    fitted, voxel = fit_volume(volume.float(), voxel_size, box, Announced.of(pixel_size))
    return Reference(Projector(fitted.to(device), 2.0, box=box), pixel_size / voxel, made_of)


def reference_for(case: Case, box: int, most: int, device: str = "cpu") -> Reference:
    """Take the map that was given, or make one of the sims of pairs and training set.

    Parameters
    ----------
    case : Case
    box : int
        Small box in px.
    most : int
        Sims that a map is made of, at the most.
    device : str
        Where its views are made.

    Returns
    -------
    Reference

    Raises
    ------
    InputError
        If there is neither a map nor a sim.
    """
    pairs = case.pairs
    if case.volume is not None:
        voxel = case.voxel_size or pairs.pixel_size
        pixel_size = small_pixel(pairs, box)
        return reference_of(case.volume, voxel, box, pixel_size, case.volume_source, device=device)
    if "sim" not in pairs.kinds:
        raise InputError("a reference map is needed", remedy="give one with volume=, or the sims with sim=")
    made = Reconstruction(box)
    sources = [pairs] if case.train is None or "sim" not in case.train.kinds else [pairs, case.train]
    for source in sources:
        rows = source.choose(most - made.count, case.seed)
        particles = source.particles_of("sim")
        lay_in(made, partial(_on_background, source), particles, rows, small_pixel(source, box))
    density = made.density().to(device)
    return Reference(Projector(density, 2.0, box=box), 1.0, f"a map made of {made.count} sims")


def lay_in(
    made: Reconstruction,
    read: Callable[[NDArray[np.int64]], Tensor],
    particles: Particles,
    rows: NDArray[np.int64],
    pixel_size: float,
) -> None:
    """Add images at the poses of their metadata to a map.

    Parameters
    ----------
    made : Reconstruction
        It grows.
    read : callable
        Returns (B, N, N) images for (B,) rows.
    particles : Particles
    rows : (n,) int64
    pixel_size : float
        Of images that are cropped to the box of the map, in A.
    """
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        views = Views.of(particles, part, made.box, pixel_size)
        made.add(centred_spectra(read, part, views), views.transfers, views.rotations)


def small_pixel(source: Stacks, box: int) -> float:
    """Pixel size in A of images that are cropped to a small box."""
    return source.pixel_size * source.box / box


def centred_spectra(
    read: Callable[[NDArray[np.int64]], Tensor],
    rows: NDArray[np.int64],
    views: Views,
    *,
    label: str = "",
    progress: bool = False,
) -> Tensor:
    """Read images, crop them to a small box and centre them.

    Parameters
    ----------
    read : callable
        Returns (B, N, N) images for (B,) rows.
    rows : (n,) int64
        Few enough to be held at once at the small box.
    views : Views
        Of these rows.
    label : str
        Of the progress bar.
    progress : bool
        Show it.

    Returns
    -------
    (n, N', N' // 2 + 1) complex tensor
        Half planes.
    """
    starts = range(0, len(rows), _BATCH)
    bar = progress_bar(starts, label, shown=progress)
    box = views.transfers.shape[-2]
    parts = [fourier_resize(read(rows[start : start + _BATCH]), box) for start in bar]
    return shift(rfft2(torch.cat(parts)), views.move, box)


def whitening(spectra: Tensor) -> Tensor:
    """Return one over the mean power of the ring of each frequency.

    Parameters
    ----------
    spectra : (B, n, n // 2 + 1) complex tensor
        Images, whose power is taken for that of their noise.

    Returns
    -------
    (n, n // 2 + 1) float32 tensor
        Zero at the origin and in the corners.
    """
    box = spectra.shape[-2]
    power = ring_mean(squared(spectra), box).mean(0)
    power = power + _QUIET * power[1:].mean()
    weight = torch.cat([1 / power.clamp_min(1e-20), power.new_zeros(1)])[rings_and_corner(box)]
    weight[0, 0] = 0
    return weight.float()


def _on_background(source: Stacks, rows: NDArray[np.int64]) -> Tensor:
    """Read sims and bring the mean along their border to zero: an offset would fill the map's box."""
    images = source.images("sim", rows)
    border = torch.cat([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], 1)
    return images - border.mean(1)[:, None, None]
