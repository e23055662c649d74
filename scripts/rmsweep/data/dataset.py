"""A dataset as every strategy gets it: response, design matrix and grouping factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from rmsweep.lmm import CrossProducts

Array = NDArray[np.float64]


MOST_PLACES = 2
"""Combinations of levels for each row, up to which rows that are missing are taken for zeros."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Repeated measures of one response in groups.

    Attributes
    ----------
    y : (n,) array
        Response.
    X : (n, p) array
        Design matrix of the fixed effects, with a column of ones if there is an intercept.
    factors : mapping of str to (n,) int array
        Grouping factors by name, the first one that of the groups: each row's level, 0 ... G - 1;
        every number occurs.
    terms : tuple of p str
        Names of X's columns; the intercept's is ``Intercept``.
    response : str
        Name of the response.
    group_level : tuple of str
        Terms that are constant within groups, the intercept aside: predictors of the groups
        themselves, whose coefficients can't differ between groups. They come last.
    cross_level : tuple of str
        Terms that other ones determine within each group, such as interactions with a predictor of
        the groups (`rmsweep.data.levels`). They come before those.
    entropy : tuple of int
        Seeds the random numbers of strategies that resample: ``default_rng([*entropy])``.
    further : mapping of str to (n,) array
        Columns beside those of X that random effects may have.
    constant : mapping of str to tuple of str
        Terms that are constant within the levels of factors other than the groups', the intercept
        aside, by factor; none for a factor that isn't there.
    determined : mapping of str to tuple of str
        Likewise the terms that other ones determine within these levels.
    """

    y: Array
    X: Array
    factors: Mapping[str, NDArray[np.int64]]
    terms: tuple[str, ...]
    response: str = "DV"
    group_level: tuple[str, ...] = ()
    cross_level: tuple[str, ...] = ()
    entropy: tuple[int, ...] = (0,)
    further: Mapping[str, Array] = field(default_factory=dict)
    constant: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    determined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Name of the factor whose levels are the groups."""
        return next(iter(self.factors))

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group of each row."""
        return self.factors[self.group]

    @property
    def n_groups(self) -> int:
        """Number of groups, G."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def above(self) -> dict[str, NDArray[np.int64]]:
        """The factors whose levels the groups are nested in: the level of each group, (G,)."""
        found, groups = {}, self.groups
        for name, codes in self.factors.items():
            # the first two rows tell it of most factors that are crossed
            crossed = len(codes) > 1 and groups[0] == groups[1] and codes[0] != codes[1]
            if crossed or name == self.group:
                continue
            of_groups = np.empty(self.n_groups, dtype=np.int64)
            of_groups[groups] = codes
            if (of_groups[groups] == codes).all():
                found[name] = of_groups
        return found

    def has_column(self, name: str) -> bool:
        """Whether there is a column that random effects can have."""
        return name == "Intercept" or name in self.terms or name in self.further

    def column(self, name: str) -> Array:
        """A column that random effects can have, (n,)."""
        if name in self.terms:
            return self.X[:, self.terms.index(name)]
        return np.ones(len(self.y)) if name == "Intercept" else self.further[name]

    def columns(self, names: Iterable[str]) -> Array:
        """Several of them, (n, q)."""
        return np.column_stack([*map(self.column, names)])

    def varying(self, factor: str | None = None) -> tuple[str, ...]:
        """The terms that vary within the levels of a factor, the groups' by default."""
        same: tuple[str, ...] = (*self.group_level, *self.cross_level)
        if factor is not None and factor != self.group:
            same = (*self.constant.get(factor, ()), *self.determined.get(factor, ()))
        return tuple(term for term in self.terms if term not in same)

    @property
    def formula(self) -> str:
        """The fixed effects as a formula, names quoted with backticks where R needs it."""
        return self.formula_without(None)

    def formula_without(self, left_out: str | None) -> str:
        """The same without one of the terms."""
        terms = [term for term in self.terms if term != left_out]
        slopes = [quoted(term) for term in terms if term != "Intercept"]
        intercept = "1" if "Intercept" in terms else "0"
        right = slopes if slopes and intercept == "1" else [intercept, *slopes]
        return f"{quoted(self.response)} ~ {' + '.join(right)}"

    def to_frame(self) -> pd.DataFrame:
        """The dataset as a table: response, predictors, group."""
        import pandas as pd

        columns = {self.response: self.y}
        for term, column in zip(self.terms, self.X.T, strict=True):
            if term != "Intercept":
                columns[term] = column
        levels = {name: codes + 1 for name, codes in self.factors.items()}
        return pd.DataFrame(columns).assign(**levels)

    def within(self) -> Dataset:
        """The same without the predictors of the groups themselves."""
        if not self.group_level:
            return self
        kept = len(self.terms) - len(self.group_level)
        return replace(self, X=self.X[:, :kept], terms=self.terms[:kept], group_level=())

    def of_groups(self) -> Array:
        """The predictors of the groups themselves, (G, q)."""
        _, first = np.unique(self.groups, return_index=True)
        return self.X[first, len(self.terms) - len(self.group_level) :]


class Batch:
    """Datasets of one structure, to be fitted together.

    Parameters
    ----------
    datasets : sequence of R Dataset
        They may differ in their rows, but not in their `structure`.

    Attributes
    ----------
    datasets : sequence of R Dataset
    same_rows : list of list of int
        Places of the datasets whose rows have the same levels of the factors, row by row.

    Raises
    ------
    ValueError
        If they differ; `batches` sorts datasets by structure.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.datasets = datasets
        self.same_rows = same_rows(datasets)
        if len({structure(datasets[places[0]]) for places in self.same_rows}) > 1:
            raise ValueError("datasets of one batch must have the same terms and like groups")
        self._products: dict[int, CrossProducts] = {}

    def crossproducts(self, random: Sequence[str]) -> CrossProducts:
        """The cross-products of the model whose random effects have such columns.

        Made once for all terms; a model whose random effects are the first of them is derived from
        that.
        """
        terms = self.datasets[0].terms
        if tuple(random) != terms[: len(random)]:
            return self._reduced(random)
        n_terms, n_random = len(terms), len(random)
        if n_terms not in self._products:
            self._products[n_terms] = self._reduced(None)
        if n_random not in self._products:
            whole = self._products[n_terms]
            self._products[n_random] = whole.with_leading_random_effects(n_random)
        return self._products[n_random]

    def _reduced(self, random: Sequence[str] | None) -> CrossProducts:
        """Cross-products with random effects of such columns, or of all terms."""
        from rmsweep import lmm

        def of(datasets: Sequence[Dataset]) -> CrossProducts:
            Z = None
            if random is not None:
                Z = np.stack([data.columns(random) for data in datasets])
            y, X = (np.stack([getattr(data, name) for data in datasets]) for name in "yX")
            return lmm.crossproducts(y, X, Z, datasets[0].groups)

        parts = []
        for places in self.same_rows:
            alike = [self.datasets[place] for place in places]
            # rather than all rows of all datasets once more
            size = lmm.reduced_at_once(len(alike[0].y))
            parts += [of(alike[first : first + size]) for first in range(0, len(alike), size)]
        whole = lmm.joined(parts)
        if len(self.same_rows) == 1:
            return whole
        return whole.take(np.argsort(np.concatenate(self.same_rows)))

    def stacked(self, of: Callable[[Dataset], Array]) -> Array:
        """What each dataset has, row by row, (R, n, ...).

        Where datasets lack other rows of a crossing, n is that of all of them, and what a dataset
        lacks is zero.
        """
        parts = [of(data) for data in self.datasets]
        if self.crossings is None:
            return np.stack(parts)
        n_places = math.prod(self.crossings[0].sizes)
        everywhere = np.zeros((len(parts), n_places, *parts[0].shape[1:]), parts[0].dtype)
        for own, part, crossing in zip(everywhere, parts, self.crossings, strict=True):
            own[crossing.places] = part
        return everywhere

    @cached_property
    def crossings(self) -> list[Crossing] | None:
        """The datasets' rows in their crossing; None if they have the same rows."""
        found = [crossing for data in self.datasets if (crossing := Crossing.of(data))]
        return found or None

    @property
    def factors(self) -> dict[str, NDArray[np.intp]]:
        """The factors' levels in the rows of `stacked`."""
        own = self.datasets[0].factors
        if self.crossings is None:
            return dict(own)
        return self.crossings[0].factors

    def take(self, places: Sequence[int]) -> Batch:
        """Some of the datasets, with what has been made of them."""
        part = Batch([self.datasets[place] for place in places])
        index = np.array(places, dtype=np.intp)
        part._products = {key: own.take(index) for key, own in self._products.items()}
        return part

    @property
    def within(self) -> Batch:
        """The same datasets without the predictors of the groups themselves."""
        return self._within if self.datasets[0].group_level else self

    @cached_property
    def _within(self) -> Batch:
        # never the batch itself: a cycle would keep all its datasets in memory
        return Batch([data.within() for data in self.datasets])


@dataclass(frozen=True, slots=True)
class Crossing:
    """The rows of a dataset among all combinations of its factors' levels, some of which it lacks.

    Attributes
    ----------
    names : tuple of str
        The factors, but for those whose levels the groups are nested in.
    sizes : tuple of int
        Levels of each.
    places : (n,) array of int
        Of the rows.
    above : mapping of str to (G,) int array
        The other factors: the level of each group.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    places: NDArray[np.intp]
    above: Mapping[str, NDArray[np.int64]]

    @classmethod
    def of(cls, data: Dataset) -> Crossing | None:
        """Those of a dataset; None where it lacks none of them, or most, or has one twice."""
        if len(data.factors) == 1:
            return None
        above = data.above
        crossed = {name: codes for name, codes in data.factors.items() if name not in above}
        codes = tuple(crossed.values())
        sizes = tuple(int(one.max(initial=-1)) + 1 for one in codes)
        n_rows, n_places = len(data.y), math.prod(sizes)
        if len(codes) == 1 or not n_rows < n_places <= MOST_PLACES * n_rows:
            return None
        places = np.ravel_multi_index(codes, sizes)
        if len(np.unique(places)) < n_rows:
            return None
        return cls(tuple(crossed), sizes, places, above)

    @property
    def factors(self) -> dict[str, NDArray[np.intp]]:
        """Levels of each factor at all places."""
        codes = np.unravel_index(np.arange(math.prod(self.sizes)), self.sizes)
        found = dict(zip(self.names, codes, strict=True))
        return found | {name: of_groups[codes[0]] for name, of_groups in self.above.items()}


def structure(data: Dataset) -> tuple[object, ...]:
    """What datasets that are fitted together have in common.

    That is their terms, the number of groups, and how many rows all groups have, or that they
    differ in size: then more minima are looked for. With several factors that are crossed it is
    their rows, or where some of these are missing the numbers of levels; and what groups are nested
    in what levels. A dataset that has no more rows than terms is fitted with none but those that
    have the same rows.
    """
    n_rows, n_terms = data.X.shape
    crossing = Crossing.of(data)
    above = data.above
    if n_rows <= n_terms or (crossing is None and len(data.factors) - len(above) > 1):
        return (*_of_terms(data), *(codes.tobytes() for codes in data.factors.values()))
    sizes = np.bincount(data.groups)
    size = int(sizes[0]) if (sizes == sizes[0]).all() else None
    levels = crossing.sizes if crossing else (len(sizes),)
    nested = (of_groups.tobytes() for of_groups in above.values())
    return (*_of_terms(data), *levels, size, *nested)


def _of_terms(data: Dataset) -> tuple[object, ...]:
    """What there is to compare besides the factors' levels."""
    of_groups = data.group_level, data.cross_level
    of_others = tuple(data.constant.items()), tuple(data.determined.items())
    return data.terms, *of_groups, *of_others, tuple(data.factors)


def same_rows(datasets: Sequence[Dataset]) -> list[list[int]]:
    """Places of the datasets that have the same terms and, row by row, levels of the factors."""
    known: dict[int, bytes] = {}  # datasets of one layout share their arrays
    places: dict[tuple[object, ...], list[int]] = {}
    for place, data in enumerate(datasets):
        for codes in data.factors.values():
            if id(codes) not in known:
                known[id(codes)] = codes.tobytes()
        key = *_of_terms(data), *(known[id(codes)] for codes in data.factors.values())
        places.setdefault(key, []).append(place)
    return list(places.values())


def batches(datasets: Sequence[Dataset]) -> Iterator[tuple[list[int], Batch]]:
    """The datasets by structure: their places in the sequence, and their batch."""
    found: dict[tuple[object, ...], list[int]] = {}
    for places in same_rows(datasets):
        found.setdefault(structure(datasets[places[0]]), []).extend(places)
    for own in map(sorted, found.values()):
        yield own, Batch([datasets[place] for place in own])


def quoted(name: str) -> str:
    """The name as a formula may spell it."""
    return name if name.replace(".", "_").isidentifier() else f"`{name}`"
