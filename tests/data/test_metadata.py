"""What is known of a particle beside its images, from the columns that STAR and .cs files have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cryoalign.data.metadata import name_numbers, particle_metadata, rows_of
from cryoalign.io.metadata import read_particles
from cryoalign.particles import Optics, Particles
from cryoalign.population.population import Population
from tests.conftest import REPOSITORY

OPTICS = Optics(1, "one", 2.0, 300.0, 2.7, 0.1)
SHARED = REPOSITORY.parent / "shared" / "data"


def particles(**columns: object) -> Particles:
    table = pd.DataFrame(columns, index=range(4))
    return Particles.make(
        Path("raw.star"), [OPTICS], 4, table=table, micrograph=np.array(["b.mrc", "a.mrc", "b.mrc", ""]),
        defocus=np.array([[1e4, 9e3, 30.0], [2e4, 1.9e4, 0.0], [8e3, 8e3, 0.0], [1e4, 1e4, 10.0]]),
    )  # fmt: skip


def test_types_and_shapes() -> None:
    known = particle_metadata(particles())
    assert {name: (values.dtype, tuple(values.shape)) for name, values in known.items()} == {
        "defocus": (torch.float32, (4,)),
        "ctf": (torch.float64, (4, 14)),
        "dose": (torch.float32, (4,)),
        "tilt": (torch.float32, (4,)),
        "micrograph": (torch.int64, (4,)),
        "particle": (torch.int64, (4,)),
        "identity": (torch.int64, (4,)),
    }
    assert known["defocus"].tolist() == [9500, 19500, 8000, 10000]


def test_dose_and_tilt_are_nan_where_they_are_not_known() -> None:
    known = particle_metadata(particles())
    assert known["dose"].isnan().all()
    assert known["tilt"].isnan().all()
    known = particle_metadata(
        particles(
            rlnMicrographPreExposure=[0.0, 3.5, np.inf, 7.0],
            rlnTomoNominalStageTiltAngle=["-3.0", "0", "None", "60"],
        )
    )
    np.testing.assert_array_equal(known["dose"], np.float32([0, 3.5, np.nan, 7]))
    np.testing.assert_array_equal(known["tilt"], np.float32([-3, 0, np.nan, 60]))


def test_the_nominal_tilt_goes_before_the_refined_one() -> None:
    refined = {"rlnTomoYTilt": [1.0, 2.0, 3.0, 4.0]}
    assert particle_metadata(particles(**refined))["tilt"].tolist() == [1, 2, 3, 4]
    both = refined | {"rlnTomoNominalStageTiltAngle": [0.0, 3.0, 6.0, 9.0]}
    assert particle_metadata(particles(**both))["tilt"].tolist() == [0, 3, 6, 9]


def test_a_micrographs_number_depends_on_its_name_alone() -> None:
    first, second, third, none = particle_metadata(particles())["micrograph"].tolist()
    assert first == third != second
    assert none == 0
    assert min(first, second) > 0
    numbers = name_numbers(np.array([f"mic_{number}.mrc" for number in range(5000)]))
    assert len(np.unique(numbers)) == 5000
    assert numbers.min() > 0
    assert name_numbers(np.array(["a.mrc"])).tolist() == [second]
    assert second == 1441008637143301662, "another number would change fakes that were made before"


def test_a_particles_number_is_that_of_the_raw_image_that_was_simulated() -> None:
    raw = particles()
    sim = replace(particles(rlnImageOriginalName=raw.image_name), stack=np.full(4, "sim.mrcs"))
    numbers = particle_metadata(raw)["particle"]
    assert torch.equal(particle_metadata(sim)["particle"], numbers)
    assert len(numbers.unique()) == 4
    assert torch.equal(particle_metadata(sim.take([2, 1]))["particle"], numbers[[2, 1]])


def test_a_particle_of_cryosparc_is_known_by_its_uid() -> None:
    """Exactly: uids of 64 bits that differ in the last one."""
    uids = np.array([2**64 - 1, 2**64 - 2, 5, 6], dtype=np.uint64)
    one, other = (replace(particles(uid=uids), stack=np.full(4, stack)) for stack in ("a.mrcs", "b.mrcs"))
    numbers = particle_metadata(one)["particle"]
    assert torch.equal(numbers, particle_metadata(other)["particle"])
    assert len(numbers.unique()) == 4


def test_rows() -> None:
    known = particle_metadata(particles())
    some = rows_of(known, np.array([2, 0]))
    assert some["defocus"].tolist() == [8000, 9500]
    assert some["ctf"].shape == (2, 14)
    one = rows_of(known, 1)
    assert one["ctf"].shape == (14,)
    assert float(one["defocus"]) == 19500


@pytest.mark.skipif(not SHARED.is_dir(), reason="the test data beside the project are not there")
def test_real_files() -> None:
    """A tilt series of RELION has doses; a .cs of CryoSPARC has none, and this one names no micrographs."""
    series = read_particles(SHARED / "ribosome_10499" / "particles.star")
    known = particle_metadata(series)
    assert known["dose"][:3].tolist() == pytest.approx([89.462, 81.794, 79.238])
    assert len(known["micrograph"].unique()) == len(np.unique(series.micrograph))
    (path,) = sorted((SHARED / "formats").glob("*.cs"))
    single = read_particles(path)
    known = particle_metadata(single)
    assert known["dose"].isnan().all()
    assert (known["micrograph"] == 0).all()
    np.testing.assert_allclose(known["ctf"][:, :3], single.defocus)


def test_a_new_particle_is_known_by_its_uid() -> None:
    like = particles()
    population = Population(like, 5, identity="one")
    numbers = particle_metadata(population.take([0, 3]))["particle"]
    assert numbers.tolist() == particle_metadata(population.take([3, 0]))["particle"].flip(0).tolist()
    other = Population(like, 5, identity="other").take([0, 3])
    assert not set(numbers.tolist()) & set(particle_metadata(other)["particle"].tolist())
    moved = replace(population.take([0, 3]), stack=np.array(["fake.mrcs"] * 2), slot=np.array([7, 9]))
    assert particle_metadata(moved)["particle"].tolist() == numbers.tolist()  # in an export
