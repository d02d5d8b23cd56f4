"""What a discriminator pays for a steep judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Compute ``1/2 E |grad D(raw)|^2``, the R1 penalty (Mescheder et al. 2018, arXiv:1801.04406).

    Parameters
    ----------
    logits : (B, ...) tensor
        The discriminator's, for raw images; D is their mean over an image's patches.
    images : (B, 1, N, N) tensor
        The raw images, with a gradient.

    Returns
    -------
    () tensor
        In float32 or better; it has a gradient itself.
    """
    (gradient,) = torch.autograd.grad(logits.flatten(1).mean(1).sum(), images, create_graph=True)
    precise = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    return 0.5 * precise.square().flatten(1).sum(1).mean()
