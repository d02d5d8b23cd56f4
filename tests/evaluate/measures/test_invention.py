"""Inventors are caught: of particles where there are none, and of a domain that was removed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.evaluate.finding import Answer, Finding, Verdict
from cryoalign.evaluate.measures.invention.domain import remove_domain
from cryoalign.evaluate.measures.invention.emptiness import of_empties, of_raw
from cryoalign.evaluate.measures.invention.measure import InventionMeasure
from cryoalign.evaluate.measures.reference import reference_for
from cryoalign.evaluate.stacks import Probe
from cryoalign.particles import Particles
from cryoalign.physics.fourier import irfft2, rfft2
from tests.audit.known_pairs import BOX, PIXEL_SIZE, particles, specimen
from tests.fakes.blobs import Images, case, noise, views

COUNT, EMPTY = 100, 100


@pytest.fixture(scope="module")
def table() -> Particles:
    return particles(COUNT)


@pytest.fixture(scope="module")
def parts() -> tuple[torch.Tensor, torch.Tensor]:
    return remove_domain(specimen(), PIXEL_SIZE, share=0.15)


def blob(x: float, y: float, height: float) -> torch.Tensor:
    axis = torch.arange(BOX) - BOX // 2
    return height * torch.exp(-((axis - x).square() + (axis[:, None] - y).square()) / (2 * 2.0**2))


def answer(finding: Finding, key: str) -> Answer:
    return finding.answers[key]


def of_empty(table: Particles, empty: torch.Tensor, **settings: object) -> tuple[Answer, Finding]:
    finding = InventionMeasure()(case(table, views(table), empty=empty, volume=specimen(), **settings))
    return answer(finding, "invented_empty"), finding


def test_honest_noise_invents_nothing(table: Particles) -> None:
    found, finding = of_empty(table, noise(EMPTY, 1))
    assert found.verdict is Verdict.PASS, found.explanation
    particle, common, of_map = finding.quantities.values()
    assert (particle.ceiling.value, of_map.ceiling.value > 0.8) == (pytest.approx(1), True)
    assert abs(particle.fake.value) < 0.05
    assert common.fake.value < 0.01
    assert [each.target for each in finding.quantities.values()] == [0, 0, 0]
    assert "domain" in finding.left_out[0]


@pytest.mark.parametrize(
    ("place", "normalize"), [((0, 0), "none"), ((8, -9), "both")], ids=["central", "off-centre"]
)
def test_a_blob_in_every_image_is_found(table: Particles, place: tuple[int, int], normalize: str) -> None:
    """At random poses a blob averages out of the map, unless it is central, but not out of the images."""
    scale, offset = (7, 50) if normalize == "both" else (1, 0)  # which say nothing then
    fakes = offset + scale * (noise(EMPTY, 1) + blob(*place, 1.0))
    found, finding = of_empty(table, fakes, normalize=normalize)
    assert found.verdict is Verdict.FAIL, found.explanation
    common = finding.quantities["empty_common"]
    assert common.fake.low > common.floor.high


def test_a_blob_that_is_far_too_faint_passes(table: Particles) -> None:
    found, _ = of_empty(table, 1e-3 * noise(EMPTY, 1) + blob(0, 0, 1e-3))
    assert found.verdict is Verdict.PASS, found.explanation


def test_particles_in_the_wrong_place_are_found(table: Particles) -> None:
    """A memory of particles, at poses that have nothing to do with those drawn."""
    found, _ = of_empty(table, views(particles(EMPTY, seed=5)) + 0.5 * noise(EMPTY, 1))
    assert found.verdict is not Verdict.PASS, found.explanation


def test_chance_is_as_wide_as_honest_noise_scatters(table: Particles) -> None:
    """Of 40 honest sets about 1 in 20 lies beyond the 95 % of its own sign flips, in each number."""
    box, given = 16, case(table, views(table), volume=specimen())
    reference = reference_for(given, box, 100)
    yardstick, _ = of_raw(given, reference, COUNT, box)
    beyond, ratio = dict.fromkeys(("particle", "common", "map"), 0), []
    sets, values = 40, []
    for seed in range(sets):
        probe = Probe(Images(noise(64, 1000 + seed), particles(64)))
        given.seed = seed
        found = of_empties(given, probe, reference, yardstick, most=64, box=box)
        for name in beyond:
            value, chance = getattr(found, name).value, found.chance[name]
            beyond[name] += not chance.low <= value <= chance.high
        values.append(found.particle.value)
        ratio.append((found.chance["particle"].high - found.chance["particle"].low) / 2 / 1.96)
    assert max(beyond.values()) <= 6  # at 5 % a binomial number is above 6 once in 300
    assert np.mean(ratio) == pytest.approx(np.std(values), rel=0.3)


def test_a_removed_domain_stays_away(table: Particles, parts: tuple[torch.Tensor, torch.Tensor]) -> None:
    rest, domain = parts
    cut = views(table, rest) + noise(COUNT, 2)
    honest = views(table) + noise(COUNT, 3)
    finding = InventionMeasure()(case(table, honest, without_domain=cut, domain=domain, volume=specimen()))
    found = answer(finding, "invented_domain")
    assert found.verdict is Verdict.PASS, found.explanation
    returned, of_map, kept = finding.quantities.values()
    assert returned.fake.low < 0 < returned.fake.high
    assert of_map.fake.low < 0 < of_map.fake.high
    for there in (returned.ceiling, of_map.ceiling, kept.fake, kept.floor):  # in raw, and in fakes of all
        assert there.low < 1 < there.high
        assert there.low > 0.5
    assert "without a particle" in finding.left_out[0]


@pytest.mark.parametrize(("amount", "blur"), [(0.5, 0.15), (1.0, 0.0)])
def test_a_domain_that_is_put_back_is_found(
    table: Particles, parts: tuple[torch.Tensor, torch.Tensor], amount: float, blur: float
) -> None:
    """Also by a generator that blurs its images: the gain is fitted in every band."""
    rest, domain = parts
    clean = rfft2(views(table, rest + amount * domain))
    radius = torch.hypot(torch.fft.fftfreq(BOX)[:, None], torch.fft.rfftfreq(BOX)[None]) * BOX
    fakes = irfft2(clean * torch.exp(-blur * radius / 2), BOX) + 0.3 * noise(COUNT, 2)
    finding = InventionMeasure()(
        case(table, views(table), without_domain=fakes, domain=domain, volume=specimen())
    )
    assert answer(finding, "invented_domain").verdict is Verdict.FAIL
    returned, of_map, _ = finding.quantities.values()
    assert returned.fake.value == pytest.approx(amount, abs=0.12)
    assert of_map.fake.value == pytest.approx(amount, abs=0.15)


def test_few_and_noisy_ones_leave_it_open(table: Particles, parts: tuple[torch.Tensor, torch.Tensor]) -> None:
    rest, domain = parts
    few = table.take(np.arange(24))
    cut = views(few, rest) + 8 * noise(24, 2)
    settings = {"without_domain": cut, "domain": domain, "volume": specimen(), "empty": 30 * noise(24, 1)}
    finding = InventionMeasure()(case(few, views(few), **settings))
    assert [each.verdict for each in finding.answers.values()] == [Verdict.UNDECIDED] * 2
    assert not finding.left_out


def test_what_is_missing_is_named(table: Particles) -> None:
    finding = InventionMeasure()(case(table, views(table)))
    assert not finding.answers
    assert [
        ("fakes of sims without a particle" in reason, "map" in reason) for reason in finding.left_out
    ] == [
        (True, False),
        (False, True),
    ]


def test_one_question_does_not_need_the_other(
    table: Particles, parts: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken stack of empties leaves the domain to be judged."""
    rest, domain = parts
    given = case(
        table,
        views(table),
        without_domain=views(table, rest),
        domain=domain,
        volume=specimen(),
        empty=noise(EMPTY, 1),
    )

    def broken(row: int) -> np.ndarray:
        raise InputError("image 3 is constant", expected="finite values that vary", remedy="no")

    monkeypatch.setattr(given.empty.stack, "image", broken)
    finding = InventionMeasure()(given)
    assert list(finding.answers) == ["invented_domain"]
    assert "constant" in finding.left_out[0]


def test_the_domain_is_a_compact_piece_far_out() -> None:
    """Of a large ball and a small one beside it, the small one."""
    axis = torch.arange(40) - 20.0
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    large = (torch.sqrt(z**2 + y**2 + x**2) < 8).float()
    small = (torch.sqrt((z - 5) ** 2 + (y + 10) ** 2 + (x - 5) ** 2) < 3.6).float() * (1 - large)
    rest, domain = remove_domain(large + small, 3.0, share=float(small.sum() / (large + small).sum()))
    torch.testing.assert_close(rest + domain, large + small)
    assert float((domain * small).sum() / small.sum()) > 0.9
    assert float(domain.sum() / (large + small).sum()) == pytest.approx(0.085, abs=0.02)
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="share"):
            remove_domain(large, 3.0, share=wrong)
    with pytest.raises(ValueError, match="stands out"):
        remove_domain(torch.zeros(8, 8, 8), 3.0)
