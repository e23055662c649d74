"""Predictors that are no random draws: they have the same values in every group.

A pattern is a function of each row's time (0, 1, ... within its group), of n_obs, and of which one
of how many predictors of its pattern it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array


def trend(times: NDArray[np.int64], n_obs: int, place: int, n_alike: int) -> Array:
    """Time, the same in every group: (t - (n - 1)/2)/√((n² - 1)/12), with n = n_obs.

    Its variance in a group of n rows is 1. Groups of other sizes use the same time scale.

    Misleads
        No strategy by itself. With autocorrelated noise, it misleads `ols` and `lmer_mis`, which
        assume that rows of a group are independent but for its intercept.
    """
    series: Array = (times - (n_obs - 1) / 2) / np.sqrt(max(n_obs**2 - 1, 1) / 12)
    return series


def factor(times: NDArray[np.int64], n_obs: int, place: int, n_alike: int) -> Array:
    """A contrast of a within-group factor that has the same levels in every group.

    All predictors with this pattern form one factor: k predictors code k + 1 levels, which the rows
    of a group take in turn. They are Helmert contrasts, orthogonal with mean 0 and variance 1 over
    the levels. A single one alternates between -1 and 1.

    Misleads
        No strategy. It is the design of a repeated-measures ANOVA.
    """
    contrast = np.zeros(n_alike + 1)
    contrast[: place + 1] = -1
    contrast[place + 1] = place + 1
    contrast *= np.sqrt((n_alike + 1) / ((place + 1) * (place + 2)))
    values: Array = contrast[times % (n_alike + 1)]
    return values


PATTERNS = {"trend": trend, "factor": factor}
