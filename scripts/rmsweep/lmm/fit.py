"""Fits of linear mixed models, and their closed forms at any given θ."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import (
    Covariance,
    Model,
    diagonal_parameters,
    lower_root,
    theta_of,
)
from rmsweep.lmm.criterion import Criterion, conditional_modes, criterion
from rmsweep.lmm.crossproducts import Blocks, CrossProducts
from rmsweep.lmm.optimise import CURVATURE, DECREMENT, minimise
from rmsweep.lmm.smallmatrix import Array, Workspace, all_finite

OnError = Literal["raise", "report"]

# lme4's isSingular: a diagonal entry of Λ below this. By eigenvalues: one of G, with columns of Z
# in working units, below its square.
SINGULAR_THETA = 1e-4

# lmerTest's as_lmerModLmerTest: eigenvalues of the Hessian in (θ, σ) up to here have no inverse.
SATTERTHWAITE_TOLERANCE = 1e-8

# Residuals can't be told from rounding when their sum of squares is no more than this fraction of
# that of OLS, a thousand times its rounding.
NO_RESIDUALS = 1e-12


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of R datasets at some θ; p fixed effects, q random effects, m parameters θ.

    Datasets that can't be fitted hold NaN.

    Attributes
    ----------
    covariance : {"full", "diagonal", "scalar"}
    reml : bool
    theta : (R, m) array
        lme4's: Λ relative to σ, its lower triangle by column, its diagonal or its one number.
    sigma : (R,) array
        Residual standard deviation.
    criterion : (R,) array
        lme4's REMLcrit (REML) or deviance (ML).
    estimate : (R, p) array
    vcov : (R, p, p) array
        Estimated covariance of the estimates.
    se : (R, p) array
    df : (R, p) array
        Satterthwaite degrees of freedom, as lmerTest defines them.
    gradient : (R, m) array
        Of the criterion with respect to θ.
    hessian : (R, m, m) array
    hessian_theta_sigma : (R, m + 1, m + 1) array
        Of the criterion that isn't profiled over σ, in (θ, σ): lmerTest's.
    singular : (R,) array of bool
        lme4's rule: a diagonal entry of Λ below 1e-4.
    singular_eigen : (R,) array of bool
        The smallest eigenvalue of G is below 1e-8, columns of Z being scaled to a root mean
        square near 1. Unlike lme4's rule it doesn't depend on the order of the random effects.
    messages : tuple of str
        For each dataset what went wrong, or an empty string.
    """

    covariance: Covariance
    reml: bool
    theta: Array
    sigma: Array
    criterion: Array
    estimate: Array
    vcov: Array
    se: Array
    df: Array
    gradient: Array
    hessian: Array
    hessian_theta_sigma: Array
    singular: NDArray[np.bool_]
    singular_eigen: NDArray[np.bool_]
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LmmFit(Estimates):
    """Estimates at the optimum that the engine found.

    Attributes
    ----------
    converged : (R,) array of bool
        Whether gradient and Hessian prove a local optimum; a fit that isn't has a message.
    decrement : (R,) array
        Newton decrement at the end: twice the decrease of the criterion still promised.
    curvature : (R,) array
        Smallest eigenvalue, relative to the largest, of the Hessian in the optimiser's
        parameters; 0 where its Cholesky factor was enough to tell that all are positive. Only a
        saddle, such as a variance wrongly held at zero, has a negative one.
    n_evaluations : (R,) array of int
        Evaluations of the criterion with its derivatives.
    """

    converged: NDArray[np.bool_]
    decrement: Array
    curvature: Array
    n_evaluations: NDArray[np.intp]


@np.errstate(all="ignore")  # what isn't finite is looked for in the values
def fit(
    data: CrossProducts,
    *,
    reml: bool = True,
    covariance: Covariance = "full",
    on_error: OnError = "raise",
) -> LmmFit:
    """Fit y ~ X + (Z | group) to each dataset, by REML or maximum likelihood.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    reml : bool
    covariance : {"full", "diagonal", "scalar"}
        Of the random effects: unstructured, lme4's ``||``, or one variance for all.
    on_error : {"raise", "report"}
        Whether a dataset that can't be fitted raises, or has NaN and a message.

    Returns
    -------
    LmmFit
        For a dataset the same bytes whatever the others beside it.

    Raises
    ------
    ValueError
        If there are no more observations than random effects (as lme4), or if a dataset can't be
        fitted (see `crossproducts`) and `on_error` is ``"raise"``.
    """
    _check(data, covariance, on_error)
    index = data.usable
    z_unit = data.z_unit[index]
    # Z's columns have units of their own, which one variance for all of them must undo.
    unit = np.ones_like(z_unit)
    if covariance == "scalar":
        unit = z_unit / z_unit.max(axis=1, initial=0.0)[:, None]
    blocks = data.blocks.take(index)
    balanced = bool((data.group_sizes == data.group_sizes[0]).all())
    optimum = minimise(blocks, Model(data.n_obs, reml, covariance, balanced), unit)
    root = optimum.root * (unit / z_unit)[:, :, None]
    G = np.matmul(root, root.transpose(0, 2, 1))
    found = _infer(data, index, optimum.at, theta_of(G, covariance), reml, covariance)
    noisy = _noisy(blocks, data.n_obs, optimum.at.rho)
    messages = list(found.messages)
    for row in np.flatnonzero(~optimum.converged):
        messages[index[row]] = (
            f"no optimum after {optimum.n_evaluations[row]} evaluations: "
            f"Newton decrement {optimum.decrement[row]:.1e} (< {DECREMENT:g} wanted), "
            f"relative curvature {optimum.curvature[row]:.1e} (> {-CURVATURE:g})"
        )
    for row in np.flatnonzero(~noisy):
        messages[index[row]] = (
            "random effects can leave residuals that can't be told from rounding: their sum of "
            f"squares is no more than {NO_RESIDUALS:g} of that of OLS"
        )
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return LmmFit(
        **(values | {"messages": tuple(messages)}),
        converged=_spread(optimum.converged & noisy, index, data.n_datasets),
        decrement=_spread(optimum.decrement, index, data.n_datasets),
        curvature=_spread(optimum.curvature, index, data.n_datasets),
        n_evaluations=_spread(optimum.n_evaluations, index, data.n_datasets),
    )


@np.errstate(all="ignore")
def inference_at(
    data: CrossProducts,
    theta: Array,
    *,
    reml: bool = True,
    covariance: Covariance = "full",
    on_error: OnError = "raise",
) -> Estimates:
    """Closed forms at a given θ, such as lme4's θ̂: what a fit that ended there would report.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    theta : (R, m) array
        In lme4's order.
    reml, covariance, on_error
        As for `fit`.

    Raises
    ------
    ValueError
        As `fit`, or if `theta` isn't of shape (R, m).
    """
    _check(data, covariance, on_error)
    form = lower_root(data.n_random, covariance)
    theta = np.asarray(theta, dtype=np.float64)
    if theta.shape != (data.n_datasets, len(form.basis)):
        raise ValueError(
            f"theta of shape {theta.shape}: it must be {(data.n_datasets, len(form.basis))}"
        )
    index = data.usable
    G = _working_covariance(data, theta, covariance, index)
    at = criterion(data.blocks.take(index), G, data.n_obs, reml, Workspace())
    return _infer(data, index, at, theta[index], reml, covariance)


@np.errstate(all="ignore")
def blups(data: CrossProducts, fitted: Estimates) -> Array:
    """Conditional modes of the random effects, group by group.

    With Z = X the coefficients of group g are ``estimate[:, None] + blups``.

    Parameters
    ----------
    data : CrossProducts
    fitted : Estimates
        Of the same data.

    Returns
    -------
    (R, G, q) array
        GZ'V⁻¹(y − Xβ) (Bates et al. 2015, section 5.2), groups in the order of their codes.
    """
    index = data.usable
    G = _working_covariance(data, fitted.theta, fitted.covariance, index)
    modes = conditional_modes(data.blocks.take(index), G, data.n_obs, fitted.reml, Workspace())
    modes = modes * (data.y_unit[index, None] / data.z_unit[index])[:, None, :]
    return _spread(modes, index, data.n_datasets)


def _check(data: CrossProducts, covariance: Covariance, on_error: OnError) -> None:
    lower_root(data.n_random, covariance)
    if on_error not in ("raise", "report"):
        raise ValueError(f"on_error={on_error!r}: allowed are raise, report")
    # lme4 counts per term, and each random effect of a diagonal covariance is a term.
    effects = data.n_groups * (1 if covariance == "diagonal" else data.n_random)
    if data.n_obs <= effects:
        raise ValueError(
            f"number of observations (={data.n_obs}) <= number of random effects (={effects}); "
            "the random-effects parameters and the residual variance are unidentifiable"
        )
    if on_error == "raise":
        for i, problem in enumerate(data.problems):
            if problem:
                raise ValueError(f"dataset {i}: {problem}")


def _working_covariance(
    data: CrossProducts, theta: Array, covariance: Covariance, index: NDArray[np.intp]
) -> Array:
    """G of the usable datasets in working units."""
    root = lower_root(data.n_random, covariance).matrices(theta[index])
    root = root * data.z_unit[index][:, :, None]
    G: Array = np.matmul(root, root.transpose(0, 2, 1))
    return G


def _infer(
    data: CrossProducts,
    index: NDArray[np.intp],
    at: Criterion,
    theta: Array,
    reml: bool,
    covariance: Covariance,
) -> Estimates:
    """Carry the criterion of the usable datasets from working units to lme4's scale."""
    n_datasets, p, q = data.n_datasets, data.n_fixed, data.n_random
    nu = data.n_obs - p if reml else data.n_obs
    y_unit, x_unit, z_unit = data.y_unit[index], data.x_unit[index], data.z_unit[index]
    form = lower_root(q, covariance)
    roots = form.matrices(theta)
    scaled = at.in_units(z_unit)
    derivatives = form.derivatives(scaled, roots, nu)
    m = theta.shape[1]

    value = np.where(np.isfinite(at.value), at.value, np.nan) + 2.0 * nu * np.log(y_unit)
    if reml:
        value = value + 2.0 * np.log(x_unit).sum(axis=1)
    sigma = np.sqrt(at.rho / nu)
    C = np.matmul(at.root, at.root.transpose(0, 2, 1))
    C_diagonal = np.ascontiguousarray(np.diagonal(C, axis1=1, axis2=2))
    scale = (y_unit[:, None] / x_unit) * sigma[:, None]

    # Giesbrecht & Burns (1985), with lmerTest's parameters (Kuznetsova et al. 2017, section 2.1):
    # df = 2 v² / (J' A J), v = σ²C_jj, A = 2 H⁻¹, H and J the derivatives in (θ, σ).
    hessian = np.empty((len(index), m + 1, m + 1))
    hessian[:, :m, :m] = derivatives.hessian_fixed_sigma
    hessian[:, :m, m] = -2.0 * derivatives.rho_gradient / (sigma**3)[:, None]
    hessian[:, m, :m] = hessian[:, :m, m]
    hessian[:, m, m] = 4.0 * nu / (sigma * sigma)
    dC = np.zeros((len(index), scaled.information.shape[1], p))
    left = np.matmul(scaled.information.swapaxes(-1, -2), at.root.swapaxes(1, 2)[:, None])
    for a in range(p):
        dC += left[:, :, a] * at.root[:, None, :, a]
    J = np.empty((len(index), p, m + 1))
    J[:, :, :m] = np.matmul(dC.transpose(0, 2, 1), derivatives.jacobian)
    J[:, :, :m] *= (sigma * sigma)[:, None, None]
    J[:, :, m] = 2.0 * sigma[:, None] * C_diagonal
    # In working units the pseudo-inverse doesn't depend on the units of the data.
    unit = np.ones((len(index), m + 1))
    unit[:, :m] = np.abs(np.matmul(z_unit[:, None, :], np.abs(form.basis).max(axis=2).T))[:, 0]
    working = hessian / (unit[:, :, None] * unit[:, None, :])
    finite = all_finite(working)
    eigenvalues, vectors = np.linalg.eigh(np.where(finite[:, None, None], working, 0.0))
    kept = eigenvalues > SATTERTHWAITE_TOLERANCE
    inverse = np.where(kept, 1.0 / np.where(kept, eigenvalues, 1.0), 0.0)
    along = np.matmul(J / unit[:, None, :], vectors)
    spread = 2.0 * (along * along * inverse[:, None, :]).sum(axis=2)
    variance = (sigma * sigma)[:, None] * C_diagonal
    df = np.where(finite[:, None], 2.0 * variance * variance / spread, np.nan)

    hessian[:, m] /= y_unit[:, None]
    hessian[:, :, m] /= y_unit[:, None]
    root = roots * z_unit[:, :, None]
    G = np.matmul(root, root.transpose(0, 2, 1))
    smallest = np.linalg.eigvalsh(np.where(all_finite(G)[:, None, None], G, 0.0))[:, 0]
    diagonal = theta[:, diagonal_parameters(q, covariance)]

    def spread_out(values: Array) -> Array:
        return _spread(values, index, n_datasets)

    return Estimates(
        covariance=covariance,
        reml=reml,
        theta=spread_out(theta),
        sigma=spread_out(sigma * y_unit),
        criterion=spread_out(value),
        estimate=spread_out((data.pooled[index] + at.beta) * (y_unit[:, None] / x_unit)),
        vcov=spread_out(C * scale[:, :, None] * scale[:, None, :]),
        se=spread_out(np.sqrt(C_diagonal) * scale),
        df=spread_out(df),
        gradient=spread_out(derivatives.gradient),
        hessian=spread_out(derivatives.hessian),
        hessian_theta_sigma=spread_out(hessian),
        singular=_spread(np.any(diagonal < SINGULAR_THETA, axis=1), index, n_datasets),
        singular_eigen=_spread(smallest < SINGULAR_THETA**2, index, n_datasets),
        messages=data.problems,
    )


def _noisy(blocks: Blocks, n_obs: int, rho: Array) -> NDArray[np.bool_]:
    """Datasets with residuals above rounding, at ρ and also if random effects of any size are free.

    Where these would explain every row, ρ alone tells.
    """
    of_ols = blocks.rr_rest
    for part in np.square(blocks.r).sum(axis=-1):
        of_ols = of_ols + part
    spare = n_obs > blocks.determined.sum(axis=(0, 2))
    least = np.where(spare, np.minimum(blocks.rr_rest, rho), rho)
    noisy: NDArray[np.bool_] = least > NO_RESIDUALS * of_ols
    return noisy


_Scalar = TypeVar("_Scalar", bound=np.generic)


def _spread(values: NDArray[_Scalar], index: NDArray[np.intp], n_datasets: int) -> NDArray[_Scalar]:
    """Values of the usable datasets among those of all; NaN, 0 or False for the others."""
    filler = np.nan if values.dtype.kind == "f" else 0
    everywhere = np.full((n_datasets, *values.shape[1:]), filler, dtype=values.dtype)
    everywhere[index] = values
    return everywhere
