"""Bootstrap and sign flips from cross-products against the same by rows, draw by draw."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rmsweep import lmm
from rmsweep.lmm.wild import Ties, Weights, all_signs, draw_weights

SIZES = [7, 3, 9, 2, 5, 8, 4]
ENTROPY = [(3, 1), (4, 1)]


def some_data(sizes: list[int] = SIZES, R: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unequal groups; the last predictor is far from zero."""
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(R, len(groups), 3))
    X[:, :, 0] = 1.0
    b = rng.normal(size=(R, len(sizes), 3))[:, groups]
    y = (b * X).sum(axis=2) + rng.normal(size=(R, len(groups)))
    X[:, :, 2] += 50.0
    return y + X @ [1.0, 0.5, 0.0], X, groups


def bootstrap_by_rows(
    y: np.ndarray, X: np.ndarray, groups: np.ndarray, k: int, value: float, v: np.ndarray
) -> tuple[float, np.ndarray]:
    """The t statistic of β_k = value, and those of the draws, each from a fit of all rows."""
    others = np.delete(X, k, axis=1)
    offset = y - value * X[:, k]
    fitted = others @ np.linalg.lstsq(others, offset, rcond=None)[0]
    restricted = offset - fitted

    def statistic(response: np.ndarray) -> float:
        M = np.linalg.inv(X.T @ X)
        b = M @ X.T @ response
        u = response - X @ b
        scores = [X[groups == g].T @ u[groups == g] for g in np.unique(groups)]
        variance = M @ np.array(scores).T @ np.array(scores) @ M
        return float((b[k] - value) / np.sqrt(variance[k, k]))

    base = fitted + value * X[:, k]
    return statistic(y), np.array([statistic(base + w[groups] * restricted) for w in v])


@pytest.mark.parametrize("equal_tailed", [False, True])
@pytest.mark.parametrize("weights", ["webb", "rademacher"])
def test_is_the_bootstrap_by_rows(weights: Weights, equal_tailed: bool) -> None:
    y, X, groups = some_data()
    data = lmm.crossproducts(y, X, None, groups)
    draws = 99 if weights == "webb" else 128
    found = lmm.wild_cluster_bootstrap(data, ENTROPY, weights, draws, equal_tailed=equal_tailed)
    for r, k in product(range(2), range(3)):
        v = draw_weights(len(SIZES), weights, draws, ENTROPY[r])
        assert v.shape == (draws, len(SIZES))
        t, drawn = bootstrap_by_rows(y[r], X[r], groups, k, 0.0, v)
        slack = 1e-7 * abs(t)
        expected = np.mean(np.abs(drawn) >= abs(t) - slack)
        if equal_tailed:
            tails = np.mean(drawn >= t - slack), np.mean(drawn <= t + slack)
            expected = min(1.0, 2 * min(tails))
        assert found.p_value[r, k] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", ["count", "strict"])
def test_the_interval_has_the_values_that_are_not_rejected(ties: Ties) -> None:
    y, X, groups = some_data()

    def p_values(response: np.ndarray) -> np.ndarray:
        data = lmm.crossproducts(response, X, None, groups)
        return lmm.wild_cluster_bootstrap(data, ENTROPY, draws=199, ties=ties).p_value

    data = lmm.crossproducts(y, X, None, groups)
    found = lmm.wild_cluster_bootstrap(data, ENTROPY, draws=199, ties=ties)
    assert (found.ci_low < found.ci_high).all()
    for k, end, sign in product(range(3), ("ci_low", "ci_high"), (1, -1)):
        ends = getattr(found, end)
        width = found.ci_high - found.ci_low
        tried = ends[:, k] + sign * 1e-4 * width[:, k]
        p = p_values(y - tried[:, None] * X[:, :, k])[:, k]
        inside = (end == "ci_low") == (sign == 1)
        assert (p >= 0.05).all() if inside else (p < 0.05).all()


def test_with_five_groups_signs_reject_nothing_and_webbs_points_do() -> None:
    y, X, groups = some_data([9, 7, 8, 9, 6])
    data = lmm.crossproducts(y + 1000.0 * X[:, :, 1], X, None, groups)
    signs = lmm.wild_cluster_bootstrap(data, ENTROPY, "rademacher")
    assert signs.p_value[:, 1] == pytest.approx(2 / 32)
    assert np.isinf([signs.ci_low, signs.ci_high]).all()
    webb = lmm.wild_cluster_bootstrap(data, ENTROPY)
    assert (webb.p_value[:, 1] < 0.05).all()
    assert np.isfinite([webb.ci_low[:, 1], webb.ci_high[:, 1]]).all()


def test_weights() -> None:
    assert len(np.unique(draw_weights(11, "auto", 999, (1,)))) == 6
    assert len(np.unique(draw_weights(12, "auto", 999, (1,)))) == 2
    webb = draw_weights(5, "webb", 20_000, (1,))
    # Webb's points have mean 0 and variance 1
    assert abs(webb.mean()) < 0.02
    assert webb.var() == pytest.approx(1.0, abs=0.02)
    # as many draws as there are vectors of signs, or more: all of them, once
    assert len(np.unique(draw_weights(9, "rademacher", 999, (1,)), axis=0)) == 512
    assert len(draw_weights(10, "rademacher", 999, (1,))) == 999
    np.testing.assert_array_equal(
        draw_weights(20, "auto", 9, (1, 2)), draw_weights(20, "auto", 9, (1, 2))
    )
    assert (draw_weights(20, "auto", 9, (1, 2)) != draw_weights(20, "auto", 9, (1, 3))).any()


def test_a_dataset_that_can_not_be_fitted_has_no_tests() -> None:
    y, X, groups = some_data()
    X[0, :, 2] = X[0, :, 1]
    found = lmm.wild_cluster_bootstrap(lmm.crossproducts(y, X, None, groups), ENTROPY, draws=19)
    assert np.isnan(found.p_value[0]).all()
    assert np.isfinite(found.p_value[1]).all()


@pytest.mark.parametrize("enumerate_up_to", [15, 3])
def test_sign_flips_are_those_of_each_value(enumerate_up_to: int) -> None:
    """P-values and intervals against the test of each value by itself."""
    by_group = np.random.default_rng(2).normal(1.0, 1.0, size=(2, 8, 2))
    draws = 59
    found = lmm.sign_flips(by_group, ENTROPY, draws, enumerate_up_to)
    for r, k in product(range(2), range(2)):
        v = all_signs(8)
        if enumerate_up_to < 8:
            rng = np.random.default_rng([*ENTROPY[r]])
            v = np.vstack([np.ones(8), 1.0 - 2.0 * rng.integers(2, size=(draws, 8))])

        def p_value(value: float, v: np.ndarray = v, b: np.ndarray = by_group[r, :, k]) -> float:
            flipped, observed = v @ (b - value), (b - value).sum()
            return float(np.mean(np.abs(flipped) >= abs(observed) * (1 - 1e-9)))

        assert found.p_value[r, k] == pytest.approx(p_value(0.0))
        low, high = found.ci_low[r, k], found.ci_high[r, k]
        assert min(p_value(low + 1e-6), p_value(high - 1e-6)) >= 0.05
        assert max(p_value(low - 1e-6), p_value(high + 1e-6)) < 0.05


def test_sign_flips_of_five_groups_reject_nothing() -> None:
    found = lmm.sign_flips(np.random.default_rng(0).normal(9.0, 1.0, (1, 5, 1)), [(0,)], 999, 15)
    assert found.p_value[0, 0] == 2 / 32
    assert (found.ci_low[0, 0], found.ci_high[0, 0]) == (-np.inf, np.inf)
