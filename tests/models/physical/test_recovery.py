"""Data drawn from the whole model, all parts at once: each part is kept, and comes back within its error."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoalign.models.physical.fit import PARTS
from cryoalign.models.physical.generator import Physical
from cryoalign.physics.half_plane import half_plane
from tests.models.physical.drawn import Drawn

DRAWN = Drawn(count=1600, groups=32, seed=3)
RINGS = torch.arange(len(half_plane(DRAWN.box).pixels)).float()
MODE = 0.35 * torch.exp(-RINGS / 12) * (half_plane(DRAWN.box).pixels >= 8)
RHO = torch.where((RINGS >= 8) & (RINGS <= 14), 0.6, 0.0)
SKEWNESS, RAMPS = -1.0, (9.0, 6.0)


def known() -> Physical:
    """The model that the data are drawn from."""
    generator = Physical(DRAWN.box, background=False)
    constant, following = (torch.from_numpy(values).float() for values in DRAWN.power)
    for buffer, values in (
        (generator.constant, 0.3 * constant),
        (generator.following, 2 * following),
        (generator.pattern, 1.0),
        (generator.ramps, torch.tensor(RAMPS)),
        (generator.rho, RHO),
        (generator.factor, torch.from_numpy(DRAWN.gain).float()),
        (generator.innovations, torch.tensor([SKEWNESS, 0.0])),
        (generator.mean, -(MODE**2) / 2),
    ):
        buffer.copy_(torch.as_tensor(values))
    for buffer in (
        generator.offset, generator.within, generator.between, generator.separate, generator.covariate_centre,
        generator.covariate_scale, generator.covariate_slope,
    ):  # fmt: skip
        buffer.zero_()
    generator.within[:, 0] = MODE
    generator.defocus.fill_(math.inf)
    generator.defocus[0] = 1.6e4
    return generator


@pytest.fixture(scope="module")
def found() -> Physical:
    truth, batches, first = known(), [], 0
    for sim, _, metadata, group in DRAWN.batches():
        index = first + torch.arange(len(sim))
        raw = truth.generate(sim, seed=11, identity=index, draw=0 * index, metadata=metadata)
        batches.append((sim, raw, metadata, group))
        first += len(sim)
    generator = Physical(DRAWN.box, background=False)
    generator.fit(batches)
    return generator


def test_what_is_there_is_kept_and_nothing_else(found: Physical) -> None:
    kept = {part for part in PARTS if found.verdict(part).kept}
    assert kept == {"ctf_noise", "ramps", "variation", "ctf_uncertainty", "skewness"}


def test_signal_and_power(found: Physical) -> None:
    truth, whole = known(), slice(1, DRAWN.box // 2)
    spread = math.exp(1) ** (float(MODE.max()) ** 2)  # images differ: their mean is known less well
    errors = DRAWN.errors()
    for name, error in zip(("factor", "constant", "following"), errors, strict=True):
        estimate, expected = (
            getattr(model, name).reshape(-1, len(RINGS))[0].numpy() for model in (found, truth)
        )
        assert (np.abs(estimate - expected)[whole] / error).max() < 6 * spread
    level = float((found.following / truth.following)[whole].mean())
    assert level == pytest.approx(1, abs=0.03)


def test_ramps(found: Physical) -> None:
    np.testing.assert_allclose(found.ramps, RAMPS, rtol=4 / math.sqrt(2 * DRAWN.count))


def test_modes(found: Physical) -> None:
    covariance = found.within @ found.within.t() + (found.separate**2).diag()
    expected = torch.outer(MODE, MODE)
    chance = torch.polygamma(1, half_plane(DRAWN.box).pixels / 2).float()
    total = expected.diagonal() + chance
    error = (torch.outer(total, total) / DRAWN.count).sqrt()
    used = slice(2, 15)
    assert ((covariance - expected) / error)[used, used].square().mean().sqrt() < 2
    assert float(covariance.diagonal()[used].mean() / expected.diagonal()[used].mean()) == pytest.approx(
        1, abs=0.15
    )


def test_uncertainty(found: Physical) -> None:
    there = RHO > 0
    assert (found.rho[there] - RHO[there]).abs().max() < 0.2
    assert float(found.rho[there].mean()) == pytest.approx(0.6, abs=0.08)
    assert (found.rho[~there] < 0.1).all()


def test_skewness(found: Physical) -> None:
    assert float(found.innovations[0]) == pytest.approx(SKEWNESS, rel=0.07)
