"""Multislice images against the weak-phase image, the Ewald sphere, and slices summed in real space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.particles import Optics, Particles
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.multislice import band_limit, exit_wave, full_grid, intensity, lens, propagator
from cryoalign.simulate import multislice
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.weak_phase import WeakPhase

PIXEL_SIZE = 2.0
PLAIN = Optics(
    1, "plain", pixel_size=PIXEL_SIZE, voltage=300, spherical_aberration=2.7, amplitude_contrast=0.1
)
ABERRATED = replace(
    PLAIN,
    group=2,
    voltage=200,
    beam_tilt=(0.4, -0.7),
    odd_zernike=(0.0, 0.0, 8.0, 0.0, 0.0, -6.0),
    even_zernike=(0.2, 0.0, 0.0, 5.0),
    magnification=(1.02, 0.01, -0.005, 0.985),
)
PLACES = np.array([[9.0, -4, 6], [-6, 10, -8], [2, 3, 14]])  # x, y, z in A


def particles(count: int, *optics: Optics, seed: int = 0) -> Particles:
    rng = np.random.default_rng(seed)
    return Particles.make(
        Path("made.star"),
        optics,
        count,
        optics_index=np.arange(count) % len(optics),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-6, 6, (count, 2)),
        defocus=np.column_stack([rng.uniform(6000, 12000, (count, 2)), rng.uniform(0, 180, count)]),
    )


def still(some: Particles, **changes: np.ndarray) -> Particles:
    """The same particles without rotation and shift."""
    return replace(some, angles=0 * some.angles, shift=0 * some.shift, **changes)


def volume(size: int, voxel: float, places: np.ndarray = PLACES, width: float = 3.0) -> torch.Tensor:
    axis = (np.arange(size) - size // 2) * voxel
    x, y, z = (np.exp(-((axis - place[:, None]) ** 2) / (2 * width**2)) for place in places.T)
    return torch.from_numpy(np.einsum("bi,bj,bk->ijk", z, y, x)).float()


def difference(found: torch.Tensor, truth: torch.Tensor) -> float:
    return (torch.linalg.norm(found - truth) / torch.linalg.norm(truth)).item()


@pytest.mark.parametrize(
    ("box", "voxel", "choice"),
    [
        (40, 2.0, {}),
        (41, 2.0, {"slice_thickness": 7.0}),
        (40, 1.1, {"supersampling": 2.0}),
        (40, 2.0, {"slice_thickness": 500.0, "towards": 1}),
        (48, 2.3, {"depth": 60.0}),
    ],
)
@pytest.mark.parametrize("premultiplied", [False, True])
def test_weak_and_thin_it_is_the_weak_phase_image(
    box: int, voxel: float, choice: dict[str, float], premultiplied: bool
) -> None:
    some = particles(6, *(replace(each, premultiplied=premultiplied) for each in (PLAIN, ABERRATED)))
    some = replace(
        some,
        phase_shift=np.array([0.0, 0, 60, 60, 0, 0]),
        ctf_bfactor=np.array([0.0, 0, 0, 0, 80, 80]),
        ctf_scale=np.array([1.0, 1, 1, 1, 0.7, 0.7]),
    )
    specimen = 0.3 * volume(round(box * 2 / voxel), voxel)
    of = {"pixel_size": voxel, "box": box, "image_pixel_size": PIXEL_SIZE}
    truth = WeakPhase(specimen, **of)(some)
    found = Multislice(specimen, **of, **choice)(some)
    assert found.dtype == torch.float32
    for one, other in zip(found, truth, strict=True):
        assert difference(one, other) < 0.01


def test_a_strong_specimen_departs_from_the_weak_phase_image() -> None:
    some = particles(2, PLAIN)
    of = {"pixel_size": 2.0, "box": 40}
    strong = 40 * volume(40, 2.0)
    assert difference(Multislice(strong, **of)(some), WeakPhase(strong, **of)(some)) > 0.03


@pytest.mark.parametrize("height", [-40.0, 30.0])
@pytest.mark.parametrize("towards", [1, -1])
def test_thon_rings_of_a_displaced_scatterer_follow_its_height(height: float, towards: int) -> None:
    """The Ewald sphere: it is imaged as by the CTF of its own defocus, df + z."""
    box, voxel = 120, 1.0
    optics = replace(PLAIN, pixel_size=voxel, voltage=100, amplitude_contrast=0.07)
    some = still(particles(1, optics), defocus=np.array([[3000.0, 3000, 0]]))
    specimen = volume(box, voxel, np.array([[0, 0, height]]), width=1.2)
    of = {"pixel_size": voxel, "box": box}
    found = Multislice(specimen, **of, slice_thickness=5, towards=towards)(some)
    weak = WeakPhase(specimen, **of)
    local = some.defocus + towards * height * np.array([1, 1, 0])
    assert difference(found, weak(replace(some, defocus=local))) < 0.012
    assert difference(found, weak(some)) > 0.07
    assert difference(found, weak(replace(some, defocus=2 * some.defocus - local))) > 0.14


def test_it_is_plain_multislice_over_sums_of_voxels() -> None:
    """Strong, thick, and without a pose, against slices of one voxel summed up in real space."""
    box, voxel = 32, 2.0
    optics = replace(PLAIN, voltage=100)
    some = still(particles(1, optics))
    specimen = 50 * volume(box, voxel, np.array([[8.0, 0, -18], [-9, 5, 2], [7, -8, 18]]), width=2.0)
    found = Multislice(specimen, pixel_size=voxel, box=box, slice_thickness=6, padding=6.0, towards=1)(some)

    values = {"voltage": torch.tensor([100.0])}
    ky, kx = full_grid(box, torch.tensor([voxel]))
    free = propagator(ky, kx, distance=voxel, **values) * band_limit(box, 0.99)
    wave = exit_wave(
        (plane[None] * voxel for plane in specimen), free, **values, amplitude_contrast=torch.tensor([0.1])
    )
    behind = (box - 1 - box // 2) * voxel  # of the last plane, which is where this wave is
    transfer = lens(
        ky,
        kx,
        defocus=torch.from_numpy(some.defocus + behind * np.array([1, 1, 0])).float(),
        **values,
        spherical_aberration=torch.tensor([2.7]),
        phase_shift=torch.zeros(1),
        bfactor=torch.zeros(1),
        scale=torch.ones(1),
    )
    sigma = 0.9244e-3
    truth = (1 - intensity(wave, transfer)) / (2 * sigma * voxel)
    assert difference(found, truth) < 0.015
    weak = WeakPhase(specimen, pixel_size=voxel, box=box, padding=6.0)(some)
    assert difference(weak, truth) > 0.05


def test_slices_add_up_to_the_projection_and_lie_where_the_specimen_does() -> None:
    box = 48
    specimen = volume(box, 2.0, np.array([[0, 0, 22.0]]))
    simulator = Multislice(specimen, pixel_size=2.0, box=box, slice_thickness=8, padding=5.0, towards=1)
    assert simulator.slice_count == 12
    assert simulator.slice_thickness == 8
    assert simulator.fine_box * simulator.fine_pixel_ratio == box
    some = still(particles(1, PLAIN))
    optics = multislice.conditions(some, np.array([0]), torch.device("cpu"))
    slices = torch.stack([each.sum((-2, -1))[0] for each in simulator._slices(optics, None)])
    total = (2 * np.pi * 3.0**2) ** 1.5
    assert slices.sum().item() * (2.0 * simulator.fine_pixel_ratio) ** 2 == pytest.approx(total, rel=0.01)
    height = (np.arange(12) - 5.5) * 8
    assert np.average(height, weights=slices.numpy()) == pytest.approx(22, abs=1)
    assert slices[np.abs(height - 22) > 30].abs().max() < 0.02 * slices.max()


def test_solvent_is_added_to_its_slice() -> None:
    """A spot in the last slice is imaged with the defocus there, and in its own image only."""
    box, width = 48, 1.5
    some = still(particles(2, replace(PLAIN, voltage=100)), defocus=np.array([[3000.0, 3000, 0]] * 2))
    simulator = Multislice(torch.zeros(box, box, box), pixel_size=2.0, box=box, slice_thickness=20)
    spot = volume(box, 2.0, np.zeros((1, 3)), width)[box // 2]
    solvent = torch.zeros(2, simulator.slice_count, simulator.fine_box, simulator.fine_box)
    solvent[1, -1] = 10 * fourier_resize(spot, simulator.fine_box)  # V A
    images = simulator(some, solvent=solvent)
    assert images[0].abs().max() < 1e-3 * images[1].abs().max()

    flat = torch.zeros(box, box, box)
    flat[box // 2] = 10 / 2.0 * spot  # V in one layer of 2 A
    weak = WeakPhase(flat, pixel_size=2.0, box=box, padding=4.0)
    height = (simulator.slice_count - 1) / 2 * simulator.slice_thickness
    local = replace(some, defocus=some.defocus + height * np.array([1, 1, 0]))
    assert difference(images[1], weak(local)[1]) < 0.02
    assert difference(images[1], weak(some)[1]) > 0.05


def test_uniform_solvent_has_no_contrast() -> None:
    optics = replace(PLAIN, amplitude_contrast=0.0)
    some = still(particles(1, optics), phase_shift=np.array([90.0]))
    simulator = Multislice(2 * volume(40, 2.0), pixel_size=2.0, box=40)
    solvent = torch.full((1, simulator.slice_count, simulator.fine_box, simulator.fine_box), 150.0)
    assert difference(simulator(some, solvent=solvent), simulator(some)) < 1e-3


def test_beyond_the_box_the_field_takes_up_what_defocus_spreads() -> None:
    """An image in a wide field is the middle of an image in a wide box; without it, the rim wraps round."""
    some = replace(still(particles(1, PLAIN)), defocus=np.array([[30000.0, 30000, 0]]))
    specimen = 5 * volume(48, 2.0, np.array([[36.0, 0, 0]]), width=1.5)
    wide = Multislice(specimen, pixel_size=2.0, box=96, slice_thickness=20, depth=96)(some)[:, 24:72, 24:72]
    of = {"pixel_size": 2.0, "box": 48, "slice_thickness": 20, "depth": 96, "padding": 4.0}
    assert difference(Multislice(specimen, **of, field=2.0)(some), wide) < 0.02
    assert difference(Multislice(specimen, **of)(some), wide) > 0.1


def test_rows_come_in_the_order_asked_for_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    some = particles(5, PLAIN, replace(PLAIN, group=2, pixel_size=2.06))
    simulator = Multislice(volume(32, 2.0), pixel_size=2.0, box=32, image_pixel_size=[2.0, 2.06])
    generator = torch.Generator().manual_seed(0)
    shape = (5, simulator.slice_count, simulator.fine_box, simulator.fine_box)
    solvent = torch.randn(shape, generator=generator)
    images = simulator(some, solvent=solvent)
    monkeypatch.setattr(multislice, "_SAMPLES_AT_ONCE", 1)
    order = [4, 0, 3]
    again = simulator(some, order, solvent=solvent[order])
    assert torch.allclose(again, images[order], atol=1e-3)
    assert simulator(some, []).shape == (0, 32, 32)


def test_refusals() -> None:
    of = {"pixel_size": 2.0, "box": 16}
    wrong = {"slice_thickness": 0.0, "depth": -1.0, "supersampling": 0.5, "field": 0.9}
    for name, value in wrong.items():
        with pytest.raises(InputError, match=r"scattering\.\w+ is out of range"):
            Multislice(torch.zeros(16, 16, 16), **of, **{name: value})
    with pytest.raises(InputError, match=r"unknown choice for scattering\.towards\n.*1 or -1"):
        Multislice(torch.zeros(16, 16, 16), **of, towards=0)
    simulator = Multislice(torch.zeros(16, 16, 16), **of)
    with pytest.raises(ValueError, match="made for pixel sizes"):
        simulator(particles(1, replace(PLAIN, pixel_size=2.1)))
    with pytest.raises(ValueError, match="solvent has to be of shape"):
        simulator(particles(1, PLAIN), solvent=torch.zeros(1, 1, 16, 16))
