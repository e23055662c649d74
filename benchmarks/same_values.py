r"""Whether two results folders hold the same values, to the bit.

    python benchmarks/same_values.py OLD NEW

Compares `fits.parquet` and `coefs.parquet` on the columns that both have, row by row in the order
of their keys. Prints a line per table and the first values that differ; exit code 1 if any do.

Whether the rows of the default study are those of another commit (add `engine=native` for those of
the native engine, where 30 replications take half a minute):

    git worktree add ../before COMMIT
    snakemake --cores 2 --configfile config/config.yaml --config study=rows n_sims=30 \
        -- results/rows/fits.parquet results/rows/coefs.parquet    # here and in ../before
    python benchmarks/same_values.py ../before/results/rows results/rows
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TABLES = ("fits", "coefs")
SHOWN = 10


def keys_of(columns: Sequence[str]) -> list[str]:
    """The columns that say which row is which."""
    keys = list(columns[: columns.index("strategy") + 1])
    return [*keys, "term"] if "term" in columns else keys


def different(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Which values differ; of floating-point numbers, in any bit."""
    missing, also_missing = one.is_null().to_numpy(), other.is_null().to_numpy()
    if pa.types.is_floating(one.type) and one.type == other.type:
        bits = (column.to_numpy().view(np.int64) for column in (one, other))
        unequal = np.not_equal(*bits)
    else:
        unequal = pc.fill_null(pc.not_equal(one, other), False).to_numpy()
    return (missing != also_missing) | (unequal & ~missing)


def compare(name: str, old: pa.Table, new: pa.Table) -> int:
    """Print how two tables compare; give the number of values that differ."""
    shared = [column for column in old.column_names if column in new.column_names]
    keys = keys_of(shared)
    order = [(key, "ascending") for key in keys]
    old, new = old.sort_by(order), new.sort_by(order)
    title = f"{name}: {len(old):,} and {len(new):,} rows, {len(shared)} columns"
    for label, here, there in (("old", old, new), ("new", new, old)):
        if alone := [column for column in here.column_names if column not in there.column_names]:
            title += f", {', '.join(alone)} in the {label} one alone"
    if len(old) != len(new):
        print(f"{title}: not the same rows")
        return abs(len(old) - len(new))
    found = {column: np.flatnonzero(different(old[column], new[column])) for column in shared}
    n_different = sum(map(len, found.values()))
    print(f"{title}: {f'{n_different:,} values differ' if n_different else 'the same'}")
    places = ((column, int(row)) for column, rows in found.items() for row in rows[:SHOWN])
    for column, row in list(places)[:SHOWN]:
        where = " ".join(f"{key}={old[key][row]}" for key in keys)
        print(f"  {where}: {column} {old[column][row]} in the old, {new[column][row]} in the new")
    return n_different


def main() -> int:
    """Read and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a study's results folder")
    parser.add_argument("new", type=Path, help="another one")
    options = parser.parse_args()
    n_different = 0
    for name in TABLES:
        old, new = (
            pq.read_table(folder / f"{name}.parquet") for folder in (options.old, options.new)
        )
        n_different += compare(name, old, new)
    return 1 if n_different else 0


if __name__ == "__main__":
    raise SystemExit(main())
