"""The tables as the figures see them, and the grid of panels that most figures have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmsweep.axes import minus, of_axis, of_level
from rmsweep.config import read_study
from rmsweep.data.scenario import terms_of
from rmsweep.data.vectors import vector
from rmsweep.design import Axis, Level, Strategy, Study, plain
from rmsweep.errors import UsageError
from rmsweep.figures import colours, style
from rmsweep.figures.names import EFFECTS, Layout
from rmsweep.measures.table import MEASURED
from rmsweep.sweep import tables

KEYS = ["row", "column", "x", "strategy"]
CROWDED = 0.035
"""Inches from one mark to the next below which marks can't be told apart."""
FAR = 10.0
"""How many times as far as others a level reaches that gets an axis of its own."""


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
        chosen = strategies or colours.sensible(study.strategies)
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
        return f" Shown are {len(self.shown)} of {total} strategies."


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
    apart : tuple of str
        The last of the levels along x, which have panels and a y axis of their own.
    """

    frame: pd.DataFrame
    view: View
    slice: str
    made_with: Mapping[str, str]
    apart: tuple[str, ...] = ()

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

    @property
    def ordered(self) -> bool:
        """Whether the levels along x go from less to more, so that lines may join them."""
        return is_ordered(self.study, self.view.layout.x)

    def far_apart(self, reach: pd.Series) -> tuple[str, ...]:
        """The levels along x that would flatten all others.

        Parameters
        ----------
        reach : pandas.Series
            How far each value is from what most are at, by its level along x; positive.

        Returns
        -------
        tuple of str
            Those that reach `FAR` times as far as the level in the middle; none where x has an
            order, whose steps are what the figure is to show, and none where they are many.
        """
        farthest = reach.groupby(level=0, observed=True).max()
        far = farthest.index[farthest > FAR * farthest.median()]
        single = len(self.frame["column"].unique()) == 1
        few = single and not self.ordered and len(far) <= len(farthest) / 4
        return tuple(far) if few else ()

    def set_apart(self, labels: Sequence[str]) -> Rows:
        """The same with some levels of x in panels of their own, behind the others."""
        order = [label for label in self.labels if label not in labels]
        x = self.frame["x"].cat.reorder_categories([*order, *labels])
        return replace(self, frame=self.frame.assign(x=x), apart=tuple(labels))

    @property
    def apartness(self) -> str:
        """That some levels have an axis of their own, as a sentence; empty if none has."""
        words = "has an axis of its own" if len(self.apart) == 1 else "have an axis of their own"
        quoted = [f"“{label}”" for label in self.apart]
        return f" {' and '.join(quoted)} {words}." if self.apart else ""

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
    """Read one column of ``fits.parquet``, as ``value``, and ``status``.

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
        columns=[*(axis.name for axis in view.study.axes), "strategy", "status", column],
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


def is_ordered(study: Study, name: str) -> bool:
    """Whether the levels of an axis go from less to more, as numbers do.

    So do lists of numbers none of which ever comes closer to zero: effects from none to large.
    """
    if axis_of(study, name).kind != "text":
        return True
    try:
        found = {one.levels[name]: one[name] for one in study.conditions}
        lists = [value for value in found.values() if isinstance(value, tuple)]
        sizes = np.abs([vector(it, max(map(len, lists), default=1)) for it in found.values()])
    except (KeyError, TypeError, ValueError):  # a scenario, a name, or lists of several lengths
        return False
    return bool(np.isfinite(sizes).all() and (np.diff(sizes, axis=0) >= 0).all())


def slopes(study: Study, name: str) -> dict[str, float]:
    """The one slope of all predictors for each named list of true coefficients.

    Empty where the slopes of a list differ, or where intercepts differ between lists.
    """
    if name != EFFECTS or axis_of(study, name).kind != "text":
        return {}
    try:
        named = {
            str(one.levels[name]): vector(one["beta"], int(one["n_predictors"]) + 1)
            for one in study.conditions
        }
    except ValueError:  # drawn at random, or a scenario's
        return {}
    alike = all(len({*beta[1:]}) == 1 for beta in named.values())
    if not alike or len({beta[0] for beta in named.values()}) > 1:
        return {}
    return {level: float(beta[1]) for level, beta in named.items()}


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
    texts = {name: spelled(name, study.levels(name)[0]) for name in single}
    spreads: dict[str, list[Level]] = {}
    for one in study.conditions if "sigma" in texts else ():
        ratio = vector(one["sigma_ratio"], int(one["n_predictors"]) + 1)
        if (ratio != 1).any():
            sds = (plain(float(f"{sd:.4g}")) for sd in float(one["sigma"]) * ratio)
            spreads.setdefault(" and ".join(sds), []).append(one.levels.get("scenario", ""))
        else:
            spreads.setdefault("", [])
    said = ""
    if any(spreads):
        del texts["sigma"]
        alike = "" in spreads
        told = [
            f"{sds}{f' ({listed})' if listed else ''}"
            for sds, own in spreads.items()
            if sds
            for listed in [", ".join(dict.fromkeys(map(str, filter(None, own))))]
        ]
        others = [f"{spelled('sigma', study.levels('sigma')[0])[3:]} for all else"] * alike
        said = f" SDs of intercept and slopes: {'; '.join([*told, *others])}."
    return (f" All datasets: {', '.join(texts.values())}." if texts else "") + said


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its levels, its rows, its width and the place of a strategy there, in inches.

    Scale, limits and ticks are those of all panels, and others in all of levels that are set
    ``apart``: they are for the ``first`` panel of either kind to set.
    """

    axes: Axes
    key: tuple[Level, Level]
    frame: pd.DataFrame
    width: float
    step: float
    first: bool
    apart: bool = False

    @property
    def crowded(self) -> bool:
        """Whether marks side by side can't be told apart."""
        return self.step < CROWDED


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a page and its panels, in inches."""

    width: float
    panel_width: float
    step: float


BAND = "#F5F5F8"
LEFT, RIGHT, GAP, SPLIT = 0.8, 0.35, 0.15, 0.55
HEADROOM = 0.2
APART = 1.9
"""Inches of the notes on levels that are set apart."""


def sizes(rows: Rows, marks: int = 1) -> Sizes:
    """Sizes for a grid of panels, with so many marks per strategy and level of x."""
    n_columns = max(1, rows.frame["column"].nunique())
    n_marks = len(rows.labels) * len(rows.view.shown)
    width = LEFT + RIGHT + n_columns * (max(1.2, 0.13 * n_marks) + GAP)
    widest = max(style.MAX_WIDTH, LEFT + RIGHT + 1.35 * n_columns)
    width = min(max(width, style.MIN_WIDTH), widest)
    panel_width = (width - LEFT - RIGHT - GAP * (n_columns - 1)) / n_columns
    for_marks = panel_width - SPLIT * bool(rows.apart)
    return Sizes(width, panel_width, 0.84 * for_marks / n_marks / marks)


def facet_grid(
    rows: Rows,
    title: str,
    subtitle: str,
    ylabel: str,
    notes: Callable[[pd.DataFrame], str] = lambda frame: "",
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
    notes : callable, optional
        What is to be said above a panel, from its rows.
    xlabel : str
        What the x axis shows, if not the levels of the layout's x.
    entries : mapping, optional
        The legend (`rmsweep.figures.style.page`), if not that of the view's strategies; the
        subtitle then says itself what is not shown.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : iterator of Panel
        They share x and y, but for those of levels that are set apart (`Rows.set_apart`); those
        without rows are labelled as such and left out.
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
    places = range(len(rows.labels))
    kinds = [places[: len(places) - len(rows.apart)], places[len(places) - len(rows.apart) :]]
    kinds = [kind for kind in kinds if kind]
    per_level = (panel_width - SPLIT * bool(rows.apart)) / max(1, len(places))
    widths = [per_level * len(kind) for kind in kinds]
    groups = dict(list(rows.frame.groupby(["row", "column"])))
    # those of levels that are set apart may be broader than their panel, and begin left of it
    broad = max(widths[-1], APART) if rows.apart else 0.0
    rooms = [panel_width - broad - GAP * bool(rows.apart), broad]
    said = {
        (key, k): style.wrap(notes(frame[frame["x"].isin(rows.apart) == bool(k)]), rooms[k])
        for key, frame in groups.items()
        for k in range(len(kinds))
    }
    lines = max((text.count("\n") + 1 for text in said.values() if text), default=0)
    row_gap = 0.2 + 0.13 * lines
    needed = style.inches([ylabel], 0.8 * style.NORMAL) - 2 * HEADROOM
    panel_height = max(panel_height, needed / len(row_levels) - row_gap)
    of_numbers = axis_of(study, layout.x).kind != "text"
    effects = slopes(study, layout.x)
    labels = [plain(effects[it]) if it in effects else it for it in rows.labels]
    labels = [minus(it) if of_numbers or effects else it for it in labels]
    labels = [] if xlabel else labels
    longest = max(map(len, labels), default=0)
    pairs = [len(one) + len(other) for one, other in pairwise(labels)]
    crowded = 0.035 * max(pairs, default=longest) + 0.06 > per_level
    heads = [spelled(layout.columns, level, short=not wide) for level in columns]
    head = HEADROOM
    if not wide:
        heads = [style.wrap(text, panel_width, 1.15 * style.NORMAL) for text in heads]
        head += 0.15 * max(text.count("\n") for text in heads)
    foot = 0.45 + (max(0.3, 0.065 * longest) if crowded else 0.1)
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

    def add(i: int, j: int, k: int, first: Axes | None) -> Axes:
        bottom = top - head - (i + 1) * (panel_height + row_gap)
        left = LEFT + j * (panel_width + GAP) + k * (SPLIT + widths[0])
        box = (left, bottom, widths[k], panel_height)
        axes: Axes = figure.add_axes(
            tuple(np.array(box) / [width, height, width, height]), sharex=first, sharey=first
        )
        # else each new mark would look for the limits of all panels
        axes.set_autoscale_on(False)
        axes.grid(axis="y")
        axes.tick_params(
            length=2.5, labelbottom=i == len(row_levels) - 1, labelleft=j == 0 or k > 0
        )
        return axes

    grid = np.empty((len(row_levels), len(columns), len(kinds)), dtype=object)
    for i, j, k in np.ndindex(grid.shape):
        grid[i, j, k] = add(i, j, k, grid[0, 0, k])
    for j, text in enumerate(heads):
        x = (LEFT + j * (panel_width + GAP) + panel_width / 2) / width
        figure.text(x, (top - 0.02) / height, text, ha="center", va="top", weight="bold")
    for axes, level in zip(grid[:, -1, -1], row_levels, strict=True):
        y = axes.get_position().y0 + axes.get_position().height / 2
        x = axes.get_position().x1 + 0.08 / width
        text = style.wrap(spelled(layout.rows, level, short=True), panel_height, style.NORMAL)
        figure.text(x, y, text, rotation=270, va="center", weight="bold")
    centre = (LEFT + (width - RIGHT)) / 2 / width
    figure.text(centre, 0.1 / height, xlabel or x_title(view), ha="center")
    centre = (foot + top - head) / 2 / height
    figure.text(0.12 / width, centre, ylabel, rotation=90, va="center")

    for kind, axes in zip(kinds if labels else [], grid[0, 0], strict=False):
        axes.set_xlim(kind[0] - 0.5, kind[-1] + 0.5)
        axes.set_xticks(kind, [labels[place] for place in kind])
    for axes in grid[-1].flat:
        axes.tick_params(axis="x", rotation=90 if crowded else 0)

    # what belongs to a level is side by side
    banded = bool(labels) and not rows.ordered and len(labels) > 2

    def panels() -> Iterator[Panel]:
        begun = set()
        for (i, j, k), axes in np.ndenumerate(grid):
            key = row_levels[i], columns[j]
            if key not in groups:
                axes.text(0.5, 0.5, "no fits", transform=axes.transAxes, ha="center")
                continue
            frame = groups[key]
            side: Literal["left", "right"] = "left" if rows.apart and not k else "right"
            axes.set_title(said[key, k], loc=side, pad=3)
            for place in kinds[k][k::2] if banded else ():
                axes.axvspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=-1)
            if rows.apart:
                frame = frame[frame["x"].isin(rows.apart) == bool(k)]
            yield Panel(axes, key, frame, panel_width, size.step, k not in begun, bool(k))
            begun.add(k)

    return figure, panels()


def x_title(view: View) -> str:
    """What the x axis shows; it says so where its distances are not those of the levels."""
    levels = view.study.levels(view.layout.x)
    title = of_axis(view.layout.x).title
    if found := slopes(view.study, view.layout.x):
        title, levels = "True slope", list(found.values())
    if len(levels) > 2 and not any(isinstance(level, str) for level in levels):
        steps = np.diff(np.array(levels, dtype=float))
        if not np.allclose(steps, steps[0]):
            title += " (levels, evenly spaced)"
    return title


def legend(view: View) -> dict[str, colours.Look]:
    """The strategies in words, and how they look."""
    labels = {strategy.name: strategy.label for strategy in view.shown}
    return {f"{name}: {labels[name]}": look for name, look in view.looks.items()}
