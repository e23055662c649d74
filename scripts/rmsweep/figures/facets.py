"""The tables as the figures see them, and the grid of panels that most figures have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmsweep.axes import minus, of_axis, of_level
from rmsweep.config import read_study
from rmsweep.data.scenario import terms_of
from rmsweep.design import Axis, Level, Strategy, Study, plain
from rmsweep.errors import UsageError
from rmsweep.figures import colours, style
from rmsweep.figures.names import Layout
from rmsweep.measures.table import MEASURED
from rmsweep.sweep import tables

KEYS = ["row", "column", "x", "strategy"]
MOST, MOST_NAMED = 8, 10
"""How many strategies a figure shows where nobody has chosen any."""
CROWDED = 0.035
"""Inches from one mark to the next below which marks can't be told apart."""


@dataclass(frozen=True, slots=True)
class View:
    """What of a study figures show, and how.

    Attributes
    ----------
    study : Study
    layout : Layout
    shown : tuple of Strategy
        In the study's order.
    reference : Strategy
        With which the others are compared.
    terms : tuple of str
        Coefficients; empty for as many as there is room for.
    at : mapping of str to Level
        The condition that is shown where there is room for one only; what it leaves open is in the
        middle of its axis.
    post : bool
        Whether figures look like the post's.
    """

    study: Study
    layout: Layout
    shown: tuple[Strategy, ...]
    reference: Strategy
    terms: tuple[str, ...] = ()
    at: Mapping[str, Level] = field(default_factory=dict)
    post: bool = False

    @classmethod
    def of(
        cls,
        study: Study,
        strategies: Sequence[str] = (),
        reference: str = "",
        layout: Layout | None = None,
        terms: Sequence[str] = (),
        at: Sequence[str] = (),
        post: bool = False,
    ) -> View:
        """Check what a user wants to see, and choose the rest.

        Raises
        ------
        UsageError
            If the study has no such strategy, coefficient or condition.
        """
        by_name = {strategy.name: strategy for strategy in study.strategies}
        check("--strategies", strategies, by_name)
        check("--reference", [reference] if reference else [], by_name)
        check("--terms", terms, terms_of(study.conditions))
        chosen = strategies or sensible(study.strategies)
        return cls(
            study,
            layout or Layout.of(study),
            tuple(one for one in study.strategies if one.name in chosen),
            by_name[reference or usual_reference(study)],
            tuple(term for term in terms_of(study.conditions) if term in terms),
            dict(level_of(study, text) for text in at),
            post,
        )

    @property
    def names(self) -> list[str]:
        """Of the strategies that are shown."""
        return [strategy.name for strategy in self.shown]

    @property
    def looks(self) -> dict[str, colours.Look]:
        """How those look, by name."""
        looks = colours.looks(self.study.strategies, self.post)
        return {name: looks[name] for name in self.names}

    @property
    def omission(self) -> str:
        """That others are not shown, as a sentence."""
        if len(self.shown) == len(self.study.strategies):
            return ""
        total = len(self.study.strategies)
        return f" Shown are {len(self.shown)} of {total} strategies (draw.py --strategies)."


def usual_reference(study: Study) -> str:
    """``lmer`` if all others are compared with it, or the first with which they are."""
    return "lmer" if "lmer" in study.references else study.references[0]


def check(option: str, wanted: Sequence[str], allowed: Collection[str]) -> None:
    """Refuse names that are not allowed.

    Raises
    ------
    UsageError
        If there is one.
    """
    for name in wanted:
        if name not in allowed:
            raise UsageError(f"{option}: {name!r}; allowed: {', '.join(allowed)}")


def sensible(strategies: Sequence[Strategy], named: Sequence[str] = ()) -> list[str]:
    """At most `MOST` strategies, or `MOST_NAMED` if a text names as many.

    The named ones come first: of more than there is room for the first of each family, then those
    of all families in turn. Then come the first of each family, and the others in their order.

    Parameters
    ----------
    strategies : sequence of Strategy
    named : sequence of str
        Those that a text beside the picture is about, the more important first.
    """
    if len(strategies) <= MOST:
        return [strategy.name for strategy in strategies]
    families = colours.families(strategies)
    firsts = [
        next((one for one in own if one.name == name), own[0]).name
        for name, own in families.items()
    ]
    kin = {one.name: family for family, own in families.items() for one in own}
    seen: Counter[str] = Counter()
    turns = []
    for name in dict.fromkeys(named):
        turns.append((0 if name in firsts else 1 + seen[kin[name]], name))
        seen[kin[name]] += 1
    named = [name for _, name in sorted(turns, key=lambda turn: turn[0])]
    others = [strategy.name for strategy in strategies if strategy.name not in firsts]
    most = max(MOST, min(len(named), MOST_NAMED))
    return list(dict.fromkeys([*named, *firsts, *others]))[:most]


def level_of(study: Study, text: str) -> tuple[str, Level]:
    """The axis and the level that ``n_groups=10`` names.

    Raises
    ------
    UsageError
        If there is no such axis or level.
    """
    name, _, level = text.partition("=")
    check("--at", [name], [axis.name for axis in study.axes])
    levels = {plain(it): it for it in study.levels(name)}
    check(f"--at {name}", [level], levels)
    return name, levels[level]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table of a study, or of a slice of it.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per dataset and strategy, or per measure: the axes' columns, ``row``, ``column``
        and ``x``, which repeat those that the panels and the x axis have, ``strategy``, and what
        was read. ``x`` (as text) and ``strategy`` are categories, in the figures' order.
    view : View
    slice : str
        Its levels of the axes that the layout has no place for, such as ``noise_sd=1``; empty
        where there are none.
    made_with : mapping of str to str
        What the table says of itself.
    """

    frame: pd.DataFrame
    view: View
    slice: str
    made_with: Mapping[str, str]

    @property
    def study(self) -> Study:
        """The study."""
        return self.view.study

    @property
    def incomplete(self) -> str:
        """What is there, if not all is."""
        return self.made_with.get("incomplete", "")

    @property
    def labels(self) -> list[str]:
        """The levels along x."""
        return list(self.frame["x"].cat.categories)

    @property
    def step(self) -> float:
        """Distance from one strategy to the next, in units of the x axis."""
        return 0.84 / len(self.view.shown)

    def position(self, x: pd.Series, strategy: pd.Series | int) -> pd.Series:
        """Place on the x axis, from the categories' codes: strategies side by side."""
        return x + self.step * (strategy - (len(self.view.shown) - 1) / 2)

    def without(self, left_out: Collection[Strategy]) -> Rows:
        """The same without some strategies, whose places are closed."""
        shown = tuple(one for one in self.view.shown if one not in left_out)
        view = replace(self.view, shown=shown)
        frame = self.frame[self.frame["strategy"].isin(view.names)]
        return replace(self, frame=in_order(frame, view), view=view)

    def slices(self) -> dict[str, Rows]:
        """One for each combination of the axes beyond the layout's that has any rows."""
        found = {}
        conditions = self.study.slices(self.view.layout.axes)
        if len(conditions) == 1:
            return {name: replace(self, slice=name) for name in conditions}
        for name, own in conditions.items():
            axes = [axis for axis in self.study.axes if f"{axis.name}=" in f",{name}"]
            levels = tables.levels(axes, own[0])
            inside = np.logical_and.reduce([self.frame[key] == at for key, at in levels.items()])
            if inside.any():
                found[name] = replace(self, frame=self.frame[inside], slice=name)
        return found


def read_fits(path: Path, column: str, view: View | None = None) -> Rows:
    """Read one column of ``fits.parquet``, as ``value``.

    Raises
    ------
    UsageError
        If the file is no merged table of fits.
    """
    made_with = tables.made_with(path, "fits", [column])
    view = view or View.of(read_study(made_with["study"]))
    table = tables.read(
        path,
        "fits",
        columns=[*(axis.name for axis in view.study.axes), "strategy", column],
        filters=of_shown(view),
        use_threads=False,
        read_dictionary=["strategy"],
    )
    frame = table.to_pandas().rename(columns={column: "value"})
    return Rows(in_order(frame, view), view, "", made_with)


def of_shown(view: View) -> list[tuple[str, str, list[str]]] | None:
    """The filter that leaves the rows of the strategies that are shown; None where all are."""
    everything = len(view.shown) == len(view.study.strategies)
    return None if everything else [("strategy", "in", view.names)]


def read_measures(path: Path, names: Sequence[str], view: View | None = None) -> Rows:
    """Read measures of ``performance.parquet``, of all fits with estimates.

    Besides the measures there is a row of ``convergence_rate`` for each strategy of each
    condition, so that none of these is missing where it has no such measure. A comparison is with
    the view's reference, whichever of the two the table has for it.

    Raises
    ------
    UsageError
        If the file is no table of performance.
    """
    made_with = tables.made_with(path, "performance", MEASURED.names)
    view = view or View.of(read_study(made_with["study"]))
    axes = [axis.name for axis in view.study.axes]
    numbers = ["value", "mcse", "low", "high", "n_run", "n_used", "defined", "reason"]
    table = tables.read(
        path,
        "performance",
        columns=[*axes, "strategy", "reference", "term", "measure", *numbers],
        filters=[("measure", "in", ["convergence_rate", *names]), ("fits", "=", "all")],
        use_threads=False,
    )
    frame = with_reference(table.to_pandas(), view.reference.name)
    frame = frame[frame["strategy"].isin(view.names)]
    return Rows(in_order(frame, view), view, "", made_with)


def with_reference(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Measures of single strategies, and comparisons with the reference, turned if needed."""
    alone = frame["reference"].isna()
    turned = (frame["strategy"] == reference) & ~alone
    kept = frame[alone | (frame["reference"] == reference)]
    other = frame[turned]
    # of its own rows: without any, those of the whole frame would be added to it
    other = other.assign(strategy=other["reference"], reference=reference)
    ratio = other["measure"] == "rmse_ratio"
    inverse = {
        "value": 1 / other["value"],
        "mcse": other["mcse"] / other["value"] ** 2,
        "low": 1 / other["high"],
        "high": 1 / other["low"],
    }
    for name, values in inverse.items():
        other[name] = other[name].where(~ratio, values)
    return pd.concat([kept, other], ignore_index=True)


def in_order(frame: pd.DataFrame, view: View) -> pd.DataFrame:
    """The same with ``row``, ``column`` and ``x``, and categories in the figures' order."""
    layout = view.layout
    levels = levels_in_tables(view.study, layout.x)
    x = pd.Categorical(frame[layout.x], categories=levels).rename_categories(plain)
    return frame.assign(
        row=frame[layout.rows],
        column=frame[layout.columns],
        x=x,
        strategy=frame["strategy"].astype("category").cat.set_categories(view.names),
    )


def axis_of(study: Study, name: str) -> Axis:
    """An axis by its name."""
    return next(axis for axis in study.axes if axis.name == name)


def levels_in_tables(study: Study, name: str) -> list[Level]:
    """The levels of an axis, in order, as tables have them."""
    levels = study.levels(name)
    return [plain(it) for it in levels] if axis_of(study, name).kind == "text" else levels


def spelled(axis: str, level: Level, short: bool = False) -> str:
    """``10 groups``, ``5 observations per group``, ``SD 0.25``, ``noise SD 2``."""
    text = of_level(axis, level)
    if axis == "n_obs":
        number = text.partition(" ")[0]
        text = f"{number} obs." if short else f"{text} per group"
    return text


def where(view: View, frame: pd.DataFrame, row: pd.Series) -> str:
    """The condition of a row of a table, in words, without what all of the table share."""
    several = [axis.name for axis in view.study.axes if len(frame[axis.name].unique()) > 1]
    return ", ".join(spelled(name, row[name]) for name in several)


def shared(view: View) -> str:
    """What all datasets share and no panel says, as a sentence; empty if there is no such thing."""
    study, placed = view.study, view.layout.axes
    names = [axis.name for axis in study.axes if axis.name not in placed]
    single = [name for name in names if len(study.levels(name)) == 1]
    words = ", ".join(spelled(name, study.levels(name)[0]) for name in single)
    return f" All datasets: {words}." if words else ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its levels, its rows, its width and the place of a strategy there, in inches.

    Scale, limits and ticks are those of all panels: they are for the ``first`` one to set.
    """

    axes: Axes
    key: tuple[Level, Level]
    frame: pd.DataFrame
    width: float
    step: float
    first: bool

    @property
    def crowded(self) -> bool:
        """Whether marks side by side can't be told apart, so that lines have to join them."""
        return self.step < CROWDED

    def say(self, text: str) -> None:
        """Write a note above the panel."""
        self.axes.set_title(style.wrap(text, self.width), loc="right", pad=3)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a page and its panels, in inches."""

    width: float
    panel_width: float
    step: float


LEFT, RIGHT, GAP = 0.8, 0.35, 0.15


def sizes(rows: Rows, marks: int = 1) -> Sizes:
    """Sizes for a grid of panels, with so many marks per strategy and level of x."""
    n_columns = max(1, rows.frame["column"].nunique())
    n_marks = len(rows.labels) * len(rows.view.shown)
    width = LEFT + RIGHT + n_columns * (max(1.2, 0.13 * n_marks) + GAP)
    widest = max(style.MAX_WIDTH, LEFT + RIGHT + 1.35 * n_columns)
    width = min(max(width, style.MIN_WIDTH), widest)
    panel_width = (width - LEFT - RIGHT - GAP * (n_columns - 1)) / n_columns
    return Sizes(width, panel_width, 0.84 * panel_width / n_marks / marks)


def facet_grid(
    rows: Rows,
    title: str,
    subtitle: str,
    ylabel: str,
    notes: bool = False,
    xlabel: str = "",
    entries: Mapping[str, str | colours.Look] | None = None,
) -> tuple[Figure, Iterator[Panel]]:
    """Lay out one panel per level of the layout's rows and of its columns.

    Parameters
    ----------
    rows : Rows
        The table.
    title, subtitle, ylabel : str
        The figure's texts.
    notes : bool
        Whether to leave room above each panel for a note of its own.
    xlabel : str
        What the x axis shows, if not the levels of the layout's x.
    entries : mapping, optional
        The legend (`rmsweep.figures.style.page`), if not that of the view's strategies; the
        subtitle then says itself what is not shown.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : iterator of Panel
        They share x and y; those without rows are labelled as such and left out.
    """
    view, study = rows.view, rows.study
    layout = view.layout
    there = (rows.frame["row"].unique(), rows.frame["column"].unique())
    row_levels, columns = (
        [level for level in levels_in_tables(study, name) if level in found]
        for name, found in zip((layout.rows, layout.columns), there, strict=True)
    )
    size = sizes(rows)
    width, panel_width = size.width, size.panel_width
    panel_height = max(min(6.6 / len(row_levels), 0.8 * panel_width, 3.2), 1.3)
    wide = panel_width > 2.4
    row_gap = 0.2 + notes * (0.08 if wide else 0.2)
    of_numbers = axis_of(study, layout.x).kind != "text"
    labels = [] if xlabel else [minus(it) if of_numbers else it for it in rows.labels]
    crowded = sum(len(label) + 1.5 for label in labels) * 0.07 > panel_width
    longest = max(map(len, labels), default=0)
    heads = [spelled(layout.columns, level, short=not wide) for level in columns]
    head = 0.2
    if not wide:
        heads = [style.wrap(text, panel_width, 1.15 * style.NORMAL) for text in heads]
        head += 0.15 * max(text.count("\n") for text in heads)
    foot = 0.45 + (max(0.3, 0.075 * longest) if crowded else 0.1)
    figure, top = style.page(
        width,
        head + foot + len(row_levels) * (panel_height + row_gap),
        f"{title} – {study.title}",
        subtitle + shared(view) + view.omission * (entries is None),
        entries=legend(view) if entries is None else entries,
        slice_name=rows.slice,
        incomplete=rows.incomplete,
    )
    height = figure.get_figheight()

    def add(i: int, j: int, first: Axes | None) -> Axes:
        bottom = top - head - (i + 1) * (panel_height + row_gap)
        box = (LEFT + j * (panel_width + GAP), bottom, panel_width, panel_height)
        axes: Axes = figure.add_axes(
            tuple(np.array(box) / [width, height, width, height]), sharex=first, sharey=first
        )
        # else each new mark would look for the limits of all panels
        axes.set_autoscale_on(False)
        axes.grid(axis="y")
        axes.tick_params(length=2.5, labelbottom=i == len(row_levels) - 1, labelleft=j == 0)
        return axes

    grid = np.empty((len(row_levels), len(columns)), dtype=object)
    for i, j in np.ndindex(grid.shape):
        grid[i, j] = add(i, j, grid[0, 0])
    for axes, text in zip(grid[0], heads, strict=True):
        x = axes.get_position().x0 + axes.get_position().width / 2
        figure.text(x, (top - 0.02) / height, text, ha="center", va="top", weight="bold")
    for axes, level in zip(grid[:, -1], row_levels, strict=True):
        y = axes.get_position().y0 + axes.get_position().height / 2
        x = axes.get_position().x1 + 0.08 / width
        text = style.wrap(spelled(layout.rows, level, short=True), panel_height, style.NORMAL)
        figure.text(x, y, text, rotation=270, va="center", weight="bold")
    centre = (LEFT + (width - RIGHT)) / 2 / width
    figure.text(centre, 0.1 / height, xlabel or x_title(view), ha="center")
    centre = (foot + top - head) / 2 / height
    figure.text(0.12 / width, centre, ylabel, rotation=90, va="center")

    if labels:
        grid[0, 0].set_xlim(-0.5, len(labels) - 0.5)
        grid[0, 0].set_xticks(range(len(labels)), labels)
        for axes in grid[-1]:
            axes.tick_params(axis="x", rotation=90 if crowded else 0)

    def panels() -> Iterator[Panel]:
        first = True
        groups = dict(list(rows.frame.groupby(["row", "column"])))
        for (i, j), axes in np.ndenumerate(grid):
            frame = groups.get((row_levels[i], columns[j]))
            if frame is None:
                axes.text(0.5, 0.5, "no fits", transform=axes.transAxes, ha="center")
            else:
                key = row_levels[i], columns[j]
                yield Panel(axes, key, frame, panel_width, size.step, first)
                first = False

    return figure, panels()


def x_title(view: View) -> str:
    """What the x axis shows; it says so where its distances are not those of the levels."""
    levels = view.study.levels(view.layout.x)
    title = of_axis(view.layout.x).title
    if len(levels) > 2 and not any(isinstance(level, str) for level in levels):
        steps = np.diff(np.array(levels, dtype=float))
        if not np.allclose(steps, steps[0]):
            title += " (levels, evenly spaced)"
    return title


def legend(view: View) -> dict[str, colours.Look]:
    """The strategies in words, and how they look."""
    labels = {strategy.name: strategy.label for strategy in view.shown}
    return {f"{name}: {labels[name]}": look for name, look in view.looks.items()}
