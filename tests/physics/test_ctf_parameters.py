"""The CTF from a row of numbers is the simulator's CTF, and turns with the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.particles import Optics, Particles
from cryoalign.physics.conditions import conditions
from cryoalign.physics.ctf_parameters import ctf_image, ctf_parameters, turned

PLAIN = Optics(1, "plain", 1.3, 300.0, 2.7, 0.1)
OPTICS = {
    "plain": PLAIN,
    "even aberrations": Optics(1, "even", 1.3, 200.0, 0.01, 0.07, even_zernike=(0.2, -3.0, 2.0, 4.0, 30.0)),
    "magnification": Optics(1, "magnified", 0.9, 300.0, 2.7, 0.1, magnification=(1.02, 0.01, -0.02, 0.97)),
    "all": Optics(
        1, "all", 1.1, 300.0, 2.7, 0.1, even_zernike=(0.1, 5.0), magnification=(1.02, 0.03, 0.0, 0.98)
    ),
}


def particles(*optics: Optics, count: int = 6) -> Particles:
    rng = np.random.default_rng(1)
    mean, half = rng.uniform(8e3, 2e4, count), rng.uniform(200, 900, count)
    return Particles.make(
        Path("raw.star"), optics, count, optics_index=np.arange(count) % len(optics),
        defocus=np.column_stack([mean + half, mean - half, rng.uniform(-180, 180, count)]),
        phase_shift=rng.uniform(0, 90, count), ctf_bfactor=rng.uniform(0, 80, count),
        ctf_scale=rng.uniform(0.5, 1, count),
    )  # fmt: skip


def simulators(table: Particles, box: int) -> torch.Tensor:
    optics = conditions(table, np.arange(len(table)), "cpu")
    even, _ = optics.aberrations(*optics.frequencies(box))
    return optics.ctf(box, even)


@pytest.mark.parametrize("box", [24, 25])
@pytest.mark.parametrize("name", OPTICS)
def test_it_is_the_ctf_that_images_are_simulated_with(name: str, box: int) -> None:
    table = particles(OPTICS[name])
    image = ctf_image(ctf_parameters(table), box)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, simulators(table, box), rtol=0, atol=2e-6)


def test_groups_of_different_optics_stand_in_one_table() -> None:
    """Those with fewer aberrations get zeros, those without a magnification matrix the unit matrix."""
    table = particles(*OPTICS.values(), count=8)
    parameters = ctf_parameters(table)
    assert parameters.shape == (8, 14 + 5)
    torch.testing.assert_close(ctf_image(parameters, 24), simulators(table, 24), rtol=0, atol=2e-6)
    each = torch.cat([ctf_image(row[None], 24) for row in parameters])
    torch.testing.assert_close(each, ctf_image(parameters, 24), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"phase_shift": np.zeros(6)},
        {"ctf_bfactor": np.zeros(6)},
        {"ctf_scale": np.ones(6)},
        {"defocus": particles(PLAIN).defocus.mean(axis=1, keepdims=True) * np.ones(3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_counts(change: dict[str, np.ndarray]) -> None:
    one = particles(PLAIN)
    fields = {name: getattr(one, name) for name in ("defocus", "phase_shift", "ctf_bfactor", "ctf_scale")}
    other = Particles.make(one.source, one.optics, 6, **(fields | change))
    difference = ctf_image(ctf_parameters(one), 24) - ctf_image(ctf_parameters(other), 24)
    assert (difference.abs().amax((1, 2)) > 0.01).all()


def test_a_cropped_image_has_the_inner_part_of_the_ctf() -> None:
    """Cropping in Fourier space keeps the low frequencies as they are, at a larger pixel size."""
    table = particles(OPTICS["all"])
    whole = ctf_image(ctf_parameters(table), 48)
    cropped = ctf_image(ctf_parameters(table, 1.1 * 48 / 32), 32)
    inner = torch.cat([whole[:, :16, :16], whole[:, -15:, :16]], 1)
    torch.testing.assert_close(cropped[:, np.r_[:16, 17:32], :16], inner, rtol=0, atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("name", OPTICS)
def test_the_ctf_turns_with_the_image(name: str, turns: int, flip: bool) -> None:
    """Of an odd box, whose point spread function turns about the middle pixel onto pixels."""
    parameters, box = ctf_parameters(particles(OPTICS[name])), 25
    spread = torch.fft.fftshift(torch.fft.irfft2(ctf_image(parameters, box), s=(box, box)), dim=(1, 2))
    image = np.rot90(spread.numpy(), turns, (1, 2))
    image = image[:, :, ::-1] if flip else image
    expected = torch.fft.rfft2(torch.fft.ifftshift(torch.from_numpy(image.copy()), dim=(1, 2))).real
    turned_ctf = ctf_image(turned(parameters, turns, flip), box)
    torch.testing.assert_close(turned_ctf, expected, rtol=0, atol=1e-5)
    changed = float((turned_ctf - ctf_image(parameters, box)).abs().max())
    if turns % 2 or flip:
        assert changed > 0.05, "the particles are astigmatic: as they are the parameters would not do"
    else:
        assert changed < 1e-5, "a half turn changes no CTF"


def test_turning_back_gives_the_same_parameters() -> None:
    parameters = ctf_parameters(particles(OPTICS["all"]))
    for turns in range(4):
        back = turned(turned(parameters, turns, False), -turns, False)
        assert torch.equal(back, parameters)
        mirrored = turned(turned(parameters, turns, True), turns, True)
        assert torch.equal(mirrored, parameters)


def test_one_row_is_turned_like_many() -> None:
    parameters = ctf_parameters(particles(OPTICS["all"]))
    assert torch.equal(turned(parameters[2], 3, True), turned(parameters, 3, True)[2])
