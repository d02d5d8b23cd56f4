"""Rotations of particles: Euler angles, rotation vectors, matrices.

Everything is computed in float64 by SciPy, whose handling of small angles and of the poles is tested better
than ours would be; poses are few numbers, and no gradient is taken with respect to them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation
    from torch import Tensor


def euler_to_matrix(angles_deg: Tensor) -> Tensor:
    """Convert RELION's Euler angles to rotation matrices.

    Parameters
    ----------
    angles_deg : (B, 3) tensor
        Rot, tilt, psi in degrees (intrinsic ZYZ).

    Returns
    -------
    (B, 3, 3) tensor
        R = Rz(rot) Ry(tilt) Rz(psi), acting on columns (x, y, z): it takes the image's frame to the
        volume's, so its first two columns are the image's x and y axes seen in the volume and its third
        column is the beam. This is the *transpose* of the matrix A in RELION's source (Heymann et al. 2005,
        doi:10.1016/j.jsb.2005.06.001).

    Examples
    --------
    >>> import torch
    >>> euler_to_matrix(torch.tensor([[90.0, 0.0, 0.0]])).round() + 0.0
    tensor([[[ 0., -1.,  0.],
             [ 1.,  0.,  0.],
             [ 0.,  0.,  1.]]])
    """
    return _like(_rotation().from_euler("ZYZ", _numpy(angles_deg), degrees=True).as_matrix(), angles_deg)


def matrix_to_euler(matrices: Tensor) -> Tensor:
    """Undo `euler_to_matrix`.

    Parameters
    ----------
    matrices : (B, 3, 3) tensor
        Rotations as `euler_to_matrix` returns them.

    Returns
    -------
    (B, 3) tensor
        Rot, tilt, psi in degrees; tilt in 0..180. At a pole (tilt 0 or 180) psi is set to zero.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock", UserWarning)
        angles = _rotation().from_matrix(_numpy(matrices)).as_euler("ZYZ", degrees=True)
    return _like(angles, matrices)


def rotation_vector_to_matrix(vectors: Tensor) -> Tensor:
    """Convert rotation vectors to matrices.

    Parameters
    ----------
    vectors : (B, 3) tensor
        Axis times angle, the angle in radians: CryoSPARC's notation.

    Returns
    -------
    (B, 3, 3) tensor
    """
    return _like(_rotation().from_rotvec(_numpy(vectors)).as_matrix(), vectors)


def angular_distance(a: Tensor, b: Tensor) -> Tensor:
    """Measure the angle of the rotation that takes one orientation to the other.

    Parameters
    ----------
    a, b : (B, 3, 3) tensor
        Rotation matrices, row for row.

    Returns
    -------
    (B,) tensor
        Degrees, 0 to 180.

    Examples
    --------
    >>> import torch
    >>> a, b = euler_to_matrix(torch.tensor([[0.0, 0.0, 0.0], [0.0, 30.0, 0.0]]))
    >>> round(angular_distance(a, b).item(), 3)
    30.0
    """
    between = _rotation().from_matrix(_numpy(a)).inv() * _rotation().from_matrix(_numpy(b))
    return torch.rad2deg(_like(np.asarray(between.magnitude()), a))


def _rotation() -> type[Rotation]:
    """Return SciPy's class of rotations."""
    from scipy.spatial.transform import Rotation  # noqa: PLC0415  0.3 s, for which an export need not wait

    return Rotation


def _numpy(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.detach().to("cpu", torch.float64).numpy()
    return array


def _like(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like)
