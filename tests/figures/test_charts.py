"""Charts show the curves they were given in the looks of their kind, and as SVG ask for nothing."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cryoalign.figures.charts import DECADES, Curve, chart, svg
from cryoalign.figures.style import LOOKS, looks
from tests.figures.labels import assert_nothing_cut, assert_ticks

X = np.linspace(0, 1, 33)
CURVES = {
    "raw": Curve(X, 3 - X, 2.9 - X, 3.1 - X),
    "fake": Curve(X, 3 - X**2),
    "sim": Curve(X, 2 - X),
    "A: lr=1": Curve(X, X),
}


def _line(axes, name):
    return next(line for line in axes.lines if line.get_label() == name)


def test_lines_bands_labels_and_legend():
    figure = chart(CURVES, "radius (1/Å)", "power (a.u.)", title="both")
    axes = figure.axes[0]
    for name, curve in CURVES.items():
        np.testing.assert_array_equal(_line(axes, name).get_ydata(), curve.y)
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().bounds == pytest.approx((0, 1.9, 1, 1.2))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("radius (1/Å)", "power (a.u.)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(CURVES)
    assert figure.get_suptitle() == "both"
    assert len(figure.axes) == 1


def test_kinds_keep_their_looks_and_raw_lies_below():
    axes = chart(CURVES, "x", "y").axes[0]
    for name in ("raw", "fake", "sim"):
        assert _line(axes, name).get_color() == LOOKS[name][0]
    assert _line(axes, "raw").get_zorder() < min(_line(axes, name).get_zorder() for name in ("fake", "sim"))


def test_no_two_of_twenty_look_alike():
    """In colour and line style; and any two that share a colour differ in style, for colour-blind eyes."""
    names = [str(number) for number in range(20)]
    for kinds in ((), ("raw",), ("fake", "sim", "raw"), ("sim", "other raw")):
        seen = [tuple(look[:2]) for look in looks([*kinds, *names]).values()]
        assert len(set(seen)) == len(seen)
    for first, second in itertools.combinations(("raw", "fake", "sim", "other raw", "truth"), 2):
        assert LOOKS[first][1:] != LOOKS[second][1:]


def test_the_resolution_stands_over_the_normalized_radius():
    figure = chart(CURVES, "u", "s", pixel_size=3.54)
    assert figure.axes[0].get_xlim() == (0.0, 1.0)
    assert figure.axes[1].get_xlabel() == "resolution (Å)"
    assert figure.axes[1].get_xticklabels()[0].get_text() == "7.08"


def test_few_points_are_marked_and_levels_are_not():
    axes = chart({"few": Curve([1, 2, 3], [1, None, 2]), "level": Curve([1, 3], [2, 2])}, "x", "y").axes[0]
    few, level = axes.lines
    assert few.get_marker() != level.get_marker() == "None"
    assert np.isnan(few.get_ydata()[1])


def test_a_logarithmic_axis_leaves_out_what_has_no_logarithm():
    axes = chart(
        {"fake": Curve(X, 1e3 * (X - 0.1)), "raw": Curve(X, np.exp(-90 * X))}, "x", "y", log_y=True
    ).axes[0]
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert high / low <= 1.01 * 10**DECADES
    assert np.isnan(_line(axes, "fake").get_ydata()[0])
    assert chart({"fake": Curve(X, -X)}, "x", "y", log_y=True).axes[0].get_yscale() == "linear"


def test_svg_is_reproducible_asks_for_nothing_and_has_ids_of_its_own():
    figure = chart(CURVES, "u", "s", pixel_size=3.54, log_y=True)
    first, other = svg(figure, "a/b", 'say "<this>"'), svg(figure, "c")
    assert first == svg(chart(CURVES, "u", "s", pixel_size=3.54, log_y=True), "a/b", 'say "<this>"')
    assert first.startswith("<svg viewBox=")
    assert 'aria-label="say &quot;&lt;this&gt;&quot;"' in first
    for word in ("http", "<style", "<metadata", "font-family", "DOCTYPE", "xmlns"):
        assert word not in first
    ids = [{part.split('"')[0] for part in text.split('id="')[1:]} for text in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert all(name.startswith("a-b-") for name in ids[0])
    assert "resolution (Å)" in first  # text stays text


def test_names_are_no_formulas():
    svg(chart({r"$\broken{": Curve(X, X)}, "x", "y"), "a")


def assert_readable(figure):
    figure.draw_without_rendering()
    assert_ticks(figure.axes[0].xaxis)
    assert_ticks(figure.axes[0].yaxis)
    assert_nothing_cut(figure)


RANGES = {
    "a third of a decade": (0.11, 0.19),
    "nearly nothing": (0.998, 1.003),
    "between two decades": (2.0, 7.0),
    "one decade": (0.8, 11.0),
    "two decades": (3.0, 400.0),
    "five decades": (1e-3, 2e2),
    "many decades": (1e-20, 1.0),
    "a constant": (0.3, 0.3),
    "negative": (-3e-5, -1e-5),
    "large": (1.2e6, 1.9e6),
}


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("ends", RANGES.values(), ids=RANGES)
def test_at_least_three_ticks_on_every_axis(ends, log_y):
    y = np.geomspace(*ends, len(X)) if ends[0] > 0 else np.linspace(*ends, len(X))
    assert_readable(chart({"fake": Curve(X, y)}, "x", "y", log_y=log_y))


@pytest.mark.parametrize("ends", [(0, 1), (4, 12), (100, 3000), (0, 300_000), (7, 9), (5, 5)])
def test_at_least_three_ticks_along_steps(ends):
    assert_readable(chart({"fake": Curve(np.linspace(*ends, 3), [1, 2, 3])}, "step", "y"))


def test_long_labels_are_broken_not_cut():
    words = "median over particles of the squared difference of amplitudes (squared grey values)"
    names = {
        f"{k}: generator=ClosedFormOfSpectra, rpsd=0.5, noise_channels=1": Curve(X, X + k) for k in range(5)
    }
    figure = chart(names, words, words, title=words, pixel_size=3.54)
    assert_readable(figure)
    assert "\n" in figure.axes[0].get_ylabel()


def test_a_label_is_not_broken_within_parentheses():
    axes = chart(CURVES, "u", "s(u) = ring mean of ln(1 + |F|²)").axes[0]
    assert axes.get_ylabel() == "s(u) = ring mean\nof ln(1 + |F|²)"


def test_a_label_is_broken_into_lines_of_like_length():
    axes = chart(CURVES, "u", "fraction of the images within it").axes[0]
    assert axes.get_ylabel() == "fraction of the\nimages within it"


def test_pyplot_knows_nothing_of_it():
    before = plt.get_fignums()
    chart(CURVES, "x", "y")
    assert plt.get_fignums() == before


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="no curve"):
        chart({}, "x", "y")
    with pytest.raises(ValueError, match="curve fake"):
        chart({"fake": Curve(X, X[:-1])}, "x", "y")
    with pytest.raises(ValueError, match="curve fake"):
        chart({"fake": Curve(X, X, X[:3], X[:3])}, "x", "y")
