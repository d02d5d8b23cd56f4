"""Fakes have the statistics of what the generator was fitted to, and a checkpoint holds all that it knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.models.generator import Metadata, map_metadata
from cryoalign.models.physical.fit import PARTS
from cryoalign.models.physical.generator import Physical
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.mask import background
from tests.models.physical.drawn import Drawn


def made(generator: Physical, drawn: Drawn, draw: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Fakes and raw."""
    batches = drawn.batches()
    sim, raw = (torch.cat([batch[place] for batch in batches]) for place in (0, 1))
    known = [batch[2] for batch in batches]
    metadata: Metadata = {
        "defocus": torch.cat([one["defocus"] for one in known]),
        "ctf": torch.cat([one["ctf"] for one in known]),
    }
    if drawn.micrograph:
        metadata["micrograph"] = torch.cat([one["micrograph"] for one in known])
    index = torch.arange(len(sim))
    return generator.generate(
        sim, seed=3, identity=index, draw=torch.full_like(index, draw), metadata=metadata
    ), raw


def fitted(drawn: Drawn, **options: bool | str) -> Physical:
    generator = Physical(drawn.box, **options)  # type: ignore[arg-type]
    generator.fit(drawn.batches())
    return generator.eval()


def ring_power(images: torch.Tensor) -> np.ndarray:
    """(B, R) mean power of each image on its rings, by numpy."""
    rings = half_plane(images.shape[-1])
    power = np.square(np.abs(np.fft.rfft2(images.squeeze(1).double().numpy(), norm="ortho")))
    weight, ring = rings.weight.numpy(), rings.ring.numpy().ravel()
    sums = [np.bincount(ring, (weight * one).ravel()) for one in power]
    return np.array(sums) / rings.pixels.numpy()


@pytest.mark.parametrize("box", [32, 33])
def test_fakes_have_raws_power(box: int) -> None:
    drawn = Drawn(box=box, ramps=(6.0, 9.0), pattern=0.4)
    fake, raw = made(fitted(drawn, background=False), drawn)
    rings = slice(1, box // 2)
    np.testing.assert_allclose(ring_power(fake).mean(0)[rings], ring_power(raw).mean(0)[rings], rtol=0.12)
    assert float(fake.var()) == pytest.approx(float(raw.var()), rel=0.02)


def test_images_differ_as_raw_does() -> None:
    level = np.random.default_rng(5).lognormal(0, 0.3, 480)
    drawn = Drawn(level=tuple(level / level.mean()))
    generator = fitted(drawn, background=False)
    assert generator.verdict("variation").kept
    fake, raw = (np.log(ring_power(images))[:, 4:15].mean(1).std() for images in made(generator, drawn))
    assert fake == pytest.approx(raw, rel=0.12)


def skewness(images: torch.Tensor) -> np.ndarray:
    values = images[..., torch.from_numpy(background(images.shape[-1], 0.9).copy())].squeeze(1).double()
    centred = (values - values.mean(1, keepdim=True)).numpy()
    found: np.ndarray = (centred**3).mean(1) / (centred**2).mean(1) ** 1.5
    return found


def test_fakes_are_as_skewed_as_raw() -> None:
    drawn = Drawn(skewness=-0.4)
    generator = fitted(drawn)
    assert generator.verdict("skewness").kept
    assert not generator.verdict("blobs").kept
    fake, raw = (skewness(images) for images in made(generator, drawn))
    error = np.hypot(fake.std(), raw.std()) / np.sqrt(drawn.count)
    assert raw.mean() < -0.2
    assert abs(fake.mean() - raw.mean()) < 4 * error


def test_each_fake_has_the_background_of_raw() -> None:
    drawn = Drawn()
    batches = [(sim, 0.2 * raw - 0.1, known, group) for sim, raw, known, group in drawn.batches()]
    generator = Physical(drawn.box)
    generator.fit(batches)
    mask = torch.from_numpy(background(drawn.box, 0.9).copy())
    outside, raw = (images[..., mask].double() for images in made(generator, drawn))
    deviation = 0.2 / (1 / raw.std(-1, correction=0)).mean()
    torch.testing.assert_close(
        outside.std(-1, correction=0), deviation.expand(len(raw), 1), rtol=1e-4, atol=0
    )
    assert float(outside.mean(-1).std()) < 1e-6
    assert float(outside.mean()) == pytest.approx(-0.1, abs=0.01)


def test_the_same_fakes_from_a_checkpoint(tmp_path: Path) -> None:
    drawn = Drawn(count=240)
    generator = fitted(drawn)
    torch.save(generator.state_dict(), tmp_path / "state.pt")
    fresh = Physical(drawn.box)
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.testing.assert_close(made(fresh, drawn)[0], made(generator, drawn)[0], rtol=0, atol=0)
    assert fresh.description() == generator.description()


def test_draws_differ_and_batches_do_not_matter() -> None:
    drawn = Drawn(count=64)
    generator = fitted(drawn)
    sim, _, known, _ = drawn.batches()[0]
    index = torch.arange(len(sim))
    whole, part = (
        generator.generate(
            sim[rows], seed=1, identity=index[rows], draw=index[rows] * 0,
            metadata=map_metadata(lambda values, rows=rows: values[rows], known),
        )
        for rows in (index, index[5:9])
    )  # fmt: skip
    torch.testing.assert_close(part, whole[5:9])
    assert not torch.equal(made(generator, drawn)[0], made(generator, drawn, draw=1)[0])


def test_images_of_a_micrograph_share_their_numbers() -> None:
    generator = Physical(32)
    index = torch.arange(4)
    known: Metadata = {"micrograph": torch.tensor([2**62, 2**62, 5, 5])}
    noise = generator.draw_noise(0, index, torch.zeros_like(index), known)
    flat = noise[:, 2].flatten(1)
    shared = (flat[0] == flat[1]).nonzero()[:, 0]
    assert shared.tolist() == list(range(18, 34))
    assert torch.equal(flat[2, shared], flat[3, shared])
    assert not torch.equal(flat[0, shared], flat[2, shared])
    again = generator.draw_noise(0, index, torch.ones_like(index), known)
    assert not torch.equal(again[0, 2].flatten()[shared], flat[0, shared])


def test_images_of_no_known_micrograph_share_nothing() -> None:
    index = torch.arange(3)
    known: Metadata = {"micrograph": torch.tensor([0, 0, 7])}
    flat = Physical(32).draw_noise(0, index, index * 0, known)[:, 2].flatten(1)
    alone = Physical(32).draw_noise(0, index, index * 0, {})[:, 2].flatten(1)
    assert torch.equal(flat[:2], alone[:2])
    assert not torch.equal(flat[2], alone[2])


def by_group(drawn: Drawn, images: torch.Tensor) -> np.ndarray:
    """(groups,) mean log power."""
    level = np.log(ring_power(images))[:, 4:15].mean(1)
    return level.reshape(drawn.groups, -1).mean(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("micrograph", ["named", "unnamed"])
def test_micrographs_differ_as_raw_does_and_those_with_names_are_known(micrograph: str) -> None:
    level = np.random.default_rng(6).lognormal(0, 0.3, 24).repeat(20)
    drawn = Drawn(level=tuple(level / level.mean()), groups=24, micrograph=micrograph)
    generator = fitted(drawn, background=False, micrograph="known")
    assert generator.verdict("shared_variation").kept
    fake, raw = (by_group(drawn, images) for images in made(generator, drawn))
    spread = float(generator.between.square().sum(1)[4:15].mean().sqrt())
    assert spread == pytest.approx(raw.std(), rel=0.4)
    if micrograph == "named":
        assert generator.micrograph_name.tolist() == list(range(1, 25))
        assert np.corrcoef(fake, raw)[0, 1] > 0.95
    else:
        assert len(generator.micrograph_name) == 0
        assert fake.std() < 0.5 * raw.std()  # means of 20 images, each of which draws its numbers


@pytest.mark.slow
def test_of_noise_that_has_none_of_them_no_part_is_kept() -> None:
    """In 9 of 10 data sets at least, normalized as images are."""
    kept = []
    for seed in range(100, 110):
        generator = fitted(Drawn(count=320, following=0.0, seed=seed))
        kept += [seed] if any(generator.verdict(part).kept for part in PARTS) else []
    assert len(kept) <= 1


def test_one_pair_is_enough_for_a_fit() -> None:
    drawn = Drawn(count=1, groups=1)
    generator = fitted(drawn)
    assert not generator.verdict("variation").kept
    assert made(generator, drawn)[0].isfinite().all()


def test_its_words() -> None:
    words = fitted(Drawn(), ramps=False).description()
    assert len(words.splitlines()) == len(PARTS)
    assert "nats in held-out groups); at the CTF's peaks " in words
    assert "noise that follows each particle's CTF (ctf_noise): kept (+" in words
    assert "linear ramps of grey value (ramps): left out, as asked for" in words
    assert "noise that differs by direction (pattern): left out (" in words


def test_misuse() -> None:
    with pytest.raises(InputError, match="noise_channels"):
        Physical(32, 1)
    with pytest.raises(InputError, match=r"generator\.ramps"):
        Physical(32, ramps="maybe")
    with pytest.raises(InputError, match="part of the generator"):
        Physical(32, rampes=True)
    for radius in (2, 0, -1, "abc"):
        with pytest.raises(InputError, match=r"generator\.radius"):
            Physical(32, radius=radius)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"generator\.micrograph"):
        Physical(32, micrograph="old")
    with pytest.raises(ValueError, match="fit"):
        Physical(32)(torch.zeros(1, 1, 32, 32))
    with pytest.raises(ValueError, match="no pairs"):
        Physical(32).fit([])
    generator = fitted(Drawn(count=64))
    image = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match="noise of shape"):
        generator(image)
    with pytest.raises(ValueError, match="CTF"):
        generator(image, torch.zeros(1, 3, 32, 32), {"defocus": torch.ones(1)})
