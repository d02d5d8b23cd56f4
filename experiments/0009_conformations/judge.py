"""Hold RELION's reconstructions and classes of labelled fakes against the truth.

    python experiments/0009_conformations/judge.py prepare OUT    write the input of RELION's Class3D
    python experiments/0009_conformations/judge.py print OUT      print what run.sh found

The Fourier shell correlation is taken inside a mask around the domain, of each class's reconstruction with
either map. The bound on the accuracy of a classification is that of a likelihood ratio which knows both maps,
each particle's pose and CTF, the filter of the generator and the power of the noise: nobody can do better.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import starfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = 2000
MAPS = ("whole", "without")


def main(action: str, out: Path) -> None:
    """Do one of the two."""
    if action == "prepare":
        prepare(out)
        return
    print("| reconstruction | FSC with its own map above 0.5 to | mean, own map | other map | higher on |")
    print("|---|---|---|---|---|")
    for number in (1, 2):
        print(shell_correlation(out, number))
    true, found, bound = labels(out)
    shuffled = np.random.default_rng(0).permutation(true)
    print("\n| classes of 2,000 fakes, balanced accuracy | |\n|---|---|")
    for name, one in (("RELION's Class3D", found), ("likelihood ratio", bound)):
        print(f"| {name} | {accuracy(true, one):.3f} |")
    print(f"| Class3D, labels shuffled | {accuracy(shuffled, found):.3f} |")


def prepare(out: Path) -> None:
    """Write the first images as a STAR file without their labels, and the two references."""
    (out / "class3d").mkdir(exist_ok=True)
    tables = starfile.read(out / "realistic_64" / "fake.star")
    particles = tables["particles"][:IMAGES].drop(columns="rlnClassNumber")
    starfile.write({"optics": tables["optics"], "particles": particles}, out / "class3d" / "particles.star")
    with (out / "class3d" / "references.star").open("w") as file:
        file.write("\ndata_model_classes\n\nloop_\n_rlnReferenceImage #1\n")
        file.writelines(f"{out}/{name}_64.mrc\n" for name in MAPS)


def shell_correlation(out: Path, number: int) -> str:
    """Return a class's line of the table: FSC in the mask with its own and the other map."""
    mask = mrcfile.read(out / "around.mrc")
    made = mrcfile.read(out / f"class_{number}.mrc") * mask
    own, other = (fsc(made, mrcfile.read(out / f"{name}.mrc") * mask) for name in _own_first(number))
    below = np.flatnonzero(own[1:] < 0.5)
    last = int(below[0]) if len(below) else len(own) - 1
    resolution = len(made) * 1.7076 / max(last, 1)
    own, other = own[1 : last + 1], other[1 : last + 1]
    return (
        f"| class {number}, {MAPS[number - 1]} | ring {last}, {resolution:.1f} A | {own.mean():.3f} "
        f"| {other.mean():.3f} | {(own > other).sum()} of {last} rings |"
    )


def _own_first(number: int) -> tuple[str, ...]:
    return MAPS if number == 1 else MAPS[::-1]


def fsc(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the correlation of two maps on each shell of Fourier space, to Nyquist."""
    box = len(one)
    a, b = np.fft.rfftn(one), np.fft.rfftn(other)
    k = np.fft.fftfreq(box) * box
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(box // 2 + 1) ** 2)
    shell = np.minimum(np.round(radius).astype(int), box // 2 + 1).ravel()
    sums = [np.bincount(shell, part.real.ravel()) for part in (a * b.conj(), np.abs(a) ** 2, np.abs(b) ** 2)]
    correlation: NDArray[np.float64] = sums[0] / np.sqrt(sums[1] * sums[2] + 1e-30)
    return correlation[: box // 2 + 1]


def labels(out: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return of each fake its true class, RELION's, and that of the likelihood ratio."""
    true = starfile.read(out / "realistic_64" / "fake.star")["particles"]["rlnClassNumber"][:IMAGES]
    table = starfile.read(out / "class3d" / "run_it005_data.star")
    names = starfile.read(out / "class3d" / "particles.star")["particles"]["rlnImageName"]
    found = table["particles"].set_index("rlnImageName")["rlnClassNumber"].loc[names]
    fakes = np.fft.rfft2(mrcfile.read(out / "realistic_64" / "fake.mrcs")[:IMAGES], norm="ortho")
    sims = [np.fft.rfft2(mrcfile.read(out / f"{name}_sim" / "sim.mrcs"), norm="ortho") for name in MAPS]
    shown = np.where((true.to_numpy() == 1)[:, None, None], *sims)
    box = fakes.shape[1]
    radius = np.hypot(np.fft.fftfreq(box)[:, None] * box, np.arange(box // 2 + 1))
    ring = np.round(radius).astype(int)
    cross, power = (
        np.bincount(ring.ravel(), values.sum(0).ravel())
        for values in ((fakes * shown.conj()).real, np.abs(shown) ** 2)
    )
    gain = (cross / power)[ring]
    noise = np.abs(fakes - gain * shown) ** 2
    mean = (np.bincount(ring.ravel(), noise.mean(0).ravel()) / np.bincount(ring.ravel()))[ring]
    weight = np.where(ring > 0, 1 / mean, 0)
    weight[:, 1:-1] *= 2  # the other half of the plane
    misfit = [(np.abs(fakes - gain * sim) ** 2 * weight).sum((1, 2)) for sim in sims]
    return true.to_numpy(), found.to_numpy(), 1 + (misfit[1] < misfit[0]).astype(np.int64)


def accuracy(true: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Return the mean over the classes of the share that was found."""
    return float(np.mean([(found[true == number] == number).mean() for number in (1, 2)]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
