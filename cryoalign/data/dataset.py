"""Pairs of images as tensors: read, normalized, and turned alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cryoalign.data.metadata import rows_of
from cryoalign.physics.ctf_parameters import turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import Normalization
    from cryoalign.models.generator import Metadata

    Key = tuple[int, int]


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
        epoch, row = key
        turns, flip = self._turn(epoch, row) if self.augment else (0, False)
        sim, sim_parameters = self.normalization.sim(self.sim.image(row))
        raw, raw_parameters = self.normalization.raw(self.raw.image(row))
        metadata, of_sim = rows_of(self.raw.metadata, row), self.sim.metadata
        metadata["ctf"] = turned(metadata["ctf"], turns, flip)
        # who the particle is, as an export of this sim knows it
        metadata["particle"], metadata["identity"] = of_sim["particle"][row], of_sim["identity"][row]
        item: Pair = {
            "sim": _tensor(sim, turns, flip),
            "raw": _tensor(raw, turns, flip),
            "index": torch.tensor(row),
            "draw": torch.tensor(epoch),
            "metadata": metadata,
            "sim_parameters": torch.tensor(sim_parameters, dtype=torch.float64),
            "raw_parameters": torch.tensor(raw_parameters, dtype=torch.float64),
        }
        if self.others is not None:
            item["other"] = _tensor(
                self.normalization.raw(self.raw.image(int(self.others[row])))[0], turns, flip
            )
        return item

    def _turn(self, epoch: int, row: int) -> tuple[int, bool]:
        """Draw one of the eight symmetries of the square."""
        draw = int(np.random.SeedSequence([self.seed, epoch, row]).generate_state(1)[0] % 8)
        return draw % 4, draw >= 4


def _tensor(image: NDArray[np.float32], turns: int, flip: bool) -> Tensor:
    turned = np.rot90(image, turns)
    return torch.from_numpy(np.ascontiguousarray(turned[:, ::-1] if flip else turned))[None]
