"""Test a trained generator on one part of a split, and write everything that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from cryoalign.callbacks.predictions import Predictions
from cryoalign.errors import InputError
from cryoalign.io.output import staged
from cryoalign.run import without_known_warnings
from cryoalign.table import write_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.data.datamodule import PairedDataModule, Part
    from cryoalign.data.normalize import Normalization
    from cryoalign.system import PairedGAN


def evaluate(
    system: PairedGAN,
    data: PairedDataModule,
    out: Path,
    *,
    part: Part = "test",
    scale: Literal["background", "raw"] = "background",
    overwrite: bool = False,
    accelerator: str = "auto",
    progress: bool = True,
) -> dict[str, float]:
    """Compute the metrics of a part and write them with the predictions, the spectra and both figures. One
    process.

    Parameters
    ----------
    system : PairedGAN
        Trained.
    data : PairedDataModule
        Set up.
    out : Path
        The folder to make.
    part : {"train", "validation", "test"}
    scale : {"background", "raw"}
        Grey values of the predictions.
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
    if part not in data.rows or len(data.rows[part]) == 0:
        raise InputError(
            "there is nothing to test", expected="train, validation or test, and pairs in it", found=part
        )
    sim, raw = data.particles(part)
    inputs = [path for path in data.files() if path.exists()]
    with staged(out, overwrite=overwrite, inputs=inputs) as folder:
        predictions = Predictions(
            folder,
            raw,
            cast("Normalization", data.normalization),
            box=data.box,
            pixel_size=data.pixel_size,
            scale=scale,
            sim=sim,
        )
        options: dict[str, Any] = {
            "logger": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        }
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
