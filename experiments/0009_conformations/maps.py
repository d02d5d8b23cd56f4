"""Make two conformations of beta-galactosidase: the whole, and one without a domain of one chain.

    python experiments/0009_conformations/maps.py MAP ATOMS OUT

The domain is residues 1 to 219 of chain A (the jelly roll barrel): what lies within 3 A of one of its atoms
and nearer to it than to any other atom. OUT gets whole.mrc, without.mrc, and around.mrc, a mask: 1 within
10 A of the domain, so that it holds what stays there, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
from scipy.ndimage import distance_transform_edt

CHAIN, LAST_RESIDUE = "A", 219
REACH, AROUND, EDGE = 3.0, 10.0, 2.0  # A, A, voxels


def main(volume: Path, atoms: Path, out: Path) -> None:
    """Write the maps and the mask."""
    with mrcfile.open(volume) as file:
        values, pixel_size = np.array(file.data), float(file.voxel_size.x)
    out.mkdir(parents=True, exist_ok=True)
    model = gemmi.read_structure(str(atoms))[0]
    found = [
        (chain.name == CHAIN and residue.seqid.num <= LAST_RESIDUE, atom.pos.tolist())
        for chain in model
        for residue in chain
        for atom in residue
    ]
    inside = np.array([chosen for chosen, _ in found])
    places = np.array([place for _, place in found])
    voxels = np.round((places - places.mean(0)) / pixel_size).astype(int) + len(values) // 2
    distances = []
    for chosen in (inside, ~inside):
        free = np.ones(values.shape, dtype=bool)
        free[tuple(voxels[chosen][:, ::-1].T)] = False
        distances.append(distance_transform_edt(free))
    domain, around = (
        np.clip(1 - (distances[0] - reach / pixel_size) / EDGE, 0, 1) for reach in (REACH, AROUND)
    )
    without = values * (1 - domain * (distances[0] < distances[1]))
    left = np.square(without).sum() / np.square(values).sum()
    print(f"{inside.mean():.1%} of the atoms and {1 - left:.1%} of the power are in the domain")
    for name, made in (("whole", values), ("without", without), ("around", around)):
        with mrcfile.new(out / f"{name}.mrc", made.astype(np.float32), overwrite=True) as file:
            file.voxel_size = pixel_size
            file.set_volume()


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
