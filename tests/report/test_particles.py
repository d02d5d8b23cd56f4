"""The picture of particles: the same ones for every arm, and no arm that shows others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.io.mrc import StackWriter
from cryoalign.report import particles
from cryoalign.report.arms import compare
from cryoalign.report.particles import particle_gallery
from tests.report.example import make

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.report.run_result import RunResult

BOX, PIXEL_SIZE = 16, 3.54
HEAD = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnImageOriginalName #2\n"


def raw_image(number: int, data: int = 0) -> np.ndarray:
    return np.random.default_rng([data, number]).normal(size=(BOX, BOX)).astype(np.float32)


def write_run(folder: Path, weight: float, numbers: list[int], *, data: int = 0, box: int = BOX) -> RunResult:
    """A run whose test holds particles of these numbers; the pixels of its fakes are its weight."""
    (folder / "test").mkdir(parents=True)
    raw = np.stack([raw_image(number, data)[:box, :box] for number in numbers])
    for kind, images in {"sim": raw + 1, "fake": np.full_like(raw, weight), "raw": raw}.items():
        with StackWriter(folder / "test" / f"{kind}.mrcs", len(numbers), box, PIXEL_SIZE) as writer:
            writer.write(images)
    lines = [f"{place:06d}@fake.mrcs {number:06d}@raw.mrcs" for place, number in enumerate(numbers, start=1)]
    (folder / "test" / "fake.star").write_text(HEAD + "\n".join(lines) + "\n")
    return replace(make("x", loss__weights__rpsd=weight), folder=folder)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """What is drawn, by the name of its row."""
    rows: dict[str, np.ndarray] = {}
    draw = particles.gallery

    def noting(stacks, *arguments, **options):
        rows.update(stacks)
        return draw(stacks, *arguments, **options)

    monkeypatch.setattr(particles, "gallery", noting)
    return rows


def test_every_arm_shows_the_particles_that_all_were_tested_on(tmp_path, drawn):
    runs = [write_run(tmp_path / "a", 0.5, [1, 2, 3, 5]), write_run(tmp_path / "b", 0, [5, 4, 3, 2])]
    picture = particle_gallery(compare(runs))
    assert picture.png.startswith(b"\x89PNG")
    assert picture.notes == ()
    assert list(drawn) == ["sim", "A\nrpsd=0.5", "B\nrpsd=0", "raw"]
    raw = np.stack([raw_image(number) for number in (2, 3, 5)])
    np.testing.assert_array_equal(drawn["raw"], raw)
    np.testing.assert_array_equal(drawn["sim"], raw + 1)
    assert (drawn["A\nrpsd=0.5"] == 0.5).all()
    assert (drawn["B\nrpsd=0"] == 0).all()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"numbers": [7, 8]}, "it was tested on other particles than arm A (another split)."),
        ({"numbers": [1, 2], "data": 1}, "its raw images are others than those of arm A, by the same names."),
        ({"numbers": [1, 2], "box": 8}, "its images have another box or pixel size than those of arm A."),
    ],
)
def test_an_arm_that_shows_other_particles_is_left_out_and_named(tmp_path, drawn, other, reason):
    runs = [write_run(tmp_path / "a", 0.5, [1, 2]), write_run(tmp_path / "b", 0, **other)]
    assert particle_gallery(compare(runs)).notes == (f"Without B: rpsd=0: {reason}",)
    assert list(drawn) == ["sim", "A\nrpsd=0.5", "raw"]


def test_stacks_that_were_not_kept_or_cannot_be_read(tmp_path, drawn):
    runs = [make("nowhere"), write_run(tmp_path / "b", 0, [1])]
    (tmp_path / "b" / "test" / "fake.mrcs").write_bytes(b"no stack")
    picture = particle_gallery(compare(runs))
    assert picture.png == b""
    assert "no run kept them" in picture.notes[0]
    assert "fake.mrcs" in picture.notes[1]
    assert not drawn


def test_a_few_of_many_spread_over_all(tmp_path, drawn):
    particle_gallery(compare([write_run(tmp_path / "a", 0.5, list(range(1, 11)))]))
    np.testing.assert_array_equal(drawn["raw"], np.stack([raw_image(number) for number in (1, 4, 7, 10)]))
