"""Where the search for the optimum starts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import Model, symmetric_root
from rmsweep.lmm.criterion import datasets_at_once, expected_hessian
from rmsweep.lmm.crossproducts import Blocks, triangle
from rmsweep.lmm.smallmatrix import (
    Array,
    Workspace,
    all_finite,
    datasets_first,
    eigenvalues_above,
    from_eigen,
    solve_each,
)

# Least and largest standard deviation, relative to σ, that the first search sets out from.
FIRST_SDS = (0.1, 100.0)

# From so many rows per group and random effect on, the groups' own coefficients tell how much they
# differ.
LARGE = 3

# Steps of Fisher scoring that a further search begins with. Each costs nearly as much as a Newton
# step.
SCORING_STEPS = 2

# With few groups and few degrees of freedom within them the criterion can have several minima. The
# product of the two, per random effect, tells how often, if all groups have as many rows: in 3% of
# datasets at a product of 25, in 0.1% at 100 and in 1 of 5,000 here. Up to here the search is made
# from further starts, too. benchmarks/minima.py tells how often that misses the lowest minimum;
# docs/engine.md has its table.
FEW = 200

# Where sizes differ, one large group can tell σ so well that the others have several minima, up to
# a third of the datasets. No rule is known for when; so there are always further starts, and random
# ones among them, the same for all datasets. Where they find a second minimum there may be a third,
# and more follow.
RANDOM_STARTS = 25
MORE_STARTS = 30

# Eigenvalues of Y below this fraction of the largest are the lesser ones. One further start shrinks
# them to the second fraction of the largest; another raises them to the largest and shrinks the
# others to the third. If that is 0.02, its searches take two thirds more evaluations at sigma 4. On
# 486,000 small datasets, HEADED being 0.4, 44 lowest minima are missed at 0.02, 56 at 0.15 and 81
# at 0.25.
_LESSER, _SHRUNK, _EXCHANGED = 0.5, 0.02, 0.15

# How much larger the root of the groups' own coefficients' covariance may be than the one found. In
# groups of few rows it can be far too large, and a search takes long to come back from there.
_MOST = 2.0

# Smallest eigenvalue of a start, relative to the largest and at all: a search that starts at
# zero must leave a saddle first.
_FLOOR = (0.01, 1e-5)


@np.errstate(all="ignore")  # a dataset may have no residuals within its groups
def first_roots(blocks: Blocks, model: Model, unit: Array) -> Array:
    """Symmetric roots Y of G from which to search first, (R, q, q), after a step of scoring.

    The step sets out from one variance for all effects. Where groups are large, the covariance of
    their own coefficients, less what sampling adds to it (Swamy 1970), is nearer to the minimum, if
    it is well inside the positive definite matrices.

    Parameters are those of `optimise.minimise`.
    """
    q, _, n_groups = blocks.r.shape
    work = Workspace()
    roots = np.empty((len(unit), q, q))
    for index in _portions(blocks, len(unit)):
        some, own = blocks.take(index), unit[index]
        root = _one_variance(some, own)
        large = np.flatnonzero(some.n_obs >= LARGE * q * n_groups)
        if len(large):
            few, units = some.take(large), own[large]
            G = _projected(_between_groups(few, units) - _sampling(few, units), model)
            eigenvalues = np.linalg.eigvalsh(G)
            inside = eigenvalues[:, 0] > _FLOOR[0] * eigenvalues[:, -1]
            root[large[inside]] = well_inside(G[inside])
        roots[index] = well_inside(_after_a_step(some, model, own, np.matmul(root, root), work))
    return roots


def _one_variance(blocks: Blocks, unit: Array) -> Array:
    """Roots of one variance for all effects, (R, q, q).

    Moments tell it: with v_i = T_i⁻¹Z_i'r_i, Σ v_i'v_i is near σ² Σ (rank Z_i + tr T_i'GT_i).
    """
    q = len(blocks.r)
    rows, _, _ = triangle(q)
    n_determined = blocks.determined.sum(axis=(0, 2))
    explained = datasets_first(np.square(blocks.r).sum(axis=-1)).sum(axis=-1)
    squares = datasets_first(np.square(blocks.z).sum(axis=-1))
    traces = (np.square(unit[:, rows]) * squares).sum(axis=-1)
    sds = np.sqrt(np.maximum((explained / _within(blocks) - n_determined) / traces, 0.0))
    sds = np.clip(np.where(np.isnan(sds), 1.0, sds), *FIRST_SDS)
    return sds[:, None, None] * np.eye(q)


def several_minima(blocks: Blocks, model: Model) -> bool:
    """Whether the criterion of such data can be expected to have several minima at times."""
    q, _, n_groups = blocks.r.shape
    if not model.balanced:
        return True
    # equal groups, so all datasets have as many rows
    n_obs = int(blocks.n_obs.max(initial=0))
    return bool(n_groups * (n_obs - n_groups * q) <= FEW * q)


@np.errstate(all="ignore")
def further_roots(blocks: Blocks, model: Model, unit: Array, found: Array) -> Array:
    """Roots from which to look for other minima than the one found, (starts, R, q, q).

    The minima of a dataset differ in how much of the variance they leave to the residuals, and in
    rank. The starts are the covariance of the groups' own coefficients, which leaves them least,
    no more than a few times as large as the one found; the minimum found with its lesser
    eigenvalues shrunk; and the same with the lesser ones raised to the largest and the others
    shrunk.

    Parameters
    ----------
    blocks, model, unit
        As for `optimise.minimise`.
    found : (R, q, q) array
        Roots of the minima found.
    """
    eigenvalues, U = np.linalg.eigh(found)
    largest = eigenvalues[:, -1:]
    lesser = eigenvalues < _LESSER * largest
    return np.stack(
        [
            well_inside(
                _projected(_between_groups(blocks, unit), model),
                np.maximum(_MOST * largest, 1.0),
            ),
            from_eigen(np.where(lesser, _SHRUNK * largest, eigenvalues), U),
            from_eigen(np.where(lesser, largest, _EXCHANGED * largest), U),
        ]
    )


def random_starts(n_starts: int, model: Model, n_datasets: int, q: int) -> Array:
    """Random roots of the model's structure, the same for all datasets, (starts, R, q, q)."""
    form = symmetric_root(q, model.covariance)
    # other ones for each number of them
    roots = random_roots(n_starts, q, np.random.default_rng(n_starts))
    roots = form.matrices(form.parameters(roots))
    return np.repeat(roots[:, None], n_datasets, axis=1)


def _within(blocks: Blocks) -> Array:
    """Residual variance within the groups, σ², (R,)."""
    n_determined = blocks.determined.sum(axis=(0, 2))
    variance: Array = blocks.rr_rest / np.maximum(1, blocks.n_obs - n_determined)
    return variance


def _between_groups(blocks: Blocks, unit: Array) -> Array:
    """Covariance of the groups' OLS coefficients, relative to σ², (R, q, q)."""
    b = blocks.group_coefficients
    b -= b.mean(axis=-1, keepdims=True)
    b /= np.sqrt(_within(blocks))[:, None] * unit.T[..., None]
    return _mean_square(b[:, None], b.shape[-1] - 1)


def _sampling(blocks: Blocks, unit: Array) -> Array:
    """Mean of the sampling covariances of the groups' OLS coefficients, as `_between_groups`."""
    roots = blocks.sampling_roots
    roots /= unit.T[:, None, :, None]
    return _mean_square(roots, roots.shape[-1])


def _mean_square(parts: Array, n: int) -> Array:
    """Sum of AA' over the groups of A (q, columns, R, G), divided by n, (R, q, q)."""
    q, m, n_datasets, n_groups = parts.shape
    by_dataset = parts.transpose(2, 0, 1, 3).reshape(n_datasets, q, m * n_groups)
    squares: Array = np.matmul(by_dataset, by_dataset.transpose(0, 2, 1)) / n
    return squares


def _projected(G: Array, model: Model) -> Array:
    """The nearest G (R, q, q) of the model's structure; the identity for what isn't finite."""
    form = symmetric_root(G.shape[1], model.covariance)
    G = np.where(all_finite(G)[:, None, None], G, np.eye(G.shape[1]))
    return form.matrices(form.parameters(G))


def random_roots(n_datasets: int, q: int, rng: np.random.Generator) -> Array:
    """Roots of any size and direction, (R, q, q)."""
    U = np.linalg.qr(rng.normal(size=(n_datasets, q, q)))[0]
    return from_eigen(np.exp(rng.uniform(np.log(0.01), np.log(50.0), (n_datasets, q))), U)


@np.errstate(all="ignore")
def scored(blocks: Blocks, model: Model, unit: Array, root: Array) -> Array:
    """Roots after some steps of Fisher scoring (Longford 1987), which is linear regression for G.

    Unlike Newton's method it needs no positive curvature, and for balanced data it all but
    arrives in a step or two.

    Parameters
    ----------
    blocks, model, unit
        As for `optimise.minimise`.
    root : (R, q, q) array
        Symmetric roots Y to set out from.
    """
    work = Workspace()
    roots = np.empty_like(root)
    for index in _portions(blocks, len(root)):
        some, own = blocks.take(index), unit[index]
        G = np.matmul(root[index], root[index])
        for _ in range(SCORING_STEPS - 1):
            G = _raised(_after_a_step(some, model, own, G, work))
        roots[index] = well_inside(_after_a_step(some, model, own, G, work))
    return roots


def _after_a_step(blocks: Blocks, model: Model, unit: Array, G: Array, work: Workspace) -> Array:
    """G (R, q, q) after a step of scoring, which may lead out of the positive definite matrices."""
    q = unit.shape[1]
    rows, columns, place = triangle(q)
    outer = unit[:, :, None] * unit[:, None, :]
    scale = outer[:, rows, columns]
    gradient, expected = expected_hessian(blocks, outer * G, model.reml, work)
    form = symmetric_root(q, model.covariance)
    # the entries of G are the parameters, or else those of Y, whose structure G has
    free = None if model.covariance == "full" else form.basis[:, rows, columns].T
    if free is None:
        step = solve_each(expected, -gradient)[0] / scale
    else:
        expected = expected * scale[:, :, None] * scale[:, None, :]
        downhill = -np.matmul((gradient * scale)[:, None, :], free)[:, 0]
        step, _ = solve_each(np.matmul(np.matmul(free.T, expected), free), downhill)
    step = np.where(np.isfinite(step).all(axis=1, keepdims=True), step, 0.0)
    return G + (step[:, place] if free is None else form.matrices(step))


def _portions(blocks: Blocks, n_runs: int) -> Iterator[NDArray[np.intp]]:
    """Which of some datasets to work on at once, again and again until all have been."""
    at_once = datasets_at_once(blocks)
    for first in range(0, n_runs, at_once):
        yield np.arange(first, min(first + at_once, n_runs))


def _raised(G: Array) -> Array:
    """The nearest G that is well inside the positive definite ones; may overwrite `G`."""
    # the trace is no less than the largest eigenvalue
    lowest = np.maximum(_FLOOR[0] * np.einsum("rii->r", G), _FLOOR[1])
    index = np.flatnonzero(~eigenvalues_above(G, lowest))
    root = well_inside(G[index])
    G[index] = np.matmul(root, root)
    return G


def well_inside(G: Array, most: Array | float = np.inf) -> Array:
    """Symmetric root of the nearest G that is well inside the positive definite ones.

    None of its eigenvalues is above `most`, (R, 1) or the same for all.
    """
    eigenvalues, U = np.linalg.eigh(G)
    lowest = np.maximum(_FLOOR[0] * eigenvalues[:, -1:], _FLOOR[1])
    return from_eigen(np.minimum(np.sqrt(np.maximum(eigenvalues, lowest)), most), U)
