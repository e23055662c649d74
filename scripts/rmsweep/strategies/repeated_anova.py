"""Repeated-measures analysis of variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array, Dataset
from rmsweep.strategies import Fit, FitError, NoOptions, OwnTests, Preset
from rmsweep.strategies.inference import LEVEL

Index = NDArray[np.intp]

PRESETS = {
    "rm_anova": Preset(
        "Repeated-measures ANOVA, Greenhouse-Geisser corrected",
        assumes="predictors that are factors, with the same levels in every group and all "
        "combinations of them; nothing missing",
        convention="F of each main effect, both df times Greenhouse and Geisser's epsilon; the "
        "estimate is the linear trend over the levels, its SE that of the pooled error",
        reference="afex (Greenhouse & Geisser 1959)",
        use="for balanced experiments, as the classic beside lmer. Other data are failed rows",
    ),
}

UNSAID = "an analysis of variance within groups tests no intercept"


def refuses(data: Dataset, options: NoOptions) -> str:
    """What no values of the predictors could make balanced."""
    if data.group_level:
        return f"{', '.join(data.group_level)}: no factor within groups"
    if data.cross_level:
        return f"{', '.join(data.cross_level)}: no factor within groups alone"
    sizes = np.bincount(data.groups)
    if data.n_groups < 2:
        return "one group leaves nothing to compare"
    if (sizes != sizes[0]).any():
        return f"groups of {sizes.min()} to {sizes.max()} rows; allowed: the same levels in each"
    return ""


def fit(data: Dataset, options: NoOptions) -> Fit:
    r"""Test each within-group factor, its levels being the values of the predictor.

    With the L marginal means of a factor in each of G groups, S their covariance over groups with
    rows and columns centred, F is the mean square of the levels over that of levels by groups, on
    ε(L − 1) and ε(L − 1)(G − 1) degrees of freedom, ε = (tr S)²/((L − 1) tr S²) (Greenhouse &
    Geisser 1959, Psychometrika 24:95).

    Raises
    ------
    FitError
        If the predictors' levels or their combinations are not the same in every group.
    """
    from scipy.special import stdtrit

    slopes = [place for place, term in enumerate(data.terms) if term != "Intercept"]
    levels = [np.unique(data.X[:, place], return_inverse=True) for place in slopes]
    y = cells(data, [codes for _, codes in levels], [len(values) for values, _ in levels])
    n_terms = len(data.terms)
    estimate, se, df, p_value, low, high = np.full((6, n_terms), np.nan)
    for axis, (place, (values, _)) in enumerate(zip(slopes, levels, strict=True)):
        others = tuple(other + 1 for other in range(len(slopes)) if other != axis)
        means = y.mean(axis=others)
        estimate[place], se[place], df[place], p_value[place] = main_effect(means, values)
        if len(values) == 2:  # only then the factor and its trend are one
            half = se[place] * stdtrit(df[place], (1 + LEVEL) / 2)
            low[place], high[place] = estimate[place] - half, estimate[place] + half
    return Fit(
        estimate=estimate,
        se=se,
        df=df,
        se_type="pooled levels x groups",
        df_type="(L-1)(G-1)",
        ci_type="t",
        unsaid=UNSAID if "Intercept" in data.terms else "",
        own=OwnTests("F, Greenhouse-Geisser", p_value, low, high),
    )


def cells(data: Dataset, codes: list[Index], sizes: list[int]) -> Array:
    """Means of the response by group and combination of levels, (G, L, ...)."""
    shape = (data.n_groups, *sizes)
    place = np.ravel_multi_index([data.groups, *codes], shape)
    counts = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
    for term, size in zip((t for t in data.terms if t != "Intercept"), sizes, strict=True):
        if size == 1:
            raise FitError(f"{term} has one value; allowed: a factor with 2 levels or more")
    if (counts == 0).any() or (counts != counts[:1]).any():
        names = ", ".join(term for term in data.terms if term != "Intercept")
        raise FitError(
            f"{names}: not the same levels, and all their combinations, in every group; "
            "allowed: factors within groups"
        )
    sums = np.bincount(place, weights=data.y, minlength=counts.size).reshape(shape)
    means: Array = sums / counts
    return means


def main_effect(means: Array, values: Array) -> tuple[float, float, float, float]:
    """Trend over the levels, its standard error and degrees of freedom, and p of the factor.

    Parameters
    ----------
    means : (G, L) array
    values : (L,) array
        The levels' values of the predictor.
    """
    from scipy.special import fdtrc

    n_groups, n_levels = means.shape
    centred = means - means.mean(axis=1, keepdims=True)
    effect = centred.mean(axis=0)
    S = np.cov(centred.T)
    df = (n_levels - 1) * (n_groups - 1)
    error = np.trace(S) / (n_levels - 1)  # mean square of levels by groups
    if not error > 1e-24 * np.square(means).mean():
        raise FitError("the response has no variation that differs between groups")
    statistic = n_groups * np.square(effect).sum() / (n_levels - 1) / error
    epsilon = np.trace(S) ** 2 / ((n_levels - 1) * np.square(S).sum())
    p_value = fdtrc(epsilon * (n_levels - 1), epsilon * df, statistic)
    x = values - values.mean()
    trend = float(x @ effect / (x @ x))
    return trend, float(np.sqrt(error / (n_groups * (x @ x)))), float(df), float(p_value)
