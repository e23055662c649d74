"""Time, memory and blocks: how the work is cut into jobs of a useful length.

The seconds of one fit are modelled as ``fixed + per_group N + per_row N O``. The coefficients
below were fitted by ``benchmarks/cost_model.py`` to the timings of a finished default study, those
of the native engine (`benchmarks/strategies.py`), and of what `benchmarks/reference_programs.py`
measured, rounded up by hand; a factor of two does no harm. A strategy that is not listed is taken
to cost as much as lme4's full model. Tests of a strategy's own are made twice, the second time of
the truth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from rmsweep import strategies
from rmsweep.data.scenario import equal_groups, rows_differ
from rmsweep.data.template import template_of
from rmsweep.design import Block, Condition, Strategy, Study


class Cost(NamedTuple):
    """Seconds of CPU time per fit: a constant, per group, and per row of the data."""

    fixed: float
    per_group: float
    per_row: float


# full models that differ in what is made of them, or in little else
FULL = ("lmer", "lmer_bw", "lmer_ml", "lmer_mundlak", "lmer_t", "lmer_z", "lmer_zcp")
OF_ITEMS = ("lmer_items", "lmer_items_mis", "lmer_items_z", "lmer_items_zcp")
BY_ITEMS = ("f1", "f2", "min_f")
OF_SITES = ("lmer_sites", "lmer_sites_mis")
COSTS = {
    "statsmodels": {
        "lm": Cost(3.3e-3, 5.3e-6, 4.9e-7),
        **dict.fromkeys(("ols", "lm_cr1", "lm_z"), Cost(3.3e-3, 5.3e-6, 4.9e-7)),
        "lm2": Cost(9.4e-4, 5.4e-4, 9.5e-7),
        **dict.fromkeys(("lm2_hc3", "lm2_level2"), Cost(9.4e-4, 5.4e-4, 9.5e-7)),
        "lm2_signflip": Cost(3e-3, 5.4e-4, 9.5e-7),
        "between": Cost(2e-3, 0.0, 5e-7),
        "gee_exch_md": Cost(5e-3, 3e-4, 1.5e-5),
        "lm_twoway": Cost(4e-3, 5.3e-6, 1e-6),
        **dict.fromkeys(BY_ITEMS, Cost(2e-3, 5.4e-4, 2e-5)),
        "lm_sites": Cost(4e-3, 5.3e-6, 4.9e-7),
        "lm2_sites": Cost(2e-3, 2e-4, 9.5e-7),
    },
    "clubSandwich": dict.fromkeys(("lm_cr2", "lm_cr3", "lm_sites_cr2"), Cost(1e-2, 1e-4, 1e-4)),
    "plm": {
        "fe": Cost(2e-2, 0.0, 1e-6),
        "fe_cr2": Cost(2e-2, 1e-4, 4e-5),
        "lm2_swamy": Cost(3e-2, 2.4e-3, 0.0),
    },
    "metafor": {"lm2_weighted": Cost(4e-2, 5e-4, 0.0)},
    "geepack": {"gee_exch": Cost(1e-2, 0.0, 9e-5)},
    "numpy": {"lm_wild": Cost(1e-2, 2e-5, 0.0)},
    "lme4": {
        **dict.fromkeys(FULL, Cost(0.16, 0.0, 1.7e-4)),
        "lmer_blme": Cost(0.3, 0.0, 5e-5),
        "lmer_cr2": Cost(0.2, 0.0, 2.6e-4),
        "lmer_kr": Cost(0.45, 0.0, 1e-3),
        "lmer_lrt": Cost(1.2, 0.0, 1.4e-3),
        "lmer_mis": Cost(0.086, 8.6e-6, 9.6e-6),
        "lmer_mis_cr2": Cost(0.13, 0.0, 1e-4),
        "lmer_select": Cost(0.4, 0.0, 1.7e-4),
        **dict.fromkeys(OF_ITEMS, Cost(0.16, 0.0, 2.2e-4)),
        "lmer_items_boot": Cost(10.0, 0.0, 0.3),
        "lmer_items_kr": Cost(0.3, 0.0, 2e-3),
        "lmer_items_lrt": Cost(0.4, 0.0, 1e-3),
        "lmer_items_select": Cost(0.4, 0.0, 4e-4),
        **dict.fromkeys(OF_SITES, Cost(0.16, 0.0, 2.2e-4)),
        "lmer_sites_kr": Cost(0.3, 0.0, 2e-3),
    },
    "nlme": {"lmer_ar1": Cost(0.05, 0.0, 7e-5)},
    "python": {"rm_anova": Cost(3e-4, 0.0, 1e-7)},
    "native": {
        **dict.fromkeys(FULL, Cost(2e-3, 1e-5, 0.0)),
        "lmer_blme": Cost(2e-3, 1e-5, 0.0),
        "lmer_cr2": Cost(2.2e-3, 2e-5, 0.0),
        "lmer_kr": Cost(2e-3, 1.2e-5, 0.0),
        "lmer_lrt": Cost(8e-3, 4e-5, 0.0),
        "lmer_mis_cr2": Cost(3e-4, 2e-5, 0.0),
        "lmer_mundlak": Cost(3e-3, 4e-5, 0.0),
        "lmer_select": Cost(5e-3, 1e-5, 0.0),
        "lm": Cost(2e-4, 0.0, 1e-7),
        **dict.fromkeys(("ols", "lm_cr1", "lm_z"), Cost(2e-4, 0.0, 1e-7)),
        **dict.fromkeys(("lm_cr2", "lm_cr3", "fe_cr2"), Cost(1e-4, 3e-6, 0.0)),
        "lm_wild": Cost(8e-3, 2e-5, 0.0),
        "lm2": Cost(1e-4, 1e-6, 0.0),
        **dict.fromkeys(("lm2_hc3", "lm2_level2", "between", "fe"), Cost(1e-4, 1e-6, 0.0)),
        **dict.fromkeys(("lm2_weighted", "lm2_swamy"), Cost(1e-4, 2e-6, 0.0)),
        "lm2_signflip": Cost(3e-3, 1e-5, 0.0),
        "gee_exch": Cost(1e-4, 3e-6, 0.0),
        "gee_exch_md": Cost(1e-4, 5e-6, 0.0),
        "lmer_mis": Cost(2e-4, 2e-6, 0.0),
        **dict.fromkeys((*OF_ITEMS, "lmer_items_kr"), Cost(4e-4, 0.0, 1.5e-6)),
        "lmer_items_lrt": Cost(1e-3, 0.0, 4e-6),
        "lmer_items_select": Cost(1e-3, 0.0, 4e-6),
        "lmer_items_boot": Cost(1.0, 0.0, 5e-3),
        "lm_twoway": Cost(3e-4, 0.0, 2e-7),
        **dict.fromkeys(BY_ITEMS, Cost(3e-4, 5e-6, 0.0)),
        **dict.fromkeys((*OF_SITES, "lmer_sites_kr"), Cost(5e-4, 1.5e-5, 0.0)),
        **dict.fromkeys(("lm_sites", "lm2_sites"), Cost(2e-4, 1e-6, 0.0)),
        "lm_sites_cr2": Cost(2e-4, 2e-6, 0.0),
    },
}
DEAREST = COSTS["lme4"]["lmer"]
# native fits where groups differ in size: several minima are looked for
UNEQUAL = 5.0
# where a file says who has which rows of which items: no two of these are alike, as in a balanced
# design, and few datasets are fitted together
INCOMPLETE = 10.0
# a shard's rows are in memory until it is written, some 4 kB per fit
LARGEST_BLOCK = 20_000
# network file systems take their time to load Python and R
START_UP_MINUTES = 5.0
SAFETY = 3.0


def blocks(study: Study) -> Iterator[Block]:
    """All jobs of a study, in the order of the tables."""
    for condition in study.conditions:
        yield from blocks_of(study, condition)


def blocks_of(study: Study, condition: Condition) -> Iterator[Block]:
    """The jobs of a condition; none goes on beyond a look, at which the condition may end."""
    size = block_size(study, condition)
    for start, stop in itertools.pairwise(borders(study, condition)):
        for first in range(start, stop, size):
            yield Block(condition, range(first, min(first + size, stop)))


def n_jobs(study: Study) -> int:
    """How many jobs a study has."""
    return sum(
        math.ceil((stop - start) / block_size(study, condition))
        for condition in study.conditions
        for start, stop in itertools.pairwise(borders(study, condition))
    )


def borders(study: Study, condition: Condition) -> list[int]:
    """The first replication, those at which a precision is looked at, and the end."""
    end = study.size(condition)
    looks = study.precision.looks() if study.precision else []
    return [0, *(look for look in looks if look < end), end]


def block_size(study: Study, condition: Condition) -> int:
    """Replications per job; the last job of a condition may have fewer.

    It does not depend on `n_sims`: more replications leave the finished blocks as they are. With
    ``sims_per_job: auto`` it is 1, 2 or 5 times a power of ten, about `job_minutes` long.
    """
    if study.sims_per_job != "auto":
        return study.sims_per_job
    wanted = 60 * study.job_minutes / seconds(study, condition)
    wanted = min(max(1.0, wanted), LARGEST_BLOCK)
    power = int(10.0 ** math.floor(math.log10(wanted)))
    return next(step * power for step in (5, 2, 1) if step * power <= wanted)


def seconds(study: Study, condition: Condition) -> float:
    """Expected CPU seconds for one dataset of a condition, all strategies together."""

    def one(strategy: Strategy, engine: str) -> float:
        unequal = not equal_groups(condition) or rows_differ(condition)
        slower = 1.0
        if engine == "native" and unequal and not condition["n_items"]:
            slower = UNEQUAL
        elif engine == "native" and rows_differ(condition) and template_of(condition):
            slower = INCOMPLETE
        n_groups, n_obs = condition.n_groups, condition.n_obs
        return slower * fit_seconds(strategy.origin, engine, n_groups, n_obs)

    shared: dict[object, list[float]] = {}
    for strategy in study.strategies:
        cost = one(strategy, strategy.engine)
        if strategy.engine == "native":
            cost += study.audit * one(strategy, strategies.engines(strategy.family)[0])
        shared.setdefault(strategy.fit_key, []).append(cost)
    # the cheapest of those that share a fit is little more than the fit
    total = 0.0
    for costs in shared.values():
        total += min(costs) + sum(cost - min(costs) for cost in costs)
    return total


def fit_seconds(origin: str, engine: str, n_groups: int, n_obs: int) -> float:
    """Expected CPU seconds of one fit by a strategy, whatever it shares with others."""
    cost = COSTS.get(engine, {}).get(origin, DEAREST)
    size = (1, n_groups, n_groups * n_obs)
    return sum(coefficient * amount for coefficient, amount in zip(cost, size, strict=True))


def limit_minutes(study: Study, block: Block, attempt: int) -> int:
    """Run time to ask a cluster for: well above the expected one, and more after each failure."""
    expected = len(block.sims) * seconds(study, block.condition) / 60
    return math.ceil((START_UP_MINUTES + SAFETY * expected) * 2.0 ** (attempt - 1))


def memory_mb(study: Study, block: Block, attempt: int) -> int:
    """Memory to ask a cluster for, in MB: Python, R and lme4, the dataset, the block's fits."""
    rows = block.condition.n_groups * block.condition.n_obs
    fits = len(block.sims) * len(study.strategies)
    return round((600 + 2e-3 * rows + 1e-2 * fits) * 2.0 ** (attempt - 1))
