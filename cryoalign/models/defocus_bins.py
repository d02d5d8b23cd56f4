"""Sums over pairs by defocus, and what is fitted on them: bins of defocus, and tables between their knots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

#: Most knots in defocus.
MOST_KNOTS = 8
#: Images below which a defocus bin is not worth having.
SMALLEST_BIN = 40
#: Width in A of the cells of defocus in which sums are kept; cells are gathered into bins when all were seen.
CELL = 250.0
#: Parts of the groups that are predicted from the others.
FOLDS = 8


class DefocusSums:
    """Rows of numbers added up by cell of defocus and by fold of groups.

    Memory depends on the spread of the defoci and on the length of a row, not on how many images there are.
    """

    def __init__(self) -> None:
        self._cells: dict[int, Tensor] = {}  # (FOLDS, V) each

    def add(self, rows: Tensor, defocus: Tensor, group: Tensor) -> None:
        """Add the rows of a batch.

        Parameters
        ----------
        rows : (B, V) float64 tensor
        defocus : (B,) tensor
            In A.
        group : (B,) int64 tensor
            Number of the micrograph, or of what else stays together when a part is held out; from 0 on.
        """
        cells, fold = torch.floor(defocus / CELL).long(), group % FOLDS
        for cell in torch.unique(cells).tolist():
            inside = cells == cell
            table = self._cells.setdefault(cell, rows.new_zeros(FOLDS, rows.shape[1]))
            table.index_add_(0, fold[inside], rows[inside])

    def table(self) -> Tensor:
        """Return the sums of the cells by ascending defocus.

        Returns
        -------
        (C, FOLDS, V) tensor
            On the CPU.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        if not self._cells:
            raise ValueError("there are no pairs to fit")
        return torch.stack([self._cells[cell] for cell in sorted(self._cells)]).cpu()


def between_knots(at: Tensor, tables: Iterable[Tensor], defocus: Tensor) -> list[Tensor]:
    """Interpolate tables linearly between knots in defocus; beyond the outer knots they stay what they are.

    Parameters
    ----------
    at : (K,) tensor
        Ascending, in A; those at infinity are not used.
    tables : iterable of (K, V) tensor
    defocus : (B,) tensor
        In A.

    Returns
    -------
    list of (B, V) tensor
    """
    last = len(at) - 1
    above = torch.searchsorted(at, defocus.to(at).contiguous(), right=True)
    low, high = (above - 1).clamp(min=0), above.clamp(max=last)
    span = at[high] - at[low]
    part = torch.where(span > 0, (defocus - at[low]) / torch.where(span > 0, span, 1), 0)
    return [torch.lerp(table[low], table[high], part.to(table)[:, None]) for table in tables]


def gather(sums: Tensor, labels: Tensor) -> Tensor:
    """Add up the (C, V) sums of the cells of each bin, (K, V)."""
    return sums.new_zeros(int(labels.max()) + 1, sums.shape[1]).index_add_(0, labels, sums)


def bins_of(counts: Tensor, wanted: int) -> Tensor | None:
    """Gather cells of defocus into bins of about as many images each.

    Parameters
    ----------
    counts : (C,) tensor
        Images in each cell, by ascending defocus.
    wanted : int
        Number of bins.

    Returns
    -------
    (C,) int64 tensor or None
        Bin of each cell; None where they would be too small or one.
    """
    place = (counts.cumsum(0) - counts / 2) / counts.sum()
    labels = torch.unique((place * wanted).long(), return_inverse=True)[1]
    sizes = torch.bincount(labels, counts)
    return labels if len(sizes) > 1 and bool(sizes.min() >= SMALLEST_BIN) else None
