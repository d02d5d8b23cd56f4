"""Views of maps that are made of simulated images: the poses that the images follow."""

from __future__ import annotations

import torch

from cryoalign.physics.projection import Projector
from cryoalign.physics.reconstruction import reconstruct


def views(
    spectra: torch.Tensor,
    transfers: torch.Tensor,
    built: torch.Tensor,
    wanted: torch.Tensor,
) -> torch.Tensor:
    """Predict every image from a map of the other half of the images.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
        Half planes of centred images.
    transfers : (n, N, N // 2 + 1) real tensor
        What they were multiplied by.
    built : (n, 3, 3) tensor
        Poses at which the images are laid into the maps.
    wanted : (n, 3, 3) tensor
        Poses at which the maps are looked at.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
        Central slices without CTF and shift.
    """
    box = spectra.shape[-2]
    predicted = torch.zeros_like(spectra)
    half = torch.arange(len(spectra)) % 2
    for part in (0, 1):
        from_, to = half == part, half != part
        density = reconstruct(spectra[from_], transfers[from_], built[from_])
        predicted[to] = Projector(density, 2.0, box=box).slices(wanted[to]).to(spectra.dtype)
    return predicted
