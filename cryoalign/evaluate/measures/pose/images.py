"""Images of several kinds aligned to a reference near the poses of their metadata."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.measures.reference import Views, centred_spectra, small_pixel, whitening
from cryoalign.io.progress import progress_bar
from cryoalign.physics.alignment import Alignment, align
from cryoalign.physics.threads import side_by_side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.reference import Reference

_AT_ONCE = 10  # particles between two steps of the progress bar
_NAMES = [field.name for field in fields(Alignment)]


def align_images(
    case: Case, reference: Reference, rows: NDArray[np.int64], kinds: list[str], box: int
) -> Alignment:
    """Align all kinds of images of some particles, each to the pose of its own metadata.

    Parameters
    ----------
    case : Case
    reference : Reference
        For images of `box`; where its projector is, they are aligned.
    rows : (B,) int64
        Of the pairs.
    kinds : list of str
        K kinds.
    box : int
        Small box in px.

    Returns
    -------
    Alignment
        On the CPU.
    """
    of_kind = {kind: case.pairs.particles_of(kind) for kind in kinds}
    own = [kind for kind in kinds if of_kind[kind] is of_kind[kinds[0]]]
    if own != kinds:
        others = [kind for kind in kinds if kind not in own]
        both = [align_images(case, reference, rows, some, box) for some in (own, others)]
        order = [[*own, *others].index(kind) for kind in kinds]
        joined = (torch.cat([getattr(part, name) for part in both], 1) for name in _NAMES)
        return Alignment(*(values[:, order] for values in joined))
    views = Views.of(of_kind[kinds[0]], rows, box, small_pixel(case.pairs, box))
    spectra = {
        kind: centred_spectra(
            partial(case.pairs.images, kind), rows, views, label=f"reading {kind}", progress=case.progress
        )
        for kind in kinds
    }
    device = reference.projector.device
    stack = torch.stack([spectra[kind] for kind in kinds], 1)
    weights = torch.stack([whitening(spectra[kind]) for kind in kinds]).to(device)

    def align_some(start: int) -> Alignment:
        of = views.part(start, start + _AT_ONCE)
        found = align(
            reference.projector,
            stack[start : start + _AT_ONCE].to(device),
            transfers=of.transfers.to(device),
            weights=weights,
            rotations=of.rotations.to(device),
            pixel_ratio=reference.pixel_ratio,
            magnification=of.magnification,
            seed=case.seed + start,
        )
        return Alignment(*(getattr(found, name).cpu() for name in _NAMES))

    starts = range(0, len(rows), _AT_ONCE)
    parts, count = side_by_side(align_some, starts, case.threads), len(starts)
    bar = progress_bar(parts, "aligning", shown=case.progress, total=count)
    found = list(bar)
    return Alignment(*(torch.cat([getattr(part, name) for part in found]) for name in _NAMES))
