"""Mixed models with the groups' means of the predictors beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array, Batch, Dataset, batches
from rmsweep.strategies import Fit, FitError, Preset, mixed
from rmsweep.strategies.mixed import Inference, Options

ENGINE, R_PACKAGES = mixed.ENGINE, mixed.R_PACKAGES
MEANINGLESS_NATIVELY = mixed.MEANINGLESS_NATIVELY

# Means whose SD between groups is less than this fraction of the predictor's are rounding.
CONSTANT = 1e-6

PRESETS = {
    "lmer_mundlak": Preset(
        "Mixed model with group means (within-between)",
        {"random": (mixed.RandomTerm(),), "interval": "t"},
        assumes="as lmer, but groups' coefficients may go with the means of their predictors",
        convention="REML; t with Satterthwaite's df; means that are the same in all groups are "
        "left out; the coefficients of the means are not reported",
        reference="lmerTest (Mundlak 1978)",
        use="where groups differ in their predictors: its slopes are those within groups",
    ),
}

r_packages, warm_up = mixed.r_packages, mixed.warm_up


def refuses(data: Dataset, options: Options) -> str:
    """The means need levels of their own; those by what groups are nested in, groups as well."""
    n_slopes = len(data.terms) - ("Intercept" in data.terms)
    factors = others(data, options)
    of_above = [n_slopes - len(data.constant.get(it, ())) for it in factors if it in data.above]
    for factor in (data.group, *factors):
        n_between = 1 + n_slopes + (sum(of_above) if factor == data.group else 0)
        n_levels = int(data.factors.get(factor, data.groups).max()) + 1
        if n_levels <= n_between:
            whose = "groups" if factor == data.group else f"levels of {factor}"
            return f"{n_levels} {whose} for {n_between} coefficients between groups"
    return mixed.refuses(data, options)


refuses_natively, refuses_to_infer = mixed.refuses_natively, mixed.refuses_to_infer
wants_same_rows = mixed.wants_same_rows


def others(data: Dataset, options: Options) -> tuple[str, ...]:
    """The factors of the random effects other than the groups'."""
    factors = dict.fromkeys(term.factor for term in options.random)
    return tuple(it for it in factors if it is not None and it != data.group)


def with_group_means(data: Dataset, others: Sequence[str] = ()) -> Dataset:
    """Add the mean of each predictor in each row's group, as predictors of the groups' level.

    Slopes of the predictors themselves are then those within groups (Mundlak 1978, Econometrica
    46:69). A mean that is the same in all groups to within rounding is left out, and so is that of
    a cross-level interaction if the groups' own predictors determine it.

    Parameters
    ----------
    data : Dataset
    others : sequence of str
        Further factors, such as the items', whose levels' means are added likewise: slopes are then
        those within both. Means by a factor that groups are nested in are predictors of the groups.
    """
    found = means(data, data.groups, data.group_level, data.cross_level)
    of_groups = {f"mean of {term}": column for term, column in found}
    constant, above = dict(data.constant), data.above
    of_crossed, of_above = dict[str, Array](), dict[str, Array]()
    for factor in others:
        same, crossed = data.constant.get(factor, ()), data.determined.get(factor, ())
        found = means(data, data.factors[factor], same, crossed)
        own = {f"mean of {term} by {factor}": column for term, column in found}
        constant[factor] = (*same, *own)
        (of_above if factor in above else of_crossed).update(own)
    n_within = len(data.terms) - len(data.group_level)
    within, between = data.X[:, :n_within], data.X[:, n_within:]
    by_level, by_site, by_group = (
        np.array([*it.values()]).reshape(-1, len(data.y)).T
        for it in (of_crossed, of_above, of_groups)
    )
    return replace(
        data,
        X=np.hstack([within, by_level, by_site, between, by_group]),
        terms=(
            *data.terms[:n_within],
            *of_crossed,
            *of_above,
            *data.terms[n_within:],
            *of_groups,
        ),
        group_level=(*of_above, *data.group_level, *of_groups),
        constant=constant,
    )


def means(
    data: Dataset, levels: NDArray[np.int64], same: Sequence[str], crossed: Sequence[str]
) -> Iterator[tuple[str, Array]]:
    """The means of predictors by level of a factor, in each row, by term.

    Parameters
    ----------
    data : Dataset
    levels : (n,) int array
        Each row's level.
    same, crossed : sequence of str
        Terms that are constant within levels, and those that other ones determine there.
    """
    sizes = np.bincount(levels)
    _, first = np.unique(levels, return_index=True)
    places = [place for place, term in enumerate(data.terms) if term in same]
    known = np.column_stack([np.ones(len(sizes)), data.X[first][:, places]])
    for term, column in zip(data.terms, data.X.T, strict=True):
        if term == "Intercept" or term in same:
            continue
        own = np.bincount(levels, weights=column) / sizes
        rest = own
        if term in crossed:
            rest = own - known @ np.linalg.lstsq(known, own)[0]
        if rest.std() >= CONSTANT * column.std():
            yield term, own[levels]


def whole_of(data: Dataset, options: Options) -> tuple[Dataset, Options]:
    """The data with the means, and the model, in which means have no random slopes."""
    if not (factors := others(data, options)):
        return with_group_means(data), options
    random = tuple(replace(term, columns=term.names(data)) for term in options.random)
    return with_group_means(data, factors), replace(options, random=random)


def as_formula(data: Dataset, options: Options) -> str:
    """The model as a formula of lme4's."""
    return mixed.as_formula(*whole_of(data, options))


@dataclass(frozen=True, slots=True)
class Part:
    """Datasets that have the same means in their model.

    Attributes
    ----------
    places : sequence of int
        Theirs in the whole batch.
    batch : Batch
        With the means.
    fitted : mixed.Natively or FitError
    """

    places: Sequence[int]
    batch: Batch
    fitted: mixed.Natively | FitError


def fit(data: Dataset, options: Options) -> mixed.ByLme4:
    """Fit the model with the means by lme4; errors are those of `mixed.fit`."""
    return mixed.fit(*whole_of(data, options))


def infer(data: Dataset, fitted: mixed.ByLme4, inference: Inference) -> Fit:
    """Make of the fit what is asked for, of the data's own terms."""
    whole, _ = whole_of(data, fitted.options)
    return own(data, whole, mixed.infer(whole, fitted, inference), fitted.options)


def fit_batch(batch: Batch, options: Options) -> list[Part]:
    """Fit the same by the native engine."""
    parts = []
    wholes, models = zip(*(whole_of(data, options) for data in batch.datasets), strict=True)
    for places, part in batches(wholes):
        fitted: mixed.Natively | FitError
        try:
            fitted = mixed.fit_batch(part, models[places[0]])
        except ValueError as error:
            fitted = FitError(str(error))
        parts.append(Part(places, part, fitted))
    return parts


def infer_batch(batch: Batch, parts: list[Part], inference: Inference) -> list[Fit | FitError]:
    """Make of the fits what is asked for, of the data's own terms."""
    found: list[Fit | FitError] = [FitError("")] * len(batch.datasets)
    for part in parts:
        if isinstance(part.fitted, FitError):
            for place in part.places:
                found[place] = part.fitted
            continue
        whole, options = part.batch.datasets[0], part.fitted.options
        fits = mixed.infer_batch(part.batch, part.fitted, inference)
        for place, one in zip(part.places, fits, strict=True):
            data = batch.datasets[place]
            found[place] = own(data, whole, one, options) if isinstance(one, Fit) else one
    return found


def own(data: Dataset, whole: Dataset, fitted: Fit, options: Options) -> Fit:
    """The part of a fit that is about the data's own terms.

    The conventions say which means are not in the model.
    """

    def but(same: Sequence[str], end: str = "") -> str:
        out = [
            term
            for term in data.terms
            if term not in ("Intercept", *same) and f"mean of {term}{end}" not in whole.terms
        ]
        return f", but of {', '.join(out)}" if out else ""

    said = [f"with group means{but(data.group_level)}"]
    for factor in others(data, options):
        said.append(f"means by {factor}{but(data.constant.get(factor, ()), f' by {factor}')}")
    return replace(
        fitted.of_terms(whole.terms, data.terms), se_type=", ".join([fitted.se_type, *said])
    )
