"""What is not Gaussian is found where it is, and kept where it is asked for."""

import math

import torch

from cryoalign.models.physical.fit import PARTS, Fitted, fit
from cryoalign.physics.mask import background
from tests.models.physical.drawn import Drawn

AUTO: dict[str, bool | str] = dict.fromkeys(PARTS, "auto")


def fitted(drawn: Drawn, **settings: bool | str) -> Fitted:
    mask = torch.from_numpy(background(drawn.box, 0.9).copy())
    return fit(drawn.batches(), drawn.box, AUTO | settings, mask, normalize=False)


def test_the_skewness_of_the_white_noise_comes_back() -> None:
    drawn = Drawn(skewness=-0.4)
    found = fitted(drawn)
    assert found.verdicts["skewness"].kept
    # sqrt(6 / values) outside the circle, twice that for what the filter leaves of the skewness.
    values = drawn.count * int(background(drawn.box, 0.9).sum())
    assert abs(found.innovations.skewness + 0.4) < 4 * 2 * math.sqrt(6 / values)
    assert found.innovations.lowest == 0


def test_what_is_asked_for_is_done() -> None:
    found = fitted(Drawn(count=64), skewness=False, blobs=True)
    assert found.innovations.skewness == 0
    assert found.innovations.lowest != 0


def test_of_few_micrographs_nothing_is_asked() -> None:
    found = fitted(Drawn(count=96, groups=3, skewness=-0.4))
    assert math.isnan(found.verdicts["skewness"].nats)
    assert found.innovations == (0, 0)
