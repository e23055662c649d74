"""Whose estimates are near the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rmsweep.axes import minus, significant
from rmsweep.claims.claim import Region
from rmsweep.claims.post import ALIKE
from rmsweep.claims.rule import MIN_DATASETS, Judged, overall
from rmsweep.design import Level
from rmsweep.measures.rates import Z95
from rmsweep.report.findings import named
from rmsweep.report.takeaway.contrasts import contrast
from rmsweep.report.takeaway.measured import (
    ERRORS,
    FITTED,
    USUAL,
    Measured,
    condition_of,
    conditions_of,
    shared,
)
from rmsweep.report.takeaway.sentences import FEW, coded, places, ranging, relative
from rmsweep.report.words import counted, listed

NOTICEABLE = 0.4
"""Bias, in standard errors, from which on intervals and tests suffer: Collins, Schafer & Kam
(2001), Psychological Methods 6:330."""
APART = 10.0
"""Ratios that are so many times their median over the conditions rule a mean of them."""


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
        if len(told) > 1 and len({relative(*mean) for mean in means.values()}) == 1:
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


def compared(ratios: pd.DataFrame, name: str, base: str) -> pd.DataFrame:
    """A strategy's errors over those of another, whichever of them the table has first."""
    ratios = ratios[ratios["value"] > 0]
    straight = ratios[(ratios["strategy"] == name) & (ratios["reference"] == base)]
    turned = ratios[(ratios["strategy"] == base) & (ratios["reference"] == name)]
    inverse = 1 / turned["value"]
    turned = turned.assign(value=inverse, mcse=turned["mcse"] * inverse**2)
    return pd.concat([straight, turned]) if len(turned) else straight


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
