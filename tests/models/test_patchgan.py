from __future__ import annotations

import pytest
import torch
from torch import nn

from cryoalign.errors import InputError
from cryoalign.models.patchgan import PatchGAN


@pytest.mark.parametrize("field", [70, 34, 16, 1])
def test_receptive_field_by_the_support_of_the_gradient(field: int) -> None:
    torch.manual_seed(0)
    network = PatchGAN(128, field, width=4, norm="none").double()  # type: ignore[arg-type]
    image = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = network(torch.randn(1, 1, 128, 128, dtype=torch.float64), image)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], image)
    rows, columns = (gradient[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == field
    assert columns[-1] - columns[0] + 1 == field


def test_auto_takes_the_largest_that_fits() -> None:
    found = {box: PatchGAN(box, width=2).field for box in (16, 31, 34, 64, 69, 70, 256)}
    assert found == {16: 16, 31: 16, 34: 34, 64: 34, 69: 34, 70: 70, 256: 70}


def test_a_larger_field_is_refused() -> None:
    with pytest.raises(InputError) as error:
        PatchGAN(64, 70)
    for part in ("34 px or less", "70 px for a box of 64 px", "discriminator.field=auto"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="found: 50"):
        PatchGAN(64, 50)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="found: layer"):
        PatchGAN(64, norm="layer")  # type: ignore[arg-type]


def test_published_size() -> None:
    """pix2pix's discriminator of 70 px with batch norm and two channels in."""
    network = PatchGAN(256, 70, norm="batch")
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.stride[0]) for m in convolutions] == [
        (2, 64, 2),
        (64, 128, 2),
        (128, 256, 2),
        (256, 512, 1),
        (512, 1, 1),
    ]
    assert network(torch.zeros(1, 1, 256, 256), torch.zeros(1, 1, 256, 256)).shape == (1, 1, 30, 30)


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_default_judges_each_image_by_itself_and_keeps_no_state(norm: str) -> None:
    torch.manual_seed(0)
    network = PatchGAN(34, width=4, norm=norm).train()  # type: ignore[arg-type]
    sim, image = torch.randn(2, 5, 1, 34, 34)
    together = network(sim, image)
    torch.testing.assert_close(together[2:3], network(sim[2:3], image[2:3]))
    assert not list(network.buffers())


def test_the_simulation_counts() -> None:
    torch.manual_seed(0)
    network = PatchGAN(34, width=4)
    sim, image = torch.randn(2, 1, 1, 34, 34)
    assert not network(sim, image).allclose(network(sim.flip(-1), image))
