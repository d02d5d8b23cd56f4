"""The table of a test shows what is not known as such."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from cryoalign.train.table import metrics_table

MEASURED = {f"{prefix}{name}": 0.5 for prefix in ("", "sim_") for name in ("RPSD_L1", "pixel_L1")}


def printed(values: dict[str, float]) -> str:
    console = Console(width=100, file=StringIO())
    console.print(metrics_table(values, "test set"))
    return console.file.getvalue()


def test_without_another_raw_image_there_is_no_floor() -> None:
    text = printed(MEASURED)
    (row,) = (line for line in text.splitlines() if "RPSD L1" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["0.5000", "0.5000", "-"]
    assert "This part holds no other raw image." in " ".join(text.split())


def test_with_one_it_is_shown() -> None:
    text = printed(MEASURED | {"floor_RPSD_L1": 0.25})
    (row,) = (line for line in text.splitlines() if "RPSD L1" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["0.5000", "0.5000", "0.2500"]
    assert "no other raw image" not in " ".join(text.split())
