"""Views and defocus are counted where they are, in cells of one area."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.stats import chi2

from cryoalign.figures.views import FEW, Conditions, ViewBins, directions, draw_defocus, draw_views
from cryoalign.physics.rotation import euler_to_matrix
from cryoalign.population.blocks import Block
from cryoalign.population.poses import Cone, Uniform


def drawn(poses: Cone | Uniform, blocks: int = 4) -> np.ndarray:
    """Poses as `simulate like=` draws them."""
    return np.concatenate([poses.draw(Block(1, number), SimpleNamespace()) for number in range(blocks)])


def counted(angles: np.ndarray, rings: int = 12, defocus: np.ndarray | None = None) -> Conditions:
    found = Conditions(ViewBins(rings), len(angles))
    for part in np.array_split(np.arange(len(angles)), 3):
        lens = np.zeros((len(part), 3)) if defocus is None else defocus[part]
        found.add(angles[part], lens, np.ones(len(part), dtype=bool))
    return found


def significance(found: Conditions) -> float:
    expected = found.views / len(found.bins)
    return float(chi2.sf(((found.counts - expected) ** 2 / expected).sum(), len(found.bins) - 1))


def test_directions_are_the_beam_whatever_the_angles() -> None:
    angles = np.random.default_rng(0).uniform(-400, 400, (200, 3))
    beam = euler_to_matrix(torch.from_numpy(angles))[:, :, 2].numpy()
    longitude, height = directions(angles)
    flat = np.sqrt(1 - height**2)
    np.testing.assert_allclose(
        np.column_stack([flat * np.cos(longitude), flat * np.sin(longitude), height]), beam, atol=1e-12
    )


@pytest.mark.parametrize("rings", [6, 11, 18])
def test_cells_have_one_area(rings: int) -> None:
    bins = ViewBins(rings)
    np.testing.assert_allclose(np.diff(bins.heights) / bins.cells, 2 / len(bins))
    assert (bins.heights[0], bins.heights[-1]) == (-1, 1)
    assert len(bins) == bins.cells.sum()


def test_uniform_poses_are_flat_and_others_are_not() -> None:
    assert significance(counted(drawn(Uniform()))) > 0.01
    wrong = drawn(Uniform())
    wrong[:, 1] = np.random.default_rng(0).uniform(0, 180, len(wrong))  # uniform in tilt crowds the poles
    assert significance(counted(wrong)) < 1e-6


def test_views_along_z_are_at_the_pole_and_those_about_x_in_the_middle() -> None:
    top = counted(np.array([[123.0, 0.0, 45.0], [0.0, 0.1, 0.0]]))
    assert top.bins.ring(11, top.counts).sum() == 2
    bottom = counted(np.array([[10.0, 180.0, 0.0]]))
    assert bottom.bins.ring(0, bottom.counts).sum() == 1
    found = counted(drawn(Cone(axis=(1.0, 0.0, 0.0), angle=10.0), 1))
    for ring in range(12):
        cells = found.bins.ring(ring, found.counts)
        middle = np.abs((np.arange(len(cells)) + 0.5) / len(cells) - 0.5) < 0.1
        assert cells[~middle].sum() == 0
        assert (cells.sum() > 0) == (ring in {5, 6})
    assert found.counts.sum() == 1000


def test_the_map_shows_the_counts_where_they_are() -> None:
    found = counted(drawn(Cone(axis=(0.0, 1.0, 0.0), angle=15.0), 1))
    axes = Figure().add_subplot(projection="mollweide")
    draw_views(axes, "sim", found, 3.0)
    values = [mesh.get_array()[0] for mesh in axes.collections]
    np.testing.assert_array_equal(np.concatenate(values), found.density)
    assert {mesh.get_clim() for mesh in axes.collections} == {(0.0, 3.0)}
    ring = int(np.argmax([part.max() for part in values]))
    corners = axes.collections[ring].get_coordinates()[0, :, 0]
    place = int(np.argmax(values[ring]))
    assert corners[place] <= np.pi / 2 <= corners[place + 1]  # y is a quarter of a turn from x


def test_few_views_are_points_and_images_without_a_particle_have_none() -> None:
    angles = drawn(Uniform(), 1)[: FEW - 1]
    found = Conditions(ViewBins(6), len(angles))
    found.add(angles, np.full((len(angles), 3), 1e4), np.arange(len(angles)) > 8)
    assert (found.views, found.images) == (FEW - 10, FEW - 1)
    axes = Figure().add_subplot(projection="mollweide")
    assert draw_views(axes, "raw", found, 2.0) is None
    assert len(axes.collections[0].get_offsets()) == FEW - 10


def test_defocus_is_counted_in_bars_of_all_kinds() -> None:
    rng = np.random.default_rng(0)
    u = rng.uniform(8000, 20000, 400)
    sim = counted(drawn(Uniform(), 1)[:400], defocus=np.column_stack([u, u - 500, 0 * u]))
    raw = counted(drawn(Uniform(), 1)[:100], defocus=np.tile([[15000.0, 15000.0, 0.0]], (100, 1)))
    axes = Figure().add_subplot()
    draw_defocus(axes, {"sim": sim, "raw": raw})
    (shares, edges, _), (other, same, _) = (patch.get_data() for patch in axes.patches)
    np.testing.assert_array_equal(edges, same)
    assert shares.sum() == pytest.approx(100)
    expected, _ = np.histogram((u - 250) / 1e4, edges)
    np.testing.assert_allclose(shares, expected / 4, atol=1.0)  # what lies at an edge of 10 A
    assert other.max() == pytest.approx(100)
    assert edges[np.argmax(other)] <= 1.5 <= edges[np.argmax(other) + 1]
