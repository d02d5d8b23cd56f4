"""What the TAB key offers, in bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryoalign.cli.command import COMMANDS
from cryoalign.cli.completion import candidates
from tests.conftest import REPOSITORY

ASK = """\
eval "$(cryoalign -sc install=bash)"
complete -p cryoalign >&2
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE=$1 COMP_POINT=${2:-${#1}}
_cryoalign_completion cryoalign "" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def in_bash(tmp_path: Path) -> dict[str, str]:
    """Variables with which a shell finds the command."""
    script = tmp_path / "cryoalign"
    script.write_text(f"#!{sys.executable}\nfrom cryoalign.__main__ import main\nmain()\n")
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}


def ask(variables: dict[str, str], line: str, *point: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", line, *point], env=variables, capture_output=True, text=True, check=True
    )
    assert "-F _cryoalign_completion cryoalign" in done.stderr
    return done.stdout.splitlines()


def test_bash_completes_commands_groups_choices_and_keys(in_bash: dict[str, str]) -> None:
    assert ask(in_bash, "cryoalign tr") == ["train "]
    assert ask(in_bash, "cryoalign train gen") == ["generator.", "generator="]
    assert ask(in_bash, "cryoalign train generator=unet_") == ["unet_128 ", "unet_256 "]  # behind the =
    assert ask(in_bash, "cryoalign train generator=unet_ seed=1", "30") == ["unet ", "unet_128 ", "unet_256 "]
    assert ask(in_bash, "cryoalign train data.sim=") == [""]  # bash offers files


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("cryoalign ", [*(f"{name} " for name in COMMANDS), "--help ", "--version "]),
        ("cryoalign train data.s", ["data.seed=", "data.sim_neighbours=", "data.split.", "data.split_seed="]),
        ("cryoalign train data=stars data.si", ["data.sim="]),
        ("cryoalign train data.split.k", ["data.split.kind="]),
        ("cryoalign train data.split.kind=", [f"data.split.kind={a} " for a in ("groups", "half", "file")]),
        ("cryoalign train +", ["+callbacks=", "+debug=", "+experiment=", "+hparams_search=", "+logger="]),
        ("cryoalign train +experiment=no_g", ["+experiment=no_gan "]),
        ("cryoalign train -m generator=unet,sp", ["generator=unet,spectral"]),
        ("cryoalign train loss/", ["loss/adversarial="]),
        ("cryoalign train trainer.max_steps=", ["trainer.max_steps=1000 "]),
        ("cryoalign train test=f", ["test=false "]),
        ("cryoalign train --cfg ", ["job ", "hydra ", "all "]),
        ("cryoalign train --help opt", ["optimizer "]),
        ("cryoalign evaluate measures=[spectrum,co", ["measures=[spectrum,content"]),
        ("cryoalign evaluate measure.sp", []),
        ("cryoalign nothing x", []),
        ("cryo", []),
    ],
)  # fmt: skip
def test_candidates(line: str, offered: list[str]) -> None:
    assert candidates(COMMANDS, line) == offered
