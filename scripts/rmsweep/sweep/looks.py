"""Looks at how precise a study is: their tables, and the replications that they ask for.

With the key ``precision``, a study's replications are not planned but found. After each batch of
them, a look writes a table with one row per condition: how many replications it has, and whether
they are enough. A condition that has enough, or as many as there may be, keeps its row in later
looks; the others get the next batch. What the looks end with is a study like any other, whose
configuration has a number of replications for each condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from rmsweep.config import shortest
from rmsweep.design import Condition, Study
from rmsweep.sweep import tables

Row = dict[str, Any]

LOOK = pa.schema(
    [
        pa.field("condition", pa.string(), nullable=False),
        pa.field("n_sims", pa.int64(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        ("strategy", pa.string()),
        ("term", pa.string()),
        ("mcse", pa.float64()),
        ("mcse_in_rule", pa.float64()),
        pa.field("precision_reached", pa.bool_(), nullable=False),
    ]
)
"""The columns of a look beyond those of the condition."""


def schema(study: Study) -> pa.Schema:
    """The columns of a look, and of ``replications``, which is the last one."""
    axes = [pa.field(axis.name, tables.KINDS[axis.kind], nullable=False) for axis in study.axes]
    return pa.schema([*axes, *LOOK])


def path(results: Path, number: int | str) -> Path:
    """Where a look is; they are counted from 0."""
    return results / "precision" / f"{number}.parquet"


def read(file: Path) -> dict[str, Row]:
    """The rows of a look, by condition.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    return _read(file, file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=64)
def _read(file: Path, changed: int) -> dict[str, Row]:
    """As `read`, as long as the file does not change."""
    return {row["condition"]: row for row in tables.read(file, "looks").to_pylist()}


def is_settled(study: Study, row: Row) -> bool:
    """Whether a condition gets no more replications."""
    return bool(row["precision_reached"]) or row["n_sims"] >= cap(study)


def cap(study: Study) -> int:
    """The most replications of a condition."""
    return study.precision.cap if study.precision else study.n_sims


def unsettled(study: Study, look: Path | None) -> list[Condition]:
    """The conditions that need more replications than a look found, or all before the first."""
    rows = read(look) if look else {}
    return [
        condition
        for condition in study.conditions
        if condition.key not in rows or not is_settled(study, rows[condition.key])
    ]


def planned(study: Study, look: Path | None) -> Study:
    """The study with the replications that a look asks for, as if they had been planned.

    Parameters
    ----------
    study : Study
        If its number of replications is fixed, it is given back as it is.
    look : Path or None
        The latest one; None before the first.

    Returns
    -------
    Study
        Its settings have a number of replications for each condition and no ``precision``: its
        tables are those of a study that was planned at that size. Its jobs are still cut where
        looks were.

    Raises
    ------
    UsageError
        If the look can't be read.
    """
    precision = study.precision
    if precision is None:
        return study
    rows = read(look) if look else {}
    going_on = {condition.key for condition in unsettled(study, look)}
    sizes = {
        condition.key: rows[condition.key]["n_sims"]
        if condition.key not in going_on
        else precision.after(rows[condition.key]["n_sims"] if condition.key in rows else 0)
        for condition in study.conditions
    }
    source = {key: value for key, value in study.source.items() if key != "precision"}
    return replace(study, sizes=sizes, source=source | {"n_sims": shortest(sizes)})


def latest(study: Study, results: Path, usable: Callable[[Path], bool]) -> Path | None:
    """The last of a study's looks that can be used; None before the first.

    What an earlier rule has left beyond the one that settles all conditions does not count.
    """
    found = None
    if study.precision:
        for number in count():
            look = path(results, number)
            if not usable(look) or (found and not unsettled(study, found)):
                break
            found = look
    return found
