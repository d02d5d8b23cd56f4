"""What Hydra says of the job that it runs, as it stands: a path may hold ``${x}``."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


def given_words() -> list[str]:
    """Return the overrides of the command line as they were given."""
    words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return [str(word) for word in words] if isinstance(words, list) else []


def job_folder() -> Path:
    """Return the folder that Hydra made for the job, absolute."""
    runtime = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
    return Path(cast("dict[str, str]", runtime)["output_dir"]).absolute()


def job_identity() -> str:
    """Return what a launcher calls the job."""
    return str(HydraConfig.get().job.id)
