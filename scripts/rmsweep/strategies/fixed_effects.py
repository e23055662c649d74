"""Least squares with a fixed effect for each group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    Preset,
    from_least_squares,
    r_file,
    says_nothing_of,
)

if TYPE_CHECKING:
    from rmsweep.lmm import LeastSquaresFit

ENGINE = "plm"
R_PACKAGES = ("plm", "clubSandwich")
SOURCE = Path(__file__).with_name("fixed_effects.R")


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on.

    Attributes
    ----------
    errors : {"CR1", "CR2"}
        Stata's cluster-robust standard errors, with G − 1 degrees of freedom, or Bell &
        McCaffrey's, with Satterthwaite's.
    """

    errors: Literal["CR1", "CR2"] = "CR1"


PRESETS = {
    "fe": Preset(
        "Fixed effects for groups with cluster-robust standard errors",
        {"errors": "CR1"},
        assumes="independent groups, and many of them; their levels may go with the predictors",
        convention="CR1: G/(G-1) (N-1)/(N-p), p slopes, t on G-1 degrees of freedom",
        reference="Stata's xtreg, plm",
        use="where groups that differ in a predictor also differ in the response (Simpson)",
    ),
    "fe_cr2": Preset(
        "Fixed effects for groups with bias-reduced standard errors (CR2)",
        {"errors": "CR2"},
        assumes="independent groups; their levels may go with the predictors",
        convention="CR2 of the deviations from group means, t on Satterthwaite's degrees of "
        "freedom",
        reference="Pustejovsky & Tipton 2018; plm with clubSandwich",
        use="as fe, with few groups",
    ),
}
CONVENTIONS = {
    "CR1": Conventions(se_type="cluster G/(G-1) (N-1)/(N-p)", df_type="G-1", ci_type="t"),
    "CR2": Conventions(se_type="CR2", df_type="Satterthwaite", ci_type="t"),
}


def warm_up() -> None:
    """Start R with plm and clubSandwich."""
    r_file.ours(SOURCE, R_PACKAGES).warm_up()


def refuses(data: Dataset, options: Options) -> str:
    """There must be slopes of an intercept, groups, and residuals."""
    if data.terms[0] != "Intercept":
        return "fixed effects take the place of an intercept, and there is none"
    if data.n_groups < 2:
        return "one group leaves nothing to compare"
    n_rows, n_slopes = len(data.y), len(data.within().terms) - 1
    if n_slopes == 0:
        return "there is no predictor that varies within groups"
    if n_rows - data.n_groups <= n_slopes:
        n_groups = data.n_groups
        return (
            f"{n_rows} observations for {n_groups} groups and {n_slopes} slopes leave no degree of "
            "freedom"
        )
    return ""


def fit(data: Dataset, options: Options) -> Fit:
    """Fit the within estimator by plm.

    The standard errors are Stata's, plm's ``sss``, which count the slopes but not the fixed
    effects; or clubSandwich's CR2.
    """
    # both engines refuse the same data
    if reason := _native(Batch([data]), options).messages[0]:
        raise FitError(reason)
    within = data.within()
    table = r_file.ours(SOURCE, R_PACKAGES).call(within, options.errors)
    return table.fit(data, within.terms[1:], CONVENTIONS[options.errors], _unsaid(data))


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    data = batch.datasets[0]
    return from_least_squares(
        _native(batch, options),
        CONVENTIONS[options.errors],
        n_terms=len(data.terms),
        first=1,
        unsaid=_unsaid(data),
    )


def _native(batch: Batch, options: Options) -> LeastSquaresFit:
    from rmsweep import lmm

    within = batch.within
    return lmm.within_ols(within.crossproducts(within.datasets[0].terms), options.errors)


def _unsaid(data: Dataset) -> str:
    return "; ".join(filter(None, ["no intercept", says_nothing_of(data.group_level)]))
