"""Fits with several random-effects terms, and their closed forms at any given θ."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import (
    Derivatives,
    Root,
    direct_sum,
    symmetric_root,
    theta_of,
)
from rmsweep.lmm.criterion import Criterion
from rmsweep.lmm.crossed import (
    criterion_value,
    crossed_criterion,
    crossed_expected_hessian,
    crossed_information,
)
from rmsweep.lmm.crossings import CrossedBlocks, Crossings, Layout
from rmsweep.lmm.fit import (
    NO_RESIDUALS,
    Estimates,
    LmmFit,
    OnError,
    inferred,
    no_optimum,
    spread,
)
from rmsweep.lmm.kenward_roger import Adjusted, adjusted
from rmsweep.lmm.optimise import (
    ROUNDING,
    Optimum,
    no_criterion,
    positive_root,
    search,
)
from rmsweep.lmm.smallmatrix import Array, all_finite, keep_memory, solve_each
from rmsweep.lmm.start import RANDOM_STARTS, SCORING_STEPS, random_roots, well_inside
from rmsweep.lmm.units import is_nested

Index = NDArray[np.intp]

# Standard deviations of the random effects, relative to σ: the first search takes the best.
_FIRST_GUESSES = (0.1, 0.4, 1.6)

# No fit when the residuals' sum of squares is no more than this fraction of that of OLS: random
# effects ten thousand times as large leave the criterion six decimals.
_FEW_DIGITS = 1e-8

# Terms with up to so many levels per random effect call for further searches: of 1,000 datasets of
# 8 × 6 levels the criterion had several minima in 5, of 12 × 8 and more in none. Where a factor is
# nested in another, what tells the terms apart is the levels that it has beyond those of the other.
_FEW_LEVELS = 3.5

# From so many levels of one factor in each of another on, one search is enough, if there are more
# than a few levels: with two it misses the lowest minimum of a dataset in a hundred.
_MANY_WITHIN = 3

# Scaled to a diagonal of ones, an expected Hessian has eigenvalues below this where changes of the
# covariances leave that of the data as it is.
_UNIDENTIFIED = 1e-11

EXACT_BY_TERMS = (
    "the response is an exact function of the predictors and the factors' levels: random "
    "effects can leave residuals that can't be told from rounding"
)
TOO_PRECISE = (
    "the residual standard deviation is below a ten-thousandth of the response's: cross-products "
    "of several factors leave too few digits"
)
UNIDENTIFIED = (
    "the data can't tell the random effects' variances and covariances from each other, as with a "
    "slope on a predictor that is constant within the levels of its factor"
)


@dataclass(frozen=True, slots=True)
class CrossedFit(LmmFit):
    """Estimates at the optimum that the engine found, of any number of terms."""


class SeveralTerms:
    """The criterion of datasets with several random-effects terms.

    Parameters
    ----------
    blocks : CrossedBlocks
        The dataset of each of R searches.
    form : Root
        The structure of Y.
    data : Crossings
        All datasets, for the structure of each term.
    nu : (R,) array
        n − p for REML, n for ML.
    reml : bool
    """

    def __init__(
        self, blocks: CrossedBlocks, form: Root, data: Crossings, nu: Array, reml: bool
    ) -> None:
        self._blocks, self._nu, self._reml = blocks, nu, reml
        self._covariances = data.covariances
        self.form = form
        self.at_once = blocks.layout.at_once
        # what rounding of B_22 does to I + B_22 Γ_2: sums of squares of each column of Z_2
        k2 = blocks.layout.n_others
        squares = np.einsum("rii->r", blocks.rest[:, :k2, :k2])
        squares += np.square(blocks.Q[:, :, :k2]).sum(axis=(1, 2))
        self._squares = blocks.layout.in_all(squares)

    def nothing(self, n_runs: int) -> Criterion:
        """As `optimise.Problem`."""
        return no_criterion(n_runs, len(self.form.places[0]), self._blocks.n_fixed)

    def evaluate(self, index: Index, root: Array) -> tuple[Criterion, Derivatives]:
        """As `optimise.Problem`."""
        blocks = self._blocks if len(index) == len(self._nu) else self._blocks.take(index)
        nu = self._nu[index]
        at = crossed_criterion(blocks, np.matmul(root, root), nu, self._reml)
        return at, self.form.derivatives(at, root, nu)

    def rounding(self, index: Index, value: Array, root: Array) -> Array:
        """As `optimise.Problem`."""
        largest = np.square(root).sum(axis=(1, 2))
        lost = np.finfo(float).eps * self._squares[index] * largest
        return ROUNDING[0] * np.abs(value) + ROUNDING[1] + np.where(lost > ROUNDING[1], lost, 0.0)

    def positive(self, Y: Array) -> Array:
        """As `optimise.Problem`."""
        for own, covariance in zip(_places(self._blocks.layout), self._covariances, strict=True):
            Y[:, own, own] = positive_root(Y[:, own, own].copy(), covariance)
        return Y


def _places(layout: Layout) -> list[slice]:
    """Where the random effects of each term are among those of all."""
    ends = np.cumsum(layout.sizes).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


@np.errstate(all="ignore")  # what isn't finite is looked for in the values
def fit_crossed(data: Crossings, *, reml: bool = True, on_error: OnError = "raise") -> CrossedFit:
    """Fit y ~ X + (Z_1 | factor 1) + ... to each dataset, by REML or maximum likelihood.

    One search from one start, and further ones from random starts where a term has few levels, or a
    nested factor few more than the one it is nested in: else the criterion seldom has a second
    minimum (docs/engine.md).

    Parameters
    ----------
    data : Crossings
        R datasets.
    reml : bool
    on_error : {"raise", "report"}
        Whether a dataset that can't be fitted raises, or has NaN and a message.

    Returns
    -------
    CrossedFit
        For a dataset the same bytes whatever the others beside it.

    Raises
    ------
    ValueError
        If a term has no fewer random effects than there are observations (as lme4), or if a dataset
        can't be fitted and `on_error` is ``"raise"``.
    """
    messages = _checked(data, on_error)
    keep_memory()
    usable = np.array([row for row, text in enumerate(messages) if not text], dtype=np.intp)
    form = direct_sum(data.terms, symmetric=True)
    nu = _nu(data, reml)
    parts, found = [], []
    for index, blocks in data.portions(usable):
        start, identified = _started(blocks, form, nu[index], reml)
        problem = SeveralTerms(blocks, form, data, nu[index], reml)
        optimum = search(problem, start)
        for root in _further_roots(data):
            there = np.repeat(root[None], len(index), axis=0)
            optimum.improve(search(problem, there, optimum))
        left = _left(blocks, optimum.at.rho, data.n_obs[index], nu[index]) / data.rr[index]
        for row, share, told in zip(index, left, identified, strict=True):
            if not share > NO_RESIDUALS:
                messages[row] = EXACT_BY_TERMS
            elif not share > _FEW_DIGITS:
                messages[row] = TOO_PRECISE
            elif not told:
                messages[row] = UNIDENTIFIED
        good = np.flatnonzero((left > _FEW_DIGITS) & identified)
        parts.append(index[good])
        found.append(optimum.take(good))
    if on_error == "raise":
        _raise(messages)
    index = np.concatenate([*parts, np.empty(0, dtype=np.intp)])
    if not found:
        found = [_no_optimum(data, form)]
    optimum = _joined(found)
    for place in np.flatnonzero(~optimum.converged):
        messages[index[place]] = no_optimum(optimum, place)
    root = data.as_given(optimum.root, index)
    theta = _theta(np.matmul(root, root.transpose(0, 2, 1)), data)
    # at an optimum all parameters give the same degrees of freedom, these with least rounding
    in_Y = form.derivatives(optimum.at, optimum.root, nu[index])
    frame = data.frame(index)
    at = inferred(data, index, optimum.at, theta, data.terms, reml, frame, in_Y)
    values = {field.name: getattr(at, field.name) for field in fields(at)}
    return CrossedFit(
        **(values | {"messages": tuple(messages)}),
        converged=spread(optimum.converged, index, data.n_datasets),
        decrement=spread(optimum.decrement, index, data.n_datasets),
        curvature=spread(optimum.curvature, index, data.n_datasets),
        n_evaluations=spread(optimum.n_evaluations, index, data.n_datasets),
    )


@np.errstate(all="ignore")
def crossed_inference_at(
    data: Crossings, theta: Array, *, reml: bool = True, on_error: OnError = "raise"
) -> Estimates:
    """Closed forms at a given θ: what a fit that ended there would report.

    Parameters
    ----------
    data : Crossings
        R datasets.
    theta : (R, m) array
        As in `Estimates`.
    reml, on_error
        As for `fit_crossed`.

    Raises
    ------
    ValueError
        As `fit_crossed`, or if `theta` isn't of shape (R, m).
    """
    messages = _checked(data, on_error)
    form = direct_sum(data.terms, symmetric=False)
    theta = np.asarray(theta, dtype=np.float64)
    if theta.shape != (data.n_datasets, len(form.basis)):
        raise ValueError(
            f"theta of shape {theta.shape}: it must be {(data.n_datasets, len(form.basis))}"
        )
    usable = np.array([row for row, text in enumerate(messages) if not text], dtype=np.intp)
    at = no_criterion(data.n_datasets, len(form.places[0]), data.n_fixed)
    nu = _nu(data, reml)
    for index, blocks in data.portions(usable):
        G = _working(data, theta, index, form)
        at.put(index, crossed_criterion(blocks, G, nu[index], reml))
    frame = data.frame(usable)
    found = inferred(data, usable, at.take(usable), theta[usable], data.terms, reml, frame)
    return replace(found, messages=tuple(messages))


@np.errstate(all="ignore")
def crossed_kenward_roger(data: Crossings, fitted: Estimates) -> Adjusted:
    """Kenward and Roger's standard errors and degrees of freedom of each coefficient.

    As `kenward_roger.kenward_roger`, for any number of random-effects terms.

    Parameters
    ----------
    data : Crossings
        R datasets.
    fitted : Estimates
        Of the same data by REML, whether singular or not.

    Raises
    ------
    ValueError
        If the fit is by maximum likelihood, for which the adjustment isn't made.
    """
    if not fitted.reml:
        raise ValueError("Kenward and Roger's adjustment is for fits by REML")
    se, df = np.full((2, data.n_datasets, data.n_fixed), np.nan)
    form = direct_sum(data.terms, symmetric=False)
    of_G = direct_sum(data.terms, symmetric=True)
    free = of_G.basis[:, of_G.places[0], of_G.places[1]].T
    nu = _nu(data, True)
    for some, blocks in data.portions(np.flatnonzero(np.isfinite(fitted.criterion))):
        for start in range(0, len(some), blocks.layout.at_once):
            own = np.arange(start, min(start + blocks.layout.at_once, len(some)))
            index = some[own]
            G = _working(data, fitted.theta, index, form)
            at = crossed_information(blocks.take(own), G, nu[index])
            variance, df[index] = adjusted(at, at.quadratic, data.x_centre[index], free)
            scale = np.sqrt(at.rho / nu[index]) * data.y_unit[index]
            se[index] = np.sqrt(variance) * scale[:, None] / data.x_unit[index]
    return Adjusted(se, df)


def _checked(data: Crossings, on_error: OnError) -> list[str]:
    if on_error not in ("raise", "report"):
        raise ValueError(f"on_error={on_error!r}: allowed are raise, report")
    messages = list(data.problems)
    for n_levels, (q, covariance) in zip(data.layout.levels, data.terms, strict=True):
        # lme4 counts per term, and each random effect of a diagonal covariance is a term
        effects = n_levels * (1 if covariance == "diagonal" else q)
        for row in np.flatnonzero(data.n_obs <= effects):
            messages[row] = messages[row] or (
                f"number of observations (={data.n_obs[row]}) <= number of random effects "
                f"(={effects}); the random-effects parameters and the residual variance are "
                "unidentifiable"
            )
    if on_error == "raise":
        _raise(messages)
    return messages


def _raise(messages: list[str]) -> None:
    for row, text in enumerate(messages):
        if text:
            raise ValueError(f"dataset {row}: {text}")


def _nu(data: Crossings, reml: bool) -> Array:
    return (data.n_obs - data.n_fixed if reml else data.n_obs).astype(np.float64)


def _working(data: Crossings, theta: Array, index: Index, form: Root) -> Array:
    """Covariances in working units."""
    root = np.matmul(data.frame(index), form.matrices(theta[index]))
    G: Array = np.matmul(root, root.transpose(0, 2, 1))
    return G


def _theta(G: Array, data: Crossings) -> Array:
    """lme4's θ of the terms' covariances, side by side."""
    parts = [
        theta_of(G[:, own, own], covariance)
        for own, covariance in zip(_places(data.layout), data.covariances, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _started(
    blocks: CrossedBlocks, form: Root, nu: Array, reml: bool
) -> tuple[Array, NDArray[np.bool_]]:
    """Roots from which to search, and whether the data tell all parameters apart."""
    n_datasets, size = len(nu), form.basis.shape[1]
    roots = np.empty((n_datasets, size, size))
    identified = np.ones(n_datasets, dtype=bool)
    for start in range(0, n_datasets, blocks.layout.at_once):
        index = np.arange(start, min(start + blocks.layout.at_once, n_datasets))
        some, own = blocks.take(index), nu[index]
        eye = np.broadcast_to(np.eye(size), (len(index), size, size))
        values = [criterion_value(some, tau * tau * eye, own, reml) for tau in _FIRST_GUESSES]
        best = np.where(np.isnan(values), np.inf, values).argmin(axis=0)
        root = np.array(_FIRST_GUESSES)[best][:, None, None] * eye
        for step in range(SCORING_STEPS):
            root, least = _scored(some, form, root, own, reml)
            if step == 0:
                identified[index] = least > _UNIDENTIFIED
        roots[index] = root
    return roots, identified


def _further_roots(data: Crossings) -> Array:
    """Roots from which to look for other minima, the same for all datasets, (starts, Q, Q)."""
    size = sum(data.layout.sizes)
    n_starts = RANDOM_STARTS if _has_few_levels(data) else 0
    found = np.zeros((n_starts, size, size))
    rng = np.random.default_rng(n_starts)
    for own, (q, covariance) in zip(_places(data.layout), data.terms, strict=True):
        form = symmetric_root(q, covariance)
        roots = random_roots(n_starts, q, rng)
        found[:, own, own] = form.matrices(form.parameters(roots))
    return found


def _has_few_levels(data: Crossings) -> bool:
    """Whether a second minimum is to be expected at times."""
    levels, sizes, codes = data.layout.levels, data.layout.sizes, data.rows.codes
    if any(n <= _FEW_LEVELS * q for n, q in zip(levels, sizes, strict=True)):
        return True
    return any(
        levels[a] > levels[b]
        and (
            levels[a] - levels[b] <= _FEW_LEVELS * max(sizes[a], sizes[b])
            or levels[a] < _MANY_WITHIN * levels[b]
        )
        and is_nested(codes[a], codes[b])
        for a, b in itertools.permutations(range(len(levels)), 2)
    )


def _scored(
    blocks: CrossedBlocks, form: Root, root: Array, nu: Array, reml: bool
) -> tuple[Array, Array]:
    """Roots after a step of Fisher scoring, linear in G; the least eigenvalue of what it solves."""
    rows, columns = form.places
    free = form.basis[:, rows, columns].T  # G has the structure of Y, so Y's basis serves
    G = np.matmul(root, root)
    gradient, expected = crossed_expected_hessian(blocks, G, nu, reml)
    H = np.matmul(np.matmul(free.T, expected), free)
    diagonal = np.einsum("rii->ri", H)
    unit = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = unit[:, :, None] * H * unit[:, None, :]
    finite = all_finite(scaled)
    least = np.linalg.eigvalsh(np.where(finite[:, None, None], scaled, 0.0))[:, 0]
    downhill = -np.matmul(gradient[:, None, :], free)[:, 0] * unit
    step, _ = solve_each(scaled, downhill)
    step = np.where(np.isfinite(step).all(axis=1, keepdims=True), step * unit, 0.0)
    moved = G + form.matrices(step)
    out = np.zeros_like(root)
    for own in _places(blocks.layout):
        out[:, own, own] = well_inside(moved[:, own, own])
    return out, np.where(finite, least, 1.0)


def _left(blocks: CrossedBlocks, rho: Array, n_obs: NDArray[np.intp], nu: Array) -> Array:
    """Sum of squares of the residuals, also if random effects of any size are free, (R,).

    Where these would explain every row, ρ alone tells.
    """
    spare = (n_obs - blocks.n_determined).astype(np.float64)
    if_free = np.divide(blocks.rr_rest * nu, spare, out=rho.copy(), where=spare > 0.0)
    return np.minimum(rho, if_free)


def _no_optimum(data: Crossings, form: Root) -> Optimum:
    """That of no dataset."""
    size = form.basis.shape[1]
    at = no_criterion(0, len(form.places[0]), data.n_fixed)
    none = np.empty(0)
    return Optimum(
        np.empty((0, size, size)), at, none, none, none.astype(bool), none.astype(np.intp)
    )


def _joined(parts: list[Optimum]) -> Optimum:
    if len(parts) == 1:
        return parts[0]
    at = Criterion(
        *(
            np.concatenate([getattr(part.at, field.name) for part in parts])
            for field in fields(Criterion)
        )
    )
    others = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Optimum)
        if field.name != "at"
    }
    return Optimum(at=at, **others)
