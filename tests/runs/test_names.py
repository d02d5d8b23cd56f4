"""Runs are named by what differs, as shortly as no other key can be meant."""

from __future__ import annotations

import pytest

from cryoalign.runs.names import class_name, run_name, short_names, value_text

KEYS = [
    "seed",
    "data.seed",
    "loss.weights.rpsd",
    "loss.weights.gan",
    "loss.rpsd._target_",
    "loss.rpsd.norm",
    "generator._target_",
    "generator.width",
    "discriminator.width",
    "optimizer.algorithm.lr",
]


def test_a_run_is_named_by_what_differs():
    assert run_name({"loss.weights.rpsd": 0.5, "seed": 2}, KEYS) == "rpsd=0.5,seed=2"
    assert run_name({"generator._target_": "cryoalign.models.unet.UNet"}, KEYS) == "generator=UNet"
    assert run_name({}, KEYS) == ""


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("loss.weights.rpsd", "rpsd"),
        ("optimizer.algorithm.lr", "lr"),
        ("generator.width", "generator.width"),
        ("generator._target_", "generator"),
        ("seed", "seed"),
        ("data.seed", "data.seed"),
    ],
)
def test_names_are_short_where_no_other_key_can_be_meant(key, name):
    assert short_names([key], KEYS) == {key: name}


def test_a_class_and_a_value_have_different_names_where_both_differ():
    both = ["loss.weights.rpsd", "loss.rpsd._target_"]
    assert short_names(both, KEYS) == {both[0]: "weights.rpsd", both[1]: "loss.rpsd"}


def test_an_ending_is_one_of_whole_parts():
    assert short_names(["a.rate"], ["a.rate", "b.generate"]) == {"a.rate": "rate"}
    assert short_names(["a.b"], ["a.b", "x.a.b"]) == {"a.b": "a.b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (2e-4, "0.0002"),
        (True, "true"),
        (None, "null"),
        ([0.5, 0.999], "[0.5, 0.999]"),
        ("raw.star", "raw.star"),
    ],
)
def test_equal_values_have_one_text(value, text):
    assert value_text(value) == text


def test_classes_are_named_without_their_modules():
    assert class_name("torch.optim.Adam") == "Adam"
    assert class_name("data/raw.star") == "data/raw.star"
