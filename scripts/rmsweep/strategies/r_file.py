"""A strategy of the user's own, written in R: a file that defines a function ``fit``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rmsweep import r
from rmsweep.data.dataset import Array, Dataset
from rmsweep.strategies import (
    Conventions,
    Convergence,
    Fit,
    FitError,
    NoOptions,
    StrategyError,
)

WRAPPER = Path(__file__).with_name("r_file.R")
PACKAGE = re.compile(
    r"(?:library|require|requireNamespace)\(\s*[\"']?([A-Za-z][A-Za-z0-9.]*)|([A-Za-z][A-Za-z0-9.]*):::?"
)


class RFile:
    """What acts as the module of a strategy family (`rmsweep.strategies`) for an R file.

    The file defines ``fit(data, formula, group)``, which gets a data frame, the fixed effects as a
    formula, and the name of the grouping factor's column. It returns a data frame with one row per
    coefficient and the columns ``term``, ``estimate``, ``se`` and ``df``, and perhaps ``se_type``
    and ``df_type``, texts that name the conventions. The file's first comment is the strategy's
    label. The intervals are Student's t with its degrees of freedom.

    Parameters
    ----------
    path : Path
        The file.
    """

    ENGINE = "R"
    Options = NoOptions

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise StrategyError(f"{path}: {error}") from None
        comments = [line.lstrip("#' ") for line in text.splitlines() if line.startswith("#")]
        self.__doc__ = comments[0] if comments else path.stem
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        packages = {one or other for one, other in PACKAGE.findall(code)}
        self.R_PACKAGES = tuple(sorted(packages))

    def warm_up(self) -> None:
        """Start R and read the file.

        Raises
        ------
        StrategyError
            If R can't read it, or it has no such function, in R's own words.
        """
        assert self.function

    @cached_property
    def function(self) -> Any:
        """The function itself, an object of R."""
        wrapper = r.functions(WRAPPER)
        answer = r.as_dict(wrapper["read_strategy"](r.strings(str(self.path.resolve()))))
        if "error" in answer:
            raise StrategyError(f"{self.path}: {answer['error'][0]}")
        return answer["fit"]

    def fit(self, data: Dataset, options: NoOptions) -> Fit:
        """Call the function.

        Raises
        ------
        FitError
            If it stops, or returns something else, in R's own words.
        """
        table = self.call(data)
        if set(table.place) != set(data.terms):
            raise FitError(
                f"returned the terms {', '.join(table.place)}; expected: {', '.join(data.terms)}"
            )
        conventions = Conventions(se_type=table.se_type, df_type=table.df_type, ci_type="t")
        return table.fit(data, data.terms, conventions)

    def call(self, data: Dataset, *options: str) -> Table:
        """What the function returns; `options` are further arguments of it, texts.

        Raises
        ------
        FitError
            If it stops, or returns something else, in R's own words.
        """
        wrapper = r.functions(WRAPPER)
        answer = r.as_dict(
            wrapper["call_strategy"](
                self.function,
                r.frame(data),
                r.strings(*data.factors),
                r.strings(data.formula),
                r.strings(data.group),
                *map(r.strings, options),
            )
        )
        messages = "; ".join(answer["messages"])
        if "error" in answer:
            raise FitError("; ".join(filter(None, [answer["error"][0], messages])))
        return Table(
            place={
                "Intercept" if term == "(Intercept)" else term.strip("`"): row
                for row, term in enumerate(answer["term"])
            },
            values=np.array([answer[part] for part in ("estimate", "se", "df")]),
            se_type=answer["se_type"][0],
            df_type=answer["df_type"][0],
            messages=messages,
        )


@cache
def ours(file: Path, packages: tuple[str, ...]) -> RFile:
    """An R file beside a family of this package, which calls it for its own engine.

    Its packages are loaded, so that what they say of it is in no fit's messages.

    Raises
    ------
    BrokenEnvironmentError
        If a package can't be loaded.
    """
    for package in packages:
        r.load(package)
    return RFile(file)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of coefficients from R.

    Attributes
    ----------
    place : dict of str to int
        Each term's place in `values`.
    values : (3, p) array
        Estimates, standard errors, degrees of freedom.
    se_type, df_type, messages : str
    """

    place: dict[str, int]
    values: Array
    se_type: str
    df_type: str
    messages: str

    def fit(
        self, data: Dataset, terms: Sequence[str], conventions: Conventions, unsaid: str = ""
    ) -> Fit:
        """A fit with the table's numbers for some terms of the data, and NaN for the others.

        Raises
        ------
        FitError
            If there is no such term: R has left out what it can't estimate.
        """
        if absent := [term for term in terms if term not in self.place]:
            raise FitError(f"the design matrix is rank deficient: R left out {', '.join(absent)}")
        estimate, se, df = np.full((3, len(data.terms)), np.nan)
        for term in terms:
            row = data.terms.index(term)
            estimate[row], se[row], df[row] = self.values[:, self.place[term]]
        said = Convergence(messages=self.messages)
        return Fit(estimate, se, df, convergence=said, unsaid=unsaid, **conventions)
