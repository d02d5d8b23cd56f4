"""The page of an evaluation: verdicts first, then each measure with its numbers and figures."""

from __future__ import annotations

import shlex
from collections import Counter
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cryoalign.evaluate.digits import interval_text, number, unit_sign
from cryoalign.evaluate.document import MAIN
from cryoalign.evaluate.rendering import drawing, moment, picture, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Plain = dict[str, Any]

_FACTS = {
    "run": "run",
    "checkpoint": "checkpoint",
    "part": "part of the split",
    "pairs": "pairs",
    "groups": "groups",
    "group_by": "groups are",
    "units": "resampled units",
    "box": "box",
    "pixel_size": "pixel size",
    "defocus_bins": "defocus bins",
    "draws": "bootstrap draws",
    "seed": "seed",
    "created": "made",
    "command": "command",
    "git": "commit",
    "versions": "versions",
}
_COMMANDS = ("train", "simulate", "audit", "evaluate", "export", "report")
_APART = ("title", "notes", "files")  # shown elsewhere
_GALLERY = "The first particles: sim, fake and raw, and their power spectra"


def evaluation_page(document: Mapping[str, Any], *, gallery: bytes | None = None) -> str:
    """Make ``report.html`` of the content of ``evaluation.json``.

    Parameters
    ----------
    document : mapping
        As `cryoalign.evaluate.document.to_document` makes it, or read from the file again.
    gallery : bytes, optional
        A PNG image of some sims, fakes and raws, see `cryoalign.figures.panels`.

    Returns
    -------
    str
        A whole page that needs no other file, no network and no script.
    """
    facts = document["facts"]
    main = document["candidates"][MAIN]["measures"]
    answers = [
        {**answer, "anchor": f"measure-{name}"}
        for name, measure in main.items()
        for answer in measure["answers"].values()
    ]
    tally = Counter(answer["verdict"] for answer in answers)
    return render(
        "evaluation.html",
        title=facts.get("title") or "How large is the gap, and is it closed?",
        summary=_summary(answers),
        tally={word: tally[word] for word in ("fail", "undecided", "pass")},
        answers=answers,
        fact_rows=list(_fact_rows(facts)),
        notes=facts.get("notes") or [],
        gallery=None if gallery is None else {"address": picture(gallery), "caption": _GALLERY},
        baselines=_baselines(document["candidates"]),
        measures=[_measure(name, measure, facts) for name, measure in main.items()],
    )


def labelled(quantity: Mapping[str, Any]) -> str:
    """Return a quantity's label with its unit.

    Parameters
    ----------
    quantity : mapping
        Of ``evaluation.json``.

    Returns
    -------
    str
    """
    unit = unit_sign(quantity["unit"]).strip()
    return f"{quantity['label']} ({unit})" if unit else str(quantity["label"])


def _summary(answers: list[Plain]) -> str:
    """One sentence on top: what failed is named."""
    if not answers:
        return "No question was asked."
    failed = [answer["question"] for answer in answers if answer["verdict"] == "fail"]
    open_ones = sum(answer["verdict"] == "undecided" for answer in answers)
    rest = f"; {open_ones} cannot be decided with these data" if open_ones else ""
    count = f"{len(failed) or 'None'} of {len(answers)} questions failed{rest}."
    return f"{count} Failed: {' '.join(failed)}" if failed else count


def _fact_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Known facts in their order, then whatever else was given."""
    for kind, path in (facts.get("files") or {}).items():
        yield kind, str(path)
    others = {key: key.replace("_", " ") for key in facts if key not in _FACTS and key not in _APART}
    for key, name in (_FACTS | others).items():
        value = facts.get(key)
        if value is not None and value != []:
            yield name, _fact(key, value)


def _fact(key: str, value: Any) -> str:
    """Write one fact; a list or a dict in one line."""
    writers: dict[str, Callable[[Any], str]] = {
        "box": lambda box: f"{box} px",
        "pixel_size": lambda size: f"{number(size, 4)} Å",
        "defocus_bins": lambda edges: ", ".join(bin_names(edges)),
        "command": command_line,
        "created": lambda stamp: moment(str(stamp)),
    }
    if key in writers:
        return writers[key](value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def command_line(words: str | Sequence[str], module: str = "evaluate") -> str:
    """Write a command as it can be pasted into a shell.

    Parameters
    ----------
    words : str or sequence of str
        As `cryoalign.runs.provenance` says it: the file's name, then the arguments.
    module : str
        Of cryoalign, where the file's name tells none.

    Returns
    -------
    str
        ``python -m cryoalign.MODULE ARGUMENTS``; empty where there are no words.
    """
    if not words:
        return ""
    first, *rest = words.split(" ", 1) if isinstance(words, str) else map(str, words)
    name = PurePath(first).name.removesuffix(".py").removeprefix("cryoalign.")
    arguments = " ".join(rest) if isinstance(words, str) else shlex.join(rest)
    if name == "python":
        return f"{first} {arguments}".strip()
    return f"python -m cryoalign.{name if name in _COMMANDS else module} {arguments}".strip()


def bin_names(edges: list[float]) -> list[str]:
    """Name defocus bins by their edges.

    Parameters
    ----------
    edges : list of float
        In A, one more than bins.

    Returns
    -------
    list of str
        In µm.
    """
    return [f"{low / 1e4:.2f} to {high / 1e4:.2f} µm" for low, high in pairwise(edges)]


def _measure(name: str, measure: Plain, facts: Mapping[str, Any]) -> Plain:
    quantities = [{**entry, "label": labelled(entry)} for entry in measure["quantities"].values()]
    binned = [entry for entry in quantities if any(entry["bins"])]
    names = bin_names(facts.get("defocus_bins") or [])
    count = max((len(entry["bins"]) for entry in binned), default=0)
    if len(names) != count:
        names = [f"bin {place + 1}" for place in range(count)]
    pixel_size = facts.get("pixel_size")
    return {
        "anchor": f"measure-{name}",
        "name": name,
        "answers": list(measure["answers"].values()),
        "quantities": quantities,
        "bins": [
            {"label": entry["label"], "entries": entry["bins"], "worst": entry["worst_bin"]}
            for entry in binned
        ],
        "bin_names": names,
        "worst": _worst(binned, names),
        "charts": [
            {"title": plan["title"], "svg": drawing(plan, f"{name}-{key}", pixel_size)}
            for key, plan in measure["charts"].items()
        ],
        "left_out": measure["left_out"],
    }


def _worst(binned: list[Plain], names: list[str]) -> str:
    """Name the bin that is furthest from what is perfect, of each quantity that has one."""
    found = []
    for entry in binned:
        place = entry["worst_bin"]
        if place is not None and entry["bins"][place] is not None:
            value = interval_text(**entry["bins"][place])
            found.append(f"{names[place]} for {entry['label']}, {value}")
    return f"Worst bin: {'; '.join(found)}." if found else ""


def _baselines(candidates: Mapping[str, Any]) -> Plain | None:
    """Verdicts and numbers of all candidates beside each other, where a second one was asked too."""
    if len(candidates) < 2:
        return None
    found = {name: candidate["measures"] for name, candidate in candidates.items()}
    answers, groups = [], []
    for measure, content in found[MAIN].items():
        if sum(measure in measures for measures in found.values()) < 2:
            continue
        beside = [measures.get(measure, {"answers": {}, "quantities": {}}) for measures in found.values()]
        for key, answer in content["answers"].items():
            verdicts = [entry["answers"].get(key, {}).get("verdict") for entry in beside]
            if len(verdicts) - verdicts.count(None) > 1:
                answers.append({"question": answer["question"], "verdicts": verdicts})
        rows = [
            {
                "label": labelled(quantity),
                "target": quantity["target"],
                "floor": quantity["floor"],
                "entries": [entry["quantities"].get(key, {}).get("fake") for entry in beside],
            }
            for key, quantity in content["quantities"].items()
            if sum(key in entry["quantities"] for entry in beside) > 1
        ]
        if rows:
            groups.append({"measure": measure, "rows": rows})
    return {"names": list(found), "answers": answers, "groups": groups}
