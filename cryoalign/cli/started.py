"""What started this process, as the environment says: torchrun, SLURM's srun, submitit."""

from __future__ import annotations

import os


def is_further_process() -> bool:
    """Return whether torchrun or srun started this process beside a first one, which writes for both.

    Those that submitit started share its folders; those that Lightning started are told theirs.
    """
    if in_submitit():
        return False
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return os.environ.get("RANK", "0") != "0"
    return _srun_tasks() > 1 and os.environ.get("SLURM_PROCID", "0") != "0"


def processes_started(*, together: bool) -> int | None:
    """Return how many processes torchrun or SLURM has started for one training; None outside of them.

    Parameters
    ----------
    together : bool
        Whether the training is for several: Lightning then counts SLURM's tasks also where srun was not used.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ.get("WORLD_SIZE", "1"))
    if os.environ.get("SLURM_JOB_NAME") in {"bash", "interactive"}:  # as Lightning sees it
        return None
    if together and "SLURM_NTASKS" in os.environ:
        return int(os.environ["SLURM_NTASKS"])
    return _srun_tasks() or None


def in_submitit() -> bool:
    """Return whether this is a job of submitit's, which runs again in its folder when it was preempted."""
    return "SUBMITIT_EXECUTOR" in os.environ


def local_tasks() -> int:
    """Return how many tasks submitit's local executor started for this job; 0 outside of it."""
    return int(os.environ.get("SUBMITIT_LOCAL_NTASKS", "0"))


def _srun_tasks() -> int:
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "0"))
