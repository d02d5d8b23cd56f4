"""Searches with Optuna keep what they tried in a database: a killed one goes on with the same command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from cryoalign.cli.paths import at_home
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def search_storage(path: str) -> str:
    """Return what Optuna calls a database in a file, whose folder is made."""
    os.environ.setdefault(
        "SQLALCHEMY_SILENCE_UBER_WARNING", "1"
    )  # of its next series, which Optuna's cannot use
    file = at_home(path).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{file}"


def trials_left(wanted: int, storage: str, study: str) -> int:
    """Return how many trials a search has still to make.

    Parameters
    ----------
    wanted : int
        In all, those of earlier commands included.
    storage, study : str
        Where Optuna keeps the search, and its name there.

    Raises
    ------
    InputError
        If there is none left.
    """
    done = [trial.state.name for trial in _trials(storage, study)].count("COMPLETE")
    if done >= wanted:
        raise InputError(
            f"the search {study} has made its trials",
            file=Path(storage.removeprefix("sqlite:///")),
            expected=f"fewer than {wanted} trials that came to an end",
            found=done,
            remedy="give a higher search.trials=N, or another search.name=NAME for a new search",
        )
    return wanted - done


def sampler_seed(seed: int, storage: str, study: str) -> int:
    """Return another seed each time that a search goes on: with the first it would repeat its trials."""
    return seed + len(_trials(storage, study))


def _trials(storage: str, study: str) -> list[FrozenTrial]:
    """Return what was tried; nothing where the search is new."""
    import optuna  # noqa: PLC0415  an extra

    known = {one.study_name for one in optuna.get_all_study_summaries(storage)}
    return list(optuna.load_study(study, storage).trials) if study in known else []


def register_resolvers() -> None:
    """Let the files of ``conf/hparams_search/`` use what stands here."""
    for resolver in (search_storage, trials_left, sampler_seed):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
