"""A small set with known truth, written once, and the honest oracle's case."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoalign.referee.case import Case
from tests.referee.known import Known, case_of
from tests.referee.saboteurs import oracle


@pytest.fixture(scope="session")
def small() -> Known:
    return Known(box=32, count=160, micrographs=16)


@pytest.fixture(scope="session")
def small_folder(small: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the honest oracle; not to be changed."""
    folder = tmp_path_factory.mktemp("small")
    small.write_common(folder)
    case_of(small, folder, oracle(small))
    return folder


@pytest.fixture(scope="session")
def honest(small: Known, small_folder: Path) -> Case:
    return case_of(small, small_folder, oracle(small))
