"""A STAR file, a map, and the command that makes a stack of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Cli

BOX, PIXEL_SIZE = 24, 2.0
GIVEN = ("particles=particles.star", "volume=map.mrc", "out=sims", "progress=false")
STAR = f"""
data_optics
loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
7 amplitude 300 0 1.0 {PIXEL_SIZE} {BOX}

data_particles
loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
_rlnOpticsGroup #11
_rlnClassNumber #12
000003@gone/a.mrcs a.mrc 0 0 0 0 0 0 0 0 7 1
000001@gone/b.mrcs b.mrc 0 0 0 4 -6 0 0 0 7 2
000001@gone/a.mrcs a.mrc 0 90 0 0 0 0 0 0 7 3
000009@gone/a.mrcs a.mrc 0 0 0 0 0 15000 14000 30 7 1
"""


#: The same through a lens: multislice has no CTF that is 1 everywhere.
THROUGH_A_LENS = STAR.replace("amplitude 300 0 1.0", "krios 300 2.7 0.1")


def simulate(cli: Cli, *options: str) -> Path:
    done = cli(
        "simulate", "particles=particles.star", "volume=map.mrc", "out=sims", "progress=false", *options
    )
    assert done.code == 0, done.err
    assert Path(done.out.strip()).resolve() == Path("sims/sim.star").resolve()
    return Path.cwd() / "sims"
