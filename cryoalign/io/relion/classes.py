"""The table ``data_model_classes`` of RELION: which map each class is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.io.simulated import CLASS, MAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TABLE = "model_classes"


def model_classes(numbers: NDArray[np.int64], maps: Sequence[str]) -> pd.DataFrame:
    """Return the table, in the order of the maps: RELION takes a file with it as ``--ref``.

    Parameters
    ----------
    numbers : (N,) int64
        Of each particle's map, from 1; 0 where there is no particle.
    maps : sequence of str
        Their names.

    Returns
    -------
    pandas.DataFrame
        With ``rlnReferenceImage``, ``rlnClassNumber`` and, as ``rlnClassDistribution``, each one's share of
        all particles.
    """
    counts = np.bincount(numbers, minlength=len(maps) + 1)[1:]
    return pd.DataFrame(
        {
            MAP: np.array(maps, dtype=np.str_),
            CLASS: np.arange(1, len(maps) + 1),
            "rlnClassDistribution": counts / len(numbers),
        }
    )


def classes_of(table: pd.DataFrame) -> pd.DataFrame | None:
    """Return that table of particles whose rows name their maps; None of all others.

    Parameters
    ----------
    table : pandas.DataFrame
        Of the particles.
    """
    if CLASS not in table or MAP not in table or table[CLASS].dtype.kind not in "iuf":
        return None
    numbers = table[CLASS].to_numpy(dtype=np.int64)
    known = table.loc[numbers > 0, [CLASS, MAP]].drop_duplicates().sort_values(CLASS)
    if known[CLASS].tolist() != list(range(1, len(known) + 1)):
        return None  # a map without a particle, or two of one number
    return model_classes(numbers, known[MAP].tolist())
