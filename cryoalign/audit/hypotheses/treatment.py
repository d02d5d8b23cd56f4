"""Images treated as by a hypothesis, but without its change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.audit.hypotheses.hypothesis import Treatment
from cryoalign.audit.hypotheses.pixel_size import magnify, magnify_map
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis

_THERE_AND_BACK = (0.975, 1 / 0.975)


def treated(basis: Basis, treatment: Treatment) -> torch.Tensor:
    """Treat the simulated images.

    Dividing by a CTF and interpolating cost correlation where images are clean, and win some by removing
    noise where simulated images have it. Either way that is no evidence for the hypothesis.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
    """
    if treatment is Treatment.NONE:
        return basis.spectra
    if treatment is Treatment.INTERPOLATED:
        there, back = _THERE_AND_BACK
        return rfft2(magnify(magnify(basis.sample.sims, there), back))
    return magnify_map(basis, *(_THERE_AND_BACK if treatment is Treatment.INTERPOLATED_MAP else ()))
