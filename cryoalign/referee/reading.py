"""From metadata files to what is judged: fakes, raw, sim and what else there is, matched row for row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.normalize import Normalization
from cryoalign.data.pairs import match_pairs, refuse_swapped
from cryoalign.data.split import group_names
from cryoalign.data.stack import SAME_PIXEL_SIZE, ParticleImages
from cryoalign.errors import InputError
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.relion_read import MICROGRAPH
from cryoalign.referee.stacks import NORMALIZE, Probe, Stacks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.referee.stacks import Normalize

_FIT_IMAGES = 1000


@dataclass(frozen=True)
class Reader:
    """How stacks are read, matched and grouped.

    Attributes
    ----------
    root : Path or None
        Folder that the stack names of raw are relative to.
    passthrough : str, Path, sequence of them, or None
        CryoSPARC's passthrough files of raw.
    box : int or None
        Fourier-crop every image to this box in px.
    by : str
        Column whose values name the groups; see `cryoalign.data.split.group_names`.
    pattern : str or None
        Regular expression on that column.
    normalize : {"raw", "both", "none"}
        See `cryoalign.referee.stacks.Stacks`.
    radius : float
        Of the particle's circle, as a fraction of half the box.
    bins : int
        Defocus bins at the most.
    seed : int
    tolerances : mapping
        Of `cryoalign.data.pairs.match_pairs`.
    groups : (N,) str, optional
        The group of every row of raw, in place of `by` and `pattern`.
    """

    root: Path | None = None
    passthrough: str | Path | Sequence[str | Path] | None = None
    box: int | None = None
    by: str = MICROGRAPH
    pattern: str | None = None
    normalize: Normalize = "raw"
    radius: float = 0.9
    bins: int = 4
    seed: int = 0
    tolerances: Mapping[str, float] = field(default_factory=dict)
    groups: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if self.normalize not in NORMALIZE:
            raise InputError(
                "unknown choice for normalize", expected=", ".join(NORMALIZE), found=self.normalize
            )
        if self.bins < 1:
            raise InputError("there has to be a defocus bin", expected="bins of 1 or more", found=self.bins)

    def pairs(self, raw: Path | str, **others: Path | str | None) -> Stacks:
        """Read and match stacks.

        Parameters
        ----------
        raw : Path or str
            Metadata of the measured particles.
        **others : Path or str or None
            Metadata of ``sim`` and of any of ``fake``, ``truth`` and ``again``. The first that is given
            decides which particles are looked at, and in which order.

        Returns
        -------
        Stacks

        Raises
        ------
        InputError
            If a file cannot be used, or the rows cannot be matched.
        """
        measured = read_particles(raw, self.passthrough)
        tables: dict[str, Particles] = {}
        rows: NDArray[np.int64] | None = None
        for kind, path in others.items():
            if path is None:
                continue
            table = read_particles(path)
            refuse_swapped(table, measured)
            table, of_raw = match_pairs(table, measured, **self.tolerances)
            place = np.searchsorted(measured.row, of_raw.row)
            if rows is None:
                rows = place
            tables[kind] = table.take(_in_order(place, rows, table))
        if rows is None:
            raise ValueError("there is nothing beside raw")
        measured, names = measured.take(rows), None if self.groups is None else self.groups[rows]
        stacks = {kind: self._images(table) for kind, table in tables.items()}
        stacks["raw"] = self._images(measured, root=self.root)
        _check_pixels(stacks)
        maps = {"raw": Normalization(radius=self.radius)}
        maps |= {kind: self._fit(stacks[kind]) for kind in ("sim", "truth") if kind in stacks}
        return Stacks(
            measured,
            stacks,
            maps,
            self._groups(measured) if names is None else _numbered(names),
            self.normalize,
            seed=self.seed,
            most_bins=self.bins,
        )

    def probe(self, path: Path | str, like: Stacks) -> Probe:
        """Read images without measured counterparts.

        Raises
        ------
        InputError
            If they are of another box or pixel size than `like`.
        """
        stack = self._images(read_particles(path))
        _check_pixels({"raw": like.stacks["raw"], "these": stack})
        return Probe(stack)

    def _images(self, table: Particles, root: Path | None = None) -> ParticleImages:
        return ParticleImages(table, locate_stacks(table, root=root), box=self.box)

    def _fit(self, stack: ParticleImages) -> Normalization:
        """Give a stack one scale, from images evenly over it."""
        rows = np.unique(np.linspace(0, len(stack) - 1, _FIT_IMAGES).astype(np.int64))
        return Normalization.fit((stack.image(int(row)) for row in rows), (), radius=self.radius)

    def _groups(self, particles: Particles) -> NDArray[np.int64]:
        lacking = self.by == MICROGRAPH and self.pattern is None and not (particles.micrograph != "").any()
        if lacking:  # one group: intervals are then over images, which is said
            return np.zeros(len(particles), dtype=np.int64)
        return _numbered(group_names(particles, self.by, self.pattern))


def _numbered(names: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _in_order(place: NDArray[np.int64], wanted: NDArray[np.int64], table: Particles) -> NDArray[np.int64]:
    """Find where a table has the wanted raw rows.

    Raises
    ------
    InputError
        If one is not there.
    """
    order = np.argsort(place, kind="stable")
    found = np.searchsorted(place[order], wanted).clip(max=len(place) - 1)
    index: NDArray[np.int64] = order[found]
    missing = np.flatnonzero(place[index] != wanted)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(wanted)} particles are not in this file",
            file=table.source,
            expected="an image of every particle that is judged",
            found=f"{len(table)} images",
            remedy="give files that belong together, of the same particles",
        )
    return index


def _check_pixels(stacks: Mapping[str, ParticleImages]) -> None:
    raw = stacks["raw"]
    for stack in stacks.values():
        if stack.box != raw.box or abs(stack.pixel_size / raw.pixel_size - 1) > SAME_PIXEL_SIZE:
            raise InputError(
                "images of different size cannot be compared",
                file=stack.particles.source,
                expected=f"box {raw.box} px at {raw.pixel_size:.4f} A/px, as in {raw.particles.source}",
                found=f"box {stack.box} px at {stack.pixel_size:.4f} A/px",
                remedy="bring all to one box with box=",
            )
