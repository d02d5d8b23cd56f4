"""What a command makes of errors: those of the surroundings are explained, our own are named as such."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from cryoalign.cli.command import command
from cryoalign.cli.explain import explain
from cryoalign.errors import InputError
from cryoalign.reading import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def fails(monkeypatch: pytest.MonkeyPatch, folder: Path, error: Callable[[], object], *words: str) -> int:
    """Run a command whose work is to raise an error; return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["cryoalign", *words, f"hydra.run.dir={folder}/run"])
    with pytest.raises(SystemExit) as stop:
        command("train")(lambda _: error())()
    return int(stop.value.code or 0)


def read_as_a_number(path: Path) -> int:
    with reading(path):
        return int("far")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRYOALIGN_DEBUG", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


def test_a_fault_names_the_file_that_was_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fails(monkeypatch, tmp_path, lambda: read_as_a_number(tmp_path / "raw.star")) == 70
    said = capfd.readouterr().err
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert f"fault of cryoalign while reading {tmp_path}/raw.star (ValueError: invalid literal" in line
    assert "report it" in line
    assert "CRYOALIGN_DEBUG=1" in line
    assert "Traceback" not in said


def test_a_fault_without_a_file_names_the_command_and_the_line_of_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        InputError(1, 2)  # type: ignore[call-arg, arg-type]

    assert fails(monkeypatch, tmp_path, broken) == 70
    said = capfd.readouterr().err
    assert "fault of cryoalign while running cryoalign train (TypeError: " in said
    assert ", cryoalign/cli/task.py:" in said


@pytest.mark.parametrize("switch", ["CRYOALIGN_DEBUG", "HYDRA_FULL_ERROR"])
def test_the_traceback_is_shown_on_request(
    switch: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(ValueError, match="invalid literal"):
        fails(monkeypatch, tmp_path, lambda: read_as_a_number(tmp_path / "raw.star"))


def test_the_other_jobs_of_a_sweep_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs: list[None] = []

    def broken() -> None:
        jobs.append(None)
        raise KeyError("key")

    assert fails(monkeypatch, tmp_path, broken, "-m", "seed=1,2") == 70
    assert len(jobs) == 2
    assert "fault of cryoalign" in capfd.readouterr().err


def test_damage_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    with pytest.raises(InputError, match=r"data\.json: the content of this file is damaged"), reading(path):
        "\xe9".encode("latin-1").decode("utf-8")
    with pytest.raises(InputError, match=r"data\.json: the file cannot be read"), reading(path):
        path.read_text()


def test_the_innermost_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="far") as raised, reading(tmp_path):
        read_as_a_number(tmp_path / "inner")
    assert raised.value.__notes__ == [f"while reading {tmp_path}/inner"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.ENOENT, "no such file"),
        (errno.ENOSPC, "no room"),
        (errno.EACCES, "permission denied"),
        (errno.ESTALE, "no longer"),
    ],
)
def test_refusals_of_the_operating_system(number: int, says: str) -> None:
    message = explain(OSError(number, os.strerror(number), "out/report.html"))
    assert message is not None
    assert message.startswith("out/report.html: ")
    assert says in message
    assert "remedy: " in message


def test_a_refusal_that_was_handled_does_not_explain_a_fault() -> None:
    fault = KeyError("key")
    fault.__context__ = FileNotFoundError(errno.ENOENT, "none", "recipe.json")
    assert explain(fault) is None
    fault.__context__ = OSError(errno.ENOSPC, "full", "last.ckpt")  # torch makes another error of it
    assert "no room" in str(explain(fault))


def test_memory() -> None:
    assert "not enough memory" in str(explain(MemoryError()))


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory",
        "Storage size calculation overflowed with sizes=[1000000002, 1000000002]",
    ],
)
def test_too_little_memory_for_torch_is_no_fault(text: str) -> None:
    assert str(explain(RuntimeError(text))).startswith(f"not enough memory\n  found: {text}\n  remedy: ")
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
