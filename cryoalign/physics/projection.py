"""Projections of a volume as central slices of its Fourier transform."""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from cryoalign.physics.fourier import centred_blocks, frequency_grid

if TYPE_CHECKING:
    from torch import Tensor


class Projector:
    """Cut central slices out of the transform of a padded volume, as RELION does.

    The volume is divided by the transform of the trilinear interpolator, sinc^2(r / P), padded with zeros to
    P voxels, transformed, and kept inside the sphere of its Nyquist frequency. A slice is interpolated at the
    frequencies of the image, inside the circle of the image's Nyquist frequency; everything else is zero.

    The correction is radial, which is RELION's; the exact one is a product over the axes and equals it to
    second order. Own code although torch-fourier-slice exists: see docs/decisions/0004. Here one
    ``embedding_bag`` gathers and weights the neighbours of every sample in one pass, on CPU and GPU. What it
    waits for is memory, so a row of its table holds both neighbours along x: four random reads a sample
    instead of eight.

    Parameters
    ----------
    volume : (M, M, M) real tensor
        Axes [z, y, x], origin at voxel ``M // 2``. Its device is where slices are made. It should span what
        the images span: density further out than half a box is folded back into the image.
    padding : float
        Size of the padded volume in units of M, at least 1. At 2 slices agree with RELION's.
    box : int, optional
        Box size N of the images in px; M if not given.

    Raises
    ------
    ValueError
        The volume is not a cube, or the padding is below 1.

    Notes
    -----
    A volume of 256 voxels padded twice keeps a table of 1.1 GB and needs 1.7 GB while it is built.
    """

    def __init__(self, volume: Tensor, padding: float = 2.0, *, box: int | None = None) -> None:
        if volume.ndim != 3 or len(set(volume.shape)) != 1:
            raise ValueError(f"a projector needs a cubic volume, not one of shape {tuple(volume.shape)}")
        if padding < 1:
            raise ValueError(f"the padding has to be at least 1, not {padding}")
        self.size = volume.shape[0]
        self.padded = 2 * math.ceil(round(padding * self.size) / 2)
        self.device = volume.device
        self._table = self._transform(volume.to(torch.float32))

        self._sample_at(volume.shape[0] if box is None else box)

    def of_box(self, box: int) -> Projector:
        """Return a projector of the same volume for images of another box size, without another table.

        Parameters
        ----------
        box : int
            Box size in px. One of up to `padding` times the volume shows what would be folded back into
            smaller images.

        Returns
        -------
        Projector
        """
        other = copy(self)
        other._sample_at(box)
        return other

    def _sample_at(self, box: int) -> None:
        """Take the frequencies of images of a box size."""
        self.box = box
        ky, kx = frequency_grid(self.box, 1 / self.box, device=self.device)  # in index units
        radius = torch.hypot(ky, kx).flatten()
        self._inside = torch.nonzero(radius <= self.box // 2)[:, 0]
        self._radius = radius[self._inside]
        grid = torch.stack([(kx + 0 * ky).flatten(), (ky + 0 * kx).flatten()])
        self._frequencies = grid[:, self._inside]  # (2, S), rows x and y

    def slices(
        self,
        rotations: Tensor,
        pixel_ratio: Tensor | float = 1.0,
        magnification: Tensor | None = None,
    ) -> Tensor:
        """Cut one central slice for each rotation.

        Parameters
        ----------
        rotations : (B, 3, 3) tensor
            Image frame to volume frame, as `cryoalign.physics.rotation.euler_to_matrix` gives them.
        pixel_ratio : (B,) tensor or float
            Pixel size of each image in units of the voxel size.
        magnification : (B, 2, 2) tensor, optional
            Matrices that take the frequencies of the images to those of the slices; see
            `cryoalign.physics.fourier.magnify`. As in RELION, grey values are not divided by the change of
            area.

        Returns
        -------
        (B, N, N // 2 + 1) complex64 tensor
            In the convention of `cryoalign.physics.fourier.rfft2`. Back in real space each pixel holds the
            line integral of the density in units of its own pixel size: with `pixel_ratio` 1, the plain sum
            over voxels along the beam.
        """
        frame = rotations.to(self.device, torch.float32)[:, :, :2]
        ratio = torch.as_tensor(pixel_ratio, device=self.device, dtype=torch.float64).reshape(-1, 1)
        step = (self.padded / (self.box * ratio)).to(torch.float32)  # image frequency index -> padded index
        radius = self._radius
        if magnification is not None:
            matrix = magnification.to(self.device, torch.float32)
            frame, radius = frame @ matrix, torch.linalg.vector_norm(matrix @ self._frequencies, dim=1)
        # Samples beyond the volume's own Nyquist are taken at the origin with weight zero; the margin is for
        # rounding only.
        known = radius * step <= self.padded / 2 + 1e-3
        points = (frame * step[..., None]) @ self._frequencies * known[:, None]
        return self._plane(self._sample(points, known * (ratio**-3).to(torch.float32)))

    def planes(
        self,
        rotations: Tensor,
        height: Tensor,
        pixel_ratio: Tensor | float = 1.0,
        magnification: Tensor | None = None,
    ) -> Tensor:
        """Cut planes parallel to the central slice, for what depends on the depth along the beam.

        Parameters
        ----------
        rotations, pixel_ratio, magnification
            As in `slices`.
        height : (J,) tensor
            Distances of the planes from the central one, in cycles per voxel.

        Returns
        -------
        (B, J, N, N // 2 + 1) complex64 tensor
            In the units of `slices`, which the plane at height 0 equals.
        """
        rotations = rotations.to(self.device, torch.float32)
        ratio = torch.as_tensor(pixel_ratio, device=self.device, dtype=torch.float64).reshape(-1, 1, 1)
        flat = self._frequencies.expand(len(rotations), -1, -1)
        if magnification is not None:
            flat = magnification.to(self.device, torch.float32) @ flat
        flat = flat * (self.padded / (self.box * ratio)).to(torch.float32)
        up = self.padded * height.to(self.device, torch.float32)
        known = torch.hypot(torch.linalg.vector_norm(flat, dim=1)[:, None], up[:, None])
        known = (known <= self.padded / 2 + 1e-3).flatten(1)
        points = (rotations[:, :, :2] @ flat)[:, :, None] + rotations[:, :, 2, None, None] * up[:, None]
        points = points.flatten(2) * known[:, None]
        samples = self._sample(points, known * (ratio[:, 0] ** -3).to(torch.float32))
        return self._plane(samples.reshape(len(rotations), len(up), -1))

    def _transform(self, volume: Tensor) -> Tensor:
        """Transform the corrected, padded volume inside its Nyquist sphere.

        A row of the table is a voxel and its next neighbour along x, (real, imaginary) each.
        """
        size, padded = self.size, self.padded
        axis = torch.arange(size, device=volume.device, dtype=torch.float32) - size // 2
        square = axis.square()
        radius = torch.sqrt(square[:, None, None] + square[:, None] + square)
        corrected = volume / torch.sinc(radius / padded).square()
        del radius
        spectrum = torch.fft.rfftn(corrected, s=(padded,) * 3)

        # The padding went behind the volume: a phase for each axis moves the origin from voxel size // 2 to
        # the corner.
        index = torch.fft.fftfreq(padded, 1 / padded, device=volume.device, dtype=torch.float64)
        phase = 2 * math.pi * (size // 2) / padded * index
        origin = torch.polar(torch.ones_like(phase), phase).to(spectrum.dtype)
        half = padded // 2 + 1
        spectrum *= origin[:, None, None]
        spectrum *= origin[:, None]
        spectrum *= origin[:half]
        k2 = index.square().to(torch.float32)
        spectrum.masked_fill_(k2[:, None, None] + k2[:, None] + k2[:half] > (padded / 2) ** 2, 0)

        # One empty layer all round: the neighbours of a sample on the sphere exist, and are zero.
        rows, columns = self._shape
        table = spectrum.new_zeros(rows, rows, columns, 2)
        inner = table[1 : padded + 1, 1 : padded + 1, :half, 0]
        for source, target in centred_blocks(padded):
            inner[target] = spectrum[source]
        table[:, :, :-1, 1] = table[:, :, 1:, 0]
        return torch.view_as_real(table).reshape(-1, 4)

    @property
    def _shape(self) -> tuple[int, int]:
        """Rows (along z and along y) and columns (along x) of the table."""
        return self.padded + 3, self.padded // 2 + 2

    def _plane(self, samples: Tensor) -> Tensor:
        """Scatter (..., S) samples to their places on the half planes; the rest of these is zero."""
        planes = samples.new_zeros(*samples.shape[:-1], self.box * (self.box // 2 + 1))
        # With the index repeated for each plane, scattering takes a fifth of the time of an assignment.
        planes.scatter_(-1, self._inside.expand(samples.shape), samples)
        return planes.reshape(*samples.shape[:-1], self.box, self.box // 2 + 1)

    def _sample(self, points: Tensor, scale: Tensor) -> Tensor:
        """Interpolate at (B, 3, S) points x, y, z, times (B, S) `scale`; returns (B, S) complex."""
        rows, columns = self._shape
        sign = torch.where(points[:, 0] < 0, -1.0, 1.0)  # the half space x < 0 is the conjugate of the other
        points = points * sign[:, None]
        corner = points.floor()
        # Narrow indices halve the traffic; a table of more than 2^31 rows (1,000 voxels padded twice) needs
        # wide ones.
        x, y, z = corner.to(torch.int32 if len(self._table) < 2**31 else torch.int64).unbind(1)
        first = x.add_(y.add_(z, alpha=rows), alpha=columns)
        centre = (self.padded // 2 + 1) * (rows + 1) * columns
        steps = [centre + columns * (dy + rows * dz) for dz in (0, 1) for dy in (0, 1)]
        neighbours = first[..., None] + torch.tensor(steps, device=first.device, dtype=first.dtype)
        # Stacking the weights of two neighbours as one complex number moves half as many elements.
        upper_x, upper_y, upper_z = points.sub_(corner).unbind(1)
        weights = [torch.complex(*_split(weight, upper_y)) for weight in _split(scale, upper_z)]
        ends = F.embedding_bag(
            neighbours.reshape(-1, 4),
            self._table,
            per_sample_weights=torch.view_as_real(torch.stack(weights, dim=-1)).reshape(-1, 4),
            mode="sum",
        )
        lower, upper = torch.view_as_complex(ends.reshape(*first.shape, 2, 2)).unbind(-1)
        samples = lower + (upper - lower) * upper_x
        torch.view_as_real(samples)[..., 1] *= sign
        return samples


def _split(weight: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Share a weight between the lower and the upper neighbour."""
    second = weight * upper
    return weight - second, second
