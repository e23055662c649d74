"""Whether a measure differs between two studies by more than Monte Carlo error.

A measure is a mean of what its datasets add to it, exactly or to first order, so that the standard
error of a difference is known whether the two studies have all datasets, some or none in common:
with a_i what dataset i adds in A (n_a of them) and b_i in B, it is that of

    sum over i of (a_i - mean a) / n_a - (b_i - mean b) / n_b,

a term being absent where the dataset is. In common datasets this is the paired standard error of
Morris, White & Crowther (2019), else the root of the sum of both squares.

The test takes the errors under the null hypothesis, that is about the mean of both. Of rates it is
McNemar's where the datasets are the same, and the pooled test of two shares where they are not but
as many; if one study has more of them, it is more cautious than that test. Its z is at most the
root of the number of datasets that differ, so that a few of them never make a difference certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from rmsweep.data.dataset import Array
from rmsweep.measures.performance import (
    QUANTILES,
    Fits,
    leave_one_out_mean,
    leave_one_out_sd,
    rms,
    sd,
    within,
)

LEVEL = 0.05
"""Chance that a comparison of studies that do not differ calls anything different."""
ROUNDING = 1e-9
"""What another machine's rounding may change a measure by, relative to what datasets add to it."""


class Test(NamedTuple):
    """The standard error of a difference, and the p-value of there being none."""

    mcse: float
    p_value: float


def smooth(value: float, without: Array) -> Array:
    """What each dataset adds to a smooth function of sample moments, by the jackknife.

    Parameters
    ----------
    value : float
    without : (n,) array
        The values without each dataset in turn.

    Returns
    -------
    (n,) array
        Tukey's pseudo-values, moved so that their mean is the value; their standard error is
        `rmsweep.measures.performance.jackknife`'s.
    """
    added: Array = value + (len(without) - 1) * (without.mean() - without)
    return added


def relative_error_of_model_se(fits: Fits) -> Array:
    """What each dataset adds to the relative error of the model SE."""
    without = np.sqrt(leave_one_out_mean(np.square(fits.se))) / leave_one_out_sd(fits.error)
    return smooth(100.0 * (rms(fits.se) / sd(fits.error) - 1.0), 100.0 * (without - 1.0))


MEANS: dict[str, Callable[[Fits], Array]] = {
    "bias": lambda fits: fits.error,
    "relative_bias": lambda fits: fits.error / fits.truth,
    "empirical_se": lambda fits: smooth(sd(fits.error), leave_one_out_sd(fits.error)),
    "model_se": lambda fits: smooth(rms(fits.se), np.sqrt(leave_one_out_mean(np.square(fits.se)))),
    "relative_error_of_model_se": relative_error_of_model_se,
    "mse": lambda fits: np.square(fits.error),
    "rmse": lambda fits: smooth(
        rms(fits.error), np.sqrt(leave_one_out_mean(np.square(fits.error)))
    ),
    "coverage": lambda fits: fits.covers,
    "bias_eliminated_coverage": lambda fits: within(fits.truth + fits.error.mean(), fits),
    "interval_width": lambda fits: fits.ci_high - fits.ci_low,
    "size": lambda fits: fits.rejects_truth,
    "rejection": lambda fits: fits.rejects_zero,
    "power": lambda fits: fits.rejects_zero,
    "wrong_sign": lambda fits: fits.wrong_sign,
}
"""What each dataset adds to the measures of a coefficient that are means, or nearly so."""

UNTESTED = {
    "size_adjusted_power": "its critical value comes from the same datasets, in steps that a test "
    "would take for a difference where effects are small; size and power are tested"
}
"""The measures that no test is made of, and why."""

ORDERED: dict[str, tuple[Callable[[Fits], Array], float]] = {
    **{name: (lambda fits: fits.error, share) for name, share in QUANTILES.items()},
    "absolute_error_median": (lambda fits: np.abs(fits.error), 0.5),
}
"""The measures that are quantiles: of what, and which."""


def of_means(one: Array, two: Array) -> Test:
    """Test the difference of two means.

    Parameters
    ----------
    one, two : (n,) arrays
        What each dataset adds in A and in B; NaN in the study that does not have it.
    """
    if np.isnan(one).all() or np.isnan(two).all():  # as the jackknife has it of two datasets
        return Test(np.nan, np.nan)
    pooled = np.concatenate([one, two])
    difference = np.nanmean(two) - np.nanmean(one)
    own = moved(two, float(np.nanmean(two))) * correction(two)
    own -= moved(one, float(np.nanmean(one))) * correction(one)
    mcse = float(np.sqrt(np.square(own).sum()))
    if abs(difference) <= ROUNDING * np.sqrt(np.nanmean(np.square(pooled))):
        return Test(mcse, 1.0)
    about = float(np.nanmean(pooled))
    null = np.sqrt(np.square(moved(two, about) - moved(one, about)).sum())
    return Test(mcse, two_sided(difference / null))


def moved(values: Array, about: float) -> Array:
    """By how much each dataset moves a mean; not at all where it is not in the study."""
    known = ~np.isnan(values)
    by: Array = np.where(known, values - about, 0.0) / known.sum()
    return by


def correction(values: Array) -> float:
    """The factor that makes a standard error of a mean one with n - 1 in it; NaN of one value."""
    n = int((~np.isnan(values)).sum())
    return float(np.sqrt(n / (n - 1))) if n > 1 else np.nan


def of_quantiles(one: Array, two: Array, share: float, mcse: tuple[float, float]) -> Test:
    """Test the difference of two quantiles.

    The standard error has the correlation of the flags "not above the quantile" (Bahadur 1966, as
    `rmsweep.measures.performance.ratio_of_medians`). The test compares the two studies' rates of
    values that are not above the quantile of both together: Mood's test, McNemar's where the
    datasets are the same. It needs no density, whose estimate a few replications make too poor for
    small p-values.

    Parameters
    ----------
    one, two : (n,) arrays
        As in `of_means`.
    share : float
        Which quantile.
    mcse : (float, float)
        The standard errors of the two quantiles.
    """
    n_one, n_two = (int((~np.isnan(values)).sum()) for values in (one, two))
    both = ~np.isnan(one) & ~np.isnan(two)
    n = int(both.sum())
    covariance = 0.0
    if n:
        apart = (one[both] <= np.nanquantile(one, share)) != (
            two[both] <= np.nanquantile(two, share)
        )
        # one dataset is added that is apart, since none at all would leave no error
        correlation = 1.0 - (apart.sum() + 1) / (n + 2) / (2.0 * share * (1.0 - share))
        overlap = n / np.sqrt(n_one * n_two)
        covariance = max(float(correlation), -1.0) * overlap * mcse[0] * mcse[1]
    pooled = float(np.nanquantile(np.concatenate([one, two]), share))
    flags = (np.where(np.isnan(it), np.nan, it <= pooled) for it in (one, two))
    variance = mcse[0] ** 2 + mcse[1] ** 2 - 2.0 * covariance
    return Test(float(np.sqrt(max(variance, 0.0))), of_means(*flags).p_value)


def two_sided(z: float) -> float:
    """The two-sided p-value of a standard normal statistic."""
    return float(2.0 * ndtr(-abs(z)))


def adjusted(p_values: Array) -> Array:
    """Holm's adjusted p-values; NaN where there is none.

    Holm (1979), Scandinavian Journal of Statistics 6:65. They hold however the tests depend on each
    other, which those of many measures of the same fits do.
    """
    made = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    made[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return made
