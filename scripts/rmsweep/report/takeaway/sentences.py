"""Parts of sentences that several parts of the answer have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rmsweep.axes import significant
from rmsweep.claims.rule import Judged, overall
from rmsweep.report import words
from rmsweep.report.takeaway.measured import USUAL, Measured, conditions_of, shared
from rmsweep.report.words import amount, listed

FEW = 4
"""Strategies up to which each has a number of its own in a sentence."""


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


def ranging(said: Sequence[str], verb: str) -> str:
    """All of a few; of many the first and the last ones, as a range."""
    if len(said) <= FEW:
        return f"{verb} {listed(said)}"
    half = FEW // 2
    return f"ranges from {listed(said[:half])} to {listed(said[-half:])}"


def extremes(ordered: list[str]) -> list[str]:
    """All of a few; of many the first and the last ones."""
    return ordered if len(ordered) <= FEW else [*ordered[: FEW // 2], *ordered[-FEW // 2 :]]


def relative(ratio: float, mcse: float) -> str:
    """``6% larger (MCSE 0.1%)``, ``3.3 times as large (MCSE 0.4)``, or ``the same``."""
    if ratio >= 2:
        return f"{ratio:.{places(mcse)}f} times as large (MCSE {significant(mcse, 2)})"
    error = f"MCSE {amount(mcse, 'rate', 2)}" if np.isfinite(mcse) else "MCSE unknown"
    change = f"{100 * abs(ratio - 1):.{places(100 * mcse)}f}"
    if not float(change):
        return f"the same ({error})"
    return f"{change}% {'larger' if ratio > 1 else 'smaller'} ({error})"
