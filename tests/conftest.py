"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import csv
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from cryoalign.evaluate.case import Case
    from tests.fakes.known import Known

#: One thread: other tests may run beside, and sums have one order.
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data beside the project, or skip."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data of ../shared/data are not on this machine")
    return folder


#: What takes seconds to make: tests that ask for it are slow, and left out by ``make test-fast``.
SLOW_FIXTURES = {"cache", "run"}
#: Files that take minutes, in their order.
LONGEST_FILES = {
    name: place
    for place, name in enumerate(
        ("test_sabotage.py", "test_walk.py", "test_command.py", "test_ddp.py", "test_cryosparc.py",
         "test_stopping.py", "test_resume.py", "test_values.py", "test_files.py")
    )
}  # fmt: skip
#: Files whose tests judge many images, train classifiers, build a wheel, or watch a process's memory.
SLOW_FILES = {
    "test_a_run.py",
    "test_cache.py",
    "test_check.py",
    "test_completion.py",
    "test_given_stacks.py",
    "test_invention.py",
    "test_packaging.py",
    "test_pose.py",
    "test_psnr_gap.py",
    "test_ram.py",
    "test_sabotage.py",
    "test_simulations.py",
    "test_transfer.py",
    "test_two_sample.py",
    "test_unpaired.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests; others say so themselves, with ``@pytest.mark.slow``."""
    # The longest files first: a file is one worker's, and a long one at the end would leave the others idle.
    items.sort(key=lambda item: LONGEST_FILES.get(item.path.name, len(LONGEST_FILES)))
    for item in items:
        fixtures = set(item.fixturenames) if isinstance(item, pytest.Function) else set()
        if SLOW_FIXTURES & fixtures or item.path.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


_relion_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note tests that were skipped for want of RELION."""
    if report.skipped and "relion" in report.keywords and "RELION" in str(report.longrepr):
        _relion_skips.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where RELION has to be there, a skipped agreement test is a failure."""
    if _relion_skips and os.environ.get("CRYOALIGN_REQUIRE_RELION"):
        print(f"\n{len(_relion_skips)} agreement tests were skipped, but CRYOALIGN_REQUIRE_RELION is set")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def installed(distribution: str) -> bool:
    """Return whether a package is installed, which an extra brings."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


@dataclass
class Done:
    """What a command line left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]

#: What draws particles in the commands that do so each time.
BLANK = {
    "train": ("cryoalign.train.fixed_batch.panels", "cryoalign.train.fixed_batch.spectra"),
    "evaluate": (
        "cryoalign.evaluate.outputs.panels",
        "cryoalign.train.fixed_batch.panels",
        "cryoalign.train.fixed_batch.spectra",
    ),
}


def blank(*_: object, **__: object) -> Figure:
    """Draw nothing, in no time."""
    figure = Figure(figsize=(0.1, 0.1))
    FigureCanvasAgg(figure)
    return figure


def latest(words: Sequence[str]) -> list[str]:
    """Return the words of a command without those that a later one replaces: a key may be given once.

    So tests replace words of the lists that they share.
    """
    places = {word.partition("=")[0]: place for place, word in enumerate(words)}
    return [
        word
        for place, word in enumerate(words)
        if places[word.partition("=")[0]] == place or word[0] in "+~-"
    ]


def run_here(folder: Path, name: str, *arguments: str, pictures: bool = False) -> int:
    """Run a command in this process, which saves its start of five seconds; return its exit code.

    Pictures of particles take a second each: without them the files are there, and blank.
    """
    with pytest.MonkeyPatch.context() as patch:
        for place in () if pictures else BLANK.get(name, ()):
            patch.setattr(place, blank)
        patch.chdir(folder)
        patch.setattr(sys, "argv", [f"cryoalign.{name}", *arguments])
        GlobalHydra.instance().clear()
        try:
            importlib.import_module(f"cryoalign.{name}.__main__").main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, in an empty folder; of a key that is given again the last counts.

    Pictures of simulate and export are drawn where a test asks for them; those that train and evaluate write
    of particles are blank here, and drawn in the session's run and in the tutorial.
    """

    def call(name: str, *arguments: str) -> Done:
        monkeypatch.chdir(tmp_path)
        usual = ["picture=false"] if name in {"simulate", "export"} and arguments else []
        code = run_here(tmp_path, name, *latest([*usual, *arguments]))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


#: An embedded data set and networks that train in seconds.
SMALL = [
    "data.embedded.box=32",
    "data.embedded.particles=60",
    "data.embedded.micrographs=10",
    "data.batch_size=4",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder where all tests find the embedded data set."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run of a few steps, tested; not to be changed."""
    folder = tmp_path_factory.mktemp("work")
    words = ("+debug=smoke", *SMALL, f"paths.cache={cache}")
    assert run_here(folder, "train", *words, pictures=True) == 0
    (made,) = (folder / "outputs" / "train").iterdir()
    return made


def read_csv(run: Path) -> list[dict[str, str]]:
    """Rows of a run's logged values, without empty cells."""
    with (run / "csv" / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if value != ""} for row in csv.DictReader(file)]


@pytest.fixture(scope="session")
def small() -> Known:
    """Pairs whose truth is known, small enough for many tests."""
    from tests.fakes.known import Known

    return Known(box=32, count=160, micrographs=16)


@pytest.fixture(scope="session")
def small_folder(small: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their files, with the fakes of the honest oracle; not to be changed."""
    from tests.fakes.known import case_of
    from tests.fakes.saboteurs import oracle

    folder = tmp_path_factory.mktemp("small")
    small.write_common(folder)
    case_of(small, folder, oracle(small))
    return folder


@pytest.fixture(scope="session")
def honest(small: Known, small_folder: Path) -> Case:
    """The honest oracle's case."""
    from tests.fakes.known import case_of
    from tests.fakes.saboteurs import oracle

    return case_of(small, small_folder, oracle(small))
