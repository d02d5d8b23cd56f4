from __future__ import annotations

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.models.unet import UNet
from cryoalign.physics.spectrum import ring_count


def build(box: int, *args: object, **settings: object) -> UNet:
    torch.manual_seed(0)
    return UNet(box, *args, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("box", [16, 31, 64, 100, 256, 300, 511, 512])
def test_at_most_two_million_parameters(box: int) -> None:
    assert sum(p.numel() for p in UNet(box).parameters()) <= 2_000_000


@pytest.mark.parametrize("box", [16, 17, 31, 33, 64, 97])
def test_any_box_comes_back(box: int) -> None:
    network = build(box, 4)
    sim = torch.randn(2, 1, box, box)
    fake = network(sim)
    assert fake.shape == sim.shape
    assert fake.isfinite().all()


def test_depth_follows_the_box() -> None:
    depths = {box: len(UNet(box, 2).down) for box in (16, 31, 32, 64, 128, 256, 512)}
    assert depths == {16: 1, 31: 1, 32: 2, 64: 3, 128: 4, 256: 5, 512: 5}
    assert len(UNet(64, 2, depth=5).down) == 5
    assert UNet(17, 2, depth=3)(torch.zeros(1, 1, 17, 17)).shape[-1] == 17


def test_every_parameter_learns_and_the_result_repeats() -> None:
    sim = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    gradients = []
    for _ in range(2):
        network = build(32, 4)
        network(sim).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients[0])
    assert all(one.equal(two) for one, two in zip(*gradients, strict=True))


def test_resizing_keeps_a_constant_image_constant_and_transposed_convolution_prints_a_grid() -> None:
    """Odena et al. 2016: all that an untrained network adds to a constant image is periodic."""
    sim = torch.ones(1, 1, 64, 64)
    spread = {}
    for upsampling in ("resize", "transposed"):
        fake = build(64, 8, upsampling=upsampling)(sim).detach()[0, 0]
        spread[upsampling] = fake.std().item()
        if upsampling == "transposed":
            inside = fake[16:48, 16:48]  # away from the border
            power = torch.fft.rfft2(inside - inside.mean()).abs().square()
            grid = power[::4, ::4].sum()  # periods of 2, 4 and 8 px: what three doublings print
            assert grid / power.sum() > 0.99
    assert spread["resize"] < 1e-5
    assert spread["transposed"] > 1e-3


def test_contrast_passes() -> None:
    """Twice the contrast in is about twice the contrast out, and little contrast stays little."""
    network = build(64, 8)
    sim = torch.randn(4, 1, 64, 64)
    flat = network(torch.zeros(1, 1, 64, 64))
    small, large = (network(scale * sim) - flat for scale in (10.0, 20.0))
    assert (large.std() / small.std()).item() == pytest.approx(2, rel=0.05)
    assert (network(1e-4 * sim) - flat).std().item() < 1e-3


def test_heads() -> None:
    sim = 5 * torch.randn(1, 1, 32, 32)
    assert build(32, 4)(sim).abs().max() > 1
    assert build(32, 4, head="tanh")(sim).abs().max() <= 1


def test_noise_enters_at_full_size() -> None:
    network = build(32, 4, noise_channels=2)
    sim = torch.zeros(1, 1, 32, 32)
    fakes = [network(sim, torch.randn(1, 2, 32, 32)).detach() for _ in range(2)]
    power = torch.fft.rfft2(fakes[0] - fakes[1]).abs().square()[0, 0]
    assert power[:, ring_count(32) - 4 :].mean() > 0.01 * power.mean()  # up to Nyquist
    with pytest.raises(ValueError, match="expected noise"):
        network(sim)
    with pytest.raises(ValueError, match="expected noise"):
        build(32, 4)(sim, torch.zeros(1, 2, 32, 32))


def test_dropout_at_inference() -> None:
    sim = torch.randn(1, 1, 32, 32)
    still = build(32, 4, dropout=0.5).eval()
    assert still(sim).equal(still(sim))
    lively = build(32, 4, dropout=0.5, dropout_at_inference=True).eval()
    assert not lively(sim).equal(lively(sim))
    torch.manual_seed(7)
    first = lively(sim)
    torch.manual_seed(7)
    assert first.equal(lively(sim))


@pytest.mark.parametrize(
    ("box", "settings", "found"),
    [
        (15, {}, "15 px"),
        (64, {"depth": 6}, "6"),
        (64, {"depth": 0}, "0"),
        (64, {"width": 0}, "0"),
        (64, {"upsampling": "shuffle"}, "shuffle"),
        (64, {"head": "relu"}, "relu"),
        (64, {"noise_channels": -1}, "-1"),
        (64, {"dropout": 1.0}, "1.0"),
    ],
)
def test_bad_settings_are_named(box: int, settings: dict[str, object], found: str) -> None:
    with pytest.raises(InputError) as error:
        UNet(box, **settings)  # type: ignore[arg-type]
    assert f"found: {found}" in str(error.value)
    assert "expected" in str(error.value)
