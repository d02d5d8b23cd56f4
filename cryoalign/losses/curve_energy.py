"""The energy score of radial log power spectra, by ring and as a vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from cryoalign.errors import choice
from cryoalign.losses.score import SpectralScore, absolute_difference, energy_score, needed
from cryoalign.physics.spectrum import radial_log_power

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class CurveEnergy(SpectralScore):
    """``E d(s(f), s(y)) - 1/2 E d(s(f), s(f'))`` on the curves of the RPSD: takes the place of its L1.

    f and f' are two fakes of one sim, y its raw image, s the radial log power spectrum, in units of its
    standard deviation over raw images. By ring, d is the absolute difference, a mean over rings; as a
    vector, the Euclidean distance over the root of the number of rings. By ring it is least where the power
    of each ring is distributed as raw's, scatter included; as a vector it sees, too, which rings rise and
    fall together. Phases do not enter: an image of random phases scores the same.

    Parameters
    ----------
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform; "backward" is unnormalized.
    distance : {"both", "ring", "vector"}
        Which of the two; "both" is their mean.

    Raises
    ------
    InputError
        If a parameter is another.
    """

    title = "RPSD energy"
    two_draws = True
    fitted = True
    deviation: Tensor | None

    def __init__(self, norm: Norm = "backward", distance: Literal["both", "ring", "vector"] = "both") -> None:
        super().__init__(norm)
        choice("loss.rpsd.norm", norm, ("backward", "ortho", "forward"))
        choice("loss.rpsd.distance", distance, ("both", "ring", "vector"))
        self.distance = distance
        self.register_buffer("deviation", None, persistent=False)

    def fit(self, raw: Tensor) -> None:
        """Find the spread of raw's curves from (B, 1, N, N) images, two at least."""
        curves = radial_log_power(raw, self.norm).flatten(0, -2)
        deviation = curves.std(0)
        self.deviation = deviation.clamp(min=1e-3 * float(deviation.mean()) + 1e-8)

    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:  # noqa: D102  inherited
        if self.deviation is None:
            raise ValueError("fit() comes first: curves are compared in units of raw's spread")
        deviation = self.deviation
        with torch.autocast(fake.device.type, enabled=False):
            curves = [radial_log_power(i, self.norm) / deviation for i in (fake, raw, needed(second))]
            scores = []
            if self.distance != "vector":
                scores.append(energy_score(absolute_difference, *curves))
            if self.distance != "ring":
                scores.append(energy_score(_euclidean, *curves) / math.sqrt(len(deviation)))
            return torch.stack(scores).mean()


def _euclidean(a: Tensor, b: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
    return distance
