"""The pictures of pairs: what is drawn where, on which scale."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

from cryoalign.figures.low_pass import low_pass
from cryoalign.figures.panels import panels
from tests.figures.labels import assert_nothing_cut

PIXEL_SIZE = 3.54
BOX = 32


@pytest.fixture
def stacks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(offset, scale, (5, BOX, BOX)) for offset, scale in ((0, 1), (3, 2), (900, 40))]


def _grid(figure):
    """The images drawn, as [row][column]; the colour bar has none."""
    images = [axes.images[0] for axes in figure.axes if axes.images]
    columns = sorted({round(image.axes.get_position().x0, 3) for image in images})
    rows = sorted({round(image.axes.get_position().y0, 3) for image in images}, reverse=True)
    place = {(round(i.axes.get_position().y0, 3), round(i.axes.get_position().x0, 3)): i for i in images}
    return [[place[row, column] for column in columns] for row in rows]


def _labels(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_rows_are_particles_and_columns_images_then_low_passed_then_spectra(stacks):
    figure = panels(*stacks, PIXEL_SIZE)
    grid = _grid(figure)
    assert len(grid) == 4
    assert all(len(row) == 9 for row in grid)
    smooth = [low_pass(stack, PIXEL_SIZE) for stack in stacks]
    for row, images in enumerate(grid):
        for column, stack in enumerate([*stacks, *smooth]):
            np.testing.assert_array_equal(images[column].get_array(), stack[row])
    said = [text.get_text() for text in figure.texts]
    assert said == ["as they are (32 px of 3.54 Å)", "low-passed to 20 Å", "log|F|, as they are"]
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["sim", "fake", "raw"] * 3


def test_each_kind_has_one_grey_scale_and_the_spectra_share_one(stacks):
    grid = _grid(panels(*stacks, PIXEL_SIZE))
    limits = [[image.get_clim() for image in row] for row in grid]
    smooth = [low_pass(stack, PIXEL_SIZE) for stack in stacks]
    for column, stack in enumerate([*stacks, *smooth]):
        assert {row[column] for row in limits} == {tuple(np.percentile(stack[:4], (0.5, 99.5)))}
    assert len({row[column] for row in limits for column in (6, 7, 8)}) == 1


def test_a_spectrum_peaks_where_the_wave_is(stacks):
    wave = np.cos(2 * np.pi * (3 * np.arange(BOX)[None, :] + 5 * np.arange(BOX)[:, None]) / BOX)
    grid = _grid(panels(np.stack([wave]), stacks[1][:1], stacks[2][:1], PIXEL_SIZE))
    drawn = np.ma.filled(grid[0][6].get_array(), -np.inf)
    y, x = np.unravel_index(np.argsort(drawn, axis=None)[-2:], drawn.shape)
    assert {(int(v) - BOX // 2, int(u) - BOX // 2) for v, u in zip(y, x, strict=True)} == {(5, 3), (-5, -3)}
    assert drawn.max() == pytest.approx(np.log10(BOX**2 / 2))


def test_circles_lie_at_half_nyquist_and_nyquist_and_say_so(stacks):
    figure = panels(*stacks, PIXEL_SIZE)
    for row in _grid(figure):
        for image in row[6:]:
            circles = [patch for patch in image.axes.patches if isinstance(patch, Circle)]
            assert sorted(circle.radius for circle in circles) == [BOX / 4, BOX / 2]
            assert {circle.center for circle in circles} == {(BOX // 2, BOX // 2)}
    assert {"14.2 Å", "7.08 Å"} <= _labels(figure)


@pytest.mark.parametrize(("pixel_size", "length"), [(3.54, 20), (0.885, 10), (20.0, 200)])
def test_the_scale_bar_is_as_long_as_it_says(stacks, pixel_size, length):
    figure = panels(*stacks, pixel_size)
    bars = [p for p in _grid(figure)[0][0].axes.patches if isinstance(p, Rectangle)]
    assert bars[-1].get_width() * pixel_size == pytest.approx(length)
    assert f"{length} Å" in _labels(figure)


def test_pyplot_knows_nothing_of_it_and_it_can_be_saved(stacks):
    before = plt.get_fignums()
    figure = panels(*stacks, PIXEL_SIZE, title="step 3000", rows=2)
    assert plt.get_fignums() == before
    out = BytesIO()
    figure.savefig(out, format="png")
    assert out.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("rows", [1, 4])
def test_nothing_is_cut(stacks, rows):
    figure = panels(*stacks, PIXEL_SIZE, title="step 3000", rows=rows)
    figure.draw_without_rendering()
    assert_nothing_cut(figure)


def test_a_diverged_fake_and_a_constant_sim_are_still_drawn(stacks):
    figure = panels(np.ones((2, BOX, BOX)), np.full((2, BOX, BOX), np.nan), stacks[2][:2], PIXEL_SIZE)
    figure.savefig(BytesIO(), format="png")
    low, high = _grid(figure)[0][0].get_clim()
    assert low < 1 < high


@pytest.mark.parametrize("wrong", ["count", "square", "empty", "pixel_size", "rows"])
def test_misuse_is_refused(stacks, wrong):
    sim, fake, raw = stacks
    sim = {"count": sim[:3], "square": sim[:, :-1]}.get(wrong, sim)
    if wrong == "empty":
        sim, fake, raw = sim[:0], fake[:0], raw[:0]
    with pytest.raises(ValueError, match=r"expected three stacks|pixel_size|rows"):
        panels(sim, fake, raw, 0.0 if wrong == "pixel_size" else PIXEL_SIZE, rows=0 if wrong == "rows" else 4)
