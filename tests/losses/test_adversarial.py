from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from cryoalign.losses.adversarial import Adversarial, Hinge, LeastSquares, Vanilla


def test_least_squares_at_chance_is_the_table() -> None:
    chance = torch.full((3, 1, 6, 6), 0.5)
    assert LeastSquares().generator(chance).item() == 1 / 8
    assert LeastSquares().discriminator(chance, chance).item() == 1 / 4


def test_vanilla_is_binary_cross_entropy() -> None:
    raw, fake = torch.randn(2, 4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    one, zero = torch.ones_like(raw), torch.zeros_like(raw)
    expected = (
        F.binary_cross_entropy_with_logits(raw, one) + F.binary_cross_entropy_with_logits(fake, zero)
    ) / 2
    torch.testing.assert_close(Vanilla().discriminator(raw, fake), expected)
    torch.testing.assert_close(Vanilla().generator(fake), F.binary_cross_entropy_with_logits(fake, one))
    assert Vanilla().generator(zero).item() == pytest.approx(math.log(2))


def test_hinge_stops_caring_past_the_margin() -> None:
    raw, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert Hinge().discriminator(raw, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)
    assert Hinge().generator(fake).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("loss", [LeastSquares(), Vanilla(), Hinge()])
def test_directions_and_precision(loss: Adversarial) -> None:
    raw, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    to_raw, to_fake = torch.autograd.grad(loss.discriminator(raw, fake) + 0 * fake.sum(), (raw, fake))
    assert (to_raw < 0).all()  # raw is pushed up
    assert (to_fake >= 0).all()  # fake is not
    (to_fake,) = torch.autograd.grad(loss.generator(fake), fake)
    assert (to_fake < 0).all()
    assert loss.generator(torch.zeros(4, dtype=torch.bfloat16)).dtype == torch.float32
