"""Pairs whose truth is known, as files: a folded specimen, coloured noise, and what a saboteur makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.embedded.fold import fold
from cryoalign.embedded.recipe import draw_view
from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.reading import Reader
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.potential import Atoms, potential
from cryoalign.simulate.envelope import Envelope
from cryoalign.simulate.weak_phase import WeakPhase

FIELD = 226.56  # A
#: Standard deviation of the noise in those of the particles' true images.
NOISE = 2.2


@dataclass
class Fakes:
    """What one generator makes.

    Attributes
    ----------
    fake, second_draw : (n, N, N) tensor
        Two draws for the particles that are judged.
    train : (m, N, N) tensor
        For those of the training set.
    empty : (e, N, N) tensor
        Of sims without a particle.
    without_domain : (n, N, N) tensor
        Of sims of the specimen without its domain.
    """

    fake: torch.Tensor
    second_draw: torch.Tensor
    train: torch.Tensor
    empty: torch.Tensor
    without_domain: torch.Tensor


@dataclass(frozen=True)
class Known:
    """A specimen seen through a microscope whose images are the truth plus Gaussian noise, and nothing else.

    Attributes
    ----------
    box : int
    count : int
        Particles that are judged; half as many more are the training set.
    micrographs : int
        Among those that are judged.
    seed : int
    """

    box: int = 64
    count: int = 480
    micrographs: int = 24
    seed: int = 0

    @property
    def pixel_size(self) -> float:
        return FIELD / self.box

    @cached_property
    def atoms(self) -> np.ndarray:
        return fold(150.0, domains=5, seed=self.seed)

    def density(self, atoms: np.ndarray) -> torch.Tensor:
        count = len(atoms)
        table = Atoms(atoms, np.full(count, "C"), np.full(count, 60.0), np.ones(count))
        return potential(table, box=self.box, pixel_size=self.pixel_size, centre=(0.0, 0.0, 0.0))

    @cached_property
    def volume(self) -> torch.Tensor:
        return self.density(self.atoms)

    @cached_property
    def domain(self) -> torch.Tensor:
        """Density of the atoms at one end of the specimen: about an eighth of them."""
        height = self.atoms @ np.array([0.6, 0.0, 0.8])
        return self.density(self.atoms[height > np.quantile(height, 0.875)])

    @cached_property
    def particles(self) -> Particles:
        """Those that are judged, then those of the training set."""
        total = self.count + self.count // 2
        rng = np.random.default_rng([self.seed, 1])
        micrograph = np.arange(total) * self.micrographs // self.count
        mean = rng.uniform(9000, 21000, micrograph.max() + 1)[micrograph] + rng.normal(0, 100, total)
        optics = Optics(1, "one", self.pixel_size, 300.0, 2.7, 0.1, self.box)
        return Particles.make(
            Path("known.star"),
            (optics,),
            total,
            micrograph=np.array([f"m{number:03d}.mrc" for number in micrograph]),
            angles=np.stack([draw_view(rng) for _ in range(total)]),
            shift=rng.normal(0, 4, (total, 2)),
            defocus=np.stack([mean + 150, mean - 150, rng.uniform(-90, 90, total)], axis=1),
        )

    @property
    def judged(self) -> np.ndarray:
        return np.arange(self.count)

    @property
    def trained(self) -> np.ndarray:
        return np.arange(self.count, len(self.particles))

    def views(
        self, particles: Particles, volume: torch.Tensor | None = None, bfactor: float = 0.0
    ) -> torch.Tensor:
        """(n, N, N) images without noise."""
        simulator = WeakPhase(
            self.volume if volume is None else volume,
            pixel_size=self.pixel_size,
            box=self.box,
            envelope=Envelope(bfactor=bfactor) if bfactor else None,
        )
        return simulator(particles)

    @cached_property
    def sims(self) -> torch.Tensor:
        return self.views(self.particles)

    @cached_property
    def scale(self) -> float:
        """Brings the noise to standard deviation 1."""
        return 1 / (NOISE * float(self.true_views(self.particles.take(self.judged[:50])).std()))

    def true_views(self, particles: Particles, volume: torch.Tensor | None = None) -> torch.Tensor:
        """The microscope blurs a little, which the simulator does not know."""
        return self.views(particles, volume, bfactor=80.0)

    @cached_property
    def truth(self) -> torch.Tensor:
        """(n, N, N) what raw shows, in units of the noise."""
        return self.true_views(self.particles) * self.scale

    def noise(self, count: int, stream: int) -> torch.Tensor:
        """(count, N, N) noise of standard deviation 1, with more power at low frequency."""
        generator = torch.Generator().manual_seed(1000 * self.seed + stream)
        white = torch.randn(count, self.box, self.box, generator=generator)
        return colour(white)

    @cached_property
    def raw(self) -> torch.Tensor:
        return self.normalized(self.truth + self.noise(len(self.particles), 0))

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """As RELION extracts particles: background of mean 0 and standard deviation 1."""
        by_background = Normalization()
        return torch.stack([torch.from_numpy(by_background.raw(image.numpy())[0]) for image in images])

    def write(self, folder: Path, name: str, images: torch.Tensor, particles: Particles) -> Path:
        """Write a stack and its STAR file; returns the latter."""
        with StackWriter(folder / f"{name}.mrcs", len(images), self.box, self.pixel_size) as writer:
            writer.write(images.numpy())
        names = [f"{number:06d}@{name}.mrcs" for number in range(1, len(images) + 1)]
        original = (
            None if name.endswith("raw") else [entry.partition("@")[0] + "@raw.mrcs" for entry in names]
        )
        if name.startswith("train_") and original is not None:
            original = [entry.replace("raw.mrcs", "train_raw.mrcs") for entry in original]
        write_particles(
            folder / f"{name}.star", particles, image_names=names, original_names=original, box=self.box
        )
        return folder / f"{name}.star"

    def write_common(self, folder: Path) -> None:
        """raw, sim, truth and the training set: what all saboteurs are judged with."""
        for prefix, rows in (("", self.judged), ("train_", self.trained)):
            table = self.particles.take(rows)
            table = replace(table, slot=np.arange(len(rows)))
            for name, images in (("raw", self.raw), ("sim", self.sims), ("truth", self.truth)):
                self.write(folder, prefix + name, images[rows], table)


def colour(white: torch.Tensor) -> torch.Tensor:
    """Colour white noise: the spectrum 1 / (1 + (k / 0.12)^2) + 0.25, k in cycles per px, and deviation 1."""
    box = white.shape[-1]
    ky, kx = torch.fft.fftfreq(box)[:, None], torch.fft.rfftfreq(box)[None]
    gain = (1 / (1 + (ky.square() + kx.square()) / 0.12**2) + 0.25).sqrt()
    full = torch.cat([gain, gain[:, 1:-1]], 1)
    return irfft2(rfft2(white) * gain, box) / full.square().mean().sqrt()


def case_of(known: Known, folder: Path, fakes: Fakes, floors: Floors | None = None) -> Case:
    """Write what a generator made beside the common files, and read all of it as a user's stacks.

    Parameters
    ----------
    known : Known
        Its common files lie in `folder`.
    folder : Path
    fakes : Fakes
    floors : Floors, optional
        What other fakes of the same particles were held against.
    """
    part, trained = (known.particles.take(rows) for rows in (known.judged, known.trained))
    files = {
        kind: known.write(folder, kind, images, part)
        for kind, images in (
            ("fake", fakes.fake),
            ("second_draw", fakes.second_draw),
            ("without_domain", fakes.without_domain),
        )
    }
    train = known.write(folder, "train_fake", fakes.train, trained)
    empty = known.write(folder, "empty", fakes.empty, part.take(np.arange(len(fakes.empty)) % len(part)))
    reader = Reader()
    pairs = reader.pairs(
        folder / "raw.star",
        fake=files["fake"],
        sim=folder / "sim.star",
        truth=folder / "truth.star",
        second_draw=files["second_draw"],
    )
    return Case(
        pairs,
        train=reader.pairs(folder / "train_raw.star", fake=train, sim=folder / "train_sim.star"),
        empty=reader.probe(empty, pairs),
        without_domain=reader.probe(files["without_domain"], pairs),
        domain=known.domain,
        volume=known.volume,
        voxel_size=known.pixel_size,
        floors=floors or Floors(),
    )
