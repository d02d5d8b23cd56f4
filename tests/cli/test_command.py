"""The command lines answer at once, and refuse without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryoalign import __version__
from cryoalign.cli import CONF_DIR
from cryoalign.cli.catalogue import summary
from cryoalign.cli.command import COMMANDS
from cryoalign.cli.flatten import flatten
from tests.conftest import REPOSITORY, Cli


def start(*arguments: str, module: str = "cryoalign") -> subprocess.CompletedProcess[str]:
    """Run a module in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_is_a_room_and_has_its_configuration() -> None:
    rooms = {path.parent.name for path in (REPOSITORY / "cryoalign").glob("*/__main__.py")}
    assert set(COMMANDS) == rooms == {path.stem for path in Path(CONF_DIR).glob("*.yaml")}


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_the_list_of_commands(arguments: list[str]) -> None:
    done = start(*arguments)
    assert done.returncode == 0
    for name in COMMANDS:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith(summary(name))
        assert len(line) <= 100


def test_the_version() -> None:
    assert start("--version").stdout == start("train", "--version").stdout == f"cryoalign {__version__}\n"


def test_an_unknown_command_is_refused() -> None:
    done = start("tran", "seed=1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no command tran\n")
    assert "did you mean cryoalign train?" in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [("sim", "simulate"), ("version", "--version"), ("help", "--help"), ("evalute", "evaluate")],
)
def test_the_command_that_was_meant(word: str, meant: str) -> None:
    done = start(word)
    assert done.returncode == 1
    assert f"did you mean cryoalign {meant}?" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("arguments", [["-h", "all"], ["--cfg", "job"]])
def test_what_is_not_needed_is_not_imported(name: str, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"import cryoalign.{name}.__main__ as command\n"
        "sys.argv = ['x', sys.argv[1], *sys.argv[2:]]\n"
        "try:\n    command.main()\n"
        "finally:\n"
        "    heavy = {'torch', 'lightning', 'scipy', 'matplotlib', 'numpy', 'hydra', 'omegaconf'}\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    heavy = "HEAVY ['hydra', 'omegaconf']" if "--cfg" in arguments else "HEAVY []"
    assert heavy in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "further"), [("simulate", set()), ("export", {"scipy", "gemmi"})])
def test_a_job_of_a_cluster_waits_for_nothing_that_it_does_not_need(name: str, further: set[str]) -> None:
    heavy = {
        *("lightning", "matplotlib", "rich", "scipy.optimize", "scipy.stats", "tensorboard"),
        *("torch._dynamo", "torch._inductor", "torchmetrics", *further),
    }
    code = (
        f"import sys, cryoalign.{name}.job; print('torch' in sys.modules, sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True []\n", done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--cfg", "all", "seed=3"], 0),
        (["seed=a"], 1),
        (["-m", "seed=a,b"], 1),
        (["--nonsense"], 1),
    ],
)
def test_both_forms_are_one(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The subcommand and the module say the same, also what Hydra makes of it and where input is refused."""
    monkeypatch.chdir(tmp_path)
    one, other = start("simulate", *arguments), start(*arguments, module="cryoalign.simulate")
    assert (one.returncode, one.stdout, one.stderr) == (code, other.stdout, other.stderr)
    assert "Traceback" not in one.stderr


def test_the_completion_of_another_shell_is_refused() -> None:
    done = start("-sc", "install=elvish")
    assert done.returncode == 1
    assert 'eval "$(cryoalign -sc install=bash)"' in done.stderr


def test_help_in_front_of_the_command() -> None:
    assert start("--help", "report").stdout == start("report", "--help").stdout


def test_the_reader_of_help_may_leave() -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m cryoalign evaluate --help all | head -1; exit ${{PIPESTATUS[0]}}",
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_one_level_of_a_nested_configuration() -> None:
    tree = {"a": {"b": 1, "c": [2, {"d": 3}]}, "e": None}
    assert flatten(tree) == {"a.b": 1, "a.c": [2, {"d": 3}], "e": None}
    assert flatten(tree, into_lists=True) == {"a.b": 1, "a.c.0": 2, "a.c.1.d": 3, "e": None}


def test_a_mistyped_key_is_refused(cli: Cli) -> None:
    done = cli("train", "loss.weights.rspd=0.1")
    assert done.code == 1
    assert "rspd" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("optimizer.clip=much", "a number"),
        ("threads=1.5", "a whole number"),
        ("callbacks.step_checkpoints.every=some", "a whole number"),
        ("test=1", "true or false"),
        ("data.normalization.percentiles=5", "a list of 2 numbers"),
        ("optimizer.algorithm.betas=[0.5]", "a list of 2 numbers"),
        ("optimizer.algorithm=5", "names and values, {KEY: VALUE}"),
        ("loss.adversarial=5", "names and values, {KEY: VALUE}"),
        ("data.split=5", "names and values, {KEY: VALUE}"),
    ],
)
def test_a_value_of_another_kind_is_refused(given: str, expected: str, cli: Cli) -> None:
    """Also where the default is null, and only the comment in conf/ names the kind."""
    done = cli("train", given)
    assert done.code == 1
    assert f"expected: {expected}" in done.err
    assert "\n  found: " in done.err
    assert "\n  remedy: " in done.err


@pytest.mark.parametrize("given", ["2.5", "abc", "1e12", "nan"])
def test_a_count_that_is_none(given: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run.star").write_text("data_\n")
    done = cli("simulate", "like=run.star", "volume=run.star", f"count={given}", "out=x")
    found = "1000000000000.0" if given == "1e12" else given
    kind = ("a finite number", "a plain number") if given == "nan" else ("a whole number", "digits alone")
    said = f"  expected: {kind[0]}\n  found: {found}\n  remedy: write {kind[1]}, or leave count out\n"
    assert (done.code, done.err) == (1, f"error: count cannot be used\n{said}")


def test_a_value_without_default(cli: Cli) -> None:
    done = cli("export", "particles=v.star", "out=x")
    assert done.code == 1
    assert done.err == "error: run has no default and was not given\n  remedy: give it as run=VALUE\n"


def test_full_error_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="missing"):
        cli("simulate", "particles=missing.star", "volume=v.mrc", "out=x")
