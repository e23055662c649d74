"""At which level the columns of a design vary: within groups, between them, or by both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array

CONSTANT = 1e-10
"""Relative to a column's range: what the arithmetic of a polynomial leaves of equal values."""
DETERMINED = 1e-7
"""Relative to a column's deviations from its mean in a group: what others leave of them."""


def is_constant(values: Array, groups: NDArray[np.int64]) -> bool:
    """Whether a column is the same in all rows of each group, to within rounding."""
    low = np.full(groups.max() + 1, np.inf)
    high = -low
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return bool((high - low <= CONSTANT * np.ptp(values)).all())


def cross_level(X: Array, groups: NDArray[np.int64]) -> list[bool]:
    """Which columns those before them determine within each group.

    An interaction of a group's predictor with another one is such a column: in each group it is a
    multiple of the other one. So no group says anything of its slope alone, and it has no random
    slope: those are for predictors that vary within groups and for interactions of such (Barr
    2013, Frontiers in Psychology 4:328).

    Parameters
    ----------
    X : (n, k) array
        Columns in the order of a formula, none of them constant within groups.
    groups : (n,) int array
        Each row's group, 0 ... G - 1.

    Returns
    -------
    list of k bool
        False where a column is determined for want of rows alone.
    """
    sizes = np.bincount(groups)
    deviations = np.empty(X.shape)
    for k, column in enumerate(X.T):
        deviations[:, k] = column - (np.bincount(groups, column) / sizes)[groups]
    deviations = deviations[np.argsort(groups, kind="stable")]
    parts = np.split(deviations, np.cumsum(sizes)[:-1])
    smallest = CONSTANT * np.ptp(X, axis=0)
    kept: list[int] = []
    found = []
    for k in range(X.shape[1]):
        found.append(bool(kept) and _determined(parts, kept, k, smallest[k]))
        if not found[-1]:
            kept.append(k)
    return found


def levels_of(
    X: Array, places: Iterable[int], levels: NDArray[np.int64]
) -> tuple[list[int], list[int]]:
    """Which columns are constant within the levels of a factor, and which others determine there.

    Parameters
    ----------
    X : (n, p) array
    places : iterable of int
        Columns to look at, in the order of a formula.
    levels : (n,) int array
        0, 1, ...

    Returns
    -------
    constant, determined : list of int
        Their places (`is_constant`, `cross_level`).
    """
    places = list(places)
    constant = [place for place in places if is_constant(X[:, place], levels)]
    varying = [place for place in places if place not in constant]
    crossed = cross_level(X[:, varying], levels)
    return constant, [place for place, so in zip(varying, crossed, strict=True) if so]


def _determined(parts: list[Array], others: list[int], k: int, smallest: float) -> bool:
    """Whether other columns determine one in each group, and not only for want of rows."""
    by_more_rows = False
    for part in parts:
        size = np.linalg.norm(part[:, k])
        if size <= smallest * np.sqrt(len(part)):
            continue
        lengths = np.linalg.norm(part[:, others], axis=0)
        U, s, _ = np.linalg.svd(part[:, others] / np.where(lengths > 0, lengths, 1), False)
        U = U[:, s > DETERMINED]
        if np.linalg.norm(part[:, k] - U @ (U.T @ part[:, k])) > DETERMINED * size:
            return False
        by_more_rows |= U.shape[1] < len(part) - 1
    return by_more_rows
