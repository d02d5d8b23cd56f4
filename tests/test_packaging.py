"""The wheel carries the configurations and the templates, and its commands run from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import REPOSITORY


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    build = ["-m", "pip", "wheel", str(REPOSITORY), "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([sys.executable, *build, "--wheel-dir", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("cryoalign-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    conf = REPOSITORY / "conf"
    assert {f"cryoalign/conf/{path.relative_to(conf)}" for path in conf.rglob("*.yaml")} <= names
    templates = sorted((REPOSITORY / "cryoalign").glob("*/templates/*"))
    assert templates
    assert {path.relative_to(REPOSITORY).as_posix() for path in templates} <= names
    assert "cryoalign/py.typed" in names
    assert not any(name.startswith("tests/") for name in names)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = "import cryoalign.cli as c; print(c.CONF_DIR); import cryoalign.train.__main__ as t; t.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--cfg", "job"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == str(tmp_path / "site" / "cryoalign" / "conf")
    assert "max_steps: 1000" in done.stdout
    assert list(elsewhere.iterdir()) == []
