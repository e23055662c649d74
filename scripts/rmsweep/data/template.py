"""Predictors of data that there are: a design matrix in a file, resampled by person and by item.

The file is Parquet, one row per observation: the group of each row, and then the columns of the
design under the names of the terms, without the intercept. Terms that are constant within groups
come last. If the second column is of texts, these are the items that the rows are of; then groups
in the order of the file, and items in that of the texts, should have their like beside them
(`rmsweep.data.cells`). ``study_from_data.py`` writes such files. Nothing in one is ever evaluated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.cells import FACTOR, Cells
from rmsweep.data.dataset import Array
from rmsweep.data.files import is_text
from rmsweep.data.levels import cross_level, is_constant, levels_of
from rmsweep.data.names import Names
from rmsweep.data.options import NotAllowedError, require
from rmsweep.design import Condition, Piece

SUFFIX = ".parquet"
ROWS = ("random", "first", "spread")
MOST_TERMS = 1000


class Resampled(NamedTuple):
    """Rows that are taken from a design.

    Attributes
    ----------
    X : (n, p) array
    sizes : (G,) int array
        Number of rows of each group.
    items : (n,) int array or None
        Each row's item, if there are any; not every number has to occur.
    """

    X: Array
    sizes: NDArray[np.int64]
    items: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A design to take groups and rows from; without items its groups are sorted by their sizes.

    Attributes
    ----------
    X : (n, p) array
        With a column of ones in front.
    sizes : (G,) int array
        Each group's number of rows.
    terms : tuple of p str
        Names of the columns, as the file spells them; the first one is ``Intercept``.
    words : tuple of p str
        The same as words that mean nothing else to any program.
    group_level, cross_level : tuple of int
        Places of terms that are constant within groups, and of those that others determine there.
    digest : str
        Of names and numbers, 16 hexadecimal digits.
    cells : Cells or None
        Which rows are of which item, if there are any.
    constant, determined : tuple of int
        Places of terms that are constant within items, and of those that others determine there.
    """

    X: Array
    sizes: NDArray[np.int64]
    terms: tuple[str, ...]
    words: tuple[str, ...]
    group_level: tuple[int, ...]
    cross_level: tuple[int, ...]
    digest: str
    cells: Cells | None = None
    constant: tuple[int, ...] = ()
    determined: tuple[int, ...] = ()

    @property
    def n_predictors(self) -> int:
        """Number of terms without the intercept."""
        return len(self.terms) - 1

    @property
    def equal(self) -> bool:
        """Whether all groups have as many rows."""
        return bool((self.sizes == self.sizes[0]).all())

    @property
    def rows_differ(self) -> bool:
        """Whether samples differ in which group and item has how many rows."""
        return self.cells is not None and not self.cells.balanced

    def called(self, places: Sequence[int]) -> tuple[str, ...]:
        """What simulated datasets call the terms at some places."""
        return tuple(self.words[k] for k in places)

    def resampled(
        self, rng: np.random.Generator, n_groups: int, n_obs: int, rows: str
    ) -> Resampled:
        """The rows of so many groups; without items in ascending order of the groups' sizes.

        Parameters
        ----------
        rng : numpy.random.Generator
        n_groups : int
            Each of the file's groups is taken equally often, to within one. Which ones are taken
            once more is random, but for their sizes: those are spread evenly over the file's, so
            that all datasets have groups of the same sizes.
        n_obs : int
            Rows of the groups that have the most rows in the file; others have fewer in
            proportion, at least one. Likewise, each row of a group is taken equally often, to
            within one. With items it is their number that changes in this proportion
            (`Cells.resampled`).
        rows : {"random", "first", "spread"}
            Which rows are taken once more: ones drawn at random, the first ones, or ones in equal
            steps from the first to the last. It plays no part with items.
        """
        if self.cells:
            share = n_obs / int(self.sizes.max())
            places, sizes, items = self.cells.resampled(rng, n_groups, share)
            return Resampled(self.X[places], sizes, items)
        n_there = len(self.sizes)
        times = np.full(n_there, n_groups // n_there)
        if n_more := n_groups % n_there:
            of_size = np.unique(self.sizes, return_inverse=True)[1]
            evenly = (2 * np.arange(n_more) + 1) * n_there // (2 * n_more)
            wanted_of_size = np.bincount(of_size[evenly], minlength=of_size[-1] + 1)
            times += _first_at_random(of_size, rng) < wanted_of_size[of_size]
        groups = np.repeat(np.arange(n_there), times)
        sizes = self.sizes[groups]
        wanted = np.maximum(np.rint(n_obs * sizes / self.sizes[-1]).astype(np.int64), 1)
        starts = np.cumsum(self.sizes) - self.sizes
        # the rows of the groups that are taken, and each row's number in its group
        firsts = np.cumsum(sizes) - sizes
        of = np.repeat(np.arange(n_groups), sizes)
        place = np.arange(len(of)) - firsts[of]
        more, size = (wanted % sizes)[of], sizes[of]
        if rows == "random" and more.any():
            taken = _first_at_random(of, rng) < more
        elif rows == "spread":
            steps, n = np.maximum(more - 1, 0), np.maximum(size - 1, 1)
            taken = (place == 0) | (place * steps // n > (place - 1) * steps // n)
            taken &= more > 0
        else:
            taken = place < more
        counts = (wanted // sizes)[of] + taken
        return Resampled(self.X[np.repeat(starts[groups][of] + place, counts)], wanted)


def _first_at_random(parts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order 0, 1, ... within each of some parts, which are numbered in ascending order."""
    starts = np.flatnonzero(np.diff(parts, prepend=-1))
    order = np.lexsort((rng.random(len(parts)), parts))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(parts)) - starts[parts]
    return rank


@cache
def read(path: str) -> Template:
    """Read a design.

    Raises
    ------
    NotAllowedError
        If it can't be read, or is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def refuse(good: object, what: str) -> None:
        if not good:
            raise NotAllowedError(f"a table of groups and columns of a design; {path}: {what}")

    try:
        table = pq.read_table(path, use_threads=False, partitioning=None)
        ids = table.column(0).combine_chunks().dictionary_encode()
        has_items = table.num_columns > 2 and is_text(table.schema.types[1])
        names = table.column_names[1 + has_items :]
        columns = [
            table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in names
        ]
    except (OSError, IndexError, KeyError, pa.ArrowException) as error:
        words = " ".join(str(error).split())
        raise NotAllowedError(f"a Parquet file of numbers; {words}") from None
    refuse(1 <= len(names) <= MOST_TERMS, f"{len(names)} columns beside the group")
    refuse(len({*names, "Intercept"}) == len(names) + 1, "a name twice, or Intercept")
    refuse(len(table) > 0 and not table.column(0).null_count, "no rows, or rows without a group")
    matrix = np.column_stack(columns)
    refuse(np.isfinite(matrix).all(), "a number is missing or not finite")
    codes = np.asarray(ids.indices)
    items = None
    if has_items:
        refuse(not table.column(1).null_count, "rows without an item")
        items = np.unique(table.column(1).to_pylist(), return_inverse=True)[1]
        refuse(items.any(), "one item")
    else:
        by_size = np.argsort(np.bincount(codes), kind="stable")
        codes = np.argsort(by_size)[codes]
    order = np.argsort(codes, kind="stable")
    X, codes = np.column_stack([np.ones(len(matrix)), matrix])[order], codes[order]
    constant = [is_constant(column, codes) for column in X.T[1:]]
    n_within = len(names) - sum(constant)
    refuse(not any(constant[:n_within]), "a column that is constant within groups before others")
    crossed = cross_level(X[:, 1 : n_within + 1], codes)
    refuse(crossed == sorted(crossed), "an interaction with a group's own column before others")
    digest = hashlib.sha256("\0".join(names).encode())
    digest.update(codes.astype("<i8").tobytes() + X.astype("<f8").tobytes())
    X.flags.writeable = False
    design = Template(
        X=X,
        sizes=np.bincount(codes),
        terms=("Intercept", *names),
        words=words_of(names, has_items),
        group_level=tuple(range(n_within + 1, len(names) + 1)),
        cross_level=tuple(place for place, so in enumerate(crossed, 1) if so),
        digest=digest.hexdigest()[:16],
    )
    if items is None:
        return design
    items = items[order]
    digest.update(items.astype("<i8").tobytes())
    # predictors of the groups come before their interactions, as in a formula
    places = sorted(range(1, len(names) + 1), key=lambda place: place in design.cross_level)
    same, determined = levels_of(X, places, items)
    return replace(
        design,
        digest=digest.hexdigest()[:16],
        cells=Cells.of(codes, items),
        constant=tuple(sorted(same)),
        determined=tuple(sorted(determined)),
    )


def words_of(names: Sequence[str], with_items: bool = False) -> tuple[str, ...]:
    """What simulated datasets call terms of these names, the intercept first."""
    known = Names(names)
    for taken in ("DV", "Group", *([FACTOR] if with_items else [])):  # their other columns
        known.plain(taken)
    return ("Intercept", *map(known.plain, names))


def template_of(condition: Condition) -> Template | None:
    """The design that a condition's predictors are taken from, if they are."""
    value = condition["predictors"]
    name = value.name if isinstance(value, Piece) else value
    return read(name) if name.endswith(SUFFIX) else None


def of_file(
    path: str, rng: np.random.Generator, n_groups: int, n_obs: int, *, rows: str = "random"
) -> Resampled:
    """A file's design as a piece of a scenario (`Template.resampled`).

    Raises
    ------
    NotAllowedError
        If the file is no design, or rows can't be taken like that.
    """
    require(rows in ROWS, "rows", ", ".join(ROWS))
    design = read(path)
    require(rows == "random" or not design.cells, "rows", "random, where the file has items")
    return design.resampled(rng, n_groups, n_obs, rows)


def drawn() -> None:
    """No file: predictors are random draws, as the other keys say."""
