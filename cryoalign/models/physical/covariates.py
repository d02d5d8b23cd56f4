"""What the metadata say about the power of an image: log power of its rings, by dose, tilt and defocus.

A higher dose damages the specimen, a tilted specimen is thicker, and where the defocus was chosen or found is
not independent of the specimen: the noise changes with them, beyond what the CTF does, by an amount that only
the data can show. Images of which one is not known are taken for average ones.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.models.physical.modes import FEWEST_PIXELS

#: What is in the columns.
NAMES = ("dose", "tilt", "defocus")
_FURTHEST = 2.5  # standard deviations; beyond, it is taken for that: a line is not to be trusted far out
_FEWEST_KNOWN = 0.5  # of the images, below which a covariate is not used


class Covariates(NamedTuple):
    """The linear term.

    Attributes
    ----------
    centre, scale : (3,) tensor
        Mean and standard deviation of dose in e/A^2, of the tilt's size in degrees, and of the defocus in A;
        scale 0 where it is not used.
    slope : (R, 3) tensor
        Change of the log power with one standard deviation of each.
    """

    centre: Tensor
    scale: Tensor
    slope: Tensor

    def log_power(self, dose: Tensor, tilt: Tensor, defocus: Tensor) -> Tensor:
        """Return what is added to the log power of images.

        Parameters
        ----------
        dose : (B,) tensor
            In e/A^2; NaN where it is not known.
        tilt : (B,) tensor
            In degrees; NaN where it is not known.
        defocus : (B,) tensor
            Mean in A.

        Returns
        -------
        (B, R) tensor
        """
        return _standard(_table(dose, tilt, defocus), self.centre, self.scale) @ self.slope.t()

    def log_likelihood(
        self, u: Tensor, pixels: Tensor, dose: Tensor, tilt: Tensor, defocus: Tensor
    ) -> Tensor:
        """Compute the Gaussian log-likelihood of measured log power without any other variation.

        Parameters
        ----------
        u : (n, R) tensor
            Of `cryoalign.models.physical.modes.log_ring_power`.
        pixels : (R,) tensor
            Of the whole plane in each ring.
        dose, tilt, defocus : (n,) tensor

        Returns
        -------
        (n,) float64 tensor
        """
        used = pixels >= FEWEST_PIXELS
        variance = torch.polygamma(1, pixels[used].double() / 2)
        left = (u - self.log_power(dose, tilt, defocus)).double()[:, used]
        value: Tensor = -0.5 * (left.square() / variance + (2 * math.pi * variance).log()).sum(1)
        return value


def no_covariates(rings: int) -> Covariates:
    """Return the description of power that follows nothing of the metadata.

    Parameters
    ----------
    rings : int

    Returns
    -------
    Covariates
    """
    return Covariates(torch.zeros(3), torch.zeros(3), torch.zeros(rings, 3))


def fit_covariates(u: Tensor, pixels: Tensor, dose: Tensor, tilt: Tensor, defocus: Tensor) -> Covariates:
    """Fit the linear term by least squares, ring by ring.

    Parameters
    ----------
    u : (n, R) tensor
        Of `cryoalign.models.physical.modes.log_ring_power`.
    pixels : (R,) tensor
        Of the whole plane in each ring; rings of fewer than 8 have no part.
    dose, tilt, defocus : (n,) tensor
        In e/A^2, degrees and A; NaN where not known.

    Returns
    -------
    Covariates
        float32; one that is known of less than half of the images, or is the same for all, is not used.
    """
    table = _table(dose, tilt, defocus)
    known = table.isfinite()
    count = known.sum(0).clamp(min=1)
    filled = table.nan_to_num()
    centre = filled.sum(0) / count
    spread = (torch.where(known, filled - centre, 0).square().sum(0) / count).sqrt()
    used = (known.double().mean(0) >= _FEWEST_KNOWN) & (spread > 1e-3 * (1 + centre.abs()))
    scale = torch.where(used, spread, 0)
    rows = _standard(table, centre, scale).double()
    # The ridge holds a column of zeros, and what goes together.
    gram = rows.t() @ rows + torch.eye(3, dtype=torch.float64)
    centred = u.double() - u.double().mean(0)
    slope = torch.linalg.solve(gram, rows.t() @ centred).t()
    slope = torch.where((pixels >= FEWEST_PIXELS)[:, None] & used, slope, 0)
    return Covariates(torch.where(used, centre, 0), scale, slope.float())


def _table(dose: Tensor, tilt: Tensor, defocus: Tensor) -> Tensor:
    return torch.stack([dose.float(), tilt.float().abs(), defocus.float()], 1)


def _standard(table: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Return the values in standard deviations from the mean, 0 where not known or not used."""
    usable = table.isfinite() & (scale > 0)
    standard = (table.nan_to_num() - centre) / torch.where(scale > 0, scale, 1)
    return torch.where(usable, standard.clamp(-_FURTHEST, _FURTHEST), 0)
