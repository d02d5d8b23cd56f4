"""The weak-phase image: a central slice, times the CTF, moved to where the particle sits."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from cryoalign.errors import within
from cryoalign.physics.conditions import Announced, conditions
from cryoalign.physics.fourier import fourier_resize_volume, irfft2, rfft2, shift
from cryoalign.physics.projection import Projector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.physics.conditions import Conditions
    from cryoalign.simulate.envelope import Envelope

_PIXELS_AT_ONCE = 2**18  # on a CPU: what a few images take stays in its cache
_VOXEL_TOLERANCE = 0.01  # a pixel size rounded in a header must not cost a voxel


class WeakPhase:
    """Simulate particles as projections of one volume under the weak-phase approximation.

    image = F^-1[ CTF(M k) exp(i a(M k)) slice(M k) exp(2 pi i k.origin) ], with the magnification matrix M
    and the antisymmetric aberrations a (beam tilt, odd Zernikes); the CTF (not exp(i a)) squared where the
    particle's images are CTF-premultiplied. Each row has the values of its optics group. Signs and units
    are RELION's: the images agree with those of ``relion_project --ctf`` (``--ctf2`` where premultiplied),
    which leaves a out, and with what ``relion_reconstruct --ctf`` expects, which knows a.

    Parameters
    ----------
    volume : (M, M, M) tensor
        Density, axes [z, y, x], origin at voxel ``M // 2``. Its device is where images are made.
    pixel_size : float
        Voxel size of `volume` in A.
    box : int
        Box size N of the images in px. Density outside a cube of that size is cut off.
    image_pixel_size : float or sequence of float, optional
        Pixel sizes in A of all images that will be asked for; that of the volume if not given.
    padding : float
        See `cryoalign.physics.projection.Projector`.
    envelope : Envelope, optional
        What weakens the high frequencies of all images.

    Attributes
    ----------
    slice_count, slice_thickness, fine_box, fine_pixel_ratio
        The grid of a solvent, as of `cryoalign.simulate.multislice.Multislice`: one layer of the images'
        own pixels.
    """

    linear = True
    slice_count, slice_thickness, fine_pixel_ratio = 1, math.inf, 1.0

    def __init__(
        self,
        volume: Tensor,
        *,
        pixel_size: float,
        box: int,
        image_pixel_size: float | Sequence[float] | None = None,
        padding: float = 2.0,
        envelope: Envelope | None = None,
    ) -> None:
        within("scattering.padding", padding, 1, 8)
        self.box = self.fine_box = box
        self.envelope = envelope
        self._announced = Announced.of(pixel_size if image_pixel_size is None else image_pixel_size)
        fitted, self.pixel_size = fit_volume(volume, pixel_size, box, self._announced)
        self.projector = Projector(fitted, padding, box=box)
        # On a CPU a few images each, not all threads together on each of a hundred small operations: these
        # would wait for each other a hundred times.
        self._threads = ThreadPoolExecutor(
            torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
        )

    def of_box(self, box: int) -> WeakPhase:
        """Return a simulator of the same volume for images of another box size.

        Parameters
        ----------
        box : int
            In px. In a larger one more of what the CTF spreads stays outside the particle's own box; density
            beyond the smaller box is cut off as before.

        Returns
        -------
        WeakPhase
        """
        other = copy(self)
        other.box = other.fine_box = box
        other.projector = self.projector.of_box(box)
        return other

    @torch.no_grad()
    def __call__(
        self, particles: Particles, rows: ArrayLike | None = None, *, solvent: Tensor | None = None
    ) -> Tensor:
        """Simulate images.

        Parameters
        ----------
        particles : Particles
        rows : array_like of int, optional
            0-based rows to simulate, in this order; all if not given.
        solvent : (B, 1, N, N) tensor, optional
            Further projected density of each image, in units of the volume times A.

        Returns
        -------
        (B, N, N) float32 tensor
            Grey values are line integrals of the density in units of the image's pixel size.

        Raises
        ------
        ValueError
            A particle's pixel size lies outside those announced to the constructor.
        """
        index = self._announced.rows(particles, rows)
        if self.projector.device.type != "cpu":
            return self._images(particles, index, solvent)
        threads = torch.get_num_threads()
        step = max(min(_PIXELS_AT_ONCE // self.box**2, math.ceil(len(index) / threads)), 1)

        made = torch.empty(len(index), self.box, self.box)

        def make(start: int) -> None:
            part = slice(start, start + step)
            made[part] = self._images(particles, index[part], None if solvent is None else solvent[part])

        starts = range(0, len(index), step)
        if threads == 1:
            for start in starts:
                make(start)
        else:
            list(self._threads.map(make, starts))
            torch.set_num_threads(threads)  # starting a thread has changed what those to come would get
        return made

    @torch.no_grad()
    def _images(self, particles: Particles, index: NDArray[np.int64], solvent: Tensor | None) -> Tensor:
        """(B, N, N) images, all at once."""
        pixel = particles.optics_column("pixel_size")[index]
        optics = conditions(particles, index, self.projector.device)
        ratio = torch.from_numpy(pixel / self.pixel_size)
        transfer = self._transfer(optics)
        spectra = self.projector.slices(optics.rotations, ratio, optics.magnification) * transfer
        # The origin is what has to be added to centre the content: the content sits at minus the origin.
        spectra = shift(spectra, -optics.shift / optics.pixel_size[:, None], self.box)
        if solvent is not None:
            layer = rfft2(solvent[:, 0].to(spectra.device))
            spectra = spectra + transfer * layer / optics.pixel_size[:, None, None]
        return irfft2(spectra, self.box)

    def _transfer(self, optics: Conditions) -> Tensor:
        """(B, N, N // 2 + 1) factor of each image: its CTF, or the square of it, and the odd phase once."""
        ky, kx = optics.frequencies(self.box)
        even, odd = optics.aberrations(ky, kx)
        once = optics.ctf(self.box, even)
        factor = torch.where(optics.premultiplied[:, None, None], once.square(), once)
        if self.envelope is not None:
            factor = factor * self.envelope(
                ky.square() + kx.square(),
                defocus=optics.defocus,
                voltage=optics.voltage,
                spherical_aberration=optics.spherical_aberration,
            )
        # A premultiplied image was multiplied by its real CTF: the odd phase is in it once.
        return factor if odd is None else torch.polar(factor, odd)


def fit_volume(volume: Tensor, pixel_size: float, box: int, images: Announced) -> tuple[Tensor, float]:
    """Resample a volume to the span of the images, with no more resolution than they can show.

    A volume sampled finer than the finest images is Fourier-cropped to the next whole number of voxels that
    still carries their Nyquist frequency; then it is cropped or padded with zeros about its origin to the
    span of the coarsest images. What remains between voxel and pixel size is left to the projector, which
    samples any frequency: no resampling to a common pixel size is needed, whatever the ratio.

    Parameters
    ----------
    volume : (M, M, M) tensor
    pixel_size : float
        Voxel size in A.
    box : int
        Box size of the images in px.
    images : Announced
        Smallest and largest pixel size of the images.

    Returns
    -------
    volume : (L, L, L) tensor
    pixel_size : float
        Its voxel size in A.
    """
    size = volume.shape[-1]
    reduced = max(math.ceil(size * pixel_size / images.finest - _VOXEL_TOLERANCE), 1)
    if reduced < size:
        volume = fourier_resize_volume(volume, reduced)
        pixel_size, size = pixel_size * size / reduced, reduced
    span = max(math.ceil(box * images.coarsest / pixel_size - _VOXEL_TOLERANCE), 1)
    before = span // 2 - size // 2
    after = span - size - before
    return F.pad(volume, (before, after) * 3), pixel_size
