"""What a strategy costs against what it gives: processor time and accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rmsweep.axes import of_axis, significant
from rmsweep.design import Study
from rmsweep.figures import style
from rmsweep.figures.facets import Panel, Rows, View, facet_grid, read_measures
from rmsweep.figures.points import (
    LIMITS,
    SPECS,
    absent,
    chosen_terms,
    counted,
    reach,
    scale_ratios,
    undefined,
)
from rmsweep.sweep import tables


def read(timings: Path, measures: Path, view: View | None = None) -> Rows:
    """The processor time per fit of each condition and strategy, and the ratios of RMSEs.

    Raises
    ------
    UsageError
        If a file is no such table.
    """
    ratios = read_measures(measures, [SPECS["ratios"].measure], view)
    study = ratios.study
    keys = [*(axis.name for axis in study.axes), "strategy"]
    table = tables.read(
        timings,
        "timings",
        columns=[*keys, "cpu_seconds"],
        use_threads=False,
        read_dictionary=["strategy"],
    )
    spent = cpu_per_fit(table.to_pandas(), keys, study)
    frame = ratios.frame.astype({"strategy": "str"}).merge(spent, on=keys, how="left")
    frame["strategy"] = pd.Categorical(frame["strategy"], categories=ratios.view.names)
    return Rows(frame, ratios.view, "", ratios.made_with)


def cpu_per_fit(timings: pd.DataFrame, keys: list[str], study: Study) -> pd.DataFrame:
    """The median time of a fit, that of a shared one for each of the strategies that share it.

    Parameters
    ----------
    timings : pandas.DataFrame
        The keys and ``cpu_seconds``.
    keys : list of str
        The axes and ``strategy``.
    study : Study

    Returns
    -------
    pandas.DataFrame
        The keys and ``cpu``, in seconds.
    """
    spent = timings.groupby(keys, observed=True)["cpu_seconds"].median().rename("cpu").reset_index()
    spent["strategy"] = spent["strategy"].astype(str)
    bearers: dict[object, str] = {}
    for strategy in study.strategies:
        bearers.setdefault(strategy.fit_key, strategy.name)
    bearer = {one.name: bearers[one.fit_key] for one in study.strategies}
    spent["bearer"] = spent["strategy"].map(bearer)
    theirs = spent[[*keys, "cpu"]].rename(columns={"strategy": "bearer", "cpu": "shared"})
    spent = spent.merge(theirs, on=[*keys[:-1], "bearer"], how="left")
    spent["cpu"] += spent["shared"].where(spent["bearer"] != spent["strategy"], 0.0)
    return spent[[*keys, "cpu"]]


def draw(rows: Rows) -> Figure:
    """Draw the grid of times and ratios.

    Parameters
    ----------
    rows : Rows
        What `read` gives, or a slice of it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    view, spec = rows.view, SPECS["ratios"]
    reference = view.reference.name
    own = rows.frame[rows.frame["measure"] == spec.measure]
    terms = chosen_terms(rows, list(dict.fromkeys(own["term"])))
    term = next((term for term in terms if term != "Intercept"), next(iter(terms), "none"))
    own = own[own["term"] == term]
    # the reference has a cost, too, and a ratio of one
    itself = rows.frame[
        (rows.frame["measure"] == "convergence_rate") & (rows.frame["strategy"] == reference)
    ]
    own = pd.concat([own, itself.assign(value=1.0, low=np.nan, high=np.nan)])
    far = rows.far_apart(reach(own, spec))
    beyond = own[own["x"].isin(far)]
    own = own[~own["x"].isin(far)]
    left_out = (
        f" Left out, for ratios of up to {significant(beyond['value'].max(), 2)}: {', '.join(far)}."
        if far
        else ""
    )
    larger = ", larger ones for higher levels" if rows.ordered else ""
    by_engine: dict[str, list[str]] = {}
    for one in view.shown:
        by_engine.setdefault(one.engine, []).append(one.name)
    engines = "; ".join(f"{engine} ({', '.join(own)})" for engine, own in by_engine.items())
    subtitle = (
        f"Median processor time of a fit against RMSE over that of {reference}, for the "
        f"coefficient {term}. Best is the lower left: fast and accurate. "
        f"One mark per level of {of_axis(view.layout.x).noun}{larger}; "
        f"lines are 95% intervals. {counted(own['n_used'], 'fit')} per mark. Programs: {engines}. "
        f"A fit that strategies share counts for each of them.{left_out}{undefined(own)}"
    )
    xlabel = "Processor time per fit (milliseconds)"
    title = "Cost against accuracy"
    label = spec.label.format(reference=reference)

    def inside_of(frame: pd.DataFrame) -> pd.DataFrame:
        key = frame[["row", "column"]].iloc[0]
        return own[(own["row"] == key["row"]) & (own["column"] == key["column"])]

    def notes(frame: pd.DataFrame) -> str:
        return absent(inside_of(frame), rows)

    figure, panels = facet_grid(rows, title, subtitle, label, notes=notes, xlabel=xlabel)
    limits = LIMITS["ratio"](own, 1.0)
    times = 1e3 * own["cpu"][own["cpu"] > 0]
    ends = (times.min() / 1.5, 1.5 * times.max()) if len(times) else (0.1, 10.0)
    for panel in panels:
        inside = inside_of(panel.frame)
        panel.axes.grid(axis="x")
        if panel.first:
            scale_ratios(panel.axes, limits)
            panel.axes.set(xscale="log", xlim=ends, ylim=limits)
            panel.axes.xaxis.set_major_locator(LogLocator(numticks=6))
            panel.axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
            panel.axes.xaxis.set_minor_locator(NullLocator())
        panel.axes.axhline(1.0, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
        draw_marks(panel, inside, rows)
    return figure


def draw_marks(panel: Panel, inside: pd.DataFrame, rows: Rows) -> None:
    """Draw the marks of one panel, those of a strategy joined along an x axis with an order."""
    n_levels = len(rows.labels)
    for name, look in rows.view.looks.items():
        own = inside[(inside["strategy"] == name) & (inside["value"] > 0)].sort_values("x")
        x = 1e3 * own["cpu"]
        size = 3.0 + 4.0 * (own["x"].cat.codes + 1) / n_levels if rows.ordered else 5.0
        if rows.ordered:
            panel.axes.plot(x, own["value"], color=look.colour, linewidth=0.6)
        bounded = own["low"].notna()
        panel.axes.vlines(
            x[bounded], own["low"][bounded], own["high"][bounded], color=look.colour, linewidth=0.7
        )
        panel.axes.scatter(
            x,
            own["value"],
            s=size**2,
            marker=look.marker,
            color=look.colour,
            edgecolor="white",
            linewidth=0.4,
            zorder=3,
            clip_on=False,
        )
