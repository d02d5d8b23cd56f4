"""The vocabulary into RELION STAR files (3.1: optics groups in a table of their own)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.io.relion_optics import COLUMNS as OPTICS_COLUMNS
from cryoalign.io.relion_read import (
    DEFOCUS,
    HALF,
    IMAGE,
    MICROGRAPH,
    ORIGIN_ANGST,
    ORIGIN_PIXELS,
    ORIGINAL,
    POSE,
)
from cryoalign.io.star import write_star

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.particles import Particles


def write_particles(
    path: Path | str,
    particles: Particles,
    *,
    image_names: ArrayLike | None = None,
    original_names: ArrayLike | None = None,
    box: int | None = None,
    pixel_size: float | None = None,
    extra: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write a RELION 3.1 STAR file.

    Optics groups that no particle uses are left out and the others numbered from 1, as RELION wants
    them. Values of higher aberrations are not carried over: they describe the raw images, and no image
    that cryoalign makes has them.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace.
    particles : Particles
        N particles. The other columns of ``particles.table`` are kept.
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

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    ValueError
        If neither `box` nor the optics groups give a box size.
    """
    optics, numbering = _optics_table(particles, box, pixel_size)
    columns: dict[str, ArrayLike] = {
        IMAGE: particles.image_name if image_names is None else np.asarray(image_names)
    }
    if original_names is not None:
        columns[ORIGINAL] = np.asarray(original_names)
    elif ORIGINAL in particles.table:
        columns[ORIGINAL] = particles.table[ORIGINAL].to_numpy()
    columns |= _columns(particles) | {"rlnOpticsGroup": numbering}
    extra = {} if extra is None else extra
    replaced = {*columns, *extra, *ORIGIN_PIXELS, *OPTICS_COLUMNS}
    kept = {
        name: particles.table[name].to_numpy() for name in particles.table.columns if name not in replaced
    }
    table = pd.DataFrame({**columns, **kept, **{name: np.asarray(values) for name, values in extra.items()}})
    write_star(Path(path), {"optics": optics, "particles": table})


def _columns(particles: Particles) -> dict[str, ArrayLike]:
    """Give the columns that the vocabulary knows, without those that say nothing."""
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


def _optics_table(
    particles: Particles, box: int | None, pixel_size: float | None
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Give the table of the groups in use and (N,) the 1-based number of each particle's."""
    used, inverse = np.unique(particles.optics_index, return_inverse=True)
    groups = [particles.optics[index] for index in used]
    sizes = [group.box_size if box is None else box for group in groups]
    if any(size is None for size in sizes):
        raise ValueError("the box size has to be given: the metadata do not say it")
    table = {
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
    return pd.DataFrame(table), inverse.astype(np.int64) + 1
