"""Box plots over jittered points of one metric, for every condition and strategy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from rmsweep.axes import significant
from rmsweep.design import Strategy
from rmsweep.figures import style
from rmsweep.figures.colours import Look
from rmsweep.figures.facets import KEYS, Panel, Rows, facet_grid, legend, sizes, spelled
from rmsweep.figures.points import MEANINGFUL, NO_RESULT, counted, say_empty
from rmsweep.measures.distributions import box_statistics
from rmsweep.measures.sums import TEXTS

Scale = Literal["linear", "log"]

MAX_POINTS = 100
MAX_VECTOR_BOXES = 1000


ADVICE = {
    "coef_abs_err": "Lower is better.",
    "se_sum": "Lower is better only as far as it is true: see the figures of reported over actual "
    "standard errors and of coverage.",
    "t_sum": "Larger is not better: it is earned only if the intervals also cover (see coverage).",
}
FAILED = "failed"
"""The status of a fit without estimates."""
NARROW = 0.075
"""Inches from one box to the next below which they are lines of quartiles, and marks of medians."""
FEW = 5
"""Values below which a box would say more than there is."""


def draw(rows: Rows, metric: str, scale: Scale = "log") -> Figure:
    """Draw the grid of box plots of a metric.

    Boxes and whiskers come from all fits; of more than `MAX_POINTS` in a box, the points are
    its first ones, which are the first replications.

    Parameters
    ----------
    rows : Rows
        The table, with the metric as its value.
    metric : str
        Its name, for the titles (`rmsweep.measures.sums.TEXTS`).
    scale : {"log", "linear"}
        Of the y axis. Linear, as in the post, it leaves the conditions with small values flat:
        the metrics span two to three orders of magnitude over the post's grid.

    Returns
    -------
    matplotlib.figure.Figure
    """
    known = np.isfinite(rows.frame["value"]).groupby(rows.frame["strategy"], observed=True).any()
    silent = [one for one in rows.view.shown if not known.get(one.name, False)]
    left_out = ""
    if 0 < len(silent) < len(rows.view.shown):
        rows = rows.without(silent)
        names = ", ".join(one.name for one in silent)
        left_out = f" Left out, for lack of an estimate of each coefficient: {names}."
    omission = rows.view.omission
    rows, entries, shared = without_copies(rows)
    boxes = box_statistics(rows.frame, KEYS)
    if scale == "log":
        apart = rows.far_apart(boxes["med"].droplevel(["row", "column", "strategy"]))
        if apart:
            rows = rows.set_apart(apart)
            boxes = box_statistics(rows.frame, KEYS)
    thinned = len(boxes) and boxes["n"].max() > MAX_POINTS
    points = f"the first {MAX_POINTS} fits of each box" if thinned else "all fits"
    title, ylabel = TEXTS[metric]
    fits = counted(rows.frame.groupby(KEYS, observed=True).size(), "fit")
    narrow = sizes(rows).step < NARROW
    drawn = (
        "Marks: medians, in the legend's order. Lines: from the lower to the upper quartile."
        if narrow
        else f"Points: {points}, converged or not. Boxes, in the legend's order: quartiles, with "
        "Tukey's whiskers; the strategy's mark is at the median. Triangles: there are points "
        "beyond."
    )
    subtitle = (
        f"{ADVICE[metric]} {farthest(boxes, rows)}{fits} per {'mark' if narrow else 'box'}. "
        f"{drawn}{shared}{rows.apartness}{left_out}{omission}"
    )
    is_apart = boxes.index.get_level_values("x").isin(rows.apart)
    seen = boxes.assign(whislo=boxes["q1"], whishi=boxes["q3"]) if narrow else boxes
    limits_of = [y_limits(seen[is_apart == kind], scale) for kind in (False, True)]

    def notes(frame: pd.DataFrame) -> str:
        if narrow:
            return remarks(frame, (-np.inf, np.inf))
        kinds = frame["x"].isin(rows.apart).map(lambda kind: limits_of[kind])
        return remarks(frame, (kinds.str[0], kinds.str[1]))

    figure, panels = facet_grid(rows, title, subtitle, ylabel, notes=notes, entries=entries)
    for panel in panels:
        limits = limits_of[panel.apart]
        if panel.first:
            panel.axes.set(yscale=scale, ylim=limits)
        if panel.first and scale == "log":
            label_decades(panel.axes, limits)
        if not narrow:
            draw_points(panel, rows, limits)
        draw_boxes(panel, rows, boxes, narrow)
        if not np.isfinite(panel.frame["value"]).any():
            say_empty(panel.axes, NO_RESULT)
    return figure


def without_copies(rows: Rows) -> tuple[Rows, dict[str, Look], str]:
    """The rows with one of the strategies that have the same values, such as errors of one fit.

    Returns
    -------
    rows : Rows
    entries : dict of str to Look
        The legend, which names all.
    shared : str
        That some are drawn as one, as a sentence; empty if none are.
    """
    same: list[list[Strategy]] = []
    values = dict(list(rows.frame.groupby("strategy", observed=True)["value"]))
    for one in rows.view.shown:
        own = values.get(one.name, pd.Series(dtype=float)).to_numpy()
        for others in same:
            first = values.get(others[0].name, pd.Series(dtype=float)).to_numpy()
            alike = len(own) == len(first) and np.allclose(own, first, rtol=1e-9, equal_nan=True)
            if alike and np.isfinite(own).any():
                others.append(one)
                break
        else:
            same.append([one])
    copies = [one for _, *others in same for one in others]
    entries = legend(rows.view)
    if not copies:
        return rows, entries, ""
    looks = rows.view.looks
    entries = {
        f"{', '.join(it.name for it in own)}: {own[0].label}": looks[own[0].name] for own in same
    }
    return rows.without(copies), entries, " Strategies with one mark have the same values."


def farthest(boxes: pd.DataFrame, rows: Rows) -> str:
    """The median that is farthest from the reference's, as a sentence; empty if there is none."""
    view = rows.view
    medians = boxes.loc[boxes["n"] >= MEANINGFUL, "med"]
    conditions = medians.index.droplevel("strategy")
    own = medians.index.get_level_values("strategy") == view.reference.name
    reference = pd.Series(medians[own].to_numpy(), conditions[own]).reindex(conditions)
    ratios = medians / reference.to_numpy()
    ratios = ratios[(ratios > 0) & np.isfinite(ratios) & (ratios != 1)]
    if ratios.empty or significant(np.exp(np.abs(np.log(ratios)).max()), 2) == "1":
        return ""
    *levels, strategy = ratios.index[np.argmax(np.abs(np.log(ratios)))]
    layout = view.layout
    at = [
        spelled(axis, level)
        for axis, level in zip((layout.rows, layout.columns, layout.x), levels, strict=True)
        if len(view.study.levels(axis)) > 1
    ]
    place = f" with {', '.join(at)}" if at else ""
    return (
        f"Farthest from {view.reference.name}: {strategy}{place}, whose median is "
        f"{significant(ratios.loc[(*levels, strategy)], 2)} times as large. "
    )


def y_limits(boxes: pd.DataFrame, scale: Scale) -> tuple[float, float]:
    """Limits of the shared axis: the ends of the longest whiskers, and a little more.

    All boxes and whiskers are whole, and no single point, however far, flattens them. A linear
    axis begins at 0.
    """
    positive = boxes[boxes["whishi"] > 0]
    if positive.empty:
        return (0.0, 1.0) if scale == "linear" else (0.1, 1.0)
    top = float(positive["whishi"].max())
    if scale == "linear":
        return 0.0, 1.04 * top
    lowest = float(positive["whislo"].where(positive["whislo"] > 0, positive["whishi"]).min())
    return lowest / 1.15, top * 1.15


def label_decades(axes: Axes, limits: tuple[float, float]) -> None:
    """Label a log axis in plain numbers, 2 and 5 between the powers of ten where they fit."""
    span = limits[1] / limits[0]
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if span < 6 else (1, 2, 5) if span < 2000 else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())


Limits = tuple[float | pd.Series, float | pd.Series]
"""Of the y axis: for all values, or for each."""


def remarks(frame: pd.DataFrame, limits: Limits) -> str:
    """What a panel doesn't show: points, fits, and strategies for which there is no such sum."""
    known = np.isfinite(frame["value"]).groupby(frame["strategy"], observed=True).any()
    silent = [] if not known.any() else list(known.index[~known])
    frame = frame[~frame["strategy"].isin(silent)]
    text = note(frame["value"], limits, int((frame["status"] == FAILED).sum()))
    return ", ".join(filter(None, [text, f"no values: {', '.join(silent)}" if silent else ""]))


def note(values: pd.Series, limits: Limits, failed: int = 0) -> str:
    """``12 points above (largest 31), 3 failed fits not shown``; empty if all is to be seen.

    Fits that did not fail have no sum where they lack a coefficient.
    """
    finite = values[np.isfinite(values)]
    least, most = (
        end[finite.index] if isinstance(end, pd.Series) else pd.Series(end, finite.index)
        for end in limits
    )
    above, below = finite[finite > most], finite[finite < least]
    parts = []
    if len(above):
        parts.append(f"{plural(len(above), 'point')} above (largest {significant(above.max(), 3)})")
    if len(below):
        least_of_all = significant(below.min(), 3)
        parts.append(f"{plural(len(below), 'point')} below (smallest {least_of_all})")
    if failed:
        parts.append(f"{plural(failed, 'failed fit')} not shown")
    if partial := len(values) - len(finite) - failed:
        verb = "lacks" if partial == 1 else "lack"
        parts.append(f"{plural(partial, 'fit')} {verb} a coefficient")
    return ", ".join(parts)


def plural(number: int, what: str) -> str:
    """``1 point``, ``1,200 points``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def draw_points(panel: Panel, rows: Rows, limits: tuple[float, float]) -> None:
    """Draw the points of one panel, and the triangles of those beyond its limits."""
    finite = panel.frame[np.isfinite(panel.frame["value"])]
    centre = rows.position(finite["x"].cat.codes, finite["strategy"].cat.codes)
    groups = finite.groupby(["x", "strategy"], observed=True)
    drawn = groups.cumcount() < MAX_POINTS
    few = groups["value"].transform("size") < FEW
    rng = np.random.default_rng(0)
    for name, look in rows.view.looks.items():
        own = drawn & (finite["strategy"] == name)
        for alone in (False, True):
            these = own & (few == alone)
            # as wide as the box is
            jitter = rows.step * rng.uniform(-0.3, 0.3, int(these.sum()))
            panel.axes.scatter(
                centre[these] + jitter,
                finite["value"][these],
                color=look.colour,
                marker=look.marker if alone else "o",
                s=14 if alone else 3,
                alpha=1.0 if alone else 0.5,
                linewidths=0,
                rasterized=True,
            )
        for beyond, edge, marker in (
            (finite["value"] > limits[1], 0.985, "^"),
            (finite["value"] < limits[0], 0.015, "v"),
        ):
            marked = np.unique(centre[beyond & (finite["strategy"] == name)])
            panel.axes.plot(
                marked,
                np.full(len(marked), edge),
                marker,
                markersize=3.5,
                color=look.colour,
                transform=panel.axes.get_xaxis_transform(),
            )


def draw_boxes(panel: Panel, rows: Rows, boxes: pd.DataFrame, narrow: bool) -> None:
    """Draw the boxes of one panel; where they are too many to be told apart, lines of medians."""
    frame = boxes.reset_index()
    frame = frame[(frame["row"] == panel.key[0]) & (frame["column"] == panel.key[1])]
    frame = frame[frame["x"].isin(rows.apart) == panel.apart]
    as_pixels = len(boxes) > MAX_VECTOR_BOXES
    for code, (name, look) in enumerate(rows.view.looks.items()):
        own = frame[(frame["strategy"] == name) & ((frame["n"] >= FEW) | narrow)]
        x = rows.position(own["x"].cat.codes, code)
        if narrow:
            panel.axes.vlines(
                x, own["q1"], own["q3"], color=look.colour, linewidth=0.8, rasterized=as_pixels
            )
            panel.axes.plot(
                *(x, own["med"], look.marker),
                color=look.colour,
                linestyle=look.line if rows.ordered else "none",
                linewidth=0.8,
                markersize=2.5 if panel.crowded else 3.5,
            )
            continue
        width = 0.75 * rows.step
        panel.axes.vlines(
            x, own["whislo"], own["whishi"], color=look.colour, linewidth=0.8, rasterized=as_pixels
        )
        panel.axes.bar(
            x,
            own["q3"] - own["q1"],
            bottom=own["q1"],
            width=width,
            facecolor=style.tint(look.colour),
            edgecolor=look.colour,
            linewidth=0.8,
            zorder=2,
            rasterized=as_pixels,
        )
        panel.axes.hlines(
            own["med"],
            x - width / 2,
            x + width / 2,
            color=style.INK,
            linewidth=1.1,
            zorder=3,
            rasterized=as_pixels,
        )
        if not rows.view.post:
            panel.axes.plot(
                *(x, own["med"], look.marker),
                color=look.colour,
                markersize=min(max(0.35 * 72 * panel.step, 3.2), 7.0),
                markeredgecolor="white",
                markeredgewidth=0.4,
                zorder=4,
            )
