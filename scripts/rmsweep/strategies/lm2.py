"""Two-stage regression (summary statistics)."""

from __future__ import annotations

import numpy as np

from rmsweep.dataset import Batch, Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Conventions, Fit, FitError, from_least_squares

ENGINE = "statsmodels"
CONVENTIONS = Conventions(se_type="SD of group coefficients / sqrt(G)", df_type="G-1", ci_type="t")


def minimum(n_terms: int) -> tuple[int, int]:
    """As many observations in each group as the group's regression has coefficients."""
    return 2, n_terms


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def fit(data: Dataset, settings: Settings) -> Fit:
    """Fit each group on its own; then test the mean of the groups' coefficients.

    The estimate is the mean over groups, its standard error SD/sqrt(G), with G - 1 degrees of
    freedom: a one-sample t test (Frison & Pocock 1992; Holmes & Friston 1998).
    """
    from statsmodels.regression.linear_model import OLS

    n_terms = data.X.shape[1]
    if data.n_groups < 2:
        raise FitError("one group leaves nothing to compare")
    coefficients = np.empty((data.n_groups, n_terms))
    for group in range(data.n_groups):
        rows = data.groups == group
        X = data.X[rows]
        if len(X) < n_terms:
            raise FitError(f"group {group + 1} has {len(X)} rows for {n_terms} coefficients")
        if np.linalg.matrix_rank(X) < n_terms:
            raise FitError(f"group {group + 1}: the design matrix has a rank below {n_terms}")
        coefficients[group] = OLS(data.y[rows], X).fit().params
    return Fit(
        estimate=coefficients.mean(axis=0),
        se=coefficients.std(axis=0, ddof=1) / np.sqrt(data.n_groups),
        df=np.full(n_terms, float(data.n_groups - 1)),
        **CONVENTIONS,
    )


def fit_natively(batch: Batch, settings: Settings) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    from rmsweep import lmm

    return from_least_squares(lmm.two_stage(batch.crossproducts(settings.terms)), CONVENTIONS)
