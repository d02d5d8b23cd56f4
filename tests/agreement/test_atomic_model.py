"""The atoms of 5A1A give the map that was made of them by another program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.io.mrc import read_volume
from cryoalign.io.structure import read_structure
from cryoalign.physics.potential import Atoms, potential

RESOLUTION = 5.0  # A; the same sharp limit for both maps


def limited(volume: np.ndarray, pixel_size: float) -> np.ndarray:
    axis = np.fft.fftfreq(len(volume), pixel_size)
    k2 = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return np.fft.ifftn(np.fft.fftn(volume) * (k2 <= RESOLUTION**-2)).real


def correlation(atoms: Atoms, reference: np.ndarray, pixel_size: float) -> float:
    volume = potential(atoms, len(reference), pixel_size).numpy()
    pair = [limited(each, pixel_size).ravel() for each in (volume, reference)]
    return float(np.corrcoef(*pair)[0, 1])


@pytest.mark.realdata
def test_atoms_give_the_reference_map(shared_data: Path) -> None:
    folder = shared_data / "krios_bgal"
    atoms = read_structure(folder / "5a1a.pdb.gz")
    reference, pixel_size = read_volume(folder / "reference.mrc")
    assert pixel_size is not None
    # As deposited, with a B-factor for each atom: 0.991. The reference has no waters and one B-factor for
    # all, of about 60 A^2: with that, 0.9998.
    assert correlation(atoms, reference, pixel_size) > 0.98
    smooth = replace(atoms, bfactor=np.full(len(atoms), 60.0))
    assert correlation(smooth, reference, pixel_size) > 0.999
    mirrored = replace(smooth, positions=smooth.positions * [-1, 1, 1])
    assert correlation(mirrored, reference, pixel_size) < 0.9
    moved = potential(smooth, len(reference), pixel_size).roll(1, 0).numpy()
    pair = [limited(each, pixel_size).ravel() for each in (moved, reference)]
    assert np.corrcoef(*pair)[0, 1] < 0.98
