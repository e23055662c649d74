"""What the rows of a shard can say: values that agree with each other and with the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmsweep.data.dataset import Array
from rmsweep.data.scenario import term_names
from rmsweep.design import Block, Strategy, Study
from rmsweep.strategies.inference import infer
from rmsweep.sweep import tables


class DamagedError(ValueError):
    """A shard that can't be what its place says, whatever the study, and why."""


def check(rows: pa.Table, block: Block, study: Study, strategies: Sequence[Strategy]) -> None:
    """Refuse rows that the sweep could not have written.

    Parameters
    ----------
    rows : pyarrow.Table
        Of a shard, dataset by dataset.
    block : Block
    study : Study
    strategies : sequence of Strategy
        Those that the rows of each dataset are of, in that order.

    Raises
    ------
    DamagedError
        At the first column that is not as it has to be.
    """

    def numbers(array: Any) -> Any:
        return array.to_numpy(zero_copy_only=False)

    def expect(good: Any, what: str) -> None:
        if not np.all(good):
            raise DamagedError(f"holds what no fit can say: see {what}")

    expected = term_names(block.condition)
    n_terms = len(expected)
    nested = rows["coefs"].combine_chunks()
    lengths = numbers(pc.fill_null(pc.list_value_length(nested), -1))
    expect(lengths == n_terms, "coefs")
    flat = pc.list_flatten(nested)
    names = pa.array([*expected] * len(rows))
    expect(flat.field("term").equals(names), "term")
    shape = len(rows), n_terms
    coefs = {
        name: numbers(flat.field(name)).reshape(shape) for name in tables.COEFFICIENT.names[1:]
    }
    said = [pc.fill_null(rows[name], "") for name in ("grad_msg", "hess_msg", "df_msg", "messages")]
    complaints = [
        *(pc.not_equal(text, "") for text in said),
        pc.fill_null(rows["singular"], False),
        pc.not_equal(pc.fill_null(rows["opt_code"], 0), 0),
    ]
    clean = ~np.logical_or.reduce([numbers(flags) for flags in complaints])
    ok, warning, failed = (
        numbers(pc.equal(rows["status"], status)) for status in ("ok", "warning", "failed")
    )
    # a failed fit gives its reason, too
    expect(np.where(clean, ok, warning | failed), "status")
    engines = [strategy.engine for strategy in strategies] * len(block.sims)
    expect(rows["engine"].to_pylist() == engines, "engine")

    expect(np.isfinite(coefs["truth"]), "truth")
    fitted = ~failed
    for name in ("se_type", "df_type", "ci_type", "test_type"):
        expect(numbers(pc.is_valid(rows[name])) == fitted, name)
    partly = numbers(pc.is_valid(rows["unsaid"]))
    expect(fitted | ~partly, "unsaid")
    said = np.isfinite(coefs["estimate"])
    expect(said.all(axis=1) == (fitted & ~partly), "estimate")
    expect(said.any(axis=1) == fitted, "estimate")
    expect(np.isfinite(coefs["se"]) == said, "se")
    expect((coefs["se"] >= 0) | ~said, "se")
    with np.errstate(all="ignore"):
        statistic = coefs["estimate"] / coefs["se"]
        errors = coefs["estimate"] - coefs["truth"]
    expect(agree(coefs["statistic"], statistic), "statistic")
    for metric, parts in zip(tables.METRICS, (errors, coefs["se"], statistic), strict=True):
        expect(agree(numbers(rows[metric]), np.abs(parts).sum(axis=1)), metric)
    expect(~(coefs["df"] <= 0), "df")
    types = rows["ci_type"].to_pylist()
    expect([text in ("t", "z", None) for text in types], "ci_type")
    normal = np.array([text == "z" for text in types])
    inferred = infer(coefs["estimate"], coefs["se"], coefs["df"], normal[:, None], coefs["truth"])
    by_t = numbers(pc.equal(pc.fill_null(rows["test_type"], "t"), "t"))
    for name in ("p_value", "ci_low", "ci_high", "p_truth"):
        # the distributions' functions differ a little between versions of scipy
        expect(agree(coefs[name][by_t], getattr(inferred, name)[by_t], rtol=1e-6), name)
    for name in ("p_value", "p_truth"):
        expect(~((coefs[name] < 0) | (coefs[name] > 1)), name)
    expect(~(coefs["ci_low"] > coefs["ci_high"]), "ci_low")
    for name in ("seconds", "cpu_seconds"):
        expect((numbers(rows[name]) >= 0) & np.isfinite(numbers(rows[name])), name)
    native = [strategy.engine == "native" for strategy in strategies]
    drawn = [bool(study.audit) and study.is_audited(block.condition, sim) for sim in block.sims]
    expect(numbers(pc.is_valid(rows["audit"])) == np.outer(drawn, native).ravel(), "audit")


def agree(one: Array, two: Array, rtol: float = 1e-9) -> bool:
    """Whether numbers are the same but for rounding, which differs between machines."""
    return bool(np.allclose(one, two, rtol=rtol, atol=1e-300, equal_nan=True))
