"""The images that are judged: fake, raw and sim of the same particles, row for row, in groups and bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from cryoalign.data.partners import partners_of_like_defocus
from cryoalign.errors import InputError
from cryoalign.evaluate.defocus_bins import defocus_bins
from cryoalign.evaluate.like_conditions import partners_of_like_conditions
from cryoalign.evaluate.resampling import deal_units
from cryoalign.io.progress import progress_bar
from cryoalign.physics.fourier import fourier_resize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import Normalization
    from cryoalign.particles import Particles

Normalize = Literal["raw", "both", "none"]
NORMALIZE = ("raw", "both", "none")

FEWEST_PAIRS = 20

_MOST_AT_ONCE, _PIXELS_AT_ONCE = 64, 2**20


@dataclass(frozen=True)
class Probe:
    """Images of particles without measured counterparts: fakes of empty sims, of a map that lacks a domain.

    Attributes
    ----------
    stack : ParticleImages
    """

    stack: ParticleImages

    @property
    def particles(self) -> Particles:
        """Their poses and CTFs."""
        return self.stack.particles

    def __len__(self) -> int:
        return len(self.stack)

    def images(self, rows: NDArray[np.int64]) -> Tensor:
        """Read (B, N, N) float32 images."""
        return torch.from_numpy(np.stack([self.stack.image(int(row)) for row in rows]))


@dataclass(frozen=True)
class Own:
    """Particles of the fakes where these are others than raw's.

    Attributes
    ----------
    particles : Particles
        Row for row those of ``fake``, ``sim`` and ``second_draw``.
    words : str
        How raw images were put beside them, a sentence for readers.
    """

    particles: Particles
    words: str


@dataclass(frozen=True)
class Stacks:
    """Matched images: row for row the same particles, or, unpaired, raw's of like conditions.

    Attributes
    ----------
    particles : Particles
        Of raw: pose, CTF, micrograph; n rows.
    stacks : mapping of str to ParticleImages
        ``raw`` and any of ``fake``, ``sim``, ``truth`` (noise-free) and ``second_draw`` (other fakes of the
        same sims).
    normalization : mapping of str to Normalization
        Grey-value maps: ``sim`` and ``truth``, each by one offset and one scale for the set; ``raw``, by the
        background of each image; and, for ``normalize=none``, ``common``, by one offset and one scale for all
        images that are neither sim nor truth; without it they stay as they are.
    groups : (n,) int64
        Number of each particle's group (micrograph).
    normalize : {"raw", "both", "none"}
        What is brought to mean 0 and standard deviation 1 outside the particle's circle, image by image: raw
        alone (fakes have to be on that scale), fakes too, or no single image (both have to be on one scale).
    seed : int
        Of partners and units.
    most_bins : int
        Defocus bins at the most.
    own : Own, optional
        The fakes' particles, where these are others than raw's.
    units : (n,) int64
        Resampling unit of each particle.
    whole_groups : bool
        Whether units are whole groups.
    bins : (n,) int64
        Defocus bin of each particle.
    bin_edges : tuple of float
        In A, one more than there are bins.
    partners : (n, 2) int64
        Two other rows whose raw images are of like defocus, from another group where there is one.
    """

    particles: Particles
    stacks: Mapping[str, ParticleImages]
    normalization: Mapping[str, Normalization]
    groups: NDArray[np.int64]
    normalize: Normalize = "raw"
    seed: int = 0
    most_bins: int = 4
    own: Own | None = None
    units: NDArray[np.int64] = field(init=False)
    whole_groups: bool = field(init=False)
    bins: NDArray[np.int64] = field(init=False)
    bin_edges: tuple[float, ...] = field(init=False)
    partners: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        if len(self) < FEWEST_PAIRS:
            raise InputError(
                "there are too few pairs to judge"
                if self.paired
                else "there are too few fakes and raw images of like micrograph, optics, dose and defocus",
                file=self.particles.source,
                expected=f"{FEWEST_PAIRS} or more",
                found=len(self),
                remedy="give more particles; of a run another part, e.g. part=held_out",
            )
        units, whole = deal_units(self.groups, self.seed)
        bins, edges = defocus_bins(self.defocus, self.most_bins)
        partners = (
            partners_of_like_defocus(self.defocus, self.groups, self.seed)
            if self.paired
            else partners_of_like_conditions(self.particles, self.groups, self.seed)
        )
        values = {
            "units": units,
            "whole_groups": whole,
            "bins": bins,
            "bin_edges": edges,
            "partners": partners,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.particles)

    @property
    def defocus(self) -> NDArray[np.float64]:
        """(n,) mean of defocus U and V in A."""
        return self.particles.mean_defocus

    @property
    def paired(self) -> bool:
        """Whether all images of a row are of one particle."""
        return self.own is None

    def particles_of(self, kind: str) -> Particles:
        """Return pose and CTF of the images of a kind: `particles`, or the fakes' own."""
        of_raw = self.own is None or kind in {"raw", "other1", "other2"}
        return self.particles if self.own is None or of_raw else self.own.particles

    @property
    def kinds(self) -> frozenset[str]:
        """Which images there are."""
        return frozenset(self.stacks)

    @property
    def box(self) -> int:
        """Box size in px: the smallest, as raw is cropped only after it was normalized."""
        return min(stack.box for stack in self.stacks.values())

    @property
    def pixel_size(self) -> float:
        """Pixel size in A."""
        raw = self.stacks["raw"]
        return float(raw.pixel_size * raw.box / self.box)

    @property
    def unit_count(self) -> int:
        """How many resampling units there are."""
        return int(self.units.max()) + 1

    @property
    def bin_count(self) -> int:
        """How many defocus bins there are."""
        return len(self.bin_edges) - 1

    def image(self, kind: str, row: int) -> NDArray[np.float32]:
        """Read one (N, N) image on the common scale."""
        if kind in {"other1", "other2"}:
            row, kind = int(self.partners[row, int(kind[-1]) - 1]), "raw"
        image = self.scaled(kind, self.stacks[kind].image(row))
        if len(image) == self.box:
            return image
        cropped: NDArray[np.float32] = fourier_resize(torch.from_numpy(image), self.box).numpy()
        return cropped

    def scaled(self, kind: str, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring the grey values of an image to the common scale.

        Parameters
        ----------
        kind : str
            One of `kinds`.
        image : (N, N) float32

        Returns
        -------
        (N, N) float32
        """
        if kind in {"sim", "truth"}:
            return self.normalization[kind].sim(image)[0]
        if self.normalize == "both" or (self.normalize == "raw" and kind == "raw"):
            return self.normalization["raw"].raw(image)[0]
        if self.normalize == "none" and "common" in self.normalization:
            return self.normalization["common"].sim(image)[0]
        return image

    def raw_background(self, count: int = 50) -> tuple[float, float]:
        """Return the background of raw as its stack has it: mean and standard deviation, mean over images.

        Parameters
        ----------
        count : int
            Images that are looked at, evenly over the rows.
        """
        rows = np.unique(np.linspace(0, len(self) - 1, count).astype(np.int64))
        raw = self.stacks["raw"]
        found = np.array([self.normalization["raw"].raw(raw.image(int(row)))[1][:2] for row in rows])
        return float(found[:, 0].mean()), float(found[:, 1].mean())

    def images(self, kind: str, rows: NDArray[np.int64]) -> Tensor:
        """Read images on the common scale.

        Parameters
        ----------
        kind : str
            One of `kinds`, or ``other1`` or ``other2``: another particle's raw image of like defocus.
        rows : (B,) int64

        Returns
        -------
        (B, N, N) float32 tensor
        """
        return torch.from_numpy(np.stack([self.image(kind, int(row)) for row in rows]))

    def batches(
        self,
        kinds: Sequence[str],
        *,
        rows: NDArray[np.int64] | None = None,
        size: int | None = None,
        label: str = "",
        progress: bool = False,
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Tensor]]]:
        """Read images batch by batch.

        Parameters
        ----------
        kinds : sequence of str
        rows : (m,) int64, optional
            All, in their order, if not given.
        size : int, optional
            Images in a batch; if not given, 64, or as many as make a million pixels where these are fewer.
        label : str
            Of the progress bar.
        progress : bool
            Show it.

        Yields
        ------
        rows : (B,) int64
        images : dict of str to (B, N, N) float32 tensor
        """
        rows = np.arange(len(self)) if rows is None else rows
        size = size or max(min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // self.box**2), 1)
        starts = range(0, len(rows), size)
        for start in progress_bar(starts, label, shown=progress):
            part = rows[start : start + size]
            yield part, {kind: self.images(kind, part) for kind in kinds}

    def choose(self, count: int, seed: int) -> NDArray[np.int64]:
        """Choose rows, as many from each group as there can be.

        Parameters
        ----------
        count : int
            At the most.
        seed : int

        Returns
        -------
        (m,) int64
            Ascending.
        """
        if count >= len(self):
            return np.arange(len(self), dtype=np.int64)
        order = np.random.default_rng(seed).permutation(len(self))
        group = self.groups[order]
        place = np.argsort(group, kind="stable")
        first = np.searchsorted(group[place], group[place])
        turn = np.empty(len(self), dtype=np.int64)
        turn[place] = np.arange(len(self)) - first  # how many of its group stand before it
        return np.sort(order[np.argsort(turn, kind="stable")[:count]]).astype(np.int64)
