"""How many rows each group has.

A layout is a function of a random generator of its own, of the groups' coefficients (n_groups, p),
of the mean number of rows of a group and of its options. It gives each group's number of rows,
n_groups · n_obs in all: the scenario spreads the same draws over other groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array
from rmsweep.data.options import require

Sizes = NDArray[np.int64]
MOST_UNEQUAL = 20.0


def equal(rng: np.random.Generator, coefficients: Array, n_obs: int) -> Sizes:
    """Equal groups of n_obs rows.

    Misleads
        No strategy. Cluster-robust and two-stage strategies are at their best.
    """
    return np.full(len(coefficients), n_obs)


def unequal(
    rng: np.random.Generator, coefficients: Array, n_obs: int, *, gamma: float = 1.0
) -> Sizes:
    """Unequal groups: n_g = ⌊N exp(γg/G) / Σ_j exp(γj/G)⌋; the last group takes the rest.

    N = G · n_obs and γ = gamma (after MacKinnon & Webb 2017, J. Applied Econometrics 32:233). With
    γ = 2, 10 groups and n_obs = 25, sizes range from 8 to 58. Sizes are unrelated to coefficients,
    so weighting rows and weighting groups estimate the same β.

    Misleads
        CR0 and CR1 cluster-robust standard errors, which are too small. CR2, CR3 and the wild
        bootstrap hold. Two-stage regression loses efficiency.
    """
    require(0 <= gamma <= MOST_UNEQUAL, "gamma", f"a number from 0 to {MOST_UNEQUAL:g}")
    n_groups = len(coefficients)
    share = np.exp(gamma * np.arange(1, n_groups + 1) / n_groups)
    sizes: Sizes = np.floor(n_groups * n_obs * share / share.sum()).astype(np.int64)
    sizes[-1] += n_groups * n_obs - sizes.sum()
    return sizes


def informative(
    rng: np.random.Generator,
    coefficients: Array,
    n_obs: int,
    *,
    gamma: float = 1.0,
    coefficient: int = 0,
) -> Sizes:
    """Informative sizes: those of `unequal`, in the order of the groups' coefficients b_gk.

    The group with the largest b_gk is the largest. k = coefficient: 0 is the intercept, 1 is IV1.

    Truth
        β_k, the mean over groups, which `lm2` estimates because it weights groups equally. The
        mean over rows is another estimand, β_k + cov(n_g, b_gk)/n̄; the covariance term is the bias
        of `lm`.

    Misleads
        `lm`, `ols` and GEE, which weight rows. Mixed models in part.
    """
    n_terms = coefficients.shape[1]
    known = 0 <= coefficient < n_terms
    require(known, "coefficient", f"a whole number from 0 to {n_terms - 1}")
    sizes = np.empty(len(coefficients), dtype=np.int64)
    order = np.argsort(coefficients[:, coefficient], kind="stable")
    sizes[order] = unequal(rng, coefficients, n_obs, gamma=gamma)
    return sizes
