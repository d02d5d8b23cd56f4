"""Kill commands at random moments and file operations, start them again, and compare with one in one go.

    python experiments/torture/kills.py [KILLS] [COMMAND]

KILLS of each command (20; a training has two and a half times as many), half of them when a random time is
over and half at a random file operation; a training by turns without and with two processes that load. For
every second kill the folder of temporary files is on another file system, where there is one. What is left is
started again, and has to have the same bytes as an unbroken command's.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from commands import COMMANDS, Done, faults, options, prepare, result, start, start_again

ELSEWHERE = Path("/dev/shm")  # noqa: S108  nothing is written there by name
TITLES = ("command", "kills", "was done", "resumed or the same line", "begun anew", "wrong", "restarts/s")


def main(kills: int, only: str | None) -> int:
    """Run everything, print a table, and return the exit code."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        print(f"| {' | '.join(TITLES)} |{chr(10)}{'|---' * len(TITLES)}|", flush=True)
        for command in COMMANDS:
            if only in {None, command}:
                wrong += torture(place, command, kills * 5 // 2 if command == "train" else kills)
    print("\n" + ("\n".join(wrong) or "nothing differs, and nothing is left behind"))
    return int(bool(wrong))


def torture(place: Path, command: str, kills: int) -> list[str]:
    """Kill one command again and again; print its line of the table, and return what went wrong."""
    out, draw, wrong, seconds = place / "out", np.random.default_rng(COMMANDS.index(command)), [], 0.0
    shutil.rmtree(out, ignore_errors=True)  # of the command before
    whole = start(place, command, options(command, place, out))
    if whole.code:
        raise SystemExit(whole.text)
    wanted = result(command, out)
    ends = dict.fromkeys(("done", "resumed", "the same line", "anew"), 0)
    for kill in range(kills):
        for path in (out, place / "anew"):
            shutil.rmtree(path, ignore_errors=True)
        name, broken = kill_once(place, command, draw, kill, whole)
        if broken == 0:
            ends["done"] += 1
            continue
        done, way = start_again(place, command, out)
        ends[way] += 1
        seconds += done.seconds
        found = [f"{command}, {name}: {fault}" for fault in faults(place, command, done, way, wanted)]
        sys.stderr.writelines(f"{fault}\n" for fault in found)  # now: the rest takes long
        wrong += found
    again = ends["resumed"] + ends["the same line"]
    row = (command, kills, ends["done"], again, ends["anew"], len(wrong), round(seconds))
    print(f"| {' | '.join(map(str, row))} |", flush=True)
    return wrong


def kill_once(
    place: Path, command: str, draw: np.random.Generator, kill: int, whole: Done
) -> tuple[str, int]:
    """Start a command and kill it; return when that was, and the exit code."""
    arguments = options(command, place, place / "out")
    if command == "train":
        arguments += [f"data.workers={2 * (kill // 2 % 2)}"]
    environment = {"TMPDIR": str(ELSEWHERE)} if kill % 2 and ELSEWHERE.is_dir() else {}
    if kill // 4 % 2:
        number = int(draw.integers(1, whole.operations + 1))
        done = start(place, command, arguments, how="kill", number=number, environment=environment)
        return f"operation {number} of {whole.operations}", done.code
    moment = float(draw.uniform(0, whole.seconds))
    done = start(place, command, arguments, seconds=moment, environment=environment)
    return f"after {moment:.2f} of {whole.seconds:.2f} s", done.code


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(int(given[0]) if given else 20, given[1] if len(given) > 1 else None))
