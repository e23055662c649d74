"""Summarise an audited study: how the native engine agrees with lme4 and statsmodels.

Writes one row per condition and strategy. Ends with an error if the native engine was the worse
one on any dataset; where lme4 was the worse one, that is a finding, counted and shown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rmsweep import cli, tables
from rmsweep.agreement import faults, summarise


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the table."""
    parser = cli.parser(__doc__)
    parser.add_argument("audit", type=Path, help="the study's audit.parquet")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args(argv)

    audit = pd.read_parquet(options.audit)
    summary = summarise(audit)
    with tables.atomic(options.output) as temporary:
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
