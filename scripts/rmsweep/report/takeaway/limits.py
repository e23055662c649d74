"""What the study can't say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rmsweep.claims.rule import MIN_DATASETS
from rmsweep.config import axis_defaults
from rmsweep.design import Level, plain
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.rates import Z95
from rmsweep.report import words
from rmsweep.report.takeaway.measured import Measured
from rmsweep.report.words import counted, listed

UNLIKE_LIFE = {
    "group_sizes": "groups of unequal size",
    "missing": "missing rows",
    "noise_distribution": "noise that is not normal",
    "effect_distribution": "coefficients of groups that are not normal",
    "noise_autocorrelation": "errors that depend on earlier ones",
    "confounding": "groups whose predictors go along with their level (Simpson’s paradox)",
    "n_items": "items that differ",
    "n_sites": "groups that are nested in sites",
}
"""What data may have; of a study with these keys at their defaults, none do."""


def of_limits(measured: Measured) -> Iterator[str]:
    """What the study can't say."""
    study = measured.study
    least = study.precision.first if study.precision else min(study.sizes.values())
    half = Z95 * np.sqrt(ALPHA * (1 - ALPHA) / least)
    if least < MIN_DATASETS:
        yield f"{counted(least, 'dataset').capitalize()} a condition: too few for conclusions."
    else:
        yield (
            f"With {counted(least, 'dataset')} a condition, a single rate near {ALPHA:.0%} is "
            f"known to within ±{100 * half:.2g} points."
        )
    if len(study.strategies) == 1:
        yield "With one strategy, the study can’t say which is better."
    ranges = [
        span(axis.name, levels[0], levels[-1])
        for axis in study.axes
        if len(levels := study.levels(axis.name)) > 1
        and not any(isinstance(level, str) for level in levels)
    ]
    defaults = axis_defaults()
    absent = [
        text
        for key, text in UNLIKE_LIFE.items()
        if all(dict(one.values)[key] == defaults[key] for one in study.conditions)
    ]
    unknown = [f"beyond {listed(ranges)}"] if ranges else []
    unknown += [f"with {listed(absent, 'or')}"] if absent else []
    if unknown:
        yield f"The study says nothing of data {', or '.join(unknown)}."


def span(axis: str, low: Level, high: Level) -> str:
    """``10 to 100 groups``, or ``SD 0.1 to 4``."""
    if words.of_axis(axis).level.startswith("{}"):
        return f"{plain(low)} to {words.of_level(axis, high)}"
    return f"{words.of_level(axis, low)} to {plain(high)}"
