"""Runs beside each other: one table, curves, what differs, as a page and as CSV; and what cannot be read."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from omegaconf import OmegaConf

from cryoalign.evaluate.document import Facts, to_document, write_document
from tests.evaluate import example
from tests.evaluate.parsing import self_contained

if TYPE_CHECKING:
    from tests.conftest import Cli

#: Arm, seed and RPSD L1 of the copies of one run, by folder.
JOBS = {"0": (0, 1, 0.9), "2": (0, 2, 0.7), "10": (0.5, 1, 0.42), "3": (0.5, 2, 0.38)}


def copy(run: Path, place: Path, weight: float, seed: int, value: float) -> Path:
    shutil.copytree(run, place, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "*.png"))
    cfg = OmegaConf.load(place / "config.yaml")
    cfg.loss.weights.rpsd, cfg.seed, cfg.data.seed = weight, seed, seed
    OmegaConf.save(cfg, place / "config.yaml")
    path = place / "test" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"RPSD_L1": value}))
    return place


@pytest.fixture
def sweep(run: Path, tmp_path: Path) -> Path:
    for name, job in JOBS.items():
        copy(run, tmp_path / "sweep" / name, *job)
    (tmp_path / "sweep" / "multirun.yaml").write_text("a file, not a run")
    return tmp_path / "sweep"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def compared(sweep: Path, cli: Cli) -> str:
    """Compare the sweep, two of whose evaluations are of one run, and give what was printed."""
    evaluation = to_document(
        {"fake": [example.two_sample()]}, Facts(created="2026-01-02", part="val", draws=200)
    )
    older = to_document({"fake": [example.pose()]}, Facts(created="2026-01-01"))
    for folder, document in (("new", evaluation), ("old", older)):
        write_document(sweep / "10" / folder / "evaluation.json", document)
    done = cli("report", "runs=sweep/*", 'title="Weight of the <RPSD> term"')
    assert done.code == 0, done.err
    assert "0.400 ± 0.028" in done.out
    assert "left out" not in done.out
    return done.out


def test_the_tables_of_a_sweep(sweep: Path, cli: Cli) -> None:
    compared(sweep, cli)
    out = Path("report")
    rows = table(out / "runs.csv")
    found = [(row["run"], row["seed"], row["loss.weights.rpsd"], float(row["RPSD_L1"])) for row in rows]
    assert [row["arm"] for row in rows] == ["A", "A", "B", "B"]
    assert found == [
        (f"sweep/{name}", str(JOBS[name][1]), f"{JOBS[name][0]:g}", JOBS[name][2])
        for name in ("0", "2", "3", "10")
    ]
    metrics = json.loads((sweep / "0" / "test" / "metrics.json").read_text())
    assert {name: float(rows[0][name]) for name in metrics} == metrics

    first, second, sim, floor = table(out / "summary.csv")
    assert (first["arm"], first["n"], first["loss.weights.rpsd"]) == ("A", "2", "0")
    for row, values in ((first, (0.9, 0.7)), (second, (0.42, 0.38))):
        assert float(row["RPSD_L1_mean"]) == pytest.approx(np.mean(values))
        assert float(row["RPSD_L1_sd"]) == pytest.approx(np.std(values, ddof=1))
        excess = np.array(values) / metrics["floor_RPSD_L1"]
        assert float(row["RPSD_excess_sd"]) == pytest.approx(np.std(excess, ddof=1))
    assert float(sim["RPSD_L1_mean"]) == pytest.approx(metrics["sim_RPSD_L1"])
    assert float(floor["pixel_L1_mean"]) == pytest.approx(metrics["floor_pixel_L1"])


def test_the_page_of_a_sweep(sweep: Path, cli: Cli) -> None:
    printed = compared(sweep, cli)
    page = self_contained(Path("report/report.html").read_text())
    cells = page.cells()
    for cell in ("0.80 ± 0.14", "0.400 ± 0.028", "loss.weights.rpsd", "sweep/10", "? undecided 1", "0.5600"):
        assert cell in cells
    assert "Weight of the <RPSD> term" in page.text
    assert "Are pose and shift those of the metadata?" not in page.text  # the older evaluation
    assert "RPSD L1 on the test set lies between 0.4000 and 0.8000 over the arms" in page.text
    assert "RPSD alone does not tell which generator is better." in page.text
    assert "A: rpsd=0: not evaluated." in page.text
    tally = "B: rpsd=0.5: 0 failed, 1 undecided, 0 passed in 1 evaluation (part: val)."
    assert tally in page.text
    assert tally in printed
    assert {"not evaluated", "val", "200"} <= set(cells)
    assert "cryoalign report 'runs=sweep/*'" in page.text
    assert page.tags.count("svg") == 5
    assert page.tags.count("img") == 1  # the particles
    assert "rpsd=0.5,seed=2" in cells
    for words in (
        "RPSD L1 in validation",
        "step (updates of the generator)",
        "other raw",
        "minus that of raw",
    ):
        assert words in page.text


def test_what_cannot_be_used_is_left_out_and_named(sweep: Path, cli: Cli) -> None:
    (sweep / "0" / "test" / "metrics.json").unlink()
    (sweep / "2" / "test" / "metrics.json").write_text('{"RPSD_L1": 0.')
    (sweep / "3" / "test" / "rpsd.npz").write_bytes(b"PK\x03\x04")
    (sweep / "empty").mkdir()
    (sweep / "0" / "checkpoints").mkdir(exist_ok=True)
    (sweep / "0" / "checkpoints" / "last.ckpt").touch()
    (sweep / "early").mkdir()
    (sweep / "early" / "config.yaml").touch()
    done = cli("report", "runs=sweep/*", "out=new")
    assert done.code == 0, done.err
    page = self_contained(Path("new/report.html").read_text())
    for words in (
        "sweep/0: this run has no test (test/metrics.json)",
        "remedy: cryoalign train resume=sweep/0",
        "sweep/early: this run has no test (test/metrics.json) and no checkpoint",
        "remedy: train it again: there is nothing to continue",
        "sweep/2/test/metrics.json: this file cannot be read",
        "sweep/3/test/rpsd.npz: these spectra cannot be read",
        "a folder that holds no run: sweep/empty",
        "There is one run only",
    ):
        assert words in page.text
        assert words in done.out
    assert len(table(Path("new/runs.csv"))) == 1


def test_a_list_of_folders(sweep: Path, cli: Cli) -> None:
    done = cli("report", f"runs=[{sweep}/0,{sweep}/3,{sweep}/0]", "out=new")
    assert done.code == 0, done.err
    assert "One seed only: A, B" in done.out
    assert len(table(Path("new/runs.csv"))) == 2
    again = cli("report", f"runs=[{sweep}/0]", "out=new")
    assert again.code == 1
    assert "overwrite=true" in again.err
    assert cli("report", f"runs=[{sweep}/0]", "out=new", "overwrite=true").code == 0
    over = cli("report", f"runs={sweep}/*", f"out={sweep}", "overwrite=true")
    assert over.code == 1
    assert "the output folder holds an input" in over.err


@pytest.mark.parametrize("named", ["sweep", "."])
def test_a_folder_stands_for_the_runs_in_it(named: str, sweep: Path, cli: Cli) -> None:
    """Those of a sweep, or one level further down."""
    done = cli("report", f"runs={named}")
    assert done.code == 0, done.err
    assert [Path(row["run"]).name for row in table(Path("report/runs.csv"))] == ["0", "2", "3", "10"]


def test_nothing_to_compare(run: Path, cli: Cli, tmp_path: Path) -> None:
    place = copy(run, tmp_path / "sweep" / "0", 0.5, 1, 0.4)
    (place / "test" / "evaluation.json").write_text('{"format": 99}')
    for argument, problem, remedy in (
        ("runs=nowhere/*", "there is no tested run to compare", "runs='outputs/sweep/NAME/*'"),
        ("runs=nowhere", "this folder does not exist", "give the run folder"),
        ("runs=sweep", "there is no tested run to compare", "runs='outputs/sweep/NAME/*'"),
        ("runs=5", "5: this folder does not exist", "give the run folder"),
        ("runs=sweep/0", "this is no evaluation of format 1", "evaluate again"),
        ("runs=[]", "there is no tested run to compare", "runs="),
    ):
        done = cli("report", argument)
        assert done.code == 1
        assert problem in done.err
        assert remedy in done.err
        assert "Traceback" not in done.err
    (place / "test" / "evaluation.json").write_text('{"format": 1, "candidates": 3}')
    done = cli("report", "runs=sweep/0")
    assert done.code == 1
    assert "test/evaluation.json: this is no evaluation" in done.err
    assert not Path("report").exists()
    (place / "test" / "metrics.json").unlink()
    done = cli("report", "runs=sweep/0")
    assert done.code == 1
    assert "it is not finished" in done.err
