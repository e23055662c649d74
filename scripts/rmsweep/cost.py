"""How long a fit takes, to cut the work into jobs of a useful length.

The seconds of one fit are modelled as ``fixed + per_group N + per_row N O``. The coefficients
below were fitted by ``benchmarks/cost_model.py`` to the timings of a finished default study; they
need to be right to a factor of two, no more. A strategy that is not listed is taken to cost as
much as the dearest that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds of CPU time per fit: a constant, per group, and per row of the data."""

    fixed: float
    per_group: float
    per_row: float


COSTS = {
    "lm": Cost(1e-3, 0.0, 2e-7),
    "lm2": Cost(1e-3, 2.5e-4, 0.0),
    "lmer": Cost(0.2, 2e-3, 1.2e-4),
    "lmer_mis": Cost(0.09, 1e-4, 6e-6),
}
START_UP_MINUTES = 1.0
SAFETY = 3.0


def seconds(strategies: Iterable[str], n_groups: int, n_obs: int) -> float:
    """Expected CPU seconds for one dataset of this size, all strategies together."""
    dearest = Cost(*map(max, zip(*COSTS.values(), strict=True)))
    size = (1, n_groups, n_groups * n_obs)
    return sum(
        coefficient * amount
        for name in strategies
        for coefficient, amount in zip(COSTS.get(name, dearest), size, strict=True)
    )


def block_size(strategies: Iterable[str], n_groups: int, n_obs: int, minutes: float) -> int:
    """Datasets that take about so many minutes: 1, 2 or 5 times a power of ten."""
    wanted = max(1.0, 60 * minutes / seconds(strategies, n_groups, n_obs))
    power = int(10.0 ** math.floor(math.log10(wanted)))
    return next(step * power for step in (5, 2, 1) if step * power <= wanted)


def limit_minutes(
    strategies: Iterable[str], n_groups: int, n_obs: int, n_sims: int, attempt: int
) -> int:
    """Run time to ask a cluster for: well above the expected one, and more after each failure."""
    expected = n_sims * seconds(strategies, n_groups, n_obs) / 60
    return math.ceil((START_UP_MINUTES + SAFETY * expected) * 2.0 ** (attempt - 1))
