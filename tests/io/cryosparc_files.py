"""CryoSPARC's files for tests: the columns and types of a real refinement's particles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

FIELDS: dict[str, tuple[Any, ...]] = {
    "uid": ("<u8",),
    "blob/path": ("S32",),
    "blob/idx": ("<u4",),
    "blob/shape": ("<u4", (2,)),
    "blob/psize_A": ("<f4",),
    "blob/sign": ("<f4",),
    "ctf/type": ("S9",),
    "ctf/exp_group_id": ("<u4",),
    "ctf/accel_kv": ("<f4",),
    "ctf/cs_mm": ("<f4",),
    "ctf/amp_contrast": ("<f4",),
    "ctf/df1_A": ("<f4",),
    "ctf/df2_A": ("<f4",),
    "ctf/df_angle_rad": ("<f4",),
    "ctf/phase_shift_rad": ("<f4",),
    "ctf/scale": ("<f4",),
    "ctf/bfactor": ("<f4",),
    "ctf/shift_A": ("<f4", (2,)),
    "ctf/tilt_A": ("<f4", (2,)),
    "ctf/trefoil_A": ("<f4", (2,)),
    "ctf/tetra_A": ("<f4", (4,)),
    "ctf/anisomag": ("<f4", (4,)),
    "alignments3D/split": ("<u4",),
    "alignments3D/shift": ("<f4", (2,)),
    "alignments3D/pose": ("<f4", (3,)),
    "alignments3D/psize_A": ("<f4",),
    "alignments3D/class_posterior": ("<f4",),
}
ABERRATIONS = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")


def particles(count: int = 8, box: int = 16, psize: float = 2.0) -> np.ndarray:
    """Particles of one exposure group in two stacks, with white protein and no aberrations."""
    rng = np.random.default_rng(3)
    table = np.zeros(count, dtype=[(name, *kind) for name, kind in FIELDS.items()])
    table["uid"] = 2**63 + np.uint64(10**15) + rng.permutation(count).astype(np.uint64)  # not exact as floats
    table["blob/path"] = [f"J19/extract/{'ab'[row % 2]}.mrc".encode() for row in range(count)]
    table["blob/idx"] = np.arange(count) // 2
    table["blob/shape"], table["blob/psize_A"], table["blob/sign"] = box, psize, -1
    table["ctf/type"], table["ctf/exp_group_id"] = b"spline", 4
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.7, 0.1
    table["ctf/df1_A"] = rng.uniform(1e4, 2e4, count)
    table["ctf/df2_A"] = table["ctf/df1_A"] - 300
    table["ctf/df_angle_rad"] = rng.uniform(-1.5, 1.5, count)
    table["ctf/phase_shift_rad"] = rng.uniform(0, 1.5, count)
    table["ctf/scale"], table["ctf/bfactor"] = rng.uniform(0.9, 1.1, count), rng.uniform(0, 50, count)
    table["alignments3D/split"] = np.arange(count) % 2
    table["alignments3D/shift"] = rng.normal(0, 3, (count, 2))
    table["alignments3D/pose"] = rng.normal(0, 1.4, (count, 3))
    table["alignments3D/psize_A"] = psize
    table["alignments3D/class_posterior"] = 1
    return table


def location(table: np.ndarray) -> np.ndarray:
    """A passthrough file: the same particles in another order, and some more."""
    rng = np.random.default_rng(5)
    extra = table["uid"].max() + np.arange(1, 4, dtype=np.uint64)
    uids = rng.permutation(np.concatenate([table["uid"], extra]))
    kinds = [
        ("uid", "<u8"), ("location/micrograph_path", "S40"), ("location/micrograph_uid", "<u8"),
        ("location/micrograph_shape", "<u4", (2,)), ("ctf/df1_A", "<f4"),
    ]  # fmt: skip
    joined = np.zeros(len(uids), dtype=kinds)
    joined["uid"] = uids
    joined["location/micrograph_path"] = [f">J2/motion/mic_{uid % 4}.mrc".encode() for uid in uids.tolist()]
    joined["location/micrograph_uid"] = uids % 4 + 2**63
    joined["location/micrograph_shape"] = (3838, 3710)
    joined["ctf/df1_A"] = 1  # older than the job's own, which counts
    return joined


def without(table: np.ndarray, *names: str) -> np.ndarray:
    """Leave columns out."""
    kept = [name for name in table.dtype.names if name not in names]
    made = np.empty(len(table), dtype=[(name, table.dtype[name]) for name in kept])
    for name in kept:
        made[name] = table[name]
    return made


def with_column(table: np.ndarray, name: str, values: np.ndarray) -> np.ndarray:
    """Add or replace a column, of the type and shape of the values."""
    rest = without(table, name)
    made = np.empty(len(table), dtype=[*rest.dtype.descr, (name, values.dtype, values.shape[1:])])
    for old in rest.dtype.names:
        made[old] = rest[old]
    made[name] = values
    return made


def save(path: Path, table: np.ndarray) -> Path:
    """Write NumPy's format."""
    with path.open("wb") as file:
        np.save(file, table, allow_pickle=True)  # so that tests can write what may not be read
    return path
