"""Let commands run out of room, or lose their folder: a message, nothing half done, and a good second start.

    python experiments/torture/full_disk.py [TIMES] [COMMAND]

TIMES (8) for each command and fault: no file may grow beyond a size, from none to that of the largest output;
the file system is full, or read-only (where this process may mount one); everything but the inputs is removed
at a random file operation. The command has to end with a refusal, exit code 1, or else be done; never with a
traceback. Started again without the fault, it has to have the same bytes as an unbroken command's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from commands import COMMANDS, Done, faults, options, prepare, result, start, start_again

FAULTS = ("size of files", "full disk", "read-only", "removed")


def main(times: int, only: str | None) -> int:
    """Run everything, print a table, and return the exit code."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        print("| command | fault | starts | refused | done | wrong |\n|---|---|---|---|---|---|", flush=True)
        for command in COMMANDS:
            if only in {None, command}:
                wrong += torture(place, command, times)
    print("\n" + ("\n".join(wrong) or "every refusal is one, nothing differs, nothing is left behind"))
    return int(bool(wrong))


def torture(place: Path, command: str, times: int) -> list[str]:
    """Break one command by each fault; print its lines of the table, and return what went wrong."""
    out, draw = place / "out", np.random.default_rng(COMMANDS.index(command))
    shutil.rmtree(out, ignore_errors=True)
    whole = start(place, command, options(command, place, out))
    if whole.code:
        raise SystemExit(whole.text)
    wanted = result(command, out)
    used = sorted(path.stat().st_size for path in out.rglob("*") if path.is_file())
    all_wrong: list[str] = []
    for fault in FAULTS:
        wrong, refused, done, starts = [], 0, 0, 0
        for size in np.linspace(0, sum(used) if fault == "full disk" else used[-1], times).astype(int):
            operation = int(draw.integers(1, whole.operations + 1))
            broken = break_once(place, command, fault, size=int(size), operation=operation)
            if broken is None:
                break  # this process may not mount anything
            starts, refused, done = starts + 1, refused + (broken.code == 1), done + (broken.code == 0)
            said = f"{command}, {fault}, {f'operation {operation}' if fault == 'removed' else size}"
            if broken.code not in {0, 1} or "Traceback" in broken.text:
                wrong.append(f"{said}: exit code {broken.code}: {broken.text[-1500:]}")
            wrong += [f"{said}: {words}" for words in after(place, command, broken, wanted)]
            if fault == "read-only":
                break
        print(f"| {command} | {fault} | {starts} | {refused} | {done} | {len(wrong)} |", flush=True)
        sys.stderr.writelines(f"{words}\n" for words in wrong)  # now: the rest takes long
        all_wrong += wrong
    return all_wrong


def break_once(place: Path, command: str, fault: str, *, size: int, operation: int) -> Done | None:
    """Start a command under a fault; None where the fault cannot be made."""
    for path in (place / "out", place / "anew"):
        shutil.rmtree(path, ignore_errors=True)
    arguments = options(command, place, place / "out")
    if fault == "size of files":
        return start(place, command, arguments, how="limit", number=size)
    if fault == "removed":
        return start(place, command, arguments, how="remove", number=operation)
    disk = place / "disk"
    disk.mkdir(exist_ok=True)
    room = max(size, os.sysconf("SC_PAGE_SIZE"))
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={room}" if fault == "full disk" else "ro", "tmpfs", disk]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        disk.rmdir()
        return None
    try:
        return start(place, command, options(command, place, disk / "out"))
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def after(place: Path, command: str, broken: Done, wanted: dict[str, bytes]) -> list[str]:
    """Start a command again without the fault, unless it is done; name what is wrong then."""
    out = place / "out"
    done, way = (broken, "at once") if broken.code == 0 and out.exists() else start_again(place, command, out)
    return [f"afterwards: {fault}" for fault in faults(place, command, done, way, wanted)]


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(int(given[0]) if given else 8, given[1] if len(given) > 1 else None))
