"""What all figures share: colours, names, the page around the panels, and saving."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rmsweep.axes import of_slice
from rmsweep.figures.colours import Look
from rmsweep.sweep.tables import atomic

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
    # TrueType: journals refuse the usual Type 3
    "pdf.fonttype": 42,
}
# what a user's matplotlibrc says is for figures of the user's own
matplotlib.rcdefaults()
matplotlib.rcParams.update(THEME)

DPI = 200
HEAD = "head"
"""What the names of the artists above the legend begin with; they are drawn last, so that no other
text of an SVG needs their letters."""
NOTHING = "nothing to show"
HUE = 30
"""Difference of the channels from which on a colour is no grey."""


def tint(colour: str, share: float = 0.5) -> tuple[float, float, float]:
    """A colour mixed with white, opaque; `share` is the colour's own part."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def letters(width: float, size: float = SMALL) -> int:
    """How many letters that many inches hold; they are about 0.53 em wide."""
    return max(10, int(width * 72 / (0.53 * size)))


def inches(texts: Iterable[str], size: float = NORMAL) -> float:
    """The width of the broadest line of some bold texts."""
    lines = [line for text in texts for line in text.split("\n")]
    return 0.65 * size / 72 * max(map(len, lines), default=0)


def wrap(text: str, width: float, size: float = SMALL) -> str:
    """Break a text into lines of at most that many inches."""
    return textwrap.fill(text, letters(width, size))


def page(
    width: float,
    body: float,
    title: str,
    subtitle: str,
    *,
    entries: Mapping[str, str | Look],
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
    entries : mapping of str to str or Look
        The legend: labels to colours, or to how strategies look.
    slice_name : str
        The part of a study that is shown, such as ``noise_sd=1``; it is in the title.
    incomplete : str
        What is there of an unfinished study; printed so that nobody overlooks it.

    Returns
    -------
    figure : matplotlib.figure.Figure
    top : float
        The panels' upper limit, in inches from the figure's bottom.
    """
    if slice_name:
        title += f" ({of_slice(slice_name)})"
    caption = f"INCOMPLETE: {incomplete}. {subtitle}" if incomplete else subtitle
    title = wrap(title, width - 2 * MARGIN, 1.2 * LARGE)  # bold letters are wider
    subtitle = wrap(subtitle, width - 2 * MARGIN)
    # names come first in them: of many, labels that are too long for two columns are cut
    room = letters((width - 2 * MARGIN) / (2 if len(entries) > 8 else 1) - 0.4)
    labels = [text if len(text) <= room else f"{text[: room - 4]} ..." for text in entries]
    entry_width = 0.4 + 0.53 * SMALL / 72 * max(map(len, labels), default=0)
    columns = max(1, int((width - 2 * MARGIN) / entry_width))
    legend_rows = -(-len(entries) // columns)
    banner = 0.32 if incomplete else 0.0
    title_height = 0.3 + 0.2 * title.count("\n")
    subtitle_height = 0.16 * (subtitle.count("\n") + 1)
    heights = [banner + 0.15, title_height, subtitle_height, 0.19 * legend_rows + 0.1]
    height = body + sum(heights)
    figure = Figure(figsize=(width, height))
    figure.set_label(caption)

    def text(x: float, below: float, content: str, **style: Any) -> None:
        place = x / width, 1 - below / height
        figure.text(
            *place, content, va="top", gid=f"{HEAD}-{len(figure.texts)}", zorder=11, **style
        )

    if incomplete:
        area = (0, 1 - banner / height), 1, 1
        look: Any = {"color": ALARM, "transform": figure.transFigure}
        figure.add_artist(Rectangle(*area, gid=f"{HEAD}-banner", zorder=10, **look))
        text(MARGIN, 0.08, f"INCOMPLETE: {incomplete}", color="white", weight="bold", size=11)
    text(MARGIN, heights[0], title, size=LARGE, weight="bold")
    text(MARGIN, sum(heights[:2]), subtitle, size=SMALL, linespacing=1.35)
    figure.legend(
        handles=list(map(handle, labels, entries.values())),
        loc="upper left",
        bbox_to_anchor=(MARGIN / width, 1 - (sum(heights[:3]) + 0.06) / height),
        ncols=columns,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.2,
    )
    return figure, body


def say_nothing(figure: Figure) -> None:
    """Say that a figure has nothing to show; pages leave it out."""
    figure.text(0.5, 0.25 / figure.get_figheight(), NOTHING, size=SMALL, ha="center", va="center")


def handle(label: str, look: str | Look) -> Artist:
    """What stands for a label in the legend."""
    if isinstance(look, str):
        return Patch(facecolor=look, label=label)
    return Line2D(
        [], [], color=look.colour, marker=look.marker, linestyle="none", markersize=5, label=label
    )


def save(figure: Figure, paths: Iterable[Path], made_with: Mapping[str, str]) -> None:
    """Write a figure to each path; the same figure is the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    paths : iterable of Path
        Files to write: .png, .svg, .pdf.
    made_with : mapping of str to str
        What SVG and PDF say of how they were made (`rmsweep.sweep.provenance.figure_identity`).
    """
    description = json.dumps(made_with)
    metadata = {
        ".svg": {"Date": None, "Description": description},
        ".pdf": {"CreationDate": None, "Keywords": description},
    }
    for path in paths:
        with atomic(path) as temporary:
            if own := metadata.get(path.suffix):
                figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=own)
            else:
                # for who can't read the picture, and for pages that show it
                picture = in_palette(figure)
                said = PngInfo()
                said.add_itxt("Description", str(figure.get_label()))
                said.add_itxt("Head", f"{head(figure):.4f}")
                if any(text.get_text() == NOTHING for text in figure.texts):
                    said.add_itxt("Empty", NOTHING)
                look: Any = {"dpi": (DPI, DPI), "optimize": True, "pnginfo": said}
                picture.save(temporary, format="png", **look)


def head(figure: Figure) -> float:
    """The share of the figure's height, from its top, that title and caption have."""
    above = [text for text in figure.texts if str(text.get_gid()).startswith(HEAD)]
    lowest = min((text.get_window_extent().y0 for text in above), default=figure.bbox.height)
    return float(1 - lowest / figure.bbox.height)


def in_palette(figure: Figure) -> Image.Image:
    """The figure as a picture of 256 colours: a third of the bytes, and no difference to see.

    Half of them are the most frequent hues as they are: median cut alone gives those of a few marks
    to others.
    """
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels[..., :3].copy())
    counted: Any = sorted(picture.getcolors(pixels.size) or [], reverse=True)
    hues = [colour for _, colour in counted if max(colour) - min(colour) > HUE][:128]
    others = picture.quantize(256 - len(hues), dither=Image.Dither.NONE)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(others.getpalette() or []), *(part for hue in hues for part in hue)])
    found = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    # white would be taken for the nearest shade of almost the same
    _, ground = counted[0]
    place = int((pixels[..., :3] == ground).all(axis=-1).argmax())
    own = palette.getpalette() or []
    entry = 3 * int(np.asarray(found).flat[place])
    found.putpalette([*own[:entry], *ground, *own[entry + 3 :]])
    return found
