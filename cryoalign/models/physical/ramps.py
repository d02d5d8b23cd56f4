"""Linear ramps of grey value that images have beside their noise: of the ice, or of the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import Verdict, decide
from cryoalign.models.physical.model import slopes, unit_ramps
from cryoalign.physics.half_plane import half_plane, squared

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.spectra import Spectra

_EXCESS = 1.5  # of the slopes' mean square over what the noise predicts, from which on ramps are modelled
_COUNT, _SQUARE, _EXPECTED, _LOG, _RATIO = range(5)


class RampSums:
    """Sums of the slopes along y and x, by fold of groups."""

    def __init__(self) -> None:
        self._sums = torch.zeros(FOLDS, 2, 5, dtype=torch.float64)

    def add(self, spectra: Spectra, model: Model) -> None:
        """Add the slopes of a batch's residuals, and the variances that the noise of the model gives them."""
        found = slopes(spectra.raw - model.signal(spectra.sim, spectra.defocus)).double().square()
        box = spectra.raw.shape[1]
        weighted = (squared(unit_ramps(box)) * half_plane(box).weight.float()).to(found.device)
        power = model.power(spectra.ctf)
        expected = torch.stack([power[:, :, 0] @ weighted[0, :, 0], power[:, 0] @ weighted[1, 0]], 1).double()
        columns = [torch.ones_like(found), found, expected, expected.log(), found / expected]
        self._sums = self._sums.to(found.device)
        self._sums.index_add_(0, spectra.group % FOLDS, torch.stack(columns, -1))

    def fit(self, setting: bool | str) -> tuple[Tensor, Verdict]:
        """Decide whether images have ramps of their own.

        Parameters
        ----------
        setting : bool or str

        Returns
        -------
        spread : (2,) tensor
            Standard deviation of the slopes, 0 where they are the noise's.
        verdict : Verdict
        """
        sums = self._sums.cpu()
        total = sums.sum(0)
        sums = sums[sums[:, 0, _COUNT] > 0]
        others = total - sums
        spread = others[..., _SQUARE] / others[..., _COUNT].clamp(min=1)
        spread = spread.clamp(min=1e-30)
        with_ramps = sums[..., _COUNT] * spread.log() + sums[..., _SQUARE] / spread
        without = sums[..., _LOG] + sums[..., _RATIO]
        needed = bool(total[:, _SQUARE].sum() > _EXCESS * total[:, _EXPECTED].sum())
        verdict = decide(setting, (without - with_ramps).sum(1) / 2, needed=needed)
        found = (total[:, _SQUARE] / total[:, _COUNT]).sqrt()
        return (found if verdict.kept else torch.zeros_like(found)), verdict
