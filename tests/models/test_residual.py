"""The network on the whitened noise of the closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cryoalign.errors import InputError
from cryoalign.models.generator import Metadata
from cryoalign.models.physical.generator import Physical
from cryoalign.models.residual import Residual

BOX = 32


def metadata(count: int) -> Metadata:
    row = [12000.0, 12000.0, 0.0, 0.0, 0.0, 1.0, 3.0, 300.0, 2.7, 0.1, 1.0, 0.0, 0.0, 1.0]
    table = torch.tensor([row] * count, dtype=torch.float64)
    table[:, :2] += torch.linspace(0, 6000, count, dtype=torch.float64)[:, None]
    return {"defocus": table[:, :2].mean(1).float(), "ctf": table, "micrograph": torch.arange(count) // 4}


def pairs(count: int = 48) -> tuple[Tensor, Tensor, Metadata]:
    sim, noise = torch.randn(2, count, 1, BOX, BOX, generator=torch.Generator().manual_seed(0))
    return sim, 0.5 * sim + noise, metadata(count)


@pytest.fixture(scope="module")
def fitted() -> Residual:
    torch.manual_seed(0)
    generator = Residual(BOX, radius=0.9)
    sim, raw, known = pairs()
    generator.closed_part.fit([(sim, raw, known, known["micrograph"])])
    return generator


def fakes(generator: Residual | Physical) -> Tensor:
    sim, _, known = pairs()
    index = torch.arange(len(sim))
    return generator.generate(sim, seed=1, index=index, draw=torch.zeros_like(index), metadata=known)


def test_it_begins_as_the_closed_form(fitted: Residual) -> None:
    torch.testing.assert_close(fakes(fitted), fakes(fitted.physical))


def test_what_is_trained_is_small_and_gets_a_gradient(fitted: Residual) -> None:
    trained = list(fitted.parameters())
    assert 20_000 < sum(p.numel() for p in Residual(64, radius=0.9).parameters()) < 60_000
    fakes(fitted).square().mean().backward()
    assert fitted.convolutions[-1].weight.grad.abs().sum() > 0  # type: ignore[union-attr,operator]
    for parameter in trained:
        parameter.grad = None


def test_every_layer_has_noise_and_the_ctf_counts(fitted: Residual) -> None:
    sim, _, known = pairs()
    noise = torch.randn(len(sim), 7, BOX, BOX, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    torch.nn.init.normal_(fitted.convolutions[-1].weight, 0, 0.1)  # type: ignore[arg-type]
    torch.nn.init.normal_(fitted.film[-1].weight, 0, 0.1)  # type: ignore[arg-type]
    with torch.no_grad():
        before = fitted._network(noise[:, :1], sim, noise[:, 3:], known)
        for channel in range(3, 7):
            other = noise.clone()
            other[:, channel] = 0
            assert not torch.allclose(fitted._network(noise[:, :1], sim, other[:, 3:], known), before)
        turned: Metadata = {**known, "ctf": known["ctf"].flip(0)}
        assert not torch.allclose(fitted._network(noise[:, :1], sim, noise[:, 3:], turned), before)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="7: three maps"):
        Residual(BOX, noise_channels=1)
    with pytest.raises(InputError, match="a part of the generator"):
        Residual(BOX, typo=True)
    with pytest.raises(ValueError, match="expected 7 noise maps"):
        Residual(BOX)(torch.zeros(1, 1, BOX, BOX))
