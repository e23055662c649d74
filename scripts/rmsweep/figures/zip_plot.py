"""Zip plots: every interval of some conditions, ranked by how far the estimate is from the truth.

Morris, White & Crowther (2019), Statistics in Medicine 38:2074, figure 5. Streams: only the rows of
those conditions are read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rmsweep.axes import minus
from rmsweep.design import MAIN, Condition, Level
from rmsweep.figures import style
from rmsweep.figures.colours import Look
from rmsweep.figures.facets import Rows, View, legend, spelled
from rmsweep.figures.points import counted, signed_root, signed_square
from rmsweep.measures.performance import ALPHA
from rmsweep.sweep import tables

MOST_CONDITIONS = 3
ABREAST = 8
MOST_INTERVALS = 1000
UNEQUAL, FARTHEST = 2.5, 100.0
"""How many times as far as those of half of the strategies intervals reach before the axis is one
of square roots, and before it ends."""
TICK = 0.72
"""How near to its end, as a part of the axis to one side, a tick is at most."""
COLUMNS = ("strategy", "truth", "estimate", "se", "ci_low", "ci_high")


def draw(measured: Rows, coefs: Path) -> Figure:
    """Draw a row of panels for each condition that is shown, a panel for each strategy.

    Parameters
    ----------
    measured : Rows
        The measure ``coverage`` of the slice.
    coefs : Path
        The study's ``coefs.parquet``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    view = measured.view
    looks = list(view.looks.items())
    abreast = [looks[k : k + ABREAST] for k in range(0, len(looks), ABREAST)]
    conditions = shown_conditions(measured)[: MOST_CONDITIONS if len(abreast) == 1 else 1]
    own = measured.frame[measured.frame["measure"] == "coverage"]
    found = [term for term in dict.fromkeys(own["term"]) if not view.terms or term in view.terms]
    term = next((term for term in found if term != "Intercept"), next(iter(found), "Intercept"))
    cells = [intervals(coefs, view, condition, term) for condition in conditions]
    sizes = [cell["strategy"].value_counts() for cell in cells]
    each = pd.concat(sizes) if sizes else pd.Series(dtype=int)
    n = int(each.max()) if len(each) else 0
    thinned = f"; one in {-(-n // MOST_INTERVALS)} is drawn" if n > MOST_INTERVALS else ""
    roots = " Square-root axis, where strategies differ much." * any(reach(it)[1] for it in cells)
    subtitle = (
        f"The 95% intervals of the coefficient {term}, minus the truth, ranked from the estimate "
        "that is nearest to the truth in standard errors, at the bottom, to the farthest. Dark "
        "intervals miss the truth: of intervals that keep their promise these are the uppermost "
        f"5%, above the dashed line. {counted(each, 'interval')} per panel{thinned}; "
        f"those that are wider than the axis are cut.{roots} Above each panel: coverage, with its "
        "95% Wilson interval."
    )
    titles = [row_title(view, condition, measured.slice) for condition in conditions]
    titles = [style.wrap(text, 2.2, style.NORMAL) for text in titles]
    left, gap, head, foot, row_gap = 0.8, 0.12, 0.2, 0.4, 0.5
    right = 0.3 + 0.16 * max(text.count("\n") for text in titles)
    width = style.MAX_WIDTH if len(looks) > 3 else style.MIN_WIDTH
    panel_width = (width - left - right + gap) / max(map(len, abreast)) - gap
    panel_height = 2.2
    room = style.letters(panel_width, 1.2 * style.NORMAL)
    heads = {name: in_lines(name, room) for name, _ in looks}
    further = 0.15 * max(text.count("\n") for text in heads.values())
    head += further
    row_gap += (0.15 + further) * (len(abreast) > 1)
    digits = 1 if panel_width > 1.4 else 0
    lines = list(itertools.product(range(len(conditions)), abreast))
    figure, top = style.page(
        width,
        head + foot + len(lines) * (panel_height + row_gap),
        f"Zip plot – {view.study.title}",
        subtitle + view.omission,
        entries=legend(view),
        slice_name=measured.slice,
        incomplete=measured.incomplete,
    )
    height = figure.get_figheight()
    for i, (which, own_looks) in enumerate(lines):
        condition, cell = conditions[which], cells[which]
        bottom = top - head - (i + 1) * (panel_height + row_gap) + row_gap - 0.15
        limit, root = reach(cell)
        here = at_condition(own[own["term"] == term], view, condition)
        for j, (name, look) in enumerate(own_looks):
            box = np.array([left + j * (panel_width + gap), bottom, panel_width, panel_height])
            axes = figure.add_axes(tuple(box / [width, height, width, height]))
            axes.set(ylim=(0, 1), xlim=(-limit, limit))
            if root:
                axes.set_xscale("function", functions=(signed_root, signed_square))
            axes.set_xticks(ticks(limit, root))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: minus(f"{x:.12g}")))
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
            axes.tick_params(length=2.5, labelleft=j == 0)
            draw_intervals(axes, cell[cell["strategy"] == name], look)
            axes.set_title(said(here, name, digits), pad=3, color=look.colour)
            if i == 0 or len(abreast) > 1:
                x = (left + j * (panel_width + gap) + panel_width / 2) / width
                y = (bottom + panel_height + 0.2) / height
                figure.text(x, y, heads[name], ha="center", va="bottom", weight="bold")
        y = (bottom + panel_height / 2) / height
        x = (width - right + 0.06) / width
        text = titles[which]
        figure.text(x, y, text, rotation=270, va="center", weight="bold", size=style.SMALL)
    figure.text(0.5, 0.1 / height, f"Interval of {term} minus its true value", ha="center")
    label = "Rank of |estimate − truth| / SE"
    y = (foot + top - head) / 2 / height
    figure.text(0.12 / width, y, label, rotation=90, va="center")
    return figure


def in_lines(name: str, room: int) -> str:
    """The name of a strategy in lines of so many letters: beginnings alone are often the same."""
    lines = [""]
    for part in re.findall(r"_?[^_]+_*", name):
        if lines[-1] and len(lines[-1] + part) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(line if len(line) <= room else f"{line[: room - 1]}…" for line in lines)


def shown_conditions(measured: Rows) -> list[Condition]:
    """The conditions of the slice that are shown: some of those in the middle of the x axis."""
    view, layout = measured.view, measured.view.layout
    study = view.study
    inside = study.slices(layout.axes)[measured.slice]
    inside = [condition for condition in inside if is_at(condition, view.at)] or inside
    for name in (layout.x, layout.rows):
        here = {condition.levels[name] for condition in inside}
        levels = [level for level in study.levels(name) if level in here]
        wanted = levels[len(levels) // 2] if name == layout.x else levels[0]
        inside = [condition for condition in inside if condition.levels[name] == wanted]
    order = study.levels(layout.columns)
    inside.sort(key=lambda condition: order.index(condition.levels[layout.columns]))
    if len(inside) > MOST_CONDITIONS:
        inside = [inside[0], inside[len(inside) // 2], inside[-1]]
    return inside


def is_at(condition: Condition, levels: Mapping[str, Level]) -> bool:
    """Whether a condition is at these levels."""
    return all(condition.levels[name] == level for name, level in levels.items())


def intervals(coefs: Path, view: View, condition: Condition, term: str) -> pd.DataFrame:
    """The intervals of a condition, minus the truth: ``strategy``, ``t``, ``low``, ``high``."""
    levels: Mapping[str, Level] = tables.levels(view.study.axes, condition)
    filters: list[tuple[str, str, object]] = [(name, "==", level) for name, level in levels.items()]
    filters += [("term", "==", term), ("strategy", "in", view.names)]
    table = tables.read(coefs, "coefs", columns=list(COLUMNS), filters=filters, use_threads=False)
    frame = table.to_pandas()
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (frame["estimate"] - frame["truth"]).abs() / frame["se"]
    made = pd.DataFrame(
        {
            "strategy": frame["strategy"],
            "t": distance,
            "low": frame["ci_low"] - frame["truth"],
            "high": frame["ci_high"] - frame["truth"],
        }
    )
    return made[made["low"].notna() & made["high"].notna()]


def reach(cell: pd.DataFrame) -> tuple[float, bool]:
    """How far the x axis goes to either side, and whether it is one of square roots.

    It goes to the end of nearly all intervals. Where those of one strategy are far longer, or far
    away, those of the others would be slivers on a linear axis.
    """
    if cell.empty:
        return 1.0, False
    ends = np.maximum(cell["low"].abs(), cell["high"].abs())
    quantiles = ends.groupby(cell["strategy"]).quantile(0.98)
    farthest = float(min(quantiles.max(), FARTHEST * quantiles.median()))
    return 1.05 * farthest or 1.0, farthest > UNEQUAL * quantiles.median()


def ticks(limit: float, root: bool) -> list[float]:
    """Zero, and a round number to either side with room for its text inside the panel."""
    most = limit * (TICK**2 if root else TICK)
    power = 10.0 ** np.floor(np.log10(most))
    tick = max(power * step for step in (1, 2, 3, 5) if power * step <= most * (1 + 1e-9))
    return [-tick, 0.0, tick]


def draw_intervals(axes: Axes, own: pd.DataFrame, look: Look) -> None:
    """Draw the intervals of one strategy in one condition."""
    if own.empty:
        axes.text(0.5, 0.5, "no intervals", transform=axes.transAxes, ha="center")
        return
    limit = axes.get_xlim()[1]
    if ((own["low"] > limit) | (own["high"] < -limit)).all():
        axes.text(0.5, 0.5, "beyond the axis", transform=axes.transAxes, ha="center")
    own = own.sort_values("t", kind="stable")
    rank = (np.arange(len(own)) + 0.5) / len(own)
    every = -(-len(own) // MOST_INTERVALS)
    low, high, rank = own["low"].to_numpy()[::every], own["high"].to_numpy()[::every], rank[::every]
    misses = (low > 0) | (high < 0)
    thickness = min(max(2.2 * 72 / len(low), 0.3), 4.0)
    for chosen, colour in ((~misses, style.tint(look.colour, 0.3)), (misses, look.colour)):
        ends = np.stack([np.c_[low, rank], np.c_[high, rank]], axis=1)[chosen]
        lines = LineCollection(list(ends), colors=[colour], linewidths=thickness)
        lines.set_rasterized(True)
        axes.add_collection(lines)
    axes.axvline(0.0, color="white", linewidth=0.8)
    axes.axhline(1.0 - ALPHA, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))


def at_condition(own: pd.DataFrame, view: View, condition: Condition) -> pd.DataFrame:
    """The rows of a condition."""
    levels = tables.levels(view.study.axes, condition)
    inside = np.logical_and.reduce([own[name] == level for name, level in levels.items()])
    return own[inside]


def said(here: pd.DataFrame, name: str, digits: int) -> str:
    """The coverage of a strategy, with its interval; empty if there is none."""
    own = here[(here["strategy"] == name) & here["value"].notna()]
    numbers = [
        [f"{100 * it:.{digits}f}" for it in (x.value, x.low, x.high)] for x in own.itertuples()
    ]
    return "".join("{}% ({}–{})".format(*texts) for texts in numbers)


def row_title(view: View, condition: Condition, part: str) -> str:
    """The condition in words, without what the slice's name says or all conditions share."""
    names = [axis.name for axis in view.study.axes if f"{axis.name}=" not in f",{part}"]
    names = [name for name in names if len(view.study.levels(name)) > 1] or list(MAIN)
    return ", ".join(spelled(name, condition.levels[name], short=True) for name in names)
