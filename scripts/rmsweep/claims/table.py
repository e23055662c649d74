"""The tables of claims: one row per claim and test, and one per number behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from rmsweep.claims.cases import (
    DERIVED,
    MEASURES,
    NOUNS,
    Grid,
    Numbers,
    cases,
    find,
    in_words,
    lacking,
    pairs,
    scale_of,
    scale_of_number,
)
from rmsweep.claims.claim import Claim, Test
from rmsweep.claims.rule import (
    Final,
    Judged,
    Verdict,
    judge,
    overall,
    possible_verdicts,
    sure,
    verdict_of_claim,
)
from rmsweep.data.scenario import terms_of
from rmsweep.design import MAIN, Study
from rmsweep.measures.rates import Z95, score_interval
from rmsweep.sweep import tables

NEEDED = (
    *("measure", "fits", "strategy", "reference", "term"),
    *("value", "mcse", "n_run", "n_converged", "n_used"),
)
"""The columns of ``performance`` that are read, beyond those of the condition."""

ASSESSED = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("section", pa.string(), nullable=False),
        pa.field("claim", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        ("reason", pa.string()),
        pa.field("n_planned", pa.int64(), nullable=False),
        pa.field("test", pa.int64(), nullable=False),
        pa.field("compared", pa.string(), nullable=False),
        pa.field("true_if", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        ("estimate", pa.float64()),
        ("mcse", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        pa.field("n_numbers", pa.int64(), nullable=False),
        pa.field("n_for", pa.int64(), nullable=False),
        pa.field("n_against", pa.int64(), nullable=False),
        pa.field("n_undecided", pa.int64(), nullable=False),
        pa.field("test_verdict", pa.string(), nullable=False),
        ("test_reason", pa.string()),
    ]
)
"""The columns of ``claims`` beyond those of the study's further axes."""

BY_CONDITION = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("test", pa.int64(), nullable=False),
        ("n_groups", pa.int64()),
        ("n_obs", pa.int64()),
        ("sigma", pa.float64()),
        ("contrast", pa.string()),
        pa.field("strategy", pa.string(), nullable=False),
        ("reference", pa.string()),
        ("term", pa.string()),
        pa.field("estimate", pa.float64(), nullable=False),
        ("mcse", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("region_low", pa.float64()),
        ("region_high", pa.float64()),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("n_used", pa.int64(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
    ]
)
"""The columns of ``claims_by_condition`` beyond those of the study's further axes."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """A test of a claim, as one slice of a study decides it."""

    test: Test
    judged: Sequence[Judged]
    possible: frozenset[Final]
    reason: str

    @property
    def verdict(self) -> Verdict:
        """The verdict, as far as it is sure."""
        return sure(self.possible)


def schemas(study: Study) -> tuple[pa.Schema, pa.Schema]:
    """The columns of ``claims`` and of ``claims_by_condition``."""
    names = [axis.name for axis in study.further_axes]
    axes = [field for field in tables.keys(study.axes) if field.name in names]
    return pa.schema([*axes, *ASSESSED]), pa.schema([*axes, *BY_CONDITION])


def needed_measures(claims: Sequence[Claim]) -> set[str]:
    """The measures of ``performance`` that claims are about."""
    names = {test.measure for claim in claims for test in claim.tests}
    return {DERIVED.get(name, name) for name in names}


def assess(
    study: Study, performance: pd.DataFrame, claims: Sequence[Claim]
) -> tuple[pa.Table, pa.Table]:
    """Put claims to the test, in each slice of a study.

    Parameters
    ----------
    study : Study
    performance : pandas.DataFrame
        Its performance measures: the condition's columns and those of `NEEDED`.
    claims : sequence of Claim

    Returns
    -------
    claims, by_condition : pyarrow.Table
        With the columns of `schemas`.
    """
    rows: list[dict[str, Any]] = []
    numbers_of: list[dict[str, Any]] = []
    for conditions in study.slices().values():
        levels = tables.levels(study.further_axes, conditions[0])
        inside = np.ones(len(performance), dtype=bool)
        for key, at in levels.items():
            inside &= (performance[key] == at).to_numpy()
        numbers, grid = Numbers(performance[inside]), Grid(conditions)
        names = terms_of(conditions)
        for claim in claims:
            assessed = [assess_test(test, study, grid, numbers, names) for test in claim.tests]
            rows += of_claim(claim, assessed, study, levels)
            numbers_of += by_condition(claim, assessed, levels)
    first, second = schemas(study)
    return (
        pa.Table.from_pylist(rows, schema=first),
        pa.Table.from_pylist(numbers_of, schema=second),
    )


def assess_test(
    test: Test, study: Study, grid: Grid, numbers: Numbers, names: Sequence[str]
) -> Assessed:
    """The numbers of a test, and the verdict."""
    judged = judge(cases(test, grid, numbers, study.strategies, names), test.region)
    sides = [one.side for one in judged]
    possible = possible_verdicts(sides, test)
    verdict = sure(possible)
    absent = [one for one in (*test.of, *test.against) if find(one, study.strategies) is None]
    reason = ""
    if not judged:
        reason = lacking(test, grid, study.strategies)
    elif verdict == "not testable":
        reason = "it happens in no condition of this study, which may lack the data for it"
    elif len(possible) > 1:
        reason = (
            f"{sides.count('undecided')} of {len(sides)} numbers are undecided at "
            f"{study.n_sims:,} replications"
        )
    elif absent:
        reason = f"the study has no {', '.join(dict.fromkeys(absent))}"
    return Assessed(test, judged, possible, reason)


def elsewhere(tests: Sequence[Test]) -> str:
    """Which of the studies that come along have what tests need."""
    files = dict.fromkeys(
        f"config/{test.study}.yaml{f' with engine: {test.engine}' if test.engine else ''}"
        for test in tests
    )
    return f"{' and '.join(files)} can test it"


def of_claim(
    claim: Claim, assessed: Sequence[Assessed], study: Study, levels: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of a claim, one per test."""
    verdict = verdict_of_claim([one.possible for one in assessed])
    reasons = [f"test {k}: {one.reason}" for k, one in enumerate(assessed, 1) if one.reason]
    if len({one.reason for one in assessed}) == 1:
        reasons = [assessed[0].reason]
    if verdict == "not testable" and claim.tests:
        reasons = [*dict.fromkeys(one.reason for one in assessed), elsewhere(claim.tests)]
    claimed = {"id": claim.id, "section": claim.section, "claim": claim.text, "verdict": verdict}
    claimed |= {"reason": "; ".join(reasons) or None, "n_planned": study.n_sims}
    rows = []
    for k, one in enumerate(assessed, 1):
        sides = [it.side for it in one.judged]
        estimate, mcse, n = overall(one.judged)
        low, high = ends(estimate, mcse, n, unit(one.test))
        rows.append(
            {**levels, **claimed, "test": k}
            | {"compared": compared(one.test, study), "true_if": str(one.test.region)}
            | {"unit": unit(one.test), "n_numbers": len(sides)}
            | numeric(estimate=estimate, mcse=mcse, low=low, high=high)
            | {f"n_{side}": sides.count(side) for side in ("for", "against", "undecided")}
            | {"test_verdict": one.verdict, "test_reason": one.reason or None}
        )
    if claim.lacks:
        counts = dict.fromkeys(("n_numbers", "n_for", "n_against", "n_undecided"), 0)
        reason = "no study's tables have"
        rows.append(
            {
                **levels,
                **claimed,
                "reason": f"{reason} {claim.lacks}",
                "test": 1,
                "compared": claim.lacks,
            }
            | {"true_if": "no rule", "unit": "no number", **counts}
            | {"test_verdict": verdict, "test_reason": f"{reason} them"}
        )
    return rows


def by_condition(
    claim: Claim, assessed: Sequence[Assessed], levels: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of the numbers behind a claim."""
    rows = []
    for k, one in enumerate(assessed, 1):
        region = one.test.region
        for it in one.judged:
            case = it.case
            value, mcse, n_used = case.number
            at = {key: case.at.get(key) for key in MAIN}
            rows.append(
                {**levels, "id": claim.id, "test": k, **at, "contrast": case.contrast or None}
                | {"strategy": case.strategy, "reference": case.reference or None}
                | {"term": case.term or None, "estimate": value, "unit": unit(one.test)}
                | numeric(mcse=mcse, low=it.low, high=it.high)
                | numeric(region_low=region.low, region_high=region.high)
                | {"n_used": n_used, "side": it.side}
            )
    return rows


def numeric(**values: float) -> dict[str, float | None]:
    """Numbers as a table has them: none where there is none."""
    return {key: value if np.isfinite(value) else None for key, value in values.items()}


def ends(estimate: float, mcse: float, n: int, kind: str) -> tuple[float, float]:
    """95% interval of an overall estimate of n datasets."""
    if kind == "ratio":
        half = Z95 * mcse / estimate if estimate > 0 else np.nan
        return estimate * float(np.exp(-half)), estimate * float(np.exp(half))
    if kind == "rate" and n:
        return score_interval(estimate, mcse, n)
    return estimate - Z95 * mcse, estimate + Z95 * mcse


def unit(test: Test) -> str:
    """What the numbers of a test are."""
    scale = scale_of_number(test)
    if scale in ("ratio", "rate"):
        return scale
    special = {"estimate_distance": "standard errors", "relative_bias": "share of the truth"}
    return special.get(test.measure, "difference of rates")


def compared(test: Test, study: Study) -> str:
    """What a test compares, in one line."""
    there = pairs(test, study.strategies)
    of = list(dict.fromkeys(one.name for one, _ in there)) or list(test.of)
    against = list(dict.fromkeys(one.name for _, one in there if one)) or list(test.against)
    term = f" for the {test.term.lower()}" if test.term == "Intercept" else ""
    name = MEASURES[test.measure][0]
    if study.strategies[0].verdict == "published":  # by which a singular fit is as good as others
        name = name.replace(" or singular", "")
    text = f"{name}{term}: {', '.join(of)}"
    if against:
        link = "minus" if scale_of(test.measure) == "difference" else "over"
        link = "and" if scale_of(test.measure) in ("rate", "distance") else link
        text += f" {link} {', '.join(against)}"
    parts = [in_words(test.where)]
    sizes = {"n_groups": ("most", "fewest"), "n_obs": ("most", "fewest")}
    if test.over:
        ends_of = {
            axis: sizes.get(axis, ("highest", "lowest"))[::sign] for axis, sign in test.over.items()
        }
        first, second = (
            " and ".join(f"{end[place]} {NOUNS[axis]}" for axis, end in ends_of.items())
            for place in (0, 1)
        )
        parts.append(f"with the {first} against the {second}")
    if test.step:
        number = "" if test.step == "sigma" else "number of "
        parts.append(f"at each {number}{NOUNS[test.step]} against the next lower one")
    if test.against_fits:
        link = "over" if scale_of(test.measure) == "ratio" else "minus"
        parts.append(f"of fits that did not converge {link} those that did")
    elif test.fits != "all":
        did = "converged" if test.fits == "converged" else "did not converge"
        parts.append(f"of fits that {did}")
    return ", ".join([text, *filter(None, parts)])
