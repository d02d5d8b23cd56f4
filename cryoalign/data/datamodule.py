"""The paired data of a run: from two metadata files to the loaders of training, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from cryoalign.cli.limits import MOST_WORKERS
from cryoalign.data.dataset import Pair, PairedImages
from cryoalign.data.groups import number_groups
from cryoalign.data.images import SAME_PIXEL_SIZE, ParticleImages
from cryoalign.data.loader import StreamLoader, StreamSampler, end_workers_at_exit, outlive_sigterm
from cryoalign.data.matching_rows import refuse_swapped
from cryoalign.data.normalize import Normalization
from cryoalign.data.packing import moved
from cryoalign.data.pairs import match_pairs
from cryoalign.data.partition import first_groups
from cryoalign.data.partners import partners_of_like_defocus
from cryoalign.data.split import split_particles
from cryoalign.errors import InputError, choice, within
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import passthrough_files, read_particles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cryoalign.io.relion.missing_ctf import MissingCtf
    from cryoalign.particles import Particles

Part = Literal["train", "validation", "test", "held_out"]


class PairedDataModule(LightningDataModule):
    """Simulated and measured particles, matched, split by micrograph and normalized.

    Parameters
    ----------
    sim, raw : str or Path
        STAR files, or ``.cs`` files of CryoSPARC.
    root : str or Path, optional
        Folder that the stack names of `raw` are relative to; see `cryoalign.io.locate.locate_stacks`.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of `raw`.
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file of measured particles without a CTF; see `cryoalign.read_particles`.
    pixel_size : float, optional
        Of the images of a STAR file of measured particles in A, where its columns are wrong.
    batch_size : int
        Pairs in a batch, of one process.
    workers : int
        Loader processes; 0 loads in the training process.
    box : int, optional
        Fourier-crop every image to this box in px.
    resample : bool
        Bring optics groups of different pixel size to that of the first.
    check_header : bool
        Refuse a stack whose header tells another pixel size than the STAR file.
    augment : bool
        The same flips and quarter turns for both images of a pair, drawn by (seed, epoch, row).
    split : mapping
        Arguments of `cryoalign.data.split.split_particles` but its seed.
    split_seed : int
        Seed of the split alone.
    train_pairs : int, optional
        Train on this many pairs at the most, of as few groups as hold them; validation and test keep theirs.
    normalization : mapping
        ``radius``, ``range`` and ``percentiles`` of `cryoalign.data.normalize.Normalization`.
    fit_images : int
        How many training images the normalization is fitted on at the most, drawn by `split_seed`.
    tolerances : mapping
        Arguments of `cryoalign.data.pairs.check_agreement`: how far poses and CTFs of a pair may differ.
    check : {"read", "all"}
        Look for NaN and constant images when they are read, or in all images first.
    bad_images : {"refuse", "leave_out"}
        What becomes of them; to leave them out, all images are looked at first.
    seed : int
        Of the order and the augmentation.
    """

    def __init__(
        self,
        sim: str | Path,
        raw: str | Path,
        *,
        root: str | Path | None = None,
        passthrough: str | Path | Sequence[str | Path] | None = None,
        missing_ctf: MissingCtf = "refuse",
        pixel_size: float | None = None,
        batch_size: int = 8,
        workers: int = 0,
        box: int | None = None,
        resample: bool = False,
        check_header: bool = True,
        augment: bool = True,
        split: Mapping[str, Any] | None = None,
        split_seed: int = 0,
        train_pairs: int | None = None,
        normalization: Mapping[str, Any] | None = None,
        fit_images: int = 2000,
        tolerances: Mapping[str, float] | None = None,
        check: Literal["read", "all"] = "read",
        bad_images: Literal["refuse", "leave_out"] = "refuse",
        seed: int = 1,
    ) -> None:
        super().__init__()
        choice("data.check", check, ("read", "all"))
        choice("data.bad_images", bad_images, ("refuse", "leave_out"))
        within("data.batch_size", batch_size, 1)
        within("data.workers", workers, 0, MOST_WORKERS)
        within("data.fit_images", fit_images, 1, whole=True)
        if train_pairs is not None:
            within("data.train_pairs", train_pairs, 1)
        self.sim_star, self.raw_star = Path(sim), Path(raw)
        self.root = None if root is None else Path(root)
        self.passthrough, self.missing_ctf = passthrough_files(passthrough), missing_ctf
        self.raw_pixel_size = pixel_size
        self.batch_size, self.workers, self.box_wanted, self.resample = batch_size, workers, box, resample
        self.check_header = check_header
        self.augment, self.split_settings, self.split_seed = augment, dict(split or {}), split_seed
        self.train_pairs = train_pairs
        self.normalization_settings, self.fit_images = dict(normalization or {}), fit_images
        self.tolerances, self.seed = dict(tolerances or {}), seed
        self.check, self.bad_images = check, bad_images
        self.normalization: Normalization | None = None
        self.left_out: list[str] = []
        #: Batches of the whole training; the run sets it from the trainer's limit before fitting.
        self.batches = 1

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002  Lightning's signature
        """Read, match, check and split; the normalization is fitted unless the run already has one."""
        if hasattr(self, "rows"):
            return
        sim = read_particles(self.sim_star)
        raw = read_particles(self.raw_star, self.passthrough, self.missing_ctf, self.raw_pixel_size)
        refuse_swapped(sim, raw)
        sim, raw = match_pairs(sim, raw, **self.tolerances)
        options: dict[str, Any] = {
            "box": self.box_wanted,
            "resample": self.resample,
            "check_header": self.check_header,
        }
        sim_stacks, raw_stacks = locate_stacks(sim), locate_stacks(raw, root=self.root)
        self.sim_images = ParticleImages(sim, sim_stacks, **options)
        self.raw_images = ParticleImages(raw, raw_stacks, **options)
        self._stacks = sorted({*sim_stacks.values(), *raw_stacks.values()})
        self._check_pixels()
        self.sim, self.raw = sim, raw
        kept = self._scan()
        split = split_particles(raw.take(kept), seed=self.split_seed, **self.split_settings)
        train = split.train
        if self.train_pairs is not None:
            train = train[first_groups(split.group[train], self.train_pairs, self.split_seed)]
        self.rows: dict[Part, NDArray[np.int64]] = {
            "train": kept[train], "validation": kept[split.validation], "test": kept[split.test]
        }  # fmt: skip
        for part in ("train", "validation"):
            if len(self.rows[part]) == 0:
                raise InputError(
                    f"there are no {part} pairs",
                    file=self.raw_star,
                    expected="some for training and some for validation",
                    remedy="give data.split.fractions above 0",
                )
        self.groups = np.full(len(raw), "", dtype=split.group.dtype)
        self.groups[kept] = split.group
        if self.normalization is None:
            self.normalization = self._fit()

    def _check_pixels(self) -> None:
        sim, raw = self.sim_images, self.raw_images
        if sim.box != raw.box or abs(sim.pixel_size / raw.pixel_size - 1) > SAME_PIXEL_SIZE:
            raise InputError(
                "sim and raw do not show the same field",
                file=self.sim_star,
                expected=f"box {raw.box} px at {raw.pixel_size:.4f} A/px, as in {self.raw_star}",
                found=f"box {sim.box} px at {sim.pixel_size:.4f} A/px",
                remedy="simulate with cryoalign simulate, or bring both to one box with data.box=",
            )

    def _scan(self) -> NDArray[np.int64]:
        """Return the rows to use, after looking at all images where that was asked for."""
        rows = np.arange(len(self.raw), dtype=np.int64)
        if self.check == "read" and self.bad_images == "refuse":
            return rows
        bad: dict[int, str] = {}
        for images in (self.sim_images, self.raw_images):
            bad.update(
                {row: f"{images.particles.image_name[row]}: {reason}" for row, reason in images.scan()}
            )
        self.left_out = [bad[row] for row in sorted(bad)]
        if bad and self.bad_images == "refuse":
            listed = "\n    ".join(self.left_out[:20])
            raise InputError(
                f"{len(bad)} of {len(rows)} pairs hold an image that cannot be used\n    {listed}",
                file=self.raw_star,
                remedy="repair them, or leave them out with data.bad_images=leave_out",
            )
        return np.delete(rows, sorted(bad))

    def others(self, part: Part) -> NDArray[np.int64]:
        """Return (N,) rows of the images that the raw ones of a part are compared with; -1 outside of it.

        A part of a single image compares it with itself.
        """
        rows, others = self.rows[part], np.full(len(self.raw), -1, dtype=np.int64)
        groups = number_groups(self.groups[rows])
        partner = partners_of_like_defocus(self.raw.mean_defocus[rows], groups, self.split_seed)[:, 0]
        others[rows] = rows[np.where(partner < 0, 0, partner)]
        return others

    def _fit(self) -> Normalization:
        rows = self.rows["train"]
        if len(rows) > self.fit_images:
            rows = np.sort(
                np.random.default_rng(self.split_seed).choice(rows, self.fit_images, replace=False)
            )
        return Normalization.fit(
            (self.sim_images.image(int(row)) for row in rows),
            (self.raw_images.image(int(row)) for row in rows),
            **self.normalization_settings,
        )

    @property
    def box(self) -> int:
        """Box size in px, after cropping."""
        return self.raw_images.box

    @property
    def pixel_size(self) -> float:
        """Pixel size in A, after cropping."""
        return float(self.raw_images.pixel_size)

    def particles(self, part: Part) -> tuple[Particles, Particles]:
        """Return the sim and raw tables of one part of the split, in the order of its loader."""
        return self.sim.take(self.rows[part]), self.raw.take(self.rows[part])

    def _dataset(self, *, augment: bool, others: NDArray[np.int64] | None = None) -> PairedImages:
        if self.normalization is None:
            raise ValueError("setup() comes first")
        return PairedImages(
            self.sim_images,
            self.raw_images,
            self.normalization,
            seed=self.seed,
            augment=augment,
            others=others,
        )

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _options(self) -> dict[str, Any]:
        if self.workers:
            end_workers_at_exit()
        return {
            "num_workers": self.workers,
            "worker_init_fn": outlive_sigterm,
            # A loader draws a seed for its workers: not from the stream that dropout draws from, or a
            # continued run would differ from an unbroken one.
            "generator": torch.Generator().manual_seed(self.seed),
            "persistent_workers": self.workers > 0,
            "pin_memory": self.trainer is not None
            and self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
        }

    def train_dataloader(self) -> StreamLoader:
        """Return the stream of training batches; its place is saved in checkpoints."""
        rank, world_size = self._processes()
        rows = self.rows["train"]
        if len(rows) < world_size:
            raise InputError(
                "fewer training pairs than processes",
                expected=f">= {world_size}",
                found=len(rows),
                remedy="give more pairs to data.split.fractions.train, or start fewer processes",
            )
        sampler = StreamSampler(
            rows, self.batch_size, self.batches, seed=self.seed, rank=rank, world_size=world_size
        )
        return StreamLoader(self._dataset(augment=self.augment), sampler, **self._options())

    def evaluation_loader(
        self, part: Part, *, rank: int = 0, world_size: int = 1, batch_size: int | None = None
    ) -> DataLoader[Pair]:
        """Yield each pair of a part once, in the part's order, over all processes together."""
        keys: Any = [(0, int(row)) for row in self.rows[part][rank::world_size]]
        return DataLoader(
            self._dataset(augment=False, others=self.others(part)),
            batch_size=batch_size or self.batch_size,
            sampler=keys,
            **self._options(),
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        """Yield each validation pair once, over all processes together."""
        rank, world_size = self._processes()
        return self.evaluation_loader("validation", rank=rank, world_size=world_size)

    def transfer_batch_to_device(self, batch: Pair, device: torch.device, *_: Any) -> Pair:
        """Move a batch; Lightning's own way asks every value whether it is any kind of collection."""
        return moved(batch, device)

    def fixed_batch(self, size: int) -> Pair:
        """Return the first pairs of the validation set: the batch that figures and training curves show.

        Parameters
        ----------
        size : int
            Number of pairs; fewer where the set is smaller.
        """
        dataset = self._dataset(augment=False)
        rows = self.rows["validation"]
        chosen = rows[np.linspace(0, len(rows) - 1, min(size, len(rows))).astype(np.int64)]
        loader = DataLoader(dataset, batch_size=len(chosen), sampler=[(0, int(row)) for row in chosen])
        batch: Pair = next(iter(loader))
        return batch

    def files(self) -> list[Path]:
        """Return every file that the data are read from: the metadata and their stacks."""
        return [self.sim_star, self.raw_star, *self.passthrough, *self._stacks]
