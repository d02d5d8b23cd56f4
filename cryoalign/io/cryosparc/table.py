"""CryoSPARC's ``.cs`` files as tables: columns by name, joined over several files by uid.

A ``.cs`` file is NumPy's format with a structured array in it, or CryoSPARC's own CSDAT format, which the
package cryosparc-tools reads. Nothing is unpickled. CryoSPARC spreads what it knows of a particle over the
file of a job and its *passthrough* files, whose rows have the same uids in any order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError, existing
from cryoalign.reading import first_line, reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

UID = "uid"
"""Column of the 64-bit number by which CryoSPARC knows a particle in all its files."""

MAGIC = {b"\x93NUMPY": "numpy", b"\x94CSDAT": "csdat", b"\x95CSDAT": "csdat"}
"""First bytes of the formats; CSDAT came in two versions."""

_LARGEST_HEADER = 1 << 20  # NumPy stops at 10 kB by itself, and a file of many columns has more

VECTOR = re.compile(r"(.+)\[(\d+(?:,\d+)*)\]")
"""Name of one value of a column with several, in a table of plain columns."""


def vector_name(name: str, place: tuple[int, ...]) -> str:
    """Return the name of a value of a column: ``ctf/tilt_A[1]``, or of a column with one alone."""
    return f"{name}[{','.join(map(str, place))}]" if place else name


class CsTable:
    """Columns of particles, each knowing the file and the row that a value came from.

    Parameters
    ----------
    path : Path
        The job's file.
    passthrough : sequence of Path
        Files whose columns are joined to it by uid. A column that is there already is not replaced, and
        their further rows are left out.

    Raises
    ------
    InputError
        If a file cannot be read, has no uids, or has one twice, or if a particle is missing in a
        passthrough file.
    """

    def __init__(self, path: Path, passthrough: Sequence[Path] = ()) -> None:
        self.path = path
        main = read_array(path)
        self.uid = _uids(path, main)
        self._columns: dict[str, NDArray[Any]] = {}
        self._origin: dict[str, tuple[Path, NDArray[np.int64]]] = {}
        self._add(path, main, np.arange(len(main)))
        _refuse_twice(path, self.uid, np.arange(len(main)))
        for other in passthrough:
            with reading(other):
                more = read_array(other)
                self._add(other, more, self._find(other, _uids(other, more)))

    def __len__(self) -> int:
        return len(self.uid)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self._columns)

    def place(self, name: str, row: int) -> tuple[Path, int]:
        """Return the file and the 1-based row there from which a value came."""
        path, rows = self._origin[name]
        return path, int(rows[row]) + 1

    def _add(self, path: Path, data: NDArray[Any], rows: NDArray[np.int64]) -> None:
        for name in data.dtype.names or ():
            if name not in self._columns:
                values = data[name][rows]
                self._columns[name] = values.astype(values.dtype.newbyteorder("="))  # pandas wants it so
                self._origin[name] = path, rows

    def _find(self, path: Path, uids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return for each particle its row in a passthrough file."""
        order = np.argsort(uids, kind="stable").astype(np.int64)
        place = np.searchsorted(uids[order], self.uid).clip(max=len(uids) - 1)
        rows: NDArray[np.int64] = order[place]
        missing = np.flatnonzero(uids[rows] != self.uid)
        if len(missing):
            raise InputError(
                f"a particle is not in the passthrough file {path} ({len(missing)} of {len(self)} rows)",
                file=self.path,
                row=int(missing[0]) + 1,
                expected=f"a row of that file with uid {self.uid[missing[0]]}",
                found="none",
                remedy="give the passthrough file of the same job and the same output group",
            )
        _refuse_twice(path, uids, np.sort(np.flatnonzero(np.isin(uids, self.uid))))
        return rows


def from_cryosparc(particles: Particles) -> bool:
    """Return whether particles carry CryoSPARC's uids."""
    return UID in particles.table


def read_array(path: Path) -> NDArray[Any]:
    """Read a ``.cs`` file of either format.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    (N,) structured array
        Strings are bytes, numbers as in the file.

    Raises
    ------
    InputError
        If the file is missing, of neither format, truncated, holds no table or no rows, holds Python objects,
        or is of the CSDAT format and cryosparc-tools is not installed.
    """
    kind = file_format(path)
    if kind is None:
        raise InputError(
            "this is not a CryoSPARC .cs file",
            file=path,
            expected="a file that starts like NumPy's format or like CSDAT",
            found="something else",
            remedy="copy it again from the job's folder",
        )
    array = _read_numpy(path) if kind == "numpy" else _read_csdat(path)
    if array.dtype.names is None or array.ndim != 1:
        raise InputError(
            "this file holds no table",
            file=path,
            expected="a structured array with one row for each particle",
            found=f"an array of shape {array.shape} and type {array.dtype}",
            remedy="give the particles .cs of a job, e.g. J24/cryosparc_P12_J24_001_particles.cs",
        )
    if len(array) == 0:
        raise InputError(
            "the table of particles has no rows",
            file=path,
            expected="at least one particle",
            found="none",
            remedy="give the particles of a job that has some",
        )
    return array


def file_format(path: Path) -> str | None:
    """Determine the format of a file by its first bytes.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    str or None
        ``numpy``, ``csdat``, or None where it is no ``.cs`` file.

    Raises
    ------
    InputError
        If there is no such file or it cannot be read.
    """
    existing(path, "a CryoSPARC .cs file")
    try:
        with path.open("rb") as file:
            return MAGIC.get(file.read(6))
    except OSError as error:
        raise InputError(
            "the file cannot be read",
            file=path,
            expected="a CryoSPARC .cs file",
            found=error.strerror,
            remedy="look at its permissions and its disk, or copy it",
        ) from error


def _read_numpy(path: Path) -> NDArray[Any]:
    try:
        loaded: NDArray[Any] = np.load(path, allow_pickle=False, max_header_size=_LARGEST_HEADER)
    except Exception as error:  # whatever its reader says, the file is at fault
        raise InputError(
            "this .cs file cannot be read",
            file=path,
            expected="NumPy's format, whole and without Python objects",
            found=first_line(error),
            remedy="copy it again from the job's folder; is it cut off?",
        ) from error
    return loaded


def _read_csdat(path: Path) -> NDArray[Any]:
    try:
        from cryosparc.dataset import Dataset  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise InputError(
            "this .cs file is in CryoSPARC's CSDAT format, which needs the package cryosparc-tools",
            file=path,
            expected="NumPy's format, or cryosparc-tools installed",
            found=error,
            remedy="pip install 'cryoalign[cryosparc]', or convert the file where cryosparc-tools is there: "
            "Dataset.load('FILE.cs').save('NEW.cs')",
        ) from error
    try:
        records: NDArray[Any] = Dataset.load(str(path)).to_records(fixed=True)
    except Exception as error:  # whatever its reader says, the file is at fault
        raise InputError(
            "this CSDAT file cannot be read",
            file=path,
            found=error.__cause__ or error,
            remedy="copy it again; a file of an old CryoSPARC needs the cryosparc-tools of that version",
        ) from error
    return records.view(np.ndarray)


def _uids(path: Path, array: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the uids, exactly: a 64-bit number does not survive as a float."""
    names = array.dtype.names or ()
    if UID not in names or array.dtype[UID].kind not in "ui" or array.dtype[UID].shape:
        raise InputError(
            "the particles have no uids",
            file=path,
            expected=f"a column {UID} of whole numbers",
            found=f"type {array.dtype[UID]}" if UID in names else ", ".join(names),
            remedy="give the particles .cs that CryoSPARC wrote",
        )
    uids: NDArray[np.uint64] = array[UID].astype(np.uint64)
    return uids


def _refuse_twice(path: Path, uids: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
    """Refuse a uid that stands in two of the rows."""
    _, first = np.unique(uids[rows], return_index=True)
    if len(first) < len(rows):
        row = int(np.delete(rows, first)[0])
        raise InputError(
            "two rows have the same uid, so that particles cannot be told",
            file=path,
            row=row + 1,
            expected="a uid of its own for each row",
            found=f"uid {uids[row]}, as in row {int(rows[uids[rows] == uids[row]][0]) + 1}",
            remedy="remove the duplicates in CryoSPARC (Remove Duplicate Particles)",
        )
