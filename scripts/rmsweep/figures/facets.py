"""The merged table as the figures see it, and its grid of panels: groups × observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmsweep.config import read_study
from rmsweep.design import MAIN, Strategy, Study, plain
from rmsweep.figures import style
from rmsweep.sweep import tables

KEYS = [*MAIN, "strategy"]


@dataclass(frozen=True, slots=True)
class Fits:
    """One column of a study's merged table, or of a slice of it.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per dataset and strategy: the keys and ``value``. ``sigma`` (as text) and
        ``strategy`` are categories, in the figures' order.
    study : Study
        The study.
    slice : str
        Its levels of the axes beyond the main ones, such as ``noise_sd=1``; empty where it has
        none.
    made_with : mapping of str to str
        What the table says of itself.
    """

    frame: pd.DataFrame
    study: Study
    slice: str
    made_with: Mapping[str, str]

    @property
    def incomplete(self) -> str:
        """What is there, if not all is."""
        return self.made_with.get("incomplete", "")

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """In the study's order."""
        return self.study.strategies

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [strategy.name for strategy in self.strategies]

    @property
    def n_sigma(self) -> int:
        """Number of sigma levels."""
        return len(self.frame["sigma"].cat.categories)

    @property
    def step(self) -> float:
        """Distance from one strategy to the next, in units of the x axis."""
        return 0.84 / len(self.strategies)

    def position(self, sigma: pd.Series, strategy: pd.Series | int) -> pd.Series:
        """Place on the x axis, from the categories' codes: strategies side by side."""
        return sigma + self.step * (strategy - (len(self.strategies) - 1) / 2)

    def slices(self) -> dict[str, Fits]:
        """One for each combination of the axes beyond the main ones that has any rows."""
        axes = self.study.further_axes
        if not axes:
            return {"": self}
        found = {}
        for name, conditions in self.study.slices().items():
            levels = tables.levels(axes, conditions[0])
            inside = np.logical_and.reduce([self.frame[key] == at for key, at in levels.items()])
            if inside.any():
                found[name] = replace(self, frame=self.frame[inside], slice=name)
        return found


def read_fits(path: Path, column: str) -> Fits:
    """Read one column of ``fits.parquet``.

    Raises
    ------
    UsageError
        If the file is no merged table of fits.
    """
    made_with = tables.made_with(path, "fits", [column])
    study = read_study(made_with["study"])
    columns = [*KEYS, *(axis.name for axis in study.further_axes), column]
    table = tables.read(
        path, "fits", columns=columns, use_threads=False, read_dictionary=["strategy"]
    )
    frame = table.to_pandas().rename(columns={column: "value"})
    return Fits(in_order(frame, study), study, "", made_with)


def in_order(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The same with ``sigma`` (as text) and ``strategy`` as categories, in the figures' order."""
    names = [strategy.name for strategy in study.strategies]
    return frame.assign(
        sigma=frame["sigma"].astype("category").cat.rename_categories(plain),
        strategy=frame["strategy"].astype("category").cat.set_categories(names),
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, its number of groups and of observations, its rows, and its width in inches."""

    axes: Axes
    key: tuple[int, int]
    frame: pd.DataFrame
    width: float


def facet_grid(
    fits: Fits, title: str, subtitle: str, ylabel: str, notes: bool = False
) -> tuple[Figure, Iterator[Panel]]:
    """Lay out one panel per number of groups (rows) and of observations (columns).

    Parameters
    ----------
    fits : Fits
        The table.
    title, subtitle, ylabel : str
        The figure's texts.
    notes : bool
        Whether to leave room above each panel for a note of its own.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : iterator of Panel
        They share x and y; those without rows are labelled as such and left out.
    """
    rows = sorted(fits.frame["n_groups"].unique())
    columns = sorted(fits.frame["n_obs"].unique())
    n_boxes = fits.n_sigma * len(fits.strategies)
    left, right, gap = 0.75, 0.35, 0.15
    width = left + right + len(columns) * (max(1.2, 0.13 * n_boxes) + gap)
    width = min(max(width, style.MIN_WIDTH), style.MAX_WIDTH)
    panel_width = (width - left - right - gap * (len(columns) - 1)) / len(columns)
    panel_height = max(min(6.6 / len(rows), 0.8 * panel_width, 3.2), 1.3)
    wide = panel_width > 2.4
    row_gap = 0.2 + notes * (0.08 if wide else 0.2)
    labels = list(fits.frame["sigma"].cat.categories)
    crowded = sum(len(label) + 1.5 for label in labels) * 0.07 > panel_width
    head, foot = 0.2 if wide else 0.36, 0.75 if crowded else 0.55
    figure, top = style.page(
        width,
        head + foot + len(rows) * (panel_height + row_gap),
        f"{title} – study “{fits.study.name}”",
        subtitle,
        entries={
            f"{strategy.name}: {strategy.label}": colour
            for strategy, colour in zip(
                fits.strategies, style.palette(fits.names).values(), strict=True
            )
        },
        slice_name=fits.slice,
        incomplete=fits.incomplete,
    )
    height = figure.get_figheight()

    def add(i: int, j: int, shared: Axes | None) -> Axes:
        bottom = top - head - (i + 1) * (panel_height + row_gap)
        box = (left + j * (panel_width + gap), bottom, panel_width, panel_height)
        axes: Axes = figure.add_axes(
            tuple(np.array(box) / [width, height, width, height]), sharex=shared, sharey=shared
        )
        axes.grid(axis="y")
        axes.tick_params(length=2.5, labelbottom=i == len(rows) - 1, labelleft=j == 0)
        return axes

    grid = np.empty((len(rows), len(columns)), dtype=object)
    for i, j in np.ndindex(grid.shape):
        grid[i, j] = add(i, j, grid[0, 0])
    for axes, n_obs in zip(grid[0], columns, strict=True):
        x = axes.get_position().x0 + axes.get_position().width / 2
        text = f"{n_obs:,} observations" + (" per group" if wide else "\nper group")
        figure.text(x, (top - 0.02) / height, text, ha="center", va="top", weight="bold")
    for axes, n_groups in zip(grid[:, -1], rows, strict=True):
        y = axes.get_position().y0 + axes.get_position().height / 2
        x = axes.get_position().x1 + 0.08 / width
        figure.text(x, y, f"{n_groups:,} groups", rotation=270, va="center", weight="bold")
    middle = (left + (width - right)) / 2 / width
    figure.text(middle, 0.1 / height, "Between-group SD of the coefficients", ha="center")
    middle = (foot + top - head) / 2 / height
    figure.text(0.12 / width, middle, ylabel, rotation=90, va="center")

    def panels() -> Iterator[Panel]:
        groups = dict(list(fits.frame.groupby(["n_groups", "n_obs"])))
        for (i, j), axes in np.ndenumerate(grid):
            frame = groups.get((rows[i], columns[j]))
            if frame is None:
                axes.text(0.5, 0.5, "no fits", transform=axes.transAxes, ha="center")
            else:
                yield Panel(axes, (rows[i], columns[j]), frame, panel_width)
        # last, because drawing sets limits and ticks
        grid[0, 0].set_xlim(-0.5, len(labels) - 0.5)
        grid[0, 0].set_xticks(range(len(labels)), labels)
        for axes in grid[-1]:
            axes.tick_params(axis="x", rotation=90 if crowded else 0)

    return figure, panels()
