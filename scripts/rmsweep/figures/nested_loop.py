"""All conditions of a study in one figure: a nested-loop plot.

Rücker & Schwarzer (2014), BMC Medical Research Methodology 14:129.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rmsweep.axes import of_axis, significant
from rmsweep.design import plain
from rmsweep.figures import style
from rmsweep.figures.facets import Rows, View, legend, levels_in_tables
from rmsweep.figures.points import (
    BANDS,
    LIMITS,
    SCALES,
    SHADES,
    SPECS,
    WRONG,
    chosen_terms,
    counted,
    farthest,
    reach,
    with_right_sign,
)

FIGURES = ("size", "ratios")
"""Of `rmsweep.figures.points`; what is above each other here."""
OF_EFFECTS = (*FIGURES, "power")
"""The same where the study has several effects."""
POWER = (
    "Below it: rejections of zero, with the right sign where there is an effect, which are power. "
)
MEASURES = [*(SPECS[name].measure for name in OF_EFFECTS), WRONG]
STRIP = 0.42
HEIGHT = 2.4
TINY = 6.5
LETTER = 0.6 * TINY / 72
"""The width of a letter of the levels' names, in inches."""
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
    rejects = own["measure"] == SPECS["power"].measure
    own = pd.concat([own[~rejects], with_right_sign(own[rejects], own)])
    reference = view.reference.name
    ratios = own[own["measure"] == SPECS["ratios"].measure]
    far = rows.far_apart(reach(ratios, SPECS["ratios"]))
    most = ratios.loc[ratios["x"].isin(far), "value"].max()
    cut = f" (those of {', '.join(far)} are cut: up to {significant(most, 2)})" if far else ""
    size = own[own["measure"] == "size"]
    outside = farthest(size, SPECS["size"], view).replace(
        "Farthest from", "Type I error rate farthest from"
    )
    subtitle = (
        f"Every condition of the study, one after the other; the lines at the bottom say which. "
        f"Coefficient {term}. Above: type I error rate, the "
        "share of false positives, with bands within 2.5 and 0.5 percentage points of 5% "
        "(Bradley 1978). "
        f"Middle: RMSE over that of {reference}{cut}; gaps where it is not defined. "
        f"{POWER * (figures == OF_EFFECTS)}"
        f"{counted(own['n_used'], 'fit')} per step.{outside}"
    )
    width, right, gap = style.MAX_WIDTH, 0.25, 0.18
    left = max(1.15, 0.25 + style.inches(names, style.SMALL))
    inner = width - left - right
    strips = [strip_of(name, place, view, inner) for name in axes_in_order]
    foot = 0.1 + sum(strip.height for strip in strips)
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
        within = values[~values["x"].isin(far)] if spec is SPECS["ratios"] else values
        limits = LIMITS[spec.scale](within, spec.target)
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
    below = foot
    for strip in strips:
        below -= strip.height
        draw_strip(add(below, strip.height), strip)
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


class Strip(NamedTuple):
    """The levels of an axis, condition by condition.

    Attributes
    ----------
    label : str
        Of the axis.
    codes : array of int
        Place of each condition's level among the levels, (n_conditions,).
    texts : list of str
        The levels.
    height : float
        In inches.
    upright : bool
        Whether the levels' names are: lying there is no room for them.
    """

    label: str
    codes: NDArray[np.intp]
    texts: list[str]
    height: float
    upright: bool

    @property
    def starts(self) -> NDArray[np.intp]:
        """The places where levels begin."""
        return np.flatnonzero(np.r_[True, np.diff(self.codes) != 0])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """For how many places they last."""
        lengths: NDArray[np.intp] = np.diff(np.r_[self.starts, len(self.codes)])
        return lengths


def strip_of(name: str, places: pd.DataFrame, view: View, width: float) -> Strip:
    """The strip of an axis, which is so many inches wide."""
    texts = [plain(level) for level in levels_in_tables(view.study, name)]
    strip = Strip(of_axis(name).label, places[name].to_numpy(), texts, STRIP, False)
    longest = LETTER * max(map(len, texts))
    room = width * strip.lengths.min() / len(places)
    # names that come again and again are said once
    if longest > room and room > 1.6 * TINY / 72 and len(strip.starts) == len(texts):
        return strip._replace(height=STRIP + longest, upright=True)
    return strip


def draw_strip(axes: Axes, strip: Strip) -> None:
    """Draw the levels of an axis as steps, with the levels' names where there is room."""
    n_places = len(strip.codes)
    edges = np.arange(n_places + 1) - 0.5
    texts, starts = strip.texts, strip.starts
    axes.set_ylim(0, strip.height)
    axes.set_yticks([strip.height / 2], [strip.label])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    heights = 0.03 + 0.126 * strip.codes / max(1, len(texts) - 1)
    axes.stairs(heights, edges, baseline=None, color=style.INK, linewidth=0.8)
    box = axes.get_position().width * axes.get_figure().get_figwidth()  # type: ignore[union-attr]
    room = box * strip.lengths.min() / n_places
    if not strip.upright and LETTER * max(map(len, texts)) > room:
        # the first ones say what the levels are
        starts = starts[:0]
        text = " ".join(texts)
        if LETTER * len(text) > box:
            text = f"{texts[0]} … {texts[-1]}, {len(texts)} levels"
        axes.text(n_places - 0.5, 0.29, text, size=TINY, ha="right", va="center")
    for start, length in zip(starts, strip.lengths, strict=False):
        axes.text(
            start + (length - 1) / 2,
            heights[start] + 0.035,
            texts[strip.codes[start]],
            size=TINY,
            ha="center",
            va="bottom",
            rotation=90 if strip.upright else 0,
        )
