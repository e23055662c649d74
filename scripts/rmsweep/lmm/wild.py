r"""Tests that flip signs or other weights of whole groups.

The restricted wild cluster bootstrap of t statistics (Cameron, Gelbach & Miller 2008) tests c'β = r
by the residuals ũ of the fit under that hypothesis. In a draw all residuals of group g are
multiplied by v_g. With m = (X'X)⁻¹c, scores s̃_g = X_g'ũ_g and w = (X'X)⁻¹Σv_g s̃_g,

    t* = c'w / SE*,  SE*² = Σ(v_g m's̃_g − m'X_g'X_g w)²,

SE being CR0's. No row of the data is needed (Roodman et al. 2019). As s̃ is linear in r,
so are numerator and scores, and a test is inverted into an interval without another draw.

References
----------
Cameron, A. C., Gelbach, J. B. & Miller, D. L. (2008). Bootstrap-based improvements for inference
with clustered errors. Review of Economics and Statistics 90, 414-427.
Hartigan, J. A. (1969). Using subsample values as typical values. Journal of the American
Statistical Association 64, 1303-1317.
Roodman, D., MacKinnon, J. G., Nielsen, M. Ø. & Webb, M. D. (2019). Fast and wild: bootstrap
inference in Stata using boottest. Stata Journal 19, 4-60.
Webb, M. D. (2023). Reworking wild bootstrap-based inference for clustered errors. Canadian Journal
of Economics 56, 839-858.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.crossproducts import CrossProducts
from rmsweep.lmm.sandwich import bases, coefficient_contrasts
from rmsweep.lmm.smallmatrix import Array

Weights = Literal["auto", "rademacher", "webb"]
Ties = Literal["count", "strict"]

WEBB = np.sqrt([0.5, 1.0, 1.5])
FEW_GROUPS = 12
"""Below so many groups, signs alone have too few draws: 2^G."""

# Two statistics that differ by no more than this fraction are the same.
_TIE = 1e-9
# An interval's end is found to 2^-24 of its distance from the estimate, and has none beyond 2^40
# times that of a t interval.
_HALVINGS, _DOUBLINGS = 24, 40


@dataclass(frozen=True, slots=True)
class Resampled:
    """Tests of p coefficients of R datasets against zero; NaN where there are none.

    Attributes
    ----------
    p_value, ci_low, ci_high : (R, p) arrays
        An end is infinite where no value is rejected.
    """

    p_value: Array
    ci_low: Array
    ci_high: Array

    @classmethod
    def empty(cls, n_datasets: int, n_terms: int) -> Resampled:
        """One to be filled in."""
        return cls(*np.full((3, n_datasets, n_terms), np.nan))


@lru_cache(maxsize=4)
def all_signs(n_groups: int) -> Array:
    """All vectors of signs, (2^G, G)."""
    bits = np.arange(2**n_groups)[:, None] >> np.arange(n_groups) & 1
    signs = np.where(bits, -1.0, 1.0)
    signs.flags.writeable = False
    return signs


def draw_weights(n_groups: int, weights: Weights, draws: int, entropy: Sequence[int]) -> Array:
    """Weights of the groups, (B, G).

    Parameters
    ----------
    n_groups : int
    weights : {"auto", "rademacher", "webb"}
        Signs; Webb's six points; or the latter with fewer than twelve groups.
    draws : int
        How many to draw. Signs are enumerated instead if there are no more vectors of them.
    entropy : sequence of int
        Seed.
    """
    if weights == "auto":
        weights = "webb" if n_groups < FEW_GROUPS else "rademacher"
    if weights == "rademacher" and 2**n_groups <= draws:
        return all_signs(n_groups)
    points = np.array([1.0]) if weights == "rademacher" else WEBB
    points = np.concatenate([-points, points])
    rng = np.random.default_rng([*entropy])
    return points[rng.integers(len(points), size=(draws, n_groups))]


def wild_cluster_bootstrap(
    data: CrossProducts,
    entropy: Sequence[Sequence[int]],
    weights: Weights = "auto",
    draws: int = 999,
    ties: Ties = "count",
    equal_tailed: bool = False,
    alpha: float = 0.05,
) -> Resampled:
    """Restricted wild cluster bootstrap of OLS, for each coefficient.

    Parameters
    ----------
    data : CrossProducts
        R datasets with Z = X.
    entropy : sequence of R sequences of int
        Seed of each dataset's draws, which all its coefficients share.
    weights, draws
        As in `draw_weights`.
    ties : {"count", "strict"}
        Whether a draw with just the observed statistic counts as one that is as extreme. The draws
        of equal signs for all groups always are; where they don't count, p can be 0.
    equal_tailed : bool
        Whether p is twice the smaller tail's share of draws, and not the share of statistics with
        as large an absolute value.
    alpha : float
        The intervals have the values whose p is at least that.
    """
    index, K = data.usable, data.n_fixed
    found = Resampled.empty(data.n_datasets, K)
    groups, contrasts = bases(data), coefficient_contrasts(data.x_centre[index])
    unit = data.y_unit[:, None] / data.x_unit
    for row, place in enumerate(index.tolist()):
        v = draw_weights(data.n_groups, weights, draws, entropy[place])
        polynomials = _polynomials(groups.root[row], groups.residual[row], contrasts[row], v)
        estimate = contrasts[row] @ data.pooled[place]
        p_value = _p_value(polynomials, estimate[:, None], ties, equal_tailed)[:, 0]
        ends = _interval(polynomials, ties, equal_tailed, alpha)
        found.p_value[place] = p_value
        found.ci_low[place] = (estimate - ends[:, 0]) * unit[place]
        found.ci_high[place] = (estimate + ends[:, 1]) * unit[place]
    return found


class _Polynomials(NamedTuple):
    """Numerators n0 + n1 δ and squared errors d0 + d1 δ + d2 δ² of B draws, each (c, B).

    δ is the distance of one of c estimates from the hypothesis; `se` (c,) are the estimates' own.
    """

    n0: Array
    n1: Array
    d0: Array
    d1: Array
    d2: Array
    se: Array


def _polynomials(root: Array, residual: Array, contrasts: Array, v: Array) -> _Polynomials:
    """From R_g (G, K, K), Q_g'u_g (G, K), contrasts (c, K) and weights (B, G)."""
    G, K, _ = root.shape
    S = np.matmul(root.swapaxes(-1, -2), root)
    M = np.linalg.inv(S.sum(axis=0))
    scores = np.matmul(residual[:, None], root)[:, 0]
    m = contrasts @ M
    h = np.matmul(m, S).swapaxes(0, 1)  # m'S_g, (c, G, K)
    # the scores of the restricted fit are s + q δ
    q = h / (m * contrasts).sum(axis=1)[:, None, None]
    a0, a1 = m @ scores.T, np.matmul(q, m[..., None])[..., 0]
    columns = np.concatenate(
        [
            part.reshape(-1, G, K)
            for part in (scores[None] @ M, q @ M, a0[..., None] * h, a1[..., None] * h)
        ]
    )
    c = len(contrasts)
    sums = np.matmul(v, columns)
    w0, w1, Q0, Q1 = sums[:1], sums[1 : c + 1], sums[c + 1 : 2 * c + 1], sums[2 * c + 1 :]
    H = np.matmul(h.swapaxes(-1, -2), h)
    squares = np.square(v)
    H_w0, H_w1 = np.matmul(w0, H), np.matmul(w1, H)

    def dot(a: Array, b: Array) -> Array:
        total: Array = (a * b).sum(axis=-1)
        return total

    own = (a0 * a0).sum(axis=1)
    found = _Polynomials(
        n0=np.matmul(w0, contrasts[..., None])[..., 0],
        n1=np.matmul(w1, contrasts[..., None])[..., 0],
        d0=(a0 * a0) @ squares.T + dot(H_w0 - 2.0 * Q0, w0),
        d1=2.0 * ((a0 * a1) @ squares.T + dot(H_w0 - Q0, w1) - dot(Q1, w0)),
        d2=(a1 * a1) @ squares.T + dot(H_w1 - 2.0 * Q1, w1),
        se=np.sqrt(own),
    )
    # the same weight for all groups gives the observed statistic, however far the hypothesis is
    same = (v == v[:, :1]).all(axis=1)
    found.n0[:, same] = found.d1[:, same] = found.d2[:, same] = 0.0
    found.n1[:, same] = v[same, 0]
    found.d0[:, same] = own[:, None] * squares[same, 0]
    return found


def _p_value(at: _Polynomials, delta: Array, ties: Ties, equal_tailed: bool) -> Array:
    """P-values of hypotheses at distances (c, k) from the estimates."""
    d = delta[..., None]
    square = at.d0[:, None] + d * (at.d1[:, None] + d * at.d2[:, None])
    drawn = (at.n0[:, None] + d * at.n1[:, None]) * at.se[:, None, None]
    # t* against t, both times SE and SE*
    observed = d * np.sqrt(np.maximum(square, 0.0))
    slack = _TIE * np.abs(observed) * (1.0 if ties == "count" else -1.0)

    def at_least(drawn: Array, observed: Array) -> Array:
        beyond = drawn >= observed - slack if ties == "count" else drawn > observed - slack
        share: Array = beyond.mean(axis=-1)
        return share

    if not equal_tailed:
        return at_least(np.abs(drawn), np.abs(observed))
    tails = at_least(drawn, observed), at_least(-drawn, -observed)
    return np.minimum(1.0, 2.0 * np.minimum(*tails))


def _interval(at: _Polynomials, ties: Ties, equal_tailed: bool, alpha: float) -> Array:
    """Distances (c, 2) below and above the estimate to the last values that are not rejected."""
    side = np.array([1.0, -1.0])

    def accepted(distance: Array) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = _p_value(at, side * distance, ties, equal_tailed) >= alpha
        return inside

    inner = np.zeros((len(at.se), 2))
    outer = np.repeat(4.0 * at.se[:, None], 2, axis=1)
    for _ in range(_DOUBLINGS):
        inside = accepted(outer)
        if not inside.any():
            break
        inner, outer = np.where(inside, outer, inner), np.where(inside, 2.0 * outer, outer)
    unbounded = accepted(outer)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2.0
        inside = accepted(middle)
        inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
    return np.where(unbounded, np.inf, inner)


def sign_flips(
    by_group: Array,
    entropy: Sequence[Sequence[int]],
    draws: int,
    enumerate_up_to: int,
    alpha: float = 0.05,
) -> Resampled:
    """Tests of the mean of the groups' coefficients by all, or some, flips of their signs.

    p is the share of flips whose mean has as large an absolute value, with ties; where there are
    too many to enumerate, of draws and the data themselves. Coefficients that are symmetric about
    their mean are all the test assumes. For signs v the flipped mean of b − r is as large as the
    observed one just if r is between the means of the groups with v = 1 and v = −1 (Hartigan 1969),
    so the interval is made of order statistics.

    Parameters
    ----------
    by_group : (R, G, p) array
        NaN for datasets that are left out.
    entropy : sequence of R sequences of int
        Seed of each dataset's draws.
    draws : int
    enumerate_up_to : int
        The most groups whose 2^G flips are enumerated.
    alpha : float
        The intervals have the values whose p is at least that.
    """
    n_datasets, G, p = by_group.shape
    found = Resampled.empty(n_datasets, p)
    enumerated = enumerate_up_to >= G
    # of each pair of opposite vectors one
    v = all_signs(G)[: 2 ** (G - 1)] if enumerated else np.empty((0, G))
    for row in np.flatnonzero(np.isfinite(by_group).all(axis=(1, 2))).tolist():
        if not enumerated:
            rng = np.random.default_rng([*entropy[row]])
            signs = 1.0 - 2.0 * rng.integers(2, size=(draws, G))
            v = np.concatenate([np.ones((1, G)), signs])
        b = by_group[row]
        total, flipped = b.sum(axis=0), v @ b
        as_large = np.abs(flipped) >= np.abs(total) * (1.0 - _TIE)
        found.p_value[row] = as_large.mean(axis=0)
        size = v.sum(axis=1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.array([(total + flipped) / (G + size), (total - flipped) / (G - size)])
        same = np.abs(size[:, 0]) == G
        # of equal signs every value is as large
        low = np.where(same[:, None], -np.inf, means.min(axis=0))
        high = np.where(same[:, None], np.inf, means.max(axis=0))
        # so many values must be as large that p is alpha
        needed = int(np.ceil(alpha * len(v) * (1.0 - _TIE))) - 1
        found.ci_low[row] = np.partition(low, needed, axis=0)[needed]
        found.ci_high[row] = -np.partition(-high, needed, axis=0)[needed]
    return found
