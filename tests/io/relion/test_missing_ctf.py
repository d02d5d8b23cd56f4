"""STAR files without a CTF are refused, or read with one that changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.io.metadata import read_particles
from cryoalign.io.relion import write_particles
from cryoalign.physics.conditions import conditions
from tests.io.relion.test_read import OPTICS, PARTICLES, SINGLE, star, without

if TYPE_CHECKING:
    from pathlib import Path

DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
LENS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")


def files(folder: Path, *missing: str) -> list[Path]:
    """A file of RELION 3.1 and one of 3.0."""
    new = star(folder / "new.star", optics=without(OPTICS, *missing), particles=without(PARTICLES, *missing))
    return [new, star(folder / "old.star", single=without(SINGLE, *missing))]


@pytest.mark.parametrize("missing", [DEFOCUS, (*DEFOCUS, *LENS), (*DEFOCUS, "rlnAmplitudeContrast")])
def test_without_defocus_the_ctf_is_one(
    tmp_path: Path, missing: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    for path in files(tmp_path, *missing):
        with pytest.raises(InputError, match=r"CTF columns(.|\n)*missing_ctf=neutral"):
            read_particles(path)
        assert not caplog.records
        particles = read_particles(path, missing_ctf="neutral")
        assert f"{path}: there is no defocus" in caplog.text
        assert "CTF were 1 everywhere" in caplog.text
        caplog.clear()
        premultiplied = torch.tensor([group.premultiplied for group in particles.optics])
        assert premultiplied.any() == (path.name == "new.star")
        ctf = conditions(particles, np.arange(3), torch.device("cpu")).ctf(16, None)
        torch.testing.assert_close(ctf, torch.ones_like(ctf))
        write_particles(tmp_path / "sim.star", particles, box=64)
        again = read_particles(tmp_path / "sim.star")  # as a simulation's: nothing is missing in it
        assert [group.amplitude_contrast for group in again.optics] == [1.0] * len(again.optics)
        assert not caplog.records


def test_without_amplitude_contrast_it_is_zero(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in files(tmp_path, "rlnAmplitudeContrast"):
        with pytest.raises(InputError, match=r"rlnAmplitudeContrast(.|\n)*missing_ctf=neutral"):
            read_particles(path)
        particles = read_particles(path, missing_ctf="neutral")
        assert [group.amplitude_contrast for group in particles.optics] == [0.0] * len(particles.optics)
        assert particles.optics[0].spherical_aberration == 2.7
        assert particles.defocus[0].tolist() == [10000, 9000, 35]
        assert f"{path}: there is no rlnAmplitudeContrast; it is taken for 0" in caplog.text


def test_a_ctf_that_is_there_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in files(tmp_path):
        asked, plain = read_particles(path, missing_ctf="neutral"), read_particles(path)
        assert asked.optics == plain.optics
        np.testing.assert_array_equal(asked.defocus, plain.defocus)
    assert not caplog.records


def test_half_a_ctf_is_refused_all_the_same(tmp_path: Path) -> None:
    for missing in ("rlnDefocusV", "rlnVoltage", "rlnSphericalAberration"):
        for path in files(tmp_path, missing):
            with pytest.raises(InputError, match=rf"CTF columns are missing(.|\n)*{missing}"):
                read_particles(path, missing_ctf="neutral")
    with pytest.raises(InputError, match=r"missing_ctf(.|\n)*refuse or neutral"):
        read_particles(files(tmp_path)[0], missing_ctf="none")  # type: ignore[arg-type]


@pytest.mark.parametrize("found", [DEFOCUS[:1], DEFOCUS[2:], DEFOCUS[:2]])
def test_half_a_defocus_is_refused_with_what_helps(tmp_path: Path, found: tuple[str, ...]) -> None:
    missing = ", ".join(name for name in DEFOCUS if name not in found)
    for path in files(tmp_path, *missing.split(", ")):
        for asked in ("refuse", "neutral"):
            with pytest.raises(InputError) as caught:
                read_particles(path, missing_ctf=asked)  # type: ignore[arg-type]
            assert str(caught.value.remedy).startswith(
                f"add {missing}; or remove {', '.join(found)}, to take"
            )
    for path in files(tmp_path, *DEFOCUS):
        assert not read_particles(path, missing_ctf="neutral").defocus.any(), "as the remedy says"
