"""Fits of linear mixed models, and their closed forms at any given θ."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import (
    Covariance,
    Derivatives,
    Model,
    Terms,
    direct_sum,
    lower_root,
    symmetric_root,
    terms_diagonal,
    theta_of,
)
from rmsweep.lmm.criterion import Criterion, conditional_modes, criterion, penalised
from rmsweep.lmm.crossings import Crossings
from rmsweep.lmm.crossproducts import Blocks, CrossProducts, uncentred
from rmsweep.lmm.optimise import CURVATURE, DECREMENT, Optimum, minimise
from rmsweep.lmm.smallmatrix import Array, Workspace, all_finite, eigenvalues_above, from_eigen

OnError = Literal["raise", "report"]

# lme4's isSingular: a diagonal entry of Λ below this. By eigenvalues: one of G, with columns of Z
# in working units, below its square.
SINGULAR_THETA = 1e-4

# lmerTest's as_lmerModLmerTest: eigenvalues of the Hessian in (θ, σ) up to here have no inverse.
SATTERTHWAITE_TOLERANCE = 1e-8

# Scaled to a diagonal of ones, a Hessian whose smallest eigenvalue is above this is positive
# definite whatever the units, and has an inverse.
_POSITIVE = 1e-12

# Residuals can't be told from rounding when their sum of squares is no more than this fraction of
# that of OLS, a thousand times its rounding.
NO_RESIDUALS = 1e-12

# Why a model whose criterion has no minimum has no fit.
EXACT_BY_GROUP = (
    "the response is an exact function of the predictors within the groups: random effects can "
    "leave residuals that can't be told from rounding"
)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of R datasets at some θ; p fixed effects, m parameters θ of all terms.

    Datasets that can't be fitted hold NaN.

    Attributes
    ----------
    terms : tuple of (int, {"full", "diagonal", "scalar"})
        Number of random effects and structure of each term.
    reml : bool
    theta : (R, m) array
        lme4's Λ relative to σ, term by term as they were given: the lower triangle by column, the
        diagonal or the one number of each.
    sigma : (R,) array
        Residual standard deviation.
    criterion : (R,) array
        lme4's REMLcrit (REML) or deviance (ML).
    estimate : (R, p) array
    vcov : (R, p, p) array
        Estimated covariance of the estimates.
    se : (R, p) array
    df : (R, p) array
        Satterthwaite degrees of freedom, as lmerTest defines them. Only where the Hessian isn't
        positive definite do they depend on the units of the predictors, like lmerTest's.
    gradient : (R, m) array
        Of the criterion with respect to θ.
    hessian : (R, m, m) array
    hessian_theta_sigma : (R, m + 1, m + 1) array
        Of the criterion that isn't profiled over σ, in (θ, σ): lmerTest's.
    singular : (R,) array of bool
        lme4's rule: a diagonal entry of Λ below 1e-4.
    singular_eigen : (R,) array of bool
        The smallest eigenvalue of G is below 1e-8, columns of Z being centred and scaled to a
        root mean square near 1. Unlike lme4's rule it doesn't depend on the order of the random
        effects.
    messages : tuple of str
        For each dataset what went wrong, or an empty string.
    """

    terms: Terms
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

    @property
    def covariance(self) -> Covariance:
        """The structure of the first term."""
        return self.terms[0][1]

    @property
    def diagonal(self) -> NDArray[np.intp]:
        """Places in θ of the diagonal of Λ."""
        return terms_diagonal(self.terms)


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
        parameters; 0 where its pivots were enough to tell that all are positive. Only a
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
    penalty: float = 0.0,
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
    penalty : float
        The criterion has −penalty · log|G| added to it, so that no fit is singular (Chung et al.
        2013); G is relative to σ². The default prior of the R package blme has 1.5.
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
    if covariance != "full":
        data = data.with_random_effects_as_given()
    index = data.usable
    # Z's columns have units of their own, which one variance for all of them must undo.
    unit = np.ones_like(data.z_unit)
    if covariance == "scalar":
        unit = data.z_unit / data.z_unit.max(axis=1, initial=0.0)[:, None]
    blocks = data.blocks.take(index)
    model = Model(reml, covariance, data.balanced, penalty)
    lme4_start = None if data.balanced else _lme4_start(data, index, unit[index])
    optimum = minimise(blocks, model, unit[index], lme4_start)
    noisy = _noisy(blocks, optimum.at.rho)
    messages = list(data.problems)
    for row in index[~noisy]:
        messages[row] = EXACT_BY_GROUP
        if on_error == "raise":
            raise ValueError(f"dataset {row}: {messages[row]}")
    index, optimum = index[noisy], optimum.take(np.flatnonzero(noisy))
    unit = unit[index]
    for row in np.flatnonzero(~optimum.converged):
        messages[index[row]] = no_optimum(optimum, row)
    root = uncentred(unit[:, :, None] * optimum.root, data.z_centre[index])
    root /= data.z_unit[index][:, :, None]
    theta = theta_of(np.matmul(root, root.transpose(0, 2, 1)), covariance)
    # At an optimum all parameters of G give the same degrees of freedom, these with least rounding.
    in_Y = symmetric_root(data.n_random, covariance).derivatives(
        optimum.at,
        optimum.root,
        data.blocks.spare_rows(reml)[index],
        unit[:, :, None] * np.eye(data.n_random),
    )
    found = _infer(data, index, optimum.at, theta, model, in_Y)
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return LmmFit(
        **(values | {"messages": tuple(messages)}),
        converged=spread(optimum.converged, index, data.n_datasets),
        decrement=spread(optimum.decrement, index, data.n_datasets),
        curvature=spread(optimum.curvature, index, data.n_datasets),
        n_evaluations=spread(optimum.n_evaluations, index, data.n_datasets),
    )


@np.errstate(all="ignore")
def inference_at(
    data: CrossProducts,
    theta: Array,
    *,
    reml: bool = True,
    covariance: Covariance = "full",
    penalty: float = 0.0,
    on_error: OnError = "raise",
) -> Estimates:
    """Closed forms at a given θ, such as lme4's θ̂: what a fit that ended there would report.

    Parameters
    ----------
    data : CrossProducts
        R datasets.
    theta : (R, m) array
        In lme4's order.
    reml, covariance, penalty, on_error
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
    frame = working_frame(data, index)
    root = np.matmul(frame, form.matrices(theta[index]))
    G = np.matmul(root, root.transpose(0, 2, 1))
    at = criterion(data.blocks.take(index), G, reml, Workspace())
    if penalty:
        at = penalised(at, G, penalty)
    model = Model(reml, covariance, penalty=penalty)
    return _infer(data, index, at, theta[index], model)


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
    form = lower_root(data.n_random, fitted.covariance)
    root = np.matmul(working_frame(data, index), form.matrices(fitted.theta[index]))
    G = np.matmul(root, root.transpose(0, 2, 1))
    modes = conditional_modes(data.blocks.take(index), G, fitted.reml, Workspace())
    modes = uncentred(modes.transpose(0, 2, 1), data.z_centre[index]).transpose(0, 2, 1)
    modes = modes * (data.y_unit[index, None] / data.z_unit[index])[:, None, :]
    return spread(modes, index, data.n_datasets)


def _check(data: CrossProducts, covariance: Covariance, on_error: OnError) -> None:
    lower_root(data.n_random, covariance)
    if on_error not in ("raise", "report"):
        raise ValueError(f"on_error={on_error!r}: allowed are raise, report")
    # lme4 counts per term, and each random effect of a diagonal covariance is a term.
    effects = data.n_groups * (1 if covariance == "diagonal" else data.n_random)
    fewest = int(data.n_obs.min())
    if fewest <= effects:
        raise ValueError(
            f"number of observations (={fewest}) <= number of random effects (={effects}); "
            "the random-effects parameters and the residual variance are unidentifiable"
        )
    if on_error == "raise":
        for i, problem in enumerate(data.problems):
            if problem:
                raise ValueError(f"dataset {i}: {problem}")


def working_frame(data: CrossProducts, index: NDArray[np.intp]) -> Array:
    """What takes the random effects of the usable datasets to working units, (R, q, q)."""
    unit, centre = data.z_unit[index], data.z_centre[index]
    frame = unit[:, :, None] * np.eye(data.n_random)
    frame[:, 0] += centre * unit
    return frame


def _lme4_start(data: CrossProducts, index: NDArray[np.intp], unit: Array) -> Array:
    """Symmetric root, in the optimiser's units, of the covariance with Λ = I."""
    frame = working_frame(data, index) / unit[:, :, None]
    U, values, _ = np.linalg.svd(frame)
    return from_eigen(values, U)


def no_optimum(optimum: Optimum, row: int | np.integer) -> str:
    """Why a search didn't end in a proven optimum."""
    return (
        f"no optimum after {optimum.n_evaluations[row]} evaluations: "
        f"Newton decrement {optimum.decrement[row]:.1e} (< {DECREMENT:g} wanted), "
        f"relative curvature {optimum.curvature[row]:.1e} (> {-CURVATURE:g})"
    )


def _infer(
    data: CrossProducts,
    index: NDArray[np.intp],
    at: Criterion,
    theta: Array,
    model: Model,
    for_df: Derivatives | None = None,
) -> Estimates:
    """`inferred` for one term."""
    terms = ((data.n_random, model.covariance),)
    found = inferred(data, index, at, theta, terms, model.reml, working_frame(data, index), for_df)
    if not model.penalty:
        return found
    units = 2.0 * model.penalty * np.log(data.z_unit[index]).sum(axis=1)
    return replace(found, criterion=found.criterion + spread(units, index, data.n_datasets))


def inferred(
    data: CrossProducts | Crossings,
    index: NDArray[np.intp],
    at: Criterion,
    theta: Array,
    terms: Terms,
    reml: bool,
    frame: Array,
    for_df: Derivatives | None = None,
) -> Estimates:
    """Carry the criterion of the datasets `index` from working units to lme4's scale.

    Parameters
    ----------
    data : CrossProducts or Crossings
        R datasets.
    index : (r,) array of int
    at : Criterion
        Of these.
    theta : (r, m) array
    terms : tuple of (int, covariance)
    reml : bool
    frame : (r, Q, Q) array
        What takes their random effects to working units.
    for_df : Derivatives, optional
        Those that the degrees of freedom rest on, if not those in θ.
    """
    nu = (data.n_obs - data.n_fixed if reml else data.n_obs)[index]
    y_unit, x_unit, x_centre = data.y_unit[index], data.x_unit[index], data.x_centre[index]
    form = direct_sum(terms, symmetric=False)
    roots = form.matrices(theta)
    derivatives = form.derivatives(at, roots, nu, frame)

    value = np.where(np.isfinite(at.value), at.value, np.nan) + 2.0 * nu * np.log(y_unit)
    if reml:
        value = value + 2.0 * np.log(x_unit).sum(axis=1)
    sigma = np.sqrt(at.rho / nu)
    F = uncentred(at.root, x_centre)
    C = np.matmul(F, F.transpose(0, 2, 1))
    scale = (y_unit[:, None] / x_unit) * sigma[:, None]
    df = satterthwaite(replace(at, root=F), derivatives if for_df is None else for_df, nu)
    hessian = with_sigma(derivatives, sigma, nu)
    hessian[:, -1] /= y_unit[:, None]
    hessian[:, :, -1] /= y_unit[:, None]
    root = np.matmul(frame, roots)
    G = np.matmul(root, root.transpose(0, 2, 1))
    diagonal = theta[:, terms_diagonal(terms)]
    estimate = uncentred(data.pooled[index] + at.beta, x_centre) * (y_unit[:, None] / x_unit)
    values = {
        "theta": theta,
        "sigma": sigma * y_unit,
        "criterion": value,
        "estimate": estimate,
        "vcov": C * scale[:, :, None] * scale[:, None, :],
        "se": np.sqrt(np.diagonal(C, axis1=1, axis2=2)) * scale,
        "df": df,
        "gradient": derivatives.gradient,
        "hessian": derivatives.hessian,
        "hessian_theta_sigma": hessian,
    }
    everywhere = {name: spread(part, index, data.n_datasets) for name, part in values.items()}
    return Estimates(
        **everywhere,
        terms=terms,
        reml=reml,
        singular=spread(np.any(diagonal < SINGULAR_THETA, axis=1), index, data.n_datasets),
        singular_eigen=spread(~eigenvalues_above(G, SINGULAR_THETA**2), index, data.n_datasets),
        messages=data.problems,
    )


def with_sigma(derivatives: Derivatives, sigma: Array, nu: Array | NDArray[np.intp]) -> Array:
    """Hessian (R, m + 1, m + 1) with σ as a last parameter, no longer profiled over."""
    n_datasets, m = derivatives.gradient.shape
    hessian = np.empty((n_datasets, m + 1, m + 1))
    hessian[:, :m, :m] = derivatives.hessian_fixed_sigma
    hessian[:, :m, m] = -2.0 * derivatives.rho_gradient / (sigma**3)[:, None]
    hessian[:, m, :m] = hessian[:, :m, m]
    hessian[:, m, m] = 4.0 * nu / (sigma * sigma)
    return hessian


def satterthwaite(at: Criterion, derivatives: Derivatives, nu: Array | NDArray[np.intp]) -> Array:
    """Degrees of freedom (R, p), by Giesbrecht & Burns (1985).

    With v = σ²C_jj they are 2 v² / (J'AJ), A = 2H⁻¹, H and J the derivatives of the criterion and
    of v with respect to the parameters of G and σ (Kuznetsova et al. 2017, section 2.1). Where H
    isn't positive definite, lmerTest leaves out the eigenvalues that aren't, and the result is one
    of its parameters, (θ, σ), in their units; σ is in working units here.
    """
    sigma = np.sqrt(at.rho / nu)
    H = with_sigma(derivatives, sigma, nu)
    n_datasets, p, m = len(H), at.root.shape[1], H.shape[1] - 1
    C_diagonal = np.square(at.root).sum(axis=2)
    dC = np.zeros((n_datasets, at.information.shape[1], p))
    left = np.matmul(at.information.swapaxes(-1, -2), at.root.swapaxes(1, 2)[:, None])
    for a in range(p):
        dC += left[:, :, a] * at.root[:, None, :, a]
    J = np.empty((n_datasets, p, m + 1))
    J[:, :, :m] = np.matmul(dC.transpose(0, 2, 1), derivatives.jacobian)
    J[:, :, :m] *= (sigma * sigma)[:, None, None]
    J[:, :, m] = 2.0 * sigma[:, None] * C_diagonal

    finite = all_finite(H)
    H = np.where(finite[:, None, None], H, np.eye(m + 1))
    diagonal = np.einsum("rii->ri", H)
    unit = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = unit[:, :, None] * H * unit[:, None, :]
    positive = eigenvalues_above(scaled, _POSITIVE)
    some, rest = np.flatnonzero(positive), np.flatnonzero(~positive)
    spread = np.empty((n_datasets, p))
    JU = (J * unit[:, None, :])[some]
    solved = np.linalg.solve(scaled[some], JU.swapaxes(1, 2)).swapaxes(1, 2)
    spread[some] = 2.0 * (JU * solved).sum(axis=2)
    eigenvalues, vectors = np.linalg.eigh(H[rest])
    kept = eigenvalues > SATTERTHWAITE_TOLERANCE
    inverse = np.where(kept, 1.0 / np.where(kept, eigenvalues, 1.0), 0.0)
    along = np.matmul(J[rest], vectors)
    spread[rest] = 2.0 * (along * along * inverse[:, None, :]).sum(axis=2)
    variance = (sigma * sigma)[:, None] * C_diagonal
    return np.where(finite[:, None], 2.0 * variance * variance / spread, np.nan)


def _noisy(blocks: Blocks, rho: Array) -> NDArray[np.bool_]:
    """Datasets with residuals above rounding, at ρ and also if random effects of any size are free.

    Where these would explain every row, ρ alone tells.
    """
    of_ols = blocks.rr_rest
    for part in np.square(blocks.r).sum(axis=-1):
        of_ols = of_ols + part
    spare = blocks.n_obs > blocks.determined.sum(axis=(0, 2))
    least = np.where(spare, np.minimum(blocks.rr_rest, rho), rho)
    noisy: NDArray[np.bool_] = least > NO_RESIDUALS * of_ols
    return noisy


_Scalar = TypeVar("_Scalar", bound=np.generic)


def spread(values: NDArray[_Scalar], index: NDArray[np.intp], n_datasets: int) -> NDArray[_Scalar]:
    """Values of the usable datasets among those of all; NaN, 0 or False for the others."""
    filler = np.nan if values.dtype.kind == "f" else 0
    everywhere = np.full((n_datasets, *values.shape[1:]), filler, dtype=values.dtype)
    everywhere[index] = values
    return everywhere
