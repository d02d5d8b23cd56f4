"""Hold every hypothesis against the pairs, and simulated images against their own metadata."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.correlation import BANDS, Estimate, Rings, Scorer, estimate
from cryoalign.audit.hypotheses import (
    IDENTITY,
    NEUTRAL_CTF,
    NEUTRAL_MAP,
    NEUTRAL_SCALE,
    Hypothesis,
    bare,
    claimed_shift,
    hypotheses,
    neutral_images,
    still,
)
from cryoalign.audit.matching import Matching, match_any
from cryoalign.audit.self_check import CORRECTED_CTF, corrections, look_alone
from cryoalign.io.progress import progress_bar
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray

    from cryoalign.audit.sample import Sample
    from cryoalign.audit.self_check import Alone
    from cryoalign.audit.transfer import Transfer

_CLEAR = 3.0  # sigma by which raw has to confirm what sims seem to carry


@dataclass(frozen=True)
class Score:
    """What one hypothesis makes of the pairs.

    Attributes
    ----------
    key, family : str
    value : float or None
        See `cryoalign.audit.hypotheses.Hypothesis`.
    envelope : float
        The smooth fall-off that suits it best, exp(-envelope u^2).
    values : (n,) float64
        Correlation of each pair, the means of both sets taken away.
    correlation : Estimate
        Their mean.
    difference : Estimate
        Of the paired difference to the pairs as given, or to those treated in the same way without the
        change (`cryoalign.audit.hypotheses.neutral_images`) where these fit better: for naming it.
    fair : Estimate
        Of the paired difference to the pairs treated in the same way: for excluding it.
    gains : (n,) float64
        The differences of which `fair` is the mean.
    bands : tuple of Estimate
        Mean correlation in each of the bands.
    likeness : float
        Mean correlation of the hypothesis' images with the simulated ones, with the same weights.
    """

    key: str
    family: str
    value: float | None
    envelope: float
    values: NDArray[np.float64]
    correlation: Estimate
    difference: Estimate
    fair: Estimate
    gains: NDArray[np.float64]
    bands: tuple[Estimate, ...]
    likeness: float

    @property
    def power(self) -> float:
        """By how many sigma it could be told from the pairs as given, with the signal that there is."""
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
    alone : Alone
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
    bare : bool
        The metadata claim no CTF.
    disagreement : str or None
        Where the metadata differ.
    """

    scores: list[Score]
    alone: Alone
    matching: Matching
    bands: tuple[float, ...]
    pairs: int
    group_of: NDArray[np.int64]
    shift_rms: float
    pixel_size: float
    phase_shift: float
    bare: bool
    disagreement: str | None

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
    own = rfft2(sample.sims)
    bench = _Bench(Scorer(sample.raws, radius), own, sample.groups)
    alone = look_alone(sample, radius, poses=poses)
    given = bench.score(Hypothesis(IDENTITY, "none", lambda: own))
    neutral = {NEUTRAL_CTF: bench.values(neutral_images(sample, alone.suspected, NEUTRAL_CTF))[0]}
    corrected = [bench.score(one, given, neutral) for one in corrections(sample, alone)]
    carried = _confirmed(alone, corrected)
    kinds = (NEUTRAL_CTF, NEUTRAL_SCALE, NEUTRAL_MAP)
    neutral = {kind: bench.values(neutral_images(sample, carried, kind))[0] for kind in kinds}
    listed = list(hypotheses(sample, carried, poses=poses))
    bar = progress_bar(listed, "testing the pairs", shown=progress)
    tested = [bench.score(one, given, neutral) for one in bar]
    nyquist = 1 / (2 * sample.pixel_size)
    return Evidence(
        scores=[given, *corrected, *tested],
        alone=alone,
        matching=match_any(bench.scorer, own, sample.groups, given.envelope),
        bands=tuple(edge * nyquist for edge in BANDS),
        pairs=len(sample.sims),
        group_of=sample.groups,
        shift_rms=0.0 if still(sample) else float(claimed_shift(sample).std(0).mean()),
        pixel_size=float(sample.raw.optics_column("pixel_size").mean()),
        phase_shift=float(np.abs(sample.raw.phase_shift).max()),
        bare=bare(sample),
        disagreement=sample.disagreement,
    )


def _confirmed(alone: Alone, corrected: list[Score]) -> Transfer:
    """Return the CTF that other hypotheses start from: the claimed one, unless raw confirms another power.

    A defocus that differs is not taken for granted: one that is wrongly suspected would spoil all hypotheses
    of the CTF.
    """
    clear = any(score.key == CORRECTED_CTF and score.difference.sigma > _CLEAR for score in corrected)
    return alone.suspected if clear and alone.suspected.power != alone.claimed.power else alone.claimed


@dataclass(frozen=True)
class _Bench:
    """The measured images, and the simulated ones to compare with."""

    scorer: Scorer
    own: torch.Tensor
    groups: NDArray[np.int64]

    def values(self, templates: torch.Tensor) -> tuple[NDArray[np.float64], float, Rings]:
        """Return the correlation of each pair, the envelope that suits them best, and the sums over rings."""
        rings = self.scorer.rings(templates)
        envelope = self.scorer.best_envelope(rings)
        return self.scorer.correlation(rings, envelope), envelope, rings

    def score(
        self,
        hypothesis: Hypothesis,
        given: Score | None = None,
        neutral: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> Score:
        """Hold one hypothesis against the measured images, compared with the pairs as given if they are."""
        templates = hypothesis.make()
        values, envelope, rings = self.values(templates)
        untouched = values if given is None else given.values
        treated = neutral[hypothesis.neutral] if neutral and hypothesis.neutral else untouched
        better = max(untouched, treated, key=lambda other: float(other.mean()))
        gains = values - treated
        bands = (self.scorer.correlation(rings, envelope, band) for band in pairwise(BANDS))
        return Score(
            key=hypothesis.key,
            family=hypothesis.family,
            value=hypothesis.value,
            envelope=envelope,
            values=values,
            gains=gains,
            correlation=estimate(values, self.groups),
            difference=estimate(values - better, self.groups),
            fair=estimate(gains, self.groups),
            bands=tuple(estimate(band, self.groups) for band in bands),
            likeness=self.scorer.likeness(self.own, templates, envelope),
        )


def name_of(score: Score) -> str:
    """Name a hypothesis for a reader."""
    return "pairs as given" if score.key == IDENTITY else score.key
