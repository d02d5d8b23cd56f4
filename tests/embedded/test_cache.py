"""The embedded data set: reproducible, cached safely, and as hard as it claims to be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.embedded import cache, make, recipe
from cryoalign.embedded.boxes import BoxRecipe
from cryoalign.embedded.cache import find_or_make
from cryoalign.embedded.micrographs import MicrographRecipe
from cryoalign.embedded.recipes import recipe_of
from cryoalign.errors import InputError
from cryoalign.io.mrc import MrcStack, read_volume
from cryoalign.io.relion import locate_stacks, read_particles
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.envelope import Envelope
from cryoalign.simulate.solvent import IceNoise

SMALL = {"box": 32, "particles": 10, "micrographs": 3, "domains": 2, "diameter": 100.0}
STACKS = ("raw.mrcs", "truth.mrcs", "sim/sim.mrcs")


def _images(path: Path) -> np.ndarray:
    stack = MrcStack(path)
    return np.stack([stack.read(slot) for slot in range(stack.count)])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return find_or_make(tmp_path_factory.mktemp("small"), **SMALL)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """The default parameters, for fewer particles."""
    return find_or_make(tmp_path_factory.mktemp("default"), particles=160, micrographs=8)


def test_the_files_are_those_of_real_data(small):
    raw, sim, truth = (read_particles(path) for path in (small.raw, small.sim, small.truth))
    assert len(raw) == len(sim) == len(truth) == 10
    for particles in (raw, sim, truth):
        (path,) = locate_stacks(particles).values()
        stack = MrcStack(path)
        assert (stack.count, stack.box) == (10, 32)
        assert stack.pixel_size == pytest.approx(7.08)
        np.testing.assert_allclose(particles.angles, raw.angles)
        np.testing.assert_allclose(particles.defocus, raw.defocus)
    for particles in (sim, truth):
        assert list(particles.table["rlnImageOriginalName"]) == list(raw.image_name)
    assert sorted(set(raw.micrograph)) == ["mic_000.mrc", "mic_001.mrc", "mic_002.mrc"]
    assert set(raw.half) == {1, 2}
    volume, pixel_size = read_volume(small.volume)
    assert volume.shape == (32, 32, 32)
    assert pixel_size == pytest.approx(7.08)


def test_the_same_seed_gives_the_same_bytes(small, tmp_path):
    again = find_or_make(tmp_path, **SMALL)
    assert again.folder.name == small.folder.name
    for name in (*STACKS, "volume.mrc", small.raw.name):
        assert (again.folder / name).read_bytes() == (small.folder / name).read_bytes(), name


def test_the_batch_has_no_influence(small, tmp_path):
    other = find_or_make(tmp_path, **SMALL, batch_size=3)
    for name in STACKS:
        expected = _images(small.folder / name)
        np.testing.assert_allclose(_images(other.folder / name), expected, atol=1e-5 * np.abs(expected).max())


def test_another_seed_gives_other_images(small, tmp_path):
    other = find_or_make(tmp_path, **SMALL, seed=1)
    assert other.folder.name != small.folder.name
    assert not np.allclose(_images(other.folder / "sim/sim.mrcs"), _images(small.folder / "sim/sim.mrcs"))


def test_a_particle_depends_on_seed_and_number_alone():
    few, many = (
        recipe.draw_particles(Path("raw.star"), BoxRecipe(particles=n, micrographs=1)) for n in (20, 300)
    )
    for name in ("angles", "shift", "defocus", "half"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:20])


def test_poses_are_uniform_over_rotations_and_defocus_goes_by_micrograph():
    particles = recipe.draw_particles(Path("raw.star"), BoxRecipe(particles=4000, micrographs=10))
    tilt = np.cos(np.radians(particles.angles[:, 1]))
    assert abs(tilt.mean()) < 0.05
    assert tilt.var() == pytest.approx(1 / 3, rel=0.05)
    assert abs(np.exp(1j * np.radians(particles.angles[:, [0, 2]])).mean(axis=0)).max() < 0.05
    mean = particles.defocus[:, :2].mean(axis=1)
    spreads = [mean[particles.micrograph == name].std() for name in np.unique(particles.micrograph)]
    assert np.mean(spreads) == pytest.approx(150, rel=0.05)
    assert mean.std() > 1000
    assert particles.shift.std() == pytest.approx(6.0, rel=0.05)


def test_every_parameter_is_in_the_key(monkeypatch):
    base = BoxRecipe()
    changed = {
        "box": 66, "pixel_size": 3.5, "particles": 641, "micrographs": 15, "diameter": 130.0, "domains": 5,
        "shift": 5.0, "defocus": (8000.0, 15000.0), "defocus_spread": 100.0, "astigmatism": 300.0,
        "voltage": 200.0, "spherical_aberration": 2.0, "amplitude_contrast": 0.07,
        "bfactor": 50.0, "solvent_potential": 4.0, "slice_thickness": 15.0, "ice": IceNoise(thickness=400.0),
        "envelope": Envelope(bfactor=100.0), "detector": Counting(dose=30.0), "neighbours": 0.2,
        "neighbour_distance": (0.6, 0.72), "seed": 1,
    }  # fmt: skip
    assert set(changed) == {entry.name for entry in fields(BoxRecipe)}
    keys = {replace(base, **{name: value}).key for name, value in changed.items()}
    placed = [MicrographRecipe(), MicrographRecipe(coverage=0.1), MicrographRecipe(least_distance=140.0)]
    keys |= {one.key for one in placed}
    assert len(keys | {base.key}) == len(changed) + len(placed) + 1
    assert base.key == "bbcaa18cfb4c"  # what was made before there was another recipe is still found
    assert BoxRecipe(voltage=300, defocus=[8000, 16000], pixel_size=3.54).key == base.key
    before = base.key
    monkeypatch.setattr(recipe, "FORMAT", recipe.FORMAT + 1)
    assert base.key != before


def test_a_second_call_makes_nothing(small, monkeypatch):
    monkeypatch.setattr(cache, "_build", None)
    assert find_or_make(small.folder.parent, **SMALL) == small


def test_two_processes_at_once_make_one_set(tmp_path, small):
    code = "from cryoalign.embedded.cache import find_or_make; "
    code += f"print(find_or_make({str(tmp_path)!r}, **{SMALL!r}).raw)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert answers == {str(tmp_path / small.folder.name / "raw.star")}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [small.folder.name]
    difference = np.abs(
        _images(tmp_path / small.folder.name / "raw.mrcs") - _images(small.folder / "raw.mrcs")
    )
    # other threads round otherwise, which costs an electron in one of 2,000 pixels
    assert difference.max() < 1.5
    assert np.mean(difference > 0.5) < 3e-3


def test_a_failure_leaves_nothing_and_a_killed_process_no_trap(tmp_path, small, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(make, "_expose", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            find_or_make(tmp_path, **SMALL)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    killed = tmp_path / f".{small.folder.name}.building.x"
    killed.mkdir()
    (killed / "raw.mrcs").write_bytes(b"half")
    made = find_or_make(tmp_path, **SMALL)
    assert made.raw.is_file()
    assert not killed.exists()


def test_a_set_says_what_it_was_made_from(small):
    said = json.loads((small.folder / "recipe.json").read_text())
    assert said["box"] == 32
    assert said["detector"]["dose"] == BoxRecipe().detector.dose
    assert said["format"] == recipe.FORMAT


@pytest.mark.parametrize(
    "wrong", [{"micrographs": 0}, {"box": 16, "pixel_size": 4.0}, {"seed": -1}, {"diameter": 20.0}]
)
def test_bad_parameters_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match="embedded data set"):
        find_or_make(tmp_path, **{**SMALL, **wrong})


def test_a_configuration_is_checked_by_name():
    made = recipe_of({"box": 64, "detector": {"dose": 20}, "neighbour_distance": [0.6, 0.7]})
    detector = replace(BoxRecipe().detector, dose=20.0)
    assert made.key == BoxRecipe(detector=detector, neighbour_distance=(0.6, 0.7)).key
    for wrong in ({"boks": 64}, {"detector": {"dosis": 20}}):
        with pytest.raises(InputError, match="unknown parameter"):
            recipe_of(wrong)


def test_a_cache_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        find_or_make(tmp_path / "file", **SMALL)


def disc(box: int, radius: float) -> np.ndarray:
    axis = np.arange(box) - box // 2
    return axis[:, None] ** 2 + axis**2 <= radius**2


def _inside(images: np.ndarray) -> np.ndarray:
    values = images[:, disc(64, BoxRecipe().diameter / 2 / BoxRecipe().sampling)].astype(np.float64)
    return values - values.mean(axis=1, keepdims=True)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = _inside(a), _inside(b)
    return float(np.mean((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))))


def test_raw_shows_sims_particle_white_in_strong_noise(default):
    raw, truth, sim = (_images(default.folder / name) for name in STACKS)
    assert _correlation(raw, sim) > 0.22  # measured 0.25
    assert abs(_correlation(raw, np.roll(sim, 53, axis=0))) < 0.05  # measured 0.02
    assert _correlation(truth, sim) > 0.9
    ratio = np.square(_inside(truth)).mean() / np.square(_inside(raw - truth)).mean()
    assert 0.06 < ratio < 0.11
    assert raw.mean() == pytest.approx(truth.mean(), rel=0.02)  # ice scatters 1 % out of the beam
    assert abs(raw.mean()) > 10 * raw.std()  # counts: there is something to normalize


def test_some_images_have_a_neighbour_at_the_edge(tmp_path):
    few = {**SMALL, "particles": 40, "detector": {"gradient": 0.0}}
    shares = {}
    for share in (0.0, 0.5):
        made = find_or_make(tmp_path, **few, neighbours=share)
        shares[share] = _images(made.truth.with_suffix(".mrcs"))
    difference = np.abs(shares[0.5] - shares[0.0]).max(axis=(1, 2)) > 1e-3
    assert 10 <= difference.sum() <= 30
    where = np.abs(shares[0.5] - shares[0.0])[difference].mean(axis=0)
    centre = disc(32, 5.0)
    assert where[~disc(32, 14.0)].mean() > 10 * where[centre].mean()


def test_the_spectrum_of_raw_is_far_from_sims_and_near_another_raws(default):
    raw, _, sim = (_images(default.folder / name) for name in STACKS)
    ground = raw[:, ~disc(64, 0.9 * 32)]
    raw = (raw - ground.mean(1)[:, None, None]) / ground.std(1)[:, None, None]
    curves = [radial_log_power(torch.from_numpy(x)) for x in (raw, (sim - sim.mean()) / sim.std())]
    floor = float(rpsd_distance(curves[0], curves[0].roll(1, 0)).mean())
    distance = float(rpsd_distance(curves[1], curves[0]).mean())
    assert floor < 0.4  # measured 0.32
    assert distance > 4 * floor  # measured 1.5
