from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.losses.adversarial import LeastSquares
from cryoalign.losses.band_energy import BandEnergy
from cryoalign.losses.objective import Objective
from cryoalign.losses.rpsd import RPSDLoss


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    fake, raw = torch.randn(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return fake, raw


def test_total_is_the_weighted_sum() -> None:
    fake, raw = pair()
    logits = torch.randn(3, 1, 4, 4)
    objective = Objective(LeastSquares(), {"gan": 2.0, "l1": 3.0, "rpsd": 0.5})
    terms = objective.terms(fake, raw, logits)
    assert list(terms) == ["gan", "l1", "rpsd"]
    expected = (
        2 * LeastSquares().generator(logits) + 3 * (fake - raw).abs().mean() + 0.5 * RPSDLoss()(fake, raw)
    )
    torch.testing.assert_close(objective.total(terms), expected)


def test_defaults_are_those_of_the_table() -> None:
    objective = Objective(LeastSquares())
    assert objective.weights == {"gan": 1.0, "l1": 1.0, "rpsd": 0.05}
    terms = {name: torch.tensor(value) for name, value in (("gan", 0.1264), ("l1", 0.2337), ("rpsd", 0.1318))}
    assert objective.total(terms).item() == pytest.approx(0.3678, abs=2e-3)
    assert Objective(LeastSquares(), {"rpsd": 0}).weights == {"gan": 1.0, "l1": 1.0, "rpsd": 0.0}


@pytest.mark.parametrize("name", ["gan", "l1", "rpsd"])
def test_a_term_of_weight_zero_is_not_computed_but_can_be_reported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, raw = pair()
    logits = torch.zeros(3, 1, 2, 2)
    objective = Objective(LeastSquares(), {name: 0})
    full = objective.terms(fake, raw, logits, every=True)
    assert set(full) == {"gan", "l1", "rpsd"}
    assert objective.uses_discriminator == (name != "gan")

    forbidden = Mock(side_effect=AssertionError("computed"))
    term = objective.adversarial if name == "gan" else objective.scores[name]
    monkeypatch.setattr(term, "generator" if name == "gan" else "forward", forbidden)
    terms = objective.terms(fake, raw, logits)
    assert set(terms) == {"gan", "l1", "rpsd"} - {name}
    torch.testing.assert_close(objective.total(full), objective.total(terms))
    with pytest.raises(AssertionError, match="computed"):
        objective.terms(fake, raw, logits, every=True)


def test_every_score_needs_a_weight() -> None:
    with pytest.raises(InputError, match=r"no weight\n  expected: loss.weights.energy"):
        Objective(LeastSquares(), {"gan": 1.0}, energy=BandEnergy())
    with pytest.raises(InputError, match=r"expected: gan, energy, rpsd\n  found: l1"):
        Objective(LeastSquares(), {"energy": 1.0, "l1": 1.0}, energy=BandEnergy())


def test_the_adversarial_term_needs_logits_only_where_it_counts() -> None:
    fake, raw = pair()
    assert set(Objective(LeastSquares(), {"gan": 0}).terms(fake, raw, every=True)) == {"l1", "rpsd"}
    for every in (False, True):
        with pytest.raises(ValueError, match="no logits"):
            Objective(LeastSquares()).terms(fake, raw, every=every)


def test_half_precision_is_compared_in_float32() -> None:
    fake, raw = pair()
    terms = Objective(LeastSquares()).terms(fake.bfloat16(), raw, torch.zeros(3, dtype=torch.bfloat16))
    assert {term.dtype for term in terms.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"ssim": 1.0}, "no such term"),
        ({"l1": -0.1}, "loss.weights.l1"),
        ({"l1": float("nan")}, "loss.weights.l1"),
        ({"rpsd": float("inf")}, "loss.weights.rpsd"),
        ({"gan": "1"}, "loss.weights.gan"),
        ({"gan": True}, "loss.weights.gan"),
        ({"gan": 0, "l1": 0, "rpsd": 0}, "every term"),
    ],
)
def test_bad_weights_are_named(weights: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Objective(LeastSquares(), weights)
