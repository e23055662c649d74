"""Least squares with standard errors that are robust to groups and to items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rmsweep.data.cells import FACTOR
from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    CIType,
    Conventions,
    Fit,
    FitError,
    NoOptions,
    Preset,
    from_least_squares,
    lacks,
    least_squares,
)

if TYPE_CHECKING:
    from rmsweep.lmm import LeastSquaresFit

ENGINE, PACKAGES = least_squares.ENGINE, least_squares.PACKAGES


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of a fit.

    Attributes
    ----------
    test : {"t", "z"}
        Whether tests and intervals are by Student's t or by the normal distribution.
    """

    test: CIType = "t"

    def conventions(self) -> Conventions:
        """As `Fit` takes them."""
        return Conventions(
            se_type="two-way cluster C/(C-1) (N-1)/(N-K)",
            df_type="min(G,I)-1" if self.test == "t" else "normal",
            ci_type=self.test,
        )


PRESETS = {
    "lm_twoway": Preset(
        "OLS with standard errors clustered by groups and by items",
        assumes="rows that are independent if they share neither group nor item; many of both",
        convention="V of groups + V of items - V of pairs, each with its own C/(C-1) (N-1)/(N-K), "
        "t on min(G,I)-1 degrees of freedom",
        reference="Cameron, Gelbach & Miller 2011; statsmodels",
        use="as the cluster-robust strategy where groups meet items; liberal with few of either",
        needs_items=True,
    ),
}

warm_up = least_squares.warm_up


def refuses(data: Dataset, options: NoOptions) -> str:
    """There must be groups, items and residuals."""
    if reason := lacks(data, FACTOR) or least_squares.refuses(data, options):
        return reason
    return "" if data.factors[FACTOR].any() else "one item leaves nothing to compare"


def fit(data: Dataset, options: NoOptions) -> Any:
    """Fit ordinary least squares by statsmodels (`least_squares.fit`)."""
    return least_squares.fit(data, options)


def infer(data: Dataset, fitted: Any, inference: Inference) -> Fit:
    """Make two-way clustered standard errors of the fit, as `lmm.two_way_ols` says.

    statsmodels' own, but for a covariance with a variance that is not positive, which it leaves.
    """
    from rmsweep import lmm

    clusters = np.column_stack([data.groups, data.factors[FACTOR]])
    robust = fitted.get_robustcov_results("cluster", groups=clusters)
    X, centre = lmm.centred(data.X)
    unit = lmm.units(X)
    half = lmm.uncentred((robust.cov_params() / np.outer(unit, unit))[None], centre[None])
    V = lmm.positive(lmm.uncentred(half.transpose(0, 2, 1), centre[None])[0])
    n_least = min(data.n_groups, int(data.factors[FACTOR].max()) + 1)
    return Fit(
        estimate=lmm.uncentred((fitted.params / unit)[None], centre[None])[0],
        se=np.sqrt(V.diagonal()),
        df=np.full(len(data.terms), n_least - 1.0 if inference.test == "t" else np.inf),
        **inference.conventions(),
    )


def fit_batch(batch: Batch, options: NoOptions) -> LeastSquaresFit:
    """Fit the same by the project's own code."""
    from rmsweep import lmm

    problems = batch.crossproducts(batch.datasets[0].terms).problems
    estimate, se = np.full((2, len(problems), len(batch.datasets[0].terms)), np.nan)
    for places in batch.same_rows:
        part = [batch.datasets[place] for place in places]
        own = lmm.two_way_ols(
            np.stack([data.y for data in part]),
            np.stack([data.X for data in part]),
            part[0].groups,
            part[0].factors[FACTOR],
            [problems[place] for place in places],
        )
        estimate[places], se[places] = own.estimate, own.se
    return replace(own, estimate=estimate, se=se, messages=problems)


def infer_batch(
    batch: Batch, fitted: LeastSquaresFit, inference: Inference
) -> list[Fit | FitError]:
    """Say by what distribution it is tested."""
    if inference.test == "z":
        fitted = replace(fitted, df=np.inf)
    return from_least_squares(fitted, inference.conventions())
