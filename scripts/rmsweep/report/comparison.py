"""The page of a comparison of two studies: findings in sentences, tables, and single fits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from rmsweep.axes import significant
from rmsweep.comparison.differences import LEVEL
from rmsweep.comparison.fits import APART
from rmsweep.comparison.studies import Pair, Side, Studies, changes
from rmsweep.comparison.table import Comparison
from rmsweep.design import plain
from rmsweep.measures.causes import CAUSES
from rmsweep.measures.performance import MISSED
from rmsweep.measures.table import names_of_axes
from rmsweep.report import page, words
from rmsweep.report.data import facts, rounded_number
from rmsweep.sweep import tables

TEMPLATE, SCRIPT = "comparison.html.j2", "comparison.js"
CONTENTS = (
    ("findings", "What differs"),
    ("studies", "The two studies"),
    ("numbers", "Numbers"),
    ("fits", "Fits that differ"),
    ("methods", "Method"),
    ("licences", "Licences"),
)
MOST_ROWS = 4000
"""Rows of the table of measures in the page."""
MOST_SENTENCES = 5
"""Measures that differ and have a sentence of their own."""
DIGITS = 5


def html(compared: Comparison, made_with: Mapping[str, str]) -> str:
    """The page, as one file.

    Parameters
    ----------
    compared : Comparison
    made_with : mapping of str to str
        What the page says of itself.
    """
    studies = compared.studies
    shown = page_data(compared)
    return page.template(TEMPLATE).render(
        **page.common(SCRIPT, [], shown, with_tables=True, with_charts=False),
        start={"id": "findings", "text": "Skip to the findings"},
        contents=CONTENTS,
        heading=title(studies),
        made_with=json.dumps(dict(made_with)),
        sides=[side_in_words(name, side) for name, side in (("A", studies.a), ("B", studies.b))],
        shared=shared(compared),
        sentences=sentences(compared),
        changes=changes(studies),
        causes=list(changed_causes(compared)),
        n_rows=len(compared.measures),
        n_shown=len(shown["rows"]),
        n_fits=len(shown["fits"]),
        paired=compared.n_paired > 0,
        level=f"{100 * LEVEL:g}%",
    )


def title(studies: Studies) -> str:
    """What the page asks."""
    a, b = studies.a.study.name, studies.b.study.name
    if studies.a.folder.resolve() == studies.b.folder.resolve():
        return f"Do two analyses of the study “{a}” agree?"
    return f"Do the studies “{a}” and “{b}” agree?"


def side_in_words(name: str, side: Side) -> dict[str, Any]:
    """What the page says of a study."""
    known = facts(side.study, side.made_with, side.folder / "fits.parquet")
    return {
        "name": name,
        "study": side.study.name,
        "folder": str(side.folder),
        "incomplete": known["incomplete"],
        "seed": side.study.seed,
        "strategies": ", ".join(side.names),
        **{key: known[key] for key in ("conditions", "replications", "fits", "programs", "date")},
    }


def shared(compared: Comparison) -> str:
    """What the two studies have in common, in sentences."""
    studies = compared.studies
    n = len(studies.keys)
    only = [
        f"{words.counted(number, 'condition')} {'is' if number == 1 else 'are'} in {name} only"
        for name, number in (
            ("A", studies.only(studies.a, studies.b)),
            ("B", studies.only(studies.b, studies.a)),
        )
        if number
    ]
    text = f"Both have {words.counted(n, 'condition')}"
    text += f" ({words.listed(only)})" if only else ""
    text += f" and {words.counted(len(studies.pairs), 'strategy')} to compare"
    text += f": {words.listed([pair.label for pair in studies.pairs])}. "
    of_pairs = [{one.name for one, _ in studies.pairs}, {two.name for _, two in studies.pairs}]
    for name, side, used in zip("AB", (studies.a, studies.b), of_pairs, strict=True):
        left = [it for it in side.names if it not in used]
        if left and studies.a.folder.resolve() != studies.b.folder.resolve():
            text += f"Not compared, in {name} only: {words.listed(left)}. "
    if compared.n_paired == n:
        n_datasets = int(of_pair(compared, studies.pairs[0])["n_shared"].sum())
        text += (
            f"{words.counted(n_datasets, 'dataset').capitalize()} are in both, so differences are "
            "computed dataset by dataset. Their Monte Carlo errors are those of pairs."
        )
    elif compared.n_paired:
        text += (
            f"In {compared.n_paired:,} of the conditions both have the same datasets, and "
            "differences are computed dataset by dataset; in the others the datasets differ."
        )
    else:
        why = "the seeds differ"
        if studies.same_seed:
            same = all(map(studies.same_files, studies.keys))
            why = f"the {'true coefficients' if same else 'files of their data'} differ"
        text += (
            f"The datasets are not the same ({why}), so the two studies are compared as "
            "independent ones, and no fit has a counterpart."
        )
    return text


def sentences(compared: Comparison) -> list[str]:
    """What differs, in sentences, what matters most first."""
    found = list(of_numbers(compared))
    for pair in compared.studies.pairs:
        own = of_pair(compared, pair)
        if own["n_shared"].sum():
            found.append(of_fits(pair, own))
    return found


def of_pair(compared: Comparison, pair: Pair) -> pd.DataFrame:
    """What was found of the fits of an analysis."""
    fits = compared.fits
    same = (fits["strategy_a"] == pair.a.name) & (fits["strategy_b"] == pair.b.name)
    return fits[same]


def of_numbers(compared: Comparison) -> Iterator[str]:
    """What the measures say: how many differ, and the largest differences."""
    frame = compared.measures
    tested = frame[frame["p_value"].notna()]
    n, differ = len(tested), tested[tested["differs"]]
    if not n:
        yield "No number could be compared."
        return
    if not (tested["difference"] != 0.0).any():
        yield f"All {n:,} numbers are the same in A and B."
        return
    if differ.empty:
        yield f"None of {n:,} numbers differs beyond Monte Carlo error."
    else:
        seen = int((differ["own_mcses"].fillna(np.inf) > 1.0).sum())
        text = f"{of(len(differ), n)} beyond Monte Carlo error"
        if seen == len(differ):
            text += ", all by more than the Monte Carlo standard error (MCSE) of either study."
        else:
            text += (
                f", {seen or 'none'} of them by more than the Monte Carlo standard error (MCSE) of "
                "either study. The others are smaller: they show because the datasets are shared."
            )
        yield text
    needed = needed_datasets(n)
    largest = int((tested["n_a"] + tested["n_b"] - tested["n_shared"]).max())
    if largest < needed:
        yield (
            f"With {words.counted(largest, 'dataset')} in a condition no difference can be found: "
            f"it takes {needed}."
        )
    ranked = differ.assign(size=differ["own_mcses"].fillna(np.inf))
    ranked = ranked.sort_values("size", ascending=False, kind="stable")
    for measure, rows in list(ranked.groupby("measure", sort=False))[:MOST_SENTENCES]:
        number = int((tested["measure"] == measure).sum())
        yield of_measure(compared.studies, str(measure), rows, number)


def needed_datasets(n_tests: int) -> int:
    """Datasets from which on a difference can be found among so many tests."""
    return int(np.ceil(ndtri(LEVEL / (2.0 * n_tests)) ** 2))


def of_measure(studies: Studies, measure: str, rows: pd.DataFrame, n: int) -> str:
    """How many numbers of a measure differ, and the one that differs most."""
    said, row = words.of_measure(measure), rows.iloc[0]
    where = ", ".join(condition_in_words(studies, row))
    what = label(row) + (f" {row['term']}" if isinstance(row["term"], str) else "")
    converged = ", converged fits" if row["fits"] == "converged" else ""
    values = [amount(row[name], said.kind) for name in ("value_a", "value_b")]
    errors = [amount(row[name], said.kind, True, 2) for name in ("difference", "mcse")]
    most = "It is" if len(rows) == 1 else "The largest difference is"
    return (
        f"{said.title}: {of(len(rows), n)}. {most} that of {what} with "
        f"{where}{converged}: {values[0]} in A, {values[1]} in B (difference {errors[0]}, "
        f"MCSE {errors[1]})."
    )


def of(number: int, n: int) -> str:
    """How many numbers differ."""
    return f"{number:,} of {words.counted(n, 'number')} differ{'s' if number == 1 else ''}"


def label(row: Mapping[str, Any]) -> str:
    """The name, or names, of the analysis that a row is of."""
    one, two = row["strategy_a"], row["strategy_b"]
    return str(one) if one == two else f"{one} / {two}"


def condition_in_words(studies: Studies, row: Mapping[str, Any]) -> list[str]:
    """The levels of a row's condition, of axes that have several."""
    several = [
        axis.name
        for axis in studies.axes
        if any(
            axis.name in names_of_axes(side.study) and len(side.study.levels(axis.name)) > 1
            for side in (studies.a, studies.b)
        )
    ]
    return [
        words.in_sentence(name, row[name]) for name in several or names_of_axes(studies.a.study)
    ]


def amount(value: float, kind: str, difference: bool = False, digits: int = 3) -> str:
    """A number with its unit."""
    if kind in ("rate", "percent"):
        value = 100.0 * value if kind == "rate" else value
        return short_number(value, digits) + (" points" if difference else "%")
    return short_number(value, digits)


def short_number(value: float, digits: int) -> str:
    """A number to some significant digits, never as a power of ten where it is large."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return text.replace("-", "−")


def of_fits(pair: Pair, rows: pd.DataFrame) -> str:
    """What the fits of an analysis say, one by one."""
    total = rows.sum(numeric_only=True)
    n, same = int(total["n_shared"]), int(total["n_identical"])
    equal = int(total["n_equal"])
    parts = [f"{pair.label}: all {words.counted(n, 'fit')} are identical to the bit."]
    if same < n:
        identical = f"{same:,} of {words.counted(n, 'fit')} are identical to the bit"
        further = f", {equal - same:,} more are equal but for rounding" if equal > same else ""
        parts = [f"{pair.label}: {identical}{further}."]
    if same < equal == n:
        parts = [f"{pair.label}: all {words.counted(n, 'fit')} are equal but for rounding."]
    for what, verb in (("failed", "failed"), ("converged", "converged")):
        one, two = (int(total[f"n_{what}_in_{side}_only"]) for side in "ab")
        if one or two:
            parts.append(f"{one:,} {verb} in A only, {two:,} in B only.")
    if not total["n_converged_in_a_only"] and not total["n_converged_in_b_only"]:
        parts.append("No verdict differs.")
    sizes = {"estimate": "Estimates", "se": "standard errors", "df": "degrees of freedom"}
    apart = []
    for name, text in sizes.items():
        largest = rows[f"{name}_max"].max()
        if equal == n or not np.isfinite(largest):
            continue
        number = int(total[f"n_{name}_apart"])
        by = (
            f"{significant(largest, 2)} standard errors" if name == "estimate" else percent(largest)
        )
        limit = f"{APART:g} standard errors" if name == "estimate" else percent(APART)
        if not largest:
            apart.append(f"{text} do not differ")
            continue
        apart.append(
            f"{text} differ by more than {limit} in {words.counted(number, 'fit')}, at most by {by}"
            if number
            else f"{text} differ by at most {by}"
        )
    if apart:
        parts.append("; ".join(apart) + ".")
        parts[-1] = parts[-1][0].upper() + parts[-1][1:]
    a_above, b_above = rows["a_above_b_max"].max(), rows["b_above_a_max"].max()
    if equal < n and pair.same_criterion and np.isfinite([a_above, b_above]).any():
        for names, number, largest in (
            (("A", "B"), int(total["n_a_missed"]), a_above),
            (("B", "A"), int(total["n_b_missed"]), b_above),
        ):
            if number:
                parts.append(
                    f"{names[0]} ends more than {MISSED:g} above {names[1]}’s optimum in "
                    f"{words.counted(number, 'fit')}, at most {significant(largest, 2)} above."
                )
        if not total["n_a_missed"] + total["n_b_missed"]:
            parts.append(f"No optimum is more than {MISSED:g} above the other study’s.")
    return " ".join(parts)


def percent(share: float) -> str:
    """A share in percent, to two digits."""
    return f"{100 * share:,.0f}%" if share > 0.1 else f"{significant(100 * share, 2)}%"


def changed_causes(compared: Comparison) -> Iterator[dict[str, Any]]:
    """How many fits have which complaint in A and in B, where the two differ; most first."""
    for name, counts in compared.apart.causes.items():
        for (one, two), number in sorted(counts.items(), key=lambda it: -it[1]):
            if one != two:
                yield {"analysis": name, "a": CAUSES[one], "b": CAUSES[two], "n": number}


def page_data(compared: Comparison) -> dict[str, Any]:
    """What the page's tables show."""
    studies = compared.studies
    frame = compared.measures.assign(analysis=[label(row) for row in rows_of(compared.measures)])
    frame = frame.sort_values("p_value", kind="stable", na_position="last")
    frame = frame.sort_values("differs", ascending=False, kind="stable").head(MOST_ROWS)
    # of those that differ, what a reader of one study could see comes first
    seen = frame["own_mcses"].fillna(np.inf).where(frame["differs"], -1.0)
    frame = frame.loc[seen.sort_values(ascending=False, kind="stable").index]
    axes = [axis.name for axis in studies.axes if len(set(frame[axis.name])) > 1]
    columns = [*axes, "analysis", "term", "measure", "fits", "value_a", "value_b", "difference"]
    columns += ["mcse", "z", "p_adjusted", "own_mcses", "n_a", "n_b", "differs", "reason"]
    measures = dict.fromkeys(frame["measure"])
    return {
        "name": f"comparison-{studies.a.study.name}-{studies.b.study.name}",
        "axes": {name: words.of_axis(name).label for name in axes},
        "columns": columns,
        "rows": [[short(row[name]) for name in columns] for row in rows_of(frame)],
        "measures": {name: words.of_measure(name).title for name in measures},
        "fits": list(fits_that_differ(compared)),
        "apart": [pair.label for pair in studies.pairs],
    }


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows."""
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def short(value: Any) -> Any:
    """A table's value as the page has it."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return rounded_number(value, DIGITS) if isinstance(value, float) else value


def fits_that_differ(compared: Comparison) -> Iterator[list[Any]]:
    """The fits that differ most: where, how, and the commands that make them again."""
    studies = compared.studies
    for fit in compared.apart.found():
        where = ", ".join(condition_in_words(studies, studies.levels(fit["key"])))
        verdicts = [
            CAUSES[fit[f"cause_{it}"]] + ("" if fit[f"converged_{it}"] else ", not converged")
            for it in "ab"
        ]
        numbers = [short(fit[name]) for name in ("estimate", "se", "df", "criterion")]
        commands = [
            rerun(side, fit["key"], fit["sim"], fit[f"strategy_{it}"])
            for it, side in (("a", studies.a), ("b", studies.b))
        ]
        yield [label(fit), where, fit["sim"], *verdicts, *numbers, *commands]


def rerun(side: Side, key: str, sim: int, strategy: str) -> str:
    """The command that makes a fit of a study again."""
    levels = tables.levels(side.study.axes, side.runs[key].condition)
    words_of = ["python", "scripts/rerun_replication.py", str(side.folder / "fits.parquet")]
    for name, level in levels.items():
        words_of += [f"--{name.replace('_', '-')}", plain(level)]
    return shlex.join([*words_of, "--sim", str(sim), "--strategy", strategy])
