"""What each hypothesis means for a user, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.hypotheses import AS_RAW

if TYPE_CHECKING:
    from cryoalign.audit.check import Evidence, Score

_NEAR = 0.12  # relative, of a factor to the one it is named after
_CLOSE = 0.05  # the same, absolute
_TURNS = {
    "flip y": "flip them along y (or the poses and shifts)",
    "flip x": "flip them along x (or the poses and shifts)",
    "transpose": "exchange their axes",
}


@dataclass(frozen=True)
class Finding:
    """A hypothesis in words.

    Attributes
    ----------
    key : str
        Short name.
    family : str
        See `cryoalign.audit.hypotheses.Hypothesis`.
    line : str
        What is wrong.
    remedy : str
        What to do.
    """

    key: str
    family: str
    line: str
    remedy: str


def finding(evidence: Evidence, score: Score) -> Finding:
    """Put the hypothesis that won into words.

    Parameters
    ----------
    evidence : Evidence
    score : Score

    Returns
    -------
    Finding
    """
    words = {
        "contrast": _contrast,
        "orientation": _orientation,
        "rows": _rows,
        "shift": lambda score: _shift(evidence, score),
        "pixel size": _pixel_size,
        "defocus": _defocus,
        "phase shift": _phase,
        "CTF": lambda score: _ctf(evidence, score),
        "pose": _pose,
    }
    if score.key.endswith(AS_RAW):
        return _as_raw(score)
    return words[score.family](score)


def _as_raw(score: Score) -> Finding:
    what = score.key.removesuffix(AS_RAW)
    return Finding(
        score.key,
        score.family,
        f"the {what} of sim is not the one that the raw metadata claim, which fits raw",
        "simulate anew from the raw metadata",
    )


def _contrast(score: Score) -> Finding:
    return Finding(
        score.key,
        score.family,
        "contrast is inverted between sim and raw (or the CTF of one has the other sign: images cannot tell)",
        "multiply the stack with black particles by -1 (relion_image_handler --multiply_constant -1)",
    )


def _orientation(score: Score) -> Finding:
    inverted = score.key.endswith(", contrast")
    name = score.key.removesuffix(", contrast")
    short = name.removesuffix(" about the middle of the box")
    looks = {"flip y": "y-flipped", "flip x": "x-flipped", "transpose": "transposed"}.get(
        short, f"turned ({short})"
    )
    do = _TURNS.get(short, f"undo it: {short}")
    also = ", and of inverted contrast" if inverted else ""
    return Finding(
        score.key,
        score.family,
        f"images look {looks} between sim and raw{also}",
        f"sim or raw: {do}{'; and invert the contrast' if inverted else ''}",
    )


def _rows(score: Score) -> Finding:
    order = {
        "row: next": "off by one (raw i shows sim i + 1)",
        "row: previous": "off by one (raw i shows sim i - 1)",
    }
    return Finding(
        score.key,
        score.family,
        f"rows are {order.get(score.key, 'in reversed order')}",
        "write rlnImageOriginalName for each simulated image, or simulate these raw particles anew",
    )


def factor_words(factor: float, pixel_size: float) -> str:
    """Name a factor on the shift after the mistake that makes it.

    Parameters
    ----------
    factor : float
    pixel_size : float
        Of the original images in A.

    Returns
    -------
    str
        To stand behind "the shifts have".
    """
    if abs(factor + 1) < _NEAR:
        return "the wrong sign"
    for unit in (pixel_size, 1 / pixel_size):
        if abs(np.log(pixel_size)) > _NEAR and abs(factor - unit) < max(_NEAR * unit, _CLOSE):
            return f"a factor of {factor:.2f}, as with A and px exchanged at {pixel_size:.4g} A/px"
    if abs(factor) < _NEAR:
        return "no effect"
    return f"a factor of {factor:.2f}, as with another pixel size (of the alignment, not of the images)"


def _shift(evidence: Evidence, score: Score) -> Finding:
    remedy = "correct the shifts' sign and unit (rlnOriginXAngst in A) and simulate anew"
    if score.value is None:
        return Finding(score.key, score.family, f"shifts differ between sim and raw: {score.key}", remedy)
    factor = factor_words(1 + score.value, evidence.pixel_size)
    return Finding(
        score.key,
        score.family,
        f"seen from raw, the shifts of the metadata and of sim have {factor}",
        remedy,
    )


def _pixel_size(score: Score) -> Finding:
    remedy = "check the pixel size of the map (volume_pixel_size=) and of the optics group"
    what = "the map in sim" if score.key.startswith("map") else "sim"
    line = f"pixel sizes differ: {what} has to be magnified {score.value:g} times to fit raw"
    return Finding(score.key, score.family, line, remedy)


def _defocus(score: Score) -> Finding:
    if score.value == -1:
        return Finding(
            score.key,
            score.family,
            "the defocus has the wrong sign",
            "give underfocus as positive, and simulate anew",
        )
    return Finding(
        score.key,
        score.family,
        f"the defocus of the metadata, and of sim, has to be multiplied by {score.value:g} to fit raw",
        "check the unit of the defocus (A) and the voltage, and simulate anew",
    )


def _phase(score: Score) -> Finding:
    line = {
        "phase shift in radians": "the phase shift of the metadata seems to be given in radians",
        "phase shift in degrees": "the phase shift of the metadata seems to be converted to degrees twice",
    }[score.key]
    return Finding(score.key, score.family, line, "give it in degrees (rlnPhaseShift), and simulate anew")


def _ctf(evidence: Evidence, score: Score) -> Finding:
    twice = evidence.alone.claimed.power == 2
    words = {
        "CTF once more in raw": (
            "raw carries the CTF once more than sim: "
            + ("sim was not made as premultiplied" if twice else "raw is premultiplied, or sim has no CTF"),
            "simulate with rlnCtfDataAreCtfPremultiplied as it is for raw",
        ),
        "CTF once less in raw": (
            "sim carries the CTF once more than raw: "
            + ("raw is not premultiplied" if twice else "sim is premultiplied, or raw CTF-corrected"),
            "simulate with rlnCtfDataAreCtfPremultiplied as it is for raw",
        ),
        "CTF twice more in raw": ("sim carries no CTF, raw carries it twice", "simulate with the CTF"),
        "CTF twice less in raw": (
            "sim carries a CTF, twice; raw none",
            "use the images before CTF correction",
        ),
        "phases of raw flipped": (
            "raw seems to be phase-flipped, sim is not",
            "use the images before phase flipping",
        ),
    }
    line, remedy = words[score.key]
    return Finding(score.key, score.family, line, remedy)


def _pose(score: Score) -> Finding:
    line = {
        "pose inverse in sim": "sim shows the inverse poses of its metadata; raw shows the poses themselves",
        "pose inverse in the metadata": "the metadata, and sim, hold the inverse of raw's poses",
    }[score.key]
    return Finding(
        score.key, score.family, line, "invert the rotations (transpose the matrices) and simulate anew"
    )
