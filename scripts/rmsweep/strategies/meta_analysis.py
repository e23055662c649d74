"""Two-stage regression whose second stage is a random-effects meta-analysis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    NoOptions,
    Preset,
    r_file,
    says_nothing_of,
    two_stage,
)

if TYPE_CHECKING:
    from rmsweep.lmm import LeastSquaresFit

ENGINE = "metafor"
R_PACKAGES = ("metafor",)
SOURCE = Path(__file__).with_name("meta_analysis.R")
PRESETS = {
    "lm2_weighted": Preset(
        "Two-stage regression with precision weights (meta-analysis)",
        assumes="independent groups, normal coefficients, the same noise in all groups",
        convention="pooled s2, REML between groups, Knapp-Hartung standard errors, t on G-1 "
        "degrees of freedom",
        reference="metafor's rma(method = 'REML', test = 'knha')",
        use="in place of lm2 where groups are small, or unequal",
    )
}
CONVENTIONS = Conventions(se_type="Knapp-Hartung", df_type="G-1", ci_type="t")


def warm_up() -> None:
    """Start R with metafor."""
    r_file.ours(SOURCE, R_PACKAGES).warm_up()


def refuses(data: Dataset, options: NoOptions) -> str:
    """Each group needs a regression, and all together need residuals."""
    if reason := two_stage.refuses(data, options):
        return reason
    n_all = data.n_groups * len(data.within().terms)
    if len(data.y) <= n_all:
        return f"{len(data.y)} rows for {n_all} coefficients of the groups leave no residuals"
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit each group by R's lm, then metafor's random-effects model of each coefficient.

    Sampling variances have the s² of all groups together: with each group's own, which may have
    one degree of freedom, tests are liberal.
    """
    # both engines refuse the same data
    if reason := _native(Batch([data])).messages[0]:
        raise FitError(reason)
    within = data.within()
    table = r_file.ours(SOURCE, R_PACKAGES).call(within)
    return table.fit(data, within.terms, CONVENTIONS, says_nothing_of(data.group_level))


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same by closed forms, and a search for each variance between groups."""
    return two_stage.fits_within(batch, _native(batch), CONVENTIONS)


def _native(batch: Batch) -> LeastSquaresFit:
    from rmsweep import lmm

    return lmm.weighted_two_stage(two_stage.products_within(batch))
