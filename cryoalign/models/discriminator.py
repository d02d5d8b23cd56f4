"""What a discriminator is, and how it looks at images: without what sim explains, whitened, or by ring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cryoalign.errors import within
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.ring_filter import filter_rings, ring_gain, ring_power

if TYPE_CHECKING:
    from collections.abc import Iterator


class Discriminator(nn.Module, ABC):
    """What judges images, raw or fake, beside the sims that they should belong to.

    Parameters
    ----------
    r1 : float
        Weight of the penalty on its gradient at raw images; see `cryoalign.losses.penalty`.

    Attributes
    ----------
    judges_alone : bool
        Whether its judgement of an image does not depend on the others of the batch, nor on how often it was
        asked.

    Raises
    ------
    InputError
        If it is negative.
    """

    judges_alone: bool = True

    def __init__(self, r1: float = 0.0) -> None:
        super().__init__()
        self.r1 = float(within("discriminator.r1", r1, 0))

    @property
    def needs_fit(self) -> bool:
        """Whether it has to see pairs before it is trained."""
        return any(True for _ in self._fitted())

    def fit(self, sim: Tensor, raw: Tensor) -> None:
        """See (B, 1, N, N) pairs of the training part, before the training."""
        for module in self._fitted():
            module.fit(sim, raw)

    def _fitted(self) -> Iterator[RingView | ProfileView]:
        return (module for module in self.modules() if isinstance(module, RingView | ProfileView))

    @abstractmethod
    def forward(self, sim: Tensor, image: Tensor) -> Tensor:
        """Judge images.

        Parameters
        ----------
        sim, image : (B, 1, N, N) tensor
            Simulated images, and the raw or fake ones to be judged.

        Returns
        -------
        (B, ...) tensor
            Logits, one or more an image.
        """


class RingView(nn.Module):
    """Sim and image, filtered by ring before they are looked at.

    Parameters
    ----------
    box : int
        Image size in px.
    subtract : bool
        Show ``image - g(k) sim``, with the gain g that fits raw best: noise, and content only where it is
        wrong.
    whiten : bool
        Divide each ring by the root of the mean power that raw has there (after the subtraction, if any):
        every frequency is as large as any other.
    """

    gain: Tensor
    factors: Tensor

    def __init__(self, box: int, *, subtract: bool, whiten: bool) -> None:
        super().__init__()
        self.subtract, self.whiten = subtract, whiten
        rings = len(half_plane(box).pixels)
        self.register_buffer("gain", torch.zeros(rings))
        self.register_buffer("factors", torch.ones(rings))

    def fit(self, sim: Tensor, raw: Tensor) -> None:
        """Find gain and power from (B, 1, N, N) pairs."""
        left = raw
        if self.subtract:
            gain = ring_gain(sim, raw)
            left = raw - filter_rings(sim, gain)
            self.gain.copy_(gain)
        if self.whiten:
            power = ring_power(left).flatten(0, -2).mean(0)
            self.factors.copy_(power.clamp(min=1e-8 * float(power.mean())).rsqrt())

    def forward(self, sim: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (B, 1, N, N) sim and image to look at."""
        if self.subtract:
            image = image - filter_rings(sim, self.gain)
        if self.whiten:
            sim, image = filter_rings(sim, self.factors), filter_rings(image, self.factors)
        return sim, image


class ProfileView(nn.Module):
    """The log power by ring, corners included, less its mean and in units of its spread.

    Parameters
    ----------
    box : int
        Image size in px.
    of_sim : bool
        Take mean and spread from sims, not from raw images.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, box: int, *, of_sim: bool = False) -> None:
        super().__init__()
        self.of_sim = of_sim
        rings = len(half_plane(box).pixels)
        self.register_buffer("mean", torch.zeros(rings))
        self.register_buffer("deviation", torch.ones(rings))

    def fit(self, sim: Tensor, raw: Tensor) -> None:
        """Find mean and spread from (B, 1, N, N) pairs, two at least."""
        profiles = _log_profile(sim if self.of_sim else raw)
        deviation = profiles.std(0)
        self.mean.copy_(profiles.mean(0))
        self.deviation.copy_(deviation.clamp(min=1e-3 * float(deviation.mean()) + 1e-8))

    def forward(self, images: Tensor) -> Tensor:
        """Return the (B, R) profiles of (B, 1, N, N) images."""
        return (_log_profile(images) - self.mean) / self.deviation


def _log_profile(images: Tensor) -> Tensor:
    return ring_power(images).squeeze(1).clamp(min=1e-12).log().float()
