"""Two-stage regression: one for each group, then a second stage of the groups' coefficients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import group_level, smallest_group
from rmsweep.data.template import template_of
from rmsweep.design import Condition
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    NoOptions,
    OwnTests,
    Preset,
    from_least_squares,
    says_nothing_of,
)

if TYPE_CHECKING:
    from rmsweep.lmm import CrossProducts, LeastSquaresFit

ENGINE = "statsmodels"
PACKAGES = ("statsmodels",)


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of the groups' coefficients.

    Attributes
    ----------
    second_stage : {"mean", "HC3", "regression", "sign flips"}
        A one-sample t test; the same with HC3, or jackknife, standard errors; a regression of the
        groups' intercepts on the predictors of the groups, where there are any; or a test by flips
        of the signs of groups.
    draws : int
        How many flips, where there are too many groups to take all of them.
    enumerate_up_to : int
        The most groups of which all 2^G flips are taken.
    """

    second_stage: Literal["mean", "HC3", "regression", "sign flips"] = "mean"
    draws: int = 999
    enumerate_up_to: int = 15

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; allowed: 1 and more")
        if not 0 <= self.enumerate_up_to <= 20:
            raise ValueError(f"enumerate_up_to is {self.enumerate_up_to}; allowed: 0 to 20")


PRESETS = {
    "lm2": Preset(
        "Two-stage regression (summary statistics)",
        assumes="independent groups; nothing of their coefficients' distribution but normality",
        convention="SD of the groups' coefficients / sqrt(G), t on G-1 degrees of freedom",
        reference="Frison & Pocock 1992; Holmes & Friston 1998",
        use="with many rows in each group",
    ),
    "lm2_hc3": Preset(
        "Two-stage regression with HC3 standard errors",
        {"second_stage": "HC3"},
        assumes="as lm2, without equal variance of the groups",
        convention="lm2's standard error times sqrt(G/(G-1)): HC3, which is the jackknife's; HC1, "
        "HC2 and CR2 are lm2's own; t on G-1 degrees of freedom",
        reference="HC3 of R's sandwich, of statsmodels",
        use="as lm2, a little more conservative",
    ),
    "lm2_level2": Preset(
        "Two-stage regression with predictors of the groups in the second stage",
        {"second_stage": "regression"},
        assumes="as lm2",
        convention="OLS of the groups' intercepts on their q predictors, t on G-1-q degrees of "
        "freedom; slopes as lm2",
        reference="lm of R on the groups' coefficients",
        use="where there are predictors of the groups themselves, of which lm2 says nothing",
    ),
    "lm2_signflip": Preset(
        "Two-stage regression with an exact test by sign flips",
        {"second_stage": "sign flips"},
        assumes="independent groups with coefficients that are symmetric about their mean",
        convention="share of all 2^G flips with as large a mean, up to 15 groups; else of 999 "
        "draws and the data; interval by inversion",
        reference="Hartigan 1969; Winkler et al. 2014",
        use="as lm2, with few groups that are not normal; five reject nothing",
    ),
}
CONVENTIONS = Conventions(se_type="SD of group coefficients / sqrt(G)", df_type="G-1", ci_type="t")
HC3 = Conventions(se_type="HC3 of group coefficients", df_type="G-1", ci_type="t")
REGRESSION = Conventions(se_type="OLS of group coefficients", df_type="G-1-q, G-1", ci_type="t")


def refuses(data: Dataset, options: NoOptions) -> str:
    """Each group needs as many rows as its regression has coefficients, and can tell them apart."""
    n_terms = len(data.within().terms)
    if not n_terms:
        return f"all predictors are constant within groups: {', '.join(data.group_level)}"
    if data.cross_level:
        return f"other terms determine {', '.join(data.cross_level)} within each group"
    if data.n_groups < 2:
        return "one group leaves nothing to compare"
    sizes = np.bincount(data.groups)
    smallest = int(sizes.argmin())
    if sizes[smallest] < n_terms:
        return f"group {smallest + 1} has {sizes[smallest]} rows for {n_terms} coefficients"
    return ""


def refuses_to_infer(data: Dataset, inference: Inference) -> str:
    """A regression on predictors of the groups needs more groups, and an intercept."""
    q = len(data.group_level)
    if inference.second_stage != "regression" or not q:
        return ""
    if data.terms[0] != "Intercept":
        return "predictors of the groups tell of their intercepts, and there is none"
    if data.n_groups <= 1 + q:
        return f"{data.n_groups} groups for {1 + q} coefficients leave no degree of freedom"
    return ""


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def tail_df(condition: Condition, options: NoOptions) -> float:
    """Tails of the estimates.

    In a group of n rows the inverse cross-products of p normal predictors are those of an inverse
    chi-squared variable with n − p degrees of freedom, so that its coefficients are t distributed,
    and so are their mean's tails. The smallest group decides; one with fewer rows than coefficients
    is not fitted at all. Predictors of level 2 are no part of a group's regression. Those of a file
    have finitely many designs, which bound the estimates' variances.
    """
    if template_of(condition):
        return np.inf
    n_predictors = int(condition["n_predictors"]) - len(group_level(condition))
    return float(max(smallest_group(condition) - n_predictors, 1))


def fit(data: Dataset, options: NoOptions) -> LeastSquaresFit:
    """Fit each group on its own; then test the mean of the groups' coefficients.

    The estimate is the mean over groups, its standard error SD/sqrt(G), with G - 1 degrees of
    freedom: a one-sample t test (Frison & Pocock 1992; Holmes & Friston 1998).
    """
    from statsmodels.regression.linear_model import OLS

    from rmsweep import lmm

    within = data.within()
    n_terms = len(within.terms)
    # both engines refuse the same data
    if problem := fit_batch(Batch([data]), options).messages[0]:
        raise FitError(problem)
    X, centre = lmm.centred(within.X)
    unit = lmm.units(X)
    coefficients = np.empty((data.n_groups, n_terms))
    for group in range(data.n_groups):
        rows = data.groups == group
        coefficients[group] = OLS(data.y[rows], X[rows] / unit).fit().params / unit
    coefficients = lmm.uncentred(coefficients, np.tile(centre, (data.n_groups, 1)))
    return lmm.LeastSquaresFit(
        estimate=coefficients.mean(axis=0)[None],
        se=coefficients.std(axis=0, ddof=1)[None] / np.sqrt(data.n_groups),
        df=float(data.n_groups - 1),
        by_group=coefficients[None],
        messages=("",),
    )


def infer(data: Dataset, fitted: LeastSquaresFit, inference: Inference) -> Fit:
    """Make the second stage of one dataset, as `infer_batch` does."""
    (found,) = infer_batch(Batch([data]), fitted, inference)
    if isinstance(found, FitError):
        raise found
    return found


def fit_batch(batch: Batch, options: NoOptions) -> LeastSquaresFit:
    """Fit the groups by closed forms, from their cross-products."""
    from rmsweep import lmm

    return lmm.two_stage(products_within(batch))


def products_within(batch: Batch) -> CrossProducts:
    """Cross-products of the regressions of the groups, which have no predictors of the groups."""
    within = batch.within
    return within.crossproducts(within.datasets[0].terms)


def fits_within(
    batch: Batch, fitted: LeastSquaresFit, conventions: Conventions
) -> list[Fit | FitError]:
    """Those of the data's terms from second stages that have no predictors of the groups."""
    data = batch.datasets[0]
    unsaid = says_nothing_of(data.group_level)
    return from_least_squares(fitted, conventions, len(data.terms), unsaid=unsaid)


def infer_batch(
    batch: Batch, fitted: LeastSquaresFit, inference: Inference
) -> list[Fit | FitError]:
    """Make the second stage of many datasets.

    HC3 of a mean is its standard error times √(G/(G - 1)), exactly: the regression has nothing but
    an intercept. For sign flips see `rmsweep.lmm.sign_flips`.
    """
    from rmsweep import lmm

    data = batch.datasets[0]
    n_terms, G = len(data.terms), data.n_groups
    if inference.second_stage == "regression" and data.group_level:
        z = np.stack([one.of_groups() for one in batch.datasets])
        return from_least_squares(lmm.regressed_two_stage(fitted, z), REGRESSION)
    conventions = CONVENTIONS
    if inference.second_stage == "HC3":
        fitted, conventions = replace(fitted, se=fitted.se * np.sqrt(G / (G - 1))), HC3
    fits = fits_within(batch, fitted, conventions)
    if inference.second_stage != "sign flips":
        return fits
    assert fitted.by_group is not None
    entropy = [one.entropy for one in batch.datasets]
    tested = lmm.sign_flips(fitted.by_group, entropy, inference.draws, inference.enumerate_up_to)
    more = np.full(n_terms - fitted.estimate.shape[1], np.nan)
    tests = zip(tested.p_value, tested.ci_low, tested.ci_high, strict=True)
    return [
        replace(fit, own=OwnTests("sign flips", *(np.append(part, more) for part in test)))
        if isinstance(fit, Fit)
        else fit
        for fit, test in zip(fits, tests, strict=True)
    ]
