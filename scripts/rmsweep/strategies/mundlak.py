"""Mixed models with the groups' means of the predictors beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rmsweep.data.dataset import Batch, Dataset, batches
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
    """The means need groups of their own."""
    n_between = 1 + len(data.terms) - ("Intercept" in data.terms)
    if data.n_groups <= n_between:
        return f"{data.n_groups} groups for {n_between} coefficients between groups"
    return mixed.refuses(data, options)


refuses_natively, refuses_to_infer = mixed.refuses_natively, mixed.refuses_to_infer
wants_same_rows = mixed.wants_same_rows


def with_group_means(data: Dataset) -> Dataset:
    """Add the mean of each predictor in each row's group, as predictors of the groups' level.

    Slopes of the predictors themselves are then those within groups (Mundlak 1978, Econometrica
    46:69). A mean that is the same in all groups to within rounding is left out, and so is that of
    a cross-level interaction if the groups' own predictors determine it.
    """
    sizes = np.bincount(data.groups)
    known = np.column_stack([np.ones(len(sizes)), data.of_groups()])
    columns, names = [data.X], []
    for term, column in zip(data.terms, data.X.T, strict=True):
        if term == "Intercept" or term in data.group_level:
            continue
        means = np.bincount(data.groups, weights=column) / sizes
        rest = means
        if term in data.cross_level:
            rest = means - known @ np.linalg.lstsq(known, means)[0]
        if rest.std() >= CONSTANT * column.std():
            columns.append(means[data.groups, None])
            names.append(f"mean of {term}")
    return replace(
        data,
        X=np.hstack(columns),
        terms=(*data.terms, *names),
        group_level=(*data.group_level, *names),
    )


def as_formula(data: Dataset, options: Options) -> str:
    """The model as a formula of lme4's."""
    return mixed.as_formula(with_group_means(data), options)


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
    return mixed.fit(with_group_means(data), options)


def infer(data: Dataset, fitted: mixed.ByLme4, inference: Inference) -> Fit:
    """Make of the fit what is asked for, of the data's own terms."""
    whole = with_group_means(data)
    return own(data, whole, mixed.infer(whole, fitted, inference))


def fit_batch(batch: Batch, options: Options) -> list[Part]:
    """Fit the same by the native engine."""
    parts = []
    for places, part in batches([with_group_means(data) for data in batch.datasets]):
        fitted: mixed.Natively | FitError
        try:
            fitted = mixed.fit_batch(part, options)
        except ValueError as error:
            fitted = FitError(str(error))
        parts.append(Part(places, part, fitted))
    return parts


def infer_batch(batch: Batch, parts: list[Part], inference: Inference) -> list[Fit | FitError]:
    """Make of the fits what is asked for, of the data's own terms."""
    found: list[Fit | FitError] = [FitError("")] * len(batch.datasets)
    for part in parts:
        fits: Sequence[Fit | FitError] = [part.fitted] * len(part.places)  # type: ignore[list-item]
        if isinstance(part.fitted, mixed.Natively):
            fits = mixed.infer_batch(part.batch, part.fitted, inference)
        whole = part.batch.datasets[0]
        for place, one in zip(part.places, fits, strict=True):
            data = batch.datasets[place]
            found[place] = own(data, whole, one) if isinstance(one, Fit) else one
    return found


def own(data: Dataset, whole: Dataset, fitted: Fit) -> Fit:
    """The part of a fit that is about the data's own terms.

    The means come after the terms; the conventions say which of them are not in the model.
    """
    n_terms = len(data.terms)
    kept = [term.removeprefix("mean of ") for term in whole.terms[n_terms:]]
    constant = {"Intercept", *data.group_level}
    left_out = [term for term in data.terms if term not in (*kept, *constant)]
    words = f", but of {', '.join(left_out)}" if left_out else ""
    return replace(
        fitted,
        estimate=fitted.estimate[:n_terms],
        se=fitted.se[:n_terms],
        df=fitted.df[:n_terms],
        se_type=f"{fitted.se_type}, with group means{words}",
    )
