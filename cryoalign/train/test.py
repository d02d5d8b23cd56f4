"""Test a trained generator on one part of a split, and write everything that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from cryoalign.errors import InputError
from cryoalign.io.output import staged
from cryoalign.train.predictions import Predictions
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.table import write_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.data.datamodule import PairedDataModule, Part
    from cryoalign.data.normalize import Normalization
    from cryoalign.train.system import PairedGAN


def evaluate(
    system: PairedGAN,
    data: PairedDataModule,
    out: Path,
    *,
    overwrite: bool,
    accelerator: str,
    progress: bool,
) -> dict[str, float]:
    """Compute the metrics of the test part and write them with the predictions, the spectra and both figures.

    Parameters
    ----------
    system : PairedGAN
        Trained.
    data : PairedDataModule
        Set up.
    out : Path
        The folder to make.
    overwrite : bool
        Replace a folder of an earlier evaluation.
    accelerator : str
        Of the Lightning trainer.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        Metric name, without prefix, to value.

    Raises
    ------
    InputError
        If the part is empty or `out` exists.
    """
    check_part(data, "test")
    inputs = [path for path in data.files() if path.exists()]
    with staged(out, overwrite=overwrite, inputs=inputs) as folder:
        return predict(
            system,
            data,
            folder,
            part="test",
            scale="background",
            accelerator=accelerator,
            progress=progress,
        )


def check_part(data: PairedDataModule, part: str) -> None:
    """Refuse a part of the split that holds nothing; ``held_out`` joins validation and test.

    Parameters
    ----------
    data : PairedDataModule
        Set up; it gets the rows of ``held_out`` where these are asked for.
    part : str

    Raises
    ------
    InputError
        If there is no such part, or it is empty.
    """
    if part == "held_out":
        data.rows["held_out"] = np.sort(np.concatenate([data.rows["validation"], data.rows["test"]]))
    if part not in data.rows or len(data.rows[part]) == 0:
        raise InputError(
            "there is nothing to test",
            expected="train, validation, test or held_out, and pairs in it",
            found=part,
        )


def predict(
    system: PairedGAN,
    data: PairedDataModule,
    folder: Path,
    *,
    part: Part,
    scale: Literal["background", "raw"],
    accelerator: str,
    progress: bool,
) -> dict[str, float]:
    """Compute the metrics of a part and write what came of it into a folder that is there. One process.

    Parameters
    ----------
    system, data, accelerator, progress
        As in `evaluate`.
    folder : Path
        Where the files go.
    part : {"train", "validation", "test", "held_out"}
    scale : {"background", "raw"}
        Grey values of the predictions.

    Returns
    -------
    dict
        Metric name, without prefix, to value.
    """
    sim, raw = data.particles(part)
    predictions = Predictions(
        folder,
        raw,
        cast("Normalization", data.normalization),
        box=data.box,
        pixel_size=data.pixel_size,
        scale=scale,
        sim=sim,
    )
    options: dict[str, Any] = {"logger": False, "enable_model_summary": False, "enable_checkpointing": False}
    with without_known_warnings():
        trainer = _trainer(accelerator, callbacks=[predictions], enable_progress_bar=progress, **options)
        trainer.test(system, dataloaders=data.evaluation_loader(part), verbose=False)
    values = {
        name.removeprefix("test/"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("test/")
    }
    write_metrics(folder, values)
    return values


def _trainer(accelerator: str, **options: Any) -> Trainer:
    """Make a Lightning trainer for one process."""
    try:
        return Trainer(accelerator=accelerator, devices=1, **options)
    except (ValueError, MisconfigurationException) as error:
        raise InputError(
            "this accelerator cannot be used", expected="auto, cpu or gpu", found=f"{accelerator}: {error}"
        ) from error
