"""The scenario: linear predictors whose coefficients differ between groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array, Dataset
from rmsweep.design import Condition, Value, seed_sequence, seed_words

RANDOM = "random"
"""The `beta` that stands for a fresh draw in each dataset."""
RESAMPLING = 2
"""Purpose of the random numbers that strategies draw; that of the audit's is 1."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated dataset and the truth behind it.

    Attributes
    ----------
    data : Dataset
        Rows sorted by group, n_obs rows each.
    betas : (p,) array
        True coefficients, the intercept first.
    coefficients : (n_groups, p) array
        Each group's own coefficients (the post's "BLUPs").
    """

    data: Dataset
    betas: Array
    coefficients: Array


def simulate(seed: int, condition: Condition, sim: int) -> Simulated:
    r"""Simulate the dataset of one cell.

    For group g, observation i and coefficient k (0 is the intercept):

    .. math::

        \beta_k &\sim U(0, 1) \quad\text{(a fresh draw for every dataset), or as given by beta} \\
        b_{gk} &\sim N(\beta_k,\ \sigma_k), \quad
            \sigma_k = \mathtt{sigma} \cdot \mathtt{sigma\_ratio}_k \\
        x_{gi} &\sim N(\mu,\ D R D) \\
        y_{gi} &= b_{g0} + \sum_j x_{gij} b_{gj} + e_{gi}, \quad e_{gi} \sim N(\text{noise})

    The second arguments of the scalar normals are standard deviations; D = diag(predictor
    SDs), R their correlation. The coefficients of a group are independent of each other, so
    `lmer`, which estimates their correlations, is over-parameterised, and `lmer_mis`, which
    gives all groups the same slopes, is misspecified as soon as the slopes' sigma is above 0.

    Parameters
    ----------
    seed : int
        The study's.
    condition : Condition
        The data-generating values.
    sim : int
        The replication.

    Returns
    -------
    Simulated
    """
    rng = np.random.default_rng(seed_sequence(seed, condition, sim))
    n_groups, n_obs, n_predictors = condition.n_groups, condition.n_obs, condition["n_predictors"]
    n_terms = n_predictors + 1

    betas = rng.uniform(size=n_terms)
    if condition["beta"] != RANDOM:  # drawn all the same: what follows has the same random numbers
        betas = vector(condition["beta"], n_terms)
    spread = condition.sigma * vector(condition["sigma_ratio"], n_terms)
    coefficients = betas + spread * rng.standard_normal((n_groups, n_terms))

    scale = predictor_scale(
        n_predictors, condition["predictor_sd"], condition["predictor_correlation"]
    )
    scores = rng.standard_normal((n_groups, n_obs, n_predictors))
    X = np.empty((n_groups, n_obs, n_terms))
    X[:, :, 0] = 1
    mean = vector(condition["predictor_mean"], n_predictors)
    np.add(np.einsum("gij,kj->gik", scores, scale), mean, out=X[:, :, 1:])
    noise = rng.normal(condition["noise_mean"], condition["noise_sd"], size=(n_groups, n_obs))
    y = np.einsum("gik,gk->gi", X, coefficients) + noise

    y, X = y.ravel(), X.reshape(-1, n_terms)
    for part in (y, X):  # a strategy that changed them would change them for all
        part.flags.writeable = False
    data = Dataset(
        y=y,
        X=X,
        factors={"Group": balanced(n_groups, n_obs)},
        terms=terms(n_predictors),
        entropy=(*seed_words(seed, condition, sim), RESAMPLING),
    )
    return Simulated(data, betas, coefficients)


def fixed_truth(condition: Condition, term: int) -> float | None:
    """The true coefficient of a term, if it is the same in all datasets of a condition."""
    if condition["beta"] == RANDOM:
        return None
    return float(vector(condition["beta"], int(condition["n_predictors"]) + 1)[term])


@lru_cache
def terms(n_predictors: int) -> tuple[str, ...]:
    """Names of the coefficients, the intercept first."""
    return ("Intercept", *(f"IV{k + 1}" for k in range(n_predictors)))


@lru_cache(maxsize=8)
def balanced(n_groups: int, n_obs: int) -> NDArray[np.int64]:
    """Each row's group, for groups of one size."""
    groups = np.repeat(np.arange(n_groups), n_obs)
    groups.flags.writeable = False  # datasets share it
    return groups


@lru_cache
def vector(value: Value, length: int) -> Array:
    """A value for each, from one for all or one for each."""
    return np.full(length, value, dtype=float)


@lru_cache
def predictor_scale(n_predictors: int, sd: Value, correlation: Value) -> Array:
    """D L, with D the predictors' SDs and LL' = R their correlations, (n_predictors, same)."""
    R = np.full((n_predictors, n_predictors), correlation, dtype=float)
    np.fill_diagonal(R, 1.0)
    scale: Array = vector(sd, n_predictors)[:, None] * np.linalg.cholesky(R)
    return scale
