"""The groups' own coefficients: what the between-group SD means."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from rmsweep.axes import minus, of_level
from rmsweep.config import axis_defaults
from rmsweep.data.scenario import RANDOM, Simulated, simulate, term_names
from rmsweep.data.template import template_of
from rmsweep.data.vectors import vector
from rmsweep.design import Condition, plain
from rmsweep.figures import style
from rmsweep.figures.facets import View

N_GROUPS = 5000
COLOURS = ("#6A51A3", "#41AB5D")
ROW = 0.85
MOST_DOTS = 100
DENSITIES = (
    "Densities over {n:,} simulated groups (the post's persons), for each between-group SD of the "
    "study “{study}”. Dashed lines: the true values, {truths}. All panels have the same x axis; "
    "heights are scaled to each panel."
)
RANGES = (
    "Where the groups' own coefficients are, for each between-group SD of the study “{study}”: "
    "thick lines hold half of {n:,} simulated groups, thin lines 95%; dots are {dots} of them. "
    "Dashed lines: the true values, {truths}. The larger the SD, the less a single group says. The "
    "axis is linear near zero and logarithmic far from it."
)


def draw(view: View, name: str) -> Figure:
    """Draw one panel per sigma: where intercepts and slopes are around the truth.

    The model has an intercept and one slope, as in the post. The panels share their groups:
    only the distance to the truth grows.

    Parameters
    ----------
    view : View
        Of the study whose seed, and whose spread of the first two coefficients, they have.
    name : str
        Of the slice of the study; empty if it has only one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    study = view.study
    conditions = study.slices(view.layout.axes)[name]
    levels = sorted({condition.sigma for condition in conditions})
    populations = [population(study.seed, conditions[0], sigma) for sigma in levels]
    first, names = populations[0], term_names(conditions[0])[:2]
    truths = " and ".join(
        f"{term} = {minus(f'{beta:.2f}')}" for term, beta in zip(names, first.betas, strict=True)
    )
    varied = [
        axis.name
        for axis in study.further_axes
        if len({condition.levels[axis.name] for condition in conditions}) > 1
    ]
    at = ", ".join(of_level(axis, conditions[0].levels[axis]) for axis in varied)
    whose = f" Shown: {at}." if at else ""
    width, left, right, foot = 7.5, 1.0, 0.3, 0.5
    body = ROW * len(levels) + foot
    figure, top = style.page(
        width,
        body,
        "Coefficients of individual groups",
        (DENSITIES if view.post else RANGES).format(
            n=N_GROUPS, study=study.name, truths=truths, dots=MOST_DOTS
        )
        + whose,
        entries=dict(zip(names, COLOURS, strict=True)),
        slice_name=name,
    )
    height = figure.get_figheight()
    spread = max(np.abs(p.coefficients).max() for p in populations)
    for row, (sigma, simulated) in enumerate(zip(levels, populations, strict=True)):
        box = (left, top - ROW * (row + 1), width - left - right, 0.85 * ROW)
        axes = figure.add_axes(tuple(np.array(box) / [width, height, width, height]))
        (draw_densities if view.post else draw_ranges)(axes, simulated)
        last = row == len(levels) - 1
        if not view.post:
            axes.set_xscale("asinh", linear_width=0.5)
            ticks = [tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if tick < spread]
            axes.set_xticks([*(-tick for tick in ticks[::-1]), 0, *ticks])
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: minus(plain(value))))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlim=(-spread, spread), xlabel="Coefficient of a group" if last else "")
        axes.tick_params(labelbottom=last, length=2.5 if last else 0)
        axes.set_ylabel(f"SD {plain(sigma)}", rotation=0, ha="right", va="center", weight="bold")
    return figure


def population(seed: int, condition: Condition, sigma: float) -> Simulated:
    """Simulate many groups; for all sigma the same ones, drawn out to that SD."""
    n_terms = int(condition["n_predictors"]) + 1
    ratio = vector(condition["sigma_ratio"], n_terms)[:2]
    values = axis_defaults() | {"n_groups": N_GROUPS, "n_obs": 1, "n_predictors": 1}
    # the two coefficients of the figure, and what decides about their groups
    values["effect_distribution"] = condition["effect_distribution"]
    values["predictor_level"] = min(vector(condition["predictor_level"], n_terms - 1)[0], 2.0)
    if design := template_of(condition):
        values["predictor_level"] = 2 if 1 in design.group_level else 1
    if condition["beta"] != RANDOM:
        values["beta"] = tuple(vector(condition["beta"], n_terms)[:2])
    # the seed depends on the condition's sigma: so that stays 1, and the ratio takes over
    values |= {"sigma": 1.0, "sigma_ratio": tuple(sigma * ratio)}
    return simulate(seed, Condition("", values, {}), 0)


def draw_densities(axes: Axes, simulated: Simulated) -> None:
    """Draw the densities of one population, and its truth."""
    for colour, beta, values in zip(
        COLOURS, simulated.betas, simulated.coefficients.T, strict=True
    ):
        varies = np.ptp(values) > 0
        if varies:
            sns.kdeplot(x=values, ax=axes, color=colour, fill=True, alpha=0.3, linewidth=1.2)
        axes.axvline(beta, color=colour, linestyle="--" if varies else "-", linewidth=1.1)
    axes.set(yticks=[])
    axes.spines["left"].set_visible(False)


def draw_ranges(axes: Axes, simulated: Simulated) -> None:
    """Draw where the coefficients of one population are, and its truth."""
    for row, (colour, beta, values) in enumerate(
        zip(COLOURS, simulated.betas, simulated.coefficients.T, strict=True)
    ):
        height = -float(row)
        low, q1, q3, high = np.quantile(values, [0.025, 0.25, 0.75, 0.975])
        axes.hlines(height, low, high, color=colour, linewidth=1.2)
        axes.hlines(height, q1, q3, color=colour, linewidth=4)
        dots = values[:MOST_DOTS]
        jitter = np.random.default_rng(0).uniform(0.18, 0.42, len(dots))
        axes.scatter(dots, height + jitter, s=3, color=colour, alpha=0.6, linewidths=0)
        line = "--" if np.ptp(values) > 0 else "-"
        axes.axvline(beta, color=colour, linestyle=line, linewidth=0.9)
    axes.set(yticks=[], ylim=(-1.4, 0.6))
    axes.spines["left"].set_visible(False)
