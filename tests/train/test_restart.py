"""A run's folder is its own; a job that submitit starts again goes on in it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import NoReturn

import pytest

from cryoalign.errors import InputError
from cryoalign.train import restart, stopping


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The identity of the job of submitit's that this process is, which may be changed."""
    identity = ["4242_0"]
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setattr(restart, "job_identity", lambda: identity[0])
    return identity


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    restart.claim(tmp_path)
    with pytest.raises(InputError, match="holds something already"):
        restart.claim(tmp_path)


def test_a_job_that_left_no_checkpoint_begins_anew_and_another_is_refused(
    tmp_path: Path, job: list[str]
) -> None:
    restart.claim(tmp_path)
    (tmp_path / "config.yaml").touch()
    job[:] = ["4242_1"]
    with pytest.raises(InputError, match="holds something already"):
        restart.claim(tmp_path)
    job[:] = ["4242_0"]
    restart.claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [restart.MARKER]


def test_a_job_that_is_not_queued_again_says_how_to_go_on() -> None:
    """So it is where its time was up more often than `hydra.launcher.max_num_timeout`."""

    def submitit(*_: object) -> NoReturn:
        raise RuntimeError("Job not requeued because: timed-out too many times.")

    with pytest.raises(InputError, match="does not queue it again") as refused:
        stopping._queue_again(signal.SIGUSR2, submitit)
    assert "max_num_timeout" in str(refused.value)
    assert "cryoalign train resume=RUN" in str(refused.value)
