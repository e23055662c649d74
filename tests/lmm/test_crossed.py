"""Models with several random-effects terms: closed forms, invariances, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_derivatives import complex_gradient, difference_hessian, log_determinant

from rmsweep.lmm import (
    EXACT_BY_TERMS,
    TOO_PRECISE,
    Term,
    crossed_inference_at,
    crossed_kenward_roger,
    crossedfit,
    crossings,
    crossproducts,
    fit,
    fit_crossed,
    kenward_roger,
    lme4_checks,
)
from rmsweep.lmm.covariance import direct_sum

# as for one factor (test_derivatives)
VALUE, GRADIENT, HESSIAN = 1e-10, 1e-9, 1e-6
# two forms of the same data: searches end within a decrement of 1e-11 of one optimum
CRITERION, RELATIVE = 1e-8, 1e-5


def subjects_and_items(n_subjects, n_items):
    """Subject and item of each row of a crossed design."""
    rows = np.arange(n_subjects * n_items)
    return rows // n_items, rows % n_items


def responses(rng, X, factors, n_datasets=1, sigma=1.0, spread=0.8):
    """Datasets whose coefficients differ between the levels of each factor."""
    y = sigma * rng.normal(size=(n_datasets, len(X)))
    for codes in factors:
        b = spread * rng.normal(size=(n_datasets, codes.max() + 1, X.shape[1]))
        y += (b[:, codes] * X).sum(axis=2)
    return y


def repeated(X, n_datasets):
    return np.broadcast_to(X, (n_datasets, *X.shape))


@pytest.fixture
def latin():
    """A Latin square of two lists: 12 subjects, 8 items, five datasets."""
    subjects, items = subjects_and_items(12, 8)
    x = np.where(subjects % 2 == items % 2, 0.5, -0.5)
    X = np.column_stack([np.ones(len(x)), x])
    y = responses(np.random.default_rng(3), X, [subjects, items], 5)
    return y, repeated(X, 5), subjects, items


def general(data):
    """The same data, nothing of which is pooled."""
    return replace(
        data, structures=((np.arange(data.n_datasets), (None,) * len(data.layout.levels)),)
    )


def dense_criterion(y, X, Zs, factors, roots, reml, sigma=None):
    """The criterion from V itself, for real or complex Λ; not profiled over a given σ."""
    n, p = X.shape
    V = np.eye(n)
    for Z, codes, root in zip(Zs, factors, roots, strict=True):
        V = V + np.where(codes[:, None] == codes, Z @ root @ root.T @ Z.T, 0)
    XV = np.linalg.solve(V, X).T
    C = np.linalg.inv(XV @ X)
    r = y - X @ (C @ (XV @ y))
    rho = r @ np.linalg.solve(V, r)
    nu = n - p if reml else n
    value = log_determinant(V) + (log_determinant(XV @ X) if reml else 0)
    if sigma is None:
        return value + nu * (1 + np.log(2 * np.pi * rho / nu)), None
    return value + nu * np.log(2 * np.pi * sigma**2) + rho / sigma**2, sigma**2 * C


def irregular(n_terms, nested=False):
    """Rows of up to three factors, none of them balanced, and columns of their random effects."""
    rng = np.random.default_rng(8)
    subjects, items = subjects_and_items(7, 6)
    kept = rng.uniform(size=len(subjects)) < 0.8
    subjects, items = subjects[kept], items[kept]
    words = rng.integers(0, 4, len(items))
    X = np.column_stack([np.ones(len(items)), rng.normal(size=(len(items), 2))])
    factors = [subjects, items, words][:n_terms]
    if nested:  # in schools, and days in subjects
        factors = [subjects, subjects // 3, subjects * 2 + items % 2][:n_terms]
    return X, [X[:, :2], X[:, [0, 2]], X[:, :1]][:n_terms], factors


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("covariances", "nested"),
    [
        (("full",), False),
        (("full", "full"), False),
        (("full", "full"), True),
        (("diagonal", "full", "full"), False),
        (("diagonal", "full", "full"), True),
        (("scalar", "diagonal"), False),
    ],
    ids=str,
)
def test_value_gradient_hessian_and_df(covariances, nested, reml):
    X, Zs, factors = irregular(len(covariances), nested)
    y = responses(np.random.default_rng(2), X, factors)
    if "scalar" not in covariances:
        X = X * [1.0, 300.0, 0.01] + [0.0, 5000.0, 0.0]
        Zs = [X[:, :2], X[:, [0, 2]], X[:, :1]][: len(factors)]
    terms = [
        Term(codes, Z[None], covariance)
        for codes, Z, covariance in zip(factors, Zs, covariances, strict=True)
    ]
    data = crossings(y, X[None], terms)
    ((_, blocks),) = data.portions(np.arange(1))
    assert blocks.layout.units == (3 if nested else 1)
    form = direct_sum(data.terms, symmetric=False)
    theta = np.random.default_rng(3).uniform(0.3, 1.2, len(form.basis))
    sizes = np.concatenate([np.abs(Z).max(axis=0) for Z in Zs])
    theta /= [sizes[np.nonzero(basis)[0][0]] for basis in form.basis]
    at = crossed_inference_at(data, theta[None], reml=reml)
    ends = np.cumsum([Z.shape[1] for Z in Zs])

    def unprofiled(t, sigma=None):
        root = np.tensordot(t, form.basis, 1)
        own = [slice(end - Z.shape[1], end) for Z, end in zip(Zs, ends, strict=True)]
        roots = [root[it, it] for it in own]
        return dense_criterion(y[0], X, Zs, factors, roots, reml, sigma)

    def function(t):
        return unprofiled(t)[0]

    assert at.criterion[0] == pytest.approx(function(theta), abs=1e-8)
    gradient = complex_gradient(function, theta)
    assert at.gradient[0] == pytest.approx(gradient, abs=1e-7 * np.abs(gradient).max())
    size = 1.0 / np.abs(theta)
    hessian = difference_hessian(function, theta) / np.outer(size, size)
    assert at.hessian[0] / np.outer(size, size) == pytest.approx(
        hessian, abs=HESSIAN * np.abs(hessian).max()
    )
    x = np.append(theta, at.sigma[0])
    hessian = difference_hessian(lambda t: unprofiled(t[:-1], t[-1])[0], x)
    size = 1.0 / np.abs(x)
    scaled = hessian / np.outer(size, size)
    assert at.hessian_theta_sigma[0] / np.outer(size, size) == pytest.approx(
        scaled, abs=HESSIAN * np.abs(scaled).max()
    )
    if np.linalg.eigvalsh(scaled)[0] > 1e-3:
        jacobian = np.array(
            [
                complex_gradient(lambda t, j=j: unprofiled(t[:-1], t[-1])[1][j, j], x)
                for j in range(X.shape[1])
            ]
        )
        spread = 2 * np.einsum("jk,kl,jl->j", jacobian, np.linalg.inv(hessian), jacobian)
        assert at.df[0] == pytest.approx(2 * at.se[0] ** 4 / spread, rel=1e-4)


def assert_same(one, other, factor=1.0):
    assert one.converged.all()
    assert other.converged.all()
    error = np.abs(other.estimate / factor - one.estimate) / one.se
    assert error.max() < RELATIVE
    assert other.se / factor == pytest.approx(one.se, rel=RELATIVE)
    assert other.df == pytest.approx(one.df, rel=20 * RELATIVE)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("covariance", ["full", "diagonal", "scalar"])
def test_one_term_is_the_one_factor_engine(covariance, reml):
    X, (Z, _), (codes, _) = irregular(2)
    codes = np.sort(codes)
    y = responses(np.random.default_rng(4), X, [codes], 6)
    options = {"reml": reml, "covariance": covariance}
    one = fit(crossproducts(y, repeated(X, 6), repeated(Z, 6), codes), **options)
    data = crossings(y, repeated(X, 6), [Term(codes, repeated(Z, 6), covariance)])
    other = fit_crossed(data, reml=reml)
    assert other.criterion == pytest.approx(one.criterion, abs=CRITERION)
    assert_same(one, other)
    assert other.singular.tolist() == one.singular.tolist()
    assert [it.codes for it in lme4_checks(other)] == [it.codes for it in lme4_checks(one)]
    if reml:
        products = crossproducts(y, repeated(X, 6), repeated(Z, 6), codes)
        kr, crossed_kr = kenward_roger(products, one), crossed_kenward_roger(data, other)
        assert crossed_kr.se == pytest.approx(kr.se, rel=RELATIVE)
        assert crossed_kr.df == pytest.approx(kr.df, rel=20 * RELATIVE)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_pooled_levels_change_nothing(latin, covariance, reml):
    y, X, subjects, items = latin
    data = crossings(y, X, [Term(subjects, X, covariance), Term(items, X, covariance)])
    ((_, labels),) = data.structures
    assert [label.max() + 1 for label in labels] == [2, 2]
    one, other = fit_crossed(data, reml=reml), fit_crossed(general(data), reml=reml)
    assert other.criterion == pytest.approx(one.criterion, abs=1e-9)
    assert_same(one, other)
    theta = np.abs(one.theta) + 0.1
    at, general_at = (crossed_inference_at(it, theta, reml=reml) for it in (data, general(data)))
    assert at.criterion == pytest.approx(general_at.criterion, abs=1e-10)
    assert at.gradient == pytest.approx(general_at.gradient, abs=1e-9)
    assert at.hessian_theta_sigma == pytest.approx(general_at.hessian_theta_sigma, abs=1e-8)
    if reml:
        kr, general_kr = (crossed_kenward_roger(it, at) for it in (data, general(data)))
        assert kr.se == pytest.approx(general_kr.se, rel=1e-10)
        assert kr.df == pytest.approx(general_kr.df, rel=1e-8)


def test_a_covariate_of_items_pools_subjects_alone():
    subjects, items = subjects_and_items(10, 7)
    rng = np.random.default_rng(6)
    X = np.ones((4, len(items), 2))
    X[:, :, 1] = rng.normal(size=(4, 7))[:, items]
    y = np.array([responses(rng, one, [subjects, items], spread=0.5)[0] for one in X])
    data = crossings(y, X, [Term(subjects, X), Term(items, X[:, :, :1])])
    ((index, labels),) = data.structures
    assert index.tolist() == [0, 1, 2, 3]
    assert labels[0].tolist() == [0] * 10
    assert labels[1] is None
    one, other = fit_crossed(data), fit_crossed(general(data))
    assert other.criterion == pytest.approx(one.criterion, abs=1e-9)
    assert_same(one, other)


def test_order_of_terms_rows_and_levels_does_not_matter(latin):
    y, X, subjects, items = latin
    rng = np.random.default_rng(9)
    kept = rng.permutation(len(subjects))[:80]
    y, X, subjects, items = y[:, kept], X[:, kept], subjects[kept], items[kept]
    one = fit_crossed(crossings(y, X, [Term(subjects, X), Term(items, X[:, :, :1])]))
    order = rng.permutation(80)
    y, X = y[:, order], X[:, order]
    subjects = rng.permutation(12)[subjects[order]]
    items = rng.permutation(8)[items[order]]
    other = fit_crossed(crossings(y, X, [Term(items, X[:, :, :1]), Term(subjects, X)]))
    assert other.criterion == pytest.approx(one.criterion, abs=CRITERION)
    assert_same(one, other)
    assert other.theta[:, [1, 2, 3, 0]] == pytest.approx(one.theta, abs=1e-4)


def test_missing_rows_are_as_dropped_ones(latin):
    y, X, subjects, items = latin
    X = X * [1.0, 2.0] + [0.0, 9.0]  # far from zero, so that it is centred
    present = np.random.default_rng(1).uniform(size=y.shape) < 0.85
    y, X = np.where(present, y, np.nan), np.where(present[:, :, None], X, np.nan)
    terms = [Term(subjects, X), Term(items, X, "diagonal")]
    together = fit_crossed(crossings(y, X, terms, present))
    kr = crossed_kenward_roger(crossings(y, X, terms, present), together)
    for row, own in enumerate(present):
        terms = [
            Term(subjects[own], X[row : row + 1, own]),
            Term(items[own], X[row : row + 1, own], "diagonal"),
        ]
        data = crossings(y[row : row + 1, own], X[row : row + 1, own], terms)
        alone = fit_crossed(data)
        assert alone.criterion[0] == pytest.approx(together.criterion[row], abs=CRITERION)
        assert together.se[row] == pytest.approx(alone.se[0], rel=RELATIVE)
        assert together.df[row] == pytest.approx(alone.df[0], rel=20 * RELATIVE)
        assert kr.df[row] == pytest.approx(
            crossed_kenward_roger(data, alone).df[0], rel=20 * RELATIVE
        )


@pytest.mark.parametrize("kind", ["latin", "missing", "own predictors"])
def test_bytes_do_not_depend_on_what_is_fitted_beside(latin, kind):
    y, X, subjects, items = latin
    rng = np.random.default_rng(2)
    if kind == "own predictors":
        X = np.concatenate([X[:, :, :1], rng.normal(size=(*y.shape, 1))], axis=2)
    present = rng.uniform(size=y.shape) < 0.9 if kind == "missing" else None

    def results(rows):
        own = None if present is None else present[rows]
        data = crossings(y[rows], X[rows], [Term(subjects, X[rows]), Term(items, X[rows])], own)
        found = fit_crossed(data)
        kr = crossed_kenward_roger(data, found)
        return [found.theta, found.criterion, found.estimate, found.se, found.df, kr.se, kr.df]

    whole = results(slice(None))
    for row in range(len(y)):
        alone = results(slice(row, row + 1))
        assert [it[0].tobytes() for it in alone] == [it[row].tobytes() for it in whole]


def in_schools(kind):
    """Twelve classes in four schools: y, X, classes and schools."""
    rng = np.random.default_rng(7)
    classes = np.repeat(np.arange(12), 8)
    X = np.stack([np.ones((5, 96)), rng.normal(size=(5, 96))], axis=2)
    if kind == "balanced":
        X[:, :, 1] = np.where(np.arange(96) % 2, 0.5, -0.5)
    if kind == "missing":
        kept = rng.uniform(size=96) < 0.8
        classes, X = classes[kept], X[:, kept]
    schools = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3])[classes]
    y = np.concatenate([responses(rng, x, [classes, schools]) for x in X])
    return y, X, classes, schools


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kind", ["balanced", "missing"])
def test_units_one_by_one_change_nothing(kind, reml, monkeypatch):
    y, X, classes, schools = in_schools(kind)

    def fits():
        data = crossings(y, X, [Term(schools, X[:, :, :1]), Term(classes, X)])
        ((_, blocks),) = data.portions(np.arange(5))
        fitted = fit_crossed(data, reml=reml)
        kr = crossed_kenward_roger(data, fitted) if reml else None
        return blocks.layout.units, fitted, kr

    n_units, one, kr = fits()
    monkeypatch.setattr(import_module("rmsweep.lmm.crossings"), "by_units", lambda rows: (rows, 1))
    n_parts, other, other_kr = fits()
    assert (n_units, n_parts) == (4, 1)
    assert_same(one, other)
    if kr is not None:
        np.testing.assert_allclose(kr.se, other_kr.se, rtol=RELATIVE)
        np.testing.assert_allclose(kr.df, other_kr.df, rtol=20 * RELATIVE)


@pytest.mark.parametrize("kind", ["balanced", "missing"])
def test_bytes_of_units_do_not_depend_on_what_is_fitted_beside(kind):
    y, X, classes, schools = in_schools(kind)

    def results(rows):
        data = crossings(y[rows], X[rows], [Term(classes, X[rows]), Term(schools, X[rows])])
        found = fit_crossed(data)
        kr = crossed_kenward_roger(data, found)
        return [found.theta, found.criterion, found.estimate, found.se, found.df, kr.se, kr.df]

    whole = results(slice(None))
    for row in range(len(y)):
        alone = results(slice(row, row + 1))
        assert [it[0].tobytes() for it in alone] == [it[row].tobytes() for it in whole]


def test_units_of_very_different_sizes_are_fitted_as_a_whole():
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(20), 5)
    schools = np.maximum(classes - 10, 0)  # one of eleven classes, nine of one
    X = np.ones((1, 100, 1))
    data = crossings(rng.normal(size=(1, 100)), X, [Term(classes, X), Term(schools, X)])
    ((_, blocks),) = data.portions(np.arange(1))
    assert blocks.layout.units == 1


def test_complete_balanced_data_have_the_mean_squares_of_an_anova():
    subjects, items = subjects_and_items(9, 6)
    y = responses(np.random.default_rng(5), np.ones((54, 1)), [subjects, items], 8)
    X = np.ones((8, 54, 1))
    data = crossings(y, X, [Term(subjects, X), Term(items, X)])
    found = fit_crossed(data)
    table = y.reshape(8, 9, 6)
    centred = table - table.mean(axis=(1, 2), keepdims=True)
    of_subjects, of_items = centred.mean(axis=2), centred.mean(axis=1)
    within = centred - of_subjects[:, :, None] - of_items[:, None, :]
    error = np.square(within).sum(axis=(1, 2)) / 40
    between = [6 * np.square(of_subjects).sum(axis=1) / 8, 9 * np.square(of_items).sum(axis=1) / 5]
    variances = (between[0] - error) / 6, (between[1] - error) / 9
    positive = (np.array(variances) > 0).all(axis=0)
    assert positive.sum() >= 5
    assert found.sigma[positive] ** 2 == pytest.approx(error[positive], rel=1e-7)
    for place, variance in enumerate(variances):
        own = (found.theta[:, place] * found.sigma) ** 2
        assert own[positive] == pytest.approx(variance[positive], rel=1e-5)


def test_kenward_roger_is_satterthwaite_where_data_are_complete(latin):
    y, X, subjects, items = latin
    data = crossings(y, X, [Term(subjects, X[:, :, :1]), Term(items, X[:, :, :1])])
    found = fit_crossed(data)
    kr = crossed_kenward_roger(data, found)
    regular = ~found.singular
    assert regular.sum() >= 4
    assert kr.se[regular] == pytest.approx(found.se[regular], rel=1e-7)
    assert kr.df[regular] == pytest.approx(found.df[regular], rel=1e-5)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(5, 14), st.integers(4, 9)),
    st.sampled_from([1e-3, 1.0, 70.0]),
    st.floats(-100, 100),
)
def test_the_response_may_be_scaled_and_moved(seed, sizes, scale, shift):
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(sizes[0] * sizes[1])[: round(0.8 * sizes[0] * sizes[1])])
    factors = [np.unique(it[kept], return_inverse=True)[1] for it in subjects_and_items(*sizes)]
    X = np.column_stack([np.ones(len(kept)), rng.normal(size=len(kept))])
    y = responses(rng, X, factors, 2)
    terms = [Term(factors[0], repeated(X, 2)), Term(factors[1], repeated(X[:, :1], 2))]
    one = fit_crossed(crossings(y, repeated(X, 2), terms))
    other = fit_crossed(crossings(scale * (y + shift * X[:, 1]), repeated(X, 2), terms))
    units = 2 * (len(kept) - 2) * np.log(scale)
    assert other.criterion - units == pytest.approx(one.criterion, abs=1e-6)
    error = np.abs(other.estimate / scale - [0.0, shift] - one.estimate) / one.se
    assert error.max() < RELATIVE
    assert other.se / scale == pytest.approx(one.se, rel=RELATIVE)
    assert other.df == pytest.approx(one.df, rel=20 * RELATIVE)


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_units_and_added_predictors(latin, scale):
    y, X, subjects, items = latin
    y, X, subjects, items = y[:, 5:], X[:, 5:], subjects[5:], items[5:]
    one = fit_crossed(crossings(y, X, [Term(subjects, X), Term(items, X)]))
    moved, scaled = y + 3.0 * X[:, :, 1] - 2.0, X * [1.0, scale]
    other = fit_crossed(
        crossings(scale * moved, scaled, [Term(subjects, scaled), Term(items, scaled)])
    )
    own = other.estimate / scale * [1.0, scale] - [-2.0, 3.0]
    assert (np.abs(own - one.estimate) / one.se).max() < RELATIVE
    assert other.se / scale * [1.0, scale] == pytest.approx(one.se, rel=RELATIVE)
    assert other.df == pytest.approx(one.df, rel=20 * RELATIVE)


def exact_criterion(y, X, factors, root):
    """The REML criterion of one root for all factors, from V, in extended precision."""
    y, X, root = (it.astype(np.longdouble) for it in (y, X, root))
    n, p = X.shape
    same = [codes[:, None] == codes for codes in factors]
    V = np.eye(n, dtype=np.longdouble) + sum(
        np.where(it, X @ own @ own.T @ X.T, 0) for it, own in zip(same, root, strict=True)
    )
    A = np.column_stack([V, X, y])
    log_determinant = np.longdouble(0)
    for j in range(n):  # Gaussian elimination leaves X'V⁻¹X and all else below
        log_determinant += np.log(A[j, j])
        A[j + 1 :] -= np.outer(A[j + 1 :, j] / A[j, j], A[j])
    half = A[:, n:] / np.sqrt(np.diag(A[:, :n]))[:, None]
    B = half.T @ half
    for j in range(p):
        log_determinant += np.log(B[j, j])
        B[j + 1 :] -= np.outer(B[j + 1 :, j] / B[j, j], B[j])
    return log_determinant + (n - p) * (1 + np.log(2 * np.pi * B[p, p] / (n - p)))


@pytest.mark.parametrize(("ratio", "digits"), [(1.0, 1e-11), (100.0, 1e-9), (1000.0, 2e-7)])
@pytest.mark.parametrize("pooled", [True, False])
def test_small_residuals_cost_few_digits(latin, ratio, digits, pooled):
    _, X, subjects, items = latin
    y = responses(np.random.default_rng(7), X[0], [subjects, items], 20, 1.0 / ratio)
    X = repeated(X[0], 20)
    data = crossings(y, X, [Term(subjects, X), Term(items, X)])
    found = fit_crossed(data if pooled else general(data))
    assert found.converged.all()
    root = np.zeros((2, 2, 2))
    for row in range(4):
        root[:, [0, 1, 1], [0, 0, 1]] = found.theta[row].reshape(2, 3)
        exact = exact_criterion(y[row], X[row], [subjects, items], root)
        assert found.criterion[row] == pytest.approx(float(exact), abs=digits)


@pytest.mark.parametrize(("sigma", "message"), [(1e-5, TOO_PRECISE), (0.0, EXACT_BY_TERMS)])
def test_residuals_too_small_to_tell_are_refused(latin, sigma, message):
    _, X, subjects, items = latin
    y = responses(np.random.default_rng(7), X[0], [subjects, items], 5, sigma)
    for data in (
        crossings(y, X, [Term(subjects, X), Term(items, X)]),
        general(crossings(y, X, [Term(subjects, X), Term(items, X)])),
    ):
        found = fit_crossed(data, on_error="report")
        assert set(found.messages) == {message}
        assert np.isnan(found.criterion).all()


def test_few_levels_are_searched_for_other_minima(monkeypatch):
    subjects, items = subjects_and_items(8, 6)
    x = np.where((subjects + items) % 2 == 0, 0.5, -0.5)
    X = np.column_stack([np.ones(48), x])
    y = responses(np.random.default_rng(0), X, [subjects, items], 400, 1.0, 0.5)[[268, 336, 371]]
    X = repeated(X, 3)
    data = crossings(y, X, [Term(subjects, X), Term(items, X)])
    lowest = fit_crossed(data)
    assert lowest.converged.all()
    monkeypatch.setattr(crossedfit, "_FEW_LEVELS", 0)
    assert (fit_crossed(data).criterion > lowest.criterion + 1e-5).all()


@pytest.mark.parametrize(("n_sites", "n_starts"), [(11, 25), (20, 25), (10, 25), (8, 0)])
def test_hardly_more_groups_than_sites_are_searched_from_random_starts(n_sites, n_starts):
    groups = np.repeat(np.arange({11: 12, 20: 24, 10: 24, 8: 24}[n_sites]), 6)
    sites = groups % n_sites
    X = np.ones((1, len(groups), 2))
    X[:, :, 1] = np.tile([-0.5, 0.5], len(groups) // 2)
    y = responses(np.random.default_rng(0), X[0], [groups, sites], 1)
    for terms in ([Term(groups, X), Term(sites, X)], [Term(sites, X), Term(groups, X)]):
        assert len(crossedfit._further_roots(crossings(y, X, terms))) == n_starts
    # not nested: the levels of both count alone
    crossing = np.tile(np.arange(12), len(groups) // 12)
    both = [Term(groups, X), Term(crossing, X)]
    assert len(crossedfit._further_roots(crossings(y, X, both))) == 0


def test_one_group_in_most_sites_hides_no_lower_minimum(monkeypatch):
    """Slopes of sites on a predictor of groups, whose own slopes are on another."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), 6)
    sites = groups % 11
    X = np.ones((100, 72, 3))
    X[:, :, 1] = rng.normal(size=(100, 72))
    X[:, :, 2] = rng.normal(size=(100, 12))[:, groups]
    y = np.concatenate([responses(rng, x, [groups, sites]) for x in X])
    data = crossings(y, X, [Term(groups, X[:, :, :2]), Term(sites, X)])
    lowest = fit_crossed(data, on_error="report").criterion
    monkeypatch.setattr(crossedfit, "RANDOM_STARTS", 0)
    one = fit_crossed(data, on_error="report").criterion
    assert np.nanmax(one - lowest) > 0.1
    assert np.nanmin(one - lowest) > -1e-6


def test_what_the_data_cannot_tell_apart_is_refused():
    subjects, items = subjects_and_items(12, 8)
    between = np.where(items < 4, 0.5, -0.5)
    X = np.column_stack([np.ones(96), between])
    y = responses(np.random.default_rng(1), X, [subjects, items], 2)
    X = repeated(X, 2)
    good = fit_crossed(crossings(y, X, [Term(subjects, X), Term(items, X[:, :, :1])]))
    assert good.converged.all()
    flat = [
        [Term(subjects, X), Term(items, X)],
        [Term(subjects, X[:, :, :1]), Term(11 - subjects, X[:, :, :1])],
    ]
    for terms in flat:
        found = fit_crossed(crossings(y, X, terms), on_error="report")
        assert all("can't tell" in text for text in found.messages)
        found = fit_crossed(general(crossings(y, X, terms)), on_error="report")
        assert all("can't tell" in text for text in found.messages)


def test_errors(latin):
    y, X, subjects, items = latin
    term = Term(subjects, X)
    with pytest.raises(ValueError, match="at least 2 levels"):
        crossings(y, X, [term, Term(0 * items, X)])
    with pytest.raises(ValueError, match=r"0 \.\.\. L - 1"):
        crossings(y, X, [term, Term(items + 1, X)])
    with pytest.raises(ValueError, match="doesn't match"):
        crossings(y, X[:, 1:], [term])
    with pytest.raises(ValueError, match="no random-effects terms"):
        crossings(y, X, [])
    with pytest.raises(ValueError, match="covariance='none'"):
        crossings(y, X, [Term(subjects, X, "none")])
    data = crossings(y, X, [term, Term(np.arange(96), X[:, :, :1])])
    with pytest.raises(ValueError, match="number of observations"):
        fit_crossed(data)
    assert "unidentifiable" in fit_crossed(data, on_error="report").messages[0]
    data = crossings(y, X, [term])
    with pytest.raises(ValueError, match="theta of shape"):
        crossed_inference_at(data, np.ones((5, 2)))
    with pytest.raises(ValueError, match="REML"):
        crossed_kenward_roger(data, fit_crossed(data, reml=False))
    broken = y.copy()
    broken[1, 0], broken[2], broken[3] = np.nan, 3.0, 2 * X[3, :, 1] - 1
    found = fit_crossed(crossings(broken, X, [term, Term(items, X)]), on_error="report")
    assert found.messages[0] == found.messages[4] == ""
    assert "aren't finite" in found.messages[1]
    assert all("constant or an exact function" in found.messages[row] for row in (2, 3))
    twice = np.concatenate([X, X[:, :, 1:]], axis=2)
    assert "rank deficient" in crossings(y, twice, [term]).problems[0]
