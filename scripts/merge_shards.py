"""Merge a study's shards into its tables; stop if one is missing, damaged or outdated."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import read_study
from rmsweep.sweep import looks
from rmsweep.sweep.merge import TABLES, merge, without_csv


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the tables."""
    parser = cli.parser(__doc__)
    cli.add_config(parser)
    parser.add_argument("--cells", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--output",
        type=cli.output,
        nargs="+",
        required=True,
        help="tables to write: fits, coefs, timings, audit, with .parquet or .csv.gz",
    )
    parser.add_argument(
        "--other-programs",
        action="store_true",
        help="the shards were fitted by programs of another environment: don't compare versions",
    )
    parser.add_argument(
        "--look",
        type=Path,
        help="of a study with a precision: the look that says how many replications there are; "
        "default, as many as before the first one",
    )
    options = parser.parse_args(argv)
    known = [f"{name}.{kind}" for name in TABLES for kind in ("parquet", "csv.gz")]
    for path in options.output:
        if path.name not in known:
            parser.error(f"--output: {path}; allowed: files called {', '.join(known)}")

    study = looks.planned(read_study(options.config), options.look)
    for path in options.output:  # of merges that were killed: these files may be large
        for unfinished in path.parent.glob(f".{path.name}.*.tmp"):
            unfinished.unlink(missing_ok=True)
    merge(study, options.cells, options.output, programs=not options.other_programs)
    for name in without_csv(options.output) if study.csv == "auto" else ():
        print(f"{name}: not written; `csv: true` in the study's file writes long tables, too")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
