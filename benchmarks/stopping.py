"""What stopping at a small standard error does to rates: their bias, and their intervals' coverage.

    python benchmarks/stopping.py

Each line is 20,000 studies of one rate. ``at once`` is how many of them end at their first look.
The last rule of each block is the program's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from rmsweep.design import Precision
from rmsweep.measures.precision import added_variance
from rmsweep.measures.rates import wilson_interval

STUDIES = 20_000
CAP = 20_000


class Stopped(NamedTuple):
    """What a rule does.

    Attributes
    ----------
    n_sims : float
        Mean replications.
    at_once : float
        Share of the studies that end at their first look.
    bias, bias_error : float
        Of the rate, and its standard error.
    coverage : float
        Of Wilson's interval.
    """

    n_sims: float
    at_once: float
    bias: float
    bias_error: float
    coverage: float


def stopped(rate: float, mcse: float, looks: list[int], shrunken: bool) -> Stopped:
    """Let many studies of a rate stop at the first of these looks that is precise enough."""
    rng = np.random.default_rng(0)
    x, n = np.zeros(STUDIES), np.zeros(STUDIES)
    going_on = np.ones(STUDIES, dtype=bool)
    at_once = 0.0
    for before, look in zip([0, *looks], looks, strict=False):
        # of those that have stopped as well: each look's draws are the same for any rule
        new = rng.binomial(look - before, rate, STUDIES)
        x, n = np.where(going_on, x + new, x), np.where(going_on, look, n)
        share = x / n
        variance = share * (1 - share) / n
        going_on &= variance + shrunken * added_variance(share, n) > mcse**2
        at_once += (1 - going_on.mean()) * (look == looks[0])
    low, high = wilson_interval(x, n)
    error = x / n - rate
    covered = (low <= rate) & (rate <= high)
    return Stopped(n.mean(), at_once, error.mean(), error.std() / np.sqrt(STUDIES), covered.mean())


def rules(mcse: float) -> Iterator[tuple[str, list[int], bool]]:
    """The rules, the last of which is the program's own."""
    fifties = list(range(50, CAP, 50))
    yield "from 50, by 50", fifties, False
    yield "from 50, by 50, shrunken", fifties, True
    yield "from 200, by 50", fifties[3:], False
    own = Precision("size", mcse, ("lm",), 200, CAP).looks()
    yield "from 200, by half", own, False
    yield "from 200, by half, shrunken", own, True


def main() -> None:
    """Print the table."""
    print("| rate | target | looks | replications | at once | bias | coverage |")
    print("|---|---|---|---|---|---|---|")
    for rate, mcse in ((0.05, 0.005), (0.02, 0.005), (0.05, 0.01), (0.5, 0.01)):
        for name, looks, shrunken in rules(mcse):
            found = stopped(rate, mcse, looks, shrunken)
            print(
                f"| {rate:g} | {mcse:g} | {name} | {found.n_sims:,.0f} | {found.at_once:.3f} | "
                f"{found.bias:+.5f} ± {found.bias_error:.5f} | {found.coverage:.3f} |"
            )


if __name__ == "__main__":
    main()
