"""Values of a condition as vectors and matrices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rmsweep.data.dataset import Array
from rmsweep.design import Value


@lru_cache
def vector(value: Value, length: int) -> Array:
    """A value for each, from one for all or one for each."""
    return np.full(length, value, dtype=float)


@lru_cache
def any_of(value: Value, length: int) -> bool:
    """Whether any of these values is other than zero."""
    return bool(vector(value, length).any())


@lru_cache
def scale(size: int, sd: Value, correlation: Value) -> Array:
    """D L, with D the SDs of so many variables and LL' = R their correlations, (size, size)."""
    R = np.full((size, size), correlation, dtype=float)
    np.fill_diagonal(R, 1.0)
    scaled: Array = vector(sd, size)[:, None] * np.linalg.cholesky(R)
    return scaled
