"""Words that are no ``key=value`` are refused, and what is shown instead can be typed."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cryoalign.cli.words import check_words
from cryoalign.cli.writing import written
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["particles=my", "file.star"], "quote the whole argument"),
        (["--particles", "ribo.star"], "write particles=ribo.star, without dashes"),
        (["--particles=ribo.star"], "write particles=ribo.star, without dashes"),
        (["--particles", "my ribo.star"], "write 'particles=my ribo.star', without dashes"),
        (["--particle", "ribo.star"], "write particles=ribo.star, without dashes"),
        (["--volume-pixel-size", "1.3"], "write volume_pixel_size=1.3, without dashes"),
        (["--overwrite"], "write overwrite=true, without dashes"),
        (["--scattering", "multislice"], "write scattering=multislice, without dashes"),
        (["--i", "ribo.star"], "without dashes, e.g. particles=ribo.star; cryoalign simulate --help"),
        (["-i", "ribo.star"], "without dashes, e.g. particles=ribo.star; cryoalign simulate --help"),
        (["--i=ribo.star"], "without dashes, e.g. particles=ribo.star; cryoalign simulate --help"),
        (["--nonsense"], "there is no option --nonsense"),
        (["seed=1", "-m", "box=32,64"], "write the options (-m) directly behind cryoalign simulate"),
        (["particles", "=", "ribo.star"], "write particles=ribo.star, no spaces round ="),
        (["particles=", "ribo.star"], "write particles=ribo.star, no spaces round ="),
        (["particles", "=ribo.star"], "write particles=ribo.star, no spaces round ="),
        (["help"], "remedy: cryoalign simulate --help"),
        (["particles=run=3.star"], "'particles=\"run=3.star\"'"),
        (["particles=Peter's.star"], """ 'particles="Peter'"'"'s.star"'\n"""),
        (["particles=~/ribo.star"], "write particles=$HOME/ribo.star"),
        (["particles = ribo.star"], "write particles=ribo.star, no spaces round ="),
        (['particles =" ribo.star"'], "write 'particles=\" ribo.star\"', no spaces round ="),
        (["particles =ribo.star"], "write particles=ribo.star, no spaces round ="),
    ],
)
def test_an_argument_that_cannot_be_read(arguments: list[str], shown: str) -> None:
    with pytest.raises(InputError) as refused:
        check_words([*arguments, "volume=v.mrc", "out=x"], "simulate")
    assert shown in f"{refused.value}\n"


def test_options_of_hydra_are_options() -> None:
    check_words(["-m", "seed=1,2"], "simulate")
    check_words(["seed=1,2", "--multirun"], "simulate")
    check_words(["--cfg", "job", "seed=1"], "simulate")


def test_a_refusal_is_all_that_is_printed(cli: Cli) -> None:
    done = cli("simulate", "--particles", "ribo.star")
    remedy = "  expected: key=value\n  remedy: write particles=ribo.star, without dashes\n"
    assert (done.code, done.err) == (1, f"error: there is no option --particles\n{remedy}")


@pytest.mark.parametrize(
    "name",
    [
        "plain/run_1.star",
        "a b",
        "a=b,c",
        "it's",
        'say "x"',
        "a${x}",
        "20",
        "true",
        "null",
        "~/x",
        "[1]",
        "a{b}",
        "#1",
    ],
)
def test_what_is_written_for_a_path_is_that_path(name: str) -> None:
    """Through a shell, Hydra's grammar and OmegaConf."""
    (word,) = shlex.split(written("run", name))
    (override,) = OverridesParser.create().parse_overrides([word])
    assert OmegaConf.create({"run": override.value()}).run == name


def test_the_quoting_shown_works(cli: Cli) -> None:
    done = cli("simulate", 'particles="a dir/run=3.star"', "volume=v.mrc", "out=x")
    assert done.code == 1
    assert done.err.startswith("error: a dir/run=3.star: there is no such file\n")


def test_names_that_are_no_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work: no configuration and no page could hold them."""
    odd = os.fsdecode(b"latin\xe9")
    with pytest.raises(InputError, match=r"an argument is not UTF-8 text\n.*'particles=latin\\udce9/p'"):
        check_words([f"particles={odd}/p"], "simulate")
    (tmp_path / odd).mkdir()
    monkeypatch.chdir(tmp_path / odd)
    check_words(["particles=p.star"], "simulate")
    with pytest.raises(InputError, match="the working directory is not UTF-8"):
        check_words(["seed=1"], "train")
