"""What lies around new particles: others, at places that measured ones have, in poses of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.population.blocks import of_rows
from cryoalign.population.conditions import Drawn
from cryoalign.population.identity import neighbour_uids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.population.blocks import Block
    from cryoalign.population.places import Places
    from cryoalign.population.population import Population


@dataclass(frozen=True)
class Crowd:
    """Draw the neighbours of new particles.

    A new particle has its conditions from a measured one; around it others lie where they lie around that
    one, so that they are as dense and as far from each other as measured ones are. Each has the CTF of the
    measured particle whose place it takes, and a pose and a map of its own, which depend on (seed, row of the
    new particle, number of the neighbour).

    Attributes
    ----------
    population : Population
    places : Places
        Of the measured particles ``population.like``.
    """

    population: Population
    places: Places

    def around(
        self, rows: NDArray[np.int64], reach: float | NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Particles]:
        """Draw those of some rows.

        Parameters
        ----------
        rows : (B,) int64
            0-based, of the population.
        reach : float or (B,) float64
            How far from the centre of the box, along x and y, in px.

        Returns
        -------
        here : (P,) int64
            Place in `rows` of the image that each one lies in, ascending.
        numbers : (P,) int64
            Of each one's map, from 1.
        particles : Particles
            P of them. Their `shift` is minus their place in that image, from its centre and in A; their
            `row` is that of the image.
        """
        population = self.population
        middle = population.drawn(rows)
        boxes = self.places.centres[middle["like"]] + middle["shift"]
        near = self.places.near(middle["like"], boxes, reach)
        here, index = near.here, rows[near.here]
        count = 1 + np.arange(len(here)) - np.searchsorted(here, here)  # from 1 in each image
        drawn = of_rows(population.seed, index, self._block, count)
        conditions = population.conditions.nearby(
            Drawn(middle["defocus"][here], middle["phase_shift"][here]), population.like, near.others
        )
        pixel = self.places.particles.optics_column("pixel_size")[middle["like"]][here]
        columns = {
            "like": near.others,
            "angles": drawn["angles"],
            "shift": -near.offset * pixel[:, None],
            "defocus": conditions.defocus,
            "phase_shift": conditions.phase_shift,
            "half": np.zeros(len(here), dtype=np.int64),
            "class": drawn["class"],
        }
        uids = neighbour_uids(population.identity, population.seed, index, count)
        return here, drawn["class"], population.particles_of(index, columns, uids)

    def _block(self, block: Block) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """Draw the poses and maps of the same neighbour of a block's rows."""
        classes = replace(self.population.classes, empty=0.0)
        return {
            "angles": self.population.poses.draw(block, self.population.like),
            "class": classes.draw(block),
        }
