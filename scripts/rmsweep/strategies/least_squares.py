"""Least squares on all rows, with standard errors that know of the groups."""

from __future__ import annotations

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
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
PRESETS = {"lm": Preset("OLS with cluster-robust standard errors")}
CONVENTIONS = Conventions(se_type="cluster G/(G-1) N/(N-K)", df_type="G-K", ci_type="t")


def refuses(data: Dataset, options: NoOptions) -> str:
    """Without more groups than coefficients, the G - K degrees of freedom run out."""
    n_rows, n_terms = data.X.shape
    if data.n_groups <= n_terms:
        return f"{data.n_groups} groups for {n_terms} coefficients leave no degree of freedom"
    if n_rows <= n_terms:
        return f"{n_rows} observations for {n_terms} coefficients leave no degree of freedom"
    return ""


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def fit(data: Dataset, options: NoOptions) -> Fit:
    r"""Fit ordinary least squares to all rows, ignoring the groups; let the errors know them.

    .. math::

        V = \frac{G}{G-1} \frac{N}{N-K} A \Big(\sum_g s_g s_g'\Big) A, \quad
        s_g = X_g' u_g,\ A = (X'X)^{-1}

    with t statistics on G - K degrees of freedom (Cameron & Miller 2015, J. Human Resources
    50:317, with the post's N/(N-K); statsmodels has (N-1)/(N-K) and G - 1).
    """
    from statsmodels.regression.linear_model import OLS

    from rmsweep import lmm

    n_rows, n_terms = data.X.shape
    # both engines refuse the same data
    if problem := Batch([data]).crossproducts(data.terms).problems[0]:
        raise FitError(problem)
    X, centre = lmm.centred(data.X)
    result = OLS(data.y, X).fit(cov_type="cluster", cov_kwds={"groups": data.groups})
    half = lmm.uncentred(result.cov_params()[None], centre[None])
    variance = lmm.uncentred(half.transpose(0, 2, 1), centre[None])[0].diagonal()
    return Fit(
        estimate=lmm.uncentred(result.params[None], centre[None])[0],
        se=np.sqrt(variance) * np.sqrt(n_rows / (n_rows - 1)),
        df=np.full(n_terms, float(data.n_groups - n_terms)),
        **CONVENTIONS,
    )


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return from_least_squares(lmm.cluster_robust_ols(products), CONVENTIONS)
