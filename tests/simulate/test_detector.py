"""The counting detector against its formulas, written down here anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulate.detector import Counting

BOX, PIXEL_SIZE, COUNT = 32, 2.0, 300
ELECTRONS = 20.0 * PIXEL_SIZE**2


def expose(contrast: torch.Tensor, first: int = 0, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    count = len(contrast)
    generators = [np.random.default_rng([3, first + number]) for number in range(count)]
    detector = Counting(
        **{"dose": 20.0, "invert": False, "gradient": 0.0, "mtf": 1.0, "dqe": (1.0, 1.0)} | options
    )
    return detector.expose(contrast, torch.full((count,), PIXEL_SIZE), generators)


def test_a_perfect_detector_counts_poisson_numbers() -> None:
    recorded, expected = expose(torch.zeros(COUNT, BOX, BOX))
    assert float(expected.mean()) == pytest.approx(ELECTRONS, rel=1e-5)
    assert float((recorded - recorded.round()).abs().max()) < 1e-3
    assert float(recorded.mean()) == pytest.approx(ELECTRONS, rel=1e-3)
    assert float((recorded - expected).var()) == pytest.approx(ELECTRONS, rel=0.01)
    third = ((recorded - expected).double() ** 3).mean()  # of a Poisson number: its mean
    assert float(third) == pytest.approx(ELECTRONS, rel=0.1)


def test_noise_and_signal_follow_the_curves() -> None:
    """Noise power DQE_0 n N^2, signal MTF; their ratio is the DQE."""
    mtf, dqe = 0.4, (0.8, 0.3)
    recorded, expected = expose(torch.zeros(COUNT, BOX, BOX), mtf=mtf, dqe=dqe)
    k2 = (np.fft.fftfreq(BOX, 0.5)[:, None] ** 2 + np.fft.rfftfreq(BOX, 0.5)[None] ** 2).clip(max=1)
    transfer, efficiency = 1 / (1 + (1 / mtf - 1) * k2), dqe[0] - (dqe[0] - dqe[1]) * k2
    power = torch.fft.rfft2((recorded - expected).double()).abs().square().mean(0)
    noise = torch.from_numpy(dqe[0] * ELECTRONS * BOX**2 * transfer**2 * dqe[0] / efficiency)
    torch.testing.assert_close(ring_mean(power, BOX)[1:-1], ring_mean(noise, BOX)[1:-1], rtol=0.06, atol=0.0)

    wave = 0.01 * torch.cos(2 * torch.pi * 8 / BOX * torch.arange(BOX)).expand(1, BOX, BOX)
    _, seen = expose(wave, mtf=mtf, dqe=dqe)
    amplitude = float(torch.fft.rfft2(seen.double())[0, 0, 8].abs()) / (BOX**2 / 2)
    assert amplitude == pytest.approx(0.01 * ELECTRONS * dqe[0] * transfer[0, 8], rel=1e-4)


def test_protein_is_dark_unless_inverted() -> None:
    contrast = torch.zeros(1, BOX, BOX)
    contrast[0, 10:20, 10:20] = 0.3
    _, dark = expose(contrast)
    _, white = expose(contrast, invert=True)
    assert dark[0, 15, 15] < dark[0, 2, 2]
    torch.testing.assert_close(white, -dark)


def test_noise_belongs_to_the_image_not_to_the_batch() -> None:
    contrast = 0.1 * torch.rand(6, BOX, BOX, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"mtf": 0.5, "gradient": 0.05}
    together, _ = expose(contrast, **options)
    alone = torch.cat([expose(contrast[i : i + 1], first=i, **options)[0] for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=1.0)


def test_a_gradient_tilts_the_illumination() -> None:
    _, expected = expose(torch.zeros(COUNT, BOX, BOX), gradient=0.05)
    slope = (expected[:, :, -1] - expected[:, :, 0]).mean(1) / ELECTRONS * BOX / 2 / (BOX - 1)
    assert float(slope.std()) == pytest.approx(0.05, rel=0.1)
    assert float(slope.mean()) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"dose": 0.0},
            {"mtf": 0.0},
            {"mtf": 1.5},
            {"dqe": (0.0, 0.5)},
            {"dqe": (0.5,)},
            {"gradient": -1.0},
        ),
        *({"dose": 1e30}, {"mtf": 1e-40}, {"dqe": (0.5, 1e-40)}, {"gradient": 1e30}),
    ],
)
def test_parameters_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"detector.{next(iter(wrong))}"):
        Counting(**wrong)
