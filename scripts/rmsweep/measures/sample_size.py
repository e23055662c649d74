"""How many groups it takes to find an effect with a wanted power, from a study's power curves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import ndtri

from rmsweep.data.dataset import Array
from rmsweep.design import MAIN, Power, Study
from rmsweep.measures.rates import wilson_interval
from rmsweep.sweep import tables

GROUPS = MAIN[0]
NEEDED = ("rejection_of_run", "size")
"""Measures of ``performance``. A fit that fails finds nothing."""
FOUND = pa.schema(
    [
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("term", pa.string(), nullable=False),
        pa.field("target", pa.float64(), nullable=False),
        (GROUPS, pa.int64()),
        ("low", pa.int64()),
        ("high", pa.int64()),
        ("design", pa.int64()),
        ("power", pa.float64()),
        ("power_mcse", pa.float64()),
        ("size", pa.float64()),
        ("size_mcse", pa.float64()),
        ("says", pa.string()),
    ]
)
"""The columns of ``sample_sizes`` beyond the axes'."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A strategy's power in designs that differ in their number of groups alone; k designs.

    Attributes
    ----------
    n_groups : (k,) array
        In ascending order.
    rates : (k,) array
        Shares of the datasets in which zero is rejected.
    n_sims : (k,) array
        Datasets of each design.
    """

    n_groups: Array
    rates: Array
    n_sims: Array

    def smallest(self, target: float) -> tuple[int | None, int | None, int | None]:
        """The least number of groups with that power, and a 95% interval for Monte Carlo error.

        Power grows with the number of groups, so designs where it falls are pooled with their
        neighbours (isotonic regression by pooling adjacent violators; Ayer et al. 1955, Annals of
        Mathematical Statistics 26:641). Between designs the normal quantile of power is linear in
        the square root of the number of groups, as it is for a z test. The interval ends where the
        upper and the lower Wilson limits of power reach the target.

        Returns
        -------
        estimate, low, high : int or None
            None for the estimate or `high` if no design reaches the target, for `low` and the
            estimate if all do.
        """
        rates, n = pooled(self.rates, self.n_sims)
        low, high = wilson_interval(rates * n, n)
        return (
            self._reaches(rates, n, target),
            self._reaches(high, n, target),
            self._reaches(low, n, target),
        )

    def _reaches(self, rates: Array, n: Array, target: float) -> int | None:
        """Where a curve reaches the target between two designs; None if it doesn't."""
        there = np.flatnonzero(rates >= target)
        if not len(there) or not there[0]:
            return None
        place = int(there[0])
        pair = slice(place - 1, place + 1)
        # a rate of 0 or 1 is one that has not been seen to be another
        z = ndtri(np.clip(rates[pair], 0.5 / n[pair], 1 - 0.5 / n[pair]))
        share = (ndtri(target) - z[0]) / (z[1] - z[0]) if z[1] > z[0] else 1.0
        roots = np.sqrt(self.n_groups[pair])
        root = roots[0] + min(max(share, 0.0), 1.0) * (roots[1] - roots[0])
        return math.ceil(float(root) ** 2 - 1e-9)


def pooled(rates: Array, weights: Array) -> tuple[Array, Array]:
    """Rates that never fall, and the weights behind each: neighbours where they do are pooled."""
    parts: list[tuple[float, float, int]] = []
    for rate, weight in zip(rates, weights, strict=True):
        part = float(rate), float(weight), 1
        while parts and parts[-1][0] > part[0]:
            before = parts.pop()
            total = before[1] + part[1]
            mean = (before[0] * before[1] + part[0] * part[1]) / total
            part = mean, total, before[2] + part[2]
        parts.append(part)
    lengths = [length for *_, length in parts]
    return (
        np.repeat([rate for rate, *_ in parts], lengths),
        np.repeat([weight for _, weight, _ in parts], lengths),
    )


def sample_sizes(study: Study, power: Power, performance: pd.DataFrame) -> pa.Table:
    """The least number of groups of every strategy, for each combination of the other axes.

    Parameters
    ----------
    study : Study
    power : Power
        What it asks.
    performance : pandas.DataFrame
        Its table, at least the rows of `NEEDED`.

    Returns
    -------
    pyarrow.Table
        With the columns of `schema`.
    """
    frame = performance[(performance["term"] == power.effect) & (performance["fits"] == "all")]
    rows = [row for part in _parts(study, frame) for row in _of_part(study, power, *part)]
    return pa.Table.from_pylist(rows, schema=schema(study))


def schema(study: Study) -> pa.Schema:
    """The columns of ``sample_sizes``."""
    axes = [field for field in tables.keys(study.axes) if field.name in _others(study)]
    return pa.schema([*axes, *FOUND])


def _others(study: Study) -> list[str]:
    """The axes beside the number of groups."""
    return [axis.name for axis in study.axes if axis.name != GROUPS]


def _parts(study: Study, frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The levels of the other axes, and the rows of their designs, in the tables' order."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for condition in study.conditions:
        levels = tables.levels(study.axes, condition)
        levels = {name: levels[name] for name in _others(study)}
        seen[tuple(levels.values())] = levels
    for levels in seen.values():
        inside = np.logical_and.reduce([frame[name] == at for name, at in levels.items()])
        if inside.any():
            yield levels, frame[inside]


def _of_part(
    study: Study, power: Power, levels: dict[str, Any], frame: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """The rows of the strategies, in the study's order."""
    for strategy in study.strategies:
        own = frame[frame["strategy"] == strategy.name].set_index(GROUPS).sort_index()
        found = own[(own["measure"] == "rejection_of_run") & own["value"].notna()]
        if found.empty:
            continue
        n_groups, rates = found.index.to_numpy(), found["value"].to_numpy(float)
        n_run = found["n_run"].to_numpy(float)
        estimate, low, high = Curve(n_groups.astype(float), rates, n_run).smallest(power.target)
        # the design that the estimate comes from, or the one nearest to it
        reached = pooled(rates, n_run)[0] >= power.target
        place = int(reached.argmax()) if reached.any() else len(rates) - 1
        design, size = int(n_groups[place]), own[own["measure"] == "size"]
        at = found.iloc[place]
        says = f"between designs, the next one being {design}"
        if estimate is None:
            bound = "at most" if reached.any() else "more than"
            says = f"{bound} {design}, where power is {at['value']:.1%}"
        yield {
            **levels,
            "strategy": strategy.name,
            "term": power.effect,
            "target": power.target,
            GROUPS: estimate,
            "low": low,
            "high": high,
            "design": design,
            "power": at["value"],
            "power_mcse": at["mcse"],
            "size": size["value"].get(design),
            "size_mcse": size["mcse"].get(design),
            "says": says,
        }
