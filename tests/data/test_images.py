"""Images come from the right stack and slot, and what disagrees is named."""

from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

import cryoalign.data.images as module
from cryoalign.data.images import ParticleImages
from cryoalign.errors import InputError
from cryoalign.io.relion import locate_stacks, read_particles
from cryoalign.particles import Optics, Particles
from cryoalign.physics.fourier import fourier_resize

BOX = 16


def _write(path: Path, images: np.ndarray, pixel_size: float) -> None:
    mrcfile.write(path, images.astype(np.float32), voxel_size=pixel_size, overwrite=True)


def _images(count: int, box: int = BOX, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, box, box)).astype(np.float32)


def _particles(
    folder: Path, optics: tuple[Optics, ...], index: list[int], stack: list[str], slot: list[int]
) -> Particles:
    count = len(index)
    return Particles.make(
        folder / "raw.star",
        optics,
        count,
        optics_index=np.array(index),
        stack=np.array(stack),
        slot=np.array(slot),
        micrograph=np.full(count, "m"),
    )


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    """Five particles in two stacks, in a wild order, the last one in an optics group of its own."""
    _write(tmp_path / "a.mrcs", _images(3), 2.0)
    _write(tmp_path / "b.mrcs", _images(2, seed=1), 2.0)
    optics = (Optics(1, "one", 2.0, 300.0, 2.7, 0.1, BOX), Optics(2, "two", 2.0, 300.0, 2.7, 0.1))
    return _particles(
        tmp_path, optics, [0, 0, 0, 0, 1], ["b.mrcs", "a.mrcs", "a.mrcs", "b.mrcs", "a.mrcs"], [1, 2, 0, 0, 1]
    )


def test_metadata_are_those_of_the_cropped_images(particles: Particles) -> None:
    """The field of view stays, so that the CTF of a smaller box has a larger pixel size."""
    plain, cropped = _open(particles), _open(particles, box=10)
    assert plain.pixel_sizes.tolist() == [2.0] * 5
    np.testing.assert_allclose(cropped.pixel_sizes, 3.2)
    ctf = {images.box: images.metadata["ctf"] for images in (plain, cropped)}
    np.testing.assert_allclose(ctf[10][:, 6], 3.2)
    assert torch.equal(ctf[10][:, :6], ctf[BOX][:, :6])
    assert set(plain.metadata["micrograph"].tolist()) == {int(plain.metadata["micrograph"][0])}


def test_resampled_images_have_the_pixel_size_that_they_were_brought_to(tmp_path: Path) -> None:
    """A box has to be a whole number: 16 px of 2.1 A become 17 px of the same field, of 1.976 A each."""
    _write(tmp_path / "a.mrcs", _images(2), 2.0)
    _write(tmp_path / "b.mrcs", _images(2), 2.1)
    optics = (Optics(1, "one", 2.0, 300.0, 2.7, 0.1), Optics(2, "two", 2.1, 300.0, 2.7, 0.1))
    table = _particles(tmp_path, optics, [0, 1], ["a.mrcs", "b.mrcs"], [0, 0])
    sizes = _open(table, resample=True).pixel_sizes
    np.testing.assert_allclose(sizes, [2.0, 2.1 * 16 / 17])
    halved = _open(table, resample=True, box=8)
    np.testing.assert_allclose(halved.pixel_sizes, 2 * sizes)
    np.testing.assert_allclose(halved.metadata["ctf"][:, 6], 2 * sizes)


def _open(particles: Particles, **options: object) -> ParticleImages:
    return ParticleImages(particles, locate_stacks(particles), **options)


def test_right_images(particles: Particles) -> None:
    images = _open(particles)
    a, b = _images(3), _images(2, seed=1)
    assert (len(images), images.box, images.pixel_size) == (5, BOX, 2.0)
    for row, expected in enumerate([b[1], a[2], a[0], b[0], a[1]]):
        np.testing.assert_array_equal(images.image(row), expected)
        assert images.image(row).dtype == np.float32


def test_lazy_and_few_maps(tmp_path: Path, particles: Particles, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 9
    for i in range(count):
        _write(tmp_path / f"s{i}.mrcs", _images(1, seed=i), 2.0)
    many = _particles(
        tmp_path, particles.optics, [0] * count, [f"s{i}.mrcs" for i in range(count)], [0] * count
    )
    images = _open(many)

    def maps() -> int:
        return sum(str(tmp_path) in line for line in Path("/proc/self/maps").read_text().splitlines())

    assert maps() == 0
    monkeypatch.setattr(module, "OPEN_MAPS", 3)
    for _ in range(2):
        for i in range(count):
            np.testing.assert_array_equal(images.image(i), _images(1, seed=i)[0])
    assert maps() == 3


def _read_in_child(images: ParticleImages, row: int) -> np.ndarray:
    return images.image(row)


def test_worker_processes(particles: Particles) -> None:
    images = _open(particles)
    images.image(0)
    assert len(pickle.dumps(images)) < 10_000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(_read_in_child, (images, 1)), _images(3)[2])


@pytest.mark.parametrize("box", [8, 9, 16])
def test_box_crops_in_fourier_space(particles: Particles, box: int) -> None:
    images = _open(particles, box=box)
    assert (images.box, images.pixel_size) == (box, pytest.approx(2.0 * BOX / box))
    expected = fourier_resize(torch.from_numpy(_images(3)[2]), box).numpy()
    np.testing.assert_array_equal(images.image(1), expected)
    with pytest.raises(InputError, match="box is too small"):
        _open(particles, box=1)


def _gaussian(box: int, pixel_size: float, width: float) -> np.ndarray:
    """A blob of a width in A, off the centre by a shift in A."""
    x = (np.arange(box) - box // 2) * pixel_size
    return np.exp(-((x[None] - 3.0) ** 2 + (x[:, None] + 2.0) ** 2) / (2 * width**2)).astype(np.float32)


@pytest.mark.parametrize(("box", "pixel_size"), [(64, 1.25), (40, 2.0), (33, 2.5), (24, 2.5)])
def test_resampled_groups_show_the_same_thing(tmp_path: Path, box: int, pixel_size: float) -> None:
    _write(tmp_path / "a.mrcs", _gaussian(32, 2.0, 6.0)[None], 2.0)
    _write(tmp_path / "b.mrcs", _gaussian(box, pixel_size, 6.0)[None], pixel_size)
    optics = (Optics(1, "one", 2.0, 300.0, 2.7, 0.1), Optics(2, "two", pixel_size, 300.0, 2.7, 0.1))
    images = _open(_particles(tmp_path, optics, [1, 0], ["b.mrcs", "a.mrcs"], [0, 0]), resample=True)
    assert (images.box, images.pixel_size) == (32, 2.0)
    assert images.image(0).shape == (32, 32)
    np.testing.assert_allclose(images.image(0), images.image(1), atol=0.02)


def test_pixel_sizes_of_groups(particles: Particles) -> None:
    first, second = particles.optics
    near = replace(particles, optics=(first, replace(second, pixel_size=2.03)))
    assert _open(near).pixel_size == 2.0
    far = replace(particles, optics=(first, replace(second, pixel_size=2.05)))
    with pytest.raises(
        InputError, match=r"row 5: optics group two(.|\n)*2 A/px(.|\n)*2\.05 A/px(.|\n)*resample=true"
    ):
        _open(far)
    unused = replace(particles, optics=(*particles.optics, replace(second, pixel_size=9.0)))
    assert len(_open(unused)) == 5


def test_past_the_end(particles: Particles) -> None:
    beyond = replace(particles, slot=np.array([1, 2, 3, 2, 1]))
    with pytest.raises(
        InputError, match=r"raw\.star, row 3: .*past the end .*\(2 rows in all\)(.|\n)*1 to 3(.|\n)*found: 4"
    ):
        _open(beyond)


def test_boxes_disagree(tmp_path: Path, particles: Particles) -> None:
    wrong = replace(particles, optics=(replace(particles.optics[0], box_size=20), particles.optics[1]))
    with pytest.raises(
        InputError, match=r"row 2: the box size of .*a\.mrcs(.|\n)*20 px, as optics group one(.|\n)*16 px"
    ):
        _open(wrong)
    _write(tmp_path / "b.mrcs", _images(2, box=8), 2.0)
    unsaid = replace(particles, optics=(replace(particles.optics[0], box_size=None), particles.optics[1]))
    with pytest.raises(
        InputError, match=r"row 2: the box size of .*a\.mrcs(.|\n)*8 px, as in .*b\.mrcs(.|\n)*16 px"
    ):
        _open(unsaid)


def test_header_disagrees(tmp_path: Path, particles: Particles) -> None:
    for unset in (0.0, 1.0, 2.03):
        _write(tmp_path / "b.mrcs", _images(2), 2.0)
        with mrcfile.open(tmp_path / "b.mrcs", "r+") as mrc:
            mrc.header.cella = (unset * BOX, unset * BOX, unset * BOX)
        assert _open(particles).pixel_size == 2.0
    _write(tmp_path / "b.mrcs", _images(2), 1.5)
    with pytest.raises(
        InputError,
        match=r"row 1: the pixel size of .*b\.mrcs(.|\n)*2 A/px(.|\n)*1\.5 A/px(.|\n)*check_header",
    ):
        _open(particles)
    assert _open(particles, check_header=False).pixel_size == 2.0


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "NaN"), (np.inf, "NaN"), (None, "constant")])
def test_bad_images(tmp_path: Path, particles: Particles, value: float | None, reason: str) -> None:
    a = _images(3)
    if value is None:
        a[2] = 4.0
    else:
        a[2, 3, 5] = value
    a[1] = 0
    with (tmp_path / "a.mrcs").open("r+b") as file:  # mrcfile warns of NaN
        file.seek(1024)
        file.write(a.tobytes())
    images = _open(particles)
    with pytest.raises(
        InputError, match=rf"raw\.star, row 2: image 3 of .*a\.mrcs .*{reason}(.|\n)*bad_images=leave_out"
    ):
        images.image(1)
    images.image(0)
    found = images.scan(progress=True)
    assert [row for row, _ in found] == [1, 4]
    assert reason in found[0][1]
    assert "constant" in found[1][1]


def test_unusable_stack(tmp_path: Path, particles: Particles) -> None:
    path = tmp_path / "a.mrcs"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"a\.mrcs: the file is truncated"):
        _open(particles)


def _anonymous() -> int:
    """Anonymous resident memory of this process in kB."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon"))


def test_memory_does_not_grow_with_the_stack(tmp_path: Path, particles: Particles) -> None:
    count, box = 15_000, 128
    path = tmp_path / "big.mrcs"
    with mrcfile.new_mmap(path, (count, box, box), mrc_mode=2) as mrc:  # 1 GB, sparse
        mrc.voxel_size = 2.0
        slots = np.random.default_rng(0).choice(count, 500, replace=False)
        for slot in slots:
            mrc.data[slot, 0, 0] = slot + 1
    many = _particles(
        tmp_path, (replace(particles.optics[0], box_size=box),), [0] * 500, ["big.mrcs"] * 500, slots.tolist()
    )
    images = _open(many)
    images.image(0)
    before = _anonymous()
    for row, slot in enumerate(slots):
        assert images.image(row)[0, 0] == slot + 1
    assert _anonymous() - before < 5_000


@pytest.mark.realdata
def test_real_sample(shared_data: Path) -> None:
    particles = read_particles(shared_data / "krios_bgal" / "particles.star")
    images = _open(particles, box=64)
    assert (len(images), images.box, images.pixel_size) == (720, 64, pytest.approx(2 * 1.7076))
    assert images.scan() == []


def test_a_stack_named_without_the_number_of_an_image(tmp_path: Path) -> None:
    """Image 1 would be taken for every row."""
    text = (
        "data_\nloop_\n_rlnImageName\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnDefocusU\n_rlnDefocusV\n"
        "_rlnDefocusAngle\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnImagePixelSize\n"
        "one.mrcs 0 0 0 9000 9000 0 300 2.7 0.1 2.0\na.mrcs 0 0 0 9000 9000 0 300 2.7 0.1 2.0\n"
    )
    (tmp_path / "raw.star").write_text(text)
    _write(tmp_path / "one.mrcs", _images(1), 2.0)
    _write(tmp_path / "a.mrcs", _images(3), 2.0)
    read = read_particles(tmp_path / "raw.star")
    with pytest.raises(
        InputError, match=r"row 2: the name of a stack of several images(.|\n)*NNNNNN@a.mrcs"
    ) as caught:
        ParticleImages(read, locate_stacks(read))
    assert "1 to 3" in str(caught.value)
    assert len(ParticleImages(read.take([0]), locate_stacks(read.take([0])))) == 1
    (tmp_path / "raw.star").write_text(text.replace("\na.mrcs", "\n2@a.mrcs"))
    read = read_particles(tmp_path / "raw.star")
    assert len(ParticleImages(read, locate_stacks(read))) == 2
