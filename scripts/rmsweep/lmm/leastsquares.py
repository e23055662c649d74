"""The two strategies without random effects, from the same cross-products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmsweep.lmm.crossproducts import CrossProducts, uncentred
from rmsweep.lmm.smallmatrix import Array

# Standard deviation of the groups' coefficients, in working units, that is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class LeastSquaresFit:
    """Estimates of R datasets; NaN where there are none.

    Attributes
    ----------
    estimate : (R, p) array
    se : (R, p) array
    df : float
        Degrees of freedom of Student's t.
    by_group : (R, G, p) array or None
        Coefficients of each group, for the two-stage fit.
    messages : tuple of str
        For each dataset why it has no estimates, or an empty string.
    """

    estimate: Array
    se: Array
    df: float
    by_group: Array | None
    messages: tuple[str, ...]


def cluster_robust_ols(data: CrossProducts) -> LeastSquaresFit:
    """Pooled OLS with cluster-robust standard errors.

    V = G/(G−1) · N/(N−K) · A (Σ s_g s_g') A with s_g = X_g'u_g and A = (X'X)⁻¹, G − K degrees of
    freedom. The correction differs from the (N−1)/(N−K) of Stata and statsmodels.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    """
    n, G, p = data.n_obs, data.n_groups, data.n_fixed
    index = data.usable
    A = np.linalg.inv(data.xx[index])
    scores = np.ascontiguousarray(data.xr[:, index].transpose(1, 0, 2))
    # What rounding has left of X'r corrects the coefficients.
    correction = np.matmul(A, scores.sum(axis=-1)[:, :, None])[:, :, 0]
    half = uncentred(np.matmul(A, scores), data.x_centre[index])
    variance = (half * half).sum(axis=-1) * (G / (G - 1) * n / (n - p))
    unit = data.y_unit[index, None] / data.x_unit[index]
    estimate, se = np.full((2, data.n_datasets, p), np.nan)
    estimate[index] = uncentred(data.pooled[index] + correction, data.x_centre[index]) * unit
    se[index] = np.sqrt(variance) * unit
    return LeastSquaresFit(estimate, se, float(G - p), None, data.problems)


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
    if not data.x_is_z:
        raise ValueError("the two-stage fit needs cross-products with Z = X")
    p, G = data.n_fixed, data.n_groups
    short = int((data.group_sizes < p).sum())
    full_rank = np.all(data.blocks.determined, axis=0)
    by_group = np.ascontiguousarray(data.blocks.group_coefficients.transpose(1, 0, 2))
    same = (by_group.std(axis=-1) <= _ROUNDING).any(axis=1)
    by_group += data.pooled[:, :, None]
    by_group = uncentred(by_group, data.x_centre)
    by_group *= (data.y_unit[:, None] / data.x_unit)[:, :, None]
    messages = []
    for problem, full, first, alike in zip(
        data.problems, full_rank.all(axis=1), full_rank.argmin(axis=1), same, strict=True
    ):
        if short:
            problem = f"{short} of {G} groups have fewer observations than the {p} coefficients"
        elif not problem and not full:
            problem = f"group {first + 1}: its predictors are collinear, so it has no fit"
        elif not problem and alike:
            problem = "a coefficient is the same in all groups, to within rounding"
        messages.append(problem)
    failed = np.array([bool(message) for message in messages])
    by_group[failed] = np.nan
    estimate = by_group.mean(axis=-1)
    deviation = by_group - estimate[:, :, None]
    se = np.sqrt((deviation * deviation).sum(axis=-1) / ((G - 1) * G))
    return LeastSquaresFit(estimate, se, float(G - 1), by_group.transpose(0, 2, 1), tuple(messages))
