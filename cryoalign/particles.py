"""The vocabulary: a table of particles, one row each, and the optics groups they belong to.

Units are RELION's: angles in degrees, shifts, defocus and pixel sizes in angstrom (A), voltage in kilovolt,
spherical aberration in millimetre. No pixels live here and nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Optics:
    """One optics group: what all its particles share.

    Attributes
    ----------
    group : int
        ``rlnOpticsGroup``, as written in the file.
    name : str
        ``rlnOpticsGroupName``.
    pixel_size : float
        Pixel size of the particle images in A.
    voltage : float
        Acceleration voltage in kV.
    spherical_aberration : float
        Spherical aberration in mm.
    amplitude_contrast : float
        Fraction, 0 to 1.
    box_size : int or None
        Image size in px, where the metadata say it.
    premultiplied : bool
        The images were already multiplied by their CTF (``rlnCtfDataAreCtfPremultiplied``).
    beam_tilt : tuple of float
        Beam tilt along x and y in mrad (``rlnBeamTiltX``, ``rlnBeamTiltY``).
    odd_zernike, even_zernike : tuple of float
        Coefficients in rad of the antisymmetric and symmetric aberrations (``rlnOddZernike``,
        ``rlnEvenZernike``), in RELION's order.
    magnification : tuple of float
        Magnification matrix ``rlnMagMat00``, ``01``, ``10``, ``11``.
    micrograph_pixel_size : float or None
        Pixel size in A of the micrographs that coordinates count, where the metadata say one.
    unmodelled : tuple of str
        Names of the columns that are set to something and that the simulator does not model.
    """

    group: int
    name: str
    pixel_size: float
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    box_size: int | None = None
    premultiplied: bool = False
    beam_tilt: tuple[float, float] = (0.0, 0.0)
    odd_zernike: tuple[float, ...] = ()
    even_zernike: tuple[float, ...] = ()
    magnification: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    micrograph_pixel_size: float | None = None
    unmodelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Particles:
    """One row a particle: where its image lies, its pose, its CTF, its micrograph.

    Attributes
    ----------
    source : Path
        The metadata file.
    optics : tuple of Optics
        The optics groups.
    row : (N,) int64
        1-based row in `source`.
    optics_index : (N,) int64
        Index into `optics`.
    stack : (N,) str
        Name of the image stack as the metadata write it.
    slot : (N,) int64
        0-based number of the image within its stack.
    micrograph : (N,) str
        Micrograph name, empty where the metadata have none.
    angles : (N, 3) float64
        Euler angles rot, tilt, psi in degrees (RELION's intrinsic ZYZ).
    shift : (N, 2) float64
        ``rlnOriginXAngst``, ``rlnOriginYAngst`` in A: what has to be added to the image's content to centre
        it.
    defocus : (N, 3) float64
        Defocus U and V in A (underfocus positive), azimuth of U in degrees from x towards y.
    phase_shift : (N,) float64
        Phase plate shift in degrees.
    ctf_bfactor : (N,) float64
        B-factor of the CTF in A^2 (``rlnCtfBfactor``).
    ctf_scale : (N,) float64
        Scale of the CTF (``rlnCtfScalefactor``).
    half : (N,) int64
        Random half-set 1 or 2 (``rlnRandomSubset``), 0 where there is none.
    sign : (N,) float64
        What the stack's grey values are multiplied by on reading to show white protein, 1 or -1 (minus
        CryoSPARC's ``blob/sign``); 1 where the metadata say nothing.
    table : pandas.DataFrame
        Every per-particle column of `source`, as it was read, for splitting by any of them and for writing
        them back.

    Examples
    --------
    >>> from pathlib import Path
    >>> optics = Optics(1, "krios", 1.2, 300.0, 2.7, 0.1)
    >>> angles = [[0.0, 0.0, 0.0], [0.0, 90.0, 0.0]]
    >>> particles = Particles.make(Path("run_data.star"), [optics], 2, angles=np.array(angles))
    >>> len(particles), particles.optics[0].pixel_size
    (2, 1.2)
    >>> list(map(str, particles.take([1]).image_name))
    ['000002@raw.mrcs']
    """

    source: Path
    optics: tuple[Optics, ...]
    row: NDArray[np.int64]
    optics_index: NDArray[np.int64]
    stack: NDArray[np.str_]
    slot: NDArray[np.int64]
    micrograph: NDArray[np.str_]
    angles: NDArray[np.float64]
    shift: NDArray[np.float64]
    defocus: NDArray[np.float64]
    phase_shift: NDArray[np.float64]
    ctf_bfactor: NDArray[np.float64]
    ctf_scale: NDArray[np.float64]
    half: NDArray[np.int64]
    sign: NDArray[np.float64]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.row)

    def __post_init__(self) -> None:
        wrong = [
            f.name
            for f in fields(self)
            if f.name not in {"source", "optics"} and len(getattr(self, f.name)) != len(self)
        ]
        if wrong:
            raise ValueError(f"columns of different length: {', '.join(wrong)}")

    @classmethod
    def make(
        cls, source: Path, optics: Sequence[Optics], count: int, **columns: ArrayLike | pd.DataFrame
    ) -> Particles:
        """Build a table whose columns are neutral where they are not given.

        Parameters
        ----------
        source : Path
            The metadata file.
        optics : sequence of Optics
            The optics groups; the first one is everyone's unless `columns` say otherwise.
        count : int
            Number N of rows.
        **columns
            Any of the attributes, by name. By default particle i is image i of the stack ``raw.mrcs``,
            unrotated, centred and in focus, of no micrograph and no half-set.

        Returns
        -------
        Particles
        """
        whole, zeros = np.arange(count), np.zeros(count)
        neutral: dict[str, Any] = {
            "row": whole + 1, "optics_index": np.zeros(count, dtype=np.int64), "slot": whole,
            "stack": np.full(count, "raw.mrcs"), "micrograph": np.full(count, ""),
            "angles": np.zeros((count, 3)), "shift": np.zeros((count, 2)), "defocus": np.zeros((count, 3)),
            "phase_shift": zeros, "ctf_bfactor": zeros, "ctf_scale": np.ones(count),
            "half": np.zeros(count, dtype=np.int64), "sign": np.ones(count),
            "table": pd.DataFrame(index=range(count)),
        }  # fmt: skip
        return cls(source=source, optics=tuple(optics), **(neutral | columns))

    def take(self, rows: ArrayLike) -> Particles:
        """Select and order rows.

        Parameters
        ----------
        rows : array_like of int
            0-based indices into this table.

        Returns
        -------
        Particles
            A new table; `row` still points into `source`.
        """
        index = np.asarray(rows, dtype=np.int64)
        columns: dict[str, Any] = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in {"source", "optics", "table"}
        }
        return replace(self, table=self.table.iloc[index].reset_index(drop=True), **columns)

    def optics_column(self, name: str) -> NDArray[np.float64]:
        """Return for each particle the value of its optics group.

        Parameters
        ----------
        name : str
            A numeric attribute of `Optics`: ``pixel_size``, ``voltage``, ``premultiplied``, ...

        Returns
        -------
        (N,) float64
        """
        return np.array([getattr(group, name) for group in self.optics], dtype=np.float64)[self.optics_index]

    @cached_property
    def mean_defocus(self) -> NDArray[np.float64]:
        """(N,) mean of defocus U and V in A."""
        mean: NDArray[np.float64] = self.defocus[:, :2].mean(axis=1)
        return mean

    @property
    def image_name(self) -> NDArray[np.str_]:
        """(N,) names in RELION's form ``NNNNNN@stack``, 1-based."""
        names = [f"{slot + 1:06d}@{stack}" for slot, stack in zip(self.slot, self.stack, strict=True)]
        return np.array(names, dtype=np.str_)
