"""The closed forms against a dense model and complex-step derivatives of it."""

from __future__ import annotations

import numpy as np
import pytest
from lmm_cases import Case, dataset

from rmsweep.lmm import blups, crossproducts, inference_at
from rmsweep.lmm.covariance import lower_root

# The dense criterion has no special form, but as many roundings as rows.
VALUE = 1e-10
# Complex steps have no cancellation, so only rounding is left.
GRADIENT = 1e-9
# Differences of complex-step gradients, extrapolated from two steps of 1e-3 of the parameter.
HESSIAN = 1e-6

STEP = 1e-30
SIZES = (5, 3, 9, 2, 7)


def log_determinant(A):
    """log|A| with the derivative that a complex step has left in the phase."""
    phase, size = np.linalg.slogdet(A)
    return size + 1j * phase.imag / phase.real if np.iscomplexobj(A) else size


def dense_criterion(y, X, Z, groups, root, reml, sigma=None):
    """The criterion from V itself, for real or complex Λ; not profiled over a given σ."""
    n, p = X.shape
    V = np.where(groups[:, None] == groups, Z @ root @ root.T @ Z.T, 0) + np.eye(n)
    XV = np.linalg.solve(V, X).T
    beta = np.linalg.solve(XV @ X, XV @ y)
    r = y - X @ beta
    rho = r @ np.linalg.solve(V, r)
    nu = n - p if reml else n
    value = log_determinant(V) + (log_determinant(XV @ X) if reml else 0)
    if sigma is None:
        value = value + nu * (1 + np.log(2 * np.pi * rho / nu))
    else:
        value = value + nu * np.log(2 * np.pi * sigma**2) + rho / sigma**2
    return value, sigma**2 * np.linalg.inv(XV @ X) if sigma is not None else None


def complex_gradient(function, x):
    def shifted(i):
        z = x.astype(complex)
        z[i] += STEP * 1j
        return function(z).imag / STEP

    return np.array([shifted(i) for i in range(len(x))])


def difference_hessian(function, x):
    def column(i):
        def gradient(h):
            z = x.copy()
            z[i] += h
            return complex_gradient(function, z)

        h = 1e-3 * abs(x[i])
        near, far = gradient(h) - gradient(-h), gradient(2 * h) - gradient(-2 * h)
        return (8 * near - far) / (12 * h)

    return np.array([column(i) for i in range(len(x))])


@pytest.fixture(params=["x is z", "other z", "wider z", "badly scaled"])
def problem(request):
    y, X, groups = dataset(Case("derivatives", SIZES, (1.0,) * 4, shuffled=True), 0)
    rng = np.random.default_rng(5)
    X = X[:, :3]
    Z = {"other z": X[:, :1] + 0.0, "wider z": rng.normal(size=(len(y), 4))}.get(request.param)
    if request.param == "badly scaled":
        X, y = X * [1.0, 300.0, 0.01], y * 40.0
    return y, X, Z, groups


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("covariance", ["full", "diagonal", "scalar"])
def test_value_gradient_hessian_and_df(problem, covariance, reml):
    y, X, Z, groups = problem
    products = crossproducts(y[None], X[None], None if Z is None else Z[None], groups)
    Z = X if Z is None else Z
    q = Z.shape[1]
    basis = lower_root(q, covariance).basis
    theta = np.random.default_rng(3).uniform(0.3, 1.2, len(basis))
    if covariance == "full":
        theta /= np.abs(Z).max(axis=0)[np.triu_indices(q)[1]]
    at = inference_at(products, theta[None], reml=reml, covariance=covariance)

    def function(t):
        return dense_criterion(y, X, Z, groups, np.tensordot(t, basis, 1), reml)[0]

    assert at.criterion[0] == pytest.approx(function(theta), abs=VALUE)
    gradient = complex_gradient(function, theta)
    assert at.gradient[0] == pytest.approx(gradient, abs=GRADIENT * np.abs(gradient).max())
    hessian = difference_hessian(function, theta)
    assert at.hessian[0] == pytest.approx(hessian, abs=HESSIAN * np.abs(hessian).max())

    def unprofiled(t):
        root = np.tensordot(t[:-1], basis, 1)
        return dense_criterion(y, X, Z, groups, root, reml, sigma=t[-1])

    x = np.append(theta, at.sigma[0])
    hessian = difference_hessian(lambda t: unprofiled(t)[0], x)
    size = np.sqrt(np.abs(np.diag(hessian)))
    scaled = hessian / np.outer(size, size)
    assert at.hessian_theta_sigma[0] / np.outer(size, size) == pytest.approx(
        scaled, abs=HESSIAN * np.abs(scaled).max()
    )
    if np.linalg.eigvalsh(scaled)[0] > 1e-3:
        jacobian = np.array(
            [complex_gradient(lambda t, j=j: unprofiled(t)[1][j, j], x) for j in range(X.shape[1])]
        )
        inverse = np.linalg.inv(scaled) / np.outer(size, size)
        spread = 2 * np.einsum("jk,kl,jl->j", jacobian, inverse, jacobian)
        assert at.df[0] == pytest.approx(2 * at.se[0] ** 4 / spread, rel=1e-4)


def test_estimates_and_conditional_modes_are_those_of_gls(problem):
    y, X, Z, groups = problem
    products = crossproducts(y[None], X[None], None if Z is None else Z[None], groups)
    Z = X if Z is None else Z
    q = Z.shape[1]
    theta = np.random.default_rng(4).uniform(0.3, 1.2, q * (q + 1) // 2)
    at = inference_at(products, theta[None])
    root = np.tensordot(theta, lower_root(q, "full").basis, 1)
    G = root @ root.T
    V = np.where(groups[:, None] == groups, Z @ G @ Z.T, 0) + np.eye(len(y))
    C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
    beta = C @ X.T @ np.linalg.solve(V, y)
    r = y - X @ beta
    sigma = np.sqrt(r @ np.linalg.solve(V, r) / (len(y) - X.shape[1]))
    assert at.estimate[0] == pytest.approx(beta, rel=1e-8)
    assert at.sigma[0] == pytest.approx(sigma, rel=1e-10)
    assert at.vcov[0] == pytest.approx(sigma**2 * C, rel=1e-7, abs=1e-12)
    modes = [G @ Z[groups == g].T @ np.linalg.solve(V, r)[groups == g] for g in np.unique(groups)]
    assert blups(products, at)[0] == pytest.approx(np.array(modes), rel=1e-7, abs=1e-10)
