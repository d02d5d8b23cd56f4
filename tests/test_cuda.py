"""A GPU gives the CPU's numbers, within rounding, and no training step waits for it.

Skipped where torch can use no GPU. ``CRYOALIGN_DEVICE=cpu`` runs the same on the CPU, against itself: that
shows that the tests run, and nothing of a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache as cache_of
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.metrics.suite import PairedSuite
from cryoalign.models.counter_noise import counter_noise, philox
from cryoalign.models.generator import map_metadata
from cryoalign.refine.refiner import Refiner
from cryoalign.train.system import PairedGAN
from tests.conftest import SMALL, Cli, read_csv
from tests.device_numbers import fitted, judged
from tests.refine.test_refiner import generators, known
from tests.simulate.commanded import GIVEN, STAR, THROUGH_A_LENS
from tests.simulate.conftest import density

__all__ = ["density"]

DEVICE = os.environ.get("CRYOALIGN_DEVICE", "cuda")
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        DEVICE == "cuda" and not torch.cuda.is_available(),
        reason="torch can use no GPU on this machine (CRYOALIGN_DEVICE=cpu tries the tests on the CPU)",
    ),
]
ACCELERATOR = "gpu" if DEVICE == "cuda" else "cpu"
TRAINED = [
    *SMALL, "generator.width=4", "discriminator.width=4", "audit=off", "test=false", "threads=1",
    "trainer.max_steps=6", "trainer.val_check_interval=6", "callbacks.figures.every=6", "log_every=3",
]  # fmt: skip


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """Convolutions and products of matrices without TensorFloat-32, which keeps 10 bits."""
    settings = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = settings


all_generators = cache_of(generators)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in standard deviations of what is expected."""
    return float(np.abs(np.asarray(found) - expected).max() / np.std(expected))


def test_noise_from_a_counter() -> None:
    counter = torch.randint(2**32, (4, 1000), generator=torch.Generator().manual_seed(1))
    assert torch.equal(philox(counter.to(DEVICE), (7, 2**31)).cpu(), philox(counter, (7, 2**31)))
    who, draw = torch.arange(3) + 2**61, torch.tensor([0, 1, 2**31 + 1])
    on_device = counter_noise(5, who.to(DEVICE), draw.to(DEVICE), channels=2, box=64).cpu()
    assert (on_device - counter_noise(5, who, draw, channels=2, box=64)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("star", "options"),
    [
        (STAR, []),
        (THROUGH_A_LENS, ["scattering=multislice", "solvent=ice", "detector=counting", "specimen.volts=1"]),
    ],
    ids=["weak_phase", "multislice"],
)
def test_simulated_images(
    star: str, options: list[str], cli: Cli, density: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "particles.star").write_text(star)
    stacks = []
    for name in ("cpu", DEVICE):
        done = cli("simulate", *GIVEN, *options, f"device={name}", f"out={name}_{len(stacks)}")
        assert done.code == 0, done.err
        stacks.append(mrcfile.read(f"{name}_{len(stacks)}/sim.mrcs"))
    expected, found = stacks
    if "detector=counting" in options:  # counts: a rounding may tip one over to the next
        differ = np.abs(found - expected) > 1e-3 * expected.std()
        assert differ.mean() < 1e-3
    else:
        assert difference(found, expected) < 1e-4


@pytest.mark.parametrize("name", ["unet", "transposed", "pix2pix", "spectral", "white_noise", "physical"])
def test_fakes(name: str) -> None:
    """Of networks and of closed forms, which are fitted on the CPU."""
    made = all_generators()[name]
    sims = np.random.default_rng(1).standard_normal((6, made.box, made.box)).astype(np.float32)
    batch: dict[str, Any] = {
        "sim": torch.from_numpy(sims)[:, None], "index": torch.arange(6),
        "draw": torch.zeros(6, dtype=torch.int64), "metadata": map_metadata(lambda rows: rows[:6], known(40)),
    }  # fmt: skip
    fakes = []
    for device in ("cpu", DEVICE):
        refiner = Refiner(made, Normalization(), seed=2, box=made.box, pixel_size=4.0, device=device)
        ((_, fake),) = refiner.refine_batches([batch])
        fakes.append(fake.cpu().numpy())
    assert difference(fakes[1], fakes[0]) < 1e-3


def test_measures() -> None:
    images = torch.randn(4, 5, 1, 33, 33, generator=torch.Generator().manual_seed(1))
    found = []
    for device in ("cpu", DEVICE):
        suite = PairedSuite(33, floor=True).to(device)
        sim, fake, raw, other = images.to(device)
        suite.update(sim, fake, raw, other=other)
        found.append({name: float(value) for name, value in suite.compute().items()})
    assert found[1] == pytest.approx(found[0], rel=1e-5, abs=1e-7)


def test_a_training_and_its_export(cli: Cli, cache: Path, tmp_path: Path) -> None:
    rows, stacks = [], []
    for accelerator, device in (("cpu", "cpu"), (ACCELERATOR, DEVICE)):
        run = tmp_path / f"run_{len(rows)}"
        done = cli(
            "train", *TRAINED, f"paths.cache={cache}", f"trainer.accelerator={accelerator}",
            f"hydra.run.dir={run}",
        )  # fmt: skip
        assert done.code == 0, done.err
        rows.append(read_csv(run)[-1])
        sims = next(Path(cache).glob("embedded_32px_*/**/sim.star"))
        out = f"fake_{len(stacks)}"
        assert cli("export", f"run={run}", f"particles={sims}", f"out={out}", f"device={device}",
                   "progress=false", "seed=1").code == 0  # fmt: skip
        stacks.append(mrcfile.read(f"{out}/fake.mrcs"))
    expected, found = rows
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=2e-2, abs=1e-3), name
    assert difference(stacks[1], stacks[0]) < 2e-2


def test_a_step_waits_for_nothing(
    cli: Cli, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, watched = PairedGAN.training_step, []

    def training_step(self: PairedGAN, batch: Any, batch_idx: int) -> None:
        # the first step makes tables that later ones find
        unlogged = batch_idx > 0 and (self.global_step + 1) % self.log_every != 0
        if DEVICE == "cuda" and unlogged:
            torch.cuda.set_sync_debug_mode("error")
        try:
            whole(self, batch, batch_idx)
        finally:
            if DEVICE == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        watched.append(unlogged)

    monkeypatch.setattr(PairedGAN, "training_step", training_step)
    done = cli(
        "train", *TRAINED, f"paths.cache={cache}", f"trainer.accelerator={ACCELERATOR}",
        "generator.noise_channels=1", "optimizer.ema_decay=0.9", "optimizer.clip=1", "discriminator.r1=0.1",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert watched.count(True) == 3


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.precision=bf16-mixed", "speed.channels_last=true", "speed.joint=true"],
        ["trainer.precision=bf16-mixed", "speed.compile=default"],
        ["speed.compile=reduce-overhead"],
    ],
    ids=["bf16", "compiled", "graphs"],
)
def test_ways_to_be_faster(options: list[str], cli: Cli, cache: Path, tmp_path: Path) -> None:
    """With noise from the device, and a moving average."""
    if DEVICE == "cpu" and "speed.compile" in options[-1]:
        pytest.skip("compiling for a CPU takes minutes")
    done = cli(
        "train", *TRAINED, f"paths.cache={cache}", f"trainer.accelerator={ACCELERATOR}", *options,
        "generator.noise_channels=1", "optimizer.algorithm.fused=true", "optimizer.ema_decay=0.9",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    row = read_csv(tmp_path / "run")[-1]
    assert all(np.isfinite(float(value)) for value in row.values())


#: What is trained or searched for, and how far it may be off: an AUC, decibels, degrees and A.
_LEARNED = {"auc_cnn": 0.1, "psnr": 0.1, "pose": 1.5}


def test_an_evaluation() -> None:
    expected, found = judged("cpu"), judged(DEVICE)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        learned = next((off for name, off in _LEARNED.items() if key.startswith(name)), None)
        assert found[key] == pytest.approx(value, rel=1e-3, abs=learned or 1e-4, nan_ok=True), key


@pytest.mark.parametrize("name", ["white_noise", "spectral", "physical", "transplant"])
def test_fits(name: str) -> None:
    """Sums in float64 of float32 spectra; a mode of the noise has no sign."""
    expected, found = fitted(name, "cpu"), fitted(name, DEVICE)
    for key, values in expected.items():
        torch.testing.assert_close(
            found[key].abs(), values.abs(), rtol=1e-3, atol=1e-3, equal_nan=True, msg=key
        )
