"""Values of a condition that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rmsweep.data import pieces
from rmsweep.data.items import ALL, Plan, between_items, designs
from rmsweep.data.options import NotAllowedError
from rmsweep.data.patterns import CATEGORICAL, PATTERNS
from rmsweep.data.predictors import between, combinations, per_predictor
from rmsweep.data.sites import between_sites
from rmsweep.data.template import Template, template_of
from rmsweep.data.variances import CORRELATIONS
from rmsweep.data.vectors import scale, vector
from rmsweep.design import MAIN, Condition

ROUNDING = 1e-9
OF_ITEMS = ("item_sigma", "item_sigma_ratio", "item_correlation", "item_design", "item_layout")
OF_SITES = ("site_sigma", "site_sigma_ratio", "site_correlation")


def contradiction(condition: Condition) -> tuple[str, str] | None:
    """The first key whose value can't be had beside the others, and what it could be.

    Parameters
    ----------
    condition : Condition
        Its values are allowed, each by itself.

    Raises
    ------
    PieceError
        If a file of the user's own fails.
    """
    if design := template_of(condition):
        return of_design(condition, design)
    n_predictors = int(condition["n_predictors"])
    level = vector(condition["predictor_level"], n_predictors)
    if (np.diff(level) < 0).any():
        return "predictor_level", "predictors of level 2 after those of level 1, and level 3 last"
    ratio = condition["sigma_ratio"]
    if isinstance(ratio, tuple) and any(np.array(ratio[1:])[level > 1]):
        return "sigma_ratio", "0 for predictors of level 2 or 3, or one number"
    names = [pieces.name_of(one) for one in per_predictor(condition)]
    if any(name in PATTERNS for name, own in zip(names, level, strict=True) if own > 1):
        allowed = f"no {', '.join(PATTERNS)} for predictors of level 2 or 3"
        return "predictor_distribution", allowed
    _, in_all = combinations(condition)
    needed = {"trend": 2} | dict.fromkeys(CATEGORICAL, in_all["within"])
    for name, least in needed.items():
        if name in names and condition.n_obs < least:
            return "predictor_distribution", f"{name} with n_obs of {least} or more"
    return (
        of_confounding(condition)
        or of_sizes(condition)
        or of_correlations(condition)
        or of_items(condition)
        or of_sites(condition)
    )


def of_design(condition: Condition, design: Template) -> tuple[str, str] | None:
    """What is wrong with the values of a condition whose predictors come from a file."""
    has_items = design.cells is not None
    not_there = ["confounding", "group_sizes", "item_design", "item_layout", "n_sites", *OF_SITES]
    if has_items != bool(condition["n_items"]) or condition["n_items"] not in (0, ALL):
        return "n_items", "all, as the file has items" if has_items else "0, as the file has none"
    if not has_items:
        not_there += OF_ITEMS
    for key in condition.identity:
        if key.startswith("predictor_") or key in not_there:
            return key, "its default where predictors come from a file"
    n_predictors = int(condition["n_predictors"])
    if n_predictors != design.n_predictors:
        return "n_predictors", f"{design.n_predictors}, as the file of predictors has"
    ratio = condition["sigma_ratio"]
    if isinstance(ratio, tuple) and any(ratio[k] for k in design.group_level):
        names = ", ".join(design.terms[k] for k in design.group_level)
        return "sigma_ratio", f"0 for what is constant within groups, {names}, or one number"
    ratio = condition["item_sigma_ratio"]
    if isinstance(ratio, tuple) and any(ratio[k] for k in design.constant):
        names = ", ".join(design.terms[k] for k in design.constant)
        return "item_sigma_ratio", f"0 for what is constant within items, {names}, or one number"
    return of_correlations(condition)


def of_confounding(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with the correlations of intercepts and predictors."""
    if condition["confounding"] == 0:
        return None
    rho = vector(condition["confounding"], int(condition["n_predictors"]))
    if (rho[between(condition) == 0] != 0).any():
        return "confounding", "0 for predictors whose groups don't differ: see predictor_icc"
    a = np.linalg.solve(scale(len(rho), 1.0, condition["predictor_correlation"]), rho)
    if a @ a > 1 + ROUNDING:
        return "confounding", "correlations that are possible together"
    return None


def of_sizes(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with the sizes of groups."""
    if condition["group_sizes"] == "equal":
        return None
    none = np.zeros((condition.n_groups, int(condition["n_predictors"]) + 1))
    try:
        pieces.sizes(condition["group_sizes"], np.random.default_rng(0), none, condition.n_obs)
    except NotAllowedError as error:
        return "group_sizes", str(error)
    return None


def of_correlations(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with correlations that are drawn anew."""
    reach = condition["correlation_range"]
    if not reach:
        return None
    n_terms = int(condition["n_predictors"]) + 1
    for key in CORRELATIONS:
        if isinstance(condition[key], tuple):
            return key, "one number, with correlation_range"
        lowest, highest = condition[key] - reach, condition[key] + reach
        if highest >= 1 or 1 + (n_terms - 1) * lowest <= ROUNDING:
            allowed = "what leaves all correlations within it possible: see docs/scenarios.md"
            return "correlation_range", allowed
    return None


def of_items(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with items."""
    if not condition["n_items"]:
        return _not_at_default(condition, OF_ITEMS, "items")
    if condition["group_sizes"] != "equal":
        return "group_sizes", "equal, with items"
    _, in_all = combinations(condition)
    plan = Plan.of(condition, in_all)
    if plan.n_met < 2:
        return "n_items", f"with n_obs of {condition.n_obs} none: a group would meet one item"
    ratio, across = condition["item_sigma_ratio"], between_items(condition)
    if isinstance(ratio, tuple) and any(np.array(ratio[1:])[across]):
        return "item_sigma_ratio", "0 for predictors that are constant within items, or one number"
    for design in ("between", "latin_square"):
        if in_all[design] > plan.n_met:
            return "item_design", f"{design} with {in_all[design]} items or more for each group"
    return of_item_design(condition)


def of_sites(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with sites."""
    across = between_sites(condition)
    if not condition["n_sites"]:
        if across.any():
            return "predictor_level", "1 or 2 without sites: see n_sites"
        return _not_at_default(condition, OF_SITES, "sites")
    if condition["n_sites"] >= condition.n_groups:
        return "n_sites", f"fewer than n_groups, which is {condition.n_groups}"
    ratio = condition["site_sigma_ratio"]
    if isinstance(ratio, tuple) and any(np.array(ratio[1:])[across]):
        return "site_sigma_ratio", "0 for predictors of level 3, or one number"
    if across.any() and condition["confounding"] != 0:
        return "confounding", "0 beside predictors of level 3"
    return None


def _not_at_default(condition: Condition, keys: Sequence[str], what: str) -> tuple[str, str] | None:
    """The first of some keys that means nothing in data without such levels."""
    given = set(condition.identity).difference(MAIN)
    allowed = f"no other than the default without {what}: see n_{what}"
    return next(((key, allowed) for key in keys if key in given), None)


def of_item_design(condition: Condition) -> tuple[str, str] | None:
    """What is wrong with how predictors go along with items."""
    n_predictors = int(condition["n_predictors"])
    groups = between(condition) > 0
    series = vector(condition["predictor_autocorrelation"], n_predictors) != 0
    for j, (piece, design) in enumerate(
        zip(per_predictor(condition), designs(condition), strict=True)
    ):
        name = pieces.name_of(piece)
        if design == "latin_square" and name not in CATEGORICAL:
            return "item_design", f"latin_square for {', '.join(CATEGORICAL)}"
        if design != "within" and (groups[j] or series[j]):
            allowed = "within for predictors with predictor_level 2 or 3, _icc or _autocorrelation"
            return "item_design", allowed
        if design == "between" and name == "trend":
            return "item_design", "within for trend"
    return None
