"""Inverse poses, tested on views of maps that are made of the simulated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch

from cryoalign.audit.hypotheses.hypothesis import Hypothesis
from cryoalign.audit.transfer import applied, ctf_of
from cryoalign.physics.fourier import fourier_resize, irfft2, rfft2, shift
from cryoalign.physics.projection import Projector
from cryoalign.physics.reconstruction import reconstruct
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from cryoalign.audit.hypotheses.hypothesis import Basis

_BOX = 32  # px: maps made of a few hundred images know no more
_REMEDY = "invert the rotations (transpose the matrices) and simulate anew"


@final
@dataclass(frozen=True)
class PoseInverseInSim(Hypothesis):
    """The simulator took poses for their inverses."""

    name = "pose inverse in sim"
    family = "pose"
    line = "sim shows the inverse poses of its metadata; raw shows the poses themselves"
    remedy = _REMEDY

    def images(self) -> torch.Tensor:
        return predict_views(self.basis, inverse_built=True, inverse_wanted=False)


@final
@dataclass(frozen=True)
class PoseInverseInMetadata(Hypothesis):
    """The metadata of both hold the inverse of the poses."""

    name = "pose inverse in the metadata"
    family = "pose"
    line = "the metadata, and sim, hold the inverse of raw's poses"
    remedy = _REMEDY

    def images(self) -> torch.Tensor:
        return predict_views(self.basis, inverse_built=False, inverse_wanted=True)


def predict_views(basis: Basis, *, inverse_built: bool, inverse_wanted: bool) -> torch.Tensor:
    """Predict images from maps made of the simulated ones.

    Parameters
    ----------
    basis : Basis
    inverse_built : bool
        The simulated images are taken as views at the inverse of their poses.
    inverse_wanted : bool
        The images wanted are views at the inverse of the raw poses.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
        With the CTF and shift of the simulated images.
    """
    sample, carried = basis.sample, basis.carried
    box = min(_BOX, sample.box)
    pixel_size = sample.pixel_size * sample.box / box
    move = torch.from_numpy(sample.sim.shift / pixel_size).float()
    spectra = shift(rfft2(fourier_resize(sample.sims, box)), move, box)
    transfer = applied(ctf_of(sample.sim, box, pixel_size, carried), carried)
    built, wanted = (euler_to_matrix(torch.from_numpy(p.angles)).float() for p in (sample.sim, sample.raw))
    seen = views(
        spectra, transfer, built.mT if inverse_built else built, wanted.mT if inverse_wanted else wanted
    )
    images = irfft2(shift(seen * transfer, -move, box), box)
    return rfft2(fourier_resize(images, sample.box))


def views(
    spectra: torch.Tensor, transfers: torch.Tensor, built: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Predict every image from a map of the other half of the images.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
        Half planes of centred images.
    transfers : (n, N, N // 2 + 1) real tensor
        What they were multiplied by.
    built : (n, 3, 3) tensor
        Poses at which the images are laid into the maps.
    wanted : (n, 3, 3) tensor
        Poses at which the maps are looked at.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
        Central slices without CTF and shift.
    """
    box = spectra.shape[-2]
    predicted = torch.zeros_like(spectra)
    half = torch.arange(len(spectra)) % 2
    for part in (0, 1):
        from_, to = half == part, half != part
        density = reconstruct(spectra[from_], transfers[from_], built[from_])
        predicted[to] = Projector(density, 2.0, box=box).slices(wanted[to]).to(spectra.dtype)
    return predicted
