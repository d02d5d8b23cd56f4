"""Simulate a whole metadata file: one image for each row, streamed to disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.file_plan import FilePlan
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.identity import identities, simulated_identities
from cryoalign.io.metadata import passthrough_files, read_particles
from cryoalign.io.simulated import MAPS
from cryoalign.io.stack_names import stack_prefix
from cryoalign.particles import Particles
from cryoalign.physics.conditions import without_aberrations
from cryoalign.population.population import Population
from cryoalign.simulate.conformations import Conformations
from cryoalign.simulate.drawing import Drawing
from cryoalign.simulate.framing import fitting_volume, warn_of_shifts
from cryoalign.simulate.labels import drawn_classes, maps_fingerprint, numbered_maps
from cryoalign.simulate.neighbours import Neighbours
from cryoalign.simulate.picture import draw_simulated
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stacks import files_to_make, in_files, stacks_by_box, with_boxes
from cryoalign.simulate.tables import STAR, write_metadata
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cryoalign.io.stack_names import Names
    from cryoalign.simulate.detector import Counting
    from cryoalign.simulate.envelope import Envelope
    from cryoalign.simulate.exposure import Scattering
    from cryoalign.simulate.solvent import Ice
    from cryoalign.simulate.specimen import Specimen, Volume
    from cryoalign.simulate.stacks import ImageStack

    _Parts = tuple[
        Callable[..., Scattering], Ice | None, Counting | None, Envelope | None, int, str, Neighbours | None
    ]

_ONE = FilePlan()


def simulate_particles(
    particles: Particles | Population | str | Path,
    specimen: Specimen | str | Path | Sequence[Specimen | str | Path],
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
    neighbours: bool = False,
    micrograph_pixel_size: float | None = None,
    parameters: Mapping[str, Any] | None = None,
    plan: FilePlan = _ONE,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
    picture: bool = False,
    device: str = "cpu",
) -> Path:
    """Simulate an image of each particle at its pose, shift and CTF.

    Parameters
    ----------
    particles : Particles, Population, str or Path
        N particles, measured ones or new ones, or a metadata file; optics groups may differ in pixel size and
        in box size.
    specimen : Specimen, str or Path, or sequence of them
        What they are images of; of a path, the map in that MRC file. Of several, measured particles are
        images of that which their ``rlnClassNumber`` counts, and new ones of what their `classes` say.
    out : str or Path
        Folder to make: ``sim.mrcs`` (pixel size in the header; of more images than a file holds
        ``sim_000001.mrcs`` and so on, of several box sizes ``sim_064px.mrcs``) and ``sim.star``, whose
        ``rlnImageOriginalName`` holds the name of the raw image, where there is one; of particles from a
        ``.cs`` also ``sim.cs``.
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
    neighbours : bool
        Draw into each image the other particles of its micrograph that reach into the box. Every particle's
        coordinates have to be known; see `cryoalign.simulate.neighbours.Neighbours`. Around new particles
        others lie where they lie around measured ones, see `cryoalign.population.crowd.Crowd`, and
        ``sim_neighbours.star`` has a row for each.
    micrograph_pixel_size : float, optional
        In A, of the pixels that coordinates count; by default what the metadata say.
    parameters : mapping, optional
        All that decides the images, to be written into ``sim.star``. Given, an interrupted simulation is
        continued by the next one with the same parameters and files.
    plan : FilePlan
        How many images a file holds, of which type, and which files are made: the metadata only with all of
        them. A shard needs `parameters`.
    batch_size : int
        Images simulated at once; memory grows with it and with nothing else.
    overwrite : bool
        Replace `out` if it exists and was written by cryoalign.
    progress : bool
        Show a progress bar on standard error.
    picture : bool
        Draw ``gallery.png``, too: some images, spectra, views and defocus.
    device : str
        Where to compute, as torch names it.

    Returns
    -------
    Path
        The metadata file written.

    Raises
    ------
    InputError
        Nothing to simulate, aberrations that are not modelled, a specimen or a box that cannot be used,
        several specimens and particles that do not say which is theirs, neighbours that are not known, an
        output in the way.

    Examples
    --------
    >>> import cryoalign
    >>> cryoalign.simulate_particles("run_data.star", "map.mrc", "sim")  # doctest: +SKIP
    """
    maps = _maps(specimen)
    out, prefix = Path(out), stack_prefix(Path(out), names)
    particles, stacks = _in_boxes(particles, ignore_aberrations, box, root)
    stacks = in_files(stacks, plan, particles)
    classes = drawn_classes(particles, maps)
    around = _around(particles, classes, stacks, micrograph_pixel_size) if neighbours else None
    parts = (scattering, solvent, detector, envelope, seed, device, around)
    drawing = None if plan.merging else _drawing(maps, particles, stacks[0], parts, stacks[1:])
    drawn_from = particles.poses.files if isinstance(particles, Population) else ()
    inputs = (particles.source, *maps.files, *drawn_from)
    read = (*inputs, *passthrough_files((parameters or {}).get("passthrough")))
    contents = maps.contents
    if parameters is not None or isinstance(particles, Population):
        contents |= fingerprint([file for file in read if file not in maps.files], whole=True)
    options = dict(parameters or {"maps": maps.options, "parts": repr(parts[:5])})
    options.pop("dtype", None)  # the same images, whatever they are written as
    particles = _made_of(maps, particles, classes, options, contents)
    known = maps_fingerprint([contents[str(file)] for file in maps.files], particles, classes)
    who = simulated_identities(particles, known) if isinstance(particles, Particles) else identities
    identity = None if parameters is None else _identity(parameters, contents, stacks)
    every = [stack.files for stack in stacks]
    how: Any = {"resume": parameters is not None, "batch_size": batch_size, "progress": progress}
    with plan.place(out, identity, every, overwrite=overwrite, inputs=read) as folder:
        for stack, files in zip(stacks, files_to_make(stacks, folder, plan), strict=True):
            if files:
                drawing = drawing or _drawing(maps, particles, stack, parts)
                drawing.write(files, particles, classes, identity=who, plan=plan, **how)
            drawing = None
        if not plan.is_shard:
            notes = _notes(parameters, inputs, known)
            write_metadata(folder, particles, stacks, notes, prefix, around=around)
            if picture:
                draw_simulated(folder, particles, stacks, classes, root)
    return out / STAR


def _maps(specimen: Specimen | str | Path | Sequence[Specimen | str | Path]) -> Conformations:
    given = [specimen] if isinstance(specimen, str | Path) or not isinstance(specimen, Sequence) else specimen
    return Conformations([DensityMap(one) if isinstance(one, str | Path) else one for one in given])


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


def _made_of(
    maps: Conformations,
    particles: Particles | Population,
    classes: NDArray[np.int64] | None,
    options: Mapping[str, object],
    contents: Mapping[str, str],
) -> Particles | Population:
    """Return particles as images of the maps: new ones are somebody by now, measured ones name their map."""
    if isinstance(particles, Population):
        return particles.made_of(maps.names, options, contents)
    return particles if classes is None else numbered_maps(particles, classes, maps.names)


def _around(
    particles: Particles | Population,
    classes: NDArray[np.int64] | None,
    stacks: list[ImageStack],
    pixel_size: float | None,
) -> Neighbours:
    """Find out which particles reach into others' boxes."""
    largest = stacks[-1].box
    found = Neighbours.of(particles, classes, largest, pixel_size)
    found.places.report(largest)
    return found


def _of_box(particles: Particles | Population, stack: ImageStack) -> Particles:
    """Return the particles of a stack; of new ones those measured ones with its box that they are like."""
    if isinstance(particles, Particles):
        return particles.take(stack.rows[stack.rows >= 0])
    boxes = np.array([group.box_size for group in particles.optics])
    return particles.like.take(np.flatnonzero(boxes[particles.like.optics_index] == stack.box))


def _drawing(
    maps: Conformations,
    particles: Particles | Population,
    stack: ImageStack,
    parts: _Parts,
    others: Sequence[ImageStack] = (),
) -> Drawing:
    """Look at all maps, and make the first; refuse a header that means other sizes for other stacks."""
    some = _of_box(particles, stack)
    first = _volume(maps.specimens[0], some, stack.box)
    for other in others if first.from_header else []:
        volume = _volume(maps.specimens[0], _of_box(particles, other), other.box)
        if volume.pixel_size != first.pixel_size:
            raise InputError(
                "the pixel size of the map is not known: its header says 1 A, as many programs leave it",
                file=maps.specimens[0].file,
                expected="one pixel size for the images of all box sizes",
                found=f"{first.pixel_size:g} A for those of {stack.box} px, {volume.pixel_size:g} A for "
                f"those of {other.box} px",
                remedy="give it with volume_pixel_size=",
            )
    frame = maps.frame(first, stack.box, some.optics_column("pixel_size"), _stated(some))
    return Drawing(maps, first, frame, some, stack.box, *parts)


def _volume(specimen: Specimen, particles: Particles, box: int) -> Volume:
    """Make the volume for images of one box size; refuse one that cannot be used."""
    warn_of_shifts(particles, box)
    return fitting_volume(specimen, box, particles.optics_column("pixel_size"), _stated(particles))


def _stated(particles: Particles) -> set[int]:
    """Return the box sizes that the metadata state."""
    stated = {particles.optics[index].box_size for index in np.unique(particles.optics_index)}
    return {box for box in stated if box is not None}


def _notes(
    parameters: Mapping[str, Any] | None, inputs: tuple[Path, ...], maps: str
) -> dict[str, Any] | None:
    if parameters is None:
        return None
    return {"cryoalign": version("cryoalign"), **parameters, **fingerprint(inputs), MAPS: maps}


def _identity(parameters: Mapping[str, Any], contents: Mapping[str, str], stacks: list[ImageStack]) -> str:
    """Return a hash of all that decides the images: every input whole, since a row may differ anywhere."""
    made = [(stack.box, stack.files.count, stack.files.per_file) for stack in stacks]
    decides = [version("cryoalign"), dict(parameters), dict(contents), made]
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _modelled(particles: Particles | str | Path, ignore_aberrations: bool) -> Particles:
    """Return particles that can be simulated, read if their file was given; refuse others."""
    if not isinstance(particles, Particles):
        particles = read_particles(particles)
    if len(particles) == 0:
        raise InputError(
            "there are no particles to simulate",
            file=particles.source,
            expected="one row or more",
            remedy="give metadata that hold some",
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
