"""The paths that a run stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from cryoalign.runs.folder import absolute_paths

if TYPE_CHECKING:
    import pytest


def test_paths_become_absolute_whatever_their_characters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = OmegaConf.create({"data": {"sim": "a\\${x}.star", "raw": "it's, b=1", "passthrough": "\\${y}.cs"}})
    absolute_paths(cfg)
    assert (cfg.data.sim, cfg.data.raw) == (f"{tmp_path}/a${{x}}.star", f"{tmp_path}/it's, b=1")
    assert list(cfg.data.passthrough) == [f"{tmp_path}/${{y}}.cs"]
    OmegaConf.save(cfg, "config.yaml", resolve=True)
    assert "a${x}.star" in Path("config.yaml").read_text()
