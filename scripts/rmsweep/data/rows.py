"""The rows of a dataset: which group and which time each is of, and series along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows sorted by group, and in each group by time.

    Attributes
    ----------
    groups : (n,) int array
        0 ... G - 1.
    times : (n,) int array
        0, 1, ... within the group.
    equal : bool
        Whether all groups have as many rows.
    """

    groups: NDArray[np.int64]
    times: NDArray[np.int64]
    equal: bool


@lru_cache(maxsize=8)
def rows_of(sizes: tuple[int, ...]) -> Rows:
    """The rows of groups of these sizes; datasets of one layout share them."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    times = np.concatenate([np.arange(size) for size in sizes])
    for part in (groups, times):
        part.flags.writeable = False
    return Rows(groups, times, len({*sizes}) == 1)


def autoregressive(innovations: Array, rows: Rows, phi: float) -> Array:
    r"""The stationary series of each group with these innovations.

    .. math:: e_0 = z_0, \quad e_t = \varphi e_{t-1} + \sqrt{1 - \varphi^2}\, z_t

    of variance 1 where that of the innovations is 1.

    Parameters
    ----------
    innovations : (n,) array
        z, independent.
    rows : Rows
    phi : float
        Autocorrelation, between -1 and 1.

    Returns
    -------
    (n,) array
    """
    series = innovations.copy()
    own = np.sqrt(1 - phi**2)
    by_time = np.argsort(rows.times, kind="stable")
    counts = np.bincount(rows.times)
    for index in np.split(by_time, np.cumsum(counts)[:-1])[1:]:
        series[index] = phi * series[index - 1] + own * series[index]
    return series
