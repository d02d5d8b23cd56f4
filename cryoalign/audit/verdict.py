"""The verdict on a set of pairs: they agree, this is wrong with them, or nothing can be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoalign.audit.correlation import estimate

if TYPE_CHECKING:
    from cryoalign.audit.check import Evidence, Score
    from cryoalign.audit.correlation import Estimate
    from cryoalign.audit.hypotheses.hypothesis import Explanation

Outcome = Literal["agree", "wrong", "no relation", "undecided"]

#: Chance of a false alarm, shared by all hypotheses.
ALPHA = 1e-3
#: Sigma beyond which a hypothesis counts as excluded, or as fitting better without proof.
CLEAR = 3.0
_STRONGER = 1.5  # by which factor matches with other rows have to exceed every hypothesis
_FOLLOWS = 0.05  # correlation with the map of other images, below which a set does not follow its poses
_MATCHED = 0.05  # fraction of images that have to find their partner in another row


@dataclass(frozen=True)
class Conclusion:
    """What is said of the pairs.

    Attributes
    ----------
    outcome : str
        ``agree``, ``wrong``, ``no relation`` or ``undecided``.
    line : str
        The verdict in one line.
    mistake : str or None
        Name of the hypothesis that won, or of what the simulated images or the metadata show by themselves.
    alternatives : tuple of str
        Hypotheses that fit as well as the one that won.
    remedy : str or None
        What to do.
    undecidable : mapping of str to str
        Families that these pairs cannot exclude, and why.
    """

    outcome: Outcome
    line: str
    mistake: str | None
    alternatives: tuple[str, ...]
    remedy: str | None
    undecidable: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0 agree, 2 a wrong relation was named, 3 no relation or undecided."""
        return {"agree": 0, "wrong": 2}.get(self.outcome, 3)


def conclude(evidence: Evidence) -> Conclusion:
    """Draw a conclusion from the evidence.

    A hypothesis is named if its correlation is significant and exceeds that of the pairs as given in the
    paired test, both after Bonferroni's correction: the one with the highest correlation, and besides
    those that cannot be distinguished from it. What simulated images seem to do against their metadata is
    named only if the measured images confirm it. The pairs agree if the correlation of the pairs as given is
    significant and no hypothesis does better by three sigma.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Conclusion
    """
    limit = ALPHA / len(evidence.scores)
    better = [
        score
        for score in evidence.scores[1:]
        if max(score.correlation.chance, score.difference.chance) < limit
    ]
    if _shuffled(evidence):
        return _unrelated(evidence)
    if better:
        return _named(evidence, max(better, key=lambda score: score.correlation.mean))
    if evidence.given.correlation.chance < limit:
        return _related(evidence)
    return _unrelated(evidence)


def _related(evidence: Evidence) -> Conclusion:
    """Look for doubts about pairs that fit each other and that no hypothesis beats beyond chance."""
    undecidable, sigma = undecided_families(evidence), evidence.given.correlation.sigma
    scores = {score.name: score for score in evidence.scores}
    for name, found in evidence.contradictions.items():
        by = scores[name].difference.sigma
        if by > CLEAR:
            return _named(evidence, scores[name])
        if scores[name].fair.sigma > -CLEAR:
            line = f"undecided: it seems that {found.line}; raw does not confirm it ({by:+.1f} sigma)"
            return Conclusion("undecided", line, found.mistake, (), found.remedy, undecidable)
    if evidence.disagreement is not None:
        line = f"images fit each other ({sigma:.0f} sigma), but the metadata of the pairs disagree"
        return Conclusion("wrong", line, "metadata", (), "simulate these raw particles anew", undecidable)
    doubtful = max(evidence.scores[1:], key=lambda score: score.difference.sigma)
    if doubtful.difference.sigma > CLEAR:
        line = f"undecided, {doubtful.difference.sigma:.1f} sigma for: {doubtful.hypothesis.line}"
        return Conclusion("undecided", line, doubtful.name, (), _more(evidence), undecidable)
    return Conclusion("agree", f"pairs agree, {sigma:.0f} sigma", None, (), None, undecidable)


def _named(evidence: Evidence, best: Score) -> Conclusion:
    """Name the best hypothesis, as the simulated images show it where they do so by themselves."""
    suspected = [
        score
        for score in evidence.scores
        if score.name in evidence.contradictions
        and score.hypothesis.kind == best.hypothesis.kind
        and score.fair.sigma > -CLEAR
    ]
    for score in suspected:
        if score.hypothesis.certain and score.difference.sigma > CLEAR:
            found = _explain(evidence, score)
            return Conclusion("wrong", found.line, found.mistake, (), found.remedy, {})
    equals = [best, *(score for score in evidence.scores[1:] if _as_good(evidence, score, best))]
    equals += [score for score in suspected if all(score is not other for other in equals)]
    kinds: dict[str, list[Score]] = {}
    for score in equals:
        group = score.name if score.name in evidence.contradictions else score.family
        kinds.setdefault(group, []).append(score)
    lines = [_phrase(evidence, members) for members in kinds.values()]
    by = f"better by {best.difference.sigma:.0f} sigma"
    found = _explain(evidence, best)
    if len(lines) == 1:
        return Conclusion("wrong", f"{lines[0]} ({by})", found.mistake, (), found.remedy, {})
    if suspected:  # what sims seem to be is at odds with what raw shows: neither may be right
        line = f"undecided: sim and raw differ ({by}), perhaps in one of these: {'; or '.join(lines)}"
        left = undecided_families(evidence)
        return Conclusion("undecided", line, found.mistake, tuple(lines[1:]), _more(evidence), left)
    line = f"sim and raw differ ({by}), in one of these: {'; or '.join(lines)}"
    remedy = f"if it is the first: {found.remedy}"
    return Conclusion("wrong", line, found.mistake, tuple(lines[1:]), remedy, {})


def _as_good(evidence: Evidence, score: Score, best: Score) -> bool:
    """Return whether a hypothesis fits as well as the best one, the cost of dividing by a CTF set aside.

    One of another kind has to be better than the pairs as given by itself.
    """
    alike = score.hypothesis.kind == best.hypothesis.kind
    if score is best or score.fair.sigma <= (0 if alike else CLEAR):
        return False
    return estimate(best.gains - score.gains, evidence.group_of).sigma < CLEAR


def _explain(evidence: Evidence, score: Score) -> Explanation:
    """Explain a hypothesis by what the simulated images show by themselves, if they do."""
    return evidence.contradictions.get(score.name) or score.hypothesis.explanation


def _phrase(evidence: Evidence, members: list[Score]) -> str:
    """Describe hypotheses of one family that fit alike in one phrase, the best first."""
    first = max(members, key=lambda score: float(score.gains.mean()))
    line = _explain(evidence, first).line
    factors = sorted(score.hypothesis.factor for score in members if score.hypothesis.factor is not None)
    if first.hypothesis.factor is None or len(factors) < 2:
        return line
    return f"{line} (factors of {factors[0]:g} to {factors[-1]:g} fit alike)"


def _unrelated(evidence: Evidence) -> Conclusion:
    """Return why no row fits its partner, as far as that can be known."""
    matching, check = evidence.matching, evidence.self_check
    remedy = "match the rows by rlnImageOriginalName, or simulate these raw particles anew"
    alike = matching.average.sigma > CLEAR
    follows = max(
        (pose for pose in (check.pose, check.inverse_pose) if pose is not None), key=_mean, default=None
    )
    if _shuffled(evidence):
        fitting = f"{matching.other_row} of {evidence.pairs} images fit the simulated image of another row"
        return Conclusion("wrong", f"rows are shuffled: {fitting}", "rows shuffled", (), remedy, {})
    if alike and follows is not None and (follows.mean < _FOLLOWS or follows.sigma < CLEAR):
        line = (
            "rows are shuffled: sim does not follow the poses of its rows, and raw does not fit it row by row"
        )
        return Conclusion("wrong", line, "rows shuffled", (), remedy, {})
    for found in evidence.contradictions.values():
        if found.family == "pose":
            return Conclusion("wrong", found.line, found.mistake, (), found.remedy, {})
        if found.family == "rows":
            line = f"undecided: it seems that {found.line}"
            return Conclusion("undecided", line, found.mistake, (), found.remedy, {})
    if evidence.given.correlation.sigma > CLEAR:
        line = f"undecided: a correlation of {evidence.given.correlation.sigma:.1f} sigma"
        return Conclusion("undecided", line, None, (), _more(evidence), {})
    line = "no relation found"
    if alike:
        average = f"the average images are alike ({matching.average.sigma:.0f} sigma)"
        line += f": {average}, but not row by row: rows shuffled, or other poses"
    return Conclusion("no relation", line, None, (), remedy, {})


def _more(evidence: Evidence) -> str:
    """Return what would decide where these pairs do not."""
    if evidence.whole:
        return f"these {evidence.pairs} are all pairs there are: only more particles can decide it"
    return "look at more pairs, all with sample=0"


def _shuffled(evidence: Evidence) -> bool:
    """Return whether images fit others' partners, and better than under any hypothesis of their rows."""
    matching = evidence.matching
    best = max(score.correlation.mean for score in evidence.scores)
    many = matching.other_row >= max(_MATCHED * evidence.pairs, 3) and matching.other_row > matching.same_row
    return many and matching.strength > _STRONGER * best


def _mean(entry: Estimate) -> float:
    return entry.mean


def undecided_families(evidence: Evidence) -> dict[str, str]:
    """Return the ways of being wrong that these pairs cannot exclude, each with its reason."""
    reasons: dict[str, str] = {}
    if evidence.shift_rms == 0:
        reasons["shift"] = "the claimed shifts do not vary"
    elif abs(np.log(evidence.pixel_size)) < 0.05:
        reasons["shift unit"] = f"at {evidence.pixel_size:.3g} A/px, A and px are nearly the same"
    if evidence.phase_shift == 0:
        reasons["phase shift"] = "every phase shift is zero"
    if evidence.no_ctf:
        reasons["CTF and defocus"] = "the metadata claim no CTF"
    for family in dict.fromkeys(score.family for score in evidence.scores[1:]):
        left = [
            score for score in evidence.scores[1:] if score.family == family and score.fair.sigma > -CLEAR
        ]
        if left:
            closest = max(left, key=lambda score: score.likeness)
            names = ", ".join(score.name for score in left)
            reasons[family] = f"{names}: {_reason(closest)}"
    return reasons


def _reason(score: Score) -> str:
    if score.likeness > 0.98:
        return f"the images would be nearly the same (they correlate by {score.likeness:.3f})"
    return f"{score.fair.sigma:+.1f} sigma, where {score.power:.1f} could be expected"
