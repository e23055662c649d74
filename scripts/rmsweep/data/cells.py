"""People and items of data that there are: which rows each person has of each item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
FACTOR = "Item"
"""The items' factor in the data."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The rows of a design by group and item; a cell is one group's rows of one item.

    Like groups are next to each other, and so are like items: resampling takes them in even steps.

    Attributes
    ----------
    items : (n,) int array
        Each row's item, 0 ... I - 1; rows are sorted by group.
    counts : (G, I) int array
        Rows of each cell.
    """

    items: Codes
    counts: Codes

    @classmethod
    def of(cls, groups: Codes, items: Codes) -> Cells:
        """Those of rows, which are sorted by group."""
        shape = int(groups.max()) + 1, int(items.max()) + 1
        counts = np.bincount(groups * shape[1] + items, minlength=shape[0] * shape[1])
        return cls(items, counts.reshape(shape))

    @property
    def balanced(self) -> bool:
        """Whether all groups have as many rows of all items, or of as many items of their own."""
        met = self.counts > 0
        of_group = met.sum(axis=1)
        alike = (self.counts[met] == self.counts.max()).all() and (of_group == of_group[0]).all()
        return bool(alike and (met.all() or self.nested))

    @property
    def nested(self) -> bool:
        """Whether each item is of one group alone, such as the classes of a school."""
        return bool(((self.counts > 0).sum(axis=0) == 1).all())

    def resampled(
        self, rng: np.random.Generator, n_groups: int, share: float
    ) -> tuple[Codes, Codes, Codes]:
        """Rows of so many groups and of another number of items.

        Each group is taken equally often, to within one, and so is each item, or if they are nested
        each item of a group. Those that are taken once more are in even steps from a random start.
        A group that has one of the items has all of its rows; a second copy of an item is another
        item.

        Parameters
        ----------
        rng : numpy.random.Generator
        n_groups : int
        share : float
            Number of items in units of the data's; there are at least two, if they are nested one
            in each group.

        Returns
        -------
        rows : (n',) int array
            Places of rows in the data, for each group in the data's order.
        sizes : (n_groups',) int array
            Number of rows of each group; one that has none of the items is left out.
        items : (n',) int array
            Each row's item, 0 ...; not every number has to occur.
        """
        n_there, n_items = self.counts.shape
        chosen = evenly(rng, n_there, n_groups)
        if self.nested:
            own = [np.flatnonzero(counts) for counts in self.counts]
            parts = [
                own[group][evenly(rng, len(own[group]), max(1, round(share * len(own[group]))))]
                for group in chosen
            ]
            of = np.repeat(np.arange(n_groups), [*map(len, parts)])
            cells = chosen[of] * n_items + np.concatenate(parts)
            labels = np.arange(len(cells))
        else:
            met = evenly(rng, n_items, max(2, round(share * n_items)))
            of, labels = (it.ravel() for it in np.indices((n_groups, len(met))))
            cells = chosen[of] * n_items + met[labels]
        counts = self.counts.ravel()[cells]
        groups = np.repeat(np.arange(n_there), self.counts.sum(axis=1))
        in_cells = np.argsort(groups * n_items + self.items, kind="stable")
        starts = (np.cumsum(self.counts) - self.counts.ravel())[cells]
        firsts = np.cumsum(counts) - counts
        rows = in_cells[np.repeat(starts - firsts, counts) + np.arange(counts.sum())]
        of, labels = np.repeat(of, counts), np.repeat(labels, counts)
        order = np.lexsort((rows, of))
        sizes = np.bincount(of, minlength=n_groups)
        return rows[order], sizes[sizes > 0], labels[order]


def evenly(rng: np.random.Generator, n_there: int, n_taken: int) -> Codes:
    """Numbers 0 ... n_there - 1 in ascending order, each equally often, to within one.

    Those that are taken once more are in even steps, each of them with the same probability.
    """
    times = np.full(n_there, n_taken // n_there)
    if n_more := n_taken % n_there:
        times[(np.arange(n_more) * n_there + rng.integers(n_there)) // n_more] += 1
    return np.repeat(np.arange(n_there), times)
