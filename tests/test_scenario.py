"""The simulated data against the model that they are said to follow."""

from __future__ import annotations

import numpy as np
import pytest

from rmsweep.config import condition, load_study
from rmsweep.data.scenario import Simulated, simulate

GRID = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1}
# bounds in standard errors: 1 in 10^6 where the draws are as they should be
BOUND = 5


def draw(n_groups: int, n_obs: int, sigma: float, sim: int = 0, **others: object) -> Simulated:
    one = condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma, **others)
    return simulate(0, one, sim)


def pooled(simulated: list[Simulated], attribute: str) -> np.ndarray:
    return np.concatenate([np.atleast_2d(getattr(one, attribute)) for one in simulated])


def test_the_same_cell_gives_the_same_bytes() -> None:
    one, two = (draw(10, 5, 0.25, sim=3) for _ in range(2))
    assert one.data.y.tobytes() == two.data.y.tobytes()
    assert one.data.X.tobytes() == two.data.X.tobytes()


@pytest.mark.parametrize(
    "keys",
    [
        {"sigma": [3, 1], "n_sims": 9, "n_groups": [7, 10]},
        {"grid": {"noise_sd": [1, 2]}},
        {"strategies": ["lm"]},
    ],
    ids=str,
)
def test_neither_grid_nor_strategies_play_a_part(keys: dict[str, object]) -> None:
    studies = load_study(GRID, "s"), load_study(GRID | keys, "s")
    key = "n_groups=10/n_obs=9/sigma=1"
    one, two = (
        simulate(study.seed, next(c for c in study.conditions if c.key == key), 0)
        for study in studies
    )
    assert one.data.y.tobytes() == two.data.y.tobytes()


def test_conditions_that_differ_in_another_axis_share_their_random_numbers() -> None:
    one, two = draw(10, 5, 1.0), draw(10, 5, 1.0, noise_sd=2)
    assert one.data.X.tobytes() == two.data.X.tobytes()
    signal = (one.data.X * one.coefficients[one.data.groups]).sum(axis=1)
    np.testing.assert_allclose(two.data.y - signal, 2 * (one.data.y - signal), rtol=1e-12)


def test_a_dataset_is_what_it_was() -> None:
    simulated = draw(10, 5, 0.25, sim=7)
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


# a dataset of each, as it was before there were items: its rows, and some of their values
KNOWN = [
    (
        {
            "predictor_distribution": ["factor", {"from": "factor", "levels": 3}, "trend"],
            "predictor_correlation": 0.3,
            "missing": {"from": "mcar", "rate": 0.3},
        },
        68,
        [1.7721143588912547, 2.5152018708172275, 4.016312776266314],
        [-1.0, -1.468332144554792, 0.14935851713645865],
    ),
    (
        {
            "predictor_icc": 0.5,
            "confounding": 0.4,
            "effect_correlation": 0.3,
            "group_sizes": "unequal",
            "noise_distribution": "t",
            "noise_autocorrelation": 0.5,
        },
        90,
        [0.7175683391619161, 0.9084352184659668, 2.3288993705835996],
        [-2.6973809099942656, 1.2195468685430346, -0.5439269586094511],
    ),
]


@pytest.mark.parametrize(("keys", "n_rows", "y", "x"), KNOWN)
def test_so_are_datasets_that_are_not_ideal(
    keys: dict[str, object], n_rows: int, y: list[float], x: list[float]
) -> None:
    data = draw(10, 9, 0.25, sim=7, **keys).data
    assert len(data.y) == n_rows
    np.testing.assert_allclose(data.y[[0, 20, -1]], y, rtol=1e-12)
    np.testing.assert_allclose(data.X[20, 1:], x, rtol=1e-12)


def test_rows_follow_the_model_exactly_without_noise() -> None:
    simulated = draw(10, 5, 2.0, noise_sd=0)
    data = simulated.data
    expected = (data.X * simulated.coefficients[data.groups]).sum(axis=1)
    np.testing.assert_allclose(data.y, expected, rtol=1e-13)
    assert data.terms == ("Intercept", "IV1", "IV2", "IV3")
    np.testing.assert_array_equal(data.groups, np.repeat(np.arange(10), 5))


def test_betas_are_uniform_and_drawn_afresh() -> None:
    betas = pooled([draw(5, 5, 1.0, sim=sim) for sim in range(1000)], "betas")
    assert betas.min() > 0
    assert betas.max() < 1
    z = (betas.mean(axis=0) - 0.5) / (np.sqrt(1 / 12) / np.sqrt(len(betas)))
    assert np.abs(z).max() < BOUND


def test_groups_scatter_around_the_betas_by_sigma_and_ratio() -> None:
    one = draw(20000, 1, 3.0, sigma_ratio=[1, 0, 2, 0.5])
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
    X = draw(n // 4, 4, 1.0, **keys).data.X[:, 1:]
    z = (X.mean(axis=0) - [1, 2, 3]) / (np.array([1, 10, 0.1]) / np.sqrt(n))
    assert np.abs(z).max() < BOUND
    assert np.abs(X.std(axis=0) / [1, 10, 0.1] - 1).max() < BOUND / np.sqrt(2 * n)
    assert np.abs(np.corrcoef(X.T) - correlation).max() < BOUND / np.sqrt(n)


def test_groups_do_not_share_predictors_or_noise() -> None:
    # pymer4's simulate_lmm did, when it was given a seed and correlations
    one = draw(2, 50, 1, predictor_correlation=0.5, sigma_ratio=[0] * 4)
    first, second = one.data.X[:50, 1], one.data.X[50:, 1]
    assert not np.isclose(first, second).any()


def test_noise_has_the_mean_and_sd_asked_for() -> None:
    one = draw(10000, 4, 1.0, noise_mean=2, noise_sd=3, sigma_ratio=[0, 0, 0, 0])
    noise = one.data.y - one.data.X @ one.betas
    assert abs(noise.mean() - 2) < BOUND * 3 / np.sqrt(40000)
    assert abs(noise.std() / 3 - 1) < BOUND / np.sqrt(80000)


@pytest.mark.parametrize("n_predictors", [1, 5])
def test_any_number_of_predictors(n_predictors: int) -> None:
    one = draw(8, 9, 1.0, n_predictors=n_predictors)
    assert one.data.X.shape == (72, n_predictors + 1)
    assert one.coefficients.shape == (8, n_predictors + 1)
