"""Run a command of cryoalign, and break it at one of its file operations.

    python experiments/torture/watched.py FOLDER HOW NUMBER train data=embedded ...

Operations are what opens a file for writing, renames, removes or makes something in FOLDER, in this
process. HOW is what happens at the operation of that NUMBER: ``kill`` ends the process by SIGKILL, ``remove``
removes everything in FOLDER that does not begin with ``keep``. With ``limit`` no file may have more bytes
than NUMBER, with ``count`` nothing happens. How many operations there were is printed at the end.
"""

from __future__ import annotations

import os
import resource
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """Count this process's file operations in a folder, and break it at one of them."""

    def __init__(self, folder: Path, how: str, number: int) -> None:
        self.folder, self.how, self.number = str(folder), how, number
        self.count, self._process, self._busy = 0, os.getpid(), False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at an event of Python's audit."""
        changes = event in _CHANGES or (event == "open" and int(arguments[2] or 0) & _WRITING)
        if not changes or self._busy or os.getpid() != self._process:
            return
        if not any(isinstance(path, str | Path) and str(path).startswith(self.folder) for path in arguments):
            return
        self.count += 1
        if self.count == self.number and self.how in {"kill", "remove"}:
            self._busy = True
            self._break()

    def _break(self) -> None:
        if self.how == "kill":
            os.kill(self._process, signal.SIGKILL)
        for path in Path(self.folder).iterdir():
            if not path.name.startswith("keep"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def main(folder: str, how: str, number: str, command: str, *options: str) -> None:
    """Run the command under a watch."""
    watch = Watch(Path(folder).resolve(), how, int(number))
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    sys.addaudithook(watch)
    sys.argv = ["cryoalign", *options]
    try:
        runpy.run_module(f"cryoalign.{command}", run_name="__main__", alter_sys=True)
    finally:
        print(f"operations: {watch.count}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
