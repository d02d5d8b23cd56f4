"""The command lines answer at once, and refuse without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryoalign.cli import CONF_DIR
from tests.conftest import Cli


@pytest.mark.parametrize("name", ["train", "simulate", "audit", "evaluate", "export"])
def test_help_and_cfg_import_neither_torch_nor_lightning(name: str) -> None:
    code = (
        "import sys\n"
        f"import cryoalign.{name}.__main__ as command\n"
        "sys.argv = ['x', sys.argv[1], *sys.argv[2:]]\n"
        "try:\n    command.main()\n"
        "finally:\n"
        "    heavy = {'torch', 'lightning', 'scipy', 'matplotlib'}\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["--cfg", "job"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert "HEAVY []" in done.stdout, done.stdout + done.stderr


def test_a_mistyped_key_is_refused(cli: Cli) -> None:
    done = cli("train", "loss.weights.rspd=0.1")
    assert done.code == 1
    assert "rspd" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["particles=my", "file.star"], "quote the whole argument"),
        (["particles=run=3.star"], "'particles=\"run=3.star\"'"),
    ],
)
def test_paths_that_need_quotes(cli: Cli, arguments: list[str], shown: str) -> None:
    done = cli("simulate", *arguments, "volume=v.mrc", "out=x")
    assert done.code == 1
    assert shown in done.err
    assert "Traceback" not in done.err


def test_the_quoting_shown_works(cli: Cli, tmp_path: Path) -> None:
    done = cli("simulate", 'particles="a dir/run=3.star"', "volume=v.mrc", "out=x")
    assert done.code == 1
    assert f"a dir{'/'}run=3.star" in done.err
    assert "quote" not in done.err


def test_a_value_without_default(cli: Cli) -> None:
    done = cli("simulate", "volume=v.mrc", "out=x")
    assert done.code == 1
    assert "particles" in done.err
    assert "Traceback" not in done.err


def test_full_error_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="missing"):
        cli("simulate", "particles=missing.star", "volume=v.mrc", "out=x")


GROUPS = {
    "train": (
        "data",
        "generator",
        "discriminator",
        "loss/adversarial",
        "optimizer",
        "trainer",
        "experiment",
        "debug",
    ),
    "simulate": ("specimen", "scattering", "solvent", "envelope", "detector"),
}


@pytest.mark.parametrize("command", GROUPS)
def test_help_names_every_choice(command: str, cli: Cli) -> None:
    said = cli(command, "--help").out.split("Values")[0]
    for group in GROUPS[command]:
        (line,) = [line for line in said.splitlines() if line.strip().startswith(f"{group}: ")]
        choices = {path.stem for path in (Path(CONF_DIR) / group).glob("*.yaml")} - {"base"}
        assert set(line.split(": ")[1].split(", ")) == choices, group
