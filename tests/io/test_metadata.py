"""One entry reads both programs' files, told apart by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import passthrough_files, read_particles
from cryoalign.io.relion import write_particles
from tests.io.cryosparc_files import location, particles, save

if TYPE_CHECKING:
    from pathlib import Path


def test_both_kinds_are_told_by_their_content(tmp_path: Path) -> None:
    from_cs = read_particles(save(tmp_path / "a.cs", particles()))
    other_suffix = read_particles(save(tmp_path / "particles.npy", particles()))
    assert other_suffix.table["uid"].to_list() == from_cs.table["uid"].to_list()
    write_particles(tmp_path / "a.star", from_cs)
    from_star = read_particles(tmp_path / "a.star")
    np.testing.assert_allclose(from_star.angles, from_cs.angles, rtol=1e-10)
    assert from_star.image_name.tolist() == from_cs.image_name.tolist()


def test_a_star_file_has_only_labels_of_relions(tmp_path: Path) -> None:
    table = particles()
    read = read_particles(save(tmp_path / "a.cs", table), save(tmp_path / "p.cs", location(table)))
    assert "ctf/exp_group_id" in read.table
    write_particles(tmp_path / "a.star", read, box=16)
    lines = (tmp_path / "a.star").read_text().splitlines()
    assert {line[:4] for line in lines if line.startswith("_")} == {"_rln"}
    assert read_particles(tmp_path / "a.star").micrograph.tolist() == read.micrograph.tolist()


def test_passthrough_is_one_path_or_several(tmp_path: Path) -> None:
    assert passthrough_files(None) == []
    assert passthrough_files("a.cs") == passthrough_files(["a.cs"]) == [passthrough_files("a.cs")[0]]
    with pytest.raises(InputError, match=r"passthrough names no files[\s\S]*found: 3"):
        passthrough_files(3)  # type: ignore[arg-type]


def test_what_has_no_passthrough(tmp_path: Path) -> None:
    read = read_particles(save(tmp_path / "a.cs", particles()))
    write_particles(tmp_path / "a.star", read)
    with pytest.raises(InputError, match=r"a\.star: passthrough files belong to CryoSPARC"):
        read_particles(tmp_path / "a.star", tmp_path / "a.cs")


def test_what_is_no_metadata(tmp_path: Path) -> None:
    (tmp_path / "text.cs").write_text("data_particles\n")
    (tmp_path / "group.csg").write_text("results: {}\n")
    for name, message in (
        ("text.cs", r"text\.cs: this is not a CryoSPARC \.cs file"),
        ("gone.cs", r"gone\.cs: there is no such file"),
        ("gone.star", r"gone\.star: there is no such file[\s\S]*a STAR file"),
        ("group.csg", r"group\.csg: this file only describes[\s\S]*\.cs"),
    ):
        with pytest.raises(InputError, match=message):
            read_particles(tmp_path / name)


def test_stacks_are_found_from_the_project_folder(tmp_path: Path) -> None:
    project = tmp_path / "P12"
    (project / "J19" / "extract").mkdir(parents=True)
    (project / "J24").mkdir()
    table = particles()
    table["blob/path"] = [b">J19/extract/a.mrc", b"J19/extract/b.mrc"] * 4
    for name in ("a.mrc", "b.mrc"):
        (project / "J19" / "extract" / name).touch()
    within = read_particles(save(project / "J24" / "particles.cs", table))
    expected = {f"J19/extract/{name}": project / "J19" / "extract" / name for name in ("a.mrc", "b.mrc")}
    assert locate_stacks(within) == expected
    (tmp_path / "elsewhere").mkdir()
    apart = read_particles(save(tmp_path / "elsewhere" / "particles.cs", table))
    assert locate_stacks(apart, root=project) == expected
    with pytest.raises(
        InputError, match=r"J19/extract/a\.mrc is not there[\s\S]*CryoSPARC's is the project's"
    ):
        locate_stacks(apart)
