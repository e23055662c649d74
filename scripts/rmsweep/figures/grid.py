"""A picture of the parameter grid: what is crossed with what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rmsweep.axes import of_axis
from rmsweep.data.dataset import Array
from rmsweep.design import Condition, Study, plain
from rmsweep.figures import style
from rmsweep.figures.facets import View, shared, spelled

SHADES = ("#DCE9F5", "#08306B")
MAX_DOTS = 100


def draw(view: View, name: str) -> Figure:
    """Draw the design as a table: a cell for each level of the layout's rows and columns.

    Parameters
    ----------
    view : View
    name : str
        Of the slice of the study; empty if it has only one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    study, layout = view.study, view.layout
    conditions = study.slices(layout.axes)[name]
    rows, columns = (
        [level for level in study.levels(axis) if any(c.levels[axis] == level for c in conditions)]
        for axis in (layout.rows, layout.columns)
    )
    right, gap, tall = 0.15, 0.06, 0.62
    heads = [in_lines(spelled(layout.columns, level, short=True)) for level in columns]
    row_heads = [in_lines(spelled(layout.rows, level, short=True)) for level in rows]
    left, broadest = 0.25 + style.inches(row_heads), 0.1 + style.inches(heads)
    cell = max(min((style.MAX_WIDTH - left - right) / len(columns), 2.2), 1.1, broadest)
    width = max(left + right + len(columns) * cell, style.MIN_WIDTH)
    head = 0.42
    texts = [spelled(layout.x, level) for level in study.levels(layout.x)]
    largest = max(condition.n_groups * condition.n_obs for condition in conditions)
    figure, top = style.page(
        width,
        head + len(rows) * tall + 0.1,
        f"The design – {study.title}",
        f"{describe(study, conditions)} Within each cell: {', '.join(texts)}. The darker a cell, "
        f"the more observations a dataset has.{shared(view)}",
        entries={},
        slice_name=name,
    )
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, figure.get_figheight()))
    axes.set_axis_off()
    for i, j in np.ndindex(len(rows), len(columns)):
        there = [
            condition
            for condition in conditions
            if (condition.levels[layout.rows], condition.levels[layout.columns])
            == (rows[i], columns[j])
        ]
        x, y = left + j * cell, top - head - (i + 1) * tall
        sizes = sorted({condition.n_groups * condition.n_obs for condition in there})
        share = np.log(max(sizes[-1], 1)) / max(np.log(largest), 1) if sizes else 0.0
        shade = style.tint("#4C93DB", 0.08 + 0.42 * share) if there else (0.97, 0.97, 0.97)
        axes.add_patch(Rectangle((x, y), cell - gap, tall - gap, facecolor=shade))
        middle = x + (cell - gap) / 2, y + (tall - gap) / 2
        text = "not in the study"
        if there:
            span = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
            text = f"{span} obs.\n{len(there)} × {study.n_sims:,} datasets"
        axes.text(*middle, text, ha="center", va="center", size=style.SMALL)
        if i == 0:
            y = top - head + 0.08
            axes.text(middle[0], y, heads[j], ha="center", va="bottom", weight="bold")
        if j == 0:
            axes.text(left - 0.1, middle[1], row_heads[i], ha="right", va="center", weight="bold")
    return figure


def draw_planes_of(view: View, name: str) -> Figure:
    """Draw the grid as the post does: rows of groups, columns of observations, planes of sigma.

    Each panel is one dataset's layout, a row of dots per group and a dot per observation, and
    behind it one plane per sigma.

    Parameters
    ----------
    view : View
    name : str
        Of the slice of the study; empty if it has only one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    study = view.study
    conditions = study.slices(view.layout.axes)[name]
    rows, columns, levels = axis_levels(conditions)
    shades = dict(zip(levels, blend(*SHADES, len(levels)), strict=True))
    left, right, gap, foot = 0.85, 0.05, 0.3, 0.38
    cell = min(max((style.MAX_WIDTH - left - right) / len(columns) - gap, 1.0), 2.7)
    width = max(left + right + len(columns) * (cell + gap), style.MIN_WIDTH)
    left += (width - left - right - len(columns) * (cell + gap)) / 2
    wide = cell > 2
    step = min(0.17 * cell / max(len(levels) - 1, 1), 0.12)
    depth = step * (len(levels) - 1)
    card = np.array([cell - depth, 0.72 * (cell - depth)])
    pitch = card[1] + depth + foot
    head = 0.24 if wide else 0.4
    figure, top = style.page(
        width,
        head + len(rows) * pitch,
        f"The parameter grid – {study.title}",
        f"{describe(study, conditions)} A row of dots is a group, a dot an observation (at most "
        f"{MAX_DOTS} × {MAX_DOTS} are drawn); the planes are the between-group SDs, the smallest "
        "in front.",
        entries={f"SD {plain(level)}": shades[level] for level in levels},
        slice_name=name,
    )
    # one axes for the whole page, in inches
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, figure.get_figheight()))
    axes.set_axis_off()
    for i, j in np.ndindex(len(rows), len(columns)):
        n_groups, n_obs = rows[i], columns[j]
        there = [c.sigma for c in conditions if (c.n_groups, c.n_obs) == (n_groups, n_obs)]
        corner = np.array([left + j * (cell + gap), top - head - (i + 1) * pitch + foot])
        if there:
            draw_planes(axes, corner, card, step, [shades[level] for level in sorted(there)])
            draw_dots(axes, corner, card, n_groups, n_obs)
        x, y = corner + card / 2
        total = f"{n_groups * n_obs:,}"
        if wide:
            total = f"{n_groups:,} × {n_obs:,} = {total} observations"
        if not there:
            total = "not in the study"
        axes.text(x, corner[1] - 0.06, total, ha="center", va="top", size=style.SMALL)
        if i == 0:
            text = f"{n_obs:,} observations" + (" per group" if wide else "\nper group")
            axes.text(x + depth / 2, top, text, ha="center", va="top", weight="bold")
        if j == 0:
            axes.text(
                left - 0.1, y, f"{n_groups:,}\ngroups", ha="right", va="center", weight="bold"
            )
    return figure


def in_lines(text: str) -> str:
    """``10 groups`` as it is, ``noise_sd = 2`` in two lines."""
    return text.replace(" = ", "\n= ")


def axis_levels(conditions: Sequence[Condition]) -> tuple[list[int], list[int], list[float]]:
    """Numbers of groups, of observations, and SDs that occur."""
    return (
        sorted({condition.n_groups for condition in conditions}),
        sorted({condition.n_obs for condition in conditions}),
        sorted({condition.sigma for condition in conditions}),
    )


def describe(study: Study, conditions: Sequence[Condition]) -> str:
    """The grid in words and numbers."""
    names = [strategy.name for strategy in study.strategies]
    rows, columns, levels = axis_levels(conditions)
    sizes = sorted({study.size(condition) for condition in conditions})
    n_datasets = sum(map(study.size, conditions))
    each = count(sizes[-1], "simulated dataset")
    each = f"{sizes[0]:,} to {each}" if len(sizes) > 1 else each
    factors = [
        count(len(rows), "number of groups", "numbers of groups"),
        count(len(columns), "number of observations", "numbers of observations"),
        count(len(levels), "between-group SD"),
    ]
    product = len(rows) * len(columns) * len(levels)
    for axis in study.further_axes:
        several = len({condition.levels[axis.name] for condition in conditions})
        if several > 1:
            factors.append(f"{several} levels of {of_axis(axis.name).noun}")
            product *= several
    crossed = f"{' × '.join(factors)} = {count(len(conditions), 'condition')}"
    if len(conditions) < product:
        crossed = f"{count(len(conditions), 'condition')} of {' × '.join(factors)}"
    return (
        f"{crossed}, each with {each}: {count(n_datasets, 'dataset')}. Analysed by "
        f"{', '.join(names)}: {count(n_datasets * len(names), 'fit')}."
    )


def count(number: int, one: str, more: str = "") -> str:
    """``1 fit``, ``9,000 fits``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def blend(first: str, last: str, n: int) -> list[str]:
    """That many colours from the first to the last."""
    ramp = LinearSegmentedColormap.from_list("ramp", [first, last])
    return [to_hex(ramp(share)) for share in np.linspace(0, 1, n)]


def draw_planes(axes: Axes, corner: Array, card: Array, step: float, shades: list[str]) -> None:
    """Draw the planes of one panel from the back, each a step behind the one before it."""
    for k, shade in reversed(list(enumerate(shades))):
        x, y = corner + k * step
        axes.add_patch(Rectangle((x, y), *card, facecolor=shade, edgecolor="white", linewidth=0.8))


def draw_dots(axes: Axes, corner: Array, card: Array, n_groups: int, n_obs: int) -> None:
    """Draw the front plane's dots, as large as their number allows."""
    counts = np.minimum([n_obs, n_groups], MAX_DOTS)
    pitch = card / (counts + 0.6)
    x, y = np.meshgrid(*(np.arange(count) + 0.8 for count in counts))
    diameter = min(0.62 * pitch.min() * 72, 5)
    axes.scatter(
        corner[0] + x * pitch[0],
        corner[1] + y * pitch[1],
        s=diameter**2,
        color=style.INK,
        linewidths=0,
        rasterized=True,
    )
