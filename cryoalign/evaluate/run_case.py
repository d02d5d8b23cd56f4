"""A run as a case for the referee: its stacks, written and read again as any program's are."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.measures.invention.domain import remove_domain
from cryoalign.evaluate.reading import Reader
from cryoalign.evaluate.removal import Removal, map_of_sims
from cryoalign.evaluate.stacks import FEWEST_PAIRS
from cryoalign.physics.threads import one_thread_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.data.normalize import Normalization
    from cryoalign.evaluate.case import CaseSettings
    from cryoalign.evaluate.run_stacks import RunStacks
    from cryoalign.evaluate.stacks import Probe, Stacks

#: Images of the probes, at the most.
TRAIN_IMAGES, EMPTY_IMAGES, DOMAIN_IMAGES, MAP_IMAGES = 400, 400, 400, 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunCases:
    """The cases of a run and of baselines beside it.

    Attributes
    ----------
    stacks : RunStacks
        Their files have to stay while the cases are in use.
    settings : CaseSettings
    bins : int
        Defocus bins at the most.
    floors : Floors
        What raw alone decides, which is the same for all cases.
    """

    stacks: RunStacks
    settings: CaseSettings
    bins: int = 4
    floors: Floors = field(default_factory=Floors)

    def of_run(self, *, train: bool, probes: bool, truth: Path | None = None) -> Case:
        """Make everything that the run's own generator is judged by.

        Parameters
        ----------
        train : bool
            Fakes of training pairs, too.
        probes : bool
            Fakes of empty sims and of sims that lack a domain, too.
        truth : Path, optional
            Metadata of the part's noise-free images, see `RunStacks.truth`.

        Returns
        -------
        Case
        """
        files = self.stacks.pairs() | {"second_draw": self.stacks.second_draw()}
        if truth is not None:
            files["truth"] = truth
        case = self._case(files)
        if train:
            case.train = self._train()
        if probes:
            case.empty = self._empty(case.pairs)
            self._remove_domain(case)
        return case

    def of_baselines(self, names: Sequence[str], *, truth: Path | None = None) -> Iterator[tuple[str, Case]]:
        """Make the cases of baselines, fitted to the run's training part.

        Parameters
        ----------
        names : sequence of str
        truth : Path, optional
            As in `of_run`.

        Yields
        ------
        name : str
        case : Case
        """
        for name in names:
            files = self.stacks.baseline(name)
            yield name, self._case(files if truth is None else files | {"truth": truth})
            self.stacks.remove_baseline(name)

    def _case(self, files: dict[str, Path]) -> Case:
        pairs = self._pairs(self.stacks.rows, files)
        return Case(pairs, **self.settings, threads=torch.get_num_threads(), floors=self.floors)

    @one_thread_each()
    def _pairs(self, rows: NDArray[np.int64], files: dict[str, Path]) -> Stacks:
        data = self.stacks.data
        reader = Reader(
            groups=data.groups[rows],
            bins=self.bins,
            seed=self.stacks.seed,
            radius=float(data.normalization_settings.get("radius", 0.9)),
            row_for_row=True,
        )
        return reader.pairs(files["raw"], **{kind: path for kind, path in files.items() if kind != "raw"})

    def _train(self) -> Stacks | None:
        """Refine training pairs; there may be too few of them."""
        rows = self.stacks.choose(self.stacks.data.rows["train"], TRAIN_IMAGES)
        return None if len(rows) < FEWEST_PAIRS else self._pairs(rows, self.stacks.training(rows))

    def _empty(self, like: Stacks) -> Probe | None:
        """Refine sims that show nothing, where that can be done."""
        if cast("Normalization", self.stacks.data.normalization).range != "none":
            _log.info(
                "probes      a constant image has no range to be brought to: no empty sims for this run"
            )
            return None
        rows = self.stacks.choose(self.stacks.rows, EMPTY_IMAGES)
        found = Reader().probe(self.stacks.empty(rows), like)
        try:
            found.images(np.zeros(1, dtype=np.int64))
        except InputError:
            _log.info("probes      fakes of empty sims are constant: nothing can be invented in them")
            return None
        return found

    def _remove_domain(self, case: Case) -> None:
        """Add fakes of sims without a domain of the specimen, and a map where none was given."""
        with one_thread_each():
            data = self.stacks.data
            if case.volume is None or case.voxel_size is None:
                rows = self.stacks.choose(np.arange(len(data.sim)), MAP_IMAGES)
                case.volume, case.voxel_size = map_of_sims(data, rows)
                case.volume_source = "a map made of the run's sims"
            try:
                _, case.domain = remove_domain(case.volume, case.voxel_size)
            except ValueError as error:
                _log.info("probes      no domain can be removed: %s", error)
                return
            rows = self.stacks.choose(self.stacks.rows, DOMAIN_IMAGES)
            removal = Removal(data, case.volume, case.domain, case.voxel_size, rows)
        case.without_domain = Reader().probe(self.stacks.without_domain(rows, removal), case.pairs)
