"""Time and peak memory of the fit of ``generator=physical``, by the number of pairs.

Pairs of CTF-modulated noise are
written as stacks, and the generator is fitted to them in a process of its own, which reads them as a training
does. The peak is that of anonymous memory (RssAnon), watched every 20 ms, less what the process held before
the fit. 100,000 pairs of 64 px take 3.3 GB of disk while it runs. Linux only::

    python experiments/benchmarks/physical_fit.py --box 64 --images 2000 20000 100000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles
from cryoalign.physics.ctf_parameters import ctf_image, ctf_parameters
from cryoalign.physics.half_plane import half_plane

BLOCK, IN_MICROGRAPH, PIXEL_SIZE = 1000, 50, 3.0
_FIT = """
import json, sys, time
from pathlib import Path
from hydra import compose, initialize_config_dir
from cryoalign.models.physical.generator import Physical
from cryoalign.train.build import build_data
from cryoalign.train.closed_form import fit_baseline
folder, conf, device = sys.argv[1:]
with initialize_config_dir(conf, version_base=None):
    cfg = compose("train", [
        "data=stars", f"data.sim={folder}/sim.star", f"data.raw={folder}/raw.star", "data.check=read",
        "data.split.fractions={train: 0.98, validation: 0.01, test: 0.01}",
    ])
data = build_data(cfg)
generator = Physical(data.box)
held = [int(x.split()[1]) for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x]
print("fit", flush=True)
start, used = time.perf_counter(), time.process_time()
fit_baseline(generator, data, images=None, device=device)
print(json.dumps({
    "pairs": len(data.rows["train"]), "held": 1024 * held[0], "words": generator.description(),
    "time": time.perf_counter() - start, "processor": time.process_time() - used,
}))
"""


def table(count: int, seed: int) -> Particles:
    """Return particles at random defoci, as many in each micrograph as there are."""
    rng = np.random.default_rng(seed)
    defocus = np.repeat(rng.uniform(9e3, 22e3, count // IN_MICROGRAPH + 1), IN_MICROGRAPH)[:count]
    return Particles.make(
        Path("raw.star"),
        [Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1)],
        count,
        angles=rng.uniform(0, 180, (count, 3)),
        defocus=np.stack([defocus, defocus, np.zeros(count)], 1),
        micrograph=np.array([f"m{row // IN_MICROGRAPH:05d}.mrc" for row in range(count)]),
    )


def prepare(folder: Path, count: int, box: int, seed: int = 0) -> None:
    """Write pairs."""
    particles = table(count, seed)
    generator = torch.Generator().manual_seed(seed)
    ring = half_plane(box).ring
    decay = 1 / (1 + (ring / (0.15 * box)) ** 2)
    with (
        StackWriter(folder / "sim.mrcs", count, box, PIXEL_SIZE) as sims,
        StackWriter(folder / "raw.mrcs", count, box, PIXEL_SIZE) as raws,
    ):
        for start in range(0, count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, count))
            ctf = ctf_image(ctf_parameters(particles.take(rows)), box)
            white = torch.randn(2, len(rows), box, box, generator=generator)
            signal, noise = torch.fft.rfft2(white)
            sim = torch.fft.irfft2(signal * decay * ctf, s=(box, box))
            power = (0.5 + decay * ctf.square()).sqrt()
            sims.write(sim.numpy())
            raws.write((0.3 * sim + torch.fft.irfft2(noise * power, s=(box, box))).numpy())
    for name in ("sim", "raw"):
        write_particles(
            folder / f"{name}.star",
            particles,
            image_names=[f"{row + 1:06d}@{name}.mrcs" for row in range(count)],
            original_names=None if name == "raw" else [f"{row + 1:06d}@raw.mrcs" for row in range(count)],
            box=box,
        )


def fit(folder: Path, device: str) -> tuple[dict[str, str | float], int]:
    """Fit in another process; return what it reports, and its highest anonymous memory in bytes."""
    conf = Path(__file__).resolve().parents[2] / "conf"
    command = [sys.executable, "-c", _FIT, str(folder), str(conf), device]
    highest = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines()
            highest = max(
                [highest, *(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))]
            )
            time.sleep(0.02)
        output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    return json.loads(output.splitlines()[-1]), highest


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=64, help="box size in px")
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20000, 100000], help="pairs of each")
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    parser.add_argument("--device", default="cpu", help="where pairs are added up: cpu, cuda")
    arguments = parser.parse_args()
    print("| box/px | pairs | time/s | by processor/s | before/MB | peak/MB |", flush=True)
    print("| --: | --: | --: | --: | --: | --: |", flush=True)
    words = ""
    for count in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            prepare(Path(name), count, arguments.box)
            found, highest = fit(Path(name), arguments.device)
            words = str(found["words"])
            row = f"{found['pairs']} | {found['time']:.1f} | {found['processor']:.1f}"
            held = f"{float(found['held']) / 1e6:.0f} | {highest / 1e6:.0f}"
            print(f"| {arguments.box} | {row} | {held} |", flush=True)
    print(f"\n{words}")


if __name__ == "__main__":
    main()
