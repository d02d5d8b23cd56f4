"""Rows chosen, and pairs matched in spite of metadata that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.audit.sample import choose_rows, match_anyway
from cryoalign.errors import InputError
from cryoalign.particles import Particles


def test_rows_are_spread_evenly() -> None:
    rows = choose_rows(1000, 11)
    assert rows[0] == 0
    assert rows[-1] == 999
    assert set(np.diff(rows).tolist()) <= {99, 100, 101}


@pytest.mark.parametrize("count", [0, 5, 7])
def test_all_rows_where_all_are_wanted(count: int) -> None:
    assert choose_rows(5, count).tolist() == [0, 1, 2, 3, 4]


def named(table: Particles) -> Particles:
    """A simulated table in another order, which names its raw images."""
    order = np.random.default_rng(0).permutation(len(table))
    sim = table.take(order)
    return replace(
        sim,
        table=sim.table.assign(rlnImageOriginalName=sim.image_name),
        row=np.arange(1, len(sim) + 1),
    )


def test_right_metadata_do_not_disagree(known: Particles) -> None:
    sim, raw, disagreement = match_anyway(named(known), known)
    assert disagreement is None
    np.testing.assert_array_equal(sim.angles, raw.angles)


def test_a_disagreement_is_reported_with_row_and_quantity(known: Particles) -> None:
    wrong = named(known)
    angles = wrong.angles.copy()
    angles[4, 0] += 20
    sim, raw, disagreement = match_anyway(replace(wrong, angles=angles), known)
    assert disagreement is not None
    assert "row 5" in disagreement
    assert "pose" in disagreement
    np.testing.assert_array_equal(sim.shift, raw.shift)  # matched by name all the same


def test_even_a_flag_may_disagree(known: Particles) -> None:
    optics = tuple(replace(group, premultiplied=True) for group in known.optics)
    sim, raw, disagreement = match_anyway(replace(named(known), optics=optics), known)
    assert disagreement is not None
    assert "Premultiplied" in disagreement
    assert sim.optics[0].premultiplied
    assert not raw.optics[0].premultiplied


def test_tables_that_cannot_be_matched_are_refused(known: Particles) -> None:
    with pytest.raises(InputError, match="rows"):
        match_anyway(known.take(np.arange(10)), known)


def test_symmetry_expanded_rows_are_told_apart_by_their_poses(known: Particles) -> None:
    rows = np.repeat(np.arange(len(known)), 2)
    angles = known.angles[rows] + np.outer(np.arange(len(rows)) % 2, [180, 0, 0])
    raw = replace(known.take(rows), angles=angles, row=np.arange(1, len(rows) + 1))
    sim, matched, disagreement = match_anyway(named(raw), raw)
    assert disagreement is None
    assert len(sim) == len(raw)
    np.testing.assert_array_equal(sim.angles, matched.angles)
    assert sorted(matched.row.tolist()) == raw.row.tolist()
