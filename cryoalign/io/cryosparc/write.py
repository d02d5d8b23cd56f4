"""The vocabulary into CryoSPARC's ``.cs`` files, in NumPy's format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.io.cryosparc.optics import ABERRATIONS
from cryoalign.io.cryosparc.table import UID, VECTOR, from_cryosparc
from cryoalign.io.output import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

WHITE = -1.0
"""``blob/sign`` of stacks that show white protein."""


def write_cryosparc(
    path: Path | str,
    particles: Particles,
    *,
    stack: str | NDArray[np.str_],
    box: int | NDArray[np.uint32],
    slot: NDArray[np.int64] | None = None,
    pixel_size: float | None = None,
) -> None:
    """Write a ``.cs`` of images that were made of particles from a ``.cs``.

    Uids, poses, shifts, CTF, half-sets and all other columns are kept; ``blob/`` names the new stack, whose
    protein is white. Higher aberrations are written as none: no image that is written with such a file
    has them.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace.
    particles : Particles
        N particles, with uids in their table.
    stack : str or (N,) str
        The stack of their images, relative to the file's folder.
    box : int or (N,) uint32
        Box size of the images in px.
    slot : (N,) int64, optional
        0-based number of each image in its stack; their order if not given.
    pixel_size : float, optional
        Pixel size of the images in A; default that of each optics group.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    ValueError
        If the particles have no uids.
    """
    columns = cryosparc_columns(particles, stack=stack, box=box, slot=slot, pixel_size=pixel_size)
    write_table(Path(path), columns)


def cryosparc_columns(
    particles: Particles,
    *,
    stack: str | NDArray[np.str_],
    box: int | NDArray[np.uint32],
    slot: NDArray[np.int64] | None = None,
    pixel_size: float | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the columns that `write_cryosparc` writes, and as it refuses."""
    if not from_cryosparc(particles):
        raise ValueError("these particles have no uids: they are not CryoSPARC's")
    count = len(particles)
    sizes = particles.optics_column("pixel_size") if pixel_size is None else np.full(count, pixel_size)
    columns: dict[str, NDArray[Any]] = {
        UID: particles.table[UID].to_numpy(dtype=np.uint64),
        "blob/path": np.char.encode(np.broadcast_to(np.asarray(stack, dtype=np.str_), count), "utf-8"),
        "blob/idx": np.arange(count, dtype=np.uint32) if slot is None else slot.astype(np.uint32),
        "blob/shape": np.tile(np.broadcast_to(np.asarray(box, dtype=np.uint32), count)[:, None], 2),
        "blob/psize_A": sizes.astype(np.float32),
        "blob/sign": np.full(count, WHITE, dtype=np.float32),
        "blob/import_sig": np.zeros(count, dtype=np.uint64),
        **_ctf(particles),
        **_alignments(particles),
    }
    return columns | {name: values for name, values in _kept(particles).items() if name not in columns}


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of one length as a ``.cs`` file; `InputError` if that cannot be done."""
    count = len(next(iter(columns.values())))
    table = np.empty(count, dtype=[(name, *_field(values)) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    with atomic_write(path) as temporary, temporary.open("wb") as file:  # np.save would add .npy
        np.save(file, table, allow_pickle=False)


def write_parts(path: Path, parts: Callable[[], Iterable[Mapping[str, NDArray[Any]]]]) -> None:
    """Write columns that come a few rows at a time, as `write_table` writes them whole.

    Parameters
    ----------
    path : Path
        The file to make or to replace.
    parts : callable
        Returns the parts, of the same columns; asked twice, as the longest text is known at the end.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    """
    fields: dict[str, tuple[Any, ...]] = {}
    count = 0
    for columns in parts():
        count += len(next(iter(columns.values())))
        for name, values in columns.items():
            kind, *shape = _field(values)
            fields[name] = (np.promote_types(kind, fields[name][0]) if name in fields else kind, *shape)
    with atomic_write(path) as temporary:
        table = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=[(name, *field) for name, field in fields.items()], shape=(count,)
        )
        start = 0
        for columns in parts():
            stop = start + len(next(iter(columns.values())))
            for name, values in columns.items():
                table[name][start:stop] = values
            start = stop
        table.flush()


def _ctf(particles: Particles) -> dict[str, NDArray[Any]]:
    u, v, azimuth = particles.defocus.T
    numbers = {
        "ctf/accel_kv": particles.optics_column("voltage"),
        "ctf/cs_mm": particles.optics_column("spherical_aberration"),
        "ctf/amp_contrast": particles.optics_column("amplitude_contrast"),
        "ctf/df1_A": u,
        "ctf/df2_A": v,
        "ctf/df_angle_rad": np.deg2rad(azimuth),
        "ctf/phase_shift_rad": np.deg2rad(particles.phase_shift),
        "ctf/scale": particles.ctf_scale,
        "ctf/bfactor": particles.ctf_bfactor,
    }
    none = {name: np.zeros((len(particles), width)) for name, width in ABERRATIONS.items()}
    return {name: values.astype(np.float32) for name, values in (numbers | none).items()}


def _alignments(particles: Particles) -> dict[str, NDArray[Any]]:
    """Return poses as rotation vectors and shifts in px of the alignments' pixel size."""
    from scipy.spatial.transform import Rotation  # noqa: PLC0415  0.3 s, for which a STAR file need not wait

    rotations = Rotation.from_euler("ZYZ", particles.angles, degrees=True)
    name = "alignments3D/psize_A"
    size = particles.table[name].to_numpy(dtype=np.float64)
    columns: dict[str, NDArray[Any]] = {
        "alignments3D/shift": (particles.shift / size[:, None]).astype(np.float32),
        "alignments3D/pose": rotations.as_rotvec().astype(np.float32),
        name: size.astype(np.float32),
    }
    if particles.half.any():
        columns["alignments3D/split"] = (particles.half - 1).astype(np.uint32)
    return columns


def _kept(particles: Particles) -> dict[str, NDArray[Any]]:
    """Return CryoSPARC's columns of the table, those that were taken apart put together again."""
    parts: dict[str, dict[tuple[int, ...], NDArray[Any]]] = {}
    kept: dict[str, NDArray[Any]] = {}
    for column in particles.table.columns:
        if "/" not in column:
            continue
        values = _plain(particles.table[column])
        vector = VECTOR.fullmatch(column)
        if vector is None:
            kept[column] = values
        else:
            parts.setdefault(vector[1], {})[tuple(map(int, vector[2].split(",")))] = values
    return kept | {name: _together(values) for name, values in parts.items()}


def _plain(values: pd.Series[Any]) -> NDArray[Any]:
    """Return numbers as they are, and text as bytes."""
    if values.dtype.kind in "fiub":
        return values.to_numpy()
    return np.char.encode(np.array(values.to_list(), dtype=np.str_), "utf-8")


def _together(values: dict[tuple[int, ...], NDArray[Any]]) -> NDArray[Any]:
    """Return the values of a column in the shape that it had."""
    shape = [most + 1 for most in map(max, zip(*values, strict=True))]
    return np.stack([values[place] for place in np.ndindex(*shape)], axis=1).reshape(-1, *shape)


def _field(values: NDArray[Any]) -> tuple[Any, ...]:
    """Return the type of a field and, of a vector, its shape."""
    return (values.dtype, values.shape[1:]) if values.ndim > 1 else (values.dtype,)
