"""Look whether a study's replications are enough for the precision that it asks for.

Reads the shards of the conditions that the look before this one has not settled, and writes one row
per condition.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import json

from rmsweep.config import read_study
from rmsweep.measures.precision import look
from rmsweep.sweep import csv_files, tables
from rmsweep.sweep.provenance import LOOKS, measures_identity, table_identity


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the table."""
    parser = cli.parser(__doc__)
    cli.add_config(parser)
    parser.add_argument("--cells", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--before", type=Path, help="the look before this one (Parquet)")
    cli.add_outputs_of_measures(parser)
    parser.add_argument(
        "--other-programs",
        action="store_true",
        help="the shards were fitted by programs of another environment: don't compare versions",
    )
    options = parser.parse_args(argv)
    cli.refuse_overwriting([options.before], options.output)

    study = read_study(options.config)
    table_identity(study, {})  # now: the code may change while shards are read
    rows, found = look(study, options.cells, options.before, not options.other_programs)
    versions = defaultdict(set, found)
    if options.before:
        made_with = tables.made_with(options.before, "looks", ["precision_reached"])
        for program, known in json.loads(made_with["versions"]).items():
            versions[program].update(known)
    identity = measures_identity(table_identity(study, versions), LOOKS)
    csv_files.write(rows, options.output, identity)
    reached = sum(rows["precision_reached"].to_pylist())
    print(f"{reached} of {len(rows)} conditions have reached the precision")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
