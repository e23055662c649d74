"""Least squares on the means of the groups."""

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
PRESETS = {
    "between": Preset(
        "OLS on the means of the groups",
        assumes="the same coefficients between groups as within; groups of like size",
        convention="s2 (X'X)^-1 of the means, t on G-K degrees of freedom",
        reference="lm of R on means; plm's between",
        use="beside fe, to see whether groups differ as their rows do (Simpson)",
    )
}
CONVENTIONS = Conventions(se_type="s2 (X'X)^-1 of group means", df_type="G-K", ci_type="t")


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def refuses(data: Dataset, options: NoOptions) -> str:
    """Groups are the observations."""
    if data.terms[0] != "Intercept":
        return "the regression of group means has an intercept, and the model has none"
    if data.n_groups <= len(data.terms):
        n_terms = len(data.terms)
        return f"{data.n_groups} groups for {n_terms} coefficients leave no degree of freedom"
    if len(data.y) <= len(data.terms):
        return f"{len(data.y)} observations for {len(data.terms)} coefficients"
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit OLS of the groups' means by statsmodels, each group being one observation."""
    from statsmodels.regression.linear_model import OLS

    from rmsweep import lmm

    # both engines refuse the same data
    products = Batch([data]).crossproducts(data.terms)
    if reason := lmm.between_ols(products).messages[0]:
        raise FitError(reason)
    X, centre = lmm.centred(data.X)
    sizes = np.bincount(data.groups)

    def means(column: np.ndarray) -> np.ndarray:
        return np.bincount(data.groups, weights=column) / sizes

    result = OLS(means(data.y), np.column_stack([means(column) for column in X.T])).fit()
    half = lmm.uncentred(result.cov_params()[None], centre[None])
    return Fit(
        estimate=lmm.uncentred(result.params[None], centre[None])[0],
        se=np.sqrt(lmm.uncentred(half.transpose(0, 2, 1), centre[None])[0].diagonal()),
        df=np.full(len(data.terms), float(data.n_groups - len(data.terms))),
        **CONVENTIONS,
    )


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return from_least_squares(lmm.between_ols(products), CONVENTIONS)
