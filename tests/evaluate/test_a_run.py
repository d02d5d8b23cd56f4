"""A finished run is tested again: the same numbers, and files that agree with them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch
from hydra.core.global_hydra import GlobalHydra

from cryoalign.evaluate.__main__ import main
from cryoalign.losses.rpsd import RPSDLoss
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance
from tests.conftest import SMALL, read_csv

if TYPE_CHECKING:
    from tests.conftest import Cli

KINDS = ("sim", "fake", "raw")


def evaluate(cli: Cli, run: Path, *options: str) -> Path:
    done = cli("evaluate", f"run={run}", "out=new", "device=cpu", "progress=false", "measures=[]", *options)
    assert done.code == 0, done.err
    assert "RPSD L1" in done.out
    assert "report.html" not in done.out  # without measures there is none
    return Path.cwd() / "new"


def metrics(folder: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    with (folder / "metrics.csv").open(newline="") as file:
        assert {row["metric"]: float(row["value"]) for row in csv.DictReader(file)} == values
    return values


def stacks(folder: Path) -> dict[str, torch.Tensor]:
    return {kind: torch.from_numpy(mrcfile.read(folder / f"{kind}.mrcs").copy()) for kind in KINDS}


def test_the_runs_own_test_again(run: Path, cli: Cli) -> None:
    folder = evaluate(cli, run)
    assert metrics(folder) == metrics(run / "test")
    assert {path.name for path in folder.iterdir()} == {path.name for path in (run / "test").iterdir()}
    for kind in KINDS:
        assert (folder / f"{kind}.mrcs").read_bytes() == (run / "test" / f"{kind}.mrcs").read_bytes()


def test_the_last_validation_again(run: Path, cli: Cli) -> None:
    found = metrics(evaluate(cli, run, "part=validation"))
    logged = [row for row in read_csv(run) if "val/RPSD_L1" in row][-1]
    assert found == pytest.approx({name: float(logged[f"val/{name}"]) for name in found}, rel=1e-6, abs=1e-6)


def test_the_best_checkpoint(run: Path, cli: Cli) -> None:
    """The best of the validations in the log is what the best checkpoint gives."""
    found = metrics(evaluate(cli, run, "part=validation", "checkpoint=best"))
    logged = [float(row["val/RPSD_L1"]) for row in read_csv(run) if "val/RPSD_L1" in row]
    assert found["RPSD_L1"] == pytest.approx(min(logged), abs=1e-6)


def test_background_of_raw_is_normalized(run: Path) -> None:
    raw = stacks(run / "test")["raw"].numpy()
    axis = np.arange(32) - 16
    background = raw[:, np.hypot(axis[:, None], axis) > 0.9 * 16]
    np.testing.assert_allclose(background.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(background.std(axis=1), 1, atol=1e-4)


def test_predictions_are_row_for_row_the_part_of_the_split(run: Path, cli: Cli) -> None:
    folder = evaluate(cli, run, "part=train")
    with (run / "split.csv").open(newline="") as file:
        names = [row["rlnImageName"] for row in csv.DictReader(file) if row["part"] == "train"]
    assert len(names) == 48
    for kind in KINDS:
        table = starfile.read(folder / f"{kind}.star")["particles"]
        assert table["rlnImageOriginalName"].tolist() == names
        assert table["rlnImageName"].tolist() == [f"{i + 1:06d}@{kind}.mrcs" for i in range(48)]
        assert table["rlnParticleId"].tolist() == [int(name.partition("@")[0]) for name in names]
    assert stacks(folder)["fake"].shape == (48, 32, 32)


def test_sims_are_those_of_the_input(run: Path) -> None:
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (given,) = (file for file in files if file.name == "sim.mrcs")
    names = starfile.read(run / "test" / "sim.star")["particles"]["rlnImageOriginalName"]
    images = mrcfile.read(given)[[int(name.partition("@")[0]) - 1 for name in names]]
    np.testing.assert_array_equal(stacks(run / "test")["sim"], images)


def test_curves_loss_and_metric_agree_with_the_images(run: Path) -> None:
    folder = run / "test"
    images, values = stacks(folder), metrics(folder)
    scale = json.loads((run / "data.json").read_text())["normalization"]
    images["sim"] = (images["sim"] - scale["sim_offset"]) / scale["sim_scale"]
    with np.load(folder / "rpsd.npz") as saved:
        curves = {kind: torch.from_numpy(saved[kind]) for kind in KINDS}
    for kind in KINDS:
        torch.testing.assert_close(curves[kind], radial_log_power(images[kind]), rtol=1e-5, atol=1e-5)
    for prefix, kind in (("", "fake"), ("sim_", "sim")):
        for power, name in ((1, "RPSD_L1"), (2, "RPSD_MSE")):
            of_curves = float(rpsd_distance(curves[kind].double(), curves["raw"].double(), power).mean())
            assert values[prefix + name] == pytest.approx(of_curves, rel=1e-6)
            assert float(RPSDLoss(power)(images[kind], images["raw"])) == pytest.approx(of_curves, rel=1e-5)
        difference = (images[kind] - images["raw"]).double()
        assert values[f"{prefix}pixel_L1"] == pytest.approx(float(difference.abs().mean()), rel=1e-6)
        assert values[f"{prefix}pixel_MSE"] == pytest.approx(float(difference.square().mean()), rel=1e-6)


def test_from_another_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained with relative paths, evaluated under a relative name from somewhere else, without `out`."""
    done = cli("train", "+debug=smoke", *SMALL, "paths.cache=here", "trainer.max_steps=2", "test=false")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(
        sys, "argv", ["evaluate", f"run=../outputs/train/{run.name}", "progress=false", "measures=[]"]
    )
    GlobalHydra.instance().clear()
    main()
    assert (run / "test_last" / "fake.star").is_file()
    assert not list(elsewhere.iterdir())
