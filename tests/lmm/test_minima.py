"""Data with several minima, and the further searches that look for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lmm_cases import CASES, dataset
from lmm_support import case_products

from rmsweep.lmm import crossproducts, fit, optimise, start
from rmsweep.lmm.covariance import Model

# Where two values of the criterion are two minima: far above what a search leaves, far below
# what minima differ by.
APART = 1e-5
N_DATASETS = 300


def values_from_anywhere(products, n_starts: int):
    """Criteria of the minima that searches from random covariances end in, (starts, R)."""
    rng = np.random.default_rng(11)
    unit = np.ones_like(products.z_unit)
    model = Model(reml=True, covariance="full")
    values = []
    for _ in range(n_starts):
        roots = start.random_roots(*unit.shape, rng)
        found = optimise.search(optimise.OneFactor(products.blocks, model, unit), roots)
        values.append(np.where(found.converged, found.at.value, np.inf))
    return np.array(values)


@pytest.fixture(scope="module")
def small():
    """Cross-products of datasets of which many have several minima, and the lowest of each."""
    products = case_products(CASES["10x5x2"], range(N_DATASETS))
    values = values_from_anywhere(products, 20)
    lowest = values.min(axis=0)
    return products, lowest, (np.isfinite(values) & (values > lowest + APART)).any(axis=0)


def searched(products, balanced=True):
    model = Model(reml=True, covariance="full", balanced=balanced)
    return optimise.minimise(products.blocks, model, np.ones_like(products.z_unit)).at.value


def test_the_lowest_of_several_minima_is_found(small):
    products, lowest, several = small
    assert several.sum() >= 10
    assert (searched(products) < lowest + APART).all()


def test_one_search_would_not_be_enough(small, monkeypatch):
    products, lowest, _ = small
    monkeypatch.setattr(start, "FEW", 0)
    assert (searched(products) > lowest + APART).sum() >= 3


def test_searches_that_head_for_the_known_minimum_end_early(small, monkeypatch):
    """They cost evaluations without a result: with the shortcut, fewer."""
    products, *_ = small
    short = fit(products).n_evaluations
    monkeypatch.setattr(optimise, "HEADED", 0.0)
    assert 1.2 * short.mean() < fit(products).n_evaluations.mean()


def settling(sizes, n, monkeypatch):
    """Fits with searches that end where they settle, and with all followed to their ends."""
    products = case_products(replace(CASES["30x5x1"], sizes=sizes, sigma=(4.0,) * 4), range(n))
    ended = fit(products)
    monkeypatch.setattr(optimise, "SETTLED", 0.0)
    return ended, fit(products)


@pytest.mark.parametrize(("sizes", "n"), [((5,) * 10, 400), ((2,) * 30 + (150,), 99)])
def test_searches_that_settle_in_higher_minima_end_early(sizes, n, monkeypatch):
    ended, followed = settling(sizes, n, monkeypatch)
    assert ended.n_evaluations.sum() < followed.n_evaluations.sum()
    np.testing.assert_array_equal(ended.criterion, followed.criterion)


def searched_again(monkeypatch, with_start=None):
    """Record how many datasets random searches set out for, perhaps with one more start."""
    n_searched = []

    def random_starts(n_starts, model, n_datasets, q):
        n_searched.append(n_datasets)
        starts = start.random_starts(n_starts, model, n_datasets, q)
        if with_start is None:
            return starts
        return np.concatenate([starts, np.broadcast_to(with_start, (1, *starts.shape[1:]))])

    monkeypatch.setattr(optimise, "random_starts", random_starts)
    return n_searched


def test_searches_that_settle_tell_of_other_minima(monkeypatch):
    n_searched = searched_again(monkeypatch)
    settling((2,) * 30 + (150,), 99, monkeypatch)
    (_, ended), (_, followed) = n_searched[:2], n_searched[2:]
    assert ended == followed > 30


@pytest.mark.parametrize("size", [1e200, 0.0], ids=["no value", "saddle"])
def test_searches_that_end_in_no_minimum_tell_of_none(size, monkeypatch):
    products = case_products(CASES["unbalanced"], range(12))
    n_searched = searched_again(monkeypatch)
    fit(products)
    n_searched_still = searched_again(monkeypatch, with_start=size * np.eye(4))
    fit(products)
    assert n_searched_still == n_searched


def test_no_start_is_far_beyond_the_minimum_found(monkeypatch):
    """Coefficients of five rows can differ between groups by far more than in the minimum."""
    products = case_products(CASES["10x5x0.1"], range(N_DATASETS))
    unit, model = np.ones_like(products.z_unit), Model(reml=True, covariance="full")

    def largest(roots):
        return np.linalg.eigvalsh(roots)[..., -1]

    first = start.first_roots(products.blocks, model, unit)
    found = optimise.search(optimise.OneFactor(products.blocks, model, unit), first).root
    most = np.maximum(2.0 * largest(found), 1.0) * (1.0 + 1e-9)
    assert (largest(start.further_roots(products.blocks, model, unit, found)) < most).all()
    monkeypatch.setattr(start, "_MOST", np.inf)
    far = largest(start.further_roots(products.blocks, model, unit, found)) / most
    assert far.max() > 10.0


def test_a_saddle_is_left_at_once(monkeypatch):
    """The gradient is next to nothing there; steps along it are short, though they double."""
    products = case_products(CASES["10x25x1"], range(50))
    unit = np.ones_like(products.z_unit)
    problem = optimise.OneFactor(products.blocks, Model(reml=True, covariance="full"), unit)
    roots = np.tile(np.diag([1.0, 1.0, 1.0, 1e-6]), (50, 1, 1))
    pushed = optimise.search(problem, roots)
    assert pushed.converged.all()
    assert np.count_nonzero(np.linalg.eigvalsh(pushed.root)[:, 0] > 0.1) > 40
    monkeypatch.setattr(optimise, "_PUSH", 0.0)
    crept = optimise.search(problem, roots)
    assert pushed.n_evaluations.mean() < 0.95 * crept.n_evaluations.mean()


def test_large_groups_tell_where_to_set_out(monkeypatch):
    """The search ends in the same minima without that, but later."""
    products = case_products(CASES["30x25x1"], range(50))
    near = fit(products)
    monkeypatch.setattr(start, "LARGE", np.inf)
    far = fit(products)
    assert near.n_evaluations.mean() < 0.8 * far.n_evaluations.mean()
    assert np.abs(near.criterion - far.criterion).max() < 1e-9


def test_one_large_group_makes_minima_that_are_searched_for():
    case = replace(CASES["30x5x1"], sizes=(4,) * 30 + (100,))
    products = case_products(case, range(N_DATASETS))
    values = values_from_anywhere(products, 12)
    lowest = values.min(axis=0)
    assert (values > lowest + APART).any(axis=0).sum() > 20
    ours = searched(products, balanced=False)
    assert np.count_nonzero(ours > lowest + APART) <= 1
    assert np.count_nonzero(searched(products) > lowest + APART) > 3


@pytest.mark.parametrize("case", ["10x5x1", "10x25x1"])
@pytest.mark.parametrize("covariance", ["diagonal", "scalar"])
def test_starts_keep_to_the_covariances_structure(covariance, case):
    products = case_products(CASES[case], range(5))
    unit = np.full_like(products.z_unit, 0.5)
    model = Model(reml=True, covariance=covariance, balanced=False)
    found = np.tile(0.3 * np.eye(4), (5, 1, 1))
    roots = start.further_roots(products.blocks, model, unit, found)
    roots = np.concatenate([roots, start.first_roots(products.blocks, model, unit)[None]])
    off = roots - np.einsum("srii->sri", roots)[..., None] * np.eye(4)
    assert np.abs(off).max() < 1e-12
    assert (np.einsum("srii->sri", roots) > 0).all()
    if covariance == "scalar":
        assert np.ptp(np.einsum("srii->sri", roots), axis=-1).max() < 1e-12


def test_groups_too_small_for_their_own_coefficients_still_give_a_start():
    case = replace(CASES["10x5x1"], sizes=(2, 3, 5, 6, 9, 5, 5, 5))
    y, X, groups = dataset(case, 0)
    products = crossproducts(y[None], X[None], None, groups)
    unit = np.ones((1, 4))
    model = Model(reml=True, covariance="full", balanced=False)
    roots = start.further_roots(products.blocks, model, unit, np.eye(4)[None])
    assert np.isfinite(roots).all()
    assert fit(products).converged.all()


# lme4 1.1-31's REML criterion (nloptwrap, its default start) where the engine ended above it, by up
# to 2.0, when it searched neither from lme4's start nor from so many random ones
BELOW_TEN_STARTS = [
    ((3, 3, 4, 6, 10, 12), 268, 164.0786624813811),
    ((2,) * 30 + (150,), 158, 806.8711388490242),
    ((2,) * 30 + (150,), 376, 830.6854546095226),
]


@pytest.mark.parametrize(("sizes", "index", "by_lme4"), BELOW_TEN_STARTS)
def test_unbalanced_groups_are_not_above_lme4(sizes, index, by_lme4):
    case = replace(CASES["30x5x1"], sizes=sizes, sigma=(4.0,) * 4)
    assert fit(case_products(case, [index])).criterion[0] < by_lme4 + 1e-6


def test_more_searches_follow_only_where_minima_differ(monkeypatch):
    case = replace(CASES["30x5x1"], sizes=(2,) * 30 + (150,))
    products = case_products(case, range(40))
    found = fit(products)
    monkeypatch.setattr(optimise, "MORE_STARTS", 1)
    fewer = fit(products)
    more = found.n_evaluations > fewer.n_evaluations
    assert 3 < more.sum() < 37
    assert (found.n_evaluations >= fewer.n_evaluations).all()
