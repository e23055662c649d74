"""Two-stage regression: one for each group, then a test of the groups' coefficients."""

from __future__ import annotations

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import group_level, smallest_group
from rmsweep.design import Condition
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    NoOptions,
    Preset,
    from_least_squares,
)

ENGINE = "statsmodels"
PACKAGES = ("statsmodels",)
PRESETS = {"lm2": Preset("Two-stage regression (summary statistics)")}
CONVENTIONS = Conventions(se_type="SD of group coefficients / sqrt(G)", df_type="G-1", ci_type="t")


def refuses(data: Dataset, options: NoOptions) -> str:
    """Each group needs as many rows as its regression has coefficients."""
    n_terms = data.X.shape[1]
    if data.n_groups < 2:
        return "one group leaves nothing to compare"
    sizes = np.bincount(data.groups)
    smallest = int(sizes.argmin())
    if sizes[smallest] < n_terms:
        return f"group {smallest + 1} has {sizes[smallest]} rows for {n_terms} coefficients"
    return ""


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def tail_df(condition: Condition) -> float:
    """Tails of the estimates.

    In a group of n rows the inverse cross-products of p normal predictors are those of an inverse
    chi-squared variable with n − p degrees of freedom, so that its coefficients are t distributed,
    and so are their mean's tails. The smallest group decides; one with fewer rows than coefficients
    is not fitted at all. Predictors of level 2 are no part of a group's regression.
    """
    n_predictors = int(condition["n_predictors"]) - len(group_level(condition))
    return float(max(smallest_group(condition) - n_predictors, 1))


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit each group on its own; then test the mean of the groups' coefficients.

    The estimate is the mean over groups, its standard error SD/sqrt(G), with G - 1 degrees of
    freedom: a one-sample t test (Frison & Pocock 1992; Holmes & Friston 1998).
    """
    from statsmodels.regression.linear_model import OLS

    from rmsweep import lmm

    n_terms = data.X.shape[1]
    # both engines refuse the same data
    if problem := lmm.two_stage(Batch([data]).crossproducts(data.terms)).messages[0]:
        raise FitError(problem)
    X, centre = lmm.centred(data.X)
    coefficients = np.empty((data.n_groups, n_terms))
    for group in range(data.n_groups):
        rows = data.groups == group
        coefficients[group] = OLS(data.y[rows], X[rows]).fit().params
    coefficients = lmm.uncentred(coefficients, np.tile(centre, (data.n_groups, 1)))
    return Fit(
        estimate=coefficients.mean(axis=0),
        se=coefficients.std(axis=0, ddof=1) / np.sqrt(data.n_groups),
        df=np.full(n_terms, float(data.n_groups - 1)),
        **CONVENTIONS,
    )


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return from_least_squares(lmm.two_stage(products), CONVENTIONS)
