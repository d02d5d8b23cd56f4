"""What every embedded data set is made from: its parameters, and the poses and defocus drawn from them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoalign.errors import InputError
from cryoalign.particles import Optics, Particles
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.envelope import Envelope
from cryoalign.simulate.solvent import IceNoise
from cryoalign.simulate.stacks import LARGEST_BOX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import DataclassInstance
    from numpy.typing import NDArray
    from torch import Tensor

FORMAT = 2
"""To be raised whenever the same parameters would give other files."""

FIELD_OF_VIEW = 226.56
"""Side of the box in A where no pixel size is given: 64 px of 3.54 A, 256 px of 0.885 A."""

VIEW, NEIGHBOUR, MICROGRAPH, UIDS, PLACES = range(5)
"""Streams of random numbers, which do not disturb each other."""


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """What decides the pixels and the metadata of an embedded data set, however its images are made.

    Random numbers of particle i come from (seed, i), those of micrograph j from (seed, j).

    Parameters
    ----------
    box : int
        Box size in px.
    pixel_size : float, optional
        In A; by default such that the box is 226.56 A wide.
    particles, micrographs : int
        How many; the particles are dealt out evenly.
    diameter : float
        Of the sphere in A that holds the specimen.
    domains : int
        Of the specimen.
    shift : float
        Standard deviation of the particles' shifts along x and y in A.
    defocus : tuple of float
        Least and largest mean defocus of a micrograph in A.
    defocus_spread : float
        Standard deviation of the particles' defocus within a micrograph in A.
    astigmatism : float
        Largest difference of defocus U and V in A.
    voltage, spherical_aberration, amplitude_contrast : float
        In kV, mm, and as a fraction.
    bfactor : float
        Of the specimen's atoms in A^2.
    solvent_potential : float
        Of the ice that the specimen displaces, in V.
    slice_thickness : float
        Of the slices that raw images are computed by, in A.
    ice : IceNoise
        What the particles lie in.
    envelope : Envelope
        What weakens the high frequencies of raw images.
    detector : Counting
        What records them.
    seed : int
        Another seed, another specimen and other images.

    Raises
    ------
    InputError
        If the specimen does not fit into the box, or a number makes no sense.
    """

    box: int = 64
    pixel_size: float | None = None
    particles: int = 640
    micrographs: int = 16
    diameter: float = 136.0
    domains: int = 6
    shift: float = 6.0
    defocus: tuple[float, float] = (8000.0, 16000.0)
    defocus_spread: float = 150.0
    astigmatism: float = 400.0
    voltage: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.1
    bfactor: float = 60.0
    solvent_potential: float = 4.5
    slice_thickness: float = 20.0
    ice: IceNoise = field(default_factory=lambda: IceNoise(thickness=500.0))
    envelope: Envelope = field(default_factory=lambda: Envelope(bfactor=120.0))
    detector: Counting = field(default_factory=lambda: Counting(dose=20.0, gradient=0.008))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pixel_size is None:
            object.__setattr__(self, "pixel_size", FIELD_OF_VIEW / self.box)
        low, high = self.defocus
        object.__setattr__(self, "defocus", (float(low), float(high)))
        for expected, holds in self.checks().items():
            if not holds:
                raise InputError(
                    "the embedded data set cannot be made",
                    expected=expected,
                    found=self._numbers(),
                    remedy="leave the number out to take the default",
                )

    def checks(self) -> dict[str, bool]:
        """Return what has to hold, in words, and whether it does."""
        low, high = self.defocus
        return {
            "1 <= micrographs <= particles": 1 <= self.micrographs <= self.particles,
            f"a box of {LARGEST_BOX} px or less": self.box <= LARGEST_BOX,
            "a pixel size above 0": self.sampling > 0,
            "a specimen of 50 A at least, and a box 1.25 times as wide and 4 px wider on either side": 50
            <= self.diameter
            <= min(0.8 * self.box, self.box - 8) * self.sampling,
            "defocus from a smaller to a larger value": low <= high,
            "at least one domain": self.domains >= 1,
            "slices of some thickness": self.slice_thickness > 0,
            "a B-factor of 0 or more": self.bfactor >= 0,
            "a seed of 0 or more": self.seed >= 0,
        }

    @property
    def places_known(self) -> bool:
        """Whether particles have coordinates on their micrographs."""
        return False

    @abstractmethod
    def draw(self, source: Path) -> Particles:
        """Draw the particles.

        Parameters
        ----------
        source : Path
            The metadata file that will hold them, beside ``raw.mrcs``.
        """

    @abstractmethod
    def record(
        self, particles: Particles, volume: Tensor, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Make the images, in the order of the particles.

        Parameters
        ----------
        particles : Particles
            N of them, as `draw` drew them.
        volume : (M, M, M) tensor
            Potential of the specimen in V.
        batch_size : int
            Images made at once; no influence on them.

        Yields
        ------
        raw, truth : (box, box) float32 tensor
            What the microscope recorded of the next particle, and the same without noise.
        """

    def _numbers(self) -> str:
        shown = ("box", "pixel_size", "particles", "micrographs", "diameter", "domains", "defocus", "seed")
        return ", ".join(f"{name} {getattr(self, name)}" for name in shown)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Make a recipe from a configuration.

        Parameters
        ----------
        parameters : mapping
            By name; ``ice``, ``envelope`` and ``detector`` may be mappings.

        Raises
        ------
        InputError
            If a name is unknown or a value cannot be used.
        """
        values = dict(parameters)
        _check_names(cls, values)
        for name in ("ice", "envelope", "detector"):
            if isinstance(part := values.get(name), Mapping):
                default = getattr(cls(), name)
                _check_names(type(default), part)
                values[name] = replace(default, **part)
        return cls(**values)

    @property
    def sampling(self) -> float:
        """Pixel size in A, never None."""
        return FIELD_OF_VIEW / self.box if self.pixel_size is None else self.pixel_size

    @property
    def key(self) -> str:
        """A short hash of all parameters and of the format."""
        text = json.dumps(_canonical({**asdict(self), "format": FORMAT}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_names(kind: type[DataclassInstance], parameters: Mapping[str, Any]) -> None:
    known = [entry.name for entry in fields(kind)]
    unknown = [name for name in parameters if name not in known]
    if unknown:
        raise InputError(
            "unknown parameter of the embedded data set",
            expected=", ".join(known),
            found=", ".join(unknown),
            remedy="correct the name",
        )


def draw_particles(source: Path, recipe: Recipe) -> Particles:
    """Draw poses, shifts, defocus and half-sets.

    Parameters
    ----------
    source : Path
        The metadata file that will hold them, beside ``raw.mrcs``.
    recipe : Recipe
        What to draw from.

    Returns
    -------
    Particles
        One optics group; the particles of a micrograph stand together.
    """
    count = recipe.particles
    micrograph = micrograph_numbers(recipe)
    fields = np.stack([mean_defocus(recipe, number) for number in range(recipe.micrographs)])[micrograph]
    generators = [generator(recipe, VIEW, row) for row in range(count)]
    angles = np.stack([draw_view(rng) for rng in generators])
    shift = np.stack([rng.normal(0, recipe.shift, 2) for rng in generators])
    fields[:, :2] += np.array([[rng.normal(0, recipe.defocus_spread)] for rng in generators])
    optics = Optics(
        group=1, name="opticsGroup1", pixel_size=recipe.sampling, voltage=recipe.voltage,
        spherical_aberration=recipe.spherical_aberration, amplitude_contrast=recipe.amplitude_contrast,
        box_size=recipe.box,
    )  # fmt: skip
    return Particles.make(
        source,
        (optics,),
        count,
        micrograph=np.array([f"mic_{number:03d}.mrc" for number in micrograph]),
        angles=angles,
        shift=shift,
        defocus=fields,
        half=np.array([rng.integers(1, 3) for rng in generators]),
    )


def mean_defocus(recipe: Recipe, micrograph: int) -> NDArray[np.float64]:
    """Draw the mean defocus of a micrograph.

    Parameters
    ----------
    recipe : Recipe
    micrograph : int
        Its 0-based number.

    Returns
    -------
    (3,) float64
        Defocus U and V in A, and the azimuth of U in degrees.
    """
    rng = generator(recipe, MICROGRAPH, micrograph)
    mean, difference = rng.uniform(*recipe.defocus), rng.uniform(0, recipe.astigmatism)
    return np.array([mean + difference / 2, mean - difference / 2, rng.uniform(-90, 90)])


def micrograph_numbers(recipe: Recipe) -> NDArray[np.int64]:
    """Return the 0-based number of each particle's micrograph, ascending."""
    numbers: NDArray[np.int64] = np.arange(recipe.particles) * recipe.micrographs // recipe.particles
    return numbers


def draw_view(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a pose, uniform over all rotations.

    Parameters
    ----------
    rng : numpy.random.Generator
        Its next numbers.

    Returns
    -------
    (3,) float64
        Rot, tilt and psi in degrees.
    """
    rot, psi = rng.uniform(-180, 180, 2)
    return np.array([rot, np.degrees(np.arccos(rng.uniform(-1, 1))), psi])


def generator(recipe: Recipe, stream: int, number: int) -> np.random.Generator:
    """Start the random numbers of one particle or micrograph.

    Parameters
    ----------
    recipe : Recipe
        Holds the seed.
    stream : int
        ``VIEW``, ``NEIGHBOUR``, ``MICROGRAPH``, ``UIDS`` or ``PLACES``.
    number : int
        0-based number of the particle, or of the micrograph.
    """
    return np.random.default_rng([recipe.seed, int(number), stream])


def _canonical(value: Any) -> Any:
    """Make 300 and 300.0 the same parameter."""
    if isinstance(value, dict):
        return {name: _canonical(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    return float(value) if isinstance(value, int) else value
