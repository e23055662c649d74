"""Mixed models by R's lme4 and lmerTest. The only module that imports rpy2."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rmsweep.dataset import Dataset, quoted
from rmsweep.design import Settings
from rmsweep.strategies import FitError

SOURCE = Path(__file__).with_name("lmer.R")

_aloud = ContextVar("aloud", default=False)


class BrokenEnvironmentError(RuntimeError):
    """R, or a package of it, is not there: every fit would fail, so the run has to stop."""


@cache
def start() -> Any:
    """Start R inside this process, once, with lme4 and lmerTest loaded.

    Returns
    -------
    rpy2.rinterface.SexpEnvironment
        Holds the functions of ``lmer.R``.

    Raises
    ------
    BrokenEnvironmentError
        If R, lme4 or lmerTest can't be loaded.
    """
    # read when R starts: the BLAS of a job must not spread over its neighbours' cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    library_path = os.environ.get("LD_LIBRARY_PATH")
    try:
        ri = rinterface()
        ri.initr()
    except Exception as error:
        raise BrokenEnvironmentError(
            f"R can't be started ({' '.join(str(error).split())}): run `make setup`, "
            "or install R and rpy2"
        ) from None
    # rpy2 sets it for R, which is loaded by now; other programs would load R's libraries
    if library_path is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = library_path
    for package in ("lme4", "lmerTest"):
        if not ri.evalr(f"suppressPackageStartupMessages(requireNamespace('{package}'))")[0]:
            raise BrokenEnvironmentError(
                f"R has no package {package}: run `make setup`, or in R: "
                f'install.packages("{package}")'
            )
    functions = ri.evalr("new.env()")
    ri.baseenv["sys.source"](ri.StrSexpVector([str(SOURCE)]), functions)
    return functions


def rinterface() -> Any:
    """rpy2's low-level interface: its high-level one takes twice as long to import."""
    import rpy2.rinterface

    return rpy2.rinterface


def versions() -> dict[str, str]:
    """Versions of R, lme4, lmerTest and R's BLAS."""
    result = start()["versions"]()
    return dict(zip(result.names, result, strict=True))


def collect_garbage() -> None:
    """Age all that R holds, so that a forked child's collections leave the shared pages alone."""
    # R has three generations of objects
    for _ in range(3):
        rinterface().evalr("gc()")


@contextmanager
def aloud() -> Iterator[None]:
    """Let R print its own summary and messages of every model that is fitted meanwhile."""
    before = _aloud.set(True)
    try:
        yield
    finally:
        _aloud.reset(before)


def formula(data: Dataset, random: Sequence[str]) -> str:
    """The model's formula as lme4 reads it."""
    slopes = [quoted(term) for term in random if term != "Intercept"]
    intercept = "1" if "Intercept" in random else "0"
    inner = " + ".join(slopes if slopes and intercept == "1" else [intercept, *slopes])
    return f"{data.formula} + ({inner} | {quoted(data.group)})"


def lmer(
    data: Dataset, random: Sequence[str], settings: Settings, numerical: bool
) -> dict[str, Any]:
    """Fit a mixed model by lme4.

    Parameters
    ----------
    data : Dataset
        The data.
    random : sequence of str
        The terms whose coefficients vary between groups, with all their correlations.
    settings : Settings
        Its ``optimizer`` and ``reml``.
    numerical : bool
        Whether to have lme4's checks and lmerTest's degrees of freedom, by numerical derivatives.

    Returns
    -------
    dict
        The list that ``fit_lmer`` of ``lmer.R`` returns, each part a sequence.

    Raises
    ------
    FitError
        With R's own words, if the model can't be fitted.
    BrokenEnvironmentError
        If there is no R to fit it.
    """
    functions = start()
    ri = rinterface()
    columns = {data.response: data.y} | {
        term: np.ascontiguousarray(column)
        for term, column in zip(data.terms, data.X.T, strict=True)
        if term != "Intercept"
    }
    vectors: dict[str, Any] = {
        name: ri.FloatSexpVector.from_memoryview(column.data) for name, column in columns.items()
    }
    vectors[data.group] = ri.IntSexpVector.from_memoryview((data.groups + 1).astype(np.int32).data)
    frame = ri.ListSexpVector(list(vectors.values()))
    frame.names = ri.StrSexpVector(list(vectors))
    model = (
        frame,
        ri.StrSexpVector([data.group]),
        ri.StrSexpVector([formula(data, random)]),
        ri.BoolSexpVector([settings.reml]),
        ri.StrSexpVector([settings.optimizer]),
    )
    if _aloud.get():
        functions["show_lmer"](*model)
    answer = functions["fit_lmer"](*model, ri.BoolSexpVector([numerical]))
    result: dict[str, Any] = dict(zip(answer.names, answer, strict=True))
    if "error" in result:
        raise FitError("; ".join([f"{result['stage'][0]}: {result['error'][0]}", *result["heard"]]))
    if len(result["estimate"]) != len(data.terms):
        raise FitError("; ".join(["fit: the design matrix is rank deficient", *result["heard"]]))
    return result
