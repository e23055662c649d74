"""Parts of the data that share no random effects, such as the schools that classes are nested in.

Where the levels of all other factors are nested in those of one, V is block-diagonal with a block
for each of its levels, the units: log|V|, X'V⁻¹X and W = Z'V⁻¹Z are sums over units, or lie side by
side. So the work grows with their number, and not with its cube.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.smallmatrix import Array
from rmsweep.lmm.strata import Rows

Index = NDArray[np.intp]

# Units are filled up with zero rows until they have the same levels of as many rows, but to no more
# than so many times the rows that there are.
MOST_ROWS = 2


def by_units(rows: Rows) -> tuple[Rows, int]:
    """The rows of each unit as those of a dataset of its own; and the number of units.

    Returns
    -------
    rows : Rows
        Those of the units of one dataset after the other, with codes within units. The same rows
        if there is but one unit.
    n_units : int
    """
    top = _top(rows.codes)
    if top is None:
        return rows, 1
    n_rows, n_units = len(top), int(top.max()) + 1
    codes = [_within(own, top) for own in rows.codes]
    cells = np.unique(np.stack(codes), axis=1, return_inverse=True)
    kinds, cell = cells[0], cells[1].ravel()
    key = top * kinds.shape[1] + cell
    sizes = np.bincount(key, minlength=n_units * kinds.shape[1])
    order = np.argsort(key, kind="stable")
    place = np.empty(n_rows, dtype=np.intp)
    place[order] = np.arange(n_rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # as many rows of each kind as any unit has
    most = sizes.reshape(n_units, -1).max(axis=0)
    if n_units * most.sum() > MOST_ROWS * n_rows:
        return rows, 1
    where = np.full((n_units, most.sum()), n_rows)
    where[top, (np.cumsum(most) - most)[cell] + place] = np.arange(n_rows)

    def split(A: Array) -> Array:
        padded = np.concatenate([A, np.zeros((*A.shape[:-1], 1))], axis=-1)
        own = np.moveaxis(padded.take(where, axis=-1), -2, 1)
        return own.reshape(-1, *own.shape[2:])

    # each dataset with a design of its own: few numbers, as rows that are alike are pooled before
    alike = len(rows.r) // len(rows.X), 1, 1
    of_units = replace(
        rows,
        r=split(rows.r),
        X=np.tile(split(rows.X), alike),
        Z=tuple(np.tile(split(Z), alike) for Z in rows.Z),
        codes=tuple(np.repeat(kinds, most, axis=1)),
    )
    return of_units, n_units


def _top(codes: tuple[Index, ...]) -> Index | None:
    """The levels of the factor that all others are nested in; None if there is none."""
    for top in codes if len(codes) > 1 else ():
        if top.any() and all(is_nested(own, top) for own in codes):
            return top
    return None


def is_nested(own: Index, top: Index) -> bool:
    """Whether each level of a factor is in one level of another, of (n,) codes of rows."""
    of_levels = np.zeros(int(own.max()) + 1, dtype=np.intp)
    of_levels[own] = top
    return bool((of_levels[own] == top).all())


def _within(own: Index, top: Index) -> Index:
    """Numbers of a factor's levels within units, 0, 1, ..., for each row."""
    of_levels = np.zeros(int(own.max()) + 1, dtype=np.intp)
    of_levels[own] = top
    order = np.argsort(of_levels, kind="stable")
    sizes = np.bincount(of_levels)
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: Index = number[own]
    return found
