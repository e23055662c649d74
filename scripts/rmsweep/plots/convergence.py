"""Bars of the convergence rate for every condition and strategy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rmsweep import strategies
from rmsweep.dataset import Array
from rmsweep.design import Verdict
from rmsweep.plots import style
from rmsweep.plots.facets import KEYS, Fits, Panel, facet_grid

RULES: dict[Verdict, str] = {
    "strict": "any warning or message is a failure, a singular fit included (lme4 from 1.1-19 on)",
    "published": "a singular fit is no failure (lme4 up to 1.1-18, as in the post's figures)",
}
NATIVE = (
    " by the native engine, at whose optimum hardly anything but singularity can fail: this is not "
    "how often lme4 fails."
)
Z95 = 1.959963984540054


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
    rates = convergence_rates(fits.frame)
    least, most = (int(count) for count in rates["n"].agg(["min", "max"]))
    subtitle = (
        f"Rule “{fits.verdict}”: {RULES[fits.verdict]}; a fit that gave no result failed. "
        f"{least:,}{'' if least == most else f' to {most:,}'} fits per bar, in the legend's order; "
        "lines are 95% Wilson intervals."
    )
    native = [
        name
        for name, engine in fits.engine.items()
        if engine == "native" and strategies.engines(name)[0] == "lme4"
    ]
    if native:
        subtitle += f" {' and '.join(native)}{NATIVE}"
    figure, panels = facet_grid(fits, "Convergence", subtitle, "Fits that converged")
    for panel in panels:
        panel.axes.set_ylim(0, 1.01)
        panel.axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        draw_bars(panel, fits, rates)
    return figure


def convergence_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Convergence rate of each condition and strategy.

    Returns
    -------
    pandas.DataFrame
        One row per bar, indexed by `KEYS`: ``n`` fits, their ``rate``, its 95% interval's ends
        ``low`` and ``high``.
    """
    rates = frame.groupby(KEYS, observed=True)["value"].agg(n="size", successes="sum")
    successes, n = rates["successes"].to_numpy(dtype=float), rates["n"].to_numpy(dtype=float)
    low, high = wilson_interval(successes, n)
    return rates.assign(rate=successes / n, low=low, high=high)


def wilson_interval(successes: Array, n: Array) -> tuple[Array, Array]:
    """95% score interval of a proportion.

    Wilson (1927), Journal of the American Statistical Association 22:209; the same as
    statsmodels' ``proportion_confint(method="wilson")``, whose import takes two seconds.

    Parameters
    ----------
    successes, n : array
        Number of successes, and of trials (at least 1).

    Returns
    -------
    low, high : array
    """
    rate = successes / n
    centre = (rate + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(rate * (1 - rate) / n + (Z95 / (2 * n)) ** 2)
    # 0 and 1 are exact where rounding may not be
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def draw_bars(panel: Panel, fits: Fits, rates: pd.DataFrame) -> None:
    """Draw the bars of one panel and their intervals."""
    frame = rates.loc[panel.key].reset_index()
    for code, (name, colour) in enumerate(style.palette(fits.strategies).items()):
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
