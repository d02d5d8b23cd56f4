"""A fingerprint of files, by which the same data are known again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryoalign.errors import existing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCKS, _BLOCK = 64, 4096


def fingerprint(files: Iterable[Path]) -> dict[str, str]:
    """Compute a fingerprint, by which data sets are known again, without reading them whole.

    Returns
    -------
    dict
        File name to SHA-256 over its size and up to 64 evenly spaced blocks of 4 KiB (small files: over all
        of it).

    Raises
    ------
    InputError
        If one is not there.
    """
    found: dict[str, str] = {}
    for path in files:
        size = existing(path, "a file that can be read").stat().st_size
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
