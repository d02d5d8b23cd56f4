"""Stack names start in the STAR file's folder, or in the project's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoalign.errors import InputError
from cryoalign.io.stack_names import stack_prefix


@pytest.mark.parametrize("out", ["a/new", "./a/new", "a/../a/new", "{here}/a/new"])
def test_in_the_projects_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path(out.format(here=tmp_path))
    assert stack_prefix(place, "project") == "a/new/"
    assert stack_prefix(place, "folder") == ""


def test_outside_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for out in ("../new", str(tmp_path / "new")):
        with pytest.raises(InputError, match="in the project's folder"):
            stack_prefix(Path(out), "project")
    with pytest.raises(InputError, match="unknown choice for names"):
        stack_prefix(Path("new"), "somewhere")  # type: ignore[arg-type]
