"""Least squares with tests by the wild cluster bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    OwnTests,
    Preset,
    least_squares,
)

ENGINE = "numpy"


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on.

    Attributes
    ----------
    weights : {"auto", "rademacher", "webb"}
        What the residuals of a group are multiplied by: a sign, or one of Webb's six points. By
        default the latter with fewer than 12 groups, which have few vectors of signs: at five
        groups their smallest p-value is 2/32.
    draws : int
        How many; if no more vectors of signs exist, all of them are taken once.
    ties : {"count", "strict"}
        Whether draws with just the observed statistic count as extreme. Equal signs for all groups
        always are such; where they don't count, p can be 0.
    equal_tailed : bool
        Whether p is twice the smaller tail's share of draws, and the interval's tails are equal; by
        default the share of statistics that are as large in absolute value.
    """

    weights: Literal["auto", "rademacher", "webb"] = "auto"
    draws: int = 999
    ties: Literal["count", "strict"] = "count"
    equal_tailed: bool = False

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; allowed: 1 and more")


PRESETS = {
    "lm_wild": Preset(
        "OLS with tests by the restricted wild cluster bootstrap",
        assumes="independent groups; residuals symmetric about zero",
        convention="bootstrap of t under the null hypothesis, interval by inversion; the standard "
        "errors are CR1's",
        reference="Cameron, Gelbach & Miller 2008, Webb 2023; boottest, wildboottest",
        use="with few groups, or where no reference distribution is trusted",
    )
}
CONVENTIONS = Conventions(se_type="cluster G/(G-1) (N-1)/(N-K)", df_type="G-1", ci_type="t")


def refuses(data: Dataset, options: Options) -> str:
    """As for the least squares fit."""
    return least_squares.refuses(data, options)


def fit(data: Dataset, options: Options) -> Fit:
    """Fit one dataset by the closed forms of `fit_batch`.

    There is no other engine: a bootstrap by rows has the same draws and the same tests, which the
    project's tests check, as well as all 2^G signs against wildboottest.
    """
    (found,) = fit_batch(Batch([data]), options)
    if isinstance(found, FitError):
        raise found
    return found


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit OLS, and test all coefficients by the same draws, of each dataset its own."""
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    fitted = lmm.cluster_robust_ols(products, "(N-1)/(N-K)")
    tested = lmm.wild_cluster_bootstrap(
        products,
        [data.entropy for data in batch.datasets],
        weights=options.weights,
        draws=options.draws,
        ties=options.ties,
        equal_tailed=options.equal_tailed,
    )
    df = np.full(products.n_fixed, fitted.df)
    return [
        FitError(message)
        if message
        else Fit(estimate, se, df, own=OwnTests("wild cluster bootstrap", *tests), **CONVENTIONS)
        for estimate, se, message, *tests in zip(
            fitted.estimate,
            fitted.se,
            fitted.messages,
            tested.p_value,
            tested.ci_low,
            tested.ci_high,
            strict=True,
        )
    ]
