"""Whether the noise is Gaussian, asked of the third moments of held-out images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import FEWEST_GROUPS, Verdict, decide
from cryoalign.models.physical.ctf_uncertainty import mean_root
from cryoalign.models.physical.innovations import (
    Innovations,
    fit_lowest,
    fit_skewness,
    held_out,
    third_moments,
)
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.spectra import Spectra
    from cryoalign.models.physical.variation import Variation


def choose_innovations(
    sample: Iterable[Spectra],
    model: Model,
    variation: Variation,
    mask: Tensor,
    settings: Mapping[str, bool | str],
) -> tuple[Innovations, dict[str, Verdict]]:
    """Fit the skewness of grey values and of the lowest rings, and choose what of it is kept.

    Parameters
    ----------
    sample : iterable of Spectra
    model : Model
    variation : Variation
    mask : (N, N) boolean tensor
        Background: True outside the particle's circle.
    settings : mapping of str to bool or ``auto``

    Returns
    -------
    innovations : Innovations
    verdicts : dict of str to Verdict
        On ``skewness`` and ``blobs``.
    """
    if settings["skewness"] is False and settings["blobs"] is False:
        return Innovations(), {name: Verdict(kept=False) for name in ("skewness", "blobs")}
    moments, fold, total = [], [], torch.zeros((), dtype=torch.float64)
    for spectra in sample:
        device = spectra.raw.device
        ring, model, variation = half_plane(len(mask), device).ring, model.to(device), variation.to(device)
        level = variation.expected(spectra, model)[:, ring].exp()
        power, amplitude = model.power(spectra.ctf) * level, None
        if bool((variation.rho > 0).any()):
            ratio = (model.following / model.constant).sqrt()[ring] * spectra.ctf.abs()
            root = mean_root(ratio, variation.rho[ring])
            amplitude = root * (level * model.constant[ring] * model.pattern).sqrt()
        moments.append(third_moments(model.residual(spectra)[0], power, mask, amplitude).cpu())
        total = total + power.sum(0, dtype=torch.float64)
        fold.append((spectra.group % FOLDS).cpu())
    table, folds = torch.cat(moments), torch.cat(fold)
    gains: tuple[Tensor, ...] = (torch.zeros(len(torch.unique(folds))),) * 2
    if len(gains[0]) >= FEWEST_GROUPS:
        gains = held_out(table, folds)
    verdicts = {
        name: decide(settings[name], gain, default=False)
        for name, gain in zip(("skewness", "blobs"), gains, strict=True)
    }
    skewness = fit_skewness(table) if verdicts["skewness"].kept else 0.0
    mean = (total.cpu() / len(table)).float()
    lowest = fit_lowest(table, mean, skewness) if verdicts["blobs"].kept else 0.0
    return Innovations(skewness, lowest), verdicts
