"""The classic analyses of people and items: by subjects (F1), by items (F2), and both (min F')."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from rmsweep.data import pieces
from rmsweep.data.cells import FACTOR
from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.data.items import Plan, between_items
from rmsweep.data.patterns import PATTERNS
from rmsweep.data.predictors import combinations, per_predictor
from rmsweep.data.scenario import rows_differ
from rmsweep.data.template import template_of
from rmsweep.design import Condition
from rmsweep.strategies import Fit, FitError, NoOptions, OwnTests, Preset, lacks, two_stage
from rmsweep.strategies.inference import LEVEL
from rmsweep.strategies.seen_from import all_seen_from, said_of, seen_and_fitted, seen_from

ENGINE, PACKAGES = two_stage.ENGINE, two_stage.PACKAGES


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of the two analyses.

    Attributes
    ----------
    test : {"F1", "F2", "min F'"}
        By subjects, which are the groups; by items; or Clark's lower bound of the F of both.
    """

    test: Literal["F1", "F2", "min F'"] = "min F'"


PRESETS = {
    "f1": Preset(
        "Analysis by subjects (F1)",
        {"test": "F1"},
        assumes="items that don't differ, or items that nobody wants to generalise from",
        convention="t test over groups of their own coefficients, t^2 = F1; predictors of the "
        "groups by OLS of the groups' intercepts",
        reference="aov of the groups' means (Clark 1973)",
        use="to see what it costs to ignore items: far too many false positives",
        needs_items=True,
    ),
    "f2": Preset(
        "Analysis by items (F2)",
        {"test": "F2"},
        assumes="groups that don't differ",
        convention="t test over items of their own coefficients, t^2 = F2; predictors that are "
        "constant within items by OLS of the items' intercepts",
        reference="aov of the items' means (Clark 1973)",
        use="beside f1; significance in both is no test of both",
        needs_items=True,
    ),
    "min_f": Preset(
        "Clark's min F' of subjects and items",
        {"test": "min F'"},
        assumes="groups and items that differ; balanced data",
        convention="F1 F2/(F1 + F2) on 1 and (F1 + F2)^2/(F1^2/df2 + F2^2/df1) degrees of "
        "freedom; estimate as f1, SE^2 the sum of both, t interval on Welch's df",
        reference="Clark 1973; Raaijmakers et al. 1999",
        use="as the closed form that generalises to new people and new items; conservative where "
        "either hardly differs",
        needs_items=True,
    ),
}
REGRESSION = two_stage.Inference(second_stage="regression")

warm_up = two_stage.warm_up


class Both(NamedTuple):
    """The analyses of one dataset."""

    by_subjects: Fit
    by_items: Fit


def refuses(data: Dataset, options: NoOptions) -> str:
    """What either of the two analyses can't be made of."""
    if reason := lacks(data, FACTOR):
        return reason
    for factor in (data.group, FACTOR):
        seen = seen_from(data, factor)
        reason = two_stage.refuses(seen, options) or two_stage.refuses_to_infer(seen, REGRESSION)
        if reason:
            by = "" if factor == data.group else "by items: "
            return by + said_of(factor, data, reason)
    return ""


def tail_df(condition: Condition, options: NoOptions) -> float:
    """Tails of the estimates: as `two_stage`, by subjects and by items.

    Predictors with fixed values, such as conditions, leave the estimates normal; so do those of a
    file.
    """
    fixed = all(pieces.name_of(piece) in PATTERNS for piece in per_predictor(condition))
    if fixed or template_of(condition):
        return np.inf
    if rows_differ(condition) or not condition["n_items"]:
        return 1.0
    plan = Plan.of(condition, combinations(condition)[1])
    n_rows, n_items = condition.n_groups * condition.n_obs, plan.n_met
    if plan.nested:
        n_items *= condition.n_groups
    across = int(between_items(condition).sum())
    within = int(condition["n_predictors"]) - across
    of_items = [n_rows // n_items - within, *([n_items - across] if across else [])]
    return max(float(min(two_stage.tail_df(condition, options), *of_items)), 1.0)


def fit(data: Dataset, options: NoOptions) -> Both:
    """Make both analyses by statsmodels: a regression for each subject, and for each item.

    With one response to each item in each condition the regressions give differences between means
    of conditions, and their tests are those of the analysis of variance of these means.
    """

    def of(seen: Dataset) -> Fit:
        return two_stage.infer(seen, two_stage.fit(seen, options), REGRESSION)

    return Both(*(seen_and_fitted(data, factor, of) for factor in (data.group, FACTOR)))


def infer(data: Dataset, fitted: Both, inference: Inference) -> Fit:
    """Make of both what is asked for."""
    if inference.test == "min F'":
        return min_f(*fitted)
    of, by = {"F1": ("subjects", fitted.by_subjects), "F2": ("items", fitted.by_items)}[
        inference.test
    ]
    return replace(by, se_type=f"coefficients by {of} ({inference.test})")


def fit_batch(batch: Batch, options: NoOptions) -> list[tuple[Fit | FitError, Fit | FitError]]:
    """Make both by closed forms, from the cross-products of groups and of items."""
    factors = batch.datasets[0].group, FACTOR
    both = (all_seen_from(batch, factor, by_regressions) for factor in factors)
    return list(zip(*both, strict=True))


def by_regressions(batch: Batch) -> list[Fit | FitError]:
    """One of the two for each dataset, seen from the factor in question."""
    return two_stage.infer_batch(batch, two_stage.fit_batch(batch, NoOptions()), REGRESSION)


def infer_batch(
    batch: Batch, fitted: Sequence[tuple[Fit | FitError, Fit | FitError]], inference: Inference
) -> list[Fit | FitError]:
    """Make of them what is asked for; there must be both."""
    found: list[Fit | FitError] = []
    for data, (by_subjects, by_items) in zip(batch.datasets, fitted, strict=True):
        if isinstance(by_subjects, FitError):
            found.append(by_subjects)
        elif isinstance(by_items, FitError):
            found.append(by_items)
        else:
            found.append(infer(data, Both(by_subjects, by_items), inference))
    return found


def min_f(by_subjects: Fit, by_items: Fit) -> Fit:
    r"""Clark's test of each coefficient.

    .. math::

        \min F' = \frac{F_1 F_2}{F_1 + F_2}, \quad
        \nu = \frac{(F_1 + F_2)^2}{F_1^2 / \nu_2 + F_2^2 / \nu_1}

    on 1 and ν degrees of freedom, ν₁ and ν₂ being those of F₁ and F₂ (Clark 1973, J. Verbal
    Learning and Verbal Behavior 12:335). Where both analyses have the same estimate, as in balanced
    data, that is the test of the estimate by SE² = SE₁² + SE₂² with the degrees of freedom of Welch
    and Satterthwaite, and the interval is this test's inversion.
    """
    from scipy.special import fdtrc, stdtrit

    squared = np.square([by_subjects.se, by_items.se])
    variance, dfs = squared.sum(axis=0), np.array([by_subjects.df, by_items.df])
    with np.errstate(divide="ignore", invalid="ignore"):
        f1, f2 = (np.square(one.estimate / one.se) for one in (by_subjects, by_items))
        statistic = np.where(f1 + f2 > 0, f1 * f2 / (f1 + f2), 0.0)
        df2 = np.square(f1 + f2) / (np.square(f1) / dfs[1] + np.square(f2) / dfs[0])
        welch: Array = np.square(variance) / (np.square(squared) / dfs).sum(axis=0)
    # without any effect there is nothing to weigh by
    p_value = fdtrc(1.0, np.where(np.isnan(df2), welch, df2), statistic)
    estimate, se = by_subjects.estimate, np.sqrt(variance)
    half = se * stdtrit(welch, (1 + LEVEL) / 2)
    return Fit(
        estimate=estimate,
        se=se,
        df=welch,
        se_type="both analyses'",
        df_type="Welch",
        ci_type="t",
        own=OwnTests("min F'", p_value, estimate - half, estimate + half),
    )
