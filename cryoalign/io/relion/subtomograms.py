"""STAR files of tomography whose rows are particles in 3D, recognized and refused by name.

What is simulated and refined are images. A sub-tomogram has none of its own: in RELION 4 and 5 its images are
a stack of its tilts, or a volume; in Warp and M a volume. Their poses and CTFs follow from the tilt series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_SETS = {
    "rlnTomoParticlesFile": "an optimisation set",
    "rlnTomoTiltSeriesStarFile": "the tomograms",
    "rlnTomoTiltSeriesName": "the tomograms",
}
_PARTICLES = (
    "rlnTomoName",
    "rlnTomoParticleName",
    "rlnTomoParticleId",
    "rlnTomoVisibleFrames",
    "rlnCenteredCoordinateXAngst",
)
_FLAG, _IMAGE, _CTF_VOLUME, _DIMENSIONS = (
    "rlnTomoSubTomosAre2DStacks",
    "rlnImageName",
    "rlnCtfImage",
    "rlnImageDimensionality",
)
_EXPECTED = (
    "a row for each tilt image of a particle (NNNNNN@stack.mrcs), with the pose and the CTF that it has there"
)
_OF_RELION = (
    "extract the particles as 2D stacks that are not multiplied by the CTF (relion_tomo_subtomo --stack2d "
    "--no_ctf) and write a row for each tilt, e.g. with cryodrgn_utils parse_relion"
)
_OF_WARP = (
    "export the particles from Warp or M as 2D image series (particle series), a row for each tilt image"
)


def refuse_subtomograms(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Refuse the files of RELION's and Warp's sub-tomogram averaging.

    Parameters
    ----------
    path : Path
        The file, for the error.
    tables : dict of str to DataFrame
        All tables of the file, of strings.

    Raises
    ------
    InputError
        Naming what the file is and the way to 2D tilt images.
    """
    every = list(tables.values())
    images = next((table[_IMAGE] for table in every if _IMAGE in table and len(table)), None)
    first = "" if images is None else str(images.iloc[0])
    if "@" in first:  # single images of stacks, whatever else is said of them
        return
    for name, kind in _SETS.items():
        if any(name in table for table in every):
            raise _refusal(path, f"these are {kind} of RELION's tomography, not particle images", _OF_RELION)
    if any(name in table for table in every for name in (_FLAG, *_PARTICLES)):
        what = "a stack of tilt images" if first.endswith(".mrcs") else "a place in a tomogram"
        problem = f"these are sub-tomograms of RELION 4 or 5: each row is {what}, not an image"
        raise _refusal(path, problem, _OF_RELION)
    three = any(_DIMENSIONS in table and (table[_DIMENSIONS] == "3").any() for table in every)
    if three or any(_CTF_VOLUME in table for table in every):
        problem = "these are sub-tomograms of Warp or of RELION up to 3: each row is a volume, not an image"
        raise _refusal(path, problem, _OF_WARP)


def _refusal(path: Path, problem: str, remedy: str) -> InputError:
    return InputError(problem, file=path, expected=_EXPECTED, remedy=remedy)
