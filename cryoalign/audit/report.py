"""The verdict for a reader and for a program: a table, a picture, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cryoalign.audit.verdict import CLEAR
from cryoalign.figures.audit import audit_figure
from cryoalign.io.table import least_width, print_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from cryoalign.audit.check import Evidence, Score
    from cryoalign.audit.correlation import Estimate
    from cryoalign.audit.transfer import Transfer
    from cryoalign.audit.verdict import Conclusion


def print_table(console: Console, evidence: Evidence, *, every: bool = False) -> None:
    """Print the table of hypotheses with no number cut: without the bands where a terminal is too narrow."""
    table = audit_table(evidence, every=every)
    if console.is_terminal and least_width(console, table) > console.width:
        table = audit_table(evidence, every=every, bands=False)
    print_whole(console, table)


def audit_table(evidence: Evidence, *, every: bool = False, bands: bool = True) -> Table:
    """Return the table of hypotheses for the terminal.

    Parameters
    ----------
    evidence : Evidence
    every : bool
        Every hypothesis; otherwise the two best of each family.
    bands : bool
        With the correlation in each band of resolution.
    """
    table = Table(
        title=f"{evidence.pairs} pairs: correlation of sim and raw",
        caption="whitened, the averages of both sets taken away;\ndiff.: paired, to the pairs as given"
        + ("" if bands else "; a wider terminal shows the bands"),
    )
    table.add_column("hypothesis", no_wrap=True)
    shown = ("mean", "error", "sigma\nof mean", "diff.", "sigma\nof diff.")
    for column in (*shown, *(_band_names(evidence) if bands else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for score in evidence.scores if every else _shown(evidence):
        difference = () if score is evidence.given else (score.difference.mean, score.difference.sigma)
        table.add_row(
            score.name,
            f"{score.correlation.mean:.4f}",
            f"{score.correlation.error:.4f}",
            f"{score.correlation.sigma:.1f}",
            *([f"{difference[0]:+.4f}", f"{difference[1]:+.1f}"] if difference else ["", ""]),
            *(f"{band.mean:.3f}" for band in score.bands if bands),
            style="bold" if score is evidence.given else None,
        )
    return table


def _band_names(evidence: Evidence) -> list[str]:
    """Name the bands by the resolution where they end."""
    return [f"to\n{_two_digits(1 / edge)} A" for edge in evidence.bands[1:]]


def _two_digits(value: float) -> str:
    """Round to two significant digits, without an exponent: 190, 24, 3.8."""
    return f"{float(f'{value:.2g}'):g}"


def _shown(evidence: Evidence) -> list[Score]:
    """Keep the pairs as given and the two best of each family."""
    kept: set[str] = set()
    for family in {score.family for score in evidence.scores}:
        members = sorted(
            (s for s in evidence.scores if s.family == family), key=lambda s: -s.correlation.mean
        )
        kept |= {score.name for score in members[:2]}
    return [score for score in evidence.scores if score.name in kept]


def report_lines(verdict: Conclusion, evidence: Evidence) -> list[str]:
    """Return the lines below the table, the verdict first."""
    lines = [verdict.line]
    if verdict.remedy is not None:
        lines.append(f"  remedy: {verdict.remedy}")
    if evidence.disagreement is not None:
        lines += ["  the metadata disagree:", *(f"    {line}" for line in evidence.disagreement.splitlines())]
    lines += [f"  not excluded: {family}: {reason}" for family, reason in verdict.undecidable.items()]
    return lines


def as_json(verdict: Conclusion, evidence: Evidence) -> dict[str, Any]:
    """Return verdict and evidence as plain values."""
    check = evidence.self_check
    return {
        "outcome": verdict.outcome,
        "verdict": verdict.line,
        "hypothesis": verdict.mistake,
        "alternatives": list(verdict.alternatives),
        "remedy": verdict.remedy,
        "undecidable": verdict.undecidable,
        "exit_code": verdict.exit_code,
        "pairs": evidence.pairs,
        "metadata_disagreement": evidence.disagreement,
        "band_edges_per_angstrom": list(evidence.bands),
        "hypotheses": [
            {
                "name": score.name,
                "family": score.family,
                "value": score.hypothesis.value,
                "envelope": score.envelope,
                "likeness_to_sim": score.likeness,
                "correlation": _plain(score.correlation),
                "difference": _plain(score.difference),
                "excluded": bool(score is not evidence.given and score.fair.sigma <= -CLEAR),
                "bands": [_plain(band) for band in score.bands],
            }
            for score in evidence.scores
        ],
        "sim_alone": {
            "claimed_ctf": _ctf(check.claimed),
            "suspected_ctf": _ctf(check.suspected),
            "gain": _plain(check.gain),
            "rows": {name: _plain(gain) for name, gain in check.rows.items()},
            "shift_slope": None if check.shift is None else check.shift.slope.tolist(),
            "shift_slope_error": None if check.shift is None else check.shift.error.tolist(),
            "pose": None if check.pose is None else _plain(check.pose),
            "inverse_pose": None if check.inverse_pose is None else _plain(check.inverse_pose),
        },
        "any_row": {
            "average": _plain(evidence.matching.average),
            "best_match_in_own_row": evidence.matching.same_row,
            "best_match_in_another_row": evidence.matching.other_row,
        },
    }


def _plain(entry: Estimate) -> dict[str, float]:
    return {"mean": entry.mean, "error": entry.error, "sigma": entry.sigma}


def _ctf(transfer: Transfer) -> dict[str, Any]:
    return {"times": transfer.power, "defocus_factor": transfer.scale, "phase_shift": transfer.phase}


def write_report(folder: Path, verdict: Conclusion, evidence: Evidence, inputs: Mapping[str, str]) -> None:
    """Write ``audit.json`` and ``audit.png``.

    Parameters
    ----------
    folder : Path
        Exists.
    verdict : Conclusion
    evidence : Evidence
    inputs : mapping of str to str
        The files that were looked at, by kind.
    """
    values = {**inputs, **as_json(verdict, evidence)}
    (folder / "audit.json").write_text(json.dumps(values, indent=2) + "\n")
    plain = [score for score in evidence.scores if score.hypothesis.factor is None]
    scans: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for score in evidence.scores:
        if score.hypothesis.factor is not None:
            factors, means, errors = scans.setdefault(score.hypothesis.scan, ([], [], []))
            factors.append(score.hypothesis.factor)
            means.append(score.correlation.mean)
            errors.append(score.correlation.error)
    figure = audit_figure(
        [score.name for score in plain],
        [score.correlation.mean for score in plain],
        [score.correlation.error for score in plain],
        scans=scans,
        bands=(
            evidence.bands,
            [band.mean for band in evidence.given.bands],
            [band.error for band in evidence.given.bands],
        ),
        title=verdict.line,
    )
    figure.savefig(folder / "audit.png")
