r"""Predictors.

For predictor j in row i of group g, with m and w independent of each other, all of variance 1:

.. math::

    x_{gij} = \mu_j + \mathrm{sd}_j \big(\sqrt{\rho_j}\, (Lm_g)_j
        + \sqrt{1 - \rho_j}\, (Lw_{gi})_j\big), \quad LL' = R

ρ_j is the intraclass correlation (``predictor_icc``; 1 for a predictor of level 2 or 3), R the
correlation of the parts m and w (``predictor_correlation``), so that
cor(x_j, x_k) = R_jk (√(ρ_j ρ_k) + √((1 - ρ_j)(1 - ρ_k))).

m and w follow ``predictor_distribution``. With ``predictor_autocorrelation`` w are the innovations
of an AR(1) series within each group. For a predictor with a fixed pattern, such as a trend, that
pattern takes the place of w. The draws w are the program's own; m are new ones. A predictor that is
constant within items (`rmsweep.data.items`) has (Lw_h)_j for item h, w_h being new draws: its
correlation is that with others of its kind. So it is with one that is constant within sites
(`rmsweep.data.sites`), which has the value of the site's first group.

The truth is β_j in each case. Expected to mislead: `ols` about clustered predictors, whose squared
standard errors are too small by a factor of 1 + (n - 1)ρ_x ρ_u (Moulton 1986, J. Econometrics
32:385), and most about those of level 2, which also leave `lm` fewer degrees of freedom than its
G - K; `lm2` and `fe` can't estimate level 2 from rows within groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data import pieces
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.items import DESIGNS, Items, between_items, designs
from rmsweep.data.patterns import CATEGORICAL, PATTERNS
from rmsweep.data.rows import Rows, autoregressive
from rmsweep.data.sites import between_sites
from rmsweep.data.vectors import any_of, scale, vector
from rmsweep.design import Condition, Piece, Value


def group_means(condition: Condition, draws: Draws) -> Array:
    """The predictors' group means m, (n_groups, n_predictors); zero where none has any."""
    shape = condition.n_groups, condition["n_predictors"]
    if not any_between(condition):
        return np.zeros(shape)
    m = draws.of(Purpose.MEANS).standard_normal(shape)
    return distributed(condition, m, draws, Purpose.MEANS_DISTRIBUTION)


def predictors(
    condition: Condition,
    w: Array,
    means: Array,
    rows: Rows,
    draws: Draws,
    items: Items | None = None,
    sites: NDArray[np.int64] | None = None,
) -> Array:
    """The design matrix, (n, p); see `rmsweep.data.predictors`. Sites are those of the groups."""
    n_predictors = condition["n_predictors"]
    mean = vector(condition["predictor_mean"], n_predictors)
    L = scale(n_predictors, condition["predictor_sd"], condition["predictor_correlation"])
    w = distributed(condition, w, draws, Purpose.PREDICTORS)
    if any_of(condition["predictor_autocorrelation"], n_predictors):
        phis = vector(condition["predictor_autocorrelation"], n_predictors)
        series = [autoregressive(one, rows, phi) for one, phi in zip(w.T, phis, strict=True)]
        w = np.column_stack(series)
    steps = {"within": rows.times, "between": rows.times}
    if items is not None:
        steps["latin_square"] = items.latin
    w = patterned(condition, w, steps)
    X = np.empty((len(w), n_predictors + 1))
    X[:, 0] = 1
    if condition["predictor_correlation"] == 0:  # the same to the bit, L being diagonal
        x = w if condition["predictor_sd"] == 1 else w * L.diagonal()
    else:  # as it was in the first version, to the bit
        x = np.einsum("ij,kj->ik", w, L)
    if any_between(condition):
        share = between(condition)
        of_groups = means @ L.T
        if sites is not None and (of_sites := between_sites(condition)).any():
            _, first = np.unique(sites, return_index=True)
            of_groups[:, of_sites] = of_groups[first[sites]][:, of_sites]
        x = np.sqrt(1 - share) * x + np.sqrt(share) * of_groups[rows.groups]
    if items is not None and (across := between_items(condition)).any():
        x[:, across] = (of_items(condition, items, draws) @ L.T)[items.codes][:, across]
    # column by column: rows are too short to be worth their loops
    for j in range(n_predictors):
        np.add(x[:, j], mean[j], out=X[:, j + 1])
    return X


def of_items(condition: Condition, items: Items, draws: Draws) -> Array:
    """What takes the place of w for predictors that are constant within items, (I, ...)."""
    shape = len(items.between), int(condition["n_predictors"])
    w = draws.of(Purpose.ITEM_PREDICTORS).standard_normal(shape)
    w = distributed(condition, w, draws, Purpose.ITEM_DISTRIBUTION)
    return patterned(condition, w, dict.fromkeys(DESIGNS, items.between))


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


def patterned(condition: Condition, w: Array, steps: Mapping[str, NDArray[np.int64]]) -> Array:
    """Columns with those in place that are no draws.

    Parameters
    ----------
    condition : Condition
    w : (n, n_predictors) array
    steps : mapping of str to (n,) int array
        By how a predictor goes along with items, the time or the combination of levels.
    """
    if condition["predictor_distribution"] == "normal":
        return w
    columns = w.copy()
    n_before, _ = combinations(condition)
    for j, (piece, design) in enumerate(
        zip(per_predictor(condition), designs(condition), strict=True)
    ):
        if pieces.name_of(piece) in PATTERNS:
            columns[:, j] = pieces.patterned(piece, steps[design], condition.n_obs, n_before[j])
    return columns


def combinations(condition: Condition) -> tuple[Sequence[int], Mapping[str, int]]:
    """How factors are crossed: those within items, between items and in a Latin square, each apart.

    Returns
    -------
    n_before : sequence of int
        For each predictor the number of combinations of the factors before its own.
    in_all : mapping of str to int
        That of all factors, by `item_design`.
    """
    return _combinations(tuple(per_predictor(condition)), designs(condition))


@lru_cache
def _combinations(
    named: tuple[pieces.Named, ...], of_items: tuple[str, ...]
) -> tuple[Sequence[int], Mapping[str, int]]:
    n_before, in_all = [], dict.fromkeys(DESIGNS, 1)
    last: dict[str, tuple[str, int, int]] = {}
    for piece, design in zip(named, of_items, strict=True):
        name, size, level = coded(piece)
        # the next contrast of the same factor
        goes_on = design in last and last[design][:2] == (name, size) and level > last[design][2]
        n_before.append(in_all[design] // size if goes_on else in_all[design])
        if not goes_on:
            in_all[design] *= size
        if size > 1:
            last[design] = name, size, level
    return n_before, in_all


def coded(piece: pieces.Named) -> tuple[str, int, int]:
    """A predictor's name, its factor's number of levels, and the one that it codes; 1 if none."""
    name = pieces.name_of(piece)
    if name not in CATEGORICAL:
        return name, 1, 1
    options = pieces.options("predictor_distribution", piece)
    return name, int(options["levels"]), int(options.get("level", 1))


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


def any_between(condition: Condition) -> bool:
    """Whether any predictor has a share of its variance there."""
    levels = condition["predictor_level"], condition["predictor_icc"]
    return _any_between(*levels, condition["n_predictors"])


@lru_cache
def _any_between(level: Value, icc: Value, n_predictors: int) -> bool:
    return bool(_between(level, icc, n_predictors).any())


@lru_cache
def _between(level: Value, icc: Value, n_predictors: int) -> Array:
    share: Array = np.where(vector(level, n_predictors) > 1, 1.0, vector(icc, n_predictors))
    return share
