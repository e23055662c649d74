"""Generalised estimating equations with an exchangeable working correlation.

References
----------
Liang, K.-Y. & Zeger, S. L. (1986). Longitudinal data analysis using generalized linear models.
Biometrika 73, 13-22.
Mancl, L. A. & DeRouen, T. A. (2001). A covariance estimator for GEE with improved small-sample
properties. Biometrics 57, 126-134.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.crossproducts import CrossProducts
from rmsweep.lmm.fit import NO_RESIDUALS
from rmsweep.lmm.leastsquares import EXACT_WITHIN, LeastSquaresFit, in_units
from rmsweep.lmm.sandwich import Bases, bases, coefficient_contrasts, sandwich
from rmsweep.lmm.smallmatrix import Array

Divisor = Literal["N", "N-K"]

# Steps between coefficients and correlation; each leaves a small fraction of the distance.
_STEPS = 200
_TOLERANCE = 1e-12

NO_COVARIANCE = "the correlation within groups is estimated as {:.3g}, which no groups of {} have"


@dataclass(frozen=True, slots=True)
class GeeFit:
    """GEE of R datasets.

    Attributes
    ----------
    fit : LeastSquaresFit
    correlation : (R,) array
        Within groups; NaN where there is no fit.
    converged : (R,) array of bool
    """

    fit: LeastSquaresFit
    correlation: Array
    converged: NDArray[np.bool_]


def gee_exchangeable(data: CrossProducts, kind: Literal["CR0", "CR3"], divisor: Divisor) -> GeeFit:
    """Fit a normal response by GEE in which all rows of a group are equally correlated.

    Coefficients are those of generalised least squares with V_g = (1 − α)I + α11', and α is the
    mean product of the residuals of two rows of a group over their mean square (Liang & Zeger
    1986). The two are found in turn until neither changes.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X, whose first column is the intercept; some group has two rows.
    kind : {"CR0", "CR3"}
        The usual empirical covariance with normal tests, or Mancl & DeRouen's with t tests on G − K
        degrees of freedom.
    divisor : {"N", "N-K"}
        What the sum of squares is divided by, as in geepack, or less the number of coefficients,
        from the number of pairs as well, as in statsmodels.

    Raises
    ------
    ValueError
        If the groups have too few pairs of rows.
    """
    index, G, K = data.usable, data.n_groups, data.n_fixed
    n, sizes = data.n_obs[index], data.group_sizes[index]
    less = K if divisor == "N-K" else 0
    pairs = (sizes * (sizes - 1)).sum(axis=1) / 2.0 - less
    largest = sizes.max(axis=1)
    if (pairs <= 0.0).any() or (n <= less).any():
        raise ValueError("too few pairs of rows in one group for a correlation")
    own, rest = bases(data), data.blocks.rr_rest[index]
    alpha, beta = np.zeros(len(index)), np.zeros((len(index), K))
    possible, converged = np.ones(len(index), dtype=bool), np.zeros(len(index), dtype=bool)
    going = np.arange(len(index))
    for _ in range(_STEPS):
        root, residual = own.root[going], own.residual[going]
        # the means of the groups are the first vector of the basis
        n_g = sizes[going]
        scale = (1.0 - alpha[going, None]) / (1.0 + alpha[going, None] * (n_g - 1))
        weighted = root.swapaxes(-1, -2).copy()
        weighted[..., 0] *= scale[..., None]
        A = np.matmul(weighted, root).sum(axis=1)
        rhs = np.matmul(weighted, residual[..., None]).sum(axis=1)
        beta[going] = np.linalg.solve(A, rhs)[..., 0]
        left = residual - np.matmul(root, beta[going, None, :, None])[..., 0]
        square = rest[going] + np.square(left).sum(axis=(1, 2))
        product = ((n_g * np.square(left[..., 0])).sum(axis=1) - square) / 2.0
        new = (product / pairs[going]) / (square / (n[going] - less))
        change = np.abs(new - alpha[going])
        alpha[going] = new
        fits = (new < 1.0) & (1.0 + new * (largest[going] - 1) > 0.0)
        possible[going] = fits
        converged[going] = fits & (change <= _TOLERANCE)
        going = going[fits & (change > _TOLERANCE)]
        if not len(going):
            break
    messages = list(data.problems)
    for row in np.flatnonzero(~possible):
        messages[index[row]] = NO_COVARIANCE.format(alpha[row], largest[row])
    alpha[~possible] = 0.0
    ends = Bases(own.root, own.residual - np.matmul(own.root, beta[:, None, :, None])[..., 0])
    within = rest + np.square(ends.residual[..., 1:]).sum(axis=(1, 2))
    for row in np.flatnonzero(~(within > NO_RESIDUALS * data.rr[index].sum(axis=1))):
        messages[index[row]] = EXACT_WITHIN
        alpha[row] = 0.0
    working = np.tile(np.eye(K), (len(index), G, 1, 1)) * (1.0 - alpha)[:, None, None, None]
    working[..., 0, 0] += alpha[:, None] * sizes
    robust = sandwich(ends, coefficient_contrasts(data.x_centre[index]), kind, working)
    df = np.inf if kind == "CR0" else float(G - K)
    correlation, everywhere = np.full(data.n_datasets, np.nan), np.zeros(data.n_datasets, bool)
    correlation[index], everywhere[index] = np.where(possible, alpha, np.nan), converged
    beta = data.pooled[index] + beta
    return GeeFit(
        in_units(data, beta, robust.variance, df, tuple(messages)), correlation, everywhere
    )
