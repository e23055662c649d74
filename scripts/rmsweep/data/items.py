r"""Items that groups meet: words, pictures, trials, or the classes of a school.

With ``n_items`` items each row is also of an item h, whose coefficients differ from the truth:

.. math::

    y_{gi} = \sum_k x_{gik} (\beta_k + \sigma_k u_{gk} + \omega_k v_{hk}) + e_{gi}, \quad
        \omega_k = \mathtt{item\_sigma} \cdot \mathtt{item\_sigma\_ratio}_k

v has variance 1 and the correlations ``item_correlation``; coefficient 0 is the intercept. Where a
predictor is constant within items, its ω is 0: it could not be told from the item's intercept.

``item_design`` says how a predictor goes along with items. One that varies ``within`` items has
values of its own in each row; if it is categorical, each group meets each of its items in all
combinations of the levels, one row after the other. ``between`` items, it has one value for each
item: levels are dealt out in turn. In a ``latin_square`` a group meets each item at one level, and
groups and items take turns: with C combinations of levels, the j-th item of a group g has number
(j + g) mod C, so that every C-th group has the same list.

A group has n_obs rows all the same. So it meets n_obs / C items, C being the number of combinations
within items. If that is less than n_items, each group meets a random sample of them, which is as
even as can be over the combinations between items. If it is more, each item is met again. With the
``item_layout`` ``nested``, each group has items of its own.

Where predictors come from a file, it says which row is of which item (`rmsweep.data.template`).

Truth
    β, the mean over groups and over items.

Misleads
    All strategies that know of the groups alone, about predictors with item slopes, and most about
    those that are constant within items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.cells import Codes
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.effects import of_levels
from rmsweep.data.template import template_of
from rmsweep.design import Condition, Value

DESIGNS = ("within", "between", "latin_square")
ALL = "all"
"""The number of items that stands for as many as a group meets."""


@dataclass(frozen=True, slots=True)
class Items:
    """Which item each row is of, and in what condition.

    Attributes
    ----------
    codes : (n,) int array
        0 ... I - 1; not every number has to occur.
    between : (I,) int array
        The combination of levels of the factors between items.
    latin : (n,) int array
        The combination of those in a Latin square.
    """

    codes: Codes
    between: Codes
    latin: Codes


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides how rows and items go together.

    Attributes
    ----------
    n_groups, n_obs, n_items : int
    n_met : int
        Number of items that a group meets.
    nested : bool
    combinations : tuple of int
        Of the levels of the factors within items, between items and in a Latin square.
    """

    n_groups: int
    n_obs: int
    n_items: int
    n_met: int
    nested: bool
    combinations: tuple[int, int, int]

    @classmethod
    def of(cls, condition: Condition, combinations: Mapping[str, int]) -> Plan:
        """The plan of a condition with items."""
        within, between, latin = (combinations[design] for design in DESIGNS)
        at_most = math.ceil(condition.n_obs / within)
        n_items = at_most if condition["n_items"] == ALL else int(condition["n_items"])
        return cls(
            condition.n_groups,
            condition.n_obs,
            n_items,
            min(n_items, at_most),
            condition["item_layout"] == "nested",
            (within, between, latin),
        )

    @property
    def sampled(self) -> bool:
        """Whether each group meets a sample of its own."""
        return not self.nested and self.n_met < self.n_items


def items_of(plan: Plan, draws: Draws) -> Items:
    """The items of rows that are sorted by group and time; all groups have as many."""
    if not plan.sampled:
        return _complete(plan)
    return _arranged(plan, sampled(plan, draws.of(Purpose.ITEM_SAMPLE)))


@lru_cache(maxsize=8)
def _complete(plan: Plan) -> Items:
    """Those of groups that all meet as many items; datasets of one plan share them."""
    items = _arranged(plan, np.tile(np.arange(plan.n_met), (plan.n_groups, 1)))
    for part in (items.codes, items.between, items.latin):
        part.flags.writeable = False
    return items


def sampled(plan: Plan, rng: np.random.Generator) -> Codes:
    """The items that each group meets, in their order, (n_groups, n_met)."""
    n_between = plan.combinations[1]
    order = rng.random((plan.n_groups, plan.n_items))
    ranks = np.empty_like(order)
    for own in range(n_between):
        columns = order[:, own::n_between]
        ranks[:, own::n_between] = columns.argsort(axis=1).argsort(axis=1)
    # of each combination the first, then of each the second, ...
    chosen = (ranks + order).argsort(axis=1)[:, : plan.n_met]
    return np.sort(chosen, axis=1)


def _arranged(plan: Plan, met: Codes) -> Items:
    """The items of each row from those that each group meets, (n_groups, n_met)."""
    n_within, n_between, n_latin = plan.combinations
    of_item = met % n_between
    # which of the group's items of its combination it is
    place = np.empty_like(met)
    for own in range(n_between):
        place = np.where(of_item == own, np.cumsum(of_item == own, axis=1) - 1, place)
    latin = (place + np.arange(plan.n_groups)[:, None]) % n_latin
    codes = met
    between = np.arange(plan.n_items) % n_between
    if plan.nested:
        codes = met + plan.n_met * np.arange(plan.n_groups)[:, None]
        between = np.tile(between[: plan.n_met], plan.n_groups)
    column = np.arange(plan.n_obs) // n_within % plan.n_met
    return Items(codes[:, column].ravel(), between, latin[:, column].ravel())


def design_of(x: Array, groups: Codes, items: Codes) -> str:
    """How a predictor with two values goes along with items; empty if in no way that data have.

    Parameters
    ----------
    x : (n,) array
        The predictor.
    groups, items : (n,) int array
        Levels 0, 1, ...

    Returns
    -------
    str
        One of `DESIGNS`, if each group meets each item once, or within items once at each value,
        and both values are as often, to within one: for each group, and in a Latin square for the
        two lists of items.
    """
    n_groups, n_items = int(groups.max()) + 1, int(items.max()) + 1
    cells = groups * n_items + items
    times = np.bincount(cells, minlength=n_groups * n_items)
    high = np.bincount(cells, x == x.max(), minlength=n_groups * n_items)
    if (times == 2).all() and (high == 1).all():
        return "within"
    lists, readers = np.unique(high.reshape(n_groups, n_items), axis=0, return_counts=True)
    if (times != 1).any() or (np.abs(2 * lists.sum(axis=1) - n_items) > 1).any():
        return ""
    if len(lists) == 1:
        return "between"
    opposite = len(lists) == 2 and bool((lists.sum(axis=0) == 1).all())
    return "latin_square" if opposite and abs(readers[0] - readers[1]) <= 1 else ""


def item_effects(condition: Condition, n_items: int, draws: Draws) -> Array:
    """How the coefficients of items differ from the truth, (n_items, p)."""
    varies = ~between_items(condition)
    if design := template_of(condition):
        varies = ~np.isin(np.arange(1, design.n_predictors + 1), design.constant)
    own = draws.of(Purpose.ITEM_EFFECTS)
    return of_levels(condition, "item", varies, n_items, own)


def designs(condition: Condition) -> tuple[str, ...]:
    """How each predictor goes along with items."""
    return _designs(condition["item_design"], condition["n_predictors"])


@lru_cache
def _designs(design: Value, n_predictors: int) -> tuple[str, ...]:
    return design if isinstance(design, tuple) else (str(design),) * n_predictors


def between_items(condition: Condition) -> NDArray[np.bool_]:
    """Which predictors are constant within items, (n_predictors,)."""
    return np.array([design == "between" for design in designs(condition)])
