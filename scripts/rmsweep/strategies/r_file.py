"""A strategy of the user's own, written in R: a file that defines a function ``fit``."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rmsweep import r
from rmsweep.data.dataset import Dataset
from rmsweep.strategies import Convergence, Fit, FitError, NoOptions, StrategyError

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
        wrapper = r.functions(WRAPPER)
        answer = r.as_dict(
            wrapper["call_strategy"](
                self.function,
                r.frame(data),
                r.strings(*data.factors),
                r.strings(data.formula),
                r.strings(data.group),
            )
        )
        messages = "; ".join(answer["messages"])
        if "error" in answer:
            raise FitError("; ".join(filter(None, [answer["error"][0], messages])))
        place = {
            "Intercept" if term == "(Intercept)" else term.strip("`"): row
            for row, term in enumerate(answer["term"])
        }
        if set(place) != set(data.terms):
            raise FitError(
                f"returned the terms {', '.join(place)}; expected: {', '.join(data.terms)}"
            )
        rows = [place[term] for term in data.terms]
        estimate, se, df = (np.array(answer[part])[rows] for part in ("estimate", "se", "df"))
        return Fit(
            estimate=estimate,
            se=se,
            df=df,
            se_type=answer["se_type"][0],
            df_type=answer["df_type"][0],
            ci_type="t",
            convergence=Convergence(messages=messages),
        )
