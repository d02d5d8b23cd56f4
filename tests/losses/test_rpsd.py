from __future__ import annotations

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.losses.rpsd import RPSDLoss
from cryoalign.physics.spectrum import radial_log_power


def test_one_curve_an_image() -> None:
    """The mean over images of the curves' distances, not the distance of the mean curves."""
    fake, raw = torch.randn(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    difference = radial_log_power(fake) - radial_log_power(raw)
    torch.testing.assert_close(RPSDLoss()(fake, raw), difference.abs().mean())
    torch.testing.assert_close(RPSDLoss(power=2, norm="ortho")(fake, fake), torch.tensor(0.0))
    assert RPSDLoss()(fake, raw) > (difference.mean((0, 1)).abs().mean())


def test_gradcheck() -> None:
    fake, raw = torch.randn(2, 2, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for power in (1, 2):
        loss = RPSDLoss(power=power)  # type: ignore[arg-type]
        assert torch.autograd.gradcheck(loss, (fake.clone().requires_grad_(), raw))


def test_only_the_fake_learns() -> None:
    fake, raw = (torch.randn(1, 1, 16, 16, requires_grad=True) for _ in range(2))
    RPSDLoss()(fake, raw).backward()
    assert fake.grad is not None
    assert raw.grad is None


def test_descent_lends_white_noise_the_spectrum_of_raw() -> None:
    generator = torch.Generator().manual_seed(0)
    raw = torch.nn.functional.avg_pool2d(torch.randn(4, 1, 34, 34, generator=generator), 3, 1)
    fake = torch.randn(4, 1, 32, 32, generator=generator).requires_grad_()
    before = RPSDLoss()(fake, raw).item()
    optimizer = torch.optim.Adam([fake], lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        RPSDLoss()(fake, raw).backward()
        optimizer.step()
    assert RPSDLoss()(fake, raw).item() < 0.5 * before


def test_autocast_changes_nothing() -> None:
    fake, raw = torch.randn(2, 2, 1, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = RPSDLoss()(fake, raw)
    assert inside.equal(RPSDLoss()(fake, raw))


def test_bad_settings_are_named() -> None:
    with pytest.raises(InputError, match="found: 3"):
        RPSDLoss(power=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="found: none"):
        RPSDLoss(norm="none")  # type: ignore[arg-type]
