"""Random numbers of a row are its own, and shares are exact in each block."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from cryoalign.population.blocks import SIZE, Block, Purpose, chosen


def test_the_numbers_are_those_that_they_were_and_stay() -> None:
    """Data sets are made again from their seeds: a change of these numbers would be noticed too late."""
    assert Block(7, 3).uniform(Purpose.SHIFT)[2] == pytest.approx(
        [0.1530331, 0.8936839, 0.0948013, 0.5935582], abs=1e-6
    )
    assert Block(7, 3).ranks()[:5].tolist() == [879, 458, 220, 502, 64]


def test_numbers_are_uniform_and_normal() -> None:
    blocks = [Block(0, number) for number in range(20)]
    uniform = np.concatenate([block.uniform(Purpose.POSE) for block in blocks])
    normal = np.concatenate([block.normal(Purpose.POSE) for block in blocks])
    assert 0 < uniform.min() < 1e-3 < 1 - 1e-3 < uniform.max() < 1
    for column in range(4):
        assert kstest(uniform[:, column], "uniform").pvalue > 1e-3
        assert kstest(normal[:, column], "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(uniform.T) - np.eye(4)).max() < 0.03


def test_seeds_purposes_and_blocks_share_nothing() -> None:
    others = [Block(0, 1).uniform(Purpose.POSE), Block(1, 0).uniform(Purpose.POSE)]
    others += [Block(0, 0).uniform(purpose) for purpose in Purpose]
    columns = np.concatenate([numbers.T for numbers in others])
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.16  # 5 of 1 / sqrt(1000)


def test_rows_of_blocks_follow_each_other() -> None:
    rows = np.concatenate([Block(0, number).rows for number in range(3)])
    assert rows.tolist() == list(range(3 * SIZE))


def test_one_of_many() -> None:
    assert chosen(np.array([0.0, 0.49, 0.51, 1 - 2**-53]), 2).tolist() == [0, 0, 1, 1]


def exact(halves: np.ndarray) -> bool:
    """Return whether each whole block has as many of either half, and not in turns."""
    blocks = halves.reshape(-1, SIZE)
    return bool((np.count_nonzero(blocks == 1, axis=1) == SIZE // 2).all()) and not (
        (blocks == blocks[0]).all() or (blocks[:, ::2] == 1).all()
    )


def test_halves_are_exact_in_each_block() -> None:
    blocks = [Block(3, number) for number in range(12)]
    assert exact(np.concatenate([block.halves() for block in blocks]))
    assert all(sorted(block.ranks().tolist()) == list(range(SIZE)) for block in blocks)
    first = [np.bincount(block.halves()[block.ranks() < 701], minlength=3) for block in blocks]
    assert all(count.tolist() == [0, 351, 350] for count in first)  # in a class of 701, too


def test_sabotaged_halves_are_seen() -> None:
    rng = np.random.default_rng(0)
    assert not exact(rng.integers(1, 3, 12 * SIZE))
    assert not exact(np.tile([1, 2], 6 * SIZE))
    assert not exact(np.tile(Block(3, 0).halves(), 12))
