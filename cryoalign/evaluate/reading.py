"""From metadata files to what is judged: fakes, raw, sim and what else there is, matched row for row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.groups import group_names, number_groups
from cryoalign.data.images import SAME_PIXEL_SIZE, ParticleImages
from cryoalign.data.matching_rows import matching_rows, refuse_swapped
from cryoalign.data.normalize import Normalization
from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError, choice, within
from cryoalign.evaluate.like_conditions import match_conditions, of_measured_micrographs
from cryoalign.evaluate.own_images import in_order, own_images
from cryoalign.evaluate.stacks import NORMALIZE, Own, Probe, Stacks
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.neighbour_table import has_neighbour
from cryoalign.io.relion.read import MICROGRAPH
from cryoalign.io.simulated import simulated_uids, without_particle
from cryoalign.physics.mask import background

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.evaluate.stacks import Normalize
    from cryoalign.io.relion.missing_ctf import MissingCtf
    from cryoalign.particles import Particles

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
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file of raw without a CTF; see `cryoalign.read_particles`.
    pixel_size : float, optional
        Of the images of a STAR file of measured particles in A, where its columns are wrong.
    check_header : bool
        Refuse stacks whose headers contradict the metadata about the pixel size.
    box : int or None
        Fourier-crop every image to this box in px.
    resample : bool
        Bring optics groups of another pixel or box size to those of the first group.
    by : str
        Column whose values name the groups; see `cryoalign.data.groups.group_names`.
    pattern : str or None
        Regular expression on that column.
    normalize : {"raw", "both", "none"}
        See `cryoalign.evaluate.stacks.Stacks`.
    radius : float
        Of the particle's circle, as a fraction of half the box.
    bins : int
        Defocus bins at the most.
    seed : int
    tolerances : mapping
        Of `cryoalign.data.pairs.check_agreement`.
    groups : (N,) str, optional
        The group of every row of raw, in place of `by` and `pattern`.
    row_for_row : bool
        All files list the same particles in the same order: cryoalign wrote them.
    """

    root: Path | None = None
    passthrough: str | Path | Sequence[str | Path] | None = None
    missing_ctf: MissingCtf = "refuse"
    pixel_size: float | None = None
    check_header: bool = True
    box: int | None = None
    resample: bool = False
    by: str = MICROGRAPH
    pattern: str | None = None
    normalize: Normalize = "raw"
    radius: float = 0.9
    bins: int = 4
    seed: int = 0
    tolerances: Mapping[str, float] = field(default_factory=dict)
    groups: NDArray[np.str_] | None = None
    row_for_row: bool = False

    def __post_init__(self) -> None:
        remedy = "leave it out if fakes have raw's scale, or give both"
        choice("normalize", self.normalize, NORMALIZE, remedy=remedy)
        within("bins", self.bins, 1, remedy="leave bins= out")

    def pairs(self, raw: Path | str, **others: Path | str | None) -> Stacks:
        """Read and match stacks.

        Parameters
        ----------
        raw : Path or str
            Metadata of the measured particles.
        **others : Path or str or None
            Metadata of ``sim`` and of any of ``fake``, ``truth`` and ``second_draw``. The first that is given
            decides which particles are looked at, and in which order.

        Returns
        -------
        Stacks

        Raises
        ------
        InputError
            If a file cannot be used, or the rows cannot be matched.
        """
        measured = self._measured(raw)
        tables, rows = self._matched(measured, others)
        names = self._names(measured.take(rows)) if self.groups is None else self.groups[rows]
        return self._judged(measured.take(rows), tables, names)

    def unpaired(self, raw: Path | str, fake: Path | str, **own: Path | str | None) -> Stacks:
        """Read fakes of other particles than raw's, and put raw images of like conditions beside them.

        Those that are labelled as showing no particle are left to `empties`.

        Parameters
        ----------
        raw, fake : Path or str
            Metadata of the measured particles and of the fakes.
        **own : Path or str or None
            Metadata of the fakes' own ``sim`` and of ``second_draw``, which belong to them by their uids, by
            the images they name, or row for row.

        Returns
        -------
        Stacks

        Raises
        ------
        InputError
            If a file cannot be used, or there are too few of like conditions.
        """
        measured, fakes = self._measured(raw), read_particles(fake)
        fakes = fakes.take(np.flatnonzero(~without_particle(fakes)))
        refuse_swapped(fakes, measured, "fake")
        tables = {"fake": fakes}
        for kind, path in own.items():
            if path is not None:
                tables[kind] = own_images(read_particles(path), fakes, kind, self.tolerances)
        raw_groups = self._names(measured)
        lacking = bool((raw_groups == "").all())
        fake_groups = np.full(len(fakes), "") if lacking else self._names(of_measured_micrographs(fakes))
        matched = match_conditions(fakes, measured, fake_groups, raw_groups)
        tables = {kind: table.take(matched.fake) for kind, table in tables.items()}
        return self._judged(
            measured.take(matched.raw), tables, matched.groups, Own(tables["fake"], matched.words)
        )

    def are_pairs(self, raw: Path | str, fake: Path | str) -> bool:
        """Return whether the files have it that the fakes are of raw's particles.

        They are not where they are new ones, simulated with ``like=``, raw's are not, and no image of raw's
        is named: an export of new sims names those.
        """
        fakes = read_particles(fake)
        if simulated_uids(fakes) is None:
            return True
        measured = self._measured(raw)
        if simulated_uids(measured) is not None:
            return True
        try:
            matching_rows(fakes, measured)
        except InputError:
            return False
        return True

    def _measured(self, raw: Path | str) -> Particles:
        return read_particles(raw, self.passthrough, self.missing_ctf, self.pixel_size)

    def _judged(
        self,
        measured: Particles,
        tables: Mapping[str, Particles],
        names: NDArray[np.str_],
        own: Own | None = None,
    ) -> Stacks:
        """Open the stacks of tables that were brought into one order."""
        stacks = {kind: self._images(table) for kind, table in tables.items()}
        stacks["raw"] = as_asked = self._images(measured, root=self.root)
        for stack in stacks.values():
            _check_pixels(stack, as_asked.box, as_asked.pixel_size, measured.source)
        maps = self._maps(stacks)
        if self.normalize == "raw" and self.box is not None and "fake" in tables:
            stacks["raw"] = self._uncropped(measured, tables["fake"])
        return Stacks(
            measured,
            stacks,
            maps,
            number_groups(names),
            self.normalize,
            seed=self.seed,
            most_bins=self.bins,
            own=own,
        )

    def _matched(
        self, measured: Particles, others: Mapping[str, Path | str | None]
    ) -> tuple[dict[str, Particles], NDArray[np.int64]]:
        """Read the other tables in one order, and say which rows of `measured` they belong to."""
        if self.row_for_row:
            given = {kind: read_particles(path) for kind, path in others.items() if path is not None}
            return given, np.arange(len(measured))
        tolerances = dict(self.tolerances)
        if self.resample:  # fakes lie on the grid that raw is only brought to
            tolerances["pixel_size"] = float("inf")
        tables: dict[str, Particles] = {}
        rows: NDArray[np.int64] | None = None
        for kind, path in others.items():
            if path is None:
                continue
            table = read_particles(path)
            refuse_swapped(table, measured, kind)
            try:
                table, of_raw = match_pairs(table, measured, **tolerances)
            except InputError as error:
                raise _reworded(error, kind) from None
            place = np.searchsorted(measured.row, of_raw.row)
            if rows is None:
                rows = place
            tables[kind] = table.take(in_order(place, rows, table))
        if rows is None:
            raise ValueError("there is nothing beside raw")
        return tables, rows

    def _maps(self, stacks: Mapping[str, ParticleImages]) -> dict[str, Normalization]:
        """Return the grey-value maps, as `Stacks` wants them."""
        maps = {"raw": Normalization(radius=self.radius)}
        maps |= {kind: self._fit(stacks[kind]) for kind in ("sim", "truth") if kind in stacks}
        raw = stacks["raw"]
        outside = raw.image(0)[background(raw.box, self.radius)]
        masked = bool(outside.min() == outside.max())
        if self.normalize == "none":
            maps["common"] = self._fit(raw) if masked else self._background(raw)
        elif masked:
            raise InputError(
                "raw images are constant outside the particle's circle",
                file=raw.particles.source,
                row=int(raw.particles.row[0]),
                expected="a background that they can be normalized by",
                found="one value everywhere",
                remedy="give images that are not masked, or take them as they are with normalize=none",
            )
        return maps

    def empties(self, fake: Path | str, like: Stacks) -> Probe | None:
        """Read those of new fakes that are labelled as showing no particle, nor one beside it.

        Parameters
        ----------
        fake : Path or str
            Metadata of the fakes.
        like : Stacks
            What they have to fit to.
        """
        table = read_particles(fake)
        rows = np.flatnonzero(without_particle(table) & ~has_neighbour(table))
        return self._probe(table.take(rows), like) if len(rows) else None

    def probe(self, path: Path | str, like: Stacks) -> Probe:
        """Read images without measured counterparts.

        Parameters
        ----------
        path : Path or str
            Their metadata.
        like : Stacks
            What they have to fit to.

        Returns
        -------
        Probe

        Raises
        ------
        InputError
            If they are of another box or pixel size than `like`.
        """
        return self._probe(read_particles(path), like)

    def _probe(self, table: Particles, like: Stacks) -> Probe:
        stack = self._images(table)
        _check_pixels(stack, like.box, like.pixel_size, like.particles.source)
        return Probe(stack)

    def _images(self, table: Particles, root: Path | None = None) -> ParticleImages:
        return self._opened(table, root, self.box)

    def _opened(self, table: Particles, root: Path | None, box: int | None) -> ParticleImages:
        stacks = locate_stacks(table, root=root)
        return ParticleImages(table, stacks, box=box, resample=self.resample, check_header=self.check_header)

    def _fit(self, stack: ParticleImages) -> Normalization:
        """Fit one scale to a stack, from images evenly over it."""
        return Normalization.fit(_some_of(stack), (), radius=self.radius)

    def _background(self, stack: ParticleImages) -> Normalization:
        """Fit one scale to a stack by the mean background of images evenly over it."""
        by_background = Normalization(radius=self.radius)
        offset, scale = np.mean([by_background.raw(image)[1][:2] for image in _some_of(stack)], axis=0)
        return Normalization(radius=self.radius, sim_offset=float(offset), sim_scale=float(scale))

    def _uncropped(self, measured: Particles, fakes: Particles) -> ParticleImages:
        """Read raw at the fakes' own box, to be normalized there, as they were, and only then cropped."""
        raw, fake = self._opened(measured, self.root, None), self._opened(fakes, None, None)
        return self._opened(measured, self.root, min(fake.box, raw.box))

    def _names(self, particles: Particles) -> NDArray[np.str_]:
        """Name the group of each particle."""
        lacking = self.by == MICROGRAPH and self.pattern is None and not (particles.micrograph != "").any()
        if lacking:  # one group: intervals are then over images, which is said
            return np.full(len(particles), "")
        try:
            return group_names(particles, self.by, self.pattern)
        except InputError as error:
            problem, remedy = (
                (text or "").replace("data.split.", "") for text in (error.problem, error.remedy)
            )
            raise InputError(
                problem,
                file=error.file,
                row=error.row,
                expected=error.expected,
                found=error.found,
                remedy=remedy,
            ) from None


def _some_of(stack: ParticleImages) -> Iterator[NDArray[np.float32]]:
    """Read images evenly over a stack."""
    rows = np.unique(np.linspace(0, len(stack) - 1, _FIT_IMAGES).astype(np.int64))
    return (stack.image(int(row)) for row in rows)


def _reworded(error: InputError, kind: str) -> InputError:
    """Reword an error of `match_pairs`, which speaks of simulated images, for images of any kind."""
    problem = error.problem.replace("a simulated particle", f"a particle of {kind}")
    return InputError(
        problem.replace("the simulated particles", f"the particles of {kind}"),
        file=error.file,
        row=error.row,
        expected=error.expected,
        found=error.found,
        remedy="give the same particles: in the order of raw, or naming raw's images in "
        "rlnImageOriginalName; or judge fakes of others with pairs=no",
    )


def _check_pixels(stack: ParticleImages, box: int, pixel_size: float, source: Path) -> None:
    if stack.box != box or abs(stack.pixel_size / pixel_size - 1) > SAME_PIXEL_SIZE:
        raise InputError(
            "images of different size cannot be compared",
            file=stack.particles.source,
            expected=f"box {box} px at {pixel_size:.4f} A/px, as in {source}",
            found=f"box {stack.box} px at {stack.pixel_size:.4f} A/px",
            remedy="bring all to one box with box=",
        )
