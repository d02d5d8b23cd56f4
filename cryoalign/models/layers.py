"""Pieces that several networks share: padding to a size that halves, noise, dropout, initial weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReflectPad(nn.Module):
    """Pad square images by reflection to the next multiple of a size, and crop back.

    Parameters
    ----------
    box : int
        Image size in px.
    multiple : int
        What the padded size is a multiple of. A reflection reaches less than one image deep, so it must not
        exceed twice the box.
    """

    def __init__(self, box: int, multiple: int) -> None:
        super().__init__()
        missing = -box % multiple
        self.box = box
        self.before, self.after = missing // 2, missing - missing // 2
        if self.after >= box:
            raise ValueError(f"a box of {box} px cannot be reflected out to {box + missing} px")

    def forward(self, images: Tensor) -> Tensor:
        """Pad (B, C, box, box) images on all four sides."""
        if images.ndim != 4 or images.shape[-2:] != (self.box, self.box):
            raise ValueError(f"expected images (B, C, {self.box}, {self.box}), found {tuple(images.shape)}")
        if self.after == 0:
            return images
        return F.pad(images, (self.before, self.after, self.before, self.after), mode="reflect")

    def crop(self, images: Tensor) -> Tensor:
        """Take the (B, C, box, box) centre that `forward` was given."""
        inside = slice(self.before, self.before + self.box)
        return images[..., inside, inside]


class Dropout(nn.Module):
    """Dropout that may stay active in evaluation mode.

    pix2pix takes its noise from dropout, in testing too (Isola et al. 2017, doi:10.1109/CVPR.2017.632).

    Parameters
    ----------
    probability : float
        Of dropping a value; the others are scaled up by ``1 / (1 - probability)``.
    at_inference : bool
        Drop in evaluation mode too.
    """

    def __init__(self, probability: float, at_inference: bool) -> None:
        super().__init__()
        self.probability, self.at_inference = probability, at_inference
        self.streams: list[torch.Generator] | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Drop values of any shape: from each image's own stream where it has one, else from torch's."""
        if self.streams is None:
            return F.dropout(values, self.probability, training=self.training or self.at_inference)
        drawn = torch.stack([torch.rand(values.shape[1:], generator=stream) for stream in self.streams])
        kept = (drawn >= self.probability).to(values) / max(1 - self.probability, 1e-12)
        return values * kept


@contextmanager
def dropping(network: nn.Module, streams: list[torch.Generator]) -> Iterator[None]:
    """Let the dropout of a network that is in use draw from a stream for each image of its batch.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    streams : list of torch.Generator
        On the CPU; all layers draw from them, one after the other.
    """
    layers = [module for module in network.modules() if isinstance(module, Dropout) and module.at_inference]
    for layer in layers:
        layer.streams = streams
    try:
        yield
    finally:
        for layer in layers:
            layer.streams = None


def with_noise(sim: Tensor, noise: Tensor | None, channels: int) -> Tensor:
    """Concatenate the noise maps that a generator was built for.

    Parameters
    ----------
    sim : (B, 1, N, N) tensor
        Simulated images.
    noise : (B, channels, N, N) tensor or None
        Noise maps; None where `channels` is 0.
    channels : int
        Number of maps expected.

    Returns
    -------
    (B, 1 + channels, N, N) tensor

    Raises
    ------
    ValueError
        If the noise is missing, unexpected or of another shape.
    """
    found = None if noise is None else tuple(noise.shape)
    expected = (len(sim), channels, *sim.shape[-2:]) if channels else None
    if found != expected:
        raise ValueError(f"expected noise of shape {expected}, found {found}")
    return sim if noise is None else torch.cat([sim, noise], 1)


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw initial weights as pix2pix does, from torch's global generator.

    Convolutions N(0, std), batch norm scales N(1, std), biases 0 (Isola et al. 2017,
    doi:10.1109/CVPR.2017.632). To be given to `torch.nn.Module.apply`.

    Parameters
    ----------
    module : nn.Module
        Any module; those without such parameters are left alone.
    std : float
        Standard deviation.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, std)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, std)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
