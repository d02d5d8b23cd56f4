"""Files given in each other's place are refused."""

from __future__ import annotations

from pathlib import Path

from cryoalign.embedded.cache import find_or_make
from tests.conftest import SMALL, Cli

SET = {"box": 32, "particles": 60, "micrographs": 10}


def test_swapped_and_doubled_files(cache: Path, cli: Cli, tmp_path: Path) -> None:
    made = find_or_make(cache, **SET)
    options = [entry for entry in SMALL if "embedded" not in entry]
    for sim, raw, said in (
        (made.raw, made.sim, "sim and raw look swapped"),
        (made.raw, made.raw, "sim and raw are one file"),
        (made.sim, made.sim, "sim and raw are one file"),
    ):
        done = cli("train", "data=stars", f"data.sim={sim}", f"data.raw={raw}", *options)
        assert done.code == 1
        assert said in done.err
        assert "Traceback" not in done.err
    assert not any((tmp_path / "outputs").rglob("config.yaml"))


def test_a_larger_box_and_an_empty_part(cache: Path, cli: Cli) -> None:
    for wrong, said in (
        ("data.box=64", "a box of at most 32 px"),
        ("data.split.fractions={train: 0.9, validation: 0.0, test: 0.1}", "no validation pairs"),
        ("trainer.devices=2", "trainer=ddp"),
        ("optimizer.algorithm.lr=-1", "Invalid learning rate"),
        ("+data.embedded.domains=0", "at least one domain"),
    ):
        done = cli("train", *SMALL, f"paths.cache={cache}", wrong)
        assert done.code == 1, wrong
        assert said in done.err
        assert "Traceback" not in done.err
