"""How discriminators look at images, and what each choice adds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from cryoalign.errors import InputError
from cryoalign.losses.penalty import r1_penalty
from cryoalign.models.discriminator import RingView
from cryoalign.models.patchgan import PatchGAN
from cryoalign.models.ring_critic import RingCritic
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.ring_filter import filter_rings, ring_power

BOX = 16
RINGS = len(half_plane(BOX).pixels)


def pairs(count: int = 600) -> tuple[Tensor, Tensor, Tensor]:
    """Sims, raw images of known gain and spectrum, and the gain."""
    sim, noise = torch.randn(2, count, 1, BOX, BOX, generator=torch.Generator().manual_seed(0))
    gain = torch.linspace(1.5, 0.2, RINGS)
    return sim, filter_rings(sim, gain) + filter_rings(noise, torch.linspace(3, 1, RINGS)), gain


def test_what_sim_explains_is_taken_away_and_the_rest_whitened() -> None:
    sim, raw, _ = pairs()
    view = RingView(BOX, subtract=True, whiten=True)
    view.fit(sim, raw)
    shown, left = view(sim, raw)
    torch.testing.assert_close(ring_power(left).mean((0, 1)).float(), torch.ones(RINGS), rtol=1e-3, atol=0)
    assert (shown * left).mean().abs() < 0.02  # nothing of sim is left
    assert (sim * raw).mean() > 0.5


def test_a_view_that_whitens_only_keeps_the_content() -> None:
    sim, raw, _ = pairs()
    view = RingView(BOX, subtract=False, whiten=True)
    view.fit(sim, raw)
    shown, seen = view(sim, raw)
    torch.testing.assert_close(ring_power(seen).mean((0, 1)).float(), torch.ones(RINGS), rtol=1e-3, atol=0)
    assert (shown * seen).mean() > 0.1


def test_the_default_is_the_published_network_to_the_last_bit() -> None:
    torch.manual_seed(0)
    plain = PatchGAN(BOX, width=4)
    torch.manual_seed(0)
    more = PatchGAN(BOX, width=4, rings=True, whiten=True)
    assert not plain.needs_fit
    assert more.needs_fit
    sim, raw, _ = pairs(4)
    more.view = more.rings = None  # what the choices add comes after the weights were drawn
    assert torch.equal(plain(sim, raw), more(sim, raw))


def test_spectral_norm_bounds_every_layer() -> None:
    torch.manual_seed(0)
    network = PatchGAN(BOX, width=4, norm="none", spectral_norm=True)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert all(is_parametrized(layer, "weight") for layer in layers)
    for _ in range(20):
        network(*torch.randn(2, 1, 1, BOX, BOX))
    network.eval()
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("field", [16, 1])
def test_batch_statistics_tell_a_batch_of_copies(field: int) -> None:
    torch.manual_seed(0)
    network = PatchGAN(BOX, field, width=4, batch_statistics=True)  # type: ignore[arg-type]
    sim, image = torch.randn(2, 5, 1, BOX, BOX)
    assert not torch.allclose(network(sim, image)[:1], network(sim[:1], image[:1]))
    alike = network(sim[:1].expand(5, -1, -1, -1), image[:1].expand(5, -1, -1, -1))
    torch.testing.assert_close(alike[:1], network(sim[:1], image[:1]))
    network(sim[:1], image[:1]).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_the_critic_of_rings_sees_power_and_no_phases() -> None:
    torch.manual_seed(0)
    sim, raw, _ = pairs(50)
    critic = RingCritic(BOX)
    critic.fit(sim, raw)
    torch.testing.assert_close(critic.view(raw).std(0), torch.ones(RINGS), rtol=1e-4, atol=0)
    logits = critic(sim, raw)
    assert logits.shape == (50, 1, 1, 1)
    torch.testing.assert_close(critic(sim, raw.flip(-1)), logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(critic(sim, 1.1 * raw), logits, atol=1e-2)
    both = PatchGAN(BOX, width=4, rings=True)
    assert both(sim, raw).shape == PatchGAN(BOX, width=4)(sim, raw).shape


def test_r1_is_half_the_squared_gradient_of_the_mean_logit() -> None:
    raw = torch.randn(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    logits = nn.functional.conv2d(raw, weight)  # linear: its gradient is that of the mean, whatever the image
    slope = torch.autograd.grad(logits[0].mean(), raw, retain_graph=True)[0]
    penalty = r1_penalty(logits, raw)
    torch.testing.assert_close(penalty, 0.5 * slope.square().sum())
    assert torch.autograd.grad(penalty, weight)[0].abs().sum() > 0

    def of(images: Tensor, kernel: Tensor) -> Tensor:
        return r1_penalty(nn.functional.conv2d(images, kernel).tanh(), images)

    assert torch.autograd.gradcheck(of, (raw, weight))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(InputError, match=r"discriminator\.r1"):
        PatchGAN(BOX, r1=-1)
