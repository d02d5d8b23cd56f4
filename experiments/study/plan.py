"""What a study consists of: the runs that its study.yaml lists, and the commands that make them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class DataSet:
    """Pairs that generators are trained and judged on.

    Attributes
    ----------
    title : str
        What a table calls it.
    sim, raw, volume : str or None
        Name of the simulation in the output folder; metadata and map below the folder of the real data. None
        for the embedded data set.
    train : tuple of str
        Options of ``cryoalign train``.
    """

    title: str
    sim: str | None
    raw: str | None
    volume: str | None
    train: tuple[str, ...]


@dataclass(frozen=True)
class Arm:
    """A generator with its settings.

    Attributes
    ----------
    train : tuple of str
        Options of ``cryoalign train``.
    """

    train: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One run: trained, then judged.

    Attributes
    ----------
    data, arm : str
        Their names in study.yaml.
    seed, split : int
        ``seed=`` and ``data.split_seed=``.
    evaluate : tuple of str
        Options of ``cryoalign evaluate``.
    """

    data: str
    arm: str
    seed: int
    split: int
    evaluate: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Place of the run below the output folder."""
        return f"{self.data}/{self.arm}/seed{self.seed}_split{self.split}"


@dataclass(frozen=True)
class Study:
    """A study.yaml.

    Attributes
    ----------
    folder : Path
        Of the study in experiments/.
    sets : dict of str to DataSet
    arms : dict of str to Arm
    jobs : tuple of Job
    columns : dict of str to (measure, quantity)
        What the table shows.
    """

    folder: Path
    sets: dict[str, DataSet]
    arms: dict[str, Arm]
    jobs: tuple[Job, ...]
    columns: dict[str, tuple[str, str]]

    def simulate(self, data: str, real: Path, out: Path) -> list[str]:
        """Return the options of ``cryoalign simulate`` that make a data set's sims; none if it has some."""
        one = self.sets[data]
        if one.sim is None:
            return []
        return [
            f"particles={real / str(one.raw)}",
            f"volume={real / str(one.volume)}",
            f"out={out / one.sim}",
        ]

    def train(self, job: Job, real: Path, out: Path) -> list[str]:
        """Return the options of ``cryoalign train`` for a job."""
        one = self.sets[job.data]
        pairs: list[str] = []
        if one.sim is not None:
            pairs = [
                "data=stars",
                f"data.sim={out / one.sim / 'sim.star'}",
                f"data.raw={real / str(one.raw)}",
            ]
        options = [*self.arms[job.arm].train, *pairs, *one.train]
        numbers = [f"seed={job.seed}", f"data.split_seed={job.split}"]
        return [
            *options,
            *numbers,
            "threads=1",
            "trainer.enable_progress_bar=false",
            f"hydra.run.dir={out / job.folder}",
        ]


def read_study(folder: Path) -> Study:
    """Read a study's study.yaml.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Study
    """
    plan: Any = OmegaConf.to_container(OmegaConf.load(folder / "study.yaml"), resolve=True)
    sets = {
        name: DataSet(
            one["title"], one.get("sim"), one.get("raw"), one.get("volume"), tuple(one.get("train", ()))
        )
        for name, one in plan["sets"].items()
    }
    arms = {name: Arm(tuple(options)) for name, options in plan["arms"].items()}
    jobs = [
        Job(data, arm, seed, split, tuple(block.get("evaluate", ())))
        for block in plan["runs"]
        for data, arm, seed, split in itertools.product(
            block.get("sets", sets), block.get("arms", arms), block["seeds"], block.get("splits", [0])
        )
    ]
    columns = {title: (measure, quantity) for title, (measure, quantity) in plan["columns"].items()}
    return Study(folder, sets, arms, tuple(dict.fromkeys(jobs)), columns)
