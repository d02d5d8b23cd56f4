"""Poses have the distribution that is said, by tests that tell sabotaged samplers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chisquare, ks_2samp, kstest, maxwell

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.write import write_table
from cryoalign.population.blocks import SIZE, Block, Purpose
from cryoalign.population.poses import Cone, FromFile, Like, Uniform
from tests.population.measured import measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

LIKE = measured()
AXES = Rotation.random(6, random_state=1)


def rotations(draw: Callable[[Block, Particles], NDArray[np.float64]], blocks: int = 8) -> Rotation:
    angles = np.concatenate([draw(Block(5, number), LIKE) for number in range(blocks)])
    return Rotation.from_euler("ZYZ", angles, degrees=True)


def heights(turned: Rotation) -> list[NDArray[np.float64]]:
    """Return the cosines between the view directions and some axes, and likewise of the image's x axis."""
    matrices = turned.as_matrix()
    return [matrices[:, :, column] @ axis for column in (2, 0) for axis in AXES.as_matrix()[:, :, 2]]


def angles_to(turned: Rotation) -> list[NDArray[np.float64]]:
    """Return the angles in rad between the rotations and some fixed ones."""
    return [(turned * axis.inv()).magnitude() for axis in AXES]


def least_uniform(turned: Rotation) -> float:
    """Return the least p of tests whose statistic has a known distribution under uniform rotations."""
    directions = [kstest(height, "uniform", (-1, 2)).pvalue for height in heights(turned)]
    # the angle of a uniform rotation has the density (1 - cos a) / pi
    turns = [kstest(angle, lambda a: (a - np.sin(a)) / np.pi).pvalue for angle in angles_to(turned)]
    return min(directions + turns)


def test_uniform() -> None:
    assert least_uniform(rotations(Uniform().draw)) > 1e-3


def _even_tilts(block: Block, _: Particles) -> NDArray[np.float64]:
    return block.uniform(Purpose.POSE)[:, :3] * [360, 180, 360]


def _psi_of_rot(block: Block, like: Particles) -> NDArray[np.float64]:
    angles = Uniform().draw(block, like)
    return np.column_stack([angles[:, :2], angles[:, 0]])


def _one_hemisphere(block: Block, like: Particles) -> NDArray[np.float64]:
    angles = Uniform().draw(block, like)
    return np.column_stack([angles[:, 0], np.minimum(angles[:, 1], 180 - angles[:, 1]), angles[:, 2]])


@pytest.mark.parametrize("sabotaged", [_even_tilts, _psi_of_rot, _one_hemisphere])
def test_sabotaged_uniform_poses_are_seen(
    sabotaged: Callable[[Block, Particles], NDArray[np.float64]],
) -> None:
    assert least_uniform(rotations(sabotaged)) < 1e-6


def least_like(turned: Rotation) -> float:
    """Return the least p of the rotations and the measured ones having one distribution."""
    known = Rotation.from_euler("ZYZ", LARGE.angles, degrees=True)
    pairs = [*zip(heights(turned), heights(known), strict=True)]
    pairs += zip(angles_to(turned), angles_to(known), strict=True)
    return min(float(ks_2samp(one, other).pvalue) for one, other in pairs)


LARGE = measured(4000)


def test_like_the_measured_ones() -> None:
    def draw(block: Block, _: Particles) -> NDArray[np.float64]:
        return Like(jitter=1).draw(block, LARGE)

    assert least_like(rotations(draw)) > 1e-3


@pytest.mark.parametrize("poses", [Uniform(), Like(jitter=20), Cone(angle=25)])
def test_sabotaged_like_poses_are_seen(poses: Uniform | Like | Cone) -> None:
    assert least_like(rotations(lambda block, _: poses.draw(block, LARGE))) < 1e-6


def test_without_jitter_each_is_a_measured_one_and_all_are_as_likely() -> None:
    angles = np.concatenate([Like(jitter=0).draw(Block(0, number), LIKE) for number in range(10)])
    of = {tuple(row): place for place, row in enumerate(LIKE.angles.tolist())}
    counts = np.bincount([of[tuple(row)] for row in angles.tolist()], minlength=len(LIKE))
    assert chisquare(counts).pvalue > 1e-3


def test_the_jitter_has_the_size_that_is_said() -> None:
    turn = rotations(Like(jitter=0).draw).inv() * rotations(Like(jitter=4).draw)
    assert kstest(np.rad2deg(turn.magnitude()), maxwell(scale=4).cdf).pvalue > 1e-3
    mean = turn.as_rotvec().mean(axis=0)
    assert np.abs(mean).max() < 5 * np.deg2rad(4) / np.sqrt(len(turn))


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0, -2), (1, -2, 0.5)])
def test_a_cone_is_filled_evenly(axis: tuple[float, float, float]) -> None:
    turned = rotations(Cone(axis=axis, angle=25).draw)
    view = turned.as_matrix()[:, :, 2]
    cosine = view @ np.array(axis) / np.linalg.norm(axis)
    least = np.cos(np.deg2rad(25))
    assert kstest(cosine, "uniform", (least, 1 - least)).pvalue > 1e-3
    across = np.linalg.svd(np.atleast_2d(axis))[2][1:]  # two directions across the axis
    azimuth = np.arctan2(*(view @ across.T).T)
    assert kstest(azimuth, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3
    # turned in their plane by any angle: the image's x axis, about the view
    first = np.cross(view, across[0])
    x = turned.as_matrix()[:, :, 0]
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    sine = np.einsum("ni,ni->n", np.cross(first, x), view)
    turn = np.arctan2(sine, np.einsum("ni,ni->n", first, x))
    assert kstest(turn, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3


def test_a_whole_sphere_is_a_cone() -> None:
    assert least_uniform(rotations(Cone(axis=(1, 1, 0), angle=180).draw)) > 1e-3


STAR = "data_views\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_note\n"


def test_those_of_a_star_file(tmp_path: Path) -> None:
    (tmp_path / "views.star").write_text(STAR + "".join(f"{i} {i / 2} {-i} x\n" for i in range(1500)))
    poses = FromFile(file=tmp_path / "views.star")
    poses.check(1500)
    assert poses.draw(Block(9, 1), LIKE)[:500, 1].tolist() == [i / 2 for i in range(SIZE, 1500)]
    with pytest.raises(InputError, match="fewer poses than particles") as refused:
        poses.check(1501)
    assert "1501 rows or more" in str(refused.value)
    assert "count=1500" in str(refused.value)


def test_those_of_a_cs_file(tmp_path: Path) -> None:
    wanted = Rotation.random(5, random_state=3)
    columns = {"uid": np.arange(5, dtype=np.uint64), "alignments3D/pose": wanted.as_rotvec()}
    write_table(tmp_path / "views.cs", columns)
    angles = FromFile(file=tmp_path / "views.cs").draw(Block(0, 0), LIKE)[:5]
    turned = Rotation.from_euler("ZYZ", angles, degrees=True).inv() * wanted
    assert turned.magnitude().max() < 1e-6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data_\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n1 2\n", "this file has no poses"),
        (STAR, "this file has no poses"),
        (STAR + "1 2 three x\n", "rlnAnglePsi is not a finite number"),
    ],
)
def test_files_without_poses_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "views.star").write_text(text)
    with pytest.raises(InputError, match=said):
        FromFile(file=tmp_path / "views.star").check(1)


@dataclass
class _Given:
    kind: type
    options: dict[str, object]
    said: str


@pytest.mark.parametrize(
    "given",
    [
        _Given(Like, {"jitter": -1}, "poses.jitter is out of range"),
        _Given(Cone, {"angle": 190}, "poses.angle is out of range"),
        _Given(Cone, {"axis": (0, 0, 0)}, "poses.axis is no direction"),
        _Given(Cone, {"axis": (0, 1)}, "poses.axis is no direction"),
    ],
)
def test_values_that_make_no_sense(given: _Given) -> None:
    with pytest.raises(InputError, match=given.said):
        given.kind(**given.options)
