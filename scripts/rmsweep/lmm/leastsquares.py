"""The strategies without random effects, from the same cross-products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.crossproducts import RANK_TOLERANCE, CrossProducts, triangle, uncentred
from rmsweep.lmm.fit import NO_RESIDUALS
from rmsweep.lmm.sandwich import Bases, Kind, bases, coefficient_contrasts, sandwich
from rmsweep.lmm.smallmatrix import Array, cholesky, datasets_first, entries_first

Correction = Literal["N/(N-K)", "(N-1)/(N-K)"]

# Standard deviation of the groups' coefficients, in working units, that is rounding.
_ROUNDING = 1e-12

EXACT_WITHIN = (
    "the response is an exact function of the predictors within the groups: its residuals there "
    "can't be told from rounding"
)
NO_JACKKNIFE = "without one of the groups, the data don't determine all coefficients"


@dataclass(frozen=True, slots=True)
class LeastSquaresFit:
    """Estimates of R datasets; NaN where there are none.

    Attributes
    ----------
    estimate : (R, p) array
    se : (R, p) array
    df : float or (R, p) array
        Degrees of freedom of Student's t; infinite for the normal distribution.
    by_group : (R, G, p) array or None
        Coefficients of each group, for the two-stage fit.
    messages : tuple of str
        For each dataset why it has no estimates, or an empty string.
    """

    estimate: Array
    se: Array
    df: float | Array
    by_group: Array | None
    messages: tuple[str, ...]


def in_units(
    data: CrossProducts,
    beta: Array,
    variance: Array,
    df: float | Array,
    messages: tuple[str, ...] | None = None,
) -> LeastSquaresFit:
    """A fit of all datasets from one of the U usable datasets, in working units.

    Parameters
    ----------
    data : CrossProducts
    beta : (U, p) array
        Coefficients of the centred columns, all of them or the last ones.
    variance : (U, p) array
        Of the coefficients of columns as given.
    df : float or (U, p) array
    messages : tuple of R str, optional
        Why a dataset has no fit; by default `CrossProducts.problems`.
    """
    messages = data.problems if messages is None else messages
    index, p = data.usable, beta.shape[1]
    unit = data.y_unit[index, None] / data.x_unit[index, -p:]
    estimate, se = np.full((2, data.n_datasets, p), np.nan)
    if p == data.n_fixed:
        beta = uncentred(beta, data.x_centre[index])
    estimate[index], se[index] = beta * unit, np.sqrt(variance) * unit
    if isinstance(df, np.ndarray):
        own, df = df, np.full((data.n_datasets, p), np.nan)
        df[index] = own
    failed = np.array([bool(message) for message in messages])
    estimate[failed] = se[failed] = np.nan
    return LeastSquaresFit(estimate, se, df, None, messages)


class _Pooled(NamedTuple):
    """OLS on all rows of the usable datasets, in working units.

    `inverse` is (X'X)⁻¹, `scores` (U, p, G) are X_g'u_g, `beta` are the coefficients.
    """

    inverse: Array
    scores: Array
    beta: Array

    @classmethod
    def of(cls, data: CrossProducts) -> Self:
        index = data.usable
        inverse = np.asarray(np.linalg.inv(data.xx[index]), dtype=np.float64)
        scores = np.ascontiguousarray(data.xr[:, index].transpose(1, 0, 2))
        # What rounding has left of X'r corrects the coefficients.
        correction = np.matmul(inverse, scores.sum(axis=-1)[:, :, None])[:, :, 0]
        return cls(inverse, scores, data.pooled[index] + correction)


def ols(data: CrossProducts) -> LeastSquaresFit:
    """Pooled OLS with the standard errors of independent rows, on N − K degrees of freedom.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    """
    index = data.usable
    nu = data.n_obs[index] - data.n_fixed
    pooled = _Pooled.of(data)
    contrasts = coefficient_contrasts(data.x_centre[index])
    variance = (np.matmul(contrasts, pooled.inverse) * contrasts).sum(axis=-1)
    s2 = data.rr[index].sum(axis=-1) / nu
    df = np.tile(nu[:, None].astype(np.float64), data.n_fixed)
    return in_units(data, pooled.beta, variance * s2[:, None], df)


def cluster_robust_ols(data: CrossProducts, correction: Correction = "N/(N-K)") -> LeastSquaresFit:
    """Pooled OLS with cluster-robust standard errors.

    V = G/(G−1) · N/(N−K) · A (Σ s_g s_g') A with s_g = X_g'u_g and A = (X'X)⁻¹, G − K degrees of
    freedom; or CR1, with the (N−1)/(N−K) and the G − 1 of Stata.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    correction : {"N/(N-K)", "(N-1)/(N-K)"}
    """
    index, G, p = data.usable, data.n_groups, data.n_fixed
    n = data.n_obs[index, None]
    pooled = _Pooled.of(data)
    half = uncentred(np.matmul(pooled.inverse, pooled.scores), data.x_centre[index])
    rows, df = (n, G - p) if correction == "N/(N-K)" else (n - 1, G - 1)
    variance = (half * half).sum(axis=-1) * (G / (G - 1) * rows / (n - p))
    return in_units(data, pooled.beta, variance, float(df))


def bias_reduced_ols(data: CrossProducts, kind: Kind) -> LeastSquaresFit:
    """Pooled OLS with CR2 on Satterthwaite's degrees of freedom, or the jackknife's CR3 on G − 1.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X.
    kind : {"CR2", "CR3"}
        CR3 is multiplied by (G − 1)/G, which makes it the jackknife's (Cameron, Gelbach & Miller
        2008).
    """
    index, G = data.usable, data.n_groups
    robust = sandwich(bases(data), coefficient_contrasts(data.x_centre[index]), kind)
    beta = _Pooled.of(data).beta
    if kind == "CR3":
        messages = _with_message(data, robust.one_group_decides, NO_JACKKNIFE)
        return in_units(data, beta, robust.variance * ((G - 1) / G), G - 1.0, messages)
    return in_units(data, beta, robust.variance, robust.df)


def within_ols(data: CrossProducts, kind: Literal["CR1", "CR2"]) -> LeastSquaresFit:
    """OLS with a fixed effect for each group: slopes alone, from deviations from group means.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X, whose first column is the intercept.
    kind : {"CR1", "CR2"}
        G/(G−1) · (N−1)/(N−p) · CR0 on G − 1 degrees of freedom, p slopes and not the fixed effects
        being counted, as Stata's ``xtreg, fe`` and plm's ``sss`` have it; or CR2 of the
        deviations, on Satterthwaite's.

    Returns
    -------
    LeastSquaresFit
        Of the p slopes.
    """
    index, G, p = data.usable, data.n_groups, data.n_fixed - 1
    own = bases(data, first=1)
    root_t = own.root.swapaxes(-1, -2)
    A = np.matmul(root_t, own.root).sum(axis=1)
    rhs = np.matmul(root_t, own.residual[..., None]).sum(axis=1)
    fits = _full_rank(A, data.xx[index][:, 1:, 1:])
    A = np.where(fits[:, None, None], A, np.eye(p))
    beta: Array = np.linalg.solve(A, rhs)[..., 0]
    own = Bases(own.root, own.residual - np.matmul(own.root, beta[:, None, :, None])[..., 0])
    rest = data.blocks.rr_rest[index] + np.square(own.residual).sum(axis=(1, 2))
    messages = _with_message(
        data,
        ~fits,
        "the predictors' deviations from the means of the groups are collinear, or zero",
    )
    exact = fits & ~(rest > NO_RESIDUALS * data.rr[index].sum(axis=-1))
    messages = _with_message(data, exact, EXACT_WITHIN, messages)
    contrasts = np.tile(np.eye(p), (len(index), 1, 1))
    good = np.where(fits[:, None, None, None], own.root, np.eye(p))
    robust = sandwich(Bases(good, own.residual), contrasts, "CR0" if kind == "CR1" else kind)
    beta = data.pooled[index, 1:] + beta
    if kind == "CR1":
        n = data.n_obs[index, None]
        factor = G / (G - 1) * (n - 1) / (n - p)
        return in_units(data, beta, robust.variance * factor, G - 1.0, messages)
    return in_units(data, beta, robust.variance, robust.df, messages)


def between_ols(data: CrossProducts) -> LeastSquaresFit:
    """OLS of the groups' means of the response on those of the predictors, each group once.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X, whose first column is the intercept; more groups than columns.
    """
    index, G, K = data.usable, data.n_groups, data.n_fixed
    _, columns, _ = triangle(K)
    root_n = np.sqrt(data.group_sizes[index])
    # the first row of R_g over the square root of n_g
    X = data.blocks.z[columns == 0][:, index].transpose(1, 2, 0) / root_n[..., None]
    y = data.blocks.r[0, index] / root_n
    A = np.matmul(X.swapaxes(-1, -2), X)
    fits = _full_rank(A, data.xx[index] * (G / data.n_obs[index])[:, None, None])
    A = np.where(fits[:, None, None], A, np.eye(K))
    beta = np.linalg.solve(A, np.matmul(X.swapaxes(-1, -2), y[..., None]))
    rest = y - np.matmul(X, beta)[..., 0]
    contrasts = coefficient_contrasts(data.x_centre[index])
    variance = (np.matmul(contrasts, np.linalg.inv(A)) * contrasts).sum(axis=-1)
    s2 = np.square(rest).sum(axis=-1) / (G - K)
    messages = _with_message(
        data,
        ~fits,
        "the groups' means of the predictors are collinear: "
        "some predictor has the same mean in all groups, or nearly so",
    )
    beta = data.pooled[index] + beta[..., 0]
    return in_units(data, beta, variance * s2[:, None], float(G - K), messages)


def _full_rank(A: Array, whole: Array) -> NDArray[np.bool_]:
    """Which cross-products (U, p, p) have full rank, beside the columns' (U, p, p) own size."""
    size = np.diagonal(whole, axis1=1, axis2=2)
    own = np.diagonal(A, axis1=1, axis2=2)
    # a column of zeros has no pivot, whatever the tolerance
    tolerance = np.divide(size, own, out=np.ones_like(own), where=own > 0.0)
    reciprocals, _ = cholesky(entries_first(A), entries_first(RANK_TOLERANCE * tolerance))
    full: NDArray[np.bool_] = np.logical_and.reduce(datasets_first(reciprocals) > 0.0, axis=1)
    return full


def _with_message(
    data: CrossProducts,
    where: NDArray[np.bool_],
    text: str,
    messages: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Messages of all datasets, with this one for some of the usable ones."""
    found = list(data.problems if messages is None else messages)
    for place in data.usable[where]:
        found[place] = text
    return tuple(found)


def two_stage(data: CrossProducts) -> LeastSquaresFit:
    """OLS in each group, then the mean of the groups' coefficients, with G − 1 df.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X.

    Raises
    ------
    ValueError
        If Z isn't X.
    """
    by_group, messages = coefficients_by_group(data)
    by_group += data.pooled[:, :, None]
    by_group = uncentred(by_group, data.x_centre)
    by_group *= (data.y_unit[:, None] / data.x_unit)[:, :, None]
    failed = np.array([bool(message) for message in messages])
    by_group[failed] = np.nan
    return mean_of_groups(by_group.transpose(0, 2, 1), messages)


def mean_of_groups(by_group: Array, messages: tuple[str, ...]) -> LeastSquaresFit:
    """The mean of the groups' coefficients (R, G, p): a one-sample t test."""
    coefficients = by_group.transpose(0, 2, 1)
    G = coefficients.shape[-1]
    estimate = coefficients.mean(axis=-1)
    deviation = coefficients - estimate[:, :, None]
    se = np.sqrt((deviation * deviation).sum(axis=-1) / ((G - 1) * G))
    return LeastSquaresFit(estimate, se, float(G - 1), by_group, messages)


def coefficients_by_group(data: CrossProducts) -> tuple[Array, tuple[str, ...]]:
    """OLS in each group.

    Returns
    -------
    coefficients : (R, p, G) array
        Of centred columns in working units, less the pooled ones; arbitrary where there is a
        message.
    messages : tuple of R str
        Why a dataset has no such fit, or an empty string.

    Raises
    ------
    ValueError
        If Z isn't X.
    """
    if not data.x_is_z:
        raise ValueError("the two-stage fit needs cross-products with Z = X")
    p, G = data.n_fixed, data.n_groups
    n_short = (data.group_sizes < p).sum(axis=1)
    full_rank = np.all(data.blocks.determined, axis=0)
    by_group = np.ascontiguousarray(data.blocks.group_coefficients.transpose(1, 0, 2))
    same = (by_group.std(axis=-1) <= _ROUNDING).any(axis=1)
    messages = []
    for problem, short, full, first, alike in zip(
        data.problems, n_short, full_rank.all(axis=1), full_rank.argmin(axis=1), same, strict=True
    ):
        if short:
            problem = f"{short} of {G} groups have fewer observations than the {p} coefficients"
        elif not problem and not full:
            problem = f"group {first + 1}: its predictors are collinear, so it has no fit"
        elif not problem and alike:
            problem = "a coefficient is the same in all groups, to within rounding"
        messages.append(problem)
    return by_group, tuple(messages)
