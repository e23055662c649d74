"""The rule that turns numbers into verdicts. It is the only thing that makes any.

1. Each number has an interval. The intervals of a test hold together: with k numbers, each has
   confidence 1 - .05/k (Bonferroni).
2. A number is *for* the claim if its interval is inside the test's region, *against* it if it is
   outside, and else *undecided*, as is any number of less than `MIN_DATASETS` datasets.
3. A test *holds* if at least `NEARLY_ALL` of its numbers are for it, and *does not hold* if as many
   are against it. It holds *in part* if neither can come true, whatever the undecided numbers turn
   out to be, and else it is *undecided*.
4. A claim holds if all of its tests do, does not hold if none does, holds in part if some do and
   some don't, or one does in part; and else it is undecided. Tests that the study can't make don't
   count; a claim without others is *not testable*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from rmsweep.claims.cases import Case
from rmsweep.claims.claim import Region, Test

CONFIDENCE = 0.95
"""That all intervals of a test hold, together."""
NEARLY_ALL = 0.9
"""A claim about many conditions holds although one in ten is an exception."""
MIN_DATASETS = 20
"""From here on the standard errors of medians and rates are not too small, as simulations show."""

Side = Literal["for", "against", "undecided"]
Verdict = Literal["holds", "in part", "does not hold", "undecided", "not testable"]
VERDICTS: tuple[Verdict, ...] = (
    "holds",
    "in part",
    "does not hold",
    "undecided",
    "not testable",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A number with its interval, and the side that it takes."""

    case: Case
    low: float
    high: float
    side: Side


def judge(cases: Sequence[Case], region: Region) -> list[Judged]:
    """The numbers of a test, judged."""
    z = float(ndtri(1.0 - (1.0 - CONFIDENCE) / (2.0 * max(len(cases), 1))))
    found = []
    for case in cases:
        low, high = case.interval(z)
        found.append(Judged(case, low, high, side_of(case, low, high, region)))
    return found


def side_of(case: Case, low: float, high: float, region: Region) -> Side:
    """The side that a number takes."""
    if case.number.n_used < MIN_DATASETS or not np.isfinite([low, high]).all():
        return "undecided"
    if region.low < low and high < region.high:
        return "for"
    return "against" if high < region.low or low > region.high else "undecided"


def verdict_of_test(sides: Sequence[Side], test: Test) -> Verdict:
    """The verdict on a test, from the sides that its numbers take."""
    counts, n = Counter(sides), len(sides)
    if not n:
        return "not testable"
    if test.some:
        if counts["for"]:
            return "holds"
        return "undecided" if counts["undecided"] else "not testable"
    needed = NEARLY_ALL * n
    if counts["for"] >= needed:
        return "holds"
    if counts["against"] >= needed:
        return "does not hold"
    # neither can come true any more
    if n - counts["against"] < needed and n - counts["for"] < needed:
        return "in part"
    return "undecided"


def verdict_of_claim(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim, from those on its tests."""
    made = {verdict for verdict in verdicts if verdict != "not testable"}
    if not made:
        return "not testable"
    if len(made) == 1:
        return made.pop()
    return (
        "in part"
        if made - {"undecided", "holds"} and made - {"undecided", "does not hold"}
        else ("undecided")
    )


def overall(judged: Sequence[Judged]) -> tuple[float, float]:
    """Mean of a test's numbers, a geometric one of ratios, and its standard error.

    Numbers of different conditions are independent. Those of one condition are of the same data, or
    share a level: they count as if they were correlated perfectly, so that the error is an upper
    bound.

    Returns
    -------
    mean, mcse : float
    """
    if not judged:
        return np.nan, np.nan
    ratio = judged[0].case.scale == "ratio"
    values = np.array([one.case.number.value for one in judged])
    errors = np.array([one.case.number.mcse for one in judged])
    if ratio:
        with np.errstate(divide="ignore", invalid="ignore"):
            values, errors = np.log(values), errors / values
    conditions = [tuple(sorted(one.case.at.items())) for one in judged]
    within: dict[tuple[tuple[str, float], ...], float] = {}
    for condition, error in zip(conditions, errors, strict=True):
        within[condition] = within.get(condition, 0.0) + error
    mean = float(values.mean())
    mcse = float(np.sqrt(np.square(list(within.values())).sum())) / len(judged)
    return (float(np.exp(mean)), float(np.exp(mean)) * mcse) if ratio else (mean, mcse)
