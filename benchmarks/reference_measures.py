"""Performance measures of rsimsum's and simhelpers' example data, beside what those programs say.

    python benchmarks/reference_measures.py MIsim.csv t_res.csv

The data come with the R packages: ``write.csv(rsimsum::MIsim, "MIsim.csv")`` and
``write.csv(simhelpers::t_res, "t_res.csv")``. For standard errors of `empirical_se`, `model_se`,
their ratio, `rmse` and `precision_gain` rsimsum has formulas for normal errors, this project
jackknife ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from rmsweep.measures.performance import COMPARISONS, MEASURES, Fits
from rmsweep.measures.rates import Z95

# value and standard error by rsimsum 0.13.1, the reference of comparisons being CC
RSIMSUM = {
    ("CC", "bias"): (0.0167661608, 0.0047786757),
    ("CC", "empirical_se"): (0.1511149941, 0.0033807248),
    ("CC", "mse"): (0.0230940099, 0.0011338389),
    ("CC", "model_se"): (0.1470962659, 0.0005274099),
    ("CC", "relative_error_of_model_se"): (-2.6593842, 2.2054817),
    ("CC", "coverage"): (0.943, 0.0073315073),
    ("CC", "bias_eliminated_coverage"): (0.940, 0.0075099933),
    ("CC", "rejection"): (0.946, 0.0071473072),
    ("MI_T", "bias"): (-0.0011908351, 0.0042509767),
    ("MI_T", "mse"): (0.0180541503, 0.0009112249),
    ("MI_T", "precision_gain"): (26.3681613, 3.8423791),
    ("MI_T", "rejection"): (0.963, 0.0059691708),
    ("MI_LOGT", "bias"): (0.0009230987, 0.0041744101),
    ("MI_LOGT", "precision_gain"): (31.0463410, 3.9374726),
    ("MI_LOGT", "coverage"): (0.949, 0.0069569390),
}
# by simhelpers 0.3.1.9999, but for rmse: its standard error is too large there, this one is a
# jackknife about its own mean
SIMHELPERS = {
    "bias": (0.002331351306, 0.006378531167),
    "empirical_se": (0.2017068662, 0.004565061448),
    "mse": (0.04065040939, 0.00183155333),
    "rmse": (0.2016194668, 0.004551546),
    "coverage": (0.951, 0.006826346),
    "interval_width": (0.7914276897, 0.001793592892),
    "rejection": (0.702, 0.0144636095),
}


def normal_fits(rows: pd.DataFrame) -> Fits:
    """Fits with z tests and intervals, of a truth of 0.5."""
    estimate, se = rows["b"].to_numpy(), rows["se"].to_numpy()
    df, statistic = np.full(len(rows), np.inf), estimate / se
    p_value = 2 * stats.norm.sf(np.abs(statistic))
    low, high = estimate - Z95 * se, estimate + Z95 * se
    return Fits(np.full(len(rows), 0.5), estimate, se, df, statistic, p_value, low, high, p_value)


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("MIsim")
    parser.add_argument("t_res")
    options = parser.parse_args()

    of_method = {
        method: normal_fits(rows.sort_values("dataset"))
        for method, rows in pd.read_csv(options.MIsim).groupby("method")
    }
    print("| data | measure | value: here, there | standard error: here, there |")
    print("|---|---|---|---|")
    for (method, name), there in RSIMSUM.items():
        fits = of_method[method]
        if name in COMPARISONS:
            here = COMPARISONS[name].of(fits, of_method["CC"])
        else:
            here = MEASURES[name].of(fits)
        show(f"MIsim {method}", name, here, there)
    rows = pd.read_csv(options.t_res)
    unknown = np.full(len(rows), np.nan)
    columns = ("p_val", "lower_bound", "upper_bound")
    known = (rows[column].to_numpy() for column in columns)
    fits = Fits(
        rows["true_param"].to_numpy(), rows["est"].to_numpy(), *[unknown] * 3, *known, unknown
    )
    for name, there in SIMHELPERS.items():
        show("t_res", name, MEASURES[name].of(fits), there)


def show(data: str, name: str, here: tuple[float, ...], there: tuple[float, float]) -> None:
    """Print a line."""
    value, error = (f"{one:.7g}, {other:.7g}" for one, other in zip(here, there, strict=False))
    print(f"| {data} | `{name}` | {value} | {error} |")


if __name__ == "__main__":
    main()
