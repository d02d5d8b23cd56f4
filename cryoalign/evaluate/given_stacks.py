"""Judge stacks that any program made: fakes beside raw and sim of the same particles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cryoalign.data.images import SAME_PIXEL_SIZE
from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.document import FILE_NAME, MAIN
from cryoalign.evaluate.judge import judge
from cryoalign.evaluate.outputs import PAGE, group_words, measures_of, publish, read_map, settings_of, tell
from cryoalign.evaluate.reading import Reader
from cryoalign.io.output import staged

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor


def evaluate_stacks(cfg: DictConfig) -> float:
    """Judge stacks.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/evaluate.yaml`` as composed, with `fake`, `raw` and `sim`.

    Returns
    -------
    float
        RPSD L1 of the fakes; NaN if the spectrum was not asked for.

    Raises
    ------
    InputError
        If a stack is missing or cannot be used, there is nothing to measure, or the output exists.
    """
    missing = [kind for kind in ("fake", "raw", "sim") if cfg[kind] is None]
    if missing:
        raise InputError(
            f"nothing to judge: {', '.join(missing)} was not given",
            expected="run=RUN_DIR, or all of fake=, raw= and sim=",
            remedy="give the metadata files of the stacks, row for row the same particles",
        )
    measures = measures_of(cfg)
    if not measures:
        raise InputError(
            "there is nothing to measure",
            expected=f"measures of {', '.join(cfg.measure)}",
            remedy="leave measures= out for all",
        )
    names = [cfg[kind] for kind in ("fake", "raw", "sim", "truth", "again", "empty", "volume")]
    inputs = [Path(name) for name in [*names, *cfg.train.values(), *cfg.cut.values()] if name is not None]
    out = Path(cfg.out) if cfg.out is not None else Path("evaluation")
    with staged(out, overwrite=cfg.overwrite, inputs=inputs) as folder:
        case = _case(cfg)
        facts = {
            "title": f"{Path(cfg.fake).name} against {Path(cfg.raw).name}",
            "files": {kind: cfg[kind] for kind in ("fake", "raw", "sim", "truth", "again") if cfg[kind]},
            "group_by": group_words(cfg.by, cfg.pattern),
        }
        document = publish(folder, {MAIN: judge(case, measures)}, facts, case.pairs, cfg)
    console = Console(width=100)
    tell(console, document, f"{len(case.pairs)} pairs")
    console.print(f"{FILE_NAME} and {PAGE} are in {out}", soft_wrap=True, highlight=False)
    spectrum = document.judged.get("spectrum")
    return spectrum.quantities["rpsd_l1"].fake.value if spectrum and spectrum.quantities else math.nan


def _case(cfg: DictConfig) -> Case:
    """Read all stacks that were given."""
    reader = Reader(
        root=None if cfg.root is None else Path(cfg.root),
        passthrough=cfg.passthrough,
        box=cfg.box,
        by=cfg.by,
        pattern=cfg.pattern,
        normalize=cfg.normalize,
        bins=cfg.bins,
        seed=cfg.seed,
    )
    pairs = reader.pairs(cfg.raw, fake=cfg.fake, sim=cfg.sim, truth=cfg.truth, again=cfg.again)
    case = Case(pairs, **settings_of(cfg))
    train = cfg.train
    if train.raw is not None and (train.fake is not None or train.sim is not None):
        case.train = reader.pairs(train.raw, fake=train.fake, sim=train.sim)
    elif any(value is not None for value in train.values()):
        raise InputError(
            "the training pairs are incomplete",
            expected="train.raw=, and train.sim= or train.fake=",
            found=", ".join(f"train.{key}=" for key, value in train.items() if value is not None),
            remedy="give the missing metadata files, or none of them",
        )
    if cfg.empty is not None:
        case.empty = reader.probe(cfg.empty, pairs)
    if cfg.cut.fake is not None:
        case.without_domain, case.domain = reader.probe(cfg.cut.fake, pairs), _domain(cfg, case)
    return case


def _domain(cfg: DictConfig, case: Case) -> Tensor:
    """Read the map of the domain that the sims of `cut.fake` lacked."""
    if cfg.cut.domain is None or case.volume is None or case.voxel_size is None:
        raise InputError(
            "fakes without a domain need the map and the domain",
            file=cfg.cut.fake,
            expected="volume= and cut.domain=",
            remedy="give both maps, on one grid",
        )
    domain, voxel_size = read_map(cfg.cut.domain)
    if domain.shape != case.volume.shape or abs(voxel_size / case.voxel_size - 1) > SAME_PIXEL_SIZE:
        raise InputError(
            "the domain is not on the grid of the map",
            file=cfg.cut.domain,
            expected=f"{tuple(case.volume.shape)} voxels of {case.voxel_size:.4g} A, as in {cfg.volume}",
            found=f"{tuple(domain.shape)} voxels of {voxel_size:.4g} A",
            remedy="cut the domain out of that map, and leave its box as it is",
        )
    return domain
