"""MRC image stacks (MRC2014, DOI 10.1016/j.jsb.2015.04.002).

A stack is never read whole: its header is read and checked when the object is made, and the images are
copied one by one out of a memory map that each process opens for itself on its first read. Writing is in
`cryoalign.io.mrc_write`, volumes are in `cryoalign.io.mrc_volume`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.mrc_header import read_header
from cryoalign.io.mrc_volume import read_volume
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.wrapped import refuse_wrapped
from cryoalign.reading import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 5  # images whose values are looked at before the first is given out

__all__ = ["MrcStack", "StackWriter", "read_volume"]


class MrcStack:
    """A stack of square images, mapped lazily and read one image at a time.

    Parameters
    ----------
    path : Path or str
        A ``.mrc`` or ``.mrcs`` file of mode 0, 1, 2, 6 or 12, of either byte order.

    Attributes
    ----------
    path : Path
        The file.
    count : int
        Number of images.
    box : int
        Side of an image in px.
    pixel_size : float or None
        Pixel size in A, None where the header does not say.

    Raises
    ------
    InputError
        If the file is missing, empty, not an MRC file, of another mode, truncated, packed, or its images are
        not square.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with reading(self.path):
            header = read_header(self.path)
        columns, rows, self.count = header.shape
        if header.packed:
            raise InputError(
                "the image stack is packed, so that single images of it cannot be read",
                file=self.path,
                expected="a plain .mrcs file",
                remedy="unpack it, and name the unpacked stack in the metadata",
            )
        if columns != rows:
            raise InputError(
                "the images are not square",
                file=self.path,
                expected="nx = ny",
                found=f"{columns} x {rows} px",
                remedy="crop or pad the stack to a square box",
            )
        self.box, self.pixel_size = columns, header.pixel_size
        self._offset, self._dtype = header.offset, header.dtype
        self._map: np.memmap[Any, np.dtype[Any]] | None = None
        self._looked = self._dtype.kind != "i"

    def __len__(self) -> int:
        return self.count

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map behind: pickling one copies the whole stack."""
        return {**self.__dict__, "_map": None}

    def read(self, slot: int) -> NDArray[np.float32]:
        """Copy one image.

        Parameters
        ----------
        slot : int
            0-based number of the image.

        Returns
        -------
        (box, box) float32
            ``[y, x]``.

        Raises
        ------
        InputError
            If the stack has no such image, or unsigned values that it calls signed.
        """
        if not 0 <= slot < self.count:
            raise InputError(
                "the image number is past the end of the stack",
                file=self.path,
                expected=f"1 to {self.count}",
                found=slot + 1,
                remedy="use the stack that belongs to these metadata",
            )
        if self._map is None:
            shape = (self.count, self.box, self.box)
            with reading(self.path):
                self._map = np.memmap(self.path, self._dtype, mode="r", offset=self._offset, shape=shape)
        if not self._looked:
            some = np.unique(np.linspace(0, self.count - 1, _LOOKED_AT).astype(np.int64))
            refuse_wrapped(self.path, np.asarray(self._map[some]))
            self._looked = True
        return np.array(self._map[slot], dtype=np.float32)

    def close(self) -> None:
        """Drop the map; the next read opens it again."""
        self._map = None
