"""A generator that does not come with cryoalign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.generator import Generator

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.generator import Metadata


class Gain(Generator):
    """A gain; other arguments of its file are left alone."""

    def __init__(self, box: int, noise_channels: int = 0, **_: object) -> None:
        super().__init__(box, noise_channels)
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:  # noqa: ARG002
        return self.gain * sim
