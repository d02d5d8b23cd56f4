"""evaluation.json: plain values under stable keys, and what is not a number is null."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.evaluate.digits import interval_digits, interval_text, number, spread_text
from cryoalign.evaluate.document import plain, read_document, to_document, write_document
from cryoalign.evaluate.finding import Answer, Finding, Interval, Quantity, Verdict
from tests.evaluate import example

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def document() -> dict:
    return to_document(example.candidates(), example.facts())


def test_round_trip_through_a_file(document, tmp_path: Path):
    path = tmp_path / "evaluation.json"
    write_document(path, document)
    assert read_document(path) == document
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_every_number_stands_where_it_is_documented(document):
    for name, found in example.candidates().items():
        measures = document["candidates"][name]["measures"]
        assert list(measures) == [finding.measure for finding in found]
        for finding in found:
            measure = measures[finding.measure]
            assert measure["left_out"] == list(finding.left_out)
            for answer in finding.answers:
                written = measure["answers"][answer.key]
                assert (written["verdict"], written["words"]) == (answer.verdict.value, answer.words)
            for quantity in finding.quantities:
                written = measure["quantities"][quantity.key]
                if np.isfinite(quantity.fake.value):
                    assert written["fake"] == vars(quantity.fake)
                assert written["worst_bin"] == quantity.worst_bin
                assert len(written["bins"]) == len(quantity.bins)
            for chart in finding.charts:
                series = measure["charts"][chart.key]["series"]
                for kind, curve in chart.series.items():
                    drawn = np.array(series[kind]["y"], dtype=float)
                    np.testing.assert_allclose(drawn, curve.y, rtol=1e-5, equal_nan=True)


def test_what_is_not_a_number_is_null(document):
    measures = document["candidates"]["fake"]["measures"]
    nothing = {"value": None, "low": None, "high": None}
    assert measures["noise"]["quantities"]["snr_2"]["fake"] == nothing
    assert measures["spectrum"]["quantities"]["periodic_peak"]["floor"] == nothing | {"value": 1.12}
    assert measures["ctf"]["charts"]["defocus"]["series"]["fake"]["y"][3] is None
    assert plain({"a": (INF, np.nan, np.float32(0.5), Path("b"), True)}) == {
        "a": [None, None, 0.5, "b", True]
    }


def test_the_quantity_beside_an_answer():
    """The one it names, else its namesake, else the measure's first that has a perfect value; else none."""
    one = Interval(1, 0, 2)
    quantities = (Quantity("a", "a", one), Quantity("b", "b", one, target=1.0), Quantity("d", "d", one))
    keys = {"first": "", "d": "", "third": "a", "last": ""}
    found = tuple(Answer(key, "?", Verdict.PASS, "", about) for key, about in keys.items())
    document = to_document({"fake": [Finding("m", found, quantities)]}, {})
    chosen = [
        entry["quantity"] for entry in document["candidates"]["fake"]["measures"]["m"]["answers"].values()
    ]
    assert chosen == ["b", "d", "a", None]


def test_there_must_be_a_fake():
    with pytest.raises(ValueError, match="fake"):
        to_document({"spectral": []}, {})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"format": 1}', b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content):
    path = tmp_path / "evaluation.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
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
def test_content_of_another_shape_is_refused(document, tmp_path: Path, place, value):
    broken = json.loads(json.dumps(document))
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


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ((1.0342, 0.98123, 1.09431), "1.03 (0.98 to 1.09)"),
        ((0.99987, 0.99981, 0.99993), "0.99987 (0.99981 to 0.99993)"),
        ((15012.3, 14900, 15100), "15012 (14900 to 15100)"),
        ((-0.004, -0.02, 0.01), "−0.004 (−0.020 to 0.010)"),  # noqa: RUF001  a minus sign
        ((-0.0001, -0.02, 0.01), "0.000 (−0.020 to 0.010)"),  # noqa: RUF001
        ((1.0, NAN, NAN), "1.00"),
        ((1.0, None, None), "1.00"),
        ((1.0, 1.0, 1.0), "1.00"),
        ((NAN, NAN, NAN), "–"),  # noqa: RUF001  a dash
        ((None, None, None), "–"),  # noqa: RUF001
        ((INF, 0.0, INF), "–"),  # noqa: RUF001
    ],
)
def test_as_many_digits_as_the_interval_deserves(given, written):
    assert interval_text(*given) == written


def test_units_spreads_and_plain_numbers():
    assert interval_text(48, 17, 79, "A") == "48 Å (17 to 79)"
    assert interval_text(3.4, 3.1, 3.7, "degree") == "3.40° (3.10 to 3.70)"
    assert interval_text(NAN, unit="A") == interval_digits(NAN)[0]
    assert spread_text(0.3901, 0.0123) == "0.390 ± 0.012"
    assert spread_text(0.39012, None) == "0.3901"
    assert [number(value) for value in (0.0, 12345.6, 0.01234)] == ["0", "12346", "0.0123"]
    assert number(-2e-9, 2) == "−2.0e−09"  # noqa: RUF001
