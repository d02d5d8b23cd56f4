"""All that there is to judge, as the measures are given it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

import torch

from cryoalign.evaluate.resampling import Resampling
from cryoalign.evaluate.sums import Sums, gather
from cryoalign.io.mrc_volume import images_voxel_size, warn_of_other_field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from cryoalign.evaluate.stacks import Probe, Stacks


Found = TypeVar("Found")


class CaseSettings(TypedDict):
    """What all cases of an evaluation have in common; see `Case`."""

    volume: Tensor | None
    voxel_size: float | None
    draws: int
    seed: int
    progress: bool
    device: str


class Floors:
    """What raw and sim give where a fake stands, kept for all fakes of the same particles.

    Cases of a run and of its baselines share one, so that what does not depend on the fake is found once.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str | int, ...], object] = {}

    def find(self, what: tuple[str | int, ...], measure: Callable[[], Found]) -> Found:
        """Return what is known under a name, or measure it; a name stands for one kind of thing."""
        if what not in self._known:
            self._known[what] = measure()
        return cast("Found", self._known[what])


@dataclass
class Case:
    """What is judged, and with what.

    Attributes
    ----------
    pairs : Stacks
        The held-out part: fake, raw and sim, perhaps truth and another draw.
    train : Stacks or None
        Training pairs: raw, sim and fake, or fewer.
    empty : Probe or None
        Fakes of sims that show no particle.
    without_domain : Probe or None
        Fakes of sims of the map without a domain.
    domain : (M, M, M) tensor or None
        Density of that domain, on the grid of `volume`.
    others : mapping of str to Probe
        Other stacks, by name, whose noise the fakes must not have.
    volume : (M, M, M) tensor or None
        Reference map, axes [z, y, x].
    voxel_size : float or None
        Of `volume` and `domain`, in A.
    volume_source : str
        What `volume` is, for a reader.
    draws : int
        Bootstrap replicates.
    progress : bool
        Show progress bars on standard error.
    seed : int
    floors : Floors
        Shared by cases that differ in their fakes alone.
    threads : int
        Of the CPU, that work side by side; as many as torch uses if not given.
    device : str
        Where spectra are summed and networks are trained, as torch names it.
    reached : mapping of str to float
        What real noise reaches in the fakes' place, by key of the quantity: values of the baseline
        `transplant`. To lie between that and raw is no fault of truth and noise; empty where it was not
        judged.
    """

    pairs: Stacks
    train: Stacks | None = None
    empty: Probe | None = None
    without_domain: Probe | None = None
    domain: Tensor | None = None
    others: Mapping[str, Probe] = field(default_factory=dict)
    volume: Tensor | None = None
    voxel_size: float | None = None
    volume_source: str = "the reference map"
    draws: int = 1000
    progress: bool = False
    seed: int = 0
    floors: Floors = field(default_factory=Floors)
    threads: int = field(default_factory=torch.get_num_threads)
    device: str = "cpu"
    reached: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take the images' pixel size for a map whose header has one that nobody set."""
        if self.volume is not None and self.voxel_size is not None:
            box, size = self.pairs.box, self.pairs.pixel_size
            side = len(self.volume)
            self.voxel_size = images_voxel_size(self.volume_source, self.voxel_size, side, {box}, size)
            warn_of_other_field(self.volume_source, side, self.voxel_size, box, size)

    @cached_property
    def resampling(self) -> Resampling:
        """Replicates over the units of `pairs`."""
        return Resampling(self.pairs.unit_count, self.draws, self.seed)

    @cached_property
    def block_resampling(self) -> Resampling:
        """Replicates over the blocks that sums over the plane are kept by."""
        return Resampling(self.sums.blocks, self.draws, self.seed)

    @cached_property
    def sums(self) -> Sums:
        """What one pass over all pairs adds up; made when first asked for."""
        return gather(self.pairs, progress=self.progress, device=self.device)
