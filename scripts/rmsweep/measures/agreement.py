"""Whether the native engine and the reference programs agree, from an audited study."""

from __future__ import annotations

import pandas as pd

# what two evaluations of one criterion may differ by, far below anything that shows in a table
CRITERION_TOLERANCE = 1e-6


def condition_keys(table: pd.DataFrame) -> list[str]:
    """The columns of a table that say which condition and strategy a row is of."""
    names = list(table.columns)
    return [name for name in names[: names.index("strategy") + 1] if name not in ("study", "sim")]


def summarise(audit: pd.DataFrame) -> pd.DataFrame:
    """Compare the engines, condition by condition.

    Parameters
    ----------
    audit : pandas.DataFrame
        The rows of ``audit.parquet``: one per audited dataset and strategy.

    Returns
    -------
    pandas.DataFrame
        One row per condition and strategy: how many datasets were audited; on how many the
        native optimum is below the reference's, on how many above, by more than
        `CRITERION_TOLERANCE`; the largest gap; medians and maxima of the differences, over the
        datasets where the reference had nothing to complain of (`_clean`) and over all; and how
        often each engine failed, complained and called the fit singular.
    """
    keys = condition_keys(audit)
    gap = audit["criterion_gap"]
    flags = audit.assign(
        native_lower=gap > CRITERION_TOLERANCE,
        reference_lower=gap < -CRITERION_TOLERANCE,
        same_status=audit["native_status"] == audit["reference_status"],
    )
    for engine in ("native", "reference"):
        for status in ("warning", "failed"):
            flags[f"{engine}_{status}"] = audit[f"{engine}_status"] == status
    counts = [
        *("native_lower", "reference_lower", "same_status"),
        *("native_warning", "reference_warning", "native_failed", "reference_failed"),
        *("native_singular", "reference_singular"),
    ]
    by_condition = flags.groupby(keys, sort=True)
    clean = flags[flags["reference_status"] == "ok"].groupby(keys, sort=True)
    parts = [by_condition.size().rename("audited"), by_condition["criterion_gap"].max()]
    parts += [by_condition[name].sum().astype(int) for name in counts]
    for name in ("estimate_diff", "se_diff", "df_diff"):
        parts += [
            clean[name].median().rename(f"{name}_clean_median"),
            clean[name].max().rename(f"{name}_clean_max"),
            by_condition[name].max().rename(f"{name}_max"),
        ]
    return pd.concat(parts, axis=1).reset_index()


def faults(audit: pd.DataFrame) -> list[str]:
    """The datasets on which the native engine was the worse one, in words."""
    found = []
    keys = condition_keys(audit)[:-1]
    for row in audit.itertuples():
        values = [f"{key}={getattr(row, key)}" for key in [*keys, "sim"]]
        where = f"{' '.join(values)} {row.strategy}"
        if row.criterion_gap < -CRITERION_TOLERANCE:
            found.append(
                f"{where}: native criterion {-row.criterion_gap:.3g} above the reference's"
            )
        elif row.native_status == "failed" and row.reference_status != "failed":
            found.append(f"{where}: failed natively, not by the reference")
    return found
