"""A fingerprint of files, by which the same data are known again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryoalign.errors import existing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCKS, _BLOCK = 64, 4096
_OF_IMAGES = (".mrc", ".mrcs", ".map", ".st", ".ali", ".rec")


def fingerprint(files: Iterable[Path], *, whole: bool = False) -> dict[str, str]:
    """Compute a fingerprint, by which data sets are known again, without reading their images whole.

    Parameters
    ----------
    files : iterable of Path
    whole : bool
        Read images whole, too.

    Returns
    -------
    dict
        File name to SHA-256 over its size and its content; of images that are not read whole, over up to 64
        evenly spaced blocks of 4 KiB.

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
            if whole or size <= _BLOCKS * _BLOCK or not path.name.lower().endswith(_OF_IMAGES):
                while part := file.read(1 << 20):
                    digest.update(part)
            else:
                for number in range(_BLOCKS):
                    file.seek(number * (size - _BLOCK) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
        found[str(path)] = digest.hexdigest()
    return found
