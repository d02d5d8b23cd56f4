"""What a score is: a number that is small where fakes are like raw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class Score(nn.Module, ABC):
    """One term of the generator's objective that compares fakes with raw images.

    Attributes
    ----------
    title : str
        Its name in logs.
    two_draws : bool
        Whether it compares two fakes of each sim, made of different noise.
    fitted : bool
        Whether `fit` has to see raw images first.
    """

    title: ClassVar[str]
    two_draws: ClassVar[bool] = False
    fitted: ClassVar[bool] = False

    @abstractmethod
    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:
        """Compare images.

        Parameters
        ----------
        fake, raw : (B, 1, N, N) tensor
            Refined and measured images.
        second : (B, 1, N, N) tensor, optional
            Other fakes of the same sims; needed where `two_draws` is set.

        Returns
        -------
        () tensor
            In float32 or better.
        """

    def fit(self, raw: Tensor) -> None:
        """See (B, 1, N, N) raw images of the training part, before the training."""


class SpectralScore(Score):
    """A score on radial log power spectra.

    Parameters
    ----------
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform; "backward" is unnormalized.
    """

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm: Norm = norm


def energy_score(
    distance: Callable[[Tensor, Tensor], Tensor], fake: Tensor, raw: Tensor, second: Tensor
) -> Tensor:
    """Compute the energy score from two draws, ``E d(f, y) - 1/2 E d(f, f')``.

    Its mean is least where fakes have the distribution of raw (Gneiting and Raftery 2007,
    doi:10.1198/016214506000001437). Both draws are compared with raw, which halves no bias but some scatter.

    Parameters
    ----------
    distance : callable
        The absolute difference of numbers, or the Euclidean one of vectors.
    fake, raw, second : tensor

    Returns
    -------
    () tensor
    """
    to_raw = distance(fake, raw).mean() + distance(second, raw).mean()
    return 0.5 * (to_raw - distance(fake, second).mean())


def absolute_difference(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b|, in float32 or better."""
    precise = torch.promote_types(a.dtype, torch.float32)
    return (a.to(precise) - b.to(precise)).abs()


def needed(second: Tensor | None) -> Tensor:
    """Return the second draw.

    Raises
    ------
    ValueError
        If there is none.
    """
    if second is None:
        raise ValueError("this score compares two fakes of each sim, but one came")
    return second
