"""Pairs come turned alike, drawn by (seed, epoch, row), and the floor's partners are of like defocus."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from cryoalign.data.dataset import PairedImages
from cryoalign.data.metadata import particle_metadata
from cryoalign.data.normalize import Normalization
from cryoalign.data.packing import pack, unpack
from cryoalign.particles import Optics, Particles
from cryoalign.physics.ctf_parameters import ctf_image

BOX = 15


class Images(SimpleNamespace):
    """A stack in memory, with what the data set asks for."""

    def __len__(self) -> int:
        return len(self.stack)

    def image(self, row: int) -> np.ndarray:
        return self.stack[row]


def dataset(**options: object) -> PairedImages:
    stack = np.random.default_rng(0).normal(size=(20, BOX, BOX)).astype(np.float32)
    same = Normalization(radius=1.0)
    defocus = np.array([[8000.0, 9000.0, 30.0]]) + 100 * np.arange(20)[:, None]
    optics = Optics(1, "one", 2.0, 300.0, 2.7, 0.1)
    particles = Particles.make(Path("raw.star"), [optics], 20, defocus=defocus)
    images = Images(stack=stack, box=BOX, metadata=particle_metadata(particles))
    return PairedImages(images, images, same, **{"seed": 3, **options})


def aligned(item: dict[str, torch.Tensor]) -> float:
    """Correlation of sim with raw: 1 where both were turned alike, as both hold the same image."""
    return float(torch.corrcoef(torch.stack([item["sim"].flatten(), item["raw"].flatten()]))[0, 1])


def test_both_images_are_turned_alike() -> None:
    pairs = dataset(augment=True)
    assert min(aligned(pairs[epoch, row]) for epoch in range(3) for row in range(20)) > 0.9999


def test_all_eight_turns_occur_and_depend_on_seed_epoch_and_row() -> None:
    pairs = dataset(augment=True)
    looks = {tuple(pairs[epoch, 0]["sim"].flatten().tolist()) for epoch in range(100)}
    assert len(looks) == 8
    assert torch.equal(pairs[5, 7]["raw"], dataset(augment=True)[5, 7]["raw"])
    other_seed = dataset(augment=True, seed=4)
    assert any(not torch.equal(pairs[e, 7]["raw"], other_seed[e, 7]["raw"]) for e in range(5))


def test_without_augmentation_nothing_is_turned() -> None:
    pairs = dataset()
    assert torch.equal(pairs[0, 4]["raw"], pairs[9, 4]["raw"])


def test_draw_is_the_epoch_and_index_the_row() -> None:
    item = dataset()[6, 11]
    assert (int(item["draw"]), int(item["index"])) == (6, 11)


def test_defocus_is_the_mean_of_u_and_v() -> None:
    item = dataset()[0, 3]
    assert item["metadata"]["defocus"].dtype == torch.float32
    assert float(item["metadata"]["defocus"]) == 8800


def test_the_ctf_is_turned_with_the_images() -> None:
    """A filter commutes with turning: the CTF of the item suits the item's image."""
    turned, plain = dataset(augment=True), dataset()
    seen = set()
    for epoch in range(12):
        item, before = turned[epoch, 0], plain[epoch, 0]
        ctf, ctf_before = (ctf_image(pair["metadata"]["ctf"][None], BOX) for pair in (item, before))
        filtered, expected = (
            torch.fft.irfft2(torch.fft.rfft2(image["sim"]) * factor, s=(BOX, BOX))[0]
            for image, factor in ((item, ctf), (before, ctf_before))
        )
        (way,) = [
            (turns, flip)
            for turns in range(4)
            for flip in (False, True)
            if torch.equal(_turn(before["sim"][0], turns, flip), item["sim"][0])
        ]
        torch.testing.assert_close(filtered, _turn(expected, *way), rtol=0, atol=1e-5)
        seen.add(way)
        assert item["metadata"].keys() == before["metadata"].keys()
        assert torch.equal(item["metadata"]["defocus"], before["metadata"]["defocus"])
    assert len(seen) > 4


def _turn(image: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    turned = torch.rot90(image, turns)
    return turned.flip(1) if flip else turned


def test_batches_hold_metadata_row_by_row() -> None:
    pairs = dataset()
    batch = next(iter(DataLoader(pairs, batch_size=3, sampler=[(0, 4), (0, 7), (0, 1)])))
    known = batch["metadata"]
    assert {name: tuple(values.shape) for name, values in known.items()} == {
        "defocus": (3,), "ctf": (3, 14), "dose": (3,), "tilt": (3,), "micrograph": (3,), "particle": (3,),
        "identity": (3,),
    }  # fmt: skip
    assert known["defocus"].tolist() == [8900, 9200, 8600]
    assert known["micrograph"].dtype == torch.int64


def test_other_comes_with_the_item() -> None:
    pairs = dataset(others=np.roll(np.arange(20), 1))
    assert torch.equal(pairs[0, 4]["other"], pairs[0, 3]["raw"])


@pytest.mark.parametrize("row", [0, 19])
def test_parameters_undo_the_normalization(row: int) -> None:
    item = dataset()[0, row]
    offset, scale = item["raw_parameters"][:2]
    assert item["raw"].numpy() * float(scale) + float(offset) == pytest.approx(
        dataset().raw.image(row)[None], abs=1e-5
    )


@pytest.mark.parametrize("box", [15, 64])
def test_a_batch_is_its_items_packed_or_not(box: int) -> None:
    """Turned as numpy's rot90 turns, whichever way it is done."""
    pairs = dataset(augment=True)
    stack = np.random.default_rng(1).normal(size=(20, box, box)).astype(np.float32)
    for images in (pairs.sim, pairs.raw):
        images.stack, images.box = stack, box  # type: ignore[attr-defined]
    keys = [(epoch, row) for epoch in range(4) for row in (3, 4, 19)]
    batch = pairs.batch(keys)
    expected = default_collate([pairs[key] for key in keys])
    for found in (batch, unpack(pack(batch)), unpack(pack(batch).pin_memory() if pinned() else pack(batch))):
        assert found.keys() == expected.keys()
        assert found["metadata"].keys() == expected["metadata"].keys()
        for of_batch, of_items in ((found, expected), (found["metadata"], expected["metadata"])):
            for name in of_items.keys() - {"metadata"}:
                assert of_batch[name].dtype == of_items[name].dtype
                assert torch.equal(of_batch[name].nan_to_num(), of_items[name].nan_to_num()), name
    for place, (epoch, row) in enumerate(keys):
        turns, flip = pairs._turn(epoch, row)
        turned = np.rot90(pairs.normalization.raw(stack[row])[0], turns)
        assert np.array_equal(batch["raw"][place, 0], turned[:, ::-1] if flip else turned)


def pinned() -> bool:
    return torch.cuda.is_available()
