"""How long a fit takes, to cut the work into jobs of a useful length.

The seconds of one fit are modelled as ``fixed + per_group N + per_row N O``. The coefficients
below were fitted by ``benchmarks/cost_model.py`` to the timings of a finished default study, those
of the native engine rounded up by hand; a factor of two does no harm. A strategy that is not listed
is taken to cost as much as the dearest that is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rmsweep import strategies

if TYPE_CHECKING:
    from rmsweep.design import Settings


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


def seconds(settings: Settings, n_groups: int, n_obs: int) -> float:
    """Expected CPU seconds for one dataset of this size, all strategies together."""
    size = (1, n_groups, n_groups * n_obs)

    def one(name: str, engine: str) -> float:
        cost = COSTS.get(engine, {}).get(name, DEAREST)
        return sum(coefficient * amount for coefficient, amount in zip(cost, size, strict=True))

    total = 0.0
    for name, engine in settings.engine.items():
        total += one(name, engine)
        if engine == "native":
            total += settings.audit * one(name, strategies.engines(name)[0])
    return total


def block_size(settings: Settings, n_groups: int, n_obs: int, minutes: float) -> int:
    """Datasets that take about so many minutes: 1, 2 or 5 times a power of ten."""
    wanted = 60 * minutes / seconds(settings, n_groups, n_obs)
    wanted = min(max(1.0, wanted), LARGEST_BLOCK)
    power = int(10.0 ** math.floor(math.log10(wanted)))
    return next(step * power for step in (5, 2, 1) if step * power <= wanted)


def limit_minutes(settings: Settings, n_groups: int, n_obs: int, n_sims: int, attempt: int) -> int:
    """Run time to ask a cluster for: well above the expected one, and more after each failure."""
    expected = n_sims * seconds(settings, n_groups, n_obs) / 60
    return math.ceil((START_UP_MINUTES + SAFETY * expected) * 2.0 ** (attempt - 1))
