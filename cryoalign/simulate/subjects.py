"""What is simulated: measured particles, one image of each, or new ones like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omegaconf import DictConfig

    from cryoalign.particles import Particles
    from cryoalign.population.population import Population

#: What new particles are drawn from: groups of the configuration.
DRAWN = ("poses", "conditions", "shifts")


def check_subjects(cfg: DictConfig, given: Iterable[str]) -> None:
    """Refuse particles of no kind or of both, and what belongs to the other kind.

    Parameters
    ----------
    cfg : DictConfig
    given : iterable of str
        Words of the command line.

    Raises
    ------
    InputError
        Which says what to leave out, or to give.
    """
    if cfg.particles is None and cfg.like is None:
        raise InputError(
            "there are no particles to simulate",
            expected="particles=, an image of each of them, or like=, new particles like them",
            remedy="give particles=run_data.star, or like=run_data.star count=5000",
        )
    if cfg.particles is not None and cfg.like is not None:
        raise InputError(
            "particles and like exclude each other",
            expected="particles=, an image of each of them, or like=, new particles like them",
            found="both",
            remedy="leave one of them out",
        )
    if cfg.like is not None:
        if cfg.count is None:
            raise InputError("how many new particles?", remedy="give count=, e.g. count=5000")
        return
    named = [word.lstrip("+~").partition("=")[0] for word in given]
    foreign = [name for name in named if name == "count" or name.split(".")[0] in DRAWN]
    if foreign:
        raise InputError(
            f"{foreign[0]} belongs to like=, new particles",
            found="particles=, whose poses, shifts and conditions are measured",
            remedy=f"leave {foreign[0]} out, or give like= instead of particles=",
        )


def read_subjects(cfg: DictConfig) -> Particles | Population:
    """Return what `cfg` asks to simulate.

    Raises
    ------
    InputError
        If a file cannot be used, or no new particles can be drawn.
    """
    from hydra.utils import instantiate  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.cli.literal import buildable  # noqa: PLC0415
    from cryoalign.io.metadata import read_particles  # noqa: PLC0415
    from cryoalign.population.population import Population  # noqa: PLC0415

    file = cfg.like if cfg.particles is None else cfg.particles
    drawn = (
        {}
        if cfg.like is None
        else {name: instantiate(buildable(cfg[name]), _convert_="all") for name in DRAWN}
    )
    particles = read_particles(file, cfg.passthrough, cfg.missing_ctf, cfg.pixel_size)
    return Population(particles, cfg.count, seed=cfg.seed, **drawn) if drawn else particles
