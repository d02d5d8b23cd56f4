"""Simulate a whole metadata file: one image for each row, streamed to disk."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.identity import identities, simulated_identities
from cryoalign.io.metadata import passthrough_files, read_particles
from cryoalign.io.mrc import StackWriter
from cryoalign.io.output import staged
from cryoalign.io.progress import progress_bar
from cryoalign.io.simulated import MAPS
from cryoalign.io.stack_names import stack_prefix
from cryoalign.io.unfinished import resumable
from cryoalign.particles import Particles
from cryoalign.physics.conditions import without_aberrations
from cryoalign.population.population import Population
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.framing import fitting_volume, warn_of_shifts
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stacks import stacks_by_box, with_boxes
from cryoalign.simulate.tables import STAR, write_metadata
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from cryoalign.io.stack_names import Names
    from cryoalign.simulate.detector import Counting
    from cryoalign.simulate.envelope import Envelope
    from cryoalign.simulate.exposure import Scattering
    from cryoalign.simulate.solvent import Ice
    from cryoalign.simulate.specimen import Specimen, Volume
    from cryoalign.simulate.stacks import ImageStack

_log = logging.getLogger(__name__)


def simulate_particles(
    particles: Particles | Population | str | Path,
    specimen: Specimen | str | Path,
    out: str | Path,
    *,
    scattering: Callable[..., Scattering] = WeakPhase,
    solvent: Ice | None = None,
    detector: Counting | None = None,
    envelope: Envelope | None = None,
    seed: int = 0,
    box: int | None = None,
    root: Path | None = None,
    ignore_aberrations: bool = False,
    names: Names = "folder",
    parameters: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
    device: str = "cpu",
) -> Path:
    """Simulate an image of each particle at its pose, shift and CTF.

    Parameters
    ----------
    particles : Particles, Population, str or Path
        N particles, measured ones or new ones, or a metadata file; optics groups may differ in pixel size and
        in box size.
    specimen : Specimen, str or Path
        What they are images of; of a path, the map in that MRC file.
    out : str or Path
        Folder to make: ``sim.mrcs`` (float32, pixel size in the header; where there are several box sizes,
        ``sim_064px.mrcs`` and so on) and ``sim.star``, whose ``rlnImageOriginalName`` holds the name of the
        raw image, where there is one; of particles from a ``.cs`` also ``sim.cs``.
    scattering : callable
        Makes the simulator: `WeakPhase`, `Multislice`, or one of them with some arguments given.
    solvent, detector, seed
        See `cryoalign.simulate.exposure.Experiment`.
    envelope : Envelope, optional
        What weakens high frequencies.
    box : int, optional
        Box size of all images in px; else of each optics group from its table, else from its raw stack if
        that is there.
    root : Path, optional
        Where to look for the raw stack, should the box size be wanted from it.
    ignore_aberrations : bool
        Simulate without the higher aberrations and magnification matrices of the optics groups, also without
        those that are modelled. ``sim.star`` does not state them then.
    names : {"folder", "project"}
        Where the stack names of ``sim.star`` start: in its own folder, or in the working directory.
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

    Examples
    --------
    >>> import cryoalign
    >>> cryoalign.simulate_particles("run_data.star", "map.mrc", "sim")  # doctest: +SKIP
    """
    if isinstance(specimen, str | Path):
        specimen = DensityMap(specimen)
    out = Path(out)
    prefix = stack_prefix(out, names)
    particles, stacks = _in_boxes(particles, ignore_aberrations, box, root)
    volume: Volume | None = _first_volume(specimen, particles, stacks)
    inputs: tuple[Path, ...] = (particles.source, specimen.file)
    read = (*inputs, *passthrough_files((parameters or {}).get("passthrough")))
    if isinstance(particles, Population):
        inputs, read = (*inputs, *particles.poses.files), (*read, *particles.poses.files)
        options = parameters or {"parts": repr((specimen, scattering, solvent, detector, envelope, seed))}
        particles = particles.made_of(specimen.file, options, read)
    contents = fingerprint([specimen.file] if parameters is None else read, whole=True)
    maps = contents[str(specimen.file)]
    who = simulated_identities(particles, maps) if isinstance(particles, Particles) else identities
    known = None if parameters is None else _identity(parameters, contents, stacks)
    with _place(out, known, overwrite, read) as folder:
        for stack in stacks:
            some = _of_box(particles, stack)
            volume = volume or _volume(specimen, some, stack.box)
            simulator = scattering(
                volume.values.to(device),
                pixel_size=volume.pixel_size,
                box=stack.box,
                image_pixel_size=some.optics_column("pixel_size").tolist(),
                envelope=envelope,
            )
            if not simulator.linear:
                _refuse_without_ctf(some)
            if not volume.volts and not (simulator.linear and solvent is None and detector is None):
                _refuse_unknown_scale(specimen)
            volume = None  # the simulator has its own
            noise: dict[str, Any] = {"solvent": solvent, "detector": detector, "seed": seed}
            experiment = Experiment(scattering=simulator, **noise, identity=who)
            rows, size = stack.rows, float(some.optics_column("pixel_size")[0])
            with StackWriter(folder / stack.name, len(rows), stack.box, size, resume=bool(known)) as writer:
                _write_images(writer, experiment, particles, rows, batch_size=batch_size, progress=progress)
        notes = None if parameters is None else {**_notes(parameters, inputs), MAPS: maps}
        write_metadata(folder, particles, stacks, notes, prefix)
    return out / STAR


def _in_boxes(
    particles: Particles | Population | str | Path,
    ignore_aberrations: bool,
    box: int | None,
    root: Path | None,
) -> tuple[Particles | Population, list[ImageStack]]:
    """Return particles that can be simulated, with the stacks of their images; refuse others."""
    if isinstance(particles, Population):
        like = _modelled(particles.like, ignore_aberrations)
        population = with_boxes(replace(particles, like=like), box, root)
        return population, stacks_by_box(population, None, None)
    measured = _modelled(particles, ignore_aberrations)
    return measured, stacks_by_box(measured, box, root)


def _of_box(particles: Particles | Population, stack: ImageStack) -> Particles:
    """Return the particles of a stack; of new ones those measured ones with its box that they are like."""
    if isinstance(particles, Particles):
        return particles.take(stack.rows)
    boxes = np.array([group.box_size for group in particles.optics])
    return particles.like.take(np.flatnonzero(boxes[particles.like.optics_index] == stack.box))


def _first_volume(specimen: Specimen, particles: Particles | Population, stacks: list[ImageStack]) -> Volume:
    """Make the volume of the first stack; refuse a header that means different sizes for the others."""
    first = _volume(specimen, _of_box(particles, stacks[0]), stacks[0].box)
    for stack in stacks[1:] if first.from_header else []:
        other = _volume(specimen, _of_box(particles, stack), stack.box)
        if other.pixel_size != first.pixel_size:
            raise InputError(
                "the pixel size of the map is not known: its header says 1 A, as many programs leave it",
                file=specimen.file,
                expected="one pixel size for the images of all box sizes",
                found=f"{first.pixel_size:g} A for those of {stacks[0].box} px, {other.pixel_size:g} A for "
                f"those of {stack.box} px",
                remedy="give it with volume_pixel_size=",
            )
    return first


def _volume(specimen: Specimen, particles: Particles, box: int) -> Volume:
    """Make the volume for images of one box size; refuse one that cannot be used."""
    warn_of_shifts(particles, box)
    stated = {particles.optics[index].box_size for index in np.unique(particles.optics_index)}
    return fitting_volume(specimen, box, particles.optics_column("pixel_size"), stated - {None})


def _place(
    out: Path, identity: str | None, overwrite: bool, inputs: Sequence[Path]
) -> AbstractContextManager[Path]:
    """Make the folder: one that an interrupted attempt left is continued where an identity is known."""
    if identity is None:
        return staged(out, overwrite, inputs)
    return resumable(out, identity, overwrite, inputs)


def _notes(parameters: Mapping[str, Any], inputs: tuple[Path, ...]) -> dict[str, Any]:
    return {"cryoalign": version("cryoalign"), **parameters, **fingerprint(inputs)}


def _identity(parameters: Mapping[str, Any], contents: Mapping[str, str], stacks: list[ImageStack]) -> str:
    """Return a hash of all that decides the images: every input whole, since a row may differ anywhere."""
    decides = [version("cryoalign"), dict(parameters), dict(contents), [stack.box for stack in stacks]]
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _modelled(particles: Particles | str | Path, ignore_aberrations: bool) -> Particles:
    """Return particles that can be simulated, read if their file was given; refuse others."""
    if not isinstance(particles, Particles):
        particles = read_particles(particles)
    if len(particles) == 0:
        raise InputError(
            "there are no particles to simulate", file=particles.source, expected="one row or more"
        )
    if ignore_aberrations:
        particles = without_aberrations(particles)
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
    return particles


def _refuse_without_ctf(particles: Particles) -> None:
    """Refuse particles whose CTF is 1 everywhere, which no lens makes of a wave."""
    without = np.flatnonzero(particles.optics_column("amplitude_contrast") >= 1)
    if len(without):
        raise InputError(
            "particles without a CTF cannot be simulated by multislice",
            file=particles.source,
            row=int(particles.row[without[0]]),
            expected="a defocus, and an amplitude contrast below 1",
            remedy="simulate with scattering=weak_phase",
        )


def _refuse_unknown_scale(specimen: Specimen) -> None:
    raise InputError(
        "the map's values have no known unit",
        file=specimen.file,
        expected="volts, for multislice, a solvent or a detector",
        remedy="give the volts of one unit with specimen.volts=, or use specimen=atomic_model",
    )


def _write_images(
    writer: StackWriter,
    experiment: Experiment,
    particles: Particles | Population,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    progress: bool,
) -> None:
    """Write the images of some rows, behind those that are there."""
    count = len(rows)
    starts = range(writer.written, count, batch_size)
    if writer.written:
        _log.info("continuing behind the first %d of %d images", writer.written, count)
    try:
        for start in progress_bar(starts, "simulating", shown=progress):
            batch = particles.take(rows[start : start + batch_size])
            images = experiment(batch).cpu().numpy()
            _check_images(images, batch)
            writer.write(images)
    except KeyboardInterrupt:
        if writer.resumes and writer.written:
            _log.info(
                "interrupted behind %d of %d images; the same command given again goes on",
                writer.written,
                count,
            )
        raise


def _check_images(images: NDArray[np.float32], particles: Particles) -> None:
    """Refuse to write what is no image."""
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    bad = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high) & (low < high)))  # NaN passes through
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
