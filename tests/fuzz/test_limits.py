"""The limits of the mutated files are kept: what hangs and what takes memory is found, and numbers decide."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.fuzz import limits
from tests.fuzz.inputs import INPUTS
from tests.fuzz.mutations import mutated

TABLE = b'{"box": 32, "pairs": {"train": 48}, "left_out": []}\n' * 3


def test_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 2)
    with pytest.raises(limits.Hung), limits.limited():
        time.sleep(60)


def take_and_give_back() -> None:
    block = np.ones(600 << 17)
    time.sleep(0.2)
    del block


def test_memory_that_was_given_back() -> None:
    with pytest.raises(AssertionError, match=r"\d+ MB were taken"), limits.limited():
        take_and_give_back()


def test_a_number_decides_a_mutation() -> None:
    for number, entry in enumerate(INPUTS):
        one, other = (mutated(np.random.default_rng(number), TABLE, entry.mutations) for _ in range(2))
        assert one == other


def test_mutations_change_files() -> None:
    changed = [mutated(np.random.default_rng(number), TABLE, INPUTS[0].mutations) for number in range(50)]
    assert len(set(changed)) > 30
