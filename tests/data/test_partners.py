"""Other raw images of like defocus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.data.groups import number_groups
from cryoalign.data.partners import partners_of_like_defocus
from cryoalign.embedded.datamodule import EmbeddedDataModule


@pytest.fixture
def data(cache: Path) -> PairedDataModule:
    module = EmbeddedDataModule(cache, {"box": 32, "particles": 60, "micrographs": 10})
    module.prepare_data()
    module.setup()
    return module


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


def test_the_metrics_of_a_part_and_the_evaluation_have_one_floor(data: PairedDataModule) -> None:
    """The first partner, sought inside the part; images of other parts have none."""
    for part in ("train", "test"):
        rows, others = data.rows[part], data.others(part)
        groups = number_groups(data.raw.micrograph[rows])
        partners = partners_of_like_defocus(data.raw.mean_defocus[rows], groups, data.split_seed)
        np.testing.assert_array_equal(others[rows], rows[partners[:, 0]])
        assert (np.delete(others, rows) == -1).all()


def test_a_part_of_one_image_compares_it_with_itself(data: PairedDataModule) -> None:
    data.rows = {"test": np.array([7])}
    assert data.others("test")[7] == 7
