"""Stacks are found where RELION's projects put them, and the error lists where they were looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.relion import locate_stacks, read_particles

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.particles import Particles

LABELS = (
    *(
        "rlnImageName",
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnAnglePsi",
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
    ),
    *("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize"),
)


def _particles(folder: Path, *stacks: str) -> Particles:
    folder.mkdir(parents=True, exist_ok=True)
    header = "data_\n\nloop_\n" + "".join(f"_{label}\n" for label in LABELS)
    (folder / "a.star").write_text(
        header + "".join(f"1@{stack} 0 0 0 1e4 1e4 0 300 2.7 0.1 1.5\n" for stack in stacks)
    )
    return read_particles(folder / "a.star")


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_nearest_parent_wins(tmp_path: Path) -> None:
    particles = _particles(tmp_path / "project" / "Refine" / "job1", "Extract/a.mrcs", "b.mrcs")
    far = _touch(tmp_path / "Extract" / "a.mrcs")
    beside = _touch(tmp_path / "project" / "Refine" / "job1" / "b.mrcs")
    assert locate_stacks(particles) == {"Extract/a.mrcs": far, "b.mrcs": beside}
    near = _touch(tmp_path / "project" / "Extract" / "a.mrcs")
    assert locate_stacks(particles)["Extract/a.mrcs"] == near


def test_root_is_the_only_place_when_given(tmp_path: Path) -> None:
    particles = _particles(tmp_path / "job", "a.mrcs")
    _touch(tmp_path / "job" / "a.mrcs")
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(InputError) as caught:
        locate_stacks(particles, root)
    assert str(root / "a.mrcs") in str(caught.value)
    assert str(tmp_path / "job" / "a.mrcs") not in str(caught.value.found)
    assert locate_stacks(particles, root=_touch(root / "a.mrcs").parent) == {"a.mrcs": root / "a.mrcs"}
    with pytest.raises(InputError, match="root folder"):
        locate_stacks(particles, tmp_path / "nowhere")


def test_absolute_name(tmp_path: Path) -> None:
    stack = _touch(tmp_path / "elsewhere" / "a.mrcs")
    particles = _particles(tmp_path / "job", str(stack))
    assert locate_stacks(particles) == {str(stack): stack}
    stack.unlink()
    moved = _touch(tmp_path / "root" / stack.relative_to("/"))
    assert locate_stacks(particles, tmp_path / "root") == {str(stack): moved}


def test_error_lists_every_place_and_the_row(tmp_path: Path) -> None:
    particles = _particles(tmp_path / "job", "a.mrcs", "gone/b.mrcs", "gone/c.mrcs")
    _touch(tmp_path / "job" / "a.mrcs")
    with pytest.raises(InputError, match=r"b\.mrcs is not there, nor are 1 others") as caught:
        locate_stacks(particles)
    assert caught.value.row == 2
    for folder in (tmp_path / "job", *(tmp_path / "job").parents):
        assert f"    {folder / 'gone' / 'b.mrcs'}" in str(caught.value)
    assert "root=" in str(caught.value)
