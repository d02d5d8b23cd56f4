"""Peak memory of ``python -m cryoalign.simulate`` by the number of images.

Simulates random poses from a map of noise, watches the anonymous memory (RssAnon) of the process every 20 ms,
and removes what was written. 10,000 images at 256 px take 2.6 GB of disk while it runs. With ``--relion`` the
same is done with ``relion_project``. Linux only::

    python experiments/benchmarks/simulate_memory.py --box 256 --images 1000 10000
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from simulate import ours, prepare, theirs


def peak(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a program; give its highest anonymous memory in bytes, and its time in s."""
    start, highest = time.perf_counter(), 0
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said) as process,
    ):
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines()
            highest = max(
                [highest, *(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))]
            )
            time.sleep(0.02)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} exits with {process.returncode}:\n{said.read()}")
    return highest, time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=256, help="box size in px")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10000], help="particles of each run")
    parser.add_argument("--relion", action="store_true", help="also measure relion_project")
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    arguments = parser.parse_args()
    print("| program | box/px | images | peak/MB | time/s |\n| :-- | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        prepare(folder, arguments.box, arguments.images, seed=0)
        for count in arguments.images:
            for label, command in (("ours", ours), ("RELION", theirs))[: 1 + arguments.relion]:
                highest, taken = peak(command(count, "out"), folder)
                row = f"| {label} | {arguments.box} | {count} | {highest / 1e6:.0f} | {taken:.0f} |"
                print(row, flush=True)
                for path in folder.glob("out*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
