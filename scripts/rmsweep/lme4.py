"""Mixed models by R's lme4 and lmerTest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rmsweep import r
from rmsweep.data.dataset import Array, Dataset, quoted

PACKAGES = ("lme4", "lmerTest")
SMALL_SAMPLE = {"kenward_roger": "pbkrtest", "cr2": "clubSandwich"}
"""The packages that inference for small samples takes in addition."""
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
    correlated |= len(random) == 1  # lme4 can't read (1 || Group)
    slopes = [quoted(term) for term in random if term != "Intercept"]
    intercept = "1" if "Intercept" in random else "0"
    inner = " + ".join(slopes if slopes and intercept == "1" else [intercept, *slopes])
    return f"({inner} {'|' if correlated else '||'} {quoted(group)})"


def lmer(
    data: Dataset,
    bars: Sequence[str],
    *,
    reml: bool,
    optimizer: str,
    numerical: bool,
    penalty: float = 0.0,
    without: str | None = None,
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
    penalty : float
        If it isn't 0, the criterion is lme4's less this times log|G|, G being the covariance of the
        random effects relative to σ², and R's ``nlminb`` minimises it.
    without : str, optional
        A term to leave out of the fixed effects.

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
    model = (*_model(data, bars, reml, without), r.strings(optimizer))
    if _verbose.get():
        functions["show_lmer"](*model)
    result = _answer(functions["fit_lmer"](*model, r.logical(numerical), r.numbers(penalty)))
    n_terms = len(data.terms) - (without is not None)
    if len(result["estimate"]) != n_terms:
        words = [*result["messages"]]
        raise LmerError("; ".join(["fit: the design matrix is rank deficient", *words]))
    return result


def small_sample(
    data: Dataset,
    bars: Sequence[str],
    *,
    reml: bool,
    theta: Sequence[float],
    kind: Literal["kenward_roger", "cr2"],
) -> Mapping[str, Any]:
    """Inference for small samples at lme4's θ, by R's pbkrtest or clubSandwich.

    Parameters
    ----------
    data, bars, reml
        As for `lmer`.
    theta : sequence of float
        Where lme4 stopped.
    kind : {"kenward_roger", "cr2"}

    Returns
    -------
    mapping
        ``se`` and ``df``, each a sequence, and ``messages``.

    Raises
    ------
    LmerError
        With R's own words, if there is no such inference.
    BrokenEnvironmentError
        If there is no R, or no such package.
    """
    start()
    r.load(SMALL_SAMPLE[kind])
    function = r.functions(SOURCE)[kind]
    return _answer(function(*_model(data, bars, reml), r.numbers(*theta)))


def deviances(
    data: Dataset, bars: Sequence[str], optimizer: str, ys: Array, without: str
) -> tuple[Array, Array]:
    """Deviances of other responses by maximum likelihood, with lme4's ``refit``.

    Parameters
    ----------
    data, bars, optimizer
        As for `lmer`.
    ys : (B, n) array
        The responses.
    without : str
        A term of the fixed effects.

    Returns
    -------
    null, whole : (B,) arrays
        Of the model without the term, and with it.

    Raises
    ------
    LmerError
        With R's own words, if a model can't be fitted.
    BrokenEnvironmentError
        If there is no R to fit it.
    """
    start()
    columns, factors, null, _ = _model(data, bars, False, without)
    whole = _model(data, bars, False)[2]
    result = _answer(
        r.functions(SOURCE)["deviances"](
            columns,
            factors,
            whole,
            null,
            r.strings(optimizer),
            r.doubles(ys.ravel()),
            r.numbers(len(ys)),
        )
    )
    return np.array(result["null"]), np.array(result["whole"])


def _model(
    data: Dataset, bars: Sequence[str], reml: bool, without: str | None = None
) -> tuple[Any, ...]:
    """A model as the functions of ``lme4.R`` take it."""
    formula = " + ".join([data.formula_without(without), *bars])
    return r.frame(data), r.strings(*data.factors), r.strings(formula), r.logical(reml)


def _answer(returned: Any) -> Mapping[str, Any]:
    """What a function of ``lme4.R`` returned, if it is no error."""
    result = r.as_dict(returned)
    if "error" in result:
        words = [f"{result['stage'][0]}: {result['error'][0]}", *result["messages"]]
        raise LmerError("; ".join(words))
    return result
