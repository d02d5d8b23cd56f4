"""What may stand where in the configuration of a run that is judged or continued."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.optim import Optimizer

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.losses.adversarial import Adversarial
from cryoalign.losses.objective import Objective
from cryoalign.losses.score import Score
from cryoalign.models.discriminator import Discriminator
from cryoalign.runs.generator import REFINING
from cryoalign.runs.trust import Slot
from cryoalign.train.loggers import table, tensorboard, wandb

#: Of Lightning's Trainer, what a run may have chosen: others name folders, plugins or a registry of models.
_OF_TRAINER = frozenset(
    {
        "accelerator", "benchmark", "detect_anomaly", "deterministic", "devices", "enable_progress_bar",
        "inference_mode", "limit_train_batches", "limit_val_batches", "max_steps", "max_time", "num_nodes",
        "precision", "strategy", "sync_batchnorm", "val_check_interval",
    }
)  # fmt: skip
_LIGHTNING = "lightning.pytorch"

#: What is built where a run is judged: its networks, its data, and its objective, for the metrics.
JUDGING = (
    *REFINING,
    Slot("discriminator", Discriminator),
    Slot("loss", Objective),
    Slot("loss.adversarial", Adversarial),
    Slot("loss.*", Score),
    Slot("data", PairedDataModule),
)
#: What is built where a run is continued. Lightning's own classes are named one by one: most of its callbacks
#: and loggers write wherever their arguments say.
CONTINUING = (
    *JUDGING,
    Slot("optimizer.algorithm", Optimizer, "torch.optim", partial=True),
    Slot("trainer", Trainer, _LIGHTNING, only=(Trainer,), keys=_OF_TRAINER),
    Slot("trainer.strategy", Strategy, _LIGHTNING, only=(DDPStrategy,)),
    Slot("callbacks.*", Callback),
    Slot("callbacks.*", EarlyStopping, _LIGHTNING, only=(EarlyStopping,)),
    Slot("logger.*", Logger, only=(table, tensorboard, wandb)),
)
