"""What runs on a GPU, run on a device that is none: it mixes no devices, and changes no digit."""

from __future__ import annotations

import pytest
import torch

from tests.device_numbers import features, fitted, judged
from tests.elsewhere import elsewhere

FITTED = (
    "white_noise",
    "spectral",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("physical", "transplant")),
)


def test_the_device_that_is_none_refuses_to_mix() -> None:
    with elsewhere() as device:
        values = torch.arange(4.0).to(device)
        assert values.device.type == device
        assert (values.sum() * 2).item() == 12
        assert values[torch.tensor([0, 2])].cpu().tolist() == [0, 2]
        assert (torch.complex(values, values).conj() * 1j).imag.tolist() == [0, 1, 2, 3]
        with pytest.raises(RuntimeError, match="same device"):
            values + torch.ones(4)
        with pytest.raises(RuntimeError, match="numpy"):
            values.numpy()


def test_what_a_classifier_sees() -> None:
    with elsewhere() as device:
        found = features(device)
    torch.testing.assert_close(found, features("cpu"), rtol=0, atol=0)


@pytest.mark.slow
def test_an_evaluation() -> None:
    expected = judged("cpu")
    with elsewhere() as device:
        found = judged(device)
    assert found == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


@pytest.mark.parametrize("name", FITTED)
def test_fits(name: str) -> None:
    expected = fitted(name, "cpu")
    with elsewhere() as device:
        found = fitted(name, device)
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, rtol=0, atol=0, equal_nan=True, msg=key)
