"""Rates and their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rmsweep.data.dataset import Array

Z95 = 1.959963984540054


def success_rates(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rate of successes in each group of rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Has the keys and ``value``, whether the row is a success.
    keys : sequence of str
        Columns that say which rows belong together.

    Returns
    -------
    pandas.DataFrame
        One row per group, indexed by the keys: ``n`` rows, their ``rate``, its 95% interval's ends
        ``low`` and ``high``.
    """
    rates = frame.groupby(list(keys), observed=True)["value"].agg(n="size", successes="sum")
    successes, n = rates["successes"].to_numpy(dtype=float), rates["n"].to_numpy(dtype=float)
    low, high = wilson_interval(successes, n)
    return rates.assign(rate=successes / n, low=low, high=high)


def wilson_interval(successes: Array, n: Array, z: float = Z95) -> tuple[Array, Array]:
    """Score interval of a proportion, by default of 95%.

    Wilson (1927), Journal of the American Statistical Association 22:209; the same as
    statsmodels' ``proportion_confint(method="wilson")``, whose import takes two seconds.

    Parameters
    ----------
    successes, n : array
        Number of successes, and of trials (at least 1).
    z : float
        Quantile of the normal distribution that the confidence level stands for.

    Returns
    -------
    low, high : array
    """
    rate = successes / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    # 0 and 1 are exact where rounding may not be
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def score_interval(share: float, mcse: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a mean of flags, or of shares of flags that may depend on each other.

    Wilson's, for as many independent flags as have that standard error.

    Parameters
    ----------
    share, mcse : float
        The mean and its standard error.
    n : int
        Flags or shares; the number of flags where the standard error is zero.
    z : float
        Quantile of the normal distribution that the confidence level stands for.

    Returns
    -------
    low, high : float
    """
    certain = mcse == 0 or share in (0.0, 1.0)
    effective = float(n) if certain else share * (1.0 - share) / mcse**2
    low, high = wilson_interval(np.array(share * effective), np.array(effective), z)
    return float(low), float(high)
