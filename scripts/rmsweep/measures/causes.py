"""Why fits have a warning, one reason each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

CAUSES = {
    "none": "no warning",
    "singular": "singular fit",
    "df": "Hessian, by lmerTest",
    "gradient": "gradient",
    "hessian": "Hessian",
    "other": "another message",
    "optimizer": "the optimizer gave up",
    "failed": "no estimates",
}
"""From none to the gravest; a fit with several has the gravest."""
COLUMNS = ("status", "singular", "opt_code", "grad_msg", "hess_msg", "df_msg", "messages")
"""The columns of ``fits`` that say so."""


def causes(fits: pa.Table | pa.RecordBatch) -> pa.Array:
    """The gravest cause of each row of ``fits``, as a dictionary array in the order of `CAUSES`."""
    said = {
        "singular": pc.fill_null(fits["singular"], False),
        "optimizer": pc.fill_null(pc.not_equal(fits["opt_code"], 0), False),
        "failed": pc.equal(fits["status"], "failed"),
    }
    messages = {"df": "df_msg", "gradient": "grad_msg", "hessian": "hess_msg", "other": "messages"}
    for name, column in messages.items():
        said[name] = pc.not_equal(pc.fill_null(fits[column], ""), "")
    gravest_first = [name for name in reversed(CAUSES) if name != "none"]
    flags = pc.make_struct(*(said[name] for name in gravest_first), field_names=gravest_first)
    return pc.case_when(flags, *gravest_first, "none")


def counts(fits: Iterable[pa.RecordBatch], keys: Sequence[str]) -> pd.DataFrame:
    """How many fits have which cause, in bounded memory.

    Parameters
    ----------
    fits : iterable of pyarrow.RecordBatch
        Of the table ``fits``, with the keys and `COLUMNS`.
    keys : sequence of str
        Columns that say which rows belong together.

    Returns
    -------
    pandas.DataFrame
        One row per combination of the keys: these, ``n``, one column for each of `CAUSES`, and
        ``says``, whether any of the fits can be singular or has a warning.
    """
    parts = []
    for batch in fits:
        table = pa.table({name: batch[name] for name in keys})
        table = table.append_column("cause", causes(batch))
        table = table.append_column("can", pc.is_valid(batch["singular"]))
        grouped = table.group_by([*keys, "cause"]).aggregate([("can", "count"), ("can", "any")])
        parts.append(grouped.to_pandas())
    every = pd.concat(parts).groupby([*keys, "cause"], observed=True, sort=False)
    summed = every.agg(n=("can_count", "sum"), can=("can_any", "any")).reset_index()
    by_keys = summed.groupby(list(keys), sort=False, observed=True)
    wide = summed.set_index([*keys, "cause"])["n"].unstack("cause")  # noqa: PD010
    wide = wide.reindex(columns=list(CAUSES)).fillna(0).astype(int)
    wide = wide.assign(n=wide.sum(axis=1), says=by_keys["can"].any())
    wide["says"] |= wide["none"] < wide["n"]
    return wide.reset_index()
