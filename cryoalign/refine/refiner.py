"""From sims to fakes: batches and arrays of images through a generator, and back to grey values.

Every batch has the same shape, the last filled up with copies of its last image, and on a CPU every batch is
computed by one thread: libraries choose the algorithm of a convolution by the shape and the number of
threads, and algorithms differ in the last digit. So a fake is the same, bit for bit, whatever is refined
with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypedDict, TypeVar, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cryoalign.data.metadata import rows_of
from cryoalign.errors import InputError
from cryoalign.io.progress import progress_bar
from cryoalign.models.generator import map_metadata
from cryoalign.physics.threads import one_thread_each, side_by_side
from cryoalign.refine.arrays import checked_metadata, checked_number, checked_sims
from cryoalign.refine.grey_scale import other_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import Normalization
    from cryoalign.models.generator import Generator, Metadata
    from cryoalign.particles import Particles

    #: (B, N, N) sims in the grey values of their stack, and their rows -> what is refined in their place.
    Change = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]

_BATCH, _BATCH_PIXELS = 16, 2**20
_log = logging.getLogger(__name__)


class Sims(TypedDict, total=False):
    """What a batch of sims has to hold; a batch of pairs holds more.

    Attributes
    ----------
    sim : (B, 1, N, N) float32
        Network values.
    index : (B,) int64
        Their rows, for messages.
    draw : (B,) int64
        Which noise of each.
    metadata : Metadata
        What is known of the particles: at least their identity, which decides their noise with seed and draw.
    """

    sim: Tensor
    index: Tensor
    draw: Tensor
    metadata: Metadata


Batch = TypeVar("Batch", bound=Sims)


@dataclass(frozen=True)
class Refiner:
    """A generator with all that it needs to turn sims into fakes.

    Attributes
    ----------
    generator : Generator
        It is moved to `device` and put into evaluation mode.
    normalization : Normalization
        Of the run.
    seed : int
        Of the noise.
    box : int
        Box size in px.
    pixel_size : float
        In A.
    device : str
        Where the generator runs.
    threads : int
        Of a CPU, each of which refines batches of its own.
    """

    generator: Generator
    normalization: Normalization
    seed: int
    box: int
    pixel_size: float
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        self.generator.to(self.device).eval()

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return max(min(_BATCH, _BATCH_PIXELS // self.box**2), 1)

    @overload
    def refine(
        self,
        sim: NDArray[np.generic],
        *,
        seed: int | None = None,
        particles: Particles | None = None,
        defocus: ArrayLike | None = None,
        draw: int = 0,
    ) -> NDArray[np.float32]: ...

    @overload
    def refine(
        self,
        sim: Tensor,
        *,
        seed: int | None = None,
        particles: Particles | None = None,
        defocus: ArrayLike | None = None,
        draw: int = 0,
    ) -> Tensor: ...

    def refine(
        self,
        sim: NDArray[np.generic] | Tensor,
        *,
        seed: int | None = None,
        particles: Particles | None = None,
        defocus: ArrayLike | None = None,
        draw: int = 0,
    ) -> NDArray[np.float32] | Tensor:
        """Turn simulated images into fakes: images with the statistics of the measurement.

        The fake of a sim depends on the sim, the seed, who the particle is and the draw, and on nothing else:
        with `particles`, ``cryoalign export seed=`` writes the same for the same ones. Without `particles`
        the values of the image itself say who it is, and the number of the image among equal ones.

        Parameters
        ----------
        sim : (N, box, box) numpy array or tensor
            Simulated images, ``[y, x]``, in the grey values of their own stack.
        seed : int, optional
            Of the noise; that of the run if not given.
        particles : Particles, optional
            Row for row those of `sim`, as `cryoalign.read_particles` reads them: their defocus, CTF and so on
            are used where the generator is conditioned on them, and images whose ``sign`` is -1 are negated,
            as on reading.
        defocus : float or (N,) array_like, optional
            Mean of defocus U and V in A, for a generator that needs no more than that; it goes before that of
            `particles`.
        draw : int
            Which noise of each: another number gives another fake of the same sim.

        Returns
        -------
        (N, box, box) float32 numpy array, or tensor on the CPU, as `sim` is
            Background-normalized: a measured image on this scale has mean 0 and standard deviation 1 outside
            the particle's circle.

        Raises
        ------
        InputError
            If the sims are of another shape or box, not finite, or something is missing that the generator is
            conditioned on.

        Examples
        --------
        >>> generator = cryoalign.load("outputs/train/RUN")  # doctest: +SKIP
        >>> sim = mrcfile.read("sim/sim.mrcs")  # doctest: +SKIP
        >>> fake = generator.refine(sim, seed=5)  # doctest: +SKIP
        >>> another = generator.refine(sim, seed=5, draw=1)  # doctest: +SKIP
        """
        array = sim.detach().cpu().numpy() if isinstance(sim, Tensor) else np.asarray(sim)
        values = checked_sims(
            array,
            box=self.box,
            pixel_size=self.pixel_size,
            constant_too=self.normalization.range == "none",
        )
        known = checked_metadata(
            self.generator, values, particles, defocus, box=self.box, pixel_size=self.pixel_size
        )
        if particles is not None:
            values = values * particles.sign.astype(np.float32)[:, None, None]
        other = other_scale(self.normalization, values)
        if other is not None:
            _log.warning(
                "these sims are %s, those of the training were %s: the fakes will not look like raw images",
                *other,
            )  # fmt: skip
        index, size, draw = np.arange(len(values)), self.batch_size, checked_number("draw", draw)
        parts = (slice(start, start + size) for start in range(0, len(values), size))
        batches = (
            as_batch(values[part], self.normalization, index[part], rows_of(known, index[part]), draw)
            for part in parts
        )
        seeded = self if seed is None else replace(self, seed=checked_number("seed", seed))
        done = [self.grey(fakes) for _, fakes in seeded.refine_batches(batches)]
        fakes = np.concatenate(done) if done else np.zeros_like(values)
        return torch.from_numpy(fakes) if isinstance(sim, Tensor) else fakes

    def refine_batches(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
        """Refine batches, each with one call of the generator.

        Parameters
        ----------
        batches : iterable of Sims
            Of `batch_size` images at the most.

        Yields
        ------
        batch : Sims
            As it came.
        fakes : (B, 1, N, N) float32 tensor
            Network values, on `device`.
        """
        if self.device != "cpu":
            yield from map(self._refined, batches)
        elif self.threads == 1 or self.generator.drops_at_inference:  # its layers hold the batch's streams
            yield from map(one_thread_each()(self._refined), batches)
        else:
            yield from side_by_side(self._refined, batches, self.threads)

    def refine_images(
        self,
        images: ParticleImages,
        rows: NDArray[np.int64] | None = None,
        *,
        draw: int = 0,
        change: Change | None = None,
        workers: int = 0,
        label: str = "refining",
        progress: bool = False,
    ) -> Iterator[NDArray[np.float32]]:
        """Refine sims of a table of particles.

        Parameters
        ----------
        images : ParticleImages
            Sims; their metadata say who they are, and so which noise is theirs.
        rows : (n,) int64, optional
            Those to refine; all if not given.
        draw : int
            Which noise of each.
        change : callable, optional
            What is done to the sims of a batch before they are refined.
        workers : int
            Processes that read; 0 reads here.
        label : str
            Of the progress bar.
        progress : bool
            Show it on standard error.

        Yields
        ------
        (B, N, N) float32
            Background-normalized grey values.
        """
        rows = np.arange(len(images)) if rows is None else rows
        read = _Reading(images, self.normalization, rows, size=self.batch_size, draw=draw, change=change)
        # A loader draws a number for its workers: not from the stream that dropout draws from.
        loader = DataLoader(read, batch_size=None, num_workers=workers, generator=torch.Generator())
        done = self.refine_batches(loader)
        for _, fakes in progress_bar(done, label, shown=progress, total=len(read)):
            yield self.grey(fakes)

    def grey(self, fakes: Tensor) -> NDArray[np.float32]:
        """Map network values to the one scale of all fakes: background-normalized grey values.

        With ``range=minmax`` and ``percentiles`` that is the mean range of the training set's raw images.

        Parameters
        ----------
        fakes : (B, 1, N, N) tensor

        Returns
        -------
        (B, N, N) float32
        """
        return self.normalization.grey(fakes.squeeze(1).cpu().numpy())

    @torch.no_grad()
    def _refined(self, batch: Batch) -> tuple[Batch, Tensor]:
        count = len(batch["sim"])
        fill = partial(_filled, size=self.batch_size)
        fakes = self.generator.generate(
            fill(batch["sim"]).to(self.device),
            seed=self.seed,
            identity=fill(batch["metadata"]["identity"]),
            draw=fill(batch["draw"]),
            metadata=map_metadata(fill, batch["metadata"]),
        )
        fakes = fakes[:count].float()
        finite = torch.isfinite(fakes).flatten(1).all(dim=1)
        if not bool(finite.all()):
            number = int(batch["index"][int(finite.int().argmin())])
            raise InputError(
                "the fake of this image is not finite",
                row=number + 1,
                expected="numbers",
                found="NaN or infinity",
                remedy="choose an earlier checkpoint with checkpoint=, or train again: the weights are bad",
            )
        return batch, fakes


def _filled(values: Tensor, size: int) -> Tensor:
    missing = size - len(values)
    return values if missing <= 0 else torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])


class _Reading(Dataset[Sims]):
    """Sims, batch by batch, as the generator takes them."""

    def __init__(
        self,
        images: ParticleImages,
        normalization: Normalization,
        rows: NDArray[np.int64],
        *,
        size: int,
        draw: int,
        change: Change | None,
    ) -> None:
        self.images, self.normalization, self.rows = images, normalization, rows
        self.size, self.draw, self.change = size, draw, change

    def __len__(self) -> int:
        return len(range(0, len(self.rows), self.size))

    def __getitem__(self, number: int) -> Sims:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows = self.rows[number * self.size : (number + 1) * self.size]
        sims = np.stack([self.images.image(int(row)) for row in rows])
        if self.change is not None:
            sims = self.change(sims, rows)
        known, index = rows_of(self.images.metadata, rows), self.images.particles.row[rows] - 1
        return as_batch(sims, self.normalization, index, known, self.draw)


def as_batch(
    sims: NDArray[np.float32],
    normalization: Normalization,
    index: NDArray[np.int64],
    metadata: Metadata,
    draw: int,
) -> Sims:
    """Return (B, N, N) sims, in the grey values of their stack, as a batch.

    Parameters
    ----------
    sims : (B, N, N) float32
    normalization : Normalization
    index : (B,) int64
        Their rows.
    metadata : Metadata
        What is known of them, with their identity.
    draw : int
    """
    values = np.stack([normalization.sim(image)[0] for image in sims])
    return {
        "sim": torch.from_numpy(values)[:, None],
        "index": torch.from_numpy(index),
        "draw": torch.full((len(index),), draw, dtype=torch.int64),
        "metadata": metadata,
    }
