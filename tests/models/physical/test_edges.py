"""Noise that ends at the edges of its box and noise that continues, both filtered by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cryoalign.models.generator import Metadata
from cryoalign.models.physical.edges import EdgeSums, correction, larger_plane, larger_table, power_of_cut
from cryoalign.models.physical.generator import Physical
from cryoalign.models.physical.model import Gain, Model, without_ramps
from cryoalign.physics.half_plane import half_plane
from tests.models.physical.drawn import Drawn

BOX, COUNT = 32, 480


def noise(kind: str, seed: int = 0, width: float = 0.7) -> np.ndarray:
    """(COUNT, BOX, BOX): white, continued at the opposite edge, or cut out of something larger."""
    rng = np.random.default_rng(seed)
    size = {"ends": BOX + 16}.get(kind, BOX)
    white = rng.normal(size=(COUNT, size, size))
    if kind == "white":
        return white
    smooth = gaussian_filter(white, (0, width, width), mode="wrap")
    return smooth[:, :BOX, :BOX] / smooth.std()


def across(images: np.ndarray) -> float:
    """Correlation of pixels that are neighbours across the edges, over that of neighbours inside."""
    ends = (images[:, 0] * images[:, -1]).mean() + (images[:, :, 0] * images[:, :, -1]).mean()
    inside = (images[:, 1:] * images[:, :-1]).mean() + (images[:, :, 1:] * images[:, :, :-1]).mean()
    return float(ends / inside)


@pytest.mark.parametrize(("kind", "kept"), [("ends", True), ("continues", False), ("white", False)])
@pytest.mark.parametrize("groups", [16, 2])
def test_which_kind_it_is_is_found(kind: str, kept: bool, groups: int) -> None:
    spectra = torch.fft.rfft2(torch.from_numpy(noise(kind)).float(), norm="ortho")
    sums = EdgeSums(BOX)
    sums.add(spectra, torch.arange(COUNT) * groups // COUNT)
    verdict = sums.fit("auto", BOX)
    assert verdict.kept == kept
    if groups == 16:
        assert (verdict.nats > 100) == (kind == "ends")
        assert (verdict.nats < -100) == (kind == "continues")
    assert sums.fit(not kept, BOX).kept == (not kept)


@pytest.mark.parametrize("ramps", [0.0, 5.0])
def test_cut_noise_has_the_power_that_is_wanted(ramps: float) -> None:
    rings = half_plane(BOX)
    radius = torch.arange(len(rings.pixels)).float()
    pattern = torch.ones(rings.ring.shape)
    pattern[3:6, 4:9] = 1.5
    constant, following = 1 + 20 * torch.exp(-radius / 2.5), 3 * torch.exp(-radius / 5)
    ctf_power = torch.sin(rings.radius**2 / 25).square()
    nothing = Gain(torch.zeros(1), torch.zeros(1, len(radius)), torch.zeros(1))
    model = Model(nothing, constant, following, pattern, torch.full((2,), ramps))
    factor = correction(model, ctf_power)
    larger = larger_table(constant, BOX) + larger_table(following, BOX) * larger_plane(ctf_power)
    power = (larger * larger_plane(pattern * factor)).float()
    wanted = (constant[rings.ring] + following[rings.ring] * ctf_power) * pattern

    count = 4000
    white = torch.randn(count, 2 * BOX, 2 * BOX, generator=torch.Generator().manual_seed(0))
    spectra = torch.fft.rfft2(white, norm="ortho") * power.sqrt()
    cut = torch.fft.irfft2(spectra, s=white.shape[1:], norm="ortho")[:, :BOX, :BOX]
    found = torch.fft.rfft2(cut, norm="ortho")
    if ramps:  # of the periodic noise that the model describes, and of what is made
        periodic = torch.fft.rfft2(white[:, :BOX, :BOX], norm="ortho") * wanted.float().sqrt()
        expected = without_ramps(periodic).abs().square().mean(0)
        found = without_ramps(found)
    else:
        expected = wanted
        assert np.allclose(power_of_cut(power.double()), wanted, rtol=1e-3)
    ratio = found.abs().square().mean(0) / expected
    assert (ratio - 1).abs().max() < 8 * (2 if ramps else 1) / np.sqrt(count)


@pytest.mark.parametrize("kind", ["ends", "continues"])
def test_fakes_end_where_raw_does(kind: str) -> None:
    drawn = Drawn(box=BOX, count=COUNT, following=0.0)
    raws = torch.from_numpy(noise(kind)).float()[:, None]
    batches, first = [], 0
    for sim, _, metadata, group in drawn.batches():
        batches.append((0.1 * sim, 0.1 * sim + raws[first : first + len(sim)], metadata, group))
        first += len(sim)
    generator = Physical(BOX)
    generator.fit(batches)
    assert generator.verdict("edges").kept == generator.ends == (kind == "ends")
    fakes, first = [], 0
    for sim, _, metadata, _ in batches:
        index = first + torch.arange(len(sim))
        fakes.append(generator.generate(sim, seed=1, identity=index, draw=0 * index, metadata=metadata))
        first += len(sim)
    raw_images = torch.cat([batch[1] for batch in batches])
    fake, raw = (images[:, 0].double().numpy() for images in (torch.cat(fakes), raw_images))
    assert across(fake) == pytest.approx(across(raw), abs=0.1)
    assert across(raw) == pytest.approx(float(kind == "continues"), abs=0.1)
    power = [np.square(np.abs(np.fft.rfft2(images, norm="ortho"))).mean(0) for images in (fake, raw)]
    ring = half_plane(BOX).ring.numpy()
    for radius in (1, 2, 4, 8):
        inside = ring == radius
        assert power[0][inside].mean() == pytest.approx(power[1][inside].mean(), rel=0.15)


def test_noise_that_is_asked_to_end_is_made_of_more_maps_and_again_the_same() -> None:
    drawn = Drawn(count=40, groups=8)
    fakes = []
    for edges in (True, False):
        generator = Physical(drawn.box, edges=edges)
        generator.fit(drawn.batches())
        sim, _, metadata, _ = drawn.batches()[0]
        index = torch.arange(len(sim))
        known: Metadata = metadata
        maps = generator.draw_noise(0, index, 0 * index, known)
        assert maps.shape[1] == (9 if edges else 3)
        assert torch.equal(maps[:, :3], Physical(drawn.box).draw_noise(0, index, 0 * index, known))
        fakes.append([generator(sim, maps, known) for _ in range(2)])
        again = Physical(drawn.box, edges=edges)
        again.load_state_dict(generator.state_dict())
        assert torch.equal(again(sim, maps, known), fakes[-1][0])
        with pytest.raises(ValueError, match="expected noise of shape"):
            generator(sim, maps[:, :2], known)
    assert torch.equal(*fakes[0])
    assert not torch.equal(fakes[0][0], fakes[1][0])
