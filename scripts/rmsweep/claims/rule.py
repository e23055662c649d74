"""The rule that turns numbers into verdicts. It is the only thing that makes any.

1. Each number has an interval. The intervals of a test hold together: with k numbers, each has
   confidence 1 - .05/k (Bonferroni).
2. A number is *for* the claim if its interval is inside the test's region, *against* it if it is
   outside, and else *undecided*, as is any number of less than `MIN_DATASETS` datasets.
3. A test *holds* if at least `NEARLY_ALL` of its numbers are for it, *does not hold* if as many are
   against it, and else holds *in part*. A test of what is always so does not hold if any number is
   against it, and holds if all are for it.
4. A claim holds if all of its tests hold, does not hold if all of them do not hold, and else holds
   in part. Tests that the study can't make don't count; a claim without others is *not testable*.
5. Where that depends on how undecided numbers turn out, the verdict is what is sure: *at least in
   part* if it can only be that it holds or holds in part, *at most in part* if it can't be that it
   holds, and else *undecided*.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from rmsweep.claims.cases import Case
from rmsweep.claims.claim import Region, Test
from rmsweep.design import MAIN

CONFIDENCE = 0.95
"""That all intervals of a test hold, together."""
NEARLY_ALL = 0.9
"""A claim about many conditions holds although one in ten is an exception."""
MIN_DATASETS = 20
"""From here on the standard errors of medians and rates are not too small, as simulations show."""

Side = Literal["for", "against", "undecided"]
Final = Literal["holds", "in part", "does not hold", "not testable"]
"""What more replications can't change."""
Verdict = Literal[Final, "at least in part", "at most in part", "undecided"]
VERDICTS: tuple[Verdict, ...] = (
    "holds",
    "at least in part",
    "in part",
    "at most in part",
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


def possible_verdicts(sides: Sequence[Side], test: Test) -> frozenset[Final]:
    """What a test may come to, however its undecided numbers turn out."""
    counts, n = Counter(sides), len(sides)
    if test.some:
        now: set[Final] = {"holds"} if counts["for"] else {"not testable"}
        return frozenset(now | ({"holds"} if counts["undecided"] else set()))
    if not n:
        return frozenset({"not testable"})
    if test.always and counts["against"]:
        return frozenset({"does not hold"})
    needed = n if test.always else NEARLY_ALL * n
    found: set[Final] = set()
    for n_for in range(counts["for"], n - counts["against"] + 1):
        if n_for >= needed:
            found.add("holds")
        else:
            refuted = test.always or n - n_for >= needed
            found.add("does not hold" if refuted else "in part")
    return frozenset(found)


def sure(possible: Collection[Final]) -> Verdict:
    """What can be said if a test or a claim may come to any of these."""
    if len(possible) == 1:
        return next(iter(possible))
    if set(possible) == {"holds", "in part"}:
        return "at least in part"
    if set(possible) == {"in part", "does not hold"}:
        return "at most in part"
    return "undecided"


def verdict_of_claim(possible: Sequence[Collection[Final]]) -> Verdict:
    """The verdict on a claim, from what each of its tests may come to."""
    return sure({combined(verdicts) for verdicts in itertools.product(*possible)})


def combined(verdicts: Sequence[Final]) -> Final:
    """The verdict on a claim, from those on its tests."""
    made = {verdict for verdict in verdicts if verdict != "not testable"}
    if not made:
        return "not testable"
    return made.pop() if len(made) == 1 else "in part"


def overall(judged: Sequence[Judged]) -> tuple[float, float, int]:
    """Mean of a test's numbers, a geometric one of ratios, and its standard error.

    Conditions that differ in a main axis have other random numbers, and are independent. All others
    share theirs, as numbers of one condition share its data: they count as if they were correlated
    perfectly, so that the error is an upper bound. Numbers of less than `MIN_DATASETS` datasets are
    left out where there are others.

    Returns
    -------
    mean, mcse : float
    n : int
        Independent datasets behind them: those of conditions that share random numbers count once.
    """
    cases = [one.case for one in judged if one.case.number.n_used >= MIN_DATASETS]
    cases = cases or [one.case for one in judged]
    if not cases:
        return np.nan, np.nan, 0
    ratio = cases[0].scale == "ratio"
    values = np.array([case.number.value for case in cases])
    errors = np.array([case.number.mcse for case in cases])
    if ratio:
        with np.errstate(divide="ignore", invalid="ignore"):
            values, errors = np.log(values), errors / values
    within: dict[tuple[float | None, ...], float] = {}
    datasets: dict[tuple[float | None, ...], int] = {}
    for case, error in zip(cases, errors, strict=True):
        seeds = tuple(case.at.get(key) for key in MAIN)
        within[seeds] = within.get(seeds, 0.0) + error
        datasets[seeds] = max(datasets.get(seeds, 0), case.number.n_used)
    mean = float(values.mean())
    mcse = float(np.sqrt(np.square(list(within.values())).sum())) / len(cases)
    if ratio:
        mean = float(np.exp(mean))
        mcse *= mean
    return mean, mcse, sum(datasets.values())
