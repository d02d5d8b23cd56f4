"""Bring simulated cryo-EM particles to the statistics of the measurement."""

from __future__ import annotations

__version__ = "0.1.0"
