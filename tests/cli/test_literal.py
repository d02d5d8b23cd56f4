"""A path may hold ``${x}``: it stays one, through OmegaConf, Hydra and a folder of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cryoalign.cli.job import given_words, job_folder
from cryoalign.cli.literal import buildable, literal
from cryoalign.cli.task import run_task

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig


@pytest.mark.parametrize("text", ["${x}", "a${x}b", "\\${x}", "a\\\\${oc.env:HOME}", "plain", "$x"])
def test_a_text_stays_what_it_is(text: str) -> None:
    values = {"there": literal(text), "inside": literal([{"deep": text}])}
    cfg = OmegaConf.create({"_target_": "builtins.dict", **values})
    assert cfg.there == text
    made = instantiate(buildable(cfg), _convert_="all")
    assert made == {"there": text, "inside": [{"deep": text}]}


def test_references_are_followed_before() -> None:
    cfg = OmegaConf.create({"seed": 3, "part": {"_target_": "builtins.dict", "seed": "${seed}"}})
    assert instantiate(buildable(cfg.part)) == {"seed": 3}
    assert instantiate(buildable(None)) is None


def test_the_folder_of_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = tmp_path / "it's ${x}"
    here.mkdir()
    monkeypatch.chdir(here)
    words = ["seed=2", r'paths.cache="a\${y}"']
    monkeypatch.setattr("sys.argv", ["train", *words, r'hydra.run.dir="\${z}"'])
    found: list[object] = []

    def task(cfg: DictConfig) -> None:
        found.extend([job_folder(), given_words(), cfg.paths.cache])

    run_task("train", task)
    assert found == [here / "${z}", words, "a${y}"]
