"""The picture of an audit: every hypothesis, every scan, the bands."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from cryoalign.figures.audit import audit_figure
from tests.figures.labels import assert_nothing_cut, assert_ticks

NAMES = ["pairs as given", "contrast", "flip y"]
BANDS = ([0.0, 0.05, 0.1], [0.5, 0.2], [0.01, 0.02])
SCANS = {"defocus": ([0.5, 2.0], [0.1, 0.05], [0.01, 0.01])}


def draw(**options):
    return audit_figure(NAMES, [0.3, -0.3, 0.02], [0.01] * 3, scans=SCANS, bands=BANDS, **options)


def test_every_hypothesis_has_a_line_and_every_scan_a_panel():
    figure = draw(title="pairs agree, 24 sigma")
    column, bands, scan = figure.axes
    assert [label.get_text() for label in column.get_yticklabels()] == NAMES
    assert column.get_ylim()[0] > column.get_ylim()[1]  # the first on top
    assert "1/Å" in bands.get_xlabel()
    assert "defocus" in scan.get_xlabel()
    assert figure.get_suptitle() == "pairs agree, 24 sigma"


def test_a_scan_holds_the_pairs_as_given_at_factor_one():
    scan = draw().axes[2]
    line = max(
        (line for line in scan.lines if len(line.get_xdata()) == 3), key=lambda entry: entry.get_linewidth()
    )
    np.testing.assert_allclose(line.get_xdata(), [0.5, 1.0, 2.0])
    np.testing.assert_allclose(line.get_ydata(), [0.1, 0.3, 0.05])


def test_three_ticks_or_more_and_nothing_cut():
    figure = draw(title="pairs agree, 24 sigma")
    figure.draw_without_rendering()
    column, *others = figure.axes
    assert_ticks(column.xaxis)
    for axes in others:
        assert_ticks(axes.xaxis)
        assert_ticks(axes.yaxis)
    assert_nothing_cut(figure)


def test_it_can_be_written():
    target = BytesIO()
    draw().savefig(target)
    assert target.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("names", "bands"), [([], BANDS), (NAMES[:2], BANDS), (NAMES, ([0.0, 0.1], [0.5, 0.2], [0.01, 0.02]))]
)
def test_lengths_that_do_not_fit_are_refused(names, bands):
    with pytest.raises(ValueError, match=r"for|names"):
        audit_figure(names, [0.3, -0.3, 0.02][: len(names) or 3], [0.01] * 3, scans={}, bands=bands)
