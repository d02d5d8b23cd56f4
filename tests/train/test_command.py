"""The main job through its command line: what a run leaves behind, and what every experiment file does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cryoalign.cli.conf_file import CONF_DIR
from tests.conftest import REPOSITORY, SMALL, Cli, read_csv

EXPERIMENTS = sorted(path.stem for path in (REPOSITORY / "conf" / "experiment").glob("*.yaml"))


def checkpoint(run: Path, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_a_run_describes_itself(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 4
    assert Path(config["data"]["folder"]).is_absolute()
    facts = json.loads((run / "provenance.json").read_text())
    assert {"torch", "lightning", "cryoalign"} <= facts["versions"].keys()
    assert {"git", "seed", "split_seed", "command"} <= facts.keys()
    assert all(len(digest) == 64 for digest in facts["data"].values())
    assert len(facts["data"]) == 4  # two STAR files, two stacks
    data = json.loads((run / "data.json").read_text())
    assert data["box"] == 32
    assert data["normalization"]["sim_scale"] > 0
    with (run / "split.csv").open(newline="") as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert {part: parts.count(part) for part in set(parts)} == data["pairs"]


def test_a_run_is_named_so_that_it_can_be_given_back(run: Path) -> None:
    assert all(character.isalnum() or character in "._-" for character in run.name)


def test_logs_hold_the_papers_names(run: Path) -> None:
    rows = read_csv(run)
    names = set().union(*rows)
    assert {f"train/{name}" for name in ("loss_D", "loss_G", "GAN", "L1", "RPSD")} <= names
    assert {f"fixed/{name}" for name in ("loss_D", "loss_G", "GAN", "L1", "RPSD_L1", "RPSD_MSE")} <= names
    measures = ("RPSD_L1", "RPSD_MSE", "pixel_L1", "pixel_MSE")
    for part in ("val", "test"):
        assert {f"{part}/{kind}{name}" for kind in ("", "sim_", "floor_") for name in measures} <= names
        assert {f"{part}/{name}" for name in ("ring_correlation", "D_raw", "D_fake")} <= names
    assert [row["step"] for row in rows if "val/RPSD_L1" in row] == ["2", "4"]


def test_tensorboard_holds_curves_figures_and_hyperparameters(run: Path) -> None:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"val/RPSD_L1", "train/loss_G", "test/RPSD_L1"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("train/loss_G")] == [1, 2, 3, 4]
    assert {"panels", "spectra"} <= set(tags["images"])
    plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    shown = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
    assert {"generator", "discriminator", "gan", "l1", "rpsd", "steps", "batch", "seed", "data"} <= set(shown)
    assert shown["rpsd"].number_value == 0.05
    assert (shown["generator"].string_value, shown["data"].string_value) == ("unet", "embedded")
    assert not any("_target_" in name or "bad_images" in name or "enable" in name for name in shown)
    assert [event.step for event in events.Scalars("val/RPSD_L1")] == [2, 4]


def test_the_checkpoint_is_of_the_last_step_and_holds_plain_values(run: Path) -> None:
    last = checkpoint(run)
    assert last["global_step"] == 4
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert last["optimizer_states"][0]["state"][0]["step"] == 4  # G
    assert last["optimizer_states"][1]["state"][0]["step"] == 4  # D: as many, though only G's are counted


def test_figures_of_the_fixed_batch_are_named_by_step(run: Path) -> None:
    assert {path.name for path in (run / "figures").iterdir()} == {
        f"{kind}_step_{step:06d}.png" for kind in ("panels", "spectra") for step in (2, 4)
    }


def test_the_test_folder_is_complete(run: Path) -> None:
    assert {path.name for path in (run / "test").iterdir()} >= {
        "metrics.json", "metrics.csv", "panels.png", "spectra.png", "rpsd.npz", "normalization.csv",
        *(f"{kind}.{suffix}" for kind in ("sim", "fake", "raw") for suffix in ("mrcs", "star")),
    }  # fmt: skip
    metrics = json.loads((run / "test" / "metrics.json").read_text())
    assert metrics["RPSD_L1"] > 0
    assert 0 < metrics["floor_RPSD_L1"] < metrics["sim_RPSD_L1"]


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "recommended"])
def test_every_experiment_runs_two_steps(name: str, cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli(
        "train", f"+experiment={name}", "+debug=smoke", *SMALL, f"paths.cache={cache}",
        "trainer.max_steps=2", "trainer.val_check_interval=2", "generator.width=4", "discriminator.width=4",
        "data.batch_size=2",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    assert checkpoint(run)["global_step"] == 2
    names = set().union(*read_csv(run))
    for term, weight in yaml.safe_load((run / "config.yaml").read_text())["loss"]["weights"].items():
        logged = {"gan": "GAN", "l1": "L1", "rpsd": "RPSD"}[term]
        assert (f"train/{logged}" in names) == (weight > 0)
        assert f"val/{logged}" in names or term == "gan"


def test_the_recommended_generator_is_fitted(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli("train", "+experiment=recommended", "+debug=smoke", *SMALL, f"paths.cache={cache}")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    assert "Physical" in (run / "config.yaml").read_text()
    tested = json.loads((run / "test" / "metrics.json").read_text())
    assert tested["RPSD_L1"] < 0.5 * tested["sim_RPSD_L1"]


@pytest.mark.parametrize(
    ("options", "box"),
    [([], 256), (["data=embedded"], 256), (["data.embedded.box=128"], 128), (["data=stars"], None)],
    ids=["default", "embedded", "embedded at another box", "own data"],
)
def test_the_papers_setting_is_for_both_kinds_of_data(options: list[str], box: int | None) -> None:
    """Own data keep the box that they have."""
    files = ["data.sim=sim.star", "data.raw=raw.star"] if "data=stars" in options else []
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", ["+experiment=paper", *options, *files])
    assert cfg.data.normalization.range == "minmax"
    assert cfg.data.get("embedded", {}).get("box") == box
    if files:
        module = instantiate(cfg.data, _convert_="all")
        assert (module.box_wanted, module.normalization_settings["range"]) == (None, "minmax")


def test_a_step_is_an_update_of_the_generator_also_with_accumulation(
    cli: Cli, cache: Path, tmp_path: Path
) -> None:
    done = cli(
        "train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "optimizer.accumulate=3", "optimizer.clip=1",
        "optimizer.ema_decay=0.5", "optimizer.decay_start=1", "callbacks.step_checkpoints.every=3",
        "test=false", "trainer.precision=bf16-mixed",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    last = checkpoint(run)
    assert last["global_step"] == 4
    assert last["optimizer_states"][0]["state"][0]["step"] == 4
    assert last["loops"]["fit_loop"]["state_dict"]["combined_loader"][0]["batches"] == 12
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0)  # decayed at the end
    assert int(last["state_dict"]["average.n_averaged"]) == 4
    assert checkpoint(run, "step_000003")["global_step"] == 3
    assert [row["step"] for row in read_csv(run) if "train/loss_G" in row] == ["1", "2", "3", "4"]


def test_a_sweep_makes_one_folder_a_job_and_outlives_a_failure(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli(
        "train",
        "-m",
        "+debug=smoke",
        *SMALL,
        f"paths.cache={cache}",
        "loss.weights.rpsd=0,-1,0.5",
        "test=false",
    )
    assert done.code == 1
    assert "loss.weights.rpsd cannot be used" in done.err
    assert "Traceback" not in done.err
    (sweep,) = (tmp_path / "outputs" / "sweep").iterdir()
    made = {path.name for path in sweep.iterdir() if path.is_dir()}
    assert made == {"0_rpsd-0", "2_rpsd-0.5", "tensorboard"}
    assert all((sweep / name / "checkpoints" / "last.ckpt").is_file() for name in ("0_rpsd-0", "2_rpsd-0.5"))
    assert {path.name for path in (sweep / "tensorboard").iterdir()} == {"rpsd=0", "rpsd=0.5"}


def test_seeds(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli("train", "-m", "+debug=smoke", *SMALL, f"paths.cache={cache}", "seed=1,2,1", "test=false")
    assert done.code == 0, done.err
    (sweep,) = (tmp_path / "outputs" / "sweep").iterdir()
    runs = [sweep / name for name in ("0_seed-1", "1_seed-2", "2_seed-1")]
    one, two, again = (checkpoint(run)["state_dict"] for run in runs)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], two[name]) for name in one)
    assert len({(run / "split.csv").read_text() for run in runs}) == 1  # data.split_seed alone decides
    logs = {path.name for path in (sweep / "tensorboard").iterdir()}
    assert logs == {"seed=1", "seed=2", "seed=1,job=2"}
