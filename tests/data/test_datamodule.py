"""From two STAR files to the batches of training, validation and test."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.data.loader import StreamLoader
from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.io.mrc import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from pathlib import Path

COUNT, MICROGRAPHS, BOX, PIXEL_SIZE = 40, 10, 16, 2.0
PARTS = ("train", "validation", "test")


def grey_values(box: int = BOX) -> tuple[np.ndarray, np.ndarray]:
    """Images of sim and raw whose first pixel is their number."""
    rng = np.random.default_rng(0)
    sim, raw = rng.normal(2, 1, (2, COUNT, box, box)).astype(np.float32)
    sim[:, 0, 0] = raw[:, 0, 0] = np.arange(COUNT)
    return sim, raw


def write(folder: Path, sim: np.ndarray, raw: np.ndarray) -> dict[str, Any]:
    """Write both stacks and their STAR files, raw in another order than sim; give the module's arguments."""
    rng = np.random.default_rng(1)
    micrograph = np.arange(COUNT) % MICROGRAPHS
    mean = 1e4 + 20.0 * micrograph + rng.uniform(0, 10, COUNT)
    particles = Particles.make(
        folder / "raw.star",
        (Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, raw.shape[-1]),),
        COUNT,
        micrograph=np.array([f"mic_{number:02d}.mrc" for number in micrograph]),
        angles=rng.uniform(0, 180, (COUNT, 3)),
        shift=rng.normal(size=(COUNT, 2)),
        defocus=np.stack([mean + 100, mean - 100, rng.uniform(0, 180, COUNT)], axis=1),
    )
    sim_pixel_size = PIXEL_SIZE * raw.shape[-1] / sim.shape[-1]
    for name, images, pixel_size in (("sim", sim, sim_pixel_size), ("raw", raw, PIXEL_SIZE)):
        with StackWriter(folder / f"{name}.mrcs", COUNT, images.shape[-1], pixel_size) as stack:
            stack.write(images)
    write_particles(
        folder / "sim.star",
        replace(particles, stack=np.full(COUNT, "sim.mrcs")),
        original_names=particles.image_name,
        box=sim.shape[-1],
        pixel_size=sim_pixel_size,
    )
    write_particles(folder / "raw.star", particles.take(np.arange(COUNT)[::-1]))
    return {"sim": folder / "sim.star", "raw": folder / "raw.star"}


@pytest.fixture
def stars(tmp_path: Path) -> dict[str, Any]:
    return write(tmp_path, *grey_values())


def ready(stars: dict[str, Any], **options: Any) -> PairedDataModule:
    module = PairedDataModule(**stars, **options)
    module.prepare_data()
    module.setup()
    return module


def numbers(batch: Any, kind: str) -> list[int]:
    """Read back which image each of a batch is: its first pixel, the normalization undone."""
    offset, scale = batch[f"{kind}_parameters"][:, :2].T
    return (batch[kind][:, 0, 0, 0].double() * scale + offset).round().int().tolist()


def test_parts_are_disjoint_groups_of_the_wanted_size(stars: dict[str, Any]) -> None:
    module = ready(stars)
    assert {part: len(module.rows[part]) for part in PARTS} == {"train": 32, "validation": 4, "test": 4}
    assert sorted(np.concatenate(list(module.rows.values()))) == list(range(COUNT))
    micrographs = {part: set(module.particles(part)[1].micrograph.tolist()) for part in PARTS}
    assert sum(map(len, micrographs.values())) == len(set.union(*micrographs.values())) == MICROGRAPHS


def test_particles_of_a_part_are_pairs(stars: dict[str, Any]) -> None:
    sim, raw = ready(stars).particles("train")
    assert sim.slot.tolist() == raw.slot.tolist()
    assert sim.table["rlnImageOriginalName"].tolist() == raw.image_name.tolist()
    assert {name.split("@")[1] for name in sim.image_name} == {"sim.mrcs"}


def test_the_split_has_a_seed_of_its_own(stars: dict[str, Any]) -> None:
    def split(**seeds: int) -> list[list[int]]:
        return [rows.tolist() for rows in ready(stars, **seeds).rows.values()]

    def order(**seeds: int) -> list[int]:
        module = ready(stars, augment=False, **seeds)
        module.batches = 4
        return [row for batch in module.train_dataloader() for row in batch["index"].tolist()]

    assert split(seed=1) == split(seed=2) == split()
    assert split(split_seed=1) != split()
    assert order(seed=1) == order(seed=1)
    assert order(seed=1) != order(seed=2)
    assert sorted(order(seed=1)) == sorted(order(seed=2))


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, Any]:
    """Two raw images with NaN and infinity, one constant sim."""
    sim, raw = grey_values()
    raw[3, 5, 5], raw[30, 2, 9], sim[17] = np.nan, np.inf, 4.0
    return write(tmp_path, sim, raw)


def test_all_unusable_images_are_named_and_counted(broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="3 of 40 pairs") as caught:
        ready(broken, check="all")
    lines = str(caught.value).splitlines()
    for name, reason in (("4@raw.mrcs", "NaN"), ("31@raw.mrcs", "NaN"), ("18@sim.mrcs", "constant")):
        assert sum(f"{name}: " in line and reason in line for line in lines) == 1
    assert "bad_images=leave_out" in str(caught.value)


@pytest.mark.parametrize("check", ["read", "all"])
def test_unusable_images_are_left_out_and_recorded(broken: dict[str, Any], check: str) -> None:
    module = ready(broken, check=check, bad_images="leave_out")
    names = [line.split(": ")[0].lstrip("0") for line in module.left_out]
    assert names == ["4@raw.mrcs", "18@sim.mrcs", "31@raw.mrcs"]
    rows = np.concatenate(list(module.rows.values()))
    assert set(range(COUNT)) - set(module.sim.slot[rows].tolist()) == {3, 17, 30}
    assert len(rows) == COUNT - 3
    module.batch_size = COUNT
    for part in PARTS:
        for batch in module.evaluation_loader(part):
            assert all(batch[kind].isfinite().all() for kind in ("sim", "raw", "other"))


@pytest.mark.parametrize(("part", "same"), [("train", False), ("validation", True), ("test", True)])
def test_the_normalization_sees_training_images_alone(tmp_path: Path, part: Any, same: bool) -> None:
    sim, raw = grey_values()
    stars = write(tmp_path, sim, raw)
    before = ready(stars, normalization={"range": "minmax"})
    slots = before.particles(part)[0].slot
    sim[slots, 4:8], raw[slots, 4:8] = 3 * sim[slots, 4:8], 7 * raw[slots, 4:8]
    after = ready(write(tmp_path, sim, raw), normalization={"range": "minmax"})
    assert (after.normalization == before.normalization) is same


def test_the_fit_is_that_of_the_training_images(stars: dict[str, Any]) -> None:
    module = ready(stars)
    images = grey_values()[0][module.particles("train")[0].slot].astype(np.float64)
    assert module.normalization.sim_offset == pytest.approx(images.mean(), abs=1e-6)
    assert module.normalization.sim_scale == pytest.approx(images.std(), rel=1e-6)
    some = ready(stars, fit_images=5)
    assert some.normalization != module.normalization
    assert some.normalization == ready(stars, fit_images=5, seed=9).normalization


def test_a_given_normalization_is_not_fitted_anew(stars: dict[str, Any]) -> None:
    module = PairedDataModule(**stars, augment=False)
    module.normalization = given = Normalization(sim_offset=2.0, sim_scale=5.0)
    module.setup()
    assert module.normalization is given
    batch = module.fixed_batch(2)
    slots = module.sim.slot[batch["index"]]
    np.testing.assert_allclose(batch["sim"][:, 0], (grey_values()[0][slots] - 2) / 5, rtol=1e-5, atol=1e-6)


def test_cropping_keeps_the_field_of_view(stars: dict[str, Any]) -> None:
    assert (ready(stars).box, ready(stars).pixel_size) == (BOX, pytest.approx(PIXEL_SIZE))
    module = ready(stars, box=8)
    assert (module.box, module.pixel_size) == (8, pytest.approx(2 * PIXEL_SIZE))
    batch = next(iter(module.evaluation_loader("test")))
    assert batch["sim"].shape == batch["raw"].shape == batch["other"].shape == (4, 1, 8, 8)


def test_different_boxes_are_refused_unless_brought_together(tmp_path: Path) -> None:
    stars = write(tmp_path, grey_values(12)[0], grey_values()[1])
    with pytest.raises(InputError, match=r"same field(.|\n)*16 px(.|\n)*12 px(.|\n)*data\.box="):
        ready(stars)
    module = ready(stars, box=12)
    assert next(iter(module.evaluation_loader("test")))["raw"].shape[-1] == 12


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part", PARTS)
def test_evaluation_gives_each_pair_once_and_unturned(stars: dict[str, Any], part: Any, workers: int) -> None:
    module = ready(stars, batch_size=3, workers=workers)
    batches = list(module.evaluation_loader(part))
    expected = module.particles(part)[0].slot.tolist()
    assert [row for batch in batches for row in batch["index"].tolist()] == module.rows[part].tolist()
    for kind in ("sim", "raw"):
        assert [number for batch in batches for number in numbers(batch, kind)] == expected
    assert {int(draw) for batch in batches for draw in batch["draw"]} == {0}


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_evaluation(stars: dict[str, Any], world_size: int) -> None:
    module = ready(stars, batch_size=3)
    loaders = [
        module.evaluation_loader("train", rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    shares = [torch.cat([batch["index"] for batch in loader]) for loader in loaders]
    assert sorted(torch.cat(shares).tolist()) == sorted(module.rows["train"].tolist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_others_are_other_images_of_the_same_part(stars: dict[str, Any]) -> None:
    module = ready(stars, split={"fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}})
    module.batch_size = COUNT
    for part in ("train", "validation", "test"):
        rows = module.rows[part]
        others = module.others(part)[rows]
        assert set(others) <= set(rows.tolist())
        assert (module.raw.micrograph[others] != module.raw.micrograph[rows]).all()
        (batch,) = module.evaluation_loader(part)
        for other, slot in zip(batch["other"], module.raw.slot[others], strict=True):
            raw = torch.from_numpy(grey_values()[1][slot]).flatten()
            assert torch.corrcoef(torch.stack([other.flatten(), raw]))[0, 1] > 0.9999


def test_training_is_a_stream_of_turned_pairs(stars: dict[str, Any]) -> None:
    module = ready(stars, batch_size=5)
    module.batches = 13
    loader = module.train_dataloader()
    assert isinstance(loader, StreamLoader)
    batches = list(loader)
    assert [len(batch["sim"]) for batch in batches] == [5] * 13
    rows = {row for batch in batches for row in batch["index"].tolist()}
    assert rows <= set(module.rows["train"].tolist())
    assert {int(draw) for batch in batches for draw in batch["draw"]} == {0, 1, 2}
    first_pixel = torch.tensor([number for batch in batches for number in numbers(batch, "raw")])
    expected = torch.cat([torch.from_numpy(module.raw.slot[batch["index"]]) for batch in batches])
    assert 0.5 < (first_pixel != expected).double().mean() < 1  # an eighth of the pairs, or so, is not turned


def test_fixed_batch_is_spread_over_the_validation_set(stars: dict[str, Any]) -> None:
    module = ready(stars, split={"fractions": {"train": 0.4, "validation": 0.4, "test": 0.2}}, seed=5)
    rows = module.rows["validation"].tolist()
    batch = module.fixed_batch(6)
    index = batch["index"].tolist()
    assert len(index) == 6
    assert index == sorted(set(index))
    assert set(index) <= set(rows)
    assert (index[0], index[-1]) == (rows[0], rows[-1])
    again = ready(stars, split=module.split_settings, seed=6).fixed_batch(6)
    assert torch.equal(batch["raw"], again["raw"])
    assert numbers(batch, "raw") == numbers(batch, "sim") == module.raw.slot[index].tolist()
    assert module.fixed_batch(1000)["index"].tolist() == rows


def test_fewer_training_pairs_are_whole_micrographs_and_leave_the_other_parts_alone(
    stars: dict[str, Any],
) -> None:
    everything, ten, twenty = ready(stars), ready(stars, train_pairs=10), ready(stars, train_pairs=20)
    assert [len(each.rows["train"]) for each in (ten, twenty, everything)] == [10, 20, 32]
    assert set(ten.rows["train"]) < set(twenty.rows["train"]) < set(everything.rows["train"])
    names, sizes = np.unique(ten.groups[ten.rows["train"]], return_counts=True)
    in_all = [int((everything.groups[everything.rows["train"]] == name).sum()) for name in names]
    assert int((sizes < in_all).sum()) <= 1  # one micrograph is cut
    for part in ("validation", "test"):
        assert ten.rows[part].tolist() == everything.rows[part].tolist()
    assert ready(stars, train_pairs=1000).rows["train"].tolist() == everything.rows["train"].tolist()


def test_files_are_all_that_is_read(stars: dict[str, Any], tmp_path: Path) -> None:
    names = {path.name for path in ready(stars).files()}
    assert names == {"sim.star", "raw.star", "sim.mrcs", "raw.mrcs"}
    assert all(path.is_file() for path in ready(stars).files())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"check": "some"}, r"data\.check(.|\n)*read or all(.|\n)*some"),
        ({"bad_images": "keep"}, r"data\.bad_images(.|\n)*refuse or leave_out(.|\n)*keep"),
        ({"batch_size": 0}, r"batch_size is out of range"),
        ({"workers": -1}, r"workers is out of range"),
        ({"train_pairs": 0}, r"train_pairs is out of range"),
    ],
)
def test_impossible_options(stars: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PairedDataModule(**stars, **options)
