"""Measure the performance of a study's strategies: bias, coverage, size, power and the like.

Writes one row per condition, strategy, coefficient and measure, with Monte Carlo standard errors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pyarrow.parquet as pq

from rmsweep.config import read_study
from rmsweep.errors import UsageError
from rmsweep.measures.table import performance, schema
from rmsweep.sweep import csv_files, tables
from rmsweep.sweep.provenance import measures_identity


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the table."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    parser.add_argument("coefs", type=Path, help="its coefs.parquet")
    cli.add_outputs_of_measures(parser)
    options = parser.parse_args(argv)

    cli.refuse_overwriting([options.fits, options.coefs], options.output)
    made_with = tables.made_with(options.fits, "fits", ["fit_success"])
    if tables.made_with(options.coefs, "coefs", ["term"]) != made_with:
        raise UsageError(f"{options.coefs}: not of the same study as {options.fits}")
    study = read_study(made_with["study"])
    columns = schema(study)
    identity = measures_identity(made_with, "measure_performance")
    with ExitStack() as stack:
        writers = []
        # what is entered last is in place first: the file that says what made it comes last
        for path in sorted(options.output, key=lambda path: path.suffix, reverse=True):
            temporary = stack.enter_context(tables.atomic(path))
            if path.suffix == ".parquet":
                kept = columns.with_metadata(identity)
                writer = pq.ParquetWriter(temporary, kept, compression="zstd")
            else:
                writer = csv_files.Writer(temporary, columns)
            writers.append(stack.enter_context(writer))
        for rows in performance(study, options.fits, options.coefs):
            for writer in writers:
                writer.write_table(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
