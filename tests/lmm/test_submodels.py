"""Models that are part of another: their cross-products are those made from their own columns."""

from __future__ import annotations

import numpy as np
import pytest

from rmsweep import lmm

SIZES = [3, 9, 7, 8, 2, 12, 7, 7, 6, 5, 8, 9]
GROUPS = np.repeat(np.arange(len(SIZES)), SIZES)
# a search ends up to 1e-6 standard errors from the optimum
RTOL = 1e-7


@pytest.fixture(scope="module")
def columns() -> tuple[np.ndarray, np.ndarray]:
    """Responses and predictors of five datasets, some far from zero, in units of their own."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(5, len(GROUPS), 4)) * [1.0, 1.0, 1e3, 1.0]
    X[::2, :, 1] += 300.0
    X[:, :, 0] = 1.0
    y = (X * [1.0, 0.3, 0.002, 0.0]).sum(axis=2) + rng.normal(size=(5, len(SIZES)))[:, GROUPS]
    return y + rng.normal(size=y.shape), X


def same(one: lmm.LmmFit, other: lmm.LmmFit) -> None:
    """Two fits of the same models by different cross-products."""
    assert one.converged.all()
    np.testing.assert_allclose(one.criterion, other.criterion, atol=1e-9)
    np.testing.assert_allclose(one.estimate, other.estimate, rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(one.se, other.se, rtol=RTOL)


@pytest.mark.parametrize("q", [4, 1])
@pytest.mark.parametrize("column", range(4))
def test_a_model_without_a_fixed_effect(
    column: int, q: int, columns: tuple[np.ndarray, np.ndarray]
) -> None:
    y, X = columns
    kept = [place for place in range(4) if place != column]
    whole = lmm.crossproducts(y, X, None, GROUPS)
    part = whole.without_fixed_effect(column)
    own = lmm.crossproducts(y, X[:, :, kept], X, GROUPS)
    if column:
        np.testing.assert_allclose(part.pooled, own.pooled, rtol=1e-10)
        np.testing.assert_allclose(part.xr, own.xr, atol=1e-10)
    np.testing.assert_allclose(part.rr, own.rr, rtol=1e-9)
    part, own = part.with_leading_random_effects(q), own.with_leading_random_effects(q)
    same(lmm.fit(part, reml=False), lmm.fit(own, reml=False))


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (0, 1, 3), (0,), (2, 3)])
def test_a_model_with_some_of_the_random_effects(
    kept: tuple[int, ...], columns: tuple[np.ndarray, np.ndarray]
) -> None:
    y, X = columns
    part = lmm.crossproducts(y, X, None, GROUPS).with_random_effects(kept)
    own = lmm.crossproducts(y, X, X[:, :, list(kept)], GROUPS)
    same(lmm.fit(part, covariance="diagonal"), lmm.fit(own, covariance="diagonal"))


def test_some_of_the_datasets(columns: tuple[np.ndarray, np.ndarray]) -> None:
    y, X = columns
    chosen = np.array([3, 1])
    part = lmm.crossproducts(y, X, None, GROUPS).take(chosen)
    own = lmm.crossproducts(y[chosen], X[chosen], None, GROUPS)
    assert lmm.fit(part).theta.tobytes() == lmm.fit(own).theta.tobytes()
    assert part.problems == own.problems
    assert part.xr.tobytes() == own.xr.tobytes()


def test_columns_that_are_not_there_are_refused(columns: tuple[np.ndarray, np.ndarray]) -> None:
    whole = lmm.crossproducts(*columns, None, GROUPS)
    for wrong in ((), (0, 0), (4,)):
        with pytest.raises(ValueError, match="allowed are different ones of 0 to 3"):
            whole.with_random_effects(wrong)
    with pytest.raises(ValueError, match="column 4 of 4"):
        whole.without_fixed_effect(4)
    with pytest.raises(ValueError, match="Z isn't X"):
        whole.with_leading_random_effects(1).without_fixed_effect(1)
