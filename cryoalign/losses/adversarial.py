"""Adversarial losses: what the discriminator and the generator make of the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class Adversarial(nn.Module, ABC):
    """A pair of losses on logits of any shape, in float32 or better."""

    @abstractmethod
    def discriminator(self, logits_raw: Tensor, logits_fake: Tensor) -> Tensor:
        """Return the discriminator's loss.

        Parameters
        ----------
        logits_raw, logits_fake : tensor
            Its logits for raw and for fake images.

        Returns
        -------
        () tensor
        """

    @abstractmethod
    def generator(self, logits_fake: Tensor) -> Tensor:
        """Return the generator's loss.

        Parameters
        ----------
        logits_fake : tensor
            The discriminator's logits for fake images.

        Returns
        -------
        () tensor
        """


class LeastSquares(Adversarial):
    """Least-squares GAN with a factor 1/2 on both sides.

    ``L_D = 1/2 mean (D(raw) - 1)^2 + 1/2 mean D(fake)^2`` and ``L_G = 1/2 mean (D(fake) - 1)^2`` (Mao et al.
    2017, doi:10.1109/ICCV.2017.304). A discriminator at chance, 0.5 everywhere, gives L_D = 1/4 and L_G =
    1/8, which is where the paper's table stands (0.2488 and 0.1264).
    """

    def discriminator(self, logits_raw: Tensor, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return 0.5 * ((_precise(logits_raw) - 1).square().mean() + _precise(logits_fake).square().mean())

    def generator(self, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return 0.5 * (_precise(logits_fake) - 1).square().mean()


class Vanilla(Adversarial):
    """The original GAN with the non-saturating generator, on binary cross entropy.

    ``L_D = 1/2 mean softplus(-D(raw)) + 1/2 mean softplus(D(fake))`` and ``L_G = mean softplus(-D(fake))``
    (Goodfellow et al. 2014, arXiv:1406.2661; the 1/2 is pix2pix's, doi:10.1109/CVPR.2017.632). At chance both
    are log 2.
    """

    def discriminator(self, logits_raw: Tensor, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return 0.5 * (F.softplus(-_precise(logits_raw)).mean() + F.softplus(_precise(logits_fake)).mean())

    def generator(self, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return F.softplus(-_precise(logits_fake)).mean()


class Hinge(Adversarial):
    """Hinge GAN.

    ``L_D = mean relu(1 - D(raw)) + mean relu(1 + D(fake))`` and ``L_G = -mean D(fake)`` (Lim and Ye 2017,
    arXiv:1705.02894). At logits of 0 they are 2 and 0.
    """

    def discriminator(self, logits_raw: Tensor, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return F.relu(1 - _precise(logits_raw)).mean() + F.relu(1 + _precise(logits_fake)).mean()

    def generator(self, logits_fake: Tensor) -> Tensor:  # noqa: D102  inherited
        return -_precise(logits_fake).mean()
