"""Predictors that are no random draws: they have the same values in every group.

A pattern is a function of each row's time (0, 1, ... within its group), of n_obs, of the number of
combinations of the factors before it, and of its options. Where items decide which levels a row
has, the number of their combination takes the place of time.
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


def treatment(
    times: NDArray[np.int64], n_obs: int, n_before: int, *, levels: int = 2, level: int = 2
) -> Array:
    """Treatment coding of a within-group factor: 1 at this level, 0 at the others.

    A factor of L levels has L - 1 predictors in a row, of the levels 2 ... L; level 1 is the
    reference. The values stay as they are: leave ``predictor_mean`` and ``predictor_sd`` at their
    defaults.

    Misleads
        No strategy. The intercept is that of the reference level.
    """
    require(levels >= 2, "levels", "a whole number from 2 up")
    require(2 <= level <= levels, "level", f"a whole number from 2 to {levels}")
    coded: Array = np.where(times // n_before % levels == level - 1, 1.0, 0.0)
    return coded


def sum_to_zero(
    times: NDArray[np.int64], n_obs: int, n_before: int, *, levels: int = 2, level: int = 1
) -> Array:
    """Sum coding of a within-group factor: 1 at this level, -1 at the last one, 0 at the others.

    A factor of L levels has L - 1 predictors in a row, of the levels 1 ... L - 1. The values stay
    as they are: leave ``predictor_mean`` at its default; a ``predictor_sd`` of 0.5 makes them ±½.

    Misleads
        No strategy. The intercept is the mean of the levels.
    """
    require(levels >= 2, "levels", "a whole number from 2 up")
    require(1 <= level < levels, "level", f"a whole number from 1 to {levels - 1}")
    steps = times // n_before % levels
    coded: Array = np.where(steps == level - 1, 1.0, np.where(steps == levels - 1, -1.0, 0.0))
    return coded


def standardised(steps: NDArray[np.int64], n: int) -> Array:
    """Steps 0 ... n - 1 with mean 0 and variance 1."""
    values: Array = (steps - (n - 1) / 2) / np.sqrt(max(n**2 - 1, 1) / 12)
    return values


CATEGORICAL = {"factor": factor, "treatment": treatment, "sum": sum_to_zero}
PATTERNS = {"trend": trend, **CATEGORICAL}
