"""Tables as CSV that everybody reads, beside Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from rmsweep.sweep.tables import atomic


class Writer(pyarrow.csv.CSVWriter):  # type: ignore[misc]
    """Writes tables as CSV with TRUE and FALSE, which base R reads; it takes ``true`` for a text.

    Parameters
    ----------
    sink : str, Path or file-like object
    columns : pyarrow.Schema
    """

    def __init__(self, sink: Any, columns: pa.Schema) -> None:
        super().__init__(sink, in_capitals(columns.empty_table()).schema)

    def write_table(self, rows: pa.Table) -> None:
        """Write rows."""
        super().write_table(in_capitals(rows))


def in_capitals(rows: pa.Table) -> pa.Table:
    """Rows with the texts TRUE and FALSE in place of booleans."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_boolean(field.type):
            texts = pc.if_else(rows[place], "TRUE", "FALSE")
            rows = rows.set_column(place, field.name, texts)
    return rows


def write(table: pa.Table, paths: Sequence[Path], made_with: Mapping[str, str]) -> None:
    """Write a whole table to each path, as Parquet or CSV; the file that says what made it last."""
    for path in sorted(paths, key=lambda path: path.suffix):
        with atomic(path) as temporary:
            if path.suffix == ".parquet":
                kept = table.replace_schema_metadata(dict(made_with))
                pq.write_table(kept, temporary, compression="zstd")
            else:
                with Writer(temporary, table.schema) as writer:
                    writer.write_table(table)
