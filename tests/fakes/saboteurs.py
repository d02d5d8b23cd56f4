"""Fakes with one fault each, and the honest oracle: what the referee has to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoalign.data.metadata import particle_metadata, rows_of
from cryoalign.models.transplant import Transplant
from cryoalign.particles import Particles
from tests.fakes.known import Fakes, Known, colour
from tests.fakes.measured import Measured

EMPTY = 200
Noise = Callable[[int, int], torch.Tensor]


def compose(
    known: Known,
    *,
    judged: Callable[[Particles, torch.Tensor | None], torch.Tensor] | None = None,
    noise: Noise | None = None,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
) -> Fakes:
    """Make fakes of what is seen (the truth), noise and a change of the finished image."""

    def see(particles: Particles, volume: torch.Tensor | None) -> torch.Tensor:
        return known.true_views(particles, volume) * known.scale

    see = judged or see
    draw = noise or known.noise
    part = known.particles.take(known.judged)
    seen = see(part, None)

    def finish(clean: torch.Tensor, stream: int) -> torch.Tensor:
        return change(known.normalized(clean + draw(len(clean), stream)))

    return Fakes(
        fake=finish(seen, 1),
        second_draw=finish(seen, 2),
        train=finish(see(known.particles.take(known.trained), None), 3),
        empty=finish(torch.zeros(EMPTY, known.box, known.box), 4),
        without_domain=finish(see(part, known.volume - known.domain), 5),
    )


def oracle(known: Known) -> Fakes:
    return compose(known)


def random_phases(known: Known) -> Fakes:
    generator = torch.Generator().manual_seed(6)

    def scramble(images: torch.Tensor) -> torch.Tensor:
        spectra = torch.fft.rfft2(images)
        other = torch.fft.rfft2(torch.randn(images.shape, generator=generator))
        turned = spectra.abs() * other / other.abs()
        turned[:, 0, 0] = spectra[:, 0, 0]
        return torch.fft.irfft2(turned, s=images.shape[-2:])

    return compose(known, change=scramble)


def another_particle(known: Known) -> Fakes:
    def see(particles: Particles, volume: torch.Tensor | None) -> torch.Tensor:
        other = np.random.default_rng(7).permutation(len(particles))
        moved = replace(particles, angles=particles.angles[other], shift=particles.shift[other])
        return known.true_views(moved, volume) * known.scale

    return compose(known, judged=see)


def defocus_off(known: Known) -> Fakes:
    def see(particles: Particles, volume: torch.Tensor | None) -> torch.Tensor:
        defocus = particles.defocus * np.array([1.2, 1.2, 1.0])
        return known.true_views(replace(particles, defocus=defocus), volume) * known.scale

    return compose(known, judged=see)


def pose_off(known: Known) -> Fakes:
    def see(particles: Particles, volume: torch.Tensor | None) -> torch.Tensor:
        rng = np.random.default_rng(8)
        axis = rng.normal(size=(len(particles), 3))
        turn = Rotation.from_rotvec(np.deg2rad(15) * axis / np.linalg.norm(axis, axis=1, keepdims=True))
        pose = Rotation.from_euler("ZYZ", particles.angles, degrees=True) * turn
        moved = replace(particles, angles=pose.as_euler("ZYZ", degrees=True))
        return known.true_views(moved, volume) * known.scale

    return compose(known, judged=see)


def no_noise(known: Known) -> Fakes:
    fakes, part = compose(known), known.judged
    fakes.fake = fakes.second_draw = known.truth[part]
    fakes.train = known.truth[known.trained]
    fakes.empty = torch.zeros(EMPTY, known.box, known.box) + 1e-6 * known.noise(EMPTY, 9)
    fakes.without_domain = (
        known.true_views(known.particles.take(part), known.volume - known.domain) * known.scale
    )
    return fakes


def white_noise(known: Known) -> Fakes:
    def draw(count: int, stream: int) -> torch.Tensor:
        return torch.randn(count, known.box, known.box, generator=torch.Generator().manual_seed(100 + stream))

    return compose(known, noise=draw)


def same_noise(known: Known) -> Fakes:
    return compose(known, noise=lambda count, _: known.noise(1, 10).expand(count, -1, -1))


def noise_of_sim(known: Known) -> Fakes:
    """The noise is drawn from a seed that sim decides: alike in every draw, and statistically perfect."""
    return compose(known, noise=lambda count, stream: known.noise(count, 1 if stream == 2 else stream))


def copy_of_raw(known: Known) -> Fakes:
    """Raw itself, with a tenth of noise of its own."""
    fakes, weight = compose(known), 0.1
    for kind, stream in (("fake", 11), ("second_draw", 12)):
        raw = known.raw[known.judged]
        setattr(fakes, kind, known.normalized(raw + weight * known.noise(known.count, stream)))
    return fakes


def memorizer(known: Known) -> Fakes:
    """It has seen the noise of the training set, and uses that of a random training image for a new one."""
    seen = known.raw[known.trained] - known.truth[known.trained]

    def draw(count: int, stream: int) -> torch.Tensor:
        if stream == 3:
            return seen
        chosen = np.random.default_rng(stream).integers(0, len(seen), count)
        return seen[chosen]

    return compose(known, noise=draw)


def transplant(known: Known) -> Fakes:
    """The generator that adds the noise of another training image, as it is fitted and used."""
    generator = Transplant(known.box)
    images = [values[:, None] for values in (known.sims, known.raw)]
    metadata, rows = particle_metadata(known.particles), known.trained
    sim, raw = (values[rows] for values in images)
    generator.fit([(sim, raw, rows_of(metadata, rows), torch.from_numpy(rows) // 20)])

    def make(rows: np.ndarray, draw: int, sims: torch.Tensor | None = None) -> torch.Tensor:
        index = torch.from_numpy(rows)
        given = images[0][rows] if sims is None else sims[:, None]
        fake = generator.generate(
            given, seed=1, identity=index, draw=torch.full_like(index, draw), metadata=rows_of(metadata, rows)
        )
        return known.normalized(fake.squeeze(1))

    part = known.particles.take(known.judged)
    return Fakes(
        fake=make(known.judged, 0),
        second_draw=make(known.judged, 1),
        train=make(known.trained, 0),
        empty=make(known.judged[:EMPTY], 2, torch.zeros(EMPTY, known.box, known.box)),
        without_domain=make(known.judged, 3, known.views(part, known.volume - known.domain)),
    )


def inventor(known: Known) -> Fakes:
    """It adds a blob where sim has none, beside the particle, and a domain where one is missing."""
    axis = torch.arange(known.box) - known.box // 2
    place = known.box * 0.3
    blob = 2.0 * torch.exp(-((axis[:, None] - place).square() + (axis[None] + place).square()) / (2 * 2.5**2))
    fakes = compose(known, change=lambda images: images + blob)
    fakes.without_domain = fakes.fake
    return fakes


def checkerboard(known: Known) -> Fakes:
    axis = torch.arange(known.box)
    pattern = 0.1 * (1 - 2 * ((axis[:, None] + axis[None]) % 2))
    return compose(known, change=lambda images: images + pattern)


def grey_scale_off(known: Known) -> Fakes:
    return compose(known, change=lambda images: 1.1 * images)


def patchy_noise(known: Known) -> Fakes:
    """Its strength changes over the image, by a fifth and smoothly."""

    def draw(count: int, stream: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(200 + stream)
        angle, phase = 2 * np.pi * torch.rand(2, count, 1, 1, generator=generator)
        axis = 2 * np.pi * torch.arange(known.box) / known.box
        wave = torch.sin(1.5 * (angle.cos() * axis + angle.sin() * axis[:, None]) + phase)
        return known.noise(count, stream) * (1 + 0.2 * wave)

    return compose(known, noise=draw)


def even_rings(known: Known) -> Fakes:
    """All frequencies of a ring have one power, in place of an exponential distribution of powers."""

    def draw(count: int, stream: int) -> torch.Tensor:
        white = torch.randn(
            count, known.box, known.box, generator=torch.Generator().manual_seed(300 + stream)
        )
        spectra = torch.fft.rfft2(white)
        return colour(torch.fft.irfft2(spectra / spectra.abs() * known.box, s=white.shape[-2:]))

    return compose(known, noise=draw)


def gaussian_noise(measured: Measured) -> Fakes:
    return compose(measured, noise=lambda count, stream: measured.noise(count, stream, skewed=False))


def one_spectrum(measured: Measured) -> Fakes:
    return compose(measured, noise=lambda count, stream: measured.noise(count, stream, varied=False))


def noise_without_ctf(measured: Measured) -> Fakes:
    return compose(measured, noise=lambda count, stream: measured.noise(count, stream, through_lens=False))


def periodic_noise(measured: Measured) -> Fakes:
    """It is filtered in the image's own box, and so continues across opposite edges."""
    return compose(measured, noise=lambda count, stream: measured.noise(count, stream, periodic=True))


SABOTEURS: dict[str, Callable[[Known], Fakes]] = {
    "oracle": oracle,
    "random_phases": random_phases,
    "another_particle": another_particle,
    "defocus_off": defocus_off,
    "pose_off": pose_off,
    "no_noise": no_noise,
    "white_noise": white_noise,
    "same_noise": same_noise,
    "noise_of_sim": noise_of_sim,
    "copy_of_raw": copy_of_raw,
    "memorizer": memorizer,
    "transplant": transplant,
    "inventor": inventor,
    "checkerboard": checkerboard,
    "grey_scale_off": grey_scale_off,
    "patchy_noise": patchy_noise,
    "even_rings": even_rings,
}
#: Of pairs whose noise is as that of a microscope.
MEASURED_SABOTEURS: dict[str, Callable[[Measured], Fakes]] = {
    "measured_oracle": oracle,
    "gaussian_noise": gaussian_noise,
    "one_spectrum": one_spectrum,
    "noise_without_ctf": noise_without_ctf,
    "periodic_noise": periodic_noise,
}
