"""What a reader sees of a figure's words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


def tick_labels(axis: Axis) -> list[Text]:
    """Labels of ticks that can be read: within the limits, and not empty."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1 for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]


def assert_ticks(axis: Axis) -> None:
    """Three labels or more, none across another; the figure has been laid out."""
    labels = tick_labels(axis)
    assert len(labels) >= 3, [label.get_text() for label in labels]
    for first, second in itertools.combinations(labels, 2):
        assert not first.get_window_extent().overlaps(second.get_window_extent())


def assert_nothing_cut(figure: Figure) -> None:
    """No title, label or legend leaves the figure, which has been laid out."""
    frame = figure.bbox.padded(0.5)
    ticks = {
        text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in axis.get_ticklabels()
    }
    for text in set(figure.findobj(Text)) - ticks:
        if text.get_visible() and text.get_text().strip():
            extent = text.get_window_extent()
            assert frame.contains(*extent.min), text
            assert frame.contains(*extent.max), text
