"""The same particles in every row, on one grey scale, as they are and low-passed."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cryoalign.figures.gallery import gallery
from cryoalign.figures.low_pass import low_pass
from tests.figures.labels import assert_nothing_cut

BOX, PIXEL_SIZE = 32, 3.54


@pytest.fixture
def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    scales = {"sim": 0.1, "A\nrpsd=0.5": 2.0, "raw": 1.0}
    return {name: rng.normal(0, scale, (3, BOX, BOX)) for name, scale in scales.items()}


def test_each_row_shows_its_images_and_the_same_low_passed(rows):
    axes = gallery(rows, PIXEL_SIZE).axes
    drawn = [entry.images[0].get_array() for entry in axes]
    expected = [*rows.values(), *(low_pass(images, PIXEL_SIZE) for images in rows.values())]
    np.testing.assert_array_equal(drawn, np.concatenate(expected))
    assert [entry.get_ylabel() for entry in axes if entry.get_ylabel()] == list(rows)


def test_all_rows_have_the_scale_of_raw_but_sim(rows):
    figure = gallery(rows, PIXEL_SIZE)
    for first, change in ((0, np.asarray), (9, lambda images: low_pass(images, PIXEL_SIZE))):
        limits = [entry.images[0].get_clim() for entry in figure.axes[first : first + 9]]
        sim, raw = (tuple(np.percentile(change(rows[kind]), (0.5, 99.5))) for kind in ("sim", "raw"))
        assert limits == [sim] * 3 + [raw] * 6
    texts = [text.get_text() for text in figure.texts]
    assert sum("sim has another scale" in text for text in texts) == 2
    assert {"as they are (32 px of 3.54 Å)", "low-passed to 20 Å"} <= set(texts)


def test_names_are_not_cut_and_are_no_formulas(rows):
    rows = {r"$generator=UNet{": rows["raw"]} | rows
    figure = gallery(rows, PIXEL_SIZE)
    figure.draw_without_rendering()
    assert_nothing_cut(figure)


def test_pyplot_knows_nothing_of_it_and_a_diverged_row_is_still_drawn(rows):
    before = plt.get_fignums()
    target = BytesIO()
    gallery(rows | {"B": np.full((3, BOX, BOX), np.nan)}, PIXEL_SIZE).savefig(target, format="png")
    assert plt.get_fignums() == before
    assert target.getvalue().startswith(b"\x89PNG")


def test_misuse_is_refused(rows):
    with pytest.raises(ValueError, match="expected stacks of one shape"):
        gallery(rows | {"B": rows["raw"][:2]}, PIXEL_SIZE)
    with pytest.raises(ValueError, match="expected stacks of one shape"):
        gallery({}, PIXEL_SIZE)
    with pytest.raises(ValueError, match="scale_of"):
        gallery({"sim": rows["sim"]}, PIXEL_SIZE)
