"""The logged values as a table, ``RUN/csv/metrics.csv``, which is whole whenever the training is killed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from cryoalign.errors import InputError
from cryoalign.io.output import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FILE = ("csv", "metrics.csv")


class LogTable(CSVLogger):
    """Log into ``csv/metrics.csv`` of a run, behind the rows that are there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="csv", version="", flush_logs_every_n_steps=1)

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """What writes the file."""
        if not isinstance(self._experiment, _Appending):
            self._experiment = _Appending(self.log_dir)
        return self._experiment


class _Appending(ExperimentWriter):
    """Lightning's writer, which begins with an empty file, and empties it for each new column."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir=log_dir)
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _check_log_dir_exists(self) -> None:
        """Keep what is there."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        _write(path, fieldnames, rows)


def table_file(folder: Path) -> Path:
    """Name the file of the table in a run's folder."""
    return folder.joinpath(*_FILE)


def check_table(folder: Path) -> None:
    """Refuse to go on with a table that cannot be cut.

    Parameters
    ----------
    folder : Path
        Of the run.

    Raises
    ------
    InputError
        If what is there is no table of logged values.
    """
    _read_table(table_file(folder))


def cut_behind(folder: Path, step: int, *, validated: bool) -> None:
    """Cut off the rows that a continued run writes again, and those of a test.

    Parameters
    ----------
    folder : Path
        Of the run; nothing is done where it has no table.
    step : int
        At which the run is continued.
    validated : bool
        Whether the validation of that step, if there is one, is done.

    Raises
    ------
    InputError
        If it is no table of logged values.
    """
    path = table_file(folder)
    names, found = _read_table(path)
    last = ("test/",) if validated else ("test/", "val/")
    kept = [
        row
        for number, row in found
        if number < step or (number == step and not any(name.startswith(last) for name in row))
    ]
    kept = [row for row in kept if not any(name.startswith("test/") for name in row)]
    if kept:
        _write(path, names, kept)
    else:
        path.unlink(missing_ok=True)


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the columns, and each row's step and values; none where there is no file.

    A last line that was cut by a kill does not count.
    """
    if not path.is_file():
        return [], []
    try:
        names, rows = _columns_and_rows(path)
        return names, [(int(float(row["step"])), row) for row in rows]
    except (ValueError, KeyError, OverflowError, csv.Error) as error:
        raise InputError(
            "these logged values cannot be read",
            file=path,
            expected="a table with a column step, as the training wrote it",
            found=str(error) or type(error).__name__,
            remedy="put the file back, or move it away: the run goes on without the earlier values",
        ) from error


def _columns_and_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    reader = csv.DictReader(lines, restkey="", restval="")
    rows = [{name: value for name, value in row.items() if name and value} for row in reader]
    return list(reader.fieldnames or []), rows


def _write(path: Path, names: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    with atomic_write(path) as place, place.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)
