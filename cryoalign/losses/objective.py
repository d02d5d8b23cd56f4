"""The generator's objective: named terms and their weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from cryoalign.errors import InputError
from cryoalign.losses.l1 import PixelL1
from cryoalign.losses.rpsd import RPSDLoss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from cryoalign.losses.adversarial import Adversarial
    from cryoalign.losses.score import Score, SpectralScore
    from cryoalign.physics.spectrum import Norm

#: Weights of the paper's terms.
PAPER = {"gan": 1.0, "l1": 1.0, "rpsd": 0.05}


class Objective(nn.Module):
    """The weighted sum ``L_G = w_gan L_GAN + sum w_score score(fake, raw)``.

    The scores of the paper are the default, L1 and RPSD, with weights of 1, 1 and 0.05. The paper does not
    state these; they follow from its Table 1 at step 3000: L_G 0.3678, GAN 0.1264, L1 0.2337. With w_gan =
    w_l1 = 1 there remain 0.3678 - 0.1264 - 0.2337 = 0.0077 for the spectral term, at an RPSD L1 of 0.13
    (which the table gives for other batches than the losses'): 0.05 to 0.06, of which 0.05 is the round
    number. That holds for images scaled to [-1, 1], as the paper's are: L1 grows with the grey values, RPSD
    with their logarithm only, so under another normalization the same weights strike another balance.

    Parameters
    ----------
    adversarial : Adversarial
        Loss on the discriminator's logits.
    weights : mapping of str to float, optional
        Weights of "gan" and of each score by its name, 0 or more; of those of the paper, one left out keeps
        its default. A term of weight 0 is not computed in training.
    rpsd : SpectralScore, optional
        The spectral term; by default the paper's.
    **scores : Score
        The other scores; by default "l1", the paper's.

    Attributes
    ----------
    adversarial : Adversarial
    weights : dict of str to float
    scores : ModuleDict
        By name.
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform of the spectral term.
    uses_discriminator : bool
        Whether "gan" has a weight.

    Raises
    ------
    InputError
        If a weight has an unknown name, is missing, negative or no finite number, or all are 0.
    """

    def __init__(
        self,
        adversarial: Adversarial,
        weights: Mapping[str, float] | None = None,
        *,
        rpsd: SpectralScore | None = None,
        **scores: Score,
    ) -> None:
        super().__init__()
        spectral = RPSDLoss() if rpsd is None else rpsd
        self.adversarial = adversarial
        self.norm: Norm = spectral.norm
        self.scores = nn.ModuleDict({**(scores or {"l1": PixelL1()}), "rpsd": spectral})
        self.weights = _checked(weights or {}, ["gan", *self.scores])

    @property
    def uses_discriminator(self) -> bool:
        """Whether the adversarial term has a weight."""
        return self.weights["gan"] > 0

    @property
    def titles(self) -> dict[str, str]:
        """Names of the terms in logs."""
        return {"gan": "GAN"} | {name: cast("Score", score).title for name, score in self.scores.items()}

    def needs_second(self, *, every: bool = False) -> bool:
        """Return whether a term that is computed compares two fakes of each sim; `every` as in `terms`."""
        return any(score.two_draws for score in self._wanted(every=every).values())

    @property
    def needs_fit(self) -> bool:
        """Whether a score has to see raw images before the training."""
        return any(score.fitted for score in self._wanted(every=True).values())

    def fit(self, raw: Tensor) -> None:
        """Let the scores see (B, 1, N, N) raw images of the training part."""
        for score in self._wanted(every=True).values():
            score.fit(raw)

    def terms(
        self,
        fake: Tensor,
        raw: Tensor,
        logits_fake: Tensor | None = None,
        *,
        second: Tensor | None = None,
        every: bool = False,
    ) -> dict[str, Tensor]:
        """Compute the terms, unweighted.

        Parameters
        ----------
        fake, raw : (B, 1, N, N) tensor
            Refined and measured images.
        logits_fake : tensor, optional
            The discriminator's logits for the fakes; needed where "gan" has a weight.
        second : (B, 1, N, N) tensor, optional
            Other fakes of the same sims; needed where `needs_second` is true.
        every : bool
            Compute terms of weight 0 too (the adversarial one only if there are logits).

        Returns
        -------
        dict of str to () tensor

        Raises
        ------
        ValueError
            If the logits or the second draw are missing.
        """
        terms: dict[str, Tensor] = {}
        if (every or self.uses_discriminator) and logits_fake is not None:
            terms["gan"] = self.adversarial.generator(logits_fake)
        elif self.uses_discriminator:
            raise ValueError("the adversarial term has a weight but there are no logits")
        return terms | {name: score(fake, raw, second) for name, score in self._wanted(every=every).items()}

    def _wanted(self, *, every: bool) -> dict[str, Score]:
        return {
            name: cast("Score", score)
            for name, score in self.scores.items()
            if every or self.weights[name] > 0
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Add up the terms that have a weight.

        Parameters
        ----------
        terms : mapping of str to () tensor
            From `terms`.

        Returns
        -------
        () tensor
        """
        return torch.stack(
            [self.weights[name] * term for name, term in terms.items() if self.weights[name] > 0]
        ).sum()


def _checked(weights: Mapping[str, float], known: list[str]) -> dict[str, float]:
    names = ", ".join(known)
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise InputError(
            "the objective has no such term",
            expected=names,
            found=", ".join(unknown),
            remedy="loss= chooses another objective",
        )
    merged = {name: PAPER[name] for name in known if name in PAPER} | dict(weights)
    missing = [name for name in known if name not in merged]
    if missing:
        raise InputError(
            "a term of the objective has no weight",
            expected=", ".join(f"loss.weights.{name}" for name in missing),
            remedy="give each a number; 0 leaves a term out",
        )
    for name, weight in merged.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise InputError(
                f"loss.weights.{name} cannot be used",
                expected="a number, 0 or more",
                found=weight,
                remedy=f"give loss.weights.{name}=0 to leave the term out",
            )
    if not any(merged.values()):
        raise InputError(
            "every term of the objective has weight 0",
            remedy=f"give at least one of {names} a weight above 0",
        )
    return {name: float(weight) for name, weight in merged.items()}
