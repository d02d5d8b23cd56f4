"""A small DnCNN, and its training on pairs of a noisy and a clean image."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cryoalign.evaluate.measures.networks import seeded, turned

_WIDTH, _DEPTH = 16, 6
_BATCH, _RATE = 16, 2e-3


class DnCNN(nn.Module):
    """Convolutions of 3 x 3 px with batch normalization, which predict the noise of an image.

    As Zhang et al. 2017 (doi:10.1109/TIP.2017.2662206), with 6 layers of 16 channels in place of 17 of 64: it
    sees 13 x 13 px around each.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, _WIDTH, 3, padding=1), nn.ReLU()]
        for _ in range(_DEPTH - 2):
            layers += [nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(_WIDTH), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(_WIDTH, 1, 3, padding=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Denoise (B, 1, N, N) images."""
        denoised: torch.Tensor = images - self.layers(images)
        return denoised


def train_denoiser(
    noisy: torch.Tensor, clean: torch.Tensor, *, steps: int, seed: int, device: str = "cpu"
) -> DnCNN:
    """Train a denoiser by the mean squared error.

    Parameters
    ----------
    noisy, clean : (n, N, N) float32 tensor
    steps : int
        Batches of 16 pairs, flipped and turned at random.
    seed : int
        Of the weights, the order and the turns: two denoisers of one seed and as many pairs differ in their
        images alone.
    device : str
        Where it is trained.

    Returns
    -------
    DnCNN
        In evaluation mode, on that device.
    """
    network = seeded(DnCNN, seed).to(device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    pairs = torch.stack([noisy, clean], 1).to(device)
    network.train()
    for _ in range(steps):
        chosen = torch.randint(len(pairs), (_BATCH,), generator=generator)
        given, wanted = torch.split(turned(pairs[chosen], generator), 1, dim=1)
        loss = F.mse_loss(network(given), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def squared_errors(network: DnCNN, noisy: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each image that is denoised.

    Parameters
    ----------
    network : DnCNN
    noisy, clean : (n, N, N) float32 tensor

    Returns
    -------
    (n,) float64 tensor
        On the CPU.
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [
            (network(given.to(device)[:, None])[:, 0] - wanted.to(device)).square().mean((-2, -1))
            for given, wanted in zip(torch.split(noisy, 64), torch.split(clean, 64), strict=True)
        ]
    return torch.cat(parts).double().clone().cpu()
