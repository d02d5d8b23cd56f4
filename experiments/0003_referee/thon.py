"""How well the Thon-ring fit knows a defocus that is known: groups of krios_bgal's raw images, and its sims.

$ python experiments/0003_referee/thon.py RAW_STAR SIM_STAR [BOX]

For every set of about 60 images: fitted defocus less that of the metadata, of raw and of sim.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.measures.defocus.measure import DefocusMeasure
from cryoalign.evaluate.reading import Reader


def main(raw: str, sim: str, box: str | None = None) -> None:
    """Fit, and print the sets and their medians; sim stands in the fake's place."""
    torch.set_num_threads(1)
    pairs = Reader(box=None if box is None else int(box)).pairs(raw, sim=sim, fake=sim)
    finding = DefocusMeasure()(Case(pairs))
    for quantity in finding.quantities.values():
        parts = [("fake", quantity.fake), ("raw", quantity.floor), ("sim", quantity.ceiling)]
        shown = "  ".join(f"{name} {part.value:9.2f}" for name, part in parts if part is not None)
        print(f"{quantity.key:18} {shown}  {quantity.unit}  {quantity.note}")
    for chart in finding.charts.values():
        if chart.key == "defocus":
            for name, series in chart.series.items():
                print(
                    f"{name:12} fitted less metadata (A): " + " ".join(f"{value:.0f}" for value in series.y)
                )
                print(f"{'':12} median {np.median(series.y):.0f} A, largest {np.abs(series.y).max():.0f} A")


if __name__ == "__main__":
    main(*sys.argv[1:])
