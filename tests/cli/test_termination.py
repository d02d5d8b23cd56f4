"""SIGTERM ends a command with 143, whatever was being done."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from cryoalign.cli.command import command
from cryoalign.cli.termination import Terminated, exit_on_sigterm


def terminate_in_an_import(*_: object) -> float:
    """Have the signal come out as numpy's import lets it: as an error that names no signal."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit:
        raise RecursionError from None
    return 0.0


@pytest.fixture(autouse=True)
def _of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the signal mean what it means where Python starts."""
    monkeypatch.setattr(sys, "argv", ["cryoalign"])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_code_is_that_of_a_shell() -> None:
    with pytest.raises(Terminated) as raised, exit_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_an_import_makes_of_it() -> None:
    with pytest.raises(Terminated), exit_on_sigterm():
        terminate_in_an_import()
    with pytest.raises(RecursionError), exit_on_sigterm():  # that was then
        raise RecursionError


def test_in_a_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(sys, "argv", ["cryoalign", f"hydra.run.dir={tmp_path}/run"])
    with pytest.raises(SystemExit) as raised:
        command("train")(terminate_in_an_import)()
    assert raised.value.code == 143
    assert "Traceback" not in capfd.readouterr().err
