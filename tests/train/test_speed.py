"""A step does the same in every way that it can be made faster, and never waits for its device."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode

from cryoalign.errors import InputError
from cryoalign.losses.adversarial import LeastSquares
from cryoalign.losses.objective import Objective
from cryoalign.models.patchgan import PatchGAN
from cryoalign.models.unet import UNet
from cryoalign.train.average import MovingAverage
from cryoalign.train.speed import Speed
from cryoalign.train.system import PairedGAN
from tests.conftest import SMALL, Cli

if TYPE_CHECKING:
    from pathlib import Path

#: What reads a value of a tensor, or a size that depends on one: on a GPU the host would wait.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal.default", "unique")


class NeverWaits(TorchDispatchMode):
    """Refuse operations that wait for the device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        assert not any(f"aten.{word}" in name for word in WAITING), name
        return function(*args, **(kwargs or {}))


def refused(self: torch.Tensor, *arguments: object) -> None:
    raise AssertionError("a step that is not logged reads values")


def test_a_step_never_waits_for_its_device(cli: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, watched = PairedGAN.training_step, []

    def training_step(self: PairedGAN, batch: Any, batch_idx: int) -> None:
        if (self.global_step + 1) % self.log_every == 0:
            whole(self, batch, batch_idx)
            return
        with monkeypatch.context() as patch, NeverWaits():
            for name in ("tolist", "numpy", "cpu"):
                patch.setattr(torch.Tensor, name, refused)
            # checks of every step are of the CPU, where nothing waits
            patch.setattr(self._finite, "check", lambda _: None)
            whole(self, batch, batch_idx)
        watched.append(batch_idx)

    monkeypatch.setattr(PairedGAN, "training_step", training_step)
    done = cli(
        "train", *SMALL, f"paths.cache={cache}", "generator.width=4", "discriminator.width=4", "audit=off",
        "trainer.max_steps=6", "trainer.val_check_interval=6", "callbacks.figures.every=6", "log_every=3",
        "test=false", "optimizer.algorithm.fused=true", "optimizer.clip=1",
        "discriminator.r1=0.1", "threads=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert watched == [0, 1, 3, 4]


def system(**speed: Any) -> PairedGAN:
    torch.manual_seed(1)
    networks = UNet(32, width=4, noise_channels=1), PatchGAN(32, width=4)
    return PairedGAN(*networks, Objective(LeastSquares()), None, box=32, speed=Speed(**speed))


def test_noise_in_training_is_drawn_on_the_device() -> None:
    """Tensors of the device meta have no values: nothing can be read of them."""
    made, batch = system().to("meta"), torch.empty(2, dtype=torch.int64, device="meta")
    fake = made(torch.empty(2, 1, 32, 32, device="meta"), batch, {"identity": batch})
    assert fake.shape == (2, 1, 32, 32)


def test_a_moving_average_counts_on_the_host() -> None:
    """And does what torch's own does; integers, of a batch norm, too."""
    network = torch.nn.BatchNorm2d(3)
    own = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    average = MovingAverage(network, 0.5)
    for _ in range(3):
        torch.nn.init.normal_(network.weight)
        network.num_batches_tracked += 3
        own.update_parameters(network)
        average.update_parameters(network)
    for (name, expected), found in zip(own.state_dict().items(), average.state_dict().values(), strict=True):
        assert torch.equal(expected, found), name
    average.to("meta").update_parameters(network.to("meta"))
    assert average.n_averaged.item() == 4


@pytest.mark.parametrize("speed", [{"joint": True}, {"channels_last": True}])
def test_the_same_losses(speed: dict[str, bool]) -> None:
    random = torch.Generator().manual_seed(2)
    sim, raw = torch.randn(2, 3, 1, 32, 32, generator=random)
    found = []
    for made in (system(), system(**speed)):
        fake = made(sim, torch.zeros(3, dtype=torch.int64), {"identity": torch.arange(3)})
        judged = made.speed.judge(made.discriminator, sim, raw, fake)
        loss = made.objective.adversarial.discriminator(*judged)
        loss.backward()
        gradient = torch.cat([weight.grad.flatten() for weight in made.discriminator.parameters()])
        found.append((torch.cat([logits.detach().flatten() for logits in judged]), gradient))
    for plain, fast in zip(*found, strict=True):
        assert torch.allclose(plain, fast, rtol=1e-4, atol=1e-6)


def test_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks, in training alone; names of weights stay."""
    calls = []

    def compiled(function: Any, mode: str) -> Any:
        def call(*arguments: Any) -> Any:
            calls.append((len(arguments), mode))
            return function(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "set_stance", lambda _: nullcontext())
    made, images, number = system(compile="default"), torch.zeros(2, 1, 32, 32), torch.zeros(2).long()
    fake = made(images, number, {"identity": number})
    assert calls == [(3, "default")]
    assert torch.equal(made.discriminator(images, fake), system().discriminator(images, fake))
    assert calls == [(3, "default"), (1, "default")]
    assert made.state_dict().keys() == system().state_dict().keys()


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"speed\.compile"):
        Speed(compile="fast")  # type: ignore[arg-type]
    tied = PatchGAN(32, width=4, norm="batch")
    with pytest.raises(InputError, match="in one pass"):
        Speed(joint=True).prepare(UNet(32, width=4), tied)
