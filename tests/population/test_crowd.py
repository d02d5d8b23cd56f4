"""Neighbours of new particles: as many, as far and as measured ones are, in poses of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import ks_2samp, kstest

from cryoalign.particles import Particles
from cryoalign.population.classes import Classes
from cryoalign.population.conditions import Ranges
from cryoalign.population.crowd import Crowd
from cryoalign.population.places import Places
from cryoalign.population.population import Population
from cryoalign.population.poses import FromFile
from cryoalign.population.poses import Like as LikePoses
from tests.population.measured import GROUPS, measured

COUNT, REACH = 1500, 60.0
APART, SIDE, PIXEL = 40.0, 600.0, 1.5
"""Least distance of particles and side of a micrograph in A; pixel size."""


def crowded(micrographs: int = 12, seed: int = 0) -> Particles:
    """Particles none closer than `APART`, more on one micrograph than on another, in pixels of 0.5 A."""
    rng = np.random.default_rng(seed)
    places: list[NDArray[np.float64]] = []
    names: list[str] = []
    for number in range(micrographs):
        here = np.zeros((0, 2))
        for place in rng.uniform(0, SIDE, (40 + 20 * number, 2)):
            if not len(here) or np.linalg.norm(here - place, axis=1).min() > APART:
                here = np.vstack([here, place])
        places.append(here)
        names += [f"mic_{number}"] * len(here)
    like = measured(len(names))
    groups = tuple(replace(group, micrograph_pixel_size=0.5) for group in GROUPS)
    x, y = (np.concatenate(places) + like.shift).T / 0.5 + 100  # the content sits at minus the origin
    table = like.table.assign(rlnCoordinateX=x, rlnCoordinateY=y)
    return replace(like, optics=groups, micrograph=np.array(names), table=table)


LIKE = crowded()
PLACES = Places.of(LIKE, 64)


def crowd(count: int = COUNT, **options: object) -> Crowd:
    return Crowd(Population(LIKE, count, seed=2, **options), PLACES)


def fields(of: Crowd, count: int = COUNT) -> list[NDArray[np.float64]]:
    """Return for each new particle the places of all in its field, in A: its own, and those around."""
    rows = np.arange(count)
    here, _, others = of.around(rows, REACH)
    middle = of.population.take(rows)
    return [np.vstack([-middle.shift[row], -others.shift[here == row]]) for row in rows]


def measured_fields() -> list[NDArray[np.float64]]:
    """Return the same of the measured ones, found one by one."""
    found = []
    for row in range(len(LIKE)):
        away = PLACES.centres - PLACES.boxes[row]
        near = np.abs(away).max(axis=1) <= REACH * PIXEL
        near &= (LIKE.micrograph == LIKE.micrograph[row]) & (np.arange(len(LIKE)) != row)
        found.append(np.vstack([-LIKE.shift[row], away[near]]))
    return found


KNOWN = measured_fields()


def alike(found: list[NDArray[np.float64]]) -> bool:
    """Return whether density, distances from the middle and among each other are those measured."""
    if min(pdist(field).min(initial=np.inf) for field in found) < APART - 1:  # coordinates are rounded
        return False
    facts = (
        lambda field: [float(len(field))],
        lambda field: np.linalg.norm(field[1:] - field[0], axis=1)[:1],
        lambda field: pdist(field[1:])[:1],
        lambda field: field[1:2, 0],
    )
    samples = [[np.concatenate([fact(one) for one in some]) for some in (found, KNOWN)] for fact in facts]
    return min(float(ks_2samp(*pair).pvalue) for pair in samples) > 1e-3


def test_density_and_distances_are_those_measured() -> None:
    assert np.mean([len(field) for field in KNOWN]) > 5
    assert alike(fields(crowd()))
    assert alike(fields(crowd(shifts=None)))


def test_sabotaged_neighbours_are_seen() -> None:
    found = fields(crowd())
    rng = np.random.default_rng(0)
    anywhere = [np.vstack([field[:1], rng.uniform(-90, 90, field[1:].shape)]) for field in found]
    of_another = [
        np.vstack([one[:1], two[1:]]) for one, two in zip(found, [*found[1:], found[0]], strict=True)
    ]
    fewer = [field[: len(field) - len(field) // 5] for field in found]
    mirrored = [np.vstack([field[:1], -np.abs(field[1:])]) for field in found]
    scaled = [1.1 * field for field in found]
    for wrong in (anywhere, of_another, fewer, mirrored, scaled):
        assert not alike(wrong)


def test_each_is_where_a_measured_one_was_and_as_that_was_imaged() -> None:
    rows = np.arange(300)
    of = crowd(300)
    here, numbers, others = of.around(rows, REACH)
    middle = of.population.take(rows).take(here)
    known = {name: row for row, name in enumerate(LIKE.image_name.tolist())}
    source, own = (
        np.array([known[name] for name in some.table["rlnOriginalParticleName"]]) for some in (others, middle)
    )
    away = middle.shift - others.shift
    np.testing.assert_allclose(away, PLACES.centres[source] - PLACES.centres[own], atol=1e-9)
    assert np.array_equal(others.defocus, LIKE.defocus[source])
    assert np.array_equal(others.optics_index, np.searchsorted([0, 2], LIKE.optics_index[source]))
    assert np.array_equal(
        others.table["rlnMicrographPreExposure"], LIKE.table["rlnMicrographPreExposure"][source]
    )
    assert others.micrograph.tolist() == middle.micrograph.tolist()
    assert set(numbers.tolist()) == {1}
    assert others.row.tolist() == (here + 1).tolist()
    assert not {"rlnCoordinateX", "rlnNormCorrection"} & set(others.table)


@pytest.mark.parametrize("poses", [None, LikePoses()])
def test_poses_are_each_ones_own(poses: LikePoses | None) -> None:
    of = crowd() if poses is None else crowd(poses=poses)
    here, _, others = of.around(np.arange(COUNT), 40.0)
    middle = of.population.take(np.arange(COUNT))
    assert len(np.unique(others.angles, axis=0)) == len(others) > 500
    assert not np.isin(others.angles[:, 0], middle.angles[:, 0]).any()
    tilt = [middle.angles[here, 1], others.angles[:, 1]]
    assert abs(np.corrcoef(tilt)[0, 1]) < 4 / len(here) ** 0.5
    if poses is None:
        assert kstest(np.cos(np.deg2rad(tilt[1])), "uniform", (-1, 2)).pvalue > 1e-3
    assert ks_2samp(*tilt).pvalue > 1e-3


def test_poses_of_a_file_are_dealt_out_anew(tmp_path: Path) -> None:
    views = "".join(f"{row} {row % 180} 0\n" for row in range(COUNT))
    (tmp_path / "views.star").write_text(f"data_\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n{views}")
    here, _, others = crowd(poses=FromFile(file=tmp_path / "views.star")).around(np.arange(COUNT), REACH)
    assert np.mean(others.angles[:, 0] == here) < 0.01
    assert kstest(others.angles[:, 0], "uniform", (0, COUNT)).pvalue > 1e-3


def test_every_neighbour_is_of_a_map() -> None:
    of = Crowd(Population(LIKE, COUNT, classes=Classes((0.7, 0.3), empty=0.5), maps=("a", "b")), PLACES)
    here, numbers, others = of.around(np.arange(COUNT), REACH)
    assert set(numbers.tolist()) == {1, 2}
    assert abs(np.mean(numbers == 2) - 0.3) < 4 * (0.21 / len(numbers)) ** 0.5
    assert others.table["rlnClassNumber"].tolist() == numbers.tolist()
    assert others.table["rlnReferenceImage"].tolist() == np.array(["", "a", "b"])[numbers].tolist()
    empty = of.population.class_numbers == 0
    counts = np.bincount(here, minlength=COUNT)
    assert ks_2samp(counts[empty], counts[~empty]).pvalue > 1e-3


def test_defocus_of_a_range_is_that_of_the_middle() -> None:
    of = crowd(100, conditions=Ranges(phase_shift=(20, 90)))
    here, _, others = of.around(np.arange(100), REACH)
    middle = of.population.take(np.arange(100)).take(here)
    assert np.array_equal(others.defocus, middle.defocus)
    assert np.array_equal(others.phase_shift, middle.phase_shift)


def test_more_begin_with_the_fewer_in_any_order() -> None:
    rows = np.arange(1200)
    here, numbers, whole = crowd(1200).around(rows, REACH)
    assert len(
        set(whole.table["rlnParticleName"]) | set(crowd(1200).population.take(rows).table["rlnParticleName"])
    ) == (len(here) + 1200)
    some = np.array([1100, 5, 999])
    again, same, part = crowd(9000).around(some, REACH)
    place = np.concatenate([np.flatnonzero(here == row) for row in some])
    assert some[again].tolist() == here[place].tolist()
    assert same.tolist() == numbers[place].tolist()
    assert part.table.equals(whole.take(place).table)
    for name in ("angles", "shift", "defocus", "row"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[place])
    none, _, nobody = crowd().around(np.array([], dtype=np.int64), REACH)
    assert len(none) == len(nobody) == 0
