"""What data were drawn from comes back within its error, and what is not there is not kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.models.physical.choice import NOTHING
from cryoalign.models.physical.fit import PARTS, Fitted, fit
from cryoalign.models.physical.model import slopes, unit_ramps, without_ramps
from cryoalign.models.physical.spectra import Sample
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.mask import background
from tests.models.physical.drawn import Drawn

AUTO: dict[str, bool | str] = dict.fromkeys(PARTS, "auto")


def outside(drawn: Drawn) -> torch.Tensor:
    return torch.from_numpy(background(drawn.box, 0.9).copy())


def fitted(drawn: Drawn, **settings: bool | str) -> Fitted:
    return fit(drawn.batches(), drawn.box, AUTO | settings, outside(drawn), normalize=False)


def members(drawn: Drawn) -> np.ndarray:
    """Independent complex numbers on each ring over all images, about."""
    return drawn.count * half_plane(drawn.box).pixels.numpy() / 2


@pytest.mark.parametrize("box", [32, 33])
def test_gain_and_both_parts_of_the_power_come_back(box: int) -> None:
    drawn = Drawn(box=box)
    found = fitted(drawn)
    verdicts = found.verdicts
    assert [part for part in PARTS if verdicts[part].kept] == ["ctf_noise"]
    many = slice(1, box // 2)
    pairs = zip(
        (found.model.gain.factor[0], found.model.constant, found.model.following),
        (drawn.gain, *drawn.power),
        drawn.errors(),
        strict=True,
    )
    for estimate, truth, error in pairs:
        deviation = (estimate.numpy() - truth)[many] / error
        assert np.abs(deviation).max() < 4
        assert 0.5 < np.sqrt(np.square(deviation).mean()) < 1.6


def test_ramps_come_back_and_what_is_under_them() -> None:
    drawn = Drawn(ramps=(6.0, 9.0))
    found = fitted(drawn)
    assert found.verdicts["ramps"].kept
    np.testing.assert_allclose(found.model.ramps, drawn.ramps, rtol=4 / np.sqrt(2 * drawn.count))
    constant, following = drawn.power
    error = (constant + following)[1] / np.sqrt(members(drawn)[1])
    assert abs(float(found.model.constant[1]) - constant[1]) < 6 * error  # the slopes held most of this ring


def test_a_pattern_comes_back() -> None:
    drawn = Drawn(pattern=0.4)
    found = fitted(drawn)
    assert found.verdicts["pattern"].kept
    expected = drawn.pattern_power
    ring = half_plane(drawn.box).ring
    weight = half_plane(drawn.box).weight
    sums = torch.zeros(len(half_plane(drawn.box).pixels), dtype=torch.float64).index_add_(
        0, ring.flatten(), (weight * torch.from_numpy(expected)).flatten()
    )
    relative = expected / (sums / half_plane(drawn.box).pixels)[ring].numpy()  # a ring's mean is in its power
    there = relative > 1.1
    assert np.abs(found.model.pattern.numpy() / relative - 1)[there].mean() < 0.05


def test_a_gain_that_depends_on_defocus_comes_back() -> None:
    drawn = Drawn(gain_by_defocus=1.5, count=960, groups=32)
    found = fitted(drawn)
    assert found.verdicts["gain_by_defocus"].kept
    gain = found.model.gain
    slope = 1 + 1.5 * (gain.defocus.numpy() / 1.6e4 - 1)
    error = np.sqrt(len(slope)) * drawn.errors()[0]
    expected = slope[:, None] * drawn.gain[1 : drawn.box // 2]
    assert np.abs((gain.factor.numpy()[:, 1 : drawn.box // 2] - expected) / error).max() < 5


@pytest.mark.parametrize("seed", range(4))
def test_of_white_noise_nothing_is_kept(seed: int) -> None:
    found = fitted(Drawn(following=0, constant=1, seed=seed))
    assert not [part for part in PARTS if found.verdicts[part].kept]


def test_few_micrographs_leave_the_parts_to_their_defaults() -> None:
    found = fitted(Drawn(groups=3))
    kept = {part for part in PARTS if found.verdicts[part].kept}
    assert kept == {"ctf_noise", "pattern"}
    held_out = {part for part in PARTS if np.isfinite(found.verdicts[part].nats)}
    assert all(found.verdicts[part] == NOTHING for part in held_out)


def test_few_micrographs_leave_a_gain_that_is_asked_for_at_the_fewest_defoci() -> None:
    found = fitted(Drawn(groups=3), gain_by_defocus=True)
    assert found.verdicts["gain_by_defocus"].kept
    assert len(found.model.gain.defocus) == 2


def test_parts_are_what_they_are_asked_to_be() -> None:
    found = fitted(Drawn(), ctf_noise=False, ramps=True, pattern=True, gain_by_defocus=True)
    kept = {part for part in list(PARTS)[:4] if found.verdicts[part].kept}
    assert kept == {"gain_by_defocus", "ramps", "pattern"}
    assert (found.model.following == 0).all()
    assert (found.model.ramps > 0).all()


def test_passes_over_all_pairs_agree_with_a_fit_in_memory() -> None:
    drawn = Drawn(ramps=(6.0, 9.0))
    batches = drawn.batches()
    whole = fit(batches, drawn.box, AUTO, outside(drawn), normalize=False)
    small = Sample(drawn.box, size=200 * 20 * drawn.box * (drawn.box // 2 + 1))
    streamed = fit(batches, drawn.box, AUTO, outside(drawn), normalize=False, sample=small)
    assert len(small) == 200
    torch.testing.assert_close(streamed.model.constant, whole.model.constant, rtol=0.02, atol=0.02)
    torch.testing.assert_close(streamed.model.ramps, whole.model.ramps, rtol=1e-3, atol=0)


@pytest.mark.parametrize("box", [32, 33])
def test_slopes_are_those_of_images(box: int) -> None:
    images = torch.randn(3, box, box, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectra = torch.fft.rfft2(images, norm="ortho")
    ramps = torch.fft.irfft2(unit_ramps(box).to(torch.complex128), s=(box, box), norm="ortho")
    torch.testing.assert_close(
        (ramps * ramps).sum((1, 2)), torch.ones(2, dtype=torch.float64), atol=1e-6, rtol=0
    )
    expected = (images[:, None] * ramps).sum((2, 3))
    torch.testing.assert_close(slopes(spectra), expected, atol=1e-6, rtol=0)
    wanted = torch.tensor([[1.0, 2.0]], dtype=torch.float64).expand(3, 2)
    torch.testing.assert_close(slopes(without_ramps(spectra)), torch.zeros_like(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(slopes(without_ramps(spectra, wanted)), wanted, atol=1e-6, rtol=0)


def test_micrographs_are_held_out_where_there_are_few_groups() -> None:
    """As of tomograms, whose tilt images have names of their own."""
    drawn = Drawn(groups=2)
    batches = [
        (sim, raw, {**known, "micrograph": torch.arange(len(group)) // 5 + 1000 * number}, group)
        for number, (sim, raw, known, group) in enumerate(drawn.batches())
    ]
    found = fit(batches, drawn.box, AUTO, outside(drawn), normalize=False)
    assert found.verdicts["ctf_noise"].nats > 100


def test_of_normalized_white_noise_nothing_is_kept() -> None:
    """The normalization makes rings go together, which is no difference between images."""
    generator = torch.Generator().manual_seed(0)
    kept = 0
    for seed in range(4):
        drawn = Drawn(following=0, constant=1, seed=seed)
        batches = [
            (sim, torch.randn(raw.shape, generator=generator), known, group)
            for sim, raw, known, group in drawn.batches()
        ]
        verdicts = fit(batches, drawn.box, AUTO, outside(drawn)).verdicts
        kept += any(verdict.kept for verdict in verdicts.values())
    assert kept <= 1
