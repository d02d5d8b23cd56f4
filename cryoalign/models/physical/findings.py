"""What each part that was kept found, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cryoalign.models.physical.covariates import NAMES
from cryoalign.models.physical.innovations import LOWEST
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.physical.covariates import Covariates
    from cryoalign.models.physical.innovations import Innovations
    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.variation import Variation

_LARGE = 100  # from here on numbers are written without decimals


def findings(
    model: Model, variation: Variation, innovations: Innovations, modulation: Tensor
) -> dict[str, str]:
    """Describe what a fit found, part by part.

    Parameters
    ----------
    model : Model
    variation : Variation
    innovations : Innovations
    modulation : (R,) tensor

    Returns
    -------
    dict of str to str
        By the names of `cryoalign.models.physical.fit.PARTS`; of a part that was left out it means nothing.
    """
    modes, box = variation.modes, len(model.pattern)
    blobs = "bright" if innovations.lowest > 0 else "dark"
    along_y, along_x = model.ramps.tolist()
    return {
        "ctf_noise": _ratio(model),
        "gain_by_defocus": _knots(model.gain.defocus),
        "ramps": f"slopes of {along_y:.2g} along y and {along_x:.2g} along x, of ramps of unit square sum",
        "pattern": f"directions differ by {_rms((model.pattern - 1).square()):.2g} %",
        "covariates": _covariates(variation.covariates),
        "variation": _variation(modes.within, modes.separate),
        "shared_variation": _modes(modes.between),
        "ctf_uncertainty": _uncertainty(variation.rho),
        "skewness": f"skewness {innovations.skewness:.2g}, before the noise gets its spectrum",
        "blobs": f"{blobs} ones, coarser than 1/{LOWEST} of the box",
        "modulation": f"amplitudes change over an image by {_rms(modulation[half_plane(box).ring]):.2g} %",
        "edges": "made in a box of twice the size",
    }


def _ratio(model: Model) -> str:
    ratio = (model.following / model.constant)[1:]
    low, median, high = (_times(float(value)) for value in (ratio.min(), ratio.median(), ratio.max()))
    return f"at the CTF's peaks {median} times the rest, {low} to {high} times by ring"


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.2g}"


def _knots(defocus: Tensor) -> str:
    used = defocus[defocus.isfinite()] / 1e4
    return f"fitted at {len(used)} defoci, {used.min():.2g} to {used.max():.2g} um"


def _rms(square: Tensor) -> float:
    """Root of the mean over the plane, in per cent."""
    weight = half_plane(len(square)).weight.to(square)
    return 100 * math.sqrt(float((weight * square).sum() / weight.sum()))


def _covariates(covariates: Covariates) -> str:
    slopes = covariates.slope.square().mean(0).sqrt()
    used = [
        f"{100 * float(slopes[place]):.2g} % with {name}"
        for place, name in enumerate(NAMES)
        if covariates.scale[place] > 0
    ]
    return (" and ".join(used) or "none") + ", for a standard deviation of each"


def _modes(modes: Tensor) -> str:
    """Root mean square in per cent, and how many there are."""
    there = modes.abs().amax(1, keepdim=True) > 0 if modes.numel() else modes > 0
    count = int((modes.abs().amax(0) > 0).sum()) if modes.numel() else 0
    spread = math.sqrt(float(modes.square().sum()) / max(int(there.sum()), 1))
    return f"{100 * spread:.2g} % in {count} " + ("shape" if count == 1 else "shapes") + " of spectrum"


def _variation(within: Tensor, separate: Tensor) -> str:
    rings = separate[separate > 0]
    single = f", {100 * float(rings.square().mean().sqrt()):.2g} % in {len(rings)} rings, each by itself"
    return _modes(within) + (single if len(rings) else "")


def _uncertainty(rho: Tensor) -> str:
    there = rho[rho > 0]
    mean = float(there.mean()) if len(there) else 0.0
    return f"{mean:.2g} of the noise beside it, on average over {len(there)} rings"
