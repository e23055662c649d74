"""How the coefficients of groups differ from the truth."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmsweep.data import pieces
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.template import template_of
from rmsweep.data.vectors import scale, vector
from rmsweep.design import Condition, Value


def effects(condition: Condition, u: Array, means: Array, draws: Draws) -> Array:
    r"""The groups' effects, of mean 0 and variance 1, (n_groups, p).

    ``effect_distribution`` is that of each, ``effect_correlation`` their correlation R: LL' = R,
    Lu. With ``confounding``, ρ_j is the correlation of the intercepts with the group means of
    predictor j. Those are L_x m_g, with L_x L_x' the correlation of the predictors, and

    .. math:: u_{g0} \to a'm_g + \sqrt{1 - a'a}\; u_{g0}, \quad L_x a = \rho

    Truth
        β, the slope within groups. With τ0 the intercepts' SD, τ_m and σ_w the SDs of a single
        predictor between and within groups, and δ = ρτ0/τ_m the contextual effect, regression of
        group means tends to β + δτ_m²/(τ_m² + σ_w²/n), and least squares on all rows to
        β + ρτ0τ_m/(τ_m² + σ_w²), perhaps of the other sign: Simpson's paradox. A random intercept
        lies between the two estimates: with B = τ_m² + σ_w²/n, W = σ_w²(1 - 1/n) and ψ the ratio of
        the residual variance within groups to n times that of group means, it tends to
        β + δτ_m²ψ/(ψB + W).

    Misleads
        Confounding: `ols`, `lm` and regression of group means; mixed models with few rows per
        group a little or more. Right: `fe`, `lm2`, `lmer_mundlak`. Correlation: mixed models that
        leave it out are less efficient, and their standard errors wrong.
    """
    if condition["effect_distribution"] != "normal":
        own = draws.of(Purpose.EFFECTS)
        u = pieces.drawn("effect_distribution", condition["effect_distribution"], own, u)
    if condition["effect_correlation"] != 0:
        u = u @ scale(u.shape[1], 1.0, condition["effect_correlation"]).T
    if condition["confounding"] != 0:
        rho = vector(condition["confounding"], means.shape[1])
        L = scale(len(rho), 1.0, condition["predictor_correlation"])
        a = np.linalg.solve(L, rho)
        own_part = np.sqrt(max(0.0, 1.0 - float(a @ a)))
        u = np.column_stack([means @ a + own_part * u[:, 0], u[:, 1:]])
    return u


def of_levels(
    condition: Condition,
    factor: Literal["item", "site"],
    varies: NDArray[np.bool_],
    n_levels: int,
    rng: np.random.Generator,
) -> Array:
    """How the coefficients of another factor's levels differ from the truth, (n_levels, p).

    Parameters
    ----------
    condition : Condition
    factor : {"item", "site"}
        What the keys of its SDs and correlations begin with.
    varies : (n_predictors,) array of bool
        Which predictors vary within its levels. The SDs of the others' slopes are zero: they could
        not be told from the intercepts.
    n_levels : int
    rng : numpy.random.Generator
        Its own.
    """
    n_terms = int(condition["n_predictors"]) + 1
    v = rng.standard_normal((n_levels, n_terms))
    if condition[f"{factor}_correlation"] != 0:
        v = v @ scale(n_terms, 1.0, condition[f"{factor}_correlation"]).T
    ratio = vector(condition[f"{factor}_sigma_ratio"], n_terms)
    found: Array = v * (condition[f"{factor}_sigma"] * np.append(True, varies) * ratio)
    return found


def spread(condition: Condition) -> Array:
    """Between-group SD of each coefficient, (p,); zero at predictors of level 2 and 3."""
    n_predictors = condition["n_predictors"]
    if design := template_of(condition):
        same = design.group_level
    else:
        same = _above(condition["predictor_level"], n_predictors)
    return _spread(condition.sigma, same, condition["sigma_ratio"], n_predictors + 1)


@lru_cache
def _above(level: Value, n_predictors: int) -> tuple[int, ...]:
    """Places among the terms of the predictors of level 2 and 3."""
    return tuple((1 + np.flatnonzero(vector(level, n_predictors) > 1)).tolist())


@lru_cache
def _spread(sigma: float, same: tuple[int, ...], ratio: Value, n_terms: int) -> Array:
    varies = np.ones(n_terms)
    varies[[*same]] = 0.0
    spread: Array = sigma * varies * vector(ratio, n_terms)
    return spread
