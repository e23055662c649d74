"""Datasets of the mixed-model tests, regenerated from their seeds wherever they are needed.

Every dataset has three predictors x ~ N(0, 1), coefficients of group g drawn from N(beta, sigma)
around beta ~ U(0, 1), and noise N(0, 1); a `Case` changes one thing at a time from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

N_COEFS = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of dataset and the model that is fitted to it.

    Attributes
    ----------
    name : str
        Key of the seeds, and of the rows of the reference file.
    sizes : tuple of int
        Observations of each group.
    sigma : tuple of float
        Standard deviations of the four random effects.
    model : str
        ``full`` (all four correlated), ``diagonal`` (all four, uncorrelated) or ``intercept``.
    reml : bool
    y_scale, x_scale : float
        Units of the response and of the first predictor.
    collinear : float
        Standard deviation of the third predictor around the second; 0: independent of it.
    shuffled : bool
        Whether rows are in random order, so that groups are not contiguous.
    n_datasets : int
        How many of them the reference file holds.
    optimizers : tuple of str
        lme4's optimizers that the reference file holds.
    """

    name: str
    sizes: tuple[int, ...]
    sigma: tuple[float, ...]
    model: str = "full"
    reml: bool = True
    y_scale: float = 1.0
    x_scale: float = 1.0
    collinear: float = 0.0
    shuffled: bool = False
    n_datasets: int = 5
    optimizers: tuple[str, ...] = field(default=("nloptwrap",))


BOTH = ("nloptwrap", "bobyqa")
GRID = [
    Case(f"{n}x{o}x{s:g}", (o,) * n, (s,) * N_COEFS, n_datasets=20, optimizers=BOTH)
    for n, o, s in product((10, 30, 100), (5, 25, 100), (0.1, 0.25, 1.0, 2.0, 4.0))
]
MISSPECIFIED = [
    Case(f"intercept-{n}x{o}x{s:g}", (o,) * n, (s,) * N_COEFS, model="intercept", n_datasets=3)
    for n, o, s in product((10, 100), (5, 25), (0.1, 1.0, 4.0))
]
_UNEVEN = tuple(2 + (7 * g) % 11 for g in range(25))
SPECIAL = [
    Case("unbalanced", _UNEVEN, (1.0,) * 4, shuffled=True, optimizers=BOTH),
    Case("unbalanced-small-sigma", _UNEVEN, (0.2,) * 4, optimizers=BOTH),
    Case("few-rows", (3,) * 20 + (6,) * 20, (1.0,) * 4, shuffled=True, optimizers=BOTH),
    Case("few-groups", (12,) * 3, (1.0,) * 4, optimizers=BOTH),
    Case("five-groups", (8,) * 5, (0.5,) * 4, optimizers=BOTH),
    Case("huge-y", (12,) * 20, (1.0,) * 4, y_scale=1e7, optimizers=BOTH),
    Case("tiny-y", (12,) * 20, (1.0,) * 4, y_scale=1e-6, optimizers=BOTH),
    Case("huge-x", (12,) * 20, (1.0,) * 4, x_scale=1e4, optimizers=BOTH),
    Case("tiny-x", (12,) * 20, (1.0,) * 4, x_scale=1e-3, optimizers=BOTH),
    Case("collinear", (12,) * 20, (1.0,) * 4, collinear=0.02, optimizers=BOTH),
    Case("near-zero-variance", (12,) * 20, (1.0, 1e-3, 1.0, 1e-3), optimizers=BOTH),
    Case("zero-variance", (12,) * 20, (0.0,) * 4, optimizers=BOTH),
    Case("one-zero-variance", (12,) * 20, (1.0, 0.0, 1.0, 1.0), optimizers=BOTH),
    Case("diagonal", (10,) * 20, (1.0, 0.5, 0.5, 1.0), model="diagonal", optimizers=BOTH),
    Case("diagonal-zero", _UNEVEN, (1.0, 0.0, 0.5, 0.1), model="diagonal", optimizers=BOTH),
    Case("ml", (10,) * 20, (1.0,) * 4, reml=False, optimizers=BOTH),
    Case("ml-unbalanced", _UNEVEN, (0.5,) * 4, reml=False, optimizers=BOTH),
    Case("ml-intercept", _UNEVEN, (0.5,) * 4, model="intercept", reml=False, optimizers=BOTH),
    Case("intercept-unbalanced", _UNEVEN, (1.0,) * 4, model="intercept", shuffled=True),
    Case("intercept-zero", _UNEVEN, (0.0,) * 4, model="intercept"),
]
CASES = {case.name: case for case in (*GRID, *MISSPECIFIED, *SPECIAL)}


def dataset(
    case: Case, index: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Dataset number `index` of a case.

    Returns
    -------
    y : (n,) array
    X : (n, 4) array
        Intercept and three predictors.
    groups : (n,) array of int
    """
    rng = np.random.default_rng([20261122, crc32(case.name.encode()), index])
    groups = np.repeat(np.arange(len(case.sizes)), case.sizes)
    beta = rng.uniform(0.0, 1.0, N_COEFS)
    X = np.ones((len(groups), N_COEFS))
    X[:, 1:] = rng.standard_normal((len(groups), N_COEFS - 1))
    if case.collinear:
        X[:, 3] = X[:, 2] + case.collinear * X[:, 3]
    b = beta + np.array(case.sigma) * rng.standard_normal((len(case.sizes), N_COEFS))
    y = (X * b[groups]).sum(axis=1) + rng.standard_normal(len(groups))
    X[:, 1] *= case.x_scale
    y *= case.y_scale
    if case.shuffled:
        order = rng.permutation(len(groups))
        y, X, groups = y[order], X[order], groups[order]
    return y, X, groups
