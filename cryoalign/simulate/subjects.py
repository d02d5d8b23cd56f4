"""What is simulated: measured particles, one image of each, or new ones like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omegaconf import DictConfig

    from cryoalign.io.file_plan import FilePlan
    from cryoalign.particles import Particles
    from cryoalign.population.classes import Classes
    from cryoalign.population.population import Population
    from cryoalign.simulate.specimen import Specimen

#: What new particles are drawn from: groups of the configuration.
DRAWN = ("poses", "conditions", "shifts")
#: Which of several maps they show, or none: keys of the configuration.
LABELS = ("shares", "empty")


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
    if cfg.micrograph_pixel_size is not None and not cfg.neighbours:
        raise InputError(
            "micrograph_pixel_size belongs to neighbours=true",
            found="no neighbours, whose places it tells",
            remedy="leave micrograph_pixel_size out, or give neighbours=true",
        )
    if cfg.like is not None:
        if cfg.count is None:
            raise InputError("how many new particles?", remedy="give count=, e.g. count=5000")
        return
    named = [word.lstrip("+~").partition("=")[0] for word in given]
    foreign = [name for name in named if name == "count" or name.split(".")[0] in (*DRAWN, *LABELS)]
    if foreign:
        raise InputError(
            f"{foreign[0]} belongs to like=, new particles",
            found="particles=, whose poses, shifts, conditions and classes are measured",
            remedy=f"leave {foreign[0]} out, or give like= instead of particles=",
        )


def read_specimens(cfg: DictConfig) -> list[Specimen]:
    """Return what is simulated of: one map or model, or several.

    Raises
    ------
    InputError
        If there are no files, or they cannot be used.
    """
    from hydra.utils import instantiate  # noqa: PLC0415  heavy imports wait until work starts
    from omegaconf import OmegaConf  # noqa: PLC0415

    from cryoalign.cli.literal import buildable, literal  # noqa: PLC0415
    from cryoalign.io.map_files import map_files  # noqa: PLC0415
    from cryoalign.io.structure import SUFFIXES, model_count  # noqa: PLC0415

    if "file" not in cfg.specimen:  # one of somebody's own
        return [instantiate(buildable(cfg.specimen), _convert_="all")]
    atoms = "model" in cfg.specimen
    specimens: list[Specimen] = []
    for file in map_files(cfg.specimen.file, SUFFIXES) if atoms else map_files(cfg.specimen.file):
        count = model_count(file) if atoms and cfg.specimen.model is None else 1
        for model in range(1, count + 1):
            part = cast("DictConfig", OmegaConf.create(OmegaConf.to_container(cfg.specimen, resolve=True)))
            part["file"] = literal(str(file))
            if count > 1:
                part["model"] = model
            specimens.append(instantiate(buildable(part), _convert_="all"))
    return specimens


def read_subjects(cfg: DictConfig, maps: int = 1) -> Particles | Population:
    """Return what `cfg` asks to simulate, of so many maps.

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
    classes = _classes(cfg, maps) if drawn else None
    particles = read_particles(file, cfg.passthrough, cfg.missing_ctf, cfg.pixel_size)
    if classes is None:
        return particles
    return Population(particles, cfg.count, seed=cfg.seed, classes=classes, **drawn)


def read_portion(cfg: DictConfig, plan: FilePlan, maps: int) -> tuple[Particles | Population, FilePlan]:
    """Return what is simulated in a plan, and the plan: of a shard only its rows, where they suffice.

    They do not where an image depends on other particles than its own, or the files on all of them: with
    neighbours, several maps, box sizes or pixel sizes, and of CryoSPARC's files.
    """
    from cryoalign.io.metadata import read_rows  # noqa: PLC0415  heavy imports wait until work starts

    alone = cfg.particles is not None and maps == 1 and not cfg.neighbours and not cfg.passthrough
    if plan.is_shard and alone:
        path, own = Path(cfg.particles), (lambda every: plan.images(len(every)))
        found = read_rows(path, own, cfg.missing_ctf, cfg.pixel_size)
        if found is not None:
            sizes = {(group.pixel_size, cfg.box or group.box_size) for group in found.particles.optics}
            if len(sizes) == 1 and None not in next(iter(sizes)):
                return found.particles, replace(plan, count=len(found.empty))
    return read_subjects(cfg, maps), plan


def _classes(cfg: DictConfig, maps: int) -> Classes:
    """Return the shares of maps and of images without a particle."""
    from omegaconf import ListConfig  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.population.classes import Classes  # noqa: PLC0415

    if cfg.shares is None:
        return Classes.equal(maps, cfg.empty)
    if not isinstance(cfg.shares, ListConfig):
        raise InputError(
            "shares cannot be used",
            expected="a list, e.g. shares=[0.7,0.3]",
            found=cfg.shares,
            remedy="give one share for each map, or leave shares out for equal ones",
        )
    if len(cfg.shares) != maps:
        raise InputError(
            "there are not as many shares as maps",
            expected=f"{maps} share{'' if maps == 1 else 's'}, in the order of the maps",
            found=f"{len(cfg.shares)}: {list(cfg.shares)}",
            remedy="leave shares out for equal ones",
        )
    return Classes(tuple(cfg.shares), cfg.empty)
