"""Simulate a whole metadata file: one image for each row, streamed to disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from cryoalign.errors import InputError
from cryoalign.io.mrc import MrcStack, StackWriter, read_volume
from cryoalign.io.output import staged
from cryoalign.io.relion import locate_stacks, write_particles
from cryoalign.simulation.weak_phase import WeakPhase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

STACK, STAR = "sim.mrcs", "sim.star"

_FEWEST_PIXELS = 2  # a volume that spans less is a wrong pixel size, not a particle


def simulate_stack(
    particles: Particles,
    volume: Path,
    out: Path,
    *,
    volume_pixel_size: float | None = None,
    box: int | None = None,
    root: Path | None = None,
    ignore_aberrations: bool = False,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
    device: str = "cpu",
) -> Path:
    """Write a simulated image for each particle, row for row, and the metadata that pair it with the raw one.

    Parameters
    ----------
    particles : Particles
        Poses, CTF and optics; the raw stack they name need not exist.
    volume : Path
        A cubic map. Its voxel size and number of voxels may differ from the images'.
    out : Path
        Folder to make: ``sim.mrcs`` (float32, pixel size in the header) and ``sim.star``, whose
        ``rlnImageOriginalName`` holds the name of the raw image.
    volume_pixel_size : float, optional
        Voxel size of the map in A, where its header has none or a wrong one.
    box : int, optional
        Box size of the images in px; else from the optics table, else from the raw stack if it is there.
    root : Path, optional
        Where to look for the raw stack, should the box size be wanted from it.
    ignore_aberrations : bool
        Simulate without the higher aberrations and magnification matrices of the optics groups instead of
        refusing.
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
        Nothing to simulate, aberrations that are not modelled, a volume or a box that cannot be used, an
        output in the way.
    """
    _check_rows(particles)
    if not ignore_aberrations:
        _refuse_aberrations(particles)
    box = _box_size(particles, box, root)
    out = Path(out)
    with staged(out, overwrite, inputs=(particles.source, Path(volume))) as folder:
        pixel_sizes = particles.optics_column("pixel_size")
        simulator = _simulator(Path(volume), volume_pixel_size, box, pixel_sizes, device)
        _write_images(folder / STACK, simulator, particles, batch_size, progress)
        write_particles(
            folder / STAR,
            particles,
            image_names=np.array([f"{i + 1:06d}@{STACK}" for i in range(len(particles))]),
            original_names=particles.image_name,
            box=box,
        )
    return out / STAR


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
            expected="defocus, astigmatism, Cs, amplitude contrast and phase shift only",
            found=", ".join(columns),
            remedy="simulate without them with ignore_aberrations=true",
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


def _simulator(
    path: Path, pixel_size: float | None, box: int, pixel_sizes: NDArray[np.float64], device: str
) -> WeakPhase:
    density, header_pixel_size = read_volume(path)
    pixel_size = header_pixel_size if pixel_size is None else pixel_size
    if pixel_size is None or not pixel_size > 0:
        raise InputError(
            "the pixel size of the volume is unknown",
            file=path,
            expected="a positive voxel size in the header",
            found=pixel_size,
            remedy="give it with volume_pixel_size=",
        )
    span = len(density) * pixel_size
    if span < _FEWEST_PIXELS * pixel_sizes.max():
        raise InputError(
            "the volume is smaller than the images can show",
            file=path,
            expected=f"{_FEWEST_PIXELS} image pixels or more, {_FEWEST_PIXELS * pixel_sizes.max():g} A",
            found=f"{len(density)} voxels of {pixel_size:g} A, {span:g} A",
            remedy="check the voxel size; give the right one with volume_pixel_size=",
        )
    tensor = torch.from_numpy(density).to(device)
    return WeakPhase(tensor, pixel_size=pixel_size, box=box, image_pixel_size=pixel_sizes.tolist())


def _write_images(
    path: Path, simulator: WeakPhase, particles: Particles, batch_size: int, progress: bool
) -> None:
    pixel_size = float(particles.optics_column("pixel_size")[0])
    starts = range(0, len(particles), batch_size)
    with StackWriter(path, len(particles), simulator.box, pixel_size) as writer:
        console = Console(stderr=True)
        for start in track(starts, "simulating", console=console, disable=not progress):
            rows = np.arange(start, min(start + batch_size, len(particles)))
            writer.write(simulator(particles, rows).cpu().numpy())
