"""One machine from sims to fakes: the same fake, byte for byte, whoever asks for it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryoalign.data.images import ParticleImages
from cryoalign.data.metadata import identity_tensor, rows_of
from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.io.identity import image_identities
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.models.baselines import Spectral, WhiteNoise
from cryoalign.models.generator import Generator, Metadata
from cryoalign.models.physical.generator import Physical
from cryoalign.models.pix2pix import Pix2PixUNet
from cryoalign.models.transplant import Transplant
from cryoalign.models.unet import UNet
from cryoalign.physics.conditions import conditions
from cryoalign.physics.ctf_parameters import ctf_image
from cryoalign.refine.load import load
from cryoalign.refine.refiner import Refiner, as_batch
from tests.conftest import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

BOX = 32


def trained(cli: Cli, cache: Path, *options: str) -> Path:
    done = cli("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", *options, "hydra.run.dir=run")
    assert done.code == 0, done.err
    return Path.cwd() / "run"


def sims(run: Path) -> Path:
    """The metadata of the sims that a run was trained on."""
    sources = json.loads((run / "provenance.json").read_text())["data"]
    (star,) = (name for name in sources if name.endswith("sim.star"))
    return Path(star)


@pytest.mark.parametrize("grey", ["none", "percentiles"])
def test_test_export_evaluation_and_python_make_the_same_fakes(grey: str, cli: Cli, cache: Path) -> None:
    """Of a generator with noise, which belongs to the particle, whatever the order of rows."""
    run = trained(
        cli, cache, "generator.noise_channels=1", "generator.width=4", "discriminator.width=4", "audit=off",
        f"data.normalization.range={grey}",
    )  # fmt: skip
    assert cli("export", f"run={run}", f"particles={sims(run)}", "out=exported", "draws=2", "seed=1",
               "progress=false", "device=cpu").code == 0  # fmt: skip
    assert cli("evaluate", f"run={run}", "part=validation", "out=judged", "measures=[]", "progress=false",
               "device=cpu").code == 0  # fmt: skip
    exported, draws = (mrcfile.read(f"exported/fake_draw0{draw}.mrcs") for draw in (1, 2))
    names = starfile.read("exported/fake_draw01.star")["particles"]["rlnImageOriginalName"].tolist()
    for folder in (run / "test", Path("judged")):
        of_part = starfile.read(folder / "fake.star")["particles"]["rlnImageOriginalName"]
        rows = [names.index(name) for name in of_part]
        assert len(rows) == 6
        assert mrcfile.read(folder / "fake.mrcs").tobytes() == exported[rows].tobytes()

    generator = load(run, device="cpu")
    given, particles = mrcfile.read(sims(run).with_suffix(".mrcs")), read_particles(sims(run))
    assert generator.refine(given, particles=particles).tobytes() == exported.tobytes()
    some = {"particles": particles.take([4, 2])}
    assert generator.refine(given[[4, 2]], draw=1, **some).tobytes() == draws[[4, 2]].tobytes()
    other = generator.refine(given[[4, 2]], seed=99, **some)
    assert (np.abs(other - exported[[4, 2]]).max(axis=(1, 2)) > 1e-4).all()
    alone = generator.refine(given[:3])  # then the image says who it is
    assert generator.refine(given[[2, 0]]).tobytes() == alone[[2, 0]].tobytes()
    assert len({fake.tobytes() for fake in generator.refine(given[[0, 0, 0]])}) == 3


def known(count: int) -> Metadata:
    """Defoci of 0.8 to 2 um at 4 A/px, five images to a micrograph."""
    defocus, number = torch.linspace(8e3, 2e4, count), torch.arange(count)
    ctf = torch.zeros(count, 14, dtype=torch.float64)
    ctf[:, 0] = ctf[:, 1] = defocus
    ctf[:, 5:14] = torch.tensor([1.0, 4.0, 300.0, 2.7, 0.1, 1.0, 0.0, 0.0, 1.0])
    nan = torch.full((count,), torch.nan)
    return {
        "defocus": defocus, "ctf": ctf, "dose": nan, "tilt": nan,
        "micrograph": number // 5 + 1, "particle": number + 1000, "identity": number,
    }  # fmt: skip


def generators() -> dict[str, Generator]:
    torch.manual_seed(3)
    spectral, white = Spectral(BOX), WhiteNoise(BOX)
    pairs = (
        torch.randn(20, 1, BOX, BOX), torch.randn(20, 1, BOX, BOX),
        {"defocus": torch.linspace(8e3, 2e4, 20)}, torch.arange(20) // 4,
    )  # fmt: skip
    spectral.fit([pairs])
    white.fit([pairs])
    sim, raw = torch.randn(2, 40, 1, BOX, BOX)
    physical, transplant = Physical(BOX), Transplant(BOX)
    for closed in (physical, transplant):
        closed.fit([(sim, 0.5 * sim + raw, known(40), torch.arange(40) // 4)])
    return {
        "unet": UNet(BOX, 4, noise_channels=1),
        "transposed": UNet(BOX, 8, upsampling="transposed"),
        "pix2pix": Pix2PixUNet(64, 128, width=4),
        "spectral": spectral,
        "white_noise": white,
        "physical": physical,
        "transplant": transplant,
    }


@contextmanager
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "name",
    ["unet", "transposed", "pix2pix", "spectral", "white_noise", "physical", "transplant"],
)
def test_a_fake_does_not_depend_on_what_is_refined_with_it(name: str) -> None:
    """Nor on the number of threads: alone, among others, as the last of all."""
    generator = generators()[name]
    box = generator.box
    sims = np.random.default_rng(0).normal(size=(21, box, box)).astype(np.float32)
    metadata = known(21)
    metadata["identity"] = identity_tensor(image_identities(sims))

    def fake(rows: list[int], threads: int = 1) -> np.ndarray:
        several = Refiner(generator, Normalization(), 7, box, 2.0, threads=threads)
        parts = [np.array(rows[start : start + 16]) for start in range(0, len(rows), 16)]
        batches = (as_batch(sims[part], Normalization(), part, rows_of(metadata, part), 0) for part in parts)
        return np.concatenate([several.grey(fakes) for _, fakes in several.refine_batches(batches)])

    whole = fake(list(range(21)))
    np.testing.assert_array_equal(fake([20]), whole[[20]])
    np.testing.assert_array_equal(fake([5, 3]), whole[[5, 3]])
    np.testing.assert_array_equal(fake([*range(20, -1, -1)], threads=2)[::-1], whole)
    with four_threads():
        np.testing.assert_array_equal(fake([*range(21)]), whole)
        if generator.conditions <= {"defocus"}:
            refiner = Refiner(generator, Normalization(), seed=7, box=box, pixel_size=2.0)
            np.testing.assert_array_equal(refiner.refine(sims, defocus=metadata["defocus"]), whole)


@pytest.fixture
def refiner() -> Refiner:
    return Refiner(generators()["spectral"], Normalization(sim_scale=2.0), seed=7, box=BOX, pixel_size=2.0)


def test_numpy_in_numpy_out_tensor_in_tensor_out(refiner: Refiner) -> None:
    sim = np.random.default_rng(0).normal(size=(3, BOX, BOX))
    fake = refiner.refine(sim, defocus=1e4)
    assert (type(fake), fake.dtype, fake.shape) == (np.ndarray, np.float32, sim.shape)
    as_tensor = refiner.refine(torch.from_numpy(sim), defocus=[1e4, 1e4, 1e4])
    assert isinstance(as_tensor, torch.Tensor)
    np.testing.assert_array_equal(as_tensor, fake)
    assert refiner.refine(sim[:0], defocus=1e4).shape == (0, BOX, BOX)


class ByDefocus(Generator):
    """It multiplies the sim by its particle's defocus in um."""

    conditions = frozenset({"defocus"})

    def forward(
        self, sim: torch.Tensor, noise: torch.Tensor | None = None, metadata: Metadata | None = None
    ) -> torch.Tensor:
        del noise
        return sim * metadata["defocus"][:, None, None, None] / 1e4


def test_defocus_comes_from_the_particles(run: Path) -> None:
    particles = read_particles(sims(run)).take(np.arange(5))
    refiner = Refiner(ByDefocus(BOX, 0), Normalization(), seed=7, box=BOX, pixel_size=7.08)
    sim = mrcfile.read(sims(run).with_suffix(".mrcs"))[:5]
    fake = refiner.refine(sim, particles=particles)
    np.testing.assert_array_equal(refiner.refine(sim, defocus=particles.mean_defocus), fake)
    np.testing.assert_allclose(fake, sim * particles.mean_defocus[:, None, None] / 1e4, rtol=1e-5)
    with pytest.raises(InputError, match="not as many"):
        refiner.refine(sim[:4], particles=particles)
    other = Refiner(refiner.generator, Normalization(), seed=7, box=BOX, pixel_size=5.0)
    with pytest.raises(InputError, match=r"another pixel size[\s\S]*7\.08"):
        other.refine(sim, particles=particles)


class ThroughCTF(Generator):
    """It multiplies the sim by its particle's CTF."""

    conditions = frozenset({"ctf", "micrograph"})

    def forward(
        self, sim: torch.Tensor, noise: torch.Tensor | None = None, metadata: Metadata | None = None
    ) -> torch.Tensor:
        del noise
        factor = ctf_image(metadata["ctf"], self.box)
        return torch.fft.irfft2(torch.fft.rfft2(sim) * factor[:, None], s=sim.shape[-2:])


@pytest.mark.parametrize("box", [BOX, 24])
def test_the_ctf_comes_from_the_particles_at_the_pixel_size_of_the_images(run: Path, box: int) -> None:
    """From Python, and reading a stack that is cropped; the CTF is the one that the simulator has."""
    particles = read_particles(sims(run)).take(np.arange(5))
    pixel_size = 7.08 * BOX / box
    refiner = Refiner(ThroughCTF(box, 0), Normalization(), seed=7, box=box, pixel_size=pixel_size)
    images = ParticleImages(particles, locate_stacks(particles), box=box)
    given = np.stack([images.image(row) for row in range(5)])
    fake = refiner.refine(given, particles=particles)
    np.testing.assert_array_equal(np.concatenate(list(refiner.refine_images(images))), fake)
    groups = [replace(group, pixel_size=pixel_size) for group in particles.optics]
    optics = conditions(replace(particles, optics=tuple(groups)), np.arange(5), "cpu")
    expected = torch.fft.rfft2(torch.from_numpy(given)) * optics.ctf(box, None)
    np.testing.assert_allclose(fake, torch.fft.irfft2(expected, s=(box, box)), atol=1e-4)
    with pytest.raises(InputError, match=r"ctf, micrograph[\s\S]*found: no particles[\s\S]*read_particles"):
        refiner.refine(given)
    with pytest.raises(InputError, match="found: no particles"):
        refiner.refine(given, defocus=1e4)
    with pytest.raises(InputError, match="found: defocus= as well"):
        refiner.refine(given, particles=particles, defocus=1e4)
    with pytest.raises(ValueError, match="depends on the ctf"):
        refiner.generator.generate(
            torch.zeros(1, 1, box, box), seed=0, identity=torch.zeros(1), draw=torch.zeros(1),
            metadata={"micrograph": torch.ones(1)},
        )  # fmt: skip


GOOD = np.random.default_rng(0).normal(size=(3, BOX, BOX))
NAN = np.where(np.arange(3)[:, None, None] == 1, np.nan, GOOD)


@pytest.mark.parametrize(
    ("sim", "options", "says"),
    [
        (GOOD[:, :16, :16], {}, r"\(N, 32, 32\)[\s\S]*\(3, 16, 16\)[\s\S]*remedy"),
        (GOOD[0], {}, r"shape \(32, 32\)[\s\S]*sim\[None\]"),
        (GOOD.astype(complex), {}, "complex"),
        (NAN, {}, r"image 1[\s\S]*NaN[\s\S]*remedy"),
        (GOOD, {"defocus": None}, r"conditioned on the defocus[\s\S]*defocus="),
        (GOOD, {"defocus": [1e4, 1e4]}, r"one finite number in A, or 3"),
        (GOOD, {"defocus": np.nan}, "NaN"),
        (GOOD, {"seed": -1}, "seed is out of range"),
        (GOOD, {"draw": 0.5}, "draw is out of range"),
    ],
    ids=["box", "dimension", "complex", "NaN", "no defocus", "too few defoci", "NaN defocus", "seed", "draw"],
)
def test_what_cannot_be_refined(sim: np.ndarray, options: dict, says: str, refiner: Refiner) -> None:
    with pytest.raises(InputError, match=says):
        refiner.refine(sim, **({"defocus": 1e4} | options))


def test_a_constant_image_has_no_range(refiner: Refiner) -> None:
    flat = np.ones((1, BOX, BOX))
    assert np.isfinite(refiner.refine(flat, defocus=1e4)).all()
    ranged = Refiner(refiner.generator, Normalization(range="minmax"), 7, BOX, 2.0)
    with pytest.raises(InputError, match="constant image"):
        ranged.refine(flat, defocus=1e4)
