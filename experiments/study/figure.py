"""A study's columns as a figure: a dot for each run, a bar at the mean of an arm, a line where raw stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from results import mean_floor

from cryoalign.figures.style import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from plan import Study


def draw(study: Study, found: pd.DataFrame, path: Path) -> None:
    """Draw a row of charts for each data set, one chart a column.

    Columns that only the training logs (losses, validation) have no floor and are left to the table.
    """
    columns = {title: column for title, column in study.columns.items() if column[0] != "training"}
    arms = {data: _arms(study, found[found["data"] == data]) for data in study.sets}
    sets = [data for data, names in arms.items() if names]
    if not sets or not columns:
        return
    heights = [len(arms[data]) + 2.5 for data in sets]
    figure = Figure(figsize=(2.6 + 2.4 * len(columns), 0.2 * sum(heights) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(sets), len(columns), squeeze=False, gridspec_kw={"height_ratios": heights})
    for data, row in zip(sets, grid, strict=True):
        here = found[found["data"] == data]
        for (title, (measure, quantity)), axes in zip(columns.items(), row, strict=True):
            _chart(axes, here[(here["measure"] == measure) & (here["quantity"] == quantity)], arms[data])
            axes.set_xlabel(title, fontsize=8)
        for axes in row[1:]:
            axes.set_yticklabels([])
        row[0].set_title(study.sets[data].title, fontsize=9, loc="left")
    figure.savefig(path, dpi=110)


def _arms(study: Study, here: pd.DataFrame) -> list[str]:
    there = set(here["arm"])
    return [arm for arm in study.arms if arm in there]


def _chart(axes: Axes, values: pd.DataFrame, arms: list[str]) -> None:
    for place, arm in enumerate(arms):
        runs = values.loc[values["arm"] == arm, "value"].dropna().astype(float)
        if len(runs):
            axes.plot(runs, [place] * len(runs), "o", color=BLUE, alpha=0.45, markersize=4, markeredgewidth=0)
            axes.plot([runs.mean()], [place], "|", color=VERMILION, markersize=11, markeredgewidth=2)
    floor = mean_floor(values)
    if floor is not None:
        axes.axvline(floor, color=GREY, linewidth=1, linestyle="dashed")
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", linewidth=0.3)
    if values["value"].isna().all():
        axes.set_xticks([])  # was not measured, or could not be
    axes.spines[["top", "right"]].set_visible(False)
