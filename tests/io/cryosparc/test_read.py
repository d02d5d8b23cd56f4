"""CryoSPARC's particles become the table that its columns mean, or an error that names file and row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.read import read_cryosparc
from tests.io.cryosparc_files import ABERRATIONS, particles, save, with_column, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _euler_matrix(rot: float, tilt: float, psi: float) -> np.ndarray:
    """The matrix A of RELION's conventions (Heymann et al. 2005), written out: map to image frame."""

    def z(angle: float) -> np.ndarray:
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])

    c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    y = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return z(psi) @ y @ z(rot)


def _exponential(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula, right-handed: the inverse of A."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def test_poses_are_relions_euler_angles(tmp_path: Path) -> None:
    table = particles(30)
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    for angles, vector in zip(read.angles, table["alignments3D/pose"].astype(float), strict=True):
        np.testing.assert_allclose(_euler_matrix(*angles), _exponential(vector).T, atol=1e-9)


def test_a_pose_at_the_pole_is_read(tmp_path: Path) -> None:
    table = particles(2)
    table["alignments3D/pose"] = [[0, 0, np.pi / 3], [0, 0, 0]]
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    turned = Rotation.from_euler("ZYZ", read.angles, degrees=True).as_rotvec(degrees=True)
    np.testing.assert_allclose(turned, [[0, 0, 60], [0, 0, 0]], atol=1e-5)


def test_shifts_are_in_the_pixels_of_the_alignment(tmp_path: Path) -> None:
    table = particles()
    table["alignments3D/psize_A"] = 4.5
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    np.testing.assert_array_equal(read.shift, table["alignments3D/shift"].astype(float) * 4.5)
    assert read.optics[0].pixel_size == 2.0


def test_ctf_in_degrees_and_angstrom(tmp_path: Path) -> None:
    table = particles()
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    np.testing.assert_array_equal(read.defocus[:, 0], table["ctf/df1_A"])
    np.testing.assert_array_equal(read.defocus[:, 1], table["ctf/df2_A"])
    np.testing.assert_allclose(read.defocus[:, 2], table["ctf/df_angle_rad"].astype(float) * 180 / np.pi)
    np.testing.assert_allclose(read.phase_shift, table["ctf/phase_shift_rad"].astype(float) * 180 / np.pi)
    np.testing.assert_array_equal(read.ctf_scale, table["ctf/scale"])
    np.testing.assert_array_equal(read.ctf_bfactor, table["ctf/bfactor"])


def test_optional_columns_are_neutral_where_they_are_not_there(tmp_path: Path) -> None:
    names = ("ctf/phase_shift_rad", "ctf/scale", "ctf/bfactor", "ctf/exp_group_id", "blob/sign")
    table = without(particles(), *names, "alignments3D/split", *ABERRATIONS)
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    assert (read.phase_shift == 0).all()
    assert (read.ctf_scale == 1).all()
    assert (read.ctf_bfactor == 0).all()
    assert (read.half == 0).all()
    assert (read.sign == 1).all()
    assert len(read.optics) == 1


def test_images_half_sets_and_names(tmp_path: Path) -> None:
    table = particles()
    table["blob/path"] = [b">J19/extract/a.mrc"] * 4 + [b"J19/extract/b.mrc"] * 4
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    assert read.stack.tolist() == ["J19/extract/a.mrc"] * 4 + ["J19/extract/b.mrc"] * 4
    assert read.slot.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert read.image_name[2] == "000002@J19/extract/a.mrc"
    assert read.half.tolist() == [1, 2] * 4
    assert read.micrograph.tolist() == [""] * 8  # a stack may hold particles of many
    assert "rlnMicrographName" not in read.table
    assert read.row.tolist() == list(range(1, 9))


def test_uids_are_exact_and_columns_keep_their_types(tmp_path: Path) -> None:
    table = particles()
    read = read_cryosparc(save(tmp_path / "a.cs", table)).take([5, 0])
    assert read.table["uid"].to_list() == table["uid"][[5, 0]].tolist()
    assert read.table["ctf/exp_group_id"].dtype == np.uint32
    assert read.table["alignments3D/pose[1]"].to_list() == table["alignments3D/pose"][[5, 0], 1].tolist()
    assert read.table["ctf/type"].to_list() == ["spline", "spline"]


def test_the_sign_makes_protein_white(tmp_path: Path) -> None:
    table = particles()
    table["blob/sign"][:3] = 1  # dark protein; -1 is written for extracted, inverted images
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    assert read.sign.tolist() == [-1] * 3 + [1] * 5


def _set(name: str, row: int, value: object) -> Callable[[np.ndarray], np.ndarray]:
    def spoil(table: np.ndarray) -> np.ndarray:
        table[name][row] = value
        return table

    return spoil


def _renamed(new: str) -> Callable[[np.ndarray], np.ndarray]:
    def spoil(table: np.ndarray) -> np.ndarray:
        made = table.copy()
        made.dtype.names = tuple(name.replace("alignments3D", new) for name in table.dtype.names)
        return made

    return spoil


BAD: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "not a table": (lambda _: np.zeros((8, 2)), r"no table[\s\S]*shape \(8, 2\)"),
    "no rows": (lambda table: table[:0], "no rows"),
    "no uid": (lambda table: without(table, "uid"), r"no uids[\s\S]*blob/path"),
    "uids as floats": (lambda table: with_column(table, "uid", np.arange(8.0)), r"no uids[\s\S]*float64"),
    "a uid twice": (lambda table: table[[0, 1, 2, 1]], r"row 4: two rows have the same uid[\s\S]*row 2"),
    "2D only": (_renamed("alignments2D"), r"2D alignments only[\s\S]*3D refinement[\s\S]*passthrough="),
    "several classes": (_renamed("alignments_class_0"), r"several classes[\s\S]*alignments_class_0"),
    "several at once": (_renamed("alignments3D_multi"), r"several classes[\s\S]*alignments3D_multi"),
    "no alignments": (
        lambda table: without(table, *(n for n in table.dtype.names if n.startswith("alignments"))),
        "there are no poses",
    ),
    "no blob": (
        lambda table: without(table, *(n for n in table.dtype.names if n.startswith("blob"))),
        r"no image columns[\s\S]*blob/path[\s\S]*passthrough=",
    ),
    "no shift": (lambda table: without(table, "alignments3D/shift"), r"pose columns are missing[\s\S]*shift"),
    "a 2D pose": (
        lambda table: with_column(table, "alignments3D/pose", np.zeros(8, "<f4")),
        r"alignments3D/pose has another form[\s\S]*3 numbers",
    ),
    "text for numbers": (
        lambda table: with_column(table, "ctf/df1_A", np.full(8, b"far")),
        r"ctf/df1_A has another form[\s\S]*one number in a row",
    ),
    "NaN pose": (_set("alignments3D/pose", 2, np.nan), r"row 3: alignments3D/pose is not finite \(1 of 8"),
    "negative pixel size": (_set("blob/psize_A", 4, -2), r"row 5: blob/psize_A is not possible[\s\S]*-2"),
    "volts": (_set("ctf/accel_kv", 0, 3e5), r"row 1: ctf/accel_kv is not possible[\s\S]*300000"),
    "no sign": (_set("blob/sign", 1, 0), r"row 2: blob/sign is not possible[\s\S]*-1 or 1"),
    "third half": (_set("alignments3D/split", 1, 2), r"row 2: alignments3D/split[\s\S]*0 or 1"),
    "oblong": (_set("blob/shape", 6, (16, 18)), r"row 7: blob/shape is not square[\s\S]*16 18"),
    "empty path": (_set("blob/path", 3, b""), r"row 4: blob/path is empty"),
    "path of two lines": (_set("blob/path", 3, b"a\nb.mrc"), r"row 4: blob/path holds a control character"),
    "half a letter": (
        lambda table: with_column(table, "ctf/x", np.array(["ab"] * 7 + ["a\ud800"])),
        r"row 8: ctf/x is not text",
    ),
    "no letters": (
        lambda table: with_column(table, "ctf/x", np.full(8, 2**31 - 1, "<u4").view("<U1")),
        r"row 1: ctf/x is not text",
    ),
    "latin text": (lambda table: with_column(table, "ctf/x", np.full(8, b"\xe9")), "ctf/x is not UTF-8"),
    "complex numbers": (
        lambda table: with_column(table, "ctf/x", np.zeros((8, 2), "<c8")),
        r"ctf/x cannot be kept[\s\S]*complex64",
    ),
    "times": (lambda table: with_column(table, "ctf/x", np.zeros(8, "<M8[s]")), r"ctf/x cannot be kept"),
    "a name in brackets": (
        lambda table: with_column(table, "ctf/x[0]", np.zeros(8)),
        r"\[0\] cannot be",
    ),
    "text with a tab": (_set("ctf/type", 2, b"a\tb"), r"row 3: ctf/type holds a control character"),
    "strange path": (_set("blob/path", 3, b"\xff\xfe"), "not UTF-8"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    spoil, message = BAD[name]
    path = save(tmp_path / "bad.cs", spoil(particles()))
    with pytest.raises(InputError, match=message) as caught:
        read_cryosparc(path)
    assert caught.value.file == path
