"""Rows that belong together are found: by name, by what the names were before, by pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.data.matching_rows import matching_rows, refuse_swapped
from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.population.population import Population
from tests.data.paired_tables import COUNT, foreign, measured, simulated
from tests.data.test_datamodule import COUNT as IMAGES
from tests.data.test_datamodule import PARTS, grey_values, ready, write

if TYPE_CHECKING:
    from cryoalign.particles import Particles


@pytest.fixture
def raw() -> Particles:
    return measured()


def test_by_name_in_any_order(raw: Particles) -> None:
    order = [4, 0, 2]
    sim, matched = match_pairs(simulated(raw.take(order)), raw)
    assert matched.row.tolist() == [5, 1, 3]
    assert sim.slot.tolist() == [0, 1, 2]
    assert len(matched) == 3  # a raw image without a simulated one is left out


def test_number_and_folder_of_a_name_may_be_written_otherwise(raw: Particles) -> None:
    names = [f"{slot + 1}@/moved/{Path(stack).name}" for slot, stack in zip(raw.slot, raw.stack, strict=True)]
    _, matched = match_pairs(simulated(raw, names), raw)
    assert matched.row.tolist() == list(range(1, COUNT + 1))


def test_exact_names_come_before_last_parts(raw: Particles) -> None:
    mixed = replace(raw, stack=np.array(["x/a.mrcs", "y/a.mrcs"] * 3), slot=np.arange(COUNT) // 2)
    _, matched = match_pairs(simulated(mixed), mixed)
    assert matched.row.tolist() == list(range(1, COUNT + 1))


@pytest.mark.parametrize("moved", ["z/a.mrcs", "a.mrcs"])
def test_ambiguous_last_part_is_refused(raw: Particles, moved: str) -> None:
    mixed = replace(raw, stack=np.array(["x/a.mrcs", "y/a.mrcs"] * 3), slot=np.arange(COUNT) // 2)
    with pytest.raises(
        InputError, match=r"sim\.star, row 1: none of the simulated particles has its raw image here"
    ):
        match_pairs(simulated(mixed, [f"{i // 2 + 1}@{moved}" for i in range(COUNT)]), mixed)


def test_two_names_never_become_one_stack(raw: Particles, caplog: pytest.LogCaptureFixture) -> None:
    single = replace(raw, stack=np.full(COUNT, "x/a.mrcs"))
    names = [f"{i + 1}@{'x' if i < 3 else 'z'}/a.mrcs" for i in range(COUNT)]
    _, matched = match_pairs(simulated(single, names), single)
    assert matched.row.tolist() == [1, 2, 3]
    assert "3 of 6 simulated particles have no raw image in raw.star and are left out" in caplog.text
    assert "the first in row 4 (rlnImageOriginalName 4@z/a.mrcs)" in caplog.text


def test_raw_that_was_selected_after_the_simulation(raw: Particles, caplog: pytest.LogCaptureFixture) -> None:
    sim, matched = match_pairs(simulated(raw), raw.take([5, 0, 1, 4]))
    assert sim.row.tolist() == matched.row.tolist() == [1, 2, 5, 6]
    assert "2 of 6 simulated particles have no raw image in raw.star and are left out" in caplog.text
    assert "the first in row 3 (rlnImageOriginalName 000002@" in caplog.text or "000003@" in caplog.text


def test_no_raw_image_is_there(raw: Particles) -> None:
    other = replace(raw, slot=raw.slot + 100)
    with pytest.raises(
        InputError, match=r"sim\.star, row 1: none of the simulated particles(.|\n)*000001@Extract/a"
    ) as e:
        match_pairs(simulated(raw), other)
    assert "raw.star" in str(e.value)


def _expanded(raw: Particles, copies: int = 3) -> Particles:
    """Each particle in all its symmetric poses, as relion_particle_symmetry_expand writes them."""
    rows = np.repeat(np.arange(len(raw)), copies)
    angles = raw.angles[rows] + np.outer(np.tile(np.arange(copies), len(raw)), [360 / copies, 0, 0])
    return replace(raw.take(rows), angles=angles, row=np.arange(len(rows)) + 1)


def test_symmetry_expansion(raw: Particles) -> None:
    """Rows of one image are told apart by their poses, in any order and also after a selection."""
    raw = _expanded(raw)
    sim = simulated(raw)
    order = np.random.default_rng(4).permutation(len(raw))
    for some in (np.arange(len(raw)), order, order[:7]):
        found, matched = match_pairs(sim.take(some), raw)
        assert found.row.tolist() == matched.row.tolist() == (some + 1).tolist()
    found, matched = match_pairs(sim, raw.take(order[:7]))
    assert found.row.tolist() == matched.row.tolist() == sorted(order[:7] + 1)


def test_parts_of_one_image_are_told_apart_by_their_shifts(raw: Particles) -> None:
    raw = replace(_expanded(raw, 2), angles=np.repeat(raw.angles, 2, axis=0))
    raw = replace(raw, shift=raw.shift + np.arange(len(raw))[:, None])
    _, matched = match_pairs(simulated(raw).take([3, 2, 11, 0]), raw)
    assert matched.row.tolist() == [4, 3, 12, 1]


def test_expanded_rows_whose_poses_differ_are_matched_in_order(raw: Particles) -> None:
    raw = _expanded(raw)
    sim = simulated(replace(raw, angles=raw.angles + np.array([7, 0, 0])))
    with pytest.raises(InputError, match=r"row 1: .* differ in pose \(18 of 18 rows\)"):
        match_pairs(sim, raw)
    with pytest.raises(InputError, match=r"row 2: two raw particles(.|\n)*symmetry expansion"):
        match_pairs(sim.take([0, 3, 6]), raw)


def test_what_relion_project_copies_names_what_raw_was_made_of(raw: Particles) -> None:
    """Particles that were subtracted: raw names the images before, and relion_project copies the column."""
    names = [f"{i + 1:06d}@Extract/before.mrcs" for i in range(COUNT)]
    raw = replace(raw, table=raw.table.assign(rlnImageOriginalName=names))
    projected = simulated(raw, names)
    for order in ([0, 1, 2, 3, 4, 5], [4, 2, 0]):
        _, matched = match_pairs(projected.take(order), raw)
        assert matched.row.tolist() == [row + 1 for row in order]
    _, matched = match_pairs(simulated(raw), raw)  # cryoalign's own sims name raw's images
    assert matched.row.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_copy_of_raw_in_another_order_under_the_same_name(raw: Particles) -> None:
    """A name is both an image of this stack and of what it was copied from: the poses tell which is meant."""
    raw = replace(raw, stack=np.full(COUNT, "raw.mrcs"), slot=np.arange(COUNT))
    order = [3, 5, 0, 2, 4, 1]
    copied = raw.take(order)
    own = {"slot": np.arange(COUNT), "row": np.arange(COUNT) + 1}
    copied = replace(copied, table=copied.table.assign(rlnImageOriginalName=copied.image_name), **own)
    _, matched = match_pairs(simulated(raw), copied)
    assert matched.row.tolist() == [order.index(row) + 1 for row in range(COUNT)]
    _, matched = match_pairs(simulated(copied), copied)  # simulated from the copy: its own images are named
    assert matched.row.tolist() == [1, 2, 3, 4, 5, 6]


def test_swapped_tables(raw: Particles) -> None:
    with pytest.raises(InputError, match="look swapped"):
        refuse_swapped(raw, simulated(raw))
    refuse_swapped(simulated(raw), raw)
    before = raw.table.assign(rlnImageOriginalName=[f"{i + 1}@before.mrcs" for i in range(COUNT)])
    refuse_swapped(foreign(raw), replace(raw, table=before))  # raw may name what it was made of


def test_duplicates(raw: Particles) -> None:
    with pytest.raises(
        InputError, match=r"sim\.star, row 2: two simulated particles(.|\n)*image as in row 1"
    ):
        match_pairs(simulated(raw.take([2, 2, 0])), raw)
    with pytest.raises(InputError, match=r"raw\.star, row 3: two raw particles(.|\n)*image as in row 3"):
        match_pairs(simulated(raw), raw.take([0, 1, 2, 3, 4, 5, 2]))
    _, matched = match_pairs(simulated(raw.take([0, 1])), raw.take([0, 1, 2, 2]))
    assert matched.row.tolist() == [1, 2]  # duplicates that nobody asks for do no harm


@pytest.mark.parametrize("name", ["", "x@a.mrcs"])
def test_name_that_is_none(raw: Particles, name: str) -> None:
    names = raw.image_name.tolist()
    names[3] = name
    with pytest.raises(InputError, match=r"sim\.star, row 4: rlnImageOriginalName"):
        match_pairs(simulated(raw, names), raw)


def test_symmetry_expanded_particles_in_a_data_module(tmp_path: Path) -> None:
    """Each row of an image goes with the one of its pose, and all rows of an image into one part."""
    stars = write(tmp_path, *grey_values())
    order = np.random.default_rng(5).permutation(2 * IMAGES)
    for name, rows in (("sim", np.arange(2 * IMAGES)), ("raw", order)):
        table = read_particles(stars[name])
        angles = np.concatenate([table.angles, table.angles + np.array([180.0, 0, 0])])
        write_particles(stars[name], replace(table.take([*range(IMAGES)] * 2), angles=angles).take(rows))
    module = ready(stars, batch_size=8)
    images: list[set[int]] = []
    for part in PARTS:
        sim, raw = module.particles(part)
        np.testing.assert_allclose(sim.angles, raw.angles)
        assert sim.slot.tolist() == raw.slot.tolist()
        images.append(set(raw.slot.tolist()))
    assert sum(map(len, images)) == len(set.union(*images)) == IMAGES


def test_new_particles_have_no_raw_images(raw: Particles) -> None:
    new = Population(raw, len(raw)).take(np.arange(len(raw)))
    with pytest.raises(InputError, match="were never measured") as refused:
        matching_rows(new, raw)
    assert "particles=" in str(refused.value)
    other = Population(raw, len(raw), identity="noisy").take(np.arange(len(raw)))
    assert matching_rows(new, other) == (new, other)  # of which one may stand for raw
