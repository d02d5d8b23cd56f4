"""What is written of CryoSPARC's particles is what is read again, by us and by cryosparc-tools."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoalign.io.cryosparc.read import read_cryosparc
from cryoalign.io.cryosparc.write import cryosparc_columns, write_cryosparc, write_parts, write_table
from cryoalign.particles import Particles
from tests.io.cryosparc_files import ABERRATIONS, FIELDS, location, particles, save, with_column

if TYPE_CHECKING:
    from pathlib import Path


def _turned(a: Particles, b: Particles) -> np.ndarray:
    """Degrees between the poses."""
    rotations = [Rotation.from_euler("ZYZ", each.angles, degrees=True) for each in (a, b)]
    return np.rad2deg((rotations[0].inv() * rotations[1]).magnitude())


def _assert_same(a: Particles, b: Particles) -> None:
    for name in ("half", "micrograph", "phase_shift", "ctf_bfactor", "ctf_scale", "defocus"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_allclose(a.shift, b.shift, rtol=1e-6)
    assert _turned(a, b).max() < 5e-5
    assert a.table["uid"].to_list() == b.table["uid"].to_list()
    names = ("pixel_size", "voltage", "spherical_aberration", "amplitude_contrast", "box_size")
    for name in names:
        np.testing.assert_array_equal(a.optics_column(name), b.optics_column(name))
    assert [group.name for group in a.optics] == [group.name for group in b.optics]


@pytest.fixture
def joined(tmp_path: Path) -> Particles:
    table = particles()
    table["ctf/exp_group_id"][:3], table["ctf/cs_mm"][:3] = 2, 2.71
    table["alignments3D/psize_A"] = 4
    table["blob/sign"] = 1
    return read_cryosparc(save(tmp_path / "raw.cs", table), [save(tmp_path / "p.cs", location(table))])


def test_round_trip(tmp_path: Path, joined: Particles) -> None:
    write_cryosparc(tmp_path / "new.cs", joined, stack="sim.mrcs", box=16)
    back = read_cryosparc(tmp_path / "new.cs")
    _assert_same(joined, back)
    assert back.stack.tolist() == ["sim.mrcs"] * 8
    assert back.slot.tolist() == list(range(8))
    assert (back.sign == 1).all(), "simulated images show white protein"
    same = [name for name in joined.table.columns if not name.startswith(("blob/", "alignments3D/"))]
    for name in same:
        assert back.table[name].dtype == joined.table[name].dtype, name
        assert back.table[name].to_list() == joined.table[name].to_list(), name
    assert back.table["alignments3D/psize_A"].to_list() == [4] * 8


def test_a_selection_in_another_order(tmp_path: Path, joined: Particles) -> None:
    some = joined.take([6, 1, 3])
    write_cryosparc(tmp_path / "new.cs", some, stack="sim.mrcs", box=16)
    _assert_same(some, read_cryosparc(tmp_path / "new.cs"))


def test_columns_have_cryosparcs_types(tmp_path: Path, joined: Particles) -> None:
    write_cryosparc(
        tmp_path / "new.cs", joined, stack="a/longer/name/than/before/sim.mrcs", box=24, pixel_size=1.5
    )
    table = np.load(tmp_path / "new.cs", allow_pickle=False)
    for name, kind in FIELDS.items():
        expected = np.dtype((kind[0], kind[1] if len(kind) > 1 else ()))
        if expected.kind != "S":
            assert table.dtype[name] == expected, name
    assert set(table["blob/path"].tolist()) == {b"a/longer/name/than/before/sim.mrcs"}
    assert table["blob/sign"].tolist() == [-1] * 8
    assert table["blob/shape"].tolist() == [[24, 24]] * 8
    assert set(table["blob/psize_A"].tolist()) == {1.5}
    assert table["alignments3D/split"].tolist() == [0, 1] * 4
    assert table["location/micrograph_shape"].tolist() == [[3838, 3710]] * 8
    assert all((table[name] == 0).all() for name in ABERRATIONS)


def test_aberrations_are_not_claimed_for_the_images(tmp_path: Path) -> None:
    table = particles()
    table["ctf/trefoil_A"] = 30
    raw = read_cryosparc(save(tmp_path / "raw.cs", table))
    write_cryosparc(tmp_path / "new.cs", raw, stack="sim.mrcs", box=16)
    assert not any(group.unmodelled for group in read_cryosparc(tmp_path / "new.cs").optics)


def test_columns_of_any_shape_come_back(tmp_path: Path) -> None:
    columns = {
        "my/words": np.array([[f"ä {row}", "q'"] for row in range(8)]),
        "my/matrix": np.arange(48, dtype="<f4").reshape(8, 2, 3),
        "my/flags": np.arange(16).reshape(8, 2) % 3 == 0,
        "my/name\u0085": np.array(["a\u3000b"] * 8),
    }
    table = particles()
    for name, values in columns.items():
        table = with_column(table, name, values)
    write_cryosparc(tmp_path / "b.cs", read_cryosparc(save(tmp_path / "a.cs", table)), stack="s.mrcs", box=16)
    back = np.load(tmp_path / "b.cs", allow_pickle=False)
    for name, values in columns.items():
        found = np.char.decode(back[name], "utf-8") if values.dtype.kind == "U" else back[name]
        assert found.tolist() == values.tolist(), name
        assert found.dtype == values.dtype, name


def test_cryosparcs_own_reader_takes_it(tmp_path: Path, joined: Particles) -> None:
    dataset = pytest.importorskip("cryosparc.dataset")
    write_cryosparc(tmp_path / "new.cs", joined, stack="sim.mrcs", box=16)
    theirs = dataset.Dataset.load(str(tmp_path / "new.cs"))
    assert theirs["uid"].tolist() == joined.table["uid"].to_list()
    assert set(theirs["blob/path"].tolist()) == {"sim.mrcs"}
    np.testing.assert_allclose(theirs["alignments3D/shift"] * 4, joined.shift, rtol=1e-6)


def test_a_star_files_particles_have_no_uids(tmp_path: Path, joined: Particles) -> None:
    with pytest.raises(ValueError, match="no uids"):
        write_cryosparc(
            tmp_path / "new.cs", replace(joined, table=joined.table[["blob/idx"]]), stack="sim.mrcs", box=16
        )


@pytest.mark.realdata
def test_the_real_file(tmp_path: Path, shared_data: Path) -> None:
    raw = read_cryosparc(shared_data / "formats" / "cryosparc_P12_J24_001_particles.cs")
    write_cryosparc(tmp_path / "new.cs", raw, stack="sim.mrcs", box=180)
    back = read_cryosparc(tmp_path / "new.cs")
    _assert_same(raw, replace(back, micrograph=raw.micrograph))  # which the file itself does not name
    before = np.load(raw.source, allow_pickle=False)
    after = np.load(tmp_path / "new.cs", allow_pickle=False)
    for name in before.dtype.names:
        if name not in {"blob/path", "blob/idx", "alignments3D/pose"}:
            assert before.dtype[name] == after.dtype[name] or before.dtype[name].kind == "S", name
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_parts_make_the_file_that_the_whole_makes(tmp_path: Path, joined: Particles) -> None:
    """Texts of different lengths, too."""
    columns = cryosparc_columns(joined, stack=np.array(["a.mrcs"] * 5 + ["longer.mrcs"] * 3), box=16)
    write_table(tmp_path / "whole.cs", columns)

    def parts() -> list[dict[str, np.ndarray]]:
        stacks = np.array(["a.mrcs"] * 5), np.array(["longer.mrcs"] * 3)
        slots = np.arange(5), np.arange(5, 8)
        return [
            cryosparc_columns(joined.take(slot), stack=stack, slot=slot, box=16)
            for stack, slot in zip(stacks, slots, strict=True)
        ]

    write_parts(tmp_path / "parts.cs", parts)
    assert (tmp_path / "parts.cs").read_bytes() == (tmp_path / "whole.cs").read_bytes()
