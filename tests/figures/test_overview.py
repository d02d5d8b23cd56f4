"""What a stack holds, at a glance: all words can be read."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.figures.low_pass import low_pass
from cryoalign.figures.overview import SHOWN, overview
from cryoalign.figures.views import Conditions, ViewBins
from tests.figures.labels import assert_nothing_cut, assert_ticks


@pytest.mark.parametrize(("count", "kinds"), [(SHOWN, ("fake", "raw")), (1, ("sim",))])
def test_images_and_words(count: int, kinds: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    images = 0.00234 * rng.normal(size=(count, 16, 16))
    found = {kind: Conditions(ViewBins(6), 200) for kind in kinds}
    for conditions in found.values():
        angles = np.column_stack([rng.uniform(-180, 180, (200, 2)), np.zeros(200)])
        conditions.add(angles, rng.uniform(9000, 30000, (200, 3)), np.ones(200, dtype=bool))
    curves = {kind: rng.normal(5, 1, (9, 9)) for kind in kinds}
    labels = [f"image 1234567{place}\nclass 20" for place in range(count)]
    figure = overview(images, labels, curves, found, 3.54, title=f"{count} of 12345678 images of fake.star")
    figure.draw_without_rendering()
    assert_nothing_cut(figure)
    drawn = [axes.images[0].get_array() for axes in figure.axes[: 2 * count]]
    np.testing.assert_array_equal(drawn, [*images, *low_pass(images, 3.54)])
    assert [axes.get_title() for axes in figure.axes[:count]] == labels
    titles = {axes.get_title() for axes in figure.axes}
    assert {f"views of {kind} (n = 200)" for kind in kinds} <= titles
    for axes in (axes for axes in figure.axes if axes.get_xlabel().startswith(("defocus", "fraction"))):
        assert_ticks(axes.xaxis)
        assert_ticks(axes.yaxis)
