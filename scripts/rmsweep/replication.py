"""From cells to rows: simulate each dataset, fit every strategy, measure."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmsweep import strategies, tables
from rmsweep.dataset import Array, Dataset
from rmsweep.design import Block, Settings
from rmsweep.dgp import simulate
from rmsweep.inference import Inference, infer
from rmsweep.strategies import Fit


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
    condition = block.condition
    for name in settings.strategies:
        strategies.warm_up(name)
    rows = []
    for sim in block.sims:
        simulated = simulate(settings, condition, sim)
        for name in settings.strategies:
            keys = {
                "study": settings.study,
                "n_groups": condition.n_groups,
                "n_obs": condition.n_obs,
                "sigma": condition.sigma,
                "sim": sim,
                "strategy": name,
            }
            wall, cpu = time.perf_counter(), time.process_time()
            fit, error = fit_strategy(name, simulated.data, settings)
            timing = {
                "seconds": time.perf_counter() - wall,
                "cpu_seconds": time.process_time() - cpu,
                "host": socket.gethostname(),
                "worker": worker,
            }
            row = fit_row(fit, error, settings, simulated.data.terms, simulated.betas)
            rows.append(keys | row | timing)
    return pa.Table.from_pylist(rows, schema=tables.SHARD)


def fit_strategy(name: str, data: Dataset, settings: Settings) -> tuple[Fit | None, str]:
    """Fit one strategy; a fit that fails gives None and the reason.

    What Python warns of during the fit joins the fit's messages. Errors that are no
    `ValueError` or `ArithmeticError` are no matter of the data, and are let through.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit, error = strategies.load(name).fit(data, settings), ""
        except (ValueError, ArithmeticError) as exception:
            fit, error = None, str(exception) or type(exception).__name__
    said = [str(warning.message) for warning in caught]
    if fit is None:
        return None, "; ".join([error, *said])
    if not (np.isfinite(fit.estimate).all() and np.isfinite(fit.se).all()):
        return None, "; ".join(["fit: an estimate or standard error is not a number", *said])
    return (with_messages(fit, said) if said else fit), ""


def with_messages(fit: Fit, said: Sequence[str]) -> Fit:
    """The same fit with more messages."""
    from dataclasses import replace

    heard = [fit.convergence.messages] if fit.convergence.messages else []
    return replace(fit, convergence=replace(fit.convergence, messages="; ".join([*heard, *said])))


def fit_row(
    fit: Fit | None, error: str, settings: Settings, terms: Sequence[str], truth: Array | None
) -> dict[str, Any]:
    """One row of a shard, keys and timing left out.

    Parameters
    ----------
    fit : Fit or None
        The fit; None if it failed.
    error : str
        Why it failed.
    settings : Settings
        Its ``verdict`` decides ``fit_success``.
    terms : sequence of p str
        The coefficients' names.
    truth : (p,) array or None
        The true coefficients, where they are known.

    Returns
    -------
    dict
        Column name to value.
    """
    true = np.full(len(terms), np.nan) if truth is None else truth
    if fit is None:
        missing = np.full(len(terms), np.nan)
        return {
            "fit_success": False,
            "status": "failed",
            "messages": error,
            "coefs": coefficients(terms, true, Inference(*(missing,) * 7)),
        }
    inferred = infer(fit.estimate, fit.se, fit.df, fit.ci_type)
    convergence = fit.convergence
    clean = convergence.success("strict")
    return {
        "coef_abs_err": None if truth is None else float(np.abs(fit.estimate - truth).sum()),
        "se_sum": float(fit.se.sum()),
        "t_sum": float(np.abs(inferred.statistic).sum()),
        "fit_success": convergence.success(settings.verdict),
        "status": "ok" if clean else "warning",
        "singular": convergence.singular,
        "optimizer": convergence.optimizer,
        "opt_code": convergence.opt_code,
        "grad_msg": convergence.grad_msg,
        "hess_msg": convergence.hess_msg,
        "df_msg": convergence.df_msg,
        "messages": convergence.messages,
        "criterion": None if np.isnan(fit.criterion) else fit.criterion,
        "engine": fit.engine,
        "se_type": fit.se_type,
        "df_type": fit.df_type,
        "ci_type": fit.ci_type,
        "coefs": coefficients(terms, true, inferred),
    }


def coefficients(terms: Sequence[str], truth: Array, inferred: Inference) -> list[dict[str, Any]]:
    """The rows of the coefficient table, NaN as missing."""
    columns = (truth, *inferred.columns())
    names = tables.COEFFICIENT.names[1:]
    return [
        {"term": term}
        | {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(names, values, strict=True)
        }
        for term, *values in zip(terms, *columns, strict=True)
    ]
