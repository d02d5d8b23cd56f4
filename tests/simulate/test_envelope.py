"""The envelope against its formula, for each of its parts."""

from __future__ import annotations

import math

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.simulate.envelope import Envelope

BOX, PIXEL_SIZE = 32, 1.0
WAVELENGTH = 0.0196875  # A at 300 kV


def column(envelope: Envelope, defocus: float = 12000.0) -> torch.Tensor:
    """The envelope along kx, in float64."""
    one = torch.ones(1, dtype=torch.float64)
    plane = envelope(
        torch.fft.rfftfreq(BOX, PIXEL_SIZE, dtype=torch.float64).square()[None, None],
        defocus=torch.tensor([[defocus + 200, defocus - 200, 30.0]], dtype=torch.float64),
        voltage=300 * one,
        spherical_aberration=2.7 * one,
    )
    return plane[0, 0]


def test_bfactor() -> None:
    k = torch.fft.rfftfreq(BOX, PIXEL_SIZE, dtype=torch.float64)
    torch.testing.assert_close(column(Envelope(bfactor=80.0)), torch.exp(-20 * k**2))


def test_source_coherence() -> None:
    """exp(-(pi alpha / lambda)^2 (Cs lambda^3 k^3 - df lambda k)^2), written for one frequency."""
    found = column(Envelope(convergence=0.05))
    k = 8 / BOX
    gradient = 2.7e7 * WAVELENGTH**3 * k**3 - 12000.0 * WAVELENGTH * k
    expected = math.exp(-((math.pi * 5e-5 / WAVELENGTH) ** 2) * gradient**2)
    assert 0.1 < expected < 0.9
    assert float(found[8]) == pytest.approx(expected, rel=1e-4)
    assert float(column(Envelope(convergence=0.05), defocus=30000.0)[8]) < float(found[8])


def test_focal_spread() -> None:
    found, k = column(Envelope(focal_spread=60.0)), 10 / BOX
    assert float(found[10]) == pytest.approx(
        math.exp(-((math.pi * WAVELENGTH * 60.0 * k**2) ** 2) / 2), rel=1e-4
    )
    assert float(found[10]) < 0.95


def test_parts_multiply() -> None:
    together = column(Envelope(bfactor=50.0, convergence=0.03, focal_spread=40.0))
    parts = (Envelope(bfactor=50.0), Envelope(convergence=0.03), Envelope(focal_spread=40.0))
    torch.testing.assert_close(together, math.prod(column(part) for part in parts))


@pytest.mark.parametrize("name", ["bfactor", "convergence", "focal_spread"])
def test_nothing_negative_or_endless(name: str) -> None:
    for value in (-0.1, 1e30):
        with pytest.raises(InputError, match=rf"envelope\.{name}"):
            Envelope(**{name: value})
