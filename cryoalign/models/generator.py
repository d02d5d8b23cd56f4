"""What a generator is: the one class that all of them derive from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from cryoalign.models.layers import Dropout
from cryoalign.models.noise import noise_maps

if TYPE_CHECKING:
    from torch import Tensor

#: What a generator can be conditioned on beside the sim.
DEFOCUS = "defocus"


class Generator(nn.Module, ABC):
    """What turns sims into fakes.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        Noise maps that it takes as input, 0 or more.

    Attributes
    ----------
    conditions : frozenset of str
        What it is conditioned on beside the sim: ``defocus`` or nothing.
    closed_form : bool
        Whether it is fitted in one pass over the pairs, and not trained.
    """

    conditions: ClassVar[frozenset[str]] = frozenset()
    closed_form: ClassVar[bool] = False

    def __init__(self, box: int, noise_channels: int) -> None:
        super().__init__()
        self.box, self.noise_channels = box, noise_channels

    @property
    def drops_at_inference(self) -> bool:
        """Whether dropout stays active in use: it draws from torch's global generator."""
        return any(
            isinstance(module, Dropout) and module.at_inference and module.probability > 0
            for module in self.modules()
        )

    @property
    def is_random(self) -> bool:
        """Whether two draws of one sim can differ."""
        return self.noise_channels > 0 or self.drops_at_inference

    @abstractmethod
    def forward(self, sim: Tensor, noise: Tensor | None = None, defocus: Tensor | None = None) -> Tensor:
        """Make fakes.

        Parameters
        ----------
        sim : (B, 1, box, box) tensor
            Network values.
        noise : (B, noise_channels, box, box) tensor or None
            Standard normal; None where it takes none.
        defocus : (B,) tensor, optional
            Mean defocus in A, for a generator that is conditioned on it.

        Returns
        -------
        (B, 1, box, box) tensor
        """

    def generate(
        self, sim: Tensor, *, seed: int, index: Tensor, draw: Tensor, defocus: Tensor | None = None
    ) -> Tensor:
        """Make fakes with the noise that belongs to these particles.

        Parameters
        ----------
        sim : (B, 1, box, box) tensor
            Network values.
        seed : int
            Of the noise maps.
        index, draw : (B,) int64 tensor
            Which particle and which of its draws: which noise.
        defocus : (B,) tensor, optional
            Mean defocus in A.

        Returns
        -------
        (B, 1, box, box) tensor

        Raises
        ------
        ValueError
            If it is conditioned on the defocus and none came.
        """
        if DEFOCUS in self.conditions and defocus is None:
            raise ValueError("this generator depends on the defocus, but none came")
        noise = None
        if self.noise_channels:
            maps = noise_maps(seed, index, draw, channels=self.noise_channels, box=sim.shape[-1])
            noise = maps.to(sim)
        fake: Tensor = self(sim, noise, None if defocus is None else defocus.to(sim.device))
        return fake
