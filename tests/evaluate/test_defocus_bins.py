"""Defocus bins."""

from __future__ import annotations

import numpy as np

from cryoalign.evaluate.defocus_bins import defocus_bins


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
