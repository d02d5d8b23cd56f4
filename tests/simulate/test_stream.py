"""From metadata and map to sim.mrcs and sim.star, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.particles import Particles
    from tests.conftest import Cli

STAR = """
data_optics
loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
1 first 300 2.7 0.1 2.0 24
2 second 200 2.0 0.07 2.0 24

data_particles
loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
_rlnOpticsGroup #11
_rlnNrOfSignificantSamples #12
000003@raw/a.mrcs a.mrc 10 20 30 1.5 -2 9000 8000 20 1 7
000001@raw/b.mrcs b.mrc -50 80 3 0 4 12000 12500 70 2 8
000001@raw/a.mrcs a.mrc 170 110 -60 -3 0 9100 8100 20 1 9
"""


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    (tmp_path / "particles.star").write_text(STAR)
    return read_particles(tmp_path / "particles.star")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    density = np.zeros((24, 24, 24), np.float32)
    density[8:15, 9:16, 10:14] = np.random.default_rng(0).uniform(size=(7, 7, 4))
    mrcfile.write(tmp_path / "map.mrc", density, voxel_size=2.0)
    return tmp_path / "map.mrc"


def run(particles: Particles, volume: Path, **options: Any) -> Path:
    specimen = DensityMap(volume, pixel_size=options.pop("volume_pixel_size", None))
    return simulate_particles(particles, specimen, volume.parent / "sim", progress=False, **options)


def refused(particles: Particles, volume: Path, **options: Any) -> str:
    """Text of the error; nothing may be left behind."""
    before = sorted(volume.parent.iterdir())
    with pytest.raises(InputError) as caught:
        run(particles, volume, **options)
    assert sorted(volume.parent.iterdir()) == before
    return str(caught.value)


def test_a_scale_factor_of_zero_is_named(particles: Particles, volume: Path) -> None:
    text = refused(replace(particles, ctf_scale=np.array([1.0, 0.0, 1.0])), volume)
    assert text.startswith(f"{particles.source}, row 2: the simulated image is constant")
    assert "with a CTF scale factor of 0 and a CTF B-factor of 0 A^2" in text
    assert "rlnCtfScalefactor" in text


def test_files_row_for_row(particles: Particles, volume: Path) -> None:
    star = run(particles, volume, batch_size=2)
    with mrcfile.open(star.parent / "sim.mrcs") as mrc:
        assert mrc.data.shape == (3, 24, 24)
        assert mrc.data.dtype == np.float32
        assert mrc.is_image_stack()
        assert mrc.voxel_size.x == pytest.approx(2.0)
        assert np.abs(mrc.data).max(axis=(1, 2)).min() > 0.01
    written = starfile.read(star)["particles"]
    assert written["rlnImageName"].tolist() == [f"00000{i}@sim.mrcs" for i in (1, 2, 3)]
    assert written["rlnImageOriginalName"].tolist() == [
        f"00000{i}@raw/{s}.mrcs" for i, s in ((3, "a"), (1, "b"), (1, "a"))
    ]
    assert written["rlnNrOfSignificantSamples"].tolist() == [7, 8, 9]
    again = read_particles(star)
    for name in ("angles", "shift", "defocus", "optics_index", "micrograph"):
        assert np.array_equal(getattr(again, name), getattr(particles, name)), name
    assert [group.voltage for group in again.optics] == [300, 200]
    assert {group.box_size for group in again.optics} == {24}


def test_batches_do_not_matter(particles: Particles, volume: Path) -> None:
    one = mrcfile.read(run(particles, volume, batch_size=1).with_suffix(".mrcs"))
    three = mrcfile.read(run(particles, volume, batch_size=3, overwrite=True).with_suffix(".mrcs"))
    assert np.allclose(one, three, atol=1e-6)


def test_box_on_request(particles: Particles, volume: Path) -> None:
    star = run(particles, volume, box=20)
    assert mrcfile.read(star.with_suffix(".mrcs")).shape == (3, 20, 20)
    assert read_particles(star).optics[0].box_size == 20


def without_box(particles: Particles) -> Particles:
    return replace(particles, optics=tuple(replace(group, box_size=None) for group in particles.optics))


def test_box_from_the_raw_stacks(particles: Particles, volume: Path) -> None:
    (volume.parent / "raw").mkdir()
    for name in ("a", "b"):
        mrcfile.write(volume.parent / "raw" / f"{name}.mrcs", np.zeros((3, 18, 18), np.float32))
    assert mrcfile.read(run(without_box(particles), volume).with_suffix(".mrcs")).shape == (3, 18, 18)


def test_unknown_box(particles: Particles, volume: Path) -> None:
    message = refused(without_box(particles), volume)
    assert "box size is unknown" in message
    assert "box=" in message


def test_aberrations_are_refused_unless_waived(particles: Particles, volume: Path) -> None:
    first, second = particles.optics
    tilted = replace(particles, optics=(first, replace(second, unmodelled=("rlnBeamTiltX", "rlnOddZernike"))))
    message = refused(tilted, volume)
    assert "rlnBeamTiltX, rlnOddZernike" in message
    assert "ignore_aberrations=true" in message
    assert run(tilted, volume, ignore_aberrations=True).is_file()


def test_aberrations_are_simulated_and_stated_or_neither(particles: Particles, volume: Path) -> None:
    first, second = particles.optics
    values: dict[str, Any] = {"beam_tilt": (2.0, -1.0), "odd_zernike": (0.0, 0.0, 30.0)}
    aberrated = replace(particles, optics=(first, replace(second, **values)))
    plain = mrcfile.read(run(particles, volume).with_suffix(".mrcs"))
    with_them = run(aberrated, volume, overwrite=True)
    images, stated = mrcfile.read(with_them.with_suffix(".mrcs")), read_particles(with_them).optics
    assert (images[particles.optics_index == 0] == plain[particles.optics_index == 0]).all()
    assert (images[particles.optics_index == 1] != plain[particles.optics_index == 1]).any()
    assert {name: getattr(stated[1], name) for name in values} == values
    assert not any(stated[0].beam_tilt)

    without = run(aberrated, volume, overwrite=True, ignore_aberrations=True)
    assert (mrcfile.read(without.with_suffix(".mrcs")) == plain).all()
    assert not any(any(group.beam_tilt) or group.odd_zernike for group in read_particles(without).optics)


def test_aberrations_of_a_group_nobody_uses_do_not_matter(particles: Particles, volume: Path) -> None:
    first, second = particles.optics
    tilted = replace(particles, optics=(first, replace(second, unmodelled=("rlnBeamTiltX",))))
    assert run(tilted.take([0, 2]), volume).is_file()


def test_volume_without_a_pixel_size(particles: Particles, volume: Path) -> None:
    with mrcfile.open(volume, "r+") as mrc:
        mrc.voxel_size = 0
    assert "volume_pixel_size=" in refused(particles, volume)
    assert run(particles, volume, volume_pixel_size=2.0).is_file()


def test_pixel_size_on_request_overrules_the_header(particles: Particles, volume: Path) -> None:
    right = mrcfile.read(run(particles, volume).with_suffix(".mrcs"))
    with mrcfile.open(volume, "r+") as mrc:
        mrc.voxel_size = 1.0
    again = run(particles, volume, volume_pixel_size=2.0, overwrite=True)
    assert np.array_equal(mrcfile.read(again.with_suffix(".mrcs")), right)


def test_volume_far_too_small(particles: Particles, volume: Path) -> None:
    assert "smaller than the images can show" in refused(particles, volume, volume_pixel_size=0.1)


def test_volume_that_is_far_from_a_cube(particles: Particles, volume: Path) -> None:
    mrcfile.write(volume, np.ones((8, 8, 1), np.float32), voxel_size=2.0, overwrite=True)
    assert "far from a cube" in refused(particles, volume)


def test_missing_volume(particles: Particles, volume: Path) -> None:
    assert "gone.mrc" in refused(particles, volume.with_name("gone.mrc"))


def test_no_particles(particles: Particles, volume: Path) -> None:
    assert "no particles" in refused(particles.take([]), volume)


def test_existing_output_is_kept_unless_overwrite(particles: Particles, volume: Path) -> None:
    star = run(particles, volume)
    before = star.read_bytes()
    refused(particles, volume)
    assert star.read_bytes() == before
    run(particles.take([0]), volume, overwrite=True)
    assert len(read_particles(star)) == 1


def test_progress_bar_goes_to_standard_error(
    particles: Particles, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate_particles(particles, DensityMap(volume), volume.parent / "sim", batch_size=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "simulating" in captured.err


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_not_written(
    value: float, particles: Particles, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = WeakPhase.__call__

    def spoiled(self: WeakPhase, *given: Any, **more: Any) -> torch.Tensor:
        images = whole(self, *given, **more)
        images[1, 3, 4] = value
        return images

    monkeypatch.setattr(WeakPhase, "__call__", spoiled)
    said = refused(particles, volume)
    assert "row 2: the simulated image is constant or not finite" in said


def test_missing_ctf_and_pixel_size_are_options_of_the_command(volume: Path, cli: Cli) -> None:
    """Without amplitude contrast, and with a pixel size that the file contradicts."""
    star = volume.with_name("particles.star")
    star.write_text(STAR.replace("_rlnAmplitudeContrast", "_rlnNothing"))
    command = ["simulate", f"particles={star}", f"volume={volume}", "out=new", "box=32", "progress=false"]
    done = cli(*command)
    assert (done.code, "missing_ctf=neutral" in done.err) == (1, True), done.err
    done = cli(*command, "missing_ctf=neutral", "pixel_size=1.9")
    assert done.code == 0, done.err
    assert "there is no rlnAmplitudeContrast; it is taken for 0" in done.err
    made = read_particles(volume.with_name("new") / "sim.star")
    assert {group.amplitude_contrast for group in made.optics} == {0.0}
    assert {group.pixel_size for group in made.optics} == {1.9}


def test_an_added_key_that_nobody_reads(cli: Cli) -> None:
    done = cli("simulate", "+particle=a.star", "volume=map.mrc", "out=new")
    assert (done.code, "there is no key particle\n  expected: particles" in done.err) == (1, True), done.err
