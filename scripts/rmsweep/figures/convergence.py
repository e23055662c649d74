"""Bars of how the fits of every condition and strategy went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rmsweep import strategies
from rmsweep.design import Strategy, Verdict
from rmsweep.figures import style
from rmsweep.figures.facets import (
    KEYS,
    Panel,
    Rows,
    View,
    facet_grid,
    in_order,
    legend,
    read_fits,
    read_measures,
    where,
)
from rmsweep.figures.points import MEANINGFUL, counted
from rmsweep.measures.causes import CAUSES, COLUMNS, counts
from rmsweep.measures.performance import MISSED
from rmsweep.measures.rates import success_rates
from rmsweep.sweep import tables

RULES: dict[Verdict, str] = {
    "strict": "any warning or message is a failure, a singular fit included (lme4 from 1.1-19 on)",
    "published": "a singular fit is no failure (lme4 up to 1.1-18, as in the post's figures)",
}
NATIVE = (
    " by the native engine, at whose optimum hardly anything but singularity can fail: this is not "
    "how often lme4 fails."
)


class Fill(NamedTuple):
    """How the part of a bar looks that stands for a cause: shades and hatches tell them apart."""

    colour: str
    hatch: str = ""


FILLS = {
    "none": Fill("#E3E3E3"),
    "singular": Fill("#9CC3E6"),
    "df": Fill("#7E6BAF", "...."),
    "gradient": Fill("#E0A030", "////"),
    "hessian": Fill("#A65A1A", "\\\\\\\\"),
    "other": Fill("#5F9E8F", "xxxx"),
    "optimizer": Fill("#C2374B", "||||"),
    "failed": Fill("#1A1A1A"),
}


def read_successes(path: Path, view: View) -> Rows:
    """Whether fits converged by their strategies' verdicts."""
    return read_fits(path, "fit_success", view)


def read_causes(path: Path, view: View | None = None) -> Rows:
    """How many fits have which warning, and the rate of missed optima from ``performance``.

    Raises
    ------
    UsageError
        If a file is no such table.
    """
    missed = read_measures(path.with_name("performance.parquet"), ["missed_optimum_rate"], view)
    view = missed.view
    keys = [*(axis.name for axis in view.study.axes), "strategy"]
    with tables.naming(path, "fits"):
        batches = pq.ParquetFile(path).iter_batches(columns=[*keys, *COLUMNS], use_threads=False)
        frame = counts(batches, keys)
    rates = missed.frame[missed.frame["measure"] == "missed_optimum_rate"]
    # the same names, without the figures' order
    rates = rates[[*keys, "value", "low", "high"]].astype({"strategy": "str"})
    frame = frame.merge(rates, on=keys, how="left")
    frame = frame[frame["strategy"].isin(view.names)]
    return Rows(in_order(frame, view), view, "", missed.made_with)


def draw(rows: Rows) -> Figure:
    """Draw the grid of causes, stacked, with the rates of missed optima.

    Parameters
    ----------
    rows : Rows
        What `read_causes` gives, or a slice of it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    frame, view = rows.frame, rows.view
    says = frame.groupby("strategy", observed=True)["says"].any()
    silent = [strategy for strategy in view.shown if not says.get(strategy.name, False)]
    talking = len(silent) < len(view.shown)
    if talking:
        rows = rows.without(silent)
        frame = rows.frame
    found = [cause for cause in CAUSES if frame[cause].any()]
    known = frame["value"].notna().any()
    subtitle = (
        f"Each fit counts once, by its gravest warning. {counted(frame['n'], 'fit')} per bar; "
        f"marks above the bars say whose they are. {rules(rows.view.shown)}."
    )
    if known:
        subtitle += (
            f" White dots: share of fits that ended more than {MISSED:g} above the optimum, with "
            "95% Wilson intervals; most warnings are about fits that did not."
        )
    fewest = frame.assign(share=frame["none"] / frame["n"]).nsmallest(1, "share")
    for _, row in fewest[(fewest["share"] < 1) & (fewest["n"] >= MEANINGFUL)].iterrows():
        place = where(view, frame, row)
        subtitle += (
            f" Fewest without a warning: {row['strategy']}{' with ' + place if place else ''}: "
            f"{row['share']:.0%}."
        )
    if silent and talking:
        subtitle += (
            f" Without a single warning, and left out: {', '.join(one.name for one in silent)}."
        )
    elif silent:
        subtitle += " No fit has any warning."
    subtitle += natively(rows.view.shown) + view.omission
    entries = legend(rows.view) | {CAUSES[cause]: FILLS[cause].colour for cause in found}
    figure, panels = facet_grid(
        rows, "Fits without a warning, and the warnings", subtitle, "Fits", entries=entries
    )
    for panel in panels:
        if panel.first:
            panel.axes.set_ylim(0, 1.1)
            panel.axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
            panel.axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        draw_stacks(panel, rows, found)
    return figure


def draw_stacks(panel: Panel, rows: Rows, found: Sequence[str]) -> None:
    """Draw the bars of one panel, the strategies' marks, and the missed optima."""
    for code, (name, look) in enumerate(rows.view.looks.items()):
        own = panel.frame[panel.frame["strategy"] == name]
        x = rows.position(own["x"].cat.codes, code)
        foot = 0.0 * x
        for cause in found:
            share = own[cause] / own["n"]
            fill = FILLS[cause]
            some = share > 0
            panel.axes.bar(
                x[some],
                share[some],
                bottom=foot[some],
                width=0.85 * rows.step,
                facecolor=fill.colour,
                edgecolor="white",
                hatch=fill.hatch,
                linewidth=0.0 if panel.crowded else 0.3,
            )
            foot = foot + share
        size = 2.5 if panel.crowded else 4.0
        panel.axes.plot(
            x, 0 * x + 1.055, look.marker, color=look.colour, markersize=size, clip_on=False
        )
        panel.axes.vlines(x, own["low"], own["high"], color="black", linewidth=1)
        panel.axes.plot(
            x,
            own["value"],
            "o",
            markersize=0.8 * size,
            color="black",
            markerfacecolor="white",
            markeredgewidth=0.8,
            clip_on=False,
            zorder=4,
        )


def draw_rates(rows: Rows) -> Figure:
    """Draw the grid of convergence rates, with 95% intervals, as in the post.

    Parameters
    ----------
    rows : Rows
        The table, with ``fit_success`` as its value.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rates = success_rates(rows.frame, KEYS)
    subtitle = (
        f"{rules(rows.view.shown)}; a fit that gave no result failed. "
        f"{counted(rates['n'], 'fit')} per bar, in the legend's order; "
        f"lines are 95% Wilson intervals.{natively(rows.view.shown)}"
    )
    figure, panels = facet_grid(rows, "Convergence", subtitle, "Fits that converged")
    for panel in panels:
        if panel.first:
            panel.axes.set_ylim(0, 1.01)
            panel.axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        draw_bars(panel, rows, rates)
    return figure


def natively(chosen: Sequence[Strategy]) -> str:
    """What to know of rates of the native engine, as a sentence; empty where it fitted nothing."""
    native = [
        strategy.name
        for strategy in chosen
        if strategy.engine == "native" and strategies.engines(strategy.family)[0] == "lme4"
    ]
    listed = " and ".join(filter(None, [", ".join(native[:-1]), *native[-1:]]))
    return f" {listed}{NATIVE}" if native else ""


def rules(chosen: Sequence[Strategy]) -> str:
    """The verdicts in words, with the strategies that each is for where they differ."""
    by_verdict: dict[Verdict, list[str]] = {}
    for strategy in chosen:
        by_verdict.setdefault(strategy.verdict, []).append(strategy.name)
    texts = []
    for verdict, names in by_verdict.items():
        whose = f" for {', '.join(names)}" if len(by_verdict) > 1 else ""
        texts.append(f"Rule “{verdict}”{whose}: {RULES[verdict]}")
    return "; ".join(texts)


def draw_bars(panel: Panel, rows: Rows, rates: pd.DataFrame) -> None:
    """Draw the bars of one panel and their intervals."""
    frame = rates.loc[panel.key].reset_index()
    for code, (name, look) in enumerate(rows.view.looks.items()):
        own = frame[frame["strategy"] == name]
        x = rows.position(own["x"].cat.codes, code)
        panel.axes.bar(
            x,
            own["rate"],
            width=0.85 * rows.step,
            facecolor=style.tint(look.colour),
            edgecolor=look.colour,
            linewidth=0.8,
        )
        panel.axes.vlines(x, own["low"], own["high"], color=style.INK, linewidth=1)
