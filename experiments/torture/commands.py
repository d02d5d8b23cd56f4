"""The commands that are tortured: how each is started and started again, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
COMMANDS = ("train", "simulate", "export", "evaluate")
#: Removed from what is compared: it says when, where and how something was made.
_OF_THE_START = re.compile(rb'"(created|command|run|sim|raw|title|files)":.*')


#: What commands answer where nothing is left to do: a training to resume=, the others to the same line.
_FINISHED = ("this run has reached its last step", "the output exists already")


class Done(NamedTuple):
    """A process that ended.

    Attributes
    ----------
    code : int
        As a shell has it.
    text : str
        What it printed.
    seconds : float
    """

    code: int
    text: str
    seconds: float

    @property
    def operations(self) -> int:
        """Number of its file operations; 0 if it could not say."""
        found = re.search(r"operations: (\d+)", self.text)
        return int(found[1]) if found else 0


def prepare(place: Path) -> None:
    """Make the inputs: particles, a map, a trained run and its sims."""
    inputs = place / "keep"
    steps: list[tuple[str, list[str]]] = [
        ("embedded", [f"out={inputs / 'data'}", "particles=60", "micrographs=10", "box=32"]),
        ("simulate", options("simulate", place, inputs / "sim")),
        ("train", options("train", place, inputs / "run")),
    ]
    for command, arguments in steps:
        done = start(place, command, arguments)
        if done.code:
            raise SystemExit(done.text)


def options(command: str, place: Path, out: Path) -> list[str]:
    """Return what a command is started with."""
    inputs = place / "keep"
    data, run, sim = inputs / "data", inputs / "run", inputs / "sim" / "sim.star"
    quiet = ["progress=false", f"out={out}"]
    if command == "simulate":
        particles = data / "relion" / "Refine3D" / "job010" / "run_data.star"
        return [f"particles={particles}", f"volume={data / 'map.mrc'}", f"root={data / 'relion'}", *quiet]
    if command == "export":
        return [f"run={run}", f"particles={sim}", "seed=5", *quiet]
    if command == "evaluate":
        few = ["part=train", "baselines=[]", "measures=[spectrum,content]"]  # the test set is too small
        return [f"run={run}", *few, "threads=1", *quiet]
    return [
        "data.embedded.box=32", "data.embedded.particles=60", "data.embedded.micrographs=10",
        "data.batch_size=4", "trainer=cpu", "trainer.enable_progress_bar=false", "generator.width=4",
        "discriminator.width=4", "generator.dropout=0.2", "optimizer.ema_decay=0.9", "trainer.max_steps=60",
        "trainer.val_check_interval=10", "log_every=1", "audit=off", "threads=1", "seed=1",
        f"paths.cache={inputs / 'cache'}", f"hydra.run.dir={out}",
    ]  # fmt: skip


def start(
    place: Path,
    command: str,
    arguments: list[str],
    *,
    how: str = "count",
    number: int = 0,
    seconds: float | None = None,
    environment: dict[str, str] | None = None,
) -> Done:
    """Run a command under a watch of `place`.

    Parameters
    ----------
    place : Path
    command : str
    arguments : list of str
    how, number
        See ``watched.py``.
    seconds : float, optional
        Kill it, with all processes that it started, when they are over.
    environment : dict, optional
        Beside this process's.
    """
    since = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "watched.py"), str(place), how, str(number), command, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        text, _ = process.communicate()
    code = process.returncode
    return Done(code if code >= 0 else 128 - code, text, time.monotonic() - since)


def start_again(place: Path, command: str, out: Path) -> tuple[Done, str]:
    """Start what was broken off as its user would; return how it ended and what was done.

    A training is resumed, unless all of it was done, or begun anew if it was killed before its first
    checkpoint; all others are started by the same line.
    """
    if command == "train" and out.exists():
        done = start(place, command, [f"resume={out}"])
        if _was_finished(done):
            return done._replace(code=0), "done"
        usable = (out / "config.yaml").exists() and (out / "checkpoints" / "last.ckpt").exists()
        if done.code == 0 or usable:
            return done, "resumed"
        return start(place, command, options(command, place, out.with_name("anew"))), "anew"
    done = start(place, command, options(command, place, out))
    return (done._replace(code=0), "done") if _was_finished(done) else (done, "the same line")


def _was_finished(done: Done) -> bool:
    """Return whether what was killed had said its last word already; its bytes are still compared."""
    return done.code == 1 and any(words in done.text for words in _FINISHED)


def result(command: str, out: Path) -> dict[str, bytes]:
    """Read what has to be the same whatever happened, by file."""
    if command == "train":
        names = ["csv/metrics.csv", "test/fake.mrcs", "test/metrics.json"]
    elif command == "evaluate":
        names = ["evaluation.json"]
    else:
        names = [path.name for path in sorted(out.iterdir()) if path.suffix in {".mrcs", ".star"}]
    found = {name: (out / name).read_bytes() for name in names}
    if command == "evaluate":
        candidates = json.loads(found["evaluation.json"])["candidates"]
        found["evaluation.json"] = json.dumps(candidates, sort_keys=True).encode()
    return {name: _OF_THE_START.sub(b"", content) for name, content in found.items()}


def faults(place: Path, command: str, done: Done, way: str, wanted: dict[str, bytes]) -> list[str]:
    """Name what is wrong behind a command that was started again."""
    if done.code:
        return [f"exit code {done.code} of {way}: {done.text[-1500:]}"]
    found = result(command, place / ("anew" if way == "anew" else "out"))
    different = [f"{file} differs, {way}" for file in wanted if wanted[file] != found.get(file)]
    return different + [f"left behind: {path}" for path in left_behind(place, way)]


def left_behind(place: Path, way: str) -> list[str]:
    """Name what nobody asked for beside and in the output; what was given up is the user's to remove."""
    inside = (place / ("anew" if way == "anew" else "out")).rglob(".*")
    found = [path for path in (*place.iterdir(), *inside) if path.name.startswith(".")]
    return sorted(str(path.relative_to(place)) for path in found if path.name != ".cryoalign")
