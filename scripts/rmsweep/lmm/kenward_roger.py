"""Kenward and Roger's standard errors and degrees of freedom, from cross-products.

With V linear in its parameters θ_i, V_i its derivatives, Φ = (ΣX'V⁻¹X)⁻¹ and

    P_i = −ΣX'V⁻¹V_iV⁻¹X,  Q_ij = ΣX'V⁻¹V_iV⁻¹V_jV⁻¹X,
    I_ij = tr(V⁻¹V_iV⁻¹V_j) − 2 tr(ΦQ_ij) + tr(ΦP_iΦP_j),  A = 2I⁻¹,

the adjusted covariance is Φ + 2Φ[ΣA_ij(Q_ij − P_iΦP_j)]Φ. For one coefficient the scale of the F
statistic is 1, and the degrees of freedom are 2/(a'Aa) with a_i = (ΦP_iΦ)_jj / Φ_jj: those of
Satterthwaite with the expected information. All are functions of the entries of Γ = σ²G, not of a
root of it, so that a singular Γ is no exception. A parameter that scales V has Q_ij = P_iΦP_j and
drops out of the sum.

References
----------
Kenward, M. G. & Roger, J. H. (1997). Small sample inference for fixed effects from restricted
maximum likelihood. Biometrics 53, 983-997.
Halekoh, U. & Højsgaard, S. (2014). A Kenward-Roger approximation and parametric bootstrap methods
for tests in linear mixed models: the R package pbkrtest. Journal of Statistical Software 59(9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import lower_root, symmetric_root
from rmsweep.lmm.criterion import Information, datasets_at_once, information
from rmsweep.lmm.crossed import CrossedInformation
from rmsweep.lmm.crossproducts import CrossProducts, triangle, uncentred
from rmsweep.lmm.fit import Estimates, working_frame
from rmsweep.lmm.smallmatrix import Array, Workspace, all_finite, datasets_first

# Scaled to a diagonal of ones, eigenvalues of the information up to here are rounding: of
# parameters that the data say nothing of.
_NO_INFORMATION = 1e-12


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Small-sample inference of R datasets; NaN where there is no fit.

    Attributes
    ----------
    se : (R, p) array
    df : (R, p) array
    """

    se: Array
    df: Array


@np.errstate(all="ignore")  # what isn't finite is looked for in the values
def kenward_roger(data: CrossProducts, fitted: Estimates) -> Adjusted:
    """Adjusted standard errors and degrees of freedom of each coefficient.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    fitted : Estimates
        Of the same data by REML, whether singular or not.

    Raises
    ------
    ValueError
        If the fit is by maximum likelihood, for which the adjustment isn't made.
    """
    if not fitted.reml:
        raise ValueError("Kenward and Roger's adjustment is for fits by REML")
    if fitted.covariance != "full":
        data = data.with_random_effects_as_given()
    se, df = np.full((2, data.n_datasets, data.n_fixed), np.nan)
    found = np.flatnonzero(np.isfinite(fitted.criterion))
    work = Workspace()
    at_once = datasets_at_once(data.blocks)
    form = lower_root(data.n_random, fitted.covariance)
    for first in range(0, len(found), at_once):
        index = found[first : first + at_once]
        root = np.matmul(working_frame(data, index), form.matrices(fitted.theta[index]))
        G = np.matmul(root, root.transpose(0, 2, 1))
        at = information(data.blocks.take(index), G, work)
        free = _free(data, fitted, index)
        variance, df[index] = adjusted(at, partial(_quadratic, at), data.x_centre[index], free)
        scale = np.sqrt(at.rho / (data.n_obs[index] - data.n_fixed)) * data.y_unit[index]
        se[index] = np.sqrt(variance) * scale[:, None] / data.x_unit[index]
    return Adjusted(se, df)


def _free(data: CrossProducts, fitted: Estimates, index: NDArray[np.intp]) -> Array:
    """Entries of G as a linear map of its free parameters, (k, m) or (R, k, m)."""
    q = data.n_random
    rows, columns, _ = triangle(q)
    basis = symmetric_root(q, fitted.covariance).basis  # a G of the structure has Y's basis
    free: Array = basis[:, rows, columns].T
    if fitted.covariance != "scalar":  # else a parameter has entries in different units
        return free
    unit = data.z_unit[index]
    return (unit.take(rows, axis=1) * unit.take(columns, axis=1))[:, :, None] * free


def adjusted(
    at: Information | CrossedInformation,
    quadratic: Callable[[Array], Array],
    centre: Array,
    free: Array,
) -> tuple[Array, Array]:
    """Adjusted variances, relative to σ², and degrees of freedom, (R, p) each.

    Parameters
    ----------
    at : Information or CrossedInformation
        Of R datasets.
    quadratic : callable
        Sums over entries E and F of w_EF F'U'E(W − UCU')FUF, (R, p, p), of weights w (R, k, k).
    centre : (R, p) array
        Of the columns of X.
    free : (k, m) or (R, k, m) array
        Entries of G as a linear map of its free parameters.
    """
    k, m = free.shape[-2:]
    linear = np.zeros((*free.shape[:-2], k + 1, m + 1))
    linear[..., :k, :m], linear[..., k, m] = free, 1.0
    covariance = _inverse(np.matmul(np.matmul(linear.swapaxes(-1, -2), at.matrix), linear))

    F = uncentred(at.root, centre)
    C = np.square(F).sum(axis=2)
    # (F M F')_jj / C_jj, M = F'M_EF
    ratio = np.stack([(np.matmul(F, M) * F).sum(axis=2) for M in at.change.swapaxes(0, 1)], axis=2)
    a = np.ones((*C.shape, m + 1))
    a[:, :, :m] = np.matmul(ratio / C[:, :, None], free)
    df = 1.0 / (np.matmul(a, covariance) * a).sum(axis=2)

    weight = 2.0 * np.matmul(np.matmul(free, covariance[:, :m, :m]), free.swapaxes(-1, -2))
    change = quadratic(weight)
    return C + 2.0 * (np.matmul(F, change) * F).sum(axis=2), df


def _quadratic(at: Information, weight: Array) -> Array:
    """Sums over entries E, F and over groups of weight_EF (UF)'E(W − UCU')F(UF), (R, p, p)."""
    q, p, n_datasets, _ = at.UF.shape
    rows, columns, place = triangle(q)
    # ΣEWF has the entries Σ_bc weight[ab, cd] W_bc: a linear map of W's lower triangle
    b, c = rows, columns
    a, d = rows[:, None], columns[:, None]
    linear = weight[:, place[a, b], place[c, d]]
    linear = linear + np.where(b == c, 0.0, weight[:, place[a, c], place[b, d]])
    EWF = np.matmul(linear, at.W.transpose(1, 0, 2))
    middle = np.ascontiguousarray(EWF.transpose(1, 0, 2))
    right = np.einsum("jprg,ijrg->iprg", at.UF, middle[place])
    quadratic = np.empty((p, p, n_datasets))
    for i in range(p):
        products = np.einsum("jrg,jkrg->krg", at.UF[:, i], right[:, : i + 1])
        quadratic[i, : i + 1] = quadratic[: i + 1, i] = products.sum(axis=-1)
    flat = at.change.reshape(n_datasets, len(rows), p * p)
    weighted = np.matmul(weight, flat).reshape(at.change.shape)
    total: Array = datasets_first(quadratic) - np.matmul(at.change, weighted).sum(axis=1)
    return total


def _inverse(information: Array) -> Array:
    """Inverses (R, m, m), without directions that there is no information on."""
    finite = all_finite(information)
    diagonal = np.einsum("rii->ri", information)
    unit = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = unit[:, :, None] * information * unit[:, None, :]
    scaled = np.where(finite[:, None, None], scaled, 0.0)
    eigenvalues, vectors = np.linalg.eigh(scaled)
    kept = eigenvalues > _NO_INFORMATION
    reciprocals = np.where(kept, 1.0 / np.where(kept, eigenvalues, 1.0), 0.0)
    half = unit[:, :, None] * vectors
    inverse: Array = np.matmul(half * reciprocals[:, None, :], half.transpose(0, 2, 1))
    return np.where(finite[:, None, None], inverse, np.nan)
