"""From a user's table and formula to a dataset: R itself says what the formula means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rmsweep import r
from rmsweep.data.dataset import Array, Dataset
from rmsweep.data.files import Column, Table, plain
from rmsweep.data.levels import levels_of
from rmsweep.data.names import RESERVED, Names, is_plain
from rmsweep.errors import UsageError

SOURCE = Path(__file__).with_name("formula.R")
# texts and names in backticks, where they are no such words
QUOTED = "|".join(rf"{mark}(?:\\.|[^{mark}\\])*{mark}" for mark in "`'\"")
WORD = re.compile(r"\b[A-Za-z]\w*\b", re.ASCII)
GROUP = re.compile(r"\bgroup (\d+)\b", re.ASCII)
# numbers in a design: 1.6 GB
LARGEST = 200_000_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A random-effects term of a formula.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns that vary (`Dataset.column`).
    covariance : {"full", "diagonal"}
    factor : str
        Name of the grouping factor.
    """

    columns: tuple[str, ...]
    covariance: Literal["full", "diagonal"]
    factor: str


@dataclass(frozen=True, slots=True)
class Model:
    """What a formula makes of a table.

    Attributes
    ----------
    data : Dataset
        The complete rows. All its names are plain words, for any program; those of the user's that
        are not have others in their place.
    random : tuple of Bar
        The random effects of the formula, if it has any.
    spelled : mapping of str to str
        The names as R spells them, by those of the dataset that aren't the user's.
    order : tuple of str
        The terms in the order of the formula.
    fixed : str
        Response and fixed effects, as R spells them.
    n_rows : int
        Rows of the table.
    groups : tuple of str
        What the groups are called.
    missing : mapping of str to int
        In how many rows which variable has no value.
    levels : mapping of str to tuple of str
        Levels of the categorical variables, the one that others are compared with first.
    aliased : tuple of str
        Coefficients that can't be told from those before them, and so are left out.
    """

    data: Dataset
    random: tuple[Bar, ...]
    spelled: Mapping[str, str]
    order: tuple[str, ...]
    fixed: str
    n_rows: int
    groups: tuple[str, ...]
    missing: Mapping[str, int]
    levels: Mapping[str, tuple[str, ...]]
    aliased: tuple[str, ...]

    def in_notes(self, text: str) -> str:
        """A strategy's message in these names, and with those of groups instead of numbers."""
        names = {str(number): name for number, name in enumerate(self.groups, 1)}
        return GROUP.sub(lambda it: f"group {names.get(it[1], it[1])}", self.in_words(text))

    def as_formula(self, text: str) -> str:
        """A formula of the dataset as one of the table."""
        return WORD.sub(lambda found: self.spelled.get(found[0], found[0]), text)

    def in_words(self, text: str) -> str:
        """A text about the dataset with the names of the table, without R's quotes where clear."""
        return WORD.sub(lambda found: self._shown(found[0]), text)

    def _shown(self, word: str) -> str:
        name = self.spelled.get(word, word)
        bare = unquoted(name)
        others = {*self.data.terms, *self.spelled.values(), "(Intercept)"} - {name}
        if word == "Intercept" and "Intercept" in self.spelled.values():
            return "(Intercept)"
        return name if bare in others or re.search("[`:]", bare) else bare


def model(table: Table, formula: str, group: str | None = None) -> Model:
    """Have R build the design of a formula: ``model.frame``, ``model.matrix``, lme4's ``findbars``.

    A formula is code: it may call any function of R. So it has to come from a user's own command
    line. Nothing in the table is ever parsed as code, neither names nor values.

    Parameters
    ----------
    table : Table
    formula : str
        As for lme4: response and fixed effects, perhaps with random effects.
    group : str, optional
        Column that says which rows belong together; not needed if the formula has one grouping
        factor.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If R refuses the formula, in its words, or a variable is no number nor label for certain.
    BrokenEnvironmentError
        If there is no R.
    """
    formula, group = plain(formula), plain(group) if group is not None else None
    if "|" in formula:
        r.load("lme4")
    functions = r.functions(SOURCE)
    written = protected(formula, table.names)
    needed = _checked(functions["variables"](r.strings(written), r.strings(*table.names)), formula)
    factors = tuple(needed["factors"])
    name = _group(group, factors, table.names)
    values = {it: table.column(it) for it in needed["values"]}
    for it in needed["as_they_are"]:
        if doubt := values[it].doubtful():
            raise UsageError(f"formula: {it}: {doubt}")
        if values[it].numbers is None and len(values[it].texts) * len(table) > LARGEST:
            raise UsageError(
                f"formula: {it}: {len(values[it].texts):,} levels in {len(table):,} rows; allowed: "
                f"a product of at most {LARGEST:,}"
            )
    own = () if factors else (name,)
    labels = {it: table.column(it).labels() for it in (*needed["groups"], *own)}
    answer = _checked(
        functions["design"](
            r.strings(written),
            *map(r.named_list, _columns(values)),
            r.named_list({it: _as_factor(column) for it, column in labels.items()}),
            r.strings(*own),
        ),
        formula,
    )
    return _assembled(answer, name, len(table))


def protected(formula: str, names: Sequence[str]) -> str:
    """The formula with R's own words in backticks where they are names of columns."""
    words = "|".join(word for word in RESERVED if word in names)
    if not words:
        return formula
    pattern = rf"({QUOTED})|(?<![\w.])({words})(?![\w.])"
    return re.sub(pattern, lambda found: found[1] or f"`{found[2]}`", formula)


def _checked(answer: Any, formula: str) -> Mapping[str, Any]:
    """An answer of R's, or its words."""
    parts = r.as_dict(answer)
    if "error" in parts:
        raise UsageError(f"formula: {formula!r}: {parts['error'][0]}")
    return parts


def _group(group: str | None, factors: Sequence[str], names: Sequence[str]) -> str:
    """The factor whose levels are the groups."""
    if factors:
        allowed = ", ".join(factors)
        if group is None and len(factors) > 1:
            raise UsageError(f"group: the formula has several; allowed: --group with {allowed}")
        spelled = {unquoted(factor): factor for factor in factors}
        if group is None:
            return factors[0]
        if unquoted(group) not in spelled:
            raise UsageError(f"group: {group!r} groups nothing in the formula; allowed: {allowed}")
        return spelled[unquoted(group)]
    if group is None:
        raise UsageError("group: the formula has none; allowed: --group, or (1 | group) in it")
    if group not in names or not group:
        raise UsageError(f"group: no column {group!r}, allowed: {', '.join(filter(None, names))}")
    return group


def unquoted(name: str) -> str:
    """A name without the backticks around it."""
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] == "`" else name


def spelled(name: str) -> str:
    """A column's name as R spells it in a formula."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return name if is_plain(name) or name in ("Intercept", "T", "F", "pi") else f"`{escaped}`"


def _columns(columns: Mapping[str, Column]) -> tuple[dict[str, Any], ...]:
    """Kinds, values and levels as vectors of R."""
    kinds, values, levels = {}, {}, {}
    for name, column in columns.items():
        kinds[name] = r.strings(column.kind)
        if column.numbers is None:
            values[name] = _as_factor(column, plain=True)
        else:
            values[name] = r.doubles(column.values)
        levels[name] = r.strings(*(column.texts if column.numbers is None else ()))
    return kinds, values, levels


def _as_factor(column: Column, plain: bool = False) -> Any:
    """Codes from 1 as R has them; a factor of R unless `plain`."""
    return r.codes(column.codes, None if plain else column.texts)


def _assembled(answer: Mapping[str, Any], group: str, n_rows: int) -> Model:
    """The dataset, with names that are plain words."""
    y = np.array(answer["y"])
    terms = list(answer["terms"])
    X = np.array(answer["X"]).reshape(len(terms), len(y)).T
    bars = [r.as_dict(bar) for bar in answer["random"]]
    found = {bar["factor"][0]: (bar["codes"], bar["levels"]) for bar in bars}
    if not found:
        group = spelled(group)
        found = {group: (answer["group"], answer["group_levels"])}
    found = {group: found[group]} | found
    codes = {it: np.array(one, dtype=np.int64) - 1 for it, (one, _) in found.items()}

    columns = [column for bar in bars for column in bar["columns"]]
    names = Names([answer["response"][0], *found, *terms, *columns])
    response = names.plain(answer["response"][0])
    factors = {it: names.plain(it) for it in found}
    words = [names.column(term) for term in terms]
    known = dict(zip(terms, zip(words, X.T, strict=True), strict=True))
    further: dict[str, Array] = {}
    random = []
    for bar in bars:
        Z = np.array(bar["Z"]).reshape(-1, len(y))
        for column, values in zip(bar["columns"], Z, strict=True):
            # a factor without an intercept has other columns, perhaps of the same name
            if column not in known or not np.array_equal(known[column][1], values):
                known[column] = names.column(column), values
                further[known[column][0]] = values
        own = tuple(known[column][0] for column in bar["columns"])
        random.append(Bar(own, "full", factors[bar["factor"][0]]))
    further.pop("Intercept", None)

    predictors = [place for place, word in enumerate(words) if word != "Intercept"]
    levels = {factor: levels_of(X, predictors, of) for factor, of in codes.items()}
    between, crossed = levels.pop(group)
    order = sorted(range(len(words)), key=lambda place: (place in between, place in crossed))

    def of_others(which: int) -> dict[str, tuple[str, ...]]:
        return {
            factors[factor]: tuple(words[place] for place in order if place in own[which])
            for factor, own in levels.items()
        }

    data = Dataset(
        y=y,
        X=np.ascontiguousarray(X[:, order]),
        factors={factors[it]: one for it, one in codes.items()},
        terms=tuple(words[place] for place in order),
        response=response,
        group_level=tuple(words[place] for place in order if place in between),
        cross_level=tuple(words[place] for place in order if place in crossed),
        further=further,
        constant=of_others(0),
        determined=of_others(1),
    )
    lost = zip(answer["lost_in"], answer["lost"], strict=True)
    return Model(
        data=data,
        random=merged(random),
        spelled=names.spelled,
        order=tuple(words),
        fixed=answer["fixed"][0],
        n_rows=n_rows,
        groups=tuple(found[group][1]),
        missing={it: number for it, number in lost if number},
        levels={it: tuple(found) for it, found in r.as_dict(answer["levels"]).items()},
        aliased=tuple(answer["aliased"]),
    )


def merged(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """The same terms, with those of one factor that have a column each as one without covariances.

    That is what ``||`` stands for.
    """
    single: dict[str, list[str]] = {}
    for bar in bars:
        if len(bar.columns) == 1:
            single.setdefault(bar.factor, []).append(bar.columns[0])
    found: list[Bar] = []
    for bar in bars:
        columns = single.get(bar.factor, [])
        if len(bar.columns) > 1 or len(columns) < 2:
            found.append(bar)
        elif bar.columns[0] == columns[0]:
            found.append(Bar(tuple(columns), "diagonal", bar.factor))
    return tuple(found)
