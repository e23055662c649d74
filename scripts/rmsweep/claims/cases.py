"""The numbers that a test is about: one for each condition, or for each two that it compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from rmsweep.claims.claim import Test, Where
from rmsweep.config import axis_defaults
from rmsweep.data.scenario import fixed_truth
from rmsweep.design import MAIN, Condition, Strategy, plain
from rmsweep.measures.rates import score_interval

Scale = Literal["ratio", "rate", "difference", "distance"]

MEASURES: dict[str, tuple[str, Scale]] = {
    # medians, and a mean, of the post's sums over the coefficients
    "coef_abs_err_median": ("median sum of errors", "ratio"),
    "coef_abs_err_mean": ("mean sum of errors", "ratio"),
    "coef_abs_err_ratio": ("median sum of errors", "ratio"),
    "se_sum_median": ("median sum of SEs", "ratio"),
    "se_sum_ratio": ("median sum of SEs", "ratio"),
    "t_sum_median": ("median sum of t", "ratio"),
    "t_sum_ratio": ("median sum of t", "ratio"),
    "df_ratio_of_slopes": ("median df for slopes", "ratio"),
    "size": ("type I error", "rate"),
    "size_of_slopes": ("type I error for slopes", "rate"),
    "coverage": ("coverage", "rate"),
    "coverage_of_slopes": ("coverage for slopes", "rate"),
    "decision_agreement_of_slopes": ("same decisions on slopes", "rate"),
    "failure_rate": ("fits with a warning or singular", "rate"),
    "nonsingular_failure_rate": ("fits with a warning", "rate"),
    "optimizer_share_of_failures": (
        "fits whose optimizer gave up, of those with a warning or singular",
        "rate",
    ),
    "difference_of_size_of_slopes": ("type I error for slopes", "difference"),
    "difference_of_directional_power_of_slopes": ("power (right sign) for slopes", "difference"),
    "difference_of_size_adjusted_power_of_slopes": ("power at a type I error of 5%", "difference"),
    "difference_of_convergence_rate": ("convergence rate", "difference"),
    "relative_bias": ("bias over the truth", "difference"),
    "estimate_distance": ("distance in SEs", "distance"),
}
"""What tests may be about: measures of ``performance`` and of `DERIVED`, in words, and how their
Monte Carlo errors and comparisons are made."""
OF_POWER = (
    "difference_of_directional_power_of_slopes",
    "difference_of_size_adjusted_power_of_slopes",
)
"""Those that are about effects: where all slopes are zero, rejections are false positives."""
DERIVED = {
    "failure_rate": "convergence_rate",
    "optimizer_share_of_failures": "optimizer_rate",
}
"""What is made of a measure here: 1 minus the rate, and its share of all fits that failed."""
RARE = 0.01
"""Fits that are less of all say nothing: whether they converged or not, nobody will meet them."""
PLACES = {"low": (-1.0, 1 / 3), "medium": (1 / 3, 2 / 3), "high": (2 / 3, 1.0)}
"""Levels by their place in the order of an axis, from 0 to 1; the ends belong to low and high."""
NOUNS = {
    "n_groups": "groups",
    "n_obs": "observations per group",
    "rows": "observations in all",
    "sigma": "between-group SD",
}
LACKED = {"missing": "missing rows", "group_sizes": "groups of unequal size"}
"""What data have none of, where these keys are at their defaults."""
COUNTS = {"low": "few", "medium": "medium", "high": "many"}
SHORT = NOUNS | {"n_obs": "observations"}


class Number(NamedTuple):
    """A measure of one condition, its standard error, and the datasets behind it."""

    value: float
    mcse: float
    n_used: int


@dataclass(frozen=True, slots=True)
class Case:
    """One number that a test is about.

    Attributes
    ----------
    strategy, reference : str
        Their names; no reference where the number is of one strategy.
    term : str
        The coefficient, if it is about one.
    at : mapping of str to number
        The condition's main axes; without those that two conditions are compared over.
    contrast : str
        Those two, in words.
    number : Number
    scale : {"ratio", "rate", "difference", "distance"}
        How its interval is made: on the log scale, by Wilson's formula, or else as the normal
        distribution has it.
    """

    strategy: str
    reference: str
    term: str
    at: Mapping[str, float]
    contrast: str
    number: Number
    scale: Scale

    def interval(self, z: float) -> tuple[float, float]:
        """The interval of a confidence level, by its quantile of the normal distribution."""
        value, mcse, n_used = self.number
        if self.scale == "rate":
            return score_interval(value, mcse, n_used, z)
        if self.scale == "ratio":
            with np.errstate(divide="ignore", invalid="ignore"):
                half = np.divide(z * mcse, value)
            return float(value * np.exp(-half)), float(value * np.exp(half))
        return value - z * mcse, value + z * mcse


class Numbers:
    """The performance measures of one slice of a study, to look up.

    Parameters
    ----------
    performance : pandas.DataFrame
        The rows of ``performance`` that are of the slice.
    """

    def __init__(self, performance: pd.DataFrame) -> None:
        keys = [*MAIN, "measure", "fits", "strategy", "reference", "term"]
        frame = performance.assign(
            reference=performance["reference"].fillna(""), term=performance["term"].fillna("")
        )
        columns = [frame[key].tolist() for key in keys]
        counts = ("n_run", "n_converged", "n_used")
        numbers = [frame[key].tolist() for key in ("value", "mcse", *counts)]
        self._rows = dict(zip(zip(*columns, strict=True), zip(*numbers, strict=True), strict=True))

    def get(
        self, at: tuple[float, ...], test: Test, strategy: str, reference: str, term: str
    ) -> Number | None:
        """The number of a condition; None where the study has none."""
        number = self._of_fits(at, test, test.fits, strategy, reference, term)
        if not test.against_fits or number is None:
            return number
        other = self._of_fits(at, test, test.against_fits, strategy, reference, term)
        return None if other is None else contrasted(number, other, scale_of(test.measure))

    def _of_fits(
        self,
        at: tuple[float, ...],
        test: Test,
        fits: str,
        strategy: str,
        reference: str,
        term: str,
    ) -> Number | None:
        place = strategy, reference, term
        whole = self._number(at, test.measure, "all", *place)
        if whole is None or fits == "all":
            return whole
        found = self._number(at, test.measure, "converged", *place)
        if fits == "not_converged":
            found = complement(whole, found, scale_of(test.measure))
        return None if found is None or found.n_used < RARE * whole.n_used else found

    def _number(
        self,
        at: tuple[float, ...],
        measure: str,
        fits: str,
        strategy: str,
        reference: str,
        term: str,
    ) -> Number | None:
        source = DERIVED.get(measure, measure)
        found = self._rows.get((*at, source, fits, strategy, reference, term))
        if found is None and reference:
            found = self._rows.get((*at, source, fits, reference, strategy, term))
            return None if found is None else inverted(number_of(found), scale_of(measure))
        if found is None or np.isnan(found[0]):
            return None
        value, mcse, n_used = number_of(found)
        _, _, n_run, n_converged, _ = found
        if measure == "failure_rate":
            return Number(1.0 - value, mcse, n_used)
        if measure == "optimizer_share_of_failures":
            n_failed = n_run - n_converged
            if not n_failed:
                return None
            share = min(value * n_used / n_failed, 1.0)
            return Number(share, float(np.sqrt(share * (1.0 - share) / n_failed)), n_failed)
        return Number(value, mcse, n_used)


def number_of(row: Sequence[Any]) -> Number:
    """What a row of the table says."""
    value, mcse, *_, n_used = row
    return Number(float(value), float(mcse), int(n_used))


def scale_of(measure: str) -> Scale:
    """On what scale a measure is compared."""
    return MEASURES[measure][1]


def scale_of_number(test: Test) -> Scale:
    """On what scale the numbers of a test are: of two rates there is a difference."""
    scale = scale_of(test.measure)
    contrasts = test.over or test.step or test.against_fits
    return "difference" if scale == "rate" and contrasts else scale


def inverted(number: Number, scale: Scale) -> Number | None:
    """A comparison the other way round."""
    value, mcse, n_used = number
    if np.isnan(value):
        return None
    if scale == "difference":
        return Number(-value, mcse, n_used)
    if scale != "ratio":  # an agreement and a distance are mutual
        return number
    return Number(1.0 / value, mcse / value**2, n_used) if value else None


def contrasted(number: Number, other: Number, scale: Scale) -> Number | None:
    """A number over another, or minus it; both are of different datasets, and so independent."""
    n_used = min(number.n_used, other.n_used)
    if scale != "ratio":
        mcse = float(np.hypot(number.mcse, other.mcse))
        return Number(number.value - other.value, mcse, n_used)
    if not (number.value > 0 and other.value > 0):
        return None
    ratio = number.value / other.value
    relative = np.hypot(number.mcse / number.value, other.mcse / other.value)
    return Number(ratio, float(ratio * relative), n_used)


def complement(whole: Number, part: Number | None, scale: Scale) -> Number | None:
    """The mean over the datasets that are in the whole and not in the part.

    Sums and sums of squares are those of the whole minus those of the part, exactly.
    """
    part = part or Number(0.0, 0.0, 0)
    n = whole.n_used - part.n_used
    if n < 2:
        return None
    correction = 0 if scale == "rate" else 1  # a rate's variance is divided by n

    def squares(number: Number) -> float:
        # of a single value there is no spread to know, nor to add
        spread = 0.0 if np.isnan(number.mcse) else number.mcse**2
        return spread * number.n_used * (number.n_used - correction) + (
            number.n_used * number.value**2
        )

    mean = (whole.n_used * whole.value - part.n_used * part.value) / n
    if scale == "rate":
        mean = min(max(mean, 0.0), 1.0)  # but for rounding
    deviations = max(squares(whole) - squares(part) - n * mean**2, 0.0)
    return Number(mean, float(np.sqrt(deviations / (n * (n - correction)))), n)


def level_of(value: float, levels: Sequence[float]) -> str:
    """Which third of an axis a level is in; nothing if it is the only one."""
    if len(levels) < 2:
        return ""
    place = levels.index(value) / (len(levels) - 1)
    if place <= PLACES["low"][1] + 1e-9:
        return "low"
    return "high" if place >= PLACES["high"][0] - 1e-9 else "medium"


def is_near(value: float, wanted: float) -> bool:
    """Whether a value is within a factor of 2 of another."""
    return wanted / 2.0 <= value <= wanted * 2.0


class Grid:
    """The conditions of a slice of a study, by their main axes.

    Parameters
    ----------
    conditions : sequence of Condition
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.points = sorted({tuple(float(one[key]) for key in MAIN) for one in conditions})
        defaults = axis_defaults()
        self.departs = {
            key
            for one in conditions
            for key, at in dict(one.values).items()
            if at != defaults.get(key, at)
        }
        self.has_effects = any(
            fixed_truth(one, k + 1) != 0.0
            for one in conditions
            for k in range(int(one["n_predictors"]))
        )

    def values(self, point: tuple[float, ...]) -> dict[str, float]:
        """The value of each axis at a point."""
        found = dict(zip(MAIN, point, strict=True))
        return found | {"rows": found["n_groups"] * found["n_obs"]}

    def levels(self, axis: str) -> list[float]:
        """The levels of an axis, in order."""
        return sorted({self.values(point)[axis] for point in self.points})

    def matching(self, where: Sequence[Where]) -> list[tuple[float, ...]]:
        """The points that fit any of the descriptions."""
        return [point for point in self.points if any(self._fits(point, one) for one in where)]

    def _fits(self, point: tuple[float, ...], where: Where) -> bool:
        values = self.values(point)
        for axis, wanted in where.items():
            levels = self.levels(axis)
            if isinstance(wanted, tuple):
                if level_of(values[axis], levels) not in wanted:
                    return False
            elif not is_near(values[axis], wanted):
                return False
        return True

    def compared(
        self, test: Test
    ) -> Iterator[tuple[tuple[float, ...], tuple[float, ...] | None, Mapping[str, float], str]]:
        """The points of a test, and those that they are compared with, if it compares any.

        Yields
        ------
        point, other : tuple of float
        at : mapping of str to float
            The axes that both share.
        contrast : str
            The others, in words.
        """
        points = self.matching(test.where)
        over = test.over or ({test.step: 1} if test.step else {})
        if not over:
            for point in points:
                yield point, None, dict(zip(MAIN, point, strict=True)), ""
            return
        shared = [axis for axis in MAIN if axis not in over]
        places = [MAIN.index(axis) for axis in shared]
        rows: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
        for point in points:
            rows.setdefault(tuple(point[place] for place in places), []).append(point)
        for key, row in rows.items():
            for point, other in self._pairs(row, over, bool(test.step)):
                words = ", ".join(
                    f"{SHORT[axis]} {plain(point[MAIN.index(axis)])} "
                    f"against {plain(other[MAIN.index(axis)])}"
                    for axis in over
                )
                yield point, other, dict(zip(shared, key, strict=True)), words

    def _pairs(
        self, row: Sequence[tuple[float, ...]], over: Mapping[str, int], step: bool
    ) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
        if step:
            yield from ((above, below) for below, above in itertools.pairwise(row))
            return
        there = set(row)
        ends = []
        for sign in (1, -1):
            point = list(row[0])
            for axis, direction in over.items():
                levels = [one[MAIN.index(axis)] for one in row]
                point[MAIN.index(axis)] = max(levels) if sign * direction > 0 else min(levels)
            ends.append(tuple(point))
        highest, lowest = ends
        varies = all(highest[MAIN.index(axis)] != lowest[MAIN.index(axis)] for axis in over)
        if varies and there.issuperset(ends):
            yield highest, lowest


def find(name: str, strategies: Sequence[Strategy]) -> Strategy | None:
    """The strategy of a name, or the first variant of the strategy of that name."""
    named = [one for one in strategies if one.name == name]
    return next(iter(named or [one for one in strategies if one.origin == name]), None)


def pairs(test: Test, strategies: Sequence[Strategy]) -> list[tuple[Strategy, Strategy | None]]:
    """The strategies of a test that a study has, each with that which it is compared with."""
    found = []
    for name, against in itertools.product(test.of, test.against or ("",)):
        strategy, reference = find(name, strategies), find(against, strategies)
        if strategy is None or (against and reference is None) or strategy is reference:
            continue
        engines = {one.engine for one in (strategy, reference) if one}
        if not test.engine or engines == {test.engine}:
            found.append((strategy, reference))
    return found


def cases(
    test: Test, grid: Grid, numbers: Numbers, strategies: Sequence[Strategy], terms: Sequence[str]
) -> list[Case]:
    """The numbers of a test, in one slice of a study.

    Parameters
    ----------
    test : Test
    grid : Grid
    numbers : Numbers
    strategies : sequence of Strategy
        The study's.
    terms : sequence of str
        The coefficients, the intercept first.

    Returns
    -------
    list of Case
        Those that there are: empty where the study lacks what the test needs.
    """
    if test.measure in OF_POWER and not grid.has_effects:
        return []
    if test.needs and grid.departs.isdisjoint(test.needs):
        return []
    of_case = scale_of_number(test)
    scale = scale_of(test.measure)
    names = terms[1:] if test.term == "slopes" else [test.term]
    found = []
    for strategy, reference in pairs(test, strategies):
        other_name = reference.name if reference else ""
        for (point, other, at, words), term in itertools.product(grid.compared(test), names):
            key = test, strategy.name, other_name, term
            number = numbers.get(point, *key)
            if other is not None and number is not None:
                opposite = numbers.get(other, *key)
                number = opposite and contrasted(number, opposite, scale)
            if number is not None and np.isfinite(number.value):
                found.append(Case(strategy.name, other_name, term, at, words, number, of_case))
    return [pooled(found)] if test.pooled and found else found


def pooled(found: Sequence[Case]) -> Case:
    """Numbers of different conditions as one, weighted by their datasets."""
    weights = np.array([case.number.n_used for case in found], dtype=float)
    values, errors = np.array([case.number[:2] for case in found]).T
    mean = float(np.average(values, weights=weights))
    mcse = float(np.sqrt(np.square(weights * errors).sum()) / weights.sum())
    return replace(found[0], at={}, number=Number(mean, mcse, int(weights.sum())))


def lacking(test: Test, grid: Grid, strategies: Sequence[Strategy]) -> str:
    """Why a study has no numbers for a test."""
    names = dict.fromkeys([*test.of, *test.against])
    absent = [name for name in names if find(name, strategies) is None]
    if not pairs(test, strategies):
        if absent:
            return f"the study has no {', '.join(absent)}"
        return f"it needs engine: {test.engine}"
    if not grid.matching(test.where):
        return f"the study has no conditions {in_words(test.where)}"
    if not any(True for _ in grid.compared(test)):
        axes = " and ".join(SHORT[axis] for axis in (test.over or (test.step,)))
        return f"the study has nothing to compare over {axes}"
    if test.measure in OF_POWER and not grid.has_effects:
        return "all slopes are zero"
    if test.needs and grid.departs.isdisjoint(test.needs):
        return f"the study's data have no {' or '.join(LACKED[key] for key in test.needs)}"
    return "no condition has such a number"


def in_words(where: Sequence[Where]) -> str:
    """Which conditions a test is about."""
    return "; or ".join(filter(None, map(_one_in_words, where)))


def _one_in_words(where: Where) -> str:
    places, values = [], []
    for axis, wanted in where.items():
        noun = NOUNS[axis]
        if not isinstance(wanted, tuple):
            near = f"a {noun} of {plain(wanted)}" if axis == "sigma" else f"{plain(wanted)} {noun}"
            values.append(near)
        elif axis == "sigma":
            places.append(f"a {' or '.join(wanted)} {noun}")
        elif wanted == ("medium",):
            places.append(f"a medium number of {noun}")
        else:
            places.append(f"{' or '.join(COUNTS[level] for level in wanted)} {noun}")
    if values:
        places.append(f"levels within a factor of 2 of {', '.join(values)}")
    return f"with {' and '.join(places)}" if places else ""
