"""Least squares with standard errors that are robust to two crossed ways of clustering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.leastsquares import LeastSquaresFit
from rmsweep.lmm.smallmatrix import Array

Codes = NDArray[np.int64]


def two_way_ols(
    y: Array, X: Array, one: Codes, other: Codes, messages: Sequence[str]
) -> LeastSquaresFit:
    r"""Pooled OLS with two-way cluster-robust standard errors, on min(G, I) - 1 degrees of freedom.

    .. math:: V = c_1 V_1 + c_2 V_2 - c_{12} V_{12}

    where V_1, V_2 and V_12 are CR0 by the one factor, by the other, and by their pairs of levels,
    and each c is C/(C-1) (N-1)/(N-K) with its own number of clusters C (Cameron, Gelbach & Miller
    2011, J. Business & Economic Statistics 29:238). See `positive` for what it makes negative.

    Parameters
    ----------
    y : (R, n) array
    X : (R, n, p) array
    one, other : (n,) int array
        Levels, 0 ... G - 1 and 0 ... I - 1.
    messages : sequence of R str
        Why a dataset can't be fitted, or an empty string.
    """
    n, p = X.shape[1:]
    estimate, se = np.full((2, len(y), p), np.nan)
    pairs = np.unique(one * (other.max() + 1) + other, return_inverse=True)[1]
    clusters = [_Clusters.of(codes) for codes in (one, other, pairs)]
    good = np.flatnonzero([not message for message in messages])
    # one after the other: no dataset's bits depend on those beside it
    for place in good:
        Q, root = np.linalg.qr(X[place])
        estimate[place] = np.linalg.solve(root, Q.T @ y[place])
        scores = Q * (y[place] - X[place] @ estimate[place])[:, None]
        meat = np.zeros((p, p))
        for sign, of in zip((1.0, 1.0, -1.0), clusters, strict=True):
            sums = of.sums(scores)
            meat += sign * of.n / (of.n - 1) * (sums.T @ sums)
        half = np.linalg.solve(root, meat)
        V = np.linalg.solve(root, half.T) * ((n - 1) / (n - p))
        se[place] = np.sqrt(positive(V).diagonal())
    df = float(min(of.n for of in clusters[:2]) - 1)
    return LeastSquaresFit(estimate, se, df, None, tuple(messages))


def positive(V: Array) -> Array:
    """A covariance as it is, but for one with a variance of zero or less.

    Its negative eigenvalues are then set to zero, as Cameron, Gelbach & Miller (2011, section 2.3)
    do. There would be no standard error without that.
    """
    V = (V + V.T) / 2
    if (V.diagonal() > 0).all():
        return V
    values, vectors = np.linalg.eigh(V)
    repaired: Array = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return repaired


class _Clusters:
    """Sums of rows by cluster."""

    def __init__(self, order: NDArray[np.intp], starts: NDArray[np.intp]) -> None:
        self.order, self.starts, self.n = order, starts, len(starts)

    @classmethod
    def of(cls, codes: Codes) -> _Clusters:
        """The clusters of rows with these codes."""
        order = np.argsort(codes, kind="stable")
        return cls(order, np.flatnonzero(np.diff(codes[order], prepend=-1)))

    def sums(self, scores: Array) -> Array:
        """The sums of the scores (n, p) of each cluster."""
        sums: Array = np.add.reduceat(scores[self.order], self.starts, axis=0)
        return sums
