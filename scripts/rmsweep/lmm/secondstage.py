"""Second stages that weight the groups' coefficients, where `two_stage` takes their mean.

References
----------
Knapp, G. & Hartung, J. (2003). Improved tests for a random effects meta-regression with a single
covariate. Statistics in Medicine 22, 2693-2710.
Swamy, P. A. V. B. (1970). Efficient inference in a random coefficient regression model.
Econometrica 38, 311-323.
Viechtbauer, W. (2005). Bias and efficiency of meta-analytic variance estimators in the
random-effects model. Journal of Educational and Behavioral Statistics 30, 261-293.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.crossproducts import RANK_TOLERANCE, CrossProducts, uncentred
from rmsweep.lmm.fit import NO_RESIDUALS
from rmsweep.lmm.leastsquares import (
    EXACT_WITHIN,
    LeastSquaresFit,
    coefficients_by_group,
    in_units,
)
from rmsweep.lmm.sandwich import bases, coefficient_contrasts
from rmsweep.lmm.smallmatrix import Array

# Steps towards τ², of which a handful is enough, and what is left of them at the end.
_STEPS = 200
_TOLERANCE = 1e-12


def weighted_two_stage(data: CrossProducts) -> LeastSquaresFit:
    """Random-effects meta-analysis of the groups' coefficients, one coefficient at a time.

    b_gk has the variance v_gk + τ_k², where v_gk = s² (X_g'X_g)⁻¹_kk with the s² of all groups
    together, and τ_k² is estimated by REML (Viechtbauer 2005). Standard errors are those of Knapp &
    Hartung (2003), on G − 1 degrees of freedom.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X, with more rows than the groups have coefficients.

    Raises
    ------
    ValueError
        If there are no more rows than coefficients of all groups.
    """
    index, G, K = data.usable, data.n_groups, data.n_fixed
    fewest = int(data.n_obs.min())
    if fewest <= G * K:
        raise ValueError(f"{fewest} rows for {G * K} coefficients of the groups")
    messages, b, inverse_root = _first_stage(data)
    messages = _without_residuals(messages, data.blocks.rr_rest[:, None], data.rr.sum(axis=1))
    s2 = data.blocks.rr_rest[index] / (data.n_obs[index] - G * K)
    # columns as given: (U, K, G)
    centre = data.x_centre[index]
    b = uncentred(b.transpose(0, 2, 1), centre)
    v = np.square(uncentred(inverse_root.transpose(0, 2, 3, 1), centre)).sum(axis=2)
    v *= s2[:, None, None]
    weight = 1.0 / (v + reml_tau2(b, v)[..., None])
    total = weight.sum(axis=-1)
    mean = (weight * b).sum(axis=-1) / total
    variance = (weight * np.square(b - mean[..., None])).sum(axis=-1) / ((G - 1) * total)
    # back to centred columns, which `in_units` undoes
    mean[:, 0] += (centre * mean).sum(axis=1)
    return in_units(data, data.pooled[index] + mean, variance, G - 1.0, messages)


def reml_tau2(b: Array, v: Array) -> Array:
    """REML estimate of the variance between groups, in a meta-analysis of means.

    Fisher scoring from the estimate of moments (Hedges), kept within what brackets the root of
    the score; zero where it is not positive there.

    Parameters
    ----------
    b, v : (..., G) arrays
        Estimates of the groups and their sampling variances.

    Returns
    -------
    (...) array
    """
    shape, G = b.shape[:-1], b.shape[-1]
    b, v = b.reshape(-1, G), v.reshape(-1, G)
    spread = b.var(axis=1, ddof=1)
    tau2 = np.maximum(0.0, spread - v.mean(axis=1))
    low, high = np.zeros_like(tau2), np.full_like(tau2, np.inf)
    going = np.arange(len(b))
    for _ in range(_STEPS):
        step, up = _fisher_step(b[going], v[going], tau2[going])
        now = tau2[going]
        low[going] = np.where(up, now, low[going])
        high[going] = np.where(up, high[going], now)
        new = now + step
        inside = (new >= low[going]) & (new < high[going])
        middle = np.where(
            np.isinf(high[going]), 2.0 * now + spread[going], (low[going] + high[going]) / 2.0
        )
        # a step below zero goes to it, but only once: if the score is negative there, it stays
        new = np.where(inside, new, np.where((new < 0.0) & (low[going] == 0.0), 0.0, middle))
        tau2[going] = new
        going = going[np.abs(new - now) > _TOLERANCE * (new + v[going].min(axis=1))]
        if not len(going):
            break
    found: Array = tau2.reshape(shape)
    return found


def _fisher_step(b: Array, v: Array, tau2: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The step of Fisher scoring, and whether the likelihood increases with τ²."""
    w = 1.0 / (v + tau2[:, None])
    total, squares = w.sum(axis=1), np.square(w).sum(axis=1)
    rest = b - ((w * b).sum(axis=1) / total)[:, None]
    score = np.square(w * rest).sum(axis=1) - (total - squares / total)
    cubes = (w**3).sum(axis=1)
    information = squares - 2.0 * cubes / total + np.square(squares / total)
    return score / information, score > 0.0


def swamy(data: CrossProducts) -> tuple[LeastSquaresFit, NDArray[np.bool_]]:
    """Generalised least squares of the groups' coefficients, with normal tests (Swamy 1970).

    b_g has the covariance Δ + s_g²(X_g'X_g)⁻¹. Δ is estimated by the covariance of the b_g less the
    mean of their sampling covariances. Where that is not positive semidefinite, it is the
    former alone, as in plm; if eigenvalues were cut off at zero, the estimates would depend on
    the units of the predictors.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X; every group has more rows than coefficients.

    Returns
    -------
    fit : LeastSquaresFit
    alone : (R,) array of bool
        Whether Δ is estimated by the covariance of the b_g alone.

    Raises
    ------
    ValueError
        If a group has no more rows than coefficients.
    """
    index, G, K = data.usable, data.n_groups, data.n_fixed
    if data.group_sizes.min() <= K:
        raise ValueError(f"a group has {data.group_sizes.min()} rows for {K} coefficients")
    messages, b, inverse_root = _first_stage(data)
    rss = data.rr - np.square(data.blocks.r).sum(axis=0)
    messages = _without_residuals(messages, rss, data.rr.sum(axis=1))
    s2 = rss[index] / (data.group_sizes[index] - K)
    sampling = s2[..., None, None] * np.matmul(inverse_root, inverse_root.swapaxes(-1, -2))
    off = b - b.mean(axis=1, keepdims=True)
    covariance = np.matmul(off.swapaxes(-1, -2), off) / (G - 1)
    Delta = covariance - sampling.mean(axis=1)
    failed = [bool(messages[place]) for place in index]
    Delta[failed], sampling[failed] = np.eye(K), np.eye(K)
    alone = np.linalg.eigvalsh(Delta)[:, 0] < 0.0
    Delta[alone] = covariance[alone]
    weight = np.linalg.inv(Delta[:, None] + sampling)
    V = np.linalg.inv(weight.sum(axis=1))
    beta = np.matmul(V, np.matmul(weight, b[..., None]).sum(axis=1))[..., 0]
    contrasts = coefficient_contrasts(data.x_centre[index])
    variance = (np.matmul(contrasts, V) * contrasts).sum(axis=-1)
    everywhere = np.zeros(data.n_datasets, dtype=bool)
    everywhere[index] = alone
    fit = in_units(data, data.pooled[index] + beta, variance, np.inf, messages)
    return fit, everywhere


def _without_residuals(messages: tuple[str, ...], rss: Array, of_ols: Array) -> tuple[str, ...]:
    """Messages, with one where a sum of squared residuals (R, k) is rounding beside OLS's (R,)."""
    exact = np.logical_not((rss > NO_RESIDUALS * of_ols[:, None]).all(axis=1))
    return tuple(
        message or (EXACT_WITHIN if none_left else "")
        for message, none_left in zip(messages, exact, strict=True)
    )


def _first_stage(data: CrossProducts) -> tuple[tuple[str, ...], Array, Array]:
    """Coefficients less the pooled ones (U, G, K), and U with UU' = (X_g'X_g)⁻¹, (U, G, K, K).

    Of the usable datasets, in working units, with messages of all; arbitrary where there is one.
    """
    index = data.usable
    by_group, messages = coefficients_by_group(data)
    root = bases(data).root
    root[[bool(messages[place]) for place in index]] = np.eye(data.n_fixed)
    inverse_root = np.asarray(np.linalg.inv(root), dtype=np.float64)
    return messages, by_group[index].transpose(0, 2, 1).copy(), inverse_root


def regressed_two_stage(fitted: LeastSquaresFit, z: Array) -> LeastSquaresFit:
    """Regress the groups' intercepts on predictors of the groups; slopes keep their means.

    Parameters
    ----------
    fitted : LeastSquaresFit
        Two-stage fits of R datasets whose first coefficient is the intercept.
    z : (R, G, q) array
        Predictors of the groups, q < G - 1.

    Returns
    -------
    LeastSquaresFit
        Of the p coefficients and the q predictors' own; G − 1 − q degrees of freedom for the
        intercept and these, G − 1 for the slopes.
    """
    by_group = fitted.by_group
    assert by_group is not None
    n_datasets, G, q = z.shape
    middle = z.mean(axis=1)
    off = z - middle[:, None]
    A = np.matmul(off.swapaxes(-1, -2), off)
    scale = np.sqrt(np.diagonal(A, axis1=1, axis2=2))
    ones = np.broadcast_to(np.eye(q), A.shape)
    unit = np.where(scale > 0.0, scale, 1.0)
    A = A / unit[:, :, None] / unit[:, None, :]
    apart = np.linalg.eigvalsh(A)[:, 0] > RANK_TOLERANCE
    messages = tuple(
        message or ("" if fits else "the predictors of the groups are collinear, or constant")
        for message, fits in zip(fitted.messages, apart, strict=True)
    )
    inverse = np.linalg.inv(np.where(apart[:, None, None], A, ones))
    inverse = inverse / unit[:, :, None] / unit[:, None, :]
    intercepts = by_group[:, :, 0]
    deviation = intercepts - fitted.estimate[:, :1]
    gamma = np.matmul(inverse, np.matmul(off.swapaxes(-1, -2), deviation[..., None]))
    rest = deviation - np.matmul(off, gamma)[..., 0]
    s2 = np.square(rest).sum(axis=1) / (G - 1 - q)
    leverage = 1.0 / G + (np.matmul(inverse, middle[..., None])[..., 0] * middle).sum(axis=1)
    own = np.diagonal(inverse, axis1=1, axis2=2) * s2[:, None]
    estimate = np.concatenate([fitted.estimate, gamma[..., 0]], axis=1)
    estimate[:, 0] -= (gamma[..., 0] * middle).sum(axis=1)
    se = np.concatenate([fitted.se, np.sqrt(own)], axis=1)
    se[:, 0] = np.sqrt(s2 * leverage)
    df = np.full((n_datasets, estimate.shape[1]), float(G - 1))
    df[:, 0] = df[:, fitted.estimate.shape[1] :] = G - 1 - q
    failed = [bool(message) for message in messages]
    estimate[failed] = se[failed] = np.nan
    return LeastSquaresFit(estimate, se, df, by_group, messages)
