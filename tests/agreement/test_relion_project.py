"""`cryoalign.simulate` against ``relion_project``: the same map, poses and CTF have to give the same
images.

The limits are the project's: each image correlates at least 0.9995 with RELION's, and under one scale for the
whole set the relative RMS residual is at most 3 %. What was measured is far better (a residual of 1e-5 on the
phantoms, and of 1e-3 on real maps, all of it at |k| = Nyquist, which rounding in RELION keeps or drops), and
is held too.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.io.relion import read_particles
from cryoalign.particles import Optics
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

    Images = NDArray[np.float32]
    Seeded = tuple[Particles, Images, Images]
    Krios = tuple[Particles, Path, Images]

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_project") is None, reason="RELION is not installed"),
]

CORRELATION, RESIDUAL = 0.9995, 0.03
GLACIOS = Optics(1, "glacios", pixel_size=1.2, voltage=200, spherical_aberration=2.7, amplitude_contrast=0.1)


def compare(ours: Images, theirs: Images) -> tuple[float, float]:
    """Worst correlation of an image with its counterpart; relative RMS residual under one scale for all."""
    worst = min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True))
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    residual = b - a * (np.vdot(a, b) / np.vdot(a, a))
    return float(worst), float(np.linalg.norm(residual) / np.linalg.norm(b))


def agrees(ours: Images, theirs: Images) -> bool:
    worst, residual = compare(ours, theirs)
    return worst >= CORRELATION and residual <= RESIDUAL


def simulate(particles: Particles, volume: Images, pixel_size: float, **options: Any) -> Images:
    simulator = WeakPhase(
        torch.from_numpy(volume.copy()), pixel_size=pixel_size, **{"box": len(volume)} | options
    )
    blocks = [
        simulator(particles, rows)
        for rows in np.array_split(np.arange(len(particles)), len(particles) // 16 + 1)
    ]
    return torch.cat(blocks).numpy()


@pytest.fixture(scope="module")
def seeded(relion_project: Any, make_phantom: Any, make_particles: Any) -> Seeded:
    """Particles, map and RELION's images: 200 kV, 128 px."""
    volume = make_phantom(128)
    particles, theirs = relion_project(make_particles(32, GLACIOS), volume, GLACIOS.pixel_size)
    return particles, volume, theirs


def test_seeded_set(seeded: Seeded) -> None:
    particles, volume, theirs = seeded
    ours = simulate(particles, volume, GLACIOS.pixel_size)
    assert agrees(ours, theirs)
    worst, residual = compare(ours, theirs)
    assert worst > 0.999999
    assert residual < 5e-4
    grey = np.vdot(ours, theirs) / np.vdot(ours, ours)
    assert grey == pytest.approx(1, abs=1e-3)


def shifted(particles: Particles) -> Particles:
    return replace(
        particles, shift=particles.shift + np.array([0.1, 0]) * particles.optics_column("pixel_size")[:, None]
    )


def without_astigmatism(particles: Particles) -> Particles:
    mean = particles.defocus[:, :2].mean(axis=1)
    return replace(particles, defocus=np.stack([mean, mean, particles.defocus[:, 2]], axis=1))


def mirrored_astigmatism(particles: Particles) -> Particles:
    return replace(particles, defocus=particles.defocus * np.array([1, 1, -1]))


def amplitude_contrast_off(difference: float) -> Callable[[Particles], Particles]:
    def change(particles: Particles) -> Particles:
        groups = [replace(g, amplitude_contrast=g.amplitude_contrast + difference) for g in particles.optics]
        return replace(particles, optics=tuple(groups))

    return change


MISTAKES = {
    "shift of 0.1 px": shifted,
    "no astigmatism": without_astigmatism,
    "astigmatism angle negated": mirrored_astigmatism,
    "amplitude contrast + 0.03": amplitude_contrast_off(0.03),
    "amplitude contrast - 0.03": amplitude_contrast_off(-0.03),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_small_mistakes_fail_on_the_seeded_set(seeded: Seeded, mistake: str) -> None:
    particles, volume, theirs = seeded
    assert not agrees(simulate(MISTAKES[mistake](particles), volume, GLACIOS.pixel_size), theirs)


@pytest.fixture(scope="module")
def krios(shared_data: Path, relion_project: Any) -> Krios:
    """Particles, path of the map and RELION's images: beta-galactosidase, 300 kV, 128 px."""
    folder = shared_data / "krios_bgal"
    some = read_particles(folder / "particles.star").take(np.arange(0, 720, 24))
    volume = mrcfile.read(folder / "reference.mrc")
    particles, theirs = relion_project(some, volume, some.optics[0].pixel_size)
    return particles, folder / "reference.mrc", theirs


@pytest.mark.realdata
def test_krios_bgal_through_files(krios: Krios, tmp_path: Path) -> None:
    particles, volume, theirs = krios
    star = simulate_particles(particles, DensityMap(volume), tmp_path / "sim", progress=False, batch_size=7)
    ours = mrcfile.read(star.with_suffix(".mrcs"))
    assert agrees(ours, theirs)
    worst, residual = compare(ours, theirs)
    assert worst > 0.9999
    assert residual < 0.003


@pytest.mark.realdata
@pytest.mark.parametrize("mistake", MISTAKES)
def test_small_mistakes_fail_on_krios_bgal(krios: Krios, mistake: str) -> None:
    particles, volume, theirs = krios
    pixel_size = particles.optics[0].pixel_size
    assert not agrees(simulate(MISTAKES[mistake](particles), mrcfile.read(volume), pixel_size), theirs)


@pytest.mark.realdata
def test_premultiplied_ribosome(shared_data: Path, relion_project: Any) -> None:
    folder = shared_data / "ribosome_10499"
    some = read_particles(folder / "particles.star").take(np.arange(0, 1430, 30))
    volume, pixel_size = mrcfile.read(folder / "reference.mrc"), some.optics[0].pixel_size
    particles, theirs = relion_project(some, volume, pixel_size, "--ctf2")
    assert particles.optics[0].premultiplied
    assert agrees(simulate(particles, volume, pixel_size), theirs)
    once = replace(particles, optics=tuple(replace(g, premultiplied=False) for g in particles.optics))
    assert not agrees(simulate(once, volume, pixel_size), theirs)


def test_premultiplied(relion_project: Any, make_phantom: Any, make_particles: Any) -> None:
    volume, optics = make_phantom(64), replace(GLACIOS, premultiplied=True)
    particles, theirs = relion_project(make_particles(12, optics), volume, optics.pixel_size, "--ctf2")
    assert agrees(simulate(particles, volume, optics.pixel_size), theirs)


@pytest.mark.parametrize(("box", "count"), [(64, 24), (256, 4)])
def test_other_boxes(
    box: int, count: int, relion_project: Any, make_phantom: Any, make_particles: Any
) -> None:
    volume = make_phantom(box)
    particles, theirs = relion_project(make_particles(count, GLACIOS, seed=box), volume, GLACIOS.pixel_size)
    worst, residual = compare(simulate(particles, volume, GLACIOS.pixel_size), theirs)
    assert worst > 0.999999
    assert residual < 5e-4


def test_phase_shift_bfactor_and_scale(relion_project: Any, make_phantom: Any, make_particles: Any) -> None:
    volume, rng = make_phantom(64), np.random.default_rng(5)
    extra = {
        "phase_shift": rng.uniform(20, 120, 16),
        "ctf_bfactor": rng.uniform(20, 80, 16),
        "ctf_scale": rng.uniform(0.5, 1.5, 16),
    }
    particles, theirs = relion_project(
        replace(make_particles(16, GLACIOS), **extra), volume, GLACIOS.pixel_size
    )
    assert agrees(simulate(particles, volume, GLACIOS.pixel_size), theirs)
    for name, none in {"phase_shift": 0.0, "ctf_bfactor": 0.0, "ctf_scale": 1.0}.items():
        without = replace(particles, **{name: np.full(16, none)})
        assert not agrees(simulate(without, volume, GLACIOS.pixel_size), theirs), name


def test_each_row_uses_its_optics_group(relion_project: Any, make_phantom: Any, make_particles: Any) -> None:
    krios = replace(
        GLACIOS, group=2, name="krios", voltage=300, spherical_aberration=0.01, amplitude_contrast=0.07
    )
    volume = make_phantom(64)
    particles, theirs = relion_project(make_particles(16, GLACIOS, krios), volume, GLACIOS.pixel_size)
    assert len(particles.optics) == 2
    assert agrees(simulate(particles, volume, GLACIOS.pixel_size), theirs)


def test_a_map_of_another_pixel_size(
    relion_project: Any, relion_rescale: Any, make_phantom: Any, make_particles: Any
) -> None:
    """RELION resamples 1.2 A / 128 voxels to 1.6 A / 96 voxels first; we take the map as it is."""
    volume, coarse = make_phantom(128), replace(GLACIOS, pixel_size=1.6)
    rescaled = relion_rescale(volume, GLACIOS.pixel_size, coarse.pixel_size)
    assert rescaled.shape == (96, 96, 96)
    particles, theirs = relion_project(make_particles(16, coarse), rescaled, coarse.pixel_size)
    ours = simulate(particles, volume, GLACIOS.pixel_size, box=96, image_pixel_size=coarse.pixel_size)
    assert agrees(ours, theirs)
    assert np.vdot(ours, theirs) / np.vdot(ours, ours) == pytest.approx(1, abs=1e-3)
