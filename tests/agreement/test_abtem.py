"""Multislice against abTEM 1.0.11; experiments/abtem says how its numbers were made."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from cryoalign.physics.multislice import band_limit, exit_wave, full_grid, intensity, lens, propagator

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "abtem" / "exit_image.py"
ABTEM = np.loadtxt(Path(__file__).with_name("abtem_image.txt"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script's parameters and slices, without abTEM."""
    monkeypatch.setitem(sys.modules, "abtem", ModuleType("abtem"))
    spec = importlib.util.spec_from_file_location("exit_image", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def image(
    script: ModuleType, slices: Tensor, *, distance: float, azimuth: float, sign: int = 1
) -> np.ndarray:
    ky, kx = full_grid(script.BOX, one(script.SAMPLING))
    voltage = one(script.ENERGY / 1e3)
    inside = band_limit(script.BOX, 2 / 3)
    free = propagator(ky, kx, distance=distance, voltage=voltage) * inside
    wave = exit_wave(slices[None].unbind(1), free, voltage=voltage, amplitude_contrast=one(0))
    # abTEM's wave goes on for one slice thickness behind the last slice.
    behind = script.THICKNESS
    defocus = torch.tensor([[script.DEFOCUS_U - behind, script.DEFOCUS_V - behind, azimuth]]).double()
    transfer = lens(
        ky,
        kx,
        defocus=defocus * torch.tensor([sign, sign, 1]),
        voltage=voltage,
        spherical_aberration=one(script.CS / 1e7),
        phase_shift=one(0),
        bfactor=one(0),
        scale=one(1),
    )
    return intensity(wave, transfer * inside)[0].numpy()


def difference(found: np.ndarray) -> float:
    """Root mean square of the difference, in standard deviations of the image."""
    return float(np.sqrt(np.mean((found - ABTEM) ** 2)) / ABTEM.std())


def test_the_image_is_abtems(script: ModuleType) -> None:
    slices = torch.from_numpy(script.projected_slices())
    right = {"distance": script.THICKNESS, "azimuth": script.AZIMUTH}
    assert difference(image(script, slices, **right)) < 4e-4


def test_every_sign_matters(script: ModuleType) -> None:
    slices = torch.from_numpy(script.projected_slices())
    right = {"distance": script.THICKNESS, "azimuth": script.AZIMUTH}
    assert difference(image(script, -slices, **right)) > 0.1
    assert difference(image(script, slices, **right, sign=-1)) > 0.1
    assert difference(image(script, slices, **{**right, "azimuth": -script.AZIMUTH})) > 0.1
    assert difference(image(script, slices.flip(0), **right)) > 0.02
    assert difference(image(script, slices, **{**right, "distance": -script.THICKNESS})) > 0.02
    assert difference(image(script, slices, **{**right, "distance": 1e-9})) > 0.02
