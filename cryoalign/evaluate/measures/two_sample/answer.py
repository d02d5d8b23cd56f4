"""The answer of the two-sample test: AUCs held against their limit, where groups do not differ anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryoalign.evaluate.digits import interval_text
from cryoalign.evaluate.finding import Answer, Interval, Quantity, Verdict, decide, together

if TYPE_CHECKING:
    from collections.abc import Sequence


class Judged(NamedTuple):
    """What one classifier found.

    Attributes
    ----------
    quantity : Quantity
        AUC of fake against raw.
    groups : Quantity or None
        AUC of raw of other groups in the fakes' place; None where there are too few groups.
    """

    quantity: Quantity
    groups: Quantity | None

    @property
    def groups_differ(self) -> bool:
        """Whether the classifier tells real images of some groups from those of others."""
        return self.groups is not None and not _holds_chance(self.groups.fake)


def answer_of(judged: Sequence[Judged], limit: float) -> Answer:
    """Answer whether a classifier can tell fake from raw.

    Parameters
    ----------
    judged : sequence of Judged
        One of each classifier.
    limit : float
        Largest AUC that passes.

    Returns
    -------
    Answer
        A classifier that tells real images of other groups decides nothing; with both it is undecided.
    """
    verdict = together(
        *(
            Verdict.UNDECIDED if entry.groups_differ else decide(entry.quantity.fake, limit)
            for entry in judged
        )
    )
    aucs = " and ".join(
        f"{_name(entry.quantity)} with an AUC of {_text(entry.quantity.fake)}" for entry in judged
    )
    sentences = [f"On groups held out, {aucs} (0.5 is guessing, 1 always right; up to {limit:g} passes)."]
    differ = [
        f"{_name(entry.quantity)} with {_text(entry.groups.fake)}"
        for entry in judged
        if entry.groups is not None and entry.groups_differ
    ]
    if differ:
        sentences.append(
            f"But real images of other groups in fake's place are told, too, by {' and by '.join(differ)}: "
            "groups differ by themselves, and what such a classifier says of fakes decides nothing."
        )
    sentences += [entry.quantity.note for entry in judged if entry.quantity.note]
    shown = max((entry.quantity for entry in judged), key=lambda quantity: quantity.fake.value).key
    return Answer("two_sample", "Can a classifier tell fake from raw?", verdict, " ".join(sentences), shown)


def _name(quantity: Quantity) -> str:
    return quantity.label.removeprefix("AUC of ")


def _holds_chance(interval: Interval) -> bool:
    """Whether an AUC may be that of guessing; so it is where it has no interval."""
    return not (interval.low > 0.5 or interval.high < 0.5)


def _text(interval: Interval) -> str:
    return interval_text(interval.value, interval.low, interval.high)


def hints(fake: Quantity, floor: Quantity | None) -> str:
    """Describe what hints at a mistake of the test itself.

    Parameters
    ----------
    fake : Quantity
        AUC of fake against raw.
    floor : Quantity or None
        That of raw against raw.

    Returns
    -------
    str
        Empty where nothing does.
    """
    sentences = []
    if fake.fake.high < 0.5:
        sentences.append(
            f"The {fake.label} lies below 0.5: by chance, once in 40 times, or because images of different"
            " groups are related (one micrograph under several names, the noise of one image in others)."
        )
    if floor is not None and not floor.fake.low <= 0.5 <= floor.fake.high:
        sentences.append(
            f"Raw against raw the {fake.label} is {_text(floor.fake)}, where 0.5 is expected: chance does"
            " that once in 20 times; else the intervals are too narrow for so few groups."
        )
    return " ".join(sentences)
