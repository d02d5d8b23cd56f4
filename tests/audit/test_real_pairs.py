"""Real ribosomes and their simulated images agree, and do not once the rows are shuffled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.audit.check import check_pairs
from cryoalign.audit.sample import read_sample
from cryoalign.audit.verdict import conclude
from cryoalign.io.metadata import read_particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

pytestmark = pytest.mark.realdata


def test_they_agree(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ribosome_10499"
    raw = read_particles(folder / "particles.star")
    star = simulate_particles(raw, DensityMap(folder / "reference.mrc"), tmp_path / "sim", progress=False)
    sample = read_sample(star, folder / "particles.star", count=300)
    evidence = check_pairs(sample)
    assert conclude(evidence).outcome == "agree"
    assert evidence.given.correlation.sigma > 8
    order = np.random.default_rng(0).permutation(len(sample.sims))
    shuffled = {name: values[order] for name, values in sample.shifted.items()}
    verdict = conclude(check_pairs(replace(sample, sims=sample.sims[order], shifted=shuffled), poses=False))
    assert verdict.outcome in {"wrong", "no relation"}, verdict.line


def test_a_low_and_smooth_ctf_has_several_explanations(shared_data: Path, tmp_path: Path) -> None:
    """Half the defocus in both metadata: the sims alone suggest another one, which is not named by itself."""
    folder = shared_data / "ribosome_10499"
    right = read_particles(folder / "particles.star")
    wrong = replace(right, defocus=right.defocus * [0.5, 0.5, 1.0])
    star = simulate_particles(wrong, DensityMap(folder / "reference.mrc"), tmp_path / "sim", progress=False)
    sample = read_sample(star, folder / "particles.star", count=300)
    verdict = conclude(check_pairs(replace(sample, raw=sample.sim, disagreement=None), poses=False))
    assert verdict.outcome != "agree"
    assert verdict.outcome == "undecided" or verdict.alternatives, verdict.line
