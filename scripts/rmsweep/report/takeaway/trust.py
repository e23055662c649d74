"""Whose tests and intervals keep their promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rmsweep.claims.post import LIBERAL
from rmsweep.claims.rule import MIN_DATASETS, Judged, overall
from rmsweep.measures.rates import score_interval
from rmsweep.measures.sample_size import GROUPS
from rmsweep.report import words
from rmsweep.report.takeaway.measured import Measured, by_level, most_datasets
from rmsweep.report.takeaway.sentences import averages, coded, with_error, worst
from rmsweep.report.words import NOMINAL, amount, counted, listed
from rmsweep.strategies import mixed


def of_tests(measured: Measured) -> Iterator[str]:
    """Whose tests and intervals keep their promise."""
    found = measured.tests
    judged = found.judged
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
    low = measured.intervals.low
    if short := {name: own for name, own in low.items() if name not in found.high}:
        judged = measured.intervals.judged
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
