"""Shares of maps are exact in each block, and half-sets balanced in each class; other samplers are seen."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.population.blocks import SIZE, Block
from cryoalign.population.classes import Classes
from cryoalign.population.population import Population
from tests.population.measured import measured

BLOCKS = 12
TWO = Classes((0.7, 0.3), empty=0.1)


def labels(classes: Classes, blocks: int = BLOCKS) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and half-sets of some whole blocks, as a population has them."""
    maps = tuple(f"{number}.mrc" for number in range(len(classes.shares)))
    population = Population(measured(), blocks * SIZE, seed=3, classes=classes, maps=maps)
    drawn = population.take(np.arange(blocks * SIZE))
    assert drawn.table["rlnClassNumber"].tolist() == population.class_numbers.tolist()
    return population.class_numbers, drawn.half


def exact(numbers: np.ndarray, halves: np.ndarray, classes: Classes) -> bool:
    """Return whether shares are exact to rounding in each block, in an order of its own, halves balanced."""
    wanted = SIZE * np.array([classes.empty, *((1 - classes.empty) * np.array(classes.shares))])
    blocks, halved = numbers.reshape(-1, SIZE), halves.reshape(-1, SIZE)
    for block, half in zip(blocks, halved, strict=True):
        counts, first = (np.bincount(some, minlength=len(wanted)) for some in (block, block[half == 1]))
        if (np.abs(counts - wanted) > 1 - 1e-9).any() or (np.abs(2 * first - counts) > 1).any():
            return False
    return not (np.diff(blocks, axis=1) >= 0).all() and not (blocks == blocks[0]).all()


@pytest.mark.parametrize(
    "classes",
    [TWO, Classes.equal(3), Classes.equal(50), Classes((1.0,), empty=0.25), Classes((0.125, 0.0, 0.875))],
)
def test_shares_are_exact_in_each_block(classes: Classes) -> None:
    assert exact(*labels(classes), classes)


def test_whole_rows_are_met() -> None:
    numbers, _ = labels(TWO)
    counts = [np.bincount(block).tolist() for block in numbers.reshape(-1, SIZE)]
    assert counts == [[100, 630, 270]] * BLOCKS


def test_sabotaged_samplers_are_seen() -> None:
    rng = np.random.default_rng(0)
    numbers, halves = labels(TWO)
    independent = rng.choice(3, len(numbers), p=[0.1, 0.63, 0.27])
    assert not exact(independent, halves, TWO)
    assert not exact(numbers, rng.permuted(halves.reshape(-1, SIZE), axis=1).ravel(), TWO)
    assert not exact(np.sort(numbers.reshape(-1, SIZE), axis=1).ravel(), halves, TWO)
    assert not exact(np.tile(numbers[:SIZE], BLOCKS), np.tile(halves[:SIZE], BLOCKS), TWO)
    assert not exact(rng.permutation(numbers), halves, TWO)  # exact in all, not in each block


def test_more_maps_than_rows_of_a_block_have_their_turns() -> None:
    """Rounding alone would leave out the same maps in every block, and give others one half-set."""
    numbers, _ = labels(Classes.equal(2500), blocks=30)
    counts = np.bincount(numbers, minlength=2501)[1:]
    assert np.abs(counts - 12).max() <= 1
    numbers, halves = labels(Classes.equal(SIZE), blocks=30)
    assert np.bincount(numbers[halves == 1], minlength=SIZE + 1)[1:].tolist() == [15] * SIZE


def test_labels_say_nothing_of_pose_and_conditions() -> None:
    plain = Population(measured(), 3000, seed=3).take(np.arange(3000))
    labelled = Population(measured(), 3000, seed=3, classes=TWO, maps=("a", "b")).take(np.arange(3000))
    np.testing.assert_array_equal(labelled.angles, plain.angles)
    np.testing.assert_array_equal(labelled.defocus, plain.defocus)
    assert abs(np.corrcoef(labelled.table["rlnClassNumber"] == 1, plain.angles[:, 1])[0, 1]) < 0.08
    assert "rlnClassNumber" not in plain.table
    assert plain.half[:SIZE].tolist() == Block(3, 0).halves().tolist()


@pytest.mark.parametrize(
    ("shares", "empty", "said"),
    [
        ((0.7, 0.2), 0.0, r"do not sum to 1\n  expected: 1\n  found: 0\.9\n  remedy: .*0\.777778,0\.222222"),
        ((0.0, 0.0), 0.0, "do not sum to 1"),
        ((), 0.0, "there are no shares"),
        ((1.5, -0.5), 0.0, "the share of map 1 is out of range"),
        ((1.0, float("nan")), 0.0, "the share of map 2 is out of range"),
        ((1.0,), 1.0, "empty is out of range"),
        ((1.0,), -0.1, "empty is out of range"),
    ],
)
def test_what_is_no_share_is_refused(shares: tuple[float, ...], empty: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Classes(shares, empty)
    assert Classes((0.333333, 0.333333, 0.333333)).several  # typed with six digits
