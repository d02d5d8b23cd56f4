"""The images of one stack, map by map, so that one is in memory at a time."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import InitVar, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.mrc import StackWriter
from cryoalign.io.progress import progress_bar
from cryoalign.io.stack_files import file_lock
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.io.file_plan import FilePlan
    from cryoalign.particles import Particles
    from cryoalign.population.population import Population
    from cryoalign.simulate.conformations import Conformations, Frame
    from cryoalign.simulate.detector import Counting
    from cryoalign.simulate.envelope import Envelope
    from cryoalign.simulate.exposure import Scattering
    from cryoalign.simulate.neighbours import Neighbours
    from cryoalign.simulate.solvent import Ice
    from cryoalign.simulate.specimen import Specimen, Volume

    #: Number of the map, where its images go, rows.
    _Batch = tuple[int, StackWriter, NDArray[np.int64]]

_log = logging.getLogger(__name__)

_OPEN = 32  # files of several maps written at once


@dataclass
class Drawing:
    """How the images of one box size are made.

    Attributes
    ----------
    maps : Conformations
    first : Volume
        The first of them, so that it is not made twice; it is let go when its images are made.
    frame : Frame
        Of `maps`.
    seen : Particles
        Of the pixel sizes that the images have.
    box : int
        In px.
    scattering, solvent, detector, envelope, seed, device
        See `cryoalign.simulate.stream.simulate_particles`.
    neighbours : Neighbours, optional
        What is drawn around the particles. With it the simulators of all maps stay in memory.
    """

    maps: Conformations
    first: InitVar[Volume]
    frame: Frame
    seen: Particles
    box: int
    scattering: Callable[..., Scattering]
    solvent: Ice | None
    detector: Counting | None
    envelope: Envelope | None
    seed: int
    device: str
    neighbours: Neighbours | None = None
    _held: Volume | None = field(init=False)
    _kept: dict[int, WeakPhase] = field(init=False, default_factory=dict)
    _made: tuple[int, Experiment] | None = field(init=False, default=None)

    def __post_init__(self, first: Volume) -> None:
        self._held = first
        kind = getattr(self.scattering, "func", self.scattering)
        if self.neighbours is not None and kind is not WeakPhase:
            raise InputError(
                "neighbours are drawn by the weak-phase approximation, in which images add up",
                expected="scattering=weak_phase",
                found=f"neighbours=true with {getattr(kind, '__name__', kind)}",
                remedy="leave neighbours out, or simulate with scattering=weak_phase",
            )

    def write(
        self,
        files: Sequence[tuple[Path, NDArray[np.int64]]],
        particles: Particles | Population,
        classes: NDArray[np.int64] | None,
        *,
        identity: Callable[[Particles], NDArray[np.integer]],
        resume: bool,
        plan: FilePlan,
        batch_size: int,
        progress: bool,
    ) -> None:
        """Write files of images, class by class, behind the images that are there.

        Parameters
        ----------
        files : sequence of (Path, (n,) int64)
            Each with the 0-based rows of its images, in their order.
        particles : Particles or Population
        classes : (N,) int64, optional
            The number of each one's map, 0 for none; all of the first if not given.
        identity : callable
            See `cryoalign.simulate.exposure.Experiment`.
        plan : FilePlan
            Where other jobs write into the same folder, a file that one of them is writing is refused.
        resume, batch_size, progress
            See `simulate_particles`.
        """
        size = float(self.seen.optics_column("pixel_size")[0])
        at_once = 1 if classes is None else _OPEN
        for start in range(0, len(files), at_once):
            batches: list[_Batch] = []
            with ExitStack() as stack:
                for path, given in files[start : start + at_once]:
                    own, rows, order = np.ones(len(given), dtype=np.int64), given, None
                    if classes is not None:
                        order = np.argsort(classes[given], kind="stable")
                        own, rows = classes[given][order], given[order]
                    if plan.is_shard:
                        stack.enter_context(file_lock(path))
                    writer = stack.enter_context(
                        StackWriter(
                            path, len(rows), self.box, size, resume=resume, order=order, dtype=plan.dtype
                        )
                    )
                    if 0 < writer.written < len(rows) or (writer.written and len(files) == 1):
                        _log.info("continuing behind the first %d of %d images", writer.written, len(rows))
                    parts = _batches(own, writer.written, batch_size)
                    batches += [(int(own[part.start]), writer, rows[part]) for part in parts]
                batches.sort(key=lambda batch: batch[0])  # a map is made once for all of these files
                names = [path.name for path, _ in files[start : start + at_once]]
                label = (
                    "simulating"
                    if len(files) == 1
                    else f"simulating {' to '.join(names[:1] + names[1:][-1:])}"
                )
                self._draw(
                    particles, progress_bar(batches, label, shown=progress and bool(batches)), identity
                )

    def _draw(
        self,
        particles: Particles | Population,
        batches: Iterable[_Batch],
        identity: Callable[[Particles], NDArray[np.integer]],
    ) -> None:
        """Draw batches of one map each."""
        for number, writer, rows in batches:
            try:
                if self._made is None or number != self._made[0]:
                    self._made = None  # before the next one takes its memory
                    self._made = number, replace(self._experiment(number), identity=identity)
                batch = particles.take(rows)
                others = None
                if self.neighbours is not None:
                    others = self.neighbours.images(
                        particles, rows, self._weak_phase, box=self.box, device=self.device
                    )
                images = self._made[1](batch, neighbours=others).cpu().numpy()
                _check_images(images, batch, may_be_constant=number == 0)
                writer.write(images)
            except KeyboardInterrupt:
                if writer.resumes and writer.written:
                    _log.info(
                        "interrupted behind %d of %d images; the same command given again goes on",
                        writer.written,
                        writer.count,
                    )
                raise

    def _experiment(self, number: int) -> Experiment:
        """Return what makes the images of one map."""
        simulator = self._simulator(number) if self.neighbours is None else self._weak_phase(number)
        return Experiment(scattering=simulator, solvent=self.solvent, detector=self.detector, seed=self.seed)

    def _weak_phase(self, number: int) -> WeakPhase:
        """Return the simulator of a map, made once."""
        if number not in self._kept:
            made = self._simulator(number)
            assert isinstance(made, WeakPhase)  # noqa: S101  others were refused
            self._kept[number] = made
        return self._kept[number]

    def _simulator(self, number: int) -> Scattering:
        """Make the simulator of one map."""
        sizes = self.seen.optics_column("pixel_size")
        volume = self._held if number == 1 else None
        if number > 0:
            self._held = None
        if volume is None:
            volume = self.maps.volume(number, self.frame, self.box, float(sizes.min()))
        simulator = self.scattering(
            volume.values.to(self.device),
            pixel_size=volume.pixel_size,
            box=self.box,
            image_pixel_size=sizes.tolist(),
            envelope=self.envelope,
        )
        if not simulator.linear:
            _refuse_without_ctf(self.seen)
        if not volume.volts and not (simulator.linear and self.solvent is None and self.detector is None):
            _refuse_unknown_scale(self.maps.specimens[0])
        return simulator


def _batches(classes: NDArray[np.int64], written: int, size: int) -> list[slice]:
    """Return the rows of each batch from some row on; a batch holds one class."""
    ends = [*(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(classes)]
    batches, start = [], written
    for end in ends:
        batches += [slice(first, min(first + size, end)) for first in range(start, end, size)]
        start = max(start, end)
    return batches


def _refuse_without_ctf(particles: Particles) -> None:
    """Refuse particles whose CTF is 1 everywhere, which no lens makes of a wave."""
    without = np.flatnonzero(particles.optics_column("amplitude_contrast") >= 1)
    if len(without):
        raise InputError(
            "particles without a CTF cannot be simulated by multislice",
            file=particles.source,
            row=int(particles.row[without[0]]),
            expected="a defocus, and an amplitude contrast below 1",
            found="an amplitude contrast of 1 or more",
            remedy="simulate with scattering=weak_phase",
        )


def _refuse_unknown_scale(specimen: Specimen) -> None:
    raise InputError(
        "the map's values have no known unit",
        file=specimen.file,
        expected="volts, for multislice, a solvent or a detector",
        remedy="give the volts of one unit with specimen.volts=, or use specimen=atomic_model",
    )


def _check_images(images: NDArray[np.float32], particles: Particles, *, may_be_constant: bool) -> None:
    """Refuse to write what is no image."""
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    finite = np.isfinite(low) & np.isfinite(high)  # NaN passes through
    bad = np.flatnonzero(~(finite & ((low < high) | may_be_constant)))
    if len(bad):
        raise InputError(
            "the simulated image is constant or not finite",
            file=particles.source,
            row=int(particles.row[bad[0]]),
            expected="an image",
            found=f"values from {low[bad[0]]:g} to {high[bad[0]]:g}, with a CTF scale factor of "
            f"{particles.ctf_scale[bad[0]]:g} and a CTF B-factor of {particles.ctf_bfactor[bad[0]]:g} A^2",
            remedy="look at rlnCtfScalefactor and rlnCtfBfactor (ctf/scale, ctf/bfactor) in that row, the "
            "specimen's values and B-factors, and the envelope",
        )
