"""Generators in closed form: fitted in one pass over the training pairs, where others are trained."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from hydra.utils import get_object, instantiate
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from cryoalign.data.dataset import PairedImages
from cryoalign.data.groups import number_groups
from cryoalign.errors import InputError
from cryoalign.io.progress import progress_bar
from cryoalign.models.baselines import BASELINES
from cryoalign.models.generator import Generator
from cryoalign.train.checkpoints import WholeCheckpoints
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.test import device_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import Logger
    from numpy.typing import NDArray

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.data.normalize import Normalization
    from cryoalign.models.baseline import Baseline, Batch
    from cryoalign.runs.folder import Run
    from cryoalign.train.system import PairedGAN

_log = logging.getLogger(__name__)
_BATCH, _BATCH_PIXELS = 64, 2**20
#: Of `cfg.trainer`, what the one validation of a closed form follows. It runs on one device.
_TRAINER = ("accelerator", "precision", "deterministic", "limit_val_batches", "enable_progress_bar")


def refuse_continuing(run: Run) -> None:
    """Refuse to continue a run that has nothing to continue.

    Raises
    ------
    InputError
        If its generator was fitted in closed form.
    """
    try:
        generator = get_object(run.cfg.generator["_target_"])
    except (ImportError, ValueError):
        return  # to be explained where the generator is built
    if isinstance(generator, type) and issubclass(generator, Generator) and generator.closed_form:
        raise InputError(
            "this run was fitted in closed form: there is nothing to continue",
            file=run.folder,
            expected="a run whose generator is trained step by step",
            found=f"generator {generator.__name__}",
            remedy="leave resume= out and start a new run; cryoalign evaluate tests this one again",
        )


def check_baselines(names: Iterable[str]) -> None:
    """Refuse names of baselines that do not exist.

    Parameters
    ----------
    names : iterable of str

    Raises
    ------
    InputError
        If one is unknown.
    """
    unknown = [str(name) for name in names if name not in BASELINES]
    if unknown:
        raise InputError(
            "there is no such baseline",
            expected=", ".join(BASELINES),
            found=", ".join(unknown),
            remedy="give some of these, or none with baselines=[]",
        )


def fit_baseline(
    generator: str | Baseline,
    data: PairedDataModule,
    *,
    seed: int = 0,
    images: int | None = 5000,
    progress: bool = False,
    device: str = "cpu",
) -> Baseline:
    """Fit a baseline to a run's training pairs.

    Parameters
    ----------
    generator : str or Baseline
        One of `BASELINES` by its name, or one to be fitted in place.
    data : PairedDataModule
        Set up.
    seed : int
        Of the choice of pairs, where there are more than `images`.
    images : int, optional
        How many training pairs are used at the most, spread over the training part; all without it.
    progress : bool
        Show a progress bar on standard error.
    device : str
        Where pairs are added up, if the generator can do so elsewhere than on the CPU.

    Returns
    -------
    Baseline
        In evaluation mode, on the CPU.

    Raises
    ------
    InputError
        If there is no baseline of this name, or an image cannot be used.
    """
    if isinstance(generator, str):
        check_baselines([generator])
        radius = cast("Normalization", data.normalization).radius
        generator = BASELINES[generator].usual(data.box, radius)
    rows = _spread(data.rows["train"], images, seed)
    where = device if generator.fits_anywhere else "cpu"
    generator.fit(_TrainingPairs(data, rows, progress=progress, device=where))
    return generator.eval()


def log_description(generator: Baseline) -> None:
    """Log what was fitted, a line for each part."""
    for line in generator.description().splitlines():
        _log.info("            %s", line)


def fit_run(
    cfg: DictConfig, folder: Path, system: PairedGAN, data: PairedDataModule, loggers: list[Logger]
) -> Trainer:
    """Fit the generator of a run, validate it, and write its checkpoints.

    Parameters
    ----------
    cfg : DictConfig
        Of the run.
    folder : Path
        Of the run.
    system : PairedGAN
        Its generator is fitted in place.
    data : PairedDataModule
        Set up.
    loggers : list of Logger
        They get the validation's values, at step 0.

    Returns
    -------
    Trainer
        Its ``callback_metrics`` hold the validation's values.

    Raises
    ------
    InputError
        If an image cannot be used, or fakes have values that are no numbers.
    """
    begun = time.monotonic()
    generator = cast("Baseline", system.generator)
    device = device_of(cfg.trainer.accelerator)
    fit_baseline(generator, data, images=None, progress=cfg.trainer.enable_progress_bar, device=device)
    seconds = time.monotonic() - begun
    where = "" if device == "cpu" else f" on {device}"
    _log.info("fitted      %d pairs in %.1f s%s", len(data.rows["train"]), seconds, where)
    options: dict[str, Any] = {"devices": 1, "enable_checkpointing": False, "enable_model_summary": False}
    trainer: Trainer = instantiate(
        OmegaConf.masked_copy(cfg.trainer, ["_target_", *_TRAINER]),
        default_root_dir=folder,
        logger=loggers,
        plugins=[WholeCheckpoints()],
        **options,
    )
    with without_known_warnings():
        trainer.validate(system, dataloaders=data.evaluation_loader("validation"), verbose=False)
    log_description(generator)  # of what was seen to be finite
    for name in ("best", "last"):  # the one state there is, under both names that commands ask for
        trainer.save_checkpoint(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return trainer


def _spread(rows: NDArray[np.int64], most: int | None, seed: int) -> NDArray[np.int64]:
    """Take one row at random from each of `most` equal stretches: spread, in step with no pattern of the
    table.
    """
    if most is None or len(rows) <= most:
        return rows
    edges = np.linspace(0, len(rows), most + 1).astype(np.int64)
    return rows[np.random.default_rng(seed).integers(edges[:-1], edges[1:])]


class _TrainingPairs:
    """Pairs as a generator in training sees them, never turned; read again whenever they are gone through.

    Parameters
    ----------
    data : PairedDataModule
        Set up.
    rows : (n,) int64
        Of its table.
    progress : bool
        Show a progress bar, one for each time.
    device : str
        Where they are handed out.
    """

    def __init__(
        self, data: PairedDataModule, rows: NDArray[np.int64], *, progress: bool, device: str
    ) -> None:
        pairs = PairedImages(
            data.sim_images, data.raw_images, cast("Normalization", data.normalization), seed=data.seed
        )
        keys: Any = [(0, int(row)) for row in rows]
        self._loader = DataLoader(
            pairs,
            batch_size=max(min(_BATCH, _BATCH_PIXELS // data.box**2), 1),
            sampler=keys,
            num_workers=data.workers,
            generator=torch.Generator().manual_seed(data.seed),
        )
        self._groups = torch.from_numpy(number_groups(data.groups[rows]))
        self._progress, self._device = progress, device

    def __iter__(self) -> Iterator[Batch]:
        first = 0
        for batch in progress_bar(self._loader, "fitting", shown=self._progress):
            last = first + len(batch["raw"])
            pairs = batch["sim"], batch["raw"], batch["metadata"], self._groups[first:last]
            yield move_data_to_device(pairs, self._device)
            first = last
