"""Training with two fakes of each sim, and with other discriminators."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.data.dataset import Pair
from cryoalign.errors import InputError
from cryoalign.train.build import build_system
from cryoalign.train.system import PairedGAN
from tests.conftest import SMALL, Cli, read_csv


def system(*overrides: str) -> PairedGAN:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return build_system(compose("train", ["generator.width=4", "discriminator.width=4", *overrides]), 32)


def test_a_run_logs_its_scores(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli(
        "train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "loss=proper", "generator.noise_channels=1",
        "generator.width=4", "discriminator.width=4", "test=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    rows = read_csv(run)
    scores = ("GAN", "energy", "content", "RPSD energy")
    assert {f"{part}/{name}" for part in ("train", "val", "fixed") for name in scores} <= set().union(*rows)


def test_a_generator_without_noise_is_refused(cli: Cli, cache: Path) -> None:
    done = cli("train", *SMALL, f"paths.cache={cache}", "loss=proper")
    assert done.code == 1
    assert "  remedy: give generator.noise_channels=1, or loss=paired\n" in done.err
    with pytest.raises(InputError, match="makes the same one twice"):
        system("loss=proper", "loss.weights.energy=0")
    off = [f"loss.weights.{name}=0" for name in ("energy", "content", "rpsd")]
    assert not system("loss=proper", *off).objective.needs_second()


def test_the_second_fake_has_noise_of_its_own_and_is_made_only_where_it_is_asked_for() -> None:
    sim = torch.zeros(2, 1, 32, 32)
    batch: Pair = {"sim": sim, "index": torch.arange(2), "draw": torch.zeros(2, dtype=torch.int64)}
    batch["metadata"] = {"defocus": torch.full((2,), 1e4), "identity": torch.arange(2)}
    two = system("loss=proper", "generator.noise_channels=1")
    first = two(batch["sim"], batch["draw"], batch["metadata"])
    second = two.other_fakes(two, batch)
    assert second is not None
    assert not torch.allclose(first, second)
    assert second.requires_grad
    again = two.other_fakes(two.refine, batch, every=True)
    torch.testing.assert_close(again, second.detach())
    one = system("generator.noise_channels=1")
    assert one.other_fakes(one, batch, every=True) is None


@pytest.mark.parametrize(
    "chosen",
    [
        ["discriminator=ring_critic", "discriminator.r1=1"],
        [f"discriminator.{name}=true" for name in ("subtract_sim", "whiten", "rings")],
        ["discriminator.spectral_norm=true", "discriminator.batch_statistics=true", "discriminator.r1=1"],
    ],
)
def test_every_discriminator_trains_and_its_health_is_logged(
    chosen: list[str], cli: Cli, cache: Path, tmp_path: Path
) -> None:
    done = cli(
        "train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "generator.width=4", "discriminator.width=4",
        "trainer.max_steps=2", *chosen,
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    names = set().union(*read_csv(run))
    assert {f"train/{name}" for name in ("loss_D", "D_raw", "D_fake", "D_gradient")} <= names
    assert ("train/R1" in names) == ("discriminator.r1=1" in chosen)


def test_the_norm_of_the_gradient_is_found_where_it_is_logged(
    cli: Cli, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(slopes: list[torch.Tensor]) -> torch.Tensor:
        asked.append(len(slopes))
        return torch.ones(())

    monkeypatch.setattr("cryoalign.train.system.get_total_norm", counted)
    done = cli(
        "train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "generator.width=4", "discriminator.width=4",
        "trainer.max_steps=4", "log_every=2", "test=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    logged = [row for row in read_csv(run) if row.get("train/D_gradient")]
    assert [row["step"] for row in logged] == ["2", "4"]
    assert len(asked) == 2


def test_something_else_is_no_discriminator() -> None:
    with pytest.raises(InputError, match="not a discriminator"):
        system("discriminator._target_=torch.nn.Identity")


def test_a_continued_run_fits_and_trains_as_an_unbroken_one(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """What is fitted to the data, and the state of every choice of the discriminator, are the same again."""
    options = [
        "+debug=smoke", *SMALL, f"paths.cache={cache}", "generator.noise_channels=1", "generator.width=4",
        "loss=proper", "test=false", "trainer.val_check_interval=2", "discriminator.width=4",
        "discriminator.r1=1",
        *(f"discriminator.{name}=true" for name in ("subtract_sim", "whiten", "spectral_norm", "rings")),
    ]  # fmt: skip
    runs = [tmp_path / name for name in ("whole", "broken")]
    for run, steps in zip(runs, (4, 2), strict=True):
        assert cli("train", *options, f"trainer.max_steps={steps}", f"hydra.run.dir={run}").code == 0
    done = cli("train", f"resume={runs[1]}", "trainer.max_steps=4")
    assert done.code == 0, done.err
    whole, broken = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs
    )
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
