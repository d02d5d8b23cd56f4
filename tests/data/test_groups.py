"""Groups are numbered in the order of their names."""

from __future__ import annotations

import numpy as np

from cryoalign.data.groups import number_groups


def test_numbers_follow_the_names_and_have_no_gaps() -> None:
    found = number_groups(np.array(["b", "a", "c", "a"]))
    assert found.tolist() == [1, 0, 2, 0]
    assert found.dtype == np.int64


def test_a_row_of_a_table_is_one_name() -> None:
    assert number_groups(np.array([[300.0, 1.5], [200.0, 1.5], [300.0, 1.0], [300.0, 1.5]])).tolist() == [
        2, 0, 1, 2
    ]  # fmt: skip
