"""Correlations of pixels across opposite edges of an image, and of pixels as far apart inside of it.

Noise made by a Fourier transform in the image's own box is periodic: its left edge continues on the right,
its top at the bottom. So is that of images whose CTF was applied in their box. Boxes cut from a micrograph
end at their edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_MOST_LAGS, _LAG_OF_BOX = 6, 1 / 8  # px towards the edge, and at the most, as a fraction of the box
_MOST_ALONG = 2  # px along the edge, to either side
_FAINT = 1e-30  # a variance of nothing


class EdgeCorrelations(NamedTuple):
    """Of B images, at lags l = 1 to L towards the edge and m = -M to M along it, mean over both axes.

    Attributes
    ----------
    across : (B, L, 2 M + 1) float64 tensor
        Of pixels l apart where opposite edges are laid side by side: l pairs a line.
    first, last : (B, L, 2 M + 1) float64 tensor
        Of pixels l apart at the one edge and at the other one: again l pairs a line.
    """

    across: Tensor
    first: Tensor
    last: Tensor


def edge_correlations(images: Tensor) -> EdgeCorrelations:
    """Correlate pixels near the edges of images.

    From each mean product of pixels (l, m) apart, that of the same two columns at displacements of a quarter
    to three quarters of the box along the edge is taken off: what the mean of an image was, and what its
    normalization took away, is in both alike and does not matter.

    Parameters
    ----------
    images : (B, N, N) tensor

    Returns
    -------
    EdgeCorrelations
        L is N / 8, from 1 to 6; M is 2, or less in boxes below 16 px.
    """
    box = images.shape[-1]
    lags = max(1, min(_MOST_LAGS, int(box * _LAG_OF_BOX)))
    both = [_along_one_axis(values, lags) for values in (images, images.transpose(-2, -1))]
    variance = images.double().var((-2, -1), correction=0).clamp_min(_FAINT)[:, None, None]
    return EdgeCorrelations(*((x + y) / 2 / variance for x, y in zip(*both, strict=True)))


def _along_one_axis(images: Tensor, lags: int) -> tuple[Tensor, ...]:
    """Covariances across the left and right edge, at the left one and at the right one."""
    box = images.shape[-1]
    columns = torch.fft.rfft(images, dim=1)
    most = min(_MOST_ALONG, box // 8)
    near = torch.arange(-most, most + 1, device=images.device) % box

    def covariance(start: int, other: int, width: int) -> Tensor:
        one, two = columns[..., start : start + width], columns[..., other : other + width]
        products = torch.fft.irfft((one.conj() * two).sum(-1), n=box, dim=1).double() / (box * width)
        far = products[:, box // 4 : box - box // 4 + 1].mean(1, keepdim=True)
        covariances: Tensor = products[:, near] - far
        return covariances

    found = [
        (
            covariance(box - lag, 0, lag),
            covariance(0, lag, lag),
            covariance(box - 2 * lag, box - lag, lag),
        )
        for lag in range(1, lags + 1)
    ]
    return tuple(torch.stack(part, 1) for part in zip(*found, strict=True))
