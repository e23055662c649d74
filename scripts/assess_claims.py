"""Put the claims of the post to the test, by a study's performance measures.

Writes two tables: one row per claim and test of it, with its verdict; and one per number behind
them, condition by condition.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)


from rmsweep.claims.post import CLAIMS
from rmsweep.claims.table import NEEDED, assess, needed_measures
from rmsweep.config import read_study
from rmsweep.sweep import csv_files, tables
from rmsweep.sweep.provenance import MEASURES, measures_identity


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("performance", type=Path, help="the study's performance.parquet")
    for option, what in {"--output": "claims", "--by-condition": "numbers behind them"}.items():
        cli.add_outputs_of_measures(parser, option, f"files to write the {what} to")
    options = parser.parse_args(argv)

    cli.refuse_overwriting([options.performance], [*options.output, *options.by_condition])
    made_with = tables.made_with(options.performance, "performance", NEEDED)
    study = read_study(made_with["study"])
    columns = [*(axis.name for axis in study.axes), *NEEDED]
    performance = tables.read(
        options.performance,
        "performance",
        columns=columns,
        filters=[("measure", "in", sorted(needed_measures(CLAIMS)))],
        use_threads=False,
    )
    claims, by_condition = assess(study, performance.to_pandas(), CLAIMS)
    identity = measures_identity(made_with, *MEASURES["claims"])
    csv_files.write(claims, options.output, identity)
    csv_files.write(by_condition, options.by_condition, identity)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
