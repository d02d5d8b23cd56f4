"""Make every mistake that the audit knows, on real particles, and write down what it says.

python experiments/0002_pair_audit/inject.py DATA WORK SET [TEXT]

DATA is the folder with the real data, SET one of `SAMPLES`, TEXT a part of the mistakes' names, WORK a folder
for simulated stacks. Writes
results.csv and results.md beside this file.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import torch
from results import COLUMNS, write
from scipy.spatial.transform import Rotation

from cryoalign.audit.check import check_pairs
from cryoalign.audit.hypotheses import defocus, pixel_size
from cryoalign.audit.sample import read_sample
from cryoalign.audit.verdict import conclude
from cryoalign.io.metadata import read_particles
from cryoalign.io.relion import write_particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryoalign.audit.verdict import Conclusion
    from cryoalign.particles import Particles

#: Numbers of pairs to look at, 0 for all where fewer do not name the mistake; krios_plate is krios_bgal with
#: a phase plate put in.
SAMPLES = {"krios_bgal": [300], "ribosome_10499": [300, 0], "krios_plate": [300]}


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes
    ----------
    name : str
    where : str
        ``sim``: the images alone are wrong. ``both``: simulated faithfully from metadata wrong for raw.
    expected : tuple of str
        The verdict's line holds one of them if the mistake is named rightly.
    family : tuple of str
        Where it may be reported as not excluded.
    table : callable, optional
        The wrong metadata.
    images : callable, optional
        What is done to the simulated stack.
    magnify : float
        Factor on the pixel size of the map.
    nearly : str
        The line holds this if the mistake is named with another factor.
    """

    name: str
    where: str
    expected: tuple[str, ...]
    family: tuple[str, ...]
    table: Any = None
    images: Any = None
    magnify: float = 1.0
    nearly: str | None = None


def _optics(particles: Particles, **values: Any) -> Particles:
    groups = tuple(
        replace(group, **{name: value(group) if callable(value) else value for name, value in values.items()})
        for group in particles.optics
    )
    return replace(particles, optics=groups)


def _defocus(factor: float) -> Callable[[Particles], Particles]:
    return lambda p: replace(p, defocus=p.defocus * [factor, factor, 1.0])


def _shift(factor: Any) -> Callable[[Particles], Particles]:
    return lambda p: replace(p, shift=p.shift * (factor(p) if callable(factor) else factor))


def _no_ctf(particles: Particles) -> Particles:
    """In focus, without Cs, pure amplitude contrast: a CTF of 1."""
    flat = replace(particles, defocus=particles.defocus * 0, phase_shift=particles.phase_shift * 0)
    return _optics(flat, amplitude_contrast=1.0, spherical_aberration=0.0)


def _inverse(particles: Particles) -> Particles:
    rotations = Rotation.from_euler("ZYZ", particles.angles, degrees=True).inv()
    return replace(particles, angles=rotations.as_euler("ZYZ", degrees=True))


def _pixel(particles: Particles) -> float:
    return particles.optics[0].pixel_size


def _nearest(steps: tuple[float, ...], factor: float) -> float:
    """Return the step of a scan that comes nearest to a factor."""
    return min(steps, key=lambda step: abs(step - factor))


def _image_cases() -> Iterator[Case]:
    turned = ("orientation",)
    rows = ("rows",)
    shuffle = np.random.default_rng(7)
    yield Case("none", "sim", ("pairs agree",), ())
    yield Case("contrast", "sim", ("contrast is inverted",), ("contrast",), images=lambda s: -s)
    yield Case("flip y", "sim", ("y-flipped",), turned, images=lambda s: s[:, ::-1])
    yield Case("flip x", "sim", ("x-flipped",), turned, images=lambda s: s[:, :, ::-1])
    yield Case(
        "flip y and contrast",
        "sim",
        ("y-flipped between sim and raw, and of inv",),
        turned,
        images=lambda s: -s[:, ::-1],
    )
    yield Case("transposed", "sim", ("transposed",), turned, images=lambda s: s.transpose(0, 2, 1))
    yield Case("turned by 180 degrees", "sim", ("rotate 180",), turned, images=lambda s: s[:, ::-1, ::-1])
    yield Case(
        "turned by 90 degrees",
        "sim",
        ("rotate 90", "rotate 270"),
        turned,
        images=lambda s: np.rot90(s, axes=(1, 2)),
    )
    yield Case("rows late by one", "sim", ("i + 1",), rows, images=lambda s: np.roll(s, 1, axis=0))
    yield Case("rows early by one", "sim", ("i - 1",), rows, images=lambda s: np.roll(s, -1, axis=0))
    yield Case("rows reversed", "sim", ("reversed",), rows, images=lambda s: s[::-1])
    yield Case("rows shuffled", "sim", ("shuffled",), rows, images=lambda s: s[shuffle.permutation(len(s))])
    for factor in (0.5, 0.9, 0.95, 1.05, 1.1, 2.0):
        yield Case(
            f"pixel size of the map x {factor:g}",
            "sim",
            (f"magnified {_nearest(pixel_size.FACTORS, 1 / factor):g} times",),
            ("pixel size",),
            magnify=factor,
            nearly="pixel sizes differ",
        )


def _table_cases() -> Iterator[Case]:
    for where in ("sim", "both"):
        shift, optics = ("shift",), ("defocus", "CTF", "CTF and defocus")
        power = ("CTF", "CTF and defocus")
        nearly = "does not have the defocus" if where == "sim" else "defocus of the metadata"
        inverse = "sim shows the inverse" if where == "sim" else "hold the inverse"
        yield Case("shift sign", where, ("wrong sign",), shift, _shift(-1))
        yield Case("shift in A taken as px", where, ("A and px exchanged",), shift, _shift(_pixel))
        yield Case(
            "shift in px taken as A", where, ("A and px exchanged",), shift, _shift(lambda p: 1 / _pixel(p))
        )
        yield Case("shift by a pixel size twice as large", where, ("another pixel size",), shift, _shift(2))
        yield Case("shift by a pixel size half as large", where, ("another pixel size",), shift, _shift(0.5))
        yield Case("shift missing", where, ("no effect",), shift, _shift(0))
        yield Case("shift sign along y", where, ("along y",), shift, _shift(np.array([1, -1])))
        yield Case(
            "shift x and y exchanged",
            where,
            ("exchanged",),
            shift,
            lambda p: replace(p, shift=p.shift[:, ::-1].copy()),
        )
        yield Case("pose inverse", where, (inverse,), ("pose",), _inverse)
        yield Case("CTF missing", where, ("no CTF",), power, _no_ctf)
        other = ("CTF once", "CTF twice", "once more", "premultiplied")
        yield Case(
            "CTF premultiplied or not",
            where,
            other,
            power,
            lambda p: _optics(p, premultiplied=lambda o: not o.premultiplied),
        )
        for factor in (0.1, 0.5, 0.9, 1.1, 2.0, -1.0):
            times = f"about {factor:g} times it"
            if where == "both":
                times = f"multiplied by {_nearest(defocus.FACTORS, 1 / factor):g} to fit"
            if where == "both" and factor < 0:
                times = "defocus has the wrong sign"
            name = "defocus sign" if factor < 0 else f"defocus x {factor:g}"
            none = ("small fraction of the claimed defocus",) if (where, factor) == ("sim", 0.1) else ()
            yield Case(name, where, (times, *none), optics, _defocus(factor), nearly=nearly)
    yield Case("CTF sign", "sim", ("contrast is inverted",), ("contrast",), images=lambda s: -s)


def _phase_cases() -> Iterator[Case]:
    def radians(particles: Particles) -> Particles:
        return replace(particles, phase_shift=np.deg2rad(particles.phase_shift))

    yield Case("none", "sim", ("pairs agree",), ())
    yield Case("phase shift in radians", "sim", ("phase shift",), ("phase shift",), radians)
    yield Case("phase shift in radians", "both", ("phase shift", "radians"), ("phase shift",), radians)


def _simulate(case: Case, right: Particles, volume: Path, folder: Path) -> tuple[Path, Particles]:
    """Make the simulated stack with its mistake; returns its metadata, and the table for raw."""
    wrong = right if case.table is None else case.table(right)
    claimed = wrong if case.where == "both" else right
    with mrcfile.open(volume, header_only=True) as file:
        voxel = float(file.voxel_size.x)
    specimen = DensityMap(volume, pixel_size=voxel * case.magnify)
    star = simulate_particles(wrong, specimen, folder, overwrite=True, progress=False)
    if case.images is not None:
        with mrcfile.open(folder / "sim.mrcs", mode="r+") as file:
            file.set_data(np.ascontiguousarray(case.images(file.data.copy())).astype(np.float32))
    names = np.array([f"{row + 1:06d}@sim.mrcs" for row in range(len(right))])
    write_particles(
        star, claimed, image_names=names, original_names=right.image_name, box=right.optics[0].box_size
    )
    return star, claimed


def _judged(case: Case, verdict: Conclusion) -> str:
    among = ", among others" if verdict.alternatives else ""
    if verdict.outcome in {"agree", "wrong"} and any(text in verdict.line for text in case.expected):
        return f"right{among}"
    if verdict.outcome == "wrong" and case.nearly is not None and case.nearly in verdict.line:
        return f"right, but for the factor{among}"
    if verdict.outcome in {"undecided", "no relation"}:
        return "undecided"
    if verdict.outcome == "agree" and set(case.family) & set(verdict.undecidable):
        return "not excluded, with the reason"
    return "WRONG"


def _phase_plate(data: Path, work: Path) -> Path:
    """Put krios_bgal behind a phase plate of 90 degrees: its signal exchanged, its noise kept."""
    raw = read_particles(data / "krios_bgal" / "particles.star")
    plate = replace(raw, phase_shift=np.full(len(raw), 90.0))
    stacks = []
    for name, table in (("plain", raw), ("plate", plate)):
        specimen = DensityMap(data / "krios_bgal" / "reference.mrc")
        star = simulate_particles(table, specimen, work / name, overwrite=True, progress=False)
        stacks.append(mrcfile.read(star.with_name("sim.mrcs")))
    measured = mrcfile.read(data / "krios_bgal" / "particles.mrcs").astype(np.float32)
    scale = float(
        (measured * (stacks[0] - stacks[0].mean())).sum() / np.square(stacks[0] - stacks[0].mean()).sum()
    )
    folder = work / "krios_plate"
    folder.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(folder / "particles.mrcs", overwrite=True) as file:
        file.set_data((measured + scale * (stacks[1] - stacks[0])).astype(np.float32))
        file.voxel_size = raw.optics[0].pixel_size
        file.set_image_stack()
    write_particles(folder / "particles.star", plate, box=raw.optics[0].box_size)
    shutil.copy(data / "krios_bgal" / "reference.mrc", folder / "reference.mrc")
    return folder


def _row(name: str, case: Case, count: int, paths: tuple[Path, Path, Path]) -> dict[str, Any]:
    """Audit one case with about `count` pairs."""
    start = time.perf_counter()
    star, raw, root = paths
    sample = read_sample(star, raw, root=root, count=count)
    verdict = conclude(check_pairs(sample))
    left = [f"{family} ({reason})" for family, reason in verdict.undecidable.items() if family in case.family]
    values = (
        name, len(sample.sims), case.name, case.where, verdict.outcome, _judged(case, verdict), verdict.line,
        "; ".join(left), f"{time.perf_counter() - start:.1f}",
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def main(data: Path, work: Path, name: str, only: str = "") -> None:
    """Run every case on one set of data, and write them down."""
    torch.set_num_threads(1)
    plate = name == "krios_plate"
    folder = _phase_plate(data, work) if plate else data / name
    cases = list(_phase_cases()) if plate else [*_image_cases(), *_table_cases()]
    right = read_particles(folder / "particles.star")
    rows = []
    for case in cases:
        if only not in case.name or ("shift" in case.family and not right.shift.any()):
            continue
        star, claimed = _simulate(case, right, folder / "reference.mrc", work / f"{name}_case")
        raw = work / f"{name}_raw.star"
        write_particles(raw, claimed, box=right.optics[0].box_size)
        for count in SAMPLES[name]:
            if count == 0 and rows[-1]["judged"].startswith("right"):
                continue  # all pairs only where a few do not tell
            rows.append(_row(name, case, count, (star, raw, folder)))
            print(*(rows[-1][column] for column in COLUMNS), sep=" | ", flush=True)
    write(rows, order=list(SAMPLES))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
