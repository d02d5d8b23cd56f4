"""The radial power spectral density (RPSD) as a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from cryoalign.errors import choice
from cryoalign.losses.score import SpectralScore
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class RPSDLoss(SpectralScore):
    """Distance of the radial log power spectra of fake and raw: the mean over rings, then over images.

    ``L_RPSD = mean |s(fake) - s(raw)|**power``, ``s(u) = mean over the ring of log(1 + |F|^2)``, one curve an
    image (`cryoalign.physics.spectrum`). Only the fake gets a gradient.

    Parameters
    ----------
    power : {1, 2}
        1 for the mean absolute difference, 2 for the mean square.
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform; "backward" is unnormalized.

    Raises
    ------
    InputError
        If a parameter is another.
    """

    title = "RPSD"

    def __init__(self, power: Literal[1, 2] = 1, norm: Norm = "backward") -> None:
        super().__init__(norm)
        choice("loss.rpsd.power", power, (1, 2))
        choice("loss.rpsd.norm", norm, ("backward", "ortho", "forward"))
        self.power = power

    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:  # noqa: ARG002, D102  inherited
        with torch.no_grad():
            target = radial_log_power(raw, self.norm)
        return rpsd_distance(radial_log_power(fake, self.norm), target, self.power).mean()
