"""Impossible inputs, and data at the edge of the possible."""

from __future__ import annotations

import numpy as np
import pytest
from lmm_cases import CASES, Case
from lmm_support import case_products, stacked

from rmsweep.lmm import (
    EXACT_BY_GROUP,
    blups,
    cluster_robust_ols,
    crossproducts,
    fit,
    inference_at,
    optimise,
    two_stage,
)
from rmsweep.lmm.covariance import Model


@pytest.fixture
def block():
    return stacked(CASES["10x5x1"], range(3))


def test_rank_deficient_predictors_are_refused(block):
    y, X, groups = block
    X[1, :, 3] = X[1, :, 1] - 2 * X[1, :, 2]
    products = crossproducts(y, X, None, groups)
    with pytest.raises(ValueError, match=r"dataset 1: .*rank deficient"):
        fit(products)
    report = fit(products, on_error="report")
    assert "rank deficient" in report.messages[1]
    assert list(report.converged) == [True, False, True]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
@pytest.mark.parametrize("mean", [0.0, 1e6, 1e9])
def test_collinear_predictors_are_told_from_far_ones_in_any_unit(block, unit, mean):
    y, X, groups = block
    X[:, :, 1:] = unit * (X[:, :, 1:] + mean)
    X[1, :, 3] = X[1, :, 1] - 2 * X[1, :, 2]
    X[2, :, 2] = 0.1 * unit
    problems = crossproducts(y, X, None, groups).problems
    assert [("rank deficient" in problem) for problem in problems] == [False, True, True]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(block, value):
    y, X, groups = block
    X[2, 4, 1] = value
    with pytest.raises(ValueError, match=r"dataset 2: .*finite"):
        fit(crossproducts(y, X, None, groups))


@pytest.mark.parametrize("response", [0.0, 3.7])
def test_a_constant_response_is_refused(block, response):
    y, X, groups = block
    y[0] = response
    with pytest.raises(ValueError, match=r"dataset 0: .*constant"):
        fit(crossproducts(y, X, None, groups))


def test_no_more_observations_than_random_effects_are_refused():
    products = case_products(Case("square", (4,) * 10, (1.0,) * 4), range(2))
    with pytest.raises(ValueError, match=r"=40\) <= number of random effects \(=40"):
        fit(products)
    assert fit(products, covariance="diagonal").converged.all()
    assert fit(products.with_leading_random_effects(1)).converged.all()


def test_one_group_and_groups_of_one_row_are_refused(block):
    y, X, groups = block
    with pytest.raises(ValueError, match="at least 2 levels"):
        crossproducts(y, X, None, np.zeros_like(groups))
    alone = crossproducts(y, X, None, np.arange(len(groups)))
    with pytest.raises(ValueError, match=r"=50\) <= number of random effects \(=50"):
        fit(alone.with_leading_random_effects(1))
    assert np.isfinite(cluster_robust_ols(alone).se).all()


def test_shapes_are_checked(block):
    y, X, groups = block
    for bad in (
        (y[0], X, None, groups),
        (y, X[:2], None, groups),
        (y, X, X[:, :4], groups),
        (y, X, None, groups[:-1]),
        (y[:, :4], X[:, :4], None, groups[:4]),
    ):
        with pytest.raises(ValueError, match=r"shape|fixed effects"):
            crossproducts(*bad)


def test_options_are_checked(block):
    y, X, groups = block
    products = crossproducts(y, X, None, groups)
    with pytest.raises(ValueError, match="allowed are full, diagonal, scalar"):
        fit(products, covariance="banded")
    with pytest.raises(ValueError, match="allowed are raise, report"):
        fit(products, on_error="ignore")
    with pytest.raises(ValueError, match="theta of shape"):
        inference_at(products, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="there are 1 to 4"):
        products.with_leading_random_effects(5)


def test_a_response_that_groups_explain_exactly_has_no_fit(block):
    y, X, groups = block
    b = np.random.default_rng(0).normal(size=(10, 4))
    y[1] = (X[1] * b[groups]).sum(axis=1)
    report = fit(crossproducts(y, X, None, groups), on_error="report")
    assert list(report.converged) == [True, False, True]
    assert report.messages == ("", EXACT_BY_GROUP, "")
    assert list(np.isnan(report.estimate).all(axis=1)) == [False, True, False]
    with pytest.raises(ValueError, match="dataset 1: the response is an exact function"):
        fit(crossproducts(y, X, None, groups))


def test_a_response_of_group_means_alone_has_no_two_stage_fit(block):
    y, X, groups = block
    y[1] = X[1] @ [1.0, 2.0, -1.0, 0.3] + np.random.default_rng(0).normal(size=10)[groups]
    products = crossproducts(y, X, None, groups)
    assert two_stage(products).messages == (
        "",
        "a coefficient is the same in all groups, to within rounding",
        "",
    )
    assert np.isfinite(cluster_robust_ols(products).se).all()


def simulated(noise, n_datasets=60, n_groups=10, n_obs=5):
    """Random effects of unit SD and hardly any noise, or none."""
    rng = np.random.default_rng(21)
    groups = np.repeat(np.arange(n_groups), n_obs)
    X = np.ones((n_datasets, len(groups), 4))
    X[:, :, 1:] = rng.normal(size=(n_datasets, len(groups), 3))
    b = rng.normal(size=(n_datasets, n_groups, 4))
    y = (X * b[:, groups]).sum(axis=2) + noise * rng.normal(size=X.shape[:2])
    return crossproducts(y, X, None, groups)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_noise_that_is_rounding_leaves_no_fit(noise):
    report = fit(simulated(noise), on_error="report")
    assert set(report.messages) == {EXACT_BY_GROUP}
    assert np.isnan(report.criterion).all()


def test_random_effects_far_above_the_noise_are_found():
    noise = 3e-5
    products = simulated(noise)
    found = fit(products)
    model = Model(products.n_obs, reml=True, covariance="full")
    unit = np.ones_like(products.z_unit)
    truth = np.tile(np.eye(4) / noise, (len(unit), 1, 1))
    from_truth = optimise.search(optimise.OneFactor(products.blocks, model, unit), truth)
    assert found.converged.mean() > 0.9
    mine = optimise.minimise(products.blocks, model, unit)
    assert (mine.at.value < from_truth.at.value + 1e-4)[mine.converged].all()


def test_a_block_of_datasets_that_cannot_be_fitted_is_reported_like_each_alone(block):
    y, X, groups = block
    X[:, :, 3] = X[:, :, 1]
    products = crossproducts(y, X, None, groups)
    report = fit(products, on_error="report")
    assert not report.converged.any()
    assert all("rank deficient" in message for message in report.messages)
    assert np.isnan(report.estimate).all()
    at = inference_at(products, np.zeros((3, 10)), on_error="report")
    assert np.isnan(at.se).all()
    assert np.isnan(blups(products, report)).all()


def test_a_theta_that_is_not_finite_costs_the_others_nothing(block):
    y, X, groups = block
    products = crossproducts(y, X, None, groups)
    theta = fit(products).theta
    whole = inference_at(products, theta)
    theta[1] = np.nan
    at = inference_at(products, theta)
    assert np.isnan(at.df[1]).all()
    assert at.df[[0, 2]].tobytes() == whole.df[[0, 2]].tobytes()


def test_a_variance_of_exactly_zero_is_found_and_proven():
    """At G = 0 every Y-gradient is zero: only its Hessian tells an optimum from a saddle."""
    y, X, groups = stacked(CASES["zero-variance"], range(20))
    intercept = crossproducts(y, X, None, groups).with_leading_random_effects(1)
    found = fit(intercept)
    assert found.converged.all()
    zero = inference_at(intercept, np.zeros((20, 1)))
    at_zero = found.singular
    assert 3 < at_zero.sum() < 17
    assert found.criterion[at_zero] == pytest.approx(zero.criterion[at_zero], abs=1e-8)
    # d criterion / d G at zero, half the second derivative in θ, has the sign that KKT asks for.
    assert (zero.hessian[at_zero, 0, 0] > 0).all()
    assert (zero.hessian[~at_zero, 0, 0] < 0).all()
    assert (found.criterion[~at_zero] < zero.criterion[~at_zero]).all()
    assert list(found.singular_eigen) == list(found.singular)
