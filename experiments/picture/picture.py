"""Draw docs/picture.png: some test particles of a run, as they are, low-passed, and their amplitudes."""

from __future__ import annotations

import sys
from pathlib import Path

import mrcfile

from cryoalign.figures.panels import panels

SHOWN = 2


def main(run: str, out: str) -> None:
    """Draw the first test particles of a run."""
    stacks = {kind: Path(run) / "test" / f"{kind}.mrcs" for kind in ("sim", "fake", "raw")}
    images = {kind: mrcfile.read(path)[:SHOWN] for kind, path in stacks.items()}
    with mrcfile.open(stacks["raw"], header_only=True) as file:
        pixel_size = float(file.voxel_size.x)
    panels(images["sim"], images["fake"], images["raw"], pixel_size).savefig(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
