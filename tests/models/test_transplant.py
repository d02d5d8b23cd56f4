"""The noise of other particles: real in all its statistics, of like particles, never the particle's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.models.baseline import Batch
from cryoalign.models.transplant import Transplant

BOX, COUNT = 16, 200
OUTSIDE = np.hypot(*np.meshgrid(np.arange(BOX) - 8, np.arange(BOX) - 8)) > 0.9 * 8


def filtered(images: np.ndarray, falloff: float) -> np.ndarray:
    k = np.hypot(np.fft.fftfreq(BOX)[:, None], np.fft.fftfreq(BOX)[None])
    return np.fft.ifft2(np.fft.fft2(images) / (1 + (k / falloff) ** 2)).real


def metadata(count: int = COUNT, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    """Defoci of 10,000 to 20,000 A; 4 A/px, 300 kV, 2.7 mm, 0.1."""
    defocus = torch.linspace(1e4, 2e4, count)
    ctf = torch.zeros(count, 14, dtype=torch.float64)
    ctf[:, 0] = ctf[:, 1] = defocus
    ctf[:, 5:14] = torch.tensor([1.0, 4.0, 300.0, 2.7, 0.1, 1.0, 0.0, 0.0, 1.0])
    known = {
        "defocus": defocus,
        "ctf": ctf,
        "dose": torch.full((count,), torch.nan),
        "particle": torch.arange(count) + 1000,
    }
    return known | changed


def pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """sim, and raw of half its strength with coloured, skewed noise, normalized by the background."""
    rng = np.random.default_rng(seed)
    sim = filtered(rng.normal(size=(COUNT, BOX, BOX)), 0.2)
    noise = filtered(rng.gumbel(size=(COUNT, BOX, BOX)) - np.euler_gamma, 0.3)
    raw = 0.5 * sim + 2 * noise
    outside = raw[:, OUTSIDE]
    raw = (raw - outside.mean(1)[:, None, None]) / outside.std(1)[:, None, None]
    return sim, raw


def batches(sim: np.ndarray, raw: np.ndarray, known: dict[str, torch.Tensor] | None = None) -> list[Batch]:
    images = [torch.from_numpy(stack).float()[:, None] for stack in (sim, raw)]
    known = metadata() if known is None else known
    return [
        (
            images[0][i : i + 37], images[1][i : i + 37],
            {name: values[i : i + 37] for name, values in known.items()},
            torch.arange(i, min(i + 37, COUNT)) // 10,
        )
        for i in range(0, COUNT, 37)
    ]  # fmt: skip


def fitted(known: dict[str, torch.Tensor] | None = None, **options: float) -> Transplant:
    generator = Transplant(BOX, **options)
    generator.fit(batches(*pairs(), known))
    return generator


def make(generator: Transplant, sim: np.ndarray, known: dict[str, torch.Tensor], draw: int = 0) -> np.ndarray:
    index = torch.arange(len(sim))
    fake = generator.generate(
        torch.from_numpy(sim).float()[:, None], seed=3, identity=index, draw=torch.full_like(index, draw),
        metadata=known,
    )  # fmt: skip
    return fake.squeeze(1).double().numpy()


def test_noise_has_the_moments_of_the_residuals_also_the_third() -> None:
    """Power at each frequency, covariance of neighbours, skewness: what no fit of a spectrum holds all of."""
    sim, raw = pairs()
    new = pairs(seed=1)[0]
    fake = make(fitted(), new, metadata(particle=torch.arange(COUNT)))
    strength = np.sum(raw * sim) / np.sum(sim**2)
    left, made = raw - strength * sim, fake - strength * new
    power = [np.square(np.abs(np.fft.fft2(part))).mean(0) for part in (left, made)]
    np.testing.assert_allclose(power[1][1:, 1:], power[0][1:, 1:], rtol=0.5)
    assert power[1][1:].mean() == pytest.approx(power[0][1:].mean(), rel=0.05)
    for shift in ((0, 1), (1, 0), (2, 2)):
        expected, found = (np.mean(part * np.roll(part, shift, (1, 2))) for part in (left, made))
        assert found == pytest.approx(expected, abs=0.05)
    skewness = [np.mean((part - part.mean()) ** 3) / part.std() ** 3 for part in (left, made)]
    assert skewness[0] > 0.3
    assert skewness[1] == pytest.approx(skewness[0], abs=0.06)


def test_fakes_are_background_normalized() -> None:
    fake = make(fitted(), 3 * pairs(1)[0], metadata(particle=torch.arange(COUNT)))
    np.testing.assert_allclose(fake[:, OUTSIDE].mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(fake[:, OUTSIDE].std(1), 1, atol=1e-5)


def test_it_is_never_the_particles_own_noise_whatever_row_it_stands_in() -> None:
    generator, known = fitted(), metadata()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    moved = {name: values[order] for name, values in known.items()}
    for draw in range(40):
        donors = generator.donors(5, torch.arange(COUNT), torch.full((COUNT,), draw), moved)
        assert (generator.donor_particle[donors] != moved["particle"]).all()
    sim, raw = pairs()
    fake = make(generator, sim, known)
    strength = np.sum(raw * sim) / np.sum(sim**2)
    made, left = (part - strength * sim for part in (fake, raw))
    own = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(made, left, strict=True)]
    assert np.max(own) < 0.6, "a residual of coloured noise has few independent pixels"
    assert abs(np.mean(own)) < 0.05


def test_the_donor_is_of_like_defocus_and_dose_and_of_the_same_optics() -> None:
    dose = torch.arange(COUNT) % 2 * 20.0
    known = metadata(dose=dose)
    known["ctf"][COUNT // 2 :, 7] = 200.0
    generator = fitted(known)
    for draw in range(6):
        donors = generator.donors(5, torch.arange(COUNT), torch.full((COUNT,), draw), known)
        assert torch.equal(known["ctf"][donors, 7], known["ctf"][:, 7])
        assert (known["defocus"][donors] - known["defocus"]).abs().max() < 3300
        assert torch.equal(dose[donors], dose)
    unknown = known | {"dose": torch.full((COUNT,), torch.nan)}
    donors = generator.donors(5, torch.arange(COUNT), torch.zeros(COUNT).long(), unknown)
    assert (known["defocus"][donors] - known["defocus"]).abs().max() < 2000


def test_a_small_optics_group_has_donors_of_its_own() -> None:
    known = metadata()
    known["ctf"][:5, 7] = 200.0
    generator = fitted(known)
    few = {name: values[:5] for name, values in known.items()}
    for draw in range(8):
        donors = generator.donors(5, torch.arange(5), torch.full((5,), draw), few)
        assert donors.max() < 5
        assert not torch.equal(donors, torch.arange(5))


def test_draws_of_a_sim_are_of_different_particles_and_can_be_made_again() -> None:
    generator, known = fitted(), metadata()
    index = torch.arange(COUNT)
    numbers = [torch.full_like(index, draw) for draw in range(16)]
    draws = torch.stack([generator.donors(5, index, number, known) for number in numbers])
    assert all(len(column.unique()) == 16 for column in draws.T)
    assert torch.equal(draws[3], generator.donors(5, index, torch.full_like(index, 3), known))
    assert not torch.equal(draws[0], generator.donors(6, index, 0 * index, known))
    some = {name: values[[7, 150]] for name, values in known.items()}
    assert torch.equal(generator.donors(5, index[[7, 150]], torch.tensor([2, 2]), some), draws[2, [7, 150]])


@pytest.mark.parametrize(("megabytes", "count"), [(64, COUNT), (20 * 2 * BOX**2 / 2**20, 20)])
def test_residuals_are_bounded_and_spread_over_the_training_part(megabytes: float, count: int) -> None:
    generator = fitted(megabytes=megabytes)
    assert generator.residuals.shape == (count, BOX, BOX)
    assert generator.residuals.dtype == torch.float16
    rows = generator.donor_particle - 1000
    assert torch.equal(rows * count // COUNT, torch.arange(count)), "one of each stretch"
    assert f"noise of {count} training images" in generator.description()


def test_the_state_holds_all_of_it(tmp_path) -> None:
    generator, sim = fitted(), pairs(1)[0]
    torch.save(generator.state_dict(), tmp_path / "state.ckpt")
    loaded = Transplant(BOX)
    loaded.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    np.testing.assert_array_equal(make(loaded, sim, metadata()), make(generator, sim, metadata()))


def test_grey_values_of_another_range() -> None:
    """Network values in [-1, 1]: the fakes get raw's mean scale."""
    sim, raw = pairs()
    generator = Transplant(BOX)
    generator.fit(batches(sim, 0.1 + 0.2 * raw))
    fake = make(generator, sim, metadata())
    np.testing.assert_allclose(fake[:, OUTSIDE].mean(1), 0.1, atol=1e-5)
    np.testing.assert_allclose(fake[:, OUTSIDE].std(1), 0.2, atol=1e-5)


def test_of_the_closed_form_only_the_signal_is_chosen() -> None:
    settings = Transplant(BOX).physical.settings
    assert {name for name, setting in settings.items() if setting == "auto"} == {
        "ctf_noise",
        "gain_by_defocus",
    }
    assert not any(setting is True for setting in settings.values())


def test_misuse_is_refused() -> None:
    sim, raw = (torch.from_numpy(stack).float()[:1, None] for stack in pairs())
    one = {name: values[:1] for name, values in metadata().items()}
    new = Transplant(BOX)
    row = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="fit"):
        new.generate(sim, seed=0, identity=row, draw=row, metadata=one)
    with pytest.raises(ValueError, match="no two pairs"):
        new.fit([(sim, raw, one, row)])
    with pytest.raises(ValueError, match="depends on the ctf"):
        fitted().generate(sim, seed=0, identity=row, draw=row, metadata={"defocus": one["defocus"]})
    with pytest.raises(ValueError, match="expected noise"):
        fitted()(sim, None, one)
    with pytest.raises(InputError, match="noise_channels"):
        Transplant(BOX, 0)
    with pytest.raises(InputError, match="megabytes"):
        Transplant(BOX, megabytes=0)
