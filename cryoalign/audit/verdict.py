"""The plain word on a set of pairs: they agree, this is wrong with them, or nothing can be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoalign.audit.contradictions import own_findings
from cryoalign.audit.correlation import estimate
from cryoalign.audit.self_check import CORRECTED_CTF
from cryoalign.audit.wording import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoalign.audit.check import Evidence, Score
    from cryoalign.audit.correlation import Estimate
    from cryoalign.audit.wording import Finding

Outcome = Literal["agree", "wrong", "no relation", "undecided"]

#: Chance of a false alarm, shared by all hypotheses.
ALPHA = 1e-3
#: Sigma beyond which a hypothesis counts as excluded, or as fitting better without proof.
CLEAR = 3.0
_STRONGER = 1.5  # by which factor matches with other rows have to exceed every hypothesis
_MORE = "look at more pairs, all with sample=0"
_FOLLOWS = 0.05  # correlation with the map of other images, below which a set does not follow its poses
_MATCHED = 0.05  # fraction of images that have to find their partner in another row
#: Families that are different words for one thing where images reach low frequencies only.
_KINDS = {"defocus": "CTF", "phase shift": "CTF"}


@dataclass(frozen=True)
class Verdict:
    """What is said of the pairs.

    Attributes
    ----------
    outcome : str
        ``agree``, ``wrong``, ``no relation`` or ``undecided``.
    line : str
        The verdict in one line.
    key : str or None
        The hypothesis that won, or what the simulated images alone or the metadata show.
    alternatives : tuple of str
        Hypotheses that fit as well as the one that won.
    remedy : str or None
        What to do.
    undecidable : mapping of str to str
        Families that these pairs cannot exclude, and why.
    """

    outcome: Outcome
    line: str
    key: str | None
    alternatives: tuple[str, ...]
    remedy: str | None
    undecidable: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0 agree, 2 a wrong relation was named, 3 no relation or undecided."""
        return {"agree": 0, "wrong": 2}.get(self.outcome, 3)


def judge(evidence: Evidence) -> Verdict:
    """Make a verdict of the evidence.

    A hypothesis is named if its correlation is significant and exceeds that of the pairs as given in the
    paired test, both after Bonferroni's correction: the one with the highest correlation, and beside it
    those that cannot be told from it. What simulated images seem to do against their own metadata is named
    only if the measured images confirm it. The pairs agree if their own correlation is significant and no
    hypothesis does better by three sigma.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Verdict
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


def _related(evidence: Evidence) -> Verdict:
    """Look for doubts about pairs that fit each other and that no hypothesis beats beyond chance."""
    undecidable, sigma = undecided_families(evidence), evidence.given.correlation.sigma
    scores = {score.key: score for score in evidence.scores}
    for key, word in own_findings(evidence).items():
        by = scores[key].difference.sigma
        if by > CLEAR:
            return _named(evidence, scores[key])
        if scores[key].fair.sigma > -CLEAR:
            line = f"undecided: it seems that {word.line}; raw does not confirm it ({by:+.1f} sigma)"
            return Verdict("undecided", line, word.key, (), word.remedy, undecidable)
    if evidence.disagreement is not None:
        line = f"images fit each other ({sigma:.0f} sigma), but the metadata of the pairs disagree"
        return Verdict("wrong", line, "metadata", (), "simulate these raw particles anew", undecidable)
    doubtful = max(evidence.scores[1:], key=lambda score: score.difference.sigma)
    if doubtful.difference.sigma > CLEAR:
        line = f"undecided, {doubtful.difference.sigma:.1f} sigma for: {finding(evidence, doubtful).line}"
        return Verdict("undecided", line, doubtful.key, (), _MORE, undecidable)
    return Verdict("agree", f"pairs agree, {sigma:.0f} sigma", None, (), None, undecidable)


def _named(evidence: Evidence, best: Score) -> Verdict:
    """Name the best hypothesis, in the words of the simulated images where they say it themselves."""
    own = own_findings(evidence)
    suspected = [
        score
        for score in evidence.scores
        if score.key in own and _kind(score) == _kind(best) and score.fair.sigma > -CLEAR
    ]
    for score in suspected:
        if _sure(evidence, score):
            word = own[score.key]
            return Verdict("wrong", word.line, word.key, (), word.remedy, {})
    equals = [best, *(score for score in evidence.scores[1:] if _as_good(evidence, score, best))]
    equals += [score for score in suspected if all(score is not other for other in equals)]
    kinds: dict[str, list[Score]] = {}
    for score in equals:
        kinds.setdefault(score.key if score.key in own else score.family, []).append(score)
    lines = [_words(evidence, own, members) for members in kinds.values()]
    by = f"better by {best.difference.sigma:.0f} sigma"
    word = own.get(best.key) or finding(evidence, best)
    if len(lines) == 1:
        return Verdict("wrong", f"{lines[0]} ({by})", word.key, (), word.remedy, {})
    if suspected:  # what sims seem to be is at odds with what raw shows: neither may be right
        line = f"undecided: sim and raw differ ({by}), perhaps in one of these: {'; or '.join(lines)}"
        return Verdict("undecided", line, word.key, tuple(lines[1:]), _MORE, undecided_families(evidence))
    line = f"sim and raw differ ({by}), in one of these: {'; or '.join(lines)}"
    remedy = f"if it is the first: {word.remedy}"
    return Verdict("wrong", line, word.key, tuple(lines[1:]), remedy, {})


def _kind(score: Score) -> str:
    return _KINDS.get(score.family, score.family)


def _as_good(evidence: Evidence, score: Score, best: Score) -> bool:
    """Return whether a hypothesis cannot be told from the best one, the cost of dividing by a CTF set aside.

    One of another kind has to be better than the pairs as given by itself.
    """
    if score is best or score.fair.sigma <= (0 if _kind(score) == _kind(best) else CLEAR):
        return False
    return estimate(best.gains - score.gains, evidence.group_of).sigma < CLEAR


def _sure(evidence: Evidence, score: Score) -> bool:
    """Return whether simulated images tell it and raw confirms it; a defocus has other explanations too."""
    suspected, claimed = evidence.alone.suspected, evidence.alone.claimed
    exact = score.key != CORRECTED_CTF or suspected.power != claimed.power
    return exact and score.difference.sigma > CLEAR


def _words(evidence: Evidence, own: Mapping[str, Finding], members: list[Score]) -> str:
    """Put hypotheses of one family that fit alike into one phrase, the best first."""
    first = max(members, key=lambda score: float(score.gains.mean()))
    line = (own.get(first.key) or finding(evidence, first)).line
    offset = 1.0 if first.family == "shift" else 0.0
    factors = sorted(offset + score.value for score in members if score.value is not None)
    if first.value is None or len(factors) < 2:
        return line
    return f"{line} (factors of {factors[0]:g} to {factors[-1]:g} fit alike)"


def _unrelated(evidence: Evidence) -> Verdict:
    """Return why no row fits its partner, as far as that can be known."""
    matching, alone = evidence.matching, evidence.alone
    remedy = "match the rows by rlnImageOriginalName, or simulate these raw particles anew"
    alike = matching.average.sigma > CLEAR
    follows = max(
        (pose for pose in (alone.pose, alone.inverse_pose) if pose is not None), key=_mean, default=None
    )
    if _shuffled(evidence):
        fitting = f"{matching.other} of {evidence.pairs} images fit the simulated image of another row"
        return Verdict("wrong", f"rows are shuffled: {fitting}", "rows shuffled", (), remedy, {})
    if alike and follows is not None and (follows.mean < _FOLLOWS or follows.sigma < CLEAR):
        line = (
            "rows are shuffled: sim does not follow the poses of its rows, and raw does not fit it row by row"
        )
        return Verdict("wrong", line, "rows shuffled", (), remedy, {})
    for word in own_findings(evidence).values():
        if word.family == "pose":
            return Verdict("wrong", word.line, word.key, (), word.remedy, {})
        if word.family == "rows":
            line = f"undecided: it seems that {word.line}"
            return Verdict("undecided", line, word.key, (), word.remedy, {})
    if evidence.given.correlation.sigma > CLEAR:
        line = f"undecided: a correlation of {evidence.given.correlation.sigma:.1f} sigma"
        return Verdict("undecided", line, None, (), _MORE, {})
    line = "no relation found"
    if alike:
        average = f"the average images are alike ({matching.average.sigma:.0f} sigma)"
        line += f": {average}, but not row by row: rows shuffled, or other poses"
    return Verdict("no relation", line, None, (), remedy, {})


def _shuffled(evidence: Evidence) -> bool:
    """Return whether images fit others' partners, and better than any hypothesis makes them fit their own."""
    matching = evidence.matching
    best = max(score.correlation.mean for score in evidence.scores)
    many = matching.other >= max(_MATCHED * evidence.pairs, 3) and matching.other > matching.own
    return many and matching.strength > _STRONGER * best


def _mean(entry: Estimate) -> float:
    return entry.mean


def undecided_families(evidence: Evidence) -> dict[str, str]:
    """Return the ways of being wrong that these pairs cannot exclude, each with its reason.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    dict of str to str
    """
    reasons: dict[str, str] = {}
    if evidence.shift_rms == 0:
        reasons["shift"] = "the claimed shifts do not vary"
    elif abs(np.log(evidence.pixel_size)) < 0.05:
        reasons["shift unit"] = f"at {evidence.pixel_size:.3g} A/px, A and px are nearly the same"
    if evidence.phase_shift == 0:
        reasons["phase shift"] = "every phase shift is zero"
    if evidence.bare:
        reasons["CTF and defocus"] = "the metadata claim no CTF"
    for family in dict.fromkeys(score.family for score in evidence.scores[1:]):
        left = [
            score for score in evidence.scores[1:] if score.family == family and score.fair.sigma > -CLEAR
        ]
        if left:
            closest = max(left, key=lambda score: score.likeness)
            names = ", ".join(score.key for score in left)
            reasons[family] = f"{names}: {_reason(closest)}"
    return reasons


def _reason(score: Score) -> str:
    if score.likeness > 0.98:
        return f"the images would be nearly the same (they correlate by {score.likeness:.3f})"
    return f"{score.fair.sigma:+.1f} sigma, where {score.power:.1f} could be expected"
