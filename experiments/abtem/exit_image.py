"""Compute, with abTEM alone, the image of Gaussian scatterers through a strongly aberrated lens.

Run in an environment of its own (see README.md); tests/agreement/test_abtem.py compares with what it writes.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import abtem
import numpy as np

BOX, SAMPLING, SLICES, THICKNESS = 48, 0.8, 10, 12.0  # px, A, -, A
ENERGY, CS, DEFOCUS_U, DEFOCUS_V, AZIMUTH = 200e3, 2.0e7, 6200.0, 5400.0, 35.0  # eV, A, A, A, degrees


def projected_slices() -> np.ndarray:
    """(S, N, N) [slice, y, x] in V A: three Gaussians in every slice, each slice's at other places."""
    axis = (np.arange(BOX) - BOX // 2) * SAMPLING
    slices = np.zeros((SLICES, BOX, BOX))
    for number in range(SLICES):
        for spot in range(3):
            angle = 2.4 * (3 * number + spot)
            x, y = 8.0 * np.cos(angle), 6.0 * np.sin(1.3 * angle)
            width, height = 1.5 + 0.2 * spot, 60.0 + 8.0 * number
            slices[number] += height * np.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * width**2))
    return slices


def main(target: Path) -> None:
    """Write the image's intensity, [y, x], as text."""
    abtem.config.set({"precision": "float64"})
    # abTEM's arrays are [x, y].
    potential = abtem.PotentialArray(
        projected_slices().transpose(0, 2, 1), slice_thickness=THICKNESS, sampling=SAMPLING
    )
    wave = abtem.PlaneWave(energy=ENERGY).multislice(potential).compute()
    mean, half = (DEFOCUS_U + DEFOCUS_V) / 2, (DEFOCUS_U - DEFOCUS_V) / 2
    # abTEM: C10 is overfocus, and so is C12 along its azimuth; the latter is turned instead of negated.
    lens = abtem.CTF(
        energy=ENERGY, Cs=CS, defocus=mean, C12=half, phi12=np.radians(AZIMUTH + 90), semiangle_cutoff=1000
    )
    image = wave.apply_ctf(lens).compute().intensity().compute().array.T
    header = f"abTEM {version('abtem')}, numpy {np.__version__}; relative intensity, [y, x]"
    np.savetxt(target, image, fmt="%.7f", header=header)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
