"""The embedded data set as the data of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.embedded.cache import find_or_make
from cryoalign.embedded.recipes import recipe_of
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


class EmbeddedDataModule(PairedDataModule):
    """Pairs that need no download: made on first use, kept in a cache, read like any others.

    Parameters
    ----------
    folder : str or Path
        The cache.
    embedded : mapping
        Arguments of `cryoalign.embedded.recipes.recipe_of`.
    sim_neighbours : bool
        Take the simulated images that show the neighbours of each particle.
    **options
        Of `PairedDataModule`.

    Raises
    ------
    InputError
        If the recipe knows of no neighbours.

    Attributes
    ----------
    truth_star : Path
        Metadata of the same images without noise, once `prepare_data` was called.
    """

    def __init__(
        self,
        folder: str | Path,
        embedded: Mapping[str, Any] | None = None,
        *,
        sim_neighbours: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(sim="", raw="", **options)
        self.folder, self.embedded = Path(folder), dict(embedded or {})
        self.sim_neighbours = sim_neighbours
        if sim_neighbours and not recipe_of(self.embedded).places_known:
            raise InputError(
                "the neighbours of these particles are not known",
                expected="a recipe that gives them coordinates",
                found="data.sim_neighbours=true with data.embedded.recipe=boxes",
                remedy="take data.embedded.recipe=micrographs",
            )

    def prepare_data(self) -> None:
        """Make the data set, or find it in the cache."""
        made = find_or_make(self.folder, progress=True, **self.embedded)
        self.sim_star = made.sim_with_neighbours if self.sim_neighbours else made.sim
        self.raw_star, self.truth_star = made.raw, made.truth
