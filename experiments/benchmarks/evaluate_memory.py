"""Peak memory of ``python -m cryoalign.evaluate`` with all measures by the number of pairs.

1,000 known pairs of the tests are made, and repeated where more are asked for. The anonymous memory (RssAnon)
of the program is read every 20 ms. 10,000 pairs at 64 px take 1 GB of disk while it runs. Linux only::

    python experiments/benchmarks/evaluate_memory.py --images 1000 10000
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from evaluate import command, prepare
from simulate_memory import peak

from tests.fakes.known import Known  # found by the path that evaluate has added

MADE = 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=64, help="box size in px")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10000], help="pairs of each run")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="threads on the CPU")
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    arguments = parser.parse_args()
    print("| box/px | pairs | threads | peak/MB | time/s |\n| --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        prepare(folder, Known(box=arguments.box, count=MADE, micrographs=MADE // 20), arguments.images)
        for count in arguments.images:
            for threads in arguments.threads:
                options = (f"threads={threads}", "overwrite=true")
                highest, taken = peak(command(folder / str(count), *options), folder)
                row = f"| {arguments.box} | {count:,} | {threads} | {highest / 1e6:.0f} | {taken:.0f} |"
                print(row, flush=True)


if __name__ == "__main__":
    main()
