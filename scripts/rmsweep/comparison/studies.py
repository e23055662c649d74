"""Two studies: what they share, and how they differ before any number is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rmsweep.config import read_study
from rmsweep.data import pieces
from rmsweep.data.scenario import term_names, terms_of
from rmsweep.design import Axis, Condition, Level, Strategy, Study
from rmsweep.errors import UsageError
from rmsweep.measures.causes import COLUMNS, causes
from rmsweep.measures.table import Cell, n_terms, names_of_axes, runs_of
from rmsweep.sweep import tables
from rmsweep.sweep.provenance import family_sources

OF_FITS = tuple(
    dict.fromkeys(
        ("sim", "strategy", "fit_success", *tables.METRICS, "criterion", "criterion_gap", *COLUMNS)
    )
)
OF_COEFS = tuple(name for name in tables.COEFFICIENT.names if name != "term")
"""The columns that are read."""
ELSEWHERE = (
    *("study", "title", "description", "aims", "references"),
    *("strategies", "engine", "verdict", "optimizer", "reml", "derivatives"),
)
"""Settings that no fit depends on, and those that the strategies' own options say."""


class Rows:
    """Rows of a Parquet file, read in any order; the row groups that were read last are kept."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.file = pq.ParquetFile(path)
        self.columns = list(columns)
        parts = self.file.metadata
        sizes = [parts.row_group(k).num_rows for k in range(parts.num_row_groups)]
        self.starts = np.cumsum([0, *sizes])
        self._kept: tuple[range, pa.Table] | None = None

    def read(self, start: int, length: int) -> pa.Table:
        """Some rows that follow each other."""
        first = int(np.searchsorted(self.starts, start, "right")) - 1
        stop = int(np.searchsorted(self.starts, start + length, "left"))
        groups = range(first, stop)
        if self._kept is None or self._kept[0] != groups:
            read = self.file.read_row_groups(list(groups), columns=self.columns, use_threads=False)
            self._kept = groups, read
        return self._kept[1].slice(start - int(self.starts[first]), length)


@dataclass(frozen=True)
class Part:
    """What one study says of a condition.

    Attributes
    ----------
    cell : Cell
    sims : (n_run,) array
        The replications' numbers.
    criterion : (n_run, n_strategies) array
        Of the fits; NaN where there is none.
    causes : (n_run, n_strategies) array of str
        Why each fit has a complaint (`rmsweep.measures.causes.CAUSES`).
    """

    cell: Cell
    sims: np.ndarray[Any, np.dtype[np.int64]]
    criterion: np.ndarray[Any, np.dtype[np.float64]]
    causes: np.ndarray[Any, np.dtype[np.object_]]


class Run(NamedTuple):
    """Where the rows of a condition are: the first ones in ``fits`` and ``coefs``, and how many."""

    condition: Condition
    fits: int
    coefs: int
    length: int


@dataclass(frozen=True)
class Side:
    """One of the two studies.

    Attributes
    ----------
    folder : Path
        Of its results.
    study : Study
    made_with : mapping of str to str
        What its tables say of themselves.
    runs : mapping of str to Run
        The conditions that its tables have, by what their data are made of.
    """

    folder: Path
    study: Study
    made_with: Mapping[str, str]
    runs: Mapping[str, Run]
    _rows: dict[str, Rows] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Side:
        """Open a study's results.

        Raises
        ------
        UsageError
            If there are none.
        """
        fits, coefs = folder / "fits.parquet", folder / "coefs.parquet"
        if not fits.exists():
            raise UsageError(f"{folder}: not a folder of a study's results: it has no {fits.name}")
        made_with = tables.made_with(fits, "fits", [*OF_FITS])
        if tables.made_with(coefs, "coefs", ["term", *OF_COEFS]) != made_with:
            raise UsageError(f"{coefs}: not of the same study as {fits}")
        study = read_study(made_with["study"])
        axes = names_of_axes(study)
        known = {
            tuple(tables.levels(study.axes, one)[axis] for axis in axes): one
            for one in study.conditions
        }
        runs: dict[str, Run] = {}
        of_fits = of_coefs = 0
        for levels, length in runs_of(tables.read(fits, "fits", columns=axes, use_threads=False)):
            one = known[levels]
            runs[made_of(one)] = Run(one, of_fits, of_coefs, length)
            of_fits += length
            of_coefs += length * n_terms(one)
        side = cls(folder, study, made_with, runs)
        side._rows["fits"] = Rows(fits, OF_FITS)
        side._rows["coefs"] = Rows(coefs, OF_COEFS)
        return side

    @property
    def names(self) -> list[str]:
        """The strategies' names."""
        return [strategy.name for strategy in self.study.strategies]

    def read(self, key: str) -> Part:
        """Read a condition.

        Raises
        ------
        UsageError
            If the tables can't be read, or are not in order.
        """
        run, n_strategies = self.runs[key], len(self.study.strategies)
        n_run = run.length // n_strategies
        with tables.naming(self.folder / "fits.parquet", "fits"):
            fits = self._rows["fits"].read(run.fits, run.length)
        with tables.naming(self.folder / "coefs.parquet", "coefs"):
            coefs = self._rows["coefs"].read(run.coefs, run.length * n_terms(run.condition))
        cell = Cell.read(self.study, run.condition, n_run, fits, coefs)
        criterion = fits["criterion"].cast(pa.float64()).to_numpy()
        why = causes(fits.select(COLUMNS)).cast(pa.string()).to_numpy(zero_copy_only=False)
        return Part(
            cell,
            fits["sim"].to_numpy()[::n_strategies],
            criterion.reshape(n_run, n_strategies),
            why.reshape(n_run, n_strategies),
        )


def made_of(condition: Condition) -> str:
    """What a condition's data are made of, whatever a study calls it, and their coefficients."""
    identity = {key: pieces.portable(value) for key, value in condition.identity.items()}
    # files of one name may have other columns
    return json.dumps([identity, term_names(condition)], sort_keys=True)


class Pair(NamedTuple):
    """A strategy of A and the one of B that it is compared with."""

    a: Strategy
    b: Strategy

    @property
    def label(self) -> str:
        """Their name, or names."""
        return self.a.name if self.a.name == self.b.name else f"{self.a.name} / {self.b.name}"

    @property
    def same_criterion(self) -> bool:
        """Whether both minimise the same function."""
        one, two = (
            {key: value for key, value in it.identity()["options"].items() if key not in HOW}
            for it in self
        )
        return self.a.family == self.b.family and one == two


HOW = ("optimizer", "derivatives")
"""Options that say how a criterion is minimised, not which."""


@dataclass(frozen=True)
class Studies:
    """Two studies and what they share.

    Attributes
    ----------
    a, b : Side
    keys : list of str
        The conditions that both have, in A's order.
    pairs : list of Pair
        The strategies that are compared.
    axes : list of Axis
        The columns that say which condition a row is of.
    """

    a: Side
    b: Side
    keys: Sequence[str]
    pairs: Sequence[Pair]
    axes: Sequence[Axis]

    @classmethod
    def of(cls, a: Side, b: Side, wanted: Sequence[str] = ()) -> Studies:
        """Find what two studies share.

        Parameters
        ----------
        a, b : Side
        wanted : sequence of str
            Strategies to compare, ``lmer``, or ``lmer=lmer_bobyqa``, where the name is another one
            in B; default, all that have the same name.

        Raises
        ------
        UsageError
            If there is nothing to compare.
        """
        keys = [key for key in a.runs if key in b.runs]
        if not keys:
            terms = [", ".join(terms_of(side.study.conditions)) for side in (a, b)]
            why = f": their coefficients are {terms[0]}, and {terms[1]}"
            why = why if terms[0] != terms[1] else ""
            raise UsageError(f"{a.folder} and {b.folder} have no condition in common{why}")
        pairs = [strategies_of(text, a, b) for text in dict.fromkeys(wanted)]
        if not wanted:
            of_b = {one.name: one for one in b.study.strategies}
            pairs = [Pair(one, of_b[one.name]) for one in a.study.strategies if one.name in of_b]
        if not pairs:
            raise UsageError(
                f"{a.folder} ({', '.join(a.names)}) and {b.folder} ({', '.join(b.names)}) have no "
                "strategy in common; name those to compare: --strategies NAME_IN_A=NAME_IN_B"
            )
        if a.folder.resolve() == b.folder.resolve() and all(one == two for one, two in pairs):
            raise UsageError(
                f"{a.folder} is compared with itself; name two of its strategies "
                f"({', '.join(a.names)}): --strategies NAME=OTHER_NAME"
            )
        axes = list(a.study.axes)
        axes += [axis for axis in b.study.axes if axis.name not in names_of_axes(a.study)]
        return cls(a, b, keys, pairs, axes)

    @property
    def same_seed(self) -> bool:
        """Whether conditions that both have are the same datasets."""
        return self.a.study.seed == self.b.study.seed

    def same_files(self, key: str) -> bool:
        """Whether the files of the user's own that a condition's data are made of are the same."""
        one, two = (
            {
                Path(file).name: digests(side).get(file)
                for file in pieces.files(side.runs[key].condition.values)
            }
            for side in (self.a, self.b)
        )
        return one == two

    def levels(self, key: str) -> dict[str, Level]:
        """A condition's values in the columns, by the names that A has for them, else B."""
        found: dict[str, Level] = {}
        for side in (self.b, self.a):
            found |= tables.levels(side.study.axes, side.runs[key].condition)
        return {axis.name: found[axis.name] for axis in self.axes}

    def only(self, side: Side, other: Side) -> int:
        """Number of conditions that one study has and the other has not."""
        return sum(key not in other.runs for key in side.runs)

    def parts(self) -> Iterator[tuple[str, Part, Part, bool]]:
        """The conditions that both have, what A and B say, and whether the datasets are the same.

        They are if seed and data are the same, and the true coefficients, which most data-making
        code that has changed would change; files of the user's own have to be the same, too.
        """
        for key in self.keys:
            one, two = self.a.read(key), self.b.read(key)
            same = self.same_seed and self.same_files(key) and same_truths(one, two)
            yield key, one, two, same


def strategies_of(text: str, a: Side, b: Side) -> Pair:
    """The strategies that ``lmer=lmer_bobyqa`` names.

    Raises
    ------
    UsageError
        If a study has none of that name.
    """
    first, there, second = text.partition("=")
    found = []
    for name, side in ((first, a), (second if there else first, b)):
        if name not in side.names:
            allowed = ", ".join(side.names)
            raise UsageError(f"--strategies: {name!r} is not in {side.folder}; allowed: {allowed}")
        found.append(side.study.strategies[side.names.index(name)])
    return Pair(*found)


def same_truths(one: Part, two: Part) -> bool:
    """Whether the replications that both have are of the same true coefficients."""
    _, first, second = np.intersect1d(one.sims, two.sims, return_indices=True)
    truths = [it.cell.coefs["truth"][at, 0] for it, at in ((one, first), (two, second))]
    return bool(np.array_equal(truths[0], truths[1], equal_nan=True))


class Change(NamedTuple):
    """Something that differs between the studies before any number is looked at."""

    what: str
    a: str
    b: str


def changes(studies: Studies) -> list[Change]:
    """The settings, strategies' options, programs and code that differ."""
    a, b = studies.a, studies.b
    found = [
        Change(f"setting {key}", said(one), said(two))
        for key, one, two in different(kept(a.study), kept(b.study))
    ]
    of_pairs: dict[tuple[str, str, str], list[str]] = {}
    for pair in studies.pairs:
        one, two = (flat({"verdict": it.verdict, **it.identity()}) for it in pair)
        for key, first, second in different(one, two):
            of_pairs.setdefault((key, said(first), said(second)), []).append(pair.label)
    found += [
        Change(f"{key} of {', '.join(labels)}", first, second)
        for (key, first, second), labels in of_pairs.items()
    ]
    # what one study alone needs, such as R, is no difference of what both do
    versions = [json.loads(side.made_with["versions"]) for side in (a, b)]
    for what, (one, two) in (
        ("version of", versions),
        ("digest of the code of", [digests(side) for side in (a, b)]),
    ):
        found += [
            Change(f"{what} {name}", said(first), said(second))
            for name, first, second in different(one, two)
            if first is not None and second is not None
        ]
    return found


def digests(side: Side) -> dict[str, str]:
    """The digests of the code that made a study's tables, by part.

    In the order of `rmsweep.sweep.provenance.table_identity`.
    """
    study = side.study
    families = {source for one in study.strategies for source in family_sources(one.family)}
    own_pieces = {file for one in study.conditions for file in pieces.files(one.values)}
    names = ["the sweep", *sorted(families), *sorted(own_pieces)]
    return dict(zip(names, side.made_with["code"].split(), strict=False))


def kept(study: Study) -> dict[str, Any]:
    """The settings that may change a number and that no strategy has of its own."""
    settings: dict[str, Any] = json.loads(study.identity())
    return {key: value for key, value in settings.items() if key not in ELSEWHERE}


def different(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, and these."""
    for key in dict.fromkeys([*one, *two]):
        if one.get(key) != two.get(key):
            yield key, one.get(key), two.get(key)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one: ``options.reml``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": it for inner, it in flat(value).items()}
        else:
            found[key] = value
    return found


def said(value: Any) -> str:
    """A setting as a reader sees it."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {said(it)}" for key, it in value.items() if it is not None)
    if isinstance(value, list | tuple):
        return "; ".join(map(said, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
