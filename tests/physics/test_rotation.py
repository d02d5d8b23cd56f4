"""Rotations, against their definition and analytic truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.physics.rotation import (
    angular_distance,
    euler_to_matrix,
    matrix_to_euler,
    rotation_vector_to_matrix,
)


def about(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    if axis == "z":
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


ANGLES = torch.tensor([[30.0, 40, 50], [-170, 5, 12], [0, 90, 0], [77, 179, -3]], dtype=torch.float64)


def test_matrix_is_the_product_of_the_three_turns() -> None:
    expected = [about("z", rot) @ about("y", tilt) @ about("z", psi) for rot, tilt, psi in ANGLES.tolist()]
    assert np.allclose(euler_to_matrix(ANGLES).numpy(), expected)


def test_beam_direction_is_rot_and_tilt() -> None:
    rot, tilt, _ = torch.deg2rad(ANGLES).unbind(1)
    expected = torch.stack([tilt.sin() * rot.cos(), tilt.sin() * rot.sin(), tilt.cos()], dim=1)
    assert torch.allclose(euler_to_matrix(ANGLES)[:, :, 2], expected)


def test_euler_angles_come_back() -> None:
    assert torch.allclose(matrix_to_euler(euler_to_matrix(ANGLES)), ANGLES)


@pytest.mark.parametrize("tilt", [0.0, 180.0])
def test_poles_give_the_same_rotation_without_a_warning(tilt: float) -> None:
    matrix = euler_to_matrix(torch.tensor([[20.0, tilt, 70.0]], dtype=torch.float64))
    angles = matrix_to_euler(matrix)
    assert angles[0, 2] == 0
    assert torch.allclose(euler_to_matrix(angles), matrix)


def test_rotation_vector_turns_about_its_axis() -> None:
    vector = torch.tensor([[0, 0, np.pi / 3], [0, -0.4, 0]], dtype=torch.float64)
    expected = np.stack([about("z", 60), about("y", -np.degrees(0.4))])
    assert np.allclose(rotation_vector_to_matrix(vector).numpy(), expected)


def test_angular_distance_of_small_and_large_turns() -> None:
    turned = ANGLES + torch.tensor([0, 0, 1.0], dtype=torch.float64) * torch.tensor(
        [[0.0], [1e-4], [30], [180]]
    )
    distance = angular_distance(euler_to_matrix(ANGLES), euler_to_matrix(turned))
    assert torch.allclose(
        distance, torch.tensor([0, 1e-4, 30, 180], dtype=torch.float64), atol=1e-6, rtol=1e-6
    )


def test_distance_is_of_rotations_not_of_angles() -> None:
    a, b = torch.tensor([[10.0, 0, 20]]), torch.tensor([[25.0, 0, 5]])
    assert angular_distance(euler_to_matrix(a), euler_to_matrix(b)).item() == pytest.approx(0, abs=1e-4)


def test_dtype_is_kept() -> None:
    assert euler_to_matrix(ANGLES.float()).dtype == torch.float32
