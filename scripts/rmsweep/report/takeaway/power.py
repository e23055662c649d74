"""Who finds most, and how many groups it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from rmsweep.claims.cases import Number
from rmsweep.claims.claim import Region
from rmsweep.claims.post import POWER
from rmsweep.claims.rule import Judged, overall
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.sample_size import GROUPS, sample_sizes
from rmsweep.report import words
from rmsweep.report.findings import named
from rmsweep.report.takeaway.contrasts import contrast
from rmsweep.report.takeaway.measured import (
    USUAL,
    Measured,
    by_level,
    condition_of,
    conditions_of,
    shared,
)
from rmsweep.report.takeaway.sentences import extremes, ranging, with_error, worst
from rmsweep.report.words import amount, listed

NOT_WRONG = Region(high=ALPHA / 2)
"""Rejections with the wrong sign: a test of the right size has at most these, where the effect is
next to zero."""


def of_power(measured: Measured) -> Iterator[str]:
    """Which of the strategies that keep their type I error rate find most."""
    powers = measured.of_slopes("power", Region())
    wrong = measured.of_slopes("wrong_sign", NOT_WRONG)
    against = {
        name: found
        for name, own in wrong.items()
        if (found := [one for one in own if one.side == "against"])
    }
    liberal = measured.tests.high
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
    liberal = measured.tests.high
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
