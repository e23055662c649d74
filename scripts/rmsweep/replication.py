"""From cells to rows: simulate each dataset, fit every strategy, measure."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from rmsweep import strategies, tables
from rmsweep.dataset import Array, Dataset
from rmsweep.design import Block, Settings, Verdict
from rmsweep.dgp import simulate
from rmsweep.inference import CIType, infer
from rmsweep.strategies import Fit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one strategy and one dataset.

    Attributes
    ----------
    fit : Fit or None
        The fit; None if it failed.
    error : str
        Why it failed; empty if it did not.
    seconds, cpu_seconds : float
        Wall and CPU time that it took.
    """

    fit: Fit | None
    error: str
    seconds: float
    cpu_seconds: float


def run_block(settings: Settings, block: Block, worker: str = "cold") -> pa.Table:
    """Simulate and fit every replication of a block.

    Parameters
    ----------
    settings : Settings
        The study's settings.
    block : Block
        Condition and replications.
    worker : {"warm", "cold"}
        How the process came to be, for the timings.

    Returns
    -------
    pyarrow.Table
        A shard (`tables.SHARD`): one row per dataset and strategy.
    """
    for name in settings.strategies:
        strategies.warm_up(name)
    truth = np.empty((len(block.sims), len(settings.terms)))
    outcomes: dict[str, list[Outcome]] = {name: [] for name in settings.strategies}
    for row, sim in enumerate(block.sims):
        simulated = simulate(settings, block.condition, sim)
        truth[row] = simulated.betas
        for name in settings.strategies:
            outcomes[name].append(fit_strategy(name, simulated.data, settings))

    keys = {
        "study": settings.study,
        "n_groups": block.condition.n_groups,
        "n_obs": block.condition.n_obs,
        "sigma": block.condition.sigma,
    }
    origin = {"host": socket.gethostname(), "worker": worker}
    shard = pa.concat_tables(
        rows(
            outcomes[name],
            settings.terms,
            truth,
            settings.verdict,
            keys | origin | {"sim": list(block.sims)} | {"strategy": name},
        )
        for name in settings.strategies
    )
    # from strategy by strategy to dataset by dataset
    order = np.arange(len(shard)).reshape(len(settings.strategies), -1).T.ravel()
    return shard.take(pa.array(order)).combine_chunks().cast(tables.SHARD)


def fit_strategy(name: str, data: Dataset, settings: Settings) -> Outcome:
    """Fit one strategy to one dataset; a fit that fails is an outcome, too.

    What Python warns of during the fit joins the fit's messages. Errors that are no
    `ValueError` or `ArithmeticError` are no matter of the data, and are let through.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    fit, error = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = strategies.load(name).fit(data, settings)
        except (ValueError, ArithmeticError) as exception:
            error = str(exception) or type(exception).__name__
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    if fit is not None and not np.isfinite([fit.estimate, fit.se]).all():
        fit, error = None, "fit: an estimate or a standard error is not a finite number"
    said = [str(warning.message) for warning in caught]
    if fit is None:
        error = "; ".join([error, *said])
    elif said:
        heard = [fit.convergence.messages] if fit.convergence.messages else []
        messages = "; ".join([*heard, *said])
        fit = replace(fit, convergence=replace(fit.convergence, messages=messages))
    return Outcome(fit, error, seconds, cpu_seconds)


def rows(
    outcomes: Sequence[Outcome],
    terms: Sequence[str],
    truth: Array,
    verdict: Verdict,
    others: dict[str, object],
) -> pa.Table:
    """The rows of a shard for one strategy's outcomes.

    Parameters
    ----------
    outcomes : sequence of R Outcome
        One per dataset.
    terms : sequence of p str
        The coefficients' names.
    truth : (R, p) array
        The true coefficients; NaN where they are not known.
    verdict : {"strict", "published"}
        Decides ``fit_success``.
    others : dict
        The columns that don't come from the fit, as one value or a list of R.

    Returns
    -------
    pyarrow.Table
        Columns and types of `tables.SHARD`; numbers that don't exist are null.
    """
    size = len(outcomes)
    fits = [outcome.fit for outcome in outcomes]
    missing = np.full(len(terms), np.nan)

    def stacked(part: str) -> Array:
        return np.array([missing if fit is None else getattr(fit, part) for fit in fits])

    def each(part: str) -> list[object]:
        return [fit and getattr(fit, part) for fit in fits]

    def convergence(part: str) -> list[object]:
        return [fit and getattr(fit.convergence, part) for fit in fits]

    # the interval's distribution is the strategy's, not the dataset's
    ci_type: CIType = next((fit.ci_type for fit in fits if fit), "t")
    inferred = infer(stacked("estimate"), stacked("se"), stacked("df"), ci_type)
    columns: dict[str, Any] = {
        key: value if isinstance(value, list) else [value] * size for key, value in others.items()
    }
    columns |= {
        "coef_abs_err": np.abs(inferred.estimate - truth).sum(axis=1),
        "se_sum": inferred.se.sum(axis=1),
        "t_sum": np.abs(inferred.statistic).sum(axis=1),
        "fit_success": [bool(fit and fit.convergence.success(verdict)) for fit in fits],
        "status": [status(fit) for fit in fits],
        "messages": [
            fit.convergence.messages if fit else outcome.error
            for fit, outcome in zip(fits, outcomes, strict=True)
        ],
        "criterion": np.array([fit.criterion if fit else np.nan for fit in fits]),
        "engine": [strategies.engine(str(others["strategy"]))] * size,
        "coefs": coefficients(terms, (truth, *inferred.columns())),
        "seconds": [outcome.seconds for outcome in outcomes],
        "cpu_seconds": [outcome.cpu_seconds for outcome in outcomes],
    }
    columns |= {part: each(part) for part in ("se_type", "df_type", "ci_type")}
    columns |= {
        part: convergence(part)
        for part in ("singular", "optimizer", "opt_code", "grad_msg", "hess_msg", "df_msg")
    }
    return pa.table(
        [
            pa.array(columns.get(field.name, [None] * size), field.type, from_pandas=True)
            for field in tables.SHARD.remove_metadata()
        ],
        names=tables.SHARD.names,
    )


def status(fit: Fit | None) -> str:
    """``failed`` without estimates, ``warning`` with a complaint of any kind, else ``ok``."""
    if fit is None:
        return "failed"
    return "ok" if fit.convergence.success("strict") else "warning"


def coefficients(terms: Sequence[str], columns: Sequence[Array]) -> pa.Array:
    """The nested coefficient rows: R lists of p structs, from columns of shape (R, p)."""
    n_datasets, n_terms = columns[0].shape
    values = [
        pa.array(list(terms) * n_datasets, pa.string()),
        *(pa.array(column.ravel(), pa.float64(), from_pandas=True) for column in columns),
    ]
    offsets = np.arange(0, (n_datasets + 1) * n_terms, n_terms, dtype=np.int32)
    structs = pa.StructArray.from_arrays(values, fields=list(tables.COEFFICIENT))
    return pa.ListArray.from_arrays(pa.array(offsets), structs)
