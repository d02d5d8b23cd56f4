"""Writing MRC image stacks image by image."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import machine_stamp_from_byte_order

from cryoalign.io.half_precision import to_half
from cryoalign.io.output import place_error, room_error

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.io.half_precision import Precision

_log = logging.getLogger(__name__)

_FLOAT, _HALF = 2, 12  # modes of MRC2014
_SECONDS_BETWEEN_NOTES = 5.0  # each waits for the disk


class _Written(NamedTuple):
    """What is in a stack: one value, so that an interrupt never finds half of a new one."""

    images: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf


_JOURNAL = {"images": int, "mean": float, "squares": float, "minimum": float, "maximum": float}


class StackWriter:
    """Write a stack image by image, without ever holding it.

    A context manager. The file grows under another name in its folder, with its whole size reserved at
    once, so that a full disk is an error at the start; it takes its name when the block ends well, and is
    removed when it does not.

    With `resume` it is not removed: ``NAME.part`` stays with its journal ``NAME.part.json``, and the next
    writer of a stack of this name and size goes on at `written`, behind the last block that is safely on the
    disk; a stack that is finished already stays as it is. The journal is written every few seconds.

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
    order : (count,) int64, optional
        0-based places of the images in the stack, in the order in which they will come; their own order if
        not given.
    dtype : {"float32", "float16"}
        Of the pixels: MRC mode 2 or 12.

    Raises
    ------
    InputError
        On entering, if the disk has no room or the place cannot be written.
    ValueError
        On leaving, if another number of images was written.
    """

    def __init__(
        self,
        path: Path | str,
        count: int,
        box: int,
        pixel_size: float,
        *,
        resume: bool = False,
        order: NDArray[np.int64] | None = None,
        dtype: Precision = "float32",
    ) -> None:
        if count < 1 or box < 1 or not pixel_size > 0:
            raise ValueError(
                f"a stack needs images, a box and a pixel size, not {count}, {box}, {pixel_size}"
            )
        self.path, self.count, self.box, self.pixel_size = Path(path), count, box, pixel_size
        self._order, self._dtype = order, np.dtype(dtype).newbyteorder("<")
        self._size = self._place(count)
        self._done, self._noted = _Written(), -math.inf
        self._file: IO[bytes] | None = None
        part = self.path.with_name(f"{self.path.name}.part")
        self._part: Path | None = part if resume else None
        self._journal: Path | None = part.with_name(f"{part.name}.json") if resume else None

    @property
    def _mode(self) -> int:
        return _HALF if self._dtype.itemsize == 2 else _FLOAT

    @property
    def written(self) -> int:
        """Number of images that are in the file."""
        return self._done.images

    @property
    def resumes(self) -> bool:
        """Whether what is written stays for the next attempt."""
        return self._journal is not None

    def __enter__(self) -> Self:
        if self._journal is not None and self._is_finished():
            self._journal.unlink(missing_ok=True)
            self._done = _Written(self.count)
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.path.parent).free < self._size and not self._reserved():
                raise room_error(self.path, self._size)
            self._file = self._open()
        except OSError as error:
            raise place_error(self.path, error) from error
        try:
            os.posix_fallocate(self._file.fileno(), 0, self._size)
            self._temporary.chmod(0o644)
            self._file.seek(self._place(self.written))
        except OSError as error:
            self._discard()
            raise place_error(self.path, error) from error
        return self

    def _is_finished(self) -> bool:
        """Return whether an earlier attempt renamed the whole stack into its place."""
        if not self.path.is_file() or self.path.stat().st_size != self._size:
            return False
        header = np.fromfile(self.path, dtype=HEADER_DTYPE.newbyteorder("<"), count=1)[0]
        found = tuple(int(header[name]) for name in ("nx", "ny", "nz", "mode"))
        return found == (self.box, self.box, self.count, self._mode)

    def _reserved(self) -> bool:
        """Return whether an unfinished stack has its room already."""
        return self._part is not None and self._part.is_file() and self._part.stat().st_size == self._size

    def _open(self) -> IO[bytes]:
        """Open the file under its temporary name; read how far an unfinished one had come."""
        if self._part is None or self._journal is None:
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self.path.stem}.", suffix=self.path.suffix, dir=self.path.parent
            )
            self._temporary = Path(name)
            return os.fdopen(descriptor, "r+b")
        self._temporary = self._part
        if self._part.exists() and self._journal.exists():
            self._done = self._read_journal(self._journal)
        return self._part.open("r+b" if self.written else "w+b")

    def write(self, images: ArrayLike) -> None:
        """Append images, or put them where their order says.

        Parameters
        ----------
        images : (B, box, box) or (box, box) array_like
            Written as the stack's `dtype`.

        Raises
        ------
        InputError
            If they do not fit into float16.
        ValueError
            If the images have another size or are more than were announced.
        """
        block = np.asarray(images, dtype="<f4").reshape(-1, *np.shape(images)[-2:])
        if block.shape[1:] != (self.box, self.box) or self.written + len(block) > self.count:
            announced = f"{self.count} images of {self.box} px with {self.written} written"
            raise ValueError(f"a block of shape {np.shape(images)} does not fit into {announced}")
        if len(block) and self._file is not None:
            pixels: NDArray[np.float16 | np.float32] = block
            if self._mode == _HALF:
                pixels = to_half(block, self.path, self.written)
                block = pixels.astype("<f4")  # what the header tells of
            if self._order is None:
                self._file.write(pixels.tobytes())
            else:
                places = self._order[self.written : self.written + len(block)].tolist()
                for place, image in zip(places, pixels, strict=True):
                    self._file.seek(self._place(place))
                    self._file.write(image.tobytes())
            self._accumulate(block)
            if time.monotonic() - self._noted > _SECONDS_BETWEEN_NOTES:
                self._note()

    def _place(self, number: int) -> int:
        """Return where an image begins in the file."""
        return HEADER_DTYPE.itemsize + number * self.box**2 * self._dtype.itemsize

    def _note(self) -> None:
        """Have the disk take what was written, then say so in the journal."""
        if self._journal is None or self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        state = {"count": self.count, "box": self.box, **self._done._asdict()}
        new = self._journal.with_name(f".{self._journal.name}.new")
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(state))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._journal)
        self._noted = time.monotonic()

    def _read_journal(self, journal: Path) -> _Written:
        """Return how far an unfinished stack had come: not at all if a power cut emptied its journal."""
        try:
            state = json.loads(journal.read_text(encoding="utf-8"))
            size = (state.pop("count"), state.pop("box"))
            done = _Written(**{name: kind(state[name]) for name, kind in _JOURNAL.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            _log.warning("%s cannot be read: the stack starts anew", journal)
            return _Written()
        whole = 0 < done.images <= self.count and all(map(math.isfinite, done)) and self._reserved()
        return done if whole and size == (self.count, self.box) else _Written()

    def _accumulate(self, block: NDArray[np.float32]) -> None:
        """Merge the block into the running mean and sum of squares (Chan, Golub and LeVeque 1983)."""
        mean = float(block.mean(dtype=np.float64))
        squares = float(np.square(block - mean, dtype=np.float64).sum())
        before, after = self.written, self.written + len(block)
        done = self._done
        step = mean - done.mean
        self._done = _Written(
            images=after,
            mean=done.mean + step * len(block) / after,
            squares=done.squares + squares + step**2 * before * len(block) / after * self.box**2,
            minimum=min(done.minimum, float(block.min())),
            maximum=max(done.maximum, float(block.max())),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if kind is not None:
            self._keep_or_discard()
            return
        if self.written != self.count:
            self._discard()
            raise ValueError(f"{self.path}: {self.count} images were announced, {self.written} written")
        try:
            self._file.seek(0)
            self._file.write(self._header())
            self._file.flush()
            os.fsync(self._file.fileno())
        except BaseException:
            self._keep_or_discard()
            raise
        self._file.close()
        self._temporary.replace(self.path)
        if self._journal is not None:
            self._journal.unlink(missing_ok=True)

    def _keep_or_discard(self) -> None:
        """After an error: keep an unfinished stack if it can be continued."""
        if self._file is None or self._journal is None or not self.written:
            self._discard()
            return
        try:
            self._note()
        except OSError:  # a full disk, perhaps: then the journal before this one counts
            _log.warning("%s could not be brought up to date", self._journal)
        with contextlib.suppress(OSError):  # what waits in its buffer will be written anew
            self._file.close()

    def _discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        if self._journal is None or not self.written:
            self._temporary.unlink(missing_ok=True)

    def _header(self) -> bytes:
        """MRC2014 header of an image stack: space group 0 and mz = 1."""
        header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<")).view(np.recarray)
        header.nx = header.ny = header.mx = header.my = self.box
        header.nz, header.mz, header.mode, header.ispg = self.count, 1, self._mode, 0
        header.cella = (self.box * self.pixel_size, self.box * self.pixel_size, self.pixel_size)
        header.cellb = (90.0, 90.0, 90.0)
        header.mapc, header.mapr, header.maps = 1, 2, 3
        header.dmin, header.dmax, header.dmean = self._done.minimum, self._done.maximum, self._done.mean
        header.rms = math.sqrt(self._done.squares / (self.count * self.box**2))
        header.map, header.machst = b"MAP ", list(machine_stamp_from_byte_order("<"))  # type: ignore[no-untyped-call]
        header.nversion, header.nlabl = 20141, 1
        header.label[0] = b"Written by cryoalign"
        return header.tobytes()
