"""Processes of one training that torchrun or SLURM started: as many as it is for, and for one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import ListConfig

from cryoalign.cli.started import in_submitit, local_tasks, processes_started
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_started(trainer: DictConfig) -> None:
    """Refuse other processes than the training is for, processes that do not know of each other, and a sweep
    of all of them.

    Parameters
    ----------
    trainer : DictConfig
        Of the configuration.

    Raises
    ------
    InputError
        If it cannot work so.
    """
    if local_tasks() > 1:
        raise InputError(
            "submitit's local executor starts tasks that do not know of each other",
            expected="one task for each job",
            found=f"hydra.launcher.tasks_per_node={local_tasks()}",
            remedy="leave hydra.launcher.tasks_per_node out: trainer=ddp starts the processes of each job",
        )
    started = processes_started(together="strategy" in trainer)
    if started is None:
        return
    devices = len(trainer.devices) if isinstance(trainer.devices, ListConfig) else trainer.devices
    if isinstance(devices, int) and 0 < devices * trainer.num_nodes != started:
        raise InputError(
            "torchrun or SLURM has started another number of processes than the training is for",
            expected=f"{devices * trainer.num_nodes}: trainer.devices x trainer.num_nodes",
            found=started,
            remedy="give trainer=ddp trainer.devices=N trainer.num_nodes=M for N processes on M machines; "
            "srun --ntasks-per-node, torchrun --nproc-per-node, hydra.launcher.tasks_per_node start N",
        )
    if started > 1 and HydraConfig.get().mode == RunMode.MULTIRUN and not in_submitit():
        raise InputError(
            "several processes that torchrun or srun started cannot share a sweep",
            expected="one run each time",
            remedy="start the sweep without torchrun or srun: trainer=ddp starts the processes of each job; "
            "or give hydra/launcher=submitit_slurm hydra.launcher.tasks_per_node=N",
        )
