"""Beam tilt, odd Zernikes and magnification matrices against RELION as it undoes them.

``relion_reconstruct`` corrects for all aberrations. With ``--subtract`` it takes from each image the view
that it expects, so that the residual map measures how well our images agree with RELION's model: 1e-4 of the
map or less.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import mrcfile
import numpy as np
import pytest

from cryoalign.io.relion import read_particles, write_particles
from tests.agreement.conftest import run_relion
from tests.agreement.test_aberrations import EVEN, MATRIX, magnified_ctf_only, with_optics
from tests.agreement.test_relion_project import GLACIOS, compare, simulate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.particles import Optics, Particles

    Images = NDArray[np.float32]

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]

ODD = (3.0, -2, 20, 10, -15, -30)
TILT = (1.5, -1.0)


class Reconstruct(Protocol):
    """Reconstruct images from metadata that may differ from those of their making."""

    def __call__(
        self, images: Images, stated: Particles, pixel_size: float, subtract: Images | None = None
    ) -> Images: ...


@pytest.fixture
def reconstruct(tmp_path: Path) -> Reconstruct:
    def call(images: Images, stated: Particles, pixel_size: float, subtract: Images | None = None) -> Images:
        with mrcfile.new(tmp_path / "images.mrcs", images, overwrite=True) as stack:
            stack.set_image_stack()
            stack.voxel_size = pixel_size
        names = [f"{i + 1:06d}@images.mrcs" for i in range(len(stated))]
        write_particles(tmp_path / "in.star", stated, image_names=names, box=images.shape[-1])
        options: tuple[str, ...] = ("--ctf", "--skip_gridding")
        if subtract is not None:
            mrcfile.write(tmp_path / "map.mrc", subtract, voxel_size=pixel_size, overwrite=True)
            options += ("--subtract", "map.mrc")
        run_relion("relion_reconstruct", "--i", "in.star", "--o", "out.mrc", *options, cwd=tmp_path)
        return mrcfile.read(tmp_path / "out.mrc")

    return call


def correlation(a: Images, b: Images) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_beam_tilt_is_undone_by_relion(
    reconstruct: Reconstruct, make_phantom: Any, make_particles: Any
) -> None:
    """Stated, the tilt leaves no trace; stated with the opposite sign, or not at all, it does."""
    volume, plain, size = make_phantom(64), make_particles(60, GLACIOS), GLACIOS.pixel_size
    untilted = reconstruct(simulate(plain, volume, size), plain, size)
    images = simulate(with_optics(plain, beam_tilt=TILT), volume, size)
    stated = reconstruct(images, with_optics(plain, beam_tilt=TILT), size)
    opposite = reconstruct(images, with_optics(plain, beam_tilt=(-TILT[0], -TILT[1])), size)
    unstated = reconstruct(images, plain, size)
    assert correlation(stated, untilted) > 0.99999
    assert correlation(unstated, untilted) < 0.97
    assert correlation(opposite, untilted) < 0.9


CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "beam tilt": {"beam_tilt": TILT},
    "odd Zernikes": {"odd_zernike": ODD},
    # RELION 3.1.3 ignores the coefficients of coma, 4th and 5th, beside a beam tilt; its files hold zeros.
    "beam tilt and odd Zernikes": {"beam_tilt": TILT, "odd_zernike": (*ODD[:3], 0.0, 0.0, ODD[5])},
    "magnification": {"magnification": MATRIX},
    "all": {
        "beam_tilt": TILT,
        "odd_zernike": (*ODD[:3], 0.0, 0.0, ODD[5]),
        "even_zernike": EVEN,
        "magnification": MATRIX,
    },
}  # fmt: skip


@pytest.mark.parametrize(("case", "box"), [*((case, 64) for case in CASES), ("all", 128)])
def test_images_are_what_relion_expects(
    reconstruct: Reconstruct, make_phantom: Any, make_particles: Any, case: str, box: int
) -> None:
    volume, plain, size = make_phantom(box), make_particles(16, GLACIOS), GLACIOS.pixel_size
    stated = with_optics(plain, **CASES[case])
    images = simulate(stated, volume, size)
    whole = np.linalg.norm(reconstruct(images, stated, size))

    def residual(particles: Particles) -> float:
        return float(np.linalg.norm(reconstruct(images, particles, size, volume)) / whole)

    assert residual(stated) < 3e-4
    for name in CASES[case] if box == 64 else ():
        for wrong in (getattr(GLACIOS, name), negated(stated.optics[0], name)):
            assert residual(with_optics(stated, **{name: wrong})) > 0.03, name


def negated(group: Optics, name: str) -> tuple[float, ...]:
    """Return values of the opposite sign; for the matrix, its inverse."""
    values = getattr(group, name)
    if name == "magnification":
        return tuple(np.linalg.inv(np.reshape(values, (2, 2))).ravel().tolist())
    return tuple(-value for value in values)


def test_premultiplied_images_have_the_odd_phase_once(
    reconstruct: Reconstruct, make_phantom: Any, make_particles: Any
) -> None:
    volume, size = make_phantom(64), GLACIOS.pixel_size
    plain = with_optics(make_particles(60, GLACIOS), premultiplied=True)
    stated = with_optics(plain, beam_tilt=TILT)
    straight = reconstruct(simulate(plain, volume, size), plain, size)
    images = simulate(stated, volume, size)
    assert correlation(reconstruct(images, stated, size), straight) > 0.99999
    twice = simulate(with_optics(stated, beam_tilt=(2 * TILT[0], 2 * TILT[1])), volume, size)
    assert correlation(reconstruct(twice, stated, size), straight) < 0.97


@pytest.fixture(scope="module")
def six_groups(shared_data: Path) -> Particles:
    """Four particles of each of the six groups, in a box of 96 px instead of 196 px."""
    everything = read_particles(shared_data / "formats" / "relion31.6opticsgroups.star")
    rows = [np.flatnonzero(everything.optics_index == group)[:4] for group in range(6)]
    some = everything.take(np.concatenate(rows))
    assert min(map(len, rows)) > 1
    return with_optics(replace(some, shift=some.shift / 4), box_size=96)


@pytest.mark.realdata
@pytest.mark.parametrize("pixel_size", [1.24, 1.25])
def test_real_optics(
    six_groups: Particles,
    relion_project: Any,
    reconstruct: Reconstruct,
    make_phantom: Any,
    pixel_size: float,
) -> None:
    """The groups of one pixel size, against relion_project without and relion_reconstruct with odd terms."""
    rows = np.flatnonzero(six_groups.optics_column("pixel_size") == pixel_size)
    volume, some = make_phantom(96), six_groups.take(rows)
    even = with_optics(some, beam_tilt=(0.0, 0.0), odd_zernike=())
    even, theirs = relion_project(even, volume, pixel_size)
    worst, residual = compare(magnified_ctf_only(even, volume, pixel_size), theirs)
    assert worst > 0.999999
    assert residual < 5e-4

    images = simulate(some, volume, pixel_size)
    whole = np.linalg.norm(reconstruct(images, some, pixel_size))
    assert np.linalg.norm(reconstruct(images, some, pixel_size, volume)) < 3e-4 * whole
    assert np.linalg.norm(reconstruct(images, even, pixel_size, volume)) > 3e-3 * whole
