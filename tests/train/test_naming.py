"""The runs of a sweep are called by what differs."""

from __future__ import annotations

import re
import sys

import pytest

from cryoalign.train.naming import job_folder, sweep_name, varied_values

SWEEP = ["cryoalign.train", "-m", "loss.weights.rpsd=0,0.5", "seed=1,2", "trainer=cpu"]
JOB = ["loss.weights.rpsd=0.5", "seed=2", "trainer=cpu"]


def test_a_run_is_named_by_what_the_sweep_varies() -> None:
    varied = varied_values(JOB, ["loss.weights.rpsd", "seed"])
    assert varied == {"loss.weights.rpsd": "0.5", "seed": "2"}
    assert sweep_name(varied) == "rpsd=0.5,seed=2"


def test_keys_of_one_name_are_told_apart_and_groups_are_named_by_their_last_part() -> None:
    assert sweep_name({"generator.width": "8", "discriminator.width": "4"}) == (
        "generator.width=8,discriminator.width=4"
    )
    assert sweep_name({"loss/adversarial": "hinge", "data.raw": "job/raw.star"}) == (
        "adversarial=hinge,raw=raw.star"
    )


def test_a_folder_can_be_given_back_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", SWEEP)
    assert job_folder(3, JOB, {}) == "3_rpsd-0.5_seed-2"
    monkeypatch.setattr(sys, "argv", ["cryoalign", "train", *SWEEP[1:]])  # behind a subcommand
    assert job_folder(3, JOB, {"params": None}) == "3_rpsd-0.5_seed-2"
    monkeypatch.setattr(sys, "argv", ["cryoalign.train", "-m", "seed=1"])
    assert job_folder(0, ["seed=1"], {}) == "0"


@pytest.mark.parametrize("value", ["'a b/c=d,e.star'", "[1,2]", "{a:1}", "-0.5", "x" * 300])
def test_whatever_the_value_the_folder_keeps_to_plain_characters(value: str) -> None:
    folder = job_folder(0, [f"+data.raw={value}"], {"params": {"data.raw": "..."}})
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", folder)
    assert "/" not in sweep_name({"data.raw": value})
