"""The picture beside a stack that was made: what is in it, and what was measured beside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import InputError
from cryoalign.io.locate import locate_stacks
from cryoalign.io.mrc import MrcStack
from cryoalign.io.output import atomic_write
from cryoalign.io.simulated import without_particle
from cryoalign.particles import Particles
from cryoalign.physics.spectrum import radial_log_power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.population.population import Population
    from cryoalign.simulate.stacks import ImageStack

_log = logging.getLogger(__name__)

PICTURE = "gallery.png"

_SPECTRA = 200  # images whose spectra are shown
_BATCH = 32  # of them at once, or fewer of a large box
_PIXELS = 2**21


@dataclass(frozen=True)
class Images:
    """Images that can be read by row.

    Attributes
    ----------
    rows : (n,) int64
        0-based rows that have one.
    read : callable
        Returns the (N, N) image of one of them.
    """

    rows: NDArray[np.int64]
    read: Callable[[int], NDArray[np.float32]]


@torch.no_grad()
def draw_picture(
    folder: Path,
    images: Mapping[str, Images],
    particles: Mapping[str, Particles | Population],
    pixel_size: float,
    *,
    classes: NDArray[np.int64] | None,
    note: str = "",
) -> None:
    """Draw ``gallery.png``: some images of a stack, spectra, views and defocus. Memory is flat.

    Parameters
    ----------
    folder : Path
        Where the picture goes.
    images : mapping of str to Images
        By ``sim``, ``fake`` or ``raw``; the first are shown, and the spectra of all.
    particles : mapping of str to Particles or Population
        Whose views and defocus are shown, by the same names, two at the most.
    pixel_size : float
        Of the images, in A.
    classes : (N,) int64, optional
        The number of each one's map, of the first images; 0 where there is no particle.
    note : str
        Behind the title.
    """
    from cryoalign.figures.overview import overview  # noqa: PLC0415  matplotlib waits until it is needed
    from cryoalign.figures.views import Conditions, ViewBins  # noqa: PLC0415

    bins = ViewBins.of([len(table) for table in particles.values()])
    found = {kind: Conditions(bins, len(table)) for kind, table in particles.items()}
    for kind, table in particles.items():
        for angles, defocus, shown in _views(table):
            found[kind].add(angles, defocus, shown)
    kind, own = next(iter(images.items()))
    rows = _chosen(own.rows, classes)
    stack = np.stack([own.read(row) for row in rows.tolist()])
    labels = [_label(row, classes) for row in rows.tolist()]
    box = stack.shape[-1]
    curves = {name: _curves(some, box, None if name == "raw" else classes) for name, some in images.items()}
    figure = overview(
        stack,
        labels,
        {name: table for name, table in curves.items() if len(table)},
        found,
        pixel_size,
        title=f"{len(rows)} of {len(particles[kind])} images of {kind}.star{note}",
    )
    with atomic_write(folder / PICTURE) as path:
        # Without a version or date: the same bytes whenever it is drawn.
        figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})


def draw_simulated(
    folder: Path,
    particles: Particles | Population,
    stacks: list[ImageStack],
    classes: NDArray[np.int64] | None,
    root: Path | None,
) -> None:
    """Draw the picture of what was simulated, beside the measured particles that it is of or like.

    Parameters
    ----------
    folder : Path
        Of the stacks.
    particles : Particles or Population
    stacks : list of ImageStack
        That of the most images is shown.
    classes : (N,) int64, optional
        As of `draw_picture`.
    root : Path, optional
        Of the stacks of the measured images.
    """
    stack = max(stacks, key=lambda one: len(one.rows))
    read = stack.files.reader(folder)
    measured = particles if isinstance(particles, Particles) else particles.like
    note = "" if len(stacks) == 1 else f", those of {stack.box} px"
    if measured is particles:
        note += "; their poses and defocus are those of raw"
    raw = measured_images(measured, stack.box, root)
    draw_picture(
        folder,
        {
            "sim": Images(stack.rows, lambda row: read(int(np.searchsorted(stack.rows, row)))),
            **({} if raw is None else {"raw": raw}),
        },
        {"sim": particles, **({} if measured is particles else {"raw": measured})},
        float(particles.optics[particles.optics_index[stack.rows[0]]].pixel_size),
        classes=classes,
        note=note,
    )


def measured_images(particles: Particles, box: int, root: Path | None) -> Images | None:
    """Return some measured images of a box size; None if they are not at hand.

    Parameters
    ----------
    particles : Particles
    box : int
        In px.
    root : Path, optional
        Where to look for their stacks.
    """
    rows = _some(np.arange(len(particles)), _SPECTRA)
    some = particles.take(rows)
    try:
        paths = locate_stacks(some, root)
        stacks = {name: MrcStack(path) for name, path in paths.items()}
        for name, slot in zip(some.stack.tolist(), some.slot.tolist(), strict=True):
            if stacks[name].box != box or slot >= len(stacks[name]):
                return None
    except InputError as error:
        _log.debug("the picture has no spectra of measured images: %s", error)
        return None
    return Images(rows, lambda row: stacks[str(particles.stack[row])].read(int(particles.slot[row])))


def _views(
    particles: Particles | Population,
) -> Iterable[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield poses, defocus, and who shows a particle, part by part."""
    if isinstance(particles, Particles):
        return [(particles.angles, particles.defocus, ~without_particle(particles))]
    return particles.views()


def _some(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return so many of some rows at the most, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]


def _chosen(rows: NDArray[np.int64], classes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the rows of the images that are shown, spread over the classes."""
    from cryoalign.figures.overview import SHOWN  # noqa: PLC0415  matplotlib waits until it is needed

    if classes is None:
        return _some(rows, SHOWN)
    numbers = _some(np.roll(np.unique(classes[rows]), -int((classes[rows] == 0).any())), SHOWN)  # 0 last
    each = [SHOWN // len(numbers) + (place < SHOWN % len(numbers)) for place in range(len(numbers))]
    chosen = [
        _some(rows[classes[rows] == number], count)
        for number, count in zip(numbers.tolist(), each, strict=True)
    ]
    return np.concatenate(chosen)


def _label(row: int, classes: NDArray[np.int64] | None) -> str:
    """Return which image it is, and of which class."""
    if classes is None:
        return f"image {row + 1}"
    number = int(classes[row])
    return f"image {row + 1}\n" + (f"class {number}" if number else "no particle")


def _curves(images: Images, box: int, classes: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return (n, R) the radial log power of some images of particles, each of mean 0 and variance 1."""
    curves = [np.zeros((0, box // 2 + 1))]
    shown = images.rows if classes is None else images.rows[classes[images.rows] > 0]
    rows = _some(shown, _SPECTRA).tolist()
    at_once = min(_BATCH, max(1, _PIXELS // box**2))
    try:
        for start in range(0, len(rows), at_once):
            stack = np.stack([images.read(row) for row in rows[start : start + at_once]]).astype(np.float64)
            with np.errstate(all="ignore"):
                spread = stack.std(axis=(1, 2))
            usable = np.isfinite(spread) & (spread > 0)
            if not usable.any():  # stacks of zeros: holes in a file
                continue
            stack = stack[usable]
            stack -= stack.mean(axis=(1, 2), keepdims=True)
            stack /= spread[usable, None, None]
            curves.append(radial_log_power(torch.from_numpy(stack)).numpy())
    except InputError as error:  # measured images that cannot be read
        _log.debug("the picture has no spectra of measured images: %s", error)
        return curves[0]
    found = np.concatenate(curves)
    found[:, 0] = np.nan  # of the mean, which was taken away
    return found
