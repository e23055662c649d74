"""One strategy and one dataset again, alone, and whether the numbers are the table's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rmsweep.config import read_study
from rmsweep.design import Block, Condition, Strategy, Study
from rmsweep.errors import ConfigError
from rmsweep.sweep import tables
from rmsweep.sweep.merge import identified, rerun_commands
from rmsweep.sweep.provenance import table_identity
from rmsweep.sweep.replication import run_block

Row = dict[str, Any]


def study_of(path: Path) -> Study:
    """The study that a table was made by.

    Raises
    ------
    UsageError
        If the file can't be read or is no such table.
    """
    return read_study(tables.made_with(path, "fits", ["fit_success"])["study"])


def unsuccessful(path: Path) -> pa.Table:
    """The rows of ``fits`` that were no success: row, status, command; failed ones first."""
    keys = tables.keys(study_of(path).axes)
    fits = tables.read(path, "fits", columns=[*keys.names, "fit_success", "status"])
    numbers = pa.array(range(len(fits)))
    commands = rerun_commands(fits, keys)
    rows = pa.table({"row": numbers, "status": fits["status"], "command": commands})
    rows = rows.filter(pc.invert(fits["fit_success"]))
    return rows.take(pc.sort_indices(pc.not_equal(rows["status"], "failed")))


def levels_of(path: Path, number: int) -> dict[str, str]:
    """The keys of a row of ``fits``, counted from 0, as a command line gives them.

    Raises
    ------
    ConfigError
        If there are fewer rows.
    """
    keys = tables.read(path, "fits", columns=tables.keys(study_of(path).axes).names[1:])
    if not 0 <= number < len(keys):
        raise ConfigError(f"{path} has no row {number}; allowed: 0 to {len(keys) - 1}")
    row = keys.slice(number, 1)
    return {name: row[name].cast(pa.string())[0].as_py() for name in row.column_names}


def refit(study: Study, condition: Condition, sim: int, strategy: Strategy) -> Row:
    """Simulate and fit, as a job of the sweep does, and give the one row, as in the tables."""
    return refit_all(replace(study, strategies=(strategy,)), condition, sim)[0]


def refit_all(study: Study, condition: Condition, sim: int) -> list[Row]:
    """The same with all strategies of a study: one row each."""
    alone = replace(study, audit=0.0)
    shard = run_block(alone, Block(condition, range(sim, sim + 1)))
    rows: list[Row] = identified(shard, alone, condition).to_pylist()
    return rows


def differences(row: Row, path: Path) -> list[str] | None:
    """How a row differs from the one of its keys in ``fits``, and in ``coefs`` beside it.

    Returns
    -------
    list of str or None
        A line per column that is not the same to the bit; None if the table has no such row.
    """
    chosen = [(key, "=", row[key]) for key in tables.keys(study_of(path).axes).names[1:]]
    stored = tables.read(path, "fits", filters=chosen).to_pylist()
    if not stored:
        return None
    expected = stored[0]
    coefs = path.with_name("coefs.parquet")
    if coefs.exists():
        names = tables.COEFFICIENT.names
        expected["coefs"] = tables.read(coefs, "coefs", columns=names, filters=chosen).to_pylist()
    return [
        f"{key}: {row[key]!r} here, {expected[key]!r} there"
        for key in row.keys() & expected.keys()
        # as text, NaN is NaN, and -0.0 is not 0.0
        if repr(row[key]) != repr(expected[key])
    ]


def other_surroundings(path: Path, study: Study, versions: Mapping[str, str]) -> list[str]:
    """What a table was made with that is different here: code, and versions of programs."""
    made = tables.metadata(path)
    found = [] if made["code"] == table_identity(study, {})["code"] else ["code"]
    return found + [
        f"{program} {', '.join(theirs)} (here {versions[program]})"
        for program, theirs in json.loads(made["versions"]).items()
        if program in versions and theirs != [versions[program]]
    ]
