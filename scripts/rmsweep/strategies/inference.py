"""From estimates and standard errors to statistics, p-values and intervals."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from rmsweep.data.dataset import Array
from rmsweep.strategies import CIType

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

    def columns(self) -> tuple[Array, ...]:
        """All arrays, in the order of the table's columns."""
        return astuple(self)


def infer(estimate: Array, se: Array, df: Array, ci_type: CIType) -> Coefficients:
    """Two-sided t tests against zero, and 95% intervals.

    The p-value is taken from the lower tail, ``2 P(T < -|t|)``: one minus the upper one
    would be 0 for every strong effect. It is missing where the degrees of freedom are.

    Parameters
    ----------
    estimate, se, df : arrays of one shape
        Coefficients, standard errors, degrees of freedom.
    ci_type : {"t", "z"}
        Reference distribution of the interval: Student's t or the normal (Wald).

    Returns
    -------
    Coefficients
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / se
    p_value = 2 * stdtr(df, -np.abs(statistic))
    upper = (1 + LEVEL) / 2
    half = se * (ndtri(upper) if ci_type == "z" else stdtrit(df, upper))
    return Coefficients(estimate, se, df, statistic, p_value, estimate - half, estimate + half)


def stars(p_value: float) -> str:
    """R's significance codes."""
    return next((code for bound, code in STARS if p_value < bound), "")
