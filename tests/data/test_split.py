"""Groups stay together, shares are met, and a seed gives one split whatever the order of the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from cryoalign.data.split import Split, split_particles
from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("train", "validation", "test")


def _particles(group: list[str] | np.ndarray, **table: object) -> Particles:
    count = len(group)
    return Particles.make(
        Path("raw.star"),
        (Optics(1, "krios", 1.5, 300.0, 2.7, 0.1, 64), Optics(2, "arctica", 1.5, 200.0, 2.7, 0.1, 64)),
        count,
        optics_index=np.arange(count) % 2,
        stack=np.full(count, "a.mrcs"),
        micrograph=np.array(group, dtype=np.str_),
        table=pd.DataFrame({"rlnMicrographName": group, **table}),
    )


def _check(split: Split, count: int) -> dict[str, int]:
    """Every row in one part, every group in one part; gives the sizes."""
    rows = np.concatenate([getattr(split, part) for part in PARTS])
    np.testing.assert_array_equal(np.sort(rows), np.arange(count))
    groups = [set(split.group[getattr(split, part)].tolist()) for part in PARTS]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])
    return {part: len(getattr(split, part)) for part in PARTS}


def _names(particles: Particles, split: Split, part: str) -> set[str]:
    return set(particles.image_name[getattr(split, part)].tolist())


def test_even_groups() -> None:
    particles = _particles([f"m{i:02d}" for i in range(50) for _ in range(7)])
    assert _check(split_particles(particles), 350) == {"train": 280, "validation": 35, "test": 35}


@pytest.mark.parametrize("seed", range(20))
def test_uneven_groups_meet_the_shares(seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 60, 40)
    particles = _particles(np.repeat([f"m{i}" for i in range(40)], sizes))
    count = int(sizes.sum())
    found = _check(
        split_particles(particles, seed=seed, fractions={"train": 0.7, "validation": 0.2, "test": 0.1}), count
    )
    for part, share in {"train": 0.7, "validation": 0.2, "test": 0.1}.items():
        assert abs(found[part] - share * count) <= 2


def test_large_group_does_not_fit_a_small_share() -> None:
    particles = _particles(np.repeat(["huge", "a", "b"], [100, 1, 1]))
    for seed in range(10):
        split = split_particles(particles, seed=seed)
        assert _check(split, 102) == {"train": 100, "validation": 1, "test": 1}


def test_seed_and_order() -> None:
    particles = _particles([f"m{i:02d}" for i in range(30) for _ in range(5)])
    shuffled = particles.take(np.random.default_rng(0).permutation(len(particles)))
    a, b, c = split_particles(particles), split_particles(particles, seed=1), split_particles(shuffled)
    for part in PARTS:
        assert _names(particles, a, part) == _names(shuffled, c, part)
        assert (np.diff(getattr(a, part)) > 0).all()
        assert getattr(a, part).dtype == np.int64
    assert _names(particles, a, "test") != _names(particles, b, "test")


def test_every_group_is_drawn_by_some_seed() -> None:
    sizes = np.arange(5, 25)
    particles = _particles(np.repeat([f"m{i}" for i in range(20)], sizes))
    drawn = [
        set(s.group[s.test].tolist()) for s in (split_particles(particles, seed=seed) for seed in range(80))
    ]
    assert len(set.union(*drawn)) == 20  # large and small micrographs alike


def test_share_of_zero() -> None:
    particles = _particles(["a", "a", "b", "b"])
    split = split_particles(particles, fractions={"train": 0.5, "validation": 0.5})
    assert _check(split, 4) == {"train": 2, "validation": 2, "test": 0}


@pytest.mark.parametrize(
    "fractions",
    [
        {"train": 0.5, "validation": 0.1, "test": 0.1},
        {"train": 0.8, "val": 0.1, "test": 0.1},
        {"train": 1.2, "validation": -0.1, "test": -0.1},
        {"validation": 0.5, "test": 0.5},
        {"train": float("nan"), "validation": 0.5, "test": 0.5},
    ],
)
def test_senseless_fractions(fractions: dict[str, float]) -> None:
    with pytest.raises(InputError, match="fractions of the split make no sense"):
        split_particles(_particles(["a", "b", "c"]), fractions=fractions)


def test_fewer_groups_than_parts() -> None:
    with pytest.raises(InputError, match=r"raw\.star: .*fewer groups(.|\n)*at least 3(.|\n)*found: 2: a, b"):
        split_particles(_particles(["a", "a", "b"]))
    assert len(split_particles(_particles(["a", "b"]), fractions={"train": 0.5, "test": 0.5}).test) == 1


def test_any_column() -> None:
    particles = _particles(
        ["m"] * 60, rlnGroupNumber=np.repeat(np.arange(10), 6), rlnTomoName=["t1", "t2", "t3"] * 20
    )
    assert set(split_particles(particles, by="rlnGroupNumber").group.tolist()) == {str(i) for i in range(10)}
    _check(split_particles(particles, by="rlnTomoName"), 60)
    split = split_particles(particles, by="rlnOpticsGroupName", fractions={"train": 0.5, "test": 0.5})
    assert set(split.group[split.train].tolist()) in ({"krios"}, {"arctica"})


def test_missing_column() -> None:
    with pytest.raises(
        InputError, match=r"column to split by is missing(.|\n)*expected: nothing(.|\n)*rlnMicrographName"
    ):
        split_particles(_particles(["a", "b", "c"]), by="nothing")
    with pytest.raises(InputError, match=r"is missing(.|\n)*expected: rlnMicrographName"):
        split_particles(_particles(["", "", ""]))
    with pytest.raises(InputError, match=r"raw\.star, row 2: a particle has no group"):
        split_particles(_particles(["a", "", "b", "c"]))


@pytest.mark.parametrize("pattern", [r"^Unt_\d+", r"^Unt_(\d+)_tilt", r"(\d+)_(tilt)"])
def test_pattern(pattern: str) -> None:
    particles = _particles([f"Unt_{tomo}_tilt{tilt}.mrc" for tomo in range(10) for tilt in range(4)])
    split = split_particles(particles, pattern=pattern)
    assert len(set(split.group.tolist())) == 10
    assert _check(split, 40) == {"train": 32, "validation": 4, "test": 4}


def test_bad_pattern() -> None:
    particles = _particles(["Unt_1", "other", "Unt_3"])
    with pytest.raises(
        InputError, match=r"raw\.star, row 2: (.|\n)*does not match(.|\n)*Unt_\(\.\)(.|\n)*found: other"
    ):
        split_particles(particles, pattern="Unt_(.)")
    with pytest.raises(InputError, match="not a regular expression"):
        split_particles(particles, pattern="Unt_(")
    with pytest.raises(InputError, match=r"data\.split\.kind"):
        split_particles(particles, kind="quarter")


def test_half_sets() -> None:
    particles = _particles([f"m{i // 10}" for i in range(200)])
    particles = replace(particles, half=np.where(np.arange(200) % 2, 2, 1))
    split = split_particles(particles, kind="half", fractions={"train": 0.6, "validation": 0.2, "test": 0.2})
    np.testing.assert_array_equal(split.test, np.arange(1, 200, 2))
    assert (len(split.train), len(split.validation)) == (75, 25)
    assert not set(split.group[split.train].tolist()) & set(split.group[split.validation].tolist())


def test_bad_half_sets() -> None:
    particles = _particles(["a", "b", "c", "d"])
    with pytest.raises(InputError, match=r"no half-sets(.|\n)*rlnRandomSubset"):
        split_particles(particles, kind="half")
    with pytest.raises(InputError, match="row 3: a particle is in no half-set"):
        split_particles(replace(particles, half=np.array([1, 2, 0, 1])), kind="half")
    with pytest.raises(InputError, match="all particles are in one half-set"):
        split_particles(replace(particles, half=np.array([1, 1, 1, 1])), kind="half")


def test_file_by_image(tmp_path: Path) -> None:
    particles = _particles(["a", "b", "c", "a"])
    file = tmp_path / "split.csv"
    file.write_text(
        "rlnImageName,part\n1@a.mrcs,train\n000002@a.mrcs,test\n3@a.mrcs,validation\n4@a.mrcs,train\n9@b.mrcs,test\n"
    )
    split = split_particles(particles, kind="file", file=file)
    assert [getattr(split, part).tolist() for part in PARTS] == [[0, 3], [2], [1]]
    assert split.group.tolist() == ["a", "b", "c", "a"]


def test_file_by_group(tmp_path: Path) -> None:
    particles = _particles(["t1_1", "t2_1", "t3_1", "t1_2"])
    file = tmp_path / "split.star"
    file.write_text("data_\n\nloop_\n_rlnMicrographName\n_part\nt1 train\nt2 validation\nt3 train\n")
    split = split_particles(particles, kind="file", file=file, pattern="^[^_]+")
    assert [getattr(split, part).tolist() for part in PARTS] == [[0, 2, 3], [1], []]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rlnImageName,part\n1@a.mrcs,train\n2@a.mrcs,val\n",
            r"split\.csv, row 2: unknown choice for part(.|\n)*found: val",
        ),
        ("rlnImageName,part\n1@a.mrcs,train\n1@a.mrcs,test\n", r"split\.csv, row 2: .*in two parts"),
        (
            "rlnImageName,part\n1@a.mrcs,train\n",
            r"raw\.star, row 2: a particle is not in the split file .* \(1 in all\)",
        ),
        ("rlnImageName,part\n1@a.mrcs,test\n2@a.mrcs,test\n", "nothing to train on"),
        ("rlnImageName,what\n1@a.mrcs,test\n", r"does not hold a split(.|\n)*column part"),
        ("rlnMicrographName,part\na,train\n", r"raw\.star, row 2: (.|\n)*found: b"),
        ("", "cannot be read"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "split.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        split_particles(_particles(["a", "b"]), kind="file", file=file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.split\.file=FILE"):
        split_particles(_particles(["a", "b"]), kind="file")
    for name in ("none.csv", "none.star"):
        with pytest.raises(InputError, match="no such file"):
            split_particles(_particles(["a", "b"]), kind="file", file=tmp_path / name)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("dose", "pattern", "warned"),
    [
        ([0.0, 3.0, 6.0, 9.0] * 6, None, True),
        ([0.0, 3.0, 6.0, 9.0] * 6, "^(.*)_", False),
        ([1.5] * 24, None, False),
        (range(24), None, False),  # of each particle, not of a micrograph
    ],
)
def test_tilt_images_that_are_parted_are_warned_of(
    dose: Sequence[float], pattern: str | None, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{tomogram}_{tilt:02d}" for tomogram in "abc" for tilt in range(4)]
    particles = _particles(2 * names, rlnMicrographPreExposure=dose)
    split_particles(particles, pattern=pattern)
    assert ("tilt series" in caplog.text) == warned


def test_tilts_of_one_tomogram_stay_together(shared_data: Path) -> None:
    particles = read_particles(shared_data / "ribosome_10499" / "particles.star")
    split = split_particles(particles, pattern=r"^(.+)_tilt\d+")
    _check(split, 1430)
    tomograms = [
        {name.split("_tilt")[0] for name in particles.micrograph[getattr(split, part)]} for part in PARTS
    ]
    assert all(tomograms)
    assert not (tomograms[0] & tomograms[1] | tomograms[0] & tomograms[2] | tomograms[1] & tomograms[2])
