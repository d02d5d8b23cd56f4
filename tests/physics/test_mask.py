"""Soft masks at the places where their values are known."""

from __future__ import annotations

import pytest
import torch

from cryoalign.physics.mask import raised_cosine, soft_circle


def test_it_falls_over_its_edge() -> None:
    found = raised_cosine(torch.tensor([0.0, 3.0, 4.0, 5.0, 9.0]), 5.0, 2.0)
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))


@pytest.mark.parametrize("box", [32, 33])
def test_a_circle_is_centred_on_the_origin_of_the_box(box: int) -> None:
    circle = soft_circle(box, 0.75, 0.25)
    centre = box // 2
    assert circle[centre, centre] == 1
    line = circle[centre, centre:]
    torch.testing.assert_close(circle[centre:, centre], line)
    torch.testing.assert_close(circle[centre, : centre + 1].flip(0)[: len(line)], line[: centre + 1])
    radius = torch.arange(len(line)) / (box / 2)
    assert (line[radius <= 0.5] == 1).all()
    assert (line[radius >= 0.75] == 0).all()
