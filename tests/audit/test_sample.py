"""Rows chosen, and pairs matched in spite of metadata that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from cryoalign.audit.sample import choose_rows, match_anyway, read_sample
from cryoalign.errors import InputError
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.io.simulated import is_of_cryoalign
from cryoalign.particles import Particles

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_are_spread_evenly() -> None:
    rows = choose_rows(1000, 11)
    assert rows[0] == 0
    assert rows[-1] == 999
    assert set(np.diff(rows).tolist()) <= {99, 100, 101}


@pytest.mark.parametrize("count", [0, 5, 7])
def test_all_rows_where_all_are_wanted(count: int) -> None:
    assert choose_rows(5, count).tolist() == [0, 1, 2, 3, 4]


def named(table: Particles) -> Particles:
    """A simulated table in another order, which names its raw images."""
    order = np.random.default_rng(0).permutation(len(table))
    sim = table.take(order)
    return replace(
        sim,
        table=sim.table.assign(rlnImageOriginalName=sim.image_name),
        row=np.arange(1, len(sim) + 1),
    )


def test_right_metadata_do_not_disagree(known: Particles) -> None:
    sim, raw, disagreement = match_anyway(named(known), known)
    assert disagreement is None
    np.testing.assert_array_equal(sim.angles, raw.angles)


def test_a_disagreement_is_reported_with_row_and_quantity(known: Particles) -> None:
    wrong = named(known)
    angles = wrong.angles.copy()
    angles[4, 0] += 20
    sim, raw, disagreement = match_anyway(replace(wrong, angles=angles), known)
    assert disagreement is not None
    assert "row 5" in disagreement
    assert "pose" in disagreement
    np.testing.assert_array_equal(sim.shift, raw.shift)  # matched by name all the same


def test_even_a_flag_may_disagree(known: Particles) -> None:
    optics = tuple(replace(group, premultiplied=True) for group in known.optics)
    sim, raw, disagreement = match_anyway(replace(named(known), optics=optics), known)
    assert disagreement is not None
    assert "Premultiplied" in disagreement
    assert sim.optics[0].premultiplied
    assert not raw.optics[0].premultiplied


def test_tables_that_cannot_be_matched_are_refused(known: Particles) -> None:
    with pytest.raises(InputError, match="rows"):
        match_anyway(known.take(np.arange(10)), known)


def test_symmetry_expanded_rows_are_told_apart_by_their_poses(known: Particles) -> None:
    rows = np.repeat(np.arange(len(known)), 2)
    angles = known.angles[rows] + np.outer(np.arange(len(rows)) % 2, [180, 0, 0])
    raw = replace(known.take(rows), angles=angles, row=np.arange(1, len(rows) + 1))
    sim, matched, disagreement = match_anyway(named(raw), raw)
    assert disagreement is None
    assert len(sim) == len(raw)
    np.testing.assert_array_equal(sim.angles, matched.angles)
    assert sorted(matched.row.tolist()) == raw.row.tolist()


def written(folder: Path, name: str, table: Particles, images: np.ndarray, pixel_size: float = 4.0) -> Path:
    with StackWriter(folder / f"{name}.mrcs", len(images), images.shape[-1], pixel_size) as writer:
        writer.write(images)
    names = [f"{slot + 1:06d}@{name}.mrcs" for slot in range(len(images))]
    write_particles(folder / f"{name}.star", table, image_names=names)
    return folder / f"{name}.star"


def noise(table: Particles) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(table), 32, 32)).astype(np.float32)


@pytest.mark.parametrize("factor", [1e37, 1e-36])
def test_images_of_any_scale_are_looked_at(factor: float, known: Particles, tmp_path: Path) -> None:
    """Squares of huge values are infinite in float32, those of tiny ones 0."""
    images = noise(known)
    sim = written(tmp_path, "sim", known, images)
    raw = written(tmp_path, "raw", known, images * np.float32(factor))
    found = read_sample(sim, raw)
    ratio = found.raws / found.sims
    assert bool(torch.isfinite(found.raws.square().sum()))
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-4, atol=0)
    assert 0.5 < float(ratio.mean()) < 2


def test_images_of_a_usual_scale_stay_as_they_are(known: Particles, tmp_path: Path) -> None:
    images = noise(known)
    found = read_sample(
        written(tmp_path, "sim", known, images), written(tmp_path, "raw", known, images * 1000)
    )
    np.testing.assert_array_equal(found.raws.numpy(), images * 1000)


def test_a_hot_pixel_is_named(known: Particles, tmp_path: Path) -> None:
    images = noise(known)
    sim = written(tmp_path, "sim", known, images)
    images[3, 4, 5] = 1e30
    raw = written(tmp_path, "raw", known, images)
    with pytest.raises(InputError, match=r"row 4: image 4 of .*raw\.mrcs has a pixel of 1e\+30 at x 5, y 4"):
        read_sample(sim, raw)


def test_a_header_of_another_pixel_size_is_refused(known: Particles, tmp_path: Path) -> None:
    images = noise(known)
    sim = written(tmp_path, "sim", known, images)
    raw = written(tmp_path, "raw", known, images, pixel_size=2.2)
    with pytest.raises(InputError, match=r"2\.2 A/px in the header(.|\n)*check_header=false"):
        read_sample(sim, raw)
    assert read_sample(sim, raw, check_header=False).pixel_size == 4.0


def test_who_simulated_is_known_by_the_metadata(known: Particles, tmp_path: Path) -> None:
    """Where they agree with those of raw: else the images have another CTF."""
    images = noise(known)
    sim, raw = written(tmp_path, "sim", known, images), written(tmp_path, "raw", known, images)
    assert not read_sample(sim, raw).follows
    text = sim.read_text()
    sim.write_text(text + "\ndata_simulation\n\nloop_\n_cryoalignParameter #1\n_cryoalignValue #2\nseed 0\n")
    assert read_sample(sim, raw).follows
    assert is_of_cryoalign(sim.with_suffix(".cs"))
    written(tmp_path, "raw", replace(known, defocus=known.defocus + 50), images)
    assert not read_sample(sim, raw).follows
