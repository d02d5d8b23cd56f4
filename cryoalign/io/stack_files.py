"""The files of a stack: each holds so many images, whoever writes how many of them at once.

Their names depend on the number of images and on nothing else, so that jobs need not know of each other.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.lock import locked
from cryoalign.io.mrc import MrcStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IMAGES_PER_FILE = 2000
"""By default: 0.5 GB of 256 px, which is copied, and lost where a disk fails, in seconds."""
_NAMED = 20  # missing files


@dataclass(frozen=True)
class StackFiles:
    """The files that the images of one stack are in.

    Attributes
    ----------
    stem : str
        ``sim`` of ``sim.mrcs``, or of ``sim_000001.mrcs`` and so on where there are several.
    count : int
        Number of images.
    per_file : int
        Images in a file; the last one holds the rest.

    Examples
    --------
    >>> files = StackFiles("sim", 5, 2)
    >>> files.names
    ['sim_000001.mrcs', 'sim_000002.mrcs', 'sim_000003.mrcs']
    >>> files.images(2)
    slice(4, 5, None)
    """

    stem: str
    count: int
    per_file: int = IMAGES_PER_FILE

    def __len__(self) -> int:
        return math.ceil(self.count / self.per_file)

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        if len(self) == 1:
            return [f"{self.stem}.mrcs"]
        return [f"{self.stem}_{number:06d}.mrcs" for number in range(1, len(self) + 1)]

    def as_list(self) -> list[str | int]:
        """Return the attributes, for JSON."""
        return [self.stem, self.count, self.per_file]

    def images(self, number: int) -> slice:
        """Return which images are in a file, 0-based."""
        return slice(number * self.per_file, min((number + 1) * self.per_file, self.count))

    def places(self, images: NDArray[np.int64]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        """Return (n,) the file of each of some images, and (n,) its 0-based slot there."""
        return np.array(self.names, dtype=np.str_)[images // self.per_file], images % self.per_file

    def image_names(self, images: NDArray[np.int64], prefix: str = "") -> list[str]:
        """Return the names of some images as a STAR file has them, with what stands before the files'."""
        stack, slot = self.places(images)
        return [
            f"{place + 1:06d}@{prefix}{name}"
            for place, name in zip(slot.tolist(), stack.tolist(), strict=True)
        ]

    def reader(self, folder: Path) -> Callable[[int], NDArray[np.float32]]:
        """Return what reads an image by its number, of files that are all there."""
        opened: dict[int, MrcStack] = {}

        def read(image: int) -> NDArray[np.float32]:
            number, slot = divmod(image, self.per_file)
            if number not in opened:
                opened.clear()  # one map at a time: there may be hundreds
                opened[number] = MrcStack(folder / self.names[number])
            return opened[number].read(slot)

        return read


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of one file that several jobs could write.

    Raises
    ------
    InputError
        If another process has it.
    """
    busy = InputError(
        "another process is writing this file",
        file=path,
        remedy="wait for it: while jobs run, each shard is to be given once, of the same number of shards",
    )
    with locked(path.with_name(f".{path.name}.lock"), busy):
        yield


def refuse_missing(folder: Path, stacks: Sequence[StackFiles], out: Path) -> None:
    """Refuse an output some of whose files are not there yet.

    Raises
    ------
    InputError
        Which names them.
    """
    names = [name for files in stacks for name in files.names]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        begun = sum((folder / f"{name}.part").is_file() for name in missing)
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"{len(missing)} of {len(names)} files are not there yet",
            file=out,
            found=f"no {', '.join(missing[:_NAMED])}{more}{f'; {begun} begun' if begun else ''}",
            remedy="give the commands of their shards again: finished files are skipped, begun ones go on",
        )
