"""The page of one dataset: its rows, each group's line, and what each strategy makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rmsweep.data.dataset import Array
from rmsweep.figures.colours import sensible
from rmsweep.measures.sums import TEXTS
from rmsweep.report import page, specs, words
from rmsweep.report.data import Json, rounded_number
from rmsweep.report.fitted import Fitted, number
from rmsweep.report.looks import looks
from rmsweep.report.notes import notes
from rmsweep.report.takeaway.measured import USUAL
from rmsweep.strategies.inference import infer, stars

TEMPLATE, SCRIPT = "dataset.html.j2", "dataset.js"
MOST_GROUPS, MOST_PANELS, PANELS_AT_FIRST = 300, 60, 36
"""Groups whose rows are in the page; that have a panel each; up to which panels come first."""
MOST_ROWS = 6000
MOST_PREDICTORS, MOST_FORESTS = 12, 40
NEAR_ZERO = 0.3
"""Share of the intervals' span within which zero is worth a line."""
DIGITS = 5


class Origin(NamedTuple):
    """Where a dataset comes from.

    Attributes
    ----------
    source : str
        Name of the file, or whatever it is.
    model : str
        Response and fixed effects.
    response : str
        What the response is called.
    read : sequence of str
        What was read and what was left out, line by line.
    command : str
        Makes the page.
    versions : mapping of str to str
        Of the programs that fitted.
    """

    source: str
    model: str
    response: str
    read: Sequence[str]
    command: str
    versions: Mapping[str, str]


def html(case: Fitted, formulas: Sequence[str], origin: Origin) -> str:
    """The page of a dataset.

    Parameters
    ----------
    case : Fitted
    formulas : sequence of S str
        The strategies' models.
    origin : Origin
    """
    own = [
        {"name": one.name, "label": one.label, **look}
        for one, look in zip(case.strategies, looks(case.strategies), strict=True)
    ]
    chosen = sensible(case.strategies, [name for name in case.names if name == USUAL])
    shown = page_data(case, origin.response) | {
        "strategies": own,
        "shown": [place for place, one in enumerate(own) if one["name"] in chosen],
        "specs": specs.of_one_dataset(),
    }
    contents = [
        *[("notes", "What differs, and why"), ("data", "The data"), ("estimates", "Estimates")],
        *[("analyses", "Each strategy"), ("sums", "Sums"), ("made", "How this was made")],
        ("licences", "Licences"),
    ]
    strategies = words.counted(len(own), "strategy")
    return page.template(TEMPLATE).render(
        **page.common(SCRIPT, own, shown),
        start={"id": "notes", "text": "Skip to what differs"},
        title=f"What do {strategies} make of {origin.model}?".replace(
            "do 1 strategy", "does 1 strategy"
        ),
        made_with=json.dumps({"versions": json.dumps(dict(origin.versions))}),
        facts=[
            words.counted(len(case.data.y), "row"),
            f"{words.counted(len(case.groups), 'group')} by {case.group}",
            strategies,
        ],
        origin=origin,
        contents=contents,
        notes=notes(case),
        forests=shown["forests"],
        n_terms=len(case.terms),
        predictors=len(shown["predictors"]),
        n_predictors=sum(term != "Intercept" for term in case.data.terms),
        tables=[table(case, place, formula) for place, formula in enumerate(formulas)],
        sums=sums(case),
        versions=words.programs(dict(sorted(origin.versions.items()))),
    )


# ---- what the charts show ------------------------------------------------------------------------


def page_data(case: Fitted, response: str) -> Json:
    """What the page's charts show.

    Of many groups the first, of long ones the first rows; lines are made from all rows.
    """
    data = case.data
    n_groups = min(len(case.groups), MOST_GROUPS)
    most = max(1, MOST_ROWS // n_groups)
    kept = np.sort(np.concatenate([rows[:most] for rows in case.rows_of[:n_groups]]))
    predictors = [place for place, term in enumerate(data.terms) if term != "Intercept"]
    # those that vary within groups say most
    predictors.sort(key=lambda place: place not in case.within)
    return {
        "response": response,
        "group": case.group,
        "groups": list(case.groups[:n_groups]),
        "n_groups": len(case.groups),
        "n_rows": len(data.y),
        "most_panels": MOST_PANELS,
        "panels_at_first": len(case.groups) <= PANELS_AT_FIRST,
        "of": data.groups[kept].tolist(),
        "y": rounded(data.y[kept]),
        "predictors": [predictor(case, place, n_groups, kept) for place in predictors][
            :MOST_PREDICTORS
        ],
        "forests": [forest(case, place) for place in range(len(case.terms))][:MOST_FORESTS],
    }


def predictor(case: Fitted, place: int, n_groups: int, kept: Any) -> Json:
    """One predictor: its values, and lines from end to end as x, x2, y, y2."""
    x = case.data.X[:, place]
    ends = np.array([x.min(), x.max()])

    def line(coefficients: Array) -> list[float | int | None] | None:
        """The line of some coefficients, the other predictors at their means."""
        if np.isnan(coefficients).any():
            return None
        others = case.data.X.mean(axis=0) @ coefficients - x.mean() * coefficients[place]
        return rounded(np.concatenate([ends, others + coefficients[place] * ends]))

    return {
        "term": case.terms[place],
        "within": place in case.within,
        "x": rounded(x[kept]),
        "own": own_lines(case, x, n_groups),
        "analyses": [line(own) for own in case.numbers["estimate"]],
        "truth": line(case.truth),
    }


def own_lines(case: Fitted, x: Array, n_groups: int) -> list[list[float | int | None] | None]:
    """Each group's least-squares line, from its smallest to its largest x; None without one."""
    found: list[list[float | int | None] | None] = []
    span = np.ptp(x)
    for rows in case.rows_of[:n_groups]:
        own, y = x[rows], case.data.y[rows]
        if np.ptp(own) <= 1e-9 * span:
            found.append(None)
            continue
        slope = ((own - own.mean()) @ (y - y.mean())) / ((own - own.mean()) ** 2).sum()
        ends = np.array([own.min(), own.max()])
        found.append(rounded(np.concatenate([ends, y.mean() + slope * (ends - own.mean())])))
    return found


def forest(case: Fitted, place: int) -> Json:
    """The estimates of one coefficient, with their intervals."""
    parts = [case.numbers[part][:, place] for part in ("estimate", "ci_low", "ci_high")]
    rows = np.column_stack(parts)
    there = [number for number in case.fitted if np.isfinite(rows[number, 0])]
    zero = []
    if np.isfinite(rows[there]).any():
        low, high = np.nanmin(rows[there]), np.nanmax(rows[there])
        margin = NEAR_ZERO * (high - low)
        zero = [0] if low - margin <= 0 <= high + margin else []
    truth = case.truth[place]
    return {
        "term": case.terms[place],
        "estimates": [[number, *rounded(rows[number])] for number in there],
        "silent": [name for k, name in enumerate(case.names) if k not in there],
        "truth": [] if np.isnan(truth) else rounded(np.array([truth])),
        "zero": zero,
    }


def rounded(values: Array) -> list[float | int | None]:
    """Numbers to the digits that a chart needs."""
    return [rounded_number(value, DIGITS) for value in values.tolist()]


# ---- tables --------------------------------------------------------------------------------------


def table(case: Fitted, place: int, formula: str) -> Json:
    """One strategy's coefficient table, with what the strategy says of it."""
    strategy, row = case.strategies[place], case.rows[place]
    found: Json = {
        "name": strategy.name,
        "label": strategy.label,
        "formula": formula,
        "failed": (row["messages"] or "no message") if row["status"] == "failed" else "",
        "rows": [],
    }
    if found["failed"]:
        return found
    own = {part: values[place] for part, values in case.numbers.items()}
    by_t = infer(own["estimate"], own["se"], own["df"], normal=False)
    with_t = row["ci_type"] == "z" and row["test_type"] == "t"
    with_truth = not np.isnan(case.truth).all()
    heads = ["Estimate", "95% from", "to", "SE", "df", "t", "p"]
    columns = [own[part] for part in ("estimate", "ci_low", "ci_high", "se", "df", "statistic")]
    if with_t:
        heads[3:3] = ["by t from", "to"]
        columns[3:3] = [by_t.ci_low, by_t.ci_high]
    if with_truth:
        heads.insert(0, "True value")
        columns.insert(0, case.truth)
    effects = case.random_effects(place)
    tests = f"; tests and intervals: {row['test_type']}" if row["test_type"] != "t" else ""
    return found | {
        "heads": heads,
        "rows": [
            {
                "term": term,
                "cells": [number(column[k], DIGITS) for column in columns],
                "p": number(own["p_value"][k], 2),
                "stars": stars(own["p_value"][k]),
            }
            for k, term in enumerate(case.terms)
        ],
        "converged": row["fit_success"],
        "random": [
            f"{case.shown(term)} {number(sd)}"
            for term, sd in (effects.sd if effects else {}).items()
        ],
        "conventions": f"SE: {words.in_symbols(row['se_type'])}; "
        f"df: {words.in_symbols(row['df_type'])}; intervals: {row['ci_type']}" + tests,
    }


def sums(case: Fitted) -> Json:
    """The post's sums over the coefficients, one row for each strategy."""
    metrics = [key for key in TEXTS if any(row[key] is not None for row in case.rows)]
    return {
        "heads": [TEXTS[key].label for key in metrics],
        "rows": [
            (name, [number(np.nan if row[key] is None else row[key], DIGITS) for key in metrics])
            for name, row in zip(case.names, case.rows, strict=True)
        ],
    }
