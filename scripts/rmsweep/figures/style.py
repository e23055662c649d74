"""What all figures share: colours, names, the page around the panels, and saving."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from rmsweep.sweep.tables import atomic

# The post's order: blue, orange, green, red. Okabe & Ito's first three, and a red that is darker
# than theirs: simulated deuteranopia and protanopia (Machado, Oliveira & Fernandes 2009) leave
# any two of the four at least 34 units of CIELAB apart, with Okabe & Ito's red 18.
COLOURS = {"lm": "#0072B2", "lm2": "#E69F00", "lmer": "#009E73", "lmer_mis": "#A3151F"}
# for strategies that a user adds, those that differ most from the four first
SPARE_COLOURS = ("#8FD0F5", "#1A1A1A", "#A6761D", "#CC79A7")
INK = "#333333"
ALARM = "#B00000"

SMALL, NORMAL, LARGE = 8.0, 9.0, 12.0
MIN_WIDTH, MAX_WIDTH = 7.0, 10.0
MARGIN = 0.15
THEME: Any = {
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.titlesize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "svg.hashsalt": "rmsweep",
}
# what a user's matplotlibrc says is for figures of the user's own
matplotlib.rcdefaults()
matplotlib.rcParams.update(THEME)

DPI = 200
KINDS = ("png", "svg")


def palette(names: Iterable[str]) -> dict[str, str]:
    """The colour of each strategy; the post's four have theirs in any company."""
    spare = cycle(SPARE_COLOURS)
    return {name: COLOURS.get(name) or next(spare) for name in names}


def tint(colour: str, share: float = 0.5) -> tuple[float, float, float]:
    """A colour mixed with white, opaque; `share` is the colour's own part."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def wrap(text: str, width: float, size: float = SMALL) -> str:
    """Break a text into lines of at most that many inches; its letters are about 0.53 em wide."""
    return textwrap.fill(text, max(10, int(width * 72 / (0.53 * size))))


def page(
    width: float,
    body: float,
    title: str,
    subtitle: str,
    *,
    entries: Mapping[str, str],
    slice_name: str = "",
    incomplete: str = "",
) -> tuple[Figure, float]:
    """A figure with everything above its panels.

    Parameters
    ----------
    width, body : float
        Width of the page, and height of what lies below the head, in inches.
    title, subtitle : str
        What is shown, and how to read it.
    entries : mapping of str to str
        The legend: label to colour.
    slice_name : str
        The part of a study that is shown, such as ``noise_sd=1``, in the title.
    incomplete : str
        What is there of an unfinished study; printed so that nobody overlooks it.

    Returns
    -------
    figure : matplotlib.figure.Figure
    top : float
        The panels' upper limit, in inches from the figure's bottom.
    """
    if slice_name:
        title += f", {slice_name.replace('=', ' = ').replace(',', ', ')}"
    title = wrap(title, width - 2 * MARGIN, 1.2 * LARGE)  # bold letters are wider
    subtitle = wrap(subtitle, width - 2 * MARGIN)
    entry_width = 0.4 + 0.53 * SMALL / 72 * max(map(len, entries))
    columns = max(1, int((width - 2 * MARGIN) / entry_width))
    legend_rows = -(-len(entries) // columns)
    banner = 0.32 if incomplete else 0.0
    title_height = 0.3 + 0.2 * title.count("\n")
    subtitle_height = 0.16 * (subtitle.count("\n") + 1)
    heights = [banner + 0.15, title_height, subtitle_height, 0.19 * legend_rows + 0.1]
    height = body + sum(heights)
    figure = Figure(figsize=(width, height))

    def text(x: float, below: float, content: str, **style: Any) -> None:
        figure.text(x / width, 1 - below / height, content, va="top", **style)

    if incomplete:
        figure.add_artist(
            Rectangle((0, 1 - banner / height), 1, 1, color=ALARM, transform=figure.transFigure)
        )
        text(MARGIN, 0.08, f"INCOMPLETE: {incomplete}", color="white", weight="bold", size=11)
    text(MARGIN, heights[0], title, size=LARGE, weight="bold")
    text(MARGIN, sum(heights[:2]), subtitle, size=SMALL, linespacing=1.35)
    figure.legend(
        handles=[Patch(facecolor=colour, label=label) for label, colour in entries.items()],
        loc="upper left",
        bbox_to_anchor=(MARGIN / width, 1 - (sum(heights[:3]) + 0.06) / height),
        ncols=columns,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.2,
    )
    return figure, body


def paths(folder: Path, part: str, name: str) -> list[Path]:
    """Where a figure goes; those of a slice of a study into a folder of the slice's name."""
    return [folder / part / f"{name}.{kind}" for kind in KINDS]


def save(figure: Figure, paths: Iterable[Path], made_with: Mapping[str, str]) -> None:
    """Write a figure to each path; the same figure is the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    paths : iterable of Path
        Files to write: .png, .svg.
    made_with : mapping of str to str
        What an SVG says of how it was made (`rmsweep.sweep.provenance.figure_identity`).
    """
    described = json.dumps(made_with)
    metadata = {"png": {"Software": None}, "svg": {"Date": None, "Description": described}}
    for path in paths:
        kind = path.suffix[1:]
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata[kind])
