"""The scenario: linear predictors whose coefficients differ between groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data import pieces
from rmsweep.data.cells import FACTOR
from rmsweep.data.dataset import Array, Dataset
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.effects import effects, spread
from rmsweep.data.items import ALL, Plan, between_items, item_effects, items_of
from rmsweep.data.noise import noise
from rmsweep.data.predictors import combinations, group_means, predictors
from rmsweep.data.rows import Rows, rows_of
from rmsweep.data.sites import FACTOR as SITE
from rmsweep.data.sites import between_sites, of_rows, site_effects, sites_of
from rmsweep.data.template import template_of
from rmsweep.data.variances import as_drawn
from rmsweep.data.vectors import vector
from rmsweep.design import Condition, Value, seed_words

RANDOM = "random"
"""The `beta` that stands for a fresh draw in each dataset."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated dataset and the truth behind it.

    Attributes
    ----------
    data : Dataset
        Rows sorted by group and, within groups, by time.
    betas : (p,) array
        True coefficients, the intercept first.
    coefficients : (n_groups, p) array
        Each group's own coefficients (the post's "BLUPs"), of the groups that have rows.
    item_effects : (n_items, p) array or None
        How the coefficients of each item that has rows differ from the truth.
    site_effects : (n_sites, p) array or None
        The same of sites.
    """

    data: Dataset
    betas: Array
    coefficients: Array
    item_effects: Array | None = None
    site_effects: Array | None = None


def simulate(seed: int, condition: Condition, sim: int) -> Simulated:
    r"""Simulate the dataset of one cell.

    For group g, observation i and coefficient k (0 is the intercept):

    .. math::

        \beta_k &\sim U(0, 1) \quad\text{(a fresh draw for every dataset), or as given by beta} \\
        b_{gk} &= \beta_k + \sigma_k u_{gk}, \quad
            \sigma_k = \mathtt{sigma} \cdot \mathtt{sigma\_ratio}_k \\
        x_{gi} &\quad\text{see } \mathtt{rmsweep.data.predictors} \\
        y_{gi} &= b_{g0} + \sum_j x_{gij} b_{gj} + e_{gi}, \quad
            e_{gi} = \mu_e + \mathtt{noise\_sd} \cdot s_g\, \varepsilon_{gi}

    u, the parts of x, and ε have variance 1. By default they are independent and normal, s_g is 1,
    every group has n_obs rows, and all of them are observed. Then the coefficients of a group are
    independent of each other, so that `lmer`, which estimates their correlations, is
    over-parameterised, and `lmer_mis`, which gives all groups the same slopes, is misspecified as
    soon as the slopes' sigma is above 0. What else there may be: `effects`, `noise`,
    `rmsweep.data.distributions`, `layouts`, `missing`, `items`, `sites`, `variances`, and x from
    a file (`template`).

    Betas, u, w and ε come from one stream, in this order, whatever the scenario; what a scenario
    adds comes from children of the cell's seed. So scenarios are compared on the same numbers.

    The truth is β, in all of them: the mean of the groups' coefficients, of the items' and of the
    sites', and the slope within groups.

    Parameters
    ----------
    seed : int
        The study's.
    condition : Condition
        The data-generating values.
    sim : int
        The replication.

    Returns
    -------
    Simulated

    Raises
    ------
    PieceError
        If a piece of the user's own fails.
    """
    words = seed_words(seed, condition, sim)
    rng = np.random.default_rng(np.random.SeedSequence(words))
    draws = Draws(seed, condition, sim)
    condition = as_drawn(condition, draws)
    n_groups, n_obs, n_predictors = condition.n_groups, condition.n_obs, condition["n_predictors"]
    n_terms = n_predictors + 1

    betas = rng.random(n_terms)
    if condition["beta"] != RANDOM:  # drawn all the same: what follows has the same random numbers
        betas = vector(condition["beta"], n_terms)
    u = rng.standard_normal((n_groups, n_terms))
    w = rng.standard_normal((n_groups * n_obs, n_predictors))
    z = rng.standard_normal(n_groups * n_obs)

    means = group_means(condition, draws)
    coefficients = betas + spread(condition) * effects(condition, u, means, draws)
    factors, effects_of, sites = {}, {}, None
    if design := template_of(condition):
        own = draws.of(Purpose.TEMPLATE)
        X, sizes, items = pieces.resampled(condition["predictors"], own, n_groups, n_obs)
        rows = rows_of(tuple(sizes.tolist()))
        # the items that are taken can have more rows than n_obs, or none of a group
        z = np.append(z, own.standard_normal(max(0, len(X) - len(z))))[: len(X)]
        coefficients = coefficients[: len(sizes)]
        n_items = 0 if items is None else int(items.max()) + 1
    else:
        order, rows = layout(condition, coefficients, draws)
        if order is not None:
            coefficients, means = coefficients[order], means[order]
        arranged = None
        if condition["n_items"]:
            arranged = items_of(Plan.of(condition, combinations(condition)[1]), draws)
        if condition["n_sites"]:
            sites = sites_of(n_groups, int(condition["n_sites"]), rows.equal)
        X = predictors(condition, w, means, rows, draws, arranged, sites)
        items = arranged.codes if arranged else None
        n_items = len(arranged.between) if arranged else 0
    y = signal(X, coefficients, rows)
    if items is not None:
        factors[FACTOR] = items
        effects_of[FACTOR] = item_effects(condition, n_items, draws)
    if sites is not None:
        factors[SITE] = of_rows(sites, rows)
        effects_of[SITE] = site_effects(condition, draws)
    for name, of_levels in effects_of.items():
        y = y + np.einsum("nk,nk->n", X, of_levels[factors[name]])
    y = y + noise(condition, z, rows, draws)
    factors = {"Group": rows.groups, **factors}

    if condition["missing"] != "none":
        observed = pieces.observed(condition["missing"], draws.of(Purpose.MISSING), y, rows)
        y, X = y[observed], X[observed]
        # a group without rows is gone, and the others move up
        there, factors["Group"] = np.unique(rows.groups[observed], return_inverse=True)
        coefficients = coefficients[there]
        for name in effects_of:
            factors[name] = factors[name][observed]
    for name, of_levels in effects_of.items():
        if not np.bincount(factors[name], minlength=len(of_levels)).all():
            met, factors[name] = np.unique(factors[name], return_inverse=True)
            effects_of[name] = of_levels[met]
    for part in (y, X):  # a strategy that changed them would change them for all
        part.flags.writeable = False
    data = Dataset(
        y=y,
        X=X,
        factors=factors,
        terms=design.words if design else terms(n_predictors),
        group_level=group_level(condition),
        cross_level=design.called(design.cross_level) if design else (),
        constant=constant(condition),
        determined={FACTOR: design.called(design.determined)} if design and design.cells else {},
        entropy=(*words.tolist(), Purpose.RESAMPLING),
    )
    return Simulated(data, betas, coefficients, effects_of.get(FACTOR), effects_of.get(SITE))


def signal(X: Array, coefficients: Array, rows: Rows) -> Array:
    """What the groups' coefficients say of each row, (n,)."""
    n_groups, n_terms = coefficients.shape
    sums: Array
    if rows.equal:  # the same to the bit, without each row's coefficients in memory
        sums = np.einsum("gik,gk->gi", X.reshape(n_groups, -1, n_terms), coefficients).ravel()
    else:
        sums = np.einsum("nk,nk->n", X, coefficients[rows.groups])
    return sums


def layout(
    condition: Condition, coefficients: Array, draws: Draws
) -> tuple[NDArray[np.intp] | None, Rows]:
    """The order of the groups, None for that in which they are, and their rows.

    Groups are sorted by their number of rows. It makes no difference which number a group has, and
    datasets of one condition have the same rows.
    """
    n_groups, n_obs = condition.n_groups, condition.n_obs
    if condition["group_sizes"] == "equal":
        return None, rows_of((n_obs,) * n_groups)
    own = draws.of(Purpose.LAYOUT)
    sizes = pieces.sizes(condition["group_sizes"], own, coefficients, n_obs)
    order = np.argsort(sizes, kind="stable")
    return order, rows_of(tuple(sizes[order].tolist()))


def tail_df(condition: Condition) -> float:
    """Degrees of freedom of the t distribution whose tails estimates have, whatever makes them.

    Estimates are weighted sums of noise and effects and have their tails. The variance of the slope
    of a predictor of level 3 has the sites' sum of squares in its denominator: with S sites and q
    such predictors, normal ones, chi-squared with S - q degrees of freedom. Infinite for lighter
    tails.
    """
    keys = ("noise_distribution", "effect_distribution")
    found = min(pieces.tail_df(key, condition[key]) for key in keys)
    if q := int(between_sites(condition).sum()):
        found = min(found, max(float(int(condition["n_sites"]) - q), 1.0))
    return found


# smaller groups than this are as good as impossible
NEGLIGIBLE = 1e-9


def smallest_group(condition: Condition) -> int:
    """The least rows that a group of a condition's datasets may have.

    Where rows are missing completely at random, that is what a group falls below with a probability
    of 1e-9; where anything else decides, 1.
    """
    layout, absent = condition["group_sizes"], condition["missing"]
    design = template_of(condition)
    if sizes_differ(condition) or (design and design.rows_differ):
        return 1
    rng, n_groups, n_obs = np.random.default_rng(0), condition.n_groups, condition.n_obs
    if design:
        sizes = pieces.resampled(condition["predictors"], rng, n_groups, n_obs).sizes
    else:
        none = np.zeros((n_groups, condition["n_predictors"] + 1))
        sizes = pieces.sizes(layout, rng, none, n_obs)
    least = int(sizes.min())
    if absent == "none":
        return least
    if pieces.name_of(absent) != "mcar":
        return 1
    from scipy.stats import binom

    chosen = pieces.options("missing", absent)
    rate = chosen["rate"] + chosen["spread"]
    return max(1, int(binom.ppf(NEGLIGIBLE, least, 1 - rate)))


def rows_differ(condition: Condition) -> bool:
    """Whether the datasets of a condition may differ in which group and item has how many rows."""
    if design := template_of(condition):
        sampled = design.rows_differ
    else:
        sampled = bool(condition["n_items"]) and (
            Plan.of(condition, combinations(condition)[1]).sampled
        )
    return condition["missing"] != "none" or sampled or sizes_differ(condition)


def sizes_differ(condition: Condition) -> bool:
    """Whether that is so even if no row is missing."""
    return pieces.is_file(pieces.name_of(condition["group_sizes"]))


def equal_groups(condition: Condition) -> bool:
    """Whether all groups have as many rows before any is missing."""
    design = template_of(condition)
    return design.equal if design else condition["group_sizes"] == "equal"


def complete(condition: Condition) -> Condition:
    """The same condition with no row missing."""
    return replace(condition, values=dict(condition.values) | {"missing": "none"})


def extremes(condition: Condition) -> list[Condition]:
    """The same condition, or where groups meet samples of the items, what these lie between.

    Of each item there are most rows if all groups meet the same ones, and there are most items if
    all groups meet others.
    """
    if not (condition["n_items"] and Plan.of(condition, combinations(condition)[1]).sampled):
        return [condition]
    values = dict(condition.values) | {"n_items": ALL}
    return [
        replace(condition, values=values | {"item_layout": layout})
        for layout in ("crossed", "nested")
    ]


def fixed_truth(condition: Condition, term: int) -> float | None:
    """The true coefficient of a term, if it is the same in all datasets of a condition."""
    if condition["beta"] == RANDOM:
        return None
    return float(vector(condition["beta"], int(condition["n_predictors"]) + 1)[term])


def group_level(condition: Condition) -> tuple[str, ...]:
    """The terms that are constant within groups, the intercept aside, as datasets name them."""
    if design := template_of(condition):
        return design.called(design.group_level)
    return _group_level(condition["predictor_level"], condition["n_predictors"])


@lru_cache
def _group_level(level: Value, n_predictors: int) -> tuple[str, ...]:
    n_level_1 = int((vector(level, n_predictors) == 1).sum())
    return terms(n_predictors)[n_level_1 + 1 :]


def term_names(condition: Condition) -> tuple[str, ...]:
    """What tables call the coefficients of a condition, the intercept first."""
    design = template_of(condition)
    return design.terms if design else terms(int(condition["n_predictors"]))


def terms_of(conditions: Iterable[Condition]) -> tuple[str, ...]:
    """All coefficients of some conditions, by the names that tables have."""
    return tuple(dict.fromkeys(term for one in conditions for term in term_names(one)))


def constant(condition: Condition) -> dict[str, tuple[str, ...]]:
    """The terms that are constant within the levels of factors other than the groups'."""
    if design := template_of(condition):
        return {FACTOR: design.called(design.constant)} if design.cells else {}
    if not (condition["n_items"] or condition["n_sites"]):
        return {}
    names = np.array(terms(condition["n_predictors"])[1:])
    same = {}
    if condition["n_items"]:
        same[FACTOR] = between_items(condition)
    if condition["n_sites"]:
        same[SITE] = between_sites(condition)
    return {factor: tuple(names[own].tolist()) for factor, own in same.items()}


@lru_cache
def terms(n_predictors: int) -> tuple[str, ...]:
    """Names of the coefficients, the intercept first."""
    return ("Intercept", *(f"IV{k + 1}" for k in range(n_predictors)))
