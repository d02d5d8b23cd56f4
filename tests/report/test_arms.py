"""Runs become arms: by what differs in their configurations, whatever does not matter left aside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cryoalign.evaluate.document import Facts, to_document
from cryoalign.evaluate.finding import Answer, Finding, Verdict, by_key
from cryoalign.report.arms import compare
from cryoalign.report.curves import charts, undrawn
from cryoalign.report.measures import measured, spread
from cryoalign.report.notes import comparison_notes
from cryoalign.report.run_result import History, RunResult
from cryoalign.report.tables import summary_rows
from cryoalign.report.verdicts import source_rows, tallies, verdict_rows
from cryoalign.report.write import notes, summary
from tests.report.example import make


def test_seeds_and_paths_are_one_arm():
    found = compare([make("a"), make("b", 2, data__raw="elsewhere/raw.star", data__workers=4, threads=2)])
    assert [[run.folder.name for run in arm.runs] for arm in found.arms] == [["a", "b"]]
    assert found.names == {}
    assert list(comparison_notes(found)) == []
    assert found.label(found.arms[0]) == "A: all runs"


def test_of_the_callbacks_early_stopping_alone_is_a_difference():
    runs = [make("a"), make("b", callbacks__figures__every=5, logger__csv__every=1)]
    assert len(compare(runs).arms) == 1
    found = compare([*runs, make("c", callbacks__early_stopping__patience=5)])
    assert [arm.name for arm in found.arms] == ["patience=absent", "patience=5"]


def test_an_arm_is_not_named_by_what_follows_another_key():
    def steps(count: int, end: int) -> dict[str, int]:
        return {"trainer__max_steps": count, "optimizer__decay_end": end}

    found = compare([make("a", **steps(100, 100)), make("b", **steps(200, 200))])
    assert [arm.name for arm in found.arms] == ["max_steps=100", "max_steps=200"]
    given = compare([make("a", **steps(100, 100)), make("b", **steps(100, 50))])
    assert [arm.name for arm in given.arms] == ["decay_end=100", "decay_end=50"]


def test_other_data_are_a_difference():
    other = make("b", data__raw="elsewhere/raw.star")
    found = compare([make("a"), RunResult(**{**vars(other), "files": ("a", "c")})])
    assert found.names == {"data.raw": "raw"}


def test_what_differs_tells_arms_apart_in_their_order():
    runs = [
        make("a", loss__weights__rpsd=0),
        make("b", loss__weights__rpsd=0.5),
        make("c", 2, loss__weights__rpsd=0.0),
    ]
    found = compare(runs)
    assert found.names == {"loss.weights.rpsd": "rpsd"}
    assert [(arm.letter, arm.settings, len(arm.runs)) for arm in found.arms] == [
        ("A", {"loss.weights.rpsd": "0"}, 2),
        ("B", {"loss.weights.rpsd": "0.5"}, 1),
    ]
    assert found.label(found.arms[1]) == "B: rpsd=0.5"
    assert any(note.startswith("One seed only: B") for note in comparison_notes(found))


def test_an_arm_is_named_by_its_class_and_not_by_what_goes_with_it():
    pix2pix = {"generator___target_": "cryoalign.models.pix2pix.Generator", "generator__extra": "x" * 60}
    runs = [
        make("a"),
        make("b", **pix2pix),
        make("c", generator__width=32),
        make("d", loss__weights__rpsd=0, **pix2pix),
    ]
    found = compare(runs)
    assert set(found.names) == {
        "generator._target_",
        "generator.extra",
        "generator.width",
        "loss.weights.rpsd",
    }
    assert [arm.name for arm in found.arms] == [
        "generator=UNet,rpsd=0.5,generator.width=24",
        "generator=Generator,rpsd=0.5",
        "generator=UNet,rpsd=0.5,generator.width=32",
        "generator=Generator,rpsd=0",
    ]
    assert found.arms[0].settings["generator.extra"] == "absent"
    assert found.label(found.arms[1]) == "arm B"  # one of the names is too long for a legend


def test_an_arm_is_named_by_its_measurement_and_not_by_what_goes_with_it():
    embedded = {"data___target_": "cryoalign.embedded.datamodule.Embedded", "data__raw": "absent"}
    runs = [make("a", data__sim="s/sim.star"), make("b", data__raw="far/away/raw.star", data__box=32)]
    runs.append(make("c", **embedded))
    runs = [RunResult(**{**vars(run), "files": (run.folder.name,)}) for run in runs]
    found = compare(runs)
    assert [arm.name for arm in found.arms] == [
        "raw=raw.star",
        "raw=away/raw.star",
        "data=Embedded",
    ]


def test_the_sentence_on_top_crowns_no_arm():
    runs = [make("a"), make("b", generator__width=32, metrics={"RPSD_L1": 0.9, "floor_RPSD_L1": 0.25})]
    words = summary(compare(runs))
    assert "lies between 0.5000 and 0.9000 over the arms" in words
    assert "the floor, has 0.2500. RPSD alone does not tell which generator is better." in words
    assert [row.title for row in summary_rows(compare(runs))] == ["A", "B", "other raw"]
    apart = compare([runs[0], RunResult(**{**vars(runs[1]), "images": "others"})])
    assert [row.title for row in summary_rows(apart)] == ["A", "B"]
    words = summary(apart)
    assert "0.5" not in words
    assert "not tested on the same images" in words
    assert any("None of the runs was evaluated" in note for note in notes(compare(runs)))


def test_evaluations_are_counted_with_their_part_and_what_failed():
    verdicts = {"a": Verdict.FAIL, "b": Verdict.UNDECIDED, "c": Verdict.PASS}
    answers = by_key(Answer(key, f"{key}?", verdict, "") for key, verdict in verdicts.items())
    runs = [make("a"), make("b", generator__width=32), make("c", 2, generator__width=32)]
    for place, part in ((1, "val"), (2, "test")):
        document = to_document({"fake": [Finding("m", answers)]}, Facts(part=part))
        runs[place] = RunResult(**{**vars(runs[place]), "evaluation": document})
    found = compare(runs)
    first, second = tallies(found)
    assert first == "A: generator.width=24: not evaluated."
    assert second.startswith("B: generator.width=32: 2 failed, 2 undecided, 2 passed in 2 evaluations")
    assert second.endswith("(part: test, val). Failed: a? (2 times)")
    assert verdict_rows(found)[0].cells == (None, {"fail": 2})
    assert [row.cells and row.cells[0] for row in source_rows(found)] == [None, "val", "test"]
    assert "The evaluations are of different parts of the split: test, val." in notes(found)


def test_single_points_are_no_curve():
    point = make("a")
    for name, (x, y) in list(point.curves.items()):
        point.curves[name] = History(x[:1] * 0, y[:1])
    single = compare([point])
    assert "RPSD_L1" not in charts(single)
    assert "RPSD L1 in validation" in undrawn(single)
    both = compare([point, make("b", generator__width=32)])
    plan = charts(both)["RPSD_L1"].series
    np.testing.assert_allclose(plan["A: generator.width=24"].x, [0])
    np.testing.assert_allclose(plan["sim"].x, [0, 20])
    assert undrawn(both) == ""


def test_mean_and_spread_over_runs():
    values = [0.3, 0.5, 0.7]
    assert spread(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert spread([0.3]) == (0.3, None)
    assert spread([]) == (None, None)
    assert math.isnan(spread([0.3, math.nan])[0])
    assert measured(make("a"), "RPSD_excess") == pytest.approx(0.5 / 0.25)
    assert measured(make("a"), "floor_RPSD_excess") == 1
    assert measured(make("a", metrics={}), "RPSD_excess") is None


def test_notes_on_what_cannot_be_compared():
    runs = [make("a"), make("b", optimizer__algorithm__lr=1e-3, metrics={"RPSD_L1": math.nan})]
    found = compare([runs[0], RunResult(**{**vars(runs[1]), "images": "others", "code": "def"}), make("c")])
    text = " ".join(comparison_notes(found))
    for words in (
        "not tested on the same images",
        "abc, def",
        "A holds seed 1 more than once",
        "not a number: RPSD_L1",
    ):
        assert words in text
    assert list(comparison_notes(compare([make("a")]))) == [
        "There is one run only: nothing to compare it with."
    ]


def test_curves_are_means_with_a_band_from_lowest_to_highest():
    plans = charts(compare([make("a"), make("b", 2), make("c", loss__weights__rpsd=0)]))
    series = plans["RPSD_L1"].series
    assert list(series) == ["A: rpsd=0.5", "B: rpsd=0", "sim"]
    first = series["A: rpsd=0.5"]
    for part, values in {"x": [10, 20], "y": [1, 0.65], "low": [1, 0.6], "high": [1, 0.7]}.items():
        np.testing.assert_allclose(getattr(first, part), values)
    assert len(series["B: rpsd=0"].low) == 0
    np.testing.assert_allclose(series["sim"].y, [2, 2])
    away = plans["minus_raw"].series
    raw = np.mean([1, 2, 1])
    np.testing.assert_allclose(away["A: rpsd=0.5"].y, 1.5 - raw, rtol=1e-5)
    np.testing.assert_allclose(away["raw"].y, 0)


def test_curves_of_other_steps_and_spectra_of_other_norms():
    longer = make("b", 2, loss__rpsd__norm="ortho")
    longer.curves["RPSD_L1"] = History(np.array([20.0, 30.0]), np.array([0.9, 0.8]))
    longer.curves["sim_RPSD_L1"] = History(np.array([20.0, 30.0]), np.array([3.0, 3.0]))
    plans = charts(compare([make("a"), longer]))
    assert set(plans) == {"RPSD_L1"}
    assert list(plans["RPSD_L1"].series) == ["A: norm=backward", "B: norm=ortho"]
    same = make("c", 3)
    same.curves["RPSD_L1"] = longer.curves["RPSD_L1"]
    curve = charts(compare([make("a"), same]))["RPSD_L1"].series["A: all runs"]
    np.testing.assert_allclose(curve.y, [1.0, (0.6 + 0.9) / 2, 0.8])
