"""R inside this process. The only module that imports rpy2."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rmsweep.data.dataset import Dataset
from rmsweep.errors import UserError


class BrokenEnvironmentError(UserError):
    """R, or a package of it, is not there: every fit would fail, so the run has to stop."""


@cache
def start() -> Any:
    """Start R inside this process, once.

    Returns
    -------
    module
        rpy2's low-level interface: its high-level one takes twice as long to import.

    Raises
    ------
    BrokenEnvironmentError
        If it can't be started.
    """
    # read when R starts: the BLAS of a job must not spread over its neighbours' cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    library_path = os.environ.get("LD_LIBRARY_PATH")
    try:
        import rpy2.rinterface as ri

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
    return ri


@cache
def load(package: str) -> None:
    """Load a package's namespace.

    Raises
    ------
    BrokenEnvironmentError
        If it can't be loaded.
    """
    if not start().evalr(f"suppressPackageStartupMessages(requireNamespace('{package}'))")[0]:
        raise BrokenEnvironmentError(
            f'R has no package {package}: run `make setup`, or in R: install.packages("{package}")'
        )


@cache
def functions(file: Path) -> Any:
    """The functions of one of our R files, an environment of R."""
    ri = start()
    found = ri.evalr("new.env()")
    ri.baseenv["sys.source"](ri.StrSexpVector([str(file)]), found)
    return found


@cache
def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of R, of its BLAS and of packages; ``none`` for those that aren't there."""
    ri = start()
    found = {
        "R": ri.evalr("as.character(getRversion())")[0],
        "R_BLAS": ri.evalr('basename(extSoftVersion()[["BLAS"]])')[0],
    }
    of = 'tryCatch(as.character(packageVersion("{}")), error = function(e) "none")'
    return found | {package: ri.evalr(of.format(package))[0] for package in packages}


def collect_garbage() -> None:
    """Age all that R holds, so that a forked child's collections leave the shared pages alone."""
    # R has three generations of objects
    for _ in range(3):
        start().evalr("gc()")


def frame(data: Dataset) -> Any:
    """The columns of a dataset as a named list of R: response, predictors, factors' codes."""
    ri = start()
    columns = {data.response: data.y} | {
        term: np.ascontiguousarray(column)
        for term, column in zip(data.terms, data.X.T, strict=True)
        if term != "Intercept"
    }
    vectors: dict[str, Any] = {
        name: ri.FloatSexpVector.from_memoryview(column.data) for name, column in columns.items()
    }
    for name, codes in data.factors.items():
        vectors[name] = ri.IntSexpVector.from_memoryview((codes + 1).astype(np.int32).data)
    listed = ri.ListSexpVector(list(vectors.values()))
    listed.names = ri.StrSexpVector(list(vectors))
    return listed


def strings(*texts: str) -> Any:
    """A character vector."""
    return start().StrSexpVector(list(texts))


def logical(value: bool) -> Any:
    """A logical vector of one element."""
    return start().BoolSexpVector([value])


def as_dict(answer: Any) -> Mapping[str, Any]:
    """A named list of R, by name."""
    return dict(zip(answer.names, answer, strict=True))
