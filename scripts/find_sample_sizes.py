"""Find how many groups each strategy needs for the power that a study asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import read_study
from rmsweep.errors import UsageError
from rmsweep.measures.sample_size import NEEDED, sample_sizes
from rmsweep.sweep import csv_files, tables
from rmsweep.sweep.provenance import MEASURES, measures_identity

COLUMNS = ("strategy", "term", "measure", "fits", "value", "mcse", "n_run")


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the table."""
    parser = cli.parser(__doc__)
    parser.add_argument("performance", type=Path, help="the study's performance.parquet")
    parser.add_argument(
        "--output",
        type=cli.output_of_measures,
        nargs="+",
        required=True,
        help="files to write: .csv, .parquet",
    )
    options = parser.parse_args(argv)

    cli.refuse_overwriting([options.performance], options.output)
    made_with = tables.made_with(options.performance, "performance", COLUMNS)
    study = read_study(made_with["study"])
    if study.power is None:
        raise UsageError(f"{options.performance}: the study asks for no power; allowed: one with")
    performance = tables.read(
        options.performance,
        "performance",
        columns=[*(axis.name for axis in study.axes), *COLUMNS],
        filters=[("measure", "in", NEEDED)],
        use_threads=False,
    )
    found = sample_sizes(study, study.power, performance.to_pandas())
    csv_files.write(found, options.output, measures_identity(made_with, *MEASURES["sample_sizes"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
