"""pix2pix's own generators, for comparison."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from cryoalign.errors import InputError, choice, within
from cryoalign.models.generator import Generator, Metadata
from cryoalign.models.layers import Dropout, ReflectPad, init_normal, with_noise

DROPOUT_LEVELS = 3  # innermost levels of the decoder that drop values
WIDEST = 8  # channels grow with the level up to this multiple of the width


class _Level(nn.Module):
    """One level: halve, run what lies inside, double, and concatenate with what came in."""

    def __init__(
        self, outer: int, inner: int, *, inside: _Level | None, probability: float, at_inference: bool
    ) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, padding=1, bias=False))
        if inside is not None:
            # The innermost features may be one pixel of one image, whose batch norm is undefined: none there.
            self.down.append(nn.BatchNorm2d(inner))
        self.inside = inside if inside is not None else nn.Identity()
        self.up = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(inner if inside is None else 2 * inner, outer, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(outer),
        )
        if probability:
            self.up.append(Dropout(probability, at_inference))

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.up(self.inside(self.down(features)))], 1)


class Pix2PixUNet(Generator):
    """The published ``unet_256`` (54.41 M parameters) or ``unet_128`` (41.82 M), for one channel.

    8 or 7 halvings down to one pixel, 64 to 512 channels, batch norm, dropout 0.5 in the three innermost
    levels of the decoder, transposed convolutions, tanh (Isola et al. 2017, doi:10.1109/CVPR.2017.632).
    Images must be scaled to [-1, 1]. Initial weights are N(0, 0.02).

    A box that is no multiple of `size` is padded by reflection and cropped back. One of less than half the
    size is refused: most of what the network saw would be reflections, at several times the cost.

    Parameters
    ----------
    box : int
        Image size in px, at least half of `size`.
    size : {256, 128}
        Which of the two.
    width : int
        Channels of the first level; 64 as published.
    dropout : float
        Probability; 0.5 as published.
    dropout_at_inference : bool
        Keep the dropout in evaluation mode, as published: there it is the only source of noise. It draws from
        torch's global generator.
    noise_channels : int
        Noise maps expected as additional input; 0 as published.

    Raises
    ------
    InputError
        If the size is another or the box too small for it.
    """

    def __init__(
        self,
        box: int,
        size: Literal[256, 128] = 256,
        *,
        width: int = 64,
        dropout: float = 0.5,
        dropout_at_inference: bool = True,
        noise_channels: int = 0,
    ) -> None:
        super().__init__(box, noise_channels)
        _check(box, size)
        within("generator.width", width, 1, whole=True)
        within("generator.dropout", dropout, 0, below=1)
        depth = size.bit_length() - 1
        channels = [width * min(2**level, WIDEST) for level in range(depth)]
        self.pad = ReflectPad(box, size)
        level: _Level | None = None
        for number in reversed(range(1, depth)):
            level = _Level(
                channels[number - 1],
                channels[number],
                inside=level,
                probability=dropout if number >= depth - DROPOUT_LEVELS else 0.0,
                at_inference=dropout_at_inference,
            )
        self.first = nn.Conv2d(1 + noise_channels, width, 4, 2, padding=1, bias=False)
        self.levels = cast("_Level", level)
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, 1, 4, 2, padding=1), nn.Tanh())
        self.apply(init_normal)

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
            Simulated images, scaled to [-1, 1].
        noise : (B, noise_channels, box, box) tensor or None
            Noise maps; None where the network was built without.
        metadata : optional
            Not used.

        Returns
        -------
        (B, 1, box, box) tensor
            Between -1 and 1.

        Raises
        ------
        ValueError
            If a shape is not what the network was built for.
        """
        features = self.first(self.pad(with_noise(sim, noise, self.noise_channels)))
        return self.pad.crop(self.last(self.levels(features)))


def _check(box: int, size: int) -> None:
    choice("generator.size", size, (256, 128))
    if 2 * box < size:
        raise InputError(
            f"the box is too small for unet_{size}",
            expected=f"{size // 2} px or more",
            found=f"{box} px",
            remedy="use generator=unet" + (", or unet_128 from 64 px" if size == 256 and box >= 64 else ""),
        )
