"""The image of a thick specimen by the multislice method, in the units and signs of the weak-phase image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from scipy.fft import next_fast_len

from cryoalign.errors import choice, within
from cryoalign.physics.conditions import Announced, Conditions, conditions, multiply_by_ctf
from cryoalign.physics.fourier import fourier_resize, irfft2, shift
from cryoalign.physics.multislice import (
    band_limit,
    exit_wave,
    full_grid,
    intensity,
    interaction_constant,
    lens,
    propagator,
    transmission,
)
from cryoalign.physics.projection import Projector
from cryoalign.simulate.weak_phase import fit_volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.envelope import Envelope

_BAND_LIMIT = 2 / 3
_MOST_SLICES = 1000
_LARGEST_RATIO = 8  # of padding, supersampling and field: more asks for a mistaken amount of memory
_FLAT = 1 / 4  # part of the band along the beam that is kept as it is: the rest falls off, against ringing
_SAMPLES_AT_ONCE = 2**22  # fine pixels times slices that are simulated together: bounds the memory


class Multislice:
    r"""Simulate particles by sending a plane wave through slices of a potential.

    The image is (1 - I) / (2 sigma p), with the relative intensity I, the interaction constant sigma and the
    pixel size p: in the limit of weak scattering by a thin specimen, the image that
    `cryoalign.simulate.weak_phase.WeakPhase` makes of the same volume. Poses, shifts, aberrations,
    magnification, envelope and CTF-premultiplied groups are treated as there; the defocus is that of the
    plane through the volume's origin. A beam tilt acts as coma; that it also shears the specimen's depth
    (0.1 A at 1 mrad and 100 A) is left out.

    The slices lie across the beam at equal distances t through the depth of the specimen. They hold the
    potential at the pose, its variation along the beam limited to what this distance can carry: unchanged up
    to 1 / (8 t), falling to zero at 1 / (2 t). Single scattering through a frequency k in the image needs
    lambda k^2 / 2 of it (the Ewald sphere), which is 1 / (400 A) at 2 A and 300 kV; so thick slices do. In
    Fourier space this takes one plane through the rotated transform for each slice, and the sum over the
    slices is the weak-phase projection whatever their number. An atom is spread over its slice and the next
    ones, and the ends of the depth are joined: a margin of 3 t beyond the specimen keeps them apart.

    The wave lives on a grid finer than the images, and is limited to 2/3 of its Nyquist frequency.

    Parameters
    ----------
    volume : (M, M, M) tensor
        Potential in V, axes [z, y, x], origin at voxel ``M // 2``. Its device is where images are made.
    pixel_size : float
        Voxel size of `volume` in A.
    box : int
        Box size N of the images in px. Potential outside a cube of that size is cut off.
    image_pixel_size : float or sequence of float, optional
        Pixel sizes in A of all images that will be asked for; that of the volume if not given.
    padding : float
        See `cryoalign.physics.projection.Projector`.
    slice_thickness : float
        Largest distance t between slices in A; made smaller to divide `depth`.
    depth : float, optional
        Length in A along the beam that is cut into slices, centred on the volume's origin; the side of the
        box if not given.
    supersampling : float
        Least ratio of the images' pixel size to that of the wave. From 1.5 on, the band limit leaves the
        circle of the images' Nyquist frequency whole.
    field : float
        Side of the simulated field in units of the box. At 1 what a strong defocus spreads beyond the box
        comes in again from the other side, as in a weak-phase image of this box; beyond 1 it leaves.
    towards : {1, -1}
        Whether the beam runs along the z axis of the images' frame (the third column of the pose's matrix) or
        against it, so that what is at higher z has the higher or the lower underfocus. -1 is the curvature
        that ``relion_reconstruct --ewald`` corrects, 1 that with ``--reverse_curvature``.
    envelope : Envelope, optional
        What weakens the high frequencies of all images.

    Attributes
    ----------
    slice_count : int
    slice_thickness : float
        In A.
    fine_box : int
        Side of the wave's grid in px.
    fine_pixel_ratio : float
        Pixel size of the wave's grid in units of the images'.

    Raises
    ------
    InputError
        A parameter lies outside its range.
    """

    linear = False

    def __init__(
        self,
        volume: Tensor,
        *,
        pixel_size: float,
        box: int,
        image_pixel_size: float | Sequence[float] | None = None,
        padding: float = 2.0,
        slice_thickness: float = 10.0,
        depth: float | None = None,
        supersampling: float = 1.5,
        field: float = 1.0,
        towards: int = -1,
        envelope: Envelope | None = None,
    ) -> None:
        within("scattering.slice_thickness", slice_thickness, above=0, unit="A")
        if depth is not None:
            within("scattering.depth", depth, above=0, unit="A")
        for name, value in (("padding", padding), ("supersampling", supersampling), ("field", field)):
            within(f"scattering.{name}", value, 1, _LARGEST_RATIO)
        choice("scattering.towards", towards, (1, -1))
        self.box, self.envelope = box, envelope
        self._announced = Announced.of(pixel_size if image_pixel_size is None else image_pixel_size)
        self.depth = box * self._announced.coarsest if depth is None else depth
        within("scattering.slice_thickness", slice_thickness, self.depth / _MOST_SLICES, unit="A")
        self.slice_count = max(1, math.ceil(self.depth / slice_thickness - 1e-6))
        self.slice_thickness = self.depth / self.slice_count

        self._field_box = math.ceil(field * box - 1e-6)
        self.fine_box = next_fast_len(math.ceil(supersampling * self._field_box - 1e-6))
        self.fine_pixel_ratio = self._field_box / self.fine_box
        # The box that holds just the frequencies within the band limit, over the same field.
        self._band_box = 2 * math.ceil(_BAND_LIMIT * self.fine_box / 2 - 1e-6)
        finest = self._announced.finest * self._field_box / self._band_box
        fitted, self.pixel_size = fit_volume(
            volume, pixel_size, box, Announced(finest, self._announced.coarsest)
        )
        self.projector = Projector(fitted, padding, box=self._band_box)
        self._heights, self._weights = _along_the_beam(self.slice_count, towards, self.projector.device)

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
        solvent : (B, slice_count, fine_box, fine_box) tensor, optional
            Further potential in each slice, integrated over it, in V A; for each row in turn, in the
            order of the beam. Its mean is taken for uniform: it shifts the phase of the unscattered beam.

        Returns
        -------
        (B, N, N) float32 tensor
            Grey values as those of the weak-phase image: in its limit, line integrals of the potential in
            units of the image's pixel size, convolved with the CTF.

        Raises
        ------
        ValueError
            A particle's pixel size lies outside those announced to the constructor, or `solvent` has another
            shape.
        """
        index = self._announced.rows(particles, rows)
        shape = (len(index), self.slice_count, self.fine_box, self.fine_box)
        if solvent is not None and tuple(solvent.shape) != shape:
            raise ValueError(f"the solvent has to be of shape {shape}, not {tuple(solvent.shape)}")
        images = torch.empty(len(index), self.box, self.box, device=self.projector.device)
        step = max(1, _SAMPLES_AT_ONCE // (self.slice_count * self.fine_box**2))
        for start in range(0, len(index), step):
            part = slice(start, start + step)
            optics = conditions(particles, index[part], self.projector.device)
            images[part] = self._images(optics, None if solvent is None else solvent[part])
        return images

    def _images(self, optics: Conditions, solvent: Tensor | None) -> Tensor:
        """Simulate a few images at once."""
        ky, kx = full_grid(self.fine_box, optics.pixel_size * self.fine_pixel_ratio, optics.magnification)
        inside = band_limit(self.fine_box, _BAND_LIMIT, device=ky.device)
        free = propagator(ky, kx, distance=self.slice_thickness, voltage=optics.voltage) * inside
        slices = self._slices(optics, solvent)
        wave = exit_wave(slices, free, voltage=optics.voltage, amplitude_contrast=optics.amplitude_contrast)
        beam = wave.new_ones(len(wave), 1, 1)
        if solvent is not None:
            mean = solvent.to(ky).sum(1).mean((-2, -1), keepdim=True)
            beam = transmission(mean, optics.voltage, optics.amplitude_contrast)
        even, odd = optics.aberrations(ky, kx)
        further = [phase for phase in (odd, None if even is None else -even) if phase is not None]
        # The wave is that of the last slice's plane; the defocus that of the centre's.
        behind = (self.slice_count - 1) / 2 * self.slice_thickness
        transfer = lens(
            ky, kx,
            defocus=optics.defocus + optics.defocus.new_tensor([behind, behind, 0]),
            voltage=optics.voltage,
            spherical_aberration=optics.spherical_aberration,
            phase_shift=optics.phase_shift,
            bfactor=optics.bfactor,
            scale=optics.scale,
            extra_phase=sum(further[1:], further[0]) if further else None,
        )  # fmt: skip
        if self.envelope is not None:
            transfer = transfer * self.envelope(
                ky.square() + kx.square(),
                defocus=optics.defocus,
                voltage=optics.voltage,
                spherical_aberration=optics.spherical_aberration,
            )
        unit = 2 * interaction_constant(optics.voltage) * optics.pixel_size * optics.area
        contrast = (1 - intensity(wave, transfer * inside, beam[:, 0, 0])) / unit[:, None, None]
        first = self._field_box // 2 - self.box // 2
        inner = slice(first, first + self.box)
        images = fourier_resize(contrast, self._field_box)[..., inner, inner]
        return multiply_by_ctf(images, optics)

    def _slices(self, optics: Conditions, solvent: Tensor | None) -> Iterator[Tensor]:
        """Yield the potential of one slice after the other in V A, on the fine grid."""
        band_pixel = optics.pixel_size * self._field_box / self._band_box
        planes = self.projector.planes(
            optics.rotations,
            self._heights * (self.pixel_size / self.depth),
            band_pixel / self.pixel_size,
            optics.magnification,
        )
        # A slice is the line integral in units of the pixel; resampling to the fine grid keeps grey values.
        unit = band_pixel * optics.area * (self.fine_box / self._band_box) ** 2
        planes *= unit[:, None, None, None]
        planes = shift(planes, -optics.shift[:, None] / band_pixel[:, None, None], self._band_box)
        spectra = self._weights @ planes.flatten(2)
        del planes
        half = self._band_box // 2
        fine = spectra.new_zeros(len(spectra), self.fine_box, self.fine_box // 2 + 1)
        for number in range(self.slice_count):
            spectrum = spectra[:, number].reshape(-1, self._band_box, half + 1)
            fine[:, :half, : half + 1] = spectrum[:, :half]
            fine[:, -half:, : half + 1] = spectrum[:, half:]
            projected = irfft2(fine, self.fine_box)
            yield projected if solvent is None else projected + solvent[:, number].to(projected)


def _along_the_beam(count: int, towards: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the heights of the planes in units of 1 / depth, and what each slice takes of each plane.

    Returns
    -------
    heights : (J,) float tensor
    weights : (count, J) complex tensor
        The sum over the slices is 1 at height zero and 0 elsewhere.
    """
    highest = (count - 1) // 2
    heights = torch.arange(-highest, highest + 1, dtype=torch.float64)
    edge = (2 * heights.abs() / count - _FLAT).clamp(min=0) / (1 - _FLAT)  # 0 where flat, 1 at the limit
    taper = torch.cos(math.pi / 2 * edge).square() / count
    places = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    phase = towards * 2 * math.pi / count * places[:, None] * heights
    weights = torch.polar(taper.expand(count, -1), phase)
    return heights.to(device, torch.float32), weights.to(device, torch.complex64)
