"""Even aberrations and magnification matrices against RELION as it projects.

``relion_project`` knows even Zernikes, and puts the magnification matrix into the CTF only; it leaves the
projection unmagnified and ignores beam tilt and odd Zernikes, for which see ``test_odd_aberrations.py``.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from cryoalign.simulate.weak_phase import WeakPhase
from tests.agreement.test_relion_project import GLACIOS, agrees, compare, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.physics.projection import Projector

    Images = NDArray[np.float32]
    Seeded = tuple[Particles, Images, Images]

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_project") is None, reason="RELION is not installed"),
]

EVEN = (1.0, 2, 3, 4, 100, -80, 60, 90, -70)
MATRIX = (1.03, 0.012, -0.02, 0.96)


def with_optics(particles: Particles, **values: Any) -> Particles:
    return replace(particles, optics=tuple(replace(group, **values) for group in particles.optics))


def in_ctf(particles: Particles) -> Particles:
    """Return all that relion_project puts into the CTF, different in each of two groups."""
    rng, count = np.random.default_rng(5), len(particles)
    first, second = particles.optics
    optics = (replace(first, even_zernike=EVEN), replace(second, even_zernike=(-2.0, 30, -10, 20)))
    return replace(
        particles,
        optics=optics,
        phase_shift=rng.uniform(20, 120, count),
        ctf_bfactor=rng.uniform(20, 80, count),
        ctf_scale=rng.uniform(0.5, 1.5, count),
    )


KRIOS = replace(GLACIOS, group=2, name="krios", voltage=300)


@pytest.fixture(scope="module")
def seeded(relion_project: Any, make_phantom: Any, make_particles: Any) -> Seeded:
    volume = make_phantom(128)
    particles, theirs = relion_project(in_ctf(make_particles(24, GLACIOS, KRIOS)), volume, GLACIOS.pixel_size)
    return particles, volume, theirs


def test_even_zernikes_phase_shift_bfactor_and_scale(seeded: Seeded) -> None:
    particles, volume, theirs = seeded
    ours = simulate(particles, volume, GLACIOS.pixel_size)
    assert agrees(ours, theirs)
    worst, residual = compare(ours, theirs)
    assert worst > 0.999999
    assert residual < 5e-4
    assert np.vdot(ours, theirs) / np.vdot(ours, ours) == pytest.approx(1, abs=1e-3)


def even_times(factor: float) -> Callable[[Particles], Particles]:
    def change(particles: Particles) -> Particles:
        groups = (
            replace(g, even_zernike=tuple(factor * value for value in g.even_zernike))
            for g in particles.optics
        )
        return replace(particles, optics=tuple(groups))

    return change


MISTAKES: dict[str, Callable[[Particles], Particles]] = {
    "no even Zernikes": even_times(0),
    "even Zernikes negated": even_times(-1),
    "even Zernikes of the other group": lambda p: replace(
        p,
        optics=tuple(
            replace(a, even_zernike=b.even_zernike) for a, b in zip(p.optics, p.optics[::-1], strict=True)
        ),
    ),
    "no phase shift": lambda p: replace(p, phase_shift=0 * p.phase_shift),
    "phase shift negated": lambda p: replace(p, phase_shift=-p.phase_shift),
    "no B-factor": lambda p: replace(p, ctf_bfactor=0 * p.ctf_bfactor),
    "B-factor negated": lambda p: replace(p, ctf_bfactor=-p.ctf_bfactor),
    "no scale": lambda p: replace(p, ctf_scale=np.ones(len(p))),
    "scale negated": lambda p: replace(p, ctf_scale=-p.ctf_scale),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_ctf_fail(seeded: Seeded, mistake: str) -> None:
    particles, volume, theirs = seeded
    assert not agrees(simulate(MISTAKES[mistake](particles), volume, GLACIOS.pixel_size), theirs)


class Unmagnified:
    """A projector that ignores the matrix, as that of relion_project does."""

    def __init__(self, projector: Projector) -> None:
        self.projector, self.device = projector, projector.device

    def slices(self, rotations: Tensor, pixel_ratio: Tensor, _: Tensor | None) -> Tensor:
        return self.projector.slices(rotations, pixel_ratio)


def magnified_ctf_only(particles: Particles, volume: Images, pixel_size: float) -> Images:
    simulator: Any = WeakPhase(torch.from_numpy(volume.copy()), pixel_size=pixel_size, box=len(volume))
    simulator.projector = Unmagnified(simulator.projector)
    return simulator(particles).numpy()


MATRICES = {
    "none": np.eye(2),
    "inverse": np.linalg.inv(np.reshape(MATRIX, (2, 2))),
    "transposed": np.reshape(MATRIX, (2, 2)).T,
}


@pytest.mark.parametrize(("box", "count"), [(64, 16), (128, 8)])
def test_magnification_of_the_ctf(
    relion_project: Any, make_phantom: Any, make_particles: Any, box: int, count: int
) -> None:
    volume, size = make_phantom(box), GLACIOS.pixel_size
    some = with_optics(in_ctf(make_particles(count, GLACIOS, KRIOS)), magnification=MATRIX)
    particles, theirs = relion_project(some, volume, size)
    worst, residual = compare(magnified_ctf_only(particles, volume, size), theirs)
    assert worst > 0.999999
    assert residual < 5e-4
    for name, matrix in MATRICES.items():
        wrong = with_optics(particles, magnification=tuple(matrix.ravel().tolist()))
        assert not agrees(magnified_ctf_only(wrong, volume, size), theirs), name
