"""Central slices against closed forms: Gaussian blobs project to Gaussian spots."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from cryoalign.physics.fourier import frequency_grid, irfft2
from cryoalign.physics.projection import Projector
from cryoalign.physics.rotation import euler_to_matrix

POSES = euler_to_matrix(
    torch.tensor([[0.0, 0, 0], [25, 40, -70], [-130, 90, 10], [60, 175, 33]], dtype=torch.float64)
)
RNG = np.random.default_rng(0)
WEIGHTS, PLACES, SIGMA = (
    RNG.uniform(0.5, 2, 12),
    RNG.uniform(-7, 7, (12, 3)),
    1.8,
)  # places x, y, z and sigma in A


def volume(size: int, voxel: float = 1.0) -> torch.Tensor:
    axis = (np.arange(size) - size // 2) * voxel
    x, y, z = (np.exp(-((axis - place[:, None]) ** 2) / (2 * SIGMA**2)) for place in PLACES.T)
    return torch.from_numpy(np.einsum("b,bi,bj,bk->ijk", WEIGHTS, z, y, x))


def projection(box: int, rotation: torch.Tensor, pixel: float = 1.0) -> torch.Tensor:
    """Line integral along the beam, in units of the pixel."""
    axis = (np.arange(box) - box // 2) * pixel
    seen = PLACES @ rotation.numpy()  # rotation takes image to volume, its transpose volume to image
    x, y = (np.exp(-((axis - place[:, None]) ** 2) / (2 * SIGMA**2)) for place in seen.T[:2])
    return torch.from_numpy(np.einsum("b,bj,bk->jk", WEIGHTS * SIGMA * np.sqrt(2 * np.pi) / pixel, y, x))


def expected(box: int, pixel: float = 1.0) -> torch.Tensor:
    return torch.stack([projection(box, pose, pixel) for pose in POSES]).float()


def relative_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return (torch.linalg.norm(found - truth) / torch.linalg.norm(truth)).item()


@pytest.mark.parametrize("size", [47, 48])
@pytest.mark.parametrize(("padding", "error"), [(2.0, 0.015), (4.0, 0.003)])
def test_blobs_project_to_spots_and_more_padding_brings_them_closer(
    size: int, padding: float, error: float
) -> None:
    images = irfft2(Projector(volume(size), padding).slices(POSES), size)
    assert relative_error(images, expected(size)) < error


@pytest.mark.parametrize("box", [36, 60, 61])
def test_box_other_than_the_volume(box: int) -> None:
    images = irfft2(Projector(volume(48), padding=3, box=box).slices(POSES), box)
    assert relative_error(images, expected(box)) < 0.01


@pytest.mark.parametrize("pixel", [0.9, 1.02, 1.1])
def test_images_of_another_pixel_size(pixel: float) -> None:
    images = irfft2(Projector(volume(64), box=48).slices(POSES, pixel), 48)
    assert relative_error(images, expected(48, pixel)) < 0.01


def test_pixel_sizes_may_differ_within_a_batch() -> None:
    projector, ratio = Projector(volume(64), box=48), torch.tensor([1.0, 1.02, 0.98, 1.0])
    together = projector.slices(POSES, ratio)
    for i, each in enumerate(ratio.tolist()):
        assert torch.allclose(together[i], projector.slices(POSES[i : i + 1], each)[0], atol=1e-4)


def test_nothing_beyond_nyquist_of_image_or_volume() -> None:
    ky, kx = frequency_grid(40)
    coarse = Projector(torch.randn(32, 32, 32), box=40).slices(POSES, 1.0)
    assert (coarse[:, torch.hypot(ky, kx) > 0.5] == 0).all()
    finer_than_the_volume = Projector(torch.randn(32, 32, 32), box=40).slices(POSES, 0.8)
    assert (finer_than_the_volume[:, torch.hypot(ky, kx) > 0.4001] == 0).all()
    assert (finer_than_the_volume[:, torch.hypot(ky, kx) < 0.39] != 0).all()


def test_hermitian_axis() -> None:
    spectrum = Projector(torch.randn(24, 24, 24)).slices(POSES)
    column = spectrum[:, 1:12, 0]
    assert torch.allclose(column, spectrum[:, -11:, 0].flip(1).conj(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("size", "ratio"), [(24, 1.0), (25, 1.0), (24, 0.8)])
def test_the_interpolation_is_that_of_scipy(size: int, ratio: float) -> None:
    density = torch.randn(size, size, size, generator=torch.Generator().manual_seed(1))
    padded, first = 2 * size, size - size // 2  # of the volume's first voxel, where the centre is at `size`
    axis = np.arange(size) - size // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    larger = np.zeros((padded,) * 3)
    inner = slice(first, first + size)
    larger[inner, inner, inner] = density.numpy() / np.sinc(radius / padded) ** 2
    whole = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(larger)))
    axis = np.arange(padded) - size
    whole[axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 > size**2] = 0
    whole = np.pad(whole, 1)

    ky, kx = (part.double().numpy() for part in frequency_grid(size))
    inside = np.hypot(ky, kx) * size <= size // 2
    known = np.hypot(ky, kx) / ratio < 0.499  # at Nyquist itself the whole transform has one end only
    points = np.stack([kx + 0 * ky, ky + 0 * kx])[:, known] * padded / ratio
    found = Projector(density).slices(POSES, ratio).numpy() * ratio**3
    for pose, plane in zip(POSES.numpy(), found, strict=True):
        places = (pose[:, :2] @ points)[::-1] + size + 1
        parts = [map_coordinates(part, places, order=1) for part in (whole.real, whole.imag)]
        expected = np.where(inside[known], parts[0] + 1j * parts[1], 0)
        assert np.linalg.norm(plane[known] - expected) < 1e-4 * np.linalg.norm(expected)
        assert (plane[~inside] == 0).all()


def test_argument_is_left_alone() -> None:
    density = torch.randn(16, 16, 16)
    before = density.clone()
    Projector(density).slices(POSES)
    assert torch.equal(density, before)


@pytest.mark.parametrize(("shape", "padding"), [((8, 8), 2.0), ((8, 8, 9), 2.0), ((8, 8, 8), 0.5)])
def test_misuse_is_refused(shape: tuple[int, ...], padding: float) -> None:
    with pytest.raises(ValueError, match=r"cubic|padding"):
        Projector(torch.zeros(shape), padding)
