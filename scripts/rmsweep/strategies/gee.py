"""Generalised estimating equations with an exchangeable working correlation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import (
    Conventions,
    Convergence,
    Fit,
    FitError,
    NoOptions,
    Preset,
    from_least_squares,
    least_squares,
    r_file,
)

if TYPE_CHECKING:
    from rmsweep.lmm import GeeFit

ENGINE = "geepack"
R_PACKAGES = ("geepack",)
SOURCE = Path(__file__).with_name("gee.R")
PRESETS = {
    "gee_exch": Preset(
        "GEE with an exchangeable working correlation",
        assumes="independent groups, and many of them",
        convention="empirical (CR0) standard errors, normal distribution; moments over N, as in "
        "geepack",
        reference="Liang & Zeger 1986; geepack",
        use="as the default of epidemiology; with few groups its tests are liberal",
    )
}
CONVENTIONS = Conventions(se_type="CR0", df_type="normal", ci_type="z")
OPTIMIZER = "fixed point"
UNFINISHED = "coefficients and correlation still change after 200 steps"


def warm_up() -> None:
    """Start R with geepack."""
    r_file.ours(SOURCE, R_PACKAGES).warm_up()


def refuses(data: Dataset, options: NoOptions) -> str:
    """There must be an intercept, groups, residuals, and pairs of rows in one group."""
    if data.terms[0] != "Intercept":
        return "an exchangeable correlation needs an intercept here, and there is none"
    if reason := least_squares.refuses(data, options):
        return reason
    if np.bincount(data.groups).max() < 2:
        return "no group has two rows, so there is no correlation to estimate"
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit by geepack's ``geeglm``, to the fixed point and not to its default of 1e-4."""
    # both engines refuse the same data
    if reason := _native(Batch([data])).fit.messages[0]:
        raise FitError(reason)
    return r_file.ours(SOURCE, R_PACKAGES).call(data).fit(data, data.terms, CONVENTIONS)


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same from the groups' cross-products."""
    return with_convergence(_native(batch), CONVENTIONS)


def with_convergence(found: GeeFit, conventions: Conventions) -> list[Fit | FitError]:
    """The fits of many datasets, with what there is to say of their iterations."""
    said = {
        True: Convergence(optimizer=OPTIMIZER, opt_code=0),
        False: Convergence(optimizer=OPTIMIZER, opt_code=1, messages=UNFINISHED),
    }
    return [
        replace(fit, convergence=said[bool(converged)]) if isinstance(fit, Fit) else fit
        for fit, converged in zip(
            from_least_squares(found.fit, conventions), found.converged, strict=True
        )
    ]


def _native(batch: Batch) -> GeeFit:
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return lmm.gee_exchangeable(products, "CR0", "N")
