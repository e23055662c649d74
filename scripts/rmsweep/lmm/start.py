"""Where the search for the optimum starts."""

from __future__ import annotations

import numpy as np

from rmsweep.lmm.covariance import Model, free_entries, symmetric_root
from rmsweep.lmm.criterion import criterion_value, datasets_at_once, expected_hessian
from rmsweep.lmm.crossproducts import Blocks, triangle
from rmsweep.lmm.smallmatrix import Array, Workspace, back_substitute, from_eigen, solve_each

# Standard deviations of the random effects, relative to σ: Fisher scoring sets out from the best.
FIRST_GUESSES = (0.1, 0.4, 1.6)
SCORING_STEPS = 2

# With few groups and few degrees of freedom within them the criterion can have several minima. The
# product of the two, per random effect, tells how often. Of simulated datasets with 4 random
# effects, 0.6% to 6% had several at a product of 25 (10 groups of 5), 1% to 2% at 50, 0.1% at 100,
# and 1 in 5,000 here. Up to here the search is made from further starts, too. benchmarks/minima.py
# tells how often that misses the lowest minimum; docs/engine.md has its table.
FEW = 200

# Standard deviations of the random effects, relative to σ, of the plainest of the further starts.
EQUAL = 0.35

# Largest sum of the variances of the groups' coefficients, relative to σ², to start from.
_LARGEST = 1e8

# Another start shrinks the eigenvalues of Y below the one fraction of the largest to the other.
_LESSER, _SHRUNK = 0.5, 0.02

# Smallest eigenvalue of a start, relative to the largest and at all: a search that starts at
# zero must leave a saddle first.
_FLOOR = (0.01, 1e-5)


def first_roots(blocks: Blocks, model: Model, unit: Array) -> Array:
    """Symmetric roots Y of G from which to search first, (R, q, q).

    Parameters are those of `optimise.minimise`.
    """
    work = Workspace()
    roots = np.empty_like(unit[:, :, None] * unit[:, None, :])
    at_once = datasets_at_once(blocks.r.shape[2])
    for first in range(0, len(unit), at_once):
        index = np.arange(first, min(first + at_once, len(unit)))
        with np.errstate(all="ignore"):
            roots[index] = _scored(blocks.take(index), model, unit[index], work)
    return roots


def several_minima(blocks: Blocks, model: Model) -> bool:
    """Whether the criterion of such data can be expected to have several minima at times."""
    q, _, n_groups = blocks.r.shape
    return bool(n_groups * (model.n_obs - n_groups * q) <= FEW * q)


def further_roots(blocks: Blocks, model: Model, unit: Array, found: Array) -> Array:
    """Roots from which to look for other minima than the one found, (starts, R, q, q).

    The minima of a dataset differ in how much of the variance they leave to the residuals, and in
    rank. The starts are the covariance of the groups' own coefficients, which leaves them least;
    small and equal variances; and the minimum found, with only its largest eigenvalues.

    Parameters
    ----------
    blocks, model, unit
        As for `optimise.minimise`.
    found : (R, q, q) array
        Roots of the minima found.
    """
    n_datasets, q = unit.shape
    eigenvalues, U = np.linalg.eigh(found)
    largest = eigenvalues[:, -1:]
    lesser = eigenvalues < _LESSER * largest
    return np.stack(
        [
            _between_groups(blocks, model, unit),
            np.tile(EQUAL * np.eye(q), (n_datasets, 1, 1)),
            from_eigen(np.where(lesser, _SHRUNK * largest, eigenvalues), U),
        ]
    )


def _between_groups(blocks: Blocks, model: Model, unit: Array) -> Array:
    """Roots of the covariance of the groups' OLS coefficients, relative to their residuals'."""
    q, n_datasets, n_groups = blocks.r.shape
    _, _, place = triangle(q)
    T = blocks.z[place.ravel()].reshape(q, q, n_datasets, n_groups)
    pivots = T[np.arange(q), np.arange(q)]
    # A coefficient that a group can't tell is taken to be the pooled one.
    reciprocals = np.divide(1.0, pivots, out=np.zeros_like(pivots), where=pivots > 0.0)
    b = back_substitute(T, reciprocals, blocks.r[:, None].copy())[:, 0]
    b -= b.mean(axis=-1, keepdims=True)
    within = blocks.rr_rest / max(1, model.n_obs - n_groups * q)
    with np.errstate(all="ignore"):
        b /= np.sqrt(within)[:, None] * unit.T[..., None]
    form = symmetric_root(q, model.covariance)
    by_dataset = b.transpose(1, 0, 2)
    G = np.matmul(by_dataset, by_dataset.transpose(0, 2, 1)) / (n_groups - 1)
    # Residuals that are rounding, or none, tell nothing of their size.
    believed = G.trace(axis1=1, axis2=2) < _LARGEST
    G = np.where(believed[:, None, None], G, np.eye(q))
    return _root(form.matrices(form.parameters(G)))


def random_roots(n_datasets: int, q: int, rng: np.random.Generator) -> Array:
    """Roots of any size and direction, to see what other minima there are, (R, q, q)."""
    U = np.linalg.qr(rng.normal(size=(n_datasets, q, q)))[0]
    return from_eigen(np.exp(rng.uniform(np.log(0.01), np.log(50.0), (n_datasets, q))), U)


def _scored(blocks: Blocks, model: Model, unit: Array, work: Workspace) -> Array:
    """Roots of G after Fisher scoring (Longford 1987), which is linear regression for G.

    Unlike Newton's method it needs no positive curvature, and for balanced data it all but
    arrives in a step or two.
    """
    n_obs, reml, covariance = model
    q = unit.shape[1]
    rows, columns, place = triangle(q)
    outer = unit[:, :, None] * unit[:, None, :]
    scale = outer[:, rows, columns]
    free = free_entries(q, covariance)
    eye = np.eye(q)
    values = [
        criterion_value(blocks, outer * (tau * tau * eye), n_obs, reml, work)
        for tau in FIRST_GUESSES
    ]
    best = np.where(np.isnan(values), np.inf, values).argmin(axis=0)
    root: Array = np.array(FIRST_GUESSES)[best][:, None, None] * eye
    for _ in range(SCORING_STEPS):
        G = np.matmul(root, root)
        gradient, expected = expected_hessian(blocks, outer * G, n_obs, reml, work)
        expected = expected * scale[:, :, None] * scale[:, None, :]
        downhill = -np.matmul((gradient * scale)[:, None, :], free)[:, 0]
        step, _ = solve_each(np.matmul(np.matmul(free.T, expected), free), downhill)
        step = np.where(np.isfinite(step).all(axis=1, keepdims=True), step, 0.0)
        G = G + np.matmul(step[:, None, :], free.T)[:, 0][:, place]
        root = _root(G)
    return root


def _root(G: Array) -> Array:
    """Symmetric root of the nearest G that is well inside the positive definite ones."""
    eigenvalues, U = np.linalg.eigh(G)
    lowest = np.maximum(_FLOOR[0] * eigenvalues[:, -1:], _FLOOR[1])
    return from_eigen(np.sqrt(np.maximum(eigenvalues, lowest)), U)
