"""Rows of new particles: each its own, whatever is asked for beside it; who they are, and where from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.simulated import simulated_uids
from cryoalign.particles import Particles
from cryoalign.population.identity import micrograph_names
from cryoalign.population.population import Population
from cryoalign.population.poses import Like
from tests.population.measured import measured

LIKE = measured()


def same(one: Particles, other: Particles) -> bool:
    arrays = ("row", "optics_index", "micrograph", "angles", "shift", "defocus", "phase_shift", "half")
    return one.table.equals(other.table) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def test_more_begin_with_the_fewer() -> None:
    rows = np.arange(2500)
    few, many = Population(LIKE, 2500, seed=3), Population(LIKE, 9000, seed=3)
    assert same(few.take(rows), many.take(rows))
    assert np.array_equal(few.optics_index, many.optics_index[:2500])
    assert not same(few.take(rows), Population(LIKE, 2500, seed=4).take(rows))


def test_rows_in_any_order_and_number() -> None:
    population = Population(LIKE, 4000, poses=Like())
    whole = population.take(np.arange(4000))
    rows = np.array([3999, 5, 1000, 999, 5])
    assert same(population.take(rows), whole.take(rows))
    parts = list(population.parts())
    assert np.concatenate([rows for rows, _ in parts]).tolist() == list(range(4000))
    assert all(same(part, whole.take(rows)) for rows, part in parts)
    assert np.array_equal(population.optics_index, whole.optics_index)
    assert np.array_equal(population.row, whole.row)


def test_halves_are_balanced_in_each_block_of_1000_rows() -> None:
    half = Population(LIKE, 5000).take(np.arange(5000)).half
    assert np.count_nonzero(half.reshape(5, 1000) == 1, axis=1).tolist() == [500] * 5


def test_only_conditions_are_taken_from_measured_ones() -> None:
    drawn = Population(LIKE, 50).take(np.arange(50))
    assert {"rlnMicrographPreExposure", "rlnTomoNominalStageTiltAngle"} < set(drawn.table)
    assert not {"rlnCoordinateX", "rlnNormCorrection", "rlnImageOriginalName"} & set(drawn.table)
    assert [group.name for group in drawn.optics] == ["krios", "arctica"]  # nobody is of the third
    assert drawn.optics[0].beam_tilt == (0.2, 0.0)
    place = [LIKE.image_name.tolist().index(name) for name in drawn.table["rlnOriginalParticleName"]]
    np.testing.assert_array_equal(drawn.defocus, LIKE.defocus[place])
    assert drawn.table["rlnMicrographMovieName"].tolist() == LIKE.micrograph[place].tolist()


def made(population: Population, map_: Path, **options: object) -> Population:
    return population.made_of([str(map_)], options, {str(map_): map_.read_text()})


def test_uids_are_a_data_sets_own(tmp_path: Path) -> None:
    for name in ("a.mrc", "b.mrc"):
        (tmp_path / name).write_text(name)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/c.mrc").write_text("a.mrc")
    a, b, moved = (tmp_path / name for name in ("a.mrc", "b.mrc", "moved/c.mrc"))
    population = Population(LIKE, 3000)
    options = {"seed": 0, "count": 3000, "specimen": {"file": str(a)}}

    def uids(made: Population) -> list[int]:
        found = simulated_uids(made.take(np.arange(3000)))
        assert found is not None
        return found.tolist()

    first = uids(made(population, a, **options))
    assert len(set(first)) == 3000
    more = made(Population(LIKE, 5000), a, **{**options, "count": 5000})
    assert uids(more) == first
    assert uids(made(population, moved, **{**options, "specimen": {"file": str(moved)}})) == first
    others = [
        made(population, b, **{**options, "specimen": {"file": str(b)}}),
        made(population, a, **{**options, "detector": {"dose": 3.0}}),
        made(Population(LIKE, 3000, seed=1), a, **options),
        made(Population(LIKE, 3000, poses=Like()), a, **options),
    ]
    assert not any(set(first) & set(uids(other)) for other in others)


def test_micrographs_keep_who_shares_one_and_are_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "a.mrc").write_text("map")
    rows = np.arange(400)
    one = made(Population(LIKE, 400), tmp_path / "a.mrc").take(rows)
    source = one.table["rlnMicrographMovieName"].to_numpy()
    pairs = set(zip(one.micrograph.tolist(), source.tolist(), strict=True))
    assert len(pairs) == len(set(one.micrograph)) == len(set(source)) == 20
    assert not set(one.micrograph) & set(source)
    assert all(name.endswith(of) for name, of in pairs)
    other = made(Population(LIKE, 400, seed=1), tmp_path / "a.mrc").take(rows)
    assert not set(one.micrograph) & set(other.micrograph)
    paths = ["/data/a.mrc", "../b.mrc", "./.hidden/c.mrc"]
    assert micrograph_names("0123456789", paths) == [
        "simulated_01234567/data/a.mrc",
        "simulated_01234567/b.mrc",
        "simulated_01234567/.hidden/c.mrc",
    ]
    nameless = replace(LIKE, micrograph=np.full(len(LIKE), ""))
    drawn = Population(nameless, 5).take(np.arange(5))
    assert set(drawn.micrograph) == {""}
    assert "rlnMicrographMovieName" not in drawn.table


def test_measured_particles_have_no_such_uids() -> None:
    assert simulated_uids(LIKE) is None
    tilts = LIKE.table.assign(rlnParticleName=[f"TS_01/{i // 3}" for i in range(len(LIKE))])
    assert simulated_uids(replace(LIKE, table=tilts)) is None


@pytest.mark.parametrize("count", [0, -3])
def test_no_particles_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="count is out of range"):
        Population(LIKE, count)


def test_symmetry_expanded_particles_are_refused() -> None:
    with pytest.raises(InputError, match="symmetry expansion") as refused:
        Population(LIKE.take([*range(20), 7, 9]), 5)
    assert "row 8" in str(refused.value)
    assert "2 of 22 rows" in str(refused.value)
