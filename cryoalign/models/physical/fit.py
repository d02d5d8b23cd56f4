"""The whole fit: what is chosen on a sample in memory, and the final estimates in passes over all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.models.physical.choice import FEWEST_GROUPS
from cryoalign.models.physical.edges import choose_edges, correction, mean_ctf_power
from cryoalign.models.physical.modulation import choose_modulation
from cryoalign.models.physical.spectra import Sample, Spectra, to_spectra
from cryoalign.models.physical.stationary import fit_stationary, one_round
from cryoalign.models.physical.third_moments import choose_innovations
from cryoalign.models.physical.variation import Variation, fit_variation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from cryoalign.models.baseline import Batch
    from cryoalign.models.physical.choice import Verdict
    from cryoalign.models.physical.innovations import Innovations
    from cryoalign.models.physical.model import Model

#: The parts that are optional, in the order in which they are decided on, and what they are in words.
PARTS = {
    "gain_by_defocus": "signal that depends on the defocus",
    "ramps": "linear ramps of grey value",
    "ctf_noise": "noise that follows each particle's CTF",
    "pattern": "noise that differs by direction",
    "covariates": "noise that follows dose, tilt and defocus",
    "variation": "images that differ in their noise power",
    "shared_variation": "images of one micrograph that differ together",
    "ctf_uncertainty": "a CTF that is uncertain near its zeros",
    "skewness": "noise of skewed grey values",
    "blobs": "bright or dark blobs in the noise",
    "modulation": "noise that is stronger in places",
    "edges": "noise that ends at the edges of the box",
}


class Background(NamedTuple):
    """The scale of network values, by the background of raw.

    Attributes
    ----------
    mean, deviation : float
        What a grey value of 0 is in network values, and a difference of 1.
    """

    mean: float
    deviation: float


class Fitted(NamedTuple):
    """What the fit found.

    Attributes
    ----------
    model : Model
        Of the mean image, background-normalized.
    variation : Variation
        Of images about it.
    innovations : Innovations
        What the noise is made of.
    modulation : (R,) tensor
        Power by ring of the field by which noise is stronger in places.
    edges : (N, N // 2 + 1) tensor
        Correction of the power of noise that ends at the edges; of the other kind it has no meaning.
    background : Background
    verdicts : dict of str to Verdict
        By the names of `PARTS`.
    """

    model: Model
    variation: Variation
    innovations: Innovations
    modulation: Tensor
    edges: Tensor
    background: Background
    verdicts: dict[str, Verdict]


def background_values(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of what lies outside the particle's circle.

    Parameters
    ----------
    images : (B, 1, N, N) tensor
    mask : (N, N) boolean tensor
        True outside.

    Returns
    -------
    mean, deviation : (B, 1, 1, 1) float64 tensor
    """
    outside = images[..., mask.to(images.device)].double()
    deviation, mean = torch.std_mean(outside, -1, correction=0, keepdim=True)
    return mean[..., None], deviation.clamp(min=1e-12)[..., None]


def with_background(images: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """Change the scale of each image to that of a background of this mean and standard deviation.

    Parameters
    ----------
    images : (B, 1, N, N) tensor
    mask : (N, N) boolean tensor
        True outside the particle's circle.
    scale : (2,) tensor
        Mean and standard deviation.

    Returns
    -------
    (B, 1, N, N) float32 tensor
    """
    mean, deviation = background_values(images, mask)
    return ((images - mean) / deviation * scale[1] + scale[0]).float()


class Pairs:
    """All pairs as spectra, read again in each pass.

    Parameters
    ----------
    batches : iterable of (sim, raw, metadata, group)
    mask : (N, N) boolean tensor
        Background; without it grey values are taken as they are.

    Attributes
    ----------
    by_micrograph : bool
        Whether micrographs are the groups, whatever the groups of the batches are.
    """

    def __init__(self, batches: Iterable[Batch], mask: Tensor | None) -> None:
        self._batches, self._mask = batches, mask
        self._scale = torch.zeros(3, dtype=torch.float64)
        self.by_micrograph = False

    @property
    def background(self) -> Background:
        """The scale of the pairs that were read so far.

        Network values are grey values times a number of each image: its mean, as `Normalization` has it, is
        that of the inverse.
        """
        if self._mask is None:
            return Background(0.0, 1.0)
        count, mean, inverse = self._scale.tolist()
        return Background(mean / inverse, count / inverse)

    def __iter__(self) -> Iterator[Spectra]:
        for sim, raw, metadata, group in self._batches:
            values = raw
            if self._mask is not None:
                mean, deviation = background_values(raw, self._mask)
                values = ((raw.double() - mean) / deviation).float()
                rows = torch.stack([torch.ones_like(mean), mean / deviation, 1 / deviation])
                self._scale += rows.flatten(1).sum(1).cpu()
            if self.by_micrograph:
                group = metadata.get("micrograph", group)  # noqa: PLW2901
            yield to_spectra(sim, values, metadata, group)


def fit(
    batches: Iterable[Batch],
    box: int,
    settings: Mapping[str, bool | str],
    mask: Tensor,
    *,
    normalize: bool = True,
    sample: Sample | None = None,
) -> Fitted:
    """Fit the model.

    Parameters
    ----------
    batches : iterable of (sim, raw, metadata, group)
        It is iterated once, and some times more where not all pairs fit into the sample. Where they are,
        their sums are made; what is fitted to those is on the CPU.
    box : int
        Image size in px.
    settings : mapping of str to bool or ``auto``
        What is asked for of each of `PARTS`.
    mask : (N, N) boolean tensor
        Background: True outside the particle's circle.
    normalize : bool
        Whether raw is normalized by it.
    sample : Sample, optional
        Empty; one of the usual size if not given.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        If there are no pairs.
    """
    pairs, sample = Pairs(batches, mask if normalize else None), Sample(box) if sample is None else sample
    for spectra in pairs:
        sample.add(spectra)
    if len(sample) == 0:
        raise ValueError("there are no pairs to fit")
    background = pairs.background
    if sample.groups < FEWEST_GROUPS:  # such as tomograms: what can be held out are their micrographs
        sample.group_by_micrograph()
        pairs.by_micrograph = True
    start, verdicts = fit_stationary(sample, box, settings)
    if not sample.complete:
        kept = {part: verdict.kept for part, verdict in verdicts.items()}
        model, _ = one_round(pairs, start, kept)
        start = start._replace(model=model)
    everything = sample if sample.complete else pairs
    variation, more = fit_variation(everything, sample, start.model, settings, normalized=normalize)
    innovations, last = choose_innovations(sample, start.model, variation, mask, settings)
    modulation, last["modulation"] = choose_modulation(sample, start.model, variation, settings["modulation"])
    last["edges"] = choose_edges(sample, start.model, settings["edges"])
    edges = correction(start.model, mean_ctf_power(sample)).float()
    return Fitted(start.model, variation, innovations, modulation, edges, background, verdicts | more | last)
