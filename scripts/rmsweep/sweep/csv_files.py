"""Tables as CSV that everybody reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv


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


def write(rows: pa.Table, path: Path) -> None:
    """Write a whole table; see `Writer`."""
    with Writer(path, rows.schema) as writer:
        writer.write_table(rows)
