"""Ways to make a step faster that change its last digits, or take a minute to begin: each is a choice."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from cryoalign.errors import InputError, choice

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.discriminator import Discriminator
    from cryoalign.models.generator import Generator


@dataclass(frozen=True)
class Speed:
    """How the networks are run in training.

    Attributes
    ----------
    compile : {"default", "reduce-overhead"}, optional
        Compile the networks with `torch.compile`, never what transforms images; the latter mode records CUDA
        graphs. Where nothing is trained they run as they are.
    channels_last : bool
        Keep the weights of convolutions channels last, which tensor cores prefer.
    joint : bool
        Let the discriminator judge raw and fake images in one pass.

    Raises
    ------
    InputError
        If the mode is another.
    """

    compile: Literal["default", "reduce-overhead"] | None = None
    channels_last: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        choice("speed.compile", self.compile, (None, "default", "reduce-overhead"))

    def prepare(self, generator: Generator, discriminator: Discriminator | None) -> None:
        """Change the networks in place; names of weights stay.

        Raises
        ------
        InputError
            If something ties the images of a batch that `joint` would put together.
        """
        networks = [generator] if discriminator is None else [generator, discriminator]
        if self.joint and discriminator is not None and not discriminator.judges_alone:
            raise InputError(
                "this discriminator cannot judge raw and fake images in one pass",
                expected="no batch norm, batch statistics or spectral norm",
                found="speed.joint=true",
                remedy="leave speed.joint out, or give discriminator.norm=instance",
            )
        for network in networks if self.channels_last else ():
            convert_conv2d_weight_memory_format(network, torch.channels_last)
        if self.compile is not None:
            generator.compile(mode=self.compile)
            if discriminator is not None:
                _compile_layers(getattr(discriminator, "layers", discriminator), self.compile)

    def plainly(self) -> AbstractContextManager[None]:
        """Return a context in which compiled networks run as they are: other modes and sizes of batches would
        be compiled anew.
        """
        if self.compile is None:
            return nullcontext()
        stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
        return stance

    def judge(
        self, discriminator: Discriminator, sim: Tensor, raw: Tensor, fake: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the discriminator's logits for raw and for fake images."""
        if not self.joint:
            return discriminator(sim, raw), discriminator(sim, fake)
        on_raw, on_fake = discriminator(torch.cat([sim, sim]), torch.cat([raw, fake])).chunk(2)
        return on_raw, on_fake


def _compile_layers(layers: nn.Module, mode: str) -> None:
    """Compile what lies within a discriminator: around it some transform images, which stays as it is.

    torch leaves calls of its own modules alone, such as a sequence of layers, unless another function makes
    them.
    """

    def call(*features: Tensor) -> Tensor:
        out: Tensor = layers._call_impl(*features)  # type: ignore[no-untyped-call]
        return out

    layers._compiled_call_impl = torch.compile(call, mode=mode)


#: The networks as they are.
AS_THEY_ARE = Speed()
