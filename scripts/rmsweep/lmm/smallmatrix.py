"""Algebra of many small matrices at once, entry by entry.

A matrix is held as an array whose first two axes are its rows and columns, and whose other axes
run over datasets, or over datasets and groups. For matrices of two to ten rows that is several
times faster than a BLAS call per matrix. Operations are elementwise, or one call per matrix, so
the result for a dataset doesn't depend on how many others are beside it, to the last bit. Nor do
sums by `einsum` where groups are the innermost axis: it adds a group's products one after the
other, and the groups always in the same order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


# Once an array of this size was freed, glibc keeps the memory of smaller ones for the next.
_KEPT = 4_000_000


def keep_memory() -> None:
    """Have freed memory kept for the next arrays of this process.

    Given back to the system and fetched anew, page by page, it takes up to a third of the time of a
    fit.
    """
    np.empty(_KEPT)


class Workspace:
    """Arrays that are used again: fresh memory costs more than the arithmetic done in it."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def array(self, name: str, *shape: int) -> Array:
        """Contiguous array with arbitrary contents; overwrites the last one of this name."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size)
        return buffer[:size].reshape(shape)


def cholesky(A: Array, rank_tolerance: Array | None = None) -> tuple[Array, Array]:
    """Factor A = LL' in place: L replaces the lower triangle of A, the rest is overwritten.

    Parameters
    ----------
    A : (m, m, ...) array
        Symmetric; only the lower triangle is read.
    rank_tolerance : (m, ...) array, optional
        A pivot that is not above this fraction of its diagonal entry counts as zero, and its
        column of L is zero. Without it A must be positive definite: NaN marks one that is not.

    Returns
    -------
    reciprocals : (m, ...) array
        1/L_jj, or 0 for a pivot that counts as zero.
    determinant : (...) array
        Product of the pivots.
    """
    m, *shape = A.shape[1:]
    reciprocals = np.empty((m, *shape))
    determinant = np.ones(shape)
    smallest = None
    if rank_tolerance is not None:
        smallest = [rank_tolerance[j] * A[j, j] for j in range(m)]
    for j in range(m):
        pivot = A[j, j]
        if smallest is not None:
            pivot[~(pivot > smallest[j])] = 0.0
        np.multiply(determinant, pivot, out=determinant)
        np.sqrt(pivot, out=pivot)
        if smallest is None:
            np.reciprocal(pivot, out=reciprocals[j])
        else:
            reciprocals[j] = 0.0
            np.divide(1.0, pivot, out=reciprocals[j], where=pivot > 0.0)
        column = A[j + 1 :, j]
        np.multiply(column, reciprocals[j], out=column)
        if j + 1 < m:
            rest = A[j + 1 :, j + 1 :]
            np.subtract(rest, column[:, None] * column, out=rest)
    return reciprocals, determinant


def forward_substitute(L: Array, reciprocals: Array, B: Array) -> Array:
    """Solve LX = B for lower triangular L in place: X (m, columns, ...) replaces B."""
    for i in range(len(B)):
        np.multiply(B[i], reciprocals[i], out=B[i])
        if i + 1 < len(B):
            rest = B[i + 1 :]
            np.subtract(rest, L[i + 1 :, i, None] * B[i], out=rest)
    return B


def back_substitute(L: Array, reciprocals: Array, B: Array) -> Array:
    """Solve L'X = B for lower triangular L in place: X (m, columns, ...) replaces B."""
    for i in reversed(range(len(B))):
        np.multiply(B[i], reciprocals[i], out=B[i])
        if i:
            rest = B[:i]
            np.subtract(rest, L[i, :i, None] * B[i], out=rest)
    return B


def eliminate(A: Array) -> Array:
    """Factor A = LDL' in place, without the roots of `cholesky`, and return D, a view (m, ...).

    `A` is (n, m, ...); below its diagonal it holds LD, and in rows after the first m, B, what
    solves XL' = B. D is positive where A is positive definite.
    """
    m = A.shape[1]
    for j in range(m - 1):
        column, rest = A[j + 1 :, j], A[j + 1 :, j + 1 :]
        np.subtract(rest, column[:, None] * (column[: m - j - 1] / A[j, j]), out=rest)
    D: Array = np.einsum("jj...->j...", A[:m])
    return D


def whiten(A: Array) -> Array:
    """Divide rows by the root of a positive definite M = LL', in place.

    Parameters
    ----------
    A : (n, m, ...) array
        M, of which only the lower triangle is read, and further rows B, which are replaced by
        BL'⁻¹. Those of M are overwritten.

    Returns
    -------
    (...) array
        |M|. Where M isn't positive definite, rows have values that aren't finite.
    """
    m = A.shape[1]
    pivots = eliminate(A)
    rows = A[m:]
    np.multiply(rows, 1.0 / np.sqrt(pivots), out=rows)
    determinants: Array = np.multiply.reduce(pivots, axis=0)
    return determinants


@np.errstate(all="ignore")  # what isn't finite isn't above anything
def eigenvalues_above(A: Array, bound: Array | float) -> NDArray[np.bool_]:
    """Which of the symmetric matrices (R, m, m) have all eigenvalues above their bounds, (R,)."""
    lowered = entries_first(A)
    diagonal = np.einsum("iir->ir", lowered)
    diagonal -= bound
    above: NDArray[np.bool_] = eliminate(lowered).min(axis=0) > 0.0
    return above


def solve_each(A: Array, b: Array) -> tuple[Array, Array]:
    """Solve for symmetric positive definite A (R, m, m) and right sides b (R, m).

    Returns
    -------
    x : (R, m) array
        NaN where A isn't positive definite.
    pivots : (m, R) array
        In order: the D of A = LDL'.
    """
    n_datasets, m = b.shape
    both = np.empty((m, m + 1, n_datasets))
    both[:, :m], both[:, m] = A.transpose(1, 2, 0), b.T
    for j in range(m):
        right = both[:, j + 1 :]
        row = right[j] / both[j, j]
        np.subtract(right, both[:, j, None] * row, out=right)
        right[j] = row
    pivots = np.einsum("jjr->jr", both[:, :m]).copy()
    x = both[:, m]
    x[:, ~(pivots.min(axis=0) > 0.0)] = np.nan
    return datasets_first(x), pivots


def all_finite(A: Array) -> NDArray[np.bool_]:
    """Which of the matrices (R, m, n) have neither NaN nor infinity."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(A), axis=(1, 2))
    return finite


def sums(A: Array) -> Array:
    """Sums over the last axis; of short rows several times faster than `A.sum(axis=-1)`."""
    rows: Array = np.einsum("...i->...", A)
    return rows


def sums_of_squares(A: Array) -> Array:
    """Σ a² of each of the arrays (R, ...).

    One dot product each: a sum over axes could round by the number of datasets.
    """
    flat = A.reshape(len(A), -1)
    squares: Array = np.vecdot(flat, flat)
    return squares


def from_eigen(values: Array, U: Array) -> Array:
    """Symmetric matrices (R, m, m) of eigenvalues (R, m) and eigenvectors, the columns of U."""
    product: Array = np.matmul(U * values[:, None, :], U.transpose(0, 2, 1))
    return (product + product.transpose(0, 2, 1)) / 2.0


def entries_first(A: Array) -> Array:
    """Move the datasets of a (R, ...) array to its last axis, as a new contiguous array."""
    return A.transpose(*range(1, A.ndim), 0).copy()


def datasets_first(A: Array) -> Array:
    """Undo `entries_first`; always a copy, for a view of one dataset could be overwritten."""
    return A.transpose(-1, *range(A.ndim - 1)).copy()
