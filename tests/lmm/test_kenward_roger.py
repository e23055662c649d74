"""Kenward and Roger's inference against pbkrtest, and against its definition on all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from known_data import known
from rmsweep import lmm
from rmsweep.config import condition
from rmsweep.data.dataset import Batch
from rmsweep.data.scenario import simulate

# the reference values have nine figures or more
RTOL = 5e-9
# closed forms by another way round
ROUNDING = 1e-8
SIZES = [2, 9, 3, 5, 7, 1, 6, 4]

# pbkrtest 0.5.2 with R 4.2.2 at the REML optimum: standard errors, degrees of freedom
REFERENCE = {
    ("sleepstudy", "full"): ([6.8245565321, 1.5457888963], [17, 17]),
    ("sleepstudy", "diagonal"): ([6.8853812948, 1.5595659443], [18.18747641, 18.18747641]),
    ("sleepstudy", "intercept"): ([9.7467162542, 0.8042214291], [22.81019912, 161]),
    ("Ovary", "full"): (
        [0.99009057745, 0.68142960228, 0.40244432812],
        [9.999928601, 9.999409289, 9.989255661],
    ),
    ("Ovary", "intercept"): (
        [0.93900229289, 0.28940128143, 0.27159882008],
        [10.07206586, 295.0000591, 295.0016557],
    ),
    ("ChickWeight", "full"): ([1.95741607221, 0.54091515163], [48.90858266, 48.73668013]),
    ("ChickWeight", "diagonal"): ([1.82509882022, 0.50705650799], [49.53123218, 48.8729951]),
    ("ChickWeight", "intercept"): ([4.38773833574, 0.17553975808], [72.26241566, 530.5293062]),
}


def fitted(batch: Batch, model: str) -> tuple[lmm.CrossProducts, lmm.LmmFit]:
    """Cross-products of a model, and its fit."""
    terms = batch.datasets[0].terms
    products = batch.crossproducts(terms[:1] if model == "intercept" else terms)
    return products, lmm.fit(products, covariance="diagonal" if model == "diagonal" else "full")


def by_definition(
    y: np.ndarray, X: np.ndarray, groups: np.ndarray, fit: lmm.LmmFit, r: int
) -> tuple[np.ndarray, np.ndarray]:
    """By matrices with a row for each row: V = ΣΓ_ij Z_iZ_j' + σ²I of Z = X's first columns."""
    same = groups[:, None] == groups
    m = fit.theta.shape[1]
    diagonal = fit.covariance == "diagonal"
    q = m if diagonal else int(np.sqrt(2 * m))
    Lambda = np.zeros((q, q))
    if diagonal:
        np.fill_diagonal(Lambda, fit.theta[r])
    else:
        Lambda.T[np.triu_indices(q)] = fit.theta[r]
    Gamma = fit.sigma[r] ** 2 * Lambda @ Lambda.T
    pairs = [(i, j) for i in range(q) for j in range(i + 1) if i == j or not diagonal]
    changes = [
        (np.outer(X[:, i], X[:, j]) + (i != j) * np.outer(X[:, j], X[:, i])) * same
        for i, j in pairs
    ]
    changes.append(np.eye(len(y)))
    inverse = np.linalg.inv(
        fit.sigma[r] ** 2 * np.eye(len(y)) + (X[:, :q] @ Gamma @ X[:, :q].T) * same
    )
    Phi = np.linalg.inv(X.T @ inverse @ X)
    halves = [inverse @ change for change in changes]
    P = [-X.T @ half @ inverse @ X for half in halves]
    Q = [[X.T @ one @ other @ inverse @ X for other in halves] for one in halves]
    size = range(len(changes))
    information = [
        [
            np.trace(halves[i] @ halves[j])
            - 2 * np.trace(Phi @ Q[i][j])
            + np.trace(Phi @ P[i] @ Phi @ P[j])
            for j in size
        ]
        for i in size
    ]
    W = 2 * np.linalg.inv(information)
    middle = sum(W[i, j] * (Q[i][j] - P[i] @ Phi @ P[j]) for i in size for j in size)
    adjusted = Phi + 2 * Phi @ middle @ Phi
    a = np.array([np.diag(Phi @ one @ Phi) / np.diag(Phi) for one in P])
    return np.sqrt(np.diag(adjusted)), 2 / (a * (W @ a)).sum(axis=0)


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize(("name", "model"), REFERENCE)
def test_is_pbkrtests(name: str, model: str) -> None:
    found = lmm.kenward_roger(*fitted(Batch([known(name)]), model))
    se, df = REFERENCE[name, model]
    np.testing.assert_allclose(found.se[0], se, rtol=RTOL)
    np.testing.assert_allclose(found.df[0], df, rtol=RTOL)


@pytest.mark.parametrize("far", [0.0, 50.0])
@pytest.mark.parametrize("model", ["full", "diagonal", "intercept"])
def test_is_its_definition_where_groups_are_small_and_predictors_far(
    model: str, far: float
) -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(len(SIZES)), SIZES)
    X = (rng.normal(size=(3, len(groups), 3)) + far) * [1.0, 30.0, 1e-2]
    X[:, :, 0] = 1.0
    b = rng.normal(size=(3, len(SIZES), 3)) * [3.0, 0.1, 100.0]
    y = (X * b[:, groups]).sum(axis=2) + rng.normal(size=(3, len(groups)))
    products = lmm.crossproducts(y, X, X[:, :, :1] if model == "intercept" else None, groups)
    fit = lmm.fit(products, covariance="diagonal" if model == "diagonal" else "full")
    assert fit.converged.all()
    found = lmm.kenward_roger(products, fit)
    for r in range(3):
        se, df = by_definition(y[r], X[r], groups, fit, r)
        # the definition loses the digits that centring keeps
        rtol = 1e-5 if far else ROUNDING
        np.testing.assert_allclose(found.se[r], se, rtol=rtol)
        np.testing.assert_allclose(found.df[r], df, rtol=rtol)


def test_a_singular_fit_has_degrees_of_freedom() -> None:
    """V is linear in the covariances, whose boundary is no place of its own."""
    data = [simulate(0, condition(n_groups=10, n_obs=5, sigma=0.25), i).data for i in range(4)]
    batch = Batch(data)
    products, fit = fitted(batch, "full")
    assert fit.singular.all()
    found = lmm.kenward_roger(products, fit)
    for r, one in enumerate(data):
        se, df = by_definition(one.y, one.X, one.groups, fit, r)
        np.testing.assert_allclose(found.se[r], se, rtol=1e-6)
        np.testing.assert_allclose(found.df[r], df, rtol=1e-6)


def test_a_dataset_without_a_fit_has_none_and_the_others_do_not_mind() -> None:
    data = [simulate(0, condition(n_groups=10, n_obs=6, sigma=1.0), i).data for i in range(7)]
    data[2] = replace(data[2], y=np.ones_like(data[2].y))
    products = Batch(data).crossproducts(data[0].terms)
    together = lmm.kenward_roger(products, lmm.fit(products, on_error="report"))
    assert np.isnan(together.se[2]).all()
    assert np.isnan(together.df[2]).all()
    for r in (0, 1, 3, 4, 5, 6):
        alone = lmm.kenward_roger(*fitted(Batch(data[r : r + 1]), "full"))
        assert alone.se[0].tobytes() == together.se[r].tobytes()
        assert alone.df[0].tobytes() == together.df[r].tobytes()


def test_is_refused_for_maximum_likelihood() -> None:
    products = Batch([known("Ovary")]).crossproducts(known("Ovary").terms)
    with pytest.raises(ValueError, match="by REML"):
        lmm.kenward_roger(products, lmm.fit(products, reml=False))
