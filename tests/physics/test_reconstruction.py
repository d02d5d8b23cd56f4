"""Maps made of images, against the map that the images were made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.physics.fourier import fourier_resize_volume
from cryoalign.physics.projection import Projector
from cryoalign.physics.reconstruction import Reconstruction, reconstruct
from cryoalign.physics.rotation import euler_to_matrix
from tests.audit.known_pairs import BOX, particles, specimen


@pytest.fixture(scope="module")
def rotations() -> torch.Tensor:
    return euler_to_matrix(torch.from_numpy(particles().angles)).float()


def transfers(count: int, box: int = BOX) -> torch.Tensor:
    """Rings of both signs, another number of them in each image."""
    radius = torch.hypot(torch.fft.fftfreq(box)[:, None], torch.fft.rfftfreq(box)[None])
    return torch.sin(0.1 + torch.linspace(20, 40, count)[:, None, None] * radius.square() * 4)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


@pytest.mark.parametrize("box", [BOX, 27])
def test_the_map_comes_back(rotations: torch.Tensor, box: int) -> None:
    volume = fourier_resize_volume(specimen(), box)
    slices = Projector(volume, 2.0, box=box).slices(rotations)
    plain = reconstruct(slices, torch.ones(slices.shape), rotations)
    assert correlation(plain, volume) > 0.998
    assert float(plain.max() / volume.max()) == pytest.approx(1, abs=0.06)
    ctf = transfers(len(slices), box)
    through = reconstruct(slices * ctf, ctf, rotations)
    assert correlation(through, volume) > 0.98
    assert correlation(reconstruct(slices * ctf, ctf.abs(), rotations), volume) < 0.7


def test_it_grows_image_by_image(rotations: torch.Tensor) -> None:
    slices, ctf = Projector(specimen(), 2.0, box=BOX).slices(rotations), transfers(len(rotations))
    at_once = reconstruct(slices * ctf, ctf, rotations)
    made = Reconstruction(BOX)
    for part in torch.arange(len(slices)).split(40):
        made.add(slices[part] * ctf[part], ctf[part], rotations[part])
    assert made.count == len(slices)
    torch.testing.assert_close(made.density(), at_once, rtol=1e-4, atol=1e-5)


def test_shares_of_units_add_up(rotations: torch.Tensor) -> None:
    slices, ctf = Projector(specimen(), 2.0, box=BOX).slices(rotations), transfers(len(rotations))
    unit = torch.arange(len(slices)) % 3
    made = Reconstruction(BOX, units=3)
    made.add(slices * ctf, ctf, rotations, unit)
    shares, whole = made.shares(), reconstruct(slices * ctf, ctf, rotations)
    torch.testing.assert_close(shares.sum(0), whole, rtol=1e-4, atol=1e-5)
    signs = torch.tensor([1.0, -1.0, 1.0])
    flipped = reconstruct(slices * ctf * signs[unit][:, None, None], ctf, rotations)
    torch.testing.assert_close(torch.tensordot(signs, shares, 1), flipped, rtol=1e-4, atol=1e-5)


def test_a_unit_holds_what_its_images_show(rotations: torch.Tensor) -> None:
    """Two specimens, one a unit: each share shows its own."""
    other = specimen().flip(0)
    slices = [Projector(volume, 2.0, box=BOX).slices(rotations) for volume in (specimen(), other)]
    made = Reconstruction(BOX, units=2)
    for unit, images in enumerate(slices):
        made.add(images, torch.ones(images.shape), rotations, torch.full((len(images),), unit))
    for share, volume in zip(made.shares(), (specimen(), other), strict=True):
        assert correlation(share, volume) > 0.998


def test_nothing_makes_no_map() -> None:
    with pytest.raises(ValueError, match="no image"):
        Reconstruction(8).density()
