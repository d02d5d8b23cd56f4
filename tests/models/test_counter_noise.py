"""Noise from a counter: Random123's known answers, and numbers that are normal and belong to a particle."""

from __future__ import annotations

import pytest
import torch

from cryoalign.models.counter_noise import counter_noise, philox

ONES = 2**32 - 1


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ONES,) * 4, (ONES,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], expected: str) -> None:
    found = philox(torch.tensor(counter), key)
    assert found.tolist() == [int(word, 16) for word in expected.split()]


def test_normal_and_of_a_particle() -> None:
    identity, draw = torch.tensor([5, 2**62 + 5, 5]), torch.tensor([0, 0, 1])
    maps = counter_noise(3, identity, draw, channels=2, box=65)
    assert maps.dtype == torch.float32
    flat = maps.flatten(1).double()
    count = flat.numel()
    moments = torch.stack([flat.mean(), flat.var() - 1, flat.pow(3).mean(), flat.pow(4).mean() - 3])
    spread = torch.tensor([1, 2, 15, 96]).double().sqrt() / count**0.5
    assert (moments.abs() < 4 * spread).all()
    apart = torch.corrcoef(flat) - torch.eye(3)
    assert apart.abs().max() < 4 / flat.shape[1] ** 0.5
    one = counter_noise(3, identity[1:2], draw[1:2], channels=2, box=65)
    assert torch.equal(one[0], maps[1])
    assert not torch.equal(counter_noise(4, identity, draw, channels=2, box=65), maps)
    neighbours = (maps[..., 1:] * maps[..., :-1]).mean()
    assert abs(float(neighbours)) < 4 / count**0.5
