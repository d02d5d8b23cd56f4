"""A table of new particles that is never held: rows are drawn when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import within
from cryoalign.io.coordinates import COORDINATES
from cryoalign.io.cryosparc.table import UID, from_cryosparc
from cryoalign.io.relion.read import MICROGRAPH
from cryoalign.io.simulated import (
    CLASS,
    CS_MICROGRAPH,
    CS_PARTICLE,
    CS_SEED,
    MAP,
    MEASURED_MICROGRAPH,
    MEASURED_PARTICLE,
    PARTICLE_NAME,
    SEED,
    cryosparc_classes,
    map_names,
)
from cryoalign.population.blocks import SIZE, Block, of_rows
from cryoalign.population.classes import EMPTY, Classes
from cryoalign.population.conditions import Like as LikeConditions
from cryoalign.population.conditions import measured_rows
from cryoalign.population.identity import (
    micrograph_names,
    micrograph_uids,
    particle_names,
    population_fingerprint,
    uids,
)
from cryoalign.population.measured import lending
from cryoalign.population.poses import Uniform
from cryoalign.population.shifts import Like as LikeShifts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from cryoalign.particles import Optics, Particles
    from cryoalign.population.conditions import Conditions
    from cryoalign.population.poses import Poses
    from cryoalign.population.shifts import Shifts

_MOST = 10**9  # particles: a thousand times what a cluster makes
#: The file that rows of new particles are in: what a message names.
WRITTEN = Path("sim.star")


@dataclass(frozen=True)
class Population:
    """New particles like measured ones.

    Row i depends on the seed and on i, so that more of them begin with the fewer. Memory does not grow with
    their number, but for the 8 bytes of each in `optics_index` and, of several classes, in `class_numbers`.

    Parameters
    ----------
    like : Particles
        The measured ones, each once.
    count : int
        How many to draw.
    seed : int
        Of all that is drawn.
    poses, conditions : Poses, Conditions
        What they are drawn from.
    shifts : Shifts, optional
        Likewise; None: all particles are centred.
    classes : Classes
        Which of several maps each is an image of, and which show none.
    identity : str
        Of `cryoalign.population.identity.population_fingerprint`: it makes the uids and the names of the
        micrographs.
    maps : tuple of str
        Names of the maps or models that they are images of, as many as `classes` has shares.

    Raises
    ------
    InputError
        If there are none to draw, an image stands in several rows of `like`, the poses are too few, or the
        conditions cannot be had of these particles.

    Examples
    --------
    >>> from cryoalign.particles import Optics, Particles
    >>> like = Particles.make(Path("run_data.star"), [Optics(1, "krios", 1.2, 300.0, 2.7, 0.1)], 8)
    >>> few, many = Population(like, 3, seed=1), Population(like, 3000, seed=1)
    >>> bool((few.take([0, 1, 2]).angles == many.take([0, 1, 2]).angles).all())
    True
    """

    like: Particles
    count: int
    seed: int = 0
    poses: Poses = field(default_factory=Uniform)
    conditions: Conditions = field(default_factory=LikeConditions)
    shifts: Shifts | None = field(default_factory=LikeShifts)
    classes: Classes = field(default_factory=Classes)
    identity: str = ""
    maps: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        within("count", self.count, 1, _MOST, whole=True, remedy="give the number of particles to be made")
        object.__setattr__(self, "like", lending(self.like))
        self.poses.check(self.count)
        self.conditions.check(self.like)

    def __len__(self) -> int:
        return self.count

    @property
    def source(self) -> Path:
        """The file of the measured particles."""
        return self.like.source

    @property
    def row(self) -> NDArray[np.int64]:
        """(N,) 1-based rows in the file that is written of them."""
        return np.arange(1, self.count + 1)

    @property
    def optics(self) -> tuple[Optics, ...]:
        """The optics groups of the measured particles, also those that no new one happens to have."""
        return self.like.optics

    @cached_property
    def optics_index(self) -> NDArray[np.int64]:
        """(N,) index into `optics`."""
        parts = [
            self.like.optics_index[measured_rows(Block(self.seed, number), self.like)]
            for number in range(-(-self.count // SIZE))
        ]
        index: NDArray[np.int64] = np.concatenate(parts)[: self.count]
        return index

    @cached_property
    def class_numbers(self) -> NDArray[np.int64]:
        """(N,) number of each one's map from 1, 0 where there is no particle."""
        blocks = [Block(self.seed, number) for number in range(-(-self.count // SIZE))]
        numbers: NDArray[np.int64] = np.concatenate([self.classes.draw(block) for block in blocks])
        return numbers[: self.count]

    def made_of(
        self, maps: Sequence[str], options: Mapping[str, object], contents: Mapping[str, str]
    ) -> Population:
        """Return them as images of maps, with an identity that no other data set has.

        Parameters
        ----------
        maps : sequence of str
            Names of the maps or models.
        options : mapping
            What else decides the images; ``count`` in it does not.
        contents : mapping
            Name of each file that is read to a hash of what is in it.
        """
        decides = {name: value for name, value in options.items() if name != "count"}
        drawn = {"seed": self.seed, "poses": self.poses, "conditions": self.conditions, "shifts": self.shifts}
        if self.classes.several:
            drawn["classes"] = self.classes
        boxes = [group.box_size for group in self.optics]
        decides = {"options": decides, "boxes": boxes, **{name: repr(part) for name, part in drawn.items()}}
        return replace(self, identity=population_fingerprint(decides, contents), maps=tuple(maps))

    def take(self, rows: NDArray[np.int64] | list[int]) -> Particles:
        """Draw some of them.

        Parameters
        ----------
        rows : (n,) int64
            0-based.

        Returns
        -------
        Particles
        """
        index = np.asarray(rows, dtype=np.int64)
        return self.particles_of(index, self.drawn(index), uids(self.identity, self.seed, index))

    def drawn(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Return the columns that rows have of their own, and as ``like`` the rows that lend the others."""
        return of_rows(self.seed, rows, self._block)

    def parts(self) -> Iterator[tuple[NDArray[np.int64], Particles]]:
        """Yield all of them, some thousand at a time, with their 0-based rows."""
        for start in range(0, self.count, SIZE):
            rows = np.arange(start, min(start + SIZE, self.count))
            yield rows, self.take(rows)

    def views(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]]:
        """Yield rot, tilt, psi and defocus of all, and who shows a particle, without the other columns."""
        for start in range(0, self.count, SIZE):
            block = Block(self.seed, start // SIZE)
            here = slice(self.count - start)
            angles, defocus = (
                self.poses.draw(block, self.like),
                self.conditions.draw(block, self.like).defocus,
            )
            yield angles[here], defocus[here], self.classes.draw(block)[here] != EMPTY

    def _block(self, block: Block) -> dict[str, NDArray[Any]]:
        """Draw the numbers of a block."""
        drawn = self.conditions.draw(block, self.like)
        return {
            "like": measured_rows(block, self.like),
            "angles": self.poses.draw(block, self.like),
            "shift": np.zeros((SIZE, 2)) if self.shifts is None else self.shifts.draw(block, self.like),
            "defocus": drawn.defocus,
            "phase_shift": drawn.phase_shift,
            "half": self.classes.halves(block),
            "class": self.classes.draw(block),
        }

    def particles_of(
        self, index: NDArray[np.int64], columns: dict[str, NDArray[Any]], numbers: NDArray[np.uint64]
    ) -> Particles:
        """Return particles of these 0-based rows, columns and uids."""
        own: dict[str, Any] = dict(columns)
        like, classes = self.like.take(own.pop("like")), own.pop("class")
        micrograph = np.full(len(index), "")
        if (self.like.micrograph != "").any():
            micrograph = np.array(micrograph_names(self.identity, like.micrograph.tolist()), dtype=np.str_)
        return replace(
            like,
            source=WRITTEN,
            row=index + 1,
            micrograph=micrograph,
            sign=np.ones(len(index)),
            table=self._table(numbers, like, micrograph, classes),
            **own,
        )

    def _table(
        self,
        numbers: NDArray[np.uint64],
        like: Particles,
        micrograph: NDArray[np.str_],
        classes: NDArray[np.int64],
    ) -> pd.DataFrame:
        """Return the columns that the vocabulary does not know: identity, origin, and what was lent."""
        named = {MEASURED_MICROGRAPH: like.micrograph} if (micrograph != "").any() else {}
        columns: dict[str, Any] = {
            PARTICLE_NAME: particle_names(numbers), MEASURED_PARTICLE: like.image_name, **named,
            MAP: map_names(classes, self.maps), SEED: self.seed,
        }  # fmt: skip
        if self.classes.several:
            columns[CLASS] = classes
        if from_cryosparc(self.like):
            columns |= {UID: numbers, **self._of_cryosparc(like, micrograph)}
            if self.classes.several:
                columns |= cryosparc_classes(classes, self.maps)
        return like.table.drop(columns=list(COORDINATES), errors="ignore").assign(**columns)

    def _of_cryosparc(self, like: Particles, micrograph: NDArray[np.str_]) -> dict[str, Any]:
        columns: dict[str, Any] = {CS_PARTICLE: like.image_name, CS_SEED: np.full(len(like), self.seed)}
        if (micrograph != "").any():
            columns |= {
                MICROGRAPH: micrograph,
                "location/micrograph_path": micrograph,
                "location/micrograph_uid": micrograph_uids(micrograph.tolist()),
                CS_MICROGRAPH: like.micrograph,
            }
        return columns
