"""R inside this process. The only module that imports rpy2."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmsweep import rscript
from rmsweep.data.dataset import Array, Dataset
from rmsweep.errors import UserError

SET_BY_R = ("LD_LIBRARY_PATH", "R_DEFAULT_PACKAGES", "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER")
"""What rpy2 sets as R does; other programs, and another R, would take it for the user's."""

MISSING_INTEGER = -(2**31)
"""R's."""


class BrokenEnvironmentError(UserError):
    """R, or a package of it, is not there: every fit would fail, so the run has to stop."""


@contextmanager
def isolated() -> Iterator[None]:
    """Let R start without the start-up files of its user and its site, and undo that afterwards."""
    before = {name: os.environ.get(name) for name in (*rscript.START_UP_FILES, *SET_BY_R)}
    os.environ |= dict.fromkeys(rscript.START_UP_FILES, os.devnull)
    os.environ.pop("R_DEFAULT_PACKAGES", None)
    # rpy2 starts R as a program, too, which would complain of an interrupt; and it sets a handler
    handler = signal.getsignal(signal.SIGINT)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@cache
def start() -> Any:
    """Start R inside this process, once.

    Of the start-up files of its user and its site, such as ``.Rprofile``, only the library paths
    count: whatever else they set, print or mask, the numbers are the same.

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
    # of its two ways to reach R: that both fail is said below
    logging.getLogger("rpy2.rinterface_lib.openrlib").setLevel(logging.ERROR)
    libraries = rscript.ask(".libPaths()")  # meanwhile
    with isolated():
        try:
            import rpy2.rinterface
            from rpy2.rinterface_lib import embedded

            embedded.set_initoptions(("rpy2", "--quiet", "--vanilla"))  # type: ignore[arg-type]
            rpy2.rinterface.initr()
        except Exception as error:
            raise BrokenEnvironmentError(
                f"R can't be started ({' '.join(str(error).split())}): run `make setup`, "
                "or install R and rpy2"
            ) from None
    ri: Any = rpy2.rinterface
    # a locale without letters beyond ASCII would change names and levels
    ri.evalr("""if (!l10n_info()[["UTF-8"]])
      for (locale in c("C.UTF-8", "en_US.UTF-8"))
        if (nzchar(suppressWarnings(Sys.setlocale("LC_CTYPE", locale)))) break""")
    if found := libraries():
        # not one more, nor one less, as `.libPaths(found)` may have it
        use = ri.evalr("function(found) assign('.lib.loc', found, environment(.libPaths))")
        use(ri.StrSexpVector(found))
    return ri


@cache
def load(package: str) -> None:
    """Load a package's namespace.

    Raises
    ------
    BrokenEnvironmentError
        If it can't be loaded.
    """
    ri = start()
    problem = ri.evalr(f"""tryCatch({{
      suppressPackageStartupMessages(loadNamespace("{package}"))
      ""
    }}, error = function(e) if (nzchar(system.file(package = "{package}"))) conditionMessage(e))""")
    if problem is ri.NULL:
        raise BrokenEnvironmentError(
            f'R has no package {package}: run `make setup`, or in R: install.packages("{package}")'
        )
    if problem[0]:
        raise BrokenEnvironmentError(
            f"R has the package {package}, but can't load it: {' '.join(problem[0].split())}"
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
    columns = {data.response: data.y} | {
        term: column
        for term, column in zip(data.terms, data.X.T, strict=True)
        if term != "Intercept"
    }
    vectors = {name: doubles(column) for name, column in (columns | dict(data.further)).items()}
    vectors |= {name: codes(rows) for name, rows in data.factors.items()}
    return named_list(vectors)


def named_list(parts: Mapping[str, Any]) -> Any:
    """A named list."""
    ri = start()
    listed = ri.ListSexpVector(list(parts.values()))
    listed.names = ri.StrSexpVector(list(parts))
    return listed


def doubles(values: Array) -> Any:
    """A numeric vector; NaN stands for missing values."""
    return start().FloatSexpVector.from_memoryview(np.ascontiguousarray(values).data)


def codes(values: NDArray[np.int64], levels: Sequence[str] | None = None) -> Any:
    """Codes from 0, where -1 is missing, as an integer vector from 1, or a factor with levels."""
    ri = start()
    shifted = np.where(values < 0, MISSING_INTEGER, values + 1).astype(np.int32)
    vector = ri.IntSexpVector.from_memoryview(shifted.data)
    if levels is None:
        return vector
    make = ri.evalr("function(x, levels) structure(x, levels = levels, class = 'factor')")
    return make(vector, strings(*levels))


def strings(*texts: str) -> Any:
    """A character vector."""
    return start().StrSexpVector(list(texts))


def logical(value: bool) -> Any:
    """A logical vector of one element."""
    return start().BoolSexpVector([value])


def numbers(*values: float) -> Any:
    """A numeric vector."""
    return start().FloatSexpVector(list(values))


def as_dict(answer: Any) -> Mapping[str, Any]:
    """A named list of R, by name."""
    return dict(zip(answer.names, answer, strict=True))
