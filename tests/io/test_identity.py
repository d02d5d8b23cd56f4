"""Who a particle is to random numbers: the same in every order, another one for another map or pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoalign.io.identity import identities, image_identities, simulated_identities
from cryoalign.io.metadata import read_particles
from cryoalign.io.relion import write_particles
from cryoalign.io.simulated import MAPS
from cryoalign.particles import Optics, Particles

OPTICS = Optics(1, "one", 2.0, 300.0, 2.7, 0.1, box_size=16)


def measured(count: int = 5) -> Particles:
    rng = np.random.default_rng(0)
    return Particles.make(
        Path("raw.star"),
        [OPTICS],
        count,
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.normal(size=(count, 2)),
    )


def simulated(folder: Path, maps: str | None, stack: str = "sim.mrcs") -> Particles:
    """What a simulator writes of the measured ones, read back."""
    folder.mkdir()
    raw = measured()
    notes = None if maps is None else {"seed": 0, MAPS: maps}
    write_particles(
        folder / "sim.star", replace(raw, stack=np.full(5, stack)), original_names=raw.image_name, notes=notes
    )
    return read_particles(folder / "sim.star")


def test_neither_row_nor_order_nor_what_else_is_in_the_table_matters(tmp_path: Path) -> None:
    for particles, maps in ((measured(), "a"), (simulated(tmp_path / "sim", "a"), None)):
        whole = identities(particles, maps)
        assert len(set(whole.tolist())) == 5
        assert identities(particles.take([3, 0]), maps).tolist() == whole[[3, 0]].tolist()
        moved = replace(particles, row=particles.row + 7)
        assert identities(moved, maps).tolist() == whole.tolist()


def test_images_of_two_maps_are_two_particles(tmp_path: Path) -> None:
    one, other = (set(identities(measured(), maps).tolist()) for maps in "ab")
    assert not one & other
    stated = [identities(simulated(tmp_path / maps, maps)) for maps in "ab"]
    assert not set(stated[0].tolist()) & set(stated[1].tolist())
    again = simulated(tmp_path / "again", "a", stack="other.mrcs")  # with the names of another folder
    assert identities(again).tolist() == stated[0].tolist()


def test_images_of_other_programs_are_known_by_their_own_names(tmp_path: Path) -> None:
    one, other = (identities(simulated(tmp_path / name, None, f"{name}.mrcs")) for name in "ab")
    assert not set(one.tolist()) & set(other.tolist())


def test_rows_of_one_image_are_told_apart_by_their_poses_and_equal_ones_by_their_order() -> None:
    """As after a symmetry expansion; the first of equal rows is the one that stands there alone."""
    once = measured()
    expanded = replace(
        once.take([0, 0, 0, 1]), angles=np.array([[0, 0, 0], [90, 0, 0], [0, 0, 0], [0, 0, 0.0]])
    )
    found = identities(expanded, "a")
    assert len(set(found.tolist())) == 4
    assert identities(expanded.take([2]), "a").tolist() == found[:1].tolist()
    some = simulated_identities(replace(expanded, row=np.arange(4)), "a")
    assert some(replace(expanded, row=np.arange(4)).take([2, 1])).tolist() == found[[2, 1]].tolist()
    moved = replace(once, shift=once.shift + 0.01)
    assert not set(identities(moved, "a").tolist()) & set(identities(once, "a").tolist())
    rounded = replace(once, angles=once.angles + 1e-7)  # as files of other programs have them
    assert identities(rounded, "a").tolist() == identities(once, "a").tolist()


@pytest.mark.parametrize("stated", [None, "a"])
def test_uids(stated: str | None) -> None:
    """CryoSPARC's, to the last of 64 bits; of particles that were never measured the uid is who they are."""
    uids = np.array([2**64 - 1, 2**64 - 2, 5, 6, 7], dtype=np.uint64)
    cryosparc = replace(measured(), table=pd.DataFrame({"uid": uids}))
    assert len(set(identities(cryosparc, stated).tolist())) == 5
    names = [f"simulated_{uid:016x}" for uid in uids.tolist()]
    new = replace(measured(), table=pd.DataFrame({"rlnParticleName": names}))
    assert identities(new, stated).tolist() == uids.tolist()


def test_an_image_of_which_nothing_is_known_is_known_by_its_values() -> None:
    images = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    found = image_identities(images)
    assert image_identities(images[[2, 0]]).tolist() == found[[2, 0]].tolist()
    assert len(set(image_identities(images[[0, 1, 0]]).tolist()) | set(found.tolist())) == 5
