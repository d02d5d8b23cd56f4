"""Conditions of one measured particle stay together; shifts and ranges have their distributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp, kstest

from cryoalign.errors import InputError
from cryoalign.particles import Particles
from cryoalign.population.conditions import Ranges
from cryoalign.population.population import Population
from cryoalign.population.shifts import Like as LikeShifts
from cryoalign.population.shifts import Normal
from tests.population.measured import GROUPS, measured

COUNT = 6000
LIKE = measured()


def joint(particles: Particles) -> list[tuple[object, ...]]:
    """Return for each particle all that it was imaged under."""
    groups = [particles.optics[index].name for index in particles.optics_index]
    micrographs = [name.rpartition("/")[2] for name in particles.micrograph]
    columns = ("rlnMicrographPreExposure", "rlnTomoNominalStageTiltAngle")
    table = [particles.table[name] for name in columns]
    numbers = np.column_stack([particles.defocus, particles.phase_shift, particles.ctf_bfactor, *table])
    return [(*row, *names) for row, *names in zip(map(tuple, numbers.tolist()), groups, micrographs)]  # noqa: B905


def alike(drawn: Particles, like: Particles) -> bool:
    """Return whether all conditions are those of a measured particle, and each of these is as likely."""
    known = {row: place for place, row in enumerate(joint(like))}
    found = [known.get(row, -1) for row in joint(drawn)]
    return min(found) >= 0 and chisquare(np.bincount(found, minlength=len(like))).pvalue > 1e-3


def test_what_belongs_together_stays_together() -> None:
    assert alike(Population(LIKE, COUNT).take(np.arange(COUNT)), LIKE)


def test_sabotaged_conditions_are_seen() -> None:
    drawn = Population(LIKE, COUNT).take(np.arange(COUNT))
    rng = np.random.default_rng(0)
    apart = rng.permutation(COUNT)
    assert not alike(replace(drawn, defocus=drawn.defocus[apart]), LIKE)
    assert not alike(replace(drawn, micrograph=drawn.micrograph[apart]), LIKE)
    assert not alike(replace(drawn, table=drawn.take(apart).table), LIKE)
    favoured = np.concatenate([np.arange(len(LIKE)), rng.integers(0, len(LIKE) // 2, COUNT)])
    assert not alike(LIKE.take(favoured), LIKE)


def test_ranges() -> None:
    ranges = Ranges(defocus=(1e4, 2e4), astigmatism=(300, 300), phase_shift=(80, 100))
    drawn = Population(LIKE, COUNT, conditions=ranges).take(np.arange(COUNT))
    assert kstest(drawn.mean_defocus, "uniform", (1e4, 1e4)).pvalue > 1e-3
    np.testing.assert_allclose(drawn.defocus[:, 0] - drawn.defocus[:, 1], 300)
    assert kstest(drawn.defocus[:, 2], "uniform", (0, 180)).pvalue > 1e-3
    assert kstest(drawn.phase_shift, "uniform", (80, 20)).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.mean_defocus, drawn.phase_shift)[0, 1]) < 0.06
    others = Population(LIKE, COUNT).take(np.arange(COUNT))  # dose, tilt, micrograph and group are measured
    assert drawn.micrograph.tolist() == others.micrograph.tolist()
    assert drawn.optics_index.tolist() == others.optics_index.tolist()


@pytest.mark.parametrize(
    "ranges",
    [{"defocus": (2e4, 1e4)}, {"defocus": (1e4,)}, {"astigmatism": (-5, 5)}, {"phase_shift": (9, 1)}],
)
def test_what_is_no_range_is_refused(ranges: dict[str, tuple[float, ...]]) -> None:
    (name,) = ranges
    with pytest.raises(InputError, match=f"conditions.{name}"):
        Ranges(**ranges)


def test_a_range_of_defocus_needs_a_lens() -> None:
    neutral = tuple(replace(group, amplitude_contrast=1.0) for group in GROUPS)
    with pytest.raises(InputError, match="have no CTF"):
        Population(replace(LIKE, optics=neutral), 5, conditions=Ranges())
    assert len(Population(replace(LIKE, optics=neutral), 5)) == 5


def least_like(shift: np.ndarray) -> float:
    """Return the least p of shifts and measured ones being alike, along some directions."""
    directions = np.array([[1, 0], [0, 1], [1, 1], [1, -1]]).T
    known = measured(4000).shift @ directions
    return min(
        float(ks_2samp(one, other).pvalue) for one, other in zip((shift @ directions).T, known.T, strict=True)
    )


def test_shifts_are_like_the_measured_ones() -> None:
    large = measured(4000)
    drawn = Population(large, COUNT, shifts=LikeShifts()).take(np.arange(COUNT))
    assert least_like(drawn.shift) > 1e-3
    measured_pairs = set(map(tuple, large.shift.tolist()))
    assert set(map(tuple, drawn.shift.tolist())) <= measured_pairs  # x and y of one particle
    assert least_like(drawn.shift[:, ::-1]) < 1e-6
    assert least_like(Population(large, COUNT, shifts=Normal(spread=4)).take(np.arange(COUNT)).shift) < 1e-6


def test_other_shifts() -> None:
    normal = Population(LIKE, COUNT, shifts=Normal(spread=2.5)).take(np.arange(COUNT)).shift
    assert all(kstest(column / 2.5, "norm").pvalue > 1e-3 for column in normal.T)
    assert abs(np.corrcoef(normal.T)[0, 1]) < 0.06
    assert not Population(LIKE, 10, shifts=None).take(np.arange(10)).shift.any()
    with pytest.raises(InputError, match=r"shifts\.spread"):
        Normal(spread=-1)
