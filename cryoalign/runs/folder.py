"""A run and its folder: built from a configuration, described on disk, and loaded again from what it says of
itself.

RUN/config.yaml       the whole configuration, resolved
RUN/provenance.json   versions, commit, command, seeds, fingerprint of the data
RUN/data.json         box, pixel size, sizes of the split, what was left out, the normalization, how sims look
RUN/split.csv         which image is in which part
RUN/checkpoints/      last.ckpt, best.ckpt, step_NNNNNN.ckpt
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.literal import literal
from cryoalign.cli.paths import at_home, existing_run
from cryoalign.data.background_share import background_share, bright_share
from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.metadata import passthrough_files
from cryoalign.io.output import atomic_write
from cryoalign.reading import reading
from cryoalign.runs.configuration import check_kinds, read_configuration
from cryoalign.runs.description import check_images, read_split, read_table
from cryoalign.runs.provenance import provenance
from cryoalign.runs.trust import check_targets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.particles import Particles
    from cryoalign.runs.trust import Slot

_DATA_PATHS = ("sim", "raw", "root", "folder", "split.file")


@dataclass(frozen=True)
class Run:
    """A run folder that has been read.

    Attributes
    ----------
    folder : Path
    cfg : DictConfig
        As the run stored it.
    data : dict
        Content of ``data.json``.
    """

    folder: Path
    cfg: DictConfig
    data: dict[str, Any]

    @property
    def normalization(self) -> Normalization:
        """The run's grey-value maps."""
        return Normalization.from_state(self.data["normalization"])


def absolute_paths(cfg: DictConfig) -> None:
    """Make the data's paths absolute, in place, so that the run can be used from any folder."""
    for key in _DATA_PATHS:
        value = OmegaConf.select(cfg.data, key)
        if value is not None:
            OmegaConf.update(cfg.data, key, literal(str(at_home(value).absolute())))
    others = passthrough_files(cfg.data.get("passthrough"))
    if others:
        cfg.data.passthrough = literal([str(at_home(path).absolute()) for path in others])


def describe(folder: Path, cfg: DictConfig, data: PairedDataModule, origin: Mapping[str, Any]) -> None:
    """Write what the run folder says of itself.

    Parameters
    ----------
    folder : Path
        The run folder; made where needed.
    cfg : DictConfig
    data : PairedDataModule
        Set up.
    origin : mapping
        What was given on the command line, for ``provenance.json``.
    """
    facts = provenance() | {
        **origin,
        "seed": cfg.seed,
        "split_seed": cfg.data.split_seed,
        "data": fingerprint(data.files()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "config.yaml") as path:
        OmegaConf.save(cfg, path, resolve=True)
    _write_json(folder / "provenance.json", facts)
    normalization = cast("Normalization", data.normalization)
    _write_json(
        folder / "data.json",
        {
            "box": data.box,
            "pixel_size": data.pixel_size,
            "pairs": {part: len(rows) for part, rows in data.rows.items()},
            "left_out": data.left_out,
            "background_share": {
                kind: background_share(images, data.rows["train"])
                for kind, images in (("sim", data.sim_images), ("raw", data.raw_images))
            },
            "bright_share": bright_share(data.sim_images, data.rows["train"]),
            "premultiplied": float(data.particles("train")[0].optics_column("premultiplied").mean()),
            "sign": {kind: _signs(table) for kind, table in (("sim", data.sim), ("raw", data.raw))},
            "normalization": normalization.state(),
        },
    )
    with atomic_write(folder / "split.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rlnImageName", "part"])
        writer.writerows(_split_rows(data))


def _signs(particles: Particles) -> dict[str, int]:
    """Count the images by what they are multiplied by on reading."""
    return {f"{sign:g}": int((particles.sign == sign).sum()) for sign in (1, -1)}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as place:
        place.write_text(json.dumps(content, indent=2) + "\n")


def read_run(folder: str | Path, builds: Sequence[Slot] = (), trust: Collection[str] = ()) -> Run:
    """Read a run folder, and check what its configuration names before anything is built of it.

    Parameters
    ----------
    folder : str or Path
    builds : sequence of Slot
        What the caller is going to build.
    trust : collection of str
        See `cryoalign.runs.trust.check_targets`.

    Raises
    ------
    InputError
        If there is no such folder, it holds no run, or one that names what is neither known nor trusted.
    """
    folder = existing_run(at_home(folder).absolute())
    with reading(folder / "config.yaml"):
        cfg = read_configuration(folder / "config.yaml")
        check_targets(cfg, builds, trust, folder / "config.yaml")
    with reading(folder / "data.json"):
        data = read_table(folder / "data.json")
    if builds:
        check_kinds(cfg, {slot.part for slot in builds}, folder / "config.yaml")
        check_images(data, folder / "data.json")
    return Run(folder, cfg, data)


def check_same_data(run: Run, data: PairedDataModule) -> None:
    """Refuse data that are no longer those that the run was trained on.

    Raises
    ------
    InputError
        If the box differs, or an image is in another part of the split.
    """
    known = read_split(run.folder / "split.csv")
    found = list(_split_rows(data))
    if found != known or data.box != run.data["box"]:
        sizes = {part: len(rows) for part, rows in data.rows.items()}
        raise InputError(
            "the data are no longer those of the run, or no longer split as they were",
            file=run.folder / "split.csv",
            expected=f"{run.data.get('pairs')}, box {run.data['box']}",
            found=f"{sizes}, box {data.box}",
            remedy="put the data back, or start a new run",
        )


def _split_rows(data: PairedDataModule) -> Iterator[tuple[str, str]]:
    for part in data.rows:
        yield from ((name, part) for name in data.particles(part)[1].image_name.tolist())
