"""The recipe of micrographs: particles apart, images cut out of one field, neighbours that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from cryoalign.embedded.cache import CachedSet, find_or_make
from cryoalign.embedded.datamodule import EmbeddedDataModule
from cryoalign.embedded.field import IceAlone, add_particles
from cryoalign.embedded.micrographs import MicrographRecipe
from cryoalign.embedded.places import place_apart
from cryoalign.embedded.projects import EmbeddedProjects, write_projects
from cryoalign.embedded.recipe import micrograph_numbers
from cryoalign.embedded.recipes import recipe_of
from cryoalign.errors import InputError
from cryoalign.io.coordinates import box_centres
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import MrcStack, read_volume
from cryoalign.physics.potential import Atoms, potential
from cryoalign.simulate.envelope import Envelope
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.weak_phase import WeakPhase

SMALL = {
    "recipe": "micrographs", "box": 32, "particles": 22, "micrographs": 2, "domains": 2, "diameter": 100.0,
    "detector": {"gradient": 0.03},
}  # fmt: skip


def images(path: Path) -> np.ndarray:
    stack = MrcStack(path)
    return np.stack([stack.read(slot) for slot in range(stack.count)]).astype(np.float64)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> CachedSet:
    return find_or_make(tmp_path_factory.mktemp("small"), **SMALL)


def test_particles_lie_apart_at_the_coverage_asked_for_and_every_box_inside() -> None:
    recipe = MicrographRecipe(particles=900, micrographs=3, coverage=0.3)
    particles = recipe.draw(Path("raw.star"))
    boxes = box_centres(particles, recipe.sampling) / recipe.sampling
    centres = boxes * recipe.sampling - particles.shift
    numbers = micrograph_numbers(recipe)
    for number in range(3):
        assert pdist(centres[numbers == number]).min() >= 136.0
        extent = np.ptp(centres[numbers == number], axis=0)
        assert 300 * np.pi * 68**2 / np.prod(extent) == pytest.approx(0.3, rel=0.05)
    assert boxes.min() >= 32
    assert boxes.max() <= recipe.side - 32
    assert particles.shift.std() == pytest.approx(np.hypot(6.0, 3.54 / 12**0.5), rel=0.05)


def test_places_fill_the_square_evenly() -> None:
    places = place_apart(np.random.default_rng(0), 1000, 100.0, 1.0)
    counts = np.histogram2d(*places.T, bins=4, range=[[0, 100]] * 2)[0]
    assert np.square(counts - 62.5).sum() / 62.5 < 33  # chi squared with 15 degrees of freedom, 0.5 %
    with pytest.raises(ValueError, match="no room"):
        place_apart(np.random.default_rng(0), 100, 10.0, 2.0)


def test_boxes_that_overlap_show_the_same_pixels(small: CachedSet) -> None:
    """Ice and electrons are those of the micrograph, as in images that were cut out of one."""
    particles, raw = read_particles(small.raw), images(small.raw.with_suffix(".mrcs"))
    corners = np.rint(box_centres(particles, 7.08) / 7.08).astype(int) - 16
    seen = 0
    for one in range(len(raw)):
        for other in range(one):
            away = corners[other] - corners[one]
            if particles.micrograph[one] != particles.micrograph[other] or abs(away).max() >= 32:
                continue
            (x0, y0), (x1, y1) = np.maximum(away, 0), np.maximum(-away, 0)
            (w, h) = 32 - abs(away)
            np.testing.assert_array_equal(
                raw[one, y0 : y0 + h, x0 : x0 + w], raw[other, y1 : y1 + h, x1 : x1 + w]
            )
            seen += 1
    assert seen > 10


def test_the_truth_shows_what_simulate_draws_with_neighbours(small: CachedSet) -> None:
    """Two programs: whole fields by multislice here, boxes by weak phase there."""
    truth, alone, around = (
        images(path.with_suffix(".mrcs")) for path in (small.truth, small.sim, small.sim_with_neighbours)
    )
    axis = np.arange(32) - 16
    edge = np.hypot(axis[:, None], axis) > 10

    def correlation(sims: np.ndarray) -> float:
        return float(np.corrcoef(truth[:, edge].ravel(), sims[:, edge].ravel())[0, 1])

    assert correlation(around) > 0.85
    assert correlation(alone) < 0.6


def test_illumination_is_even_in_the_truth_and_a_ramp_in_raw(small: CachedSet) -> None:
    """All boxes of a micrograph have its ramp: 0.03 of the counts from centre to edge, drawn for it."""
    axis = (np.arange(32) - 15.5) / 16
    ramp = np.broadcast_to(axis, (32, 32)) / np.square(axis).sum() / 32
    slopes = {}
    for name, path in (("raw", small.raw), ("truth", small.truth)):
        values = images(path.with_suffix(".mrcs"))
        slopes[name] = (values * ramp).sum((1, 2)) / values.mean((1, 2))
    first, second = slopes["raw"].reshape(2, 11)
    error = first.std() / 11**0.5
    assert abs(first.mean() - second.mean()) > 5 * error
    assert abs(slopes["truth"]).max() < 0.01
    assert abs(slopes["truth"].mean()) < 0.002


def test_ice_scatters_as_the_solvent_of_a_weak_phase_image() -> None:
    particles = MicrographRecipe(particles=2, micrographs=1).draw(Path("raw.star"))
    layer = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    envelope = Envelope(bfactor=120.0)
    empty = WeakPhase(torch.zeros(64, 64, 64), pixel_size=3.54, box=64, envelope=envelope)
    field = IceAlone(64, envelope)(particles, solvent=layer)
    torch.testing.assert_close(field, empty(particles, solvent=layer), rtol=1e-5, atol=1e-6)


def test_a_particle_is_where_its_row_says() -> None:
    """Of a blob at the origin the centre of mass is its place, in fractions of a pixel."""
    atom = Atoms(np.zeros((1, 3)), np.array(["C"]), np.array([800.0]), np.ones(1))
    blob = potential(atom, 16, 4.0, centre=(0.0, 0.0, 0.0))
    particles = MicrographRecipe(pixel_size=4.0, particles=1, micrographs=1).draw(Path("raw.star"))
    lens = replace(particles.optics[0], amplitude_contrast=1.0, spherical_aberration=0.0)
    focused = replace(particles, optics=(lens,), defocus=np.zeros((1, 3)))
    field, place = torch.zeros(48, 48), np.array([[21.3, 17.8]])
    add_particles(field, focused, place, Multislice(blob, pixel_size=4.0, box=32))
    total, axis = field.sum(), torch.arange(48.0)
    found = [float((field * axis).sum() / total), float((field * axis[:, None]).sum() / total)]
    np.testing.assert_allclose(found, place[0], atol=0.1)


def test_both_projects_know_where_the_boxes_lie(tmp_path: Path) -> None:
    made: EmbeddedProjects = write_projects(tmp_path / "set", recipe_of(SMALL | {"particles": 6}))
    relion, cryosparc = read_particles(made.star), read_particles(made.cs, made.passthrough)
    np.testing.assert_allclose(box_centres(cryosparc), box_centres(relion, 7.08), rtol=1e-6)
    assert read_volume(made.volume)[0].shape == (32, 32, 32)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"coverage": 0.6}, "coverage of 0.01 to 0.4"),
        ({"coverage": 0.3, "least_distance": 200.0}, "room for particles so far apart"),
        ({"neighbours": 0.3}, "unknown parameter"),
        ({"recipe": "micrograph"}, "boxes or micrographs"),
    ],
)  # fmt: skip
def test_what_cannot_be_laid_out_is_refused(wrong: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError) as refused:
        recipe_of(SMALL | wrong)
    assert expected in str(refused.value)


def test_neighbours_of_boxes_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="recipe=micrographs"):
        EmbeddedDataModule(tmp_path, {"box": 32}, sim_neighbours=True)


def test_a_training_takes_the_sims_with_neighbours(small: CachedSet) -> None:
    for neighbours, sim in ((False, small.sim), (True, small.sim_with_neighbours)):
        data = EmbeddedDataModule(small.folder.parent, SMALL, sim_neighbours=neighbours)
        data.prepare_data()
        assert (data.sim_star, data.raw_star, data.truth_star) == (sim, small.raw, small.truth)
