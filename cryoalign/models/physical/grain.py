"""The noise of images, made of standard normal maps: its power, its edges, what is not Gaussian in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.models.physical.ctf_uncertainty import symmetric_normal
from cryoalign.models.physical.edges import LARGER, larger_plane, larger_table
from cryoalign.models.physical.innovations import skewed, with_blobs
from cryoalign.models.physical.model import without_ramps
from cryoalign.models.physical.modes import MOST_MODES
from cryoalign.models.physical.modulation import modulated
from cryoalign.physics.ctf_parameters import ctf_image
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.generator import Metadata
    from cryoalign.models.physical.innovations import Innovations
    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.variation import Variation

#: White noise, the CTF's uncertainty, and numbers of which an image needs a few.
MAPS = 3
#: Of noise that ends at the edges: the first two fill the larger box.
MAPS_OF_LARGER = MAPS + 2 * (LARGER**2 - 1)
# Among the numbers: slopes, modes of the image, of the micrograph; rings follow.
_PLACES = (2, MOST_MODES, MOST_MODES)
#: Where the numbers of the micrograph's modes are.
OF_MICROGRAPH = slice(sum(_PLACES[:2]), sum(_PLACES))


def grain(
    model: Model,
    variation: Variation,
    innovations: Innovations,
    maps: Tensor,
    *,
    modulation: Tensor,
    edges: Tensor | None,
    metadata: Metadata,
    known: bool,
) -> Tensor:
    """Make noise.

    Parameters
    ----------
    model : Model
    variation : Variation
    innovations : Innovations
    maps : (B, C, N, N) tensor
        Standard normal; C is `MAPS`, or `MAPS_OF_LARGER` with edges.
    modulation : (R,) tensor
        See `cryoalign.models.physical.modulation`.
    edges : (N, N // 2 + 1) tensor, optional
        Of noise that ends at the edges: the correction of its power, see `cryoalign.models.physical.edges`.
    metadata : Metadata
        With defocus and the parameters of the CTF.
    known : bool
        Whether micrographs that were seen in the fit have what was measured.

    Returns
    -------
    (B, N, N // 2 + 1) complex64 tensor
    """
    box, count = maps.shape[-1], len(model.constant)
    numbers = maps[:, 2].flatten(1)[:, : sum(_PLACES) + count]
    slopes, image, micrograph, rings = torch.split(numbers, [*_PLACES, count], 1)
    level = _level(variation, image, micrograph, rings, metadata, known=known)
    white, uncertain = maps[:, 0], maps[:, 1]
    if edges is not None:
        more = LARGER**2 - 1
        white, uncertain = (
            _larger_map(maps[:, [place, *range(MAPS + more * place, MAPS + more * (place + 1))]])
            for place in range(2)
        )
    ctf, rho = metadata["ctf"], variation.rho
    power = _power(model, rho, level, edges=edges, uncertain=uncertain, ctf=ctf)
    white = skewed(white, innovations.skewness)
    if bool((modulation > 0).any()):
        # The few numbers that stand in this map as well are lost among all of its pixels.
        white = modulated(white, modulation, maps[:, 2])
    spectra = power.sqrt() * torch.fft.rfft2(white, norm="ortho")
    if edges is not None:
        noise = torch.fft.irfft2(spectra, s=white.shape[1:], norm="ortho")[:, :box, :box]
        spectra = torch.fft.rfft2(noise, norm="ortho")
        if innovations.lowest != 0:
            power = _power(model, rho, level, edges=None, uncertain=maps[:, 1], ctf=ctf)
    spectra = with_blobs(spectra, power, innovations.lowest)
    if bool((model.ramps > 0).any()):
        spectra = without_ramps(spectra, slopes * model.ramps)
    return spectra


def _level(
    variation: Variation,
    image: Tensor,
    micrograph: Tensor,
    rings: Tensor,
    metadata: Metadata,
    *,
    known: bool,
) -> Tensor:
    """Ln of the power of each image's rings over that of the mean image, (B, R)."""
    if known and "micrograph" in metadata:
        there, number = variation.micrographs.look_up(metadata["micrograph"].to(micrograph.device))
        micrograph = torch.where(there[:, None], number, micrograph)
    unknown = torch.full((len(image),), math.nan, device=image.device)
    dose, tilt = metadata.get("dose", unknown), metadata.get("tilt", unknown)
    return variation.modes.log_power(image, micrograph, rings) + variation.covariates.log_power(
        dose, tilt, metadata["defocus"]
    )


def _power(
    model: Model, rho: Tensor, level: Tensor, *, edges: Tensor | None, uncertain: Tensor, ctf: Tensor
) -> Tensor:
    """Noise power of each image at each frequency of its box, or of the larger one."""
    box, pattern = len(model.pattern), model.pattern

    def plane(table: Tensor) -> Tensor:
        return (
            table[..., half_plane(box).ring.to(table.device)] if edges is None else larger_table(table, box)
        )

    if edges is not None:
        pattern = larger_plane(pattern * edges)
    amplitude = plane(model.following.sqrt()) * ctf_image(ctf, uncertain.shape[-1]).abs()
    amplitude = amplitude + symmetric_normal(uncertain) * plane((rho * model.constant).sqrt())
    power = plane((1 - rho) * model.constant) + amplitude.square()
    return power * pattern * plane(level.exp())


def _larger_map(tiles: Tensor) -> Tensor:
    """Lay four maps (B, 4, N, N) side by side, (B, 2 N, 2 N)."""
    above, below = (torch.cat([tiles[:, first], tiles[:, first + 1]], -1) for first in (0, LARGER))
    return torch.cat([above, below], -2)
