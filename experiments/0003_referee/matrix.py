"""Hold every saboteur against all measures of the referee: matrix.csv with intervals, matrix.md the verdicts.

$ python experiments/0003_referee/matrix.py [--unpaired] [FOLDER]

The images, 70 MB, go into FOLDER; into a temporary one, if it is not given. With --unpaired the fakes are of
other particles than raw's, and the tables are unpaired.csv and unpaired.md.
"""

from __future__ import annotations

import csv
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoalign.evaluate.finding import Finding

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from cryoalign.cli import CONF_DIR  # noqa: E402
from cryoalign.evaluate.judge import judge  # noqa: E402
from cryoalign.evaluate.outputs import ON_REQUEST  # noqa: E402
from tests.fakes.known import Known, case_of  # noqa: E402  the tests' own fakes
from tests.fakes.matrix import QUESTIONS, matrix  # noqa: E402
from tests.fakes.measured import Measured  # noqa: E402
from tests.fakes.new import NOT_ASKED, New, NewMeasured, unpaired_case  # noqa: E402
from tests.fakes.saboteurs import MEASURED_SABOTEURS, SABOTEURS  # noqa: E402

SIGNS = {"pass": "pass", "fail": "**FAIL**", "undecided": "?", "not asked": "-"}
UNPAIRED = ("own_sim", "noise_within")
"""Questions that are asked of fakes of other particles alone."""
SEEN_WITH_THE_PARTICLE = ("modulation", "in_ring")
"""Questions that noise of another spectrum may fail unpaired: the particle stands out in other bands."""
FIELDS = (
    "fake",
    "question",
    "wanted",
    "verdict",
    "quantity",
    "value",
    "low",
    "high",
    "floor",
    "ceiling",
    "words",
)


def rows_of(name: str, findings: Sequence[Finding], wanted: dict[str, str]) -> list[dict[str, Any]]:
    """One row a question."""
    rows = []
    for finding in findings:
        for key, answer in finding.answers.items():
            quantity = finding.quantities.get(answer.quantity or "")
            intervals = {side: getattr(quantity, side, None) for side in ("fake", "floor", "ceiling")}
            known = {
                side: None if entry is None else _known(entry.value) for side, entry in intervals.items()
            }
            fake = intervals["fake"]
            rows.append(
                {
                    "fake": name,
                    "question": key,
                    "wanted": wanted.get(key, ".").replace(".", ""),
                    "quantity": answer.quantity,
                    "verdict": answer.verdict.value,
                    "words": answer.explanation,
                    "value": known["fake"],
                    "low": None if fake is None else _known(fake.low),
                    "high": None if fake is None else _known(fake.high),
                    "floor": known["floor"],
                    "ceiling": known["ceiling"],
                }
            )
    return rows


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def main(folder: Path, *, unpaired: bool = False) -> None:
    """Judge all saboteurs and write both tables."""
    torch.set_num_threads(1)
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        settings = compose("evaluate").measure
    measures = {name: instantiate(entry) for name, entry in settings.items() if name not in ON_REQUEST}
    expected = matrix()
    if unpaired:
        expected = {name: row | dict.fromkeys(NOT_ASKED, "not asked") for name, row in expected.items()}
        expected["white_noise"] |= dict.fromkeys(SEEN_WITH_THE_PARTICLE, ".")
    rows: list[dict[str, Any]] = []
    sets = (New(), NewMeasured()) if unpaired else (Known(), Measured())
    for known, saboteurs in zip(sets, (SABOTEURS, MEASURED_SABOTEURS), strict=True):
        (known.like if isinstance(known, New) else known).write_common(folder)
        for name, sabotage in saboteurs.items():
            fakes = sabotage(known)
            case = (
                unpaired_case(known, folder / "raw.star", folder, fakes)
                if isinstance(known, New)
                else case_of(known, folder, fakes)
            )
            findings = judge(case, measures)
            found = rows_of(name, findings, expected[name])
            rows += found
            wrong = [row["question"] for row in found if row["wanted"] not in {"", row["verdict"]}]
            words = f"NOT AS EXPECTED: {', '.join(wrong)}" if wrong else "as expected"
            print(f"{name}: {words}", flush=True)
            write(rows, unpaired=unpaired)


def write(rows: list[dict[str, Any]], *, unpaired: bool) -> None:
    """Write both tables of what was judged so far: it takes hours where a machine is busy."""
    place = HERE / ("unpaired" if unpaired else "matrix")
    with place.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        rounded = [{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
        writer.writerows(rounded)
    place.with_suffix(".md").write_text(table(rows, (*QUESTIONS, *(UNPAIRED if unpaired else ()))))


def table(rows: list[dict[str, Any]], questions: Sequence[str]) -> str:
    """Verdicts, a line a saboteur; what it must fail is bold where it does."""
    verdicts = {(row["fake"], row["question"]): row for row in rows}
    lines = ["| fake | " + " | ".join(questions) + " |", "|---" * (len(questions) + 1) + "|"]
    for name in dict.fromkeys(row["fake"] for row in rows):
        cells = [SIGNS[verdicts[name, question]["verdict"]] for question in questions]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--unpaired"]
    without_pairs = "--unpaired" in sys.argv
    if given:
        Path(given[0]).mkdir(parents=True, exist_ok=True)
        main(Path(given[0]), unpaired=without_pairs)
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place), unpaired=without_pairs)
