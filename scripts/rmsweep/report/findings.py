"""What a study says of the claims, in sentences made from its tables of claims."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from rmsweep.claims.cases import DERIVED
from rmsweep.claims.claim import Claim, Test
from rmsweep.claims.post import CLAIMS
from rmsweep.claims.rule import Side
from rmsweep.claims.table import ASSESSED
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
    said : sequence of str
        Sentences for each test, the one that says most first.
    link : str
        The view of the page that shows it, as its address has it; empty if there is none.
    weight : float
        How much it says of which analysis to trust.
    """

    number: int
    section: str
    claim: str
    where: str
    verdict: str
    said: Sequence[str]
    link: str
    weight: float


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
    axes = [axis.name for axis in study.further_axes]
    known = {claim.id: claim for claim in CLAIMS}
    found = []
    for key, rows in claims.groupby([*axes, "id"], sort=False):
        *levels, number = key
        own = numbers[numbers["id"] == number]
        for axis, level in zip(axes, levels, strict=True):
            own = own[own[axis] == level]
        at = dict(zip(axes, levels, strict=True))
        first = rows.iloc[0]
        found.append(
            Finding(
                int(number),
                first["section"],
                first["claim"],
                words.listed([words.of_level(*it) for it in at.items()]) if at else "",
                VERDICTS[first["verdict"]],
                [
                    sentence(row, own[own["test"] == row["test"]])
                    for _, row in decided_first(rows).iterrows()
                ],
                link(known[int(number)], rows, own, at, page) if page else "",
                weight(known[int(number)], rows),
            )
        )
    return found


def headlines(found: Sequence[Finding]) -> list[Finding]:
    """Those that say most of which analysis to trust, in the order of the post."""
    ranked = sorted(found, key=lambda one: -one.weight)
    chosen = {one.number: one for one in reversed(ranked) if one.weight > 0}
    best = sorted(chosen.values(), key=lambda one: -one.weight)[:MOST]
    return sorted(best, key=lambda one: one.number)


def listed(found: Sequence[Finding]) -> list[Finding]:
    """Those to be listed: of a study in parts, those that a part can test."""
    several = len({one.where for one in found}) > 1
    return [one for one in found if one.verdict != VERDICTS["not testable"] or not several]


def summary(found: Sequence[Finding]) -> str:
    """How many claims have which verdict."""
    counts = {said: sum(one.verdict == said for one in found) for said in VERDICTS.values()}
    one_or_more = {
        "Holds": ("holds", "hold"),
        "Holds at least in part": ("holds at least in part", "hold at least in part"),
        "Holds in part": ("holds in part", "hold in part"),
        "Holds in part at most": ("holds in part at most", "hold in part at most"),
        "Does not hold": ("does not hold", "do not hold"),
        "Undecided": tuple(f"{verb} undecided at this many replications" for verb in ("is", "are")),
        "Not testable here": ("can’t be tested in this study",) * 2,
    }
    parts = [
        f"{number} {one_or_more[said][number > 1]}" for said, number in counts.items() if number
    ]
    slices = len({one.where for one in found})
    n_claims = words.counted(len(found) // slices, "claim")
    if counts[VERDICTS["not testable"]] == len(found):
        return f"None of the post’s {n_claims} can be tested in this study."
    if slices > 1:
        said = [f"{number:,} “{word.lower()}”" for word, number in counts.items() if number]
        return (
            f"{n_claims} of the post were put to the test in each of {slices} parts of the study. "
            f"The verdicts: {words.listed(said)}."
        )
    return f"Of {n_claims} of the post, {words.listed(parts)}."


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
    return rows.loc[decided.sort_values(ascending=False, kind="stable").index]


def sentence(row: pd.Series, numbers: pd.DataFrame) -> str:
    """A test in words: what was compared, the number, and how many conditions say so."""
    compared = row["compared"][0].upper() + row["compared"][1:]
    if not row["n_numbers"]:
        return f"{compared}: no numbers, for {row['test_reason']}."
    text = f"{compared}. Overall it is {amount(row['estimate'], row['unit'])}"
    if np.isfinite(row["mcse"]):
        text += f" (MCSE {amount(row['mcse'], row['unit'], 2)})"
    limits = " and ".join(amount(float(it), row["unit"]) for it in limits_of(row["true_if"]))
    text += f". The claim needs values {row['true_if'].split()[0]} {limits}. "
    verbs = {
        "for": ("agrees", "agree"),
        "against": ("disagrees", "disagree"),
        "undecided": ("is undecided", "are undecided"),
    }
    counts = {side: int(row[f"n_{side}"]) for side in verbs if row[f"n_{side}"]}
    if row["n_numbers"] == 1:
        text += f"The only number {verbs[next(iter(counts))][0]}"
    elif len(counts) == 1:
        all_ = "Both" if row["n_numbers"] == 2 else f"All {row['n_numbers']:,}"
        text += f"{all_} numbers {verbs[next(iter(counts))][1]}"
    else:
        said = [f"{number:,} {verbs[side][number > 1]}" for side, number in counts.items()]
        text += f"Of {row['n_numbers']:,} numbers, {words.listed(said)}"
        text += placed(numbers, "for") or placed(numbers, "against")
    if needed := replications_needed(numbers):
        text += f"; about {needed:,} replications in all would decide half of the undecided ones"
    return f"{text}."


def limits_of(text: str) -> list[str]:
    """The numbers in ``between 0.9 and 1.1`` or ``above 2``."""
    return [part for part in text.split() if part not in ("above", "below", "between", "and")]


def amount(value: float, unit: str, digits: int = 3) -> str:
    """A number with its unit."""
    if unit == "rate":
        return f"{100 * value:.{digits}g}%"
    if unit == "difference of rates":
        return f"{100 * value:.{digits}g} points".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


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


def replications_needed(numbers: pd.DataFrame) -> int:
    """Replications at which half of the undecided numbers would be decided; 0 if too many.

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
    needed = (rows["n_used"].to_numpy(float) * more)[np.isfinite(more) & (more > 1)]
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
