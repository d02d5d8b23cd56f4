"""The embedded data set as the data of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.embedded.cache import find_or_make

if TYPE_CHECKING:
    from collections.abc import Mapping


class EmbeddedDataModule(PairedDataModule):
    """Pairs that need no download: made on first use, kept in a cache, read like any others.

    Parameters
    ----------
    folder : str or Path
        The cache.
    embedded : mapping
        Parameters of `cryoalign.embedded.recipe.Recipe`.
    **options
        Of `PairedDataModule`.

    Attributes
    ----------
    truth_star : Path
        Metadata of the same images without noise, once `prepare_data` was called.
    """

    def __init__(self, folder: str | Path, embedded: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(sim="", raw="", **options)
        self.folder, self.embedded = Path(folder), dict(embedded or {})

    def prepare_data(self) -> None:
        """Make the data set, or find it in the cache."""
        made = find_or_make(self.folder, progress=True, **self.embedded)
        self.sim_star, self.raw_star, self.truth_star = made.sim, made.raw, made.truth
