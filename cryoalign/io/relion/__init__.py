"""RELION's STAR files, read and written, and the stacks that they name."""

from __future__ import annotations

from cryoalign.io.locate import locate_stacks
from cryoalign.io.relion.read import read_particles
from cryoalign.io.relion.write import write_particles

__all__ = ["locate_stacks", "read_particles", "write_particles"]
