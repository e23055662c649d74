"""Predictors that are no random draws: they have the same values in every group.

A pattern is a function of each row's time (0, 1, ... within its group), of n_obs, of the number of
combinations of the factors before it, and of its options.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array
from rmsweep.data.options import require


def trend(times: NDArray[np.int64], n_obs: int, n_before: int) -> Array:
    """Time, the same in every group: (t - (n - 1)/2)/√((n² - 1)/12), with n = n_obs.

    Its variance in a group of n rows is 1. Groups of other sizes use the same time scale.

    Misleads
        No strategy by itself. With autocorrelated noise, it misleads `ols` and `lmer_mis`, which
        assume that rows of a group are independent but for its intercept.
    """
    return standardised(times, n_obs)


def factor(times: NDArray[np.int64], n_obs: int, n_before: int, *, levels: int = 2) -> Array:
    """A within-group factor with the same levels in every group, in equal steps.

    The values have mean 0 and variance 1 over the levels; two levels are -1 and 1. Several factors
    are crossed: rows take all combinations of their levels in turn.

    Misleads
        No strategy. It is the design of a repeated-measures ANOVA.
    """
    require(levels >= 2, "levels", "a whole number from 2 up")
    return standardised(times // n_before % levels, levels)


def standardised(steps: NDArray[np.int64], n: int) -> Array:
    """Steps 0 ... n - 1 with mean 0 and variance 1."""
    values: Array = (steps - (n - 1) / 2) / np.sqrt(max(n**2 - 1, 1) / 12)
    return values


PATTERNS = {"trend": trend, "factor": factor}
