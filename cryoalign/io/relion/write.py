"""The vocabulary into RELION STAR files (3.1: optics groups in a separate table)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.relion.aberrations import BEAM_TILT, EVEN_ZERNIKE, MAGNIFICATION_MATRIX, ODD_ZERNIKE
from cryoalign.io.relion.classes import TABLE as CLASSES
from cryoalign.io.relion.classes import classes_of
from cryoalign.io.relion.missing_ctf import DEFOCUS
from cryoalign.io.relion.optics import COLUMNS as OPTICS_COLUMNS
from cryoalign.io.relion.read import (
    HALF,
    IMAGE,
    MICROGRAPH,
    ORIGIN_ANGST,
    ORIGIN_PIXELS,
    ORIGINAL,
    POSE,
)
from cryoalign.io.relion.star import write_star
from cryoalign.io.relion.star_text import is_writable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.particles import Optics, Particles

_BLANK = re.compile(r"\s")


def write_particles(
    path: Path | str,
    particles: Particles,
    *,
    image_names: ArrayLike | None = None,
    original_names: ArrayLike | None = None,
    box: int | None = None,
    pixel_size: float | None = None,
    extra: Mapping[str, ArrayLike] | None = None,
    notes: Mapping[str, object] | None = None,
    title: str = "simulation",
) -> None:
    """Write a RELION 3.1 STAR file.

    Optics groups that no particle uses are left out and the others numbered from 1, as RELION wants
    them. Aberrations and magnification matrices are written where a group in use has any: `particles` have
    to be those of the images that the file names. Where particles name the maps of their classes, a table
    of these stands beside theirs.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace.
    particles : Particles
        N particles. The other columns of ``particles.table`` are kept, but for those of CryoSPARC.
    image_names : (N,) array_like of str, optional
        ``NNNNNN@stack`` of the images, relative to the file's folder; default ``particles.image_name``.
    original_names : (N,) array_like of str, optional
        The raw image's name, for ``rlnImageOriginalName``; by default the column stays as it is in the
        table, if there.
    box : int, optional
        Box size of the images in px; default that of the optics groups.
    pixel_size : float, optional
        Pixel size of the images in A; default that of each optics group.
    extra : mapping of str to (N,) array_like, optional
        Further columns, by label without the underscore.
    notes : mapping, optional
        What the images were made with, nested or not: a table of names and values beside the others, which
        RELION passes over.
    title : str
        Name of that table.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    ValueError
        If neither `box` nor the optics groups give a box size.
    """
    used, numbering = np.unique(particles.optics_index, return_inverse=True)
    optics = _optics_table([particles.optics[index] for index in used], box, pixel_size)
    table = _table(particles, numbering.reshape(-1) + 1, image_names, original_names, extra or {})
    classes = classes_of(table)
    named = {} if classes is None else {CLASSES: classes}
    write_star(Path(path), {"optics": optics, "particles": table, **named, **_noted(title, notes)})


def write_particle_parts(
    path: Path | str,
    parts: Iterable[Particles],
    *,
    classes: pd.DataFrame | None = None,
    notes: Mapping[str, object] | None = None,
) -> None:
    """Write a RELION 3.1 STAR file of particles that come a few at a time.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace.
    parts : iterable of Particles
        With the same optics groups, which are all written, and the same columns.
    classes : pandas.DataFrame, optional
        Of `cryoalign.io.relion.classes.model_classes`: a table beside the others.
    notes : mapping, optional
        As in `write_particles`.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    """
    others = iter(parts)
    first = next(others)
    tables = (_table(part, part.optics_index + 1) for part in chain([first], others))
    optics = _optics_table(list(first.optics), None, None)
    named = {} if classes is None else {CLASSES: classes}
    write_star(Path(path), {"optics": optics, "particles": tables, **named, **_noted("simulation", notes)})


def _table(
    particles: Particles,
    numbering: NDArray[np.int64],
    image_names: ArrayLike | None = None,
    original_names: ArrayLike | None = None,
    extra: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return the table of particles, with the 1-based number of each one's optics group."""
    columns: dict[str, ArrayLike] = {
        IMAGE: particles.image_name if image_names is None else np.asarray(image_names)
    }
    if original_names is not None:
        columns[ORIGINAL] = np.asarray(original_names)
    elif ORIGINAL in particles.table:
        columns[ORIGINAL] = particles.table[ORIGINAL].to_numpy()
    columns |= _columns(particles) | {"rlnOpticsGroup": numbering}
    replaced = {*columns, *extra, *ORIGIN_PIXELS, *OPTICS_COLUMNS}
    # CryoSPARC's columns have no label in RELION, whose programs would warn of each
    foreign = from_cryosparc(particles)
    kept = {
        name: particles.table[name].to_numpy()
        for name in particles.table.columns
        if name not in replaced and (not foreign or name.startswith("rln"))
    }
    return pd.DataFrame({**columns, **kept, **{name: np.asarray(values) for name, values in extra.items()}})


def _noted(title: str, notes: Mapping[str, object] | None) -> dict[str, pd.DataFrame]:
    """Return the table of what the images were made with, if that is known."""
    if notes is None:
        return {}
    return {title: pd.DataFrame(_flat(notes), columns=["cryoalignParameter", "cryoalignValue"])}


def _flat(notes: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return dotted names and values, as JSON where they are no text, or none that a STAR file can hold.

    Texts of a list are numbered from 1, since programs read no quotes within quotes. A blank is written as
    JSON may have it, backslash and u0020: cryoDRGN reads all tables, and splits quoted texts, too.
    """
    rows: list[tuple[str, str]] = []
    for name, value in notes.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(entry, str) for entry in value):
            rows += _flat({str(number): entry for number, entry in enumerate(value, 1)}, f"{prefix}{name}.")
        else:
            rows.append((_plain(f"{prefix}{name}"), _plain(value)))
    return rows


def _plain(value: object) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, separators=(",", ":"))
    if not is_writable(text):
        text = json.dumps(value, separators=(",", ":"))
        text = text if is_writable(text) else text.replace("'", r"\u0027")
    return _BLANK.sub(lambda blank: f"\\u{ord(blank[0]):04x}", text)


def _columns(particles: Particles) -> dict[str, ArrayLike]:
    """Return the columns that the vocabulary knows, without those that are empty."""
    columns: dict[str, ArrayLike] = {}
    if (particles.micrograph != "").any():
        columns[MICROGRAPH] = particles.micrograph
    columns |= dict(zip(POSE, particles.angles.T, strict=True))
    columns |= dict(zip(ORIGIN_ANGST, particles.shift.T, strict=True))
    columns |= dict(zip(DEFOCUS, particles.defocus.T, strict=True))
    columns["rlnPhaseShift"] = particles.phase_shift
    columns["rlnCtfBfactor"], columns["rlnCtfScalefactor"] = particles.ctf_bfactor, particles.ctf_scale
    if particles.half.any():
        columns[HALF] = particles.half
    return columns


def _optics_table(groups: list[Optics], box: int | None, pixel_size: float | None) -> pd.DataFrame:
    """Return the table of the groups, numbered from 1."""
    sizes = [size for group in groups if (size := group.box_size if box is None else box) is not None]
    if len(sizes) < len(groups):
        raise ValueError("the box size has to be given: the metadata do not say it")
    table: dict[str, ArrayLike] = {
        "rlnOpticsGroup": np.arange(1, len(groups) + 1),
        "rlnOpticsGroupName": [group.name for group in groups],
        "rlnVoltage": [group.voltage for group in groups],
        "rlnSphericalAberration": [group.spherical_aberration for group in groups],
        "rlnAmplitudeContrast": [group.amplitude_contrast for group in groups],
        "rlnImagePixelSize": [group.pixel_size if pixel_size is None else pixel_size for group in groups],
        "rlnImageSize": sizes,
        "rlnImageDimensionality": 2,
    }
    if any(group.premultiplied for group in groups):
        table["rlnCtfDataAreCtfPremultiplied"] = [int(group.premultiplied) for group in groups]
    table |= _aberrations(groups)
    return pd.DataFrame(table)


def _aberrations(groups: list[Optics]) -> dict[str, ArrayLike]:
    """Return the columns of those aberrations that a group has."""
    columns: dict[str, ArrayLike] = {}
    if any(any(group.beam_tilt) for group in groups):
        columns |= dict(zip(BEAM_TILT, zip(*(group.beam_tilt for group in groups), strict=True), strict=True))
    for name, vectors in (
        (ODD_ZERNIKE, [group.odd_zernike for group in groups]),
        (EVEN_ZERNIKE, [group.even_zernike for group in groups]),
    ):
        if any(map(any, vectors)):
            count = max(map(len, vectors))
            columns[name] = [_vector((*vector, *(0.0,) * (count - len(vector)))) for vector in vectors]
    matrices = [group.magnification for group in groups]
    if any(matrix != (1, 0, 0, 1) for matrix in matrices):
        columns |= dict(zip(MAGNIFICATION_MATRIX, zip(*matrices, strict=True), strict=True))
    return columns


def _vector(values: Iterable[float]) -> str:
    return f"[{','.join(f'{value:.12g}' for value in values)}]"
