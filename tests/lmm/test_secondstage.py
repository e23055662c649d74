"""Second stages and GEE where no other program's numbers are at hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from rmsweep import lmm

SIZES = [5, 9, 6, 7, 8, 10, 6, 5]


def some_data(R: int = 3) -> lmm.CrossProducts:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(len(SIZES)), SIZES)
    X = rng.normal(size=(R, len(groups), 3))
    X[:, :, 0] = 1.0
    y = (rng.normal(size=(R, len(SIZES), 3))[:, groups] * X).sum(axis=2)
    return lmm.crossproducts(y + rng.normal(size=y.shape), X, None, groups)


def reml(tau2: float, b: np.ndarray, v: np.ndarray) -> float:
    """Minus twice the restricted log-likelihood."""
    w = 1.0 / (v + tau2)
    rest = b - (w * b).sum() / w.sum()
    return float(-np.log(w).sum() + np.log(w.sum()) + (w * rest * rest).sum())


def test_reml_tau2_maximises_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    spread = np.repeat([0.0, 0.3, 2.0, 50.0], 40)
    v = rng.chisquare(2, size=(160, 7)) + 0.05
    b = rng.normal(size=v.shape) * np.sqrt(v + spread[:, None] ** 2)
    found = lmm.reml_tau2(b, v)
    at_zero = 0
    for tau2, one, variances in zip(found, b, v, strict=True):
        bounds = (0.0, 10 * one.var() + 1.0)
        best = minimize_scalar(reml, args=(one, variances), bounds=bounds, method="bounded")
        lowest = min(float(best.fun), reml(0.0, one, variances))
        assert reml(tau2, one, variances) <= lowest + 1e-9
        at_zero += tau2 == 0.0
    assert 20 < at_zero < 80


def test_reml_tau2_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(1)
    b, v = rng.normal(size=(20, 6)), rng.chisquare(3, size=(20, 6))
    together = lmm.reml_tau2(b, v)
    for row in range(20):
        assert lmm.reml_tau2(b[row : row + 1], v[row : row + 1])[0] == together[row]


def test_second_stages_refuse_groups_without_residuals() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(4), 3)
    X = rng.normal(size=(1, 12, 3))
    data = lmm.crossproducts(rng.normal(size=(1, 12)), X, None, groups)
    with pytest.raises(ValueError, match="12 rows for 12 coefficients of the groups"):
        lmm.weighted_two_stage(data)
    with pytest.raises(ValueError, match="a group has 3 rows for 3 coefficients"):
        lmm.swamy(data)


def test_regression_on_predictors_of_groups_says_where_they_are_collinear() -> None:
    staged = lmm.two_stage(some_data())
    z = np.random.default_rng(9).normal(size=(3, len(SIZES), 2))
    z[1, :, 1] = 3.0 - z[1, :, 0]
    found = lmm.regressed_two_stage(staged, z)
    assert found.messages == ("", "the predictors of the groups are collinear, or constant", "")
    assert np.isnan(found.estimate[1]).all()
    assert np.isfinite(found.se[[0, 2]]).all()


@pytest.mark.parametrize("divisor", ["N", "N-K"])
def test_gee_ends_at_its_fixed_point(divisor: lmm.Divisor) -> None:
    """The correlation is that of the residuals that it leads to."""
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(len(SIZES)), SIZES)
    X = rng.normal(size=(len(groups), 2))
    X[:, 0] = 1.0
    y = rng.normal(size=len(SIZES))[groups] + X[:, 1] + rng.normal(size=len(groups))
    data = lmm.crossproducts(y[None], X[None], None, groups)
    found = lmm.gee_exchangeable(data, "CR0", divisor)
    alpha = found.correlation[0]
    V = np.eye(len(y)) * (1 - alpha) + alpha * (groups[:, None] == groups)
    W = np.linalg.inv(V)
    b = np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    np.testing.assert_allclose(found.fit.estimate[0], b, rtol=1e-9)
    e = y - X @ b
    pairs = [(i, j) for i in range(len(y)) for j in range(i) if groups[i] == groups[j]]
    less = 2 if divisor == "N-K" else 0
    mean = sum(e[i] * e[j] for i, j in pairs) / (len(pairs) - less)
    assert alpha == pytest.approx(mean / ((e @ e) / (len(y) - less)), rel=1e-9)
    assert found.converged.all()


def test_gee_says_which_correlation_is_impossible() -> None:
    """Two rows of each group that are each other's opposites, beside a group of many."""
    groups = np.repeat(np.arange(7), [2, 2, 2, 2, 2, 2, 9])
    rng = np.random.default_rng(6)
    y = np.tile([3.0, -3.0], 6).tolist() + rng.normal(0.0, 0.1, size=9).tolist()
    X = np.column_stack([np.ones(21), rng.normal(size=21)])
    data = lmm.crossproducts(np.array([y]), X[None], None, groups)
    found = lmm.gee_exchangeable(data, "CR0", "N")
    assert found.fit.messages[0].startswith("the correlation within groups is estimated as -")
    assert found.fit.messages[0].endswith(", which no groups of 9 have")
    assert np.isnan(found.fit.estimate).all()
    with pytest.raises(ValueError, match="too few pairs of rows"):
        one_each = lmm.crossproducts(np.array([y]), X[None], None, np.arange(21))
        lmm.gee_exchangeable(one_each, "CR0", "N")
