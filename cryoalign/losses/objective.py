"""The generator's objective: named terms and their weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from cryoalign.errors import InputError
from cryoalign.losses.rpsd import RPSDLoss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from cryoalign.losses.adversarial import Adversarial

DEFAULT_WEIGHTS = {"gan": 1.0, "l1": 1.0, "rpsd": 0.05}


class Objective(nn.Module):
    """The weighted sum ``L_G = w_gan L_GAN + w_l1 mean |fake - raw| + w_rpsd L_RPSD``.

    The default weights are 1, 1 and 0.05. The paper does not state them; they follow from its Table 1 at step
    3000: L_G 0.3678, GAN 0.1264, L1 0.2337. With w_gan = w_l1 = 1 there remain 0.3678 - 0.1264 - 0.2337 =
    0.0077 for the spectral term, at an RPSD L1 of 0.13 (which the table gives for other batches than the
    losses'): 0.05 to 0.06, of which 0.05 is the round number. That holds for images scaled to [-1, 1], as the
    paper's are: L1 grows with the grey values, RPSD with their logarithm only, so under another normalization
    the same weights strike another balance.

    Parameters
    ----------
    adversarial : Adversarial
        Loss on the discriminator's logits.
    weights : mapping of str to float, optional
        Weights of "gan", "l1" and "rpsd", 0 or more; a term left out keeps its default. A term of weight 0 is
        not computed in training.
    rpsd : RPSDLoss, optional
        The spectral term; by default with its own defaults.

    Attributes
    ----------
    adversarial : Adversarial
    weights : dict of str to float
    uses_discriminator : bool
        Whether "gan" has a weight.

    Raises
    ------
    InputError
        If a weight has an unknown name, is negative or no finite number, or all are 0.
    """

    def __init__(
        self,
        adversarial: Adversarial,
        weights: Mapping[str, float] | None = None,
        rpsd: RPSDLoss | None = None,
    ) -> None:
        super().__init__()
        self.adversarial = adversarial
        self.weights = _checked(weights or {})
        self.rpsd = RPSDLoss() if rpsd is None else rpsd

    @property
    def uses_discriminator(self) -> bool:
        """Whether the adversarial term has a weight."""
        return self.weights["gan"] > 0

    def terms(
        self, fake: Tensor, raw: Tensor, logits_fake: Tensor | None = None, *, every: bool = False
    ) -> dict[str, Tensor]:
        """Compute the terms, unweighted.

        Parameters
        ----------
        fake, raw : (B, 1, N, N) tensor
            Refined and measured images.
        logits_fake : tensor, optional
            The discriminator's logits for the fakes; needed where "gan" has a weight.
        every : bool
            Compute terms of weight 0 too (the adversarial one only if there are logits).

        Returns
        -------
        dict of str to () tensor

        Raises
        ------
        ValueError
            If the logits are missing.
        """
        wanted = [name for name, weight in self.weights.items() if weight > 0 or every]
        terms: dict[str, Tensor] = {}
        if "gan" in wanted and logits_fake is not None:
            terms["gan"] = self.adversarial.generator(logits_fake)
        elif self.uses_discriminator:
            raise ValueError("the adversarial term has a weight but there are no logits")
        if "l1" in wanted:
            terms["l1"] = _mean_absolute_difference(fake, raw)
        if "rpsd" in wanted:
            terms["rpsd"] = self.rpsd(fake, raw)
        return terms

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


def _mean_absolute_difference(fake: Tensor, raw: Tensor) -> Tensor:
    precise = torch.promote_types(fake.dtype, torch.float32)
    return (fake.to(precise) - raw.to(precise)).abs().mean()


def _checked(weights: Mapping[str, float]) -> dict[str, float]:
    names = ", ".join(DEFAULT_WEIGHTS)
    unknown = sorted(set(weights) - set(DEFAULT_WEIGHTS))
    if unknown:
        raise InputError("the objective has no such term", expected=names, found=", ".join(unknown))
    merged = DEFAULT_WEIGHTS | dict(weights)
    for name, weight in merged.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise InputError(
                f"loss.weights.{name} cannot be used", expected="a number, 0 or more", found=weight
            )
    if not any(merged.values()):
        raise InputError(
            "every term of the objective has weight 0",
            remedy=f"give at least one of {names} a weight above 0",
        )
    return {name: float(weight) for name, weight in merged.items()}
