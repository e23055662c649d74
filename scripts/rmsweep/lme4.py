"""Mixed models by R's lme4 and lmerTest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rmsweep import r
from rmsweep.data.dataset import Dataset, quoted

PACKAGES = ("lme4", "lmerTest")
SOURCE = Path(__file__).with_name("lme4.R")

_verbose = ContextVar("verbose", default=False)


class LmerError(ValueError):
    """A model that lme4 can't fit, in R's own words."""


def start() -> None:
    """Start R with lme4 and lmerTest.

    Raises
    ------
    BrokenEnvironmentError
        If there is no R, or no such package.
    """
    for package in PACKAGES:
        r.load(package)
    r.functions(SOURCE)


@contextmanager
def verbose() -> Iterator[None]:
    """Let R print its own summary and messages of every model that is fitted meanwhile."""
    before = _verbose.set(True)
    try:
        yield
    finally:
        _verbose.reset(before)


def bar(random: Sequence[str], group: str, correlated: bool) -> str:
    """A random-effects term of a formula, such as ``(IV1 | Group)``."""
    slopes = [quoted(term) for term in random if term != "Intercept"]
    intercept = "1" if "Intercept" in random else "0"
    inner = " + ".join(slopes if slopes and intercept == "1" else [intercept, *slopes])
    return f"({inner} {'|' if correlated else '||'} {quoted(group)})"


def lmer(
    data: Dataset, bars: Sequence[str], *, reml: bool, optimizer: str, numerical: bool
) -> Mapping[str, Any]:
    """Fit a mixed model by lme4.

    Parameters
    ----------
    data : Dataset
        The data.
    bars : sequence of str
        The random-effects terms of the formula (`bar`).
    reml : bool
        Whether by REML, else by maximum likelihood.
    optimizer : str
        lme4's.
    numerical : bool
        Whether to have lme4's checks and lmerTest's degrees of freedom, by numerical derivatives.

    Returns
    -------
    mapping
        The list that ``fit_lmer`` of ``lme4.R`` returns, each part a sequence.

    Raises
    ------
    LmerError
        With R's own words, if the model can't be fitted.
    BrokenEnvironmentError
        If there is no R to fit it.
    """
    start()
    functions = r.functions(SOURCE)
    formula = " + ".join([data.formula, *bars])
    model = (
        r.frame(data),
        r.strings(*data.factors),
        r.strings(formula),
        r.logical(reml),
        r.strings(optimizer),
    )
    if _verbose.get():
        functions["show_lmer"](*model)
    result = r.as_dict(functions["fit_lmer"](*model, r.logical(numerical)))
    messages = list(result["messages"])
    if "error" in result:
        raise LmerError("; ".join([f"{result['stage'][0]}: {result['error'][0]}", *messages]))
    if len(result["estimate"]) != len(data.terms):
        raise LmerError("; ".join(["fit: the design matrix is rank deficient", *messages]))
    return result
