"""What a comparison needs of a run: its configuration, its test, its curves, its evaluation."""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf

from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError
from cryoalign.evaluate.document import FILE_NAME, read_document
from cryoalign.runs.folder import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.evaluate.document import Document

ABSENT = "absent"
"""Value of a key that a configuration does not have."""

KINDS = ("sim", "fake", "raw")


_WITHOUT = "put the file back as the run wrote it, or leave this run out of runs="


@dataclass(frozen=True)
class RunResult:
    """What a comparison needs of a run.

    Attributes
    ----------
    folder : Path
        As it was found.
    config : dict of str to str
        The whole configuration, flat: dotted key to value.
    seed : str
    metrics : dict of str to float
        Of the test, without prefix.
    curves : dict of str to (steps, values)
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
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
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
    try:
        run = read_run(folder)
    except InputError as error:
        if any(folder.glob("*/config.yaml")):
            raise InputError(
                "this folder holds runs, but is none", file=folder, remedy=f"give runs='{folder}/*'"
            ) from error
        raise
    if not isinstance(run.data, dict):
        raise InputError(
            "this file cannot be read",
            file=folder / "data.json",
            expected="names and values",
            remedy=_WITHOUT,
        )
    config = as_text(OmegaConf.to_container(run.cfg, resolve=True))
    origin = _json(folder / "provenance.json") if (folder / "provenance.json").is_file() else {}
    return RunResult(
        folder=folder,
        config=config,
        seed=config.get("seed", ABSENT),
        metrics=_metrics(folder / "test" / "metrics.json"),
        curves=_curves(folder / "csv" / "metrics.csv"),
        spectra=_spectra(folder / "test" / "rpsd.npz"),
        box=int(run.data.get("box") or 0),
        pixel_size=float(run.data.get("pixel_size") or 0),
        images=_test_images(folder / "split.csv"),
        files=tuple(sorted(map(str, (origin.get("data") or {}).values()))),
        code=str(origin.get("git") or (origin.get("versions") or {}).get("cryoalign") or "unknown"),
        evaluation=_newest_evaluation(folder),
    )


def as_text(config: object) -> dict[str, str]:
    """Write a configuration as dotted keys and text: the same text for equal numbers, a list as one value."""
    return {key: _text(value) for key, value in flatten(config).items()}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(entry) for entry in value)}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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


def _metrics(path: Path) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in _json(path).items()}
    except (TypeError, ValueError) as error:
        raise InputError("a metric is not a number", file=path, found=error, remedy=_WITHOUT) from error


def _curves(path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Values logged in validation, by step; nothing where no CSV file was kept."""
    if not path.is_file():
        return {}
    points: dict[str, dict[float, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, cell in row.items():
                    if name.startswith("val/") and cell:
                        points.setdefault(name.removeprefix("val/"), {})[float(row["step"])] = float(cell)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise InputError("this log cannot be read", file=path, found=error, remedy=_WITHOUT) from error
    return {
        name: (np.array(sorted(values)), np.array([values[step] for step in sorted(values)]))
        for name, values in points.items()
    }


def _spectra(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
            return {kind: np.asarray(tables[kind], dtype=np.float64).mean(axis=0) for kind in KINDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("these spectra cannot be read", file=path, found=error, remedy=_WITHOUT) from error


def _test_images(path: Path) -> str:
    """Digest of the names of the test set; empty where they are not known."""
    if not path.is_file():
        return ""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("part") == "test"]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError("this split cannot be read", file=path, found=error, remedy=_WITHOUT) from error
    return sha256("\n".join(str(row.get("rlnImageName")) for row in rows).encode()).hexdigest()


def _newest_evaluation(folder: Path) -> Document | None:
    documents = [read_document(path) for path in sorted(folder.glob(f"*/{FILE_NAME}"))]
    return max(documents, key=lambda entry: entry.facts.created or "", default=None)
