"""evaluation.json: plain values under stable keys, and what is not a number is null."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.document import Document, Facts, read_document, to_document, write_document
from cryoalign.evaluate.finding import Chart, Finding, Interval, Quantity, Series, by_key
from cryoalign.evaluate.judge import judge
from tests.evaluate import example

NAN, INF = float("nan"), float("inf")
ONE = Interval(1.0, 0.0, 2.0)


@pytest.fixture(scope="module")
def document() -> Document:
    return to_document(example.candidates(), example.facts())


@pytest.fixture(scope="module")
def content(document, tmp_path_factory) -> dict:
    """What the file holds, for any program that reads JSON."""
    path = tmp_path_factory.mktemp("document") / "evaluation.json"
    write_document(path, document)
    return json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_round_trip_through_a_file(document, tmp_path: Path):
    path = tmp_path / "evaluation.json"
    write_document(path, document)
    assert read_document(path) == document


def test_every_number_stands_where_it_is_documented(content):
    for name, found in example.candidates().items():
        measures = content["candidates"][name]["measures"]
        assert list(measures) == [finding.measure for finding in found]
        for finding in found:
            measure = measures[finding.measure]
            assert measure["left_out"] == list(finding.left_out)
            assert list(measure["answers"]) == list(finding.answers)
            for key, answer in finding.answers.items():
                entry = measure["answers"][key]
                assert entry == {part: getattr(answer, part) for part in entry}
                assert list(entry) == ["question", "verdict", "explanation", "quantity"]
            for key, quantity in finding.quantities.items():
                entry = measure["quantities"][key]
                if np.isfinite(quantity.fake.value):
                    assert entry["fake"] == {part: getattr(quantity.fake, part) for part in entry["fake"]}
                assert entry["worst_bin"] == quantity.worst_bin
                assert len(entry["bins"]) == len(quantity.bins)
            for key, chart in finding.charts.items():
                series = measure["charts"][key]["series"]
                for kind, curve in chart.series.items():
                    drawn = np.array(series[kind]["y"], dtype=float)
                    np.testing.assert_allclose(drawn, curve.y, rtol=1e-5, equal_nan=True)
    facts = content["facts"]
    assert (facts["pairs"], facts["pixel_size"], facts["defocus_bins"]) == (2000, 3.54, list(example.EDGES))


def test_what_is_not_a_number_is_null(content):
    measures = content["candidates"]["fake"]["measures"]
    nothing = {"value": None, "low": None, "high": None}
    assert measures["noise"]["quantities"]["snr_2"]["fake"] == nothing
    assert measures["spectrum"]["quantities"]["periodic_peak"]["floor"] == nothing | {"value": 1.12}
    assert measures["ctf"]["charts"]["defocus"]["series"]["fake"]["y"][3] is None


def test_infinity_is_refused_on_writing(tmp_path: Path):
    """JSON has none; what the referee measures is freed of it before."""
    path = tmp_path / "evaluation.json"
    quantity = Quantity("q", "q", Interval(INF, 0.0, INF), bins=(ONE, Interval(-INF, NAN, 1.0)))
    chart = Chart("c", "c", "x", "y", {"fake": Series((1.0, 2.0), (INF, 3.0))})
    for wrong in ({"quantities": {"q": quantity}}, {"charts": {"c": chart}}):
        with pytest.raises(ValueError, match="infinite"):
            write_document(path, to_document({"fake": [Finding("m", **wrong)]}, Facts()))
        assert not path.exists()
    finding = Finding("m", quantities={"q": quantity}, charts={"c": chart})
    found = judge(Case(pairs=None), {"m": lambda _: finding})
    write_document(path, to_document({"fake": found}, Facts()))
    measure = json.loads(path.read_text())["candidates"]["fake"]["measures"]["m"]
    assert measure["quantities"]["q"]["fake"] == {"value": None, "low": 0.0, "high": None}
    assert measure["quantities"]["q"]["bins"][1] == {"value": None, "low": None, "high": 1.0}
    assert measure["charts"]["c"]["series"]["fake"]["y"] == [None, 3.0]


def test_other_facts_stand_among_the_known_ones(tmp_path: Path):
    path = tmp_path / "evaluation.json"
    facts = Facts(title="a", more={"microscope": ["Krios", 3]})
    write_document(path, to_document({"fake": []}, facts))
    table = json.loads(path.read_text())["facts"]
    assert table["title"] == "a"
    assert table["microscope"] == ["Krios", 3]
    assert "run" not in table
    assert read_document(path).facts == facts


def test_two_entries_of_one_key_are_refused():
    with pytest.raises(ValueError, match="'q'"):
        by_key([Quantity("q", "one", ONE), Quantity("q", "another", ONE)])


def test_the_schema_in_the_documentation_is_up_to_date():
    """It is made by: python -m cryoalign.evaluate.schema > docs/evaluation.schema.json."""
    place = Path(__file__).parents[2] / "docs" / "evaluation.schema.json"
    made = subprocess.run(
        [sys.executable, "-m", "cryoalign.evaluate.schema"], capture_output=True, text=True, check=True
    )
    assert place.read_text() == made.stdout


def test_there_must_be_a_fake():
    with pytest.raises(ValueError, match="fake"):
        to_document({"spectral": []}, Facts())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, text):
    path = tmp_path / "evaluation.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"evaluation"):
        read_document(path)
    with pytest.raises(InputError, match="No such file"):
        read_document(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), {"format": 1, "candidates": 3}),
        (("facts",), None),
        (("facts",), "none"),
        (("candidates", "fake"), []),
        (("candidates", "fake", "measures"), 3),
        (("candidates", "fake", "measures", "pose"), "pose"),
        (("candidates", "fake", "measures", "pose", "answers"), [1]),
        (("candidates", "fake", "measures", "pose", "answers", "pose"), {"question": "?", "verdict": []}),
        (("candidates", "fake", "measures", "pose", "answers", "pose"), {"verdict": "pass"}),
        (("candidates", "fake", "measures", "pose", "quantities"), {"shift": 3}),
        (("candidates", "fake", "measures", "pose", "quantities"), {"shift": {"fake": {"value": "1"}}}),
        (("candidates", "fake", "measures", "pose", "charts"), None),
        (("candidates", "fake", "measures", "pose", "left_out"), "nothing"),
    ],
)
def test_content_of_another_shape_is_refused(content, tmp_path: Path, place, value):
    broken = copy.deepcopy(content)
    parent = broken
    for key in place[:-1]:
        parent = parent[key]
    if place:
        assert place[-1] in parent
        parent[place[-1]] = value
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(broken if place else value))
    with pytest.raises(InputError, match="evaluation") as caught:
        read_document(path)
    assert str(path) in str(caught.value)
    if place:
        assert place[-1] in str(caught.value)
