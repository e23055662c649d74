"""One strategy and one dataset again, alone, and whether the numbers are the table's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rmsweep import strategies, tables
from rmsweep.config import ConfigError, read_settings
from rmsweep.design import Block, Condition, Settings
from rmsweep.replication import run_block

Row = dict[str, Any]

KEYS = ("n_groups", "n_obs", "sigma", "sim", "strategy")


def commands(fits: pa.Table) -> pa.Array:
    """The command lines that fit rows again, for those whose fit was no success.

    Parameters
    ----------
    fits : pyarrow.Table
        Has the keys and ``fit_success``.

    Returns
    -------
    pyarrow.Array
        A text or null per row. The table's path is relative to the project's folder.
    """
    parts: list[Any] = ["python scripts/rerun_replication.py results/", fits["study"]]
    parts.append("/fits.parquet")
    for key in KEYS:
        parts += [f" --{key.replace('_', '-')} ", fits[key].cast(pa.string())]
    texts = pc.binary_join_element_wise(*parts, "")
    return pc.if_else(fits["fit_success"], pa.scalar(None, pa.string()), texts)


def unsuccessful(path: Path) -> pa.Table:
    """The rows of ``fits`` that were no success: row, status, command; failed ones first."""
    fits = pq.read_table(path, columns=[*tables.KEYS.names, "fit_success", "status"])
    numbers = pa.array(range(len(fits)))
    rows = pa.table({"row": numbers, "status": fits["status"], "command": commands(fits)})
    rows = rows.filter(pc.invert(fits["fit_success"]))
    return rows.take(pc.sort_indices(pc.not_equal(rows["status"], "failed")))


def settings_of(path: Path) -> Settings:
    """The settings that a table was made with.

    Raises
    ------
    ConfigError
        If the file can't be read or is no such table.
    """
    try:
        source = tables.metadata(path)["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: not a table of fits ({error})") from None
    return read_settings(source)


def keys_of(path: Path, number: int) -> Row:
    """The keys of a row of ``fits``, counted from 0.

    Raises
    ------
    ConfigError
        If there are fewer rows.
    """
    keys = pq.read_table(path, columns=list(KEYS))
    if not 0 <= number < len(keys):
        raise ConfigError(f"{path} has no row {number}; allowed: 0 to {len(keys) - 1}")
    row: Row = keys.slice(number, 1).to_pylist()[0]
    return row


def refit(settings: Settings, condition: Condition, sim: int, strategy: str) -> Row:
    """Simulate and fit, as a job of the sweep does, and give the shard's one row."""
    engine = settings.engine.get(strategy, strategies.engines(strategy)[0])
    alone = replace(settings, strategies=(strategy,), engine={strategy: engine}, audit=0.0)
    row: Row = run_block(alone, Block(condition, range(sim, sim + 1))).to_pylist()[0]
    return row


def differences(row: Row, path: Path) -> list[str] | None:
    """How a row differs from the one of its keys in ``fits``, and in ``coefs`` beside it.

    Returns
    -------
    list of str or None
        A line per column that is not the same to the bit; None if the table has no such row.
    """
    chosen = [(key, "=", row[key]) for key in KEYS]
    stored = pq.read_table(path, filters=chosen).to_pylist()
    if not stored:
        return None
    expected = stored[0]
    coefs = path.with_name("coefs.parquet")
    if coefs.exists():
        names = tables.COEFFICIENT.names
        expected["coefs"] = pq.read_table(coefs, columns=names, filters=chosen).to_pylist()
    return [
        f"{key}: {row[key]!r} here, {expected[key]!r} there"
        for key in row.keys() & expected.keys()
        # as text, NaN is NaN, and -0.0 is not 0.0
        if repr(row[key]) != repr(expected[key])
    ]


def other_surroundings(path: Path, code: str, versions: Mapping[str, str]) -> list[str]:
    """What a table was made with that is different here: code, and versions of programs."""
    made = tables.metadata(path)
    found = [] if made["code"] == code else ["code"]
    return found + [
        f"{program} {', '.join(theirs)} (here {versions[program]})"
        for program, theirs in json.loads(made["versions"]).items()
        if program in versions and theirs != [versions[program]]
    ]
