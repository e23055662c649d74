"""Time, memory and blocks: how the work is cut into jobs of a useful length.

The seconds of one fit are modelled as ``fixed + per_group N + per_row N O``. The coefficients
below were fitted by ``benchmarks/cost_model.py`` to the timings of a finished default study, those
of the native engine rounded up by hand; a factor of two does no harm. A strategy that is not listed
is taken to cost as much as the dearest that is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from rmsweep import strategies
from rmsweep.design import Block, Condition, Strategy, Study


class Cost(NamedTuple):
    """Seconds of CPU time per fit: a constant, per group, and per row of the data."""

    fixed: float
    per_group: float
    per_row: float


COSTS = {
    "statsmodels": {"lm": Cost(3.3e-3, 5.3e-6, 4.9e-7), "lm2": Cost(9.4e-4, 5.4e-4, 9.5e-7)},
    "lme4": {"lmer": Cost(0.16, 0.0, 1.7e-4), "lmer_mis": Cost(0.086, 8.6e-6, 9.6e-6)},
    "native": {
        "lm": Cost(2e-4, 0.0, 1e-7),
        "lm2": Cost(1e-4, 1e-6, 0.0),
        "lmer": Cost(2e-3, 1e-5, 0.0),
        "lmer_mis": Cost(2e-4, 2e-6, 0.0),
    },
}
DEAREST = COSTS["lme4"]["lmer"]
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
    n_groups, n_obs = condition.n_groups, condition.n_obs
    size = (1, n_groups, n_groups * n_obs)

    def one(strategy: Strategy, engine: str) -> float:
        cost = COSTS.get(engine, {}).get(strategy.origin, DEAREST)
        return sum(coefficient * amount for coefficient, amount in zip(cost, size, strict=True))

    total = 0.0
    for strategy in {strategy.fit_key: strategy for strategy in study.strategies}.values():
        total += one(strategy, strategy.engine)
        if strategy.engine == "native":
            total += study.audit * one(strategy, strategies.engines(strategy.family)[0])
    return total


def limit_minutes(study: Study, block: Block, attempt: int) -> int:
    """Run time to ask a cluster for: well above the expected one, and more after each failure."""
    expected = len(block.sims) * seconds(study, block.condition) / 60
    return math.ceil((START_UP_MINUTES + SAFETY * expected) * 2.0 ** (attempt - 1))


def memory_mb(study: Study, block: Block, attempt: int) -> int:
    """Memory to ask a cluster for, in MB: Python, R and lme4, the dataset, the block's fits."""
    rows = block.condition.n_groups * block.condition.n_obs
    fits = len(block.sims) * len(study.strategies)
    return round((600 + 2e-3 * rows + 1e-2 * fits) * 2.0 ** (attempt - 1))
