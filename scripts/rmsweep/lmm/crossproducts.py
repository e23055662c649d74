"""What a mixed model with one grouping factor needs to know of the data.

Everything is a function of the cross-products of each group, so that a fit costs the same
whatever the number of observations (Bates et al. 2015, section 3, with the blocks that a single
grouping factor leaves).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.smallmatrix import (
    Array,
    back_substitute,
    cholesky,
    datasets_first,
    forward_substitute,
    solve_each,
)

# A column counts as a combination of the columns before it when less than this fraction of its
# sum of squares is its own: a hundred times what rounding leaves in cross-products of 1e4 rows.
# lme4 draws the line at 1e-14 of the sum of squares, by a QR of X, which cross-products can't see.
RANK_TOLERANCE = 1e-12

# Beside an intercept, a predictor is taken from its mean where that is more than so many standard
# deviations from zero: cross-products lose the square of that ratio. Nearer ones need no centring,
# and keep their digits as they are.
FAR = 4.0

# What is left of a centred predictor is rounding up to this fraction of its mean.
_MEAN_ROUNDING = 1e-14

# From this ratio of columns' sizes on, they are scaled for programs that don't do so themselves.
APART = 2.0**20

# A response whose residuals have no more than this fraction of its sum of squares is constant
# or an exact function of X.
EXACT_FIT = 1e-24
EXACT = (
    "the response is constant or an exact function of the predictors: its residuals can't be told "
    "from rounding"
)

# Elements (datasets × rows) that are worked on at once; more would fall out of the cache.
_ELEMENTS_AT_ONCE = 120_000

_Scalar = TypeVar("_Scalar", bound=np.generic)


@lru_cache
def triangle(q: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the lower triangle, row by row, and the place of each pair in it."""
    rows, columns = np.tril_indices(q)
    places = np.zeros((q, q), dtype=np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return rows, columns, places


@dataclass(frozen=True, slots=True)
class Blocks:
    """The numbers of some datasets on which the criterion depends, in working units.

    With T_i the lower Cholesky factor of Z_i'Z_i, everything of group i beyond its projection on
    Z_i is independent of the random effects' covariance, and summed over groups in advance.

    Attributes
    ----------
    z : (q(q+1)/2, R, G) array
        T_i, lower triangle row by row. A group with fewer rows than columns has zero pivots.
    x : (q, p, R, G) array or None
        T_i⁻¹Z_i'X_i; None where X = Z, of which it is T_i'.
    r : (q, R, G) array
        T_i⁻¹Z_i'r_i; r are the residuals of the pooled OLS fit.
    xx_rest : (R, p, p) array
    xr_rest : (R, p) array
    rr_rest : (R,) array
        Cross-products of the parts of X and r that are orthogonal to Z within the groups.
    n_obs : (R,) array of int
        Rows of each dataset.
    """

    z: Array
    x: Array | None
    r: Array
    xx_rest: Array
    xr_rest: Array
    rr_rest: Array
    n_obs: NDArray[np.intp]

    def spare_rows(self, reml: bool) -> NDArray[np.intp]:
        """The ν of the criterion, (R,): n − p for REML, n for maximum likelihood."""
        return self.n_obs - self.xr_rest.shape[1] if reml else self.n_obs

    @property
    def determined(self) -> NDArray[np.bool_]:
        """Which coefficients of r on Z the data of each group determine, (q, R, G)."""
        rows, columns, _ = triangle(len(self.r))
        determined: NDArray[np.bool_] = self.z[rows == columns] > 0.0
        return determined

    @property
    def group_coefficients(self) -> Array:
        """Coefficients of r on Z in each group, (q, R, G); zero if not determined."""
        return self._back_substituted(self.r[:, None].copy())[:, 0]

    @property
    def sampling_roots(self) -> Array:
        """U_i with U_iU_i' = (Z_i'Z_i)⁻¹, (q, q, R, G); zero if not determined."""
        q, *shape = self.r.shape
        return self._back_substituted(np.eye(q)[..., None, None] * np.ones(shape))

    def _back_substituted(self, right: Array) -> Array:
        """T_i'⁻¹ of right sides (q, columns, R, G), which it overwrites."""
        q = len(self.r)
        _, _, place = triangle(q)
        T = self.z[place.ravel()].reshape(q, q, *self.r.shape[1:])
        pivots = T[np.arange(q), np.arange(q)]
        reciprocals = np.divide(1.0, pivots, out=np.zeros_like(pivots), where=self.determined)
        return back_substitute(T, reciprocals, right)

    def take(self, index: NDArray[np.intp]) -> Blocks:
        """Return the blocks of some of the datasets."""
        return Blocks(
            z=self.z.take(index, axis=1),
            x=None if self.x is None else self.x.take(index, axis=2),
            r=self.r.take(index, axis=1),
            xx_rest=self.xx_rest.take(index, axis=0),
            xr_rest=self.xr_rest.take(index, axis=0),
            rr_rest=self.rr_rest.take(index, axis=0),
            n_obs=self.n_obs.take(index, axis=0),
        )


@dataclass(frozen=True, slots=True)
class CrossProducts:
    """Cross-products of R datasets with as many groups each: all that the fits need.

    Columns of X and Z and the response are held in working units, which are powers of two near
    their root mean square, so that scaling costs no rounding. Where the first column is constant,
    predictors far from zero are held as deviations from a centre, x − centre · first. Fixed
    effects of the deviations are ``β + e₀ centre'β``: the same model in other words.

    Attributes
    ----------
    group_sizes : (R, G) array of int
        Rows of each group, in the order of the sorted group codes. Those of a dataset are either
        all the same, and then in each dataset as many, or they differ in all datasets.
    x_is_z : bool
        Whether every fixed effect has its random effect: X = Z.
    blocks : Blocks
    x_unit : (R, p) array
    z_unit : (R, q) array
    y_unit : (R,) array
        Size of the working units.
    x_centre : (R, p) array
    z_centre : (R, q) array
        What was subtracted, in working units; zero for the first column.
    pooled : (R, p) array
        Pooled OLS coefficients, in working units.
    xx : (R, p, p) array
        X'X of all rows.
    xr : (p, R, G) array
        X_i'r_i of each group.
    rr : (R, G) array
        r_i'r_i of each group.
    problems : tuple of str
        For each dataset why it can't be fitted, or an empty string.
    """

    group_sizes: NDArray[np.intp]
    x_is_z: bool
    blocks: Blocks
    x_unit: Array
    z_unit: Array
    y_unit: Array
    x_centre: Array
    z_centre: Array
    pooled: Array
    xx: Array
    xr: Array
    rr: Array
    problems: tuple[str, ...]

    @property
    def n_datasets(self) -> int:
        """Number of datasets, R."""
        return len(self.y_unit)

    @property
    def n_groups(self) -> int:
        """Number of groups, G."""
        return int(self.group_sizes.shape[1])

    @property
    def n_obs(self) -> NDArray[np.intp]:
        """Rows of each dataset, (R,)."""
        return self.blocks.n_obs

    @property
    def balanced(self) -> bool:
        """Whether all groups have as many rows."""
        return bool((self.group_sizes == self.group_sizes[:, :1]).all())

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects, p."""
        return int(self.x_unit.shape[1])

    @property
    def n_random(self) -> int:
        """Number of random effects of a group, q."""
        return int(self.z_unit.shape[1])

    @property
    def usable(self) -> NDArray[np.intp]:
        """Indices of the datasets without a problem."""
        return np.array([i for i, text in enumerate(self.problems) if not text], dtype=np.intp)

    def with_leading_random_effects(self, q: int) -> CrossProducts:
        """Cross-products of the model that keeps only the first `q` columns of Z.

        With Z = [1, x1, …] and ``q=1`` this is the random-intercept model, without another pass
        over the data. Cholesky factors are nested, so the rows of T⁻¹Z'X that go just join the
        rest that is orthogonal to Z.

        Raises
        ------
        ValueError
            If `q` isn't between 1 and the number of random effects.
        """
        if not 1 <= q <= self.n_random:
            raise ValueError(f"q={q} random effects: there are 1 to {self.n_random}")
        if q == self.n_random:
            return self
        old = self.blocks
        kept = q * (q + 1) // 2
        x = np.zeros((self.n_random, self.n_fixed, *old.r.shape[1:])) if old.x is None else old.x
        if old.x is None:
            rows, columns, _ = triangle(self.n_random)
            x[columns, rows] = old.z
        xx_rest, xr_rest, rr_rest = (
            rest + part
            for rest, part in zip(
                (old.xx_rest, old.xr_rest, old.rr_rest),
                _rest_products(x[q:], old.r[q:]),
                strict=True,
            )
        )
        blocks = Blocks(
            z=old.z[:kept].copy(),
            x=x[:q].copy(),
            r=old.r[:q].copy(),
            xx_rest=xx_rest,
            xr_rest=xr_rest,
            rr_rest=rr_rest,
            n_obs=old.n_obs,
        )
        return replace(
            self,
            x_is_z=False,
            blocks=blocks,
            z_unit=self.z_unit[:, :q].copy(),
            z_centre=self.z_centre[:, :q].copy(),
        )

    @np.errstate(all="ignore")  # what can't be fitted has a problem
    def with_random_effects(self, columns: Sequence[int]) -> CrossProducts:
        """Cross-products of the model that keeps only some columns of Z, none of them centred.

        Raises
        ------
        ValueError
            If there are no columns, or one twice or unknown.
        """
        q = self.n_random
        if not columns or len({*columns} & {*range(q)}) != len(columns):
            raise ValueError(f"columns={list(columns)}: allowed are different ones of 0 to {q - 1}")
        given = self.with_random_effects_as_given()
        old, kept, shape = given.blocks, list(columns), given.blocks.r.shape[1:]
        rows, places, _ = triangle(q)
        T = np.zeros((q, q, *shape))
        T[rows, places] = old.z
        x = T.swapaxes(0, 1).copy() if old.x is None else old.x
        n_kept, p = len(kept), x.shape[1]
        own, sides = T[kept], np.empty((n_kept, p + 1, *shape))
        zz = np.einsum("akrg,bkrg->abrg", own, own)
        np.einsum("akrg,kprg->aprg", own, x, out=sides[:, :p])
        np.einsum("akrg,krg->arg", own, old.r, out=sides[:, p])
        reciprocals, _ = cholesky(zz, np.full((n_kept, 1, 1), RANK_TOLERANCE))
        forward_substitute(zz, reciprocals, sides)
        rests = [
            rest + whole - part
            for rest, whole, part in zip(
                (old.xx_rest, old.xr_rest, old.rr_rest),
                _rest_products(x, old.r),
                _rest_products(sides[:, :p], sides[:, p]),
                strict=True,
            )
        ]
        blocks = Blocks(
            z=zz[np.tril_indices(n_kept)],
            x=sides[:, :p].copy(),
            r=sides[:, p].copy(),
            xx_rest=rests[0],
            xr_rest=rests[1],
            rr_rest=np.maximum(rests[2], 0.0),
            n_obs=old.n_obs,
        )
        return replace(
            given,
            x_is_z=False,
            blocks=blocks,
            z_unit=given.z_unit[:, kept].copy(),
            z_centre=given.z_centre[:, kept].copy(),
        )

    @np.errstate(all="ignore")  # what can't be fitted has a problem
    def without_fixed_effect(self, column: int) -> CrossProducts:
        """Cross-products of the model without one column of X, whose random effect stays.

        Raises
        ------
        ValueError
            If Z isn't X, or there is no such column, or no other.
        """
        p = self.n_fixed
        if not self.x_is_z or p == 1 or not 0 <= column < p:
            raise ValueError(f"column {column} of {p} can't be left out of X, or Z isn't X")
        old, centre = self.blocks, self.x_centre
        rows, columns, _ = triangle(p)
        T = np.zeros((p, p, *old.r.shape[1:]))
        T[rows, columns] = old.z
        x = T.swapaxes(0, 1).copy()
        xx, pooled = self.xx, self.pooled
        if column == 0 and centre.any():
            # without the first column, deviations from a multiple of it would be another model
            x += centre.T[:, :, None] * x[:, :1]
            T += centre.T[:, None, :, None] * T[:1]
            shift = np.broadcast_to(np.eye(p), xx.shape).copy()
            shift[:, 0] += centre
            xx = np.matmul(np.matmul(shift.transpose(0, 2, 1), xx), shift)
            pooled, centre = uncentred(pooled, centre), np.zeros_like(centre)
        kept = [place for place in range(p) if place != column]
        # what is left out of the pooled fit joins its residuals, r + Xd
        d = np.empty_like(pooled)
        d[:, column] = pooled[:, column]
        right = xx[:, kept, column] * pooled[:, column, None]
        step, _ = solve_each(xx[:, kept][:, :, kept], right)
        d[:, kept] = -step
        xd = np.einsum("qkrg,rk->qrg", x, d)
        xr = np.einsum("akrg,krg->arg", T, xd)
        return replace(
            self,
            x_is_z=False,
            blocks=replace(
                old,
                x=x[:, kept].copy(),
                r=old.r + xd,
                xx_rest=old.xx_rest[:, kept][:, :, kept],
                xr_rest=old.xr_rest[:, kept],
            ),
            x_unit=self.x_unit[:, kept],
            x_centre=centre[:, kept],
            pooled=(pooled - d)[:, kept],
            xx=xx[:, kept][:, :, kept],
            xr=(self.xr + xr)[kept],
            rr=self.rr + (xd * (2.0 * old.r + xd)).sum(axis=0),
        )

    def take(self, index: NDArray[np.intp]) -> CrossProducts:
        """Return some of the datasets."""
        own: dict[str, Any] = {
            "blocks": self.blocks.take(index),
            "xr": self.xr.take(index, axis=1),
            "problems": tuple(self.problems[place] for place in index),
        }
        by_dataset = {field.name for field in fields(self)} - own.keys() - {"x_is_z"}
        return replace(self, **own, **{name: getattr(self, name)[index] for name in by_dataset})

    def with_random_effects_as_given(self) -> CrossProducts:
        """Cross-products with columns of Z that are not centred, for structures that this changes.

        Z = Z_c A adds to T = A'T_c a multiple of its first row, and leaves T⁻¹Z' as it is.
        """
        if not self.z_centre.any():
            return self
        q = self.n_random
        rows, columns, _ = triangle(q)
        z = self.blocks.z.copy()
        z[columns == 0] += self.z_centre.T[..., None] * z[0]
        # a power of two, as all working units
        larger = np.ldexp(1.0, np.frexp(np.hypot(1.0, self.z_centre))[1] - 1)
        z /= larger.T[rows][..., None]
        x = self.blocks.x
        if x is None:
            x = np.zeros((q, q, *z.shape[1:]))
            x[columns, rows] = self.blocks.z
        return replace(
            self,
            x_is_z=False,
            blocks=replace(self.blocks, z=z, x=x),
            z_unit=self.z_unit * larger,
            z_centre=np.zeros_like(self.z_centre),
        )


def centred(X: Array) -> tuple[Array, Array]:
    """Columns (n, p), those far from zero as deviations from centre · first; and the centres."""
    columns = np.moveaxis(X[None], 2, 0).copy()
    centre, _ = _centre(columns)
    return columns[:, 0].T.copy(), centre[:, 0]


def units(X: Array) -> Array:
    """A power of two near the root mean square of each column, (p,), where these are far apart.

    Else ones: programs that solve by singular values lose columns that are small beside others.
    """
    columns = np.moveaxis(X[None], 2, 0)
    unit = _unit(columns, np.vecdot(columns, columns) / len(X))[:, 0]
    return unit if unit.max() >= APART * unit.min() else np.ones(len(unit))


def uncentred(coefficients: Array, centre: Array) -> Array:
    """Coefficients (R, p, ...) of the columns themselves from those of centred ones."""
    shape = (*centre.shape, *[1] * (coefficients.ndim - 2))
    as_given = coefficients.copy()
    as_given[:, 0] -= (centre.reshape(shape) * coefficients).sum(axis=1)
    return as_given


def reduced_at_once(n_rows: int) -> int:
    """How many datasets of so many rows `crossproducts` works on at once."""
    return max(1, _ELEMENTS_AT_ONCE // n_rows)


def crossproducts(
    y: Array, X: Array, Z: Array | None, groups: NDArray[np.generic]
) -> CrossProducts:
    """Reduce datasets that share their groups to cross-products.

    Parameters
    ----------
    y : (R, n) array
        Responses.
    X : (R, n, p) array
        Columns of the fixed effects, the intercept among them.
    Z : (R, n, q) array or None
        Columns of the random effects; None for the same as X.
    groups : (n,) array
        Group of each row, in any order and of any type that sorts.

    Returns
    -------
    CrossProducts
        Datasets with values that aren't finite, rank-deficient X or an exact fit have an entry
        in ``problems``.

    Raises
    ------
    ValueError
        If shapes don't match, or there are fewer than two groups or no more rows than fixed
        effects.
    """
    y = np.asarray(y, dtype=np.float64)
    X = np.asarray(X, dtype=np.float64)
    Z_given = None if Z is None else np.asarray(Z, dtype=np.float64)
    _check_shapes(y, X, Z_given, groups)
    order, starts, sizes = _runs(groups)
    n_datasets, n = y.shape
    at_once = reduced_at_once(n)
    parts = []
    for start in range(0, n_datasets, at_once):
        some = slice(start, start + at_once)
        y_columns, X_columns = _columns(y[some, :, None], order), _columns(X[some], order)
        Z_columns = None if Z_given is None else _columns(Z_given[some], order)
        parts.append(_reduce(y_columns, X_columns, Z_columns, starts, sizes))
    return joined(parts)


def _check_shapes(y: Array, X: Array, Z: Array | None, groups: NDArray[np.generic]) -> None:
    if y.ndim != 2 or X.ndim != 3 or groups.ndim != 1:
        raise ValueError(
            "y, X and groups must be of shapes (R, n), (R, n, p) and (n,), "
            f"not {y.shape}, {X.shape} and {groups.shape}"
        )
    for name, matrix in (("X", X), ("Z", X if Z is None else Z)):
        if matrix.ndim != 3 or matrix.shape[:2] != y.shape or matrix.shape[2] == 0:
            raise ValueError(f"{name} of shape {matrix.shape} doesn't match y of shape {y.shape}")
    if groups.shape != y.shape[1:] or 0 in y.shape:
        raise ValueError(f"groups of shape {groups.shape} don't match y of shape {y.shape}")
    n, p = X.shape[1:]
    if n <= p:
        raise ValueError(f"number of observations (={n}) <= number of fixed effects (={p})")


def _runs(
    groups: NDArray[np.generic],
) -> tuple[NDArray[np.intp] | None, NDArray[np.intp], NDArray[np.intp]]:
    """Order that sorts rows by group (None if they are), start and size of each group."""
    in_order = bool((groups[1:] >= groups[:-1]).all())  # type: ignore[operator]
    order = None if in_order else np.argsort(groups, kind="stable")
    codes = groups if order is None else groups[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    if len(starts) < 2:
        raise ValueError("the grouping factor must have at least 2 levels")
    return order, starts, sizes


def _columns(A: Array, order: NDArray[np.intp] | None) -> Array:
    """Columns of (R, n, k) data as a new (k, R, n) array, in the order of the groups."""
    columns = np.empty((A.shape[2], *A.shape[:2]))
    columns[...] = np.moveaxis(A if order is None else A[:, order], 2, 0)
    return columns


def _centre(columns: Array) -> tuple[Array, Array]:
    """Subtract from (k, R, n) columns, in place, what is far from zero; give it as (k, R).

    It is a multiple of the first column, which must be constant, and is given as such. Also give
    the mean squares that are left, (k, R).
    """
    n = columns.shape[-1]
    centre, mean_square = np.zeros(columns.shape[:2]), np.empty(columns.shape[:2])
    first = columns[0, :, 0]
    constant = (columns[0] == first[:, None]).all(axis=1) & (first != 0.0)
    for place, (column, out) in enumerate(zip(columns, centre, strict=True)):
        mean_square[place] = np.vecdot(column, column) / n
        if place == 0:
            continue
        mean = column.mean(axis=1)
        square = mean * mean
        # also where the variance is lost in rounding
        index = np.flatnonzero(constant & (FAR**2 * (mean_square[place] - square) < square))
        if len(index):
            column[index] -= mean[index, None]
            out[index] = mean[index] / first[index]
            mean_square[place] = np.vecdot(column, column) / n
    return centre, mean_square


def _unit(columns: Array, mean_square: Array) -> Array:
    """Powers of two near the root mean square of (k, R, n) columns, as (k, R)."""
    size = np.sqrt(mean_square)
    # Squares of very large or small units overflow or vanish: take the largest value there.
    extreme = ~((mean_square > 1e-200) & (mean_square < 1e200))
    if extreme.any():
        size[extreme] = np.abs(columns[extreme]).max(axis=-1)
    size[~np.isfinite(size) | (size == 0.0)] = 1.0
    unit: Array = np.ldexp(1.0, np.frexp(size)[1] - 1)
    return unit


def _reduce(
    y_column: Array,
    X: Array,
    Z: Array | None,
    starts: NDArray[np.intp],
    sizes: NDArray[np.intp],
) -> CrossProducts:
    """Cross-products of the datasets of one pass; X and Z are (p, R, n), overwritten."""
    y = y_column[0]
    n_datasets, n = y.shape
    scratch = np.empty_like(y)
    equal = bool((sizes == sizes[0]).all())

    def by_group(a: Array, b: Array) -> Array:
        if equal:
            shape = (len(a), len(sizes), sizes[0])
            sums: Array = np.vecdot(a.reshape(shape), b.reshape(shape))
            return sums
        return np.add.reduceat(np.multiply(a, b, out=scratch), starts, axis=-1)

    with np.errstate(all="ignore"):
        x_centre, x_unit = _standardise(X)
        y_unit = _unit(y, np.vecdot(y, y) / n)
        _divide(y, y_unit)
        z_centre, z_unit = (x_centre, x_unit) if Z is None else _standardise(Z)
        W = X if Z is None else Z
        p, q = len(X), len(W)

        zz = np.empty((q, q, n_datasets, len(sizes)))
        for a in range(q):
            for b in range(a + 1):
                zz[a, b] = zz[b, a] = by_group(W[a], W[b])
        zx = None
        if Z is None:
            xx = zz.sum(axis=-1)
        else:
            zx = np.array([[by_group(z, x) for x in X] for z in Z])
            xx = np.array([[np.vecdot(a, b) for b in X] for a in X])
        XX = datasets_first(xx)
        xy = np.array([[np.vecdot(x, y)] for x in X])
        yy = np.vecdot(y, y)
        reciprocals, _ = cholesky(xx, _rank_tolerance(x_centre))
        pooled = back_substitute(xx, reciprocals, forward_substitute(xx, reciprocals, xy))[:, 0]
        for x, b in zip(X, pooled, strict=True):
            np.multiply(x, b[:, None], out=scratch)
            np.subtract(y, scratch, out=y)
        r = y
        rr = np.vecdot(r, r)
        xr = np.array([by_group(x, r) for x in X])
        zr = xr.copy() if Z is None else np.array([by_group(z, r) for z in Z])

        T = zz
        T_reciprocals, _ = cholesky(T, _rank_tolerance(z_centre)[..., None])
        r_part = forward_substitute(T, T_reciprocals, zr[:, None])[:, 0]
        x_part = None if zx is None else forward_substitute(T, T_reciprocals, zx)
        xx_rest, xr_rest = np.zeros_like(XX), np.zeros((n_datasets, p))
        rr_rest = rr - datasets_first(np.square(r_part).sum(axis=-1)).sum(axis=-1)
        if x_part is not None:
            xx_part, xr_part, rr_part = _rest_products(x_part, r_part)
            xx_rest, rr_rest = XX - xx_part, rr - rr_part
            xr_rest = datasets_first(xr.sum(axis=-1)) - xr_part
    full_rank = np.all(reciprocals > 0.0, axis=0)
    problems = []
    for i in range(n_datasets):
        if not np.isfinite(rr[i]):
            problems.append("values of the response or the predictors aren't finite")
        elif not full_rank[i]:
            problems.append("the fixed-effects model matrix is rank deficient")
        elif rr[i] <= EXACT_FIT * yy[i]:
            problems.append(EXACT)
        else:
            problems.append("")
    return CrossProducts(
        group_sizes=np.tile(sizes, (n_datasets, 1)),
        x_is_z=Z is None,
        blocks=Blocks(
            z=T[np.tril_indices(q)],
            x=x_part,
            r=r_part,
            xx_rest=xx_rest,
            xr_rest=xr_rest,
            rr_rest=np.maximum(rr_rest, 0.0),
            n_obs=np.full(n_datasets, n),
        ),
        x_unit=x_unit.T.copy(),
        z_unit=z_unit.T.copy(),
        y_unit=y_unit,
        x_centre=x_centre.T.copy(),
        z_centre=z_centre.T.copy(),
        pooled=datasets_first(pooled),
        xx=XX,
        xr=xr,
        rr=by_group(r, r),
        problems=tuple(problems),
    )


def _standardise(columns: Array) -> tuple[Array, Array]:
    """Bring (k, R, n) columns to working units, in place; give their centres and units, (k, R)."""
    centre, mean_square = _centre(columns)
    unit = _unit(columns, mean_square)
    _divide(columns, unit)
    return centre * unit[0] / unit, unit


def _divide(columns: Array, unit: Array) -> None:
    """Divide columns (..., n), in place, by powers of two (...)."""
    reciprocals = 1.0 / unit
    if np.isfinite(reciprocals).all():
        columns *= reciprocals[..., None]  # the same to the bit, and faster
    else:
        columns /= unit[..., None]


def _rank_tolerance(centre: Array) -> Array:
    """Fractions of (k, R) columns' sums of squares that are rounding."""
    rounding = _MEAN_ROUNDING * centre
    return np.maximum(RANK_TOLERANCE, rounding * rounding)


def _rest_products(x: Array, r: Array) -> tuple[Array, Array, Array]:
    """Cross-products X'X, X'r and r'r of (q, p, R, G) and (q, R, G), over rows and groups."""
    p, n_datasets = x.shape[1], x.shape[2]
    xx = np.empty((n_datasets, p, p))
    for i in range(p):
        xx[:, i] = np.einsum("qrg,qprg->prg", x[:, i], x).sum(axis=-1).T
    xr = datasets_first(np.einsum("qprg,qrg->prg", x, r).sum(axis=-1))
    rr = datasets_first(np.square(r).sum(axis=-1)).sum(axis=-1)
    return xx, xr, rr


def joined(parts: Sequence[CrossProducts]) -> CrossProducts:
    """Cross-products of datasets that were reduced apart, one part after the other.

    Raises
    ------
    ValueError
        If the parts differ in more than their rows: a fit of one dataset would depend on others.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    alike = {(part.n_groups, part.n_fixed, part.n_random, part.x_is_z) for part in parts}
    sizes = {tuple(part.group_sizes[0]) if part.balanced else None for part in parts}
    if len(alike) > 1 or len(sizes) > 1:
        raise ValueError("parts must have as many groups and columns, all of one size or none")

    def along(axis: int, arrays: Iterator[NDArray[_Scalar]]) -> NDArray[_Scalar]:
        return np.concatenate(list(arrays), axis=axis)

    xs = [part.blocks.x for part in parts if part.blocks.x is not None]
    blocks = Blocks(
        z=along(1, (part.blocks.z for part in parts)),
        x=along(2, iter(xs)) if xs else None,
        r=along(1, (part.blocks.r for part in parts)),
        xx_rest=along(0, (part.blocks.xx_rest for part in parts)),
        xr_rest=along(0, (part.blocks.xr_rest for part in parts)),
        rr_rest=along(0, (part.blocks.rr_rest for part in parts)),
        n_obs=along(0, (part.blocks.n_obs for part in parts)),
    )
    return CrossProducts(
        group_sizes=along(0, (part.group_sizes for part in parts)),
        x_is_z=first.x_is_z,
        blocks=blocks,
        x_unit=along(0, (part.x_unit for part in parts)),
        z_unit=along(0, (part.z_unit for part in parts)),
        y_unit=along(0, (part.y_unit for part in parts)),
        x_centre=along(0, (part.x_centre for part in parts)),
        z_centre=along(0, (part.z_centre for part in parts)),
        pooled=along(0, (part.pooled for part in parts)),
        xx=along(0, (part.xx for part in parts)),
        xr=along(1, (part.xr for part in parts)),
        rr=along(0, (part.rr for part in parts)),
        problems=tuple(problem for part in parts for problem in part.problems),
    )
