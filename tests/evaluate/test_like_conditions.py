"""Raw images are put beside fakes of other particles by micrograph, optics group, dose and defocus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryoalign.evaluate.like_conditions import (
    MOST_DIFFERENCE,
    match_conditions,
    of_measured_micrographs,
    partners_of_like_conditions,
)
from cryoalign.io.simulated import MEASURED_MICROGRAPH, NAME_PREFIX, PARTICLE_NAME
from cryoalign.particles import Optics, Particles

COUNT, MICROGRAPHS = 400, 20
OPTICS = tuple(Optics(number, f"group{number}", 2.0, 300.0, 2.7, 0.1, 32) for number in (1, 2))


def measured(seed: int = 0, count: int = COUNT) -> Particles:
    """Micrographs of one optics group and dose each, whose particles lie within some 100 A of defocus."""
    rng = np.random.default_rng(seed)
    micrograph = np.arange(count) * MICROGRAPHS // count
    mean = 8000 + 800 * (micrograph % 10) + rng.normal(0, 50, count)
    return Particles.make(
        Path("raw.star"),
        OPTICS,
        count,
        optics_index=micrograph % 2,
        micrograph=np.array([f"m{number:02d}" for number in micrograph]),
        defocus=np.stack([mean, mean, np.zeros(count)], axis=1),
        table=pd.DataFrame({"rlnMicrographPreExposure": micrograph % 4 * 3.0}),
    )


def new(like: Particles, count: int, seed: int = 1) -> Particles:
    """Each with the conditions of one of `like`."""
    lenders = np.random.default_rng(seed).integers(0, len(like), count)
    drawn = like.take(lenders)
    table = drawn.table.assign(
        **{
            PARTICLE_NAME: [f"{NAME_PREFIX}{number:016x}" for number in range(count)],
            MEASURED_MICROGRAPH: drawn.micrograph,
        }
    )
    made = np.array([f"simulated_00/{name}" for name in drawn.micrograph])
    columns = {
        name: getattr(drawn, name) for name in ("optics_index", "defocus", "angles", "shift", "phase_shift")
    }
    return Particles.make(Path("new.star"), OPTICS, count, micrograph=made, table=table, **columns)


def test_each_fake_stands_beside_another_raw_image_of_like_conditions() -> None:
    raw = measured()
    for count in (100, COUNT, 1500):
        fakes = of_measured_micrographs(new(raw, count))
        matched = match_conditions(fakes, raw, fakes.micrograph, raw.micrograph)
        for rows in (matched.fake, matched.raw):
            assert len(np.unique(rows)) == len(rows)
        assert len(matched.fake) > 0.85 * min(count, COUNT)
        assert f"{count - len(matched.fake)} fakes" in matched.words
        one, other = fakes.take(matched.fake), raw.take(matched.raw)
        np.testing.assert_array_equal(one.micrograph, other.micrograph)
        np.testing.assert_array_equal(matched.groups, other.micrograph)
        np.testing.assert_array_equal(one.optics_index, other.optics_index)
        apart = np.abs(one.mean_defocus - other.mean_defocus)
        assert np.median(apart) < 30  # particles of a micrograph taken at random: 48 A
        assert apart.max() <= MOST_DIFFERENCE


def test_fakes_of_other_micrographs_are_matched_by_optics_dose_and_defocus() -> None:
    raw = measured()
    fakes = new(raw, 300)  # their own micrographs are none of raw's
    matched = match_conditions(fakes, raw, fakes.micrograph, raw.micrograph)
    assert "of whatever micrograph" in matched.words
    one, other = fakes.take(matched.fake), raw.take(matched.raw)
    assert len(one) > 200
    np.testing.assert_array_equal(one.optics_index, other.optics_index)
    dose = [entry.table["rlnMicrographPreExposure"].to_numpy() for entry in (one, other)]
    np.testing.assert_array_equal(*dose)
    assert np.abs(one.mean_defocus - other.mean_defocus).max() <= MOST_DIFFERENCE
    far = fakes.take(np.arange(300))
    far.defocus[:, :2] += 60000
    assert not len(match_conditions(far, raw, far.micrograph, raw.micrograph).fake)


def test_the_floor_is_of_like_optics_group_and_dose() -> None:
    raw = measured()
    group = np.arange(COUNT) * MICROGRAPHS // COUNT
    partners = partners_of_like_conditions(raw, group, seed=0)
    for place in (0, 1):
        other = raw.take(partners[:, place])
        assert (other.row != raw.row).all()
        np.testing.assert_array_equal(other.optics_index, raw.optics_index)
        np.testing.assert_array_equal(*(t.table["rlnMicrographPreExposure"].to_numpy() for t in (other, raw)))
    assert (partners[:, 0] != partners[:, 1]).all()
