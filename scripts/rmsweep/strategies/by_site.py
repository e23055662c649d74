"""Strategies that know of groups, with the sites that groups are nested in in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import smallest_group
from rmsweep.data.sites import FACTOR
from rmsweep.data.vectors import vector
from rmsweep.design import Condition
from rmsweep.strategies import Fit, FitError, NoOptions, Preset, lacks, least_squares, two_stage
from rmsweep.strategies.seen_from import all_seen_from, said_of, seen_and_fitted, seen_from

ENGINE, PACKAGES = least_squares.ENGINE, least_squares.PACKAGES


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on.

    Attributes
    ----------
    analysis : {"CR1", "two-stage"}
        Least squares with cluster-robust standard errors, or a regression for each site.
    """

    analysis: Literal["CR1", "two-stage"] = "CR1"

    @property
    def of_groups(self) -> tuple[Any, Any]:
        """The family of the strategy that has groups in the sites' place, and its inference."""
        if self.analysis == "CR1":
            return least_squares, least_squares.Inference("(N-1)/(N-K)")
        return two_stage, two_stage.Inference("regression")


PRESETS = {
    "lm_sites": Preset(
        "OLS with standard errors clustered by site",
        {"analysis": "CR1"},
        assumes="independent sites, and many of them",
        convention="CR1: S/(S-1) (N-1)/(N-K), t on S-1 degrees of freedom, S sites",
        reference="as lm_cr1, at the highest level (Cameron & Miller 2015); statsmodels",
        use="as the cluster-robust strategy where groups are nested in many sites",
        needs_sites=True,
    ),
    "lm2_sites": Preset(
        "Two-stage regression by site",
        {"analysis": "two-stage"},
        assumes="independent sites; nothing of their coefficients' distribution but normality",
        convention="SD of the sites' coefficients / sqrt(S), t on S-1 degrees of freedom; "
        "predictors that are constant within sites by OLS of the sites' intercepts",
        reference="as lm2_level2, at the highest level (Frison & Pocock 1992)",
        use="with few sites of many rows each: exact where sites are alike in size and design",
        needs_sites=True,
    ),
}

warm_up = least_squares.warm_up


def refuses(data: Dataset, options: Options) -> str:
    """There must be sites, and what the strategy of groups needs."""
    if reason := lacks(data, FACTOR):
        return reason
    (family, inference), seen = options.of_groups, seen_from(data, FACTOR)
    reason = family.refuses(seen, NoOptions()) or family.refuses_to_infer(seen, inference)
    if reason or options.analysis == "CR1":
        return said_of(FACTOR, data, reason)
    return lacks_groups(data)


def lacks_groups(data: Dataset) -> str:
    """That a site has too few groups for its regression; empty if none has.

    Terms that are constant within groups, but not within sites, have as many values in a site as it
    has groups.
    """
    if FACTOR not in data.above:
        return ""
    same = {"Intercept", *data.group_level} - {*data.constant.get(FACTOR, ())}
    needed = len(same & {*data.terms})
    n_groups = np.bincount(data.above[FACTOR])
    smallest = int(n_groups.argmin())
    if n_groups[smallest] < needed:
        return (
            f"too few groups in site {smallest + 1}: {n_groups[smallest]} for {needed} "
            "coefficients between groups"
        )
    return ""


def tail_df(condition: Condition, options: Options) -> float:
    """Tails of the estimates: of two stages as `two_stage`, those of the sites' regressions.

    Predictors of level 2 have as many values in a site as it has groups, those of level 3 are no
    part of these regressions. Least squares on all rows has no such tails.
    """
    if options.analysis == "CR1":
        return np.inf
    n_sites = int(condition["n_sites"])
    if not n_sites:
        return 1.0
    level = vector(condition["predictor_level"], int(condition["n_predictors"]))
    n_groups = condition.n_groups // n_sites
    df = [n_groups * smallest_group(condition) - (level < 3).sum()]
    if (level == 2).any():
        df.append(n_groups - (level == 2).sum())
    return max(float(min(df)), 1.0)


def fit(data: Dataset, options: Options) -> Fit:
    """Fit by statsmodels, as the strategy of groups."""
    family, inference = options.of_groups

    def of(seen: Dataset) -> Fit:
        found: Fit = family.infer(seen, family.fit(seen, NoOptions()), inference)
        return found

    return seen_and_fitted(data, FACTOR, of)


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the sites' cross-products."""
    family, inference = options.of_groups

    def of(seen: Batch) -> list[Fit | FitError]:
        found: list[Fit | FitError]
        found = family.infer_batch(seen, family.fit_batch(seen, NoOptions()), inference)
        return found

    return all_seen_from(batch, FACTOR, of)
