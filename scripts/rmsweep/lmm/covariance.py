"""Structures of the random effects' covariance and their parametrisations.

G, relative to σ², is the product of a root and its transpose; the root is linear in the
parameters. lme4's root is Λ(θ), lower triangular with a diagonal that is bounded by zero. The
optimiser's root Y is symmetric: G = YY' for every Y, so there are no bounds to get stuck at, and
every positive semidefinite G has a Y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.criterion import Criterion
from rmsweep.lmm.crossproducts import triangle
from rmsweep.lmm.smallmatrix import Array, cholesky, datasets_first, entries_first

Covariance = Literal["full", "diagonal", "scalar"]
COVARIANCES: tuple[Covariance, ...] = ("full", "diagonal", "scalar")
Index = NDArray[np.intp]
Places = tuple[Index, Index]
# Number of random effects and structure of each term.
Terms = tuple[tuple[int, Covariance], ...]


class Model(NamedTuple):
    """What the fits of some datasets have in common.

    Attributes
    ----------
    reml : bool
        Whether by REML, or else by maximum likelihood.
    covariance : {"full", "diagonal", "scalar"}
    balanced : bool
        Whether all groups have as many rows.
    penalty : float
        The criterion is that of the likelihood less this times log|G|.
    """

    reml: bool
    covariance: Covariance
    balanced: bool = True
    penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Derivatives of the criterion with respect to m parameters of G.

    Attributes
    ----------
    gradient : (R, m) array
    hessian : (R, m, m) array
    hessian_fixed_sigma : (R, m, m) array
        Without the term that comes of profiling over σ².
    rho_gradient : (R, m) array
        Of the penalised residual sum of squares.
    jacobian : (R, k, m) array
        Of the entries of G, lower triangle row by row.
    """

    gradient: Array
    hessian: Array
    hessian_fixed_sigma: Array
    rho_gradient: Array
    jacobian: Array


@dataclass(frozen=True, slots=True)
class Root:
    """A root of G that is linear in m parameters.

    Attributes
    ----------
    basis : (m, q, q) array
        The root is the sum of parameters × basis.
    first : (q², k m) array
        Maps a root to the derivatives of the k entries of G = root root'.
    second : (k, m²) array
        Maps dcriterion/dG to the second derivatives that G's curvature adds.
    places : Places
        Rows and columns of the k entries of G that may differ from zero.
    """

    basis: Array
    first: Array
    second: Array
    places: Places

    def matrices(self, parameters: Array) -> Array:
        """Roots (R, q, q) of parameters (R, m)."""
        m, q, _ = self.basis.shape
        # One row a time: a product over all datasets could round by their number.
        rows = np.matmul(parameters[:, None, :], self.basis.reshape(m, q * q))
        roots: Array = rows.reshape(len(parameters), q, q)
        return roots

    def parameters(self, roots: Array) -> Array:
        """Parameters (R, m) of the roots nearest to (R, q, q) matrices; for orthonormal bases."""
        m, q, _ = self.basis.shape
        rows = np.matmul(roots.reshape(len(roots), 1, q * q), self.basis.reshape(m, q * q).T)
        parameters: Array = rows[:, 0]
        return parameters

    def derivatives(
        self,
        at: Criterion,
        roots: Array,
        nu: Array | NDArray[np.intp],
        frame: Array | None = None,
    ) -> Derivatives:
        """Carry the derivatives with respect to G to the parameters, by the chain rule.

        Parameters
        ----------
        at : Criterion
            In the units of `roots`.
        roots : (R, q, q) array
        nu : (R,) array
            n − p for REML, n for ML.
        frame : (R, q, q) array, optional
            Where `at` is that of the covariance FGF', not of G itself, F.
        """
        n_datasets, m = len(roots), len(self.basis)
        jacobian = np.matmul(roots.reshape(n_datasets, 1, len(self.first)), self.first)
        jacobian = jacobian.reshape(n_datasets, len(self.second), m)
        to_G = at.gradient[:, None, :]
        if frame is not None:
            entries = _congruence(frame, *self.places)
            jacobian, to_G = np.matmul(entries, jacobian), np.matmul(to_G, entries)
        transposed = jacobian.transpose(0, 2, 1)
        fixed = np.matmul(np.matmul(transposed, at.hessian), jacobian)
        fixed += np.matmul(to_G, self.second).reshape(n_datasets, m, m)
        rho = np.matmul(at.rho_gradient[:, None, :], jacobian)[:, 0]
        profiled = ((nu / (at.rho * at.rho))[:, None] * rho)[:, :, None] * rho[:, None, :]
        return Derivatives(
            gradient=np.matmul(at.gradient[:, None, :], jacobian)[:, 0],
            hessian=fixed - profiled,
            hessian_fixed_sigma=fixed,
            rho_gradient=rho,
            jacobian=jacobian,
        )


def _congruence(frame: Array, rows: Index, columns: Index) -> Array:
    """Entries of FGF' as a linear map (R, k, k) of those of G."""
    # `take`, for after an index products of matrices would round by the number of datasets
    by_row, by_column = frame.take(rows, axis=1), frame.take(columns, axis=1)
    once = by_row.take(rows, axis=2) * by_column.take(columns, axis=2)
    twice = by_row.take(columns, axis=2) * by_column.take(rows, axis=2)
    return once + np.where(rows == columns, 0.0, twice)


def _root(basis: Array, places: Places) -> Root:
    m, q, _ = basis.shape
    rows, columns = places
    units = np.eye(q * q).reshape(-1, q, q)
    # dG = D root' + root D' for a root of a single 1, then for each pair of D.
    change = units[:, None] @ basis.transpose(0, 2, 1)[None]
    change = change + change.transpose(0, 1, 3, 2)
    first = change[:, :, rows, columns].transpose(0, 2, 1)
    curve = basis[:, None] @ basis.transpose(0, 2, 1)[None]
    curve = curve + curve.transpose(0, 1, 3, 2)
    second = curve[:, :, rows, columns].transpose(2, 0, 1)
    return Root(
        basis=basis,
        first=np.ascontiguousarray(first).reshape(q * q, -1),
        second=np.ascontiguousarray(second).reshape(len(rows), m * m),
        places=places,
    )


@lru_cache
def lower_root(q: int, covariance: Covariance) -> Root:
    """lme4's Λ(θ): θ is the lower triangle by column, or the diagonal, or one number."""
    return direct_sum(((q, covariance),), symmetric=False)


@lru_cache
def symmetric_root(q: int, covariance: Covariance) -> Root:
    """The optimiser's Y; the basis is orthonormal, so that steps have the length of their Y."""
    return direct_sum(((q, covariance),), symmetric=True)


@lru_cache
def direct_sum(terms: Terms, *, symmetric: bool) -> Root:
    """The roots of several terms as one block-diagonal matrix, their parameters side by side.

    Parameters
    ----------
    terms : tuple of (int, covariance)
        Number of random effects and structure of each term.
    symmetric : bool
        The optimiser's Y, else lme4's Λ(θ).
    """
    parts = [_basis(q, covariance, symmetric=symmetric) for q, covariance in terms]
    size = sum(q for q, _ in terms)
    basis = np.zeros((sum(len(part) for part in parts), size, size))
    rows, columns = [], []
    parameter = place = 0
    for part, (q, _) in zip(parts, terms, strict=True):
        basis[parameter : parameter + len(part), place : place + q, place : place + q] = part
        own_rows, own_columns, _ = triangle(q)
        rows.append(place + own_rows)
        columns.append(place + own_columns)
        parameter, place = parameter + len(part), place + q
    return _root(basis, (np.concatenate(rows), np.concatenate(columns)))


def _basis(q: int, covariance: Covariance, *, symmetric: bool) -> Array:
    if covariance not in COVARIANCES:
        raise ValueError(f"covariance={covariance!r}: allowed are {', '.join(COVARIANCES)}")
    basis: Array
    if covariance == "scalar":
        basis = np.eye(q)[None]
    elif covariance == "diagonal":
        basis = np.eye(q)[:, :, None] * np.eye(q)[:, None, :]
    else:
        columns, rows = np.triu_indices(q)
        basis = np.zeros((len(rows), q, q))
        basis[np.arange(len(rows)), rows, columns] = 1.0
    if symmetric:
        basis = basis + basis.transpose(0, 2, 1)
        basis = basis / np.sqrt((basis**2).sum(axis=(1, 2), keepdims=True))
    return basis


def diagonal_parameters(q: int, covariance: Covariance) -> list[int]:
    """Places in θ of the diagonal of Λ, the parameters that lme4 bounds by zero."""
    if covariance == "full":
        columns, rows = np.triu_indices(q)
        return [int(i) for i in np.flatnonzero(rows == columns)]
    return list(range(q if covariance == "diagonal" else 1))


@lru_cache
def terms_diagonal(terms: Terms) -> Index:
    """As `diagonal_parameters`, of all terms side by side."""
    places: list[int] = []
    n_parameters = 0
    for q, covariance in terms:
        own = diagonal_parameters(q, covariance)
        places += [n_parameters + place for place in own]
        n_parameters += q * (q + 1) // 2 if covariance == "full" else len(own)
    found = np.array(places, dtype=np.intp)
    found.flags.writeable = False  # all callers have the same one
    return found


# A pivot of G below this fraction of its diagonal entry is rounding of a singular G.
_SINGULAR_PIVOT = 1e-13


def theta_of(G: Array, covariance: Covariance) -> Array:
    """lme4's θ (R, m) of positive semidefinite matrices G (R, q, q) of the structure."""
    q = G.shape[1]
    if covariance != "full":
        standard = np.sqrt(np.diagonal(G, axis1=1, axis2=2))
        return standard[:, : 1 if covariance == "scalar" else q].copy()
    L = entries_first(G)
    cholesky(L, np.full(q, _SINGULAR_PIVOT))
    columns, rows = np.triu_indices(q)
    return datasets_first(L[rows, columns])
