"""Whitened bands of an image: what the scores of pixels compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cryoalign.errors import within
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.ring_filter import filter_rings, ring_power

if TYPE_CHECKING:
    from collections.abc import Sequence


class WhitenedBands(nn.Module):
    """Split images into bands of spatial frequency, each whitened by the mean power spectrum of raw.

    Bands are octaves below Nyquist: of four bands the last holds the frequencies from half of Nyquist on,
    corners included, the first those below an eighth. In each, every ring is divided by the root of raw's
    mean power, and the band scaled so that pixels of raw have a mean square of 1.

    Parameters
    ----------
    count : int
        Number of bands.
    key : str
        Where a configuration names that number.

    Raises
    ------
    InputError
        If it is out of its range.
    """

    factors: Tensor | None

    def __init__(self, count: int, key: str) -> None:
        super().__init__()
        self.count = within(key, count, 1, 6, whole=True)
        # Found again from the same images when a run is continued, so it is no part of a checkpoint.
        self.register_buffer("factors", None, persistent=False)

    def fit(self, raw: Tensor) -> None:
        """Find the filters from (B, 1, N, N) raw images."""
        power = ring_power(raw).flatten(0, -2).mean(0)
        power = power.clamp(min=1e-8 * float(power.mean()))
        box = raw.shape[-1]
        pixels = half_plane(box).pixels.to(power.device)
        rows = []
        for lower, upper in _edges(box, self.count):
            inside = torch.arange(len(pixels), device=power.device)
            inside = (inside >= lower) & (inside < upper)
            share = pixels[inside].sum() / box**2
            rows.append(torch.where(inside, (power * share).rsqrt(), 0))
        self.factors = torch.stack(rows)[:, None, None].to(raw.dtype)

    def forward(self, images: Tensor) -> Tensor:
        """Filter images.

        Parameters
        ----------
        images : (B, 1, N, N) tensor

        Returns
        -------
        (K, B, 1, N, N) tensor
            Float32 at least.

        Raises
        ------
        ValueError
            If `fit` did not come first.
        """
        if self.factors is None:
            raise ValueError("fit() comes first: the bands are whitened by the spectrum of raw")
        return filter_rings(images, self.factors)


def _edges(box: int, count: int) -> Sequence[tuple[float, float]]:
    """Return the first ring of each band and of the next: octaves, the lowest one down to ring 0."""
    upper = [box / 2 / 2**step for step in range(count - 1, 0, -1)]
    return list(zip([0.0, *upper], [*upper, float("inf")], strict=True))
