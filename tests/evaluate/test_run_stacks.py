"""What is judged of a run is made once: one call of the generator an image and draw, one stack a role."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cryoalign.evaluate.stacks import Stacks
from cryoalign.io.mrc_write import StackWriter
from cryoalign.models.unet import UNet
from tests.conftest import SMALL

if TYPE_CHECKING:
    from torch import Tensor

    from tests.conftest import Cli

HELD_OUT, TRAIN = 24, 96
PART = {"fake", "raw", "sim"}
PROBES = {"second_draw", "truth", "empty", "without_domain"}
TRAINING = {"train_fake", "train_raw", "train_sim"}
BASELINE = {"white_noise_fake", "white_noise_second_draw"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judged")


@pytest.fixture
def trained(folder: Path, cli: Cli, cache: Path) -> Path:
    """A run on enough pairs to be judged, made once."""
    run = folder / "run"
    if not run.exists():
        done = cli(
            "train", "+debug=smoke", *SMALL, "data.embedded.particles=120", f"paths.cache={cache}",
            "generator.noise_channels=1", "generator.width=4", "discriminator.width=4", "test=false",
            "audit=off", f"hydra.run.dir={run}",
        )  # fmt: skip
        assert done.code == 0, done.err
    return run


@pytest.mark.parametrize("part", ["held_out", "train"])
def test_one_call_an_image_and_draw_and_one_stack_a_role(
    part: str, trained: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training pairs that are judged themselves are not refined again to see what was memorized."""
    calls: list[set[tuple[int, int]]] = []
    written: list[str] = []
    judged: list[Stacks] = []
    generate, enter, made = UNet.generate, StackWriter.__enter__, Stacks.__post_init__

    def counted(self: UNet, sim: Tensor, *, identity: Tensor, draw: Tensor, **options: Any) -> Tensor:
        calls.append(set(zip(identity.tolist(), draw.tolist(), strict=True)))  # the last batch is filled up
        return generate(self, sim, identity=identity, draw=draw, **options)

    def noted(self: StackWriter) -> StackWriter:
        written.append(self.path.name)
        return enter(self)

    def seen(self: Stacks) -> None:
        judged.append(self)
        made(self)

    monkeypatch.setattr(UNet, "generate", counted)
    monkeypatch.setattr(StackWriter, "__enter__", noted)
    monkeypatch.setattr(Stacks, "__post_init__", seen)
    done = cli(
        "evaluate", f"run={trained}", f"part={part}", "out=judged", "device=cpu", "progress=false",
        "measures=[spectrum,invented,memorized]", "baselines=[white_noise]", "draws=100",
    )  # fmt: skip
    assert done.code == 0, done.err

    images = Counter(pair for call in calls for pair in call)
    assert set(images.values()) == {1}
    draws = Counter(draw for _, draw in images)
    count = HELD_OUT if part == "held_out" else TRAIN
    assert draws == {0: count + (TRAIN if part == "held_out" else 0), 1: count, 2: count, 3: count}

    roles = PART | PROBES | BASELINE | (TRAINING if part == "held_out" else set())
    assert Counter(written) == Counter(f"{role}.mrcs" for role in roles)
    assert {path.stem for path in Path("judged").glob("*.mrcs")} == PART
    assert not list(Path("judged").glob("referee.*"))

    # the training pairs are the training pairs, wherever their images lie
    assert sorted(len(stacks) for stacks in judged) == sorted([count, count, TRAIN])
    train = next(stacks for stacks in judged[1:] if len(stacks) == TRAIN)
    assert train.kinds == {"fake", "raw", "sim"}
    found = json.loads(Path("judged/evaluation.json").read_text())["candidates"]
    assert found.keys() == {"fake", "white_noise"}


def test_with_transplant_all_are_held_against_the_truth(trained: Path, cli: Cli) -> None:
    """Verdicts on it are relative to what transplant reaches, but for that of transplant."""
    done = cli(
        "evaluate", f"run={trained}", "part=held_out", "out=relative", "device=cpu", "progress=false",
        "measures=[content,noise]", "baselines=[white_noise,transplant]", "draws=100",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(Path("relative/evaluation.json").read_text())["candidates"]
    assert list(found) == ["fake", "white_noise", "transplant"]
    for name, candidate in found.items():
        answer = candidate["measures"]["content"]["answers"]["truth"]
        assert ("transplant, whose noise is real" in answer["explanation"]) == (name != "transplant")
