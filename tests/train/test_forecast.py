"""When a training ends: the line that says it, and the bar of a run that goes on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from omegaconf import OmegaConf

from cryoalign.train import forecast as module
from cryoalign.train.forecast import Forecast, forecast
from cryoalign.train.trainer import StepBar, build_callbacks

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def trainer(step: int = 0, *, most: int = 400, accumulate: int = 1) -> Trainer:
    made = SimpleNamespace(
        global_step=step,
        max_steps=most,
        max_epochs=-1,
        current_epoch=0,
        num_training_batches=most * accumulate,
        is_global_zero=True,
        progress_bar_callback=None,
        lightning_module=SimpleNamespace(accumulate=accumulate),
    )
    return cast("Trainer", made)


def test_the_line_names_the_end() -> None:
    line = "ends        about 2026-03-01 13:30, in 1:30:00: 900 steps of 6.00 s, and the validations"
    assert forecast(6, 900, NOON) == line
    assert "in 2 days, 12:00:00: " in forecast(60, 3600, NOON)
    assert forecast(0.1, 500, NOON) == ""


@pytest.mark.parametrize("begun", [0, 200])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_is_said_once_after_the_first_steps(
    begun: int, accumulate: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step takes 3 s but the first, which takes 100 s."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    made, callback = trainer(begun, accumulate=accumulate), Forecast()
    callback.on_train_start(made)
    with caplog.at_level(logging.INFO):
        for batch in range(1, 60 * accumulate + 1):
            whole = batch % accumulate == 0
            clock[0] += (100 if batch <= accumulate else 3) / accumulate
            made.global_step = begun + batch // accumulate  # type: ignore[misc]
            callback.on_train_batch_end(made)
            assert whole or made.global_step < begun + batch
    (line,) = caplog.messages
    left = 400 - begun - 12
    assert line.endswith(f": {left} steps of 3.00 s, and the validations")


@pytest.mark.parametrize(
    ("step", "accumulate", "shown"), [(0, 1, "0/400"), (200, 1, "200/400"), (10, 4, "40/1600")]
)
def test_the_bar_has_all_batches(step: int, accumulate: int, shown: str) -> None:
    """Also where a run is continued in its middle."""
    made, bar = trainer(step, accumulate=accumulate), StepBar()
    bar._trainer = made
    bar.on_train_start(made, made.lightning_module)
    bar.on_train_epoch_start(made)
    assert f"{bar.train_progress_bar.n}/{bar.train_progress_bar.total}" == shown
    assert f"| {shown} [" in str(bar.train_progress_bar)
    bar.train_progress_bar.close()


@pytest.mark.parametrize("bar", [True, False])
def test_a_training_gets_both(bar: bool) -> None:
    shown = OmegaConf.create({"callbacks": {}, "trainer": {"enable_progress_bar": bar}})
    callbacks = build_callbacks(shown)
    assert [type(callback) for callback in callbacks] == [Forecast, *[StepBar] * bar]
