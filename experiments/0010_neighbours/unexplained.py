"""Print how much of the truth sims leave unexplained, over the noise of raw, band by band.

$ python experiments/0010_neighbours/unexplained.py data/embedded_64px_*    the sets that trainings made
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from mrcfile import read

from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.evaluate.measures.noise.independence import residual
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.half_plane import product, squared
from cryoalign.physics.spectrum import ring_sum


def main(folder: Path) -> None:
    """Print a line for sims without neighbours, and one for those with."""
    raw, truth = (rfft2(torch.from_numpy(read(folder / f"{name}.mrcs"))) for name in ("raw", "truth"))
    box = raw.shape[-2]
    noise = left(raw, truth, box)
    for name in ("sim", "sim_neighbours"):
        sim = rfft2(torch.from_numpy(read(folder / name / "sim.mrcs")))
        unexplained = left(truth, sim, box)
        parts = [
            f"{band}: {unexplained[mask].sum() / noise[mask].sum():.2%}"
            for band, mask in band_masks(box, 226.56 / box)
        ]
        print(f"{folder.name}, {name:<14}  {'; '.join(parts)}")


def left(images: torch.Tensor, content: torch.Tensor, box: int) -> torch.Tensor:
    """(R,) power of images that a filter of their content does not explain."""
    rings = (squared(images), product(images, content), squared(content))
    return residual(*(ring_sum(part, box).double().sum(0) for part in rings))


if __name__ == "__main__":
    for given in sys.argv[1:]:
        main(Path(given))
