"""From cells to rows: simulate each dataset, fit every strategy, measure."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from rmsweep import strategies, tables
from rmsweep.dataset import Array, Batch, Dataset
from rmsweep.design import Block, Condition, Settings, Verdict
from rmsweep.dgp import simulate
from rmsweep.inference import CIType, infer
from rmsweep.strategies import Fit

# rows of data that are simulated and fitted together: some 50 MB of them and of what is derived
ROWS_AT_ONCE = 200_000


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
    warm_up(settings)
    origin = {"host": socket.gethostname(), "worker": worker}
    size = max(1, ROWS_AT_ONCE // (block.condition.n_groups * block.condition.n_obs))
    parts = [
        run_batch(settings, block.condition, block.sims[first : first + size], origin)
        for first in range(0, len(block.sims), size)
    ]
    return pa.concat_tables(parts).combine_chunks().cast(tables.SHARD)


def warm_up(settings: Settings) -> None:
    """Load all that the study's fits need."""
    for name, engine in settings.engine.items():
        if engine == "native":
            from rmsweep import lmm  # noqa: F401
        if engine != "native" or settings.audit:
            strategies.warm_up(name)


def run_batch(
    settings: Settings, condition: Condition, sims: range, origin: Mapping[str, str]
) -> pa.Table:
    """Simulate and fit some replications together, as many as memory likes."""
    simulated = [simulate(settings, condition, sim) for sim in sims]
    truth = np.array([one.betas for one in simulated])
    batch = Batch([one.data for one in simulated])
    keys: dict[str, object] = {
        "study": settings.study,
        "n_groups": condition.n_groups,
        "n_obs": condition.n_obs,
        "sigma": condition.sigma,
        "sim": list(sims),
    }
    parts = []
    for name, engine in settings.engine.items():
        audits = None
        if engine == "native":
            outcomes = fit_natively(name, batch, settings)
            if settings.audit:
                audits = [
                    compare(outcome, fit_strategy(name, data, settings))
                    if settings.is_audited(condition, sim)
                    else None
                    for sim, data, outcome in zip(sims, batch.datasets, outcomes, strict=True)
                ]
        else:
            outcomes = [fit_strategy(name, data, settings) for data in batch.datasets]
        others = keys | dict(origin) | {"strategy": name, "engine": engine, "audit": audits}
        parts.append(rows(outcomes, settings.terms, truth, settings.verdict, others))
    # from strategy by strategy to dataset by dataset
    order = np.arange(len(parts) * len(sims)).reshape(len(parts), -1).T.ravel()
    return pa.concat_tables(parts).take(pa.array(order))


def fit_strategy(name: str, data: Dataset, settings: Settings) -> Outcome:
    """Fit one strategy to one dataset; a fit that fails is an outcome, too.

    What Python warns of during the fit joins the fit's messages. Errors that are no
    `ValueError` or `ArithmeticError` are no matter of the data, and are let through.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    fit: Fit | ValueError | ArithmeticError
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = strategies.load(name).fit(data, settings)
        except (ValueError, ArithmeticError) as error:
            fit = error
    timing = time.perf_counter() - wall, time.process_time() - cpu
    said = [str(warning.message) for warning in caught]
    if said and isinstance(fit, Fit):
        heard = [fit.convergence.messages] if fit.convergence.messages else []
        messages = "; ".join([*heard, *said])
        fit = replace(fit, convergence=replace(fit.convergence, messages=messages))
    return outcome(fit, *timing)


def fit_natively(name: str, batch: Batch, settings: Settings) -> list[Outcome]:
    """Fit one strategy to many datasets by the native engine; each bears its share of the time."""
    wall, cpu = time.perf_counter(), time.process_time()
    size = len(batch.datasets)
    fits: Sequence[Fit | ValueError]
    try:
        fits = strategies.load(name).fit_natively(batch, settings)
    except ValueError as error:  # the design itself can't be fitted
        fits = [error] * size
    timing = (time.perf_counter() - wall) / size, (time.process_time() - cpu) / size
    return [outcome(fit, *timing) for fit in fits]


def outcome(fit: Fit | Exception, seconds: float, cpu_seconds: float) -> Outcome:
    """Make an outcome of a fit or of the error that it ended with."""
    if isinstance(fit, Exception):
        return Outcome(None, str(fit) or type(fit).__name__, seconds, cpu_seconds)
    if not (np.isfinite(fit.estimate).all() and np.isfinite(fit.se).all()):
        error = "fit: an estimate or a standard error is not a finite number"
        return Outcome(None, error, seconds, cpu_seconds)
    return Outcome(fit, "", seconds, cpu_seconds)


def compare(native: Outcome, reference: Outcome) -> dict[str, object]:
    """Compare the two engines' answers for one dataset: a value of `tables.AUDIT`."""
    ours, theirs = native.fit, reference.fit
    compared: dict[str, object] = {
        "reference_messages": reference.error or (theirs and theirs.convergence.messages),
    }
    for label, fit in (("native", ours), ("reference", theirs)):
        compared[f"{label}_status"] = status(fit)
        compared[f"{label}_singular"] = fit and fit.convergence.singular
    if ours and theirs:
        if not np.isnan(ours.criterion):
            compared["criterion_gap"] = theirs.criterion - ours.criterion
        compared["estimate_diff"] = float(
            np.abs((ours.estimate - theirs.estimate) / theirs.se).max()
        )
        compared["se_diff"] = float(np.abs(ours.se / theirs.se - 1).max())
        compared["df_diff"] = float(np.abs(ours.df / theirs.df - 1).max())
    return compared


def rows(
    outcomes: Sequence[Outcome],
    terms: Sequence[str],
    truth: Array,
    verdict: Verdict,
    others: Mapping[str, object],
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
        "criterion_gap": np.array([fit.criterion_gap if fit else np.nan for fit in fits]),
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
