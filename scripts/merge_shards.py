"""Merge a study's shards into its tables; stop if one is missing, damaged or outdated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rmsweep import cli
from rmsweep.config import read_study
from rmsweep.sweep.merge import merge


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="the study's configuration file")
    parser.add_argument("--cells", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        required=True,
        help="tables to write: fits, coefs, timings, audit, with .parquet or .csv.gz",
    )
    options = parser.parse_args(argv)

    merge(read_study(options.config), options.cells, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
