"""The data-generating process: linear predictors whose coefficients differ between groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmsweep.dataset import Array, Dataset
from rmsweep.design import Condition, Settings, seed_sequence


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


def simulate(settings: Settings, condition: Condition, sim: int) -> Simulated:
    r"""Simulate the dataset of one cell.

    For group g, observation i and coefficient k (0 is the intercept):

    .. math::

        \beta_k &\sim U(0, 1) \quad\text{(a fresh draw for every dataset)} \\
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
    settings : Settings
        The study's data-generating settings and seed.
    condition : Condition
        Number of groups, observations per group and sigma.
    sim : int
        The replication.

    Returns
    -------
    Simulated
    """
    rng = np.random.default_rng(seed_sequence(settings.seed, condition, sim))
    n_groups, n_obs = condition.n_groups, condition.n_obs
    n_terms = settings.n_predictors + 1

    betas = rng.uniform(size=n_terms)
    spread = condition.sigma * np.array(settings.sigma_ratio)
    coefficients = betas + spread * rng.standard_normal((n_groups, n_terms))

    scale = np.array(settings.predictor_sd)[:, None] * np.linalg.cholesky(
        np.array(settings.predictor_correlation)
    )
    scores = rng.standard_normal((n_groups, n_obs, settings.n_predictors))
    X = np.empty((n_groups, n_obs, n_terms))
    X[:, :, 0] = 1
    np.add(np.einsum("gij,kj->gik", scores, scale), settings.predictor_mean, out=X[:, :, 1:])
    noise = rng.normal(settings.noise_mean, settings.noise_sd, size=(n_groups, n_obs))
    y = np.einsum("gik,gk->gi", X, coefficients) + noise

    data = Dataset(
        y=y.ravel(),
        X=X.reshape(-1, n_terms),
        groups=np.repeat(np.arange(n_groups), n_obs),
        terms=settings.terms,
    )
    return Simulated(data, betas, coefficients)
