"""Distributions of values, summed up for box plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def box_statistics(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Tukey's box plot of each group of rows that has any value.

    Parameters
    ----------
    frame : pandas.DataFrame
        Has the keys and ``value``.
    keys : sequence of str
        Columns that say which rows belong together.

    Returns
    -------
    pandas.DataFrame
        One row per box, indexed by the keys: ``n``, ``q1``, ``med``, ``q3``, and the whiskers'
        ends ``whislo`` and ``whishi``, the last values within 1.5 interquartile ranges.
    """
    finite = frame[np.isfinite(frame["value"])]
    groups = finite.groupby(list(keys), observed=True)["value"]
    quartiles = {q: groups.quantile(q).to_numpy() for q in (0.25, 0.5, 0.75)}
    q1, q3 = quartiles[0.25], quartiles[0.75]
    reach = 1.5 * (q3 - q1)
    box = groups.ngroup().to_numpy()
    within = finite["value"].between((q1 - reach)[box], (q3 + reach)[box]).to_numpy()
    ends = finite["value"][within].groupby(box[within]).agg(["min", "max"])
    return pd.DataFrame({"n": groups.size(), "q1": q1, "med": quartiles[0.5], "q3": q3}).assign(
        whislo=ends["min"].to_numpy(), whishi=ends["max"].to_numpy()
    )
