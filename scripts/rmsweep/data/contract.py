"""What a piece of the user's own has to keep, as checks that run over its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rmsweep.data import pieces
from rmsweep.data.dataset import Array
from rmsweep.data.options import NotAllowedError
from rmsweep.data.pieces import KINDS, PieceError
from rmsweep.data.rows import rows_of
from rmsweep.errors import UsageError

N_DRAWS = 200_000
# standard errors that a mean may be off by
FAR = 5
ROUNDING = 1e-9
SIZES = (5, 1, 12, 7)


def generator() -> np.random.Generator:
    """The same random numbers each time."""
    return np.random.default_rng(0)


def drawn(path: str) -> Array:
    """Many draws of a distribution."""
    z = np.random.default_rng(1).standard_normal((N_DRAWS // 4, 4))
    return pieces.drawn("noise_distribution", path, generator(), z)


def is_near(draws: Array, mean: float) -> bool:
    """Whether draws may have a mean; squares of -1 and 1 are all alike."""
    reach = FAR * draws.std() / np.sqrt(draws.size)
    return bool(abs(draws.mean() - mean) <= reach + ROUNDING)


def has_mean_0(path: str) -> None:
    """The scenario adds the mean."""
    draws = drawn(path)
    assert is_near(draws, 0), f"the mean of {draws.size:,} draws is {draws.mean():.4g}"


def has_variance_1(path: str) -> None:
    """The scenario multiplies by the SD."""
    squares = drawn(path) ** 2
    assert is_near(squares, 1), f"the variance of {squares.size:,} draws is {squares.mean():.4g}"


def gives_the_same_draws_twice(path: str) -> None:
    """Nothing but the generator that it gets decides."""
    assert drawn(path).tobytes() == drawn(path).tobytes(), "two runs differ"


def gives_sizes_of_all_groups(path: str) -> None:
    """Whole numbers from 1 up, n_obs on average."""
    for n_groups, n_obs in ((2, 10), (10, 20), (100, 50)):
        coefficients = generator().standard_normal((n_groups, 4))
        pieces.sizes(path, generator(), coefficients, n_obs)


def gives_the_same_sizes_twice(path: str) -> None:
    """Nothing but the generator and the coefficients decide."""
    coefficients = generator().standard_normal((10, 4))
    one, two = (pieces.sizes(path, generator(), coefficients, 20) for _ in range(2))
    assert (one == two).all(), "two runs differ"


def says_of_each_row_whether_it_is_observed(path: str) -> None:
    """True or false for each row."""
    rows = rows_of(SIZES)
    pieces.observed(path, generator(), generator().standard_normal(sum(SIZES)), rows)


def leaves_the_same_rows_out_twice(path: str) -> None:
    """Nothing but the generator and the responses decide."""
    y, rows = generator().standard_normal(sum(SIZES)), rows_of(SIZES)
    one, two = (pieces.observed(path, generator(), y, rows) for _ in range(2))
    assert (one == two).all(), "two runs differ"


CHECKS: Mapping[str, tuple[Callable[[str], None], ...]] = {
    "draw": (has_mean_0, has_variance_1, gives_the_same_draws_twice),
    "sizes": (gives_sizes_of_all_groups, gives_the_same_sizes_twice),
    "observed": (says_of_each_row_whether_it_is_observed, leaves_the_same_rows_out_twice),
}
"""By the function that a file has."""
OURS = ("noise_distribution", "group_sizes", "missing")
"""Keys that name all pieces that there are checks for."""


def checked(name: str) -> dict[str, str]:
    """What a piece, a file or one of the project's, keeps and what it doesn't.

    Returns
    -------
    dict of str to str
        The checks, each with ``yes`` or a reason.

    Raises
    ------
    PieceError
        If the file can't be read.
    UsageError
        If it has none of the functions, or Python was told to leave assertions out.
    """
    if not __debug__:
        raise UsageError("PYTHONOPTIMIZE leaves out what a check is made of; allowed: none")
    found = {}
    for key, function in functions_of(name).items():
        pieces.options_of(key, name)
        for check in CHECKS[function]:
            try:
                check(name)
                said = "yes"
            except (AssertionError, NotAllowedError, PieceError) as error:
                said = str(error)
            found[check.__name__.replace("_", " ")] = said
    return found


def functions_of(name: str) -> dict[str, str]:
    """The functions that a piece has, each by a key that it can be named in."""
    if pieces.is_file(name):
        module = pieces.load(name)
        there = [it for it in CHECKS if callable(getattr(module, it, None))]
        if not there:
            raise UsageError(f"{name}: no function; allowed: {', '.join(CHECKS)}")
    else:
        there = [KINDS[key].function for key in OURS if name in KINDS[key].known]
        if not there:
            known = (it for key in OURS for it in KINDS[key].known)
            raise UsageError(f"{name!r} is not allowed; allowed: a .py file, {', '.join(known)}")
    return {key: KINDS[key].function for key in OURS if KINDS[key].function in there}
