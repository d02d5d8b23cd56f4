"""Particles from whatever program's metadata: the one entry for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryoalign.errors import InputError, existing
from cryoalign.io.cryosparc.read import read_cryosparc
from cryoalign.io.cryosparc.table import file_format
from cryoalign.io.relion.read import particles_of
from cryoalign.io.relion.read import read_particles as read_relion
from cryoalign.io.relion.rows import find_rows
from cryoalign.io.relion.star_text import parse
from cryoalign.io.units import check_units
from cryoalign.reading import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cryoalign.io.relion.missing_ctf import MissingCtf
    from cryoalign.particles import Particles


def read_particles(
    path: Path | str,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    missing_ctf: MissingCtf = "refuse",
    pixel_size: float | None = None,
) -> Particles:
    """Read particles from RELION's STAR or CryoSPARC's ``.cs`` files, whichever the content is.

    Parameters
    ----------
    path : Path or str
        The metadata file.
    passthrough : Path or str, or sequence of them, optional
        CryoSPARC's passthrough files of the same particles; see `cryoalign.io.cryosparc.read`.
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file without a CTF: refuse it, or take the CTF for 1 everywhere, with a warning. A missing
        amplitude contrast alone is then 0, as in RELION.
    pixel_size : float, optional
        Of the images of a STAR file in A, where its columns are wrong or contradict each other.

    Returns
    -------
    Particles

    Raises
    ------
    InputError
        If a file cannot be used, passthrough files are given with a STAR file, or numbers are in another
        unit.

    Examples
    --------
    >>> read_particles("P1_result_group.csg")
    Traceback (most recent call last):
        ...
    cryoalign.errors.InputError: P1_result_group.csg: this file only describes a result group of CryoSPARC
      expected: the .cs of the particles
      remedy: give the .cs file that it names, and the passthrough .cs with passthrough=
    """
    path, others = Path(path), passthrough_files(passthrough)
    with reading(path):
        if path.suffix == ".csg":
            raise InputError(
                "this file only describes a result group of CryoSPARC",
                file=path,
                expected="the .cs of the particles",
                remedy="give the .cs file that it names, and the passthrough .cs with passthrough=",
            )
        if path.suffix == ".cs" or (path.is_file() and file_format(path) is not None):
            if pixel_size is not None:
                raise InputError(
                    "pixel_size belongs to STAR files",
                    file=path,
                    found=pixel_size,
                    remedy="leave it out: a .cs file says one pixel size",
                )
            particles = read_cryosparc(path, others)
        elif others:
            raise InputError(
                "passthrough files belong to CryoSPARC's .cs files",
                file=path,
                expected="a .cs file, or no passthrough",
                found=", ".join(map(str, others)),
                remedy="leave passthrough out",
            )
        else:
            particles = read_relion(path, missing_ctf, pixel_size)
        check_units(particles)
    return particles


class SomeRows(NamedTuple):
    """Some rows of a large file.

    Attributes
    ----------
    particles : Particles
        By row; `row` points into the whole file.
    empty : (N,) bool
        Of each row of the whole file, whether it is known to show no particle.
    stacks : dict of str to int
        Of sims: the name of each stack of the whole file, and the 1-based row that names it first.
    """

    particles: Particles
    empty: NDArray[np.bool_]
    stacks: dict[str, int]


def read_rows(
    path: Path,
    wanted: Callable[[NDArray[np.bool_]], slice | NDArray[np.int64]],
    missing_ctf: MissingCtf = "refuse",
    pixel_size: float | None = None,
    *,
    of_sims: bool = False,
) -> SomeRows | None:
    """Read some rows of a large STAR file, and those that name the same images, without the others.

    Parameters
    ----------
    path : Path
    wanted, of_sims
        As in `cryoalign.io.relion.rows.find_rows`.
    missing_ctf, pixel_size
        As in `read_particles`.

    Returns
    -------
    SomeRows or None
        None where the whole has to be read: of files that are not plain, and of rows that are refused.
    """
    try:
        if path.suffix in {".cs", ".csg"} or file_format(existing(path, "a STAR file")) is not None:
            return None
        with reading(path):
            found = find_rows(path, wanted, of_sims=of_sims)
            if found is None or not len(found.rows):
                return None
            particles = particles_of(path, parse(path, found.text), missing_ctf, pixel_size)
        particles = replace(particles, row=found.rows + 1)
        check_units(particles)
    except InputError:  # said of the whole file, where rows have their numbers
        return None
    return SomeRows(particles, found.empty, {name: row + 1 for name, row in found.stacks.items()})


def passthrough_files(given: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Return one or several paths, or none, as a list.

    Raises
    ------
    InputError
        If they are something else.
    """
    paths = [given] if isinstance(given, (str, Path)) else [] if given is None else given
    if not isinstance(paths, Sequence) or not all(isinstance(path, (str, Path)) for path in paths):
        raise InputError(
            "passthrough names no files",
            expected="a .cs file, or several: [A.cs,B.cs]",
            found=given,
            remedy="write passthrough=J25_passthrough_particles.cs, or leave it out",
        )
    return [Path(path) for path in paths]
