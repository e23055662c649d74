"""Which strategy to use for what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from rmsweep.claims.claim import Region
from rmsweep.claims.rule import MIN_DATASETS, overall
from rmsweep.design import Level
from rmsweep.measures.rates import Z95
from rmsweep.report.takeaway.estimates import APART, Errors, far_behind, of_bias
from rmsweep.report.takeaway.measured import (
    PAIRED,
    USUAL,
    Measured,
    condition_of,
    conditions_of,
    most_datasets,
    shared,
)
from rmsweep.report.takeaway.power import NOT_WRONG
from rmsweep.report.takeaway.sentences import FEW, coded, with_error
from rmsweep.report.words import counted, listed

PURPOSES = {"tests": ("tests", "type I error rate"), "intervals": ("95% intervals", "coverage")}
"""What strategies are for, and what they have to keep then."""
UNTOLD = "the study can’t tell which"


def of_choice(measured: Measured) -> Iterator[str]:
    """Which strategy to use for what, as far as the study can tell."""
    tests = measured.tests
    judged = tests.judged
    if len(measured.study.strategies) == 1 or not judged or most_datasets(judged) < MIN_DATASETS:
        return
    wrong = measured.of_slopes("wrong_sign", NOT_WRONG)
    amiss = {name for name, own in wrong.items() if any(one.side == "against" for one in own)}
    amiss |= {*of_bias(measured), *measured.gaps}
    behind = far_behind(measured)
    left_out: dict[tuple[Level, ...], list[str]] = {}
    for name in (*tests.kept, *tests.unsure):
        if name in behind and name not in amiss:
            left_out.setdefault(behind[name], []).append(name)
    amiss |= {*behind}
    choices: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for what, found in (("tests", tests), ("intervals", measured.intervals)):
        sure = [name for name in found.kept if name not in amiss]
        fair = sure or [name for name in found.unsure if name not in amiss]
        choices.setdefault((tuple(fair), bool(sure)), []).append(what)
    for (names, is_sure), purposes in choices.items():
        yield recommended(measured, names, is_sure, purposes, most_datasets(judged))
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
