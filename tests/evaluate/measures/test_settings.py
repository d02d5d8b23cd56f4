"""Settings of measures that cannot be used are refused by their keys, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.errors import InputError
from cryoalign.evaluate.outputs import measures_of
from tests.conftest import Cli

REFUSED = [
    ("ctf", "sets", 0), ("ctf", "images", 0), ("ctf", "limit", 0),
    ("pose", "images", 0), ("pose", "box", 0),
    ("noise", "images", 0), ("noise", "images", 1.5),
    ("two_sample", "images", 0), ("two_sample", "epochs", 0), ("two_sample", "limit", 0.4),
    ("invented", "images", 0), ("invented", "box", 4),
    ("memorized", "images", 0), ("memorized", "candidates", 0),
    ("class_mix", "images", 100), ("class_mix", "box", 8),
    ("class_mix", "classes", 1), ("class_mix", "classes", 500),
    ("class_mix", "iterations", 0), ("class_mix", "limit", 2.0),
    ("psnr_gap", "images", 10), ("psnr_gap", "box", 8), ("psnr_gap", "steps", 0), ("psnr_gap", "seeds", 0),
    ("psnr_gap", "limit", -1),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "key", "value"), REFUSED)
def test_they_are_refused(measure: str, key: str, value: float) -> None:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        settings = compose("evaluate", [f"measure.{measure}.{key}={value}"]).measure
    with pytest.raises(Exception) as caught:  # noqa: PT011  hydra's, around ours
        measures_of(measure, settings)
    assert isinstance(caught.value.__cause__, InputError)
    assert f"measure.{measure}.{key} is out of range" in str(caught.value.__cause__)


def test_the_command_says_what_was_expected(cli: Cli, tmp_path: Path) -> None:
    for name in ("config.yaml", "data.json"):
        (tmp_path / name).touch()
    done = cli("evaluate", f"run={tmp_path}", "measures=[psnr_gap]", "measure.psnr_gap.seeds=0")
    assert done.code == 1
    assert (
        "measure.psnr_gap.seeds is out of range\n  expected: a whole number, 1 or more\n  found: 0"
        in done.err
    )
    assert "Traceback" not in done.err
