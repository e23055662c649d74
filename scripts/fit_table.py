"""Fit every strategy to a data file of your own, and print the coefficient tables.

python scripts/fit_table.py sleepstudy.csv --formula "Reaction ~ Days" --group Subject
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import numpy as np
import pandas as pd

from rmsweep import strategies
from rmsweep.data.dataset import Array, Batch, Dataset, from_frame
from rmsweep.design import Strategy
from rmsweep.errors import UsageError
from rmsweep.measures.sums import TEXTS
from rmsweep.strategies.inference import infer, stars
from rmsweep.strategies.resolve import resolve
from rmsweep.sweep import tables
from rmsweep.sweep.merge import converged, converged_published
from rmsweep.sweep.replication import fit_datasets, rows

RESULT = ["strategy", *tables.FIT.names, "coefs"]
PRESETS = ["lm", "lm2", "lmer", "lmer_mis"]


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("data", type=Path, help="CSV or Parquet file, one row per observation")
    parser.add_argument("--formula", required=True, help="response and fixed effects")
    parser.add_argument("--group", required=True, help="column of the groups (persons)")
    parser.add_argument(
        "--truth", type=Path, help="file with the columns term and truth, if the truth is known"
    )
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=PRESETS,
        metavar="NAME",
        help="presets, or .py and .R files; default, the post's four",
    )
    parser.add_argument("--optimizer", default="nloptwrap", help="lme4's optimizer")
    parser.add_argument(
        "--verdict", default="strict", help="rule for a converged fit: strict or published"
    )
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    options = parser.parse_args(argv)

    shared = {"engine": "lme4", "verdict": options.verdict}
    shared |= {"optimizer": options.optimizer, "reml": not options.ml}
    chosen, _ = resolve(options.strategies, shared, Path())
    try:
        data = from_frame(read_table(options.data), options.formula, options.group)
    except (ValueError, SyntaxError) as error:
        raise UsageError(" ".join(str(error).split())) from None
    truth = np.full((1, len(data.terms)), np.nan)
    if options.truth:
        truth[0] = read_truth(options.truth, data)

    results = [fit(strategy, data, truth) for strategy in chosen]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n\n".join(map(as_text, chosen, results)))
    return 0


def fit(strategy: Strategy, data: Dataset, truth: Array) -> dict[str, Any]:
    """Fit one strategy; its row as in a study's tables."""
    strategies.warm_up(strategy.family)
    outcomes = fit_datasets([strategy], [([0], Batch([data]))], 1)[strategy.name]
    others = {"strategy": strategy.name, "engine": strategy.engine}
    table = rows(outcomes, data.terms, truth, others)
    success = (converged_published if strategy.verdict == "published" else converged)(table)
    row: dict[str, Any] = table.select(RESULT).to_pylist()[0]
    for coef in row["coefs"] if row["status"] != "failed" else ():
        known = (np.array([coef[name]], dtype=float) for name in ("estimate", "se", "df"))
        by_t = infer(*known, normal=False)
        coef |= {"t_ci_low": in_json(by_t.ci_low[0]), "t_ci_high": in_json(by_t.ci_high[0])}
        del coef["p_truth"]
    return row | {"fit_success": success[0].as_py()}


def in_json(number: float) -> float | None:
    """A number as JSON can have it."""
    return float(number) if np.isfinite(number) else None


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
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None


def read_truth(path: Path, data: Dataset) -> Array:
    """Read the true coefficients, in the order of the dataset's terms.

    Raises
    ------
    UsageError
        If a column or a term is missing, or a truth is no number.
    """
    table = read_table(path)
    absent = {"term", "truth"} - set(table.columns)
    if absent:
        raise UsageError(f"{path}: no column {', '.join(sorted(absent))}")
    values = dict(zip(table["term"], table["truth"], strict=True))
    absent = set(data.terms) - set(values)
    if absent:
        raise UsageError(f"{path}: no truth for {', '.join(sorted(absent))}")
    if len(values) < len(table):
        raise UsageError(f"{path}: a term is there twice; allowed: once")
    try:
        truth = np.array([float(values[term]) for term in data.terms])
    except ValueError as error:
        raise UsageError(f"{path}: truth: {error}") from None
    if not np.isfinite(truth).all():
        raise UsageError(f"{path}: truth: allowed: finite numbers")
    return truth


def as_text(strategy: Strategy, result: dict[str, Any]) -> str:
    """One strategy's coefficient table, metrics and messages."""
    heading = f"{strategy.name}: {strategy.label}"
    if result["status"] == "failed":
        return f"{heading}\nfailed: {result['messages']}"
    table = pd.DataFrame(result["coefs"]).set_index("term")
    by_z = result["ci_type"] == "z" and result["test_type"] == "t"
    shown = pd.DataFrame(
        {
            "Estimate": table["estimate"],
            "2.5_ci": table["ci_low"],
            "97.5_ci": table["ci_high"],
            # beside the reported z intervals: those that agree with the tests
            **({"2.5_t": table["t_ci_low"], "97.5_t": table["t_ci_high"]} if by_z else {}),
            "SE": table["se"],
            "DF": table["df"],
            "T-stat": table["statistic"],
            "P-val": table["p_value"].map("{:.4g}".format),
            "Sig": table["p_value"].map(stars),
        }
    ).rename_axis(None)
    lines = [heading, shown.to_string()]
    lines += [
        f"{metric.label}: {result[key]:.6g}"
        for key, metric in TEXTS.items()
        if result[key] is not None
    ]
    lines += [
        f"Note: {result[key]}"
        for key in ("unsaid", "grad_msg", "hess_msg", "df_msg", "messages")
        if result[key]
    ]
    if result["singular"]:
        lines.append("Note: the fit is singular")
    conventions = f"SE: {result['se_type']}; df: {result['df_type']}; CI: {result['ci_type']}"
    if result["test_type"] != "t":
        conventions += f"; tests and CI: {result['test_type']}"
    return "\n".join([*lines, conventions])


if __name__ == "__main__":
    raise SystemExit(main())
