"""The post's claims at a glance: each with its verdict, and the numbers for and against it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rmsweep.axes import minus, of_level
from rmsweep.claims.post import ALIKE, CLOSE, LIBERAL
from rmsweep.claims.table import ASSESSED, BY_CONDITION
from rmsweep.config import read_study
from rmsweep.data.dataset import Array
from rmsweep.design import MAIN, Level, Study
from rmsweep.figures import style
from rmsweep.measures.performance import ALPHA
from rmsweep.sweep import tables

# none of them is a strategy's
SIDES = {"for": "#5B3E96", "against": "#B35900", "undecided": "#A8A8A8"}
CHIPS = {
    "holds": (SIDES["for"], SIDES["for"]),
    "at least in part": ("#D5CCE8", "#D5CCE8"),
    "in part": (SIDES["for"], SIDES["against"]),
    "at most in part": ("#F3D5B5", "#F3D5B5"),
    "does not hold": (SIDES["against"], SIDES["against"]),
    "undecided": (SIDES["undecided"], SIDES["undecided"]),
}
UNTESTABLE = "not testable"
DARK = ("holds", "in part", "does not hold")
"""The verdicts whose grounds are dark."""
YARDS = {
    "ratio": float(np.log(ALIKE)),
    "rate": LIBERAL.high - ALPHA,
    "difference of rates": LIBERAL.high - ALPHA,
    "standard errors": CLOSE,
    "share of the truth": 1.0,
}
"""What counts as one step of the x axis."""
TICKS = (-25, -9, -4, -1, 0, 1, 4, 9, 25)
REACH = 36.0
"""The last step that is drawn; what is beyond is drawn there."""

CONTRAST = re.compile(", (?:with the|at each) (.*?) against the ")
AXES = {" groups": "groups", "observations": "observations", "SD": "SD"}
"""What the axes are called where there is little room, by what they are called else."""

TINY = 6.5
# inches from the left edge, and of the rows
TEXT, CHIP, LABEL, STRIP, COUNTS, WIDTH = 0.15, 3.6, 4.52, 7.0, 9.45, 10.0
LINE, LANE, GAP, FOOT = 0.135, 0.17, 0.1, 0.6
CELL = 0.3
SIGNS = {
    **{"holds": "+", "at least in part": "≥", "in part": "±", "at most in part": "≤"},
    **{"does not hold": "−", "undecided": "?"},
}
"""In the column of a part of a study."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a study, or of a slice of it.

    Attributes
    ----------
    claims, numbers : pandas.DataFrame
        Rows of ``claims`` and of ``claims_by_condition``.
    study : Study
    slice : str
        Its levels of the axes that figures have no place for; empty where there are none.
    incomplete : str
        What is there, if not all is.
    """

    claims: pd.DataFrame
    numbers: pd.DataFrame
    study: Study
    slice: str
    incomplete: str

    def slices(self, inside: Collection[str] = MAIN) -> dict[str, Claims]:
        """One for each combination of the axes that figures have no place `inside` for."""
        found = {}
        for name, conditions in self.study.slices({*MAIN, *inside}).items():
            levels = [tables.levels(self.study.further_axes, one) for one in conditions]
            claims, numbers = (among(frame, levels) for frame in (self.claims, self.numbers))
            found[name] = replace(self, claims=claims, numbers=numbers, slice=name)
        return found

    @property
    def parts(self) -> dict[str, pd.DataFrame]:
        """The rows of ``claims`` for each part with verdicts of its own, by its levels in words."""
        names = [axis.name for axis in self.study.further_axes]
        several = [name for name in names if len(self.claims[name].unique()) > 1]
        if not several:
            return {"": self.claims}
        return {
            ", ".join(map(of_level, several, levels)): rows
            for levels, rows in self.claims.groupby(several, sort=False)
        }


def among(frame: pd.DataFrame, levels: Sequence[Mapping[str, Level]]) -> pd.DataFrame:
    """The rows that have one of some combinations of levels."""
    if not levels[0]:
        return frame
    keys = pd.MultiIndex.from_frame(frame[list(levels[0])])
    return frame[keys.isin([tuple(one.values()) for one in levels])]


def read_claims(folder: Path) -> Claims:
    """Read ``claims.parquet`` and ``claims_by_condition.parquet`` of a folder.

    Raises
    ------
    UsageError
        If one of them can't be read, or is no such table.
    """
    claims, numbers = folder / "claims.parquet", folder / "claims_by_condition.parquet"
    made_with = tables.made_with(claims, "claims", ASSESSED.names)
    tables.made_with(numbers, "claims", BY_CONDITION.names)
    return Claims(
        tables.read(claims, "claims").to_pandas(),
        tables.read(numbers, "claims").to_pandas(),
        read_study(made_with["study"]),
        "",
        made_with.get("incomplete", ""),
    )


def depth(values: Array, numbers: pd.DataFrame) -> Array:
    """How far values are inside the region where the claim is true, in steps; negative outside."""
    ratio = (numbers["unit"] == "ratio").to_numpy()
    yards = numbers["unit"].map(YARDS).to_numpy(dtype=float)
    ends = numbers["region_low"].fillna(-np.inf), numbers["region_high"].fillna(np.inf)
    low, high = (np.asarray(end, dtype=float) for end in ends)
    low = np.where(ratio, np.maximum(low, 0.0), low)  # the least that a ratio can be

    def scaled(array: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            steps: Array = np.where(ratio, np.log(array), array) / yards
            return steps

    inside: Array = np.minimum(scaled(values) - scaled(low), scaled(high) - scaled(values))
    return inside


def root(values: Array) -> Array:
    """The x axis: small distances can be told apart, and large ones are there."""
    roots: Array = np.sign(values) * np.sqrt(np.abs(values))
    return roots


def draw(claims: Claims) -> Figure:
    """Draw one row per claim: text, verdict, and each test's numbers with their intervals.

    Where parts of the study have verdicts of their own, there is a column for each, and no number.

    Parameters
    ----------
    claims : Claims

    Returns
    -------
    matplotlib.figure.Figure
    """
    if len(claims.parts) > 1:
        return draw_parts(claims)
    every = [rows for _, rows in claims.claims.groupby("id", sort=True)]
    rows = [rows for rows in every if rows["verdict"].iloc[0] != UNTESTABLE]
    if not rows:
        return draw_parts(claims)
    none = len(every) - len(rows)
    texts = [in_lines(row["claim"].iloc[0]) for row in rows]
    heights = [
        max(LINE * (text.count("\n") + 1), LANE * len(row)) + GAP
        for text, row in zip(texts, rows, strict=True)
    ]
    counts = claims.claims.drop_duplicates("id")["verdict"].value_counts()
    tested = [name for name in CHIPS if name in counts and name != UNTESTABLE]
    summary = ", ".join(f"{name}: {counts[name]}" for name in tested)
    left_out = f" {none} of {len(every)} claims can't be tested here." if none else ""
    figure, top = style.page(
        WIDTH,
        sum(heights) + FOOT,
        f"The post's claims, put to the test – study “{claims.study.name}”",
        f"Verdicts: {summary}. Each dot is the number of one condition, with an interval; all "
        "intervals of a test hold together with 95% confidence. Right of zero the number is as the "
        "claim has it; the axis counts how far it is from the threshold, in steps of "
        f"{100 * (ALIKE - 1):.0f}% for ratios, of {100 * YARDS['rate']:.3g} percentage points for "
        f"rates, and of {CLOSE} standard errors for distances of estimates. On the right: how many "
        f"numbers are for the claim, against it, and undecided.{left_out}",
        entries={
            f"{side} the claim" if side != "undecided" else side: c for side, c in SIDES.items()
        },
        slice_name=claims.slice,
        incomplete=claims.incomplete,
    )
    page = Page(figure, figure.get_figheight())
    below = top
    for place, (text, row, height) in enumerate(zip(texts, rows, heights, strict=True)):
        below -= height
        if place % 2 == 0:
            page.rectangle(0.08, below, WIDTH - 0.16, height, "#F4F4F6")
        draw_row(page, below, height, text, row)
    bottom = FOOT
    axes = page.strip(bottom, top - bottom)
    draw_numbers(axes, rows, heights, claims.numbers)
    return figure


def in_lines(claim: str) -> str:
    """A claim in lines that there is room for."""
    width = int((CHIP - TEXT - 0.35) * 72 / (0.56 * style.SMALL))
    return textwrap.fill(claim, width, break_on_hyphens=False)


def draw_parts(claims: Claims) -> Figure:
    """Draw one row per claim that any part of the study can test, and the verdict of each part."""
    parts = claims.parts
    firsts = {name: rows.drop_duplicates("id").set_index("id") for name, rows in parts.items()}
    verdicts = pd.DataFrame({name: rows["verdict"] for name, rows in firsts.items()})
    tested = verdicts[(verdicts != UNTESTABLE).any(axis=1)]
    texts = claims.claims.drop_duplicates("id").set_index("id")["claim"].loc[tested.index]
    texts = texts.map(in_lines)
    heights = LINE * (texts.str.count("\n") + 1) + GAP
    head = style.inches(parts, style.SMALL) + 0.15 if len(tested) else 0.3
    width = max(CHIP + CELL * len(parts) + 0.3, style.MIN_WIDTH)
    counts = pd.Series(verdicts.to_numpy().ravel()).value_counts()
    summary = ", ".join(f"{name}: {counts[name]}" for name in CHIPS if name in counts)
    none = len(verdicts) - len(tested)
    figure, top = style.page(
        width,
        float(heights.sum()) + head + 0.1,
        f"The post's claims, put to the test – study “{claims.study.name}”",
        f"The verdict on each claim in each part of the study{f' ({summary})' * bool(summary)}. "
        + " ".join(f"{sign} {name}," for name, sign in SIGNS.items()).rstrip(",")
        + "; where there is nothing, the part can't test the claim."
        + (f" {none} of {len(verdicts)} claims can't be tested in any part." if none else ""),
        entries={
            f"{side} the claim" if side != "undecided" else side: c for side, c in SIDES.items()
        },
        slice_name=claims.slice,
        incomplete=claims.incomplete,
    )
    page = Page(figure, figure.get_figheight(), width)
    if tested.empty:
        style.say_nothing(figure)
        return figure
    for k, name in enumerate(parts):
        x = CHIP + (k + 0.5) * CELL
        page.text(
            x, top - head + 0.06, name, size=style.SMALL, rotation=90, ha="center", va="bottom"
        )
    below = top - head
    for place, (number, text) in enumerate(texts.items()):
        below -= heights[number]
        middle = below + heights[number] / 2
        if place % 2 == 0:
            page.rectangle(0.08, below, width - 0.16, heights[number], "#F4F4F6")
        page.text(TEXT + 0.22, middle, str(number), size=style.SMALL, weight="bold", ha="right")
        page.text(TEXT + 0.32, middle, text, size=style.SMALL, linespacing=1.1)
        for k, verdict in enumerate(tested.loc[number]):
            if verdict == UNTESTABLE:
                continue
            x, half = CHIP + k * CELL + 0.02, CELL / 2 - 0.02
            left, right = CHIPS[verdict]
            page.rectangle(x, middle - 0.09, half, 0.18, left)
            page.rectangle(x + half, middle - 0.09, half, 0.18, right)
            colour = "white" if verdict in DARK else style.INK
            page.text(x + half, middle, SIGNS[verdict], size=style.SMALL, color=colour, ha="center")
    return figure


@dataclass(frozen=True, slots=True)
class Page:
    """A figure in inches from its lower left corner."""

    figure: Figure
    height: float
    width: float = WIDTH

    def text(self, x: float, y: float, text: str, **look: Any) -> None:
        """Write a text."""
        look = {"va": "center"} | look
        self.figure.text(x / self.width, y / self.height, text, **look)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Fill a rectangle."""
        box = (x / self.width, y / self.height), width / self.width, height / self.height
        self.figure.add_artist(
            Rectangle(*box, color=colour, linewidth=0, transform=self.figure.transFigure, zorder=-1)
        )

    def strip(self, bottom: float, height: float) -> Axes:
        """The axes of all numbers, one unit of y per inch."""
        box = (STRIP, bottom, COUNTS - STRIP - 0.1, height)
        axes: Axes = self.figure.add_axes(
            tuple(np.array(box) / [WIDTH, self.height, WIDTH, self.height])
        )
        axes.set(xlim=root(np.array([-REACH, REACH])), ylim=(0, height), yticks=[])
        axes.patch.set_alpha(0)
        axes.spines["left"].set_visible(False)
        axes.set_xticks(root(np.array(TICKS)), [minus(f"{tick}") for tick in TICKS])
        axes.set_xlabel("Steps from the threshold")
        axes.grid(axis="x")
        axes.axvline(0, color=style.INK, linewidth=0.8)
        return axes


def draw_row(page: Page, below: float, height: float, text: str, row: pd.DataFrame) -> None:
    """Write one claim, its verdict, and what its tests compare."""
    first = row.iloc[0]
    middle = below + height / 2
    page.text(TEXT + 0.22, middle, str(first["id"]), size=style.SMALL, weight="bold", ha="right")
    page.text(TEXT + 0.32, middle, text, size=style.SMALL, linespacing=1.1)
    left, right = CHIPS[first["verdict"]]
    page.rectangle(CHIP, middle - 0.09, 0.42, 0.18, left)
    page.rectangle(CHIP + 0.42, middle - 0.09, 0.42, 0.18, right)
    colour = "white" if first["verdict"] in DARK else style.INK
    page.text(CHIP + 0.42, middle, first["verdict"], size=TINY + 0.5, color=colour, ha="center")
    for lane, test in zip(lanes(below, height, len(row)), row.itertuples(), strict=True):
        page.text(LABEL, lane, label(str(test.compared)), size=TINY)
        if test.n_numbers:
            sides = f"{test.n_for} / {test.n_against} / {test.n_undecided}"
            page.text(COUNTS - 0.05, lane, sides, size=TINY)


def label(compared: str) -> str:
    """What a test compares, without its conditions, and over what."""
    contrast = CONTRAST.search(compared)
    what = compared[: contrast.start() if contrast else None].partition(", with ")[0]
    over = [axis for noun, axis in AXES.items() if contrast and noun in contrast[1]]
    text = f"{what}, by {' and '.join(over)}" if over else what
    return textwrap.shorten(text, 54, placeholder=" …")


def lanes(below: float, height: float, n: int) -> Array:
    """Middles of the lanes of a row, from the top, in inches."""
    middles = below + height / 2 + LANE * ((n - 1) / 2 - np.arange(n))
    return np.asarray(middles, dtype=float)


def draw_numbers(
    axes: Axes, rows: list[pd.DataFrame], heights: list[float], numbers: pd.DataFrame
) -> None:
    """Draw the numbers of all tests, each in its lane, in their order."""
    below = axes.get_ylim()[1]
    of_test: Mapping[tuple[int, int], pd.DataFrame] = dict(list(numbers.groupby(["id", "test"])))
    for row, height in zip(rows, heights, strict=True):
        below -= height
        for lane, test in zip(lanes(below, height, len(row)), row.itertuples(), strict=True):
            own = of_test.get((test.id, test.test))
            if own is None:
                reason = textwrap.shorten(str(test.test_reason), 54, placeholder=" …")
                look = {"size": TINY, "style": "italic", "color": "#777777"}
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                # as far as to where the counts would be, of which there are none
                start = float(root(np.array(TICKS[0])))
                axes.text(start, lane, reason, look, ha="left", va="center", bbox=box)
                continue
            draw_lane(axes, lane, own)


def draw_lane(axes: Axes, lane: float, own: pd.DataFrame) -> None:
    """Draw the numbers of one test."""
    columns = [own[name].to_numpy(dtype=float) for name in ("estimate", "low", "high")]
    values, *ends = (depth(column, own) for column in columns)
    order = np.argsort(values, kind="stable")
    y = lane + np.zeros(len(own))
    if len(own) > 1:
        y[order] += 0.42 * LANE * np.linspace(-1, 1, len(own))
    colours = own["side"].map(SIDES).to_numpy()
    shown = root(np.clip(values, -REACH, REACH))
    # the middle of a two-sided region is deeper inside than either end
    low = root(np.clip(np.min(ends, axis=0), -REACH, REACH))
    high = root(np.clip(np.max([*ends, values], axis=0), -REACH, REACH))
    axes.hlines(y, low, high, color=colours, linewidth=0.6, alpha=0.7)
    axes.scatter(shown, y, s=3.5, color=colours, linewidths=0, zorder=3)
