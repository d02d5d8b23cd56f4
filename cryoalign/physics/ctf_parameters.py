"""What a particle's CTF depends on, as one row of numbers, and the CTF as an image of such rows.

A row fits into a batch, where an image of the CTF would be as large as the particle. It holds, in this order:

====== ==============================================================================
column quantity
====== ==============================================================================
0 to 2 defocus U and V in A, azimuth of U in degrees
3      phase shift in degrees
4, 5   B-factor in A^2, scale
6      pixel size in A of the image that the row belongs to
7 to 9 voltage in kV, spherical aberration in mm, amplitude contrast
10-13  magnification matrix, rows x and y
14 on  coefficients of the even aberrations in rad; rows of one table are filled up with zeros
====== ==============================================================================

Units and signs are those of `cryoalign.particles` and `cryoalign.physics.ctf`. Beam tilt and odd aberrations
move phases and are no part of the CTF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.physics.aberration import zernike_phase
from cryoalign.physics.ctf import ctf
from cryoalign.physics.fourier import frequency_grid, magnify

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from cryoalign.particles import Particles

_MAGNIFICATION = slice(10, 14)
_EVEN = 14
#: Image frequencies (x, y) of an image that was turned by 90 degrees, as those of the image before.
_QUARTER_TURN = ((0.0, -1.0), (1.0, 0.0))
_FLIP = ((-1.0, 0.0), (0.0, 1.0))


def ctf_parameters(particles: Particles, pixel_size: ArrayLike | None = None) -> Tensor:
    """Gather the parameters of the CTF of every particle.

    Parameters
    ----------
    particles : Particles
        N particles.
    pixel_size : float or (N,) array_like, optional
        Of the images as they are used, in A: cropping to a smaller box makes it larger. That of the optics
        groups if not given.

    Returns
    -------
    (N, P) float64 tensor
        On the CPU; P is 14 and the number of even aberrations.
    """
    count = len(particles)
    sizes = particles.optics_column("pixel_size") if pixel_size is None else pixel_size
    lens = [
        np.broadcast_to(np.asarray(sizes, dtype=np.float64), count),
        particles.optics_column("voltage"),
        particles.optics_column("spherical_aberration"),
        particles.optics_column("amplitude_contrast"),
    ]
    groups = [np.array([*group.magnification, *group.even_zernike]) for group in particles.optics]
    table = np.zeros((len(groups), max(map(len, groups))))
    for row, values in zip(table, groups, strict=True):
        row[: len(values)] = values
    columns = [
        particles.defocus,
        particles.phase_shift[:, None],
        particles.ctf_bfactor[:, None],
        particles.ctf_scale[:, None],
        *(column[:, None] for column in lens),
        table[particles.optics_index],
    ]
    return torch.from_numpy(np.concatenate(columns, axis=1))


def ctf_image(parameters: Tensor, box: int) -> Tensor:
    """Compute the CTF of each row of parameters on the half plane of its image.

    It is the CTF itself, once: images of premultiplied data have met it twice.

    Parameters
    ----------
    parameters : (B, P) float64 tensor
        As `ctf_parameters` gives them.
    box : int
        Box size N of the images in px.

    Returns
    -------
    (B, N, N // 2 + 1) float32 tensor
        On the device of `parameters`.
    """
    values = parameters.float()
    phase_shift, bfactor, scale, pixel_size, voltage, spherical, contrast = values[:, 3:10].unbind(1)
    matrix = values[:, _MAGNIFICATION].reshape(-1, 2, 2)
    magnification = None if bool((matrix == torch.eye(2).to(matrix)).all()) else matrix
    even = None
    if parameters.shape[1] > _EVEN:
        ky, kx = (k / pixel_size[:, None, None] for k in frequency_grid(box, device=values.device))
        ky, kx = (ky, kx) if magnification is None else magnify(ky, kx, magnification)
        even = zernike_phase(ky.double(), kx.double(), parameters[:, _EVEN:], "even").float()
    return ctf(
        box,
        pixel_size,
        defocus=values[:, :3],
        voltage=voltage,
        spherical_aberration=spherical,
        amplitude_contrast=contrast,
        phase_shift=phase_shift,
        bfactor=bfactor,
        scale=scale,
        even_phase=even,
        magnification=magnification,
    )


def turned(parameters: Tensor, turns: int, flip: bool) -> Tensor:
    """Return the parameters of images that were turned by quarter turns and then, maybe, mirrored.

    The image's frequencies turn with it, and the specimen's stay: the magnification matrix M in
    ``k_specimen = M k_image`` gets another factor, and no other parameter changes.

    Parameters
    ----------
    parameters : (..., P) float64 tensor
    turns : int
        Quarter turns, as `numpy.rot90` counts them over an image ``[y, x]``.
    flip : bool
        Whether x was reversed after that.

    Returns
    -------
    (..., P) float64 tensor
    """
    if turns % 4 == 0 and not flip:
        return parameters
    matrix = parameters[..., _MAGNIFICATION].reshape(*parameters.shape[:-1], 2, 2)
    for _ in range(turns % 4):
        matrix = matrix @ matrix.new_tensor(_QUARTER_TURN)
    if flip:
        matrix = matrix @ matrix.new_tensor(_FLIP)
    before, after = parameters[..., : _MAGNIFICATION.start], parameters[..., _MAGNIFICATION.stop :]
    return torch.cat([before, matrix.flatten(-2), after], -1)
