"""Images per second of our simulation and of ``relion_project --ctf``: one run, same particles, same map.

Both write their stack to a temporary folder. Reading and transforming the map is timed apart for both;
RELION's projections are timed from the moment its progress bar appears. The ratio is ours / RELION's, which
runs on one thread::

    python experiments/benchmarks/simulate.py --boxes 64 128 256 --images 256 --threads 1
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import torch

from cryoalign.io.mrc import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles
from cryoalign.simulation.weak_phase import WeakPhase

PIXEL_SIZE = 1.2


def random_particles(count: int, box: int, seed: int) -> Particles:
    """Random poses, shifts and defocus; the cost does not depend on them."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(8e3, 2.5e4, count)
    return Particles(
        source=Path("random.star"),
        optics=(Optics(1, "one", PIXEL_SIZE, 300, 2.7, 0.1, box_size=box),),
        row=np.arange(1, count + 1),
        optics_index=np.zeros(count, dtype=np.int64),
        stack=np.full(count, "raw.mrcs"),
        slot=np.arange(count),
        micrograph=np.full(count, "mic.mrc"),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-5, 5, (count, 2)),
        defocus=np.stack([mean + 300, mean - 300, rng.uniform(0, 180, count)], axis=1),
        phase_shift=np.zeros(count),
        ctf_bfactor=np.zeros(count),
        ctf_scale=np.ones(count),
        half=np.zeros(count, dtype=np.int64),
        sign=np.ones(count),
        table=pd.DataFrame(index=range(count)),
    )


def time_ours(
    particles: Particles, volume: np.ndarray, folder: Path, batch: int, device: str
) -> tuple[float, float]:
    """Seconds to prepare the map, and to simulate and write all images."""
    start = time.perf_counter()
    simulator = WeakPhase(torch.from_numpy(volume).to(device), pixel_size=PIXEL_SIZE, box=len(volume))
    simulator(particles, [0]).cpu()
    ready = time.perf_counter()
    with StackWriter(folder / "ours.mrcs", len(particles), len(volume), PIXEL_SIZE) as writer:
        for first in range(0, len(particles), batch):
            rows = np.arange(first, min(first + batch, len(particles)))
            writer.write(simulator(particles, rows).cpu().numpy())
    return ready - start, time.perf_counter() - ready


def time_relion(particles: Particles, folder: Path) -> tuple[float, float]:
    """Seconds to prepare the map, and to project and write all images."""
    write_particles(folder / "in.star", particles)
    command = ["relion_project", "--i", "map.mrc", "--ang", "in.star", "--o", "theirs", "--ctf"]
    start = time.perf_counter()
    with subprocess.Popen(
        [*command, "--angpix", str(PIXEL_SIZE)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it was asked for)
        said = b""
        while b"sec" not in said and (chunk := process.stdout.read(256)):
            said += chunk
        ready = time.perf_counter()
        process.stdout.read()
    if process.returncode:
        raise SystemExit(f"relion_project exits with {process.returncode}")
    return ready - start, time.perf_counter() - ready


def compare(box: int, arguments: argparse.Namespace) -> str:
    """Measure one box size and say it in a row of the table."""
    particles = random_particles(arguments.images, box, arguments.seed)
    volume = np.random.default_rng(arguments.seed).normal(size=(box, box, box)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare, work = time_ours(particles, volume, folder, arguments.batch_size, arguments.device)
        ours = arguments.images / work
        row = f"{box:>6} {prepare:>11.2f} {ours:>15.1f}"
        if shutil.which("relion_project") is None:
            return row
        mrcfile.write(folder / "map.mrc", volume, voxel_size=PIXEL_SIZE)
        with mrcfile.new(folder / "raw.mrcs", np.zeros((len(particles), box, box), np.float32)) as raw:
            raw.set_image_stack()
        start, work = time_relion(particles, folder)
        theirs = arguments.images / work
        return f"{row} {start:>13.2f} {theirs:>17.1f} {ours / theirs:>7.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128, 256], help="box sizes in px")
    parser.add_argument("--images", type=int, default=256, help="particles at each box size")
    parser.add_argument("--batch-size", type=int, default=32, help="images simulated at once")
    parser.add_argument("--threads", type=int, default=1, help="threads of ours on the CPU")
    parser.add_argument("--device", default="cpu", help="where ours runs, as torch names it")
    parser.add_argument("--seed", type=int, default=0, help="of poses, CTFs and the map")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if shutil.which("relion_project") is None:
        print("relion_project is not installed: only our own speed is measured")
    print("box/px  start/s (us)  images/s (us)  start/s (RELION)  images/s (RELION)  ratio")
    for box in arguments.boxes:
        print(compare(box, arguments), flush=True)


if __name__ == "__main__":
    main()
