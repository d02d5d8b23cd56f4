"""The command, its exit codes and outputs, and the short form before a training."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from rich.console import Console

from cryoalign.audit.pairs import audit_pairs
from cryoalign.audit.report import print_table
from cryoalign.embedded.cache import CachedSet, find_or_make
from tests.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def embedded(cache: Path) -> CachedSet:
    return find_or_make(cache, box=32, particles=60, micrographs=10)


def spoiled(embedded: CachedSet, folder: Path) -> Path:
    """Copy the simulated half with its contrast inverted."""
    shutil.copytree(embedded.sim.parent, folder / "spoiled")
    with mrcfile.open(folder / "spoiled" / "sim.mrcs", mode="r+") as file:
        file.set_data(-file.data)
    return folder / "spoiled" / "sim.star"


def test_right_pairs(embedded: CachedSet, cli: Cli) -> None:
    done = cli("audit", f"sim={embedded.sim}", f"raw={embedded.raw}", "out=audit", "progress=false")
    assert done.code == 0, done.err
    assert "pairs agree" in done.out
    assert "not excluded: phase shift: every phase shift is zero" in done.out
    assert "…" not in done.out
    assert "e+" not in done.out
    assert done.out.count("of mean") == done.out.count("of diff.") == 1
    report = json.loads(Path("audit/audit.json").read_text())
    assert (report["outcome"], report["exit_code"], report["pairs"]) == ("agree", 0, 60)
    assert {"flip y", "transpose", "contrast", "pose inverse in sim"} <= {
        entry["name"] for entry in report["hypotheses"]
    }
    assert Path("audit/audit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("width", "terminal", "bands"), [(80, True, False), (200, True, True), (80, False, True)]
)
def test_no_number_is_cut(embedded: CachedSet, width: int, terminal: bool, bands: bool) -> None:
    """A narrow terminal has no bands; a pipe has any width."""
    evidence = audit_pairs(embedded.sim, embedded.raw, poses=False, progress=False).evidence
    console = Console(width=width, force_terminal=terminal, color_system=None, file=StringIO())
    print_table(console, evidence)
    printed = console.file.getvalue()
    assert "…" not in printed
    rows = [line.split("│") for line in printed.splitlines() if "as given" in line and "│" in line]
    given = evidence.given.correlation
    assert [cell.strip() for cell in rows[0][2:5]] == [
        f"{given.mean:.4f}", f"{given.error:.4f}", f"{given.sigma:.1f}"
    ]  # fmt: skip
    assert len(rows[0]) == 8 + bands * len(evidence.given.bands)


def test_a_named_mistake(embedded: CachedSet, cli: Cli, tmp_path: Path) -> None:
    wrong = spoiled(embedded, tmp_path)
    done = cli("audit", f"sim={wrong}", f"raw={embedded.raw}", "check_poses=false", "progress=false")
    assert done.code == 2
    assert "contrast is inverted" in done.out
    assert "remedy:" in done.out
    assert not Path("audit").exists()


def test_metadata_that_disagree_are_shown_with_their_row(
    embedded: CachedSet, cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(embedded.sim.parent, folder)
    lines = (folder / "sim.star").read_text().splitlines()
    rows = [number for number, line in enumerate(lines) if "@sim.mrcs" in line]
    tilt = next(int(line.split("#")[1]) for line in lines if line.startswith("_rlnAngleTilt ")) - 1
    cells = lines[rows[3]].split()
    cells[tilt] = f"{float(cells[tilt]) + 40:.3f}"
    lines[rows[3]] = "\t".join(cells)
    (folder / "sim.star").write_text("\n".join(lines) + "\n")
    done = cli("audit", f"sim={folder / 'sim.star'}", f"raw={embedded.raw}", "progress=false")
    assert done.code == 2
    assert "the metadata of the pairs disagree" in done.out
    assert "row 4" in done.out
    assert "pose" in done.out


def test_strangers(embedded: CachedSet, cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(embedded.sim.parent, tmp_path / "noise")
    with mrcfile.open(tmp_path / "noise" / "sim.mrcs", mode="r+") as file:
        file.set_data(np.random.default_rng(0).normal(size=file.data.shape).astype(np.float32))
    done = cli("audit", f"sim={tmp_path / 'noise' / 'sim.star'}", f"raw={embedded.raw}", "progress=false")
    assert done.code == 3
    assert "no relation found" in done.out


@pytest.mark.parametrize("options", [("sample=-1",), ("radius=0",), ("sample=5",)])
def test_what_cannot_be_done_is_an_error(embedded: CachedSet, cli: Cli, options: tuple[str, ...]) -> None:
    done = cli("audit", f"sim={embedded.sim}", f"raw={embedded.raw}", "out=audit", "progress=false", *options)
    assert done.code == 1
    assert "expected" in done.err
    assert not Path("audit").exists()


def training(embedded: CachedSet, sim: Path, *more: str) -> list[str]:
    small = [entry for entry in SMALL if not entry.startswith("data.embedded")]
    return ["+debug=smoke", "data=stars", f"data.sim={sim}", f"data.raw={embedded.raw}", *small, *more]


def test_a_training_on_wrong_pairs_is_refused(embedded: CachedSet, cli: Cli, tmp_path: Path) -> None:
    done = cli("train", *training(embedded, spoiled(embedded, tmp_path)))
    assert done.code == 1
    assert "contrast is inverted" in done.err
    assert "audit=off trains nevertheless" in done.err
    assert not list(Path("outputs").rglob("*.yaml"))


def test_unless_it_is_switched_off(embedded: CachedSet, cli: Cli, tmp_path: Path) -> None:
    done = cli("train", *training(embedded, spoiled(embedded, tmp_path), "audit=off", "test=false"))
    assert done.code == 0, done.err


def test_an_unknown_choice_is_refused(embedded: CachedSet, cli: Cli) -> None:
    done = cli("train", *training(embedded, embedded.sim, "audit=long"))
    assert done.code == 1
    assert "short or off" in done.err
