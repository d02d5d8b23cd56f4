"""A run as a case for the referee: its fakes of the part that is judged, and of probes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoalign.data.images import ParticleImages
from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.measures.invention.domain import remove_domain
from cryoalign.evaluate.measures.reference import lay_in
from cryoalign.evaluate.probes import Bench, Refiner
from cryoalign.evaluate.reading import Reader
from cryoalign.evaluate.stacks import FEWEST_PAIRS
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.physics.reconstruction import Reconstruction
from cryoalign.physics.threads import one_thread_each
from cryoalign.simulate.weak_phase import WeakPhase
from cryoalign.train.closed_form import fit_baseline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.data.datamodule import PairedDataModule, Part
    from cryoalign.evaluate.stacks import Probe, Stacks
    from cryoalign.train.system import PairedGAN

#: Images of the probes, at the most.
TRAIN_IMAGES, EMPTY_IMAGES, CUT_IMAGES, MAP_IMAGES = 400, 400, 400, 1000
LARGEST_MAP = 96
"""Box in px of a map that is made of sims, at the most."""

_BATCH = 64
_log = logging.getLogger(__name__)


class RunCase:
    """Lay a run out for the referee.

    Parameters
    ----------
    system : PairedGAN
        Trained.
    data : PairedDataModule
        Set up, with the part's rows.
    part : {"train", "validation", "test", "held_out"}
        What is judged.
    work : Path
        An empty folder for stacks; it has to stay while the cases are in use.
    settings : mapping
        ``volume`` and ``voxel_size`` of `Case`, and its ``draws``, ``seed`` and ``progress``.
    bins : int
        Defocus bins at the most.
    device : str
        Of the generators.
    """

    def __init__(
        self,
        system: PairedGAN,
        data: PairedDataModule,
        part: Part,
        work: Path,
        *,
        settings: dict[str, Any],
        bins: int = 4,
        device: str = "cpu",
    ) -> None:
        self.system, self.data, self.work, self.bins = system, data, work, bins
        self.rows = data.rows[part]
        self.seed, self.progress = int(settings["seed"]), bool(settings["progress"])
        threads = torch.get_num_threads()
        self.settings = settings | {"threads": threads, "floors": Floors()}
        self.refining: dict[str, Any] = {"device": device, "threads": threads, "progress": self.progress}
        self.bench = Bench(work, data, self.rows)
        self.common = {"raw": self.bench.measured(), "sim": self.bench.simulated()}

    @one_thread_each()
    def case(self, *, train: bool, probes: bool, truth: Path | None = None) -> Case:
        """Make everything that the run's own generator is judged by.

        Parameters
        ----------
        train : bool
            Fakes of training pairs, too.
        probes : bool
            Fakes of empty sims and of sims that lack a domain, too.
        truth : Path, optional
            Metadata of noise-free images of the raw particles.

        Returns
        -------
        Case
        """
        refiner = Refiner(self.system, self.data, **self.refining)
        files = dict(self.common)
        for draw, kind in enumerate(("fake", "again")):
            images = refiner.fakes(self.rows, draw=draw, label=f"fakes, draw {draw + 1}")
            files[kind] = self.bench.write(kind, images, self.data.sim)
        if truth is not None:
            files["truth"] = self._truth(truth)
        pairs = self._pairs(self.rows, **files)
        case = Case(pairs, **self.settings)
        if train:
            case.train = self._train(refiner)
        if probes:
            self._probe(case, refiner)
        return case

    def beside(self, names: list[str]) -> Iterator[tuple[str, Case]]:
        """Make the cases of baselines, fitted to the run's training part.

        Parameters
        ----------
        names : list of str

        Yields
        ------
        name : str
        case : Case
        """
        for name in names:
            yield name, self._beside(name)

    @one_thread_each()
    def _beside(self, name: str) -> Case:
        generator = fit_baseline(name, self.data, seed=self.seed, progress=self.progress)
        refiner = Refiner(self.system, self.data, generator=generator, **self.refining)
        files = dict(self.common)
        for draw, kind in enumerate(("fake", "again")):
            images = refiner.fakes(self.rows, draw=draw, label=f"{name}, draw {draw + 1}")
            files[kind] = self.bench.write(f"{name}_{kind}", images, self.data.sim)
        return Case(self._pairs(self.rows, **files), **self.settings)

    def _pairs(self, rows: NDArray[np.int64], **files: Path) -> Stacks:
        raw = files.pop("raw")
        radius = float(self.data.normalization_settings.get("radius", 0.9))
        reader = Reader(groups=self.data.groups[rows], bins=self.bins, seed=self.seed, radius=radius)
        return reader.pairs(raw, **dict(sorted(files.items(), key=lambda entry: entry[0] != "fake")))

    def _truth(self, path: Path) -> Path:
        truth, raw = match_pairs(read_particles(path), self.data.raw)
        place = np.full(len(self.data.raw), -1)
        place[np.searchsorted(self.data.raw.row, raw.row)] = np.arange(len(truth))
        missing = int((place[self.rows] < 0).sum())
        if missing:
            raise InputError(
                f"{missing} of {len(self.rows)} particles have no truth",
                file=path,
                expected="a noise-free image of every particle that is judged",
                found=f"{len(truth)} images",
                remedy="give the truth of the whole part, or leave truth= out",
            )
        images = ParticleImages(truth, locate_stacks(truth), box=self.data.box)
        return self.bench.truth(images, place[self.rows])

    def _train(self, refiner: Refiner) -> Stacks | None:
        """Refine training pairs; there may be too few of them."""
        rows = self._some(self.data.rows["train"], TRAIN_IMAGES)
        if len(rows) < FEWEST_PAIRS:
            return None
        bench = Bench(self.work, self.data, rows, prefix="train_")
        fakes = refiner.fakes(rows, label="fakes of training pairs")
        return self._pairs(
            rows,
            fake=bench.write("fake", fakes, self.data.sim),
            raw=bench.measured(),
            sim=bench.simulated(),
        )

    def _some(self, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, most, replace=False))

    def _probe(self, case: Case, refiner: Refiner) -> None:
        """Add fakes of empty sims, and of sims without a domain of the specimen."""
        normalization = self.data.normalization
        if normalization is not None and normalization.range != "none":
            _log.info(
                "probes      a constant image has no range to be brought to: no empty sims for this run"
            )
        else:
            rows = self._some(self.rows, EMPTY_IMAGES)
            empty = refiner.fakes(rows, draw=2, label="fakes of empty sims", change=lambda sims, _: 0 * sims)
            bench = Bench(self.work, self.data, rows, prefix="empty_")
            found = self._read(bench.write("fake", empty, self.data.sim), case)
            try:
                found.images(np.zeros(1, dtype=np.int64))
                case.empty = found
            except InputError:
                _log.info("probes      fakes of empty sims are constant: nothing can be invented in them")
        if case.volume is None or case.voxel_size is None:
            case.volume, case.voxel_size = self._map_of_sims()
            case.volume_words = "a map made of the run's sims"
        try:
            _, case.domain = remove_domain(case.volume, case.voxel_size)
        except ValueError as error:
            _log.info("probes      no domain can be removed: %s", error)
            return
        rows = self._some(self.rows, CUT_IMAGES)
        without = Removal(self.data, case.volume, case.domain, case.voxel_size, rows)
        fakes = refiner.fakes(rows, draw=3, label="fakes without a domain", change=without)
        bench = Bench(self.work, self.data, rows, prefix="cut_")
        case.cut = self._read(bench.write("fake", fakes, self.data.sim), case)

    def _read(self, path: Path, case: Case) -> Probe:
        return Reader().probe(path, case.pairs)

    def _map_of_sims(self) -> tuple[torch.Tensor, float]:
        """Make a map of the run's sims, in the grey values of their stack."""
        data, rows = self.data, self._some(np.arange(len(self.data.sim)), MAP_IMAGES)
        box = min(data.box, LARGEST_MAP)
        pixel_size = data.pixel_size * data.box / box
        made = Reconstruction(box)
        lay_in(made, self._sims, data.sim, rows, pixel_size)
        return made.density(), pixel_size

    def _sims(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self.data.sim_images.image(int(row)) for row in rows]))


class Removal:
    """Take a domain's views out of sims.

    A map may have other grey values than the sims: one gain, fitted to some of them, brings it to theirs.

    Parameters
    ----------
    data : PairedDataModule
        Set up.
    volume, domain : (M, M, M) tensor
    voxel_size : float
        In A.
    rows : (n,) int64
        Of the sims that will come.
    """

    def __init__(
        self,
        data: PairedDataModule,
        volume: torch.Tensor,
        domain: torch.Tensor,
        voxel_size: float,
        rows: NDArray[np.int64],
    ) -> None:
        grid: dict[str, Any] = {
            "pixel_size": voxel_size, "box": data.box, "image_pixel_size": data.pixel_size
        }  # fmt: skip
        group = (replace(one, pixel_size=data.pixel_size, box_size=data.box) for one in data.sim.optics)
        self.particles = replace(data.sim, optics=tuple(group))
        self.views = WeakPhase(domain, **grid)
        some = rows[:_BATCH]
        sims = torch.from_numpy(np.stack([data.sim_images.image(int(row)) for row in some]))
        whole = WeakPhase(volume, **grid)(self.particles, some)
        whole, sims = (images - images.mean((-2, -1), keepdim=True) for images in (whole, sims))
        self.gain = float((sims * whole).sum() / whole.square().sum())

    def __call__(self, sims: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return sims without the domain."""
        views = self.views(self.particles, rows)
        return (torch.from_numpy(sims) - self.gain * views).numpy()
