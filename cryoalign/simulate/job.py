"""A simulation as the command line asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.utils import instantiate
from omegaconf import OmegaConf

from cryoalign.cli import choose_device
from cryoalign.cli.literal import buildable
from cryoalign.errors import within
from cryoalign.io.file_plan import FilePlan
from cryoalign.simulate.stacks import LARGEST_BOX, SMALLEST_BOX
from cryoalign.simulate.stream import simulate_particles
from cryoalign.simulate.subjects import DRAWN, read_portion, read_specimens

if TYPE_CHECKING:
    from omegaconf import DictConfig

#: The groups of the configuration, each a part of the experiment.
PARTS = ("scattering", "solvent", "detector", "envelope")

#: Stated in sim.star where they are something else.
_SELDOM = {
    "missing_ctf": "refuse",
    "pixel_size": None,
    "shares": None,
    "empty": 0,
    "neighbours": False,
    "micrograph_pixel_size": None,
    "dtype": "float32",
}


def simulate(cfg: DictConfig, *, merging: bool = False) -> Path | None:
    """Simulate what a configuration asks for.

    Parameters
    ----------
    cfg : DictConfig
        Of the command.
    merging : bool
        Write the metadata of what its shards made.

    Returns
    -------
    Path or None
        The metadata file; None of a shard.
    """
    for name, least in (("batch_size", 1), ("seed", 0)):
        within(name, cfg[name], least)
    if cfg.box is not None:
        remedy = "leave box out to take that of the raw images"
        within("the box size", cfg.box, SMALLEST_BOX, LARGEST_BOX, unit="px", remedy=remedy)
    plan = FilePlan.of(cfg, "simulate", merging=merging)
    specimens = read_specimens(cfg)
    parts = {name: instantiate(buildable(cfg[name]), _convert_="all") for name in PARTS}
    plain = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    if plain["specimen"].get("model", 1) is None:
        del plain["specimen"]["model"]  # all of the file
    if len(specimens) > 1:  # those of a folder, which may change
        plain["specimen"]["file"] = [str(file) for file in dict.fromkeys(one.file for one in specimens)]
    named = ["specimen", *PARTS, "seed", "passthrough", "ignore_aberrations"]
    named += [] if cfg.like is None else ["like", "count", *DRAWN]
    named += [name for name, usual in _SELDOM.items() if plain[name] != usual]
    particles, plan = read_portion(cfg, plan, len(specimens))
    star = simulate_particles(
        particles,
        specimens,
        out=Path(cfg.out),
        **parts,
        seed=cfg.seed,
        parameters={name: plain[name] for name in named},
        box=cfg.box,
        root=None if cfg.root is None else Path(cfg.root),
        ignore_aberrations=cfg.ignore_aberrations,
        names=cfg.names,
        neighbours=cfg.neighbours,
        micrograph_pixel_size=cfg.micrograph_pixel_size,
        plan=plan,
        batch_size=cfg.batch_size,
        device=choose_device(cfg.device),
        overwrite=cfg.overwrite,
        progress=cfg.progress,
        picture=cfg.picture,
    )
    return star if not plan.is_shard else None
