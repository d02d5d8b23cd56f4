"""Random subsets of right pairs, which all have to agree, and of shuffled ones, which never may.

python experiments/0002_pair_audit/false_alarms.py DATA WORK

Writes false_alarms.csv beside this file.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cryoalign.audit.check import check_pairs
from cryoalign.audit.sample import sample_images
from cryoalign.audit.verdict import conclude
from cryoalign.data.images import ParticleImages
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

HERE = Path(__file__).parent
SEEDS, PAIRS = 5, (200,)


def main(data: Path, work: Path) -> None:
    """Draw, judge, count."""
    torch.set_num_threads(1)
    rows = []
    for name in ("krios_bgal", "ribosome_10499"):
        raw = read_particles(data / name / "particles.star")
        star = simulate_particles(
            raw,
            DensityMap(data / name / "reference.mrc"),
            work / f"{name}_right",
            overwrite=True,
            progress=False,
        )
        sim = read_particles(star)
        images = [ParticleImages(table, locate_stacks(table)) for table in (sim, raw)]
        for count in PAIRS:
            for seed in range(SEEDS):
                rng = np.random.default_rng(seed)
                sample = sample_images(*images, np.sort(rng.choice(len(raw), count, replace=False)))
                order = torch.from_numpy(rng.permutation(count))
                others = {key: values[order] for key, values in sample.shifted.items()}
                shuffled = replace(sample, sims=sample.sims[order], shifted=others)
                for kind, one in (("right", sample), ("shuffled", shuffled)):
                    verdict = conclude(check_pairs(one))
                    rows.append((name, count, seed, kind, verdict.outcome, verdict.line))
                    print(*rows[-1], sep=" | ", flush=True)
    with (HERE / "false_alarms.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("data", "pairs", "seed", "kind", "outcome", "verdict"), *rows])
    print(Counter((row[0], row[3], row[4]) for row in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
