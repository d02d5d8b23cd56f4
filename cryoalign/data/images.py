"""The images of a table of particles, read one by one, lazily and in any process."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoalign.data.hot_pixel import hot_pixel
from cryoalign.data.metadata import particle_metadata
from cryoalign.errors import InputError
from cryoalign.io.mrc import MrcStack
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion.read import IMAGE
from cryoalign.io.simulated import without_particle
from cryoalign.physics.fourier import fourier_resize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.models.generator import Metadata
    from cryoalign.particles import Particles

OPEN_MAPS = 64
"""How many stacks a process keeps mapped: a data set may have thousands, and the system limits the maps."""

SAME_PIXEL_SIZE = 0.02
"""Relative difference up to which pixel sizes count as the same."""


class ParticleImages:
    """Images by row of a table of particles.

    On construction only the headers of the stacks are read. A stack is mapped on the first read of one
    of its images, in each process for itself; an image is copied out of the map, so memory does not grow
    with the stacks.

    Parameters
    ----------
    particles : Particles
        N particles.
    paths : mapping of str to Path
        The file of each stack that they name; see `cryoalign.io.relion.locate_stacks`.
    box : int, optional
        Crop every image in Fourier space to this box in px; the field of view stays. A larger one is refused.
    resample : bool
        Bring optics groups of different pixel size to that of the first group in use, in Fourier space,
        and crop or pad them to its box.
    check_header : bool
        Refuse stacks whose headers disagree with the metadata about the pixel size. Without it the
        metadata count.

    Attributes
    ----------
    particles : Particles
        As given.
    box : int
        Side in px of the images that are given out.
    pixel_size : float
        Their pixel size in A.
    without_particle : (N,) bool
        Which are known to show none: see `cryoalign.io.simulated.without_particle`.

    Raises
    ------
    InputError
        If an image lies past the end of its stack, box or pixel sizes disagree, or a stack cannot be used.
    """

    def __init__(
        self,
        particles: Particles,
        paths: Mapping[str, Path],
        *,
        box: int | None = None,
        resample: bool = False,
        check_header: bool = True,
    ) -> None:
        if box is not None and box < 2:
            raise InputError(
                "this box is too small",
                expected="data.box of at least 2 px",
                found=box,
                remedy="leave data.box out for the box of the stacks",
            )
        self.particles, self._resample = particles, resample
        names, first, index = np.unique(particles.stack, return_index=True, return_inverse=True)
        self._stacks = [MrcStack(paths[name]) for name in names.tolist()]
        self._stack_of = index.reshape(-1).astype(np.int64)
        self._open: OrderedDict[int, MrcStack] = OrderedDict()
        self.without_particle = without_particle(particles)
        self._check_slots()
        used = np.unique(particles.optics_index)
        self._group_pixel_size = particles.optics[used[0]].pixel_size
        self._check_pixel_sizes()
        if check_header:
            self._check_headers(first)
        self._stack_box = self._check_boxes(first)
        self.box = self._stack_box if box is None else box
        if self.box > self._stack_box:
            raise InputError(
                "images can be cropped to a smaller box, not made larger",
                file=particles.source,
                expected=f"a box of at most {self._stack_box} px",
                found=f"{self.box} px",
                remedy=f"give images of {self.box} px or more, or a smaller box; that of a run is fixed",
            )
        self.pixel_size = self._group_pixel_size * self._stack_box / self.box

    def __len__(self) -> int:
        return len(self.particles)

    @property
    def pixel_sizes(self) -> NDArray[np.float64]:
        """(N,) pixel size in A of each image as it is given out, cropped and resampled."""
        sizes = self.particles.optics_column("pixel_size")
        if self._resample:
            boxes = np.array([stack.box for stack in self._stacks])[self._stack_of]
            sizes = sizes * boxes / np.round(boxes * sizes / self._group_pixel_size)
        return sizes * self._stack_box / self.box

    @cached_property
    def metadata(self) -> Metadata:
        """What is known of every particle, for images as they are given out."""
        return particle_metadata(self.particles, self.pixel_sizes)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind."""
        return {**self.__dict__, "_open": OrderedDict()}

    def image(self, row: int) -> NDArray[np.float32]:
        """Read one image.

        Parameters
        ----------
        row : int
            0-based row of `particles`.

        Returns
        -------
        (box, box) float32
            ``[y, x]``, in the grey values of the stack, negated where the particle's sign is -1.

        Raises
        ------
        InputError
            If the image holds NaN or infinite values, or is constant, which only those may be that are
            simulated without a particle.
        """
        values = self._read(row)
        reason = self._fault(values, row)
        if reason is not None:
            raise self.unusable(row, reason)
        return self._bring_to_box(values, row)

    def unusable(self, row: int, reason: str) -> InputError:
        """Return the error that names an image and why it cannot be used."""
        particles = self.particles
        return InputError(
            f"image {particles.slot[row] + 1} of {self._stacks[self._stack_of[row]].path} {reason}",
            file=particles.source,
            row=int(particles.row[row]),
            expected="finite values that vary",
            found=reason,
            remedy="leave such images out of the metadata; a training does so with "
            "data.bad_images=leave_out, and data.check=all lists them all",
        )

    def scan(self, progress: bool = False) -> list[tuple[int, str]]:
        """Read every image and report those that cannot be used.

        Parameters
        ----------
        progress : bool
            Show a progress bar.

        Returns
        -------
        list of (int, str)
            0-based row of `particles` and what is wrong with the image, by row.
        """
        order = np.lexsort((self.particles.slot, self._stack_of)).tolist()
        found: list[tuple[int, str]] = []
        for row in progress_bar(order, "looking at every image", shown=progress):
            values = self._read(row)
            reason = self._fault(values, row) or hot_pixel(values)
            if reason is not None:
                found.append((row, reason))
        return sorted(found)

    def _fault(self, values: NDArray[np.float32], row: int) -> str | None:
        """Return why an image cannot be used, None if it can."""
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):  # NaN passes through min and max
            return "holds NaN or infinite values"
        return "is constant" if low == high and not self.without_particle[row] else None

    def _read(self, row: int) -> NDArray[np.float32]:
        """Copy an image out of its stack, keeping the latest stacks mapped."""
        number = int(self._stack_of[row])
        stack = self._stacks[number]
        self._open[number] = stack
        self._open.move_to_end(number)
        if len(self._open) > OPEN_MAPS:
            self._open.popitem(last=False)[1].close()
        values = stack.read(int(self.particles.slot[row]))
        return values if self.particles.sign[row] > 0 else -values

    def _bring_to_box(self, values: NDArray[np.float32], row: int) -> NDArray[np.float32]:
        """Resample to the first group's pixel size where asked for, then to the box."""
        if self._resample:
            ratio = (
                self.particles.optics[self.particles.optics_index[row]].pixel_size / self._group_pixel_size
            )
            values = _crop_or_pad(_resize(values, round(len(values) * ratio)), self._stack_box)
        return _resize(values, self.box)

    def _check_slots(self) -> None:
        counts = np.array([stack.count for stack in self._stacks])[self._stack_of]
        self._refuse_unnumbered(counts)
        past = np.flatnonzero(self.particles.slot >= counts)
        if len(past):
            row = int(past[0])
            raise InputError(
                f"the image number is past the end of the stack ({len(past)} rows in all)",
                file=self.particles.source,
                row=int(self.particles.row[row]),
                expected=f"1 to {counts[row]}, the images in {self._stacks[self._stack_of[row]].path}",
                found=int(self.particles.slot[row]) + 1,
                remedy="use the stack that belongs to these metadata",
            )

    def _refuse_unnumbered(self, counts: NDArray[np.int64]) -> None:
        """Refuse the name of a whole stack where an image of it has to be named."""
        particles = self.particles
        if IMAGE not in particles.table:
            return
        named = particles.table[IMAGE].astype("str").str.contains("@", regex=False).to_numpy(dtype=bool)
        bare = np.flatnonzero(~named & (counts > 1))
        if len(bare):
            row = int(bare[0])
            raise InputError(
                f"the name of a stack of several images does not say which one is meant ({len(bare)} rows)",
                file=particles.source,
                row=int(particles.row[row]),
                expected=f"NNNNNN@{particles.stack[row]}, with a number from 1 to {counts[row]}",
                found=particles.table[IMAGE].iloc[row],
                remedy="write the number of the image in front of the name",
            )

    def _check_pixel_sizes(self) -> None:
        """Refuse groups that would mix different samplings."""
        if self._resample:
            return
        sizes = self.particles.optics_column("pixel_size")
        other = np.flatnonzero(np.abs(sizes / self._group_pixel_size - 1) > SAME_PIXEL_SIZE)
        if len(other):
            row = int(other[0])
            group = self.particles.optics[self.particles.optics_index[row]]
            raise InputError(
                f"optics group {group.name} has another pixel size than the first one",
                file=self.particles.source,
                row=int(self.particles.row[row]),
                expected=f"{self._group_pixel_size:g} A/px within {SAME_PIXEL_SIZE:.0%}",
                found=f"{group.pixel_size:g} A/px",
                remedy="data.resample=true (in an evaluation resample=true) brings all groups to the "
                "pixel size of the first",
            )

    def _check_headers(self, first: NDArray[np.int64]) -> None:
        """Compare the headers' pixel sizes with the metadata; 0 and 1 in a header mean that nobody set it."""
        for stack, row in zip(self._stacks, first.tolist(), strict=True):
            group = self.particles.optics[self.particles.optics_index[row]]
            written = stack.pixel_size
            if written is None or abs(written - 1) < 1e-6:
                continue
            # a simulated stack may hold groups of several pixel sizes, of which the header can name one
            sizes = [other.pixel_size for other in self.particles.optics if other.box_size == stack.box]
            if all(abs(written / size - 1) > SAME_PIXEL_SIZE for size in (group.pixel_size, *sizes)):
                raise InputError(
                    f"the pixel size of {stack.path} disagrees with the metadata",
                    file=self.particles.source,
                    row=int(self.particles.row[row]),
                    expected=f"{group.pixel_size:g} A/px within {SAME_PIXEL_SIZE:.0%}",
                    found=f"{written:g} A/px in the header of the stack",
                    remedy="correct one of them, or trust the metadata with check_header=false "
                    "(in a training data.check_header=false)",
                )

    def _check_boxes(self, first: NDArray[np.int64]) -> int:
        """Refuse stacks whose box is not that of the metadata or, unless resampled, of the others."""
        particles = self.particles
        used_first = int(np.flatnonzero(particles.optics_index == particles.optics_index.min())[0])
        common = self._stacks[self._stack_of[used_first]]
        for stack, row in zip(self._stacks, first.tolist(), strict=True):
            group = particles.optics[particles.optics_index[row]]
            if group.box_size is not None and group.box_size != stack.box:
                expected = f"{group.box_size} px, as optics group {group.name} says"
                remedy = "use the stack that belongs to these metadata"
            elif stack.box != common.box and not self._resample:
                expected = f"{common.box} px, as in {common.path}"
                remedy = (
                    "data.resample=true (in an evaluation resample=true) brings all groups to the "
                    "box and pixel size of the first"
                )
            else:
                continue
            raise InputError(
                f"the box size of {stack.path} disagrees",
                file=particles.source,
                row=int(particles.row[row]),
                expected=expected,
                found=f"{stack.box} px",
                remedy=remedy,
            )
        return int(common.box)


def _resize(values: NDArray[np.float32], box: int) -> NDArray[np.float32]:
    if len(values) == box:
        return values
    resized: NDArray[np.float32] = fourier_resize(torch.from_numpy(values), box).numpy()
    return resized


def _crop_or_pad(values: NDArray[np.float32], box: int) -> NDArray[np.float32]:
    """Crop, or pad with the mean of the border, so that pixel N // 2 lands on box // 2."""
    size = len(values)
    start = size // 2 - box // 2
    if size >= box:
        return np.ascontiguousarray(values[start : start + box, start : start + box])
    border = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    return np.pad(values, (-start, box - size + start), constant_values=border.mean())
