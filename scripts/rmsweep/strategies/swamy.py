"""Random coefficients by generalised least squares of the groups' own (Swamy)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    Conventions,
    Fit,
    FitError,
    NoOptions,
    Preset,
    r_file,
    two_stage,
)

ENGINE = "plm"
R_PACKAGES = ("plm",)
SOURCE = Path(__file__).with_name("swamy.R")
PRESETS = {
    "lm2_swamy": Preset(
        "Random coefficients by Swamy's generalised least squares",
        assumes="independent groups of many rows each, and many of them",
        convention="inverse of the summed weights, normal distribution; where the estimated "
        "covariance between groups is not positive semidefinite, it is that of the groups' "
        "coefficients, as their sampling variance is not taken off",
        reference="Swamy 1970; plm's pvcm(model = 'random')",
        use="as the moment estimator beside lmer, with long groups",
    )
}
CONVENTIONS = Conventions(se_type="Swamy", df_type="normal", ci_type="z")
ALONE = "Swamy, sampling variance not taken off"
"""Standard errors where the difference of two covariances is none."""


def warm_up() -> None:
    """Start R with plm."""
    r_file.ours(SOURCE, R_PACKAGES).warm_up()


def refuses(data: Dataset, options: NoOptions) -> str:
    """Each group needs a variance of its own."""
    if reason := two_stage.refuses(data, options):
        return reason
    n_terms = len(data.within().terms)
    sizes = np.bincount(data.groups)
    smallest = int(sizes.argmin())
    if sizes[smallest] <= n_terms:
        return (
            f"group {smallest + 1} has {sizes[smallest]} rows for {n_terms} coefficients and a "
            "variance"
        )
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit plm's ``pvcm``.

    Where the estimated covariance between groups has a negative eigenvalue, plm, and so the other
    engine, takes the covariance of the groups' coefficients without their sampling variance off.
    `Fit.se_type` then says so. That is the estimator's definition, not a fit that went wrong.
    """
    # both engines refuse the same data
    (native,) = fit_batch(Batch([data]), options)
    if isinstance(native, FitError):
        raise native
    within = data.within()
    table = r_file.ours(SOURCE, R_PACKAGES).call(within)
    found = table.fit(data, within.terms, CONVENTIONS, native.unsaid)
    return replace(found, se_type=native.se_type)


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same by closed forms, from the groups' cross-products."""
    from rmsweep import lmm

    fitted, alone = lmm.swamy(two_stage.products_within(batch))
    return [
        replace(fit, se_type=ALONE) if without and isinstance(fit, Fit) else fit
        for fit, without in zip(
            two_stage.fits_within(batch, fitted, CONVENTIONS), alone, strict=True
        )
    ]
