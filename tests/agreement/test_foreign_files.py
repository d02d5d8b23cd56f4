"""Files that keep to their standard only in part mean to cryoalign what they mean to RELION and to gemmi."""

from __future__ import annotations

import logging
from itertools import permutations
from typing import TYPE_CHECKING

import gemmi
import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.data.pairs import match_pairs
from cryoalign.io.mrc_volume import read_volume
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.relion.missing_ctf import DEFOCUS
from cryoalign.particles import Optics
from cryoalign.simulate.weak_phase import WeakPhase
from tests.agreement.conftest import phantom, random_particles, run_relion

if TYPE_CHECKING:
    from pathlib import Path

OPTICS = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
# a comment between the labels
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
1 "krios one" 300 2.7 0.1 1.5 32 2
2 'it's two'   200 2.0 0.07 1.5 32 2

data_particles

loop_
_rlnImageName #1
_rlnMicrographName #2
# another one
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnDefocusU #6
_rlnDefocusV #7
_rlnDefocusAngle #8
_rlnOpticsGroup #9
"""
ROWS = """000001@o'brien/a.mrcs mic#1.mrc  11 21 31 10001 9001 41 1
000002@a#b.mrcs       "mic 2.mrc" 12 22 32 10002 9002 42 2  # a remark
'000003@a b.mrcs'     "o'mic.mrc" 13 23 33 10003 9003 43 1  #another
000004@a"b.mrcs       mic'4'.mrc  14 24 34 10004 9004 44 2
data_/000005.mrcs     'mic#5' 15 25 35 10005 9005 45 2
"""


@pytest.mark.relion
def test_names_with_quotes_and_hashes(tmp_path: Path) -> None:
    """RELION's copy of the file, and of the one that cryoalign writes, hold the same particles."""
    (tmp_path / "in.star").write_text(OPTICS + ROWS)
    ours = read_particles(tmp_path / "in.star")
    write_particles(tmp_path / "ours.star", ours)
    assert ours.stack.tolist()[:4] == ["o'brien/a.mrcs", "a#b.mrcs", "a b.mrcs", 'a"b.mrcs']
    assert ours.micrograph.tolist() == ["mic#1.mrc", "mic 2.mrc", "o'mic.mrc", "mic'4'.mrc", "mic#5"]
    assert [group.name for group in ours.optics] == ["krios one", "it's two"]
    for name in ("in.star", "ours.star"):
        run_relion("relion_star_handler", "--i", name, "--o", "copy.star", cwd=tmp_path)
        theirs = read_particles(tmp_path / "copy.star")
        assert theirs.image_name.tolist() == ours.image_name.tolist()
        assert theirs.micrograph.tolist() == ours.micrograph.tolist()
        for column in ("angles", "defocus"):
            np.testing.assert_allclose(getattr(theirs, column), getattr(ours, column), rtol=1e-6)
        assert theirs.optics_column("voltage").tolist() == [300, 200, 300, 200, 200]


@pytest.mark.relion
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("place", "content"),
    [
        (212, b"\x44\0\0\0"),
        (212, bytes(4)),
        (212, b"\x17\x17\0\0"),
        (208, bytes(4)),
        (208, bytes(8)),
    ],
)
def test_stamps_and_a_missing_map_id(tmp_path: Path, order: str, place: int, content: bytes) -> None:
    values = phantom(16)
    with mrcfile.new(tmp_path / "in.mrc", values.astype(f"{order}f4")) as mrc:
        mrc.voxel_size = 3.0
    header = bytearray((tmp_path / "in.mrc").read_bytes())
    header[place : place + len(content)] = content
    (tmp_path / "in.mrc").write_bytes(header)
    run_relion("relion_image_handler", "--i", "in.mrc", "--o", "copy.mrc", cwd=tmp_path)
    volume, pixel_size = read_volume(tmp_path / "in.mrc")
    np.testing.assert_array_equal(volume, values)
    np.testing.assert_array_equal(volume, mrcfile.read(tmp_path / "copy.mrc"))
    assert pixel_size == pytest.approx(3.0)


@pytest.mark.parametrize("axes", list(permutations((1, 2, 3))))
def test_permuted_axes(tmp_path: Path, axes: tuple[int, int, int], caplog: pytest.LogCaptureFixture) -> None:
    """The density that gemmi puts at x, y, z, whichever axis the columns run along."""
    values = phantom(12)[:, 1:11, 2:10]  # z, y, x
    along = [3 - axis for axis in axes[::-1]]  # of sections, rows and columns
    with mrcfile.new(tmp_path / "in.map", np.ascontiguousarray(values.transpose(along))) as mrc:
        header = mrc.header
        header.mapc, header.mapr, header.maps = axes
        header.mx, header.my, header.mz = 8, 10, 12
        header.cella = (16.0, 20.0, 24.0)
    theirs = gemmi.read_ccp4_map(str(tmp_path / "in.map"))
    theirs.setup(float("nan"))
    right = np.array(theirs.grid.array, copy=True).transpose()
    assert right.shape == (12, 10, 8)
    with caplog.at_level(logging.WARNING):
        volume, pixel_size = read_volume(tmp_path / "in.map")
    np.testing.assert_array_equal(volume[:, 1:11, 2:10], right)
    np.testing.assert_array_equal(right, values)
    assert pixel_size == pytest.approx(2.0)
    assert bool(caplog.records) == (axes != (1, 2, 3))


@pytest.mark.relion
def test_a_box_that_is_no_cube(tmp_path: Path) -> None:
    """RELION's own padding of a smaller box keeps the same voxel in the middle."""
    values = phantom(12)
    with mrcfile.new(tmp_path / "in.mrc", values[2:10, 1:11]) as mrc:
        mrc.voxel_size = 3.0
    volume, _ = read_volume(tmp_path / "in.mrc")
    inner = np.zeros_like(values)
    inner[2:10, 1:11] = values[2:10, 1:11]
    np.testing.assert_array_equal(volume, inner)
    small = np.ascontiguousarray(values[2:10, 2:10, 2:10])
    mrcfile.write(tmp_path / "small.mrc", small, voxel_size=3.0)
    command = ("relion_image_handler", "--i", "small.mrc", "--o", "large.mrc", "--new_box", "12")
    run_relion(*command, cwd=tmp_path)
    theirs = mrcfile.read(tmp_path / "large.mrc")
    np.testing.assert_array_equal(theirs[2:10, 2:10, 2:10], small)  # 4 of 8 becomes 6 of 12


def without_columns(text: str, *names: str) -> str:
    """Take columns out of the tables of a STAR file that cryoalign wrote."""
    lines, labels = [], []
    for line in text.splitlines():
        if line.startswith("data_"):
            labels = []
        if line.startswith("_"):
            labels.append(line.split()[0][1:])
            kept = [] if labels[-1] in names else [line.split()[0]]
        elif labels and len(line.split("\t")) == len(labels):
            cells = zip(line.split("\t"), labels, strict=True)
            kept = ["\t".join(cell for cell, label in cells if label not in names)]
        else:
            kept = [line]
        lines += kept
    return "\n".join(lines) + "\n"


@pytest.mark.relion
@pytest.mark.parametrize("missing", ["contrast", "defocus"])
def test_a_missing_ctf(tmp_path: Path, missing: str) -> None:
    """Without contrast RELION takes 0, as cryoalign; a neutral CTF is what RELION makes without ``--ctf``."""
    volume = phantom(32)
    raw = random_particles(6, Optics(1, "one", 2.0, 300.0, 2.7, 0.1, 32))
    write_particles(tmp_path / "raw.star", raw, image_names=[f"{i + 1:06d}@raw.mrcs" for i in range(6)])
    names = ("rlnAmplitudeContrast",) if missing == "contrast" else DEFOCUS
    (tmp_path / "raw.star").write_text(without_columns((tmp_path / "raw.star").read_text(), *names))
    mrcfile.write(tmp_path / "map.mrc", volume, voxel_size=2.0)

    particles = read_particles(tmp_path / "raw.star", missing_ctf="neutral")
    ours = WeakPhase(torch.from_numpy(volume), pixel_size=2.0, box=32)(particles).numpy()
    write_particles(tmp_path / "ours.star", particles)
    written = read_particles(tmp_path / "ours.star")
    assert written.optics == particles.optics
    np.testing.assert_array_equal(written.defocus, particles.defocus)
    by_relion = {}
    for star, option in (("raw.star", "--ctf"), ("raw.star", ""), ("ours.star", "--ctf")):
        command = ("relion_project", "--i", "map.mrc", "--ang", star, "--o", "out", "--angpix", "2.0")
        run_relion(*command, *filter(None, [option]), cwd=tmp_path)
        by_relion[star, option] = mrcfile.read(tmp_path / "out.mrcs")
    theirs = by_relion["raw.star", "--ctf" if missing == "contrast" else ""]
    np.testing.assert_allclose(by_relion["ours.star", "--ctf"], theirs, atol=1e-3 * theirs.std())
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


@pytest.mark.relion
def test_sims_of_relion_project_from_particles_with_original_names(tmp_path: Path) -> None:
    """It copies ``rlnImageOriginalName`` of raw, here of subtracted particles, and writes its own images."""
    raw = random_particles(12, Optics(1, "one", 2.0, 300.0, 2.7, 0.1, 16))
    original = [f"{i + 1:06d}@Extract/job010/mic.mrcs" for i in range(12)][::-1]
    write_particles(tmp_path / "raw.star", raw, original_names=original)
    mrcfile.write(tmp_path / "map.mrc", phantom(16), voxel_size=2.0)
    command = ("relion_project", "--i", "map.mrc", "--ang", "raw.star", "--o", "sim", "--ctf")
    run_relion(*command, "--angpix", "2.0", cwd=tmp_path)
    sim, raw = read_particles(tmp_path / "sim.star"), read_particles(tmp_path / "raw.star")
    assert sim.table["rlnImageOriginalName"].tolist() == original
    found, matched = match_pairs(sim, raw.take([3, 1, 7]), angle=0.1, shift=0.1, defocus=2, phase_shift=0.1)
    assert found.slot.tolist() == matched.slot.tolist() == [1, 3, 7]
