"""The penalised criterion, whose optimum is never singular."""

from __future__ import annotations

import numpy as np
import pytest

from known_data import known
from rmsweep import lmm
from rmsweep.config import condition
from rmsweep.data.dataset import Batch
from rmsweep.data.scenario import simulate

# blme's default prior
PENALTY = 1.5


def log_determinant(theta: np.ndarray) -> float:
    """log|ΛΛ'| of a lower triangle by column."""
    q = int(np.sqrt(2 * len(theta)))
    columns, rows = np.triu_indices(q)
    return float(2 * np.log(np.abs(theta[rows == columns])).sum())


# four searches by R's optim and lme4's criterion, and blme where it arrives
OPTIMA = {
    "sleepstudy": (1747.842420, [1.069165, 0.001653, 0.251849], [7.26566, 1.636855]),
    "Ovary": (
        1615.6057,
        [1.179716, -0.430796, -0.314490, 0.651913, -0.123882, 0.275835],
        [1.07653, 0.74784, 0.45960],
    ),
}


@pytest.mark.parametrize("name", OPTIMA)
def test_ends_where_other_searches_do(name: str) -> None:
    products = Batch([known(name)]).crossproducts(known(name).terms)
    fit = lmm.fit(products, penalty=PENALTY)
    criterion, theta, se = OPTIMA[name]
    assert fit.converged[0]
    assert fit.criterion[0] == pytest.approx(criterion, abs=2e-5)
    np.testing.assert_allclose(fit.theta[0], theta, atol=1e-5)
    np.testing.assert_allclose(fit.se[0], se, rtol=2e-5)


@pytest.mark.parametrize("name", ["Ovary", "ChickWeight"])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_is_the_criterion_less_the_log_determinant(name: str, covariance: lmm.Covariance) -> None:
    products = Batch([known(name)]).crossproducts(known(name).terms)
    fit = lmm.fit(products, covariance=covariance, penalty=PENALTY)
    plain = lmm.inference_at(products, fit.theta, covariance=covariance)
    theta = fit.theta[0]
    det = 2 * np.log(theta).sum() if covariance == "diagonal" else log_determinant(theta)
    assert fit.criterion[0] == pytest.approx(plain.criterion[0] - PENALTY * det, abs=1e-8)
    np.testing.assert_allclose(fit.se, plain.se, rtol=1e-9)
    np.testing.assert_allclose(fit.gradient, 0.0, atol=1e-4)
    # no step in any direction goes down
    for step in np.vstack([np.eye(len(theta)), -np.eye(len(theta))]) * 1e-3:
        there = lmm.inference_at(products, fit.theta + step, covariance=covariance, penalty=PENALTY)
        assert there.criterion[0] > fit.criterion[0]


def test_the_gradient_is_the_criterions() -> None:
    products = Batch([known("Ovary")]).crossproducts(known("Ovary").terms)
    theta = np.array([[1.0, -0.3, 0.2, 0.6, -0.1, 0.4]])

    def value(x: np.ndarray) -> float:
        return float(lmm.inference_at(products, x[None], penalty=PENALTY).criterion[0])

    at = lmm.inference_at(products, theta, penalty=PENALTY)
    h = 1e-5
    for k, step in enumerate(np.eye(6) * h):
        slope = (value(theta[0] + step) - value(theta[0] - step)) / (2 * h)
        assert at.gradient[0, k] == pytest.approx(slope, rel=1e-5, abs=1e-4)
        there = [
            lmm.inference_at(products, theta + sign * step, penalty=PENALTY).gradient[0]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(
            at.hessian[0, k], (there[0] - there[1]) / (2 * h), rtol=1e-5, atol=1e-3
        )


def test_no_fit_is_singular_and_each_is_its_own() -> None:
    data = [simulate(0, condition(n_groups=10, n_obs=5, sigma=0.1), i).data for i in range(60)]
    products = Batch(data).crossproducts(data[0].terms)
    fit = lmm.fit(products, penalty=PENALTY)
    assert fit.converged.all()
    assert lmm.fit(products).singular.mean() > 0.9
    assert not fit.singular.any()
    assert not fit.singular_eigen.any()
    alone = lmm.fit(products.take(np.array([17])), penalty=PENALTY)
    assert alone.theta.tobytes() == fit.theta[17:18].tobytes()


def test_units_and_means_of_predictors_are_immaterial() -> None:
    data = [simulate(0, condition(n_groups=10, n_obs=8, sigma=1.0), i).data for i in range(5)]
    y, X = np.stack([one.y for one in data]), np.stack([one.X for one in data])
    moved = X * [1.0, 1e3, 1.0, 1e-2] + [0.0, 0.0, 40.0, 0.0]
    one, other = (
        lmm.fit(lmm.crossproducts(y, some, None, data[0].groups), penalty=PENALTY)
        for some in (X, moved)
    )
    np.testing.assert_allclose(other.se[:, 1:] * [1e3, 1.0, 1e-2], one.se[:, 1:], rtol=1e-7)
