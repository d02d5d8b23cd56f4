"""``cryoalign evaluate run=DIR``, or ``fake= raw= sim=``: judge fakes beside raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.cli import command
from cryoalign.cli.limits import MOST_THREADS
from cryoalign.errors import InputError, within

if TYPE_CHECKING:
    from omegaconf import DictConfig

_OF_RUNS = {"checkpoint", "part", "baselines", "trust"}
_OF_STACKS = {
    "raw", "sim", "pairs", "others", "second_draw", "empty", "without_domain", "train", "root", "passthrough",
    "missing_ctf", "pixel_size", "check_header", "box", "resample", "by", "pattern", "normalize",
}  # fmt: skip
#: Keys that are arguments of `cryoalign.evaluate.given_stacks.evaluate_stacks`.
_SHARED = (
    "by", "pattern", "box", "resample", "normalize", "root", "passthrough", "missing_ctf", "pixel_size",
    "check_header", "bins", "draws", "seed", "overwrite", "device", "progress",
)  # fmt: skip


@command("evaluate")
def main(cfg: DictConfig) -> float:
    """Evaluate, print the verdicts, and return the RPSD L1 of the fakes."""
    import torch  # noqa: PLC0415  heavy imports wait until work starts

    _refuse_both(cfg)
    _check_numbers(cfg)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    if cfg.run is None:
        return _of_stacks(cfg)
    from cryoalign.evaluate.a_run import evaluate_run  # noqa: PLC0415  brings Lightning

    return evaluate_run(cfg)


def _of_stacks(cfg: DictConfig) -> float:
    """Judge stacks, print the verdicts, and return the RPSD L1; NaN if the spectrum was not asked for."""
    import math  # noqa: PLC0415  heavy imports wait until work starts
    from pathlib import Path  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from cryoalign.evaluate.document import FILE_NAME  # noqa: PLC0415
    from cryoalign.evaluate.given_stacks import evaluate_stacks  # noqa: PLC0415
    from cryoalign.evaluate.outputs import PAGE, measures_of, print_verdicts  # noqa: PLC0415

    missing = [kind for kind in ("fake", "raw") if cfg[kind] is None]
    if missing:
        raise InputError(
            f"nothing to judge: {', '.join(missing)} was not given",
            expected="run=RUN_DIR, or fake= and raw=, and sim= if they are pairs",
            remedy="give the metadata files of the stacks",
        )
    others = {key: cfg[key] for key in ("second_draw", "truth", "empty", "volume")}
    others |= {
        f"{group}_{key}": path for group in ("without_domain", "train") for key, path in cfg[group].items()
    }
    out = Path("evaluation" if cfg.out is None else cfg.out)
    document = evaluate_stacks(
        cfg.fake,
        cfg.raw,
        cfg.sim,
        pairs=cfg.pairs,
        others=cfg.others or (),
        out=out,
        measures=measures_of(cfg.measures, cfg.measure),
        **{key: cfg[key] for key in _SHARED},
        **{name: path for name, path in others.items() if path is not None},
    )
    console = Console(width=100)
    count = document.facts.pairs
    title = f"{count} pairs" if document.facts.paired is None else f"{count} fakes of new particles, unpaired"
    print_verdicts(console, document, title)
    console.print(f"{FILE_NAME} and {PAGE} are in {out}", soft_wrap=True, highlight=False)
    spectrum = document.judged.get("spectrum")
    return spectrum.quantities["rpsd_l1"].fake.value if spectrum and spectrum.quantities else math.nan


def _check_numbers(cfg: DictConfig) -> None:
    """Refuse numbers out of range."""
    for key, value, low, high in (
        ("seed", cfg.seed, 0, 2**32 - 1), ("bins", cfg.bins, 1, 100),
        ("threads", cfg.threads, 1, MOST_THREADS),
    ):  # fmt: skip
        if value is not None:
            remedy = f"leave {key}= out, or give a number in that range"
            within(key, value, low, high, whole=True, remedy=remedy)


def _refuse_both(cfg: DictConfig) -> None:
    """Refuse values that would have no effect, since they belong to what is not judged."""
    if cfg.run is not None and cfg.fake is not None:
        raise InputError(
            "there are two things to judge",
            expected="either run= or fake=, raw= and sim=",
            found="both",
            remedy="judge them one after the other",
        )
    if cfg.run is None and cfg.fake is None:
        return  # to be explained where stacks are read
    from cryoalign.cli.job import given_words  # noqa: PLC0415  brings Hydra

    given = (entry.partition("=") for entry in given_words())
    keys = {key.lstrip("+").partition(".")[0] for key, _, value in given if value != "null"}
    wrong = sorted(keys & (_OF_RUNS if cfg.run is None else _OF_STACKS))
    if wrong:
        judged, other = ("stacks", "a run") if cfg.run is None else ("a run", "stacks")
        raise InputError(
            f"{judged} cannot be judged with {', '.join(f'{key}=' for key in wrong)}",
            expected=f"nothing that belongs to {other}",
            remedy="leave it out; cryoalign evaluate --help all says what belongs to which",
        )


if __name__ == "__main__":
    main()
