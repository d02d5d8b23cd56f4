"""Where a run came from: versions, commit, command, and a fingerprint of the data."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

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
_BLOCKS, _BLOCK = 64, 4096


def provenance() -> dict[str, Any]:
    """Describe this program, its surroundings and the command that started it.

    Returns
    -------
    dict
        Plain values, for JSON.
    """
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
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
                ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+" if said[1] else "")


def fingerprint(files: Iterable[Path]) -> dict[str, str]:
    """Tell data sets apart without reading them whole.

    Parameters
    ----------
    files : iterable of Path

    Returns
    -------
    dict
        File name to SHA-256 over its size and up to 64 evenly spaced blocks of 4 KiB (small files: over all
        of it).
    """
    found: dict[str, str] = {}
    for path in files:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            if size <= _BLOCKS * _BLOCK:
                digest.update(file.read())
            else:
                for number in range(_BLOCKS):
                    file.seek(number * (size - _BLOCK) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
        found[str(path)] = digest.hexdigest()
    return found
