"""Bars of the convergence rate for every condition and strategy."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rmsweep import strategies
from rmsweep.design import Strategy, Verdict
from rmsweep.figures import style
from rmsweep.figures.facets import KEYS, Fits, Panel, facet_grid
from rmsweep.measures.rates import success_rates

RULES: dict[Verdict, str] = {
    "strict": "any warning or message is a failure, a singular fit included (lme4 from 1.1-19 on)",
    "published": "a singular fit is no failure (lme4 up to 1.1-18, as in the post's figures)",
}
NATIVE = (
    " by the native engine, at whose optimum hardly anything but singularity can fail: this is not "
    "how often lme4 fails."
)


def draw(fits: Fits) -> Figure:
    """Draw the grid of convergence rates, with 95% intervals.

    Parameters
    ----------
    fits : Fits
        The table, with ``fit_success`` as its value.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rates = success_rates(fits.frame, KEYS)
    least, most = (int(count) for count in rates["n"].agg(["min", "max"]))
    subtitle = (
        f"{rules(fits.strategies)}; a fit that gave no result failed. "
        f"{least:,}{'' if least == most else f' to {most:,}'} fits per bar, in the legend's order; "
        "lines are 95% Wilson intervals."
    )
    native = [
        strategy.name
        for strategy in fits.strategies
        if strategy.engine == "native" and strategies.engines(strategy.family)[0] == "lme4"
    ]
    if native:
        subtitle += f" {' and '.join(native)}{NATIVE}"
    figure, panels = facet_grid(fits, "Convergence", subtitle, "Fits that converged")
    for panel in panels:
        panel.axes.set_ylim(0, 1.01)
        panel.axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        draw_bars(panel, fits, rates)
    return figure


def rules(chosen: Sequence[Strategy]) -> str:
    """The verdicts in words, with the strategies that each is for where they differ."""
    by_verdict: dict[Verdict, list[str]] = {}
    for strategy in chosen:
        by_verdict.setdefault(strategy.verdict, []).append(strategy.name)
    texts = []
    for verdict, names in by_verdict.items():
        whose = f" for {', '.join(names)}" if len(by_verdict) > 1 else ""
        texts.append(f"Rule “{verdict}”{whose}: {RULES[verdict]}")
    return "; ".join(texts)


def draw_bars(panel: Panel, fits: Fits, rates: pd.DataFrame) -> None:
    """Draw the bars of one panel and their intervals."""
    frame = rates.loc[panel.key].reset_index()
    for code, (name, colour) in enumerate(style.palette(fits.names).items()):
        own = frame[frame["strategy"] == name]
        x = fits.position(own["sigma"].cat.codes, code)
        panel.axes.bar(
            x,
            own["rate"],
            width=0.85 * fits.step,
            facecolor=style.tint(colour),
            edgecolor=colour,
            linewidth=0.8,
        )
        panel.axes.vlines(x, own["low"], own["high"], color=style.INK, linewidth=1)
