"""Mix fakes and raw images of a run's test set on sheets that do not say which is which.

$ python experiments/blind/sheet.py RUN OUT [SEED]

Writes OUT/as_they_are.png and OUT/low_passed.png, 40 numbered images each, and OUT/key.json, which says what
each number is. Fakes and raw images are of different particles: nothing can be told by comparing two images
of one particle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mrcfile
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryoalign.figures.low_pass import low_pass

EACH = 20
COLUMNS = 8


def main(run: str, out: str, seed: str = "0") -> None:
    """Draw both sheets and write the key."""
    folder, target = Path(run) / "test", Path(out)
    fake, raw = (mrcfile.read(folder / f"{kind}.mrcs") for kind in ("fake", "raw"))
    with mrcfile.open(folder / "raw.mrcs", header_only=True) as file:
        pixel_size = float(file.voxel_size.x)
    random = np.random.default_rng(int(seed))
    particles = random.permutation(len(raw))[: 2 * EACH]
    kinds = random.permutation(["fake"] * EACH + ["raw"] * EACH)
    images = np.stack(
        [(fake if kind == "fake" else raw)[i] for kind, i in zip(kinds, particles, strict=True)]
    )
    target.mkdir(parents=True, exist_ok=True)
    _draw(images, target / "as_they_are.png")
    _draw(low_pass(images, pixel_size), target / "low_passed.png")
    key = {
        str(n): {"kind": str(k), "particle": int(i)}
        for n, (k, i) in enumerate(zip(kinds, particles, strict=True), 1)
    }
    (target / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def _draw(images: np.ndarray, path: Path) -> None:
    """Draw all images on one grey scale, each with its number."""
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(2 * COLUMNS, 2.15 * rows), dpi=100)
    FigureCanvasAgg(figure)
    low, high = np.percentile(images, [0.5, 99.5])
    for number, image in enumerate(images, start=1):
        axes = figure.add_subplot(rows, COLUMNS, number)
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest", origin="lower")
        axes.set_axis_off()
        axes.set_title(str(number), fontsize=9, pad=2)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.975, wspace=0.03, hspace=0.12)
    figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
