"""A dataset's result is the same bytes whatever block it is fitted in."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from lmm_cases import CASES
from lmm_support import case_products, covariance, stacked

from rmsweep.lmm import blups, cluster_robust_ols, crossproducts, fit, two_stage

N_DATASETS = 23


def same_bytes(whole, part, index) -> None:
    """All arrays of two results are the same bytes in the datasets `index` of the whole."""
    for field in fields(whole):
        one, other = getattr(whole, field.name), getattr(part, field.name)
        if isinstance(one, np.ndarray):
            assert one[index].tobytes() == other.tobytes(), field.name
        elif isinstance(one, tuple):
            assert [one[i] for i in index] == list(other), field.name
        else:
            assert one == other, field.name


@pytest.mark.parametrize(
    "name", ["10x5x0.25", "30x25x2", "100x5x0.1", "unbalanced", "few-groups", "diagonal", "ml"]
)
def test_block_size_changes_nothing(name):
    case = CASES[name]
    y, X, groups = stacked(case, range(N_DATASETS))
    X[::4, :, 1] += 2005.0  # these are centred
    model = {"reml": case.reml, "covariance": covariance(case)}

    def everything(index):
        products = crossproducts(y[index], X[index], None, groups)
        full = fit(products, **model)
        intercept = fit(products.with_leading_random_effects(1), **model)
        return full, intercept, cluster_robust_ols(products), blups(products, full), products

    whole = everything(np.arange(N_DATASETS))
    for size in (1, 3, 7):
        for first in range(0, N_DATASETS, size):
            index = np.arange(first, min(first + size, N_DATASETS))
            part = everything(index)
            for one, other in zip(whole[:3], part[:3], strict=True):
                same_bytes(one, other, index)
            assert whole[3][index].tobytes() == part[3].tobytes()
            if case.sizes[0] >= 4 and min(case.sizes) >= 4:
                one, other = two_stage(whole[4]), two_stage(part[4])
                assert one.estimate[index].tobytes() == other.estimate.tobytes()
                assert one.se[index].tobytes() == other.se.tobytes()


def test_more_datasets_than_are_worked_on_at_once():
    case = CASES["100x5x0.25"]
    n = 130
    whole = fit(case_products(case, range(n)))
    index = np.array([0, 59, 60, 61, 128, 129])
    same_bytes(whole, fit(case_products(case, index)), index)
    assert whole.converged.all()


def test_order_and_neighbours_change_nothing():
    case = CASES["10x5x1"]
    y, X, groups = stacked(case, range(N_DATASETS))
    whole = fit(crossproducts(y, X, None, groups))
    order = np.random.default_rng(1).permutation(N_DATASETS)
    y, X = y[order], X[order]
    y[3] = np.nan
    X[5, :, 2] = X[5, :, 1]
    part = fit(crossproducts(y, X, None, groups), on_error="report")
    assert "finite" in part.messages[3]
    assert "rank deficient" in part.messages[5]
    for field in ("criterion", "estimate", "se", "df", "theta", "gradient", "hessian"):
        one, other = getattr(whole, field)[order], getattr(part, field)
        good = np.delete(np.arange(N_DATASETS), [3, 5])
        assert one[good].tobytes() == other[good].tobytes(), field
        assert np.isnan(other[[3, 5]]).all(), field
