"""What the axes of a study are called, in figures and on the page."""

from __future__ import annotations

import re
from numbers import Integral
from typing import NamedTuple

from rmsweep.design import Level, plain


class AxisWords(NamedTuple):
    """What an axis is called.

    Attributes
    ----------
    label : str
        Where there is little room.
    noun : str
        In a sentence.
    level : str
        One of its levels, at ``{}``.
    """

    label: str
    noun: str
    level: str

    @property
    def title(self) -> str:
        """Of a chart's axis."""
        text = self.noun.removeprefix("the ")
        return text[0].upper() + text[1:]


AXES = {
    "n_groups": AxisWords("Groups", "the number of groups", "{} groups"),
    "n_obs": AxisWords(
        "Observations per group", "the number of observations per group", "{} observations"
    ),
    "sigma": AxisWords("Between-group SD", "the between-group SD of the coefficients", "SD {}"),
    "scenario": AxisWords("Scenario", "the scenario", "{}"),
    "n_predictors": AxisWords("Predictors", "the number of predictors", "{} predictors"),
    "beta": AxisWords("True coefficients", "the true coefficients", "coefficients “{}”"),
    "sigma_ratio": AxisWords(
        "Ratio of SDs", "the ratio of each coefficient’s SD to the between-group SD", "SD ratio {}"
    ),
    "effect_correlation": AxisWords(
        "Correlation of effects",
        "the correlation of a group’s coefficients",
        "effects correlated {}",
    ),
    "effect_distribution": AxisWords(
        "Effects", "the distribution of the groups’ coefficients", "effects: {}"
    ),
    "group_sizes": AxisWords("Group sizes", "the distribution of the group sizes", "sizes: {}"),
    "predictor_mean": AxisWords(
        "Predictor mean", "the mean of the predictors", "predictor mean {}"
    ),
    "predictor_sd": AxisWords("Predictor SD", "the SD of the predictors", "predictor SD {}"),
    "predictor_correlation": AxisWords(
        "Predictor correlation", "the correlation of the predictors", "predictors correlated {}"
    ),
    "predictor_distribution": AxisWords(
        "Predictors", "the distribution of the predictors", "predictors: {}"
    ),
    "predictor_level": AxisWords(
        "Predictor level", "the level of the predictors", "predictor level {}"
    ),
    "predictor_icc": AxisWords(
        "Predictor ICC", "the intraclass correlation of the predictors", "predictor ICC {}"
    ),
    "predictor_autocorrelation": AxisWords(
        "Predictor autocorrelation",
        "the autocorrelation of the predictors",
        "predictor autocorrelation {}",
    ),
    "confounding": AxisWords(
        "Confounding",
        "the correlation of the predictors’ group means with the intercepts",
        "confounding {}",
    ),
    "noise_mean": AxisWords("Noise mean", "the mean of the noise", "noise mean {}"),
    "noise_sd": AxisWords("Noise SD", "the SD of the noise", "noise SD {}"),
    "noise_distribution": AxisWords("Noise", "the distribution of the noise", "noise: {}"),
    "noise_autocorrelation": AxisWords(
        "Noise autocorrelation", "the autocorrelation of the noise", "noise autocorrelation {}"
    ),
    "noise_heterogeneity": AxisWords(
        "Noise heterogeneity",
        "the SD between groups of the log noise variance",
        "noise heterogeneity {}",
    ),
    "n_items": AxisWords("Items", "the number of items", "{} items"),
    "item_sigma": AxisWords(
        "Between-item SD", "the between-item SD of the coefficients", "item SD {}"
    ),
    "item_sigma_ratio": AxisWords(
        "Ratio of item SDs",
        "the ratio of each coefficient’s SD to the between-item SD",
        "item SD ratio {}",
    ),
    "item_correlation": AxisWords(
        "Correlation of item effects",
        "the correlation of an item’s coefficients",
        "item effects correlated {}",
    ),
    "item_design": AxisWords(
        "Design of the items", "how predictors go along with items", "items: {}"
    ),
    "item_layout": AxisWords("Items of groups", "how groups and items meet", "items {}"),
    "n_sites": AxisWords("Sites", "the number of sites", "{} sites"),
    "site_sigma": AxisWords(
        "Between-site SD", "the between-site SD of the coefficients", "site SD {}"
    ),
    "site_sigma_ratio": AxisWords(
        "Ratio of site SDs",
        "the ratio of each coefficient’s SD to the between-site SD",
        "site SD ratio {}",
    ),
    "site_correlation": AxisWords(
        "Correlation of site effects",
        "the correlation of a site’s coefficients",
        "site effects correlated {}",
    ),
    "variances": AxisWords("Variances", "how variances are drawn", "variances: {}"),
    "correlation_range": AxisWords(
        "Range of correlations", "the range of the correlations", "correlations ± {}"
    ),
    "predictors": AxisWords("Predictors", "the file of the predictors", "predictors: {}"),
    "missing": AxisWords("Missing rows", "the kind of missing rows", "missing rows: {}"),
}


def of_axis(name: str) -> AxisWords:
    """The words for an axis, also for one that has none of its own."""
    if name in AXES:
        return AXES[name]
    words = name.replace("_", " ").replace(" sd", " SD").replace(" icc", " ICC")
    counted = words.removeprefix("n ")
    label = counted[0].upper() + counted[1:]
    if counted != words:
        return AxisWords(label, f"the number of {counted}", f"{{}} {counted}")
    return AxisWords(label, f"the {words}", f"{words} {{}}")


def of_slice(name: str) -> str:
    """A slice of a study in words: ``noise SD 2, predictors correlated 0.5``."""
    found = []
    for part in filter(None, name.split(",")):
        axis, _, text = part.partition("=")
        number = float(text) if NUMBER.fullmatch(text) else None
        level = text if number is None else int(number) if number.is_integer() else number
        found.append(of_level(axis, level))
    return ", ".join(found)


NUMBER = re.compile(r"-?[0-9.]+(e-?[0-9]+)?")


def minus(number: str) -> str:
    """A number's text with the sign that it has in print."""
    return number.replace("-", "\N{MINUS SIGN}")


def significant(value: float, digits: int) -> str:
    """A number of so many significant digits; large ones without an exponent: ``1,200``."""
    text = f"{value:.{digits}g}"
    return minus(f"{float(text):,.0f}" if "e+" in text else text)


def of_level(axis: str, level: Level) -> str:
    """A level in words: ``10 groups``."""
    if isinstance(level, str):
        text = level
    elif isinstance(level, Integral):  # numpy's, too
        text = minus(f"{level:,}")
    else:
        text = minus(plain(float(f"{level:.4g}")))
    words = of_axis(axis).level.format(text)
    return words.removesuffix("s") if text == "1" and words.startswith("1 ") else words


def in_sentence(axis: str, level: Level) -> str:
    """A level where nothing else says what it is one of: ``10 groups``, ``scenario “strong”``."""
    words = of_level(axis, level)
    return words if words != level else f"{of_axis(axis).noun.removeprefix('the ')} “{words}”"
