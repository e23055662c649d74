"""Performance measures of the strategies over the replications of a condition.

The formulas are those of Morris, White & Crowther (2019), Statistics in Medicine 38:2074, table 6,
unless a measure says otherwise. Where the truth is drawn anew for each dataset, an error is the
estimate minus its own dataset's truth.

Fits are used in two ways that are never mixed: ``all`` that gave estimates, and those that
``converged`` by the strategy's verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array
from rmsweep.measures.rates import Z95, score_interval

ALPHA = 0.05
MISSED = 0.01
"""By how much the criterion has to be above the optimum for that to count as missed."""

QUANTILES = {"error_q025": 0.025, "error_q25": 0.25, "error_median": 0.5}
QUANTILES |= {"error_q75": 0.75, "error_q975": 0.975}

Flags = NDArray[np.bool_]


class Result(NamedTuple):
    """A measure's value, its Monte Carlo standard error, and a 95% interval."""

    value: float
    mcse: float
    low: float
    high: float


NOTHING = Result(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Fits:
    """What one strategy says of one coefficient in n datasets; NaN where it says nothing.

    Attributes
    ----------
    truth, estimate, se, df, statistic, p_value, ci_low, ci_high, p_truth : (n,) arrays
        As in the table ``coefs``.
    """

    truth: Array
    estimate: Array
    se: Array
    df: Array
    statistic: Array
    p_value: Array
    ci_low: Array
    ci_high: Array
    p_truth: Array

    @cached_property
    def error(self) -> Array:
        """Estimate minus truth."""
        return self.estimate - self.truth

    @cached_property
    def distance(self) -> Array:
        """Distance from the truth in standard errors."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(self.error) / self.se

    @cached_property
    def covers(self) -> Array:
        """Whether the interval has the truth in it."""
        return within(self.truth, self)

    @cached_property
    def rejects_truth(self) -> Array:
        """Whether the strategy's test rejects the true value."""
        return below_alpha(self.p_truth)

    @cached_property
    def rejects_zero(self) -> Array:
        """Whether the strategy's test rejects zero."""
        return below_alpha(self.p_value)

    @cached_property
    def wrong_sign(self) -> Array:
        """Whether the strategy's test rejects zero on the other side than the truth is."""
        wrong = (self.rejects_zero == 1.0) & (self.estimate * self.truth < 0.0)
        return np.where(np.isnan(self.rejects_zero), np.nan, wrong)

    @cached_property
    def right_sign(self) -> Array:
        """Whether the test rejects zero on the side of the truth; NaN where that is zero."""
        return np.where(self.truth == 0.0, np.nan, self.rejects_zero - self.wrong_sign)

    @cached_property
    def size_adjusted(self) -> Array:
        """What each dataset adds to the size-adjusted power."""
        return size_adjusted_rejections(self)


def within(values: Array, fits: Fits) -> Array:
    """Whether values are inside the intervals; NaN where there is none."""
    inside = (fits.ci_low <= values) & (values <= fits.ci_high)
    return np.where(np.isnan(fits.ci_low), np.nan, inside)


def below_alpha(p_values: Array) -> Array:
    """Whether p-values are significant; NaN where there is none."""
    return np.where(np.isnan(p_values), np.nan, p_values < ALPHA)


def rate(flags: Array) -> Result:
    """A share, with Wilson's interval: at 0 and 1 its standard error says nothing.

    Parameters
    ----------
    flags : (n,) array
        Of each dataset, 0 or 1, or the share of several flags of it, which may depend on each
        other; NaN where there is none.
    """
    known = flags[~np.isnan(flags)]
    n = len(known)
    if not n:
        return NOTHING
    share, mcse = float(known.mean()), float(known.std() / np.sqrt(n))
    return Result(share, mcse, *score_interval(share, mcse, n))


def normal(value: float, mcse: float) -> Result:
    """A value with the interval of a normal distribution."""
    return Result(float(value), float(mcse), float(value - Z95 * mcse), float(value + Z95 * mcse))


def mean(values: Array) -> Result:
    """A mean; its standard error needs two values."""
    known = values[~np.isnan(values)]
    if not len(known):
        return NOTHING
    spread = known.std(ddof=1) if len(known) > 1 else np.nan
    return normal(known.mean(), spread / np.sqrt(len(known)))


def quantile(values: Array, share: float) -> Result:
    """A quantile, with the interval of order statistics whose ranks are binomial (Conover 1999)."""
    known = np.sort(values[~np.isnan(values)])
    n = len(known)
    if not n:
        return NOTHING
    half = Z95 * np.sqrt(n * share * (1.0 - share))
    ranks = np.array([np.floor(n * share - half), np.ceil(n * share + half)]).astype(int)
    low, high = known[np.clip(ranks, 0, n - 1)]
    return Result(float(np.quantile(known, share)), (high - low) / (2.0 * Z95), low, high)


def jackknife(value: float, without: Array) -> Result:
    """A smooth function of sample moments, from its values without each dataset in turn.

    Efron & Stein (1981), Annals of Statistics 9:586: about their own mean, since about `value`
    the bias of small samples would count as spread.
    """
    n = len(without)
    if n < 3:
        return NOTHING._replace(value=float(value))
    spread = np.square(without - without.mean()).sum() * (n - 1) / n
    return normal(value, np.sqrt(spread))


def leave_one_out_mean(values: Array) -> Array:
    """Means (n,) without each value in turn."""
    without: Array = (values.sum() - values) / (len(values) - 1)
    return without


def leave_one_out_sd(values: Array) -> Array:
    """Standard deviations (n,) without each value in turn."""
    n = len(values)
    deviation = values - values.mean()
    rest = np.square(deviation).sum() - np.square(deviation) * n / (n - 1)
    return np.sqrt(np.maximum(rest, 0.0) / (n - 2)) if n > 2 else np.full(n, np.nan)


def sd(values: Array) -> float:
    """Standard deviation of a sample; NaN for less than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def rms(values: Array) -> float:
    """Root mean square; NaN of none."""
    return float(np.sqrt(np.square(values).mean())) if len(values) else np.nan


def empirical_se(fits: Fits) -> Result:
    """Standard deviation of the errors."""
    return jackknife(sd(fits.error), leave_one_out_sd(fits.error))


def model_se(fits: Fits) -> Result:
    """Root mean square of the standard errors that the strategy reports."""
    return jackknife(rms(fits.se), np.sqrt(leave_one_out_mean(np.square(fits.se))))


def relative_error_of_model_se(fits: Fits) -> Result:
    """How far the model SE is above the empirical one, in percent.

    The jackknife sees that the two depend on each other, unlike the formula of Morris et al.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.sqrt(leave_one_out_mean(np.square(fits.se))) / leave_one_out_sd(fits.error)
        return jackknife(100.0 * (rms(fits.se) / sd(fits.error) - 1.0), 100.0 * (without - 1.0))


def rmse(fits: Fits) -> Result:
    """Root mean square error."""
    return jackknife(rms(fits.error), np.sqrt(leave_one_out_mean(np.square(fits.error))))


def bias_eliminated_coverage(fits: Fits) -> Result:
    """Coverage of the truth moved by the bias."""
    return rate(within(fits.truth + fits.error.mean(), fits))


def relative_bias(fits: Fits) -> Result:
    """Mean of error over truth, where the truth is one value and not zero."""
    return mean(fits.error / fits.truth)


def size_adjusted_rejections(fits: Fits) -> Array:
    """What each dataset adds to the power of the test that has exactly the nominal size.

    The critical value is the quantile of the distances from the truth in the same datasets, so a
    distance above it lowers the power: in proportion to the two densities there, by the delta
    method.

    Returns
    -------
    (n,) array
        Their mean is the power; NaN where a fit says nothing, and everywhere if less than 20 say
        something.
    """
    distance, statistic = fits.distance, np.abs(fits.statistic)
    known = np.isfinite(distance) & np.isfinite(statistic)
    if known.sum() < 20:
        return np.full(len(known), np.nan)
    critical = np.quantile(distance[known], 1.0 - ALPHA)
    # shares of both between the quantiles around the critical value: their ratio is the densities'
    low, high = np.quantile(distance[known], [1.0 - 1.8 * ALPHA, 1.0 - 0.2 * ALPHA])
    ratio = ((low < statistic) & (statistic <= high))[known].mean() / (1.6 * ALPHA)
    above = np.where(known, distance > critical, np.nan)
    exceeds = np.where(known, statistic > critical, np.nan)
    rejections: Array = exceeds - ratio * (above - above[known].mean())
    return rejections


class Measure(NamedTuple):
    """A measure of one coefficient.

    Attributes
    ----------
    of : callable
        From the fits used.
    value_moments, mcse_moments : int
        Moments of the errors that have to be finite for the value and for its standard error to
        mean something.
    needs : str
        What the study has to have: a ``fixed`` truth that is not zero, ``effect`` for a truth that
        is not fixed at zero.
    rate : float or None
        Of a share, the value to plan with: the nominal one, or one half, the worst case.
    """

    of: Callable[[Fits], Result]
    value_moments: int = 0
    mcse_moments: int = 0
    needs: str = ""
    rate: float | None = None


MEASURES: dict[str, Measure] = {
    "bias": Measure(lambda fits: mean(fits.error), 1, 2),
    "relative_bias": Measure(relative_bias, 1, 2, "fixed"),
    "empirical_se": Measure(empirical_se, 2, 4),
    "model_se": Measure(model_se, 2, 4),
    "relative_error_of_model_se": Measure(relative_error_of_model_se, 2, 4),
    "mse": Measure(lambda fits: mean(np.square(fits.error)), 2, 4),
    "rmse": Measure(rmse, 2, 4),
    **{
        name: Measure(lambda fits, share=share: quantile(fits.error, share))  # type: ignore[misc]
        for name, share in QUANTILES.items()
    },
    "absolute_error_median": Measure(lambda fits: quantile(np.abs(fits.error), 0.5)),
    "coverage": Measure(lambda fits: rate(fits.covers), rate=1.0 - ALPHA),
    "bias_eliminated_coverage": Measure(bias_eliminated_coverage, 1, 2, rate=1.0 - ALPHA),
    "interval_width": Measure(lambda fits: mean(fits.ci_high - fits.ci_low), 1, 2),
    "size": Measure(lambda fits: rate(fits.rejects_truth), rate=ALPHA),
    "rejection": Measure(lambda fits: rate(fits.rejects_zero), rate=0.5),
    "power": Measure(lambda fits: rate(fits.rejects_zero), needs="effect", rate=0.5),
    "size_adjusted_power": Measure(lambda fits: mean(fits.size_adjusted), needs="effect", rate=0.5),
    # of tests whose size is right at most half of it, for an effect next to zero
    "wrong_sign": Measure(lambda fits: rate(fits.wrong_sign), needs="effect", rate=ALPHA / 2.0),
}
"""The measures of a coefficient, by name, in the order of the table."""


def precision_gain(fits: Fits, reference: Fits) -> Result:
    """How much larger the precision of the estimates is than the reference's, in percent."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (sd(reference.error) / sd(fits.error)) ** 2
        without = (leave_one_out_sd(reference.error) / leave_one_out_sd(fits.error)) ** 2
        return jackknife(100.0 * (gain - 1.0), 100.0 * (without - 1.0))


def rmse_ratio(fits: Fits, reference: Fits) -> Result:
    """Root mean square error over the reference's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        without = leave_one_out_mean(np.square(fits.error))
        without = np.sqrt(without / leave_one_out_mean(np.square(reference.error)))
        return jackknife(rms(fits.error) / rms(reference.error), without)


def ratio_of_medians(values: Array, reference: Array) -> Result:
    """Median of one quantity over the median of another one of the same datasets.

    A sample median's error is, to first order, the mean of (1/2 - [x <= m]) / f(m) (Bahadur 1966,
    Annals of Mathematical Statistics 37:577), so those of two medians are correlated as the flags
    x <= m are: by 1 - 2P, with P the share of datasets that are on different sides of the two. One
    such dataset is added to a sample's, since none at all would leave no error. Of less than six
    values no two enclose the median with 95% confidence.
    """
    known = np.isfinite(values) & np.isfinite(reference)
    if not known.any():
        return NOTHING
    values, reference = values[known], reference[known]
    one, two = quantile(values, 0.5), quantile(reference, 0.5)
    n = len(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.divide(one.value, two.value))
        if n < 6:
            return NOTHING._replace(value=ratio)
        apart = int(((values <= one.value) != (reference <= two.value)).sum())
        of_one, of_two = np.divide(one.mcse, one.value), np.divide(two.mcse, two.value)
        correlation = 1.0 - 2.0 * (apart + 1) / (n + 2)
        error = np.sqrt(of_one**2 + of_two**2 - 2.0 * correlation * of_one * of_two)
        low, high = ratio * np.exp([-Z95 * error, Z95 * error])
    return Result(ratio, ratio * float(error), float(low), float(high))


class Comparison(NamedTuple):
    """A measure of two strategies on the datasets that both fitted; as `Measure` else."""

    of: Callable[[Fits, Fits], Result]
    value_moments: int = 0
    mcse_moments: int = 0


class Average(NamedTuple):
    """A measure that is a mean over datasets, and so can be averaged over coefficients, too.

    Attributes
    ----------
    of : callable
        From the fits, of one strategy or of two, to what each dataset adds, (n,).
    sum_up : callable
        From that to the measure: `rate` or `mean`.
    """

    of: Callable[..., Array]
    sum_up: Callable[[Array], Result]


AVERAGES: dict[str, Average] = {
    "size": Average(lambda fits: fits.rejects_truth, rate),
    "coverage": Average(lambda fits: fits.covers, rate),
    "rejection": Average(lambda fits: fits.rejects_zero, rate),
}
"""The measures of one strategy that are averaged over the slopes."""


def same_decision(one: Fits, two: Fits) -> Array:
    """Whether both reject zero on the same side of it, or neither rejects it."""
    decisions = [fits.rejects_zero * np.sign(fits.estimate) for fits in (one, two)]
    unknown = np.isnan(decisions).any(axis=0)
    return np.where(unknown, np.nan, decisions[0] == decisions[1])


PAIRED: dict[str, Average] = {
    # McNemar's: the datasets are the same, so that the difference varies less than its parts
    "difference_of_coverage": Average(lambda one, two: one.covers - two.covers, mean),
    "difference_of_size": Average(lambda one, two: one.rejects_truth - two.rejects_truth, mean),
    "difference_of_rejection": Average(lambda one, two: one.rejects_zero - two.rejects_zero, mean),
    "difference_of_size_adjusted_power": Average(
        lambda one, two: one.size_adjusted - two.size_adjusted, mean
    ),
    "difference_of_directional_power": Average(
        lambda one, two: one.right_sign - two.right_sign, mean
    ),
    "decision_agreement": Average(same_decision, rate),
}
"""The comparisons of two strategies that are, the second of which is the reference."""

COMPARISONS: dict[str, Comparison] = {
    "precision_gain": Comparison(precision_gain, 2, 4),
    "rmse_ratio": Comparison(rmse_ratio, 2, 4),
}
"""The comparisons of two strategies, the second of which is the reference, that are no averages."""


def mean_over_terms(parts: Sequence[Array]) -> Array:
    """Means over the coefficients that say something, dataset by dataset.

    Parameters
    ----------
    parts : sequence of (n,) arrays
        One per coefficient.

    Returns
    -------
    (n,) array
    """
    values = np.array(parts)
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Array = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return means
