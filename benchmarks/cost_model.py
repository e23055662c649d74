"""Fit the cost model of `rmsweep.plan` to a study's own timings.

    python benchmarks/cost_model.py results/config/timings.parquet

Non-negative least squares on the mean CPU seconds of each design size, weighted so that relative
errors count the same in all of them. Prints the coefficients to paste into `COSTS`, by engine and
preset, and how far off they are. Fits that several strategies share are charged to the first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from rmsweep.config import read_study
from rmsweep.sweep import tables


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("timings", type=Path, help="a study's timings.parquet")
    path = parser.parse_args().timings
    timings = pd.read_parquet(path)
    by_size = timings.groupby(["strategy", "n_groups", "n_obs"])["cpu_seconds"].mean().reset_index()

    charged: dict[object, str] = {}
    by_engine: dict[str, list[str]] = {}
    for strategy in read_study(tables.metadata(path)["study"]).strategies:
        if charged.setdefault(strategy.fit_key, strategy.name) != strategy.name:
            continue
        rows = by_size[by_size["strategy"] == strategy.name]
        seconds = rows["cpu_seconds"].to_numpy()
        size = np.column_stack(
            [np.ones(len(rows)), rows["n_groups"], rows["n_groups"] * rows["n_obs"]]
        )
        coefficients, _ = nnls(size / seconds[:, None], np.ones(len(rows)))
        ratio = size @ coefficients / seconds
        fixed, per_group, per_row = (float(f"{value:.2g}") for value in coefficients)
        variant = "" if strategy.name == strategy.origin else f" of {strategy.name}"
        by_engine.setdefault(strategy.engine, []).append(
            f'        "{strategy.origin}": Cost({fixed:g}, {per_group:g}, {per_row:g}),'
            f"  # model / measured{variant}: {ratio.min():.2f} to {ratio.max():.2f}"
        )
    for engine, lines in by_engine.items():
        print(f'    "{engine}": {{', *lines, "    },", sep="\n")


if __name__ == "__main__":
    main()
