"""Generalised estimating equations with standard errors that are right for few groups, too."""

from __future__ import annotations

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
    gee,
)

if TYPE_CHECKING:
    from rmsweep.lmm import GeeFit

ENGINE = "statsmodels"
PACKAGES = ("statsmodels",)
PRESETS = {
    "gee_exch_md": Preset(
        "GEE with an exchangeable working correlation, bias-reduced",
        assumes="independent groups, more than coefficients",
        convention="Mancl-DeRouen (CR3) standard errors, t on G-K degrees of freedom; moments over "
        "N-K, as in statsmodels",
        reference="Mancl & DeRouen 2001; statsmodels' cov_type='bias_reduced'",
        use="as gee_exch, with few groups",
    )
}
CONVENTIONS = Conventions(se_type="Mancl-DeRouen", df_type="G-K", ci_type="t")
STEPS = 200


def warm_up() -> None:
    """Load statsmodels."""
    import statsmodels.genmod.generalized_estimating_equations  # noqa: F401


def refuses(data: Dataset, options: NoOptions) -> str:
    """As GEE in general; and more groups than coefficients, which each group can be left out of."""
    if reason := gee.refuses(data, options):
        return reason
    n_terms, sizes = len(data.terms), np.bincount(data.groups)
    if data.n_groups <= n_terms:
        return f"{data.n_groups} groups for {n_terms} coefficients leave no degree of freedom"
    if int((sizes * (sizes - 1)).sum()) // 2 <= n_terms:
        return f"too few pairs of rows in one group for a correlation and {n_terms} coefficients"
    rest = len(data.y) - int(sizes.max())
    if rest < n_terms:
        return f"without the largest group, {rest} rows are left for {n_terms} coefficients"
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit by statsmodels' GEE, to the fixed point and not to its default of 1e-6."""
    from statsmodels.genmod.cov_struct import Exchangeable
    from statsmodels.genmod.generalized_estimating_equations import GEE

    from rmsweep import lmm

    # both engines refuse the same data
    if reason := _native(Batch([data])).fit.messages[0]:
        raise FitError(reason)
    X, centre = lmm.centred(data.X)
    model = GEE(data.y, X, groups=data.groups, cov_struct=Exchangeable())
    result = model.fit(maxiter=STEPS, ctol=1e-10, cov_type="bias_reduced")
    half = lmm.uncentred(result.cov_params()[None], centre[None])
    n_terms = len(data.terms)
    return Fit(
        estimate=lmm.uncentred(result.params[None], centre[None])[0],
        se=np.sqrt(lmm.uncentred(half.transpose(0, 2, 1), centre[None])[0].diagonal()),
        df=np.full(n_terms, float(data.n_groups - n_terms)),
        convergence=Convergence(optimizer=gee.OPTIMIZER, opt_code=int(not result.converged)),
        **CONVENTIONS,
    )


def fit_batch(batch: Batch, options: NoOptions) -> list[Fit | FitError]:
    """Fit the same from the groups' cross-products."""
    return gee.with_convergence(_native(batch), CONVENTIONS)


def _native(batch: Batch) -> GeeFit:
    from rmsweep import lmm

    products = batch.crossproducts(batch.datasets[0].terms)
    return lmm.gee_exchangeable(products, "CR3", "N-K")
