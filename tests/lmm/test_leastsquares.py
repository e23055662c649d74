"""`lm` and `lm2` from cross-products against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from lmm_cases import CASES, Case
from lmm_support import case_products, stacked
from statsmodels.regression.linear_model import OLS

from rmsweep.lmm import cluster_robust_ols, crossproducts, two_stage, within_ols

# statsmodels takes a pseudo-inverse of X; both are rounding away from the truth.
ROUNDING = 1e-10


@pytest.mark.parametrize(
    "name", ["10x5x1", "30x25x0.1", "100x5x4", "unbalanced", "huge-y", "huge-x"]
)
def test_cluster_robust_ols_equals_statsmodels(name):
    case = CASES[name]
    y, X, groups = stacked(case, range(3))
    mine = cluster_robust_ols(case_products(case, range(3)))
    n = len(groups)
    for r in range(3):
        theirs = OLS(y[r], X[r]).fit(cov_type="cluster", cov_kwds={"groups": groups})
        assert mine.estimate[r] == pytest.approx(theirs.params, rel=ROUNDING)
        # Their correction is (N−1)/(N−K), ours N/(N−K).
        assert mine.se[r] == pytest.approx(theirs.bse * np.sqrt(n / (n - 1)), rel=ROUNDING)
    assert mine.df == len(case.sizes) - 4


@pytest.mark.parametrize("name", ["10x5x1", "30x25x0.1", "five-groups", "huge-y", "huge-x"])
def test_two_stage_equals_statsmodels(name):
    case = CASES[name]
    y, X, groups = stacked(case, range(3))
    mine = two_stage(case_products(case, range(3)))
    for r in range(3):
        by_group = np.array(
            [OLS(y[r][groups == g], X[r][groups == g]).fit().params for g in np.unique(groups)]
        )
        assert mine.by_group[r] == pytest.approx(
            by_group, rel=1e-7, abs=1e-9 * np.abs(by_group).max()
        )
        assert mine.estimate[r] == pytest.approx(by_group.mean(axis=0), rel=1e-8)
        se = by_group.std(axis=0, ddof=1) / np.sqrt(len(by_group))
        assert mine.se[r] == pytest.approx(se, rel=1e-8)
    assert mine.df == len(case.sizes) - 1


def test_two_stage_fails_where_a_group_has_too_few_rows():
    mine = two_stage(case_products(Case("short", (3, 9, 9), (1.0,) * 4), range(2)))
    assert np.isnan(mine.estimate).all()
    assert "fewer observations than the 4 coefficients" in mine.messages[0]


def test_two_stage_fails_where_predictors_of_a_group_are_collinear():
    y, X, groups = stacked(CASES["10x25x1"], range(2))
    X[1, groups == 3, 2] = 5.0
    mine = two_stage(crossproducts(y, X, None, groups))
    assert np.isfinite(mine.estimate[0]).all()
    assert mine.messages[0] == ""
    assert np.isnan(mine.estimate[1]).all()
    assert "collinear" in mine.messages[1]


def test_within_ols_fails_where_a_predictor_is_constant_in_groups():
    y, X, groups = stacked(CASES["10x25x1"], range(2))
    X[1, :, 2] = groups
    mine = within_ols(crossproducts(y, X, None, groups), "CR2")
    assert np.isfinite(mine.se[0]).all()
    assert mine.messages[0] == ""
    assert np.isnan(mine.se[1]).all()
    assert "collinear, or zero" in mine.messages[1]


def test_two_stage_needs_all_random_effects():
    products = case_products(CASES["10x25x1"], [0]).with_leading_random_effects(1)
    with pytest.raises(ValueError, match="Z = X"):
        two_stage(products)
