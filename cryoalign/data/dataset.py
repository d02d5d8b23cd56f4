"""Pairs of images as tensors: read, normalized, and turned alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cryoalign.data.metadata import rows_of
from cryoalign.models.generator import map_metadata
from cryoalign.physics.ctf_parameters import turned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import GreyMap, Normalization
    from cryoalign.models.generator import Metadata

    Key = tuple[int, int]
    _Mapped = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], GreyMap]]


class Pair(TypedDict, total=False):
    """What a batch holds; one particle's item lacks the first axis.

    Attributes
    ----------
    sim, raw : (B, 1, N, N) float32
        Network values.
    other : (B, 1, N, N) float32
        Another particle's raw image of like defocus; validation and test only.
    index : (B,) int64
        Row of the pair in the matched table.
    draw : (B,) int64
        Which noise a generator draws: the epoch in training, 0 elsewhere.
    metadata : Metadata
        What is known of the particles; the CTF is turned with the images.
    sim_parameters, raw_parameters : (B, 5) float64
        What undoes the normalization: the fields of `cryoalign.data.normalize.GreyMap`.
    """

    sim: Tensor
    raw: Tensor
    other: Tensor
    index: Tensor
    draw: Tensor
    metadata: Metadata
    sim_parameters: Tensor
    raw_parameters: Tensor


class PairedImages(Dataset[Pair]):
    """Simulated and measured images of the same particles.

    Items are asked for by ``(epoch, row)``, so that what is drawn at random depends on nothing else.

    Parameters
    ----------
    sim, raw : ParticleImages
        Row for row the same particles.
    normalization : Normalization
    seed : int
        Of the augmentation.
    augment : bool
        Draw flips and quarter turns by (seed, epoch, row), the same for both images.
    others : (N,) int64, optional
        For each row the row of another raw image of like defocus; it comes with the item where given.
    """

    def __init__(
        self,
        sim: ParticleImages,
        raw: ParticleImages,
        normalization: Normalization,
        *,
        seed: int,
        augment: bool = False,
        others: NDArray[np.int64] | None = None,
    ) -> None:
        self.sim, self.raw, self.normalization = sim, raw, normalization
        self.seed, self.augment, self.others = seed, augment, others

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, key: Key) -> Pair:
        def first(values: Tensor) -> Tensor:
            return values[0]

        batch = self.batch([key])
        item = {name: first(cast("Tensor", values)) for name, values in batch.items() if name != "metadata"}
        return cast("Pair", {**item, "metadata": map_metadata(first, batch["metadata"])})

    def batch(self, keys: Sequence[Key]) -> Pair:
        """Return the items of some keys as one batch, in less time than they take one by one.

        Parameters
        ----------
        keys : sequence of (int, int)
            Epoch and row of each.
        """
        rows = np.array([row for _, row in keys], dtype=np.int64)
        turns = [self._turn(epoch, row) if self.augment else (0, False) for epoch, row in keys]
        sim, sim_parameters = _images(self.sim, rows, turns, self.normalization.sim)
        raw, raw_parameters = _images(self.raw, rows, turns, self.normalization.raw)
        metadata, of_sim = rows_of(self.raw.metadata, rows), rows_of(self.sim.metadata, rows)
        for turn in set(turns):
            alike = [place for place, other in enumerate(turns) if other == turn]
            metadata["ctf"][alike] = turned(metadata["ctf"][alike], *turn)
        # who the particle is, as an export of this sim knows it
        metadata["particle"], metadata["identity"] = of_sim["particle"], of_sim["identity"]
        batch: Pair = {
            "sim": sim,
            "raw": raw,
            "index": torch.from_numpy(rows),
            "draw": torch.tensor([epoch for epoch, _ in keys]),
            "metadata": metadata,
            "sim_parameters": sim_parameters,
            "raw_parameters": raw_parameters,
        }
        if self.others is not None:
            batch["other"], _ = _images(self.raw, self.others[rows], turns, self.normalization.raw)
        return batch

    def _turn(self, epoch: int, row: int) -> tuple[int, bool]:
        """Draw one of the eight symmetries of the square."""
        draw = int(np.random.SeedSequence([self.seed, epoch, row]).generate_state(1)[0] % 8)
        return draw % 4, draw >= 4


def _images(
    images: ParticleImages, rows: NDArray[np.int64], turns: Sequence[tuple[int, bool]], mapped: _Mapped
) -> tuple[Tensor, Tensor]:
    """Return (B, 1, N, N) network values, turned, and (B, 5) parameters of their normalization."""
    out, parameters = torch.empty(len(rows), 1, images.box, images.box), []
    for place, (row, turn) in enumerate(zip(rows.tolist(), turns, strict=True)):
        values, used = mapped(images.image(row))
        _turn_into(out[place, 0], values, *turn)
        parameters.append(used)
    return out, torch.tensor(parameters, dtype=torch.float64)


def _turn_into(out: Tensor, image: NDArray[np.float32], turns: int, flip: bool) -> None:
    """Copy an image into a tensor after quarter turns as `numpy.rot90` makes them and, maybe, reversing x."""
    if turns % 2 == 0:
        turned = np.rot90(image, turns)
        np.copyto(out.numpy(), turned[:, ::-1] if flip else turned)
        return
    # torch transposes in blocks, which numpy does not: reverse first, then transpose
    along_y, along_x = (1 if (turns == 3) == flip else -1), (-1 if turns == 1 else 1)
    out.copy_(torch.from_numpy(np.ascontiguousarray(image[::along_y, ::along_x])).t())
