"""Cluster-robust variances against clubSandwich, and against their definitions on all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from known_data import known
from rmsweep import lmm
from rmsweep.data.dataset import Batch
from rmsweep.lmm.sandwich import Kind, Robust

# the reference values have ten figures
RTOL = 1e-9
# a search ends up to 1e-6 standard errors from the optimum
OPTIMUM = 1e-8
# closed forms by another way round
ROUNDING = 1e-8

# clubSandwich 0.5.8 with R 4.2.2: standard errors, Satterthwaite's degrees of freedom
OLS = {
    ("sleepstudy", "CR2"): ([6.8245565321, 1.5457888963], [17, 17]),
    ("sleepstudy", "CR3"): ([7.0224107368, 1.5906036519], [17, 17]),
    ("Ovary", "CR2"): (
        [1.0004352034, 0.69457669146, 0.40149175737],
        [9.954892771, 9.977605019, 9.938164415],
    ),
    ("Ovary", "CR3"): (
        [1.0500009312, 0.72943084859, 0.4208392323],
        [9.946459459, 9.973365295, 9.926724078],
    ),
    ("ChickWeight", "CR2"): ([2.0728879295, 0.53017505745], [48.75218288, 47.93125309]),
    ("ChickWeight", "CR3"): ([2.0957921757, 0.53595670398], [48.746951, 47.91863141]),
}
# the same at the REML optimum of models with two random effects and one, CR2
MIXED = {
    ("Ovary", 3): (
        [0.99010744407, 0.6815624858, 0.40183549482],
        [9.999949761, 9.999542595, 9.991803427],
    ),
    ("Ovary", 1): (
        [0.99086890772, 0.6945766261, 0.40027975865],
        [9.999900859, 9.977605019, 9.938161288],
    ),
    ("ChickWeight", 2): ([1.9572906870, 0.54081494836], [48.91179716, 48.74455065]),
    ("ChickWeight", 1): ([2.0060777768, 0.52740732392], [48.96893801, 47.0178695]),
}
KINDS: tuple[Kind, ...] = ("CR0", "CR2", "CR3")
SIZES = [2, 9, 3, 5, 7, 1, 6, 4]


def of_ols(data: lmm.CrossProducts, kind: Kind) -> Robust:
    """Of least squares, in the units of the data."""
    centre, unit = data.x_centre[data.usable], data.y_unit[:, None] / data.x_unit
    found = lmm.sandwich(lmm.bases(data), lmm.coefficient_contrasts(centre), kind)
    return replace(found, variance=found.variance * unit[data.usable] ** 2)


def unbalanced(R: int = 3, far: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of 1 to 9 rows for 4 coefficients that vary; predictors `far` SDs from zero."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(len(SIZES)), SIZES)
    X = (rng.normal(size=(R, len(groups), 4)) + far) * [1.0, 1.0, 30.0, 1e-4]
    X[:, :, 0] = 1.0
    b = rng.normal(size=(R, len(SIZES), 4))
    y = (X * b[:, groups]).sum(axis=2) + rng.normal(size=(R, len(groups)))
    return y, X, groups


def root(A: np.ndarray, power: float) -> np.ndarray:
    """A power of a positive semidefinite matrix, of its inverse on its range."""
    values, vectors = np.linalg.eigh(A)
    kept = values > 1e-10 * values.max()
    scaled = np.where(kept, np.where(kept, values, 1.0) ** power, 0.0)
    return vectors * scaled @ vectors.T


def by_definition(
    y: np.ndarray,
    X: np.ndarray,
    groups: np.ndarray,
    V: np.ndarray,
    kind: Kind,
    contrasts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Variances and degrees of freedom of contrasts, by matrices with a row for each row."""
    C = np.eye(X.shape[1]) if contrasts is None else contrasts
    W = np.linalg.inv(V)
    M = np.linalg.inv(X.T @ W @ X)
    u = y - X @ (M @ X.T @ W @ y)
    S = V - X @ M @ X.T  # covariance of the residuals
    halves, scores = [], []
    for g in np.unique(groups):
        own = groups == g
        V_g, X_g = V[np.ix_(own, own)], X[own]
        D = root(V_g, 0.5)
        if kind == "CR0":
            A = np.eye(own.sum())
        elif kind == "CR2":
            A = D @ root(D @ (V_g - X_g @ M @ X_g.T) @ D, -0.5) @ D
        else:
            A = V_g @ np.linalg.inv(V_g - X_g @ M @ X_g.T)
        half = np.zeros((X.shape[1], len(y)))
        half[:, own] = C @ M @ X_g.T @ W[np.ix_(own, own)] @ A
        halves.append(half)
        scores.append(half @ u)
    variance = np.square(scores).sum(axis=0)
    df = []
    for k in range(X.shape[1]):
        t = np.array([half[k] for half in halves])
        P = t @ S @ t.T
        df.append(np.trace(P) ** 2 / np.square(P).sum())
    return variance, np.array(df)


@pytest.mark.parametrize(("name", "kind"), OLS)
def test_is_clubsandwichs_for_least_squares(name: str, kind: Kind) -> None:
    data = known(name)
    found = of_ols(Batch([data]).crossproducts(data.terms), kind)
    se, df = OLS[name, kind]
    np.testing.assert_allclose(np.sqrt(found.variance[0]), se, rtol=RTOL)
    np.testing.assert_allclose(found.df[0], df, rtol=RTOL)
    assert not found.one_group_decides.any()


@pytest.mark.parametrize(("name", "q"), MIXED)
def test_is_clubsandwichs_for_mixed_models(name: str, q: int) -> None:
    data = known(name)
    batch = Batch([data])
    fitted = lmm.fit(batch.crossproducts(data.terms[:q]))
    se, df = lmm.robust_inference(batch.crossproducts(data.terms), fitted, range(q))
    expected_se, expected_df = MIXED[name, q]
    np.testing.assert_allclose(se[0], expected_se, rtol=OPTIMUM)
    np.testing.assert_allclose(df[0], expected_df, rtol=OPTIMUM)


@pytest.mark.parametrize("far", [0.0, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_is_its_definition_where_groups_are_small_and_predictors_far(
    kind: Kind, far: float
) -> None:
    y, X, groups = unbalanced(far=far)
    found = of_ols(lmm.crossproducts(y, X, None, groups), kind)
    for r in range(len(y)):
        centre = np.array([0.0, *(X[r, :, 1:].mean(axis=0) if far else np.zeros(3))])
        # the intercept is that of the columns as they are
        contrasts = np.eye(4)
        contrasts[0] -= centre
        variance, df = by_definition(
            y[r], X[r] - centre, groups, np.eye(len(groups)), kind, contrasts
        )
        np.testing.assert_allclose(found.variance[r], variance, rtol=ROUNDING)
        np.testing.assert_allclose(found.df[r], df, rtol=ROUNDING)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("kind", KINDS)
def test_is_its_definition_for_mixed_models(kind: Kind, covariance: lmm.Covariance) -> None:
    y, X, groups = unbalanced()
    X[:, :, 1] += 20.0
    data = lmm.crossproducts(y, X, None, groups)
    assert data.x_centre.any()
    q = 2
    own = lmm.crossproducts(y, X, X[:, :, :q], groups)
    fitted = lmm.fit(own, covariance=covariance)
    se, df = lmm.robust_inference(data, fitted, range(q), kind)
    for r in range(len(y)):
        Lambda = np.zeros((q, q))
        if covariance == "full":
            Lambda[[0, 1, 1], [0, 0, 1]] = fitted.theta[r]
        else:
            np.fill_diagonal(Lambda, fitted.theta[r])
        Z = X[r, :, :q] @ Lambda
        V = np.eye(len(groups)) + (Z @ Z.T) * (groups[:, None] == groups)
        variance, expected = by_definition(y[r], X[r], groups, V, kind)
        np.testing.assert_allclose(se[r] ** 2, variance, rtol=1e-6)
        np.testing.assert_allclose(df[r], expected, rtol=1e-6)


def test_leaves_out_the_constant_columns_of_fixed_effects_for_groups() -> None:
    """With ``first=1`` it is that of deviations from the groups' means."""
    y, X, groups = unbalanced()
    data = lmm.crossproducts(y, X, None, groups)
    own = lmm.bases(data, first=1)
    for r in range(len(y)):
        within = X[r, :, 1:].copy()
        for g in np.unique(groups):
            within[groups == g] -= within[groups == g].mean(axis=0)
        unit = data.x_unit[r, 1:]
        S = np.matmul(own.root[r].swapaxes(-1, -2), own.root[r]).sum(axis=0)
        np.testing.assert_allclose(S * unit * unit[:, None], within.T @ within, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_does_not_depend_on_the_other_datasets(kind: Kind) -> None:
    y, X, groups = unbalanced(R=5)
    data = lmm.crossproducts(y, X, None, groups)
    fitted = lmm.fit(data.with_leading_random_effects(1))
    together = (*lmm.robust_inference(data, fitted, [0], kind), of_ols(data, kind).variance)
    for r in range(5):
        one = lmm.crossproducts(y[r : r + 1], X[r : r + 1], None, groups)
        alone = lmm.fit(one.with_leading_random_effects(1))
        found = (*lmm.robust_inference(one, alone, [0], kind), of_ols(one, kind).variance)
        for part, whole in zip(found, together, strict=True):
            assert part[0].tobytes() == whole[r].tobytes()


def test_a_group_that_alone_determines_a_coefficient() -> None:
    """CR2 takes the pseudo-inverse, as clubSandwich; CR3 does not exist."""
    y, X, groups = unbalanced(R=1)
    X[0, :, 3] = np.where(groups == 4, X[0, :, 3], 0.0)
    data = lmm.crossproducts(y, X, None, groups)
    cr2, cr3 = (of_ols(data, kind) for kind in ("CR2", "CR3"))
    variance, df = by_definition(y[0], X[0], groups, np.eye(len(groups)), "CR2")
    np.testing.assert_allclose(cr2.variance[0, :3], variance[:3], rtol=ROUNDING)
    np.testing.assert_allclose(cr2.df[0, :3], df[:3], rtol=ROUNDING)
    assert cr2.one_group_decides[0]
    assert cr3.one_group_decides[0]
    assert np.isnan(cr3.variance).all()


def test_datasets_that_have_no_fit_have_no_standard_errors() -> None:
    y, X, groups = unbalanced(R=2)
    y[0] = X[0] @ [1.0, 2.0, 3.0, 4.0]
    data = lmm.crossproducts(y, X, None, groups)
    fitted = lmm.fit(data.with_leading_random_effects(1), on_error="report")
    se, df = lmm.robust_inference(data, fitted, [0])
    assert np.isnan([se[0], df[0]]).all()
    assert np.isfinite([se[1], df[1]]).all()
    with pytest.raises(ValueError, match="Z = X"):
        lmm.bases(data.with_leading_random_effects(1))


@pytest.mark.parametrize("theta", [1e3, 1e6])
def test_large_random_intercepts_leave_the_deviations_from_group_means(theta: float) -> None:
    """As fixed effects for groups do; it was lost where V has variances of all sizes."""
    data = known("Ovary")
    batch = Batch([data])
    at = lmm.inference_at(batch.crossproducts(data.terms[:1]), np.array([[theta]]))
    se, df = lmm.robust_inference(batch.crossproducts(data.terms), at, [0])
    # clubSandwich's of the within estimator
    np.testing.assert_allclose(se[0, 1:], [0.69457662309, 0.40021828603], rtol=1e-6)
    np.testing.assert_allclose(df[0, 1:], [9.977605019, 9.938161051], rtol=1e-6)
