"""The pairs to be looked at: matched even where the metadata disagree, sampled evenly, read at one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.data.groups import number_groups
from cryoalign.data.hot_pixel import hot_pixel
from cryoalign.data.images import ParticleImages
from cryoalign.data.matching_rows import matching_rows, refuse_swapped
from cryoalign.data.pairs import check_agreement
from cryoalign.errors import InputError
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.progress import progress_bar
from cryoalign.io.simulated import is_of_cryoalign
from cryoalign.physics.conditions import without_aberrations
from cryoalign.physics.fourier import fourier_resize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.io.relion.missing_ctf import MissingCtf
    from cryoalign.particles import Particles

#: Boxes are Fourier-cropped to this: right pairs differ from wrong ones at low frequencies.
WORKING_BOX = 64
FEWEST = 20
_SCALED = 10  # images that the scale of a set is taken from
_USUAL = 1e8  # standard deviations up to this, and down to its inverse, are left as they are


@dataclass(frozen=True)
class Sample:
    """Some pairs, in memory.

    Attributes
    ----------
    sim, raw : Particles
        n rows each, pair by pair.
    sims, raws : (n, N, N) float32 tensor
        Their images.
    shifted : mapping of str to (n, N, N) float32 tensor
        Simulated images of other rows, counted in the whole table: ``next``, ``previous``, ``reversed``.
    groups : (n,) int64
        Number of the micrograph.
    pixel_size : float
        Of the images as they are here, in A.
    disagreement : str or None
        Where the metadata of the pairs differ.
    whole : bool
        Whether there are no other pairs.
    follows : bool
        cryoalign states that it simulated these images, and their metadata do not differ from those of raw:
        they have the CTF that the metadata claim.
    """

    sim: Particles
    raw: Particles
    sims: torch.Tensor
    raws: torch.Tensor
    shifted: dict[str, torch.Tensor]
    groups: NDArray[np.int64]
    pixel_size: float
    disagreement: str | None = None
    whole: bool = False
    follows: bool = False

    @property
    def box(self) -> int:
        """N in px."""
        return int(self.raws.shape[-1])


def read_sample(
    sim: Path | str,
    raw: Path | str,
    *,
    root: Path | str | None = None,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    missing_ctf: MissingCtf = "refuse",
    pixel_size: float | None = None,
    check_header: bool = True,
    count: int = 300,
    box: int = WORKING_BOX,
    progress: bool = False,
) -> Sample:
    """Read, match and sample two metadata files.

    Parameters
    ----------
    sim, raw : Path or str
        Metadata files.
    root : Path or str, optional
        Folder that the raw stack names are relative to.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of `raw`.
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file of measured particles without a CTF; see `cryoalign.read_particles`.
    pixel_size : float, optional
        Of the images of a STAR file of measured particles in A, where its columns are wrong.
    check_header : bool
        Refuse stacks whose headers contradict the metadata about the pixel size, as a training does.
    count : int
        About this many pairs; 0 for all.
    box : int
        Working box in px, at the most.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    InputError
        If a file cannot be used, or rows cannot be matched at all.
    """
    sims, raws = read_particles(sim), read_particles(raw, passthrough, missing_ctf, pixel_size)
    refuse_swapped(sims, raws)
    sims, raws, disagreement = match_anyway(sims, raws)
    images = (
        ParticleImages(sims, locate_stacks(sims), resample=True, check_header=check_header),
        ParticleImages(raws, locate_stacks(raws, root=root), resample=True, check_header=check_header),
    )
    rows = choose_rows(len(raws), count)
    return sample_images(images[0], images[1], rows, box=box, disagreement=disagreement, progress=progress)


def sample_images(
    sim: ParticleImages,
    raw: ParticleImages,
    rows: NDArray[np.int64],
    *,
    among: NDArray[np.int64] | None = None,
    box: int = WORKING_BOX,
    disagreement: str | None = None,
    progress: bool = False,
) -> Sample:
    """Read the images of some rows, and the simulated ones of the rows they may have been taken for.

    Parameters
    ----------
    sim, raw : ParticleImages
        Row by row.
    rows : (n,) int64
        0-based.
    among : (m,) int64, optional
        The rows, ascending, among which `rows` were chosen and neighbours are looked for; all if not given.
    box : int
        Working box in px, at the most.
    disagreement : str, optional
        Handed on.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    InputError
        If there are too few pairs or an image cannot be used.
    """
    if len(rows) < FEWEST:
        raise InputError(
            "there are too few pairs to tell anything",
            file=raw.particles.source,
            expected=f"{FEWEST} or more",
            found=len(rows),
            remedy="give more pairs; a training goes on without this look with audit=off",
        )
    table = np.arange(len(raw)) if among is None else among
    place, size = np.searchsorted(table, rows), min(box, sim.box, raw.box)
    places = {
        "": rows,
        "next": table[(place + 1) % len(table)],
        "previous": table[place - 1],
        "reversed": table[len(table) - 1 - place],
    }
    needed = np.unique(np.concatenate(list(places.values())))
    known = dict(zip(needed.tolist(), _read(sim, needed, size, "sim", progress), strict=True))
    measured = torch.stack(_read(raw, rows, size, "raw", progress))
    sets = {name: torch.stack([known[row] for row in others.tolist()]) for name, others in places.items()}
    groups = number_groups(raw.particles.micrograph[rows])
    simulated, claims = sim.particles.take(rows), raw.particles.take(rows)
    if without_aberrations(simulated).optics == simulated.optics:
        claims = without_aberrations(claims)  # left out by the simulation, which is a choice and no mistake
    return Sample(
        sim=simulated,
        raw=claims,
        sims=sets.pop(""),
        raws=measured,
        shifted=sets,
        groups=groups,
        pixel_size=raw.pixel_size * raw.box / size,
        disagreement=disagreement,
        whole=len(rows) == len(table),
        follows=disagreement is None and is_of_cryoalign(sim.particles.source),
    )


def _read(
    images: ParticleImages, rows: NDArray[np.int64], size: int, what: str, progress: bool
) -> list[torch.Tensor]:
    bar = progress_bar(rows.tolist(), f"reading {what}", shown=progress)
    factor = _factor(images, rows)
    return [fourier_resize(torch.from_numpy(_sound(images, row) * factor), size) for row in bar]


def _factor(images: ParticleImages, rows: NDArray[np.int64]) -> np.float32:
    """Return 1, or a power of 2 that makes squares of their Fourier transforms numbers of float32."""
    some = rows[np.unique(np.linspace(0, len(rows) - 1, _SCALED).astype(np.int64))]
    spreads = [images.image(int(row)).astype(np.float64).std() for row in some]
    spread = float(np.median(spreads))
    usual = 1 / _USUAL < spread < _USUAL
    return np.float32(1.0 if usual else 2.0 ** np.clip(-np.round(np.log2(spread)), -126, 127))


def _sound(images: ParticleImages, row: int) -> NDArray[np.float32]:
    values = images.image(row)
    reason = hot_pixel(values)
    if reason is not None:
        raise images.unusable(row, reason)
    return values


def choose_rows(total: int, count: int) -> NDArray[np.int64]:
    """Choose rows evenly over the table: as many micrographs as there can be, since their images share noise.

    Parameters
    ----------
    total : int
        Rows there are.
    count : int
        Rows wanted; 0 for all.

    Returns
    -------
    (n,) int64
        0-based, ascending.
    """
    if count <= 0 or count >= total:
        return np.arange(total)
    return np.unique(np.linspace(0, total - 1, count).round().astype(np.int64))


def match_anyway(sim: Particles, raw: Particles) -> tuple[Particles, Particles, str | None]:
    """Match pairs as for training; where their metadata disagree, by name or row all the same.

    Parameters
    ----------
    sim, raw : Particles
        Whole tables, as read.

    Returns
    -------
    sim, raw : Particles
        Of the same length.
    disagreement : str or None
        What training would refuse.

    Raises
    ------
    InputError
        If the rows cannot be matched by name, and cannot by number since the tables differ in length.
    """
    try:
        pairs = matching_rows(sim, raw)
    except InputError as error:
        if len(sim) != len(raw):
            raise
        return sim, raw, str(error)
    try:
        check_agreement(*pairs)
    except InputError as error:
        return *pairs, str(error)
    return *pairs, None
