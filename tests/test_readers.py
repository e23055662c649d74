"""Every table and shard, as base R, pandas, pyarrow, polars and duckdb read them: the same values.

The study has nulls, fits that fail, items, missing rows, named levels, a precision and a power.
"""

from __future__ import annotations

import itertools
import math
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import assess_claims
import check_precision
import find_sample_sizes
import measure_performance
import merge_shards
from rmsweep import plan
from rmsweep.config import load_study, one_line
from rmsweep.design import MAIN
from rmsweep.sweep import looks, provenance, replication, shard

FAILS = '''"""Fails on every second dataset; its message has a comma, quotes and a line break."""

from rmsweep.strategies import least_squares


def fit(data, options):
    if data.y[0] > 0:
        raise ValueError('no, "never":\\nNA')
    fitted = least_squares.fit(data, least_squares.NoOptions())
    return least_squares.infer(data, fitted, least_squares.Inference())
'''
KEYS: dict[str, Any] = {
    "seed": 5,
    "n_groups": [8],
    "n_obs": [8],
    "sigma": [0.5],
    "n_items": "all",
    "item_design": "between",
    "missing": {"from": "mcar", "rate": 0.05},
    "n_predictors": 1,
    "predictor_distribution": "sum",
    "beta": [0, 0.4],
    "grid": {"item_sigma": {"alike": 0, "differ": 0.5}, "noise_sd": [0.5, 2]},
    "engine": "native",
    "strategies": ["f1", "f2", "lmer_items", "fails.py"],
    "n_sims": 30,
    "sims_per_job": 200,
    "precision": {"measure": "rmse", "mcse": 1, "cap": 300, "strategies": ["lmer_items"]},
    "power": {"effect": "IV1"},
}
TABLES = (
    *("fits", "coefs", "timings", "performance", "claims", "claims_by_condition"),
    *("replications", "sample_sizes"),
)
# what it makes of each column: class, rows, rows without a value, sum of the numbers or letters
R = """
for (path in commandArgs(TRUE)) {
  d <- read.csv(path)
  for (name in names(d)) {
    x <- d[[name]]
    there <- x[!is.na(x) & x != ""]
    size <- if (is.character(x)) nchar(there) else there[is.finite(there)]
    cat(basename(path), name, class(x), nrow(d), nrow(d) - length(there), sep = "\\t")
    cat(sprintf("\\t%.12g\\n", sum(size)))
  }
}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the finished study."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "fails.py").write_text(FAILS)
    study = load_study(KEYS, "readers", folder=folder)
    versions = provenance.study_versions(study, lambda _: {})
    given = ["--config", one_line(study), "--cells", str(folder / "cells")]
    before: list[str] = []
    for number in itertools.count():
        for block in plan.blocks(looks.planned(study, Path(before[1]) if before else None)):
            path = folder / "cells" / block.path
            if not path.exists():
                identity = provenance.shard_identity(study, block.condition, versions)
                shard.write(replication.run_block(study, block), path, identity)
        look = looks.path(folder, number)
        assert check_precision.main([*given, *before, "--output", str(look)]) == 0
        before = ["--before", str(look)]
        if not looks.unsettled(study, look):
            break

    def both(*names: str, csv: str = "csv") -> list[str]:
        return [
            "--output",
            *(str(folder / f"{it}.{end}") for it in names for end in (csv, "parquet")),
        ]

    def path(name: str) -> str:
        return str(folder / f"{name}.parquet")

    merged = both("fits", "coefs", "timings", csv="csv.gz")
    assert merge_shards.main([*given, "--look", str(look), *merged]) == 0
    assert check_precision.main([*given, *before, *both("replications")]) == 0
    assert measure_performance.main([path("fits"), path("coefs"), *both("performance")]) == 0
    behind = ["--by-condition", *both("claims_by_condition")[1:]]
    assert assess_claims.main([path("performance"), *both("claims"), *behind]) == 0
    assert find_sample_sizes.main([path("performance"), *both("sample_sizes")]) == 0
    return folder


def of(frame: pd.DataFrame) -> pa.Table:
    """A table of pandas' columns."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def values(table: pa.Table) -> dict[str, list[Any]]:
    """The values of each column; None for what is missing, which text files can't tell from ""."""
    return {name: [gap(it) for it in table[name].to_pylist()] for name in table.column_names}


def gap(value: Any) -> Any:
    """A value, or None if it is what readers make of nothing."""
    return None if value == "" or value != value else value


@pytest.mark.parametrize("name", TABLES)
def test_readers_find_the_same_values_in_a_table(results: Path, name: str) -> None:
    path = results / f"{name}.parquet"
    expected = values(pq.read_table(path))
    assert values(of(pd.read_parquet(path))) == expected
    assert values(polars.read_parquet(path).to_arrow()) == expected
    assert values(duckdb.read_parquet(str(path)).to_arrow_table()) == expected
    (path,) = results.glob(f"{name}.csv*")
    # of a column that is all `t`, duckdb makes truth values
    texts = {it: "VARCHAR" for it in ("ci_type", "test_type") if it in expected}
    assert values(of(pd.read_csv(path))) == expected
    assert values(polars.read_csv(path, infer_schema_length=None).to_arrow()) == expected
    assert values(duckdb.read_csv(str(path), dtype=texts).to_arrow_table()) == expected
    assert values(pyarrow.csv.read_csv(path)) == expected


def test_readers_find_the_same_values_in_the_shards(results: Path) -> None:
    folder = results / "cells"
    parts = [pq.read_table(path, partitioning=None) for path in folder.rglob("*.parquet")]
    order = [(key, "ascending") for key in ("condition", "sim", "strategy")]
    expected = pa.concat_tables(parts).sort_by(order).to_pydict()
    assert len(expected["sim"]) == pq.read_table(results / "fits.parquet").num_rows
    every = f"{folder}/**/*.parquet"
    found = {
        "pandas": of(pd.read_parquet(folder, dtype_backend="pyarrow")),
        "pyarrow": pyarrow.dataset.dataset(folder, partitioning="hive").to_table(),
        "polars": polars.read_parquet(every, hive_partitioning=True).to_arrow(),
        "duckdb": duckdb.read_parquet(every, hive_partitioning=True).to_arrow_table(),
    }
    for reader, table in found.items():
        assert {*MAIN} < {*table.column_names}, reader
        assert table.sort_by(order).select(list(expected)).to_pydict() == expected, reader


@pytest.mark.slow
def test_base_r_reads_every_csv_file(results: Path) -> None:
    files = {name: str(*results.glob(f"{name}.csv*")) for name in TABLES}
    ended = subprocess.run(
        ["Rscript", "--vanilla", "-e", R, *files.values()],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in ended.stdout.splitlines()]
    said = {(file, column): rest for file, column, *rest in rows}
    for name, path in files.items():
        table = pq.read_table(results / f"{name}.parquet")
        for column, found in values(table).items():
            kind, n_rows, n_empty, total = said[Path(path).name, column]
            there = [it for it in found if it is not None]
            assert (int(n_rows), int(n_empty)) == (len(found), len(found) - len(there)), column
            if isinstance(there[0] if there else True, bool):
                assert kind == "logical", column
            else:
                assert (kind == "character") == isinstance(there[0], str), column
            sizes = [len(it) if isinstance(it, str) else it for it in there]
            assert float(total) == pytest.approx(math.fsum(filter(math.isfinite, sizes)), rel=1e-9)
