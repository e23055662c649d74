"""From cells to rows: simulate each dataset, fit every strategy, sum up."""

from __future__ import annotations

import gc
import itertools
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rmsweep import strategies
from rmsweep.data.dataset import Array, Batch, Dataset, batches
from rmsweep.data.scenario import Simulated, simulate, term_names
from rmsweep.design import Block, Condition, Strategy, Study
from rmsweep.errors import UserError
from rmsweep.strategies import Convergence, Fit, OwnTests
from rmsweep.strategies.inference import Coefficients, infer
from rmsweep.sweep import tables
from rmsweep.user_file import in_words

# values of the datasets that are simulated and fitted together, and of what is derived from them:
# some 200 MB with all that is made on the way
VALUES_AT_ONCE = 7_000_000


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


def run_block(
    study: Study,
    block: Block,
    worker: str = "cold",
    reused: Mapping[str, pa.Table] | None = None,
) -> pa.Table:
    """Simulate and fit every replication of a block.

    Parameters
    ----------
    study : Study
    block : Block
        Condition and replications.
    worker : {"warm", "cold"}
        How the process came to be, for the timings.
    reused : mapping of str to pyarrow.Table, optional
        Rows that need not be made again, by strategy, of some or all replications.

    Returns
    -------
    pyarrow.Table
        A shard (`tables.SHARD`): one row per dataset and strategy.
    """
    parts = list((reused or {}).values())
    covered = {name: set(rows["sim"].to_pylist()) for name, rows in (reused or {}).items()}
    missing: dict[tuple[int, ...], list[Strategy]] = {}
    for strategy in study.strategies:
        there = covered.get(strategy.name, set())
        missing.setdefault(tuple(sim for sim in block.sims if sim not in there), []).append(
            strategy
        )
    origin = {"host": socket.gethostname(), "worker": worker}
    size = datasets_at_once(block.condition)
    for sims, chosen in missing.items():
        warm_up(study, chosen if sims else [])
        for first in range(0, len(sims), size):
            parts += run_batch(study, chosen, block.condition, sims[first : first + size], origin)
    shard = pa.concat_tables(part.cast(tables.SHARD) for part in parts)
    # dataset by dataset, in the study's order
    places = {strategy.name: place for place, strategy in enumerate(study.strategies)}
    strategy_places = [places[name] for name in shard["strategy"].to_pylist()]
    order = np.lexsort((strategy_places, shard["sim"].to_numpy()))
    return shard.take(pa.array(order)).combine_chunks()


def datasets_at_once(condition: Condition) -> int:
    """How many datasets of a condition to simulate and fit together."""
    n_terms = int(condition["n_predictors"]) + 1
    n_rows = condition.n_groups * condition.n_obs
    # fits of several terms have all rows of all datasets once more
    copies = 2 if condition["n_items"] or condition["n_sites"] else 1
    # y and X; second derivatives by pairs of covariances of the terms, from several starts
    return max(1, VALUES_AT_ONCE // (copies * n_rows * (n_terms + 1) + 16 * n_terms**4))


def warm_up(study: Study, chosen: Sequence[Strategy] | None = None) -> None:
    """Load all that the fits of the study, or of some of its strategies, need."""
    import scipy.special  # noqa: F401

    for strategy in study.strategies if chosen is None else chosen:
        if strategy.engine == "native":
            from rmsweep import lmm

            lmm.keep_memory()
        if strategy.engine != "native" or study.audit:
            strategies.warm_up(strategy.family)


def run_batch(
    study: Study,
    chosen: Sequence[Strategy],
    condition: Condition,
    sims: Sequence[int],
    origin: Mapping[str, str],
) -> list[pa.Table]:
    """Simulate and fit some replications together, as many as memory likes.

    Returns
    -------
    list of pyarrow.Table
        The rows of each strategy, one per replication.
    """
    with uncollected(chosen):
        simulated = [simulate(study.seed, condition, sim) for sim in sims]
        truth = np.array([one.betas for one in simulated])
        data = [one.data for one in simulated]
        structures = list(batches(data))
        terms = term_names(condition)
        outcomes = fit_datasets(chosen, structures, len(data))
        at_truth = test_truth(simulated, chosen, outcomes)
    audited = [place for place, sim in enumerate(sims) if study.is_audited(condition, sim)]
    references = audit(chosen, data, audited) if study.audit else {}
    found = []
    for strategy in chosen:
        audits: list[object] = [None] * len(data)
        for place, reference in zip(audited, references.get(strategy.name, ()), strict=False):
            audits[place] = compare(outcomes[strategy.name][place], reference)
        others = {
            "condition": str(condition),
            "sim": list(sims),
            "strategy": strategy.name,
            "engine": strategy.engine,
            "audit": audits,
        }
        own = outcomes[strategy.name], terms, truth, others | dict(origin)
        found.append(rows(*own, at_truth.get(strategy.name)))
    return found


@contextmanager
def uncollected(chosen: Sequence[Strategy]) -> Iterator[None]:
    """Without searches for cyclic garbage, where all fits are native.

    These make so many objects that Python would search them again and again, and next to no cycles;
    other programs leave cycles of much memory behind.
    """
    pause = gc.isenabled() and all(strategy.engine == "native" for strategy in chosen)
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


def test_truth(
    simulated: Sequence[Simulated],
    chosen: Sequence[Strategy],
    outcomes: Mapping[str, Sequence[Outcome]],
) -> dict[str, Array]:
    """The p-values of the true coefficients, for strategies with tests of their own.

    Those are the p-values of zero once the truth is taken out of the response: all estimates move
    by it, standard errors and degrees of freedom don't. So no strategy is told the truth.

    Returns
    -------
    dict of str to (R, p) array
        By strategy; NaN where there is no test.
    """
    own = [
        strategy
        for strategy in chosen
        if any(outcome.fit and outcome.fit.own for outcome in outcomes[strategy.name])
    ]
    if not own:
        return {}
    fitted: Mapping[str, Sequence[Outcome]] = outcomes
    if any(one.betas.any() for one in simulated):  # else zero is the truth
        moved = [replace(one.data, y=one.data.y - one.data.X @ one.betas) for one in simulated]
        fitted = fit_datasets(own, list(batches(moved)), len(moved))
    missing = np.full(len(simulated[0].betas), np.nan)
    return {
        strategy.name: np.array(
            [
                outcome.fit.own.p_value if outcome.fit and outcome.fit.own else missing
                for outcome in fitted[strategy.name]
            ]
        )
        for strategy in own
    }


def fit_datasets(
    chosen: Sequence[Strategy], structures: Sequence[tuple[Sequence[int], Batch]], size: int
) -> dict[str, list[Outcome]]:
    """Fit strategies to datasets; those that differ in their inference alone share their fits.

    Parameters
    ----------
    chosen : sequence of Strategy
    structures : sequence of (places, Batch)
        The datasets by structure (`rmsweep.data.dataset.batches`).
    size : int
        Number of datasets, R.

    Returns
    -------
    dict of str to list of R Outcome
        By strategy; the time of a shared fit is that of the first strategy that has it.
    """
    shared: dict[object, list[Strategy]] = {}
    for strategy in chosen:
        shared.setdefault(strategy.fit_key, []).append(strategy)
    found: dict[str, list[Any]] = {strategy.name: [None] * size for strategy in chosen}
    for alike, (places, batch) in itertools.product(shared.values(), structures):
        for own_places, part, reasons in by_refusals(alike, batch):
            for strategy, attempts in fit_alike(alike, part, reasons):
                n_terms = len(batch.datasets[0].terms)
                clear = in_order([tried.fitted for tried in attempts], n_terms)
                for place, tried, good in zip(own_places, attempts, clear, strict=True):
                    found[strategy.name][places[place]] = tried.outcome(n_terms, good)
    return found


def by_refusals(
    alike: Sequence[Strategy], batch: Batch
) -> Iterator[tuple[Sequence[int], Batch, Sequence[str]]]:
    """The datasets by which of the strategies refuse them, and why.

    Some strategies get those together that have the same rows.
    """
    sorted_places: dict[tuple[tuple[str, ...], int | None], list[int]] = {}
    for places in batch.same_rows:
        data = batch.datasets[places[0]]
        reasons = tuple(strategies.refuses(data, one) for one in alike)
        apart = places[0] if strategies.wants_same_rows(data, alike[0]) else None
        sorted_places.setdefault((reasons, apart), []).extend(places)
    for (reasons, _), places in sorted_places.items():
        whole = len(places) == len(batch.datasets)
        yield (
            (range(len(places)), batch, reasons) if whole else (places, batch.take(places), reasons)
        )


def fit_alike(
    alike: Sequence[Strategy], batch: Batch, reasons: Sequence[str]
) -> Iterator[tuple[Strategy, Sequence[Attempt]]]:
    """Fit strategies that share their fits, but for those that refuse; the first bears the time."""
    able = []
    for strategy, reason in zip(alike, reasons, strict=True):
        if reason:
            refused = Attempt(strategies.FitError(reason), (), 0.0, 0.0)
            yield strategy, [refused] * len(batch.datasets)
        else:
            able.append(strategy)
    if not able:
        return
    first, module = able[0], strategies.load(able[0].family)
    if first.engine == "native" and hasattr(module, "infer_batch"):
        whole = attempt(first, partial(module.fit_batch, batch, first.options))
        for strategy in able:
            inferred = whole.then(
                strategy,
                partial(module.infer_batch, batch, whole.fitted, strategy.inference),
                charged=strategy is first,
            )
            yield strategy, inferred.shares(len(batch.datasets), "infer_batch")
        return
    if first.engine == "native":
        whole = attempt(first, partial(module.fit_batch, batch, first.options))
        fitted = whole.shares(len(batch.datasets), "fit_batch")
    else:
        fitted = fit_each(first, batch)
    infer_of = getattr(module, "infer", None)
    for strategy in able:
        yield (
            strategy,
            fitted
            if infer_of is None
            else [
                one.then(
                    strategy,
                    partial(infer_of, data, one.fitted, strategy.inference),
                    charged=strategy is first,
                )
                for data, one in zip(batch.datasets, fitted, strict=True)
            ],
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a part of a strategy gave, for one dataset or for a batch.

    Attributes
    ----------
    fitted : object
        What it gave, or the error that it ended with.
    messages : tuple of str
        Python's warnings meanwhile.
    seconds, cpu_seconds : float
        Wall and CPU time that it took.
    """

    fitted: Any
    messages: tuple[str, ...]
    seconds: float
    cpu_seconds: float

    def then(self, strategy: Strategy, infer_of: Callable[[], Any], charged: bool) -> Attempt:
        """What one of the strategies that share a fit makes of it.

        Parameters
        ----------
        strategy : Strategy
        infer_of : callable
            The inference; not called where there is no fit.
        charged : bool
            Whether this strategy bears the time of the fit.
        """
        own = self if charged else replace(self, seconds=0.0, cpu_seconds=0.0)
        if isinstance(self.fitted, Exception):
            return own
        inferred = attempt(strategy, infer_of)
        return replace(
            own,
            fitted=inferred.fitted,
            seconds=own.seconds + inferred.seconds,
            cpu_seconds=own.cpu_seconds + inferred.cpu_seconds,
        )

    def shares(self, size: int, function: str) -> list[Attempt]:
        """Those of so many datasets, each of which bears its share of the time."""
        # an error is one of the design itself
        fits = [self.fitted] * size if isinstance(self.fitted, Exception) else self.fitted
        if not isinstance(fits, list) or len(fits) != size:
            fits = [strategies.FitError(f"{function}: gave no list of {size} fits")] * size
        timing = self.seconds / size, self.cpu_seconds / size
        return [Attempt(fit, (), *timing) for fit in fits]

    def outcome(self, n_terms: int, good: bool) -> Outcome:
        """What comes of it for a dataset, where the fit is known to be `good` or has to be seen."""
        fit = self.fitted
        if self.messages and isinstance(fit, Fit):
            own = [fit.convergence.messages] if fit.convergence.messages else []
            messages = "; ".join([*own, *self.messages])
            fit = replace(fit, convergence=replace(fit.convergence, messages=messages))
        error = "" if good or isinstance(fit, Fit) else not_a_fit(fit)
        if not (good or error):
            error = flaw(fit, n_terms)
        return Outcome(None if error else fit, error, self.seconds, self.cpu_seconds)


def attempt(strategy: Strategy, run: Callable[[], Any]) -> Attempt:
    """Run a part of a strategy; if it fails, that is a result, too.

    Errors that are no `ValueError` or `ArithmeticError` are no matter of the data, and are let
    through where the code is ours. In a file of the user's own, every error is a row.
    """
    known: tuple[type[Exception], ...] = (ValueError, ArithmeticError)
    if strategies.is_file(strategy.family):
        known = (Exception,)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        fitted = run()
    except UserError:
        raise  # a broken environment, not a broken fit
    except known as error:
        fitted = error
    return Attempt(fitted, (), time.perf_counter() - wall, time.process_time() - cpu)


def fit_each(strategy: Strategy, batch: Batch) -> list[Attempt]:
    """Fit a strategy's own engine to each dataset, after what they can have computed together.

    If that fails or warns, each dataset is fitted alone, for its own errors and warnings.
    """
    together = getattr(strategies.load(strategy.family), "in_advance", None)
    size = len(batch.datasets)
    if together is None or size == 1:
        return [fit_one(strategy, data) for data in batch.datasets]
    before = attempt_aloud(strategy, partial(together, batch, strategy.options))
    known: Sequence[Any] = before.fitted
    if isinstance(known, Exception) or before.messages:
        known = [None] * size
    return [
        replace(
            one,
            seconds=one.seconds + before.seconds / size,
            cpu_seconds=one.cpu_seconds + before.cpu_seconds / size,
        )
        for data, own in zip(batch.datasets, known, strict=True)
        for one in [fit_one(strategy, data, own)]
    ]


def fit_one(strategy: Strategy, data: Dataset, *known: object) -> Attempt:
    """Fit a strategy's own engine to a dataset, of which something may be known in advance."""
    fit = strategies.load(strategy.family).fit
    return attempt_aloud(strategy, partial(fit, data, strategy.options, *known))


def attempt_aloud(strategy: Strategy, run: Callable[[], Any]) -> Attempt:
    """Run a part of a strategy, and report Python's warnings as well."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one = attempt(strategy, run)
    return replace(one, messages=tuple(str(warning.message) for warning in caught))


def audit(
    chosen: Sequence[Strategy], data: Sequence[Dataset], places: Sequence[int]
) -> dict[str, list[Outcome]]:
    """Fit some of the datasets by the reference programs of the natively fitted strategies."""
    references = [
        replace(strategy, engine=strategies.engines(strategy.family)[0])
        for strategy in chosen
        if strategy.engine == "native"
    ]
    structures = list(batches([data[place] for place in places]))
    return fit_datasets(references, structures, len(places))


def not_a_fit(fitted: Any) -> str:
    """Why there is no fit."""
    if isinstance(fitted, Exception):
        return described(fitted)
    return f"fit: gave a {type(fitted).__name__}, not a Fit"


def in_order(fitted: Sequence[Any], n_terms: int) -> NDArray[np.bool_]:
    """Which of many fits have no `flaw`, at one glance; the others have to be looked at."""
    places = [
        place
        for place, fit in enumerate(fitted)
        if isinstance(fit, Fit)
        and fit.own is None
        and not fit.unsaid
        and fit.ci_type in ("t", "z")
        and isinstance(fit.convergence, Convergence)
        and is_vector(fit.estimate, n_terms)
        and is_vector(fit.se, n_terms)
        and is_vector(fit.df, n_terms)
    ]
    good = np.zeros(len(fitted), dtype=bool)
    if places:
        estimate, se, df = (
            np.concatenate([getattr(fitted[place], name) for place in places]).reshape(-1, n_terms)
            for name in ("estimate", "se", "df")
        )
        finite = np.isfinite(estimate + se)
        good[places] = (finite & (se >= 0) & ~(df <= 0)).all(axis=1)
    return good


def flaw(fit: Fit, n_terms: int) -> str:
    """What is wrong with a fit; empty if nothing is."""
    if any(not is_vector(part, n_terms) for part in (fit.estimate, fit.se, fit.df)):
        return f"fit: estimate, se and df are not arrays of {n_terms} numbers each"
    unsaid = False
    if not np.isfinite(fit.estimate + fit.se).all():
        said = np.isfinite(fit.estimate) & np.isfinite(fit.se)
        left_out = np.isnan(fit.estimate) & np.isnan(fit.se) & np.isnan(fit.df)
        if not (said | left_out).all() or not said.any():
            return "fit: an estimate or a standard error is not a finite number"
        unsaid = bool(left_out.any())
    if unsaid != bool(fit.unsaid):
        return "fit: unsaid gives a reason if, and only if, terms have no estimate"
    if (fit.se < 0).any():
        return "fit: a standard error is negative"
    if (fit.df <= 0).any():
        return "fit: degrees of freedom are not positive"
    if fit.ci_type not in ("t", "z") or not isinstance(fit.convergence, Convergence):
        return "fit: ci_type is not t or z, or convergence is no Convergence"
    return flaw_of_tests(fit.own, n_terms) if fit.own is not None else ""


def flaw_of_tests(own: OwnTests, n_terms: int) -> str:
    """What is wrong with a strategy's own tests; empty if nothing is."""
    if not isinstance(own, OwnTests):
        return f"fit: own is a {type(own).__name__}, not OwnTests"
    if any(not is_vector(part, n_terms) for part in (own.p_value, own.ci_low, own.ci_high)):
        return f"fit: p_value, ci_low and ci_high are not arrays of {n_terms} numbers each"
    if not own.kind or own.kind == "t":
        return "fit: own tests have no kind of their own"
    if ((own.p_value < 0) | (own.p_value > 1)).any():
        return "fit: a p-value is not between 0 and 1"
    if (own.ci_low > own.ci_high).any():
        return "fit: an interval's lower end is above the upper one"
    return ""


def is_vector(part: object, size: int) -> bool:
    """Whether it is an array of so many floats."""
    return isinstance(part, np.ndarray) and part.shape == (size,) and part.dtype == np.float64


def described(error: Exception) -> str:
    """An error's words, with its type where they alone would not do."""
    if str(error) and isinstance(error, (ValueError, ArithmeticError)):
        return str(error)
    return in_words(error)


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
        said = ~np.isnan(ours.estimate + theirs.estimate)
        gaps = np.abs((ours.estimate - theirs.estimate) / theirs.se)[said]
        compared["estimate_diff"] = float(gaps.max())
        compared["se_diff"] = float(np.abs(ours.se / theirs.se - 1)[said].max())
        # infinity over infinity is the same
        same = said & ~(np.isinf(ours.df) & (ours.df == theirs.df))
        df_diff = np.abs(ours.df[same] / theirs.df[same] - 1)
        compared["df_diff"] = float(df_diff.max(initial=0.0))
    return compared


def rows(
    outcomes: Sequence[Outcome],
    terms: Sequence[str],
    truth: Array,
    others: Mapping[str, object],
    p_truth: Array | None = None,
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
    others : dict
        The columns that don't come from the fit, as one value or a list of R.
    p_truth : (R, p) array, optional
        The p-values of the truth by a strategy's own tests.

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

    normal = np.array([fit is not None and fit.ci_type == "z" for fit in fits])
    inferred = infer(stacked("estimate"), stacked("se"), stacked("df"), normal[:, None], truth)
    inferred = with_own_tests(inferred, fits, p_truth)
    columns: dict[str, Any] = {
        key: value if isinstance(value, list) else [value] * size for key, value in others.items()
    }
    parts = np.abs(inferred.estimate - truth), inferred.se, np.abs(inferred.statistic)
    sums = [part.sum(axis=1) for part in parts]
    columns |= dict(zip(tables.METRICS, sums, strict=True))
    columns |= {
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
    columns["test_type"] = [fit and (fit.own.kind if fit.own else "t") for fit in fits]
    columns["unsaid"] = [(fit and fit.unsaid) or None for fit in fits]
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


def with_own_tests(
    inferred: Coefficients, fits: Sequence[Fit | None], p_truth: Array | None
) -> Coefficients:
    """The same with the tests and intervals of strategies that have their own."""
    for row, fit in enumerate(fits):
        if fit and fit.own:
            for name in ("p_value", "ci_low", "ci_high"):
                getattr(inferred, name)[row] = getattr(fit.own, name)
            inferred.p_truth[row] = np.nan if p_truth is None else p_truth[row]
    return inferred


def status(fit: Fit | None) -> str:
    """``failed`` without estimates, ``warning`` with a complaint of any kind, else ``ok``."""
    if fit is None:
        return "failed"
    return "ok" if fit.convergence.clean else "warning"


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
