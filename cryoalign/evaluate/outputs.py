"""What every evaluation shares: the measures that were chosen, evaluation.json, report.html, the terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hydra.utils import instantiate

from cryoalign.cli import choose_device
from cryoalign.errors import InputError
from cryoalign.evaluate.document import FILE_NAME, Document, Facts, to_document, write_document
from cryoalign.evaluate.page import evaluation_page
from cryoalign.evaluate.terminal import baseline_table, verdict_sentences, verdict_table
from cryoalign.figures.panels import panels
from cryoalign.io.mrc import read_volume
from cryoalign.io.output import atomic_write
from cryoalign.io.table import print_whole
from cryoalign.runs.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from cryoalign.evaluate.case import Case, CaseSettings
    from cryoalign.evaluate.finding import Finding
    from cryoalign.evaluate.judge import Measure
    from cryoalign.evaluate.stacks import Stacks

PAGE = "report.html"

ON_REQUEST = ("class_mix", "psnr_gap")
"""Measures that take minutes: taken where they are named."""

_SHOWN = 4
_FEWEST_DRAWS = 100
_OFF_SCALE = 0.05  # standard deviations of raw's background
_FEW_GROUPS = (
    "There are fewer than eight groups, so that images were resampled one by one: intervals leave out how "
    "groups differ, and are too narrow."
)
_UNPAIRED = "These are no pairs. {} What needs pairs was not asked, with the reason at each question."


def measures_of(
    chosen: str | Sequence[str] | None, settings: Mapping[str, Mapping[str, object]]
) -> dict[str, Measure]:
    """Build the measures that were chosen, in the order of `settings`.

    Parameters
    ----------
    chosen : str, sequence of str, or None
        Their names; None takes all but those `ON_REQUEST`.
    settings : mapping
        What ``conf/evaluate.yaml`` holds below ``measure``.

    Returns
    -------
    dict of str to Measure

    Raises
    ------
    InputError
        If one is unknown.
    """
    standard = [name for name in settings if name not in ON_REQUEST]
    names = standard if chosen is None else [chosen] if isinstance(chosen, str) else list(chosen)
    unknown = [str(name) for name in names if name not in settings]
    if unknown:
        raise InputError(
            "unknown measure",
            expected=", ".join(settings),
            found=", ".join(unknown),
            remedy="give e.g. measures=[spectrum,content], or leave it out for all but the slow ones",
        )
    return {name: instantiate(settings[name]) for name in settings if name in names}


def settings_of(
    *, volume: str | Path | None, draws: int, seed: int, progress: bool, device: str
) -> CaseSettings:
    """Return what every case of an evaluation has in common.

    Parameters
    ----------
    volume : str, Path or None
        Reference map.
    draws : int
        Bootstrap replicates.
    seed : int
    progress : bool
    device : str
        Where to compute; ``auto`` is a GPU where there is one.

    Returns
    -------
    CaseSettings

    Raises
    ------
    InputError
        If the map cannot be read, there are too few replicates, or this machine has no such device.
    """
    if draws < _FEWEST_DRAWS:
        raise InputError(
            "too few bootstrap replicates",
            expected=f"draws of {_FEWEST_DRAWS} or more",
            found=draws,
            remedy="leave draws= out, or give it a thousand",
        )
    density, voxel_size = (None, None) if volume is None else read_map(volume)
    return {
        "volume": density,
        "voxel_size": voxel_size,
        "draws": draws,
        "seed": seed,
        "progress": progress,
        "device": choose_device(device),
    }


def group_description(by: str, pattern: str | None) -> str:
    """Describe what groups are.

    Parameters
    ----------
    by : str
        Column.
    pattern : str or None
        Regular expression on it.

    Returns
    -------
    str
    """
    return by if pattern is None else f"{by}, {pattern}"


def read_map(path: str | Path) -> tuple[torch.Tensor, float]:
    """Read a map.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    volume : (M, M, M) float32 tensor
        Axes [z, y, x].
    voxel_size : float
        In A.

    Raises
    ------
    InputError
        If it is not a map, or does not say its voxel size.
    """
    values, voxel_size = read_volume(path)
    if voxel_size is None:
        raise InputError(
            "the map does not say its voxel size",
            file=path,
            expected="a voxel size in A in the header",
            remedy="write it there, e.g. with relion_image_handler --angpix",
        )
    return torch.from_numpy(np.ascontiguousarray(values)), voxel_size


def describe_case(candidates: Mapping[str, list[Finding]], facts: dict[str, Any], case: Case) -> Document:
    """Put what was found beside what was judged, and how.

    Parameters
    ----------
    candidates : mapping of str to list of Finding
        ``fake`` and what is compared with it.
    facts : dict
        What was judged; the rest is added.
    case : Case
        Of the fakes.

    Returns
    -------
    Document
        Content of evaluation.json.
    """
    source, pairs = provenance(), case.pairs
    facts = facts | {
        "paired": None if pairs.paired else False,
        "pairs": len(pairs),
        "groups": len(np.unique(pairs.groups)),
        "units": pairs.unit_count,
        "box": pairs.box,
        "pixel_size": pairs.pixel_size,
        "defocus_bins": tuple(pairs.bin_edges),
        "draws": case.draws,
        "seed": case.seed,
        "device": case.device,
        "created": source["started"],
        "command": source["command"],
        "git": source["git"],
        "versions": source["versions"],
        "notes": _notes(pairs),
    }
    return to_document(candidates, Facts(**facts))


def write_outputs(folder: Path, document: Document, pairs: Stacks) -> None:
    """Write evaluation.json and report.html."""
    write_document(folder / FILE_NAME, document)
    gallery = _gallery(pairs) if "sim" in pairs.kinds else None
    page = evaluation_page(document, gallery=gallery)
    with atomic_write(folder / PAGE) as path:
        path.write_text(page, encoding="utf-8")


def _notes(pairs: Stacks) -> list[str]:
    """Describe what a reader of the verdicts has to know."""
    notes = [] if pairs.own is None else [_UNPAIRED.format(pairs.own.words)]
    notes += [] if pairs.whole_groups else [_FEW_GROUPS]
    mean, spread = pairs.raw_background()
    if pairs.normalize == "raw" and (abs(mean) > _OFF_SCALE or abs(spread - 1) > _OFF_SCALE):
        notes.append(
            f"Raw had a background of mean {mean:.3g} and standard deviation {spread:.3g}; it was brought "
            "to 0 and 1, image by image, and fakes were taken as they are. If they have the scale raw had, "
            "all that depends on grey values fails for that alone: give normalize=both (or none)."
        )
    return notes


def _gallery(pairs: Stacks) -> bytes:
    """Draw some particles, as a PNG."""
    rows = np.unique(np.linspace(0, len(pairs) - 1, _SHOWN).astype(np.int64))
    sim, fake, raw = (pairs.images(kind, rows).numpy() for kind in ("sim", "fake", "raw"))
    buffer = io.BytesIO()
    panels(sim, fake, raw, pairs.pixel_size).savefig(buffer, format="png")
    return buffer.getvalue()


def print_verdicts(console: Console, document: Document, title: str) -> None:
    """Print the verdicts, their words, and baselines beside them.

    Parameters
    ----------
    console : Console
    document : Document
    title : str
    """
    print_whole(console, verdict_table(document, title))
    for line in verdict_sentences(document):
        console.print(line, soft_wrap=True)
    for note in document.facts.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)
    compared = baseline_table(document, "compared with baselines")
    if compared is not None:
        print_whole(console, compared)
