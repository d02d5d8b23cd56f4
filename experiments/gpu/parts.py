"""Measure cryoalign on a GPU, part after part, each with a time limit of its own.

What a part prints is kept, whatever becomes of it: ``results.json``, ``results.md`` and ``log.txt`` are
written anew after each part. Begun by run.sh, which says what is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TOP = HERE.parents[1]


@dataclass
class Part:
    """One measurement: a command and its limit, and what came of it."""

    name: str
    command: list[str]
    limit: float
    seconds: float = 0.0
    outcome: str = "not begun"
    output: str = ""


def parts(device: str, size: str, work: Path) -> list[Part]:
    """List the parts; ``tiny`` is for a CPU, to see that they run."""
    python, tiny = sys.executable, size == "tiny"
    there = "cuda" if device == "cuda" else "cpu"
    paper = [
        "+experiment=paper", f"paths.cache={work / 'cache'}", f"hydra.run.dir={work / 'paper'}",
        f"trainer.accelerator={'gpu' if there == 'cuda' else 'cpu'}", "trainer.enable_progress_bar=false",
        *(["embedded_box=32", "data.embedded.particles=40", "data.embedded.micrographs=10",
           "data.batch_size=4", "trainer.max_steps=4", "trainer.val_check_interval=2",
           "callbacks.figures.every=4", "threads=1"]
          if tiny else ["data.workers=6", "log_every=50"]),
    ]  # fmt: skip
    steps = ["--box", "128", "--steps", "2", "--block", "1", "--batches", "1"] if tiny else []
    images = ["--box", "32", "--images", "10", "60"] if tiny else ["--folder", _memory()]
    host = ["--box", "32", "--pairs", "60", "--steps", "4", "--block", "2", "--reads", "3"] if tiny else []
    loader = (
        ["--box", "32", "--batches", "4", "--steps", "2", "--workers", "0", "--pairs", "40", "--batch", "4"]
        if tiny else ["--box", "256", "--batch", "16", "--workers", "0", "4", "8"]
    )  # fmt: skip
    judging = (
        ["--box", "24", "--images", "100", "140", "--threads", "1", "--repeats", "1"]
        if tiny else ["--threads", "4", "--repeats", "1"]
    )  # fmt: skip
    fitting = ["--box", "32", "--images", "60"] if tiny else ["--images", "5000", "--folder", _memory()]
    throughput = [python, str(HERE / "throughput.py"), "--device", there, "--export", *images]
    benchmarks = HERE.parent / "benchmarks"
    quick = ["--ways", "float32", "bf16"]
    slow = ["--ways", "bf16, channels last", "bf16, D once", "bf16, compiled"]
    return [
        Part("tests marked cuda", [python, "-m", "pytest", "-v", "-n0", "-o", "filterwarnings=default",
                                   "-p", "no:cacheprovider", "tests/test_cuda.py"], 110),
        Part("training steps", [python, str(HERE / "steps.py"), "--device", there, *steps, *quick], 75),
        Part("host cost", [python, str(benchmarks / "host_cost.py"), *host], 30),
        Part("loader", [python, str(benchmarks / "loader.py"), "--device", there, *loader], 40),
        Part("simulate and export", throughput, 100),
        Part("paper", [python, "-m", "cryoalign.train", *paper], 150),
        Part("evaluate", [python, str(benchmarks / "evaluate.py"), "--device", there, *judging], 80),
        Part("fit", [python, str(benchmarks / "physical_fit.py"), "--device", there, *fitting], 40),
        Part("training steps, more ways", [python, str(HERE / "steps.py"), "--device", there, *steps, *slow],
             120),
    ]  # fmt: skip


def _memory() -> str:
    """Return a folder in memory where there is one: a disk takes 1 GB/s at best."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()  # noqa: S108


def carry_out(part: Part, limit: float) -> None:
    """Run a part, and end all its processes when its time is over."""
    start = time.perf_counter()
    # where there is no GPU, the tests of one show that they run
    environment = os.environ | ({} if torch.cuda.is_available() else {"CRYOALIGN_DEVICE": "cpu"})
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            part.command, cwd=TOP, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(limit)
            part.outcome = "done" if code == 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            part.outcome = f"stopped after {limit:.0f} s"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        part.output = output.read()
    part.seconds = round(time.perf_counter() - start, 1)


@contextmanager
def making_data(wanted: list[Part]) -> Iterator[None]:
    """Begin to make the data set of the paper's experiment, which takes a minute, beside the first parts.

    Who needs it waits for its lock.
    """
    process = None
    settings = next((part.command[3:] for part in wanted if part.name == "paper"), None)
    if settings is not None:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "embedded.py"), *settings],
            env=os.environ | {"OMP_NUM_THREADS": str(max((os.cpu_count() or 2) // 2, 1))},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def facts(device: str, size: str) -> dict[str, str]:
    """Describe the machine and what is installed on it."""
    card = torch.cuda.get_device_name() if device == "cuda" else f"none: {platform.machine()} CPU"
    commit = ""
    if shutil.which("git"):
        asked = ["git", "rev-parse", "HEAD"]
        commit = subprocess.run(asked, cwd=TOP, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "card": card, "size": size, "cores": str(os.cpu_count()), "CUDA": str(torch.version.cuda),
        **{name: version(name) for name in ("torch", "lightning", "numpy")},
        "python": platform.python_version(), "commit": commit or "unknown",
    }  # fmt: skip


def write(out: Path, about: dict[str, str], done: list[Part]) -> None:
    """Write what is there so far."""
    (out / "results.json").write_text(
        json.dumps({"about": about, "parts": [asdict(part) for part in done]}, indent=1), encoding="utf-8"
    )
    lines = [f"# {about['card']}", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    for part in done:
        lines += [f"## {part.name}", "", f"{part.outcome}, {part.seconds} s", ""]
        table = [line for line in part.output.splitlines() if line.startswith("|")]
        tail = part.output.splitlines()[-40:]
        lines += table or ["```", *tail, "```"]
        lines.append("")
    (out / "results.md").write_text("\n".join(lines), encoding="utf-8")
    log = "\n".join(f"==== {part.name}: {part.outcome}\n{part.output}" for part in done)
    (out / "log.txt").write_text(log, encoding="utf-8")


def main() -> int:
    """Measure; the exit code is 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--total", type=float, default=455, help="seconds in all")
    parser.add_argument("--only", nargs="*", help="parts, by the first word of their names")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and arguments.size == "full":
        raise SystemExit("there is no GPU that torch can use; SIZE=tiny tries the parts on the CPU")
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.perf_counter() + arguments.total
    about, done = facts(device, arguments.size), []
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        wanted = [
            part
            for part in parts(device, arguments.size, Path(name))
            if not arguments.only or part.name.split()[0] in arguments.only
        ]
        with making_data(wanted):
            for part in wanted:
                limit = part.limit if arguments.size == "full" else arguments.total
                carry_out(part, max(min(limit, end - time.perf_counter()), 1))
                done.append(part)
                write(arguments.out, about, done)
                print(f"{part.name}: {part.outcome}, {part.seconds} s", flush=True)
    print((arguments.out / "results.md").read_text(encoding="utf-8"))
    return int(any(part.outcome != "done" for part in done))


if __name__ == "__main__":
    sys.exit(main())
