"""The embedded data set as projects: read like RELION's and CryoSPARC's, with the images of the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryoalign.data.pairs import match_pairs
from cryoalign.embedded.cache import find_or_make
from cryoalign.embedded.projects import EmbeddedProjects, write_projects
from cryoalign.embedded.recipes import recipe_of
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import MrcStack, read_volume
from cryoalign.physics.rotation import euler_to_matrix
from tests.conftest import Cli

SMALL = {"box": 32, "particles": 10, "micrographs": 3, "domains": 2, "diameter": 100.0}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedProjects:
    return write_projects(tmp_path_factory.mktemp("work") / "set", recipe_of(SMALL))


def test_both_projects_show_the_images_of_the_cache(projects: EmbeddedProjects, tmp_path: Path) -> None:
    cached = find_or_make(tmp_path, **SMALL)
    expected = cached.raw.with_suffix(".mrcs").read_bytes()[1024:]
    for table in (read_particles(projects.star), read_particles(projects.cs, projects.passthrough)):
        (stack,) = locate_stacks(table).values()
        assert stack.read_bytes()[1024:] == expected
        assert list(table.slot) == list(range(10))
    (truth,) = locate_stacks(read_particles(projects.truth)).values()
    assert truth.read_bytes()[1024:] == cached.truth.with_suffix(".mrcs").read_bytes()[1024:]
    assert np.array_equal(read_volume(projects.volume)[0], read_volume(cached.volume)[0])


def test_both_projects_agree_on_poses_ctf_halves_and_micrographs(projects: EmbeddedProjects) -> None:
    relion, cryosparc = read_particles(projects.star), read_particles(projects.cs, projects.passthrough)
    match_pairs(cryosparc, relion)  # refuses what disagrees
    import torch

    matrices = [euler_to_matrix(torch.from_numpy(table.angles)) for table in (relion, cryosparc)]
    torch.testing.assert_close(*matrices, atol=1e-6, rtol=0)
    np.testing.assert_allclose(cryosparc.shift, relion.shift, atol=1e-4)
    np.testing.assert_allclose(cryosparc.defocus, relion.defocus, rtol=1e-5)
    assert list(cryosparc.half) == list(relion.half)
    names = [Path(name).name for name in cryosparc.micrograph]
    assert names == list(relion.micrograph)
    assert len(set(names)) == 3


def test_the_passthrough_is_needed_for_the_micrographs_and_has_another_order(
    projects: EmbeddedProjects,
) -> None:
    without = read_particles(projects.cs)
    assert set(without.micrograph) == {""}
    uid = [np.load(path)["uid"] for path in (projects.cs, projects.passthrough)]
    assert sorted(uid[0]) == sorted(uid[1])
    assert list(uid[0]) != list(uid[1])
    assert len(set(uid[0])) == 10


def test_the_truth_is_matched_by_name_and_by_uid(projects: EmbeddedProjects) -> None:
    for raw, truth in ((projects.star, projects.truth), (projects.cs, projects.truth.with_suffix(".cs"))):
        matched, of_raw = match_pairs(read_particles(truth), read_particles(raw))
        assert list(of_raw.row) == list(range(1, 11))
        (stack,) = locate_stacks(matched).values()
        assert MrcStack(stack).count == 10


def test_the_command_writes_a_set_once(cli: Cli, tmp_path: Path) -> None:
    options = ("out=set", "particles=6", "box=32", "micrographs=2", "+domains=2", "progress=false")
    done = cli("embedded", *options)
    assert done.code == 0, done.err
    printed = [Path(line.split()[-1]) for line in done.out.splitlines()]
    assert len(printed) == 5
    assert all((tmp_path / path).is_file() for path in printed)
    assert json.loads((tmp_path / "set" / "recipe.json").read_text())["domains"] == 2
    again = cli("embedded", *options)
    assert again.code == 1
    assert "overwrite=true" in again.err
    replaced = cli("embedded", *options, "overwrite=true", "seed=1")
    assert replaced.code == 0, replaced.err
    assert json.loads((tmp_path / "set" / "recipe.json").read_text())["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("micrographs=0", "1 <= micrographs"), ("box=8", "a box 1.25 times"), ("batch_size=0", "1 or more"),
        ("+domians=3", "domains"), ("box=large", "whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(cli: Cli, tmp_path: Path, wrong: str, expected: str) -> None:
    done = cli("embedded", "out=set", wrong)
    assert done.code == 1
    assert expected in done.err
    assert "remedy" in done.err or "whole number" in done.err
    assert not list(tmp_path.iterdir())
