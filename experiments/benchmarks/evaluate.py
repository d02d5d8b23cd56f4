"""Seconds of ``python -m cryoalign.evaluate`` on 2,000 pairs of 64 px with all measures, measure by measure.

Known pairs of the tests (`tests.fakes.known`) and honest fakes of them are written as stacks: truth, a second
draw, 400 training pairs, 200 fakes of empty sims, fakes without a domain, and the map. The whole program is
run on 500 of these pairs and on all, in turns, and the shortest time of each step counts. A step begins with
the line in which the program announces it; the last one ends with the report. Times by processor are of all
threads together, and others on the machine change them less. The last row is another program, which imports
the same and reads every image once::

    python experiments/benchmarks/evaluate.py --images 500 2000 --threads 2 1 --repeats 2
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mrcfile
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.known import Known
from tests.fakes.saboteurs import oracle

TRAINED = 400
STACKS = ("fake", "raw", "sim", "truth", "second_draw")
READING = "import and read"
_ANNOUNCED = "measure     "
_READ = """
import sys
from pathlib import Path
import cryoalign.evaluate.given_stacks
from cryoalign.data.images import ParticleImages
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
for path in sys.argv[1:]:
    table = read_particles(Path(path))
    images = ParticleImages(table, locate_stacks(table))
    for row in range(len(images)):
        images.image(row)
"""

Times = dict[str, np.ndarray]  # step: seconds, elapsed and of processors


def prepare(folder: Path, known: Known, counts: list[int]) -> None:
    """Write the map, its domain and, for each count in a sub-folder, the stacks of so many pairs.

    Where there are not as many, they are repeated, each time with micrographs of other names.
    """
    fakes, judged, trained = oracle(known), known.judged, known.trained[:TRAINED]
    kept = len(trained)
    images = {"raw": known.raw, "sim": known.sims, "truth": known.truth}
    judging = {kind: values[judged] for kind, values in images.items()} | vars(fakes)
    training = {kind: values[trained] for kind, values in images.items()} | {"fake": fakes.train[:kept]}
    for name, volume in (("map", known.volume), ("domain", known.domain)):
        mrcfile.write(folder / f"{name}.mrc", volume.numpy().astype(np.float32), voxel_size=known.pixel_size)
    for count in counts:
        place = folder / str(count)
        place.mkdir()
        rows = np.arange(count) % known.count
        table = known.particles.take(rows)
        turn = (np.arange(count) // known.count).astype(str)
        table.micrograph[:] = np.char.add(np.char.add("m", turn), table.micrograph.astype(str))
        for kind in (*STACKS, "without_domain"):
            known.write(place, kind, judging[kind][rows], table)
        known.write(place, "empty", fakes.empty, table.take(np.arange(len(fakes.empty))))
        for kind in ("raw", "sim", "fake"):
            known.write(place, f"train_{kind}", training[kind][:kept], known.particles.take(trained))


def command(place: Path, *options: str) -> list[str]:
    """Return the command line of the program for the stacks of a folder."""
    names = {kind: place / f"{kind}.star" for kind in (*STACKS, "empty")}
    names |= {f"train.{kind}": place / f"train_{kind}.star" for kind in ("raw", "sim", "fake")}
    names |= {
        "without_domain.fake": place / "without_domain.star",
        "without_domain.domain": place.parent / "domain.mrc",
    }
    names |= {"volume": place.parent / "map.mrc", "out": place / "out"}
    given = [f"{key}={value}" for key, value in names.items()]
    return [sys.executable, "-m", "cryoalign.evaluate", *given, "progress=false", *options]


def steps(place: Path, threads: int, device: str) -> Times:
    """Run the program, and give the time of each step and of the whole."""
    options = {"bufsize": 1, "text": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    found, begun, name = {}, time.perf_counter(), "start"
    children = os.times()
    arguments = command(place, f"threads={threads}", f"device={device}")
    with subprocess.Popen(arguments, env=limited(threads), **options) as process:
        last = np.array([begun, 0.0])
        lines = []
        for line in process.stderr or ():
            lines.append(line)
            if line.startswith(_ANNOUNCED):
                now = np.array([time.perf_counter(), used(process.pid)])
                found[name], last, name = now - last, now, line.removeprefix(_ANNOUNCED).strip()
    if process.returncode:
        raise SystemExit(f"the program exits with {process.returncode}:\n{''.join(lines)}")
    shutil.rmtree(place / "out")
    whole = np.array([time.perf_counter() - begun, spent_since(children)])
    final = np.array([begun, 0.0]) + whole - last
    parts = {name: final} | {"all": whole}
    return found | parts


def reading(place: Path, threads: int) -> Times:
    """Run the other program, which reads every image once."""
    names = [
        f"{kind}.star"
        for kind in (*STACKS, "without_domain", "empty", "train_raw", "train_sim", "train_fake")
    ]
    begun, children = time.perf_counter(), os.times()
    arguments = [sys.executable, "-c", _READ, *names]
    subprocess.run(arguments, cwd=place, env=limited(threads), check=True)
    return {READING: np.array([time.perf_counter() - begun, spent_since(children)])}


def limited(threads: int) -> dict[str, str]:
    """Return the environment of a program with so many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def used(process: int) -> float:
    """Read the processor time of a process and of its children that have ended, in s."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def spent_since(before: os.times_result) -> float:
    """Return the processor time of programs that have ended since then, in s."""
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=64, help="box size in px")
    parser.add_argument("--images", type=int, nargs=2, default=[500, 2000], help="pairs of the two runs")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1], help="threads on the CPU")
    parser.add_argument("--device", default="cpu", help="as the command takes it")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each, of which the shortest counts")
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    arguments = parser.parse_args()
    few, many = arguments.images
    best: dict[tuple[int, int], Times] = {}
    print(f"load before: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        prepare(folder, Known(box=arguments.box, count=many, micrographs=many // 20), [few, many])
        for _ in range(arguments.repeats):
            for threads in arguments.threads:
                for count in (few, many):
                    place = folder / str(count)
                    found = steps(place, threads, arguments.device) | reading(place, threads)
                    known = best.setdefault((threads, count), found)
                    best[threads, count] = {key: np.minimum(known[key], found[key]) for key in found}
    print(f"load after: {os.getloadavg()[0]:.1f}")
    print(f"times in s, of {few:,} and of {many:,} pairs\n")
    print(f"| step | threads | {few:,} | {many:,} | growth | {many:,}, by processor | growth |")
    print("| :-- | --: | --: | --: | --: | --: | --: |")
    for threads in arguments.threads:
        small, large = best[threads, few], best[threads, many]
        for key, (wall, processor) in large.items():
            growth = large[key] / small[key]
            row = f"{small[key][0]:.1f} | {wall:.1f} | {growth[0]:.2f} | {processor:.1f} | {growth[1]:.2f}"
            print(f"| {key} | {threads} | {row} |")


if __name__ == "__main__":
    main()
