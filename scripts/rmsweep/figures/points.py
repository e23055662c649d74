"""Measures of the coefficients as points, condition by condition and strategy by strategy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from rmsweep.axes import minus, significant
from rmsweep.data.dataset import Array
from rmsweep.figures import style
from rmsweep.figures.facets import Panel, Rows, View, facet_grid, legend, sizes, where
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.rates import wilson_interval
from rmsweep.measures.sample_size import GROUPS, Curve

Scale = Literal["rate", "rate from the top", "share", "signed", "ratio"]
RATES = ("rate", "rate from the top", "share")

MEANINGFUL = 20
"""Fits below which no value is singled out."""
SMALL_STEP = 0.065
"""Inches from one mark to the next below which marks are small."""
LONGEST = 2.0
"""How far beyond all values, as a factor, the interval of a ratio is drawn."""
ASIDE = 0.2
"""The part of their usual distance that strategies have whose marks lines join: a line that begins
further to the left would seem to rise earlier."""
ALIKE = 1e-6
"""Distance from the reference that is no difference between strategies."""
NOTHING = 1e-9
"""Distance from the target that is rounding error."""


class Spec(NamedTuple):
    """What a figure shows.

    Attributes
    ----------
    measure : str
        Of ``performance``.
    title, subtitle, label : str
        Its texts; ``{reference}`` in them is the strategy with which others are compared.
    target : float
        What a good strategy has: a dashed line.
    scale : str
        Of the y axis.
    interval : str
        What the lines through the points are.
    in_view : callable
        The value that is shown, from the table's.
    of_pairs : bool
        Whether the measure compares two strategies.
    bands : bool
        Whether there are Bradley's around the target.
    stems : bool
        Whether a thick line joins each point with the target.
    """

    measure: str
    title: str
    subtitle: str
    label: str
    target: float
    scale: Scale
    interval: str = "95% intervals for Monte Carlo error (value ± 1.96 MCSE)"
    in_view: Callable[[pd.Series], pd.Series] = lambda values: values
    of_pairs: bool = False
    bands: bool = False
    stems: bool = False


BANDS = (0.5 * ALPHA, 0.1 * ALPHA)
"""Bradley (1978), British J. of Mathematical and Statistical Psychology 31:144: how far a test's
size may be from the nominal one, liberally and strictly."""
SHADES = ("#EFEFEF", "#DDDDDD")
IN_BANDS = " Bands: within 2.5 and 0.5 percentage points of it (Bradley 1978)."
WILSON = "95% Wilson intervals"
WRONG = "wrong_sign"
WRONGLY = ALPHA / 2.0
"""The rate of rejections with the wrong sign above which they are marked: valid tests have no
more of them."""
OF_A_RATE = "95% intervals for Monte Carlo error (value ± 1.96 MCSE), as far as a rate can go"
NO_RESULT = "no strategy\ngave a result here"
TOO_FEW = "too few datasets\nto tell"

SPECS = {
    "size": Spec(
        "size",
        "Size of the tests",
        "How often a strategy's test rejects the true coefficient at 5%: its rate of false "
        "positives. A valid test stays at the dashed line; above it, it finds "
        "effects that aren't there, below it, it misses some that are.",
        "Rejections of the truth",
        ALPHA,
        "rate",
        WILSON,
        bands=True,
    ),
    "power": Spec(
        "rejection",
        "Power of the tests",
        "How often a strategy's test, as it is reported, rejects zero at 5% and has the sign of "
        "the true coefficient. Where that is zero, these are false positives, and the dashed line "
        "is at 5%. More is better only where the type I error rate is right.",
        "Rejections with the right sign",
        ALPHA,
        "share",
        WILSON,
    ),
    "size_adjusted_power": Spec(
        "size_adjusted_power",
        "Power at a type I error rate of 5%",
        "How often a test would reject zero if its critical value made 5% false positives in such "
        "data. It tells how much a strategy knows from how freely it rejects.",
        "Rejections of zero at 5% false positives",
        ALPHA,
        "share",
        OF_A_RATE,
    ),
    "coverage": Spec(
        "coverage",
        "Coverage of the intervals",
        "How often the 95% interval, as the strategy reports it, contains the true coefficient. "
        "Intervals that keep their promise are at the dashed line; below it they are too short.",
        "Intervals with the truth",
        1.0 - ALPHA,
        "rate from the top",
        WILSON,
        bands=True,
    ),
    "bias": Spec(
        "bias",
        "Bias",
        "Mean of estimate minus truth. Without bias, 95 of 100 lines reach zero. Square-root axis.",
        "Bias of a coefficient",
        0.0,
        "signed",
        stems=True,
    ),
    "standard_errors": Spec(
        "relative_error_of_model_se",
        "Model SE against empirical SE",
        "Model SE, the root mean square of the reported standard errors, over empirical SE, the "
        "standard deviation of the errors. Honest standard errors are at the dashed line; below "
        "it, the strategy claims to know more than it does.",
        "Model SE / empirical SE",
        1.0,
        "ratio",
        in_view=lambda values: 1.0 + values / 100.0,
    ),
    "ratios": Spec(
        "rmse_ratio",
        "Accuracy compared with {reference}",
        "Root mean square error over that of {reference}, on the datasets that both fitted. Above "
        "the dashed line a strategy is less accurate, below it more.",
        "RMSE / RMSE of {reference}",
        1.0,
        "ratio",
        of_pairs=True,
    ),
    "agreement": Spec(
        "decision_agreement",
        "Same decision as {reference}",
        "How often a strategy and {reference} decide alike on the same dataset: both reject a "
        "coefficient of zero at 5%, with the same sign, or neither does. Who agrees need not be "
        "right: see the type I error rate and coverage.",
        "Datasets with the same decision",
        1.0,
        "rate from the top",
        WILSON,
        of_pairs=True,
    ),
}


POWER = Spec(
    "rejection_of_run",
    "Power",
    "How often a strategy's test finds the effect, by rejecting zero at 5% with the right sign. "
    "The dashed line is the power that the study asks for, and above each panel is the least "
    "number of groups that has it. Only a strategy that keeps its type I error rate has earned its "
    "power.",
    "Datasets with the effect found",
    0.8,
    "share",
    WILSON,
)
"""Power in a study that asks for it."""


def spec_of(name: str, view: View) -> Spec:
    """What a figure shows."""
    if name == "power" and view.study.power:
        return POWER._replace(target=view.study.power.target)
    return SPECS[name]


def draw(rows: Rows, name: str) -> Figure:
    """Draw the grid of a measure, with its intervals.

    Parameters
    ----------
    rows : Rows
        The measure's (`rmsweep.figures.facets.read_measures`).
    name : str
        Of the figure, in `SPECS`, or ``power``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    view = rows.view
    spec = spec_of(name, view)
    if spec.of_pairs and len(view.shown) > 1:
        rows = rows.without([view.reference])
    own = rows.frame[rows.frame["measure"] == spec.measure]
    if name == "power":
        own = with_right_sign(own, rows.frame)
    defined = own.groupby("term")["defined"].transform("any")
    own = own[defined] if defined.any() and not view.terms else own
    every = list(dict.fromkeys(own["term"]))
    terms = chosen_terms(rows, every, joined=spec.scale == "share")
    own = own[own["term"].isin(terms)]
    reference = view.reference.name
    title, label = (text.format(reference=reference) for text in (spec.title, spec.label))
    if not own.empty and not own["defined"].any():
        said = f"Not defined in this study: {reasons(own['reason'])}."
        return nothing_to_see(rows, title, said)
    for column in ("value", "low", "high"):
        own = own.assign(**{column: spec.in_view(own[column])})
    known = own["value"].dropna()
    if spec.of_pairs and len(known) and (known - spec.target).abs().max() <= ALIKE:
        said = f"No strategy differs from {reference} in any condition."
        return nothing_to_see(rows, title, said)
    if spec.scale in RATES:
        own = own.assign(low=own["low"].clip(lower=0.0), high=own["high"].clip(upper=1.0))
    else:
        rows = rows.set_apart(rows.far_apart(reach(own, spec)))
        own = own.assign(x=rows.frame["x"].reindex(own.index))
    unbounded = (own["value"].notna() & own["low"].isna()).any()
    without = "; a mark without one has no such error" if unbounded else ""
    subtitle = (
        f"{spec.subtitle.format(reference=reference)}{IN_BANDS * spec.bands} "
        f"{counted(own['n_used'][own['value'].notna()], 'fit')} per point; "
        f"{in_words(terms, len(every))}; {'vertical ' * (spec.scale == 'share')}lines are "
        f"{spec.interval}{without}."
        f"{wrongly(own)}{farthest(own, spec, view)}{rows.apartness}{undefined(own)}{lacking(own)}"
        f"{view.omission}"
    )
    entries = legend(rows.view)

    def notes(frame: pd.DataFrame) -> str:
        inside = own.loc[own.index.intersection(frame.index)]
        if inside["value"].isna().all():
            return ""
        said = smallest(inside, rows, spec.target) if spec.measure == POWER.measure else ""
        return said or absent(inside, rows)

    figure, panels = facet_grid(rows, title, subtitle, label, notes=notes, entries=entries)
    limits = (0.0, 1.0)
    for panel in panels:
        inside = own.loc[own.index.intersection(panel.frame.index)]
        if panel.first:
            limits = LIMITS[spec.scale](own[own["x"].isin(rows.apart) == panel.apart], spec.target)
            SCALES[spec.scale](panel.axes, limits)
            panel.axes.set_ylim(*limits)
        for width, shade in zip(BANDS if spec.bands else (), SHADES, strict=False):
            panel.axes.axhspan(spec.target - width, spec.target + width, color=shade, zorder=0)
        panel.axes.axhline(spec.target, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
        draw_points(panel, inside, rows, terms, spec)
        if inside["value"].isna().all():
            alone = spec.of_pairs and len(view.shown) == 1
            nowhere = not inside.empty and not inside["defined"].any()
            text = (
                "not defined here" if nowhere else TOO_FEW if any(inside["n_used"]) else NO_RESULT
            )
            say_empty(panel.axes, "nothing to compare" if alone else text)
    return figure


def with_right_sign(own: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Rates of rejection, less those with the wrong sign, which are in the column ``wrong``.

    Parameters
    ----------
    own : pandas.DataFrame
        Rows of ``rejection``, or of ``rejection_of_run``.
    frame : pandas.DataFrame
        All rows, with those of ``wrong_sign``, which is defined where there is an effect.

    Returns
    -------
    pandas.DataFrame
        With Wilson intervals of what remains; ``all`` is the rate of all rejections.
    """
    keys = [name for name in own.columns[: own.columns.get_loc("measure")] if name != "reference"]
    known = frame[(frame["measure"] == WRONG) & frame["value"].notna()].set_index(keys)["value"]
    wrong = known.reindex(pd.MultiIndex.from_frame(own[keys])).to_numpy()
    made = own.assign(all=own["value"])
    runs = own["n_run"] if (own["measure"] == POWER.measure).all() else own["n_used"]
    # a rate of the fits that are used, as one of those that this is a rate of
    made["wrong"] = np.nan_to_num(wrong) * (own["n_used"] / runs.where(runs > 0))
    less = made["wrong"] > 0
    value = (own["value"] - made["wrong"]).clip(lower=0.0)
    n = runs.where(runs > 0).to_numpy(float)
    low, high = wilson_interval(value.to_numpy(float) * n, n)
    return made.assign(
        value=value.where(less, own["value"]),
        low=own["low"].where(~less, low),
        high=own["high"].where(~less, high),
    )


def wrongly(own: pd.DataFrame) -> str:
    """What hollow marks are, and where the most are, as sentences; empty if there are none."""
    if "wrong" not in own or not (own["wrong"] > WRONGLY).any():
        return ""
    row = own.loc[own["wrong"].idxmax()]
    return (
        " Hollow marks: rejections with the wrong sign, where they are more than "
        f"{WRONGLY:.1%} (at most {row['wrong']:.1%}, {row['strategy']})."
    )


def nothing_to_see(rows: Rows, title: str, said: str) -> Figure:
    """Say why there is nothing to see in a measure: its panels would say no more."""
    figure, _ = style.page(
        style.MIN_WIDTH,
        0.5,
        f"{title} – {rows.study.title}",
        said,
        entries={},
        slice_name=rows.slice,
        incomplete=rows.incomplete,
    )
    style.say_nothing(figure)
    return figure


def reach(own: pd.DataFrame, spec: Spec) -> pd.Series:
    """How far values are from the target, by their level along x: as factors if they are ratios."""
    if spec.scale == "ratio":
        values = own["value"].where(own["value"] > 0) / spec.target
        distance = np.exp(np.log(values).abs())
    else:
        distance = own[["value", "low", "high"]].sub(spec.target).abs().max(axis=1)
    return pd.Series(distance.to_numpy(), index=own["x"]).dropna()


HEAVY_TAILS = "estimates have the tails of t"
"""What the table's reason begins with where a moment is missing."""


def reasons(said: pd.Series) -> str:
    """The table's reasons why something is not defined, without those that say the same."""
    found = list(dict.fromkeys(said.dropna()))
    tails = [reason for reason in found if str(reason).startswith(HEAVY_TAILS)]
    others = [reason for reason in found if reason not in tails]
    if tails:
        degrees = " or ".join(sorted(re.findall(r"with ([\d.]+) degree", " ".join(tails))))
        others.append(
            "with hardly more observations per group than coefficients, estimates have the tails "
            f"of a t distribution with {degrees} df, which has no such moment"
        )
    return "; ".join(others)


def undefined(own: pd.DataFrame) -> str:
    """For which strategies a measure is not defined at times, and why, as a sentence."""
    missing = own[~own["defined"].astype(bool)].sort_values("strategy")
    if missing.empty:
        return ""
    names = list(dict.fromkeys(missing["strategy"]))
    whose = f" for {', '.join(names)}" if len(names) < own["strategy"].nunique() else ""
    return f" Not defined{whose} at times: {reasons(missing['reason'])}."


def lacking(own: pd.DataFrame) -> str:
    """Which strategies have no value of a coefficient at all, as sentences."""
    own = own[own["defined"].astype(bool)]
    with_values = {
        term: set(rows["strategy"]) for term, rows in own.dropna(subset="value").groupby("term")
    }
    everyone = [name for name in own["strategy"].cat.categories if name in set(own["strategy"])]
    missing = {
        term: [name for name in everyone if name not in names]
        for term, names in with_values.items()
    }
    return "".join(f" No {term}: {', '.join(names)}." for term, names in missing.items() if names)


def chosen_terms(rows: Rows, terms: Sequence[str], joined: bool = False) -> list[str]:
    """The coefficients to show: those that are wanted, else as many as there is room for.

    That is all, or the intercept and the first slope, or the latter alone. Where lines join them it
    is the latter: lines of one colour could not be told apart.
    """
    if rows.view.terms:
        return [term for term in terms if term in rows.view.terms]
    if joined:
        return [term for term in terms if term != "Intercept"][:1] or list(terms)
    for some in (list(terms), list(terms[:2])):
        # small marks of both kinds at each level would hide each other, and bands
        if sizes(rows, max(1, len(some))).step >= SMALL_STEP:
            return some
    return list(terms[1:2] or terms)


def in_words(terms: Sequence[str], total: int) -> str:
    """Which of so many coefficients are shown, and by which marks."""
    slopes = [term for term in terms if term != "Intercept"]
    if len(slopes) == len(terms):
        more = f", one of {total}" if len(terms) == 1 < total else ""
        return f"coefficient {', '.join(terms) or 'none'}{more}"
    of_slopes = f", filled ones {', '.join(slopes)}" if slopes else ""
    return f"open marks are intercepts{of_slopes}"


def counted(counts: pd.Series, what: str) -> str:
    """``50 fits``, ``8 to 10 fits``."""
    if counts.empty:
        return f"No {what}"
    least, most = int(counts.min()), int(counts.max())
    plural = "" if most == 1 else "s"
    return f"{least:,}{'' if least == most else f' to {most:,}'} {what}{plural}"


def farthest(own: pd.DataFrame, spec: Spec, view: View) -> str:
    """The value that is farthest from the target, as a sentence; empty for so few fits."""
    known = own[own["mcse"].notna() & own["value"].notna() & (own["n_used"] >= MEANINGFUL)]
    if known.empty or spec.scale == "share":
        return ""
    if spec.scale == "ratio":
        known = known[known["value"] > 0]
        distance = np.log(known["value"] / spec.target).abs()
    elif spec.scale == "signed":
        known = known[known["mcse"] > 0]
        distance = (known["value"] / known["mcse"]).abs()
    else:
        distance = (known["value"] - spec.target).abs()
    if distance.empty or not distance.max() > NOTHING:
        return ""
    row = known.loc[distance.idxmax()]
    value, mcse = spelled_value(row, spec)
    place = where(view, own, row)
    of = "Most MCSEs from zero" if spec.scale == "signed" else "Farthest from the line"
    place = f" with {place}" if place else ""
    return f" {of}: {row['strategy']}, {row['term']}{place}: {value} (MCSE {mcse})."


def spelled_value(row: pd.Series, spec: Spec) -> tuple[str, str]:
    """A value and its Monte Carlo standard error, as texts."""
    if spec.scale in ("rate", "rate from the top", "share"):
        return f"{row['value']:.1%}", f"{100 * row['mcse']:.1f}"
    mcse = row["mcse"] / 100 if spec.measure == "relative_error_of_model_se" else row["mcse"]
    return significant(row["value"], 2), significant(mcse, 1)


def absent(inside: pd.DataFrame, rows: Rows) -> str:
    """Which strategies have no value in a panel, or not at each level of x.

    Where a measure is defined for none of them, all are alike, and none is named.
    """
    parts: dict[str, list[str]] = {}
    somewhere = inside.groupby(["x", "term"], observed=True)["defined"].transform("any")
    inside = inside[somewhere.astype(bool)]
    for name in rows.view.names:
        own = inside[inside["strategy"] == name]
        known = own["value"].notna()
        by_level = known.groupby(own["x"], observed=True).any()
        silent = ~known.groupby(own["term"]).any()
        if known.all():
            continue
        if not by_level.any():
            what = "no result" if own["defined"].all() else "not defined"
        elif not by_level.all():
            levels = [label for label in rows.labels if not by_level.get(label, True)]
            what = (
                f"nothing at {', '.join(levels)}" if len(levels) < 4 else "nothing at some levels"
            )
        elif silent.any():
            # the figure's text says it
            continue
        else:
            what = "not all coefficients"
        parts.setdefault(what, []).append(name)
    return "; ".join(f"{text}: {', '.join(names)}" for text, names in parts.items())


def smallest(inside: pd.DataFrame, rows: Rows, target: float) -> str:
    """The least number of groups with a power, strategy by strategy (`sample_sizes`)."""
    if rows.view.layout.x != GROUPS:
        return ""
    parts = []
    for name in rows.view.names:
        own = inside[(inside["strategy"] == name) & inside["value"].notna()].sort_values(GROUPS)
        if own.empty or own[GROUPS].duplicated().any():
            continue
        # as in the table of those numbers
        numbers = (own[key].to_numpy(float) for key in (GROUPS, "all", "n_run"))
        estimate, *_ = Curve(*numbers).smallest(target)
        if estimate is None:
            reached = (own["all"] >= target).any()
            bound = own[GROUPS].min() if reached else own[GROUPS].max()
            parts.append(f"{name} {'≤' if reached else '>'} {bound:g}")
        else:
            parts.append(f"{name} {estimate}")
    # a name and its number stay in one line
    words = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
    return f"{target:.0%}: {words}" if parts else ""


def say_empty(axes: Axes, text: str) -> None:
    """Say why a panel is empty."""
    box = {"facecolor": "white", "edgecolor": "none"}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", bbox=box)


def draw_points(
    panel: Panel, inside: pd.DataFrame, rows: Rows, terms: Sequence[str], spec: Spec
) -> None:
    """Draw the points of one panel: strategies side by side, their coefficients in order."""
    joined = rows.ordered and (panel.crowded or spec.scale == "share")
    # lines that are too close to each other for marks beside each other are at one place
    spread = 1.0 if not joined else 0.0 if panel.crowded else ASIDE
    # a little closer to each other than to another strategy's
    offsets = (np.arange(len(terms)) - (len(terms) - 1) / 2) * rows.step / (len(terms) + 0.4)
    small = panel.step < SMALL_STEP * (1 if len(terms) < 2 else len(terms) + 0.4)
    for code, (name, look) in enumerate(rows.view.looks.items()):
        for term, offset in zip(terms, offsets, strict=True):
            own = inside[(inside["strategy"] == name) & (inside["term"] == term)]
            own = own[own["value"].notna()].sort_values("x")
            codes = own["x"].cat.codes
            x = codes + spread * (rows.position(codes, code) + offset - codes)
            bounded = own["low"].notna()
            if spec.stems:
                pale = style.tint(look.colour, 0.35)
                panel.axes.vlines(x, spec.target, own["value"], color=pale, linewidth=2)
            panel.axes.vlines(
                x[bounded],
                own["low"][bounded],
                own["high"][bounded],
                color=style.tint(look.colour, 0.3) if panel.crowded else look.colour,
                linewidth=0.5 if panel.crowded else 0.7,
                zorder=1.5,
            )
            if joined:
                pale = style.tint(look.colour, 0.7)
                panel.axes.plot(x, own["value"], color=pale, linestyle=look.line, linewidth=0.7)
            panel.axes.plot(
                x,
                own["value"],
                marker=look.marker,
                linestyle="none",
                markersize=2.8 if small else 4.0,
                color=look.colour,
                markerfacecolor="white" if term == "Intercept" else look.colour,
                markeredgewidth=0.7,
                clip_on=False,
                zorder=3,
            )
            if "wrong" in own:
                shown = own["wrong"] > WRONGLY
                panel.axes.plot(
                    x[shown],
                    own["wrong"][shown],
                    marker=look.marker,
                    linestyle="none",
                    markersize=2.8 if small else 4.0,
                    color=look.colour,
                    markerfacecolor="white",
                    markeredgewidth=0.7,
                    clip_on=False,
                    zorder=2.9,
                )


def of_rates(own: pd.DataFrame, target: float) -> tuple[float, float]:
    """Limits for rates near zero."""
    return 0.0, min(1.0, max(2.5 * target, 1.05 * float(np.nanmax([*own["high"], 0.0]))))


def of_rates_from_the_top(own: pd.DataFrame, target: float) -> tuple[float, float]:
    """Limits for rates near one."""
    lowest = float(np.nanmin([*own["low"], 1.0]))
    return max(0.0, min(1.0 - 2.5 * max(ALPHA, 1.0 - target), 1.0 - 1.05 * (1.0 - lowest))), 1.0


def of_signed(own: pd.DataFrame, target: float) -> tuple[float, float]:
    """Limits as far to either side as intervals reach, or points without one."""
    reach = float(np.nanmax(np.abs([*own["low"], *own["high"], *own["value"], 1e-9])))
    return target - 1.1 * reach, target + 1.1 * reach


def of_ratios(own: pd.DataFrame, target: float) -> tuple[float, float]:
    """Limits around all points; intervals that are far longer are cut."""
    values = own["value"][own["value"] > 0]
    least, most = min([*values, target]), max([*values, target])
    low = own["low"].clip(lower=least / LONGEST).min()
    high = own["high"].clip(upper=LONGEST * most).max()
    return np.nanmin([least, low]) / 1.05, np.nanmax([most, high]) * 1.05


LIMITS: dict[Scale, Callable[[pd.DataFrame, float], tuple[float, float]]] = {
    "rate": of_rates,
    "rate from the top": of_rates_from_the_top,
    "share": lambda own, target: (-0.02, 1.02),
    "signed": of_signed,
    "ratio": of_ratios,
}

TICKS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def scale_rates(axes: Axes, limits: tuple[float, float]) -> None:
    """A scale on which small rates can be told apart."""
    axes.set_yscale("function", functions=(signed_root, signed_square))
    axes.set_yticks([tick for tick in TICKS if tick <= limits[1]])
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def scale_rates_from_the_top(axes: Axes, limits: tuple[float, float]) -> None:
    """A scale on which rates near one can be told apart."""
    axes.set_yscale(
        "function",
        functions=(lambda y: -signed_root(1.0 - y), lambda y: 1.0 - signed_square(-y)),
    )
    axes.set_yticks([1.0 - tick for tick in TICKS if 1.0 - tick >= limits[0]])
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def scale_shares(axes: Axes, limits: tuple[float, float]) -> None:
    """A plain scale from 0 to 100%."""
    axes.set_yticks(np.linspace(0.0, 1.0, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def scale_signed(axes: Axes, limits: tuple[float, float]) -> None:
    """A scale around zero on which small values can be told from none."""
    axes.set_yscale("function", functions=(signed_root, signed_square))
    largest = 10.0 ** np.floor(np.log10(limits[1]))
    steps = [largest * step for step in (5, 2, 1, 0.3, 0.1) if largest * step <= limits[1]]
    # as far apart, in the lowest panel, as their texts are high
    apart = 0.22 * np.sqrt(limits[1])
    kept = steps[:1]
    for step in steps[1:]:
        if min(np.sqrt(kept[-1]) - np.sqrt(step), np.sqrt(step)) >= apart:
            kept.append(step)
    axes.set_yticks([*(-step for step in kept), 0.0, *kept])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: minus(f"{value:.12g}")))


def scale_ratios(axes: Axes, limits: tuple[float, float]) -> None:
    """A logarithmic scale, labelled in plain numbers."""
    axes.set_yscale("log")
    span = limits[1] / limits[0]
    if span < 1.1:
        ticks = [tick / 100 for tick in range(1, 301)]
    elif span < 1.4:
        ticks = [tick / 20 for tick in range(1, 61)]
    elif span < 2:
        ticks = [tick / 10 for tick in range(1, 61)]
    elif span < 3:
        ticks = [tick / 5 for tick in range(1, 61)]
    else:
        steps = (1, 1.5, 2, 3, 4, 5, 7) if span < 5 else (1, 2, 3, 5, 7) if span < 20 else (1, 2, 5)
        ticks = [10.0**power * step for power in range(-6, 7) for step in steps]
    axes.set_yticks([tick for tick in ticks if limits[0] <= tick <= limits[1]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.12g}"))
    axes.yaxis.set_minor_locator(NullLocator())


SCALES = {
    "rate": scale_rates,
    "rate from the top": scale_rates_from_the_top,
    "share": scale_shares,
    "signed": scale_signed,
    "ratio": scale_ratios,
}


def signed_root(values: Array) -> Array:
    """The square root, to either side of zero."""
    roots: Array = np.sign(values) * np.sqrt(np.abs(values))
    return roots


def signed_square(values: Array) -> Array:
    """The inverse of `signed_root`."""
    squares: Array = np.sign(values) * np.square(values)
    return squares
