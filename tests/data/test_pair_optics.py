"""Aberrations of a pair: left out with a warning, or the same, or refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from cryoalign.particles import Optics, Particles

COUNT = 4
ABERRATED = Optics(
    2, "b", 1.5, 200.0, 2.7, 0.1, 64,
    beam_tilt=(0.6, -0.4), odd_zernike=(1, 2, 3.0), even_zernike=(0, 0, 0, 5.0),
    magnification=(1.01, 0.002, 0, 0.99),
)  # fmt: skip
RAW = Particles.make(
    Path("raw.star"),
    (Optics(1, "a", 1.5, 300.0, 2.7, 0.1, 64), ABERRATED),
    COUNT,
    optics_index=np.arange(COUNT) % 2,
    micrograph=np.full(COUNT, "m"),
    defocus=np.full((COUNT, 3), 12000.0),
)


def simulated(**changes: object) -> Particles:
    optics = (RAW.optics[0], replace(ABERRATED, **changes))
    return replace(RAW, source=Path("sim.star"), optics=optics)


def test_the_same_aberrations(caplog: pytest.LogCaptureFixture) -> None:
    near = simulated(
        beam_tilt=(0.605, -0.4),
        odd_zernike=(1, 2, 3.005, 0, 0, 0),
        magnification=(1.01005, 0.002, 0, 0.99),
    )
    assert len(match_pairs(near, RAW)[0]) == COUNT
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beam_tilt": (-0.6, 0.4)}, "beam tilt(.|\n)*0.6, -0.4"),
        ({"beam_tilt": (0.62, -0.4)}, "beam tilt"),
        ({"odd_zernike": (1, 2)}, "odd Zernike"),
        ({"odd_zernike": (1, 2, 3, 0, 0, 1)}, "odd Zernike"),
        ({"even_zernike": (0, 0, 0, 5.1)}, "even Zernike"),
        ({"magnification": (1.01, 0, 0.002, 0.99)}, "magnification matrix"),
    ],
)
def test_other_aberrations_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=rf"sim\.star, row 2: (.|\n)*{words}(.|\n)*row 2 of raw\.star"):
        match_pairs(simulated(**changes), RAW)


def test_aberrations_of_the_simulation_alone_are_refused() -> None:
    plain = replace(RAW, optics=(RAW.optics[0], replace(ABERRATED, beam_tilt=(0.0, 0.0))))
    with pytest.raises(InputError, match="beam tilt"):
        match_pairs(simulated(), plain)


def test_aberrations_left_out_are_told(caplog: pytest.LogCaptureFixture) -> None:
    none = {"beam_tilt": (0.0, 0.0), "odd_zernike": (0.0,), "magnification": (1.0, 0.0, 0.0, 1.0)}
    unmodelled = replace(RAW, optics=(RAW.optics[0], replace(ABERRATED, unmodelled=("ctf/x",))))
    with caplog.at_level(logging.WARNING):
        match_pairs(simulated(**none), unmodelled)
    (record,) = caplog.records
    assert "sim.star" in record.getMessage()
    assert record.getMessage().endswith(": beam tilt, ctf/x, magnification matrix, odd Zernike coefficients")


def test_tolerances_are_arguments() -> None:
    match_pairs(simulated(beam_tilt=(1.0, -0.4)), RAW, aberration=0.5)
    match_pairs(simulated(magnification=(1.02, 0.002, 0, 0.99)), RAW, magnification=0.02)
