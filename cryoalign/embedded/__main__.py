"""``cryoalign embedded out=DIR``: the embedded data set as files to practise with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from cryoalign.cli import command
from cryoalign.errors import within

if TYPE_CHECKING:
    from omegaconf import DictConfig

#: The keys that decide nothing of what is in the files.
_HOW = ("out", "batch_size", "overwrite", "progress")


@command("embedded")
def main(cfg: DictConfig) -> None:
    """Write the embedded data set, and print its files."""
    from omegaconf import OmegaConf  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.embedded.projects import write_projects  # noqa: PLC0415
    from cryoalign.embedded.recipes import recipe_of  # noqa: PLC0415

    within("batch_size", cfg.batch_size, 1, remedy="leave batch_size= out")
    plain = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    recipe = recipe_of({name: value for name, value in plain.items() if name not in _HOW})
    made = write_projects(
        cfg.out, recipe, batch_size=cfg.batch_size, overwrite=cfg.overwrite, progress=cfg.progress
    )
    for label, path in (
        ("map", made.volume),
        ("RELION", made.star),
        ("CryoSPARC", made.cs),
        ("passthrough", made.passthrough),
        ("truth", made.truth),
    ):
        print(f"{label:<11}  {path}")


if __name__ == "__main__":
    main()
