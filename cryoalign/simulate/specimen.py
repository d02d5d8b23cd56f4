"""What is simulated: a map, or atoms."""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
import torch
from scipy.ndimage import center_of_mass, fourier_shift

from cryoalign.errors import InputError, within
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.mrc import read_volume
from cryoalign.io.mrc_volume import SAME, never_set, volume_fingerprint
from cryoalign.io.structure import SUFFIXES, read_structure
from cryoalign.physics.displacement import occupied
from cryoalign.physics.potential import check_fit, origin, place, potential

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.physics.potential import Atoms

_log = logging.getLogger(__name__)

_OWN_HEADER = "leave volume_pixel_size out to take that of the map's header"


@dataclass(frozen=True)
class Volume:
    """A specimen on a grid.

    Attributes
    ----------
    values : (M, M, M) float32 tensor
        Axes [z, y, x], origin at voxel ``M // 2``.
    pixel_size : float
        Voxel size in A.
    volts : bool
        The values are an electrostatic potential in V, not a density of unknown scale.
    from_header : bool
        The voxel size is that of a file's header, and nobody gave another one.
    """

    values: Tensor
    pixel_size: float
    volts: bool
    from_header: bool = False


class Specimen(Protocol):
    """Anything that can be put on a grid."""

    @property
    def file(self) -> Path:
        """What it is read from."""

    @property
    def name(self) -> str:
        """What it is known by in metadata: its file, with a number in front where that holds several."""

    def volume(self, box: int, pixel_size: float) -> Volume:
        """Sample it on a grid that suits images of `box` px at `pixel_size` A or coarser."""

    @property
    def content(self) -> str:
        """Hash of what its file holds, for the identity of its images."""

    def moved_as(self, first: Self) -> Self:
        """Return it moved as the first of several conformations is, whose common part stays in place."""


class DensityMap:
    """A map in an MRC file, of any voxel size.

    Parameters
    ----------
    file : Path or str
        The map; its values stand for the potential up to a factor.
    pixel_size : float, optional
        Voxel size in A, where the header has none or a wrong one.
    volts : float, optional
        Volts of one unit of the map's values. Without it the images have the unit of the map, and neither
        multislice nor a detector can be used.
    recentre : bool
        Move the centre of mass of the positive values to the origin of the box.
    mirror : bool
        Mirror the map along z: the other hand.
    """

    def __init__(
        self,
        file: Path | str,
        *,
        pixel_size: float | None = None,
        volts: float | None = None,
        recentre: bool = False,
        mirror: bool = False,
    ) -> None:
        self.file, self.pixel_size, self.volts = Path(file), pixel_size, volts
        self.recentre, self.mirror = recentre, mirror
        self._move: NDArray[np.float64] | None = None  # z, y, x in A

    @property
    def name(self) -> str:
        """The file."""
        return str(self.file)

    @property
    def content(self) -> str:
        """Hash of the voxels and of the header's voxel size: written anew, the map makes the same images."""
        return volume_fingerprint(self.file)

    def moved_as(self, first: Self) -> Self:
        """Return it recentred by the move that recentres the first one."""
        moved = copy(self)
        moved._move = first._own_move if self.recentre else None
        return moved

    @cached_property
    def _own_move(self) -> NDArray[np.float64]:
        """(3,) z, y, x in A, what recentres it."""
        values, voxel = self._read()
        return voxel * _to_centre(values, self.file)

    def volume(self, box: int, pixel_size: float) -> Volume:  # noqa: ARG002  a map has its grid
        """Read the map.

        Parameters
        ----------
        box : int
            Of the images, in px.
        pixel_size : float
            Of the images, in A.

        Returns
        -------
        Volume
            On the map's grid.

        Raises
        ------
        InputError
            If the file cannot be used or its voxel size is unknown.
        """
        values, voxel = self._read()
        if self.recentre:
            move = _to_centre(values, self.file) if self._move is None else self._move / voxel
            values = _moved(values, move)
        if self.mirror:  # about voxel M // 2, which in an even box is not the middle
            values = np.roll(values[::-1], 1 - len(values) % 2, axis=0)
        tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        return Volume(
            tensor if self.volts is None else self.volts * tensor,
            voxel,
            volts=self.volts is not None,
            from_header=self.pixel_size is None,
        )

    def _read(self) -> tuple[NDArray[np.float32], float]:
        """Return the map as it stands in the file, and its voxel size in A."""
        if self.file.name.lower().removesuffix(".gz").endswith(SUFFIXES):
            raise InputError(
                "this is an atomic model, not a map",
                file=self.file,
                expected="an MRC file",
                remedy=f"specimen=atomic_model specimen.file={self.file}",
            )
        if self.pixel_size is not None:
            within("volume_pixel_size", self.pixel_size, above=0, unit="A", remedy=_OWN_HEADER)
        values, header = read_volume(self.file)
        voxel = header if self.pixel_size is None else self.pixel_size
        if voxel is None or not voxel > 0:
            raise InputError(
                "the header of the volume does not say its voxel size",
                file=self.file,
                expected="a number of A above 0",
                found=voxel,
                remedy="give it as volume_pixel_size=VALUE",
            )
        if self.pixel_size is not None and header is not None and not never_set(header):
            _warn_of_header(self.file, header, voxel)
        return values, voxel


class AtomicModel:
    """Atoms from a PDB or mmCIF file, as their electrostatic potential.

    Parameters
    ----------
    file : Path or str
        ``.pdb`` or ``.cif``, plain or ``.gz``.
    model : int, optional
        Which model of the file, from 1; the first if not given.
    assembly : str or int, optional
        Biological assembly to build; the atoms as deposited if not given.
    hydrogens, waters, ligands : bool
        Keep those that the file holds.
    bfactor : float
        Added to that of every atom, in A^2.
    centre : {"mass", "extent"} or (x, y, z)
        What lies at the origin of the box; see `cryoalign.physics.potential.potential`.
    solvent_potential : float
        Mean potential in V of the solvent that the atoms displace: what is simulated is the difference. 4.5
        for ice of independent atoms, 0 in vacuum.
    """

    def __init__(
        self,
        file: Path | str,
        *,
        model: int | None = None,
        assembly: str | int | None = None,
        hydrogens: bool = True,
        waters: bool = False,
        ligands: bool = True,
        bfactor: float = 0.0,
        centre: Literal["mass", "extent"] | tuple[float, float, float] = "mass",
        solvent_potential: float = 0.0,
    ) -> None:
        if model is not None:
            within("specimen.model", model, 1, whole=True)
        self.file, self.model, self.assembly, self.bfactor = Path(file), model, assembly, bfactor
        self.centre = centre
        self.hydrogens, self.waters, self.ligands = hydrogens, waters, ligands
        self.solvent_potential = solvent_potential

    @property
    def name(self) -> str:
        """The file, or ``NNNNNN@file`` of a model that was asked for."""
        return str(self.file) if self.model is None else f"{self.model:06d}@{self.file}"

    @property
    def content(self) -> str:
        """Hash of the file's bytes."""
        return fingerprint([self.file], whole=True)[str(self.file)]

    def moved_as(self, first: Self) -> Self:
        """Return it with the centre of the first one."""
        moved = copy(self)
        moved.centre = first._origin
        return moved

    @cached_property
    def _origin(self) -> tuple[float, float, float]:
        """What lies at the origin of the box, in the atoms' frame in A."""
        x, y, z = origin(self._atoms(), self.centre).tolist()
        return x, y, z

    def check(self, box: int, pixel_size: float) -> None:
        """Refuse what `volume` refuses, without the time that it takes."""
        check_fit(place(self._atoms(), self.centre), box, pixel_size, self.file)

    def volume(self, box: int, pixel_size: float) -> Volume:
        """Compute the potential on the images' grid.

        Parameters
        ----------
        box : int
            Of the images, in px.
        pixel_size : float
            Of the images, in A.

        Returns
        -------
        Volume
            In V.

        Raises
        ------
        InputError
            If the file cannot be used or the atoms do not fit into the box.
        """
        atoms = self._atoms()
        check_fit(place(atoms, self.centre), box, pixel_size, self.file)
        values = potential(atoms, box, pixel_size, centre=self.centre, bfactor=self.bfactor)
        if self.solvent_potential:
            values -= self.solvent_potential * occupied(atoms, box, pixel_size, centre=self.centre)
        return Volume(values, pixel_size, volts=True)

    def _atoms(self) -> Atoms:
        return read_structure(
            self.file,
            model=self.model or 1,
            assembly=self.assembly,
            hydrogens=self.hydrogens,
            waters=self.waters,
            ligands=self.ligands,
        )


@cache
def _warn_of_header(file: Path, header: float, given: float) -> None:
    """Warn of a voxel size that was set in the header and is another one than was asked for."""
    if abs(header / given - 1) > SAME:
        _log.warning("%s: its header says %g A; %g A are taken, of volume_pixel_size=", file, header, given)


def _to_centre(values: NDArray[np.float32], file: Path) -> NDArray[np.float64]:
    """Return (3,) the move in voxels that brings the centre of mass of the positive values to M // 2."""
    positive = np.clip(values, 0, None)
    if not positive.any():
        raise InputError(
            "the map has no positive values to find its centre by",
            file=file,
            expected="positive density",
            found="none above 0",
            remedy="is its contrast inverted? Multiply it by -1",
        )
    return np.array([len(values) // 2 - place for place in center_of_mass(positive)])


def _moved(values: NDArray[np.float32], offset: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move a map by voxels along z, y and x, by a phase ramp."""
    spectrum = fourier_shift(np.fft.rfftn(values), offset.tolist(), n=values.shape[-1])
    moved: NDArray[np.float32] = np.fft.irfftn(spectrum, s=values.shape, axes=(0, 1, 2)).astype(np.float32)
    return moved
