"""Box plots over jittered points of one metric, for every condition and strategy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from rmsweep.figures import style
from rmsweep.figures.facets import KEYS, Fits, Panel, facet_grid
from rmsweep.measures.distributions import box_statistics
from rmsweep.measures.sums import TEXTS

Scale = Literal["linear", "log"]

MAX_POINTS = 100
MAX_VECTOR_BOXES = 1000


def draw(fits: Fits, metric: str, scale: Scale = "log") -> Figure:
    """Draw the grid of box plots of a metric.

    Boxes and whiskers come from all fits; of more than `MAX_POINTS` in a box, the points are
    its first ones, which are the first replications.

    Parameters
    ----------
    fits : Fits
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
    boxes = box_statistics(fits.frame, KEYS)
    thinned = len(boxes) and boxes["n"].max() > MAX_POINTS
    points = f"the first {MAX_POINTS} fits of each box" if thinned else "all fits"
    title, ylabel = TEXTS[metric]
    subtitle = (
        f"Points: {points}, also those that did not converge. Boxes, in the legend's order: "
        "quartiles, with whiskers to the last value within 1.5 interquartile ranges. The axis "
        "ends with the longest whisker: triangles mark the boxes that have points beyond, and "
        "each panel says how many."
    )
    figure, panels = facet_grid(fits, title, subtitle, ylabel, notes=True)
    limits = y_limits(boxes, scale)
    for panel in panels:
        panel.axes.set(yscale=scale, ylim=limits)
        if scale == "log":
            label_decades(panel.axes, limits)
        draw_points(panel, fits, limits)
        draw_boxes(panel, fits, boxes)
        text = style.wrap(note(*outside(panel.frame, limits)), panel.width)
        panel.axes.set_title(text, loc="right", pad=3)
    return figure


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
    few = limits[1] < 2000 * limits[0]
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def outside(frame: pd.DataFrame, limits: tuple[float, float]) -> tuple[int, int, int]:
    """How many points lie above and below the limits, and how many fits have no value."""
    finite = np.isfinite(frame["value"])
    values = frame["value"][finite]
    above, below = int((values > limits[1]).sum()), int((values < limits[0]).sum())
    return above, below, int((~finite).sum())


def note(above: int, below: int, failed: int) -> str:
    """``12 points above, 3 failed fits not shown``; empty if all is to be seen."""
    counts = {"point{} above": above, "point{} below": below, "failed fit{} not shown": failed}
    return ", ".join(
        f"{count:,} {text.format('s' * (count > 1))}" for text, count in counts.items() if count
    )


def draw_points(panel: Panel, fits: Fits, limits: tuple[float, float]) -> None:
    """Draw the points of one panel, and the triangles of those beyond its limits."""
    finite = panel.frame[np.isfinite(panel.frame["value"])]
    centre = fits.position(finite["sigma"].cat.codes, finite["strategy"].cat.codes)
    drawn = finite.groupby(["sigma", "strategy"], observed=True).cumcount() < MAX_POINTS
    jitter = fits.step * np.random.default_rng(0).uniform(-0.4, 0.4, int(drawn.sum()))
    panel.axes.scatter(
        centre[drawn] + jitter,
        finite["value"][drawn],
        c=finite["strategy"][drawn].map(style.palette(fits.names)).tolist(),
        s=3,
        alpha=0.5,
        linewidths=0,
        rasterized=True,
    )
    for beyond, edge, marker in (
        (finite["value"] > limits[1], 0.985, "^"),
        (finite["value"] < limits[0], 0.015, "v"),
    ):
        marked = np.unique(centre[beyond])
        panel.axes.plot(
            marked,
            np.full(len(marked), edge),
            marker,
            markersize=3,
            color=style.INK,
            transform=panel.axes.get_xaxis_transform(),
        )


def draw_boxes(panel: Panel, fits: Fits, boxes: pd.DataFrame) -> None:
    """Draw the boxes of one panel."""
    frame = boxes.reset_index()
    frame = frame[(frame["n_groups"] == panel.key[0]) & (frame["n_obs"] == panel.key[1])]
    as_pixels = len(boxes) > MAX_VECTOR_BOXES
    for code, (name, colour) in enumerate(style.palette(fits.names).items()):
        own = frame[frame["strategy"] == name]
        x = fits.position(own["sigma"].cat.codes, code)
        width = 0.75 * fits.step
        panel.axes.vlines(
            x, own["whislo"], own["whishi"], color=colour, linewidth=0.8, rasterized=as_pixels
        )
        panel.axes.bar(
            x,
            own["q3"] - own["q1"],
            bottom=own["q1"],
            width=width,
            facecolor=style.tint(colour),
            edgecolor=colour,
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
