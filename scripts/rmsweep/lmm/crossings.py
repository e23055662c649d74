"""What a mixed model with several random-effects terms needs to know of the data.

With Z = [Z_1 ... Z_F] the criterion depends on cross-products alone: those of Z_f within each level
of its factor, those of Z_f and Z_g for each pair of levels, and those of Z with the fixed effects
and the response (Bates et al. 2015, section 3). Rows that a dataset lacks are zero rows. What
levels of one factor have in common is taken out before: see `strata`. Where all other factors are
nested in one, its levels share no random effects, and cross-products are those of each of them: see
`units`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf

from rmsweep.lmm.covariance import Covariance, Terms, direct_sum
from rmsweep.lmm.crossproducts import EXACT, EXACT_FIT, FAR, RANK_TOLERANCE, uncentred
from rmsweep.lmm.smallmatrix import (
    Array,
    all_finite,
    back_substitute,
    cholesky,
    datasets_first,
    entries_first,
    forward_substitute,
    sums_of_squares,
)
from rmsweep.lmm.strata import Rows, Strata, pooled_levels, same_levels
from rmsweep.lmm.units import by_units

Index = NDArray[np.intp]

# Random effects of all terms but the largest, whose covariances are dense matrices.
MOST_DENSE = 2_000

# Numbers that the criterion of some datasets works on at once; more would fall out of the cache.
_NUMBERS_AT_ONCE = 1_500_000
_DATASETS_AT_ONCE = 1_000
_ROWS_AT_ONCE = 400_000

# What is left of a centred column is rounding up to this fraction of its mean.
_MEAN_ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class Term:
    """A random-effects term.

    Attributes
    ----------
    codes : (n,) array of int
        Level of each row, 0 ... L - 1; every number occurs.
    Z : (R, n, q) array
        Columns of the random effects.
    covariance : {"full", "diagonal", "scalar"}
    """

    codes: NDArray[np.integer]
    Z: Array
    covariance: Covariance = "full"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the random effects of the terms are arranged, the levels of each effect side by side.

    Attributes
    ----------
    levels, sizes : tuple of int
        Number of levels and of random effects of each term.
    first : int
        The term with most random effects in all. It comes first, and is eliminated level by level.
    units : int
        Parts of the data that share no random effects. If there are several, the levels are those
        of one part.
    """

    levels: tuple[int, ...]
    sizes: tuple[int, ...]
    first: int
    units: int = 1

    @classmethod
    def of(cls, levels: Sequence[int], sizes: Sequence[int], units: int = 1) -> Layout:
        """The layout of such terms."""
        n_effects = [n * q for n, q in zip(levels, sizes, strict=True)]
        return cls(tuple(levels), tuple(sizes), n_effects.index(max(n_effects)), units)

    @property
    def others(self) -> tuple[int, ...]:
        """The other terms."""
        return tuple(term for term in range(len(self.levels)) if term != self.first)

    @property
    def n_first(self) -> int:
        """Random effects of the first term."""
        return self.levels[self.first] * self.sizes[self.first]

    @property
    def n_others(self) -> int:
        """Random effects of all others."""
        return sum(self.levels[term] * self.sizes[term] for term in self.others)

    def rows(self) -> list[slice]:
        """Where the random effects of each term are."""
        found = [slice(0)] * len(self.levels)
        place = 0
        for term in (self.first, *self.others):
            n_effects = self.levels[term] * self.sizes[term]
            found[term] = slice(place, place + n_effects)
            place += n_effects
        return found

    @property
    def at_once(self) -> int:
        """How many datasets to evaluate the criterion of at once."""
        m = self.n_first + self.n_others
        return max(1, min(_DATASETS_AT_ONCE, _NUMBERS_AT_ONCE // (5 * m * m * self.units)))

    def in_all(self, of_units: Array) -> Array:
        """Sums over the units of each dataset, (R, ...) of (R units, ...)."""
        if self.units == 1:
            return of_units
        sums: Array = of_units.reshape(-1, self.units, *of_units.shape[1:]).sum(axis=1)
        return sums

    def of_each(self, of_datasets: Array) -> Array:
        """What a dataset has, for each of its units, (R units, ...) of (R, ...)."""
        return of_datasets if self.units == 1 else np.repeat(of_datasets, self.units, axis=0)


@dataclass(frozen=True, slots=True)
class CrossedBlocks:
    """The numbers of some datasets on which the criterion depends, in working units.

    T_i is the lower Cholesky factor of Z_i'Z_i, for level i of the first term; A = [Z_2 X r] are
    the columns of all other terms, of the fixed effects, and the residuals of the pooled OLS fit;
    c counts them. If there are several units, T, Q, rest and root are those of the units of one
    dataset after the other, with R times their number for R.

    Attributes
    ----------
    layout : Layout
    T : (q, q, R, L) array
    Q : (R, q L, c) array
        T_i⁻¹Z_i'A.
    rest : (R, c, c) array
        A'A − Q'Q.
    root : (R, c, c - 1) array
        Its Cholesky factor, without the last pivot, which is that of r. Of several units, (R, c,
        columns of Z_2), the part of Z_2.
    tail : (R, p + 1, p) array, or None
        Of several units, the Cholesky factor of what that part leaves of X and r in all of them.
    rr_rest : (R,) array
        The square of the last pivot, and what the strata leave of r'r.
    strata : tuple of Strata
    """

    layout: Layout
    T: Array
    Q: Array
    rest: Array
    root: Array
    tail: Array | None
    rr_rest: Array
    strata: tuple[Strata, ...]

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects, p."""
        return int(self.rest.shape[1]) - self.layout.n_others - 1

    @property
    def n_determined(self) -> NDArray[np.intp]:
        """Rank of all columns together, in each dataset."""
        rank = np.einsum("aarl->arl", self.T).astype(bool).sum(axis=(0, 2))
        rank = rank + self.root[:, :-1].any(axis=1).sum(axis=1)
        if self.tail is not None:
            rank = self.layout.in_all(rank) + self.tail[:, :-1].any(axis=1).sum(axis=1)
        for part in self.strata:
            each = np.einsum("aarc->arc", part.T).astype(bool).sum(axis=0)
            rank = rank + (each * part.number).sum(axis=1).astype(np.intp)
        return np.asarray(rank)

    def take(self, index: Index) -> CrossedBlocks:
        """Return the blocks of some of the datasets."""
        units = self.layout.units
        places = (index[:, None] * units + np.arange(units)).ravel()
        return CrossedBlocks(
            layout=self.layout,
            T=self.T.take(places, axis=2),
            Q=self.Q.take(places, axis=0),
            rest=self.rest.take(places, axis=0),
            root=self.root.take(places, axis=0),
            tail=None if self.tail is None else self.tail.take(index, axis=0),
            rr_rest=self.rr_rest.take(index, axis=0),
            strata=tuple(part.take(index) for part in self.strata),
        )


@dataclass(frozen=True, slots=True)
class Crossings:
    """Data of R datasets with the same factors, in working units as those of `CrossProducts`.

    Attributes
    ----------
    n_obs : (R,) array of int
        Rows of each dataset.
    layout : Layout
        Levels and random effects of each term.
    covariances : tuple of {"full", "diagonal", "scalar"}
        Of each term.
    rows : Rows
        Residuals of the pooled OLS fit and columns, row by row.
    structures : tuple of (index, labels)
        The datasets by what their levels have in common (`strata.same_levels`).
    x_unit, x_centre : (R, p) arrays
    z_unit, z_centre : tuples of (R, q) arrays
    y_unit : (R,) array
    pooled : (R, p) array
    rr : (R,) array
        Sum of squares of the residuals.
    problems : tuple of str
        For each dataset why it can't be fitted, or an empty string.
    """

    n_obs: NDArray[np.intp]
    layout: Layout
    covariances: tuple[Covariance, ...]
    rows: Rows
    structures: tuple[tuple[Index, tuple[NDArray[np.intp] | None, ...]], ...]
    x_unit: Array
    x_centre: Array
    z_unit: tuple[Array, ...]
    z_centre: tuple[Array, ...]
    y_unit: Array
    pooled: Array
    rr: Array
    problems: tuple[str, ...]

    @property
    def n_datasets(self) -> int:
        """Number of datasets, R."""
        return len(self.y_unit)

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects, p."""
        return int(self.x_unit.shape[1])

    @property
    def terms(self) -> Terms:
        """Number of random effects and structure of each term."""
        return tuple(zip(self.layout.sizes, self.covariances, strict=True))

    def frame(self, index: Index) -> Array:
        """What takes the random effects of some datasets to working units, (R, Q, Q)."""
        size = sum(self.layout.sizes)
        found = np.zeros((len(index), size, size))
        place = 0
        for unit, centre in zip(self.z_unit, self.z_centre, strict=True):
            q = unit.shape[1]
            own = found[:, place : place + q, place : place + q]
            own += unit[index][:, :, None] * np.eye(q)
            own[:, 0] += centre[index] * unit[index]
            place += q
        return found

    def as_given(self, root: Array, index: Index) -> Array:
        """Roots of the covariances in the data's own units from those in working units."""
        found = np.zeros_like(root)
        place = 0
        for unit, centre in zip(self.z_unit, self.z_centre, strict=True):
            own = slice(place, place + unit.shape[1])
            found[:, own] = uncentred(root[:, own], centre[index]) / unit[index][:, :, None]
            place = own.stop
        return found

    def portions(self, index: Index) -> Iterator[tuple[Index, CrossedBlocks]]:
        """The blocks of some datasets, few at a time, as memory is limited."""
        wanted = np.zeros(self.n_datasets, dtype=bool)
        wanted[index] = True
        for places, labels in self.structures:
            own = places[wanted[places]]
            levels = [
                n if label is None else int(label.max()) + 1
                for n, label in zip(self.layout.levels, labels, strict=True)
            ]
            size = 16 * Layout.of(levels, self.layout.sizes).at_once
            size = max(1, min(size, _ROWS_AT_ONCE // self.rows.r.shape[1]))
            for start in range(0, len(own), size):
                some = own[start : start + size]
                yield some, self._blocks(some, labels)

    @np.errstate(all="ignore")  # what can't be fitted has a problem
    def _blocks(self, index: Index, labels: Sequence[Index | None]) -> CrossedBlocks:
        rows, rr, strata = self.rows.take(index), np.zeros(len(index)), []
        for term, label in enumerate(labels):
            if label is not None:
                tolerance = _tolerance(self.z_centre[term][index[: len(rows.X)]])
                rows, part, left = pooled_levels(rows, term, label, tolerance)
                strata.append(part)
                rr += left
        blocks = _assembled(rows, [centre[index[: len(rows.X)]] for centre in self.z_centre])
        return replace(blocks, rr_rest=blocks.rr_rest + rr, strata=tuple(strata))


@np.errstate(all="ignore")  # what can't be fitted has a problem
def crossings(
    y: Array, X: Array, terms: Sequence[Term], present: NDArray[np.bool_] | None = None
) -> Crossings:
    """Prepare datasets that share their factors for fits with several random-effects terms.

    Parameters
    ----------
    y : (R, n) array
        Responses.
    X : (R, n, p) array
        Columns of the fixed effects, the intercept among them.
    terms : sequence of Term
    present : (R, n) array of bool, optional
        Which rows each dataset has; all by default. Other values of the rest don't matter.

    Returns
    -------
    Crossings
        Datasets with values that aren't finite, rank-deficient X or an exact fit have an entry
        in ``problems``.

    Raises
    ------
    ValueError
        If shapes don't match, a factor has fewer than two levels, or the random effects of all
        terms but the largest are more than `MOST_DENSE`.
    """
    y = np.array(y, dtype=np.float64)
    X = np.asarray(X, dtype=np.float64)
    Zs = [np.asarray(term.Z, dtype=np.float64) for term in terms]
    _check_shapes(y, X, terms, Zs, present)
    n_datasets = len(y)
    everywhere = present is None or bool(present.all())
    if present is not None and not everywhere:
        y = np.where(present, y, 0.0)
        X = np.where(present[:, :, None], X, 0.0)
        Zs = [np.where(present[:, :, None], Z, 0.0) for Z in Zs]
    one_design = everywhere and all(bool((A[:1] == A).all()) for A in (X, *Zs))
    n_designs = 1 if one_design else n_datasets
    w = None if everywhere or present is None else present[:n_designs].astype(np.float64)
    n_obs = np.full(n_datasets, y.shape[1]) if present is None else present.sum(axis=1)

    Xt = X[:n_designs].transpose(0, 2, 1).copy()
    x_centre, x_unit = _standardise(Xt, w, centre=True, common=False)
    Zt: list[Array] = []
    z_centre: list[Array] = []
    z_unit: list[Array] = []
    for Z, term in zip(Zs, terms, strict=True):
        columns = Z[:n_designs].transpose(0, 2, 1).copy()
        full, common = term.covariance == "full", term.covariance == "scalar"
        for known, part in zip(
            (z_centre, z_unit), _standardise(columns, w, centre=full, common=common), strict=True
        ):
            known.append(_for_all(part, n_datasets))
        Zt.append(columns)
    y_unit = _unit(y[:, None], y.shape[1])[:, 0]
    y /= y_unit[:, None]

    yy = np.vecdot(y, y)
    L = entries_first(np.matmul(Xt, Xt.transpose(0, 2, 1)))
    reciprocals, _ = cholesky(L, _tolerance(x_centre).T)
    Xy = np.matmul(Xt, y[:, :, None]).transpose(1, 2, 0).copy()
    pooled = back_substitute(L, reciprocals, forward_substitute(L, reciprocals, Xy))[:, 0].T.copy()
    y -= np.matmul(pooled[:, None, :], Xt)[:, 0]
    rr = np.vecdot(y, y)
    full_rank = np.broadcast_to((reciprocals > 0.0).all(axis=0), (n_datasets,))
    codes = tuple(np.asarray(term.codes, dtype=np.intp) for term in terms)
    rows = Rows(y, Xt, tuple(Zt), codes)
    finite = np.isfinite(rr) & np.isfinite(sum(np.square(Z).sum(axis=(1, 2)) for Z in Zt))
    problems = []
    for row in range(n_datasets):
        if not finite[row]:
            problems.append("values of the response or the predictors aren't finite")
        elif n_obs[row] <= X.shape[2]:
            problems.append(
                f"number of observations (={n_obs[row]}) <= number of fixed effects (={X.shape[2]})"
            )
        elif not full_rank[row]:
            problems.append("the fixed-effects model matrix is rank deficient")
        elif rr[row] <= EXACT_FIT * yy[row]:
            problems.append(EXACT)
        else:
            problems.append("")
    layout = Layout.of([int(one.max()) + 1 for one in codes], [Z.shape[2] for Z in Zs])
    if layout.n_others > MOST_DENSE:
        raise ValueError(
            f"{layout.n_others:,} random effects beside those of the largest term; "
            f"at most {MOST_DENSE:,} can be fitted"
        )
    return Crossings(
        n_obs=n_obs,
        layout=layout,
        covariances=tuple(term.covariance for term in terms),
        rows=rows,
        structures=_structures(rows, layout) if everywhere else _no_structure(rows),
        x_unit=_for_all(x_unit, n_datasets),
        x_centre=_for_all(x_centre, n_datasets),
        z_unit=tuple(z_unit),
        z_centre=tuple(z_centre),
        y_unit=y_unit,
        pooled=pooled,
        rr=rr,
        problems=tuple(problems),
    )


def _check_shapes(
    y: Array,
    X: Array,
    terms: Sequence[Term],
    Zs: Sequence[Array],
    present: NDArray[np.bool_] | None,
) -> None:
    if not terms:
        raise ValueError("there are no random-effects terms")
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"y of shape {y.shape}: it must be (R, n)")
    for name, matrix in (("X", X), *(("Z", Z) for Z in Zs)):
        if matrix.ndim != 3 or matrix.shape[:2] != y.shape or matrix.shape[2] == 0:
            raise ValueError(f"{name} of shape {matrix.shape} doesn't match y of shape {y.shape}")
    if present is not None and present.shape != y.shape:
        raise ValueError(f"present of shape {present.shape} doesn't match y of shape {y.shape}")
    for term in terms:
        if term.codes.shape != y.shape[1:]:
            raise ValueError(f"codes of shape {term.codes.shape} don't match y of shape {y.shape}")
        if len(np.unique(term.codes)) != term.codes.max() + 1 or term.codes.min() != 0:
            raise ValueError("codes must be 0 ... L - 1, each at least once")
        if not term.codes.any():
            raise ValueError("grouping factors must have at least 2 levels")
        direct_sum(((1, term.covariance),), symmetric=False)


def _for_all(values: Array, n_datasets: int) -> Array:
    """Values of each design as those of each dataset."""
    return np.broadcast_to(values, (n_datasets, *values.shape[1:]))


def _standardise(
    columns: Array, present: Array | None, *, centre: bool, common: bool
) -> tuple[Array, Array]:
    """Bring (D, k, n) columns to working units, in place; give their centres and units, (D, k).

    As for one factor: columns far from zero are taken from their means where the first one is
    constant, and units are powers of two, one for all columns if they must have a `common` one.
    """
    n_designs, k, n = columns.shape
    centres = np.zeros((n_designs, k))
    n_obs = np.full(n_designs, n) if present is None else present.sum(axis=1)
    if centre:
        first = columns[:, 0].max(axis=1)
        first = np.where(first > 0.0, first, columns[:, 0].min(axis=1))
        there = first[:, None] if present is None else first[:, None] * present
        constant = (columns[:, 0] == there).all(axis=1) & (first != 0.0)
        mean = columns.sum(axis=2) / n_obs[:, None]
        square = mean * mean
        variance = np.vecdot(columns, columns) / n_obs[:, None] - square
        far = constant[:, None] & (FAR**2 * variance < square)  # also where it is lost in rounding
        far[:, 0] = False
        for design, column in np.argwhere(far):
            moved = columns[design, column] - mean[design, column]
            columns[design, column] = moved if present is None else moved * present[design]
            centres[design, column] = mean[design, column] / first[design]
    unit = _unit(columns, n)
    if common:
        unit[...] = unit.max(axis=1, keepdims=True)
    columns /= unit[:, :, None]
    return centres * unit[:, :1] / unit, unit


def _unit(columns: Array, n: int) -> Array:
    """Powers of two near the root mean square of (D, k, n) columns, as (D, k)."""
    largest = np.abs(columns).max(axis=2)
    largest = np.where(np.isfinite(largest) & (largest > 0.0), largest, 1.0)
    # relative to the largest value, whose square may overflow or vanish
    relative = columns / largest[:, :, None]
    size = largest * np.sqrt(np.vecdot(relative, relative) / n)
    size[~np.isfinite(size) | (size == 0.0)] = 1.0
    unit: Array = np.ldexp(1.0, np.frexp(size)[1] - 1)
    return unit


def _tolerance(centre: Array) -> Array:
    """Fractions of (R, k) columns' sums of squares that are rounding."""
    rounding = _MEAN_ROUNDING * centre
    return np.maximum(RANK_TOLERANCE, rounding * rounding)


def _no_structure(
    rows: Rows,
) -> tuple[tuple[Index, tuple[NDArray[np.intp] | None, ...]], ...]:
    return ((np.arange(len(rows.r)), (None,) * len(rows.codes)),)


def _structures(
    rows: Rows, layout: Layout
) -> tuple[tuple[Index, tuple[NDArray[np.intp] | None, ...]], ...]:
    """The datasets by what their levels have in common."""
    labels = [same_levels(rows, term) for term in range(len(rows.codes))]
    side_by_side = np.concatenate(labels, axis=1)
    distinct, which = np.unique(side_by_side, axis=0, return_inverse=True)
    ends = np.cumsum(layout.levels)[:-1]
    n_datasets = len(rows.r)
    which = np.broadcast_to(which.ravel(), (n_datasets,))
    return tuple(
        (
            np.flatnonzero(which == place),
            tuple(part if part[0] >= 0 else None for part in np.split(one, ends)),
        )
        for place, one in enumerate(distinct)
    )


def _assembled(rows: Rows, z_centre: Sequence[Array]) -> CrossedBlocks:
    """Cross-products of rows, less those that the first term accounts for."""
    rows, units = by_units(rows)
    n_designs, p, _ = rows.X.shape
    n_datasets = len(rows.r)
    levels = [int(codes.max()) + 1 for codes in rows.codes]
    layout = Layout.of(levels, [Z.shape[1] for Z in rows.Z], units)
    first, others = layout.first, layout.others
    n_first, q = levels[first], layout.sizes[first]
    k2 = layout.n_others
    Z1, codes1 = rows.Z[first], rows.codes[first]

    T = np.empty((q, q, n_designs, n_first))
    by_level = _by_level(codes1)
    for a in range(q):
        for b in range(a + 1):
            T[a, b] = _sums(Z1[:, a] * Z1[:, b], by_level)
    centre = z_centre[first]
    if units > 1:
        centre = layout.of_each(np.broadcast_to(centre, (n_datasets // units, q)))
    reciprocals, _ = cholesky(T, _tolerance(centre).T[..., None])
    for a in range(q):
        T[a, a + 1 :] = 0.0
    # T⁻¹Z_1' of the columns of Z_2 and X, and of r
    columns = np.empty((n_designs, q, n_first, k2 + p))
    own = np.empty((n_datasets, q, n_first, 1))
    for a in range(q):
        own[:, a, :, 0] = _sums(Z1[:, a] * rows.r, by_level)
        for j in range(p):
            columns[:, a, :, k2 + j] = _sums(Z1[:, a] * rows.X[:, j], by_level)
    AA = np.empty((n_designs, k2 + p, k2 + p))
    Ar = np.empty((n_datasets, k2 + p))
    AA[:, k2:, k2:] = np.matmul(rows.X, rows.X.transpose(0, 2, 1))
    Ar[:, k2:] = np.matmul(rows.X, rows.r[:, :, None])[:, :, 0]
    place = 0
    for i, term in enumerate(others):
        Z, codes = rows.Z[term], rows.codes[term]
        n_effects = levels[term] * Z.shape[1]
        here = slice(place, place + n_effects)
        crossed = _crossed(Z1, codes1, n_first, Z, codes, levels[term])
        columns[..., here] = crossed.reshape(n_designs, q, n_first, n_effects)
        within = _by_level(codes)
        for a in range(Z.shape[1]):
            at = slice(place + a * levels[term], place + (a + 1) * levels[term])
            Ar[:, at] = _sums(Z[:, a] * rows.r, within)
            for j in range(p):
                AA[:, at, k2 + j] = _sums(Z[:, a] * rows.X[:, j], within)
        AA[:, k2:, here] = AA[:, here, k2:].transpose(0, 2, 1)
        start = 0
        for other in others[: i + 1]:
            there = slice(start, start + levels[other] * layout.sizes[other])
            AA[:, here, there] = _crossed(
                Z, codes, levels[term], rows.Z[other], rows.codes[other], levels[other]
            )
            AA[:, there, here] = AA[:, here, there].transpose(0, 2, 1)
            start = there.stop
        place += n_effects

    for B in (columns, own):
        for a in range(q):
            B[:, a] *= reciprocals[a][..., None]
            for b in range(a + 1, q):
                B[:, b] -= T[b, a][..., None] * B[:, a]
    QA, Qr = (B.reshape(len(B), q * n_first, -1) for B in (columns, own))
    transposed = QA.transpose(0, 2, 1)
    rest_AA = AA - np.matmul(transposed, QA)
    rest_Ar = Ar - np.matmul(transposed, Qr)[:, :, 0]
    rest_rr = np.vecdot(rows.r, rows.r) - sums_of_squares(Qr)

    def with_own(of_design: Array, of_dataset: Array, axis: int) -> Array:
        wide = np.broadcast_to(of_design, (n_datasets, *of_design.shape[1:]))
        return np.concatenate([wide, of_dataset], axis=axis)

    rest = with_own(rest_AA, rest_Ar[:, :, None], 2)
    lowest = np.concatenate([rest_Ar, rest_rr[:, None]], axis=1)
    rest = np.concatenate([rest, lowest[:, None]], axis=1)
    if units == 1:
        root, last = _roots(AA, rest_AA, rest_Ar)
        root, tail = with_own(root, last[:, None], 1), None
        left_rr = rest_rr - sums_of_squares(last)
    else:
        root, left = _leading_roots(rest, np.einsum("dii->di", AA)[:, :k2])
        whole = layout.in_all(left)
        alone, last = _roots(layout.in_all(AA[:, k2:, k2:]), whole[:, :p, :p], whole[:, :p, p])
        tail = np.concatenate([alone, last[:, None]], axis=1)
        left_rr = whole[:, p, p] - sums_of_squares(last)
    return CrossedBlocks(
        layout=layout,
        T=np.broadcast_to(T, (q, q, n_datasets, n_first)),
        Q=with_own(QA, Qr, 2),
        rest=rest,
        root=root,
        tail=tail,
        rr_rest=np.maximum(left_rr, 0.0),
        strata=(),
    )


def _leading_roots(A: Array, squares: Array) -> tuple[Array, Array]:
    """What the first columns account for in positive semidefinite matrices (R, c, c).

    Parameters
    ----------
    A : (R, c, c) array
    squares : (R, k) array
        On whose scale pivots of the first k columns are told from rounding.

    Returns
    -------
    roots : (R, c, k) array
        The first columns of the Cholesky factors.
    left : (R, c - k, c - k) array
        What is left of the others.
    """
    k = squares.shape[1]
    size = entries_first(np.sqrt(np.where(squares > 0.0, squares, 1.0)))
    scaled = entries_first(A[:, :, :k]) / size
    L = scaled[:k] / size[:, None]
    diagonal = np.einsum("iir->ir", L)
    reciprocals, _ = cholesky(L, RANK_TOLERANCE / diagonal)
    for i in range(k):
        L[i, i + 1 :] = 0.0
    others = forward_substitute(L, reciprocals, scaled[k:].swapaxes(0, 1).copy())
    roots = datasets_first(np.concatenate([L * size[:, None], others.swapaxes(0, 1)]))
    left = A[:, k:, k:] - np.matmul(roots[:, k:], roots[:, k:].transpose(0, 2, 1))
    return roots, left


def _roots(whole: Array, rest: Array, right: Array) -> tuple[Array, Array]:
    """Roots L of positive semidefinite matrices LL', and L⁻¹ of right sides.

    Parameters
    ----------
    whole : (D, k, k) array
        On the scale of whose diagonals pivots are told from rounding.
    rest : (D, k, k) array
        What there is a root of.
    right : (R, k) array

    Returns
    -------
    roots : (D, k, k) array
        Lower triangular in the order of the pivots.
    solutions : (R, k) array
        In the order of the pivots; zero where these are.
    """
    k = rest.shape[1]
    roots = np.zeros_like(rest)
    ordered = np.zeros((k, k, len(rest)))
    orders = np.zeros((len(rest), k), dtype=np.intp)
    size = np.sqrt(np.einsum("dii->di", whole))
    size = np.where(size > 0.0, size, 1.0)
    scaled = rest / size[:, :, None] / size[:, None, :]
    for place in np.flatnonzero(all_finite(scaled)):
        L, pivots, rank, _ = dpstrf(scaled[place], tol=RANK_TOLERANCE, lower=1)
        L = np.tril(L)
        L[:, rank:] = 0.0
        orders[place] = pivots - 1
        L *= size[place, orders[place], None]
        roots[place, orders[place]] = L
        ordered[..., place] = L
    diagonal = np.einsum("iid->id", ordered)
    reciprocals = np.divide(1.0, diagonal, out=np.zeros((k, len(rest))), where=diagonal > 0.0)
    sides = np.take_along_axis(right, np.broadcast_to(orders, right.shape), axis=1)
    solutions = forward_substitute(ordered, reciprocals, sides.T[:, None].copy())
    return roots, solutions[:, 0].T.copy()


def _by_level(codes: Index) -> tuple[Index, Index]:
    """Order that sorts rows by level, and where each level starts."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    return order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _sums(values: Array, by_level: tuple[Index, Index]) -> Array:
    """Sums of (..., n) values over the rows of each level."""
    order, starts = by_level
    return np.add.reduceat(values.take(order, axis=-1), starts, axis=-1)


def _crossed(A: Array, codes_a: Index, n_a: int, B: Array, codes_b: Index, n_b: int) -> Array:
    """Cross-products A'B of the columns (D, q, n) of two terms, (D, q_a n_a, q_b n_b)."""
    q_a, q_b = A.shape[1], B.shape[1]
    key = codes_a * n_b + codes_b
    by_pair = _by_level(key)
    pairs = key[by_pair[0]][by_pair[1]]
    found = np.zeros((len(A), q_a, n_a, q_b, n_b))
    for a in range(q_a):
        for b in range(q_b):
            found[:, a, pairs // n_b, b, pairs % n_b] = _sums(A[:, a] * B[:, b], by_pair)
    return found.reshape(len(A), q_a * n_a, q_b * n_b)
