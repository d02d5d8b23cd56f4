"""Writing MRC image stacks image by image."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import machine_stamp_from_byte_order

from cryoalign.io.output import place_error, room_error

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray


class StackWriter:
    """Write a float32 stack image by image, without ever holding it.

    A context manager. The file grows under another name in its folder, with its whole size reserved at
    once, so that a full disk is an error at the start; it takes its name when the block ends well, and is
    removed when it does not.

    With `resume` it is not removed: ``NAME.part`` stays with its journal ``NAME.part.json``, and the next
    writer of a stack of this name and size goes on behind the last whole block, at `written`.

    Parameters
    ----------
    path : Path or str
        The stack to write; an existing file is replaced at the end.
    count : int
        Number of images that will be written.
    box : int
        Side of an image in px.
    pixel_size : float
        Pixel size in A.
    resume : bool
        Continue an unfinished stack, and leave one when interrupted.

    Attributes
    ----------
    written : int
        Number of images that are in the file.

    Raises
    ------
    InputError
        On entering, if the disk has no room or the place cannot be written.
    ValueError
        On leaving, if another number of images was written.
    """

    def __init__(
        self, path: Path | str, count: int, box: int, pixel_size: float, *, resume: bool = False
    ) -> None:
        if count < 1 or box < 1 or not pixel_size > 0:
            raise ValueError(
                f"a stack needs images, a box and a pixel size, not {count}, {box}, {pixel_size}"
            )
        self.path, self.count, self.box, self.pixel_size = Path(path), count, box, pixel_size
        self.written = 0
        self._minimum, self._maximum, self._mean, self._squares = math.inf, -math.inf, 0.0, 0.0
        part = self.path.with_name(f"{self.path.name}.part")
        self._part: Path | None = part if resume else None
        self._journal: Path | None = part.with_name(f"{part.name}.json") if resume else None

    def __enter__(self) -> Self:
        size = HEADER_DTYPE.itemsize + self.count * self.box**2 * 4
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.path.parent).free < size:
                raise room_error(self.path, size)
            descriptor = self._open()
        except OSError as error:
            raise place_error(self.path, error) from error
        try:
            os.posix_fallocate(descriptor, 0, size)
            self._temporary.chmod(0o644)
            self._file.seek(HEADER_DTYPE.itemsize + self.written * self.box**2 * 4)
        except OSError as error:
            self._discard()
            raise place_error(self.path, error) from error
        return self

    def _open(self) -> int:
        """Open the file under its temporary name; read how far an unfinished one had come."""
        if self._part is None or self._journal is None:
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self.path.stem}.", suffix=self.path.suffix, dir=self.path.parent
            )
            self._temporary, self._file = Path(name), os.fdopen(descriptor, "r+b")
            return descriptor
        if self._part.exists() and self._journal.exists():
            state = json.loads(self._journal.read_text(encoding="utf-8"))
            if (state["count"], state["box"]) == (self.count, self.box):
                self.written, self._mean, self._squares = state["written"], state["mean"], state["squares"]
                self._minimum, self._maximum = state["minimum"], state["maximum"]
        self._temporary = self._part
        self._file = self._part.open("r+b" if self.written else "w+b")
        return self._file.fileno()

    def write(self, images: ArrayLike) -> None:
        """Append images.

        Parameters
        ----------
        images : (B, box, box) or (box, box) array_like
            Written as float32.

        Raises
        ------
        ValueError
            If the images have another size or are more than were announced.
        """
        block = np.asarray(images, dtype="<f4").reshape(-1, *np.shape(images)[-2:])
        if block.shape[1:] != (self.box, self.box) or self.written + len(block) > self.count:
            announced = f"{self.count} images of {self.box} px with {self.written} written"
            raise ValueError(f"a block of shape {np.shape(images)} does not fit into {announced}")
        if len(block):
            self._file.write(block.tobytes())
            self._accumulate(block)
            if self._journal is not None:
                self._note(self._journal)

    def _note(self, journal: Path) -> None:
        """Write into the journal what is safely in the file."""
        self._file.flush()
        state = {
            "count": self.count, "box": self.box, "written": self.written, "mean": self._mean,
            "squares": self._squares, "minimum": self._minimum, "maximum": self._maximum,
        }  # fmt: skip
        new = journal.with_name(f"{journal.name}.new")
        new.write_text(json.dumps(state), encoding="utf-8")
        new.replace(journal)

    def _accumulate(self, block: NDArray[np.float32]) -> None:
        """Merge the block into the running mean and sum of squares (Chan, Golub and LeVeque 1983)."""
        mean = float(block.mean(dtype=np.float64))
        squares = float(np.square(block - mean, dtype=np.float64).sum())
        before, after = self.written, self.written + len(block)
        step = mean - self._mean
        self._squares += squares + step**2 * before * len(block) / after * self.box**2
        self._mean += step * len(block) / after
        self._minimum, self._maximum = (
            min(self._minimum, float(block.min())),
            max(self._maximum, float(block.max())),
        )
        self.written = after

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            if self._journal is not None and self.written:
                self._file.close()
            else:
                self._discard()
            return
        if self.written != self.count:
            self._discard()
            raise ValueError(f"{self.path}: {self.count} images were announced, {self.written} written")
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()
        self._temporary.replace(self.path)
        if self._journal is not None:
            self._journal.unlink(missing_ok=True)

    def _discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _header(self) -> bytes:
        """MRC2014 header of an image stack: space group 0 and mz = 1."""
        header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<")).view(np.recarray)
        header.nx = header.ny = header.mx = header.my = self.box
        header.nz, header.mz, header.mode, header.ispg = self.count, 1, 2, 0
        header.cella = (self.box * self.pixel_size, self.box * self.pixel_size, self.pixel_size)
        header.cellb = (90.0, 90.0, 90.0)
        header.mapc, header.mapr, header.maps = 1, 2, 3
        header.dmin, header.dmax, header.dmean = self._minimum, self._maximum, self._mean
        header.rms = math.sqrt(self._squares / (self.count * self.box**2))
        header.map, header.machst = b"MAP ", list(machine_stamp_from_byte_order("<"))  # type: ignore[no-untyped-call]
        header.nversion, header.nlabl = 20141, 1
        header.label[0] = b"Written by cryoalign"
        return header.tobytes()
