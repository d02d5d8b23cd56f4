"""The content of ``evaluation.json``: what was judged, and what the measures found.

Its keys are documented in docs/evaluation.md, and everything that a reader sees (the table, the page, a
comparison of runs) is made of it, so that it can be made again from the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    JsonValue,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass

from cryoalign.errors import InputError
from cryoalign.evaluate.finding import Finding, Number
from cryoalign.io.output import atomic_write
from cryoalign.reading import reading

FORMAT: Literal[1] = 1
"""Version of the keys: raised when one changes its meaning or goes, not when one is added."""

MAIN = "fake"
"""Name of the candidate that is judged; others are measured for comparison."""

FILE_NAME = "evaluation.json"


@dataclass(frozen=True)
class Facts:
    """What was judged, and how; see docs/evaluation.md.

    Attributes
    ----------
    title : str, optional
        Heading of the page.
    files : dict of str to str
        Path of each stack.
    run, checkpoint, part : str, optional
        Where the fakes are from.
    paired : bool, optional
        False where the fakes are of other particles than raw's.
    pairs, groups, units : int, optional
        How many images, groups and resampling units.
    group_by : str, optional
        Column that names the groups.
    box : int, optional
        In px.
    pixel_size : float, optional
        In A.
    defocus_bins : tuple of float
        Edges in A, one more than bins.
    draws, seed : int, optional
        Of the bootstrap.
    device : str, optional
        Where it was computed: ``cpu``, ``cuda``, ``cuda:1``.
    created : str, optional
        UTC, ISO 8601.
    command : tuple of str, or str
        Name of the program, then its arguments.
    git : str, optional
    versions : dict of str to str
    notes : tuple of str
        Sentences for the reader.
    more : dict of str to JSON's values
        All others, which stand among them in the file.
    """

    title: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    run: str | None = None
    checkpoint: str | None = None
    part: str | None = None
    paired: bool | None = None
    pairs: int | None = None
    groups: int | None = None
    units: int | None = None
    group_by: str | None = None
    box: int | None = None
    pixel_size: Number | None = None
    defocus_bins: tuple[Number, ...] = ()
    draws: int | None = None
    seed: int | None = None
    device: str | None = None
    created: str | None = None
    command: tuple[str, ...] | str = ()
    git: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    more: dict[str, JsonValue] = field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        known = {entry.name for entry in dataclasses.fields(cls)} - {"more"}
        others = {key: value for key, value in given.items() if key not in known}
        return {key: value for key, value in given.items() if key in known} | {"more": others}

    @model_serializer(mode="wrap")
    def _spread(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        table: dict[str, JsonValue] = write(self)
        others = table.pop("more")
        known = {key: value for key, value in table.items() if value is not None}
        return known | (others if isinstance(others, dict) else {})


def _measures_into_findings(table: object) -> object:
    """Put the names of measures that were read into their findings, where they belong in memory."""
    if not isinstance(table, Mapping):
        return table
    return {
        name: {**entry, "measure": name} if isinstance(entry, dict) else entry
        for name, entry in table.items()
    }


@dataclass(frozen=True)
class Candidate:
    """What all measures found in one set of images.

    Attributes
    ----------
    measures : dict of str to Finding
    """

    measures: Annotated[dict[str, Finding], BeforeValidator(_measures_into_findings)]


def _with_main(candidates: dict[str, Candidate]) -> dict[str, Candidate]:
    if MAIN not in candidates:
        raise ValueError(f"there is no candidate {MAIN!r}, but {', '.join(candidates) or 'none'}")
    return candidates


@dataclass(frozen=True)
class Document:
    """The content of ``evaluation.json``.

    Attributes
    ----------
    format : int
    facts : Facts
    candidates : dict of str to Candidate
        ``fake`` is the one that is judged; others, such as baselines, are measured for comparison.
    """

    format: Literal[1]
    facts: Facts
    candidates: Annotated[dict[str, Candidate], AfterValidator(_with_main)]

    @property
    def judged(self) -> dict[str, Finding]:
        """What the measures found in the fake."""
        return self.candidates[MAIN].measures


_DOCUMENT = TypeAdapter(Document)


def to_document(candidates: Mapping[str, Sequence[Finding]], facts: Facts) -> Document:
    """Put findings into a document.

    Parameters
    ----------
    candidates : mapping of str to sequence of Finding
        ``fake`` is the one that is judged; others, such as baselines, are measured for comparison.
    facts : Facts

    Returns
    -------
    Document

    Raises
    ------
    ValueError
        If there is no ``fake``.
    """
    tables = {
        name: Candidate({finding.measure: finding for finding in findings})
        for name, findings in candidates.items()
    }
    return Document(FORMAT, facts, tables)


def write_document(path: Path, document: Document) -> None:
    """Write ``evaluation.json``.

    Parameters
    ----------
    path : Path
    document : Document

    Raises
    ------
    ValueError
        If a number is infinite.
    """
    text = _DOCUMENT.dump_json(document, indent=1) + b"\n"
    with atomic_write(path) as place:
        place.write_bytes(text)


def read_document(path: str | Path) -> Document:
    """Read ``evaluation.json``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Document

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    path = Path(path)
    remedy = "evaluate again"
    try:
        with reading(path):
            return _DOCUMENT.validate_json(path.read_bytes())
    except ValidationError as error:
        first, count = error.errors(include_url=False)[0], error.error_count()
        place = ".".join(map(str, first["loc"]))
        others = f", and {count - 1} other faults" if count > 1 else ""
        raise InputError(
            f"this is no evaluation of format {FORMAT}",
            file=path,
            expected="what docs/evaluation.md describes",
            found=f"{first['msg']}{f' in {place}' if place else ''}{others}",
            remedy=remedy,
        ) from error


def document_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of ``evaluation.json``."""
    return _DOCUMENT.json_schema(mode="serialization")
