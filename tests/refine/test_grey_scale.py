"""Arrays of sims on another grey scale than the training's are warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.normalize import Normalization
from cryoalign.models.baselines import Identity
from cryoalign.refine.refiner import Refiner

if TYPE_CHECKING:
    import pytest


def test_arrays_of_another_grey_scale_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    sims = 1 + 2 * np.random.default_rng(0).normal(size=(3, 32, 32))
    refiner = Refiner(
        Identity(32), Normalization(sim_offset=1.0, sim_scale=2.0), seed=1, box=32, pixel_size=2.0
    )
    refiner.refine(sims)
    assert not caplog.text
    refiner.refine(100 * sims)
    assert f"standard deviation {100 * sims.std():.4g}" in caplog.text
    refiner.refine(sims[:0])
