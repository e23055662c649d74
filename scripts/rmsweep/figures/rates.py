"""Size and coverage of every coefficient, condition by condition and strategy by strategy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rmsweep.config import read_study
from rmsweep.figures import style
from rmsweep.figures.facets import KEYS, Fits, Panel, facet_grid, in_order
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.table import MEASURED
from rmsweep.sweep import tables


class Text(NamedTuple):
    """What a figure is called, and what it shows."""

    title: str
    subtitle: str
    label: str
    nominal: float


BANDS = (0.5 * ALPHA, 0.1 * ALPHA)
"""Bradley (1978), British J. of Mathematical and Statistical Psychology 31:144: how far a test's
size may be from the nominal one, liberally and strictly."""
TICKS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

TEXTS = {
    "size": Text(
        "Size of the tests",
        "How often a t test with the fit's degrees of freedom rejects the true coefficient at 5%: "
        "its rate of false positives",
        "Rejections of the truth",
        ALPHA,
    ),
    "coverage": Text(
        "Coverage of the intervals",
        "How often the 95% interval as reported (z for mixed models, else t) contains the true "
        "coefficient",
        "Intervals with the truth",
        1.0 - ALPHA,
    ),
}


def read_rates(path: Path, measure: str) -> Fits:
    """Read one measure of ``performance.parquet``, of all fits with estimates.

    Raises
    ------
    UsageError
        If the file is no table of performance.
    """
    made_with = tables.made_with(path, "performance", MEASURED.names)
    study = read_study(made_with["study"])
    columns = [*KEYS, *(axis.name for axis in study.further_axes)]
    table = tables.read(
        path,
        "performance",
        columns=[*columns, "term", "value", "low", "high", "n_used"],
        filters=[("measure", "=", measure), ("fits", "=", "all")],
        use_threads=False,
    )
    return Fits(in_order(table.to_pandas(), study), study, "", made_with)


def draw(fits: Fits, name: str) -> Figure:
    """Draw the grid of a rate, with 95% intervals and Bradley's bands.

    Parameters
    ----------
    fits : Fits
        The measure's rows.
    name : {"size", "coverage"}

    Returns
    -------
    matplotlib.figure.Figure
    """
    text = TEXTS[name]
    used = fits.frame["n_used"]
    least, most = int(used.min()), int(used.max())
    subtitle = (
        f"{text.subtitle}. {least:,}{'' if least == most else f' to {most:,}'} fits per point; "
        "rings are intercepts, dots are slopes, lines are 95% Wilson intervals. Bands: within 2.5 "
        "and 0.5 percentage points of the nominal rate (Bradley 1978)."
    )
    figure, panels = facet_grid(fits, text.title, subtitle, text.label)
    for panel in panels:
        if name == "size":
            panel.axes.set_yscale("function", functions=(signed_root, signed_square))
            panel.axes.set_yticks([tick for tick in TICKS if tick <= 2 * fits.frame["high"].max()])
        panel.axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        for width, shade in zip(BANDS, ("#EFEFEF", "#DDDDDD"), strict=True):
            panel.axes.axhspan(text.nominal - width, text.nominal + width, color=shade, zorder=0)
        draw_points(panel, fits)
    return figure


def signed_root(values: np.ndarray) -> np.ndarray:
    """A scale on which small rates can be told apart."""
    roots: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return roots


def signed_square(values: np.ndarray) -> np.ndarray:
    """The inverse of `signed_root`."""
    squares: np.ndarray = np.sign(values) * np.square(values)
    return squares


def draw_points(panel: Panel, fits: Fits) -> None:
    """Draw the points of one panel: strategies side by side, their coefficients in order."""
    terms = list(dict.fromkeys(fits.frame["term"]))
    offsets = np.linspace(-0.36, 0.36, len(terms)) * fits.step
    for code, (name, colour) in enumerate(style.palette(fits.names).items()):
        for term, offset in zip(terms, offsets, strict=True):
            own = panel.frame[(panel.frame["strategy"] == name) & (panel.frame["term"] == term)]
            x = fits.position(own["sigma"].cat.codes, code) + offset
            panel.axes.vlines(x, own["low"], own["high"], color=colour, linewidth=0.7)
            panel.axes.plot(
                x,
                own["value"],
                "o",
                markersize=2.4,
                color=colour,
                markerfacecolor="white" if term == "Intercept" else colour,
                markeredgewidth=0.7,
            )
