from __future__ import annotations

import pytest
import torch
from torch import nn

from cryoalign.errors import InputError
from cryoalign.models.pix2pix import Pix2PixUNet


@pytest.mark.parametrize(("size", "millions", "halvings"), [(256, 54.41, 8), (128, 41.82, 7)])
def test_published_layout(size: int, millions: float, halvings: int) -> None:
    with torch.device("meta"):
        network = Pix2PixUNet(size, size)  # type: ignore[arg-type]
    modules = list(network.modules())
    down = [m for m in modules if isinstance(m, nn.Conv2d)]
    up = [m for m in modules if isinstance(m, nn.ConvTranspose2d)]
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions
    assert len(down) == len(up) == halvings
    assert sorted(m.out_channels for m in down)[:4] == [64, 128, 256, 512]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in modules) == 2 * halvings - 3
    dropping = [name for name, module in network.named_modules() if type(module).__name__ == "Dropout"]
    depths = sorted(name.count("inside") for name in dropping)
    assert depths == [halvings - 4, halvings - 3, halvings - 2]  # the three innermost


def small(box: int, **settings: object) -> Pix2PixUNet:
    torch.manual_seed(0)
    return Pix2PixUNet(box, 128, width=2, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("box", [64, 65, 100, 128, 129])
def test_any_box_from_half_the_size_comes_back(box: int) -> None:
    fake = small(box)(torch.randn(2, 1, box, box))
    assert fake.shape == (2, 1, box, box)
    assert fake.abs().max() <= 1


def test_a_batch_of_one_trains() -> None:
    network = small(128).train()
    network(torch.randn(1, 1, 128, 128)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_dropout_at_inference_is_published_and_can_be_left_out() -> None:
    sim = torch.randn(1, 1, 128, 128)
    assert not (network := small(128).eval())(sim).equal(network(sim))
    assert (network := small(128, dropout_at_inference=False).eval())(sim).equal(network(sim))


def test_noise_maps() -> None:
    network = small(128, noise_channels=1, dropout_at_inference=False).eval()
    sim = torch.zeros(1, 1, 128, 128)
    assert not network(sim, torch.randn_like(sim)).equal(network(sim, torch.randn_like(sim)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"found: 63 px(.|\n)*generator=unet"):
        Pix2PixUNet(63, 128)
    with pytest.raises(InputError, match="unet_128 from 64 px"):
        Pix2PixUNet(100, 256)
    with pytest.raises(InputError, match="256 or 128"):
        Pix2PixUNet(256, 512)  # type: ignore[arg-type]
