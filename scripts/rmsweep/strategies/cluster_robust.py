"""Least squares with cluster-robust standard errors that are right for few groups, too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    CIType,
    Conventions,
    Fit,
    FitError,
    Preset,
    from_least_squares,
    least_squares,
    r_file,
)

if TYPE_CHECKING:
    from rmsweep.lmm import LeastSquaresFit

ENGINE = "clubSandwich"
R_PACKAGES = ("clubSandwich",)
SOURCE = Path(__file__).with_name("cluster_robust.R")


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on.

    Attributes
    ----------
    errors : {"CR2", "CR3"}
        Bell & McCaffrey's, with Satterthwaite's degrees of freedom, or the jackknife's, with G − 1.
    test : {"t", "z"}
        Whether tests and intervals are by Student's t or by the normal distribution.
    """

    errors: Literal["CR2", "CR3"] = "CR2"
    test: CIType = "t"

    def conventions(self) -> Conventions:
        """As `Fit` takes them."""
        found = CONVENTIONS[self.errors].copy()
        return found if self.test == "t" else found | {"df_type": "normal", "ci_type": "z"}


PRESETS = {
    "lm_cr2": Preset(
        "OLS with bias-reduced cluster-robust standard errors (CR2)",
        {"errors": "CR2"},
        assumes="independent groups",
        convention="CR2 for independent rows of equal variance, t on Satterthwaite's degrees of "
        "freedom",
        reference="Bell & McCaffrey 2002, Pustejovsky & Tipton 2018; clubSandwich",
        use="as the cluster-robust strategy for few, or unequal, groups",
    ),
    "lm_cr3": Preset(
        "OLS with jackknife cluster-robust standard errors (CR3)",
        {"errors": "CR3"},
        assumes="independent groups, without any of which all coefficients are determined",
        convention="CR3 (G-1)/G, t on G-1 degrees of freedom",
        reference="Cameron, Gelbach & Miller 2008; clubSandwich but for the factor",
        use="as CR2, where a little conservative is better than a little liberal",
    ),
}
CONVENTIONS = {
    "CR2": Conventions(se_type="CR2", df_type="Satterthwaite", ci_type="t"),
    "CR3": Conventions(se_type="CR3 (G-1)/G", df_type="G-1", ci_type="t"),
}


def warm_up() -> None:
    """Start R with clubSandwich."""
    r_file.ours(SOURCE, R_PACKAGES).warm_up()


def refuses(data: Dataset, options: Options) -> str:
    """There must be groups and residuals; for the jackknife, also when one group is left out."""
    n_rows, n_terms = data.X.shape
    rest = n_rows - int(np.bincount(data.groups).max())
    reason = least_squares.refuses(data, options)
    if not reason and options.errors == "CR3" and rest < n_terms:
        return f"without the largest group, {rest} rows are left for {n_terms} coefficients"
    return reason


def fit(data: Dataset, options: Options) -> Fit:
    """Fit OLS by R's lm, with clubSandwich's standard errors and degrees of freedom.

    Those of CR3 are multiplied by √((G - 1)/G), which makes them the jackknife's, and have G - 1
    degrees of freedom (Cameron, Gelbach & Miller 2008, Review of Economics and Statistics 90:414).
    """
    # both engines refuse the same data
    if reason := _native(Batch([data]), options).messages[0]:
        raise FitError(reason)
    table = r_file.ours(SOURCE, R_PACKAGES).call(data, options.errors)
    found = table.fit(data, data.terms, options.conventions())
    if options.errors == "CR3":
        G = data.n_groups
        df = np.full(len(found.se), G - 1.0)
        found = replace(found, se=found.se * np.sqrt((G - 1) / G), df=df)
    return found if options.test == "t" else replace(found, df=np.full(len(found.se), np.inf))


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    fitted = _native(batch, options)
    if options.test == "z":
        fitted = replace(fitted, df=np.inf)
    return from_least_squares(fitted, options.conventions())


def _native(batch: Batch, options: Options) -> LeastSquaresFit:
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return lmm.bias_reduced_ols(products, options.errors)
