"""From estimates and standard errors to statistics, p-values and intervals."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array

LEVEL = 0.95
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What a coefficient table says, each an array of the estimates' shape."""

    estimate: Array
    se: Array
    df: Array
    statistic: Array
    p_value: Array
    ci_low: Array
    ci_high: Array
    p_truth: Array

    def columns(self) -> tuple[Array, ...]:
        """All arrays, in the order of the table's columns."""
        return astuple(self)


def infer(
    estimate: Array,
    se: Array,
    df: Array,
    normal: bool | NDArray[np.bool_],
    truth: Array | float = np.nan,
) -> Coefficients:
    """Two-sided t tests against zero and against the truth, and 95% intervals.

    The p-value is taken from the lower tail, ``2 P(T < -|t|)``: one minus the upper one
    would be 0 for every strong effect. It is missing where the degrees of freedom are.

    Parameters
    ----------
    estimate, se, df : arrays of one shape
        Coefficients, standard errors, degrees of freedom.
    normal : bool, or array of bool
        Whether the reference distribution of the intervals is the normal (Wald), else Student's t;
        of a shape that can be broadcast.
    truth : array of that shape, optional
        The true coefficients; NaN where they are not known.

    Returns
    -------
    Coefficients
    """
    from scipy.special import ndtri, stdtr, stdtrit

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / se
        distance = np.abs(estimate - truth) / se
    p_value, p_truth = 2 * stdtr(df, -np.abs(statistic)), 2 * stdtr(df, -distance)
    upper = (1 + LEVEL) / 2
    # Student's quantile is the dearest of all: none where the normal one is taken
    quantile = np.where(normal, ndtri(upper), stdtrit(np.where(normal, np.nan, df), upper))
    half = se * quantile
    ends = estimate - half, estimate + half
    return Coefficients(estimate, se, df, statistic, p_value, *ends, p_truth)


def stars(p_value: float) -> str:
    """R's significance codes."""
    return next((code for bound, code in STARS if p_value < bound), "")
