"""Simulate a whole metadata file: one image for each row, streamed to disk."""

from __future__ import annotations

import json
import logging
import math
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.cryosparc.write import write_cryosparc
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.locate import locate_stacks
from cryoalign.io.mrc import MrcStack, StackWriter
from cryoalign.io.output import resumable, staged
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import write_particles
from cryoalign.physics.conditions import without_aberrations
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.simulate.detector import Counting
    from cryoalign.simulate.envelope import Envelope
    from cryoalign.simulate.exposure import Scattering
    from cryoalign.simulate.solvent import Ice
    from cryoalign.simulate.specimen import Specimen, Volume

_log = logging.getLogger(__name__)

STACK, STAR, CS = "sim.mrcs", "sim.star", "sim.cs"

_MOST_OUTSIDE = 0.01  # of a map's power beyond the images' box, before one is told
_FEWEST_PIXELS = 2  # a volume that spans less is a wrong pixel size, not a particle


def simulate_stack(
    particles: Particles,
    specimen: Specimen,
    out: Path,
    *,
    scattering: Callable[..., Scattering] = WeakPhase,
    solvent: Ice | None = None,
    detector: Counting | None = None,
    envelope: Envelope | None = None,
    seed: int = 0,
    box: int | None = None,
    root: Path | None = None,
    ignore_aberrations: bool = False,
    parameters: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
    device: str = "cpu",
) -> Path:
    """Simulate an image of each particle at its pose, shift and CTF.

    Parameters
    ----------
    particles : Particles
        N particles of one box size; optics groups may differ in pixel size.
    specimen : Specimen
        What they are images of.
    out : Path
        Folder to make: ``sim.mrcs`` (float32, pixel size in the header) and ``sim.star``, whose
        ``rlnImageOriginalName`` holds the name of the raw image; of particles from a ``.cs`` also ``sim.cs``.
    scattering : callable
        Makes the simulator: `WeakPhase`, `Multislice`, or one of them with some arguments given.
    solvent, detector, seed
        See `cryoalign.simulate.exposure.Experiment`.
    envelope : Envelope, optional
        What weakens high frequencies.
    box : int, optional
        Box size of the images in px; else from the optics table, else from the raw stack if it is there.
    root : Path, optional
        Where to look for the raw stack, should the box size be wanted from it.
    ignore_aberrations : bool
        Simulate without the higher aberrations and magnification matrices of the optics groups, also without
        those that are modelled. ``sim.star`` does not state them then.
    parameters : mapping, optional
        All that decides the images, to be written into ``sim.star``. Given, an interrupted simulation is
        continued by the next one with the same parameters and files.
    batch_size : int
        Images simulated at once; memory grows with it and with nothing else.
    overwrite : bool
        Replace `out` if it exists and was written by cryoalign.
    progress : bool
        Show a progress bar on standard error.
    device : str
        Where to compute, as torch names it.

    Returns
    -------
    Path
        The metadata file written.

    Raises
    ------
    InputError
        Nothing to simulate, aberrations that are not modelled, a specimen or a box that cannot be used, an
        output in the way.
    """
    _check_rows(particles)
    if ignore_aberrations:
        particles = without_aberrations(particles)
    _refuse_aberrations(particles)
    box, out = _box_size(particles, box, root), Path(out)
    _warn_of_shifts(particles, box)
    pixel_sizes = particles.optics_column("pixel_size")
    volume = _volume(specimen, box, pixel_sizes)
    inputs = (particles.source, specimen.file)
    if parameters is None:
        place = staged(out, overwrite, inputs=inputs)
    else:
        place = resumable(out, _identity(parameters, inputs, box), overwrite, inputs=inputs)
    with place as folder:
        simulator = scattering(
            volume.values.to(device),
            pixel_size=volume.pixel_size,
            box=box,
            image_pixel_size=pixel_sizes.tolist(),
            envelope=envelope,
        )
        if not volume.volts and not (simulator.linear and solvent is None and detector is None):
            _refuse_unknown_scale(specimen)
        experiment = Experiment(scattering=simulator, solvent=solvent, detector=detector, seed=seed)
        _write_images(
            folder / STACK, experiment, particles, batch_size, progress, resume=parameters is not None
        )
        write_particles(
            folder / STAR,
            particles,
            image_names=np.array([f"{i + 1:06d}@{STACK}" for i in range(len(particles))]),
            original_names=particles.image_name,
            box=box,
            notes=None if parameters is None else _notes(parameters, inputs),
        )
        if from_cryosparc(particles):
            write_cryosparc(folder / CS, particles, stack=STACK, box=box)
    return out / STAR


def _notes(parameters: Mapping[str, Any], inputs: tuple[Path, ...]) -> dict[str, Any]:
    return {"cryoalign": version("cryoalign"), **parameters, **fingerprint(inputs)}


def _identity(parameters: Mapping[str, Any], inputs: tuple[Path, ...], box: int) -> str:
    """Return all that decides the images, as text."""
    return json.dumps([dict(parameters), fingerprint(inputs), box], sort_keys=True, indent=1)


def _check_rows(particles: Particles) -> None:
    if len(particles) == 0:
        raise InputError(
            "there are no particles to simulate", file=particles.source, expected="one row or more"
        )


def _refuse_aberrations(particles: Particles) -> None:
    used = np.unique(particles.optics_index)
    columns = sorted({name for index in used for name in particles.optics[index].unmodelled})
    if columns:
        raise InputError(
            "the optics groups have aberrations that the simulator does not model",
            file=particles.source,
            expected="none but beam tilt, Zernike coefficients and a magnification matrix",
            found=", ".join(columns),
            remedy="simulate without any aberrations with ignore_aberrations=true",
        )


def _box_size(particles: Particles, box: int | None, root: Path | None) -> int:
    """Find the box size: what was asked for, what the metadata say, what the raw stacks have."""
    if box is not None:
        sizes = {int(box)}
    else:
        groups = [particles.optics[index].box_size for index in np.unique(particles.optics_index)]
        sizes = {size for size in groups if size is not None}
        if len(sizes) == 0 or None in groups:
            sizes |= _stack_boxes(particles, root)
    if len(sizes) != 1 or min(sizes) < _FEWEST_PIXELS:
        raise InputError(
            "the images do not have one box size",
            file=particles.source,
            expected=f"one box size of {_FEWEST_PIXELS} px or more",
            found=", ".join(f"{size} px" for size in sorted(sizes)),
            remedy="give it with box=",
        )
    return sizes.pop()


def _stack_boxes(particles: Particles, root: Path | None) -> set[int]:
    try:
        stacks = locate_stacks(particles, root)
    except InputError as error:
        raise InputError(
            "the box size is unknown: the metadata do not say it and the raw stack is not there",
            file=particles.source,
            expected="rlnImageSize in the optics table, or the raw stack",
            remedy="give it with box=",
        ) from error
    return {MrcStack(path).box for path in stacks.values()}


def _warn_of_shifts(particles: Particles, box: int) -> None:
    """Warn of particles whose centre lies outside the image: it enters again from the other side."""
    limit = particles.optics_column("pixel_size") * box / 2
    far = np.flatnonzero((np.abs(particles.shift) > limit[:, None]).any(axis=1))
    if len(far):
        _log.warning(
            "%s: %d of %d shifts exceed half the box, the first in row %d; is their unit right?",
            particles.source, len(far), len(particles), particles.row[far[0]],
        )  # fmt: skip


def _warn_of_a_cut(volume: Volume, box: int, pixel_size: float, specimen: Specimen) -> None:
    """Warn of a map that does not fit into the images' box."""
    size = len(volume.values)
    side = min(size, math.ceil(box * pixel_size / volume.pixel_size))
    first = size // 2 - side // 2
    inner = volume.values[(slice(first, first + side),) * 3]
    outside = 1 - float(inner.double().square().sum() / volume.values.double().square().sum())
    if outside > _MOST_OUTSIDE:
        _log.warning(
            "%s: %.0f %% of the map's power lies outside the images' box of %d px and is cut off",
            specimen.file, 100 * outside, box,
        )  # fmt: skip


def _volume(specimen: Specimen, box: int, pixel_sizes: NDArray[np.float64]) -> Volume:
    volume = specimen.volume(box, float(pixel_sizes.min()))
    span = len(volume.values) * volume.pixel_size
    if span < _FEWEST_PIXELS * pixel_sizes.max():
        raise InputError(
            "the volume is smaller than the images can show",
            file=specimen.file,
            expected=f"{_FEWEST_PIXELS} image pixels or more, {_FEWEST_PIXELS * pixel_sizes.max():g} A",
            found=f"{len(volume.values)} voxels of {volume.pixel_size:g} A, {span:g} A",
            remedy="check the voxel size; give the right one with volume_pixel_size=",
        )
    _warn_of_a_cut(volume, box, float(pixel_sizes.max()), specimen)
    return volume


def _refuse_unknown_scale(specimen: Specimen) -> None:
    raise InputError(
        "the map's values have no known unit",
        file=specimen.file,
        expected="volts, for multislice, a solvent or a detector",
        remedy="give the volts of one unit with specimen.volts=, or use specimen=atomic_model",
    )


def _write_images(
    path: Path, experiment: Experiment, particles: Particles, batch_size: int, progress: bool, *, resume: bool
) -> None:
    pixel_size, count = float(particles.optics_column("pixel_size")[0]), len(particles)
    with StackWriter(path, count, experiment.scattering.box, pixel_size, resume=resume) as writer:
        starts = range(writer.written, count, batch_size)
        if writer.written:
            _log.info("continuing behind the first %d of %d images", writer.written, count)
        for start in progress_bar(starts, "simulating", shown=progress):
            rows = np.arange(start, min(start + batch_size, count))
            images = experiment(particles, rows).cpu().numpy()
            _check_images(images, particles, rows)
            writer.write(images)


def _check_images(images: NDArray[np.float32], particles: Particles, rows: NDArray[np.int64]) -> None:
    """Refuse to write what is no image."""
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    bad = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high) & (low < high)))  # NaN passes through
    if len(bad):
        raise InputError(
            "the simulated image is constant or not finite",
            file=particles.source,
            row=int(particles.row[rows[bad[0]]]),
            expected="an image",
            found=f"values from {low[bad[0]]:g} to {high[bad[0]]:g}",
            remedy="look at the specimen's values, B-factors and the envelope",
        )
