"""Pairs come turned alike, drawn by (seed, epoch, row), and the floor's partners are of like defocus."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryoalign.data.dataset import PairedImages
from cryoalign.data.normalize import Normalization


class Images(SimpleNamespace):
    """A stack in memory, with what the data set asks for."""

    def __len__(self) -> int:
        return len(self.stack)

    def image(self, row: int) -> np.ndarray:
        return self.stack[row]


def dataset(**options: object) -> PairedImages:
    stack = np.random.default_rng(0).normal(size=(20, 16, 16)).astype(np.float32)
    same = Normalization(radius=1.0)
    defocus = np.array([[8000.0, 9000.0, 30.0]]) + 100 * np.arange(20)[:, None]
    images = Images(stack=stack, particles=SimpleNamespace(mean_defocus=defocus[:, :2].mean(axis=1)))
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
    assert item["defocus"].dtype == torch.float32
    assert float(item["defocus"]) == 8800


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
