"""Atomic models in PDB and mmCIF files, plain or compressed with gzip."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import gemmi
import numpy as np

from cryoalign.errors import InputError, existing
from cryoalign.io.packed import unpacked_bytes
from cryoalign.physics.potential import Atoms
from cryoalign.reading import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
"""Endings of the files that are read; each may be followed by ``.gz``."""

_LARGEST_BFACTOR = 1e4  # A^2: a Gaussian of 20 A
_LARGEST_OCCUPANCY = 10.0
_FARTHEST = 1e6  # A
_LARGEST = 2**31  # bytes; of some 20 million atoms


def read_structure(
    path: Path | str,
    *,
    model: int = 1,
    assembly: str | int | None = None,
    hydrogens: bool = True,
    waters: bool = False,
    ligands: bool = True,
) -> Atoms:
    """Read one model of an atomic structure.

    All alternate locations are kept: their occupancies share out the atom. Atoms of occupancy zero are left
    out, and those of an unknown element (X) with a warning.

    Parameters
    ----------
    path : Path or str
        A ``.pdb``, ``.ent``, ``.cif`` or ``.mmcif`` file, plain or ``.gz``.
    model : int
        Its place among the models of the file, from 1.
    assembly : str or int, optional
        Name of the biological assembly to build, "1" in most files; the atoms as deposited if not given.
    hydrogens : bool
        Keep the hydrogens that the file holds. None are added.
    waters : bool
        Keep water molecules.
    ligands : bool
        Keep what is neither polymer nor water: ions, cofactors, sugars.

    Returns
    -------
    Atoms
        In the file's coordinates.

    Raises
    ------
    InputError
        If the file is missing, is not a structure, lacks the model or the assembly, most of its atoms are of
        unknown element, or no atoms are left.
    """
    path = Path(path)
    with reading(path):
        structure = _parse(path)
        if not 1 <= model <= len(structure):
            raise InputError(
                f"there is no model {model}",
                file=path,
                expected=f"1 to {len(structure)}",
                found=f"{len(structure)} models",
                remedy="give one of these numbers",
            )
        for place in reversed(range(len(structure))):
            if place != model - 1:
                del structure[place]
        structure.setup_entities()
        if assembly is not None:
            _assemble(structure, str(assembly), path)
        atoms = [
            atom
            for chain in structure[0]
            for residue in chain
            if _wanted(residue, waters=waters, ligands=ligands)
            for atom in residue
            if hydrogens or not atom.is_hydrogen()
        ]
        atoms = _known_atoms(path, _present(path, atoms))
        positions = np.array([atom.pos.tolist() for atom in atoms], dtype=np.float64)
        _check_positions(path, atoms, positions)
        _check_bfactors(path, atoms)
        return Atoms(
            positions=positions,
            elements=np.array([atom.element.name for atom in atoms]),
            bfactor=np.array([atom.b_iso for atom in atoms], dtype=np.float64),
            occupancy=np.array([atom.occ for atom in atoms], dtype=np.float64),
        )


def model_count(path: Path | str) -> int:
    """Return how many models a file holds.

    Raises
    ------
    InputError
        If the file is missing or is not a structure.
    """
    path = Path(path)
    with reading(path):
        return len(_parse(path))


def _present(path: Path, atoms: list[gemmi.Atom]) -> list[gemmi.Atom]:
    """Leave out atoms of occupancy zero; refuse a model of them alone, or an impossible occupancy."""
    wrong = next((atom for atom in atoms if not 0 <= atom.occ <= _LARGEST_OCCUPANCY), None)
    if wrong is not None:
        raise InputError(
            "the occupancy of an atom is not possible",
            file=path,
            expected="0 to 1",
            found=f"{wrong.occ:g} of atom {wrong.serial}",
            remedy="correct it in the file; 1 is an atom that is always there",
        )
    present = [atom for atom in atoms if atom.occ > 0]
    if atoms and not present:
        raise InputError(
            f"all {len(atoms)} atoms have occupancy 0, as programs for molecular dynamics write it",
            file=path,
            expected="occupancies above 0, in columns 55 to 60 of a PDB file",
            remedy="set them to 1",
        )
    return present


def _check_bfactors(path: Path, atoms: list[gemmi.Atom]) -> None:
    """Refuse what spreads an atom over everything, and would be drawn for ever."""
    wrong = [atom for atom in atoms if not 0 <= atom.b_iso <= _LARGEST_BFACTOR]
    if wrong:
        raise InputError(
            f"the B-factors of {len(wrong)} of {len(atoms)} atoms are not possible",
            file=path,
            expected=f"0 to {_LARGEST_BFACTOR:,.0f} A^2",
            found=f"{wrong[0].b_iso:g} of atom {wrong[0].serial}",
            remedy="correct them, or set them to 0 and give one of all atoms with specimen.bfactor=",
        )


def _known_atoms(path: Path, atoms: list[gemmi.Atom]) -> list[gemmi.Atom]:
    """Leave out atoms of unknown element; refuse a model without atoms, or of which most are unknown."""
    if not atoms:
        raise InputError(
            "no atoms are left",
            file=path,
            remedy="keep waters, ligands or hydrogens if they are what is meant",
        )
    unknown = [atom for atom in atoms if not atom.element.atomic_number]
    if 2 * len(unknown) > len(atoms):
        raise InputError(
            f"{len(unknown)} of {len(atoms)} atoms have no known element",
            file=path,
            expected="a chemical symbol, in columns 77 and 78 of a PDB file",
            found=f"atom {unknown[0].name}, serial number {unknown[0].serial}",
            remedy="write the file again with a program that fills them in",
        )
    if unknown:
        _log.warning(
            "%s: %d of %d atoms have no known element and are left out, the first is %s, serial number %d",
            path, len(unknown), len(atoms), unknown[0].name, unknown[0].serial,
        )  # fmt: skip
    return [atom for atom in atoms if atom.element.atomic_number]


def _check_positions(path: Path, atoms: list[gemmi.Atom], positions: NDArray[np.float64]) -> None:
    """Refuse atoms of no place."""
    lost = np.flatnonzero(~(np.abs(positions) < _FARTHEST).all(axis=1))
    if len(lost):
        raise InputError(
            f"{len(lost)} of {len(atoms)} atoms have no possible place",
            file=path,
            expected=f"coordinates within {_FARTHEST:,.0f} A of 0",
            found=f"{positions[lost[0]]} of atom {atoms[lost[0]].serial}",
            remedy="correct the coordinates, or remove these atoms",
        )


def _parse(path: Path) -> gemmi.Structure:
    existing(path, "an atomic model")
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith(SUFFIXES):
        raise InputError(
            "the ending is not that of an atomic model",
            file=path,
            expected=f"{', '.join(SUFFIXES)}, each also with .gz",
            found=path.name,
            remedy="give it the ending of what it holds",
        )
    kind = gemmi.CoorFormat.Pdb if name.endswith((".pdb", ".ent")) else gemmi.CoorFormat.Mmcif
    try:
        content = unpacked_bytes(path, most=_LARGEST)
        structure = gemmi.read_structure_string(content, format=kind)
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise InputError(
            "this is not an atomic model",
            file=path,
            expected="a PDB or mmCIF file",
            found=str(error),
            remedy="download or write it again",
        ) from error
    if not len(structure) or not structure[0].count_atom_sites():
        raise InputError(
            "the file holds no atoms",
            file=path,
            expected="a PDB or mmCIF file with a model",
            remedy="download or write it again",
        )
    if kind == gemmi.CoorFormat.Pdb:
        _check_coordinates(path, content)
    return structure


def _check_coordinates(path: Path, content: bytes) -> None:
    """Refuse coordinates that are no numbers, which gemmi takes for zero."""
    lines = content.splitlines()
    atoms = [number for number, line in enumerate(lines) if line.startswith((b"ATOM", b"HETATM"))]
    try:
        cells = np.frombuffer(b"".join(lines[number][30:54].ljust(24) for number in atoms), dtype="S8")
        if np.isfinite(cells.astype(np.float64)).all():
            return  # at once, as a trajectory has millions
    except ValueError:
        pass
    for number, line in ((number + 1, lines[number]) for number in atoms):
        for start in (30, 38, 46):
            try:
                fine = math.isfinite(float(line[start : start + 8]))
            except ValueError:
                fine = False
            if not fine:
                raise InputError(
                    "a coordinate of an atom is not a finite number",
                    file=path,
                    row=number,
                    expected="numbers in columns 31 to 54",
                    found=line[30:54].decode("latin-1").rstrip(),
                    remedy="correct the line, or write the file again as mmCIF, whose columns have no width",
                )


def _assemble(structure: gemmi.Structure, name: str, path: Path) -> None:
    names = [item.name for item in structure.assemblies]
    if name not in names:
        raise InputError(
            f"there is no biological assembly {name}",
            file=path,
            expected=f"one of {', '.join(names)}" if names else "a file that defines assemblies",
            remedy="name one of those, or none to take the atoms as deposited",
        )
    try:
        structure.transform_to_assembly(name, gemmi.HowToNameCopiedChain.AddNumber)
    except RuntimeError as error:
        raise InputError(
            f"biological assembly {name} cannot be built",
            file=path,
            found=str(error),
            remedy="take the atoms as deposited",
        ) from error


def _wanted(residue: gemmi.Residue, *, waters: bool, ligands: bool) -> bool:
    if residue.is_water():
        return waters
    return ligands or residue.entity_type == gemmi.EntityType.Polymer
