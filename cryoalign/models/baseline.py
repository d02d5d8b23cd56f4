"""What a generator in closed form is: it is fitted to the pairs, and has nothing to train."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor

from cryoalign.models.generator import Generator, Metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

#: sim and raw (B, 1, N, N), what is known of the particles, number of the micrograph from 0 on (B,) int64.
Batch: TypeAlias = tuple[Tensor, Tensor, Metadata, Tensor]


class Baseline(Generator):
    """A generator without trained parameters: what it has to know is computed from sums over the pairs.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        Noise maps that it is handed.
    """

    closed_form: ClassVar[bool] = True
    #: Whether `fit` takes pairs on any device, and adds up there; they come on the CPU otherwise.
    fits_anywhere: ClassVar[bool] = False
    #: Buffers whose size depends on the data.
    sized_by_fit: ClassVar[tuple[str, ...]] = ()

    def __init__(self, box: int, noise_channels: int = 0) -> None:
        super().__init__(box, noise_channels)

    @classmethod
    def usual(cls, box: int, radius: float) -> Self:  # noqa: ARG003  for those that look at the background
        """Make one with the usual settings.

        Parameters
        ----------
        box : int
            Image size in px.
        radius : float
            Of the particle's circle, as a fraction of half the box.
        """
        return cls(box)

    @abstractmethod
    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit to pairs, in one pass or several; memory does not grow with their number.

        What is fitted stays where the generator is.

        Parameters
        ----------
        batches : iterable of (sim, raw, metadata, group)
            (B, 1, N, N) network values of either, what is known of the particles, (B,) int64 number of the
            micrograph. It can be gone through several times, and reads the pairs again each time.

        Raises
        ------
        ValueError
            If there are no pairs.
        """

    @abstractmethod
    def description(self) -> str:
        """Describe in a few words what was fitted."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Make room in the buffers whose size depends on the data."""
        for name in self.sized_by_fit:
            found = state_dict.get(prefix + name)
            if found is not None:
                setattr(self, name, torch.empty_like(found, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
