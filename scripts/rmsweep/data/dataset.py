"""A dataset as every strategy gets it: response, design matrix and grouping factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from rmsweep.lmm import CrossProducts

Array = NDArray[np.float64]


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
    entropy : tuple of int
        Seeds the random numbers of strategies that resample: ``default_rng([*entropy])``.
    """

    y: Array
    X: Array
    factors: Mapping[str, NDArray[np.int64]]
    terms: tuple[str, ...]
    response: str = "DV"
    group_level: tuple[str, ...] = ()
    entropy: tuple[int, ...] = (0,)

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
        The same terms and the same groups, row by row, in each.

    Raises
    ------
    ValueError
        If they differ; `batches` sorts datasets by structure.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        first = datasets[0]
        if not all(same_structure(first, data) for data in datasets):
            raise ValueError("datasets of one batch must have the same terms and groups")
        self.datasets = datasets
        self._products: dict[int, CrossProducts] = {}

    def crossproducts(self, random: Sequence[str]) -> CrossProducts:
        """The cross-products of the model whose random effects are the first terms.

        Made once for all terms; a model with fewer random effects is derived from them.
        """
        from rmsweep import lmm

        terms = self.datasets[0].terms
        if tuple(random) != terms[: len(random)]:
            raise ValueError(f"random effects of {random}: they must be the first of {terms}")
        n_terms, n_random = len(terms), len(random)
        if n_terms not in self._products:
            self._products[n_terms] = lmm.crossproducts(
                np.stack([data.y for data in self.datasets]),
                np.stack([data.X for data in self.datasets]),
                None,
                self.datasets[0].groups,
            )
        if n_random not in self._products:
            whole = self._products[n_terms]
            self._products[n_random] = whole.with_leading_random_effects(n_random)
        return self._products[n_random]

    def take(self, places: Sequence[int]) -> Batch:
        """Some of the datasets, with what has been made of them."""
        part = Batch([self.datasets[place] for place in places])
        index = np.array(places, dtype=np.intp)
        part._products = {key: own.take(index) for key, own in self._products.items()}
        return part

    @cached_property
    def within(self) -> Batch:
        """The same datasets without the predictors of the groups themselves."""
        if not self.datasets[0].group_level:
            return self
        return Batch([data.within() for data in self.datasets])


def same_structure(one: Dataset, other: Dataset) -> bool:
    """Whether two datasets have the same terms and the same groups, row by row."""
    return (one.terms, one.group_level) == (other.terms, other.group_level) and (
        one.groups is other.groups or np.array_equal(one.groups, other.groups)
    )


def batches(datasets: Sequence[Dataset]) -> Iterator[tuple[list[int], Batch]]:
    """The datasets by structure: their places in the sequence, and their batch."""
    places: dict[tuple[object, ...], list[int]] = {}
    known: dict[int, bytes] = {}  # datasets of one layout share their array
    for place, data in enumerate(datasets):
        if id(data.groups) not in known:
            known[id(data.groups)] = data.groups.tobytes()
        structure = data.terms, data.group_level, known[id(data.groups)]
        places.setdefault(structure, []).append(place)
    for own in places.values():
        yield own, Batch([datasets[place] for place in own])


def quoted(name: str) -> str:
    """The name as a formula may spell it."""
    return name if name.replace(".", "_").isidentifier() else f"`{name}`"


def from_frame(frame: pd.DataFrame, formula: str, group: str) -> Dataset:
    """Build a dataset from any table.

    Rows with a missing value in a variable that is used are left out, as R does.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per observation.
    formula : str
        Response and fixed effects, such as ``Reaction ~ Days``. What varies between groups
        is each strategy's own business.
    group : str
        Column that says which rows belong together.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If a column is missing, the formula has a ``|``, or nothing is left to fit.
    """
    import pandas as pd
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    if "|" in formula:
        raise ValueError(
            f"formula: {formula!r} has a '|': give the fixed effects alone, such as "
            "'Reaction ~ Days'; each strategy adds its own random effects"
        )
    if group not in frame.columns:
        raise ValueError(f"group: no column {group!r}, allowed: {', '.join(frame.columns)}")
    try:
        parsed = Formula(formula)
        needed = sorted(str(name) for name in parsed.required_variables)
        absent = [name for name in needed if name not in frame.columns]
        if absent:
            raise ValueError(
                f"formula: no column {', '.join(absent)}, allowed: {', '.join(frame.columns)}"
            )
        complete = frame[[*dict.fromkeys([*needed, group])]].dropna()
        if complete.empty:
            raise ValueError("no row has a value in every variable of the formula")
        design = parsed.get_model_matrix(complete)
        response, predictors = design.lhs, design.rhs
    except FormulaicError as error:
        raise ValueError(f"formula: {formula!r}: {error}") from error
    except AttributeError:
        raise ValueError(
            f"formula: {formula!r} has no response, allowed: 'response ~ ...'"
        ) from None
    if response.shape[1] != 1:
        raise ValueError(f"formula: the response of {formula!r} is not one numeric column")
    if predictors.shape[1] == 0:
        raise ValueError(f"formula: {formula!r} has no coefficient to estimate")
    codes, _ = pd.factorize(complete[group], sort=True)
    return Dataset(
        y=response.to_numpy(dtype=float)[:, 0],
        X=predictors.to_numpy(dtype=float),
        factors={group: codes.astype(np.int64)},
        terms=tuple(str(name) for name in predictors.columns),
        response=str(response.columns[0]),
    )
