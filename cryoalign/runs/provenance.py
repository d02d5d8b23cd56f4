"""Where a run came from: versions, commit and command."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "cryoalign",
    "torch",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "mrcfile",
    "starfile",
)


def provenance() -> dict[str, Any]:
    """Describe this program, its surroundings and the command that started it.

    Returns
    -------
    dict
        Plain values, for JSON.
    """
    program, *arguments = sys.argv
    named = program.split() if program.startswith("cryoalign ") else [Path(program).name]
    return {
        "command": [*named, *arguments],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in _PACKAGES},
        "git": _commit(),
    }


def _commit() -> str | None:
    """Commit of this code's checkout, ``+`` behind it where files differ; None in an installed wheel."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        said = [
            subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+" if said[1] else "")
