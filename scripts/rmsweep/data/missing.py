"""Which rows are observed.

Missingness is a function of a random generator of its own, of the responses y, of each row's group
and time (0, 1, ... within its group; rows are sorted by both), and of its options. It gives a truth
value for each row. The truth is the coefficient in the complete data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array
from rmsweep.data.options import require

Index = NDArray[np.int64]
Observed = NDArray[np.bool_]


def none(rng: np.random.Generator, y: Array, groups: Index, times: Index) -> Observed:
    """All rows are observed.

    Misleads
        No strategy.
    """
    return np.ones(len(y), dtype=bool)


def mcar(
    rng: np.random.Generator,
    y: Array,
    groups: Index,
    times: Index,
    *,
    rate: float = 0.1,
    spread: float = 0.0,
) -> Observed:
    """Missing completely at random: each row with probability π = rate.

    With spread, π is drawn anew for each dataset from U(rate - spread, rate + spread). A group that
    loses all of its rows drops out of the dataset.

    Misleads
        No strategy. Two-stage regression fails where a group has too few rows left.
    """
    require(0 <= rate < 1, "rate", "a number from 0 up, below 1")
    largest = min(rate, 1 - rate)
    require(0 <= spread <= largest, "spread", f"with rate {rate:g} a number from 0 to {largest:g}")
    if spread:
        rate += spread * rng.uniform(-1.0, 1.0)
    return rng.random(len(y)) >= rate


def mar_dropout(
    rng: np.random.Generator,
    y: Array,
    groups: Index,
    times: Index,
    *,
    intercept: float = -4.0,
    slope: float = 0.5,
) -> Observed:
    """Dropout at random: a group leaves after row t with probability logit⁻¹(a + b·y_t).

    a = intercept, b = slope. y_t is observed, and so is the first row of every group.

    Misleads
        `lm`, `ols` and GEE (the intercept, and the slope of a trend) and `lmer_mis`, whose
        covariance is wrong. `lmer` is right if its covariance is right.
    """
    leaves = rng.random(len(y)) < _logistic(intercept + slope * y)
    return _until(leaves, groups, times, including=False)


def mnar_dropout(
    rng: np.random.Generator,
    y: Array,
    groups: Index,
    times: Index,
    *,
    intercept: float = -4.0,
    slope: float = 0.5,
) -> Observed:
    """Dropout not at random: a group leaves before row t with probability logit⁻¹(a + b·y_t).

    a = intercept, b = slope. y_t is not observed. The first row of every group is.

    Misleads
        All strategies.
    """
    leaves = (rng.random(len(y)) < _logistic(intercept + slope * y)) & (times > 0)
    return _until(leaves, groups, times, including=True)


def _logistic(values: Array) -> Array:
    """The inverse of the logit, without overflow."""
    probability: Array = 0.5 * (1.0 + np.tanh(0.5 * values))
    return probability


def _until(leaves: Observed, groups: Index, times: Index, including: bool) -> Observed:
    """The rows of each group before the first one at which it leaves, that one or the next."""
    counts = np.cumsum(leaves)
    firsts = np.flatnonzero(times == 0)
    left: Index = counts - (counts - leaves)[firsts][groups]
    observed: Observed = left == (0 if including else leaves)
    return observed
