"""Classifiers of the two-sample test: logistic regression on spectra, and a small CNN on grey values.

Both learn from one fold and give scores to the other. Neither touches the global random state.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn
from torch.nn import functional as F

from cryoalign.evaluate.measures.edges import edge_correlations
from cryoalign.evaluate.measures.networks import seeded, turned
from cryoalign.evaluate.measures.two_sample.moments import band_moments
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.spectrum import ring_mean, ring_pixels, ring_sum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_FURTHEST = 6.0  # standard deviations at which features are clipped, so that squares of outliers do not rule
_EDGE_LAGS = 3  # px towards the edge: correlations further apart are fainter, and more to learn
_RATE, _DECAY = 2e-2, 1e-2
#: Images in a batch, and steps at the least: a small fold is gone through more often, or the CNN would not
#: have begun to learn. With large windows it sees more in each image and has more to learn from: skewed noise
#: at full pixel size was found with 200 steps, and not with 60.
_PACE, _PACE_OF_LARGE = (50, 60), (32, 200)
_LARGE = 64  # px; windows above are large


def spectral_features(images: Tensor) -> Tensor:
    """Describe each image by its log power on every ring and in the corners, its moments, and its edges.

    The means are the radial log power spectrum (`cryoalign.physics.spectrum.radial_log_power`), continued by
    the corners beyond the last ring, taken as one. The spread within a ring is pi / sqrt(6) = 1.28 where the
    Fourier coefficients are complex Gaussian of equal power, and differs for peaks and for anisotropy. Noise
    that is white within a ring but not Gaussian is seen by the moments
    (`cryoalign.evaluate.measures.two_sample.moments.band_moments`). Noise that was made or filtered in the
    image's box continues across its edges, that of a box cut from a micrograph does not: that is seen by the
    correlations across the edges (`cryoalign.evaluate.measures.edges.edge_correlations`), mean over both
    directions along an edge.

    Parameters
    ----------
    images : (B, N, N) tensor
        Grey values.

    Returns
    -------
    (B, 2 R + 2 + M + E) float64 tensor
        R = N // 2 + 1: means of rings and corners, their standard deviations, then M moments and E
        correlations across the edges, 9 of them in boxes of 24 px and more.
    """
    box = images.shape[-1]
    spectra = rfft2(images.float())
    log_power = (spectra.real.double().square() + spectra.imag.double().square()).log1p()
    mean = _rings_and_corners(log_power, box)
    spread = (_rings_and_corners(log_power.square(), box) - mean.square()).clamp_min(0).sqrt()
    across = edge_correlations(images.float()).across[:, :_EDGE_LAGS]
    middle = across.shape[-1] // 2
    across = ((across + across.flip(-1)) / 2)[..., middle:].flatten(1)
    return torch.cat([mean, spread, band_moments(images), across], -1)


def _rings_and_corners(values: Tensor, box: int) -> Tensor:
    """Average a half plane (B, N, H) over each ring, and over the corners: (B, R + 1)."""
    whole = (values * half_plane(box).weight.to(values.device)).sum((-2, -1))
    corners = (whole - ring_sum(values, box).sum(-1)) / (box**2 - ring_pixels(box).sum())
    return torch.cat([ring_mean(values, box), corners[..., None]], -1)


def score_by_spectrum(train: Tensor, is_fake: Tensor, test: Tensor, l2: float = 0.1) -> Tensor:
    """Fit a logistic regression on features and their squares, and score other images.

    Features are standardized on the training images; the squares make wrong spread visible where the mean is
    right. The loss is ``mean log(1 + exp(-y x.w)) + l2 / 2 |w|^2``, minimized by L-BFGS.

    Parameters
    ----------
    train : (n, F) float64 tensor
        Features of the training images.
    is_fake : (n,) bool tensor
        Their classes.
    test : (m, F) float64 tensor
        Features of the images to be scored.
    l2 : float
        Strength of the regularization.

    Returns
    -------
    (m,) float64 tensor
        Log odds; high means fake.
    """
    known, asked = _with_squares(train, test)
    known, asked = (F.pad(values, (0, 1), value=1.0) for values in (known, asked))
    x, sign = known.numpy(), np.where(is_fake.numpy(), 1.0, -1.0)
    penalty = np.full(x.shape[1], l2)
    penalty[-1] = 0.0  # the offset

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights)
        slope = -sign / (1 + np.exp(np.minimum(margin, 700.0)))
        value = np.logaddexp(0.0, -margin).mean() + 0.5 * (penalty * weights**2).sum()
        return float(value), x.T @ slope / len(x) + penalty * weights

    weights = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return asked @ torch.from_numpy(weights)


def _with_squares(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Standardize features on the training images, and add their squares, standardized too."""
    known, asked = _standardize(train, test)
    more = _standardize(known.square(), asked.square())
    return torch.cat([known, more[0]], 1), torch.cat([asked, more[1]], 1)


def _standardize(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    mean, spread = train.mean(0), train.std(0)
    varies = spread > 1e-9 * (1 + mean.abs())
    scale = torch.where(varies, 1 / torch.where(varies, spread, 1.0), 0.0)
    known, asked = (((values - mean) * scale).clamp(-_FURTHEST, _FURTHEST) for values in (train, test))
    return known, asked


class SmallCNN(nn.Module):
    """Three strided convolutions, the mean over the image, and a linear layer.

    Values come as they are: nothing is normalized image by image, so that a wrong grey scale stays visible.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, kernel in ((1, width, 5), (width, 2 * width, 3), (2 * width, 4 * width, 3)):
            layers += [
                nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(4 * width, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Score (B, 1, N, N) images: (B,) log odds."""
        scores: Tensor = self.last(self.layers(images).mean((-2, -1)))[:, 0]
        return scores


def score_by_cnn(
    train: Tensor, is_fake: Tensor, test: Tensor, *, epochs: int, seed: int, device: str = "cpu"
) -> Tensor:
    """Train a small CNN on windows of images, and score other images.

    Each epoch shows one window of every image, flipped and turned at random. Grey values are brought to mean
    0 and standard deviation 1 by one offset and one scale, those of the training images.

    Parameters
    ----------
    train : (n, W, S, S) float32 tensor
        W windows of each training image.
    is_fake : (n,) bool tensor
        Their classes.
    test : (m, W, S, S) float32 tensor
        Windows of the images to be scored.
    epochs : int
        How often every training image is shown; small folds more often, for 60 steps at least, windows of
        more than 64 px for 200.
    seed : int
        Of the weights, the order, the windows and the turns.
    device : str
        Where it is trained.

    Returns
    -------
    (m,) float64 tensor
        Mean log odds over the windows, on the CPU; high means fake.
    """
    network, train = seeded(SmallCNN, seed).to(device), train.to(device)
    generator = torch.Generator().manual_seed(seed)
    offset, scale = train.mean(), 1 / train.std()
    batch, fewest_steps = _PACE if train.shape[-1] <= _LARGE else _PACE_OF_LARGE
    steps_an_epoch = math.ceil(len(train) / batch)
    epochs = max(epochs, math.ceil(fewest_steps / steps_an_epoch))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=epochs * steps_an_epoch)
    wanted = is_fake.float().to(device)
    network.train()
    for _ in range(epochs):
        for part in _batches(len(train), batch, generator):
            window = torch.randint(train.shape[1], (len(part),), generator=generator)
            images = turned(train[part, window], generator)
            loss = F.binary_cross_entropy_with_logits(
                network((images[:, None] - offset) * scale), wanted[part]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        scores = [
            network((part.to(device).flatten(0, 1)[:, None] - offset) * scale)
            for part in torch.split(test, batch)
        ]
    return torch.cat(scores).cpu().double().view(len(test), -1).mean(1)


def _batches(count: int, most: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Deal all images out to batches of like size: a batch of one image cannot be normalized."""
    order = torch.randperm(count, generator=generator)
    yield from order.tensor_split(math.ceil(count / most))
