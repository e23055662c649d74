"""All conditions of a study in one figure: a nested-loop plot.

Rücker & Schwarzer (2014), BMC Medical Research Methodology 14:129.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmsweep.axes import of_axis
from rmsweep.design import plain
from rmsweep.figures import style
from rmsweep.figures.facets import Rows, View, legend, levels_in_tables
from rmsweep.figures.points import (
    BANDS,
    LIMITS,
    SCALES,
    SHADES,
    SPECS,
    chosen_terms,
    counted,
    farthest,
)

FIGURES = ("size", "ratios")
"""Of `rmsweep.figures.points`; what is above each other here."""
OF_EFFECTS = (*FIGURES, "power")
"""The same where the study has several effects."""
POWER = "Below it: rejections of zero, which are power where there is an effect. "
MEASURES = [SPECS[name].measure for name in OF_EFFECTS]
STRIP = 0.42
HEIGHT = 2.4
LETTERS = 8.6 * 72 / (0.6 * 6.5)
"""How many letters of the levels' names the figure's width has room for."""
MARKED = 90


def draw(rows: Rows) -> Figure:
    """Draw the measures over all conditions, and under them the levels of the axes.

    Parameters
    ----------
    rows : Rows
        The measures of `MEASURES`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    view = rows.view
    axes_in_order = loops(view)
    names = [of_axis(axis).label for axis in axes_in_order]
    figures = OF_EFFECTS if "beta" in axes_in_order else FIGURES
    frame, place = in_loops(rows.frame, axes_in_order, view)
    own = frame[frame["measure"].isin(MEASURES)]
    terms = chosen_terms(rows, list(dict.fromkeys(own["term"])))
    term = next((term for term in terms if term != "Intercept"), next(iter(terms), "none"))
    own = own[own["term"] == term]
    reference = view.reference.name
    size = own[own["measure"] == "size"]
    outside = farthest(size, SPECS["size"], view).replace(
        "Farthest from", "Type I error rate farthest from"
    )
    subtitle = (
        f"Every condition of the study, one after the other; the lines at the bottom say which. "
        f"Coefficient {term}. Above: type I error rate, the "
        "share of false positives, with bands within 2.5 and 0.5 percentage points of 5% "
        "(Bradley 1978). "
        f"Middle: RMSE over that of {reference}; gaps where it is not defined. "
        f"{POWER * (figures == OF_EFFECTS)}"
        f"{counted(own['n_used'], 'fit')} per step.{outside}"
    )
    width, right, gap = style.MAX_WIDTH, 0.25, 0.18
    left = max(1.15, 0.25 + style.inches(names, style.SMALL))
    foot = 0.1 + STRIP * len(axes_in_order)
    figure, top = style.page(
        width,
        foot + len(figures) * (HEIGHT + gap),
        f"All conditions – {view.study.title}",
        subtitle + view.omission,
        entries=legend(view),
        incomplete=rows.incomplete,
    )
    height = figure.get_figheight()
    n_places = len(place)

    def add(bottom: float, tall: float) -> Axes:
        box = np.array([left, bottom, width - left - right, tall])
        axes: Axes = figure.add_axes(tuple(box / [width, height, width, height]))
        axes.set_xlim(-0.5, n_places - 0.5)
        axes.tick_params(axis="x", length=0, labelbottom=False)
        return axes

    for k, name in enumerate(figures):
        spec = SPECS[name]
        axes = add(top - (k + 1) * (HEIGHT + gap) + gap, HEIGHT)
        values = own[own["measure"] == spec.measure]
        limits = LIMITS[spec.scale](values, spec.target)
        SCALES[spec.scale](axes, limits)
        axes.set_ylim(*limits)
        axes.grid(axis="y")
        middle = (top - (k + 0.5) * (HEIGHT + gap)) / height
        label = spec.label.format(reference=reference)
        figure.text((left - 0.65) / width, middle, label, rotation=90, ha="center", va="center")
        for band, shade in zip(BANDS if spec.bands else (), SHADES, strict=False):
            axes.axhspan(spec.target - band, spec.target + band, color=shade, zorder=0)
        axes.axhline(spec.target, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
        draw_steps(axes, values, view, n_places)
    strips = add(0.1, STRIP * len(axes_in_order) - 0.1)
    draw_strips(strips, place, axes_in_order, view)
    return figure


def loops(view: View) -> list[str]:
    """The axes with several levels, those that change slowest first."""
    study, layout = view.study, view.layout
    names = [axis.name for axis in study.axes if axis.name not in layout.axes]
    names += [layout.rows, layout.columns, layout.x]
    return [name for name in names if len(study.levels(name)) > 1] or [layout.x]


def in_loops(
    frame: pd.DataFrame, names: list[str], view: View
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows with their condition's ``place``, and the conditions in their places.

    Conditions that the study doesn't have take no place.
    """
    codes = pd.DataFrame(
        {
            name: pd.Categorical(frame[name], categories=levels_in_tables(view.study, name)).codes
            for name in names
        },
        index=frame.index,
    )
    places = codes.drop_duplicates().sort_values(names).reset_index(drop=True)
    found = codes.merge(places.assign(place=places.index), on=names, how="left")["place"]
    return frame.assign(place=found.to_numpy()), places


def draw_steps(axes: Axes, values: pd.DataFrame, view: View, n_places: int) -> None:
    """Draw a step per condition, and marks of the strategies on some of them."""
    edges = np.arange(n_places + 1) - 0.5
    every = max(1, -(-n_places // MARKED))
    for k, (name, look) in enumerate(view.looks.items()):
        steps = np.full(n_places, np.nan)
        own = values[values["strategy"] == name]
        steps[own["place"]] = own["value"]
        if np.isnan(steps).all():
            continue
        thick = 1.0 if every < 3 else 0.6
        axes.stairs(
            steps, edges, baseline=None, color=look.colour, linewidth=thick, linestyle=look.line
        )
        marked = np.arange(k % every, n_places, every)
        axes.plot(marked, steps[marked], look.marker, color=look.colour, markersize=3.2)


def draw_strips(axes: Axes, places: pd.DataFrame, names: list[str], view: View) -> None:
    """Draw the levels of each axis as steps, with the levels' names where there is room."""
    n_places = len(places)
    edges = np.arange(n_places + 1) - 0.5
    axes.set_ylim(-len(names), 0)
    axes.set_yticks([-k - 0.5 for k in range(len(names))], [of_axis(name).label for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    for k, name in enumerate(names):
        codes = places[name].to_numpy()
        texts = [plain(level) for level in levels_in_tables(view.study, name)]
        heights = -k - 0.92 + 0.3 * codes / max(1, len(texts) - 1)
        axes.stairs(heights, edges, baseline=None, color=style.INK, linewidth=0.8)
        starts = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
        lengths = np.diff(np.r_[starts, n_places])
        room = lengths.min() / n_places * LETTERS
        if max(map(len, texts)) > room:
            # the first ones say what the levels are
            starts, lengths = starts[:0], lengths[:0]
            text = " ".join(texts)
            if len(text) > LETTERS:
                text = f"{texts[0]} … {texts[-1]}, {len(texts)} levels"
            axes.text(n_places - 0.5, -k - 0.3, text, size=6.5, ha="right", va="center")
        for start, length in zip(starts, lengths, strict=True):
            middle = start + (length - 1) / 2
            text = texts[codes[start]]
            axes.text(middle, heights[start] + 0.08, text, size=6.5, ha="center", va="bottom")
