"""Judge a run: its predictions on a part of its split, and what the referee says of them beside baselines."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cryoalign.embedded.datamodule import EmbeddedDataModule
from cryoalign.evaluate.document import FILE_NAME, MAIN
from cryoalign.evaluate.judge import judge
from cryoalign.evaluate.outputs import (
    PAGE,
    describe_case,
    group_description,
    measures_of,
    print_verdicts,
    settings_of,
    write_outputs,
)
from cryoalign.evaluate.run_case import RunCases
from cryoalign.evaluate.run_stacks import RunStacks
from cryoalign.evaluate.stacks import FEWEST_PAIRS
from cryoalign.io.output import staged
from cryoalign.io.table import print_whole
from cryoalign.models.baselines import BASELINES
from cryoalign.refine.load import load_refiner
from cryoalign.runs.folder import check_same_data, read_run
from cryoalign.runs.trust import trusted_names
from cryoalign.train.build import build_data, load_system
from cryoalign.train.closed_form import check_baselines
from cryoalign.train.slots import JUDGING
from cryoalign.train.table import metrics_table
from cryoalign.train.test import check_part, write_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from omegaconf import DictConfig

    from cryoalign.evaluate.document import Document
    from cryoalign.evaluate.finding import Finding
    from cryoalign.evaluate.judge import Measure
    from cryoalign.runs.folder import Run

#: What is asked of baselines beside the fakes of a run.
OF_BASELINES = ("spectrum", "content", "noise", "two_sample", "class_mix", "psnr_gap")

#: Its noise is real: what it reaches, no generator can be asked to exceed.
CEILING = "transplant"

_log = logging.getLogger(__name__)


def evaluate_run(cfg: DictConfig) -> float:
    """Judge a run on a part of its split, and write its predictions.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/evaluate.yaml`` as composed, with `run`.

    Returns
    -------
    float
        RPSD L1 of the fakes.

    Raises
    ------
    InputError
        If the run, its data or a file cannot be used, or the output exists.
    """
    measures = measures_of(cfg.measures, cfg.measure)
    settings = settings_of(
        volume=cfg.volume, draws=cfg.draws, seed=cfg.seed, progress=cfg.progress, device=cfg.device
    )
    check_baselines(cfg.baselines)
    run = read_run(cfg.run, JUDGING, trusted_names(cfg.trust))
    system = load_system(run, cfg.checkpoint)
    refiner = load_refiner(run, cfg.checkpoint, settings["device"])
    data = build_data(run.cfg, run.normalization)
    check_same_data(run, data)
    check_part(data, cfg.part)
    out = Path(cfg.out) if cfg.out is not None else run.folder / f"{cfg.part}_{Path(cfg.checkpoint).stem}"
    inputs = [path for path in data.files() if path.exists()]
    document = None
    with staged(out, overwrite=cfg.overwrite, inputs=inputs) as folder:
        values = write_part(system, refiner, data, cfg.part, folder, progress=cfg.progress)
        if measures and len(data.rows[cfg.part]) < FEWEST_PAIRS:
            _log.warning("too few pairs for the referee: %d, not %d", len(data.rows[cfg.part]), FEWEST_PAIRS)
        elif measures:
            with tempfile.TemporaryDirectory(prefix="referee.", dir=folder) as work:
                stacks = RunStacks(
                    refiner, data, cfg.part, folder, Path(work), seed=cfg.seed, progress=cfg.progress
                )
                document = _judged(cfg, run, RunCases(stacks, settings, cfg.bins), measures, folder)
    console = Console(width=100)
    title = f"{cfg.part} set, {len(data.rows[cfg.part])} pairs, checkpoint {cfg.checkpoint}"
    print_whole(console, metrics_table(values, title))
    if document is not None:
        print_verdicts(console, document, title)
    console.print(f"figures, predictions and spectra are in {out}", soft_wrap=True, highlight=False)
    if document is not None:
        console.print(f"{FILE_NAME} and {PAGE} are in {out}", soft_wrap=True, highlight=False)
    return values["RPSD_L1"]


def _compared(cfg: DictConfig, cases: RunCases) -> list[str]:
    """Return the baselines to judge too; one that is the generator of the run would be judged twice."""
    names = [name for name in cfg.baselines if type(cases.stacks.refiner.generator) is not BASELINES[name]]
    for name in sorted(set(cfg.baselines) - set(names)):
        _log.info("baseline    %s is left out: it is the generator of this run", name)
    return names


def _judged_baselines(
    cases: RunCases,
    names: list[str],
    measures: dict[str, Measure],
    truth: Path | None,
    reached: Mapping[str, float],
) -> dict[str, list[Finding]]:
    """Judge baselines one after the other."""
    found = {}
    for name, case in cases.of_baselines(names, truth=truth):
        _log.info("baseline    %s", name)
        case.reached = reached
        found[name] = judge(case, measures)
    return found


def _values(findings: Iterable[Finding]) -> dict[str, float]:
    """Return the known values of all quantities by their keys."""
    return {
        key: quantity.fake.value
        for finding in findings
        for key, quantity in finding.quantities.items()
        if not math.isnan(quantity.fake.value)
    }


def _judged(
    cfg: DictConfig, run: Run, cases: RunCases, measures: dict[str, Measure], folder: Path
) -> Document:
    """Judge a run and its baselines, and write the report into `folder`."""
    data = cases.stacks.data
    truth = cfg.truth
    if truth is None and isinstance(data, EmbeddedDataModule):
        truth = data.truth_star
    written = None if truth is None else cases.stacks.truth(Path(truth))
    case = cases.of_run(train="memorized" in measures, probes="invented" in measures, truth=written)
    others = {name: measure for name, measure in measures.items() if name in OF_BASELINES}
    compared = _compared(cfg, cases) if others else []
    # Baselines are held against the truth where somebody compares: their noise is what sim leaves otherwise.
    of_baselines = written if CEILING in compared or "psnr_gap" in others else None
    candidates: dict[str, list[Finding]] = {}
    if CEILING in compared:
        candidates |= _judged_baselines(cases, [CEILING], others, of_baselines, {})
        case.reached = _values(candidates[CEILING])
    candidates[MAIN] = judge(case, measures)
    rest = [name for name in compared if name != CEILING]
    candidates |= _judged_baselines(cases, rest, others, of_baselines, case.reached)
    candidates = {name: candidates[name] for name in (MAIN, *compared)}
    facts = {
        "title": f"{run.folder.name}, {cfg.part}",
        "run": str(run.folder),
        "checkpoint": cfg.checkpoint,
        "part": cfg.part,
        "files": {"sim": str(data.sim_star), "raw": str(data.raw_star)},
        "group_by": group_description(run.cfg.data.split.by, run.cfg.data.split.get("pattern")),
    }
    document = describe_case(candidates, facts, case)
    write_outputs(folder, document, case.pairs)
    return document
