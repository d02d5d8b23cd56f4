"""The studies of experiments/: their commands exist, and a rerun that differs is found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from cryoalign.cli import CONF_DIR
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

STUDIES = sorted(path.parent for path in (REPOSITORY / "experiments").glob("*/study.yaml"))


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules plan and results, as `python experiments/study` finds them."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "experiments" / "study"))
    import plan
    import results

    yield plan, results
    for name in ("plan", "results"):
        sys.modules.pop(name)


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_every_run_of_a_study_can_be_composed(folder: Path, study: tuple[ModuleType, ModuleType]) -> None:
    plan, _ = study
    read = plan.read_study(folder)
    assert read.jobs
    assert {job.arm for job in read.jobs} <= set(read.arms)
    # each arm with some data set, and each data set with some arm
    jobs = {job.arm: job for job in read.jobs} | {job.data: job for job in read.jobs}
    for job in set(jobs.values()):
        GlobalHydra.instance().clear()
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            assert compose("train", read.train(job, Path("data"), Path("out")))
    for options in {tuple(job.evaluate) for job in jobs.values()}:
        GlobalHydra.instance().clear()
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            assert compose("evaluate", list(options))


def row(**changes: Any) -> dict[str, Any]:
    key = {"data": "krios", "arm": "spectral", "seed": 1, "split": 0}
    return (
        key
        | {"measure": "spectrum", "quantity": "rpsd_l1", "value": 0.2, "low": 0.18, "high": 0.22}
        | changes
    )


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    columns = [
        "data",
        "arm",
        "seed",
        "split",
        "measure",
        "quantity",
        "value",
        "low",
        "high",
        "floor",
        "verdict",
    ]
    frame = pd.DataFrame(list(rows)).reindex(columns=columns).astype({"verdict": object})
    return frame.where(frame.notna(), None)


@pytest.mark.parametrize(
    "folder", [folder for folder in STUDIES if (folder / "results.csv").is_file()], ids=lambda path: path.name
)
def test_every_column_of_a_study_was_measured(folder: Path, study: tuple[ModuleType, ModuleType]) -> None:
    plan, _ = study
    found = pd.read_csv(folder / "results.csv")
    measured = set(zip(found["measure"], found["quantity"], strict=True))
    assert set(plan.read_study(folder).columns.values()) <= measured


@pytest.mark.parametrize(
    ("again", "differ"),
    [
        (row(value=0.215), 0),
        (row(value=0.25), 1),
        (row(value=float("nan")), 1),
        (row(seed=2, value=9.0), 1),
        (row(quantity="rpsd_mse"), 1),
    ],
    ids=["inside", "outside", "no longer known", "another run", "not found any more"],
)
def test_a_value_outside_its_committed_interval_is_named(
    again: dict[str, Any], differ: int, study: tuple[ModuleType, ModuleType]
) -> None:
    _, results = study
    assert len(results.differences(table(row()), table(again))) == differ


def test_runs_made_elsewhere_keep_their_rows(tmp_path: Path, study: tuple[ModuleType, ModuleType]) -> None:
    """Those of the table that are made again are replaced, those that the study does not list go."""
    plan, results = study
    jobs = tuple(plan.Job("krios", "spectral", seed, 0, ()) for seed in (1, 2, 3))
    read = plan.Study(tmp_path, {}, {}, jobs, {})
    committed = tmp_path / "results.csv"
    rows = [row(seed=1, value=1.0), row(seed=3, value=3.0), row(seed=4, value=4.0)]
    assert results.with_earlier(read, table(*rows), committed).equals(table(*rows))  # there is no table yet
    answer = row(seed=3, quantity="spectrum", value=None, low=None, high=None, verdict="pass")
    table(*rows, answer).to_csv(committed, index=False)
    both = results.with_earlier(read, table(row(seed=2, value=2.0), row(seed=1, value=1.5)), committed)
    assert list(both["seed"]) == [1, 2, 3, 3]
    assert list(both["value"][:3]) == [1.5, 2.0, 3.0]
    assert list(both["verdict"]) == [None, None, None, "pass"]


def test_what_raw_reaches_on_a_split_is_counted_once(study: tuple[ModuleType, ModuleType]) -> None:
    """However many arms were run on one split and not on the other."""
    _, results = study
    many = [row(arm=f"without_{part}", floor=0.6) for part in range(9)]
    assert results.mean_floor(table(*many, row(floor=0.6), row(split=1, floor=0.4))) == pytest.approx(0.5)
    assert results.mean_floor(table(row())) is None


def test_the_figure_has_a_chart_for_each_data_set_and_measured_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: tuple[ModuleType, ModuleType]
) -> None:
    plan, _ = study
    import figure

    drawn: list[Any] = []
    monkeypatch.setattr(
        figure, "_chart", lambda _axes, values, arms: drawn.append((list(values["value"]), arms))
    )
    read = plan.Study(
        tmp_path,
        {name: plan.DataSet(name, None, None, None, ()) for name in ("krios", "glacios", "not_run")},
        {"physical": plan.Arm(()), "spectral": plan.Arm(())},
        (),
        {"RPSD": ("spectrum", "rpsd_l1"), "loss": ("training", "train/loss_G")},
    )
    rows = [row(), row(arm="physical", value=0.1), row(data="glacios", value=0.3)]
    figure.draw(read, table(*rows), tmp_path / "results.png")
    assert drawn == [([0.2, 0.1], ["physical", "spectral"]), ([0.3], ["spectral"])]
    assert (tmp_path / "results.png").stat().st_size > 0
    sys.modules.pop("figure")


def test_an_answer_that_changed_is_named(study: tuple[ModuleType, ModuleType]) -> None:
    _, results = study
    answer = {"quantity": "spectrum", "value": None, "low": None, "high": None}
    before, after = row(**answer, verdict="pass"), row(**answer, verdict="fail")
    (line,) = results.differences(table(before), table(after))
    assert "was pass, is fail" in line
    assert results.differences(table(before), table(before)) == []


def test_a_quantity_is_not_compared_with_the_answer_of_its_name(
    study: tuple[ModuleType, ModuleType],
) -> None:
    _, results = study
    quantity = row(measure="noise", quantity="modulation")
    answer = quantity | {"value": None, "low": None, "high": None, "verdict": "pass"}
    both = table(quantity, answer)
    assert results.differences(both, both) == []
    assert len(results.differences(both, table(quantity | {"value": 1.0}, answer | {"verdict": "fail"}))) == 2
