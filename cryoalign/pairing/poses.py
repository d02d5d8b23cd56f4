"""Maps made of simulated images, and views of those maps: the poses that the images follow."""

from __future__ import annotations

import torch

from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2
from cryoalign.physics.projection import Projector

_PADDING = 2
_DAMPING = 0.05  # of the mean weight: what a voxel needs to count as seen


def reconstruct(spectra: torch.Tensor, transfers: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Make a map of images at given poses.

    Each image is padded with zeros to twice its box and laid into the map's transform as a central slice, its
    samples shared between the eight nearest grid points; sum of CTF x image over sum of CTF^2, damped where
    there is little; then
    the interpolation's envelope, sinc^2 along each axis, is divided out.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
        Half planes of centred images.
    transfers : (n, N, N // 2 + 1) real tensor
        What they were multiplied by.
    rotations : (n, 3, 3) tensor
        Image frame to volume frame.

    Returns
    -------
    (N, N, N) float32 tensor
        Axes [z, y, x], origin at voxel ``N // 2``.
    """
    box = spectra.shape[-2]
    large = _PADDING * box
    pad = (large // 2 - box // 2, large - box - (large // 2 - box // 2))
    padded = rfft2(torch.nn.functional.pad(irfft2(spectra * transfers, box), pad * 2))
    weight = torch.nn.functional.interpolate(
        torch.fft.fftshift(transfers.square(), dim=-2)[:, None],
        size=(large, large // 2 + 1),
        mode="bilinear",
        align_corners=True,
    )[:, 0]
    weight = torch.fft.ifftshift(weight, dim=-2)
    ky, kx = frequency_grid(large, 1 / large)
    inside = torch.hypot(ky, kx) < large // 2 - 1
    grid = torch.stack([(kx + 0 * ky)[inside], (ky + 0 * kx)[inside]])
    points = rotations[:, :, :2].float() @ grid  # (n, 3, S), rows x, y, z
    values = torch.stack([padded[:, inside].real, padded[:, inside].imag, weight[:, inside]], -1)
    volume = _lay_in(points, values, large)
    seen = volume[..., 2]
    transform = torch.complex(volume[..., 0], volume[..., 1]) / (seen + _DAMPING * seen[seen > 0].mean())
    density = torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(transform)).real)
    start = large // 2 - box // 2
    density = density[start : start + box, start : start + box, start : start + box]
    axis = torch.sinc((torch.arange(box) - box // 2) / large).square()
    corrected: torch.Tensor = density / (axis[:, None, None] * axis[:, None] * axis)
    return corrected


def _lay_in(points: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """Share samples, and their conjugates at the opposite points, between eight neighbours."""
    volume = torch.zeros(size**3, 3)
    conjugate = torch.tensor([1.0, -1.0, 1.0])
    for sign, sample in ((1.0, values), (-1.0, values * conjugate)):
        place = (sign * points + size // 2).movedim(1, -1).reshape(-1, 3)
        corner = place.floor()
        upper = place - corner
        index = corner.long()
        flat = sample.reshape(-1, 3)
        for dz in (0, 1):
            for dy in (0, 1):
                for dx in (0, 1):
                    share = torch.ones(len(upper))
                    for axis, step in enumerate((dx, dy, dz)):
                        share = share * (upper[:, axis] if step else 1 - upper[:, axis])
                    where = ((index[:, 2] + dz) * size + index[:, 1] + dy) * size + index[:, 0] + dx
                    volume.index_add_(0, where, flat * share[:, None])
    return volume.reshape(size, size, size, 3)


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
