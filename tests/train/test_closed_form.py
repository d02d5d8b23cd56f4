"""Baselines through the command lines: a run folder like any other, fitted instead of trained."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch
import yaml
from hydra.utils import get_class

from cryoalign.embedded.datamodule import EmbeddedDataModule
from cryoalign.errors import InputError
from cryoalign.models.baseline import Batch
from cryoalign.models.baselines import BASELINES, Identity, Spectral
from cryoalign.physics.spectrum import radial_log_power
from cryoalign.train.closed_form import fit_baseline
from tests.conftest import REPOSITORY, SMALL, Cli, read_csv

if TYPE_CHECKING:
    from collections.abc import Iterable

MEASURES = ("RPSD_L1", "RPSD_MSE", "pixel_L1", "pixel_MSE")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module are kept."""
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture
def fitted(folder: Path, cli: Cli, cache: Path, tmp_path: Path) -> Path:
    """A run with generator=spectral, made once; not to be changed."""
    run = folder / "spectral"
    if not run.exists():
        done = cli("train", "generator=spectral", *SMALL, f"paths.cache={cache}", f"hydra.run.dir={run}")
        assert done.code == 0, done.err
        (folder / "log.txt").write_text(done.out + done.err)
    return run


@pytest.fixture(scope="module")
def data(cache: Path) -> EmbeddedDataModule:
    module = EmbeddedDataModule(cache, {"box": 32, "particles": 60, "micrographs": 10})
    module.prepare_data()
    module.setup()
    return module


def test_the_run_folder_is_that_of_any_run(fitted: Path, folder: Path) -> None:
    assert {path.name for path in fitted.iterdir()} >= {
        "config.yaml", "provenance.json", "data.json", "split.csv", "checkpoints", "csv", "tensorboard",
        "test",
    }  # fmt: skip
    assert {path.name for path in (fitted / "test").iterdir()} >= {
        "metrics.json", "panels.png", "spectra.png", "rpsd.npz", "fake.mrcs", "fake.star"
    }  # fmt: skip
    log = (folder / "log.txt").read_text()
    assert "one spectrum for every defocus" in log
    assert "ring correlation" in log
    assert "mean D" not in log
    assert f"to judge     cryoalign evaluate run={fitted} part=held_out" in log


def test_values_are_logged_at_step_0_and_none_are_of_a_discriminator(fitted: Path) -> None:
    rows = read_csv(fitted)
    assert {row["step"] for row in rows} == {"0"}
    names = set().union(*rows)
    for part in ("val", "test"):
        assert {f"{part}/{kind}{name}" for kind in ("", "sim_", "floor_") for name in MEASURES} <= names
    assert {"val/L1", "val/RPSD", "val/ring_correlation"} <= names
    assert not any(name.rpartition("/")[2] in {"D_raw", "D_fake", "GAN"} or "loss" in name for name in names)


def test_the_checkpoint_holds_plain_values_and_its_configuration(fitted: Path) -> None:
    last, best = (
        torch.load(fitted / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("last", "best")
    )
    assert {name.partition(".")[0] for name in last["state_dict"]} == {"generator"}
    assert json.loads(last["cryoalign"]["configuration"])["generator"]["_target_"].endswith("Spectral")
    assert all(torch.equal(value, best["state_dict"][name]) for name, value in last["state_dict"].items())


def test_the_fakes_have_the_spectrum_of_raw(fitted: Path) -> None:
    """Worse than another raw image only by what 6 pairs leave to chance; sim is several times as far off."""
    metrics = json.loads((fitted / "test" / "metrics.json").read_text())
    assert metrics["RPSD_L1"] < 1.3 * metrics["floor_RPSD_L1"]
    assert metrics["RPSD_L1"] < 0.5 * metrics["sim_RPSD_L1"]


class Twice(Identity):
    """What goes through the pairs twice, and keeps what it saw."""

    def fit(self, batches: Iterable[Batch]) -> None:
        self.seen = [list(batches), list(batches)]


def test_pairs_can_be_gone_through_several_times(data: EmbeddedDataModule) -> None:
    """They come in the same order and never turned, with all that is known of the particles."""
    seen = fit_baseline(Twice(32), data).seen
    rows = data.rows["train"]
    for _, raw, metadata, group in (
        tuple(torch.cat([batch[i] for batch in batches]) if i != 2 else batches[0][2] for i in range(4))
        for batches in seen
    ):
        assert len(raw) == len(group) == len(rows)
        assert metadata.keys() == {"defocus", "ctf", "dose", "tilt", "micrograph", "particle", "identity"}
        names = data.groups[rows]
        assert ((group[:, None] == group) == torch.from_numpy(names[:, None] == names)).all()
    for first, second in zip(*seen, strict=True):
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
        assert torch.equal(first[2]["ctf"], second[2]["ctf"])
    first = seen[0][0]
    size = len(first[0])
    np.testing.assert_allclose(first[2]["ctf"][:, :3], data.raw.defocus[rows[:size]])
    np.testing.assert_array_equal(
        first[0][0, 0], data.evaluation_loader("train").dataset[0, rows[0]]["sim"][0]
    )


def test_evaluate_gives_the_runs_own_fakes(fitted: Path, cli: Cli, tmp_path: Path) -> None:
    options = ["measures=[]", "progress=false", "device=cpu"]
    done = cli("evaluate", f"run={fitted}", "checkpoint=best", "out=again", *options)
    assert done.code == 0, done.err
    again, first = (mrcfile.read(place / "fake.mrcs") for place in (tmp_path / "again", fitted / "test"))
    np.testing.assert_array_equal(again, first)


def test_a_baseline_is_not_judged_beside_itself(fitted: Path, cli: Cli, tmp_path: Path) -> None:
    options = ["part=train", "measures=[spectrum]", "draws=100", "progress=false", "device=cpu"]
    done = cli("evaluate", f"run={fitted}", "out=judged", "baselines=[identity,spectral]", *options)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    assert set(found["candidates"]) == {"fake", "identity"}
    assert "spectral is left out: it is the generator of this run" in done.out + done.err
    assert done.out.splitlines()[-1].startswith("evaluation.json and report.html are in ")


def test_export_takes_the_defocus_from_the_stack_and_draws_anew(
    fitted: Path, cli: Cli, tmp_path: Path
) -> None:
    sources = json.loads((fitted / "provenance.json").read_text())["data"]
    (sims,) = (name for name in sources if name.endswith("sim.star"))
    done = cli(
        "export", f"run={fitted}", f"particles={sims}", "out=new", "draws=2", "seed=1", "progress=false"
    )
    assert done.code == 0, done.err
    first, second = (mrcfile.read(tmp_path / "new" / f"fake_draw0{draw}.mrcs") for draw in (1, 2))
    assert (np.abs(first - second).std(axis=(1, 2)) > 0.5).all()
    names = starfile.read(tmp_path / "new" / "fake_draw01.star")["particles"]["rlnImageOriginalName"].tolist()
    tested = starfile.read(fitted / "test" / "fake.star")["particles"]["rlnImageOriginalName"]
    np.testing.assert_allclose(
        first[[names.index(name) for name in tested]], mrcfile.read(fitted / "test" / "fake.mrcs"), atol=1e-5
    )


def test_it_cannot_be_continued(fitted: Path, cli: Cli) -> None:
    done = cli("train", f"resume={fitted}", "trainer.max_steps=2000")
    assert done.code == 1
    assert "closed form" in done.err
    assert "remedy" in done.err
    assert "Traceback" not in done.err
    assert (fitted / "checkpoints" / "last.ckpt").is_file()


def test_a_sweep_over_generators_is_told_the_monitored_value(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """In [-1, 1], with settings that only a trained generator has a use for."""
    done = cli(
        "train", "-m", "generator=identity,white_noise,spectral", *SMALL, f"paths.cache={cache}",
        "data.normalization.range=minmax", "optimizer.ema_decay=0.9", "test=false", "audit=off",
        "monitor=val/pixel_MSE", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = []
    for job in ("0_generator-identity", "1_generator-white_noise", "2_generator-spectral"):
        (row,) = read_csv(tmp_path / "sweep" / job)
        found.append({name: float(row[f"val/{name}"]) for name in ("RPSD_L1", "sim_RPSD_L1", "pixel_MSE")})
    assert found[0]["RPSD_L1"] == found[0]["sim_RPSD_L1"]
    assert found[2]["RPSD_L1"] < found[1]["RPSD_L1"] < found[0]["RPSD_L1"]
    assert all(math.isfinite(value) for values in found for value in values.values())


def test_a_run_that_fails_leaves_no_folder(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli("train", "generator=spectral", "generator.noise_channels=0", *SMALL, f"paths.cache={cache}")
    assert done.code == 1
    assert "generator.noise_channels cannot be used" in done.err
    assert "Traceback" not in done.err
    assert not any((tmp_path / "outputs" / "train").iterdir())


def test_each_baseline_has_its_configuration() -> None:
    files = (REPOSITORY / "conf" / "generator").glob("*.yaml")
    kinds = {path.stem: get_class(yaml.safe_load(path.read_text())["_target_"]) for path in files}
    assert {name: kind for name, kind in kinds.items() if kind.closed_form} == BASELINES


def test_a_baseline_is_fitted_without_a_run_on_training_pairs_alone(
    fitted: Path, data: EmbeddedDataModule
) -> None:
    whole = fit_baseline("spectral", data)
    assert isinstance(whole, Spectral)
    stored = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(whole.power, stored["generator.power"])
    assert not whole.training
    with (fitted / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows].count("train") == len(data.rows["train"])


def test_of_many_pairs_some_are_taken_spread_and_by_seed(data: EmbeddedDataModule) -> None:
    def read_by(images: int, seed: int) -> list[float]:
        class Counter(Identity):
            def fit(self, batches: object) -> None:
                self.defoci = [float(d) for _, _, known, _ in batches for d in known["defocus"]]  # type: ignore[attr-defined]

        counter = Counter(data.box)
        fit_baseline(counter, data, images=images, seed=seed)
        return counter.defoci

    rows = data.rows["train"]
    mean = data.raw.defocus[:, :2].mean(axis=1).astype(np.float32)
    assert read_by(len(rows), 0) == mean[rows].tolist()
    some = read_by(12, 1)
    assert len(some) == len(set(some)) == 12
    places = [mean[rows].tolist().index(value) for value in some]
    assert [place * 12 // len(rows) for place in places] == list(range(12))
    assert some == read_by(12, 1) != read_by(12, 2)


def test_an_unknown_baseline_is_refused(data: EmbeddedDataModule) -> None:
    with pytest.raises(InputError, match="no such baseline"):
        fit_baseline("pink", data)


@pytest.mark.realdata
def test_real_particles_at_64_px_come_to_their_floor(shared_data: Path, tmp_path: Path, cli: Cli) -> None:
    """krios_bgal: spectral is as close to raw as another raw image; white noise nearly, sim far from it."""
    source = shared_data / "krios_bgal"
    done = cli(
        "simulate", f"particles={source / 'particles.star'}", f"volume={source / 'reference.mrc'}", "out=sim",
        "progress=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = cli(
        "train", "-m", "generator=white_noise,spectral", "data=stars", "data.box=64", "data.sim=sim/sim.star",
        f"data.raw={source / 'particles.star'}", "hydra.sweep.dir=sweep", "trainer=cpu", "audit=off",
        "trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    excess = []
    for job in ("0_generator-white_noise", "1_generator-spectral"):
        values = json.loads((tmp_path / "sweep" / job / "test" / "metrics.json").read_text())
        excess.append(values["RPSD_L1"] / values["floor_RPSD_L1"])
        assert values["sim_RPSD_L1"] / values["floor_RPSD_L1"] > 5
    # Of 80 images the floor depends on which others they are paired with: 0.293 to 0.314 over ten draws.
    assert excess[1] == pytest.approx(0.93, abs=0.1)
    assert excess[0] == pytest.approx(0.98, abs=0.15)
    fake, raw = (
        radial_log_power(
            torch.from_numpy(mrcfile.read(tmp_path / "sweep" / job / "test" / f"{kind}.mrcs"))
        ).mean(0)
        for kind in ("fake", "raw")
    )
    assert float((fake - raw)[1:].abs().max()) < 0.25


def test_a_fit_whose_fakes_are_no_numbers_is_refused(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Spectral.fit

    def broken(self: Spectral, batches: Iterable[Batch]) -> None:
        whole(self, batches)
        self.power.fill_(float("inf"))

    monkeypatch.setattr(Spectral, "fit", broken)
    run = tmp_path / "run"
    done = cli("train", "generator=spectral", *SMALL, f"paths.cache={cache}", f"hydra.run.dir={run}")
    assert done.code == 1
    assert "fakes of the validation have values that are not finite" in done.err
    assert "4 of 4 images of a batch" in done.err
    assert "Traceback" not in done.err
    assert not run.exists()
