"""The lightweight U-Net generator."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from cryoalign.errors import InputError, choice, within
from cryoalign.models.generator import Generator, Metadata
from cryoalign.models.layers import Dropout, ReflectPad, with_noise

SMALLEST_BOX = 16
DEEPEST_AUTO = 5  # keeps the parameters below 2 M up to 512 px, also at width 32
WIDEST = 4  # channels grow with the level up to this multiple of the width
SLOPE = 0.2


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    # Reflection, not zeros: zeros print a frame, and a constant image would no longer stay constant.
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="reflect")


class _Residual(nn.Module):
    """``x + conv(act(x))``: deep enough stacks of it train without a norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels)
        self.act = nn.LeakyReLU(SLOPE)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = features + self.conv(self.act(features))
        return out


class _Up(nn.Module):
    """Double the size, add the encoder's features of that size, mix."""

    def __init__(self, inputs: int, outputs: int, upsampling: str, dropout: nn.Module) -> None:
        super().__init__()
        self.grow: nn.Module
        if upsampling == "resize":
            # Channels first, while the image is small; bilinear has no phase of its own, so nothing periodic
            # is printed.
            upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.grow = nn.Sequential(nn.Conv2d(inputs, outputs, 1), upsample)
        else:
            self.grow = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1)
        self.act = nn.LeakyReLU(SLOPE)
        self.mix = _Residual(outputs)
        self.dropout = dropout

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.mix(self.grow(self.act(features)) + skip))
        return out


class UNet(Generator):
    """Lightweight U-Net: at most 2 M parameters at its defaults, for any box from 16 to 512 px.

    An encoder of strided convolutions, a decoder that adds the encoder's features of the same size (the U-Net
    of Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28, with sums for concatenations, which halves
    the cost at full size), and a skip from the input to the head with one learned factor.

    There is no norm. Instance and group norm divide each image's features by their own spread: the grey-value
    scale, which the generator must keep, is lost, an almost constant clean image has its rounding noise blown
    up, and at a bottleneck of a few pixels the spread is itself noise. Batch norm would tie images to their
    batch. Residual blocks train without one.

    Parameters
    ----------
    box : int
        Image size in px, 16 or more. What does not halve evenly is padded by reflection inside and cropped
        back.
    width : int
        Channels at full size; they double with each level, up to four times.
    depth : int or "auto"
        How often the size is halved. "auto" leaves a bottleneck of 8 to 16 px, but stops at 5.
    upsampling : {"resize", "transposed"}
        Bilinear resizing, which prints no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003), or
        transposed convolution.
    head : {"linear", "tanh"}
        Last step. Tanh clips, so it is for images scaled to [-1, 1] only.
    noise_channels : int
        Noise maps expected as additional input, at full size.
    dropout : float
        Probability, in all levels of the decoder but the last.
    dropout_at_inference : bool
        Keep the dropout in evaluation mode, as pix2pix does.

    Raises
    ------
    InputError
        If a parameter is out of its range, or the box too small for the depth.
    """

    def __init__(
        self,
        box: int,
        width: int = 24,
        *,
        depth: int | Literal["auto"] = "auto",
        upsampling: Literal["resize", "transposed"] = "resize",
        head: Literal["linear", "tanh"] = "linear",
        noise_channels: int = 0,
        dropout: float = 0.0,
        dropout_at_inference: bool = False,
    ) -> None:
        super().__init__(box, noise_channels)
        levels = _levels(box, depth)
        _check(width, upsampling, head, dropout)
        channels = [width * min(2**level, WIDEST) for level in range(levels + 1)]
        self.pad = ReflectPad(box, 2**levels)
        self.stem = _conv(1 + noise_channels, width)
        self.down = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(SLOPE), _conv(above, below, stride=2))
            for above, below in pairwise(channels)
        )
        self.up = nn.ModuleList(
            _Up(below, above, upsampling, Dropout(dropout if level else 0.0, dropout_at_inference))
            for level, (above, below) in reversed(list(enumerate(pairwise(channels))))
        )
        self.head = nn.Sequential(nn.LeakyReLU(SLOPE), _conv(width, 1))
        self.gain = nn.Parameter(torch.ones(()))
        self.last = nn.Tanh() if head == "tanh" else nn.Identity()
        # The same convolutions, on a CPU in two thirds of the time.
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(
        self,
        sim: Tensor,
        noise: Tensor | None = None,
        metadata: Metadata | None = None,  # noqa: ARG002  the call of every generator
    ) -> Tensor:
        """Refine simulated images.

        Parameters
        ----------
        sim : (B, 1, box, box) tensor
            Simulated images.
        noise : (B, noise_channels, box, box) tensor or None
            Noise maps; None where the network was built without.
        metadata : optional
            Not used.

        Returns
        -------
        (B, 1, box, box) tensor

        Raises
        ------
        ValueError
            If a shape is not what the network was built for.
        """
        features = self.stem(self.pad(with_noise(sim, noise, self.noise_channels)))
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        for up in self.up:
            features = up(features, skips.pop())
        out: Tensor = self.last(self.pad.crop(self.head(features)) + self.gain * sim)
        return out


def _levels(box: int, depth: int | Literal["auto"]) -> int:
    if box < SMALLEST_BOX:
        raise InputError(
            "the box is too small for the U-Net",
            expected=f"{SMALLEST_BOX} px or more",
            found=f"{box} px",
            remedy="use images of a larger box",
        )
    if depth == "auto":
        return min(int(math.log2(box / 8)), DEEPEST_AUTO)
    deepest = int(math.log2(box / 2))  # leaves a bottleneck of 2 px, the least that can be reflected
    if type(depth) is not int or not 1 <= depth <= deepest:
        raise InputError(
            "the U-Net's depth does not suit the box",
            expected=f"1 to {deepest} for {box} px",
            found=depth,
            remedy="set generator.depth=auto",
        )
    return depth


def _check(width: int, upsampling: str, head: str, dropout: float) -> None:
    within("generator.width", width, 1, whole=True)
    choice("generator.upsampling", upsampling, ("resize", "transposed"))
    choice("generator.head", head, ("linear", "tanh"))
    within("generator.dropout", dropout, 0, below=1)
