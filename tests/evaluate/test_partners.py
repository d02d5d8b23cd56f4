"""Other raw images of like defocus, and defocus bins."""

from __future__ import annotations

import numpy as np

from cryoalign.evaluate.partners import defocus_bins, partners_of_like_defocus


def test_partners_are_two_others_of_like_defocus_from_other_groups() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 25)
    defocus = rng.uniform(10000, 14000, 40)[group] + rng.normal(0, 50, 1000)
    found = partners_of_like_defocus(defocus, group, seed=1)
    rows = np.arange(1000)
    assert (found >= 0).all()
    assert (found != rows[:, None]).all()
    assert (found[:, 0] != found[:, 1]).all()
    assert np.abs(defocus[found] - defocus[:, None]).max() <= 500
    assert (group[found] != group[:, None]).mean() > 0.99
    assert not np.array_equal(found, partners_of_like_defocus(defocus, group, seed=2))


def test_neither_partner_is_nearer_than_the_other() -> None:
    """Or the floor of the floor would not be 1."""
    rng = np.random.default_rng(3)
    defocus = rng.uniform(10000, 20000, 2000)
    found = partners_of_like_defocus(defocus, np.repeat(np.arange(100), 20), seed=0)
    away = np.abs(defocus[found] - defocus[:, None]).mean(axis=0)
    assert abs(away[0] / away[1] - 1) < 0.1


def test_a_lone_group_or_a_lone_defocus_has_partners_all_the_same() -> None:
    one_group = partners_of_like_defocus(np.full(30, 1e4), np.zeros(30, dtype=np.int64), seed=0)
    assert (one_group >= 0).all()
    apart = partners_of_like_defocus(np.arange(5) * 5000.0, np.arange(5), seed=0)
    assert (apart >= 0).all()
    assert (apart != np.arange(5)[:, None]).all()


def test_bins_hold_like_many() -> None:
    defocus = np.random.default_rng(0).uniform(8000, 20000, 1000)
    bins, edges = defocus_bins(defocus, 4)
    assert np.bincount(bins).tolist() == [250] * 4
    assert len(edges) == 5
    for place in range(4):
        inside = defocus[bins == place]
        assert edges[place] <= inside.min()
        assert inside.max() <= edges[place + 1]


def test_no_bins_where_there_is_nothing_to_divide() -> None:
    assert defocus_bins(np.full(500, 1e4), 4)[1] == (1e4, 1e4)
    assert set(defocus_bins(np.linspace(8000, 20000, 70), 4)[0]) == {0}
    few = np.repeat([9000.0, 15000.0], 100)
    assert np.bincount(defocus_bins(few, 4)[0]).tolist() == [100, 100]
