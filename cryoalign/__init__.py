"""Bring simulated cryo-EM particles to the statistics of the measurement.

>>> import cryoalign
>>> generator = cryoalign.load("outputs/train/RUN")  # doctest: +SKIP
>>> fake = generator.refine(sim, seed=5)  # doctest: +SKIP

Names are loaded when they are first asked for, so that ``import cryoalign`` brings neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoalign.audit.pairs import audit_pairs
    from cryoalign.errors import InputError
    from cryoalign.evaluate.given_stacks import evaluate_stacks
    from cryoalign.io.metadata import read_particles
    from cryoalign.particles import Optics, Particles
    from cryoalign.physics.spectrum import rpsd
    from cryoalign.refine.load import load
    from cryoalign.simulate.stream import simulate_particles

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Optics",
    "Particles",
    "__version__",
    "audit_pairs",
    "evaluate_stacks",
    "load",
    "read_particles",
    "rpsd",
    "simulate_particles",
]

_HOMES = {
    "InputError": "cryoalign.errors",
    "Optics": "cryoalign.particles",
    "Particles": "cryoalign.particles",
    "audit_pairs": "cryoalign.audit.pairs",
    "evaluate_stacks": "cryoalign.evaluate.given_stacks",
    "load": "cryoalign.refine.load",
    "read_particles": "cryoalign.io.metadata",
    "rpsd": "cryoalign.physics.spectrum",
    "simulate_particles": "cryoalign.simulate.stream",
}


def __getattr__(name: str) -> object:
    """Load a public name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cryoalign' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, those not yet loaded too."""
    return sorted({*globals(), *__all__})
