"""A map made of images at known poses, as a sum that grows image by image and is finished once."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2

_PADDING = 2
_DAMPING = 0.05  # of the mean weight: what a voxel needs to count as seen


class Reconstruction:
    """Add images up to a map by direct Fourier inversion.

    Each image is padded with zeros to twice its box and laid into the map's transform as a central slice, its
    samples shared between the eight nearest grid points. The map is the sum of transfer x image over the sum
    of transfer^2, damped where there is little, divided by the interpolation's envelope, sinc^2 along each
    axis. It is linear in the images, so that the shares of several sets of them (*units*), all divided by the
    weight of all, add up to the whole; only the numerators are kept apart. Memory does not grow with the
    number of images: 32 N^3 bytes for each unit, and 16 N^3 for the weight.

    See Penczek, Methods Enzymol. 482 (2010) 1, doi:10.1016/S0076-6879(10)82001-4, for direct inversion.

    Parameters
    ----------
    box : int
        Box size N of the images in px.
    units : int
        Sets of images whose shares are kept apart.

    Attributes
    ----------
    box, units : int
    count : int
        Images added so far.
    """

    def __init__(self, box: int, *, units: int = 1) -> None:
        self.box, self.units, self.count = box, units, 0
        self._size = _PADDING * box
        # Half the transform, x from 0 on; one more layer takes the upper neighbours.
        self._shape = (self._size, self._size, self._size // 2 + 1)
        self._voxels = self._size**2 * (self._size // 2 + 1)
        self._numerator = torch.zeros(units * self._voxels, 2)
        self._weight = torch.zeros(self._voxels)
        ky, kx = frequency_grid(self._size, 1 / self._size)
        self._inside = torch.hypot(ky, kx) < self._size // 2 - 1
        self._grid = torch.stack([(kx + 0 * ky)[self._inside], (ky + 0 * kx)[self._inside]])
        # Column 0 of a half plane holds each frequency and its negative, the others one of the two.
        self._share = torch.where(self._grid[0] == 0, 0.5, 1.0)

    @torch.no_grad()
    def add(
        self,
        spectra: torch.Tensor,
        transfers: torch.Tensor,
        rotations: torch.Tensor,
        units: torch.Tensor | None = None,
    ) -> None:
        """Insert images into the transform.

        Parameters
        ----------
        spectra : (B, N, N // 2 + 1) complex tensor
            Half planes of centred images, see `cryoalign.physics.fourier.rfft2`.
        transfers : (B, N, N // 2 + 1) real tensor
            What the projections were multiplied by.
        rotations : (B, 3, 3) tensor
            Image frame to volume frame.
        units : (B,) int64 tensor, optional
            The set that each belongs to; the first if not given.
        """
        size = self._size
        pad = (size // 2 - self.box // 2, size - self.box - (size // 2 - self.box // 2))
        padded = rfft2(F.pad(irfft2(spectra * transfers, self.box), pad * 2))[:, self._inside]
        weight = _between(transfers.float().square())[:, self._inside] * self._share
        # The half space x < 0 is the conjugate of the other.
        points = rotations[:, :, :2].float() @ self._grid  # (B, 3, S), rows x, y, z
        sign = torch.where(points[:, 0] < 0, -1.0, 1.0)
        points = points * sign[:, None]
        values = torch.stack([padded.real * self._share, padded.imag * sign * self._share], -1).reshape(-1, 2)
        start = torch.zeros(len(spectra), dtype=torch.int64) if units is None else units * self._voxels
        start = start[:, None].expand(-1, points.shape[-1]).reshape(-1)
        for where, share in self._neighbours(points):
            self._numerator.index_add_(0, start + where, values * share[:, None])
            self._weight.index_add_(0, where, weight.reshape(-1) * share)
        self.count += len(spectra)

    def _neighbours(self, points: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the place and the share of each of the eight neighbours of (B, 3, S) points."""
        rows, columns = self._size, self._size // 2 + 1
        corner = points.floor()
        upper = (points - corner).movedim(1, -1).reshape(-1, 3)
        x, y, z = corner.long().movedim(1, -1).reshape(-1, 3).unbind(1)
        shares = [(1 - upper[:, axis], upper[:, axis]) for axis in range(3)]
        found = []
        for dz in (0, 1):
            for dy in (0, 1):
                plane = ((z + dz) % rows * rows + (y + dy) % rows) * columns + x
                both = shares[2][dz] * shares[1][dy]
                found += [(plane + dx, both * shares[0][dx]) for dx in (0, 1)]
        return found

    def density(self) -> torch.Tensor:
        """Finish the map.

        Returns
        -------
        (N, N, N) float32 tensor
            Axes [z, y, x], origin at voxel ``N // 2``.

        Raises
        ------
        ValueError
            No image was added.
        """
        return self._finish(self._numerator.view(self.units, -1).sum(0), self._inverse())

    def shares(self) -> torch.Tensor:
        """Return the share of each unit in the map; they add up to `density`.

        Returns
        -------
        (units, N, N, N) float32 tensor

        Raises
        ------
        ValueError
            No image was added.
        """
        inverse = self._inverse()
        return torch.stack([self._finish(part, inverse) for part in self._numerator.view(self.units, -1)])

    def _inverse(self) -> torch.Tensor:
        """One over the damped weights of all images."""
        if self.count == 0:
            raise ValueError("no image was added to this map")
        seen = _closed(self._weight.view(self._shape))
        return 1 / (seen + _DAMPING * seen[seen > 0].mean())

    def _finish(self, numerator: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        """Divide by the weights, transform back, crop, and divide by the interpolation's envelope."""
        size, box = self._size, self.box
        transform = _closed(torch.view_as_complex(numerator.view(*self._shape, 2))) * inverse
        density = torch.fft.fftshift(torch.fft.irfftn(transform, s=(size,) * 3))
        start = size // 2 - box // 2
        density = density[(slice(start, start + box),) * 3]
        axis = torch.sinc((torch.arange(box) - box // 2) / size).square()
        corrected: torch.Tensor = density / (axis[:, None, None] * axis[:, None] * axis)
        return corrected


def reconstruct(spectra: torch.Tensor, transfers: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Make a map of images that are all at hand; see `Reconstruction`.

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
    made = Reconstruction(spectra.shape[-2])
    made.add(spectra, transfers, rotations)
    return made.density()


def _between(plane: torch.Tensor) -> torch.Tensor:
    """Interpolate (B, N, H) half planes at half-integer frequencies too: those of images padded twice."""
    box = plane.shape[-2]
    rows = torch.stack([plane, (plane + plane.roll(-1, -2)) / 2], 2).flatten(1, 2)
    after = torch.cat([rows[..., 1:], rows[..., -1:]], -1)
    both = torch.stack([rows, (rows + after) / 2], 3).flatten(2, 3)
    return both[..., : box + 1]


def _closed(half: torch.Tensor) -> torch.Tensor:
    """Add what the samples of the other half space, the conjugates, bring to the plane x = 0."""
    plane = half[..., 0]
    mirrored = plane.flip(0, 1).roll((1, 1), (0, 1)).conj()
    return torch.cat([(plane + mirrored)[..., None], half[..., 1:]], -1)
