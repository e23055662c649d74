"""Fit the cost model of `rmsweep.cost` to a study's own timings.

    python benchmarks/cost_model.py results/config/timings.parquet

Non-negative least squares on the median CPU seconds of each condition, weighted so that relative
errors count alike in all of them. Prints the coefficients to paste, and how far off they are.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.optimize import nnls


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("timings", help="a study's timings.parquet")
    timings = pd.read_parquet(parser.parse_args().timings)
    by_size = timings.groupby(["strategy", "n_groups", "n_obs"])["cpu_seconds"].mean().reset_index()
    for strategy, rows in by_size.groupby("strategy"):
        seconds = rows["cpu_seconds"].to_numpy()
        size = np.column_stack(
            [np.ones(len(rows)), rows["n_groups"], rows["n_groups"] * rows["n_obs"]]
        )
        coefficients, _ = nnls(size / seconds[:, None], np.ones(len(rows)))
        ratio = size @ coefficients / seconds
        fixed, per_group, per_row = (float(f"{value:.2g}") for value in coefficients)
        print(
            f'    "{strategy}": Cost({fixed:g}, {per_group:g}, {per_row:g}),'
            f"  # model / measured: {ratio.min():.2f} to {ratio.max():.2f}"
        )


if __name__ == "__main__":
    main()
