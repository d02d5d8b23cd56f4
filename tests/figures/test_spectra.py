"""The figure of RPSD curves shows the curves it was given, and nothing else."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cryoalign.figures.spectra import spectra
from tests.figures.labels import assert_nothing_cut, assert_ticks

BOX, PIXEL_SIZE = 64, 3.54


@pytest.fixture
def curves() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    fall = np.linspace(12, 6, BOX // 2 + 1)
    return {
        name: fall + k + rng.normal(0, 0.3, (9 + k, len(fall)))
        for k, name in enumerate(("sim", "fake", "raw"))
    }


def _line(axes, label):
    return next(line for line in axes.lines if str(line.get_label()).startswith(label))


def test_lines_are_means_and_bands_percentiles(curves):
    axes = spectra(curves, BOX, PIXEL_SIZE).axes[0]
    assert len(axes.collections) == 3
    for name, band in zip(curves, axes.collections, strict=True):
        line = _line(axes, name)
        np.testing.assert_allclose(line.get_xdata(), np.arange(BOX // 2 + 1) / (BOX / 2))
        np.testing.assert_allclose(line.get_ydata(), curves[name].mean(axis=0))
        vertices = band.get_paths()[0].vertices
        low, high = np.percentile(curves[name], (16, 84), axis=0)
        at = np.isclose(vertices[:, 0], 0.5)
        assert vertices[at, 1].min() == pytest.approx(low[BOX // 4])
        assert vertices[at, 1].max() == pytest.approx(high[BOX // 4])


def test_the_lower_panel_subtracts_raw(curves):
    below = spectra(curves, BOX, PIXEL_SIZE).axes[1]
    drawn = [line.get_ydata() for line in below.lines if len(line.get_ydata()) > 2]
    for name, values in zip(("sim", "fake"), drawn, strict=True):
        np.testing.assert_allclose(values, curves[name].mean(axis=0) - curves["raw"].mean(axis=0))


def test_the_difference_is_scaled_to_fake_and_sim_may_leave_it(curves):
    curves["sim"] = curves["sim"] - 8
    below = spectra(curves, BOX, PIXEL_SIZE).axes[1]
    away = {name: curves[name].mean(axis=0) - curves["raw"].mean(axis=0) for name in ("sim", "fake")}
    assert below.get_ylim()[1] == pytest.approx(1.25 * abs(away["fake"]).max())
    assert below.get_ylim()[0] == -below.get_ylim()[1]
    assert below.get_ylabel() == "minus raw,\nscaled to fake"
    (note,) = [text.get_text() for text in below.texts]
    low, high = away["sim"].min(), away["sim"].max()
    assert note == f"sim leaves the scale: {low:.2g} to {high:.2g}".replace("-", "\N{MINUS SIGN}")


def test_where_sim_fits_on_the_scale_nothing_is_said(curves):
    curves["fake"] = curves["fake"] - 8
    below = spectra(curves, BOX, PIXEL_SIZE).axes[1]
    assert below.get_ylabel() == "minus raw"
    assert not below.texts
    assert not spectra({kind: curves[kind] for kind in ("sim", "raw")}, BOX, PIXEL_SIZE).axes[1].texts


@pytest.mark.parametrize("distance", [1e-3, 0.1, 0.37, 3.0, 40.0])
def test_three_ticks_or_more_and_nothing_cut(curves, distance):
    curves["fake"] = curves["raw"][:9] + distance
    figure = spectra(curves, BOX, PIXEL_SIZE, title="step 3000")
    figure.draw_without_rendering()
    assert_ticks(figure.axes[1].xaxis)  # shared by both
    for axes in figure.axes[:2]:
        assert_ticks(axes.yaxis)
    assert_nothing_cut(figure)


def test_a_diverged_fake_and_a_fake_like_raw_are_still_drawn(curves):
    for fake in (np.full_like(curves["raw"], np.nan), curves["raw"]):
        spectra(curves | {"fake": fake}, BOX, PIXEL_SIZE).savefig(BytesIO())


@pytest.mark.parametrize("pixel_size", [0.5, 0.885, 3.54, 12.0])
def test_the_second_axis_gives_resolution_and_ends_at_nyquist(curves, pixel_size):
    above = spectra(curves, BOX, pixel_size).axes[-1]
    places = above.get_xticks()
    labels = [float(text.get_text()) for text in above.get_xticklabels()]
    np.testing.assert_allclose(2 * pixel_size / places, labels, rtol=0.005)
    assert places.max() == pytest.approx(1.0)
    assert len(places) >= 4
    assert np.diff(np.sort(places)).min() > 0.05
    assert above.get_xlabel() == "resolution (Å)"


def test_an_odd_box_ends_below_nyquist():
    line = spectra({"raw": np.zeros((2, 16))}, 31, PIXEL_SIZE).axes[0].lines[0]
    assert line.get_xdata()[-1] == pytest.approx(15 / 15.5)


def test_other_names_and_single_particles(curves):
    figure = spectra({"raw": curves["raw"], "other raw": curves["raw"][:1]}, BOX, PIXEL_SIZE, title="floor")
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["raw (n = 11)", "other raw (n = 1)"]
    assert len(figure.axes[0].collections) == 1


def test_pyplot_knows_nothing_of_it_and_it_can_be_saved(curves):
    before = plt.get_fignums()
    out = BytesIO()
    spectra(curves, BOX, PIXEL_SIZE).savefig(out, format="png")
    assert plt.get_fignums() == before
    assert out.getvalue().startswith(b"\x89PNG")


def test_misuse_is_refused(curves):
    with pytest.raises(ValueError, match="no curve"):
        spectra({}, BOX, PIXEL_SIZE)
    with pytest.raises(ValueError, match=r"expected \(n, 32\)"):
        spectra(curves, BOX - 2, PIXEL_SIZE)
    with pytest.raises(ValueError, match="pixel_size"):
        spectra(curves, BOX, -1.0)
