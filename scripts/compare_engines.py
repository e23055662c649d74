"""Summarise an audited study: how the native engine agrees with lme4 and statsmodels.

Writes one row per condition and strategy. Ends with an error if the native engine did worse on any
dataset; datasets on which lme4 did worse are counted as a finding.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pyarrow as pa
import pyarrow.parquet as pq

from rmsweep.measures.agreement import faults, summarise
from rmsweep.sweep import tables
from rmsweep.sweep.provenance import measures_identity


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the table."""
    parser = cli.parser(__doc__)
    parser.add_argument("audit", type=Path, help="the study's audit.parquet")
    cli.add_outputs_of_measures(parser)
    options = parser.parse_args(argv)

    cli.refuse_overwriting([options.audit], options.output)
    made_with = tables.made_with(options.audit, "audits", tables.AUDIT.names)
    audit = tables.read(options.audit, "audits").to_pandas()
    summary = summarise(audit)
    # the file that says what made it comes last
    for path in sorted(options.output, key=lambda path: path.suffix):
        with tables.atomic(path) as temporary:
            if path.suffix == ".parquet":
                table = pa.Table.from_pandas(summary, preserve_index=False)
                identity = measures_identity(made_with, "compare_engines")
                pq.write_table(table.replace_schema_metadata(identity), temporary)
            else:
                summary.to_csv(temporary, index=False)
    print(
        f"{len(audit)} fits audited: native optimum below the reference's in "
        f"{summary['native_lower'].sum()}, above it in {summary['reference_lower'].sum()}"
    )
    found = faults(audit)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
