"""Errors that libraries and the operating system raise for what a user gave: named, with exit code 1."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from cryoalign.cli.writing import written
from cryoalign.io.relion.star import write_star
from tests.bad_input.conftest import RAW, SIMULATE, Refused, Spoil, needed, tree
from tests.conftest import SMALL
from tests.io import cryosparc_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


def _cs(folder: Path, *left_out: str) -> Path:
    table = cryosparc_files.without(cryosparc_files.particles(box=32), *left_out)
    return cryosparc_files.save(folder / "particles.cs", table)


def _open_bracket(folder: Path) -> None:
    path = _cs(folder)
    path.write_bytes(path.read_bytes().replace(b"('blob/idx'", b"(('blob/idx'", 1))


def _damaged_gzip(folder: Path) -> None:
    (folder / "volume.map.gz").write_bytes(b"\x1f\x8b\x07" + bytes(2000))


GIVEN: dict[str, tuple[Spoil, list[str], tuple[str, ...]]] = {
    "Latin-1": (
        lambda f: (f / RAW).write_bytes((f / RAW).read_bytes() + b"# caf\xe9\n"),
        [],
        ("raw.star", "UTF-8"),
    ),
    "a damaged gzip": (_damaged_gzip, ["volume=volume.map.gz"], ("volume.map.gz", "damaged")),
    "an open bracket": (_open_bracket, ["particles=particles.cs"], ("particles.cs", "cannot be read")),
    "no CTF": (
        lambda f: _cs(f, *(name for name in cryosparc_files.FIELDS if name.startswith("ctf/"))),
        ["particles=particles.cs"],
        ("particles.cs", "no CTF columns", "passthrough="),
    ),
    "a name that is too long": (lambda _: None, [f"particles={'a' * 300}.star"], ("aaa.star", "too long")),
    "an output whose name is too long": (lambda _: None, [f"out={'a' * 300}"], ("aaa", "too long")),
    "a file in place of the unfinished output": (
        lambda f: (f / ".new.unfinished").write_text("mine"),
        [],
        (".new.unfinished", "did not write it"),
    ),
    "a file in place of the folder": (lambda f: (f / "at").write_text("mine"), ["out=at/new"], ("at",)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_simulate_is_given(name: str, pairs: Path, refused: Refused) -> None:
    spoil, options, says = GIVEN[name]
    spoil(pairs)
    keys = {option.partition("=")[0] for option in options}
    arguments = [word for word in SIMULATE if word.partition("=")[0] not in keys]
    refused("simulate", *arguments, *options, says=says)


LONG = "9" * 400
OF_A_RUN: dict[str, tuple[str, str]] = {
    "data.json: a box that is a table": ("data.json", '{"box": {}, "pixel_size": 7.08, "normalization": {}}'),
    "data.json: a number that is too large": ("data.json", f'{{"box": 32, "pixel_size": {LONG}}}'),
    "data.json: cut": ("data.json", '{"box": 32, "pix'),
    "config.yaml: a list": ("config.yaml", "- 1\n- 2\n"),
    "split.csv: a field without end": ("split.csv", "rlnImageName,part\n" + '"' + "a" * 200_000),
    "metrics.csv: words": ("csv/metrics.csv", "step,val/RPSD_L1\nsoon,1\n"),
    "metrics.json: a number that is too large": ("test/metrics.json", f'{{"RPSD_L1": {LONG}}}'),
    "rpsd.npz: cut": ("test/rpsd.npz", "PK\x03\x04"),
}


@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_run_that_is_compared(name: str, copied: Path, refused: Refused) -> None:
    file, text = OF_A_RUN[name]
    (copied / file).write_text(text)
    refused("report", "runs=copied", "out=new", says=(file,))


@pytest.mark.parametrize(
    ("number", "says"), [(errno.EROFS, "Read-only"), (errno.ENOSPC, "no room"), (errno.EIO, "Input/output")]
)
def test_a_disk_that_takes_nothing(
    number: int, says: str, pairs: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount that became read-only, or a disk that broke."""
    made = os.mkdir

    def refusing(path: str | Path, *mode: int, **more: int) -> None:
        if "new" in os.fspath(path):
            raise OSError(number, os.strerror(number), os.fspath(path))
        made(path, *mode, **more)

    monkeypatch.setattr(os, "mkdir", refusing)
    refused("simulate", *SIMULATE, says=("new", says, "remedy"))


def _goes(path: Path, *_: object) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("command", ["simulate", "export"])
def test_a_folder_that_goes_while_it_is_filled(
    command: str, run: Path, pairs: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoalign.io.relion.write.write_star", _goes)
    before = tree(pairs)
    done = cli(command, *needed(command, run))
    assert done.code == 1, done.err
    assert "no such file or folder" in done.err, done.err
    assert "moved or removed while the command ran" in done.err
    assert tree(pairs) == before


@pytest.mark.parametrize("command", ["simulate", "export"])
def test_a_folder_that_goes_and_is_made_again(
    command: str, run: Path, pairs: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata alone, without the images, would look like an output."""

    def goes_before(path: Path, *given: Any, **more: Any) -> None:
        _goes(path)
        write_star(path, *given, **more)

    monkeypatch.setattr("cryoalign.io.relion.write.write_star", goes_before)
    before = tree(pairs)
    done = cli(command, *needed(command, run))
    assert done.code == 1, done.err
    assert "moved or removed while the command ran" in done.err
    assert tree(pairs) == before
    monkeypatch.undo()
    done = cli(command, *needed(command, run))
    assert done.code == 0, done.err


@pytest.mark.parametrize("more", [[], ["logger.tensorboard=null"]], ids=["tensorboard", "table alone"])
def test_a_run_whose_folder_goes(
    more: list[str], cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cryoalign.train.checkpoints.BestCheckpoint.on_validation_end",
        lambda *_: shutil.rmtree(tmp_path / "outputs"),
    )
    done = cli("train", "+debug=smoke", *SMALL, *more, f"paths.cache={cache}")
    assert done.code == 1, done.err
    assert "no such file or folder" in done.err
    assert "Traceback" not in done.err
    assert "b'" not in done.err  # a path as TensorBoard has it


#: What each command does when its output is nearly whole.
NEARLY_DONE = {
    "export": "cryoalign.export.fakes.write_images",
    "evaluate": "cryoalign.io.relion.write.write_star",
    "simulate": "cryoalign.io.relion.write.write_star",
}


@pytest.mark.parametrize("command", NEARLY_DONE)
def test_sigterm_leaves_nothing_half_done(
    command: str, run: Path, pairs: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NEARLY_DONE[command], lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    before = tree(pairs)
    more = ["measures=[]", "baselines=[]"] if command == "evaluate" else []
    done = cli(command, *needed(command, run), *more)
    assert done.code == 128 + signal.SIGTERM, done.err
    after = tree(pairs)
    assert before == {path: held for path, held in after.items() if path in before}
    left = set(after) - set(before)
    assert all(path.startswith(".new.unfinished") for path in left), left  # a simulation goes on
    assert bool(left) == (command == "simulate")


@pytest.mark.parametrize("name", ["csv", "checkpoint"])
def test_a_resumed_run_whose_table_is_none(name: str, copied: Path, cli: Cli) -> None:
    table = copied / "csv" / "metrics.csv"
    table.write_text("step,a\nthree,1\n" if name == "csv" else "a,b\n1,2\n")
    before = tree(copied)
    done = cli("train", f"resume={copied}", "trainer.max_steps=8")
    assert done.code == 1, done.err
    assert f"{table}: these logged values cannot be read" in done.err
    assert "put the file back, or move it away" in done.err
    assert tree(copied) == before


def test_a_run_whose_folder_goes_before_its_test_is_logged(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's thread writes the first row in vain, Lightning makes a ValueError of the second."""

    def values(*given: Any, **_: object) -> dict[str, float]:
        shutil.rmtree(tmp_path / "outputs")
        for _ in range(50):
            given[4]({"RPSD_L1": 1.0})
            time.sleep(0.01)
        return {}

    monkeypatch.setattr("cryoalign.train.fit.run_test", values)
    monkeypatch.setattr("cryoalign.train.fit.load_system", lambda *_: None)
    monkeypatch.setattr("cryoalign.train.fit.load_refiner", lambda *_: None)
    done = cli("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "logger.csv=null")
    assert done.code == 1, done.err
    assert "no such file or folder" in done.err
    assert "Traceback" not in done.err


def test_what_goes_on_is_written_for_a_shell(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's folder may hold a quote and a blank: its commands are copied from the screen."""
    folder = tmp_path / "Tim's runs" / "first"
    place = shlex.split(written("hydra.run.dir", folder))
    done = cli("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", *place)
    assert done.code == 0, done.err
    (line,) = (line for line in done.out.splitlines() if line.startswith("to judge"))
    words = shlex.split(line.removeprefix("to judge"))
    assert words[:2] == ["cryoalign", "evaluate"]
    monkeypatch.chdir(tmp_path)
    done = cli("evaluate", *words[2:], "measures=[]", "baselines=[]", "out=judged", "progress=false")
    assert done.code == 0, done.err
