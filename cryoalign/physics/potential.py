"""The electrostatic potential of atoms, in volts on a cubic grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gemmi
import numpy as np
import torch
from scipy.constants import e, h, m_e, pi

from cryoalign.errors import InputError, within
from cryoalign.physics.fourier import fourier_resize_volume

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

VOLTS_PER_SCATTERING_DENSITY = h**2 / (2 * pi * m_e * e) * 1e20
"""h^2 / (2 pi m e) = 47.878 V A^2: turns a density of electron scattering length (A per A^3) into volts."""

_OVERSAMPLING = 1.5  # of the grid that atoms are drawn on, against the one that is returned
_ALIASING = 1e-4  # what may fold back at the returned grid's Nyquist frequency, relative
_CUTOFF = 1e-6  # density in A^-2 below which an atom's tail is left out


@dataclass(frozen=True)
class Atoms:
    """Atoms, one row each.

    Attributes
    ----------
    positions : (n, 3) float64
        x, y, z in A.
    elements : (n,) str
        Chemical symbols.
    bfactor : (n,) float64
        Isotropic B-factors in A^2.
    occupancy : (n,) float64
        0 to 1.
    """

    positions: NDArray[np.float64]
    elements: NDArray[np.str_]
    bfactor: NDArray[np.float64]
    occupancy: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.positions)


def potential(
    atoms: Atoms,
    box: int,
    pixel_size: float,
    *,
    centre: str | Sequence[float] = "mass",
    bfactor: float = 0.0,
) -> Tensor:
    r"""Compute the electrostatic potential of independent atoms.

    .. math::
        V(r) = \frac{h^2}{2\pi m e} \sum_j o_j \sum_i a_i
            \left(\frac{4\pi}{b_i + B_j}\right)^{3/2} \exp\!\left(-\frac{4\pi^2 |r - r_j|^2}{b_i + B_j}\right)

    with a_i, b_i the five Gaussians of table 4.3.2.2 of the International Tables for Crystallography C (Peng
    et al. 1996, doi:10.1107/S0108767395014371) for neutral atoms, as gemmi holds them, occupancies o_j and
    B-factors B_j: no bonds, no charges.

    Atoms are sharper than any grid of particle images. They are therefore drawn on a grid 1.5 times as fine,
    blurred by a B-factor that leaves nothing to fold back; the blur is undone and the resolution cut at the
    Nyquist frequency of the grid asked for in Fourier space. The result is the potential with all that lies
    beyond this frequency removed, so it rings about single atoms as every band-limited map does.

    Parameters
    ----------
    atoms : Atoms
    box : int
        Size N of the grid in voxels.
    pixel_size : float
        Voxel size in A.
    centre : {"mass", "extent"} or (x, y, z)
        What comes to lie at the origin, voxel ``N // 2``: the centre of mass, the middle of the smallest
        upright box round the atoms, or a point in the atoms' coordinates in A.
    bfactor : float
        Added to that of every atom, in A^2. Zero or more.

    Returns
    -------
    (N, N, N) float32 tensor
        In V, axes [z, y, x].

    Raises
    ------
    InputError
        There are no atoms, atoms lie outside the grid, an element has no scattering factor, or `centre` or
        `bfactor` is not one of those above.
    """
    if not len(atoms):
        raise InputError(
            "there are no atoms to make a potential of",
            expected="at least one",
            remedy="give a model that holds atoms",
        )
    within("the additional B-factor", bfactor, 0, 1e4, unit="A^2")
    placed = place(atoms, centre)
    check_fit(placed, box, pixel_size)

    fine = 2 * math.ceil(_OVERSAMPLING * box / 2)
    step = pixel_size * box / fine
    blur = _blur(step, pixel_size)
    drawn = _draw(atoms, placed, fine, step, bfactor + blur)
    coarse = fourier_resize_volume(torch.from_numpy(drawn), box)
    return VOLTS_PER_SCATTERING_DENSITY * _sharpen(coarse, pixel_size, blur)


def place(atoms: Atoms, centre: str | Sequence[float] | None) -> NDArray[np.float64]:
    """Return the atoms' coordinates in the frame of a map.

    Parameters
    ----------
    atoms : Atoms
    centre : {"mass", "extent"} or (x, y, z)
        As in `potential`.

    Returns
    -------
    (n, 3) float64
        x, y, z in A relative to the map's origin.

    Raises
    ------
    InputError
        If `centre` is none of those.
    """
    placed: NDArray[np.float64] = atoms.positions - origin(atoms, centre)
    return placed


def origin(atoms: Atoms, centre: str | Sequence[float] | None) -> NDArray[np.float64]:
    """Return the point that `place` brings to the map's origin: (3,) x, y, z in A, in the atoms' frame."""
    if centre == "mass":
        weight = atoms.occupancy * [gemmi.Element(name).weight for name in atoms.elements]
        centred = np.average(atoms.positions, axis=0, weights=weight)
    elif centre == "extent":
        centred = (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    elif centre is None or isinstance(centre, str) or len(centre) != 3:
        raise InputError(
            "the centre of the atoms is not understood",
            expected="mass, extent or x, y, z in A",
            found=centre,
            remedy="leave it out for the centre of mass",
        )
    else:
        centred = np.asarray(centre, dtype=np.float64)
    return centred


def check_fit(placed: NDArray[np.float64], box: int, pixel_size: float, file: Path | None = None) -> None:
    """Refuse atoms, in the frame of a map, that lie outside its box."""
    low, high = -(box // 2) * pixel_size, (box - 1 - box // 2) * pixel_size
    outside = ((placed < low) | (placed > high)).any(axis=1)
    if outside.any():
        needed = 2 * (math.ceil(np.abs(placed).max() / pixel_size) + 1)
        raise InputError(
            f"{np.count_nonzero(outside):,} of {len(placed):,} atoms lie outside the box",
            file=file,
            expected=f"all atoms within {low:.1f} to {high:.1f} A of its centre",
            found=f"atoms up to {np.abs(placed).max():.1f} A from it",
            remedy=f"use a box of at least {needed} px at {pixel_size:g} A, or another centre",
        )


def _blur(step: float, pixel_size: float) -> float:
    """Find the B-factor in A^2 after which little of an atom folds back below the Nyquist frequency.

    What is seen at k there came from 1/step - k; blurred and sharpened again, it is weaker than what belongs
    there by exp(-B/4 ((1/step - k)^2 - k^2)) at least.
    """
    nyquist = 1 / (2 * pixel_size)
    return 4 * math.log(1 / _ALIASING) / ((1 / step - nyquist) ** 2 - nyquist**2)


def _draw(
    atoms: Atoms, placed: NDArray[np.float64], box: int, step: float, bfactor: float
) -> NDArray[np.float32]:
    """Sum the atoms' Gaussians on a periodic grid of [z, y, x] with its origin at voxel ``box // 2``."""
    calculator = gemmi.DensityCalculatorE()
    calculator.cutoff = _CUTOFF
    calculator.grid.set_unit_cell(gemmi.UnitCell(box * step, box * step, box * step, 90, 90, 90))
    calculator.grid.set_size(box, box, box)
    known = {name: gemmi.Element(name) for name in np.unique(atoms.elements)}
    unknown = [name for name, element in known.items() if not element.atomic_number or element.c4322 is None]
    if unknown:
        raise InputError(
            "there is no electron scattering factor for an element",
            expected="one of H to Cf",
            found=", ".join(unknown),
            remedy="correct the element, or remove its atoms",
        )
    atom = gemmi.Atom()
    corner = placed + (box // 2) * step
    rows = zip(atoms.elements, corner, atoms.bfactor + bfactor, atoms.occupancy, strict=True)
    for name, (x, y, z), spread, occupancy in rows:
        atom.element, atom.pos = known[name], gemmi.Position(x, y, z)
        atom.b_iso, atom.occ = spread, occupancy
        calculator.add_atom_density_to_grid(atom)
    return np.ascontiguousarray(calculator.grid.array.T)  # gemmi's axes are [x, y, z]


def _sharpen(volume: Tensor, pixel_size: float, bfactor: float) -> Tensor:
    """Undo a blur of exp(-B k^2 / 4), inside the sphere of the Nyquist frequency; nothing is kept outside."""
    box = volume.shape[-1]
    full = torch.fft.fftfreq(box, pixel_size).square()
    half = torch.fft.rfftfreq(box, pixel_size).square()
    k2 = full[:, None, None] + full[:, None] + half
    factor = torch.exp(bfactor / 4 * k2).masked_fill_(k2 > (1 / (2 * pixel_size)) ** 2 * (1 + 1e-6), 0)
    sharpened: Tensor = torch.fft.irfftn(torch.fft.rfftn(volume).mul_(factor), s=volume.shape)
    return sharpened
