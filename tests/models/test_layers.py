from __future__ import annotations

import pytest
import torch
from torch import nn

from cryoalign.models.layers import Dropout, ReflectPad, dropping, init_normal, with_noise


@pytest.mark.parametrize(("box", "multiple"), [(31, 8), (16, 16), (17, 32), (128, 256)])
def test_padding_mirrors_and_crops_back(box: int, multiple: int) -> None:
    pad = ReflectPad(box, multiple)
    images = torch.arange(box * box, dtype=torch.float32).reshape(1, 1, box, box)
    padded = pad(images)
    assert padded.shape[-1] % multiple == 0
    assert padded.shape[-1] - box < multiple
    assert pad.crop(padded).equal(images)
    if pad.before:
        assert (
            padded[0, 0, pad.before - 1, pad.before] == images[0, 0, 1, 0]
        )  # the edge itself is not repeated


def test_padding_refuses_what_it_cannot_reflect_and_what_it_was_not_built_for() -> None:
    with pytest.raises(ValueError, match="cannot be reflected"):
        ReflectPad(16, 64)
    with pytest.raises(ValueError, match="expected images"):
        ReflectPad(16, 8)(torch.zeros(1, 1, 17, 17))


def test_dropout_stays_active_in_evaluation_only_if_asked_to() -> None:
    ones = torch.ones(1000)
    assert Dropout(0.5, at_inference=False).eval()(ones).equal(ones)
    for layer in (Dropout(0.5, at_inference=True).eval(), Dropout(0.5, at_inference=False).train()):
        dropped = layer(ones)
        assert set(dropped.tolist()) == {0.0, 2.0}


def test_dropout_of_an_image_may_have_a_stream_of_its_own() -> None:
    """Whatever images are beside it; half the values are gone, the others twice as large."""
    network = nn.Sequential(Dropout(0.5, at_inference=True), Dropout(0.25, at_inference=False)).eval()
    ones = torch.ones(3, 4, 30, 30)

    def dropped(*seeds: int) -> torch.Tensor:
        with dropping(network, [torch.Generator().manual_seed(seed) for seed in seeds]):
            return network(ones[: len(seeds)])

    together = dropped(1, 2, 3)
    assert torch.equal(dropped(3, 1), together[[2, 0]])
    assert set(together.unique().tolist()) == {0.0, 2.0}
    assert together.mean().item() == pytest.approx(1, abs=0.05)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(network(ones), network(ones))  # afterwards torch's stream again


def test_noise_is_appended_and_its_shape_held() -> None:
    sim, noise = torch.zeros(2, 1, 8, 8), torch.ones(2, 3, 8, 8)
    assert with_noise(sim, None, 0) is sim
    assert with_noise(sim, noise, 3)[:, 1:].equal(noise)
    for given, channels in ((noise, 2), (noise, 0), (None, 3), (noise[:1], 3)):
        with pytest.raises(ValueError, match="expected noise"):
            with_noise(sim, given, channels)


def test_initial_weights_are_normal_and_repeat_under_a_seed() -> None:
    def build() -> nn.Sequential:
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(64, 64, 4), nn.BatchNorm2d(4096)).apply(init_normal)

    one, two = build(), build()
    assert one[0].weight.equal(two[0].weight)
    assert one[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert one[1].weight.mean().item() == pytest.approx(1, abs=0.002)
    assert one[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert one[0].bias.eq(0).all()
