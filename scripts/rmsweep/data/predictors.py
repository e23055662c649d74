r"""Predictors.

For predictor j in row i of group g, with m and w independent of each other, all of variance 1:

.. math::

    x_{gij} = \mu_j + \mathrm{sd}_j \big(\sqrt{\rho_j}\, (Lm_g)_j
        + \sqrt{1 - \rho_j}\, (Lw_{gi})_j\big), \quad LL' = R

ρ_j is the intraclass correlation (``predictor_icc``; 1 for a predictor of level 2), R the
correlation of the parts m and w (``predictor_correlation``), so that
cor(x_j, x_k) = R_jk (√(ρ_j ρ_k) + √((1 - ρ_j)(1 - ρ_k))).

m and w follow ``predictor_distribution``. With ``predictor_autocorrelation`` w are the innovations
of an AR(1) series within each group. For a predictor with a fixed pattern, such as a trend, that
pattern takes the place of w. The draws w are the program's own; m are new ones.

The truth is β_j in each case. Expected to mislead: `ols` about clustered predictors, whose squared
standard errors are too small by a factor of 1 + (n - 1)ρ_x ρ_u (Moulton 1986, J. Econometrics
32:385), and most about those of level 2, which also leave `lm` fewer degrees of freedom than its
G - K; `lm2` and `fe` can't estimate level 2 from rows within groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rmsweep.data import pieces
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.patterns import PATTERNS
from rmsweep.data.rows import Rows, autoregressive
from rmsweep.data.vectors import scale, vector
from rmsweep.design import Condition, Piece, Value


def group_means(condition: Condition, draws: Draws) -> Array:
    """The predictors' group means m, (n_groups, n_predictors); zero where none has any."""
    shape = condition.n_groups, condition["n_predictors"]
    if not between(condition).any():
        return np.zeros(shape)
    m = draws.of(Purpose.MEANS).standard_normal(shape)
    return distributed(condition, m, draws, Purpose.MEANS_DISTRIBUTION)


def predictors(condition: Condition, w: Array, means: Array, rows: Rows, draws: Draws) -> Array:
    """The design matrix, (n, p); see `rmsweep.data.predictors`."""
    n_predictors = condition["n_predictors"]
    mean = vector(condition["predictor_mean"], n_predictors)
    L = scale(n_predictors, condition["predictor_sd"], condition["predictor_correlation"])
    w = distributed(condition, w, draws, Purpose.PREDICTORS)
    phis = vector(condition["predictor_autocorrelation"], n_predictors)
    if phis.any():
        series = [autoregressive(one, rows, phi) for one, phi in zip(w.T, phis, strict=True)]
        w = np.column_stack(series)
    w = patterned(condition, w, rows)
    X = np.empty((len(w), n_predictors + 1))
    X[:, 0] = 1
    # as it was in the first version, to the bit
    x = np.einsum("ij,kj->ik", w, L)
    share = between(condition)
    if share.any():
        x = np.sqrt(1 - share) * x + np.sqrt(share) * (means @ L.T)[rows.groups]
    np.add(x, mean, out=X[:, 1:])
    return X


def distributed(condition: Condition, z: Array, draws: Draws, purpose: Purpose) -> Array:
    """Columns of standard normal draws in the distributions of the predictors."""
    if condition["predictor_distribution"] == "normal":
        return z
    columns = z.copy()
    # a child for each: the distribution of one leaves the others as they are
    names, rngs = per_predictor(condition), draws.of(purpose).spawn(z.shape[1])
    for j, (name, own) in enumerate(zip(names, rngs, strict=True)):
        if pieces.name_of(name) not in PATTERNS:
            columns[:, j] = pieces.drawn("predictor_distribution", name, own, z[:, j])
    return columns


def patterned(condition: Condition, w: Array, rows: Rows) -> Array:
    """Columns with those in place that are the same in every group."""
    if condition["predictor_distribution"] == "normal":
        return w
    columns, n_before = w.copy(), 1
    for j, piece in enumerate(per_predictor(condition)):
        if pieces.name_of(piece) in PATTERNS:
            columns[:, j] = pieces.patterned(piece, rows.times, condition.n_obs, n_before)
            n_before *= levels(piece)
    return columns


def levels(piece: pieces.Named) -> int:
    """Levels that a predictor adds to the combinations of factors; 1 if it is none."""
    if pieces.name_of(piece) != "factor":
        return 1
    return int(pieces.options("predictor_distribution", piece)["levels"])


def per_predictor(condition: Condition) -> Sequence[pieces.Named]:
    """The distribution of each predictor."""
    value = condition["predictor_distribution"]
    n_predictors = int(condition["n_predictors"])
    return (value,) * n_predictors if isinstance(value, str | Piece) else tuple(value)


def between(condition: Condition) -> Array:
    """The share of each predictor's variance that lies between groups, (n_predictors,)."""
    return _between(
        condition["predictor_level"], condition["predictor_icc"], condition["n_predictors"]
    )


@lru_cache
def _between(level: Value, icc: Value, n_predictors: int) -> Array:
    share: Array = np.where(vector(level, n_predictors) == 2, 1.0, vector(icc, n_predictors))
    return share
