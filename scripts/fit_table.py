"""Fit every strategy to a data file of your own, and print the coefficient tables.

python scripts/fit_table.py sleepstudy.csv --formula "Reaction ~ Days" --group Subject
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# one thread; read when numpy and R load their BLAS
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import pandas as pd

from rmsweep import cli, strategies, tables
from rmsweep.config import read_settings
from rmsweep.dataset import Array, Dataset, from_frame
from rmsweep.inference import stars
from rmsweep.replication import fit_strategy, rows

# a shard's columns, but for those that say which dataset it is and how long it took
DATASET = ("study", "n_groups", "n_obs", "sigma", "sim")
RESULT = [
    name for name in tables.SHARD.names if name not in (*DATASET, "audit", *tables.TIMING.names)
]
METRICS = {
    "coef_abs_err": "Absolute error of the coefficients",
    "se_sum": "Sum of standard errors",
    "t_sum": "Sum of absolute t statistics",
}


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print the tables."""
    parser = cli.parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("data", type=Path, help="CSV or Parquet file, one row per observation")
    parser.add_argument("--formula", required=True, help="response and fixed effects")
    parser.add_argument("--group", required=True, help="column of the groups (persons)")
    parser.add_argument(
        "--truth", type=Path, help="file with the columns term and truth, if the truth is known"
    )
    parser.add_argument(
        "--strategies", nargs="+", default=["lm", "lm2", "lmer", "lmer_mis"], metavar="NAME"
    )
    parser.add_argument("--optimizer", default="nloptwrap", help="lme4's optimizer")
    parser.add_argument("--verdict", default="strict", help="what counts as a failed fit")
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    options = parser.parse_args(argv)

    config = {"study": "table", "reml": not options.ml}
    config |= {key: getattr(options, key) for key in ("strategies", "optimizer", "verdict")}
    settings = read_settings(json.dumps(config))
    try:
        data = from_frame(read_table(options.data), options.formula, options.group)
    except ValueError as error:
        raise cli.UsageError(str(error)) from None
    truth = np.full((1, len(data.terms)), np.nan)
    if options.truth:
        truth[0] = read_truth(options.truth, data)

    results = []
    for name in settings.strategies:
        strategies.warm_up(name)
        outcome = fit_strategy(name, data, settings)
        others = {"strategy": name, "engine": settings.engine[name]}
        table = rows([outcome], data.terms, truth, settings.verdict, others)
        results += table.select(RESULT).to_pylist()
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n\n".join(as_text(result) for result in results))
    return 0


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise cli.UsageError(f"{path}: {' '.join(str(error).split())}") from None


def read_truth(path: Path, data: Dataset) -> Array:
    """Read the true coefficients, in the order of the dataset's terms.

    Raises
    ------
    UsageError
        If a column or a term is missing.
    """
    table = read_table(path)
    absent = {"term", "truth"} - set(table.columns)
    if absent:
        raise cli.UsageError(f"{path}: no column {', '.join(sorted(absent))}")
    values = dict(zip(table["term"], table["truth"], strict=True))
    absent = set(data.terms) - set(values)
    if absent:
        raise cli.UsageError(f"{path}: no truth for {', '.join(sorted(absent))}")
    return np.array([float(values[term]) for term in data.terms])


def as_text(result: dict[str, Any]) -> str:
    """One strategy's coefficient table, metrics and messages."""
    name = result["strategy"]
    heading = f"{name}: {strategies.label(name)}"
    if result["status"] == "failed":
        return f"{heading}\nfailed: {result['messages']}"
    table = pd.DataFrame(result["coefs"]).set_index("term")
    shown = pd.DataFrame(
        {
            "Estimate": table["estimate"],
            "2.5_ci": table["ci_low"],
            "97.5_ci": table["ci_high"],
            "SE": table["se"],
            "DF": table["df"],
            "T-stat": table["statistic"],
            "P-val": table["p_value"].map("{:.4g}".format),
            "Sig": table["p_value"].map(stars),
        }
    ).rename_axis(None)
    lines = [heading, shown.to_string()]
    lines += [
        f"{label}: {result[key]:.6g}" for key, label in METRICS.items() if result[key] is not None
    ]
    lines += [
        f"Note: {result[key]}"
        for key in ("grad_msg", "hess_msg", "df_msg", "messages")
        if result[key]
    ]
    if result["singular"]:
        lines.append("Note: the fit is singular")
    conventions = f"SE: {result['se_type']}; df: {result['df_type']}; CI: {result['ci_type']}"
    return "\n".join([*lines, conventions])


if __name__ == "__main__":
    raise SystemExit(main())
