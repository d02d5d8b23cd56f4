"""Stacks that belong together are matched; others are refused with what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.evaluate.reading import Reader
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.mask import soft_circle
from tests.fakes.known import Known


def test_rows_in_another_order_are_matched_by_name(small: Known, small_folder: Path, tmp_path: Path) -> None:
    """Fakes of some of the particles, backwards: everything follows their order."""
    chosen = np.arange(small.count)[::-3]
    table = read_particles(small_folder / "fake.star").take(chosen)
    names = [f"{slot + 1:06d}@{small_folder / 'fake.mrcs'}" for slot in table.slot]
    write_particles(tmp_path / "fake.star", table, image_names=names)
    pairs = Reader().pairs(
        small_folder / "raw.star", fake=tmp_path / "fake.star", sim=small_folder / "sim.star"
    )
    assert len(pairs) == len(chosen)
    whole = Reader().pairs(
        small_folder / "raw.star", fake=small_folder / "fake.star", sim=small_folder / "sim.star"
    )
    for kind in ("fake", "raw"):
        rows = np.arange(len(chosen))
        torch.testing.assert_close(pairs.images(kind, rows), whole.images(kind, chosen.copy()))
    np.testing.assert_array_equal(pairs.particles.angles, whole.particles.angles[chosen])


def test_scales(small: Known, small_folder: Path, tmp_path: Path) -> None:
    part = small.particles.take(small.judged)
    fake = small.write(tmp_path, "fake", 3 * small.raw[small.judged] + 5, part)
    files = {"fake": fake, "sim": small_folder / "sim.star"}
    rows = np.arange(20)
    as_given, both = (
        Reader(normalize=choice).pairs(small_folder / "raw.star", **files)  # type: ignore[arg-type]
        for choice in ("raw", "both")
    )
    torch.testing.assert_close(
        as_given.images("fake", rows), 3 * as_given.images("raw", rows) + 5, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(both.images("fake", rows), both.images("raw", rows), atol=1e-4, rtol=0)
    assert float(as_given.images("sim", np.arange(small.count)).std()) == pytest.approx(1, rel=1e-3)


def test_a_crop_changes_fakes_and_raw_alike(small: Known, small_folder: Path) -> None:
    """Fakes on raw's scale stay on it, though a crop takes away some of the noise of both."""
    files = {name: small_folder / f"{name}.star" for name in ("raw", "fake", "sim")}
    pairs = Reader(box=24).pairs(**files)
    rows = np.arange(small.count)
    assert (pairs.box, pairs.pixel_size) == (24, pytest.approx(small.pixel_size * 32 / 24))
    fake, raw = (pairs.images(kind, rows) for kind in ("fake", "raw"))
    assert fake.shape == raw.shape == (small.count, 24, 24)
    torch.testing.assert_close(raw, fourier_resize(small.raw[small.judged], 24), atol=1e-4, rtol=0)
    assert float(raw.std() / fake.std()) == pytest.approx(1, abs=0.01)


def test_no_normalization_keeps_both_in_units_of_raws_background(
    small: Known, small_folder: Path, tmp_path: Path
) -> None:
    part, raw = small.particles.take(small.judged), small.raw[small.judged]
    files = {
        "raw": small.write(tmp_path, "raw", 200 * raw + 1000, part),
        "fake": small.write(tmp_path, "fake", 300 * raw + 1000, part),
    }
    pairs = Reader(normalize="none").pairs(**files, sim=small_folder / "sim.star")
    rows = np.arange(20)
    torch.testing.assert_close(pairs.images("raw", rows), raw[:20], atol=1e-3, rtol=0)
    torch.testing.assert_close(pairs.images("fake", rows), 1.5 * raw[:20], atol=1e-3, rtol=0)


def test_masked_raw_images_have_no_background(small: Known, small_folder: Path, tmp_path: Path) -> None:
    raw = small.raw[small.judged] * (soft_circle(small.box, 0.8, 0.2))
    path = small.write(tmp_path, "raw", raw, small.particles.take(small.judged))
    files = {name: small_folder / f"{name}.star" for name in ("fake", "sim")}
    with pytest.raises(InputError, match=r"constant outside .*(?s:.*)remedy: .*normalize=none"):
        Reader().pairs(path, **files)
    as_given = Reader(normalize="none").pairs(path, **files)
    assert float(as_given.images("raw", np.arange(small.count)).std()) == pytest.approx(1, rel=1e-3)


def test_chosen_rows_are_spread_over_the_groups(small_folder: Path) -> None:
    pairs = Reader().pairs(
        small_folder / "raw.star", fake=small_folder / "fake.star", sim=small_folder / "sim.star"
    )
    chosen = pairs.choose(32, seed=1)
    assert np.bincount(pairs.groups[chosen]).tolist() == [2] * 16
    assert (np.diff(chosen) > 0).all()
    assert len(pairs.choose(10**6, seed=1)) == len(pairs)


def test_without_micrographs_there_is_one_group(small: Known, small_folder: Path, tmp_path: Path) -> None:
    part = small.particles.take(small.judged)
    bare = replace(part, micrograph=np.full(len(part), ""))
    raw = small.write(tmp_path, "raw", small.raw[small.judged], bare)
    assert "rlnMicrographName" not in read_particles(raw).table
    pairs = Reader().pairs(raw, fake=small_folder / "fake.star", sim=small_folder / "sim.star")
    assert set(pairs.groups) == {0}
    assert not pairs.whole_groups
    assert pairs.unit_count == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("few", "too few pairs"),
        ("missing", "not in this file"),
        ("pose", "differ in pose"),
        ("box", "differ in field of view"),
        ("sampling", "different size"),
        ("swapped", "swapped"),
    ],
)
def test_what_does_not_belong_together(
    small: Known, small_folder: Path, tmp_path: Path, change: str, message: str
) -> None:
    raw, fake, sim = (small_folder / f"{name}.star" for name in ("raw", "fake", "sim"))
    table = read_particles(fake)

    def again(rows: np.ndarray, angles: float = 0.0) -> Path:
        part = table.take(rows)
        part.angles[:] += angles
        names = [f"{slot + 1:06d}@{small_folder / 'fake.mrcs'}" for slot in part.slot]
        write_particles(tmp_path / "new.star", part, image_names=names)
        return tmp_path / "new.star"

    if change == "few":
        fake = again(np.arange(3))
    elif change == "missing":
        sim = again(np.arange(50))
    elif change == "pose":
        fake = again(np.arange(small.count), angles=1.0)
    elif change == "box":
        cropped = small.raw[small.judged][:, 4:28, 4:28].contiguous()
        other = Known(box=24, count=small.count, micrographs=small.micrographs)
        fake = other.write(tmp_path, "cut", cropped, small.particles.take(small.judged))
    elif change == "sampling":
        small_images = fourier_resize(small.raw[small.judged], 24)
        other = Known(box=24, count=small.count, micrographs=small.micrographs)
        part = small.particles.take(small.judged)
        (optics,) = part.optics
        part = replace(part, optics=(replace(optics, box_size=24, pixel_size=other.pixel_size),))
        fake = other.write(tmp_path, "coarse", small_images, part)
    elif change == "swapped":
        raw, fake = fake, raw
    with pytest.raises(InputError, match=message):
        Reader().pairs(raw, fake=fake, sim=sim)


def test_a_file_given_twice_is_called_by_its_name(small_folder: Path) -> None:
    files = {"fake": small_folder / "fake.star", "truth": small_folder / "raw.star"}
    with pytest.raises(InputError, match="truth and raw are one file"):
        Reader().pairs(small_folder / "raw.star", **files)


def test_a_header_may_be_trusted_less_than_the_metadata(
    small: Known, small_folder: Path, tmp_path: Path
) -> None:
    raw = small.write(tmp_path, "raw", small.raw[small.judged], small.particles.take(small.judged))
    with mrcfile.open(tmp_path / "raw.mrcs", "r+") as file:
        file.voxel_size = 2 * small.pixel_size
    with pytest.raises(InputError, match="check_header=false"):
        Reader().pairs(raw, sim=small_folder / "sim.star")
    pairs = Reader(check_header=False, box=24).pairs(raw, fake=small_folder / "fake.star")
    assert pairs.box == 24
