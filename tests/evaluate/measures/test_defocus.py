"""The measure of the CTF on images whose CTF is a formula, written here once more; and on krios_bgal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.data.images import ParticleImages
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Quantity, Verdict
from cryoalign.evaluate.measures.defocus.measure import DefocusMeasure
from cryoalign.evaluate.measures.defocus.sets import deal_sets, fit_sets
from cryoalign.evaluate.stacks import Stacks
from cryoalign.io.relion import locate_stacks, read_particles
from cryoalign.particles import Optics, Particles
from cryoalign.simulate.weak_phase import WeakPhase

BOX, PIXEL, COUNT = 48, 4.0, 240
WAVELENGTH, SPHERICAL, CONTRAST = 0.0196875, 2.7e7, 0.1


@dataclass
class Images:
    """What the measure asks of `Stacks`."""

    particles: Particles
    stacks: dict[str, torch.Tensor]
    pixel_size: float = PIXEL
    paired: bool = True

    def __post_init__(self) -> None:
        self.groups = np.unique(self.particles.micrograph, return_inverse=True)[1].reshape(-1)
        self.defocus = self.particles.defocus[:, :2].mean(axis=1)
        self.bins = (self.defocus > np.median(self.defocus)).astype(np.int64)
        self.bin_count = 2
        self.kinds = frozenset(self.stacks)

    @property
    def box(self) -> int:
        return next(iter(self.stacks.values())).shape[-1]

    def __len__(self) -> int:
        return len(self.particles)

    def images(self, kind: str, rows: np.ndarray) -> torch.Tensor:
        return self.stacks[kind][torch.from_numpy(rows)]


def particles(*, premultiplied: bool = False, pixel_size: float = PIXEL) -> Particles:
    rng = np.random.default_rng(0)
    micrograph = np.arange(COUNT) // 15
    mean = np.sort(rng.uniform(11000, 19000, COUNT // 15))[micrograph] + rng.normal(0, 60, COUNT)
    optics = Optics(1, "one", pixel_size, 300.0, 2.7, CONTRAST, BOX, premultiplied)
    return Particles.make(
        Path("rings.star"),
        (optics,),
        COUNT,
        micrograph=np.array([f"m{number:02d}" for number in micrograph]),
        defocus=np.stack([mean + 300, mean - 300, np.full(COUNT, 30.0)], axis=1),
    )


def transfer(defocus: np.ndarray, pixel_size: float = PIXEL) -> torch.Tensor:
    """(n, N, N // 2 + 1) CTF of (n, 3) U, V and azimuth."""
    ky, kx = np.meshgrid(np.fft.fftfreq(BOX, pixel_size), np.fft.rfftfreq(BOX, pixel_size), indexing="ij")
    k2, angle = kx**2 + ky**2, np.arctan2(ky, kx)
    u, v, azimuth = (column[:, None, None] for column in defocus.T)
    local = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (angle - np.radians(azimuth)))
    lens = np.pi * WAVELENGTH * local * k2 - np.pi / 2 * SPHERICAL * WAVELENGTH**3 * k2**2
    return torch.from_numpy(np.sin(lens + math.asin(CONTRAST))).float()


def content(seed: int = 1) -> torch.Tensor:
    """(n, N, N // 2 + 1) spectra of the particles, whose power falls from the first zero to Nyquist."""
    radius = torch.hypot(torch.fft.fftfreq(BOX, PIXEL)[:, None], torch.fft.rfftfreq(BOX, PIXEL)[None])
    return torch.fft.rfft2(white(seed)) * (40 * torch.exp(-radius / 0.015) + 0.3).sqrt()


def white(seed: int) -> torch.Tensor:
    return torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(seed))


def real(spectra: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft2(spectra, s=(BOX, BOX))


def judge(
    table: Particles, fake: torch.Tensor, raw: torch.Tensor, sim: torch.Tensor, **changes: Any
) -> Finding:
    pairs = Images(table, {"fake": fake, "raw": raw, "sim": sim}, **changes)
    return DefocusMeasure(sets=5)(Case(cast("Stacks", pairs), draws=300))


def quantity(finding: Finding, key: str) -> Quantity:
    return finding.quantities[key]


TABLE = particles()
OFF = TABLE.defocus * np.array([1.2, 1.2, 1.0])
SIM = real(content() * transfer(TABLE.defocus))
WRONG = real(content() * transfer(OFF))
RAW = SIM + white(2)


def test_right_defocus_passes() -> None:
    finding = judge(TABLE, SIM + white(3), RAW, SIM)
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.PASS, answer.explanation
    for key in ("thon_error", "cross_error"):
        found = quantity(finding, key)
        assert abs(found.fake.value) < 1
        assert found.floor is not None
        assert abs(found.floor.value) < 1
        assert found.fake.low <= found.fake.value <= found.fake.high
        assert len(found.bins) == 2
    assert not finding.left_out
    assert list(finding.charts) == ["rings", "defocus"]
    assert {"fake", "raw"} <= set(finding.charts["rings"].series)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_fifth_more_defocus_fails(noise: float) -> None:
    finding = judge(TABLE, WRONG + noise * white(3), RAW, SIM)
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.FAIL, answer.explanation
    for key in ("thon_error", "cross_error"):
        assert quantity(finding, key).fake.value == pytest.approx(20, abs=1)
    assert quantity(finding, "thon_offset").fake.value == pytest.approx(0.2 * 15000, rel=0.3)
    assert quantity(finding, "thon_less_raw").fake.value == pytest.approx(0.2 * 15000, rel=0.3)


def test_images_without_noise_pass() -> None:
    finding = judge(TABLE, 2 * SIM, RAW, SIM)
    assert finding.answers["ctf"].verdict is Verdict.PASS
    assert quantity(finding, "thon_contrast").fake.value > 0.9


def test_white_noise_is_undecided() -> None:
    finding = judge(TABLE, white(3), RAW, SIM)
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.UNDECIDED, answer.explanation
    assert "cannot be seen" in answer.explanation
    assert math.isnan(quantity(finding, "thon_distance").fake.value)


def test_rings_of_noise_do_not_hide_a_particle_of_another_defocus() -> None:
    """The noise passed the right lens, the particle another one: the cross spectrum tells."""
    noise = real(4 * content(5) * transfer(TABLE.defocus))
    finding = judge(TABLE, WRONG + noise + white(3), RAW, SIM)
    assert abs(quantity(finding, "thon_error").fake.value) < 3
    assert finding.answers["ctf"].verdict is Verdict.FAIL, finding.answers["ctf"].explanation


def test_fakes_like_raw_pass_where_the_metadata_are_wrong() -> None:
    claimed = replace(TABLE, defocus=OFF)
    sim = real(content() * transfer(OFF))
    finding = judge(claimed, SIM + white(3), RAW, sim)
    assert finding.answers["ctf"].verdict is Verdict.PASS, finding.answers["ctf"].explanation
    assert quantity(finding, "thon_error").fake.value == pytest.approx(100 * (1 / 1.2 - 1), abs=1)


def test_sims_of_another_defocus_are_no_reference() -> None:
    finding = judge(TABLE, SIM + white(3), RAW, WRONG)
    assert finding.answers["ctf"].verdict is Verdict.PASS, finding.answers["ctf"].explanation
    assert "cross spectrum" not in finding.answers["ctf"].explanation
    (left_out,) = finding.left_out
    assert "off the metadata's defocus by 20" in left_out


def test_lost_astigmatism_is_told() -> None:
    round_lens = TABLE.defocus.copy()
    round_lens[:, :2] = TABLE.defocus[:, :2].mean(axis=1, keepdims=True)
    fake = real(content() * transfer(round_lens)) + 0.3 * white(3)
    found = quantity(judge(TABLE, fake, RAW, SIM), "thon_astigmatism")
    assert found.fake.value == pytest.approx(600, abs=100)
    assert found.ceiling is not None
    assert found.ceiling.value < 60


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.PASS), (1.2, Verdict.FAIL)])
def test_premultiplied_images(factor: float, verdict: Verdict) -> None:
    """Recorded, noise included, and then multiplied by the CTF."""
    table = particles(premultiplied=True)
    claimed = transfer(table.defocus)
    used = transfer(table.defocus * np.array([factor, factor, 1.0]))
    recorded = content() * claimed + torch.fft.rfft2(white(2))
    raw, sim = real(recorded * claimed), real(content() * claimed.square())
    fake = real((content() * used + torch.fft.rfft2(white(3))) * used)
    finding = judge(table, fake, raw, sim)
    assert finding.answers["ctf"].verdict is verdict, finding.answers["ctf"].explanation


def test_coarse_images_show_no_rings() -> None:
    table = particles(pixel_size=12.0)
    coarse = real(content() * transfer(table.defocus, 12.0))
    finding = judge(table, coarse, coarse + white(2), coarse, pixel_size=12.0)
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.UNDECIDED
    assert "no rings" in answer.explanation
    assert len(finding.left_out) == 1
    assert not finding.quantities


def test_sets_are_whole_groups_of_like_defocus() -> None:
    pairs = cast("Stacks", Images(TABLE, {"raw": RAW}))
    sets = deal_sets(pairs, 24, 60, 0)
    assert [len(rows) for rows in sets] == [30] * 8
    rows = np.concatenate(sets)
    assert len(np.unique(rows)) == COUNT
    for chosen in sets:
        assert len(np.unique(pairs.groups[chosen])) == 2
    mean = [pairs.defocus[chosen].mean() for chosen in sets]
    assert mean == sorted(mean)
    assert len(deal_sets(pairs, 3, 60, 0)) == 3


def test_sets_do_not_mix_optics_and_take_large_groups_apart() -> None:
    other = replace(TABLE.optics[0], group=2, voltage=200.0)
    mixed = replace(
        TABLE,
        optics=(TABLE.optics[0], other),
        optics_index=np.arange(COUNT) % 2,
        micrograph=np.full(COUNT, "one"),
    )
    pairs = cast("Stacks", Images(mixed, {"raw": RAW}))
    sets = deal_sets(pairs, 24, 60, 0)
    assert {len(rows) for rows in sets} == {30}
    assert all(len(np.unique(mixed.optics_index[rows])) == 1 for rows in sets)


@pytest.mark.realdata
def test_defocus_of_krios_bgal(shared_data: Path) -> None:
    """Raw groups within 150 A of the metadata, sims without noise within 20 A.

    The signal has the metadata's defocus, but the micrograph that the noise is from has about 300 A less, as
    the rings show that are left when the signal is subtracted: single groups of raw are up to 350 A off.
    """
    folder = shared_data / "krios_bgal"
    table = read_particles(folder / "particles.star")
    stack = ParticleImages(table, locate_stacks(table))
    raw = torch.from_numpy(np.stack([stack.image(row) for row in range(len(table))]))
    with mrcfile.open(folder / "reference.mrc") as file:
        volume, voxel = torch.from_numpy(file.data.astype(np.float32)), float(file.voxel_size.x)
    few = np.arange(0, len(table), 4)
    sim = WeakPhase(volume, pixel_size=voxel, box=stack.box)(table.take(few))
    sets = {
        "raw": fits(table, raw, "raw", stack.pixel_size),
        "sim": fits(table.take(few), sim, "sim", stack.pixel_size),
    }
    assert abs(np.median(sets["raw"])) < 150
    assert np.abs(sets["sim"]).max() < 20


def fits(table: Particles, images: torch.Tensor, kind: str, pixel_size: float) -> np.ndarray:
    pairs = cast("Stacks", Images(table, {kind: images}, pixel_size=pixel_size))
    sets, _ = fit_sets(pairs, deal_sets(pairs, 24, 60, 0), progress=False)
    assert all(entry.fits[kind].seen for entry in sets)
    return np.array([entry.fits[kind].fit.offset for entry in sets])
