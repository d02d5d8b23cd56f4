"""``cryoalign simulate particles=X.star volume=Y.mrc out=DIR``: an image of each particle, or of new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cryoalign.cli import choose_device, command
from cryoalign.errors import within
from cryoalign.simulate.subjects import DRAWN, check_subjects, read_specimens, read_subjects

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
}


@command("simulate")
def main(cfg: DictConfig) -> None:
    """Simulate, and print the STAR file."""
    from hydra.utils import instantiate  # noqa: PLC0415  heavy imports wait until work starts
    from omegaconf import OmegaConf  # noqa: PLC0415

    from cryoalign.cli.job import given_words  # noqa: PLC0415
    from cryoalign.cli.literal import buildable  # noqa: PLC0415
    from cryoalign.simulate.stacks import LARGEST_BOX, SMALLEST_BOX  # noqa: PLC0415
    from cryoalign.simulate.stream import simulate_particles  # noqa: PLC0415

    check_subjects(cfg, given_words())
    for name, least in (("batch_size", 1), ("seed", 0)):
        within(name, cfg[name], least)
    if cfg.box is not None:
        remedy = "leave box out to take that of the raw images"
        within("the box size", cfg.box, SMALLEST_BOX, LARGEST_BOX, unit="px", remedy=remedy)
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
    star = simulate_particles(
        read_subjects(cfg, len(specimens)),
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
        batch_size=cfg.batch_size,
        device=choose_device(cfg.device),
        overwrite=cfg.overwrite,
        progress=cfg.progress,
        picture=cfg.picture,
    )
    print(star)


if __name__ == "__main__":
    main()
