"""Least squares with cluster-robust standard errors that are right for few sites, too."""

from __future__ import annotations

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.sites import FACTOR
from rmsweep.strategies import Fit, FitError, Preset, cluster_robust, lacks
from rmsweep.strategies.seen_from import all_seen_from, said_of, seen_and_fitted, seen_from

ENGINE, R_PACKAGES = cluster_robust.ENGINE, cluster_robust.R_PACKAGES
Options = cluster_robust.Options

PRESETS = {
    "lm_sites_cr2": Preset(
        "OLS with bias-reduced standard errors clustered by site (CR2)",
        {"errors": "CR2"},
        assumes="independent sites",
        convention="CR2 for independent rows of equal variance, t on Satterthwaite's degrees of "
        "freedom",
        reference="as lm_cr2, at the highest level (Pustejovsky & Tipton 2018); clubSandwich",
        use="as the cluster-robust strategy where groups are nested in few, or unequal, sites",
        needs_sites=True,
    ),
}

warm_up = cluster_robust.warm_up


def refuses(data: Dataset, options: Options) -> str:
    """There must be sites, and what the strategy of groups needs."""
    if reason := lacks(data, FACTOR):
        return reason
    return said_of(FACTOR, data, cluster_robust.refuses(seen_from(data, FACTOR), options))


def fit(data: Dataset, options: Options) -> Fit:
    """Fit by clubSandwich, as the strategy of groups."""
    return seen_and_fitted(data, FACTOR, lambda seen: cluster_robust.fit(seen, options))


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the sites' cross-products."""
    return all_seen_from(batch, FACTOR, lambda seen: cluster_robust.fit_batch(seen, options))
