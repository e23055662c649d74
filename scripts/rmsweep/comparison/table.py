"""The tables of a comparison: measure by measure, and fit by fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from rmsweep.comparison import fits as by_fit
from rmsweep.comparison.differences import (
    LEVEL,
    MEANS,
    ORDERED,
    UNTESTED,
    Test,
    adjusted,
    of_means,
    of_quantiles,
)
from rmsweep.comparison.fits import Apart, Compared
from rmsweep.comparison.studies import Part, Studies
from rmsweep.data.dataset import Array
from rmsweep.data.scenario import term_names
from rmsweep.measures.performance import AVERAGES, Flags, mean_over_terms
from rmsweep.measures.table import RATES, USES, Cell, n_terms

Places = NDArray[np.int64]

COMPARED = pa.schema(
    [
        pa.field("strategy_a", pa.string(), nullable=False),
        pa.field("strategy_b", pa.string(), nullable=False),
        ("term", pa.string()),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("fits", pa.string(), nullable=False),
        ("value_a", pa.float64()),
        ("mcse_a", pa.float64()),
        pa.field("n_a", pa.int64(), nullable=False),
        ("value_b", pa.float64()),
        ("mcse_b", pa.float64()),
        pa.field("n_b", pa.int64(), nullable=False),
        pa.field("n_shared", pa.int64(), nullable=False),
        ("difference", pa.float64()),
        ("mcse", pa.float64()),
        ("z", pa.float64()),
        ("own_mcses", pa.float64()),
        ("p_value", pa.float64()),
        ("p_adjusted", pa.float64()),
        pa.field("differs", pa.bool_(), nullable=False),
        ("reason", pa.string()),
    ]
)
"""The columns of ``comparison`` beyond those of the condition."""


@dataclass(frozen=True)
class Comparison:
    """All that two studies say of each other.

    Attributes
    ----------
    studies : Studies
    measures : pandas.DataFrame
        ``comparison``.
    fits : pandas.DataFrame
        ``comparison_fits``: no rows where no dataset is the same.
    apart : Apart
        The fits that differ most.
    n_paired : int
        Conditions whose datasets are the same.
    """

    studies: Studies
    measures: pd.DataFrame
    fits: pd.DataFrame
    apart: Apart
    n_paired: int

    def tables(self) -> dict[str, pa.Table]:
        """The tables, by the names of their files."""
        axes = by_fit.keys_of(self.studies.axes)
        schemas = {"comparison": pa.schema([*axes, *COMPARED])}
        schemas["comparison_fits"] = by_fit.schema(axes)
        frames = (self.measures, self.fits)
        return {
            name: pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            for (name, schema), frame in zip(schemas.items(), frames, strict=True)
        }


def compare(studies: Studies) -> Comparison:
    """Compare two studies, condition by condition, in bounded memory.

    Raises
    ------
    UsageError
        If a table can't be read.
    """
    measures: list[dict[str, Any]] = []
    of_fits: list[dict[str, Any]] = []
    apart = Apart(max(1, by_fit.MOST_FITS // len(studies.pairs)))
    n_paired = 0
    for key, one, two, same in studies.parts():
        n_paired += same
        levels = studies.levels(key)
        with np.errstate(all="ignore"):  # of a single dataset there is no spread
            measures += [levels | row for row in of_condition(studies, one, two, same)]
        for pair in studies.pairs if same else ():
            places = studies.a.names.index(pair.a.name), studies.b.names.index(pair.b.name)
            compared = Compared.of(one, two, places, pair.same_criterion)
            apart.add(pair, key, compared)
            names = {"strategy_a": pair.a.name, "strategy_b": pair.b.name}
            of_fits.append(levels | names | compared.row())
    axes = by_fit.keys_of(studies.axes)
    frame = pd.DataFrame(measures, columns=[*axes.names, *COMPARED.names])
    frame["p_adjusted"] = adjusted(frame["p_value"].to_numpy(float))
    frame["differs"] = frame["p_adjusted"] < LEVEL
    by_fits = pd.DataFrame(of_fits, columns=by_fit.schema(axes).names)
    return Comparison(studies, frame, by_fits, apart, n_paired)


def of_condition(studies: Studies, one: Part, two: Part, same: bool) -> Iterator[dict[str, Any]]:
    """The rows of a condition, but for its keys and the adjusted p-values."""
    places = positions(one, two, same)
    n_shared = int(np.intersect1d(*places).size)
    of_a, of_b = (
        {
            (row["strategy"], row["measure"], row["fits"], row["term"]): row
            for row in part.cell.of_strategies(side.study)
        }
        for part, side in ((one, studies.a), (two, studies.b))
    )
    for pair in studies.pairs:
        at = studies.a.names.index(pair.a.name), studies.b.names.index(pair.b.name)
        # where all fits converged in both, converged ones would say the same once more
        again = all(
            np.array_equal(part.cell.used(place, USES[0]), part.cell.used(place, USES[1]))
            for part, place in ((one, at[0]), (two, at[1]))
        )
        for (strategy, measure, use, term), a in of_a.items():
            if strategy != pair.a.name or (again and use == "converged"):
                continue
            b = of_b[pair.b.name, measure, use, term]
            k = None if term is None else term_names(one.cell.condition).index(term)
            row = {
                "strategy_a": pair.a.name,
                "strategy_b": pair.b.name,
                **{"term": term, "measure": measure, "fits": use, "n_shared": n_shared},
                **{f"{name}_a": a[name] for name in ("value", "mcse")},
                **{f"{name}_b": b[name] for name in ("value", "mcse")},
                **{"n_a": a["n_used"], "n_b": b["n_used"]},
                "reason": a["reason"] or b["reason"] or UNTESTED.get(measure),
            }
            if a["value"] is not None and b["value"] is not None:
                row["difference"] = b["value"] - a["value"]
                if a["mcse_defined"] and b["mcse_defined"] and measure not in UNTESTED:
                    values = [
                        spread(added(part.cell, place, measure, use, k), there, places)
                        for part, place, there in zip((one, two), at, places, strict=True)
                    ]
                    row |= tested(measure, values, row)
            yield row


def positions(one: Part, two: Part, same: bool) -> tuple[Places, Places]:
    """Where the datasets of A and B are among all: at the same place if they are the same."""
    if not same:
        return np.arange(len(one.sims)), len(one.sims) + np.arange(len(two.sims))
    _, places = np.unique(np.concatenate([one.sims, two.sims]), return_inverse=True)
    return places[: len(one.sims)], places[len(one.sims) :]


def spread(values: Array, there: Places, places: Sequence[Places]) -> Array:
    """A study's values at the places of its datasets among all."""
    found = np.full(1 + max(int(it.max()) for it in places), np.nan)
    found[there] = values
    return found


def added(cell: Cell, place: int, measure: str, use: str, term: int | None) -> Array:
    """What each dataset adds to a measure, or what the measure is a quantile of.

    Returns
    -------
    (n_run,) array
        NaN where the fit is not used.
    """
    if measure in RATES:
        return cell.went[measure][:, place]
    used: Flags = cell.used(place, use)
    found = np.full(cell.n_run, np.nan)
    if term is None and measure.endswith("_of_slopes"):
        of = AVERAGES[measure.removesuffix("_of_slopes")].of
        slopes = range(1, n_terms(cell.condition))
        found[used] = mean_over_terms([of(cell.fits(place, k, used)) for k in slopes])
    elif term is None:
        found[used] = cell.sums[measure.rpartition("_")[0]][used, place]
    else:
        used = used & cell.says(place, term)
        if measure == "rejection_of_run":
            found[:] = 0.0
            found[used] = np.nan_to_num(cell.fits(place, term, used).rejects_zero)
        elif measure in ORDERED:
            found[used] = ORDERED[measure][0](cell.fits(place, term, used))
        else:
            found[used] = MEANS[measure](cell.fits(place, term, used))
    return found


def tested(measure: str, values: Sequence[Array], row: dict[str, Any]) -> dict[str, Any]:
    """The standard error of a difference and its test, as the table has them."""
    errors = [np.nan if row[name] is None else row[name] for name in ("mcse_a", "mcse_b")]
    if measure in ORDERED or measure.endswith("_median"):
        share = ORDERED[measure][1] if measure in ORDERED else 0.5
        found = of_quantiles(values[0], values[1], share, (errors[0], errors[1]))
    else:
        found = of_means(*values)
    return numbers(found, row["difference"], float(np.fmax(errors[0], errors[1])))


def numbers(found: Test, difference: float, own: float) -> dict[str, Any]:
    """A test's numbers; none where a division has none."""
    z, own_mcses = np.divide(difference, found.mcse), np.divide(abs(difference), own)
    if difference == 0.0:
        z = own_mcses = np.float64(0.0)
    made = {"mcse": found.mcse, "z": z, "own_mcses": own_mcses, "p_value": found.p_value}
    return {name: by_fit.finite(float(value)) for name, value in made.items()}
