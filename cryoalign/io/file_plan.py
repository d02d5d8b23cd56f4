"""How an output is cut into files, and which of them a process makes."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryoalign.errors import InputError, within
from cryoalign.io.half_precision import checked_precision
from cryoalign.io.output import staged
from cryoalign.io.stack_files import IMAGES_PER_FILE, refuse_missing
from cryoalign.io.unfinished import resumable, shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from omegaconf import DictConfig

    from cryoalign.io.half_precision import Precision
    from cryoalign.io.stack_files import StackFiles

#: Keys of a command that are one shard's, or the merging command's own.
_OF_ONE = ("shards", "shard", "out", "overwrite", "progress", "trust")


@dataclass(frozen=True)
class FilePlan:
    """The files of an output, and which of them a process makes.

    Attributes
    ----------
    per_file : int
        Images in a file.
    dtype : {"float32", "float16"}
        Of their pixels.
    shards : int
        In how many parts the files are cut, each a run of whole files.
    shard : int, optional
        Which of them is made, from 0; all, and the metadata, if not given.
    merging : bool
        None is made, the metadata are written: all files have to be there.
    job : mapping
        Of a shard: what ``cryoalign merge`` reads, for JSON.
    count : int, optional
        Of a shard for which only some rows of the metadata were read: how many there are.

    Raises
    ------
    InputError
        If there is no such shard, or no such type.
    """

    per_file: int = IMAGES_PER_FILE
    dtype: Precision = "float32"
    shards: int = 1
    shard: int | None = None
    merging: bool = False
    job: Mapping[str, object] = field(default_factory=dict)
    count: int | None = None

    def __post_init__(self) -> None:
        within("images_per_file", self.per_file, 1, whole=True)
        within("shards", self.shards, 1, whole=True)
        checked_precision(self.dtype)
        if self.shard is not None:
            remedy = "shards count from 0"
            within("shard", self.shard, 0, self.shards - 1, whole=True, remedy=remedy)
        elif self.shards > 1:
            raise InputError(
                f"which of the {self.shards} shards?",
                expected=f"shard=0 to shard={self.shards - 1}",
                remedy=f"give shard=0, or all of them in a multirun: -m 'shard=range({self.shards})'",
            )

    @classmethod
    def of(cls, cfg: DictConfig, command: str, *, merging: bool) -> FilePlan:
        """Return the plan that the configuration of a command says.

        Parameters
        ----------
        cfg : DictConfig
        command : str
            Its name.
        merging : bool
            Whether to write the metadata of what its shards made.
        """
        from omegaconf import OmegaConf  # noqa: PLC0415  others give no configuration

        plain = cast("dict[str, object]", OmegaConf.to_container(cfg, resolve=True))
        config = {name: value for name, value in plain.items() if name not in _OF_ONE}
        job = {"command": command, "folder": str(Path.cwd()), "config": config}
        shards, shard = (1, None) if merging else (cfg.shards, cfg.shard)
        return cls(cfg.images_per_file, cfg.dtype, shards, shard, merging=merging, job=job)

    @property
    def is_shard(self) -> bool:
        """Whether a part of the files is made, which other processes complete."""
        return self.shard is not None

    def files(self, count: int) -> range:
        """Return which of so many files are made, 0-based: shards differ by one file at the most."""
        if self.merging:
            return range(0)
        shard = self.shard or 0
        return range(count * shard // self.shards, count * (shard + 1) // self.shards)

    def images(self, count: int) -> slice:
        """Return which of so many images are made, where they are in one stack."""
        made = self.files(math.ceil(count / self.per_file))
        return slice(made.start * self.per_file, min(made.stop * self.per_file, count))

    @contextmanager
    def place(
        self,
        out: Path,
        identity: str | None,
        stacks: Sequence[StackFiles],
        *,
        overwrite: bool,
        inputs: Sequence[Path],
    ) -> Iterator[Path]:
        """Make the folder in which the files are written, or go on in it, alone or with other jobs.

        Parameters
        ----------
        out : Path
            The output.
        identity : str, optional
            All that decides it; without it nothing is continued.
        stacks : sequence of StackFiles
            All of its files.
        overwrite, inputs
            As of `cryoalign.io.output.staged`.

        Yields
        ------
        Path

        Raises
        ------
        InputError
            As of `cryoalign.io.unfinished.resumable`, and if files are missing that are to be merged.
        """
        if identity is None:
            if self.is_shard:
                raise ValueError("a shard needs parameters, by which the other shards are known")
            folders = staged(out, overwrite, inputs)
        elif self.is_shard:
            job = {**self.job, "files": [files.as_list() for files in stacks]}
            folders = shared(out, identity, job, overwrite, inputs)
        else:
            folders = resumable(out, identity, overwrite, inputs, merging=self.merging)
        with folders as folder:
            if self.merging:
                refuse_missing(folder, stacks, out)
            yield folder
