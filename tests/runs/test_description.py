"""Files of a run that something else has changed are refused by their names, whatever is in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.runs.checkpoint import binding, read_checkpoint
from cryoalign.runs.description import read_split
from cryoalign.runs.folder import read_run
from cryoalign.runs.generator import REFINING
from cryoalign.train.naming import read_origin
from cryoalign.train.slots import CONTINUING, JUDGING
from tests.bad_input.strangers import put, stored, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bad_input.strangers import Tree


@pytest.fixture(scope="module")
def settings() -> Tree:
    return stored()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[1, 2]",
        "a: [1",
        "[" * 600,
        "a: " + "[" * 600 + "]" * 600,
        "a: 1\na: 2",
        "? [1]\n: 3",
        "a: !!binary aGk=",
        "a: &x [1]\nb: *x",
        "a: &x [*x]",
        "a: !!python/name:os.system",
        "a: ${",
        "\0",
        "\udcff",
    ],
    ids=repr,
)
def test_a_configuration_that_is_none(text: str, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    (folder / "config.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as refusal:
        read_run(folder)
    assert refusal.value.file == folder / "config.yaml"
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", "one", "a whole number"),
        ("seed", 10**30, "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", None, "a whole number"),
        ("data", 3, "names and values"),
        ("loss.weights", [1], "names and values"),
        ("optimizer", None, "names and values"),
        ("trainer.max_steps", 2.5, "a whole number"),
        ("data.batch_size", "8", "a whole number"),
        ("test", "yes", "true or false"),
        ("monitor", 3, "text"),
        ("trainer", "x", "names and values"),
        ("discriminator", [], "names and values"),
    ],
)
def test_a_value_of_another_kind(
    key: str, value: object, expected: str, settings: Tree, tmp_path: Path
) -> None:
    folder = write(tmp_path / "run", settings, key, value)
    with pytest.raises(InputError, match=f"{key} cannot be used") as refusal:
        read_run(folder, CONTINUING)
    assert (refusal.value.file, refusal.value.expected) == (folder / "config.yaml", expected)
    read_run(folder)  # a report shows whatever there is


def test_what_is_not_built_may_be_missing(settings: Tree, tmp_path: Path) -> None:
    few = {key: settings[key] for key in ("seed", "data", "generator")}
    folder = write(tmp_path / "run", few)
    assert read_run(folder, REFINING).normalization.range == "none"
    with pytest.raises(InputError, match="discriminator cannot be used"):
        read_run(folder, JUDGING)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ("[" * 9**5, "cannot be read"),
        ("\udcff", "cannot be read"),
        ("{}", "box"),
        ('{"box": "32"}', "box"),
        ('{"box": 1e9}', "box"),
        ('{"box": 32}', "pixel_size"),
        ('{"box": 32, "pixel_size": NaN}', "pixel_size"),
        ('{"box": 32, "pixel_size": 0}', "pixel_size"),
        ('{"box": 32, "pixel_size": [1]}', "pixel_size"),
        ('{"box": 32, "pixel_size": 2}', "normalization"),
        ('{"box": 32, "pixel_size": 2, "normalization": {"radius": "x"}}', "normalization"),
    ],
)
def test_a_data_json_that_says_nothing(text: str, problem: str, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    (folder / "data.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=problem) as refusal:
        read_run(folder, REFINING)
    assert refusal.value.file == folder / "data.json"


@pytest.mark.parametrize("key", ["radius", "range", "percentiles", "sim_offset", "sim_scale", "raw_low"])
@pytest.mark.parametrize("value", ["x", [], {}, float("nan"), None, 10**400, [0.5, 10**400]])
def test_a_normalization_of_another_kind(key: str, value: object, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    known = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(put(known, ["normalization", key], value)))
    with pytest.raises(InputError, match="normalization cannot be used"):
        read_run(folder, REFINING)


@pytest.mark.parametrize(
    "shares", [3, {}, {"sim": 0.1}, {"sim": "x", "raw": 0.9}, {"sim": 10**400, "raw": 1}]
)
def test_shares_of_another_kind(shares: object, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    known = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(known | {"background_share": shares}))
    with pytest.raises(InputError, match="background_share cannot be used"):
        read_run(folder, REFINING)


@pytest.mark.parametrize("key", ["bright_share", "premultiplied"])
@pytest.mark.parametrize("share", ["x", 2, [], float("nan"), True])
def test_a_look_of_sims_of_another_kind(key: str, share: object, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    known = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(known | {key: share}))
    with pytest.raises(InputError, match=f"{key} cannot be used"):
        read_run(folder, REFINING)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe",
        b"rlnImageName\nx\n",
        b"part\n" + b"x" * 200_000,
    ],
)
def test_a_split_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    if not content:
        assert read_split(path) == []  # no row is that of the data, which is refused
        return
    with pytest.raises(InputError, match="this split cannot be read"):
        read_split(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"name": 3}',
        '{"varied": []}',
        '{"overrides": [1]}',
        '{"choices": {"a": 1}}',
        '{"name": null}',
    ],
)
def test_an_origin_of_another_kind(text: str, tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(InputError) as refusal:
        read_origin(tmp_path)
    assert refusal.value.file == tmp_path / "provenance.json"


@pytest.mark.parametrize(
    "change",
    [
        {"state_dict": [1]},
        {"state_dict": {"a": 1}},
        {"state_dict": None},
        {"global_step": "1"},
        {"global_step": -1},
        {"cryoalign": 3},
        {"cryoalign": {"configuration": 3}},
        {"cryoalign": {"configuration": "{"}},
    ],
    ids=repr,
)
def test_a_checkpoint_of_another_kind(change: dict[str, object], settings: Tree, tmp_path: Path) -> None:
    cfg = read_run(write(tmp_path / "run", settings)).cfg
    whole = {
        "state_dict": {"a": torch.zeros(1)},
        "global_step": 1,
        "cryoalign": {"configuration": binding(cfg)},
    }
    path = tmp_path / "last.ckpt"
    torch.save(whole, path)
    assert read_checkpoint(path, cfg)["global_step"] == 1
    torch.save(whole | change, path)
    with pytest.raises(InputError, match="not a checkpoint that cryoalign wrote"):
        read_checkpoint(path, cfg)
