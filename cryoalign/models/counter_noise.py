"""Noise from a counter: the same integers on every device, without a stream that would have to be kept.

Philox-4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405) turns a counter of 128 bits and a key of 64
into 128 random bits. Here the key is the seed, and the counter says who, which draw, and which four pixels.
Written with torch's operations, as torch's own generators give other numbers on other devices, and take
their seed from the host, which would have to wait for the particles' numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ROUNDS = 10
_WORD = 2**32 - 1
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Compute Philox-4x32-10.

    Parameters
    ----------
    counter : (4, ...) int64 tensor
        Words of 32 bits.
    key : (int, int)
        Words of 32 bits.

    Returns
    -------
    (4, ...) int64 tensor
        Words of 32 bits, of the counter's device.

    Examples
    --------
    >>> import torch
    >>> [hex(word) for word in philox(torch.zeros(4, dtype=torch.int64), (0, 0)).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = counter.unbind()
    for number in range(_ROUNDS):
        first, second = ((word + number * step) & _WORD for word, step in zip(key, _WEYL, strict=True))
        # Products wrap around in int64, which leaves their 64 bits what they are without a sign.
        of_a, of_c = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, c = ((of_c >> 32) & _WORD) ^ b ^ first, ((of_a >> 32) & _WORD) ^ d ^ second
        b, d = of_c & _WORD, of_a & _WORD
    return torch.stack([a, b, c, d])


def counter_noise(seed: int, identity: Tensor, draw: Tensor, *, channels: int, box: int) -> Tensor:
    """Draw standard normal maps that depend on (seed, identity, draw) alone, on the device of `identity`.

    Two words make two numbers, by Box and Muller's transform in float64: on other devices they differ by less
    than 1e-6. Nothing waits for the device.

    Parameters
    ----------
    seed : int
        Its lower 64 bits count.
    identity, draw : (B,) int64 tensor
        Who the particle is, and which of its draws; of the draw the lower 32 bits count.
    channels : int
        Maps for each particle.
    box : int
        Size in px.

    Returns
    -------
    (B, channels, box, box) float32 tensor
    """
    count = channels * box**2
    blocks = torch.arange(-(-count // 4), device=identity.device).expand(len(identity), -1)
    who = (draw & _WORD, identity & _WORD, (identity >> 32) & _WORD)
    counter = torch.stack([blocks, *(word[:, None].expand_as(blocks) for word in who)])
    drawn = (philox(counter, (seed & _WORD, (seed >> 32) & _WORD)).double() + 0.5) / 2**32
    radius, angle = (-2 * drawn[0::2].log()).sqrt(), 2 * math.pi * drawn[1::2]
    pairs = torch.stack([radius * angle.cos(), radius * angle.sin()])  # (2, 2, B, blocks)
    flat = pairs.permute(2, 3, 1, 0).reshape(len(identity), -1)[:, :count]
    return flat.reshape(len(identity), channels, box, box).float()
