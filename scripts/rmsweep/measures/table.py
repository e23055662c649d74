"""The table of performance measures, from a study's merged tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rmsweep import strategies
from rmsweep.data.dataset import Array
from rmsweep.data.scenario import fixed_truth, term_names
from rmsweep.design import Condition, Strategy, Study
from rmsweep.errors import UsageError
from rmsweep.measures.causes import causes
from rmsweep.measures.performance import (
    AVERAGES,
    COMPARISONS,
    MEASURES,
    MISSED,
    NOTHING,
    PAIRED,
    Fits,
    Flags,
    Result,
    mean,
    mean_over_terms,
    quantile,
    rate,
    ratio_of_medians,
)
from rmsweep.sweep import tables

ROWS_AT_ONCE = 100_000
USES = ("all", "converged")

MEASURED = pa.schema(
    [
        pa.field("strategy", pa.string(), nullable=False),
        ("reference", pa.string()),
        ("term", pa.string()),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("fits", pa.string(), nullable=False),
        ("value", pa.float64()),
        ("mcse", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        pa.field("n_planned", pa.int64(), nullable=False),
        pa.field("n_run", pa.int64(), nullable=False),
        pa.field("n_converged", pa.int64(), nullable=False),
        pa.field("n_used", pa.int64(), nullable=False),
        pa.field("defined", pa.bool_(), nullable=False),
        pa.field("mcse_defined", pa.bool_(), nullable=False),
        ("reason", pa.string()),
    ]
)
"""The columns of ``performance`` beyond those of the condition."""

MESSAGES = {
    "gradient_rate": "grad_msg",
    "hessian_rate": "hess_msg",
    "df_message_rate": "df_msg",
    "other_message_rate": "messages",
}
RATES = (
    *("convergence_rate", "failed_rate", "singular_rate", "nonsingular_failure_rate"),
    "optimizer_rate",
    *(*MESSAGES, "missed_optimum_rate"),
)
"""Shares of a strategy's runs, by how the fits went."""


def schema(study: Study) -> pa.Schema:
    """The columns of ``performance``."""
    axes = [field for field in tables.keys(study.axes) if field.name in names_of_axes(study)]
    return pa.schema([*axes, *MEASURED])


def names_of_axes(study: Study) -> list[str]:
    """The columns that say which condition a row is of."""
    return [axis.name for axis in study.axes]


def performance(study: Study, fits: Path, coefs: Path) -> Iterator[pa.Table]:
    """The performance measures of a study, condition by condition, in bounded memory.

    Parameters
    ----------
    study : Study
    fits, coefs : Path
        Its merged tables.

    Yields
    ------
    pyarrow.Table
        The rows of a condition, with the columns of `schema`.

    Raises
    ------
    UsageError
        If a file is no such table.
    """
    axes = names_of_axes(study)
    n_strategies = len(study.strategies)
    known = {
        tuple(tables.levels(study.axes, one)[key] for key in axes): one for one in study.conditions
    }
    with tables.naming(fits, "fits"), tables.naming(coefs, "coefs"):
        keys = pq.read_table(fits, columns=axes, use_threads=False)
        runs = [(known[key], length) for key, length in runs_of(keys)]
        of_fits = portions(fits, [length for _, length in runs])
        of_coefs = portions(coefs, [length * n_terms(one) for one, length in runs])
        for (one, length), fit_rows, coef_rows in zip(runs, of_fits, of_coefs, strict=True):
            cell = Cell.read(study, one, length // n_strategies, fit_rows, coef_rows)
            with np.errstate(all="ignore"):  # of a single dataset there is no spread
                measured = cell.table(study)
            yield measured


def compared_places(study: Study) -> list[tuple[int, int]]:
    """The places of reference and strategy of each comparison, each pair of strategies once."""
    references = [strategy.name in study.references for strategy in study.strategies]
    pairs = itertools.combinations(range(len(references)), 2)
    return [
        (one, two) if references[one] else (two, one)
        for one, two in pairs
        if references[one] or references[two]
    ]


def n_terms(condition: Condition) -> int:
    """Coefficients of a condition's model."""
    return int(condition["n_predictors"]) + 1


def runs_of(keys: pa.Table) -> Iterator[tuple[tuple[Any, ...], int]]:
    """The conditions of a table's rows, one after the other, and how many rows each has."""
    columns = [keys[name].combine_chunks() for name in keys.column_names]
    if not len(keys):
        return
    changes = np.zeros(len(keys) - 1, dtype=bool)
    for column in columns:
        changes |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(keys)]
    for start, stop in itertools.pairwise(starts):
        yield tuple(column[start].as_py() for column in columns), stop - start


def portions(path: Path, lengths: Sequence[int]) -> Iterator[pa.Table]:
    """The rows of a Parquet file in portions of these lengths."""
    batches = pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE, use_threads=False)
    waiting: list[pa.RecordBatch] = []
    for length in lengths:
        while sum(map(len, waiting)) < length:
            waiting.append(next(batches))
        rows = pa.Table.from_batches(waiting)
        waiting = rows.slice(length).to_batches()
        yield rows.slice(0, length)


def floats(column: pa.ChunkedArray) -> Array:
    """A column as numbers; NaN where there is none."""
    values: Array = column.cast(pa.float64()).to_numpy()
    return values


@dataclass(frozen=True)
class Cell:
    """What a study says of a condition.

    Attributes
    ----------
    condition : Condition
    n_run : int
        Datasets.
    coefs : mapping of str to (n_run, n_strategies, n_terms) array
        The columns of ``coefs``.
    went : mapping of str to (n_run, n_strategies) array
        How the fits went, by the measures of `RATES`: 1, 0, or NaN where it can't be said.
    sums : mapping of str to (n_run, n_strategies) array
        The post's.
    kept : dict
        The `Fits` of all datasets, by strategy and term, as far as they have been asked for.
    """

    condition: Condition
    n_run: int
    coefs: Mapping[str, Array]
    went: Mapping[str, Array]
    sums: Mapping[str, Array]
    kept: dict[tuple[int, int], Fits] = field(default_factory=dict, compare=False)

    @classmethod
    def read(
        cls, study: Study, condition: Condition, n_run: int, fits: pa.Table, coefs: pa.Table
    ) -> Cell:
        """Read the rows of a condition.

        Raises
        ------
        UsageError
            If they are not in the order of the merged tables.
        """
        names = [strategy.name for strategy in study.strategies]
        shape = n_run, len(names), n_terms(condition)
        if fits["strategy"].to_pylist() != names * n_run or len(coefs) != np.prod(shape):
            raise UsageError(f"{condition}: the tables don't hold each dataset and strategy once")
        failed = pc.equal(fits["status"], "failed")
        unsaid = pa.scalar(None, pa.bool_())
        went = {
            "convergence_rate": fits["fit_success"],
            "failed_rate": failed,
            "singular_rate": fits["singular"],
            "nonsingular_failure_rate": pc.and_not(
                pc.not_equal(causes(fits), "singular"), fits["fit_success"]
            ),
            "optimizer_rate": pc.not_equal(fits["opt_code"], 0),
            "missed_optimum_rate": pc.greater(fits["criterion_gap"], MISSED),
        }
        for name, column in MESSAGES.items():
            said = pc.not_equal(pc.fill_null(fits[column], ""), "")
            # the message of a fit that failed says why, and is none of these
            went[name] = pc.if_else(failed, unsaid, said)
        return cls(
            condition,
            n_run,
            {
                name: floats(coefs[name]).reshape(shape)
                for name in tables.COEFFICIENT.names
                if name != "term"
            },
            {name: floats(went[name]).reshape(shape[:2]) for name in RATES},
            {name: floats(fits[name]).reshape(shape[:2]) for name in tables.METRICS},
        )

    def used(self, strategy: int, use: str) -> Flags:
        """The datasets of which a strategy's fits are used."""
        went = "failed_rate" if use == "all" else "convergence_rate"
        used: Flags = self.went[went][:, strategy] == float(use != "all")
        return used

    def says(self, strategy: int, term: int) -> Flags:
        """The datasets in which a strategy says something of a coefficient."""
        says: Flags = ~np.isnan(self.coefs["estimate"][:, strategy, term])
        return says

    def fits(self, strategy: int, term: int, used: Flags) -> Fits:
        """What a strategy says of a coefficient."""
        if used.all():  # as most often: what is computed of them once serves all comparisons
            return self._of_all(strategy, term)
        columns = {name: values[used, strategy, term] for name, values in self.coefs.items()}
        return Fits(**columns)

    def _of_all(self, strategy: int, term: int) -> Fits:
        if (strategy, term) not in self.kept:
            columns = {name: values[:, strategy, term] for name, values in self.coefs.items()}
            self.kept[strategy, term] = Fits(**columns)
        return self.kept[strategy, term]

    def table(self, study: Study) -> pa.Table:
        """The rows of the condition."""
        rows = [*self.of_strategies(study), *self.of_pairs(study)]
        n_converged = self.went["convergence_rate"].sum(axis=0).astype(int).tolist()
        places = {strategy.name: place for place, strategy in enumerate(study.strategies)}
        counts = {"n_planned": study.size(self.condition), "n_run": self.n_run}
        for row in rows:
            row |= counts | {"n_converged": n_converged[places[row["strategy"]]]}
        levels = tables.levels(study.axes, self.condition)
        made = pa.Table.from_pylist(rows, schema=MEASURED)
        for name in reversed(names_of_axes(study)):
            kind = schema(study).field(name)
            made = made.add_column(0, kind, pa.array([levels[name]] * len(rows), kind.type))
        return made.cast(schema(study))

    def of_strategies(self, study: Study) -> Iterator[dict[str, Any]]:
        """The measures of each strategy."""
        for place, strategy in enumerate(study.strategies):
            tails = strategies.tail_df(strategy, self.condition)
            for name in RATES:
                said = self.went[name][:, place]
                n_used = int((~np.isnan(said)).sum())
                yield row(strategy, name, "all", n_used, rate(said))
            for use in USES:
                used = self.used(place, use)
                n_used = int(used.sum())
                for name, values in self.sums.items():
                    known = values[used, place]
                    moments = (0, 0) if name == "t_sum" else (1, 2)
                    yield row(
                        strategy,
                        f"{name}_mean",
                        use,
                        n_used,
                        mean(known),
                        tails=tails,
                        moments=moments,
                    )
                    yield row(strategy, f"{name}_median", use, n_used, quantile(known, 0.5))
                for k, term in enumerate(term_names(self.condition)):
                    yield from self.of_term(strategy, place, k, term, use, used, tails)
                slopes = [self.fits(place, k, used) for k in range(1, n_terms(self.condition))]
                for name, it in AVERAGES.items():
                    shares = mean_over_terms([it.of(one) for one in slopes])
                    yield row(strategy, f"{name}_of_slopes", use, n_used, it.sum_up(shares))

    def of_term(
        self,
        strategy: Strategy,
        place: int,
        k: int,
        term: str,
        use: str,
        used: Flags,
        tails: float,
    ) -> Iterator[dict[str, Any]]:
        """The measures of one coefficient."""
        used = used & self.says(place, k)
        fits = self.fits(place, k, used)
        n_used = int(used.sum())
        truth = fixed_truth(self.condition, k)
        for name, measure in MEASURES.items():
            reason = ""
            if measure.needs == "fixed" and truth is None:
                reason = "the true coefficient is drawn anew for each dataset"
            elif measure.needs and truth == 0:
                reason = "the true coefficient is zero"
            result = measure.of(fits) if n_used and not reason else NOTHING
            moments = measure.value_moments, measure.mcse_moments
            yield row(strategy, name, use, n_used, result, term, tails, moments, reason)
        rejections = np.zeros(self.n_run)
        rejections[used] = np.nan_to_num(fits.rejects_zero)
        result = rate(rejections) if self.n_run else NOTHING
        yield row(strategy, "rejection_of_run", use, n_used, result, term)

    def of_pairs(self, study: Study) -> Iterator[dict[str, Any]]:
        """The comparisons of strategies with the study's references."""
        names = term_names(self.condition)
        for (first, second), use in itertools.product(compared_places(study), USES):
            reference, strategy = study.strategies[first], study.strategies[second]
            used = self.used(first, use) & self.used(second, use)
            tails = min(strategies.tail_df(one, self.condition) for one in (reference, strategy))
            said = [used & self.says(first, k) & self.says(second, k) for k in range(len(names))]
            of_terms = [
                (self.fits(second, k, used), self.fits(first, k, used)) for k in range(len(names))
            ]
            pairs = [
                (self.fits(second, k, both), self.fits(first, k, both))
                for k, both in enumerate(said)
            ]
            compared: list[tuple[str, str | None, Result, tuple[int, int], int]] = []
            for name, measure in COMPARISONS.items():
                moments = measure.value_moments, measure.mcse_moments
                for term, both, pair in zip(names, said, pairs, strict=True):
                    n_used = int(both.sum())
                    result = measure.of(*pair) if n_used else NOTHING
                    compared.append((name, term, result, moments, n_used))
            n_used = int(used.sum())
            for name, it in PAIRED.items():
                parts = [it.of(*pair) for pair in of_terms]
                for term, values, both in zip(names, parts, said, strict=True):
                    compared.append((name, term, it.sum_up(values), (0, 0), int(both.sum())))
                over_slopes = it.sum_up(mean_over_terms(parts[1:]))
                compared.append((f"{name}_of_slopes", None, over_slopes, (0, 0), n_used))
            for name, result in self.of_whole_fits(second, first, used):
                compared.append((name, None, result, (0, 0), n_used))
            for name, one_term, result, moments, n in compared:
                made = row(strategy, name, use, n, result, one_term, tails, moments)
                yield made | {"reference": reference.name}
            if use == "all":
                converged = self.went["convergence_rate"]
                result = mean(converged[:, second] - converged[:, first])
                made = row(strategy, "difference_of_convergence_rate", use, self.n_run, result)
                yield made | {"reference": reference.name}

    def of_whole_fits(
        self, place: int, reference: int, both: Flags
    ) -> Iterator[tuple[str, Result]]:
        """The comparisons of two strategies over the coefficients, by name."""
        for name, sums in self.sums.items():
            yield f"{name}_ratio", ratio_of_medians(sums[both, place], sums[both, reference])
        estimate, se, df = (self.coefs[name][both] for name in ("estimate", "se", "df"))
        of_both = np.sqrt((np.square(se[:, place]) + np.square(se[:, reference])) / 2.0)
        distance = np.abs(estimate[:, place] - estimate[:, reference]) / of_both
        yield "estimate_distance", quantile(mean_over_terms(list(distance.T)), 0.5)
        of_slopes = [mean_over_terms(list(df[:, one, 1:].T)) for one in (place, reference)]
        yield "df_ratio_of_slopes", ratio_of_medians(*of_slopes)


def row(
    strategy: Strategy,
    measure: str,
    use: str,
    n_used: int,
    result: Result,
    term: str | None = None,
    tails: float = np.inf,
    moments: tuple[int, int] = (0, 0),
    reason: str = "",
) -> dict[str, Any]:
    """A row of the table; without what the tails of the estimates make meaningless."""
    of_value, of_mcse = moments
    defined, mcse_defined = not reason and tails > of_value, not reason and tails > of_mcse
    if not defined and not reason:
        reason = f"estimates have the tails of t with {tails:g} degrees of freedom: no such moment"
    elif not mcse_defined and not reason:
        reason = f"estimates have the tails of t with {tails:g} degrees of freedom: no such error"
    if not defined:
        result = NOTHING
    elif not mcse_defined:
        result = NOTHING._replace(value=result.value)
    numbers = {
        name: None if np.isnan(number) else number for name, number in result._asdict().items()
    }
    return numbers | {
        "strategy": strategy.name,
        "reference": None,
        "term": term,
        "measure": measure,
        "fits": use,
        "n_used": n_used,
        "defined": defined,
        "mcse_defined": mcse_defined,
        "reason": reason or None,
    }
