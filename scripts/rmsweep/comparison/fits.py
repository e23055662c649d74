"""Two studies compared fit by fit, on the datasets that both have."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from rmsweep.comparison.differences import ROUNDING
from rmsweep.comparison.studies import Pair, Part
from rmsweep.data.dataset import Array
from rmsweep.design import Axis
from rmsweep.measures.agreement import CRITERION_TOLERANCE
from rmsweep.measures.performance import MISSED, Flags
from rmsweep.sweep import tables

APART = 0.01
"""Standard errors between two estimates, and relative differences of other numbers, that count."""
DF_WEIGHT = 0.001
"""How much relative differences of degrees of freedom count in the order of single fits."""
MOST_FITS = 500
"""Single fits that are kept, of all strategies together."""

COLUMNS = pa.schema(
    [
        pa.field("strategy_a", pa.string(), nullable=False),
        pa.field("strategy_b", pa.string(), nullable=False),
        *(
            pa.field(name, pa.int64(), nullable=False)
            for name in (
                *("n_shared", "n_identical", "n_equal", "n_same_cause"),
                *("n_failed_in_a_only", "n_failed_in_b_only"),
                *("n_converged_in_a_only", "n_converged_in_b_only"),
                *("n_estimate_apart", "n_se_apart", "n_df_apart"),
                *("n_a_lower", "n_b_lower", "n_a_missed", "n_b_missed"),
            )
        ),
        ("estimate_median", pa.float64()),
        ("estimate_max", pa.float64()),
        ("se_max", pa.float64()),
        ("df_max", pa.float64()),
        ("a_above_b_max", pa.float64()),
        ("b_above_a_max", pa.float64()),
    ]
)
"""The columns of ``comparison_fits`` beyond those of the condition."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A strategy's fits of a condition in both studies, dataset by dataset.

    Attributes
    ----------
    sims : (n,) array
        The replications that both have.
    same_numbers : (n,) array of bool
        Whether all numbers are identical to the bit.
    failed, converged : pairs of (n,) arrays of bool
        Of A's fits and of B's.
    causes : pair of (n,) arrays of str
    estimate : (n,) array
        Largest distance of two estimates, in standard errors (root mean square of both).
    se, df : (n,) arrays
        Largest relative difference, B's from A's.
    criterion : (n,) array
        B's criterion minus A's; NaN where the two are not the same function.
    """

    sims: np.ndarray[Any, np.dtype[np.int64]]
    same_numbers: Flags
    failed: tuple[Flags, Flags]
    converged: tuple[Flags, Flags]
    causes: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    estimate: Array
    se: Array
    df: Array
    criterion: Array

    @classmethod
    def of(cls, one: Part, two: Part, places: tuple[int, int], same_criterion: bool) -> Compared:
        """Compare the fits of a condition.

        Parameters
        ----------
        one, two : Part
            Of the same datasets.
        places : (int, int)
            Of the strategy in A and in B.
        same_criterion : bool
            Whether both minimise the same function.
        """
        sims, first, second = np.intersect1d(one.sims, two.sims, return_indices=True)
        at = [(one, first, places[0]), (two, second, places[1])]
        names = [name for name in one.cell.coefs if name != "truth"]
        (a, b), criteria = (
            [{name: it.cell.coefs[name][rows, place] for name in names} for it, rows, place in at],
            [it.criterion[rows, place] for it, rows, place in at],
        )
        same = alike(*criteria)
        for name in names:
            same = same & alike(a[name], b[name]).all(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.sqrt((np.square(a["se"]) + np.square(b["se"])) / 2.0)
            distance = np.where(
                a["estimate"] == b["estimate"], 0.0, np.abs(b["estimate"] - a["estimate"]) / unit
            )
        causes = tuple(it.causes[rows, place] for it, rows, place in at)
        return cls(
            sims,
            same & (causes[0] == causes[1]),
            flags("failed_rate", at),
            flags("convergence_rate", at),
            (causes[0], causes[1]),
            largest(distance),
            largest(relative(a["se"], b["se"])),
            largest(relative(a["df"], b["df"])),
            criteria[1] - criteria[0] if same_criterion else np.full(len(sims), np.nan),
        )

    @property
    def equal(self) -> Flags:
        """Whether the fits are the same but for rounding."""
        largest_of = np.fmax(np.fmax(self.estimate, self.se), self.df)
        both_failed = self.failed[0] & self.failed[1]
        equal: Flags = self.same_numbers | both_failed | (largest_of <= ROUNDING)
        return equal

    def row(self) -> dict[str, Any]:
        """The condition's row, but for its keys."""
        a_failed, b_failed = self.failed
        a_converged, b_converged = self.converged
        counts = {
            "shared": np.ones(len(self.sims), dtype=bool),
            "identical": self.same_numbers,
            "equal": self.equal,
            "same_cause": self.causes[0] == self.causes[1],
            "failed_in_a_only": a_failed & ~b_failed,
            "failed_in_b_only": b_failed & ~a_failed,
            "converged_in_a_only": a_converged & ~b_converged,
            "converged_in_b_only": b_converged & ~a_converged,
            "estimate_apart": self.estimate > APART,
            "se_apart": self.se > APART,
            "df_apart": self.df > APART,
            "a_lower": self.criterion > CRITERION_TOLERANCE,
            "b_lower": self.criterion < -CRITERION_TOLERANCE,
            "a_missed": self.criterion < -MISSED,
            "b_missed": self.criterion > MISSED,
        }
        known = self.estimate[~np.isnan(self.estimate)]
        numbers = {
            "estimate_median": float(np.median(known)) if len(known) else None,
            "estimate_max": most(self.estimate),
            "se_max": most(self.se),
            "df_max": most(self.df),
            "a_above_b_max": most(np.where(self.criterion < 0.0, -self.criterion, np.nan)),
            "b_above_a_max": most(np.where(self.criterion > 0.0, self.criterion, np.nan)),
        }
        return {f"n_{name}": int(it.sum()) for name, it in counts.items()} | numbers

    def rank(self) -> Array:
        """How much the fits differ: those that failed in one study only most, then by numbers."""
        a_failed, b_failed = self.failed
        a_converged, b_converged = self.converged
        # degrees of freedom near zero differ by large factors, which matters less
        numbers = np.nan_to_num(np.fmax(np.fmax(self.estimate, self.se), DF_WEIGHT * self.df))
        # another verdict on the same numbers comes after all that differ by something that counts
        rank = np.where(a_converged != b_converged, np.maximum(numbers, APART), numbers)
        return np.where(a_failed != b_failed, np.inf, rank)


def alike(one: Array, two: Array) -> Flags:
    """Whether numbers are the same, NaN being the same as NaN."""
    same: Flags = (one == two) | (np.isnan(one) & np.isnan(two))
    return same


def relative(one: Array, two: Array) -> Array:
    """By how much numbers differ, relative to the first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference: Array = np.where(one == two, 0.0, np.abs(two / one - 1.0))
    return difference


def largest(values: Array) -> Array:
    """The largest of each row's numbers; NaN if there is none."""
    found: Array = np.fmax.reduce(values, axis=1, initial=np.nan)
    return found


def most(values: Array) -> float | None:
    """The largest number; none if there is none."""
    value = float(np.fmax.reduce(values, initial=np.nan))
    return value if np.isfinite(value) else None


def flags(name: str, at: list[tuple[Part, Any, int]]) -> tuple[Flags, Flags]:
    """How the fits of A and of B went, by the measure of it."""
    one, two = (it.cell.went[name][rows, place] == 1.0 for it, rows, place in at)
    return one, two


@dataclass
class Apart:
    """The fits that differ most, each strategy's, and how many have which causes in A and in B.

    Attributes
    ----------
    most : int
        Fits to keep of each strategy.
    kept : mapping of str to list
        By the strategies' label: rank, a number that orders equal ranks, and the fit.
    causes : mapping of str to Counter
        By label, numbers of fits by their cause in A and in B.
    """

    most: int
    kept: dict[str, list[tuple[float, int, dict[str, Any]]]] = field(default_factory=dict)
    causes: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)

    def add(self, pair: Pair, key: str, compared: Compared) -> None:
        """Add the fits of a condition, which the key names in both studies."""
        counts = self.causes.setdefault(pair.label, Counter())
        before = sum(counts.values())
        counts.update(zip(*(it.tolist() for it in compared.causes), strict=True))
        own = self.kept.setdefault(pair.label, [])
        rank = compared.rank()
        for k in np.argsort(-rank, kind="stable")[: self.most]:
            if not (rank[k] > 0.0):
                break
            fit = {
                "key": key,
                "sim": int(compared.sims[k]),
                "strategy_a": pair.a.name,
                "strategy_b": pair.b.name,
                "cause_a": str(compared.causes[0][k]),
                "cause_b": str(compared.causes[1][k]),
                "converged_a": bool(compared.converged[0][k]),
                "converged_b": bool(compared.converged[1][k]),
                **{
                    name: finite(getattr(compared, name)[k])
                    for name in ("estimate", "se", "df", "criterion")
                },
            }
            # what came first stays where ranks are equal
            entry = float(rank[k]), -before - int(k), fit
            if len(own) < self.most:
                heapq.heappush(own, entry)
            elif entry[:2] > own[0][:2]:
                heapq.heapreplace(own, entry)

    def found(self) -> Iterator[dict[str, Any]]:
        """The fits, those that differ most first."""
        every = [entry for own in self.kept.values() for entry in own]
        for _, _, fit in sorted(every, key=lambda entry: (-entry[0], -entry[1])):
            yield fit


def finite(value: float) -> float | None:
    """A number as a table has it: none where there is none."""
    return float(value) if np.isfinite(value) else None


def schema(axes: pa.Schema) -> pa.Schema:
    """The columns of ``comparison_fits``."""
    return pa.schema([*axes, *COLUMNS])


def keys_of(axes: Sequence[Axis]) -> pa.Schema:
    """The columns that say which condition a row is of."""
    names = [axis.name for axis in axes]
    return pa.schema([it for it in tables.keys(axes) if it.name in names])
