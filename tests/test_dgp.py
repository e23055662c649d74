"""The simulated data against the model that they are said to follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rmsweep.config import load_study
from rmsweep.design import Condition, Settings
from rmsweep.dgp import Simulated, simulate

GRID = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1}
# bounds in standard errors: 1 in 10^6 where the draws are as they should be
BOUND = 5


def settings(**keys: object) -> Settings:
    return load_study(GRID | keys, "s").settings


def pooled(simulated: list[Simulated], attribute: str) -> np.ndarray:
    return np.concatenate([np.atleast_2d(getattr(one, attribute)) for one in simulated])


def test_the_same_cell_gives_the_same_bytes() -> None:
    one, two = (simulate(settings(), Condition(10, 5, 0.25), 3) for _ in range(2))
    assert one.data.y.tobytes() == two.data.y.tobytes()
    assert one.data.X.tobytes() == two.data.X.tobytes()


def test_the_grid_plays_no_part() -> None:
    other = load_study(GRID | {"sigma": [3, 1], "n_sims": 9, "n_groups": [7, 10]}, "s").settings
    one, two = (simulate(s, Condition(10, 5, 1.0), 0) for s in (settings(), other))
    assert one.data.y.tobytes() == two.data.y.tobytes()


def test_a_dataset_is_what_it_was() -> None:
    simulated = simulate(settings(), Condition(10, 5, 0.25), 7)
    np.testing.assert_allclose(
        simulated.betas,
        [0.05564443785401452, 0.10405261303170499, 0.40314393753699895, 0.6732993684305901],
        rtol=1e-15,
    )
    np.testing.assert_allclose(
        simulated.data.y[:3],
        [1.3701230970102838, -1.9251023056190966, 1.8835403938707782],
        rtol=1e-12,
    )


def test_rows_follow_the_model_exactly_without_noise() -> None:
    simulated = simulate(settings(noise_sd=0), Condition(10, 5, 2.0), 0)
    data = simulated.data
    expected = (data.X * simulated.coefficients[data.groups]).sum(axis=1)
    np.testing.assert_allclose(data.y, expected, rtol=1e-13)
    assert data.terms == ("Intercept", "IV1", "IV2", "IV3")
    np.testing.assert_array_equal(data.groups, np.repeat(np.arange(10), 5))


def test_betas_are_uniform_and_drawn_afresh() -> None:
    betas = pooled([simulate(settings(), Condition(5, 5, 1.0), s) for s in range(1000)], "betas")
    assert betas.min() > 0
    assert betas.max() < 1
    z = (betas.mean(axis=0) - 0.5) / (np.sqrt(1 / 12) / np.sqrt(len(betas)))
    assert np.abs(z).max() < BOUND


def test_groups_scatter_around_the_betas_by_sigma_and_ratio() -> None:
    one = simulate(settings(sigma_ratio=[1, 0, 2, 0.5]), Condition(20000, 1, 3.0), 0)
    scatter = one.coefficients - one.betas
    np.testing.assert_array_equal(scatter[:, 1], 0)
    spread = np.array([3.0, 6.0, 1.5])
    found = scatter[:, [0, 2, 3]].std(axis=0)
    assert np.abs(found / spread - 1).max() < BOUND / np.sqrt(2 * 20000)
    correlation = np.corrcoef(scatter[:, [0, 2, 3]].T)[np.triu_indices(3, k=1)]
    assert np.abs(correlation).max() < BOUND / np.sqrt(20000)


def test_predictors_have_the_means_sds_and_correlations_asked_for() -> None:
    correlation = [[1, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 1]]
    keys = {
        "predictor_mean": [1, 2, 3],
        "predictor_sd": [1, 10, 0.1],
        "predictor_correlation": correlation,
    }
    n = 40000
    X = simulate(settings(**keys), Condition(n // 4, 4, 1.0), 0).data.X[:, 1:]
    z = (X.mean(axis=0) - [1, 2, 3]) / (np.array([1, 10, 0.1]) / np.sqrt(n))
    assert np.abs(z).max() < BOUND
    assert np.abs(X.std(axis=0) / [1, 10, 0.1] - 1).max() < BOUND / np.sqrt(2 * n)
    assert np.abs(np.corrcoef(X.T) - correlation).max() < BOUND / np.sqrt(n)


def test_groups_do_not_share_predictors_or_noise() -> None:
    # pymer4's simulate_lmm did, when it was given a seed and correlations
    one = simulate(settings(predictor_correlation=0.5, sigma_ratio=[0] * 4), Condition(2, 50, 1), 0)
    first, second = one.data.X[:50, 1], one.data.X[50:, 1]
    assert not np.isclose(first, second).any()


def test_noise_has_the_mean_and_sd_asked_for() -> None:
    s = settings(noise_mean=2, noise_sd=3, sigma_ratio=[0, 0, 0, 0])
    one = simulate(s, Condition(10000, 4, 1.0), 0)
    noise = one.data.y - one.data.X @ one.betas
    assert abs(noise.mean() - 2) < BOUND * 3 / np.sqrt(40000)
    assert abs(noise.std() / 3 - 1) < BOUND / np.sqrt(80000)


@pytest.mark.parametrize("n_predictors", [1, 5])
def test_any_number_of_predictors(n_predictors: int) -> None:
    one = simulate(settings(n_predictors=n_predictors), Condition(8, 9, 1.0), 0)
    assert one.data.X.shape == (72, n_predictors + 1)
    assert one.coefficients.shape == (8, n_predictors + 1)


def test_strategies_play_no_part() -> None:
    other = replace(settings(), strategies=("lm",))
    one, two = (simulate(s, Condition(10, 5, 1.0), 0) for s in (settings(), other))
    assert one.data.y.tobytes() == two.data.y.tobytes()
