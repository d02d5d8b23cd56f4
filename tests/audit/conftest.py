"""Pairs that several tests of this room share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.particles import Particles
from tests.audit.known_pairs import images, particles


@pytest.fixture(scope="session")
def known() -> Particles:
    return particles()


@pytest.fixture(scope="session")
def truth(known: Particles) -> torch.Tensor:
    return images(known)


@pytest.fixture(scope="session")
def plate(known: Particles) -> Particles:
    """With a phase plate."""
    return replace(known, phase_shift=np.full(len(known), 90.0))
