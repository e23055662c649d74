"""Data seen from another factor than that of the groups: its levels take the groups' place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rmsweep.data.dataset import Batch, Dataset, batches
from rmsweep.data.sites import FACTOR as SITE
from rmsweep.strategies import Fit, FitError


def seen_from(data: Dataset, factor: str) -> Dataset:
    """The data as if a factor's levels were the groups; terms constant within them come last."""
    if factor == data.group:
        return data
    crossed, same = data.determined.get(factor, ()), data.constant.get(factor, ())
    terms = (*data.varying(factor), *crossed, *same)
    places = [data.terms.index(term) for term in terms]
    others = {name: codes for name, codes in data.factors.items() if name != factor}
    return replace(
        data,
        X=np.ascontiguousarray(data.X[:, places]),
        terms=terms,
        factors={factor: data.factors[factor]} | others,
        group_level=same,
        cross_level=crossed,
    )


def in_order(found: Fit, seen: Dataset, data: Dataset) -> Fit:
    """A fit with its terms in the order of the data's own, and conventions about the factor."""
    return replace(
        found.of_terms(seen.terms, data.terms),
        se_type=convention_of(seen.group, data, found.se_type),
        df_type=convention_of(seen.group, data, found.df_type),
    )


def seen_and_fitted(data: Dataset, factor: str, fit: Callable[[Dataset], Fit]) -> Fit:
    """The fit of a dataset, so seen; an error is about the factor.

    Raises
    ------
    FitError
        As ``fit`` does.
    """
    seen = seen_from(data, factor)
    try:
        found = fit(seen)
    except FitError as error:
        raise FitError(said_of(factor, data, str(error))) from None
    return in_order(found, seen, data)


def all_seen_from(
    batch: Batch, factor: str, fit: Callable[[Batch], Sequence[Fit | FitError]]
) -> list[Fit | FitError]:
    """The fits of all datasets, so seen; errors are about the factor.

    Parameters
    ----------
    batch : Batch
        R datasets.
    factor : str
    fit : callable
        Fits a batch.

    Returns
    -------
    list of R Fit or FitError
    """
    first = batch.datasets[0]
    parts = [([*range(len(batch.datasets))], batch)]
    if factor != first.group:
        # groups may be of one size where a factor's levels are not
        parts = list(batches([seen_from(one, factor) for one in batch.datasets]))
    found: list[Fit | FitError] = [FitError("")] * len(batch.datasets)
    for places, seen in parts:
        for place, one in zip(places, fit(seen), strict=True):
            if isinstance(one, Fit):
                found[place] = in_order(one, seen.datasets[0], first)
            else:
                found[place] = FitError(said_of(factor, first, str(one)))
    return found


def convention_of(factor: str, data: Dataset, convention: str) -> str:
    """What is said of G groups, of S sites; F2 has the words that published rows have."""
    if factor != SITE or factor == data.group:
        return convention
    return said_of(factor, data, re.sub(r"\bG\b", "S", convention))


def said_of(factor: str, data: Dataset, reason: str) -> str:
    """What is said of groups, of a factor's levels."""
    return reason if factor == data.group else reason.replace("group", factor.lower())
