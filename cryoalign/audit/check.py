"""Test every hypothesis on the pairs, and simulated images against their metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.correlation import BANDS, Estimate, Rings, Scorer, estimate
from cryoalign.audit.hypotheses.corrected import CorrectedCtf
from cryoalign.audit.hypotheses.every import every_hypothesis
from cryoalign.audit.hypotheses.hypothesis import AsGiven, Basis, Treatment
from cryoalign.audit.hypotheses.shift import shifts_vary
from cryoalign.audit.hypotheses.treatment import treated
from cryoalign.audit.matching import Matching, match_any
from cryoalign.audit.self_check import check_simulated, contradictions, corrections
from cryoalign.audit.transfer import claims_no_ctf
from cryoalign.io.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from numpy.typing import NDArray

    from cryoalign.audit.hypotheses.hypothesis import Explanation, Hypothesis
    from cryoalign.audit.sample import Sample
    from cryoalign.audit.self_check import SelfCheck
    from cryoalign.audit.transfer import Transfer

_CLEAR = 3.0  # sigma by which raw has to confirm what sims seem to carry


@dataclass(frozen=True)
class Score:
    """How well the images of one hypothesis fit the measured ones.

    Attributes
    ----------
    hypothesis : Hypothesis
    envelope : float
        The smooth fall-off that suits it best, exp(-envelope u^2).
    values : (n,) float64
        Correlation of each pair, the means of both sets taken away.
    correlation : Estimate
        Their mean.
    difference : Estimate
        Of the paired difference to the pairs as given, or to those treated in the same way without the
        change (`cryoalign.audit.hypotheses.treatment.treated`) where these fit better: for naming it.
    fair : Estimate
        Of the paired difference to the pairs treated in the same way: for excluding it.
    gains : (n,) float64
        The differences of which `fair` is the mean.
    bands : tuple of Estimate
        Mean correlation in each of the bands.
    likeness : float
        Mean correlation of the hypothesis' images with the simulated ones, with the same weights.
    """

    hypothesis: Hypothesis = field(repr=False)
    envelope: float
    values: NDArray[np.float64]
    correlation: Estimate
    difference: Estimate
    fair: Estimate
    gains: NDArray[np.float64]
    bands: tuple[Estimate, ...]
    likeness: float

    @property
    def name(self) -> str:
        """Of the hypothesis."""
        return self.hypothesis.name

    @property
    def family(self) -> str:
        """Of the hypothesis."""
        return self.hypothesis.family

    @property
    def power(self) -> float:
        """By how many sigma the signal could distinguish it from the pairs as given."""
        if self.difference.error == 0:
            return 0.0
        signal = max(abs(self.correlation.mean - self.difference.mean), abs(self.correlation.mean))
        return signal * (1 - self.likeness) / self.difference.error


@dataclass(frozen=True)
class Evidence:
    """Everything that a verdict is made of.

    Attributes
    ----------
    scores : list of Score
        The pairs as given first.
    self_check : SelfCheck
    contradictions : dict of str to Explanation
        See `cryoalign.audit.self_check.contradictions`.
    matching : Matching
        Whether images fit those of other rows.
    bands : tuple of float
        Edges of the bands in 1/A.
    pairs : int
        How many there are.
    group_of : (n,) int64
        Number of the micrograph of each.
    shift_rms : float
        Root mean square of the claimed shifts about their mean in px of the sample.
    pixel_size : float
        Of the original raw images in A.
    phase_shift : float
        Largest claimed phase shift in degrees.
    no_ctf : bool
        The metadata claim no CTF.
    disagreement : str or None
        Where the metadata differ.
    whole : bool
        Whether there are no other pairs to look at.
    """

    scores: list[Score]
    self_check: SelfCheck
    contradictions: dict[str, Explanation]
    matching: Matching
    bands: tuple[float, ...]
    pairs: int
    group_of: NDArray[np.int64]
    shift_rms: float
    pixel_size: float
    phase_shift: float
    no_ctf: bool
    disagreement: str | None
    whole: bool

    @property
    def given(self) -> Score:
        """The pairs as they were given."""
        return self.scores[0]


def check_pairs(
    sample: Sample, *, radius: float = 0.9, poses: bool = True, progress: bool = False
) -> Evidence:
    """Test pairs against every way in which they may be wrong.

    Parameters
    ----------
    sample : Sample
    radius : float
        Radius of the particle's circle as a fraction of half the box.
    poses : bool
        Test the poses too, the slowest part.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Evidence
    """
    check = check_simulated(sample, radius, poses=poses)
    basis = Basis(sample, check.suspected)
    comparison = _Comparison(Scorer(sample.raws, radius), basis.spectra, sample.groups)
    given = comparison.score(AsGiven(basis))
    to_correct = list(corrections(sample, check))
    corrected = list(comparison.scores(to_correct, basis, given))
    basis = Basis(sample, _confirmed(check, corrected))
    listed = list(every_hypothesis(basis, poses=poses))
    bar = progress_bar(listed, "testing the pairs", shown=progress)
    tested = list(comparison.scores(bar, basis, given))
    nyquist = 1 / (2 * sample.pixel_size)
    return Evidence(
        scores=[given, *corrected, *tested],
        self_check=check,
        contradictions=contradictions(check, to_correct),
        matching=match_any(comparison.scorer, basis.spectra, sample.groups, given.envelope),
        bands=tuple(edge * nyquist for edge in BANDS),
        pairs=len(sample.sims),
        group_of=sample.groups,
        shift_rms=float(basis.claimed_shift.std(0).mean()) if shifts_vary(basis) else 0.0,
        pixel_size=basis.original_pixel_size,
        phase_shift=float(np.abs(sample.raw.phase_shift).max()),
        no_ctf=claims_no_ctf(sample),
        disagreement=sample.disagreement,
        whole=sample.whole,
    )


def _confirmed(check: SelfCheck, corrected: list[Score]) -> Transfer:
    """Return the CTF that other hypotheses start from: the claimed one, unless raw confirms another power.

    A defocus that differs is not taken for granted: one that is wrongly suspected would spoil all hypotheses
    of the CTF.
    """
    clear = any(
        isinstance(score.hypothesis, CorrectedCtf) and score.difference.sigma > _CLEAR for score in corrected
    )
    return check.suspected if clear and check.suspected.power != check.claimed.power else check.claimed


@dataclass(frozen=True)
class _Comparison:
    """The measured images, and the simulated ones that they are compared with."""

    scorer: Scorer
    spectra: torch.Tensor
    groups: NDArray[np.int64]

    def values(self, templates: torch.Tensor) -> tuple[NDArray[np.float64], float, Rings]:
        """Return the correlation of each pair, the envelope that suits them best, and the sums over rings."""
        rings = self.scorer.rings(templates)
        envelope = self.scorer.best_envelope(rings)
        return self.scorer.correlation(rings, envelope), envelope, rings

    def scores(self, hypotheses: Iterable[Hypothesis], basis: Basis, given: Score) -> Iterator[Score]:
        """Score hypotheses on the measured images, compared with the pairs as given and as treated."""
        neutral = {Treatment.NONE: given.values}
        for hypothesis in hypotheses:
            if hypothesis.treatment not in neutral:
                neutral[hypothesis.treatment] = self.values(treated(basis, hypothesis.treatment))[0]
            yield self.score(hypothesis, given.values, neutral[hypothesis.treatment])

    def score(
        self,
        hypothesis: Hypothesis,
        untouched: NDArray[np.float64] | None = None,
        neutral: NDArray[np.float64] | None = None,
    ) -> Score:
        """Score one hypothesis on the measured images; without others' values, compared with itself."""
        templates = hypothesis.images()
        values, envelope, rings = self.values(templates)
        untouched = values if untouched is None else untouched
        neutral = values if neutral is None else neutral
        better = max(untouched, neutral, key=lambda other: float(other.mean()))
        gains = values - neutral
        bands = (self.scorer.correlation(rings, envelope, band) for band in pairwise(BANDS))
        return Score(
            hypothesis=hypothesis,
            envelope=envelope,
            values=values,
            gains=gains,
            correlation=estimate(values, self.groups),
            difference=estimate(values - better, self.groups),
            fair=estimate(gains, self.groups),
            bands=tuple(estimate(band, self.groups) for band in bands),
            likeness=self.scorer.likeness(self.spectra, templates, envelope),
        )
