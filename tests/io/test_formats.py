"""Every column of the real files becomes what its program's documentation says it is.

What is expected is computed here from the files, without our readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import starfile

from cryoalign.io.metadata import read_particles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryoalign.particles import Particles

COMMON = (
    "rlnCoordinateX rlnCoordinateY rlnClassNumber rlnAnglePsi rlnImageName rlnMicrographName "
    "rlnDefocusU rlnDefocusV rlnDefocusAngle rlnSphericalAberration rlnVoltage rlnAmplitudeContrast "
    "rlnGroupNumber rlnAngleRot rlnAngleTilt rlnNormCorrection rlnLogLikeliContribution "
    "rlnMaxValueProbDistribution rlnNrOfSignificantSamples rlnRandomSubset "
)
SAMPLE = "rlnAutopickFigureOfMerit rlnCtfBfactor rlnCtfScalefactor rlnPhaseShift rlnCtfFigureOfMerit "
PIXELS = "rlnMagnification rlnDetectorPixelSize rlnOriginX rlnOriginY "
ANGSTROMS = "rlnOpticsGroup rlnOpticsGroupName rlnImagePixelSize rlnOriginXAngst rlnOriginYAngst "
COLUMNS = {
    "sample_particles_relion30": COMMON + SAMPLE + PIXELS,
    "sample_particles_relion31": COMMON + SAMPLE + ANGSTROMS + "rlnCtfMaxResolution "
    "rlnMtfFileName rlnMicrographOriginalPixelSize",
    "topaz_EMPIAR-10025_particles": COMMON
    + PIXELS
    + "rlnCtfFigureOfMerit rlnGroupName rlnParticleName rlnOriginalParticleName rlnNrOfFrames",
    "relion31.6opticsgroups": COMMON
    + ANGSTROMS
    + "rlnImageSize rlnImageDimensionality rlnCtfDataAreCtfPremultiplied rlnBeamTiltX rlnBeamTiltY "
    "rlnOddZernike rlnEvenZernike rlnMagMat00 rlnMagMat01 rlnMagMat10 rlnMagMat11 rlnMicrographPixelSize "
    "rlnAutopickFigureOfMerit rlnCtfFigureOfMerit rlnPhaseShift",
}
"""The columns of each STAR file, of its optics table, too."""

NOT_READ = {
    "rlnMtfFileName",
    "rlnMicrographOriginalPixelSize",
    "rlnMicrographPixelSize",
    "rlnImageDimensionality",
}
"""Columns of optics tables that say nothing about a particle's image but that it is one."""


def _of_group(name: str, index: int | None = None) -> Callable[[Particles], list[Any]]:
    def give(read: Particles) -> list[Any]:
        values = [getattr(group, name) for group in read.optics]
        return [values[at] if index is None else values[at][index] for at in read.optics_index]

    return give


MEANING: dict[str, Callable[[Particles], Any]] = {
    "rlnImageName": lambda p: [
        f"{slot + 1:06d}@{stack}" for slot, stack in zip(p.slot, p.stack, strict=True)
    ],
    "rlnMicrographName": lambda p: p.micrograph.tolist(),
    "rlnAngleRot": lambda p: p.angles[:, 0],
    "rlnAngleTilt": lambda p: p.angles[:, 1],
    "rlnAnglePsi": lambda p: p.angles[:, 2],
    "rlnOriginX": lambda p: p.shift[:, 0],
    "rlnOriginY": lambda p: p.shift[:, 1],
    "rlnOriginXAngst": lambda p: p.shift[:, 0],
    "rlnOriginYAngst": lambda p: p.shift[:, 1],
    "rlnDefocusU": lambda p: p.defocus[:, 0],
    "rlnDefocusV": lambda p: p.defocus[:, 1],
    "rlnDefocusAngle": lambda p: p.defocus[:, 2],
    "rlnPhaseShift": lambda p: p.phase_shift,
    "rlnCtfBfactor": lambda p: p.ctf_bfactor,
    "rlnCtfScalefactor": lambda p: p.ctf_scale,
    "rlnRandomSubset": lambda p: p.half,
    "rlnVoltage": _of_group("voltage"),
    "rlnSphericalAberration": _of_group("spherical_aberration"),
    "rlnAmplitudeContrast": _of_group("amplitude_contrast"),
    "rlnMagnification": _of_group("pixel_size"),
    "rlnDetectorPixelSize": _of_group("pixel_size"),
    "rlnImagePixelSize": _of_group("pixel_size"),
    "rlnImageSize": _of_group("box_size"),
    "rlnCtfDataAreCtfPremultiplied": _of_group("premultiplied"),
    "rlnOpticsGroup": _of_group("group"),
    "rlnOpticsGroupName": _of_group("name"),
    "rlnBeamTiltX": _of_group("beam_tilt", 0),
    "rlnBeamTiltY": _of_group("beam_tilt", 1),
    "rlnOddZernike": _of_group("odd_zernike"),
    "rlnEvenZernike": _of_group("even_zernike"),
    **{f"rlnMagMat{i}{j}": _of_group("magnification", 2 * i + j) for i in (0, 1) for j in (0, 1)},
}
"""What the vocabulary makes of a column; one that is not here is kept as it is."""


@pytest.fixture(scope="module")
def files(request: pytest.FixtureRequest) -> dict[str, tuple[Particles, pd.DataFrame, set[str]]]:
    """Each file as our reader's particles and as one table, and the labels in it."""
    folder: Path = request.getfixturevalue("shared_data") / "formats"
    made = {}
    for name in COLUMNS:
        tables = starfile.read(folder / f"{name}.star", always_dict=True)
        (table,) = (table for key, table in tables.items() if key != "optics")
        labels = set(table.columns)
        if "optics" in tables:
            labels |= set(tables["optics"].columns)
            table = table.merge(tables["optics"], on="rlnOpticsGroup", how="left", validate="many_to_one")
        made[name] = read_particles(folder / f"{name}.star"), table, labels
    return made


def _expected(table: pd.DataFrame, column: str) -> Any:
    cells = table[column]
    if column == "rlnImageName":
        return [f"{int(cell.split('@')[0]):06d}@{cell.split('@')[1]}" for cell in cells]
    if column in {"rlnMagnification", "rlnDetectorPixelSize"}:
        return 1e4 * table["rlnDetectorPixelSize"] / table["rlnMagnification"]
    if column in {"rlnOriginX", "rlnOriginY"}:
        return cells * 1e4 * table["rlnDetectorPixelSize"] / table["rlnMagnification"]
    if column in {"rlnOddZernike", "rlnEvenZernike"}:
        return [[float(part) for part in cell.strip("[]").split(",")] for cell in cells]
    return cells


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "column"),
    [
        (name, column)
        for name, columns in COLUMNS.items()
        for column in columns.split()
        if column not in NOT_READ
    ],
)
def test_star_column(files: dict[str, Any], name: str, column: str) -> None:
    read, table, _ = files[name]
    expected = _expected(table, column)
    found = MEANING[column](read) if column in MEANING else read.table[column]
    assert len(found) == len(expected) == len(read)
    if isinstance(expected[0], str):
        assert list(found) == list(expected)
    else:
        np.testing.assert_allclose(
            np.asarray(list(found), dtype=float), np.asarray(list(expected), dtype=float), rtol=1e-12
        )


@pytest.mark.realdata
@pytest.mark.parametrize("name", COLUMNS)
def test_no_star_column_is_forgotten(files: dict[str, Any], name: str) -> None:
    assert set(COLUMNS[name].split()) == files[name][2]


@pytest.mark.realdata
def test_six_groups_have_their_own_aberrations(files: dict[str, Any]) -> None:
    read = files["relion31.6opticsgroups"][0]
    assert [group.name for group in read.optics] == [f"opticsGroup{n}" for n in (5, 3, 2, 1, 4, 6)]
    assert read.optics[5].beam_tilt == (-1.28823, 2.446621)
    assert read.optics[0].odd_zernike == (1.70554063513, 1.2131261042, 2.54522458134, 0, 0, 3.56183614819)
    assert read.optics[3].magnification == (1.020955, 0.012392, 0.013070, 1.019583)
    assert len(set(read.optics_index.tolist())) > 1


CS = "cryosparc_P12_J24_001_particles.cs"
ANGLE = 180 / np.pi
CS_MEANING: dict[str, tuple[Callable[[Particles], Any], Callable[[np.ndarray], Any]]] = {
    "uid": (lambda p: p.table["uid"], lambda t: t["uid"]),
    "blob/path": (lambda p: p.stack.tolist(), lambda t: [path.decode() for path in t["blob/path"].tolist()]),
    "blob/idx": (lambda p: p.slot, lambda t: t["blob/idx"]),
    "blob/shape": (_of_group("box_size"), lambda t: t["blob/shape"][:, 0]),
    "blob/psize_A": (_of_group("pixel_size"), lambda t: t["blob/psize_A"]),
    "blob/sign": (lambda p: p.sign, lambda t: -t["blob/sign"]),
    "ctf/exp_group_id": (_of_group("name"), lambda t: [f"exposureGroup{n}" for n in t["ctf/exp_group_id"]]),
    "ctf/accel_kv": (_of_group("voltage"), lambda t: t["ctf/accel_kv"]),
    "ctf/cs_mm": (_of_group("spherical_aberration"), lambda t: t["ctf/cs_mm"]),
    "ctf/amp_contrast": (_of_group("amplitude_contrast"), lambda t: t["ctf/amp_contrast"]),
    "ctf/df1_A": (lambda p: p.defocus[:, 0], lambda t: t["ctf/df1_A"]),
    "ctf/df2_A": (lambda p: p.defocus[:, 1], lambda t: t["ctf/df2_A"]),
    "ctf/df_angle_rad": (lambda p: p.defocus[:, 2], lambda t: t["ctf/df_angle_rad"] * ANGLE),
    "ctf/phase_shift_rad": (lambda p: p.phase_shift, lambda t: t["ctf/phase_shift_rad"] * ANGLE),
    "ctf/scale": (lambda p: p.ctf_scale, lambda t: t["ctf/scale"]),
    "alignments3D/split": (lambda p: p.half, lambda t: t["alignments3D/split"] + 1),
    "alignments3D/shift": (
        lambda p: p.shift,
        lambda t: t["alignments3D/shift"].astype(float) * np.float32(2.95),
    ),
    "alignments3D/psize_A": (lambda p: p.table["alignments3D/psize_A"], lambda t: t["alignments3D/psize_A"]),
}
"""What is read of a column, and what should be."""

CS_KEPT = [
    "ctf/type", "ctf/scale_const", "alignments3D/error", "alignments3D/error_min", "alignments3D/resid_pow",
    "alignments3D/slice_pow", "alignments3D/image_pow", "alignments3D/cross_cor", "alignments3D/alpha",
    "alignments3D/weight", "alignments3D/pose_ess", "alignments3D/shift_ess",
    "alignments3D/class_posterior", "alignments3D/class", "alignments3D/class_ess",
]  # fmt: skip


@pytest.fixture(scope="module")
def cryosparc(request: pytest.FixtureRequest) -> tuple[Particles, np.ndarray]:
    path = request.getfixturevalue("shared_data") / "formats" / CS
    return read_particles(path), np.load(path, allow_pickle=False)


@pytest.mark.realdata
@pytest.mark.parametrize("column", [*CS_MEANING, *CS_KEPT])
def test_cs_column(cryosparc: tuple[Particles, np.ndarray], column: str) -> None:
    read, table = cryosparc
    if column in CS_MEANING:
        found, expected = (give(source) for give, source in zip(CS_MEANING[column], cryosparc, strict=True))
    else:
        found, expected = (
            read.table[column],
            np.char.decode(table[column]) if column == "ctf/type" else table[column],
        )
    found, expected = np.asarray(list(found)), np.asarray(list(expected))
    assert len(found) == 2019
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=2e-7)
    else:
        assert found.tolist() == expected.tolist()


@pytest.mark.realdata
def test_cs_pose(cryosparc: tuple[Particles, np.ndarray]) -> None:
    """RELION's matrix A of the Euler angles is the transposed rotation of CryoSPARC's vector."""
    read, table = cryosparc
    rot, tilt, psi = np.deg2rad(read.angles.T)
    # A's third row is the beam and its third column the map's z axis, as RELION writes them out
    beam = np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)
    up = np.stack([-np.cos(psi) * np.sin(tilt), np.sin(psi) * np.sin(tilt), np.cos(tilt)], axis=1)
    vector = table["alignments3D/pose"].astype(float)
    angle = np.linalg.norm(vector, axis=1, keepdims=True)
    axis, z = vector / angle, np.array([0.0, 0.0, 1.0])

    def turn(sign: int) -> np.ndarray:
        """Rodrigues' formula for the z axis."""
        along = axis * axis[:, 2:] * (1 - np.cos(angle))
        return z * np.cos(angle) + sign * np.cross(axis, z) * np.sin(angle) + along

    np.testing.assert_allclose(beam, turn(1), atol=1e-9)
    np.testing.assert_allclose(up, turn(-1), atol=1e-9)


@pytest.mark.realdata
def test_no_cs_column_is_forgotten(cryosparc: tuple[Particles, np.ndarray]) -> None:
    names = cryosparc[1].dtype.names
    assert names is not None
    assert {*CS_MEANING, *CS_KEPT, "alignments3D/pose"} == set(names)
