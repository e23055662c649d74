"""Levels of a factor that have all but the response in common, as one level and contrasts.

Of n levels of a term with the same rows (the same other levels, fixed effects and random effects'
columns) an orthogonal rotation makes one mean, whose y, X and other terms' Z are √n times those of
one level, and n - 1 contrasts. A contrast contains neither fixed effects nor other terms: in it
the model is that of one factor without fixed effects,

    log|V| = log|I + T'GT|,  r'V⁻¹r = tr M⁻¹dd' + rest,  M = I + T'GT,  d = T⁻¹Z'r,

T being the Cholesky factor of Z'Z. It depends on the contrasts through the sum of dd' alone. So a
Latin square of any size becomes as many mean subjects × mean items as it has lists, and as many
strata: a generalisation of the strata of an analysis of variance (Nelder 1965, Proc. R. Soc. A
283:147).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.smallmatrix import (
    Array,
    cholesky,
    entries_first,
    forward_substitute,
    sums_of_squares,
)

Index = NDArray[np.intp]

# Levels are pooled where there are at least so many times as many of them as classes. Few would
# gain little, and other datasets would have them elsewhere.
WORTHWHILE = 3


@dataclass(frozen=True, slots=True)
class Rows:
    """Data row by row. Datasets with one design, D = 1, share it; else D = R.

    Attributes
    ----------
    r : (R, n) array
        Residuals of the pooled OLS fit.
    X : (D, p, n) array
    Z : tuple of (D, q, n) arrays
        Of each term.
    codes : tuple of (n,) arrays of int
        Level of each row in each term's factor.
    """

    r: Array
    X: Array
    Z: tuple[Array, ...]
    codes: tuple[Index, ...]

    def take(self, index: Index) -> Rows:
        """Return some of the datasets."""
        if len(self.X) < len(self.r):
            return Rows(self.r[index], self.X, self.Z, self.codes)
        Z = tuple(part[index] for part in self.Z)
        return Rows(self.r[index], self.X[index], Z, self.codes)


@dataclass(frozen=True, slots=True)
class Strata:
    """The contrasts between the levels of a term, class by class.

    Attributes
    ----------
    term : int
    number : (C,) array
        Contrasts of each class.
    T : (q, q, R, C) array
        Lower Cholesky factors.
    dd : (q, q, R, C) array
        Sums of dd'.
    """

    term: int
    number: Array
    T: Array
    dd: Array

    def take(self, index: Index) -> Strata:
        """Return some of the datasets."""
        T, dd = self.T.take(index, axis=2), self.dd.take(index, axis=2)
        return Strata(self.term, self.number, T, dd)


def same_levels(rows: Rows, term: int) -> Index:
    """Which levels of a term have all but the response in common.

    Returns
    -------
    (D, L) array of int
        The class of each level, numbered in the order of their first levels; -1 everywhere where
        there are too many classes to gain from them.
    """
    codes = rows.codes[term]
    n_levels = int(codes.max()) + 1
    order, starts, sizes = _ordered(rows, term)
    place = np.arange(len(codes)) - np.repeat(starts, sizes)
    others = [rows.codes[other] for other in range(len(rows.codes)) if other != term]
    # A number for each level's rows, by any weights: what is equal has equal ones.
    rng = np.random.default_rng(0)
    numbers = np.zeros((len(rows.X), len(codes)))
    columns: list[Array] = [other.astype(np.float64) for other in others]
    columns += [A[:, j] for A in (rows.X, *rows.Z) for j in range(A.shape[1])]
    for column in columns:
        numbers += rng.uniform(1.0, 2.0) * column
    weights = rng.uniform(1.0, 2.0, sizes.max())
    numbers = np.add.reduceat(numbers[:, order] * weights[place], starts, axis=-1)
    first: Index = (numbers[:, :, None] == numbers[:, None, :]).argmax(axis=2)
    leads = first == np.arange(n_levels)
    labels = np.take_along_axis(np.cumsum(leads, axis=1) - 1, first, axis=1)
    good = labels.max(axis=1) + 1 <= n_levels / WORTHWHILE
    good &= (sizes[first] == sizes).all(axis=1)
    # equal numbers may be so by chance
    level = np.repeat(np.arange(n_levels), sizes)
    fellow = np.minimum(starts[first[:, level]] + place, len(codes) - 1)
    for other in others:
        good &= (other[order][fellow] == other[order]).all(axis=1)
    for A in (rows.X, *rows.Z):
        for j in range(A.shape[1]):
            own = A[:, j][:, order]
            good &= (np.take_along_axis(own, fellow, axis=1) == own).all(axis=1)
    return np.where(good[:, None], labels, -1)


def _ordered(rows: Rows, term: int) -> tuple[Index, Index, Index]:
    """Order of rows by level, and by the other factors' levels within it; starts and sizes."""
    others = [codes for place, codes in enumerate(rows.codes) if place != term]
    order = np.lexsort((*others, rows.codes[term]))
    sizes = np.bincount(rows.codes[term])
    return order, np.cumsum(sizes) - sizes, sizes


def pooled_levels(
    rows: Rows, term: int, labels: Index, tolerance: Array
) -> tuple[Rows, Strata, Array]:
    """Put the mean of each class of levels in their place.

    Parameters
    ----------
    rows : Rows
    term : int
    labels : (L,) array of int
        Class of each level. Classes that other terms' levels made one are found anew.
    tolerance : (D, q) array
        Fraction of the sum of squares of each column of the term's Z that is rounding.

    Returns
    -------
    rows : Rows
    strata : Strata
    rest : (R,) array
        What is left of the sum of squares of the contrasts.
    """
    order, starts, _ = _ordered(rows, term)
    ends = np.append(starts[1:], len(order))
    n_datasets, q = len(rows.r), rows.Z[term].shape[1]
    kept, means, scales, numbers, Ts, dds = [], [], [], [], [], []
    rest = np.zeros(n_datasets)
    for label in range(int(labels.max()) + 1):
        levels = np.flatnonzero(labels == label)
        places = np.array([order[starts[level] : ends[level]] for level in levels])
        r = rows.r.take(places, axis=1)
        mean = r.mean(axis=1)
        r -= mean[:, None]
        kept.append(places[0])
        means.append(np.sqrt(len(levels)) * mean)
        scales.append(np.full(places.shape[1], np.sqrt(len(levels))))
        if len(levels) == 1:
            continue
        Z = rows.Z[term].take(places[0], axis=2)
        T = entries_first(np.matmul(Z, Z.transpose(0, 2, 1)))
        reciprocals, _ = cholesky(T, tolerance.T)
        for a in range(q):
            T[a, a + 1 :] = 0.0
        d = np.matmul(Z, r.transpose(0, 2, 1)).transpose(1, 2, 0).copy()
        forward_substitute(T, reciprocals, d)
        products = (d[:, None] * d[None]).transpose(0, 1, 3, 2).copy()
        dd = products.sum(axis=-1)
        rest += np.maximum(sums_of_squares(r) - np.einsum("iir->r", dd), 0.0)
        numbers.append(len(levels) - 1)
        Ts.append(np.broadcast_to(T, (q, q, n_datasets)))
        dds.append(dd)
    scale, places = np.concatenate(scales), np.concatenate(kept)
    codes = [one[places] for one in rows.codes]
    codes[term] = labels[codes[term]]
    Zs = [A.take(places, axis=2) * (1.0 if it == term else scale) for it, A in enumerate(rows.Z)]
    pooled = Rows(
        r=np.concatenate(means, axis=1),
        X=rows.X.take(places, axis=2) * scale,
        Z=tuple(Zs),
        codes=tuple(codes),
    )
    strata = Strata(term, np.array(numbers, dtype=float), np.stack(Ts, -1), np.stack(dds, -1))
    return pooled, strata, rest
