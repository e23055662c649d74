"""What the answer knows: a study, and the rows of its table of measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.compute as pc

from rmsweep.claims.cases import Case, Number, Scale
from rmsweep.claims.claim import Region
from rmsweep.claims.post import LIBERAL, LIBERAL_COVERAGE
from rmsweep.claims.rule import MIN_DATASETS, Judged, judge, overall
from rmsweep.design import Level, Study
from rmsweep.measures.sample_size import NEEDED
from rmsweep.report.findings import named
from rmsweep.report.words import listed
from rmsweep.sweep import tables

SIZE, COVERAGE = "size_of_slopes", "coverage_of_slopes"
ERRORS = "coef_abs_err_ratio"
PAIRED = "difference_of_directional_power_of_slopes"
SINGLE = ("bias", "empirical_se", "power", "wrong_sign", "failed_rate", "nonsingular_failure_rate")
USUAL = "lmer"
"""The strategy that others are compared with, if the study has it, as in its figures."""
FITTED = 0.9
"""Datasets of a condition, from which on those that a strategy fits stand for all."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A study and the measures that the answer rests on.

    Attributes
    ----------
    study : Study
    frame : pandas.DataFrame
        Rows of ``performance`` of all fits with estimates.
    """

    study: Study
    frame: pd.DataFrame

    @classmethod
    def read(cls, study: Study, path: Path) -> Measured:
        """Read ``performance.parquet``.

        Raises
        ------
        UsageError
            If it can't be read.
        """
        needed = [SIZE, COVERAGE, ERRORS, PAIRED, *SINGLE, *NEEDED]
        columns = [axis.name for axis in study.axes]
        columns += ["strategy", "reference", "term", "measure", "fits", "value", "mcse"]
        columns += ["n_run", "n_converged", "n_used"]
        wanted = pc.field("measure").isin(needed) & (pc.field("fits") == "all")
        found = tables.read(path, "performance", columns=columns, filters=wanted, use_threads=False)
        return cls(study, found.to_pandas())

    @property
    def keys(self) -> list[str]:
        """The columns that tell conditions apart."""
        return [axis.name for axis in self.study.axes]

    def rows(self, measure: str, strategy: str = "") -> pd.DataFrame:
        """The rows of a measure that have a value, of nearly all datasets of their condition."""
        inside = (self.frame["measure"] == measure) & self.frame["value"].notna()
        inside &= self.frame["n_used"] >= FITTED * self.frame["n_run"]
        if strategy:
            inside &= self.frame["strategy"] == strategy
        return self.frame[inside]

    def judged(self, rows: pd.DataFrame, scale: Scale, region: Region) -> list[Judged]:
        """Numbers with the condition that each is of, beside the values that they may have."""
        levels = (dict(zip(self.keys, at, strict=True)) for at in rows[self.keys].to_numpy())
        numbers = zip(rows["value"], rows["mcse"], rows["n_used"], strict=True)
        cases = [
            Case("", "", term or "", at, "", Number(float(value), float(mcse), int(n)), scale)
            for at, term, (value, mcse, n) in zip(levels, rows["term"], numbers, strict=True)
        ]
        return judge(cases, region)

    def rates(self, measure: str, region: Region) -> dict[str, list[Judged]]:
        """A rate of each strategy that has it, in each condition."""
        names = (one.name for one in self.study.strategies)
        found = {name: self.judged(self.rows(measure, name), "rate", region) for name in names}
        return {name: own for name, own in found.items() if own}

    def wrong_levels(self, judged: Sequence[Judged], region: Region) -> list[Judged]:
        """What speaks against a strategy in all conditions of a level of an axis together.

        Means that are outside the region, whose intervals, which hold together, don't reach its
        middle; of a level with one condition, its number, if its own 95% interval is outside.
        """
        single: list[Judged] = []
        means: list[Case] = []
        for key in self.keys:
            for own in by_level(judged, key).values():
                levels = own[0].case.at
                if len(own) == len(judged):
                    continue
                if len(own) == 1:
                    single += judge([own[0].case], region)
                else:
                    number = Number(*overall(own))
                    means.append(replace(own[0].case, at={key: levels[key]}, number=number))
        middle = (region.low + region.high) / 2
        return [one for one in single if one.side == "against"] + [
            one
            for one in judge(means, region)
            if not region.low <= one.case.number.value <= region.high
            and not one.low <= middle <= one.high
            and one.case.number.n_used >= MIN_DATASETS
        ]

    def of_slopes(self, measure: str, region: Region) -> dict[str, list[Judged]]:
        """The same of a measure of one coefficient, for each slope."""
        rows = self.rows(measure)
        rows = rows[(rows["term"] != "Intercept") & (rows["n_used"] >= MIN_DATASETS)]
        return {
            str(name): self.judged(own, "rate", region)
            for name, own in rows.groupby("strategy", sort=False)
        }

    @cached_property
    def tests(self) -> Sorted:
        """Strategies by their type I error rates."""
        return Sorted.of(self, SIZE, LIBERAL)

    @cached_property
    def intervals(self) -> Sorted:
        """Strategies by the coverage of their intervals."""
        return Sorted.of(self, COVERAGE, LIBERAL_COVERAGE)

    @property
    def gaps(self) -> dict[str, pd.DataFrame]:
        """Of strategies that don't fit nearly all datasets, the conditions where they don't."""
        rows = self.frame[(self.frame["measure"] == "failed_rate") & self.frame["value"].notna()]
        rows = rows[1.0 - rows["value"] < FITTED]
        return {str(name): own for name, own in rows.groupby("strategy", sort=False)}

    def condition(self, at: Mapping[str, Level]) -> str:
        """`` with 10 groups and SD 4``: the levels of what the study varies."""
        varied = [name for name in self.keys if len(self.study.levels(name)) > 1]
        levels = [named(name, at[name]) for name in varied if name in at]
        return f" with {listed(levels)}" if levels else ""

    def condition_at(self, levels: Sequence[Level]) -> str:
        """The same of a level of each axis, in their order."""
        return self.condition(dict(zip(self.keys, levels, strict=True)))

    def share(self, number: int, of: int) -> str:
        """How many of a strategy's conditions: `` in 3 of 45 conditions``."""
        if len(self.study.conditions) == 1:
            return ""
        whole = "all" if number == of else f"{number:,} of"
        return f" in {whole} {of:,} conditions"

    def on_average(
        self,
        same: Mapping[str, Sequence[Judged]],
        every: Mapping[str, Sequence[Judged]] | None = None,
    ) -> str:
        """Over which conditions numbers are averaged, where there are several.

        Parameters
        ----------
        same : mapping of str to sequence of Judged
            The numbers that all strategies have.
        every : mapping, optional
            Those that any has; of effects, if the study has conditions without any.
        """
        n, whole = len(conditions_of(next(iter(same.values())))), len(self.study.conditions)
        if whole == 1:
            return ""
        which = "the conditions" if n == whole else f"{n:,} of {whole:,} conditions"
        if n < whole and every:
            fits = n < max(len(conditions_of(own)) for own in every.values())
            which = f"the {n:,} conditions {'that all of them fit' if fits else 'with effects'}"
        return f", on average over {which}"


def condition_of(one: Judged) -> tuple[Level, ...]:
    """What tells the condition of a number from others."""
    return tuple(one.case.at.values())


def conditions_of(judged: Sequence[Judged]) -> set[tuple[Level, ...]]:
    """The conditions that numbers are of."""
    return {condition_of(one) for one in judged}


def by_level(judged: Sequence[Judged], key: str) -> dict[Level, list[Judged]]:
    """Numbers by the level that their conditions have of an axis."""
    parts: dict[Level, list[Judged]] = {}
    for one in judged:
        levels = one.case.at
        parts.setdefault(levels[key], []).append(one)
    return parts


def shared(judged: Mapping[str, Sequence[Judged]]) -> dict[str, list[Judged]]:
    """The numbers that all strategies have, of the same conditions and coefficients.

    Means over other conditions can't be compared. A strategy that has less than half of what the
    others have is left out instead.
    """
    keys = {
        name: {(condition_of(one), one.case.term) for one in own} for name, own in judged.items()
    }
    most = max(map(len, keys.values()), default=0)
    keys = {name: own for name, own in keys.items() if 2 * len(own) >= most}
    common = set.intersection(*keys.values()) if keys else set()
    return {
        name: [one for one in judged[name] if (condition_of(one), one.case.term) in common]
        for name in keys
        if common
    }


class Sorted(NamedTuple):
    """Strategies by what rates of theirs turn out to be.

    Attributes
    ----------
    judged : mapping of str to sequence of Judged
        All numbers.
    kept : sequence of str
        Near enough to what was promised in all conditions.
    high, low : mapping of str to sequence of Judged
        The numbers of those with some that are too high, or too low and never too high: of
        conditions, or else means over those of a level.
    unsure : sequence of str
        The others.
    """

    judged: Mapping[str, Sequence[Judged]]
    kept: Sequence[str]
    high: Mapping[str, Sequence[Judged]]
    low: Mapping[str, Sequence[Judged]]
    unsure: Sequence[str]

    @classmethod
    def of(cls, measured: Measured, measure: str, region: Region) -> Sorted:
        """Sort strategies; those with more wrong numbers come first."""
        judged = measured.rates(measure, region)
        ordered = sorted(
            judged, key=lambda name: -sum(one.side == "against" for one in judged[name])
        )
        high, low = {}, {}
        for name in ordered:
            conditions = [one for one in judged[name] if one.side == "against"]
            wrong = conditions or measured.wrong_levels(judged[name], region)
            if above := [one for one in wrong if one.case.number.value > region.high]:
                high[name] = above
            elif wrong:
                low[name] = wrong
        kept = [
            name
            for name, own in judged.items()
            if name not in {*high, *low} and all(one.side == "for" for one in own)
        ]
        unsure = [name for name in judged if name not in {*kept, *high, *low}]
        return cls(judged, kept, high, low, unsure)


def most_datasets(judged: Mapping[str, Sequence[Judged]]) -> int:
    """The most datasets behind any number."""
    return max(one.case.number.n_used for own in judged.values() for one in own)
