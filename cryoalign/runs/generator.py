"""The generator of a run: built as its configuration says, with the weights of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.errors import InputError
from cryoalign.models.generator import Generator
from cryoalign.runs.checkpoint import find_checkpoint, read_checkpoint
from cryoalign.runs.trust import Slot, build

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cryoalign.runs.folder import Run

#: What is built where a stack is refined.
REFINING = (Slot("generator", Generator),)
#: Where a checkpoint holds the weights that are used: the moving average where one was kept.
_PLACES = ("average.module.", "generator.")


def build_generator(cfg: DictConfig, box: int) -> Generator:
    """Make the generator that a configuration names.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    box : int
        Box size in px of the images.

    Raises
    ------
    InputError
        If it names something else, or a parameter is out of its range.
    """
    return build(cfg.generator, Generator, "generator", box=box)  # type: ignore[type-abstract]


def load_generator(run: Run, checkpoint: str) -> Generator:
    """Load the generator of a run as it is used: the average of its weights where one was kept.

    Parameters
    ----------
    run : Run
    checkpoint : str
        See `cryoalign.runs.checkpoint.find_checkpoint`.

    Raises
    ------
    InputError
        If the checkpoint is missing or of another configuration.
    """
    path = find_checkpoint(run.folder, checkpoint)
    state = read_checkpoint(path, run.cfg)["state_dict"]
    generator = build_generator(run.cfg, run.data["box"])
    place = next((place for place in _PLACES if any(name.startswith(place) for name in state)), "")
    weights = {name.removeprefix(place): value for name, value in state.items() if name.startswith(place)}
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            "this checkpoint does not fit the networks of the configuration",
            file=path,
            found=str(error).splitlines()[0],
            remedy="choose another checkpoint, or train again",
        ) from error
    return generator.eval()
