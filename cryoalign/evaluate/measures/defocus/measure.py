"""Is the CTF kept: the defocus and astigmatism that fakes show, beside the metadata's and raw's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cryoalign.errors import within
from cryoalign.evaluate.digits import interval_text
from cryoalign.evaluate.finding import Answer, Finding, Interval, Verdict, by_key, decide
from cryoalign.evaluate.measures.defocus.findings import CROSS, Fitted, defocus_chart, quantities, rings_chart
from cryoalign.evaluate.measures.defocus.profile import Located, difference
from cryoalign.evaluate.measures.defocus.sets import deal_sets, fit_sets
from cryoalign.evaluate.resampling import Resampling

if TYPE_CHECKING:
    from cryoalign.evaluate.case import Case

QUESTION = "Is the defocus kept?"


class DefocusMeasure:
    """Fit Thon rings of sets of images of like defocus, and compare them with the metadata and with raw's.

    Two spectra are looked at: the power spectrum, whose rings are those of all that passed the lens, and the
    cross spectrum with sim, whose rings are those of the particle and stand out of any noise. See
    `cryoalign.physics.thon_fit` for the fits and `cryoalign.evaluate.measures.defocus.profile` for their sum.

    Parameters
    ----------
    sets : int
        Sets of images at the most.
    images : int
        In a set; twice as many at the most.
    limit : float
        Error of the defocus that matters, in %; a spectrum that leaves the defocus open by half of it, either
        way, tells nothing.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "ctf"

    def __init__(self, sets: int = 24, images: int = 60, limit: float = 5.0) -> None:
        self.sets = within("measure.ctf.sets", sets, 1, whole=True)
        self.images = within("measure.ctf.images", images, 1, whole=True)
        self.limit = within("measure.ctf.limit", limit, above=0, unit="%")

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Answer ``ctf``.
        """
        pairs = case.pairs
        chosen = deal_sets(pairs, self.sets, self.images, case.seed)
        sets, relative = fit_sets(pairs, chosen, progress=case.progress)
        if not sets:
            sentences = (
                f"The first zero of the CTF is not well within what images of {pairs.pixel_size:.3g} Å/px "
                f"and {pairs.box} px resolve: there are no rings whose place would tell the defocus."
            )
            answer = Answer("ctf", QUESTION, Verdict.UNDECIDED, sentences)
            return Finding(self.name, by_key([answer]), left_out=(f"Defocus and astigmatism: {sentences}",))
        fitted = Fitted(pairs, sets, relative, Resampling(len(sets), case.draws, case.seed), self.limit)
        answer, left_out = self._answer(fitted)
        return Finding(
            measure=self.name,
            answers=by_key([answer]),
            quantities=by_key(quantities(fitted)),
            charts=by_key([rings_chart(fitted), defocus_chart(fitted)]),
            left_out=left_out,
        )

    def _answer(self, fitted: Fitted) -> tuple[Answer, tuple[str, ...]]:
        """Judge by each spectrum that shows the defocus, and say so in words."""
        verdicts, sentences, left_out = [], [], []
        spectra: dict[str, dict[str, str]] = {"Thon rings": {"fake": "fake", "raw": "raw"}}
        trouble = self._sim_trouble(fitted)
        if trouble:
            left_out.append(f"The cross spectrum with sim: {trouble}")
        else:
            spectra["the cross spectrum with sim"] = CROSS
        for label, names in spectra.items():
            fake = fitted.located(names["fake"])
            raw = fitted.located(names["raw"]) if names["raw"] in fitted.spectra else None
            if not fitted.shows_defocus(fake):
                sentences.append(f"In {label} fake's defocus cannot be seen: {_unseen(fake, self.limit)}.")
                continue
            if raw is None:
                of_raw = "raw images are of other particles"
            else:
                of_raw = f"raw's {_percent(raw)}" if fitted.shows_defocus(raw) else "raw's cannot be seen"
            sentences.append(f"By {label} fake's defocus is off by {_percent(fake)}, {of_raw}.")
            verdicts.append(self._verdict(fitted, fake, raw))
        verdict = Verdict.UNDECIDED
        if Verdict.FAIL in verdicts:
            verdict = Verdict.FAIL
        elif Verdict.PASS in verdicts:
            verdict = Verdict.PASS
        return Answer("ctf", QUESTION, verdict, " ".join(sentences), "thon_error"), tuple(left_out)

    def _verdict(self, fitted: Fitted, fake: Located, raw: Located | None) -> Verdict:
        """Fail what differs from the metadata and, where it shows, from raw."""
        verdicts = {decide(_size(fake.interval), self.limit)}
        if raw is not None and fitted.shows_defocus(raw):
            verdicts.add(decide(_size(difference(fake, raw)), self.limit))
        if verdicts == {Verdict.FAIL}:
            return Verdict.FAIL
        return Verdict.PASS if Verdict.PASS in verdicts else Verdict.UNDECIDED

    def _sim_trouble(self, fitted: Fitted) -> str:
        """Return why sim cannot serve as reference; empty where it can."""
        if "sim" not in fitted.spectra:
            return "there are no sims."
        sim = fitted.located("sim")
        if not fitted.shows_defocus(sim):
            return f"sim's own Thon rings do not tell the defocus: {_unseen(sim, self.limit)}."
        if abs(sim.interval.value) > self.limit:
            return f"sim's own Thon rings are off the metadata's defocus by {_percent(sim)}."
        return ""


def _size(value: Interval) -> Interval:
    """Interval of the absolute value."""
    low, high = sorted((abs(value.low), abs(value.high)))
    return Interval(abs(value.value), 0.0 if value.low <= 0 <= value.high else low, high)


def _percent(located: Located) -> str:
    found = located.interval
    return interval_text(found.value, found.low, found.high, "%")


def _unseen(located: Located, limit: float) -> str:
    """Return why a spectrum does not tell the defocus."""
    if located.margin <= 0:
        return "the best fit lies at the end of what was tried, 40 % off"
    if located.half > limit / 2:
        return f"the rings are too faint, or missing, and leave it open by {located.half:.2g} % either way"
    return f"another defocus fits nearly as well ({math.sqrt(located.margin):.1f} sigma)"
