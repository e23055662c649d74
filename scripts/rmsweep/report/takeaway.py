"""The study's answer in a few sentences, made by rules from its table of measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from rmsweep.axes import minus, significant
from rmsweep.claims.cases import Case, Number, Scale
from rmsweep.claims.claim import Region
from rmsweep.claims.post import LIBERAL, LIBERAL_COVERAGE
from rmsweep.claims.rule import MIN_DATASETS, Judged, judge, overall
from rmsweep.config import axis_defaults
from rmsweep.design import Level, Study, plain
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.rates import Z95
from rmsweep.measures.sample_size import GROUPS, NEEDED, sample_sizes
from rmsweep.report import words
from rmsweep.report.words import amount, counted, listed
from rmsweep.sweep import tables

SIZE, COVERAGE = "size_of_slopes", "coverage_of_slopes"
ERRORS = "coef_abs_err_ratio"
SINGLE = ("bias", "empirical_se", "power", "failed_rate")
USUAL = "lmer"
"""The strategy that others are compared with, if the study has it, as in its figures."""
NOTICEABLE = 0.4
"""Bias, in standard errors, from which on intervals and tests suffer: Collins, Schafer & Kam
(2001), Psychological Methods 6:330."""
FEW = 4
"""Strategies up to which each has a number of its own in a sentence."""
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
        needed = [SIZE, COVERAGE, ERRORS, *SINGLE, *NEEDED]
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
        """The rows of a measure that have a value."""
        inside = (self.frame["measure"] == measure) & self.frame["value"].notna()
        if strategy:
            inside &= self.frame["strategy"] == strategy
        return self.frame[inside]

    def judged(self, rows: pd.DataFrame, scale: Scale, region: Region) -> list[Judged]:
        """Numbers with the condition that each is of, beside the values that they may have."""
        levels = (dict(zip(self.keys, at, strict=True)) for at in rows[self.keys].to_numpy())
        numbers = zip(rows["value"], rows["mcse"], rows["n_used"], strict=True)
        cases = [
            Case("", "", "", at, "", Number(float(value), float(mcse), int(n)), scale)
            for at, (value, mcse, n) in zip(levels, numbers, strict=True)
        ]
        return judge(cases, region)

    def rates(self, measure: str, region: Region) -> dict[str, list[Judged]]:
        """A rate of each strategy that has it, in each condition."""
        names = (one.name for one in self.study.strategies)
        found = {name: self.judged(self.rows(measure, name), "rate", region) for name in names}
        return {name: own for name, own in found.items() if own}

    def condition(self, at: Mapping[str, Level]) -> str:
        """`` with 10 groups and SD 4``: the levels of what the study varies."""
        varied = [name for name in self.keys if len(self.study.levels(name)) > 1]
        levels = [
            f"the scenario {at[name]}" if name == "scenario" else words.of_level(name, at[name])
            for name in varied
        ]
        return f" with {listed(levels)}" if levels else ""

    def share(self, number: int, of: int) -> str:
        """How many of a strategy's conditions: `` in 3 of 45 conditions``."""
        if len(self.study.conditions) == 1:
            return ""
        whole = "all" if number == of else f"{number:,} of"
        return f" in {whole} {of:,} conditions"

    @property
    def on_average(self) -> str:
        """What a mean over the conditions is called, where there are several."""
        return ", on average over the conditions," if len(self.study.conditions) > 1 else ""


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
        "Power": of_sample_sizes(measured) if study.power else of_power(measured),
        "Fits": of_fits(measured),
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
        The numbers of those with some that are too high, or too low and never too high.
    unsure : sequence of str
        The others.
    """

    kept: Sequence[str]
    high: Mapping[str, Sequence[Judged]]
    low: Mapping[str, Sequence[Judged]]
    unsure: Sequence[str]

    @classmethod
    def of(cls, judged: Mapping[str, Sequence[Judged]], region: Region) -> Sorted:
        """Sort strategies; those with more wrong numbers come first."""
        ordered = sorted(
            judged, key=lambda name: -sum(one.side == "against" for one in judged[name])
        )
        high, low = {}, {}
        for name in ordered:
            wrong = [one for one in judged[name] if one.side == "against"]
            if above := [one for one in wrong if one.low > region.high]:
                high[name] = above
            elif wrong:
                low[name] = wrong
        kept = [name for name, own in judged.items() if all(one.side == "for" for one in own)]
        return cls(kept, high, low, [name for name in judged if name not in {*kept, *high, *low}])


def by_tests(measured: Measured) -> Sorted:
    """Strategies by their type I error rates."""
    return Sorted.of(measured.rates(SIZE, LIBERAL), LIBERAL)


def of_tests(measured: Measured) -> Iterator[str]:
    """Whose tests and intervals keep their promise."""
    judged = measured.rates(SIZE, LIBERAL)
    if not judged:
        yield "No strategy gave a test of a slope."
        return
    most = max(one.case.number.n_used for own in judged.values() for one in own)
    if most < MIN_DATASETS:
        yield (
            f"Type I error rates can’t be judged from {counted(most, 'dataset')} a condition: that "
            f"takes at least {MIN_DATASETS}."
        )
        return
    found = Sorted.of(judged, LIBERAL)
    limits = f"{amount(LIBERAL.low, 'rate')} to {amount(LIBERAL.high, 'rate')}"
    if found.kept:
        whole = len(judged[found.kept[0]])
        own = {name: judged[name] for name in found.kept}
        yield (
            f"Trust {coded(found.kept)}: type I error rates are within {limits}"
            f"{measured.share(whole, whole)}{measured.on_average or ','} {averages(own)}."
        )
    if found.unsure:
        own = {name: judged[name] for name in found.unsure}
        yield (
            f"{coded(found.unsure)} {'holds' if len(own) == 1 else 'hold'} up as far as "
            f"{counted(most, 'dataset')} a condition can tell: no type I error rate is clearly "
            f"outside {limits}, though not all are clearly within it. They are"
            f"{measured.on_average} {averages(own)}."
        )
    if found.high:
        yield f"Don’t trust those that reject too often: {worst(measured, found.high, judged)}."
    if found.low:
        cases = worst(measured, found.low, judged, -1)
        yield f"Too cautious, so that they miss effects: {cases}."
    judged = measured.rates(COVERAGE, LIBERAL_COVERAGE)
    others = {name: own for name, own in judged.items() if name not in found.high}
    if short := Sorted.of(others, LIBERAL_COVERAGE).low:
        cases = worst(measured, short, judged, -1)
        yield f"95% intervals that contain the true slope too seldom: {cases}."


def averages(judged: Mapping[str, Sequence[Judged]]) -> str:
    """Mean rates: ``5.0% (MCSE 0.1%) with lm``."""
    means = {name: overall(own)[:2] for name, own in judged.items()}
    if len(means) > FEW:
        rates, errors = zip(*means.values(), strict=True)
        return (
            f"{100 * min(rates):.1f}% to {100 * max(rates):.1f}% (MCSE at most "
            f"{amount(float(np.max(errors)), 'rate', 2)})"
        )
    return listed([f"{with_error(*mean)} with `{name}`" for name, mean in means.items()])


def coded(names: Sequence[str]) -> str:
    """Names of strategies, some of which are words, as a sentence has them."""
    return listed([f"`{name}`" for name in names])


def with_error(rate: float, mcse: float) -> str:
    """``5.0% (MCSE 0.14%)``, to the digit that the error allows."""
    text = f"{100 * rate:.{places(100 * mcse)}f}%" if mcse else amount(rate, "rate")
    return f"{text} (MCSE {amount(mcse, 'rate', 2)})"


def places(mcse: float) -> int:
    """Decimal places that a number with such an error deserves: up to the error's first digit."""
    return int(np.clip(-np.floor(np.log10(mcse)), 0, 3)) if mcse > 0 else 1


def worst(
    measured: Measured,
    wrong: Mapping[str, Sequence[Judged]],
    judged: Mapping[str, Sequence[Judged]],
    sign: int = 1,
) -> str:
    """Strategies, in how many conditions each is wrong, and how wrong at worst."""
    said = []
    for name, own in list(wrong.items())[:FEW]:
        case = max((one.case for one in own), key=lambda it: sign * it.number.value)
        value, mcse, _ = case.number
        text = f"{'up' if sign > 0 else 'down'} to {with_error(value, mcse)}"
        where = measured.share(len(own), len(judged[name]))
        said.append(f"`{name}`{where}, {text}{measured.condition(case.at)}")
    if others := list(wrong)[FEW:]:
        said.append(f"in no more conditions than these, {coded(others)}")
    return "; ".join(said)


def of_estimates(measured: Measured) -> Iterator[str]:
    """Whose estimates are near the truth."""
    study, ratios = measured.study, measured.rows(ERRORS)
    ratios = ratios[ratios["n_used"] >= MIN_DATASETS]
    known = {*ratios["strategy"], *ratios["reference"]}
    base = next((name for name in (USUAL, *study.references) if name in known), "")
    against = {
        one.name: measured.judged(compared(ratios, one.name, base), "ratio", Region())
        for one in study.strategies
        if one.name != base
    }
    against = {name: own for name, own in against.items() if own}
    if against:
        means = {name: overall(own)[:2] for name, own in against.items()}
        ordered = sorted(means, key=lambda name: means[name][0])
        told = {name: relative(*means[name]) for name in ordered}
        names = extremes(ordered)
        said = listed([f"{told[name]} with `{name}`" for name in names])
        which = " (the least and the most)" if len(names) < len(told) else ""
        if which and len({*told.values()}) == 1:
            said, which = f"{told[names[0]]} with all others", ""
        yield (
            f"Compared with `{base}` on the same datasets, the median error is"
            f"{measured.on_average} {said}{which}."
        )
        largest = {
            name: max((one.case for one in own), key=lambda it: it.number.value)
            for name, own in against.items()
        }
        name = max(largest, key=lambda name: largest[name].number.value)
        value, mcse, _ = largest[name].number
        where = measured.condition(largest[name].at)
        if where and value - Z95 * mcse > 1:
            yield f"At worst, that of `{name}` is {relative(value, mcse)}{where}."
    if biased := of_bias(measured):
        yield f"Biased slopes: {biased}."


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
    """``6% larger (MCSE 0.1%)``, ``3.3 times as large (MCSE 0.4)``, or ``as large``."""
    if ratio >= 2:
        return f"{ratio:.{places(mcse)}f} times as large (MCSE {significant(mcse, 2)})"
    error = f"MCSE {amount(mcse, 'rate', 2)}" if np.isfinite(mcse) else "MCSE unknown"
    change = f"{100 * abs(ratio - 1):.{places(100 * mcse)}f}"
    if not float(change):
        return f"as large ({error})"
    return f"{change}% {'larger' if ratio > 1 else 'smaller'} ({error})"


def of_bias(measured: Measured) -> str:
    """Strategies whose slopes are biased by what matters, with the worst case of each."""
    keys = [*measured.keys, "strategy", "term"]
    both = measured.rows("bias").merge(
        measured.rows("empirical_se")[[*keys, "value"]], on=keys, suffixes=("", "_of_se")
    )
    both = both[(both["term"] != "Intercept") & (both["n_used"] >= MIN_DATASETS)]
    found: dict[str, tuple[int, str]] = {}
    for name, own in both.groupby("strategy", sort=False):
        judged = measured.judged(own, "difference", Region(0.0, 0.0))
        far = [
            one
            for one, se in zip(judged, NOTICEABLE * own["value_of_se"], strict=True)
            if one.low > se or one.high < -se
        ]
        if not far:
            continue
        conditions = {tuple(one.case.at.values()) for one in far}
        case = max((one.case for one in far), key=lambda it: abs(it.number.value))
        value, mcse, _ = case.number
        where = measured.share(len(conditions), len(own[measured.keys].drop_duplicates()))
        size = f"{minus(f'{value:.{places(mcse)}f}')} (MCSE {significant(mcse, 2)})"
        text = f"`{name}`{where}, by up to {size}{measured.condition(case.at)}"
        found[str(name)] = len(conditions), text
    ordered = sorted(found, key=lambda name: -found[name][0])
    said = [found[name][1] for name in ordered[:FEW]]
    if others := ordered[FEW:]:
        said.append(f"in no more conditions than these, {coded(others)}")
    return "; ".join(said)


def of_power(measured: Measured) -> Iterator[str]:
    """Which of the strategies that keep their type I error rate find most."""
    rows = measured.rows("power")
    rows = rows[(rows["term"] != "Intercept") & (rows["n_used"] >= MIN_DATASETS)]
    means = {
        str(name): overall(measured.judged(own, "rate", Region()))[:2]
        for name, own in rows.groupby("strategy", sort=False)
    }
    ordered = sorted(means, key=lambda name: -means[name][0])
    liberal = by_tests(measured).high
    fair = [name for name in ordered if name not in liberal]
    if not fair:
        return
    names = extremes(fair)
    said = [f"{with_error(*means[name])} with `{name}`" for name in names]
    which = " (the most and the least)" if len(names) < len(fair) else ""
    yield (
        f"The power of those that don’t clearly reject too often is{measured.on_average} "
        f"{listed(said)}{which}."
    )
    if ordered[0] in liberal:
        yield (
            f"`{ordered[0]}` reaches {with_error(*means[ordered[0]])}, but its false positives "
            "come with that."
        )


def of_sample_sizes(measured: Measured) -> Iterator[str]:
    """How many groups the power takes that the study asks for."""
    study = measured.study
    assert study.power
    sizes = sample_sizes(study, study.power, measured.frame).to_pandas()
    liberal = by_tests(measured).high
    names = [one for one in (USUAL, *study.references) if one in set(sizes["strategy"])]
    names += [one.name for one in study.strategies]
    name = next((one for one in names if one not in liberal), names[0])
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
    yield "The table sample_sizes has every strategy."


def of_fits(measured: Measured) -> Iterator[str]:
    """Which fits failed or came with warnings, and what became of them."""
    frame = measured.frame
    rows = frame[frame["measure"] == "failed_rate"]
    rows = rows.assign(n_failed=rows["value"].fillna(0.0) * rows["n_used"])
    sums = rows.groupby("strategy", sort=False)[["n_run", "n_converged", "n_failed"]].sum()
    total, converged, failed = (round(sums[name].sum()) for name in sums)
    if converged == total:
        return
    if failed == total:
        yield f"All {counted(total, 'fit')} failed, so there are no estimates to judge."
        return
    shares = (1 - sums["n_converged"] / sums["n_run"]).sort_values(ascending=False, kind="stable")
    said = [f"{100 * share:.2g}% with `{name}`" for name, share in shares.items() if share > 0]
    others = f" and less with {counted(len(said) - FEW, 'other')}" if len(said) > FEW else ""
    some = f"{', '.join(said[:FEW])}{others}" if others else listed(said)
    yield (
        f"{total - converged:,} of {counted(total, 'fit')} failed, or came with a warning that "
        f"counts as a failure: {some}."
    )
    if failed:
        who = f"{failed:,} of them" if failed < total - converged else "They"
        yield f"{who} gave no estimates and are left out of all numbers."
    if failed < total - converged:
        whose = "The estimates of the others" if failed else "Their estimates"
        yield f"{whose} are in all numbers that don’t say otherwise."


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
    unknown += [f"with {alternatives(absent)}"] if absent else []
    if unknown:
        yield f"The study says nothing of data {', or '.join(unknown)}."


def span(axis: str, low: Level, high: Level) -> str:
    """``10 to 100 groups``, or ``SD 0.1 to 4``."""
    if words.of_axis(axis).level.startswith("{}"):
        return f"{plain(low)} to {words.of_level(axis, high)}"
    return f"{words.of_level(axis, low)} to {plain(high)}"


def alternatives(items: Sequence[str]) -> str:
    """``a, b or c``."""
    *first, last = items
    return f"{', '.join(first)} or {last}" if first else last
