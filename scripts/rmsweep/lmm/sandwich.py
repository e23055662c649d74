r"""Cluster-robust variances of generalised least squares, and their degrees of freedom.

With the groups' working covariances V_g, W_g = V_g⁻¹, M = (ΣX_g'W_gX_g)⁻¹ and residuals u_g, the
estimated covariance of the estimates is

    M (Σ X_g'W_gA_g u_g u_g'A_g'W_gX_g) M.

CR0 has A_g = I. CR2 (Bell & McCaffrey 2002; Pustejovsky & Tipton 2018) has
A_g = D(D'(V_g − X_gMX_g')D)^(−1/2) D' with DD' = V_g, which makes it unbiased where V_g is right,
and CR3 (the jackknife's; Mancl & DeRouen 2001) has A_g = V_g (V_g − X_gMX_g')⁻¹.

Let X_g = Q_gR_g with orthonormal columns of Q_g. If V_g carries the span of X_g to itself, as
σ²I + X_gΓX_g' does, all of this needs only R_g, Q_g'u_g and Q_g'V_gQ_g, which are no larger than
K × K, K being the number of coefficients.

References
----------
Bell, R. M. & McCaffrey, D. F. (2002). Bias reduction in standard errors for linear regression
with multi-stage samples. Survey Methodology 28, 169-181.
Mancl, L. A. & DeRouen, T. A. (2001). A covariance estimator for GEE with improved small-sample
properties. Biometrics 57, 126-134.
Pustejovsky, J. E. & Tipton, E. (2018). Small-sample methods for cluster-robust variance estimation
and hypothesis testing in fixed effects models. Journal of Business & Economic Statistics 36,
672-683.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import lower_root
from rmsweep.lmm.crossproducts import CrossProducts, triangle, uncentred
from rmsweep.lmm.fit import Estimates
from rmsweep.lmm.smallmatrix import Array

Kind = Literal["CR0", "CR2", "CR3"]

# An eigenvalue of D'(V − XMX')D up to this fraction of that of D'VD is rounding: the group alone
# determines a combination of the coefficients, and its residuals say nothing of it.
LEVERAGE = 1e-10

# Elements (datasets × groups × K²) that are worked on at once; more would fall out of the cache.
_ELEMENTS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Bases:
    """Groups of R datasets in an orthonormal basis Q_g of the columns of X_g.

    A group with fewer rows than columns, or with collinear ones, has rows of zeros.

    Attributes
    ----------
    root : (R, G, K, K) array
        R_g, upper triangular: R_g'R_g = X_g'X_g.
    residual : (R, G, K) array
        Q_g'u_g.
    """

    root: Array
    residual: Array


@dataclass(frozen=True, slots=True)
class Robust:
    """Cluster-robust variances of R datasets.

    Attributes
    ----------
    variance : (R, c) array
        Of each contrast.
    df : (R, c) array
        Satterthwaite's degrees of freedom of the variance, if V_g is right up to a factor.
    one_group_decides : (R,) array of bool
        Whether, without one of the groups, a combination of the coefficients could not be told.
        CR2 then rests on the other residuals; CR3 is not defined, and its variance NaN.
    """

    variance: Array
    df: Array
    one_group_decides: NDArray[np.bool_]


def bases(data: CrossProducts, beta: Array | None = None, first: int = 0) -> Bases:
    """Each group of the usable datasets in the basis of its own design matrix, in working units.

    Parameters
    ----------
    data : CrossProducts
        Datasets with Z = X.
    beta : (U, K - first) array, optional
        Coefficients of the U usable datasets, in working units, less `CrossProducts.pooled`; zero,
        for least squares, by default.
    first : int
        Leave the columns before this one out, and what they explain in each group. With an
        intercept and ``first=1`` what is left are deviations from group means.

    Raises
    ------
    ValueError
        If Z isn't X.
    """
    if not data.x_is_z:
        raise ValueError("the bases of the groups need cross-products with Z = X")
    K, index = data.n_fixed, data.usable
    rows, columns, _ = triangle(K)
    kept = columns >= first
    root = np.zeros((len(index), data.n_groups, K, K))
    root[:, :, columns[kept], rows[kept]] = data.blocks.z[kept][:, index].transpose(1, 2, 0)
    root = np.ascontiguousarray(root[:, :, first:, first:])
    residual = data.blocks.r[first:, index].transpose(1, 2, 0).copy()
    if beta is not None:
        residual -= np.matmul(root, beta[:, None, :, None])[..., 0]
    return Bases(root, residual)


def working_covariance(bases: Bases, Gamma: Array) -> Array:
    """Q_g'V_gQ_g of V_g = I + X_gΓX_g', (R, G, K, K), for Γ (R, K, K)."""
    half = np.matmul(bases.root, Gamma[:, None])
    V: Array = np.matmul(half, bases.root.swapaxes(-1, -2)) + np.eye(Gamma.shape[-1])
    return V


def sandwich(bases: Bases, contrasts: Array, kind: Kind, working: Array | None = None) -> Robust:
    """Cluster-robust variances of contrasts of the coefficients.

    Parameters
    ----------
    bases : Bases
        Of R datasets, with the residuals of the generalised least squares fit.
    contrasts : (R, c, K) array
        Combinations of the coefficients of the columns in `bases`, one a row.
    kind : {"CR0", "CR2", "CR3"}
        CR3 is without a factor; the jackknife's is (G − 1)/G times its variance.
    working : (R, G, K, K) array, optional
        Q_g'V_gQ_g, positive definite; the identity by default. A factor of all of them is
        immaterial. In the rows where R_g is zero it is to have nothing but a diagonal.

    Returns
    -------
    Robust
        For a dataset the same bytes whatever the others beside it.
    """
    n_datasets, n_groups, K, _ = bases.root.shape
    at_once = max(1, _ELEMENTS_AT_ONCE // (n_groups * K * K))
    parts = []
    for start in range(0, n_datasets, at_once):
        some = slice(start, start + at_once)
        part = Bases(bases.root[some], bases.residual[some])
        V = None if working is None else working[some]
        parts.append(_sandwich(part, contrasts[some], kind, V))
    if not parts:
        empty = np.empty((0, contrasts.shape[1]))
        return Robust(empty, empty, np.empty(0, dtype=bool))
    return Robust(
        np.concatenate([part.variance for part in parts]),
        np.concatenate([part.df for part in parts]),
        np.concatenate([part.one_group_decides for part in parts]),
    )


@np.errstate(divide="ignore", invalid="ignore")
def _sandwich(bases: Bases, contrasts: Array, kind: Kind, V: Array | None) -> Robust:
    R, u = bases.root, bases.residual[..., None]
    n_datasets, _, K, _ = R.shape
    v = None
    if V is not None:
        # to a basis in which V is the identity; V = UvU', the largest v first
        values, U = np.linalg.eigh(V)
        v = values[..., None, ::-1]
        to_white = (U[..., ::-1] / np.sqrt(v)).swapaxes(-1, -2)
        R, u = np.matmul(to_white, R), np.matmul(to_white, u)
    R_t = R.swapaxes(-1, -2)
    M = np.linalg.inv(np.matmul(R_t, R).sum(axis=1))
    decides = np.zeros(n_datasets, dtype=bool)
    adjusted = R_t
    if kind != "CR0":
        T = np.eye(K) - np.matmul(np.matmul(R, M[:, None]), R_t)
        values, vectors = np.linalg.eigh((T + T.swapaxes(-1, -2)) / 2.0)
        kept = values > LEVERAGE
        decides = np.logical_not(kept.all(axis=(1, 2)))
        if kind == "CR2" and v is not None:
            # D'(V − XMX')D is vTv, whose root a decomposition of v√T finds with half as many
            # digits lost where v is of all sizes
            half = np.sqrt(np.maximum(values, 0.0))[..., None] * vectors.swapaxes(-1, -2)
            _, values, vectors_t = np.linalg.svd(half * v)
            kept = np.arange(K) < kept.sum(axis=-1, keepdims=True)
            vectors = vectors_t.swapaxes(-1, -2)
        elif kind == "CR2":
            values = np.sqrt(values)
        power = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
        A = np.matmul(vectors * power[..., None, :], vectors.swapaxes(-1, -2))
        adjusted = np.matmul(R_t, A if kind == "CR3" or v is None else A * v)
    # a_g = A_g'W_gX_gMc, for each contrast: (R, G, c, K)
    a = np.matmul(np.matmul(contrasts, M)[:, None], adjusted)
    variance = np.square(np.matmul(a, u)[..., 0]).sum(axis=1)
    # u has the covariance V − XMX', so P_gh = δ_gh a_g'V_ga_g − (X_g'a_g)'M(X_h'a_h)
    own = np.square(a).sum(axis=-1)
    e = np.matmul(a, R).swapaxes(1, 2)  # (R, c, G, K)
    e_M = np.matmul(e, M[:, None])
    common = (e_M * e).sum(axis=-1).swapaxes(1, 2)
    product = np.matmul(e.swapaxes(-1, -2), e_M)  # ΣeₕeₕM
    squares = (product * product.swapaxes(-1, -2)).sum(axis=(-2, -1))
    squares = squares + (own * own - 2.0 * own * common).sum(axis=1)
    df = np.square((own - common).sum(axis=1)) / squares
    if kind == "CR3":
        variance[decides] = df[decides] = np.nan
    return Robust(variance, df, decides)


def coefficient_contrasts(centre: Array) -> Array:
    """Contrasts (R, p, p) that are the coefficients of columns as given, from centres (R, p)."""
    p = centre.shape[1]
    return uncentred(np.tile(np.eye(p), (len(centre), 1, 1)), centre)


def robust_inference(
    data: CrossProducts, fitted: Estimates, random: Sequence[int], kind: Kind = "CR2"
) -> tuple[Array, Array]:
    """Cluster-robust standard errors of a mixed model's estimates, and their degrees of freedom.

    The working covariances are those of the model at its θ̂, as clubSandwich takes them.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X, also for a model with fewer random effects.
    fitted : Estimates
        Of the same data.
    random : sequence of int
        The columns of X that are those of its random effects, in their order.
    kind : {"CR0", "CR2", "CR3"}

    Returns
    -------
    se, df : (R, p) arrays
        NaN for datasets without a fit.
    """
    se, df = np.full((2, data.n_datasets, data.n_fixed), np.nan)
    index = data.usable
    wanted = np.concatenate([fitted.estimate, fitted.theta], axis=1)[index]
    good = np.logical_and.reduce(np.isfinite(wanted), axis=1)
    centre, x_unit = data.x_centre[index], data.x_unit[index]
    unit = data.y_unit[index, None] / x_unit
    # back to working units and centred columns
    beta = fitted.estimate[index] / unit
    beta[:, 0] += (centre * beta).sum(axis=1)
    beta = np.where(good[:, None], beta - data.pooled[index], 0.0)
    form = lower_root(len(random), fitted.covariance)
    frame = x_unit[:, :, None] * np.eye(data.n_fixed)
    frame[:, 0] += centre * x_unit
    root = np.matmul(frame[:, :, random], form.matrices(np.nan_to_num(fitted.theta[index])))
    Gamma = np.matmul(root, root.swapaxes(-1, -2))
    groups = bases(data, beta)
    found = sandwich(groups, coefficient_contrasts(centre), kind, working_covariance(groups, Gamma))
    some = index[good]
    se[some] = np.sqrt(found.variance[good]) * unit[good]
    df[some] = found.df[good]
    return se, df
