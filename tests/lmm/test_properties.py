"""What must hold for any data: invariances and limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rmsweep.lmm import cluster_robust_ols, crossproducts, fit, inference_at, two_stage

# Two optima of the same data in another form: the optimiser stops at a Newton decrement of 1e-11,
# so each is within a 3e-6th of θ's standard error; criteria agree to rounding.
CRITERION = 1e-7
RELATIVE = 1e-5

N_COEFS = 3


@st.composite
def datasets(draw, balanced=False):
    """y, X and groups of a random design, from a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_groups = draw(st.integers(6, 15))
    if balanced:
        sizes = [draw(st.integers(5, 12))] * n_groups
    else:
        sizes = draw(st.lists(st.integers(2, 12), min_size=n_groups, max_size=n_groups))
        sizes[0] += 4 * n_groups
    sigma = draw(st.sampled_from([0.3, 1.0, 3.0]))
    groups = np.repeat(np.arange(n_groups), sizes)
    X = np.ones((len(groups), N_COEFS))
    X[:, 1:] = rng.normal(size=(len(groups), N_COEFS - 1))
    b = rng.normal(size=N_COEFS) + sigma * rng.normal(size=(n_groups, N_COEFS))
    return (X * b[groups]).sum(axis=1) + rng.normal(size=len(groups)), X, groups


def fitted(y, X, groups, **options):
    return fit(crossproducts(y[None], X[None], None, groups), **options)


def assert_same(one, other, factor=1.0):
    assert one.converged.all()
    assert other.converged.all()
    assert other.estimate / factor == pytest.approx(one.estimate, abs=RELATIVE * one.se.max())
    assert other.se / factor == pytest.approx(one.se, rel=RELATIVE)
    assert other.df == pytest.approx(one.df, rel=20 * RELATIVE)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.integers(0, 1000))
def test_order_of_rows_and_names_of_groups_do_not_matter(data, seed):
    y, X, groups = data
    one = fitted(y, X, groups)
    order = np.random.default_rng(seed).permutation(len(y))
    names = np.array([f"{seed * g % 17}/{g}" for g in range(groups.max() + 1)])
    other = fitted(y[order], X[order], names[groups[order]])
    assert other.criterion == pytest.approx(one.criterion, abs=CRITERION)
    assert_same(one, other)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.floats(-100, 100))
def test_adding_a_combination_of_the_predictors_moves_only_the_estimates(data, shift):
    y, X, groups = data
    one = fitted(y, X, groups)
    other = fitted(y + shift * (X[:, 0] - 2 * X[:, 2]), X, groups)
    assert other.criterion == pytest.approx(one.criterion, abs=1e-6)
    assert other.estimate - shift * np.array([1, 0, -2]) == pytest.approx(
        one.estimate, abs=RELATIVE * one.se.max()
    )
    assert other.se == pytest.approx(one.se, rel=RELATIVE)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.sampled_from([1e-9, 1e-3, 7.0, 1e8]))
def test_scaling_the_response_scales_all(data, scale):
    y, X, groups = data
    one, other = fitted(y, X, groups), fitted(y * scale, X, groups)
    assert other.sigma == pytest.approx(one.sigma * scale, rel=RELATIVE)
    assert_same(one, other, scale)
    shift = 2 * (len(y) - N_COEFS) * np.log(scale)
    assert other.criterion == pytest.approx(one.criterion + shift, abs=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.sampled_from([1e-6, 0.3, 1e5]), st.sampled_from(["full", "diagonal"]))
def test_scaling_a_predictor_scales_its_estimate(data, scale, covariance):
    y, X, groups = data
    scales = np.array([1.0, scale, 1.0])
    one = fitted(y, X, groups, covariance=covariance)
    other = fitted(y, X * scales, groups, covariance=covariance)
    assert other.criterion == pytest.approx(one.criterion + 2 * np.log(scale), abs=1e-6)
    assert other.estimate * scales == pytest.approx(one.estimate, abs=RELATIVE * one.se.max())
    assert other.se * scales == pytest.approx(one.se, rel=RELATIVE)
    assert other.df == pytest.approx(one.df, rel=20 * RELATIVE)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.sampled_from([1e-6, 0.3, 1e5]), st.sampled_from([1e-8, 7.0, 1e6]))
def test_df_beside_an_optimum_depend_on_no_units_if_the_hessian_is_positive(data, of_x, of_y):
    y, X, groups = data
    products = crossproducts(y[None], X[None], None, groups)
    theta = 1.001 * fit(products).theta
    at = inference_at(products, theta)
    assume((np.linalg.eigvalsh(at.hessian_theta_sigma) > 1e-3).all())
    scales = np.array([1.0, of_x, 1.0])
    _, rows = np.triu_indices(N_COEFS)
    other = inference_at(
        crossproducts(of_y * y[None], scales * X[None], None, groups), theta / scales[rows]
    )
    assert other.df == pytest.approx(at.df, rel=1e-7)


# A mean in standard deviations: years, dollars, seconds since 1970, and beyond.
MEANS = [-3.0, 225.0, 3e3, 1e4, 1e6, -1e8]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(), st.sampled_from(MEANS), st.booleans())
def test_the_mean_of_a_predictor_moves_only_the_intercept(data, mean, reml):
    y, X, groups = data
    # so few digits that adding the mean loses none
    X[:, 1:] = np.round(X[:, 1:] * 2**20) / 2**20
    one = fitted(y, X, groups, reml=reml)
    other = fitted(y, X + np.array([0.0, mean, -mean / 4]), groups, reml=reml)
    assert other.converged.all()
    assert other.criterion == pytest.approx(one.criterion, abs=CRITERION)
    slopes = slice(1, None)
    error = (other.estimate - one.estimate)[:, slopes] / one.se[:, slopes]
    assert np.abs(error).max() < RELATIVE
    assert other.se[:, slopes] == pytest.approx(one.se[:, slopes], rel=RELATIVE)
    assert other.df[:, slopes] == pytest.approx(one.df[:, slopes], rel=20 * RELATIVE)


@pytest.mark.parametrize("mean", MEANS)
def test_cluster_robust_and_two_stage_fits_at_any_mean_of_a_predictor(mean):
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(8), 9)
    X = np.ones((1, len(groups), N_COEFS))
    X[:, :, 1:] = np.round(rng.normal(size=(1, len(groups), 2)) * 2**20) / 2**20
    y = rng.normal(size=(1, len(groups)))
    one = crossproducts(y, X, None, groups)
    other = crossproducts(y, X + np.array([0.0, mean, -mean / 4]), None, groups)
    for strategy in (cluster_robust_ols, two_stage):
        expected, found = strategy(one), strategy(other)
        for name in ("estimate", "se"):
            slopes = getattr(expected, name)[:, 1:]
            assert getattr(found, name)[:, 1:] == pytest.approx(slopes, rel=1e-10)
        shift = expected.estimate @ [1.0, -mean, mean / 4]
        assert found.estimate[:, 0] == pytest.approx(shift, rel=1e-10)


@pytest.mark.parametrize("covariance", ["diagonal", "scalar"])
def test_uncorrelated_random_effects_are_those_of_the_predictors_as_given(covariance):
    """Their model changes with the mean: where it is moderate, the criterion says by how much."""
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), 9)
    X = np.ones((len(groups), N_COEFS))
    X[:, 1:] = rng.normal([20.0, -8.0], size=(len(groups), 2))
    y = (X * rng.normal(size=(12, N_COEFS))[groups]).sum(axis=1) + rng.normal(size=len(groups))
    found = fitted(y, X, groups, covariance=covariance)
    assert found.converged.all()
    root = np.diag(np.broadcast_to(found.theta[0], N_COEFS))
    Z = np.where(groups[:, None, None] == np.arange(12)[:, None], X[:, None], 0.0)
    Z = Z.reshape(len(y), -1) @ np.kron(np.eye(12), root)
    V = np.eye(len(y)) + Z @ Z.T
    XVX, XVy = X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y)
    r = y - X @ np.linalg.solve(XVX, XVy)
    rho, nu = r @ np.linalg.solve(V, r), len(y) - N_COEFS
    log_determinants = np.linalg.slogdet(V)[1] + np.linalg.slogdet(XVX)[1]
    criterion = log_determinants + nu * (1 + np.log(2 * np.pi * rho / nu))
    assert found.criterion[0] == pytest.approx(criterion, abs=1e-6)
    assert found.estimate[0] == pytest.approx(np.linalg.solve(XVX, XVy), rel=1e-7)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets())
def test_without_random_effects_it_is_ols(data):
    y, X, groups = data
    products = crossproducts(y[None], X[None], None, groups)
    at = inference_at(products, np.zeros((1, 6)))
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    sigma = np.sqrt(rss[0] / (len(y) - N_COEFS))
    assert at.estimate[0] == pytest.approx(beta, rel=1e-9, abs=1e-9)
    assert at.estimate == pytest.approx(cluster_robust_ols(products).estimate, rel=1e-12)
    se = sigma * np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    assert at.se[0] == pytest.approx(se, rel=1e-9)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(datasets(balanced=True))
def test_with_huge_random_effects_it_is_the_two_stage_fit(data):
    y, X, groups = data
    products = crossproducts(y[None], X[None], None, groups)
    # Group coefficients are averaged with weights that are equal up to 1/τ².
    theta = np.zeros((1, 6))
    theta[0, [0, 3, 5]] = 1e6
    at = inference_at(products, theta)
    assert at.estimate == pytest.approx(two_stage(products).estimate, rel=1e-6, abs=1e-6)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(datasets(), st.sampled_from(["full", "diagonal", "scalar"]), st.booleans())
def test_no_other_covariance_is_better(data, covariance, reml):
    y, X, groups = data
    products = crossproducts(y[None], X[None], None, groups)
    best = fit(products, covariance=covariance, reml=reml)
    assert best.converged.all()
    rng = np.random.default_rng(len(y))
    for size in (1e-3, 0.1, 2.0):
        theta = best.theta + size * rng.normal(size=best.theta.shape)
        other = inference_at(products, theta, covariance=covariance, reml=reml)
        assert other.criterion >= best.criterion - CRITERION


@pytest.mark.parametrize("covariance", ["full", "diagonal", "scalar"])
@pytest.mark.parametrize("reml", [True, False])
def test_a_fit_reports_what_its_theta_implies(covariance, reml):
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(12), 9)
    X = np.ones((4, len(groups), N_COEFS))
    X[:, :, 1:] = rng.normal(size=(4, len(groups), 2)) * [3.0, 200.0]
    b = rng.normal(size=(4, 12, N_COEFS))
    y = (X * b[:, groups]).sum(axis=2) + rng.normal(size=X.shape[:2])
    products = crossproducts(y, X, None, groups)
    found = fit(products, covariance=covariance, reml=reml)
    at = inference_at(products, found.theta, covariance=covariance, reml=reml)
    for name in ("criterion", "estimate", "se", "df", "hessian", "hessian_theta_sigma"):
        assert getattr(found, name) == pytest.approx(getattr(at, name), rel=1e-6), name
    # at the optimum the gradient is rounding, in the units of θ's standard errors
    gradient = np.abs(found.gradient) / np.sqrt(np.abs(np.einsum("rii->ri", found.hessian)))
    assert gradient.max() < 1e-4
