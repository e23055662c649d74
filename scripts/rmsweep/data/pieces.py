"""Pieces of a scenario that a study names: functions of this package, or files of the user's own.

A piece is one function. Its keyword-only parameters are its options, whose defaults say of which
type they are.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep import user_file
from rmsweep.data import distributions, layouts, missing, template
from rmsweep.data.dataset import Array
from rmsweep.data.options import NotAllowedError
from rmsweep.data.patterns import PATTERNS
from rmsweep.data.rows import Rows, rows_of
from rmsweep.design import Piece
from rmsweep.errors import UserError

Function = Callable[..., Any]
Named = str | Piece
FOLDER = "data"
"""Beside a configuration: where pieces of the user's own are looked for by name."""
STEM = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
EXAMPLE = rows_of((3, 5))


class PieceError(UserError):
    """A file of the user's own that is no piece, and why."""


class Kind(NamedTuple):
    """What pieces of one key have in common.

    Attributes
    ----------
    function : str
        The name of the function in a file of the user's own.
    known : mapping of str to function
        The pieces of this package.
    suffix : str
        What the names of the user's own files end with.
    """

    function: str
    known: Mapping[str, Function]
    suffix: str = ".py"


def functions(module: ModuleType) -> dict[str, Function]:
    """The public functions that a module defines, by name."""
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }


KINDS = {
    "group_sizes": Kind("sizes", functions(layouts)),
    "effect_distribution": Kind("draw", functions(distributions)),
    "predictor_distribution": Kind("draw", functions(distributions) | PATTERNS),
    "noise_distribution": Kind("draw", functions(distributions)),
    "missing": Kind("observed", functions(missing)),
    "predictors": Kind("of_file", {"drawn": template.drawn}, template.SUFFIX),
}
"""The keys that name pieces."""


def is_file(name: str) -> bool:
    """Whether a piece is a file of the user's own."""
    return name.endswith((".py", template.SUFFIX))


def name_of(piece: Named) -> str:
    """A piece's name or path."""
    return piece.name if isinstance(piece, Piece) else piece


@cache
def load(path: str) -> ModuleType:
    """A file of the user's own.

    Raises
    ------
    PieceError
        If it can't be read, in Python's own words.
    """
    try:
        return user_file.load(Path(path), "piece")
    except (Exception, SystemExit) as error:
        raise PieceError(f"{path}: {user_file.in_words(error)}") from None


def function(key: str, name: str) -> Function:
    """The function that is a piece.

    Raises
    ------
    NotAllowedError
        If there is none of that name.
    PieceError
        If a file has none.
    """
    kind = KINDS[key]
    if not name.endswith(kind.suffix):
        if name not in kind.known:
            raise NotAllowedError(f"{', '.join(kind.known)}, and {kind.suffix} files of yours")
        return kind.known[name]
    if kind.suffix == template.SUFFIX:
        return partial(template.of_file, name)
    found = getattr(load(name), kind.function, None)
    if not callable(found):
        raise PieceError(f"{name}: no function {kind.function}(...)")
    return found  # type: ignore[no-any-return]


def piece(key: str, value: Named) -> Function:
    """The function of a piece with its options filled in."""
    options = dict(value.options) if isinstance(value, Piece) else {}
    return partial(function(key, name_of(value)), **options)


def options_of(key: str, name: str) -> dict[str, Any]:
    """The options of a piece, with their defaults.

    Raises
    ------
    PieceError
        If a default is missing, or no number, text or truth value.
    """
    parameters = inspect.signature(function(key, name)).parameters.values()
    found = {it.name: it.default for it in parameters if it.kind is it.KEYWORD_ONLY}
    for option, default in found.items():
        if not isinstance(default, int | float | str):
            raise PieceError(f"{name}: the option {option} has no default of a plain type")
    return found


def canonical(key: str, value: str | Mapping[str, Any]) -> Named:
    """The one form of a piece: its name alone where all options are at their defaults.

    Raises
    ------
    NotAllowedError
        If it has other options, or values of another type.
    """
    if isinstance(value, str):
        function(key, value)
        return value
    name = value["from"]
    defaults = options_of(key, name)
    chosen = {}
    for option, given in value.items():
        if option == "from":
            continue
        if option not in defaults:
            raise NotAllowedError(f"with {name} the options {', '.join(defaults) or 'none'}")
        typed = in_type(given, defaults[option])
        if typed is None:
            kind = type(defaults[option]).__name__
            raise NotAllowedError(f"for {option} a value of the type {kind}")
        if typed != defaults[option]:
            chosen[option] = typed
    return Piece(name, tuple(sorted(chosen.items()))) if chosen else str(name)


def in_type(given: Any, default: Any) -> Any:
    """The value of an option in the type of its default; None if it is of another one."""
    if isinstance(default, bool) or isinstance(given, bool):
        return given if isinstance(default, bool) and isinstance(given, bool) else None
    if isinstance(default, float) and isinstance(given, int | float):
        return float(given) + 0.0
    if isinstance(default, int) and isinstance(given, int | float):
        return int(given) if given == int(given) else None
    return given if isinstance(default, str) and isinstance(given, str) else None


@cache
def check(key: str, value: Named) -> None:
    """Try a piece on a few numbers; sizes of groups depend on the condition and have to wait.

    Raises
    ------
    NotAllowedError
        If an option has a value that it can't have, or a file a name.
    PieceError
        If it gives anything but what it should.
    """
    name = name_of(value)
    if is_file(name) and not STEM.fullmatch(Path(name).stem):
        raise NotAllowedError("files whose names are up to 40 letters, digits and . _ -")
    if is_file(name) and Path(name).stem in KINDS[key].known:
        raise NotAllowedError(f"another name; {Path(name).stem} is one of ours")
    options_of(key, name)
    rng, z = (np.random.default_rng(seed) for seed in (0, 1))
    example = z.standard_normal(len(EXAMPLE.groups))
    if KINDS[key].function == "draw" and name not in PATTERNS:
        drawn(key, value, rng, example)
    elif KINDS[key].function == "observed":
        observed(value, rng, example, EXAMPLE)
    elif name in PATTERNS:
        patterned(value, EXAMPLE.times, 5, 1)
    elif key == "predictors" and is_file(name):
        resampled(value, rng, 1, 1)


def drawn(key: str, value: Named, rng: np.random.Generator, z: Array) -> Array:
    """Draws of a distribution, of the shape of the standard normal z."""
    found = run(key, value, rng, z)
    if is_file(name_of(value)):
        good = is_array(found, np.float64, z.shape) and bool(np.isfinite(found).all())
        expect(good, key, value, f"finite floats of the shape {z.shape}")
    return found  # type: ignore[no-any-return]


def patterned(value: Named, times: NDArray[np.int64], n_obs: int, n_before: int) -> Array:
    """The values of a predictor that has the same ones in every group."""
    values: Array = run("predictor_distribution", value, times, n_obs, n_before)
    return values


def resampled(
    value: Named, rng: np.random.Generator, n_groups: int, n_obs: int
) -> template.Resampled:
    """Rows of a design from a file."""
    found: template.Resampled = run("predictors", value, rng, n_groups, n_obs)
    return found


def observed(value: Named, rng: np.random.Generator, y: Array, rows: Rows) -> NDArray[np.bool_]:
    """Which rows are observed."""
    found = run("missing", value, rng, y, rows.groups, rows.times)
    good = is_array(found, np.bool_, y.shape)
    expect(good, "missing", value, f"an array of {len(y)} truth values")
    return found  # type: ignore[no-any-return]


def sizes(
    value: Named, rng: np.random.Generator, coefficients: Array, n_obs: int
) -> NDArray[np.int64]:
    """Each group's number of rows."""
    key, n_groups = "group_sizes", len(coefficients)
    found = run(key, value, rng, coefficients, n_obs)
    good = is_array(found, np.int64, (n_groups,))
    expect(good, key, value, f"an array of {n_groups} whole numbers (int64)")
    if found.min() < 1:
        raise NotAllowedError(f"what leaves no group without rows, of {n_obs} on average")
    expect(found.sum() == n_groups * n_obs, key, value, f"{n_groups * n_obs} rows in all")
    return found  # type: ignore[no-any-return]


def expect(good: bool, key: str, value: Named, what: str) -> None:
    """Refuse what a piece gives.

    Raises
    ------
    PieceError
        If it is not good.
    """
    if not good:
        raise PieceError(f"{name_of(value)}: {KINDS[key].function} does not give {what}")


def run(key: str, value: Named, *arguments: Any) -> Any:
    """What a piece gives.

    Raises
    ------
    PieceError
        If it fails.
    """
    try:
        return piece(key, value)(*arguments)
    except NotAllowedError:
        raise
    except Exception as error:
        name = name_of(value)
        if not is_file(name):
            raise
        raise PieceError(f"{name}: {user_file.in_words(error)}") from None


def is_array(found: object, kind: type, shape: tuple[int, ...]) -> bool:
    """Whether it is an array of that type and shape."""
    return isinstance(found, np.ndarray) and found.dtype == kind and found.shape == shape


def portable(value: Any) -> Any:
    """A value of a condition, in which files of the user's own have no folder."""
    if isinstance(value, Piece):
        return Piece(portable(value.name), value.options)
    if isinstance(value, tuple):
        return tuple(map(portable, value))
    return Path(value).name if isinstance(value, str) and is_file(value) else value


def files(values: Mapping[str, Any]) -> list[str]:
    """The files of the user's own among the values of a condition."""
    found = set()
    for key in KINDS:
        value = values[key]
        single = isinstance(value, str | Piece)
        found |= {name_of(one) for one in ((value,) if single else value)}
    return sorted(filter(is_file, found))


def located(key: str, value: Any, folder: Path) -> Any:
    """A value of a key, or several, with the paths of files that it names.

    Parameters
    ----------
    key : str
    value : object
        What a configuration says; what is no file stays as it is.
    folder : Path
        Of the configuration.
    """
    if isinstance(value, list):
        return [located(key, item, folder) for item in value]
    if isinstance(value, dict) and "from" in value:
        return value | {"from": located(key, value["from"], folder)}
    if isinstance(value, dict):
        return {name: located(key, item, folder) for name, item in value.items()}
    if not isinstance(value, str) or value in KINDS[key].known:
        return value
    candidates = [Path(value), folder / value]
    if not is_file(value):
        candidates = [folder / FOLDER / f"{value}{KINDS[key].suffix}"]
    path = None
    with suppress(OSError, ValueError):  # no name of a file
        path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return value
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def options(key: str, value: Named) -> dict[str, Any]:
    """All options of a piece."""
    chosen = dict(value.options) if isinstance(value, Piece) else {}
    return options_of(key, name_of(value)) | chosen


def tail_df(key: str, value: Named) -> float:
    """Degrees of freedom of the t distribution whose tails draws have; infinite for lighter ones.

    A file of the user's own says so by a function ``tail_df`` of its options.
    """
    name = name_of(value)
    if is_file(name):
        tails = getattr(load(name), "tail_df", None)
        return float(tails(**options(key, value))) if tails else np.inf
    return float(options(key, value)["df"]) if name == "t" else np.inf
