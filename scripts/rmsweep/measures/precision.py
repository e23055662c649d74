"""The rule by which replications are added until a measure is precise enough.

A condition ends at the first look at which the Monte Carlo standard error of the measure is small
enough for all named strategies and all coefficients, so that all strategies keep the same datasets.
Where the standard error itself is estimated, that prefers samples that happen to show a small one:
after 50 datasets, a rate of 5% is estimated as 0 in 8% of the studies, and so is its standard
error. Hence three precautions: no look before 200 datasets, few looks, and rates enter the rule,
and only the rule, shrunken towards one half (Agresti & Coull 1998, American Statistician 52:119).
``benchmarks/stopping.py`` shows what each is worth.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmsweep import plan, strategies
from rmsweep.data.dataset import Array
from rmsweep.data.scenario import fixed_truth, term_names
from rmsweep.design import Condition, Precision, Study
from rmsweep.errors import ConfigError
from rmsweep.measures.performance import MEASURES, Fits, Flags, Measure
from rmsweep.measures.table import n_terms
from rmsweep.sweep import looks, tables
from rmsweep.sweep.merge import MergeError, describe, readable
from rmsweep.sweep.shard import Shards


class Found(NamedTuple):
    """A measure of one strategy and coefficient in a condition.

    Attributes
    ----------
    strategy, term : str
    mcse : float
        Its Monte Carlo standard error, as in ``performance``.
    mcse_in_rule : float
        The same by the rule; infinite where there is none.
    """

    strategy: str
    term: str
    mcse: float
    mcse_in_rule: float


def of(study: Study) -> Precision:
    """The precision that a study asks for.

    Raises
    ------
    ConfigError
        If it asks for none.
    """
    if study.precision is None:
        raise ConfigError("precision: missing; allowed: a study that has this key")
    return study.precision


def check(study: Study) -> None:
    """Refuse a precision that some condition could not reach however long the study ran.

    That is decided from the design and the layout of the data, never from a sample.

    Raises
    ------
    ConfigError
        That names the first such condition, what stands in the way, and what is allowed.
    """
    if study.precision is None:
        return
    name, measure = study.precision.measure, MEASURES[study.precision.measure]
    for condition in study.conditions:
        if not any(has_truth(measure, condition, k) for k in range(n_terms(condition))):
            needed = "fixed by beta, and not at zero" if measure.needs == "fixed" else "not zero"
            raise ConfigError(
                f"precision: measure: {name} is not allowed; at {condition} no true coefficient is "
                f"{needed}; allowed: another measure"
            )
    for strategy in named(study).strategies:
        for condition in study.conditions:
            if reason := strategies.refuses_layout(condition, strategy):
                raise ConfigError(
                    f"precision: strategies: {strategy.name} can't fit {condition} ({reason}); "
                    "allowed: strategies that can fit every condition"
                )
        tails = {one: strategies.tail_df(strategy, one) for one in study.conditions}
        short = [one for one, df in tails.items() if df <= measure.mcse_moments]
        if short:
            df = min(tails.values())
            others = ", ".join(key for key, one in MEASURES.items() if df > one.mcse_moments)
            more = f" and {len(short) - 1} more conditions" if len(short) > 1 else ""
            raise ConfigError(
                f"precision: measure: {name} of {strategy.name} has no Monte Carlo standard error "
                f"at {short[0]}{more}: estimates have the tails of t with {tails[short[0]]:g} "
                f"degrees of freedom; allowed: strategies without it, or {others}"
            )


def planned_size(precision: Precision) -> int | None:
    """Replications that reach the precision of a rate, r(1 - r)/mcse²; None of other measures.

    The rate is the nominal one of coverage and of tests' size, and one half, the worst case, of
    power.
    """
    rate = MEASURES[precision.measure].rate
    if rate is None:
        return None
    # what is a whole number but for rounding is one
    return math.ceil(rate * (1.0 - rate) / precision.mcse**2 - 1e-9)


def has_truth(measure: Measure, condition: Condition, term: int) -> bool:
    """Whether a coefficient has the true value that a measure needs."""
    truth = fixed_truth(condition, term)
    return not measure.needs or (truth != 0 and (measure.needs == "effect" or truth is not None))


def named(study: Study) -> Study:
    """The study with those strategies alone that have to be precise."""
    chosen = [one for one in study.strategies if one.name in of(study).strategies]
    return replace(study, strategies=tuple(chosen))


def added_variance(share: Array, n: Array) -> Array:
    """By how much the rule takes the variance of shares of n to be larger than it seems.

    A share of x among n counts as (x + 2)/(n + 4), which is never 0 or 1.
    """
    shrunken = (share * n + 2.0) / (n + 4.0)
    added: Array = (shrunken * (1.0 - shrunken) - share * (1.0 - share)) / n
    return added


def in_rule(measure: Measure, fits: Fits) -> tuple[float, float]:
    """A measure's Monte Carlo standard error, as it is and in the rule."""
    with np.errstate(all="ignore"):
        result = measure.of(fits)
    if np.isnan(result.mcse):
        return result.mcse, np.inf
    added = 0.0
    if measure.rate is not None:
        added = float(added_variance(np.array(result.value), np.array(len(fits.estimate))))
    return result.mcse, math.sqrt(result.mcse**2 + added)


def measured(study: Study, condition: Condition, shards: Iterable[pa.Table]) -> Iterator[Found]:
    """What a condition's replications say of the measure, strategy by strategy.

    Parameters
    ----------
    study : Study
        With those strategies alone that have to be precise.
    condition : Condition
    shards : iterable of pyarrow.Table
        Their rows, dataset by dataset, in the study's order.

    Yields
    ------
    Found
        Of each coefficient that has the truth that the measure needs and that the strategy
        estimates at all. All fits count that have estimates.
    """
    measure = MEASURES[of(study).measure]
    coefs, failed = columns(shards, len(study.strategies), n_terms(condition))
    for place, strategy in enumerate(study.strategies):
        fitted = ~failed[:, place]
        for k, term in enumerate(term_names(condition)):
            used = fitted & ~np.isnan(coefs["estimate"][:, place, k])
            if (used.any() or not fitted.any()) and has_truth(measure, condition, k):
                fits = Fits(**{name: values[used, place, k] for name, values in coefs.items()})
                found = in_rule(measure, fits) if used.any() else (np.nan, np.inf)
                yield Found(strategy.name, term, *found)


def columns(
    shards: Iterable[pa.Table], n_strategies: int, n_terms: int
) -> tuple[dict[str, Array], Flags]:
    """The coefficients' columns, (datasets, strategies, terms), and which fits failed."""
    parts: dict[str, list[Array]] = defaultdict(list)
    failed: list[Flags] = []
    for rows in shards:
        flat = pc.list_flatten(rows["coefs"].combine_chunks())
        for name in tables.COEFFICIENT.names:
            if name != "term":
                values = flat.field(name).to_numpy(zero_copy_only=False)
                parts[name].append(values.reshape(-1, n_strategies, n_terms))
        flags = pc.equal(rows["status"], "failed").to_numpy()
        failed.append(flags.reshape(-1, n_strategies))
    return {name: np.concatenate(values) for name, values in parts.items()}, np.concatenate(failed)


def look(
    study: Study, cells: Path, before: Path | None, programs: bool = True
) -> tuple[pa.Table, dict[str, set[str]]]:
    """Look whether the replications that are there are enough.

    Parameters
    ----------
    study : Study
        Has a `precision`.
    cells : Path
        Folder of the shards.
    before : Path or None
        The look before this one. Conditions that it settled keep their rows, unread.
    programs : bool
        Whether this process has the programs that fitted; if not, their versions are not compared.

    Returns
    -------
    rows : pyarrow.Table
        One per condition, with the columns of `looks.schema`.
    versions : dict of str to set of str
        Of the programs that the shards were made with.

    Raises
    ------
    MergeError
        If a shard is missing, damaged or outdated, as for the tables.
    """
    precision = of(study)
    settled = looks.read(before) if before else {}
    going_on = looks.unsettled(study, before)
    by_now = looks.planned(study, before)
    chosen = named(study)
    shards = Shards(chosen, cells, programs)
    problems: dict[str, list[str]] = defaultdict(list)
    versions: dict[str, set[str]] = defaultdict(set)
    found: list[dict[str, Any]] = []
    for condition in study.conditions:
        if condition not in going_on:
            found.append(settled[condition.key])
            continue
        blocks = plan.blocks_of(by_now, condition)
        rows = [shard for _, shard in readable(shards, blocks, problems, versions)]
        if problems:
            continue
        found.append(row(by_now, condition, measured(chosen, condition, rows), precision))
    if problems:
        raise MergeError(describe(problems))
    return pa.Table.from_pylist(found, schema=looks.schema(study)), versions


def row(
    study: Study, condition: Condition, targets: Iterable[Found], precision: Precision
) -> dict[str, Any]:
    """A condition's row of a look, with the strategy and the coefficient that are least precise."""
    unknown = Found("", "", np.nan, np.inf)
    worst = max(targets, key=lambda one: one.mcse_in_rule, default=unknown)
    numbers = {name: getattr(worst, name) for name in ("mcse", "mcse_in_rule")}
    return tables.levels(study.axes, condition) | {
        "condition": condition.key,
        "n_sims": study.size(condition),
        "measure": precision.measure,
        "strategy": worst.strategy or None,
        "term": worst.term or None,
        **{name: value if np.isfinite(value) else None for name, value in numbers.items()},
        "precision_reached": bool(worst.mcse_in_rule <= precision.mcse),
    }
