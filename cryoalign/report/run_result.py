"""What a comparison needs of a run: its configuration, its test, its curves, its evaluation."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError
from cryoalign.evaluate.document import FILE_NAME, read_document
from cryoalign.figures.panels import KINDS
from cryoalign.reading import reads_file
from cryoalign.runs.description import check_images
from cryoalign.runs.folder import read_run
from cryoalign.runs.names import value_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.evaluate.document import Document

ABSENT = "absent"
"""Value of a key that a configuration does not have."""

_WITHOUT = "put the file back as the run wrote it, or leave this run out of runs="


class History(NamedTuple):
    """Values logged by step.

    Attributes
    ----------
    step, value : (n,) float64
        Steps ascend.
    """

    step: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class RunResult:
    """What a comparison needs of a run.

    Attributes
    ----------
    folder : Path
        As it was found.
    config : dict of str to str
        The whole configuration, flat: dotted key to value; numbers that are equal have the same text.
    seed : str
    metrics : dict of str to float
        Of the test, without prefix.
    curves : dict of str to History
        What was logged in validation, without prefix.
    spectra : dict of str to (R,) float64
        Mean radial log power spectrum of the test set's sim, fake and raw; empty where they were not kept.
    box : int
        Box size in px.
    pixel_size : float
        In A.
    images : str
        By which two test sets are known to be the same.
    files : tuple of str
        By which two data sets are known to be the same.
    code : str
        Commit, or version, that trained it.
    evaluation : Document or None
        The newest ``evaluation.json`` below the folder.
    """

    folder: Path
    config: dict[str, str]
    seed: str
    metrics: dict[str, float]
    curves: dict[str, History]
    spectra: dict[str, NDArray[np.float64]]
    box: int
    pixel_size: float
    images: str
    files: tuple[str, ...]
    code: str
    evaluation: Document | None


def read_result(folder: Path) -> RunResult:
    """Read what a comparison needs of a run.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    RunResult

    Raises
    ------
    InputError
        If the folder holds no tested run, or one of its files cannot be read.
    """
    run = read_run(folder)
    check_images(run.data, folder / "data.json")
    settings = flatten(OmegaConf.to_container(run.cfg, resolve=True))
    config = {key: value_text(value) for key, value in settings.items()}
    origin = _table(folder / "provenance.json") if (folder / "provenance.json").is_file() else {}
    files, versions = (_inner(origin, name) for name in ("data", "versions"))
    return RunResult(
        folder=folder,
        config=config,
        seed=config.get("seed", ABSENT),
        metrics=_metrics(folder / "test" / "metrics.json"),
        curves=_curves(folder / "csv" / "metrics.csv"),
        spectra=_spectra(folder / "test" / "rpsd.npz"),
        box=int(run.data["box"]),
        pixel_size=float(run.data["pixel_size"]),
        images=_test_images(folder / "split.csv"),
        files=tuple(sorted(map(str, files.values()))),
        code=str(origin.get("git") or versions.get("cryoalign") or "unknown"),
        evaluation=_newest_evaluation(folder),
    )


def _table(path: Path) -> dict[str, object]:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("this file cannot be read", file=path, found=error, remedy=_WITHOUT) from error
    if not isinstance(content, dict):
        raise InputError(
            "this file cannot be read",
            file=path,
            expected="names and values",
            found=content,
            remedy=_WITHOUT,
        )
    return content


def _inner(table: dict[str, object], name: str) -> dict[str, object]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}


@reads_file
def _metrics(path: Path) -> dict[str, float]:
    metrics = {}
    for name, value in _table(path).items():
        if not isinstance(value, int | float) or abs(value) > sys.float_info.max:
            raise InputError("a metric is not a number", file=path, found=f"{name}: {value}", remedy=_WITHOUT)
        metrics[name] = float(value)
    return metrics


@reads_file
def _curves(path: Path) -> dict[str, History]:
    """Values logged in validation, by step; nothing where no CSV file was kept."""
    if not path.is_file():
        return {}
    try:
        log = pd.read_csv(path)
        values = log.set_index(log["step"].astype(np.float64)).filter(regex="^val/").astype(np.float64)
    except (OSError, OverflowError, ValueError, KeyError) as error:  # pandas' errors are ValueErrors
        raise InputError("this log cannot be read", file=path, found=error, remedy=_WITHOUT) from error
    last = values.groupby(level=0).last()  # of each step; cells that hold nothing do not count
    known = {str(name).removeprefix("val/"): column.dropna() for name, column in last.items()}
    return {
        name: History(column.index.to_numpy(np.float64), column.to_numpy(np.float64))
        for name, column in known.items()
        if len(column)
    }


@reads_file
def _spectra(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
            return {kind: np.asarray(tables[kind], dtype=np.float64).mean(axis=0) for kind in KINDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("these spectra cannot be read", file=path, found=error, remedy=_WITHOUT) from error


@reads_file
def _test_images(path: Path) -> str:
    """Digest of the names of the test set; empty where they are not known."""
    if not path.is_file():
        return ""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        names = table.loc[table["part"] == "test", "rlnImageName"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError("this split cannot be read", file=path, found=error, remedy=_WITHOUT) from error
    return sha256("\n".join(names).encode()).hexdigest()


def _newest_evaluation(folder: Path) -> Document | None:
    documents = [read_document(path) for path in sorted(folder.glob(f"*/{FILE_NAME}"))]
    return max(documents, key=lambda entry: entry.facts.created or "", default=None)
