"""Central slices and CTFs against those of torch-fourier-slice and torch-ctf: time and distance to the truth.

The truth of the slices is a sum of Gaussians, whose projection is a formula; of the CTFs, RELION's formula
with its azimuths in double precision. torch-fourier-slice is given the transform of the padded volume, so
that only slices, their way back and the crop are timed. Neither is a dependency::

    pip install torch-fourier-slice torch-ctf
    python experiments/benchmarks/packages.py --boxes 64 128
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch_ctf import calculate_ctf_2d
from torch_fourier_slice import extract_central_slices_rfft_3d

from cryoalign.physics.ctf import ctf, electron_wavelength
from cryoalign.physics.fourier import irfft2
from cryoalign.physics.projection import Projector
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

SIGMA, PIXEL_SIZE = 1.6, 1.2  # px; A
VOLTAGE, SPHERICAL_ABERRATION, AMPLITUDE_CONTRAST = 300.0, 2.7, 0.1


def spots(centres: Tensor, box: int) -> tuple[Tensor, ...]:
    """(D, B, G, N) Gaussians along each axis, of (B, G, D) centres in px from the origin."""
    axis = torch.arange(box) - box // 2
    return tuple(
        torch.exp(-((axis - column[..., None]) ** 2) / (2 * SIGMA**2)) for column in centres.unbind(-1)
    )


def slices(box: int, count: int, repeats: int) -> None:
    """Compare projections of a sum of Gaussians within 0.35 boxes."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(100, 3, generator=generator, dtype=torch.float64)
    places *= (
        0.35 * box * torch.rand(100, 1, generator=generator) ** (1 / 3) / places.norm(dim=1, keepdim=True)
    )
    rotations = euler_to_matrix(180 * torch.rand(count, 3, generator=generator, dtype=torch.float64))
    x, y, z = (values[0] for values in spots(places[None], box))
    volume = torch.einsum("gi,gj,gk->ijk", z, y, x).float()
    seen_x, seen_y = spots((places @ rotations)[..., :2], box)
    truth = SIGMA * (2 * torch.pi) ** 0.5 * torch.einsum("bgj,bgk->bjk", seen_y, seen_x)

    projector, pad = Projector(volume), box // 2
    # A projector divides by the radial correction; this one's volume turns that into the product over axes.
    axis = torch.arange(box) - box // 2
    radius = torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    each = torch.sinc(axis / (2 * box))
    product = each[:, None, None] * each[:, None] * each
    exact = Projector(volume * (torch.sinc(radius / (2 * box)) / product) ** 2)
    padded = F.pad(volume, (pad,) * 6)
    axes = torch.meshgrid(*(torch.sinc((torch.arange(2 * box) - box) / (2 * box)),) * 3, indexing="ij")
    spectrum = torch.fft.rfftn(torch.fft.ifftshift(padded / (axes[0] * axes[1] * axes[2]) ** 2))
    spectrum = torch.fft.fftshift(spectrum, dim=(-3, -2))

    def theirs() -> Tensor:
        found = extract_central_slices_rfft_3d(spectrum, rotations.float(), fftfreq_max=0.5)
        found = torch.fft.irfftn(torch.fft.ifftshift(found, dim=-2), dim=(-2, -1), s=(2 * box,) * 2)
        return torch.fft.fftshift(found, dim=(-2, -1))[..., pad:-pad, pad:-pad]

    report(box, count, repeats, truth, {
        "slices, cryoalign": lambda: irfft2(projector.slices(rotations), box),
        "slices, cryoalign, product over axes": lambda: irfft2(exact.slices(rotations), box),
        f"slices, torch-fourier-slice {version('torch-fourier-slice')}": theirs,
    })  # fmt: skip


def transfers(box: int, count: int, repeats: int) -> None:
    """Compare CTFs with astigmatism of 60 nm, of which U is the larger defocus."""
    generator = torch.Generator().manual_seed(0)
    mean = 8e3 + 17e3 * torch.rand(count, generator=generator, dtype=torch.float64)
    azimuth = 180 * torch.rand(count, generator=generator, dtype=torch.float64)
    defocus = torch.stack([mean + 300, mean - 300, azimuth], dim=1)
    truth = formula(box, defocus)
    full = {
        "voltage": VOLTAGE, "spherical_aberration": SPHERICAL_ABERRATION,
        "amplitude_contrast": AMPLITUDE_CONTRAST, "phase_shift": 0.0,
    }  # fmt: skip
    values = {
        name: torch.full((count,), value) for name, value in {**full, "bfactor": 0.0, "scale": 1.0}.items()
    }

    def theirs(sign: float = 1.0) -> Tensor:
        return calculate_ctf_2d(
            defocus=(mean / 1e4).float(), astigmatism=torch.full((count,), sign * 0.03),
            # Theirs counts the azimuth from y, and is negative where RELION's is positive.
            astigmatism_angle=azimuth.float(), **full,
            pixel_size=PIXEL_SIZE, image_shape=(box, box), rfft=True, fftshift=False,
        )  # fmt: skip

    report(box, count, repeats, truth, {
        "CTF, cryoalign": lambda: ctf(box, PIXEL_SIZE, defocus=defocus.float(), **values),
        f"CTF, torch-ctf {version('torch-ctf')}": theirs,
    })  # fmt: skip
    swapped = ctf(box, PIXEL_SIZE, defocus=defocus[:, [1, 0, 2]].float(), **values)
    print(f"not finite where V exceeds U: {bad(swapped)} (cryoalign), {bad(theirs(-1.0))} (torch-ctf)")


def formula(box: int, defocus: Tensor) -> Tensor:
    """(B, N, N // 2 + 1) CTFs in double precision, with azimuths."""
    ky, kx = (
        torch.fft.fftfreq(box, PIXEL_SIZE).double()[:, None],
        torch.fft.rfftfreq(box, PIXEL_SIZE).double(),
    )
    u, v, azimuth = defocus.t()[..., None, None]
    along = (u + v) / 2 + (u - v) / 2 * torch.cos(2 * (torch.atan2(ky, kx + 0 * ky) - torch.deg2rad(azimuth)))
    k2, wavelength = kx**2 + ky**2, electron_wavelength(torch.tensor(VOLTAGE, dtype=torch.float64))
    phase = torch.pi * wavelength * along * k2
    phase -= torch.pi / 2 * SPHERICAL_ABERRATION * 1e7 * wavelength**3 * k2**2
    return torch.sin(phase + np.arcsin(AMPLITUDE_CONTRAST))


def bad(values: Tensor) -> str:
    """Count what is not finite."""
    return f"{(~values.isfinite()).double().mean().item():.1%}"


def report(
    box: int, count: int, repeats: int, truth: Tensor, programs: Mapping[str, Callable[[], Tensor]]
) -> None:
    """Time programs in turns, and print what each takes and how far it is from the truth."""
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(repeats):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            best[name] = min(best[name], time.perf_counter() - start)
    for name, program in programs.items():
        found = program()
        error = min(((sign * found - truth).norm() / truth.norm()).item() for sign in (1, -1))
        print(f"| {box} | {name} | {1e3 * best[name] / count:.2f} | {error:.3g} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128], help="box sizes in px")
    parser.add_argument("--images", type=int, default=16, help="computed at once")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, of which the shortest counts")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| box/px | what | ms an image | relative error |\n| --: | :-- | --: | --: |")
    for box in arguments.boxes:
        slices(box, arguments.images, arguments.repeats)
        transfers(box, arguments.images, arguments.repeats)


if __name__ == "__main__":
    main()
