"""Run a study, gather what it found, or run it again and compare.

$ python experiments/study run 0005          make its runs that are not there yet, then the tables
$ python experiments/study collect 0005      write results.csv, .md and .png from the runs that are there
$ python experiments/study reproduce 0005    run in a new folder, and compare with the committed results.csv

A study is a folder of experiments/ with a study.yaml: data sets, arms (options of ``cryoalign train``), and
which of them are combined with which seeds and splits. DATA is the folder of the real data (../shared/data),
OUT where runs go (outputs/0005), JOBS how many run side by side (2, with one thread each), ONLY a regular
expression on data/arm/seedN_splitM. Runs of the study that are not in OUT keep the rows that results.csv has
of them: a study of many hours may be made on several machines, or days.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from figure import draw
from plan import read_study
from results import collect, differences, judged_folder, read_table, tables, with_earlier

if TYPE_CHECKING:
    import pandas as pd
    from plan import Job, Study

HERE = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; return the exit code."""
    if len(arguments) != 2 or arguments[0] not in {"run", "collect", "reproduce"}:
        print(__doc__)
        return 2
    action, name = arguments
    folders = [path.parent for path in sorted(HERE.glob(f"{name}*/study.yaml"))]
    if len(folders) != 1:
        known = ", ".join(path.parent.name[:4] for path in sorted(HERE.glob("*/study.yaml")))
        print(f"error: no study {name}\n  expected: one of {known}", file=sys.stderr)
        return 2
    study = read_study(folders[0])
    again = "_again" if action == "reproduce" else ""
    out = Path(os.environ.get("OUT", f"outputs/{study.folder.name[:4]}{again}"))
    failed = 0 if action == "collect" else run(study, out)
    found = collect(study, out)
    if action == "reproduce":
        return max(failed, compare(study, found))
    table = study.folder / "results.csv"
    found = with_earlier(study, found, table)
    found.to_csv(table, index=False, float_format="%.4g", lineterminator="\n")
    (study.folder / "results.md").write_text(tables(study, found), encoding="utf-8")
    draw(study, found, study.folder / "results.png")
    print(tables(study, found))
    return failed


def run(study: Study, out: Path) -> int:
    """Run what is not there yet; return 1 if something failed."""
    real = Path(os.environ.get("DATA", "../shared/data"))
    only = re.compile(os.environ.get("ONLY", ""))
    jobs = [job for job in study.jobs if only.search(job.folder)]
    for data in dict.fromkeys(job.data for job in jobs):
        options = study.simulate(data, real, out)
        target = options and Path(options[-1].removeprefix("out="))
        if target and not target.is_dir() and command("simulate", *options, "progress=false"):
            return 1
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        return max(pool.map(partial(run_job, study, real, out), jobs), default=0)


def run_job(study: Study, real: Path, out: Path, job: Job) -> int:
    """Train and judge a job, unless both are there."""
    target = judged_folder(job, out)
    if (target / "evaluation.json").is_file():
        return 0
    trained = out / job.folder / "checkpoints" / "last.ckpt"
    if not trained.is_file() and command("train", *study.train(job, real, out)):
        return 1
    options = [f"run={out / job.folder}", f"out={target}", "threads=1", "progress=false", *job.evaluate]
    return command("evaluate", *options)


def command(room: str, *options: str) -> int:
    """Run a command of cryoalign, and print it first; what it prints is shown only if it fails."""
    print(f"cryoalign {room} {shlex.join(options)}", flush=True)
    line = [sys.executable, "-m", f"cryoalign.{room}", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{done.stdout[-2000:]}{done.stderr[-4000:]}", file=sys.stderr, flush=True)
    return int(done.returncode != 0)


def compare(study: Study, found: pd.DataFrame) -> int:
    """Print what differs from the committed table; return 1 if something does."""
    said = differences(read_table(study.folder / "results.csv"), found)
    runs = found[["data", "arm", "seed", "split"]].drop_duplicates()
    print(f"{len(runs)} runs compared, {len(found)} values; outside their committed interval: {len(said)}")
    print("\n".join(said))
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
