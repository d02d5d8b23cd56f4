"""What is refined from Python: arrays of sims, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.data.images import SAME_PIXEL_SIZE
from cryoalign.data.metadata import identity_tensor, particle_metadata
from cryoalign.errors import InputError, within
from cryoalign.io.identity import image_identities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.models.generator import Generator, Metadata
    from cryoalign.particles import Particles


def checked_sims(
    sim: NDArray[np.generic], *, box: int, pixel_size: float, constant_too: bool
) -> NDArray[np.float32]:
    """Return sims as float32; constant images only where they can be mapped.

    Raises
    ------
    InputError
        If they are no images of the generator's box, or not finite.
    """
    if sim.ndim != 3 or sim.shape[1:] != (box, box):
        raise InputError(
            "these sims do not suit the generator",
            expected=f"images of shape (N, {box}, {box}), at {pixel_size:.4f} A/px",
            found=f"shape {sim.shape}",
            remedy="give a stack of images; of one image sim[None]; simulate at the box of the training data",
        )
    if np.iscomplexobj(sim) or not np.can_cast(sim.dtype, np.float64, "same_kind"):
        raise InputError(
            "these sims are no real numbers",
            expected="real numbers",
            found=sim.dtype,
            remedy="give float32 images; of complex ones the real part",
        )
    values = sim.astype(np.float32)
    constant = values.min(axis=(1, 2)) == values.max(axis=(1, 2))
    wrong = ~np.isfinite(values).all(axis=(1, 2))
    if not constant_too:  # a constant image has no range to be brought to [-1, 1]
        wrong |= constant
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"image {first} of these sims cannot be used ({int(wrong.sum())} in all)",
            expected="finite values that vary",
            found="a constant image" if constant[first] else "NaN or infinite values",
            remedy="leave such images out",
        )
    return values


def checked_number(name: str, value: int) -> int:
    """Return a seed or a draw.

    Raises
    ------
    InputError
        If it is no whole number, or negative.
    """
    return int(within(name, value, 0, whole=True))


def checked_metadata(
    generator: Generator,
    sims: NDArray[np.float32],
    particles: Particles | None,
    defocus: ArrayLike | None,
    *,
    box: int,
    pixel_size: float,
) -> Metadata:
    """Return what is known of every sim; without particles, its values say who it is.

    Raises
    ------
    InputError
        If something is missing that the generator is conditioned on, or the particles or the numbers do not
        suit the sims.
    """
    known: Metadata = {}
    if particles is None:
        known["identity"] = identity_tensor(image_identities(sims))
    else:
        sizes = _pixel_sizes(particles, box)
        _check_particles(particles, sizes, len(sims), pixel_size)
        known = particle_metadata(particles, sizes)
    if generator.conditions - {"defocus"} and (particles is None or defocus is not None):
        needed = ", ".join(sorted(generator.conditions))
        raise InputError(
            f"this generator needs more than the defocus of a particle: {needed}",
            expected="particles=, row for row those of the sims, and no defocus=",
            found="no particles" if particles is None else "defocus= as well",
            remedy="give particles=cryoalign.read_particles(STAR) of the sims",
        )
    if defocus is not None:
        known["defocus"] = torch.from_numpy(_checked_defocus(len(sims), defocus)).float()
    if generator.conditions - known.keys():
        raise InputError(
            "this generator is conditioned on the defocus, but none came",
            expected="the mean defocus of every sim in A",
            remedy="give defocus=, one number or one a sim, or particles= as read from their STAR file",
        )
    return known


def _checked_defocus(count: int, defocus: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(defocus, dtype=np.float64)
    if values.shape not in {(), (count,)} or not np.isfinite(values).all():
        raise InputError(
            "defocus cannot be used",
            expected=f"one finite number in A, or {count}",
            found=f"shape {values.shape}" if np.isfinite(values).all() else "NaN or infinite values",
            remedy="give the mean of defocus U and V of every sim",
        )
    return np.broadcast_to(values, count).copy()


def _pixel_sizes(particles: Particles, box: int) -> NDArray[np.float64]:
    """Return (N,) pixel sizes in A of images that were cropped to a box, where their own box is known."""
    boxes = np.array([group.box_size or box for group in particles.optics])[particles.optics_index]
    sizes: NDArray[np.float64] = particles.optics_column("pixel_size") * boxes / box
    return sizes


def _check_particles(particles: Particles, sizes: NDArray[np.float64], count: int, pixel_size: float) -> None:
    """Refuse particles that are not those of the sims, or of another pixel size."""
    if len(particles) != count:
        raise InputError(
            "particles and sims are not as many",
            file=particles.source,
            expected=f"{count} particles, row for row those of the sims",
            found=len(particles),
            remedy="give the particles that these sims show: particles.take(rows)",
        )
    other = np.flatnonzero(np.abs(sizes / pixel_size - 1) > SAME_PIXEL_SIZE)
    if len(other):
        raise InputError(
            "the generator was trained on images of another pixel size",
            file=particles.source,
            row=int(particles.row[other[0]]),
            expected=f"{pixel_size:.4f} A/px",
            found=f"{sizes[other[0]]:.4f} A/px",
            remedy="simulate at the box and pixel size of the training data",
        )
