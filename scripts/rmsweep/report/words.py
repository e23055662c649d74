"""What the page calls measures and axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rmsweep.axes import in_sentence as in_sentence
from rmsweep.axes import of_axis as of_axis
from rmsweep.axes import of_level as of_level
from rmsweep.axes import significant
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.rates import score_interval

NOMINAL = 1.0 - ALPHA
BRADLEY = (0.5 * ALPHA, 1.5 * ALPHA)
"""Bradley (1978), British J. of Mathematical and Statistical Psychology 31:144, liberally."""
SINGULAR = "a variance is estimated as zero, or a correlation as ±1"
"""What a singular fit is."""


class Words(NamedTuple):
    """How the page speaks of a measure.

    Attributes
    ----------
    title : str
    group : str
        The heading that it is listed under.
    good : str
        A sentence that says what a good strategy does, or how to read the measure.
    kind : {"number", "rate", "percent"}
        Rates are shares, shown in percent; ``percent`` is in percent already.
    target : float or None
        The value of an ideal strategy, a dashed line.
    band : (low, high) or None
        Values that are near enough to it.
    """

    title: str
    group: str
    good: str = ""
    kind: str = "number"
    target: float | None = None
    band: tuple[float, float] | None = None


ESTIMATES = "Estimates"
INTERVALS = "Standard errors and intervals"
TESTS = "Tests"
SUMS = "Sums over the coefficients, as in the post"
FITS = "How the fits went"
PAIRS = "Compared with another strategy, on the same datasets"
OTHERS = "Others"

COVERAGE_BAND = (1.0 - BRADLEY[1], 1.0 - BRADLEY[0])
UNBIASED = "An unbiased strategy is at zero, the dashed line."
SMALLER = "Smaller is better."
SHARED = "Both strategies saw the same datasets; at the dashed line they do equally well."

MEASURES = {
    "coverage": Words(
        "Coverage of 95% intervals",
        INTERVALS,
        "The intervals of a good strategy contain the true value in 95% of datasets, the dashed "
        "line; the grey band is Bradley’s (1978) liberal criterion.",
        "rate",
        NOMINAL,
        COVERAGE_BAND,
    ),
    "bias": Words("Bias", ESTIMATES, UNBIASED, target=0.0),
    "relative_bias": Words("Relative bias", ESTIMATES, UNBIASED, "rate", 0.0),
    "empirical_se": Words("Empirical standard error", ESTIMATES, SMALLER),
    "mse": Words("Mean squared error", ESTIMATES, SMALLER),
    "rmse": Words("Root mean square error", ESTIMATES, SMALLER),
    "absolute_error_median": Words("Median absolute error", ESTIMATES, SMALLER),
    "error_median": Words("Median error", ESTIMATES, UNBIASED, target=0.0),
    "error_q025": Words("2.5% quantile of the errors", ESTIMATES, target=0.0),
    "error_q25": Words("25% quantile of the errors", ESTIMATES, target=0.0),
    "error_q75": Words("75% quantile of the errors", ESTIMATES, target=0.0),
    "error_q975": Words("97.5% quantile of the errors", ESTIMATES, target=0.0),
    "model_se": Words(
        "Model standard error",
        INTERVALS,
        "This is what the strategy reports; compare it with the empirical standard error.",
    ),
    "relative_error_of_model_se": Words(
        "Error of the model standard error",
        INTERVALS,
        "Below the dashed line a strategy is too sure of itself.",
        "percent",
        0.0,
    ),
    "bias_eliminated_coverage": Words(
        "Bias-eliminated coverage of 95% intervals",
        INTERVALS,
        "The dashed line is 95%, the grey band Bradley’s (1978) liberal criterion.",
        "rate",
        NOMINAL,
        COVERAGE_BAND,
    ),
    "interval_width": Words(
        "Width of 95% intervals",
        INTERVALS,
        "Narrower is better only where the intervals also cover.",
    ),
    "size": Words(
        "Type I error rate",
        TESTS,
        "A good test rejects the true value in 5% of datasets, the dashed line; the grey band is "
        "Bradley’s (1978) liberal criterion.",
        "rate",
        ALPHA,
        BRADLEY,
    ),
    "rejection": Words(
        "Rejection of zero",
        TESTS,
        "More is better only where the type I error is right and the effect is not zero.",
        "rate",
    ),
    "rejection_of_run": Words(
        "Rejection of zero, of all runs",
        TESTS,
        "A fit that is not used does not reject.",
        "rate",
    ),
    "power": Words("Power", TESTS, "More is better only where the type I error is right.", "rate"),
    "size_adjusted_power": Words(
        "Power at a type I error rate of exactly 5%", TESTS, "More is better.", "rate"
    ),
    "wrong_sign": Words(
        "Rejection of zero with the wrong sign",
        TESTS,
        "Such a test finds an effect that is the opposite of the true one (over the power: the "
        "type S error rate). Of tests with the right type I error it is at most 2.5%.",
        "rate",
    ),
    "coef_abs_err_mean": Words("Mean sum of absolute errors", SUMS, SMALLER),
    "coef_abs_err_median": Words("Median sum of absolute errors", SUMS, SMALLER),
    "se_sum_mean": Words(
        "Mean sum of standard errors", SUMS, "Smaller is better only where the intervals cover."
    ),
    "se_sum_median": Words(
        "Median sum of standard errors", SUMS, "Smaller is better only where the intervals cover."
    ),
    "t_sum_mean": Words(
        "Mean sum of absolute t statistics",
        SUMS,
        "Larger is not better: it is earned only if the intervals also cover.",
    ),
    "t_sum_median": Words(
        "Median sum of absolute t statistics",
        SUMS,
        "Larger is not better: it is earned only if the intervals also cover.",
    ),
    "convergence_rate": Words(
        "Converged fits",
        FITS,
        "A fit without estimates never counts as converged; whether one with a warning or a "
        "singular one does is the study’s rule.",
        "rate",
    ),
    "failed_rate": Words("Fits without estimates", FITS, "These fits failed.", "rate"),
    "singular_rate": Words(
        "Singular fits",
        FITS,
        f"In a singular fit {SINGULAR}; its estimates can be used.",
        "rate",
    ),
    "nonsingular_failure_rate": Words(
        "Fits with a warning or without estimates",
        FITS,
        f"Singular fits, where {SINGULAR}, are not among these: their estimates can be used.",
        "rate",
    ),
    "optimizer_rate": Words("Fits whose optimizer gave up", FITS, "", "rate"),
    "gradient_rate": Words("Fits with a warning about the gradient", FITS, "", "rate"),
    "hessian_rate": Words("Fits with a warning about the Hessian", FITS, "", "rate"),
    "df_message_rate": Words("Fits with a message about degrees of freedom", FITS, "", "rate"),
    "other_message_rate": Words("Fits with another message", FITS, "", "rate"),
    "missed_optimum_rate": Words(
        "Fits that missed the optimum",
        FITS,
        "Their criterion is more than 0.01 above the optimum that the native engine finds.",
        "rate",
    ),
    "precision_gain": Words("Gain of precision", PAIRS, SHARED, "percent", 0.0),
    "rmse_ratio": Words("Ratio of root mean square errors", PAIRS, SHARED, target=1.0),
    "difference_of_coverage": Words("Difference of coverage", PAIRS, SHARED, "rate", 0.0),
    "difference_of_size": Words("Difference of type I error rates", PAIRS, SHARED, "rate", 0.0),
    "difference_of_rejection": Words("Difference of rejection", PAIRS, SHARED, "rate", 0.0),
    "difference_of_size_adjusted_power": Words(
        "Difference of power at a type I error rate of exactly 5%", PAIRS, SHARED, "rate", 0.0
    ),
    "difference_of_directional_power": Words(
        "Difference of rejections with the right sign", PAIRS, SHARED, "rate", 0.0
    ),
    "decision_agreement": Words(
        "Agreement of decisions",
        PAIRS,
        "Share of datasets where both reject zero with the same sign, or neither rejects it.",
        "rate",
    ),
    **{
        f"{name}_ratio": Words(f"Ratio of median sums of {what}", PAIRS, SHARED, target=1.0)
        for name, what in {
            "coef_abs_err": "absolute errors",
            "se_sum": "standard errors",
            "t_sum": "absolute t statistics",
        }.items()
    },
}
"""In the order in which the page lists them; the first is shown first."""


MEASURES |= {
    "estimate_distance": Words(
        "Distance of the estimates, in standard errors", PAIRS, "Zero if both estimate the same."
    ),
    "df_ratio_of_slopes": Words("Ratio of median degrees of freedom of the slopes", PAIRS),
    "difference_of_convergence_rate": Words("Difference of converged fits", PAIRS, "", "rate", 0.0),
}


def of_measure(name: str) -> Words:
    """The words for a measure, also for one that has none of its own."""
    if name in MEASURES:
        return MEASURES[name]
    whole = name.removesuffix("_of_slopes")
    if whole in MEASURES:
        found = MEASURES[whole]
        return found._replace(title=f"{found.title}, mean over the slopes")
    kind = "rate" if name.endswith("_rate") else "number"
    return Words(name.replace("_", " ").capitalize(), OTHERS, kind=kind)


TAILS = re.compile(r".* tails of t with (\S+) degrees of freedom: no such (moment|error)")


def of_reason(text: str) -> str:
    """Why a measure is not defined, for readers who know what a mean is."""
    if not (found := TAILS.fullmatch(text)):
        return text
    df, what = float(found[1]), found[2]
    like = f"those of t with {df:g} df" if df > 0 else "those of any t distribution, or heavier"
    lacks = "the measure does not exist" if what == "moment" else "its error does not exist"
    return (
        f"with so few rows in a group, or such noise, estimates have tails like {like}, so {lacks}"
    )


def listed(items: Sequence[str], word: str = "and") -> str:
    """Items as a sentence has them: ``a, b and c``."""
    *first, last = items or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def counted(number: int, noun: str) -> str:
    """A number and its noun: ``1 fit``, ``9,000 fits``."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"


def in_symbols(text: str) -> str:
    """A convention of a strategy as formulas are printed: ``s² (X′X)⁻¹``, ``G − 1``."""
    text = text.replace("X'X", "X′X").replace("^-1", "⁻¹").replace("s2 ", "s² ")
    text = text.replace("sqrt(G)", "√G").replace(" x ", " × ")
    return re.sub(r"(?<=[A-Z)\d])-(?=[A-Zpq\d])", " − ", text)


PROGRAMS = {
    "python": "Python",
    "numpy": "NumPy",
    "numpy_blas": "NumPy’s BLAS",
    "scipy": "SciPy",
}
"""How programs write their names."""


def programs(versions: Mapping[str, str]) -> str:
    """Programs and their versions, as a sentence has them."""
    return listed([f"{PROGRAMS.get(name, name)} {it}" for name, it in versions.items()])


def typographic(text: str) -> str:
    """A text with the apostrophes and quotation marks of print: ``groups’``, ``“strong”``."""
    text = re.sub(r"(?<=\w)'", "’", text)
    text = re.sub(r"(?<![\w”.,)])\"(?=\S)", "“", text)
    return text.replace('"', "”")


def amount(value: float, unit: str, digits: int = 3) -> str:
    """A number with its unit."""
    if unit == "rate":
        return f"{significant(100 * value, digits)}%"
    if unit == "difference of rates":
        number = significant(100 * value, digits)
        return f"{number} {'point' if number in ('1', '−1') else 'points'}"
    return significant(value, digits)


def error_of_rate(rate: float, mcse: float, n: int) -> str:
    """How uncertain a rate of n datasets is: ``MCSE 0.14%``, or ``below 7.1%`` for a rate of 0.

    Where no dataset differs from another the standard error is zero, and would read as certainty.
    """
    if mcse:
        return f"MCSE {amount(mcse, 'rate', 2)}" if mcse > 0 else "MCSE unknown"
    low, high = score_interval(rate, mcse, n)
    if rate == 0:
        return f"below {amount(high, 'rate', 2)}"
    if rate == 1:  # digits of the distance to 100%
        return f"above {100 - float(f'{100 * (1 - low):.2g}'):.10g}%"
    return f"95% interval {amount(low, 'rate', 2)} to {amount(high, 'rate', 2)}"
