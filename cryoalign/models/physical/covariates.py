"""What the metadata say about the power of an image: the log power of its rings, linear in dose and tilt.

A higher dose damages the specimen, a tilted specimen is thicker: the noise changes with both, by an amount
that only the data can show. Images whose dose or tilt is not known are taken for average ones.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.models.physical.modes import FEWEST_PIXELS

_NAMES = ("dose", "tilt")
_FEWEST_KNOWN = 0.5  # of the images, below which a covariate is not used


class Covariates(NamedTuple):
    """The linear term.

    Attributes
    ----------
    centre, scale : (2,) tensor
        Mean and standard deviation of dose in e/A^2 and of the tilt's size in degrees; scale 0 where it is
        not used.
    slope : (R, 2) tensor
        Change of the log power with one standard deviation of either.
    """

    centre: Tensor
    scale: Tensor
    slope: Tensor

    def log_power(self, dose: Tensor, tilt: Tensor) -> Tensor:
        """Return what is added to the log power of images.

        Parameters
        ----------
        dose : (B,) tensor
            In e/A^2; NaN where it is not known.
        tilt : (B,) tensor
            In degrees; NaN where it is not known.

        Returns
        -------
        (B, R) tensor
        """
        return _standard(_table(dose, tilt), self.centre, self.scale) @ self.slope.t()

    def log_likelihood(self, u: Tensor, pixels: Tensor, dose: Tensor, tilt: Tensor) -> Tensor:
        """Compute the Gaussian log-likelihood of measured log power without any other variation.

        Parameters
        ----------
        u : (n, R) tensor
            Of `cryoalign.models.physical.modes.log_ring_power`.
        pixels : (R,) tensor
            Of the whole plane in each ring.
        dose, tilt : (n,) tensor

        Returns
        -------
        (n,) float64 tensor
        """
        used = pixels >= FEWEST_PIXELS
        variance = torch.polygamma(1, pixels[used].double() / 2)
        left = (u - self.log_power(dose, tilt)).double()[:, used]
        value: Tensor = -0.5 * (left.square() / variance + (2 * math.pi * variance).log()).sum(1)
        return value

    def description(self) -> str:
        """Describe what the power depends on."""
        used = [
            f"{name} ({100 * float(self.slope[:, place].square().mean().sqrt()):.2g} %)"
            for place, name in enumerate(_NAMES)
            if self.scale[place] > 0
        ]
        return "power follows " + " and ".join(used) if used else "power does not follow dose or tilt"


def no_covariates(rings: int) -> Covariates:
    """Return the description of power that follows neither dose nor tilt.

    Parameters
    ----------
    rings : int

    Returns
    -------
    Covariates
    """
    return Covariates(torch.zeros(2), torch.zeros(2), torch.zeros(rings, 2))


def fit_covariates(u: Tensor, pixels: Tensor, dose: Tensor, tilt: Tensor) -> Covariates:
    """Fit the linear term by least squares, ring by ring.

    Parameters
    ----------
    u : (n, R) tensor
        Of `cryoalign.models.physical.modes.log_ring_power`.
    pixels : (R,) tensor
        Of the whole plane in each ring; rings of fewer than 8 have no part.
    dose, tilt : (n,) tensor
        In e/A^2 and degrees; NaN where not known.

    Returns
    -------
    Covariates
        float32; one that is known of less than half of the images, or is the same for all, is not used.
    """
    table = _table(dose, tilt)
    known = table.isfinite()
    count = known.sum(0).clamp(min=1)
    filled = table.nan_to_num()
    centre = filled.sum(0) / count
    spread = (torch.where(known, filled - centre, 0).square().sum(0) / count).sqrt()
    used = (known.double().mean(0) >= _FEWEST_KNOWN) & (spread > 1e-3 * (1 + centre.abs()))
    scale = torch.where(used, spread, 0)
    rows = _standard(table, centre, scale).double()
    # The ridge holds a column of zeros, and dose and tilt where they go together.
    gram = rows.t() @ rows + torch.eye(2, dtype=torch.float64)
    centred = u.double() - u.double().mean(0)
    slope = torch.linalg.solve(gram, rows.t() @ centred).t()
    slope = torch.where((pixels >= FEWEST_PIXELS)[:, None] & used, slope, 0)
    return Covariates(torch.where(used, centre, 0), scale, slope.float())


def _table(dose: Tensor, tilt: Tensor) -> Tensor:
    return torch.stack([dose.float(), tilt.float().abs()], 1)


def _standard(table: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Return the values in standard deviations from the mean, 0 where not known or not used."""
    usable = table.isfinite() & (scale > 0)
    return torch.where(usable, (table.nan_to_num() - centre) / torch.where(scale > 0, scale, 1), 0)
