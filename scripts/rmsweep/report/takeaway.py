"""The study's answer in a few sentences, made by rules from its table of measures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from rmsweep.axes import minus, significant
from rmsweep.claims.cases import Case, Number, Scale
from rmsweep.claims.claim import Region
from rmsweep.claims.post import ALIKE, LIBERAL, LIBERAL_COVERAGE, POWER
from rmsweep.claims.rule import MIN_DATASETS, Judged, judge, overall
from rmsweep.config import axis_defaults
from rmsweep.design import Level, Study, plain
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.rates import Z95, score_interval
from rmsweep.measures.sample_size import GROUPS, NEEDED, sample_sizes
from rmsweep.report import words
from rmsweep.report.findings import SINGULAR, named
from rmsweep.report.words import NOMINAL, amount, counted, listed
from rmsweep.strategies import mixed
from rmsweep.sweep import tables

SIZE, COVERAGE = "size_of_slopes", "coverage_of_slopes"
ERRORS = "coef_abs_err_ratio"
PAIRED = "difference_of_directional_power_of_slopes"
SINGLE = ("bias", "empirical_se", "power", "wrong_sign", "failed_rate", "nonsingular_failure_rate")
USUAL = "lmer"
"""The strategy that others are compared with, if the study has it, as in its figures."""
NOTICEABLE = 0.4
"""Bias, in standard errors, from which on intervals and tests suffer: Collins, Schafer & Kam
(2001), Psychological Methods 6:330."""
NOT_WRONG = Region(high=ALPHA / 2)
"""Rejections with the wrong sign: a test of the right size has at most these, where the effect is
next to zero."""
FITTED = 0.9
"""Datasets of a condition, from which on those that a strategy fits stand for all."""
APART = 10.0
"""Ratios that are so many times their median over the conditions rule a mean of them."""
ACCOUNTS = 2 / 3
"""Part of a difference from which on it comes from one level of an axis."""
FEW = 4
"""Strategies up to which each has a number of its own in a sentence."""
PURPOSES = {"tests": ("tests", "type I error rate"), "intervals": ("95% intervals", "coverage")}
"""What strategies are for, and what they have to keep then."""
UNTOLD = "the study can’t tell which"
UNLIKE_LIFE = {
    "group_sizes": "groups of unequal size",
    "missing": "missing rows",
    "noise_distribution": "noise that is not normal",
    "effect_distribution": "coefficients of groups that are not normal",
    "noise_autocorrelation": "errors that depend on earlier ones",
    "confounding": "groups whose predictors go along with their level (Simpson’s paradox)",
    "n_items": "items that differ",
    "n_sites": "groups that are nested in sites",
}
"""What data may have; of a study with these keys at their defaults, none do."""


class Point(NamedTuple):
    """One part of the answer: what it is about, and sentences with strategies in backquotes."""

    lead: str
    text: str


@dataclass(frozen=True, slots=True)
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


def takeaway(study: Study, folder: Path) -> list[Point]:
    """What a study answers, and what it can't.

    Parameters
    ----------
    study : Study
    folder : Path
        Of its table ``performance``.

    Raises
    ------
    UsageError
        If that can't be read.
    """
    measured = Measured.read(study, folder / "performance.parquet")
    found = {
        "Tests": of_tests(measured),
        "Estimates": of_estimates(measured),
        "Power": [*(of_sample_sizes(measured) if study.power else ()), *of_power(measured)],
        "Fits": of_fits(measured),
        "Which to use": of_choice(measured),
        "Limits": of_limits(measured),
    }
    texts = {lead: " ".join(sentences) for lead, sentences in found.items()}
    return [Point(lead, text) for lead, text in texts.items() if text]


class Sorted(NamedTuple):
    """Strategies by what rates of theirs turn out to be.

    Attributes
    ----------
    kept : sequence of str
        Near enough to what was promised in all conditions.
    high, low : mapping of str to sequence of Judged
        The numbers of those with some that are too high, or too low and never too high: of
        conditions, or else means over those of a level.
    unsure : sequence of str
        The others.
    """

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
        return cls(kept, high, low, [name for name in judged if name not in {*kept, *high, *low}])


def by_tests(measured: Measured) -> Sorted:
    """Strategies by their type I error rates."""
    return Sorted.of(measured, SIZE, LIBERAL)


def by_intervals(measured: Measured) -> Sorted:
    """Strategies by the coverage of their intervals."""
    return Sorted.of(measured, COVERAGE, LIBERAL_COVERAGE)


def of_tests(measured: Measured) -> Iterator[str]:
    """Whose tests and intervals keep their promise."""
    judged = measured.rates(SIZE, LIBERAL)
    if not judged:
        yield "No strategy gave a test of a slope."
        return
    most = most_datasets(judged)
    if most < MIN_DATASETS:
        yield (
            f"Type I error rates can’t be judged from {counted(most, 'dataset')} a condition: that "
            f"takes at least {MIN_DATASETS}."
        )
        return
    found = by_tests(measured)
    limits = f"{amount(LIBERAL.low, 'rate')} to {amount(LIBERAL.high, 'rate')}"
    slopes = max(int(one["n_predictors"]) for one in measured.study.conditions) > 1
    rates = "type I error rates (means over the slopes)" if slopes else "type I error rates"
    mean = ", averaged over the slopes," if slopes else ""
    if found.kept:
        own = {name: judged[name] for name in found.kept}
        numbers = {len(one) for one in own.values()}
        where = measured.share(max(numbers), max(numbers))
        if len(numbers) > 1:
            where = " in all conditions that they fit"
        its = "its" if len(own) == 1 else "their"
        yield (
            f"Trust {coded(found.kept)}: {its} {rates} are within {limits}{where}. "
            f"They are {averages(measured, own)}."
        )
        rates = "type I error rates"
    if found.unsure:
        own = {name: judged[name] for name in found.unsure}
        yield (
            f"{coded(found.unsure)} {'holds' if len(own) == 1 else 'hold'} up as far as "
            f"{counted(most, 'dataset')} a condition can tell: none of the {rates} "
            f"is clearly outside {limits}, though not all are clearly within it. "
            f"They are {averages(measured, own)}."
        )
    if found.high:
        cases = worst(measured, found.high, judged)
        yield f"Don’t trust those that{mean} reject too often: {cases}."
    if found.low:
        cases = worst(measured, found.low, judged, -1, "far too cautious: no rejection")
        yield f"Too cautious, so that they miss effects: {cases}."
    low = by_intervals(measured).low
    if short := {name: own for name, own in low.items() if name not in found.high}:
        judged = measured.rates(COVERAGE, LIBERAL_COVERAGE)
        cases = worst(measured, short, judged, -1)
        yield f"95% intervals that{mean} contain the true slope too seldom: {cases}."
        yield from of_quantiles(measured, {name: judged[name] for name in short})


def of_quantiles(measured: Measured, judged: Mapping[str, Sequence[Judged]]) -> Iterator[str]:
    """Why intervals are too short although tests are right: they have other quantiles."""
    at_fault = [
        one.name
        for one in measured.study.strategies
        if one.name in judged
        and isinstance(one.inference, mixed.Inference)
        and one.inference.interval == "z"
        and one.inference.df != "normal"
    ]
    if not at_fault:
        return
    least = min(measured.study.levels(GROUPS))
    parts = {name: by_level(judged[name], GROUPS) for name in at_fault}
    rates = {name: overall(own[least]) for name, own in parts.items() if least in own}
    short = {name: rate for name, rate in rates.items() if score_interval(*rate)[1] < NOMINAL}
    if short:
        yield (
            f"A known reason: unlike tests, the intervals of {coded([*short])} have normal "
            f"quantiles, which are too short with {words.of_level(GROUPS, least)}: "
            f"{listed([with_error(*rate) for rate in short.values()])}."
        )


def most_datasets(judged: Mapping[str, Sequence[Judged]]) -> int:
    """The most datasets behind any number."""
    return max(one.case.number.n_used for own in judged.values() for one in own)


def averages(measured: Measured, judged: Mapping[str, Sequence[Judged]]) -> str:
    """Mean rates over the conditions that all have: ``5.0% (MCSE 0.1%) with lm``."""
    same = shared(judged)
    if not same:
        return "of different conditions, so that their means can’t be compared"
    means = {name: overall(own) for name, own in same.items()}
    where = measured.on_average(same, judged)
    if len(means) > FEW:
        rates, errors, _ = zip(*means.values(), strict=True)
        return (
            f"{100 * min(rates):.1f}% to {100 * max(rates):.1f}% (MCSE at most "
            f"{amount(float(np.max(errors)), 'rate', 2)}){where}"
        )
    return listed([f"{with_error(*mean)} with `{name}`" for name, mean in means.items()]) + where


def coded(names: Sequence[str], word: str = "and") -> str:
    """Names of strategies, some of which are words, as a sentence has them."""
    return listed([f"`{name}`" for name in names], word)


def with_error(rate: float, mcse: float, n: int) -> str:
    """``5.0% (MCSE 0.14%)``, to the digit that the error allows; ``0% (below 7.1%)``."""
    text = f"{100 * rate:.{places(100 * mcse)}f}%" if mcse > 0 else amount(rate, "rate")
    return f"{text} ({words.error_of_rate(rate, mcse, n)})"


def places(mcse: float) -> int:
    """Decimal places that a number with such an error deserves: up to the error's first digit."""
    return int(np.clip(-np.floor(np.log10(mcse)), 0, 3)) if mcse > 0 else 1


def worst(
    measured: Measured,
    wrong: Mapping[str, Sequence[Judged]],
    judged: Mapping[str, Sequence[Judged]],
    sign: int = 1,
    none: str = "",
) -> str:
    """Strategies, in how many conditions each is wrong, and how wrong at worst.

    `none` says what a rate of zero means.
    """
    said, others = [], []
    direction = "up" if sign > 0 else "down"
    in_full = {*list(wrong)[:FEW], USUAL}
    for name, own in wrong.items():
        case = max((one.case for one in own), key=lambda it: sign * it.number.value)
        text = f"{direction} to {with_error(*case.number)}"
        if none and not case.number.value:
            text = f"{none} ({words.error_of_rate(*case.number)})"
        if name not in in_full:
            others.append(f"`{name}` ({direction} to {amount(case.number.value, 'rate', 2)})")
            continue
        where = measured.share(len(conditions_of(own)), len(conditions_of(judged[name])))
        if len(case.at) < len(measured.keys):
            where = " on average"
        said.append(f"`{name}`{where}, {text}{measured.condition(case.at)}")
    if others:
        said.append(f"in no more conditions than these, {listed(others)}")
    return "; ".join(said)


class Errors(NamedTuple):
    """The errors of strategies over those of another one.

    Attributes
    ----------
    base : str
        That one.
    ratios : mapping of str to sequence of Judged
        Of the other strategies, in the conditions that all have.
    apart : mapping of str to sequence of Judged
        The same, in conditions that would rule any mean.
    missing : mapping
        The conditions that some strategies lack, by their levels, and these strategies.
    """

    base: str
    ratios: Mapping[str, Sequence[Judged]]
    apart: Mapping[str, Sequence[Judged]]
    missing: Mapping[tuple[Level, ...], Sequence[str]]

    @classmethod
    def of(cls, measured: Measured) -> Errors:
        """The ratios of a study."""
        study, rows = measured.study, measured.rows(ERRORS)
        rows = rows[rows["n_used"] >= MIN_DATASETS]
        known = {*rows["strategy"], *rows["reference"]}
        base = next((name for name in (USUAL, *study.references) if name in known), "")
        against = {
            one.name: measured.judged(compared(rows, one.name, base), "ratio", Region())
            for one in study.strategies
            if one.name != base
        }
        against = {name: own for name, own in against.items() if own}
        same = shared(against)
        there = conditions_of(next(iter(same.values()))) if same else set()
        have = {name: conditions_of(own) for name, own in against.items()}
        levels = [tuple(one.levels[key] for key in measured.keys) for one in study.conditions]
        missing = {
            key: [name for name, own in have.items() if key not in own]
            for key in dict.fromkeys(levels)
            if key not in there and any(key in own for own in have.values())
        }
        far = set()
        for own in same.values():
            logs = np.log([one.case.number.value for one in own])
            beyond = np.abs(logs - np.median(logs)) > np.log(APART)
            far |= {condition_of(one) for one, it in zip(own, beyond, strict=True) if it}
        near, apart = (
            {
                name: [one for one in own if (condition_of(one) in far) == beyond]
                for name, own in same.items()
            }
            for beyond in (False, True)
        )
        return cls(base, near, apart if far else {}, missing)


def far_behind(measured: Measured) -> dict[str, tuple[Level, ...]]:
    """Strategies with a slope that varies many times more than the best, and where it does."""
    rows = measured.rows("empirical_se")
    rows = rows[(rows["term"] != "Intercept") & (rows["n_used"] >= MIN_DATASETS)]
    least = rows.groupby([*measured.keys, "term"])["value"].transform("min")
    rows = rows[rows["value"] > APART * least]
    levels = rows[measured.keys].itertuples(index=False, name=None)
    return dict(zip(rows["strategy"], levels, strict=True))


def of_estimates(measured: Measured) -> Iterator[str]:
    """Whose estimates are near the truth."""
    found = Errors.of(measured)
    if found.ratios:
        means = {name: overall(own)[:2] for name, own in found.ratios.items()}
        ordered = sorted(means, key=lambda name: means[name][0])
        told = {name: f"{relative(*means[name])} with `{name}`" for name in ordered}
        where = measured.on_average(found.ratios)
        said = ranging([told[name] for name in ordered], "is")
        if len(told) > FEW and len({relative(*mean) for mean in means.values()}) == 1:
            said = f"is {relative(*means[ordered[0]])} with all others"
        yield (
            f"Compared with `{found.base}` on the same datasets, the median sum of absolute errors "
            f"over the coefficients {said}{where}."
        )
        largest = {
            name: max((one.case for one in own), key=lambda it: it.number.value)
            for name, own in found.ratios.items()
        }
        yield from of_one_level(measured, found)
        name = max(largest, key=lambda name: largest[name].number.value)
        value, mcse, _ = largest[name].number
        at = measured.condition(largest[name].at)
        if at and value - Z95 * mcse > 1:
            yield f"At worst, that of `{name}` is {relative(value, mcse)}{at}."
        yield from told_apart(measured, found)
    if biased := listed_bias(measured):
        yield f"Biased slopes: {biased}."


class Contrast(NamedTuple):
    """An axis, one of whose levels most of a mean difference comes from.

    Attributes
    ----------
    key : str
        The axis.
    parts : mapping of Level to sequence of Judged
        The numbers of that level, and those of the others.
    """

    key: str
    parts: Mapping[Level, Sequence[Judged]]

    @property
    def where(self) -> str:
        """The level."""
        return named(self.key, next(iter(self.parts)))


def contrast(measured: Measured, judged: Sequence[Judged]) -> Contrast | None:
    """The level that accounts for a mean difference, of the axis with the largest contrast.

    Its part of the sum over the levels is at least `ACCOUNTS`, and its difference from the mean
    of the others is beyond Monte Carlo error.
    """
    found: dict[float, Contrast] = {}
    for key in measured.keys:
        parts = by_level(judged, key)
        if len(parts) < 2:
            continue
        means, errors = {}, {}
        for level, own in parts.items():
            means[level], errors[level], _ = overall(own)
            if own[0].case.scale == "ratio":
                errors[level] /= means[level]
                means[level] = float(np.log(means[level]))
        most = max(means, key=lambda level: abs(means[level]))
        others = [mean for level, mean in means.items() if level != most]
        apart = abs(means[most] - float(np.mean(others)))
        accounts = abs(means[most]) >= ACCOUNTS * sum(map(abs, means.values()))
        if accounts and apart > Z95 * float(np.hypot(errors[most], max(errors.values()))):
            found[apart] = Contrast(key, {most: parts[most]} | parts)
    return found[max(found)] if found else None


def of_one_level(measured: Measured, found: Errors) -> Iterator[str]:
    """Whose larger or smaller errors are mostly those of one level of an axis."""
    said: dict[str, list[str]] = {}
    for name, own in found.ratios.items():
        if 1 / ALIKE < overall(own)[0] < ALIKE or not (one := contrast(measured, own)):
            continue
        parts = [
            f"{relative(*overall(part)[:2])} with {named(one.key, level)}"
            for level, part in one.parts.items()
        ]
        text = f"comes mostly from data with {one.where}: it is {listed(parts)}"
        said.setdefault(text, []).append(name)
    for text, names in list(said.items())[:FEW]:
        yield f"The difference of {coded(names)} {text}."


def told_apart(measured: Measured, found: Errors) -> Iterator[str]:
    """The conditions that are left out of mean errors, and why."""
    if found.apart:
        keys = dict.fromkeys(condition_of(one) for own in found.apart.values() for one in own)
        for key in list(keys)[:FEW]:
            own = {
                name: next(one.case.number for one in numbers if condition_of(one) == key)
                for name, numbers in found.apart.items()
            }
            least, most = (end(own, key=lambda name: own[name].value) for end in (min, max))
            yield (
                f"Data{measured.condition_at(key)} would "
                f"dominate the averages and are left out of them: there the error is "
                f"{relative(*own[least][:2])} with `{least}` and {relative(*own[most][:2])} with "
                f"`{most}`."
            )
        if (others := len(keys) - FEW) > 0:
            yield f"So are {counted(others, 'other condition')}."
    by_names: dict[tuple[str, ...], list[str]] = {}
    for key, names in found.missing.items():
        where = measured.condition_at(key)
        by_names.setdefault(tuple(names), []).append(where.removeprefix(" with "))
    for names, without in by_names.items():
        some = listed(without) if len(without) <= FEW else f"such as {without[0]}"
        number = len(without)
        yield (
            f"{counted(number, 'condition')} {'is' if number == 1 else 'are'} left out, since "
            f"{coded(names)} {'does' if len(names) == 1 else 'do'} not estimate all coefficients "
            f"in {FITTED:.0%} of datasets there: {some}."
        )


def ranging(said: Sequence[str], verb: str) -> str:
    """All of a few; of many the first and the last ones, as a range."""
    if len(said) <= FEW:
        return f"{verb} {listed(said)}"
    half = FEW // 2
    return f"ranges from {listed(said[:half])} to {listed(said[-half:])}"


def extremes(ordered: list[str]) -> list[str]:
    """All of a few; of many the first and the last ones."""
    return ordered if len(ordered) <= FEW else [*ordered[: FEW // 2], *ordered[-FEW // 2 :]]


def compared(ratios: pd.DataFrame, name: str, base: str) -> pd.DataFrame:
    """A strategy's errors over those of another, whichever of them the table has first."""
    ratios = ratios[ratios["value"] > 0]
    straight = ratios[(ratios["strategy"] == name) & (ratios["reference"] == base)]
    turned = ratios[(ratios["strategy"] == base) & (ratios["reference"] == name)]
    inverse = 1 / turned["value"]
    turned = turned.assign(value=inverse, mcse=turned["mcse"] * inverse**2)
    return pd.concat([straight, turned]) if len(turned) else straight


def relative(ratio: float, mcse: float) -> str:
    """``6% larger (MCSE 0.1%)``, ``3.3 times as large (MCSE 0.4)``, or ``unchanged``."""
    if ratio >= 2:
        return f"{ratio:.{places(mcse)}f} times as large (MCSE {significant(mcse, 2)})"
    error = f"MCSE {amount(mcse, 'rate', 2)}" if np.isfinite(mcse) else "MCSE unknown"
    change = f"{100 * abs(ratio - 1):.{places(100 * mcse)}f}"
    if not float(change):
        return f"unchanged ({error})"
    return f"{change}% {'larger' if ratio > 1 else 'smaller'} ({error})"


class Biased(NamedTuple):
    """Where a strategy's slopes are biased by what matters.

    Attributes
    ----------
    n : int
        Conditions.
    text : str
        How many these are, and the worst case.
    """

    n: int
    text: str


def of_bias(measured: Measured) -> dict[str, Biased]:
    """Strategies whose slopes are biased by what matters."""
    keys = [*measured.keys, "strategy", "term"]
    both = measured.rows("bias").merge(
        measured.rows("empirical_se")[[*keys, "value"]], on=keys, suffixes=("", "_of_se")
    )
    both = both[(both["term"] != "Intercept") & (both["n_used"] >= MIN_DATASETS)]
    found: dict[str, Biased] = {}
    for name, own in both.groupby("strategy", sort=False):
        judged = measured.judged(own, "difference", Region(0.0, 0.0))
        far = [
            one
            for one, se in zip(judged, NOTICEABLE * own["value_of_se"], strict=True)
            if one.low > se or one.high < -se
        ]
        if not far:
            continue
        n = len(conditions_of(far))
        case = max((one.case for one in far), key=lambda it: abs(it.number.value))
        value, mcse, _ = case.number
        where = measured.share(n, len(own[measured.keys].drop_duplicates()))
        size = f"{minus(f'{value:.{places(mcse)}f}')} (MCSE {significant(mcse, 2)})"
        found[str(name)] = Biased(n, f"{where}, by up to {size}{measured.condition(case.at)}")
    return found


def listed_bias(measured: Measured) -> str:
    """Strategies whose slopes are biased, with the worst case of each."""
    found = of_bias(measured)
    ordered = sorted(found, key=lambda name: -found[name].n)
    in_full = {*ordered[:FEW], USUAL}
    said = [f"`{name}`{found[name].text}" for name in ordered if name in in_full]
    if others := [name for name in ordered if name not in in_full]:
        said.append(f"in no more conditions than these, {coded(others)}")
    return "; ".join(said)


def of_power(measured: Measured) -> Iterator[str]:
    """Which of the strategies that keep their type I error rate find most."""
    powers = measured.of_slopes("power", Region())
    wrong = measured.of_slopes("wrong_sign", NOT_WRONG)
    against = {
        name: found
        for name, own in wrong.items()
        if (found := [one for one in own if one.side == "against"])
    }
    liberal = by_tests(measured).high
    fair = {
        name: own for name, own in powers.items() if name not in liberal and name not in against
    }
    same = shared(fair)
    means = {name: overall(own) for name, own in same.items()}
    if means:
        ordered = sorted(means, key=lambda name: -means[name][0])
        said = [f"{with_error(*means[name])} with `{name}`" for name in ordered]
        yield (
            "Among the strategies that do not clearly reject too often, the power "
            f"{ranging(said, 'is')}{measured.on_average(same, powers)}."
        )
        yield from power_of_one_level(measured, same)
    if against:
        ordered = sorted(against, key=lambda name: -len(conditions_of(against[name])))
        cases = worst(measured, {name: against[name] for name in ordered}, wrong)
        yield (
            f"More than {amount(NOT_WRONG.high, 'rate')} of tests are significant with the wrong "
            f"sign, so that they find the opposite of the truth: {cases}."
        )
    rest = {name: overall(powers[name]) for name in powers if name not in means}
    if not rest:
        return
    top = max(rest, key=lambda name: rest[name][0])
    if top in liberal and rest[top][0] > max((mean for mean, *_ in means.values()), default=0.0):
        signs = ""
        if top in against:
            signs = f", and the sign is wrong in {with_error(*overall(wrong[top]))}"
        yield (
            f"`{top}` rejects zero more often, in {with_error(*rest[top])} of datasets. That is no "
            f"merit: it also rejects true values too often{signs}."
        )


def power_of_one_level(measured: Measured, same: Mapping[str, Sequence[Judged]]) -> Iterator[str]:
    """Whose lack of power is mostly that of one level of an axis.

    The strategies saw the same datasets: as if they were independent, errors are not too small.
    """
    means = {name: overall(own)[0] for name, own in same.items()}
    base = USUAL if USUAL in means else max(means, key=lambda name: means[name])
    of_base = {(condition_of(one), one.case.term): one.case.number for one in same[base]}
    for name, own in same.items():
        if abs(means[name] - means[base]) < POWER:
            continue
        lacks = []
        for one in own:
            (value, mcse, n), other = one.case.number, of_base[condition_of(one), one.case.term]
            number = Number(other.value - value, float(np.hypot(mcse, other.mcse)), n)
            lacks.append(replace(one, case=replace(one.case, number=number, scale="difference")))
        if not (found := contrast(measured, lacks)):
            continue
        said = []
        for level in found.parts:
            its, that = (overall(by_level(same[who], found.key)[level])[0] for who in (name, base))
            said.append(
                f"{100 * its:.0f}% against {100 * that:.0f}% with {named(found.key, level)}"
            )
        yield (f"`{name}` and `{base}` differ mostly in data with {found.where}: {listed(said)}.")


def of_sample_sizes(measured: Measured) -> Iterator[str]:
    """How many groups the power takes that the study asks for."""
    study = measured.study
    assert study.power
    sizes = sample_sizes(study, study.power, measured.frame).to_pandas()
    liberal = by_tests(measured).high
    names = [one for one in (USUAL, *study.references) if one in set(sizes["strategy"])]
    names += [one.name for one in study.strategies]
    name = next((one for one in names if one not in liberal), "")
    if not name:
        yield "All strategies clearly reject too often, so that their power is of no use."
        return
    own = sizes[(sizes["strategy"] == name) & sizes[GROUPS].notna()]
    axes = [key for key in measured.keys if key != GROUPS and len(study.levels(key)) > 1]
    said = []
    for row in own.to_dict("records"):
        at = [words.of_level(axis, row[axis]) for axis in axes]
        low = "fewer" if pd.isna(row["low"]) else f"{row['low']:.0f}"
        high = "more" if pd.isna(row["high"]) else f"{row['high']:.0f}"
        text = f"{row[GROUPS]:.0f} groups (95% interval {low} to {high})"
        said.append(f"{text} with {listed(at)}" if at else text)
    goal = f"a power of {study.power.target:.0%} for {study.power.effect}"
    if said:
        yield f"For {goal}, `{name}` needs {listed(extremes(said))}."
    else:
        yield f"The numbers of groups of this study don’t tell how many `{name}` needs for {goal}."
    yield "The table “How many groups it takes” has every strategy."


def of_fits(measured: Measured) -> Iterator[str]:
    """Which fits failed or came with warnings, and what became of them."""
    frame = measured.frame
    keys = [*measured.keys, "strategy"]
    rows = frame[frame["measure"] == "failed_rate"]
    real = frame.loc[frame["measure"] == "nonsingular_failure_rate", [*keys, "value"]]
    rows = rows.merge(real, on=keys, how="left", suffixes=("", "_of_real"))
    rows = rows.assign(
        n_failed=rows["value"].fillna(0.0) * rows["n_used"],
        n_real=rows["value_of_real"].fillna(0.0) * rows["n_run"],
    )
    columns = ["n_run", "n_converged", "n_failed", "n_real"]
    sums = rows.groupby("strategy", sort=False)[columns].sum()
    total, converged, failed, n_real = (round(sums[name].sum()) for name in columns)
    if converged == total:
        return
    if failed == total:
        yield f"All {counted(total, 'fit')} failed, so there are no estimates to judge."
        return
    shares = (1 - sums["n_converged"] / sums["n_run"]).sort_values(ascending=False, kind="stable")
    said = [f"{100 * share:.2g}% with `{name}`" for name, share in shares.items() if share > 0]
    others = f" and less with {counted(len(said) - FEW, 'other')}" if len(said) > FEW else ""
    some = f"{', '.join(said[:FEW])}{others}" if others else listed(said)
    not_converged = total - converged
    singular, another = not_converged - n_real, n_real - failed
    kinds = {
        "came with a warning": another,
        "were singular": singular,
        "failed": failed,
    }
    causes = {
        f"were singular without another warning ({SINGULAR}), and their estimates can be used": (
            singular
        ),
        "came with a warning": another,
        "failed: they gave no estimates and are left out of all numbers": failed,
    }
    what = listed([text for text, number in kinds.items() if number], "or")
    yield (
        f"{not_converged:,} of {counted(total, 'fit')} {what}, and don’t count as converged: "
        f"{some}."
    )
    parts = [f"{number:,} {text}" for text, number in causes.items() if number]
    if len(parts) > 1:
        yield f"Of these, {'; '.join(parts)}."
    elif singular:
        yield f"A singular fit is one where {SINGULAR}; its estimates can be used."
    if failed < not_converged:
        yield "All fits with estimates are in all numbers that don’t say otherwise."
    alike_: dict[str, list[str]] = {}
    for name, own in measured.gaps.items():
        case = own.loc[own["value"].idxmax()]
        at = measured.condition({key: case[key] for key in measured.keys})
        where = measured.share(len(own), len(measured.study.conditions))
        text = f"less than {FITTED:.0%} of datasets{where}, down to {1 - case['value']:.0%}{at}"
        alike_.setdefault(text, []).append(name)
    for text, names in alike_.items():
        gives, it = ("gives", "it") if len(names) == 1 else ("give", "them")
        yield (
            f"{coded(names)} {gives} estimates for {text}. Since those datasets are a selection, "
            f"nothing above is said of {it} there."
        )


def of_choice(measured: Measured) -> Iterator[str]:
    """Which strategy to use for what, as far as the study can tell."""
    sizes = measured.rates(SIZE, LIBERAL)
    if len(measured.study.strategies) == 1 or not sizes or most_datasets(sizes) < MIN_DATASETS:
        return
    wrong = measured.of_slopes("wrong_sign", NOT_WRONG)
    amiss = {name for name, own in wrong.items() if any(one.side == "against" for one in own)}
    amiss |= {*of_bias(measured), *measured.gaps}
    behind, tests = far_behind(measured), by_tests(measured)
    left_out: dict[tuple[Level, ...], list[str]] = {}
    for name in (*tests.kept, *tests.unsure):
        if name in behind and name not in amiss:
            left_out.setdefault(behind[name], []).append(name)
    amiss |= {*behind}
    choices: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for what, found in (("tests", tests), ("intervals", by_intervals(measured))):
        sure = [name for name in found.kept if name not in amiss]
        fair = sure or [name for name in found.unsure if name not in amiss]
        choices.setdefault((tuple(fair), bool(sure)), []).append(what)
    for (names, is_sure), purposes in choices.items():
        yield recommended(measured, names, is_sure, purposes, most_datasets(sizes))
    good = [one.name for one in measured.study.strategies if one.name not in amiss]
    for who, what in closest(measured, good, known=False):
        yield f"For estimates alone, {who} has {what}."
    for key, without in left_out.items():
        where = measured.condition_at(key)
        tests_of = "its tests are" if len(without) == 1 else "their tests are"
        yield (
            f"Not recommended, although {tests_of} not clearly wrong: {coded(without)}. There is a "
            f"slope whose estimates vary more than {APART:g} times as much as the best{where}."
        )


def recommended(
    measured: Measured, names: Sequence[str], is_sure: bool, purposes: Sequence[str], most: int
) -> str:
    """What to use for tests, intervals, or both."""
    purpose = listed([PURPOSES[one][0] for one in purposes])
    promise = listed([PURPOSES[one][1] for one in purposes])
    if not names:
        return (
            f"For {purpose} of slopes, the study has no strategy to recommend: each has a wrong "
            f"{promise} or biased slopes somewhere, or does not fit."
        )
    which = coded(names, "or")
    it, its, keeps = ("it", "its", "keeps") if len(names) == 1 else ("they", "their", "keep")
    if is_sure:
        where = " in all conditions of this study" if len(measured.study.conditions) > 1 else ""
        why = f"{it} {keeps} {its} {promise}{where}"
    else:
        each = counted(most, "dataset")
        why = f"nothing speaks against {its} {promise}, though {each} a condition can’t prove more"
    best: dict[str, list[str]] = {}
    for who, what in (
        *(most_powerful(measured, names) if "tests" in purposes else ()),
        *(closest(measured, names) if "intervals" in purposes else ()),
    ):
        best.setdefault(who, []).append(what)
    word = " or " if any(who.startswith(UNTOLD) for who in best) else ", and "
    said = ", and ".join(f"{who} has {word.join(what)}" for who, what in best.items())
    among = f" Among these, {said}." if said else ""
    return f"For {purpose} of slopes, use {which}: {why}.{among}"


def most_powerful(measured: Measured, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Which of strategies has the most power, and how much; nothing if that is not known."""
    powers = measured.of_slopes("power", Region())
    same = shared({name: powers[name] for name in names if name in powers})
    means = {name: overall(own) for name, own in same.items()}
    if len(means) < 2:
        return
    ordered = sorted(means, key=lambda name: -means[name][0])
    ties = alike({name: means[name][:2] for name in ordered})
    where = conditions_of(same[ordered[0]])
    best = ordered[0]
    ties = [name for name in ties if name == best or not has_less(measured, name, best, where)]
    if len(ties) == 1:
        value = with_error(*means[ordered[0]])
        yield f"`{ordered[0]}`", f"the most power, {value} on average"
    else:
        yield f"{UNTOLD} {several(ties, means)}", "the most power"


def has_less(measured: Measured, name: str, best: str, where: Collection[object]) -> bool:
    """Whether paired differences show a strategy to have less power than another.

    Of two strategies that are each compared with a third, the standard error of their difference
    is at most the sum of both.
    """
    references = dict.fromkeys([best, name, *measured.study.references, USUAL])
    return any(
        (one := more_power(measured, best, reference, where)) is not None
        and (other := more_power(measured, name, reference, where)) is not None
        and one[0] - other[0] > Z95 * (one[1] + other[1])
        for reference in references
    )


def more_power(
    measured: Measured, name: str, reference: str, where: Collection[object]
) -> tuple[float, float] | None:
    """How much more power a strategy has than another on the same datasets, and its error."""
    if name == reference:
        return 0.0, 0.0
    rows = measured.rows(PAIRED)
    straight = rows[(rows["strategy"] == name) & (rows["reference"] == reference)]
    turned = rows[(rows["strategy"] == reference) & (rows["reference"] == name)]
    both = pd.concat([straight, turned.assign(value=-turned["value"])])
    judged = [
        one for one in measured.judged(both, "difference", Region()) if condition_of(one) in where
    ]
    if conditions_of(judged) != where:
        return None
    return overall(judged)[:2]


def closest(
    measured: Measured, names: Sequence[str], known: bool = True
) -> Iterator[tuple[str, str]]:
    """Which of strategies, `known` by what was said before, has the smallest errors."""
    found = Errors.of(measured)
    means = {name: overall(own)[:2] for name, own in found.ratios.items() if name in names}
    if found.base in names:
        means[found.base] = 1.0, 0.0
    if len(means) < 2:
        return
    ordered = sorted(means, key=lambda name: means[name][0])
    ties = alike({name: means[name] for name in ordered})
    who = f"`{ordered[0]}`" if len(ties) == 1 else ""
    yield who or f"{UNTOLD} {several(ties, means if known else ())}", "the smallest errors"


def alike(means: Mapping[str, tuple[float, float]]) -> list[str]:
    """The first of ordered means, and those that Monte Carlo error can't tell from it.

    They are of the same datasets: as if they were independent, the error is not too small.
    """
    best, error = next(iter(means.values()))
    return [
        name
        for name, (mean, mcse) in means.items()
        if not abs(mean - best) > Z95 * float(np.hypot(error, mcse))
    ]


def several(names: Sequence[str], of: Collection[str]) -> str:
    """``of`` a few names, or some of many; ``of them`` where they are all."""
    if len(names) == len(of) > 2:
        return "of them"
    if len(names) <= FEW:
        return f"of {coded(names)}"
    others = counted(len(names) - FEW, "other")
    return f"of {', '.join(f'`{name}`' for name in names[:FEW])} and {others}"


def of_limits(measured: Measured) -> Iterator[str]:
    """What the study can't say."""
    study = measured.study
    least = study.precision.first if study.precision else min(study.sizes.values())
    half = Z95 * np.sqrt(ALPHA * (1 - ALPHA) / least)
    if least < MIN_DATASETS:
        yield f"{counted(least, 'dataset').capitalize()} a condition: too few for conclusions."
    else:
        yield (
            f"With {counted(least, 'dataset')} a condition, a single rate near {ALPHA:.0%} is "
            f"known to within ±{100 * half:.2g} points."
        )
    if len(study.strategies) == 1:
        yield "With one strategy, the study can’t say which is better."
    ranges = [
        span(axis.name, levels[0], levels[-1])
        for axis in study.axes
        if len(levels := study.levels(axis.name)) > 1
        and not any(isinstance(level, str) for level in levels)
    ]
    defaults = axis_defaults()
    absent = [
        text
        for key, text in UNLIKE_LIFE.items()
        if all(dict(one.values)[key] == defaults[key] for one in study.conditions)
    ]
    unknown = [f"beyond {listed(ranges)}"] if ranges else []
    unknown += [f"with {listed(absent, 'or')}"] if absent else []
    if unknown:
        yield f"The study says nothing of data {', or '.join(unknown)}."


def span(axis: str, low: Level, high: Level) -> str:
    """``10 to 100 groups``, or ``SD 0.1 to 4``."""
    if words.of_axis(axis).level.startswith("{}"):
        return f"{plain(low)} to {words.of_level(axis, high)}"
    return f"{words.of_level(axis, low)} to {plain(high)}"
