"""What a study says of the claims, in sentences made from its tables of claims."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from rmsweep.claims.cases import DERIVED
from rmsweep.claims.claim import Claim, Region, Test
from rmsweep.claims.post import CLAIMS, OURS
from rmsweep.claims.rule import Side
from rmsweep.claims.table import ASSESSED, elsewhere
from rmsweep.design import MAIN, Level, Study, plain
from rmsweep.report import words
from rmsweep.sweep import tables

MOST = 6
"""Findings at the top of the page."""
OF_TRUST = ("size", "coverage", "rejection", "power")
"""Measures that say whether a test or an interval keeps what it promises."""
DECIDED = {
    **{"holds": 1.0, "does not hold": 1.0},
    **{"in part": 0.5, "at least in part": 0.5, "at most in part": 0.5},
}
SAID = {
    "holds": ("holds", "hold"),
    "at least in part": ("holds at least in part", "hold at least in part"),
    "in part": ("holds in part", "hold in part"),
    "at most in part": ("holds in part at most", "hold in part at most"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided": ("is undecided", "are undecided"),
    "not testable": ("can’t be tested in this study",) * 2,
}
"""What one, or several, of that verdict do."""
VERDICTS = {
    "holds": "Holds",
    "at least in part": "Holds at least in part",
    "in part": "Holds in part",
    "at most in part": "Holds in part at most",
    "does not hold": "Does not hold",
    "undecided": "Undecided",
    "not testable": "Not testable here",
}
MOST_REPLICATIONS = 10_000_000
"""More is no advice."""


class Comparison(NamedTuple):
    """A test of a claim.

    Attributes
    ----------
    name : str
        What is compared; several of a claim may have the same.
    verdict : str
    counts : str
        How many of its numbers agree, or why it has none.
    text : str
        Sentences.
    sides : (n_for, n_against, n_undecided)
        The numbers that agree with the claim, disagree, and do neither.
    average : {"for", "against", "undecided"}
        What their mean does, and their means at no level of an axis contradict.
    number : str
        That mean, and its error.
    datasets : int
        Of each condition.
    """

    name: str
    verdict: str
    counts: str
    text: str
    sides: tuple[int, int, int] = (0, 0, 0)
    average: Side = "undecided"
    number: str = ""
    datasets: int = 0

    @property
    def in_short(self) -> str:
        """The verdict, or that on the mean."""
        if self.average != "undecided" and 2 * self.sides[2] > sum(self.sides):
            return f"{'holds' if self.average == 'for' else 'does not hold'} on average"
        if self.verdict == "at most in part" and not self.sides[0]:
            return "does not hold wherever it can be told"
        verdict = VERDICTS[self.verdict].lower()
        return f"{verdict} ({self.number})" if sum(self.sides) == 1 else verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim and what the study says of it.

    Attributes
    ----------
    number : int
    section : str
        Of the post.
    claim : str
    where : str
        The slice of the study; empty where it has one.
    verdict : str
    comparisons : sequence of Comparison
        The one that says most first.
    link : str
        The view of the page that shows it, as its address has it; empty if there is none.
    weight : float
        How much it says of which analysis to trust.
    reason : str
        Why it can't be tested, and which study can test it; empty where it can.
    """

    number: int
    section: str
    claim: str
    where: str
    verdict: str
    comparisons: Sequence[Comparison]
    link: str
    weight: float
    reason: str = ""

    @property
    def against(self) -> float:
        """Share of the numbers that disagree."""
        sides = np.sum([one.sides for one in self.comparisons], axis=0)
        return float(sides[1] / max(sides.sum(), 1))

    @property
    def tally(self) -> str:
        """How its comparisons went, if it has several: ``2 of its 3 comparisons hold, ...``."""
        if len(self.comparisons) < 2:
            return ""
        counts = Counter(one.verdict for one in self.comparisons)
        parts = [
            f"{counts[name]} {verbs[counts[name] > 1]}"
            for name, verbs in SAID.items()
            if counts[name]
        ]
        n = len(self.comparisons)
        if counts["does not hold"] == n:
            return (
                "neither of its comparisons holds"
                if n == 2
                else f"none of its {n} comparisons holds"
            )
        if len(counts) == 1:
            whole = "both of its" if n == 2 else f"all of its {n}"
            return f"{whole} comparisons {SAID[self.comparisons[0].verdict][1]}"
        return f"of its {n} comparisons, {words.listed(parts)}"

    @property
    def in_short(self) -> str:
        """The counts behind the verdict, the verdict of each comparison, or why there are none."""
        if self.reason:
            return self.reason
        if len(self.comparisons) < 2:
            return self.comparisons[0].counts
        said = {one.name: one.in_short for one in self.comparisons}
        if len(said) < len(self.comparisons):
            return self.tally
        return "; ".join(f"{name}: {verdict}" for name, verdict in said.items())

    @property
    def in_full(self) -> str:
        """The verdict, and how many numbers agree: ``Holds at least in part (3 of 27 ...)``."""
        sides = [
            sum(counts) for counts in np.transpose([one.sides for one in self.comparisons]).tolist()
        ]
        n = sum(sides)
        if not n:
            return self.verdict
        open_ = (VERDICTS[it] for it in ("undecided", "at least in part", "at most in part"))
        averages = self._on_average if 2 * sides[2] > n > 1 and self.verdict in open_ else None
        if averages:
            told = [
                f"{sides[0]:,} of {n:,} agree{'s' if sides[0] == 1 else ''}",
                f"{sides[1] or 'none'} disagree{'' if sides[1] > 1 else 's'}",
                f"{sides[2]:,} can’t be told with {words.counted(averages[1], 'dataset')}",
            ]
            return f"{averages[0]}. Single conditions: {', '.join(told)}"
        if self.verdict == VERDICTS["at most in part"] and not sides[0]:
            return f"Does not hold wherever it can be told ({sides[1]:,} of {n:,})"
        untested = sum(not sum(one.sides) for one in self.comparisons)
        so_far = " as far as tested" if untested and self.verdict == VERDICTS["holds"] else ""
        undecided = f", {sides[2]:,} undecided" if sides[2] else ""
        which = f"{sides[0]:,} of {n:,} numbers agree" if n > 1 else how_one(sides)
        return f"{self.verdict}{so_far} ({which}{undecided if n > 1 else ''})"

    @property
    def _on_average(self) -> tuple[str, int] | None:
        """What means say where most single numbers say nothing, and datasets of a condition."""
        tested = [one for one in self.comparisons if sum(one.sides)]
        told = {one.average for one in tested}
        if "undecided" in told:
            return None
        says = {"for": "it holds", "against": "it does not hold"}
        what = says[told.pop()] if len(told) == 1 else "it holds in part"
        number = f" ({tested[0].number})" if len(tested) == 1 else ""
        return f"On average {what}{number}", tested[0].datasets

    @property
    def answer(self) -> str:
        """The verdict, and where it is from."""
        return f"{self.in_full}, with {self.where}" if self.where else self.in_full

    @property
    def first(self) -> str:
        """The comparison that says most, named as one of several where it is one."""
        one = self.comparisons[0]
        if len(self.comparisons) < 2:
            return one.text
        return f"One that {SAID[one.verdict][0]}: {one.text[0].lower()}{one.text[1:]}"


@dataclass(frozen=True, slots=True)
class Row:
    """A claim in the list of all of them, whichever parts of the study say something of it.

    Attributes
    ----------
    number : int
    section, claim : str
    verdict : str
        With several parts, how many have which verdict.
    tally : str
        How its comparisons went, or what parts there are: what the details are called.
    details : sequence of (lead, text, link)
        For each comparison, or each comparison of each part.
    """

    number: int
    section: str
    claim: str
    verdict: str
    tally: str
    details: Sequence[tuple[str, str, str]]


def listed(found: Sequence[Finding]) -> list[Row]:
    """All claims, one row each."""
    rows = []
    for _, group in itertools.groupby(sorted(found, key=lambda one: one.number), _number):
        parts = list(group)
        one = parts[0]
        counts = Counter(part.verdict for part in parts)
        told = [part for part in parts if part.verdict != VERDICTS["not testable"]]
        verdict, tally = one.in_full, one.in_short
        if len(parts) > 1:
            named = [(name, counts[name]) for name in VERDICTS.values() if counts[name]]
            verdict = one.verdict
            if len(named) > 1:
                verdict = "; ".join(f"{name}: {n} of {len(parts)}" for name, n in named)
            which = f"{len(told):,} of {len(parts):,} parts of the study"
            if len(told) == len(parts):
                which = "both parts" if len(parts) == 2 else f"all {len(parts):,} parts"
                which += " of the study"
            tally = f"{which} can test it" if told else one.in_short
        details = [
            (
                ": ".join(filter(None, [part.where if told else "", VERDICTS[comparison.verdict]])),
                comparison.text,
                part.link if place == 0 else "",
            )
            for part in (told or parts[:1])
            for place, comparison in enumerate(part.comparisons)
        ]
        rows.append(Row(one.number, one.section, one.claim, verdict, tally, details))
    return rows


def how_one(sides: Sequence[int]) -> str:
    """What a claim's only number does."""
    said = ("agrees", "disagrees", "is undecided")
    return f"the only number {said[int(np.argmax(sides))]}"


def _number(one: Finding) -> int:
    return one.number


def findings(study: Study, folder: Path, page: Mapping[str, Any] | None = None) -> list[Finding]:
    """What a study says of each claim; nothing if it has no table of claims.

    Parameters
    ----------
    study : Study
    folder : Path
        Of its tables.
    page : mapping, optional
        What the page shows (`rmsweep.report.data.page_data`); without it there are no links.
    """
    path = folder / "claims.parquet"
    if not path.exists():
        return []
    tables.made_with(path, "claims", ASSESSED.names)
    claims = tables.read(path, "claims").to_pandas()
    numbers = tables.read(folder / "claims_by_condition.parquet", "claims_by_condition").to_pandas()
    failures = read_failures(study, folder)
    axes = [axis.name for axis in study.further_axes]
    known = {claim.id: claim for claim in CLAIMS}
    found = []
    for key, rows in claims.groupby([*axes, "id"], sort=False):
        *levels, number = key
        own, failed = numbers[numbers["id"] == number], failures
        for axis, level in zip(axes, levels, strict=True):
            own, failed = own[own[axis] == level], failed[failed[axis] == level]
        tests = known[int(number)].tests
        at = dict(zip(axes, levels, strict=True))
        first = rows.iloc[0]
        found.append(
            Finding(
                int(number),
                first["section"],
                words.typographic(first["claim"]),
                words.listed([named(*it) for it in at.items()]) if at else "",
                VERDICTS[first["verdict"]],
                [
                    comparison(row, own[own["test"] == row["test"]], tests, failed)
                    for _, row in decided_first(rows).iterrows()
                ],
                link(known[int(number)], rows, own, at, page) if page else "",
                weight(known[int(number)], rows),
                words.typographic(first["reason"]) if first["verdict"] == "not testable" else "",
            )
        )
    return found


def named(axis: str, level: Level) -> str:
    """A level of an axis; of scenarios, whose names say little, the word for them, too."""
    return f"the scenario {level}" if axis == "scenario" else words.of_level(axis, level)


def headlines(found: Sequence[Finding]) -> list[Finding]:
    """Those that say most of which analysis to trust, in the order of the post."""
    # of several parts, one that speaks against the claim tells more than that all is well
    ranked = sorted(found, key=lambda one: (-one.against, -one.weight))
    chosen = {one.number: one for one in reversed(ranked) if one.weight > 0}
    best = sorted(chosen.values(), key=lambda one: -one.weight)[:MOST]
    return sorted(best, key=lambda one: one.number)


def summary(found: Sequence[Finding]) -> str:
    """How many claims have which verdict."""
    counts = {name: sum(one.verdict == said for one in found) for name, said in VERDICTS.items()}
    parts = [f"{n} {SAID[name][n > 1]}" for name, n in counts.items() if n]
    slices = len({one.where for one in found})
    ours = sum(one.section == OURS for one in found) // slices
    n_claims = f"{words.counted(len(found) // slices - ours, 'claim')} of the post"
    n_claims += f" and {ours} of ours" if ours else ""
    if counts["not testable"] == len(found):
        return f"None of {n_claims} can be tested in this study."
    if slices > 1:
        said = [
            f"{n:,} “{VERDICTS[name].lower()}”"
            for name, n in counts.items()
            if n and name != "not testable"
        ]
        return (
            f"{n_claims} were put to the test in each of {slices} parts of the study, as far as "
            f"these can test them. The verdicts: {words.listed(said)}."
        )
    return f"Of {n_claims}, {words.listed(parts)}."


def weight(claim: Claim, rows: pd.DataFrame) -> float:
    """How much a claim says: decided ones more, and those of size, coverage and power."""
    shares = (rows["n_for"] + rows["n_against"]) / rows["n_numbers"].where(rows["n_numbers"] > 0)
    if rows.iloc[0]["verdict"] == "not testable":
        return 0.0
    if not (share := float(shares.fillna(0).max())):
        return 0.0
    of_trust = any(part in test.measure for test in claim.tests for part in OF_TRUST)
    return DECIDED.get(rows.iloc[0]["verdict"], 0.0) + share + of_trust


def decided_first(rows: pd.DataFrame) -> pd.DataFrame:
    """The tests of a claim, those that more numbers decide first."""
    decided = rows["n_for"] + rows["n_against"]
    decided = decided.where(rows["test_verdict"] != "not testable", -1)
    return rows.loc[decided.sort_values(ascending=False, kind="stable").index]


def comparison(
    row: pd.Series, numbers: pd.DataFrame, tests: Sequence[Test], failures: pd.DataFrame
) -> Comparison:
    """A test in words."""
    name, _, _ = row["compared"].partition(":")
    counts = how_many(row) if row["n_numbers"] else row["test_reason"]
    text = sentence(row, numbers)
    if tests:
        test = tests[int(row["test"]) - 1]
        if row["test_verdict"] == "not testable":
            text = f"{text[:-1]}; {elsewhere([test])}."
        elif test.measure == "failure_rate" or test.fits == "not_converged":
            text = f"{text} {singular_ones(numbers, failures)}"
    sides = int(row["n_for"]), int(row["n_against"]), int(row["n_undecided"])
    average: Side = "undecided"
    number = ""
    if tests and row["n_numbers"]:
        test = tests[int(row["test"]) - 1]
        number = on_average(row, numbers)
        if not (test.always or test.some):
            average = of_mean(row, numbers, test.region)
        if sides[1] and sides[1] >= sides[0] and more_than_claimed(row, test.region):
            counts += ": the difference is larger than claimed"
            text += " The difference is there, and larger than claimed."
    told = words.typographic(text)
    planned = int(row["n_planned"])
    return Comparison(name, row["test_verdict"], counts, told, sides, average, number, planned)


def of_mean(row: pd.Series, numbers: pd.DataFrame, region: Region) -> Side:
    """The side that a mean takes by its interval, if the mean at each level takes the same one."""
    values = numbers["estimate"]
    if row["unit"] == "ratio":
        values = np.log(values)
    means = [values.groupby(numbers[axis]).mean() for axis in MAIN]
    levels = np.concatenate(means)
    if row["unit"] == "ratio":
        levels = np.exp(levels)
    inside = (levels > region.low) & (levels < region.high)
    if region.low < row["low"] and row["high"] < region.high and inside.all():
        return "for"
    outside = row["high"] < region.low or row["low"] > region.high
    return "against" if outside and not inside.any() else "undecided"


def more_than_claimed(row: pd.Series, region: Region) -> bool:
    """Whether a difference is there, but larger than a claim that calls it small."""
    if row["unit"] == "rate":
        return False
    nothing = 1.0 if row["unit"] == "ratio" else 0.0
    return nothing <= region.low and region.high < np.inf and bool(row["low"] > region.high)


def on_average(row: pd.Series, numbers: pd.DataFrame) -> str:
    """A mean and its error: ``ratio 1.01, MCSE 0.014``."""
    value = words.amount(row["estimate"], row["unit"])
    name = "ratio " if row["unit"] == "ratio" else ""
    if not np.isfinite(row["mcse"]):
        return f"{name}{value}"
    n_used = int(numbers["n_used"].sum())
    return f"{name}{value}, {error(row['estimate'], row['mcse'], row['unit'], n_used)}"


def read_failures(study: Study, folder: Path) -> pd.DataFrame:
    """How many fits of each condition did not converge, and how many of these not as singular."""
    axes = [axis.name for axis in study.axes]
    names = "convergence_rate", "nonsingular_failure_rate"
    frame = tables.read(
        folder / "performance.parquet",
        "performance",
        columns=[*axes, "strategy", "measure", "value", "n_run"],
        filters=[("measure", "in", [*names])],
        use_threads=False,
    ).to_pandas()
    of_all, real = (frame[frame["measure"] == name] for name in names)
    both = of_all.merge(real, on=[*axes, "strategy"], suffixes=("", "_of_real"))
    return both.assign(
        failed=(1.0 - both["value"]) * both["n_run"], real=both["value_of_real"] * both["n_run"]
    )


def singular_ones(numbers: pd.DataFrame, failures: pd.DataFrame) -> str:
    """Of the fits behind numbers that did not converge, how many are singular."""
    (name,) = numbers["strategy"].unique()
    at = [axis for axis in MAIN if axis in failures]
    own = failures[failures["strategy"] == name]
    if numbers[at].notna().all(axis=None):  # and not one number of all conditions
        own = own.merge(numbers[at].drop_duplicates().astype(own[at].dtypes.to_dict()), on=at)
    failed, real = round(own["failed"].sum()), round(own["real"].sum())
    if not failed:
        return "All of these fits converged."
    which = "none" if real == failed else "all"
    if 0 < real < failed:
        which = f"{1 - real / failed:.0%}" if failed < 50 * real else f"all but {real:,}"
    meaning = "" if real == failed else f" ({words.SINGULAR}); the estimates of those can be used"
    return (
        f"Of {words.counted(failed, 'fit')} of {name} that did not converge there, {which} did so "
        f"only for being singular{meaning}."
    )


def how_many(row: pd.Series) -> str:
    """How many numbers take which side: ``all 27 numbers agree``."""
    verbs = {
        "for": ("agrees", "agree"),
        "against": ("disagrees", "disagree"),
        "undecided": ("is undecided", "are undecided"),
    }
    counts = {side: int(row[f"n_{side}"]) for side in verbs if row[f"n_{side}"]}
    if row["n_numbers"] == 1:
        return f"the only number {verbs[next(iter(counts))][0]}"
    if len(counts) == 1:
        all_ = "both" if row["n_numbers"] == 2 else f"all {row['n_numbers']:,}"
        return f"{all_} numbers {verbs[next(iter(counts))][1]}"
    said = [f"{number:,} {verbs[side][number > 1]}" for side, number in counts.items()]
    return f"of {row['n_numbers']:,} numbers, {words.listed(said)}"


def sentence(row: pd.Series, numbers: pd.DataFrame) -> str:
    """A test in words: what was compared, the number, and how many conditions say so."""
    compared = row["compared"][0].upper() + row["compared"][1:]
    if not row["n_numbers"]:
        return f"{compared}: no numbers, for {row['test_reason']}."
    mean = "On average it is" if row["n_numbers"] > 1 else "It is"
    text = f"{compared}. {mean} {words.amount(row['estimate'], row['unit'])}"
    if np.isfinite(row["mcse"]):
        n_used = int(numbers["n_used"].sum())
        text += f" ({error(row['estimate'], row['mcse'], row['unit'], n_used)})"
    limits = " and ".join(words.amount(float(it), row["unit"]) for it in limits_of(row["true_if"]))
    asked = {"above": "more than", "below": "less than", "between": "values between"}
    text += f"; the claim asks for {asked[row['true_if'].split()[0]]} {limits}. "
    said = how_many(row)
    text += f"{said[0].upper()}{said[1:]}"
    if said.startswith("of "):
        text += placed(numbers, "for") or placed(numbers, "against")
    if needed := replications_needed(numbers, row["n_planned"]):
        text += f"; about {needed:,} datasets per condition would decide half of the undecided ones"
    return f"{text}."


def error(estimate: float, mcse: float, unit: str, n_used: int) -> str:
    """How uncertain an overall estimate is."""
    if unit == "rate":
        return words.error_of_rate(estimate, mcse, n_used)
    return f"MCSE {words.amount(mcse, unit, 2)}" if mcse else "no dataset differs from another"


def limits_of(text: str) -> list[str]:
    """The numbers in ``between 0.9 and 1.1`` or ``above 2``."""
    return [part for part in text.split() if part not in ("above", "below", "between", "and")]


def placed(numbers: pd.DataFrame, side: Side) -> str:
    """Where the numbers of a side are, if not everywhere: ``; those that agree have SD 4``."""
    own = numbers[numbers["side"] == side]
    found = []
    for axis in MAIN:
        levels, every = (sorted(part[axis].dropna().unique()) for part in (own, numbers))
        if 0 < len(levels) < len(every):
            *others, last = [words.of_level(axis, level) for level in whole(levels)]
            found.append(f"{', '.join(others)} or {last}" if others else last)
    who = {"for": "agree", "against": "disagree"}
    return f"; those that {who[side]} have {words.listed(found)}" if found else ""


def whole(levels: Sequence[float]) -> list[Level]:
    """Levels as the study has them: whole numbers are no floats."""
    return [int(level) if float(level).is_integer() else float(level) for level in levels]


def replications_needed(numbers: pd.DataFrame, n_sims: int = 0) -> int:
    """Replications at which half of the undecided numbers would be decided; 0 if too many.

    Of numbers that some of the `n_sims` datasets are behind, it takes as many times more of all.
    Monte Carlo errors shrink with the root of the replications; a number is decided once its
    interval is on one side of the nearest end of the region.
    """
    rows = numbers[numbers["side"] == "undecided"]
    ratio = (rows["unit"] == "ratio").to_numpy()

    def scaled(name: str) -> Any:
        values = rows[name].to_numpy(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(ratio, np.log(values), values)

    estimate = scaled("estimate")
    half = (scaled("high") - scaled("low")) / 2
    ends = np.stack([scaled("region_low"), scaled("region_high")])
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.nanmin(np.abs(ends - estimate), axis=0, initial=np.inf)
        more = (half / distance) ** 2
    # skewed intervals may reach an end that is farther away than half their length
    datasets = np.maximum(rows["n_used"].to_numpy(float), n_sims)
    needed = (datasets * more)[np.isfinite(more) & (more > 1)]
    if not len(needed):
        return 0
    half_of_them = float(np.median(needed))
    if half_of_them > MOST_REPLICATIONS:
        return 0
    return int(float(f"{max(half_of_them, 1.0):.2g}"))


BASES = {
    "coef_abs_err_ratio": "coef_abs_err_median",
    "se_sum_ratio": "se_sum_median",
    "t_sum_ratio": "t_sum_median",
}
"""The measures of one analysis behind comparisons of two."""


def link(
    claim: Claim,
    rows: pd.DataFrame,
    numbers: pd.DataFrame,
    at: Mapping[str, Any],
    page: Mapping[str, Any],
) -> str:
    """The view that shows the test that says most."""
    first = decided_first(rows).iloc[0]
    if not first["n_numbers"]:
        return ""
    place = int(first["test"])
    test: Test = claim.tests[place - 1]
    own = numbers[numbers["test"] == place]
    shown = {one["name"]: one for one in page["measures"]}
    names = [one["name"] for one in page["strategies"]]
    strategies = {*own["strategy"], *own["reference"].dropna()}
    state = {"a": ",".join(name for name in names if name in strategies)}
    measure = DERIVED.get(test.measure, test.measure)
    pairs = {(names[one], names[two]) for one, two in page["pairs"]}
    of = own[["strategy", "reference"]].dropna().drop_duplicates()
    if len(of) and not set(of.itertuples(index=False, name=None)) <= pairs:
        measure = BASES.get(measure, measure.removeprefix("difference_of_"))
    elif len(of):
        state["v"] = of.iloc[0]["reference"]
    if measure not in shown:
        measure = BASES.get(measure, measure)
    if measure not in shown:
        return ""
    state["m"] = measure
    terms = own["term"].dropna()
    if shown[measure]["terms"] and len(terms):
        state["t"] = terms.iloc[-1]
    if test.fits == "converged":
        state["u"] = "converged"
    swapped = next(itertools.chain(test.over, filter(None, [test.step])), page["places"]["x"])
    places = dict(page["places"])
    if swapped in places.values() and swapped != places["x"]:
        where = next(name for name, axis in places.items() if axis == swapped)
        places[where], places["x"] = places["x"], swapped
        state |= {name[0]: axis for name, axis in places.items() if axis}
    state |= {f"at.{axis}": plain(level) for axis, level in at.items()}
    state |= telling(own, page)
    return f"#{urlencode(state)}"


def telling(numbers: pd.DataFrame, page: Mapping[str, Any]) -> dict[str, str]:
    """The condition whose number is farthest from undecided, if it is one condition's."""
    main = [axis for axis in ("n_groups", "n_obs", "sigma") if axis in numbers]
    rows = numbers.dropna(subset=[*main, "mcse"])
    rows = rows[rows["mcse"] > 0]
    if rows.empty:
        return {}
    ends = rows[["region_low", "region_high"]].to_numpy(float)
    distance = np.nanmin(np.abs(ends - rows[["estimate"]].to_numpy(float)), axis=1)
    row = rows.iloc[int(np.argmax(distance / rows["mcse"].to_numpy(float)))]
    wanted = {axis: plain(row[axis]) for axis in main}
    names = [axis["name"] for axis in page["axes"]]
    for k, levels in enumerate(page["conditions"]):
        texts = {
            name: page["axes"][place]["levels"][level]
            for place, (name, level) in enumerate(zip(names, levels, strict=True))
        }
        if all(texts[axis] == text for axis, text in wanted.items()):
            return {"k": str(k)}
    return {}
