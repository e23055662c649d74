"""How the native engine and lme4 agree in an audited study, as the tables of docs/engine.md.

    make run STUDY=config/audited.yaml
    python benchmarks/agreement.py results/audited/audit.parquet

The study's own agreement.csv has the same condition by condition.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import pandas as pd

DIFFERENCES = ("estimate_diff", "se_diff", "df_diff")
# lme4 that far above the native optimum, or less: rounding of the criterion, lme4's stopping rule
# at its best, what it warns of, what shows in a table
GAPS = (-np.inf, 1e-6, 1e-4, 1e-2, 1.0, np.inf)


def median_and_maximum(rows: pd.DataFrame) -> str:
    """Cells of the three differences."""
    if rows.empty:
        return " | ".join("" for _ in DIFFERENCES)
    return " | ".join(f"{rows[name].median():.1g}, {rows[name].max():.1g}" for name in DIFFERENCES)


def print_table(header: str, lines: list[str]) -> None:
    """A Markdown table."""
    print(f"| {header} |\n|{'---|' * (header.count('|') + 1)}")
    print(*(f"| {line} |" for line in lines), "", sep="\n")


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audit", help="a study's audit.parquet")
    audit = pd.read_parquet(parser.parse_args().audit)
    header = "estimates (in SE) | standard errors | df"

    lines = []
    for strategy, rows in audit.groupby("strategy"):
        gap = rows["criterion_gap"]
        lower = [f"{count:,}" for count in ((gap > 1e-6).sum(), (gap < -1e-6).sum())]
        lines.append(
            f"`{strategy}` | {len(rows):,} | "
            f"{' / '.join(lower) if gap.notna().any() else 'none'} | "
            f"{(rows['native_status'] != rows['reference_status']).sum():,} | "
            f"{median_and_maximum(rows)}"
        )
    print_table(
        f"strategy | datasets | native / reference criterion lower | other status | {header}", lines
    )

    for strategy, rows in audit.groupby("strategy"):
        if not (rows["criterion_gap"] > GAPS[1]).any():
            continue
        lines = []
        for low, high in pairwise(GAPS):
            inside = rows[rows["criterion_gap"].between(low, high, inclusive="right")]
            native = inside["native_singular"].astype(bool)
            reference = inside["reference_singular"].astype(bool)
            warned = (inside["reference_status"] == "warning") & ~reference
            limits = f"above {low:g}" if high == np.inf else f"up to {high:g}"
            lines.append(
                f"{limits} | {len(inside):,} | {(native & reference).sum()}, "
                f"{(native & ~reference).sum()}, {(~native & reference).sum()} | "
                f"{warned.sum()} | {median_and_maximum(inside)}"
            )
        print_table(
            f"`{strategy}`: reference's criterion above native | datasets | singular: both, native "
            f"only, reference only | other warnings of the reference | {header}",
            lines,
        )


if __name__ == "__main__":
    main()
