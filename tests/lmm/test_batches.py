"""A dataset's result is the same bytes whatever block it is fitted in."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from lmm_cases import CASES
from lmm_support import case_products, covariance, stacked

from rmsweep.lmm import blups, cluster_robust_ols, crossproducts, fit, joined, two_stage

N_DATASETS = 23


def same_bytes(whole, part, index) -> None:
    """All arrays of two results are the same bytes in the datasets `index` of the whole."""
    for field in fields(whole):
        one, other = getattr(whole, field.name), getattr(part, field.name)
        if isinstance(one, np.ndarray):
            assert one[index].tobytes() == other.tobytes(), field.name
        elif isinstance(one, tuple) and field.name != "terms":
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


@pytest.mark.parametrize("structure", ["full", "diagonal", "scalar"])
@pytest.mark.parametrize("q", [2, 3])
def test_few_centred_random_effects_alone_are_fitted_as_beside_others(q, structure):
    """Products of matrices as small as theirs round by how the factors lie in memory."""
    y, X, groups = stacked(replace(CASES["10x5x1"], sizes=(4, 4, 5, 6, 9, 13)), range(60))
    X = X[:, :, :q].copy()
    X[:, :, 1] += 2005.0

    def fitted(index):
        return fit(crossproducts(y[index], X[index], None, groups), covariance=structure)

    whole = fitted(np.arange(len(y)))
    for row in range(len(y)):
        same_bytes(whole, fitted([row]), [row])


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


@pytest.mark.parametrize("reml", [True, False])
def test_datasets_whose_rows_differ_are_fitted_as_each_alone(reml):
    """Rows that are missing are rows of zeros that don't count."""
    y, X, groups = stacked(CASES["10x5x1"], range(4))
    kept = np.random.default_rng(2).random(y.shape) < 0.9
    assert len({tuple(row) for row in kept}) == len(y)
    parts = [
        crossproducts(y[r : r + 1, rows], X[r : r + 1, rows], None, groups[rows])
        for r, rows in enumerate(kept)
    ]
    together = fit(joined(parts), reml=reml)
    for r, part in enumerate(parts):
        same_bytes(together, fit(part, reml=reml), [r])

    whole = crossproducts(y * kept, X * kept[..., None], None, groups)
    sizes = np.array([np.bincount(groups[rows]) for rows in kept])
    blocks = replace(whole.blocks, n_obs=sizes.sum(axis=1))
    of_zeros = fit(replace(whole, blocks=blocks, group_sizes=sizes), reml=reml)
    np.testing.assert_allclose(of_zeros.criterion, together.criterion, rtol=1e-10)
    for field in ("estimate", "se"):
        off = (getattr(of_zeros, field) - getattr(together, field)) / together.se
        np.testing.assert_allclose(off, 0.0, atol=1e-5, err_msg=field)


def test_what_would_make_a_fit_depend_on_its_neighbours_is_not_joined():
    y, X, groups = stacked(CASES["10x5x1"], range(1))
    whole = crossproducts(y, X, None, groups)
    one_less = crossproducts(y[:, 1:], X[:, 1:], None, groups[1:])
    fewer = crossproducts(y[:, groups > 0], X[:, groups > 0], None, groups[groups > 0])
    for other in (one_less, fewer, whole.with_leading_random_effects(1)):
        with pytest.raises(ValueError, match="as many groups and columns"):
            joined([whole, other])
