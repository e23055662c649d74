"""Least squares on all rows, with standard errors that know of the groups, or don't."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    CIType,
    Conventions,
    Fit,
    FitError,
    NoOptions,
    Preset,
    from_least_squares,
)

if TYPE_CHECKING:
    from rmsweep.lmm import CrossProducts

ENGINE = "statsmodels"
PACKAGES = ("statsmodels",)

Errors = Literal["independent", "N/(N-K)", "(N-1)/(N-K)"]
_SE_TYPES = {
    "independent": "s2 (X'X)^-1",
    "N/(N-K)": "cluster G/(G-1) N/(N-K)",
    "(N-1)/(N-K)": "cluster G/(G-1) (N-1)/(N-K)",
}
_DF_TYPES = {"independent": "N-K", "N/(N-K)": "G-K", "(N-1)/(N-K)": "G-1"}


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of a fit.

    Attributes
    ----------
    errors : {"independent", "N/(N-K)", "(N-1)/(N-K)"}
        Standard errors of independent rows, with N − K degrees of freedom, or cluster-robust ones
        with one of two corrections beside G/(G − 1): the post's, with G − K degrees of freedom, or
        CR1, that of Stata, with G − 1.
    test : {"t", "z"}
        Whether tests and intervals are by Student's t or by the normal distribution.
    """

    errors: Errors = "N/(N-K)"
    test: CIType = "t"

    def conventions(self) -> Conventions:
        """As `Fit` takes them."""
        df_type = _DF_TYPES[self.errors] if self.test == "t" else "normal"
        return Conventions(se_type=_SE_TYPES[self.errors], df_type=df_type, ci_type=self.test)


PRESETS = {
    "lm": Preset(
        "OLS with cluster-robust standard errors",
        {"errors": "N/(N-K)"},
        assumes="independent groups, and many of them",
        convention="G/(G-1) N/(N-K), t on G-K degrees of freedom",
        reference="Cameron & Miller 2015; statsmodels but for the factor",
        use="with many more groups than coefficients; with hardly more it never rejects",
    ),
    "ols": Preset(
        "OLS that takes all rows for independent",
        {"errors": "independent"},
        assumes="independent rows of equal variance",
        convention="s2 (X'X)^-1, t on N-K degrees of freedom",
        reference="lm of R; statsmodels",
        use="to see what it costs to ignore the groups",
    ),
    "lm_cr1": Preset(
        "OLS with Stata's cluster-robust standard errors",
        {"errors": "(N-1)/(N-K)"},
        assumes="independent groups, and many of them",
        convention="CR1: G/(G-1) (N-1)/(N-K), t on G-1 degrees of freedom",
        reference="Stata, fixest, pyfixest, statsmodels",
        use="as the default of applied economics",
    ),
    "lm_z": Preset(
        "OLS with cluster-robust standard errors and normal tests",
        {"errors": "(N-1)/(N-K)", "test": "z"},
        assumes="independent groups, and very many of them",
        convention="CR1: G/(G-1) (N-1)/(N-K), normal distribution",
        reference="Cameron, Gelbach & Miller 2008, table 2; statsmodels",
        use="to see what normal tests do with few groups",
    ),
}


def refuses(data: Dataset, options: object) -> str:
    """There must be groups, and residuals."""
    n_rows, n_terms = data.X.shape
    if data.n_groups < 2:
        return "one group leaves nothing to compare"
    if n_rows <= n_terms:
        return f"{n_rows} observations for {n_terms} coefficients leave no degree of freedom"
    return ""


def refuses_to_infer(data: Dataset, inference: Inference) -> str:
    """Without more groups than coefficients, G - K degrees of freedom run out."""
    n_terms = data.X.shape[1]
    by_t = inference.test == "t"
    if inference.errors == "N/(N-K)" and by_t and data.n_groups <= n_terms:
        return f"{data.n_groups} groups for {n_terms} coefficients leave no degree of freedom"
    return ""


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.regression.linear_model  # noqa: F401


def fit(data: Dataset, options: NoOptions) -> Any:
    """Fit ordinary least squares to all rows, ignoring the groups.

    Returns
    -------
    results of statsmodels
        Of predictors that are centred where they are far from zero, and scaled where they are of
        very different sizes.
    """
    from statsmodels.regression.linear_model import OLS

    from rmsweep import lmm

    # both engines refuse the same data
    if problem := Batch([data]).crossproducts(data.terms).problems[0]:
        raise FitError(problem)
    X, _ = lmm.centred(data.X)
    return OLS(data.y, X / lmm.units(X)).fit()


def infer(data: Dataset, fitted: Any, inference: Inference) -> Fit:
    r"""Make standard errors of the fit; let them know of the groups, or not.

    .. math::

        V = \frac{G}{G-1} \frac{N}{N-K} A \Big(\sum_g s_g s_g'\Big) A, \quad
        s_g = X_g' u_g,\ A = (X'X)^{-1}

    with t statistics on G - K degrees of freedom (Cameron & Miller 2015, J. Human Resources
    50:317, with the post's N/(N-K)); or, as in Stata and statsmodels, (N-1)/(N-K) and G - 1; or
    s²A on N - K.
    """
    from rmsweep import lmm

    n_rows, n_terms = data.X.shape
    X, centre = lmm.centred(data.X)
    unit = lmm.units(X)
    factor = 1.0
    if inference.errors == "independent":
        covariance, df = fitted.cov_params(), n_rows - n_terms
    else:
        robust = fitted.get_robustcov_results("cluster", groups=data.groups)
        covariance, df = robust.cov_params(), data.n_groups - 1
        if inference.errors == "N/(N-K)":
            factor, df = np.sqrt(n_rows / (n_rows - 1)), data.n_groups - n_terms
    half = lmm.uncentred((covariance / np.outer(unit, unit))[None], centre[None])
    variance = lmm.uncentred(half.transpose(0, 2, 1), centre[None])[0].diagonal()
    return Fit(
        estimate=lmm.uncentred((fitted.params / unit)[None], centre[None])[0],
        se=np.sqrt(variance) * factor,
        df=np.full(n_terms, float(df) if inference.test == "t" else np.inf),
        **inference.conventions(),
    )


def fit_batch(batch: Batch, options: NoOptions) -> CrossProducts:
    """The cross-products of the groups, of which `infer_batch` makes closed forms."""
    return batch.crossproducts(batch.datasets[0].terms)


def infer_batch(batch: Batch, fitted: CrossProducts, inference: Inference) -> list[Fit | FitError]:
    """Make the same of cross-products, for many datasets."""
    from rmsweep import lmm

    if inference.errors == "independent":
        found = lmm.ols(fitted)
    else:
        found = lmm.cluster_robust_ols(fitted, inference.errors)
    if inference.test == "z":
        found = replace(found, df=np.inf)
    return from_least_squares(found, inference.conventions())
