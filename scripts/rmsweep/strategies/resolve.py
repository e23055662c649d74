"""From the entries of a configuration to strategies: presets, variants, files of the user's own."""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from rmsweep.design import Strategy, Verdict
from rmsweep.strategies import (
    NoOptions,
    Preset,
    StrategyError,
    engines,
    is_file,
    load,
    presets,
)

SCRIPTS = Path(__file__).parents[2]
OF_ALL = ("label", "engine", "verdict")
"""What a variant of any strategy may have."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
VERDICTS = typing.get_args(Verdict)
FOLDER = "strategies"
"""Beside a configuration: where strategies of the user's own are looked for by name."""


def resolve(
    entries: Sequence[Any], shared: Mapping[str, Any], folder: Path
) -> tuple[list[Strategy], list[Any]]:
    """The strategies that a study names.

    Parameters
    ----------
    entries : sequence
        Names, files, and variants: mappings with ``name``, ``from`` and options.
    shared : mapping
        The study's own ``engine`` and ``verdict``, and options for every family that has them.
    folder : Path
        Of the configuration.

    Returns
    -------
    strategies : list of Strategy
    entries : list
        The same entries with paths that start at the working folder.

    Raises
    ------
    StrategyError
        At the first entry that is wrong.
    """
    found: list[Strategy] = []
    written: list[Any] = []
    for entry in entries:
        variant = dict(entry) if isinstance(entry, dict) else {"from": entry}
        family, origin, preset = _base(str(variant.pop("from")), folder)
        name = variant.pop("name", Path(origin).stem if is_file(origin) else origin)
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            _refuse(name, "a name of up to 60 letters, digits, _ . and -")
        if name in [strategy.name for strategy in found]:
            _refuse(name, "different names")
        if name in presets() and origin != name:
            _refuse(name, "a name of its own; that is another strategy's")
        found.append(_strategy(name, family, origin, preset, variant, shared))
        written.append(entry if origin == entry else {"name": name, "from": origin} | variant)
    _check_engine(shared["engine"], found)
    _check_helpers(found)
    return found, written


def _base(text: str, folder: Path) -> tuple[str, str, Preset]:
    """Family, origin and preset of a strategy's name or file."""
    if text in presets():
        family, preset = presets()[text]
        return family, text, preset
    path = None
    candidates = [Path(text), folder / text]
    if not is_file(text):
        candidates = [folder / FOLDER / f"{text}{suffix}" for suffix in (".py", ".R")]
    with suppress(OSError):  # a name too long for a file
        path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        where = f"files, and names of files in {folder / FOLDER}"
        _refuse(text, f"{', '.join(presets())}; {where}")
    origin = os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
    label = (load(origin).__doc__ or "").strip().partition("\n")[0].rstrip(".") or path.stem
    return origin, origin, Preset(label)


def _strategy(
    name: str,
    family: str,
    origin: str,
    preset: Preset,
    variant: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> Strategy:
    module = load(family)
    kinds = {"options": getattr(module, "Options", NoOptions)}
    kinds |= {"inference": module.Inference} if hasattr(module, "Inference") else {}
    known = {option.name for kind in kinds.values() for option in fields(kind)}
    for key in variant:
        if key not in known and key not in OF_ALL:
            _refuse({name: key}, ", ".join([*OF_ALL, *sorted(known)]))
    given = {key: value for key, value in shared.items() if key in known}
    given |= dict(preset.options) | dict(variant)
    if not isinstance(variant.get("label", ""), str):
        _refuse({name: {"label": variant["label"]}}, "for label: text")
    changed = ", ".join(f"{key}: {value}" for key, value in variant.items())
    label = variant.get("label") or f"{preset.label} ({changed})" if variant else preset.label
    verdict = variant.get("verdict", shared["verdict"])
    if verdict not in VERDICTS:
        _refuse({name: verdict}, f"as verdict {', '.join(VERDICTS)}")
    made = {part: _made(name, kind, given) for part, kind in kinds.items()}
    return Strategy(
        name=name,
        label=label,
        family=family,
        origin=origin,
        engine=_engine(name, family, variant.get("engine"), shared["engine"]),
        verdict=verdict,
        options=made["options"],
        inference=made.get("inference"),
    )


def _engine(name: str, family: str, own: str | None, wanted: Any) -> str:
    """The engine of a strategy: its own, or what the study wants of all."""
    possible = engines(family)
    if own is None and isinstance(wanted, dict):
        own = wanted.get(name, possible[0])
    elif own is None:
        own = possible[-1 if wanted == "native" else 0]
    if own not in possible:
        _refuse({name: own}, f"as engine of {name}: {', '.join(possible)}")
    return own


def _check_engine(wanted: Any, found: Sequence[Strategy]) -> None:
    names = [strategy.name for strategy in found]
    for name in wanted if isinstance(wanted, dict) else ():
        if name not in names:
            raise StrategyError(
                f"engine: {name!r} is not allowed; allowed: the study's strategies: "
                f"{', '.join(names)}"
            )


def _check_helpers(found: Sequence[Strategy]) -> None:
    """Refuse helpers of own files that Python could take for others of the same name."""
    own = [Path(strategy.family) for strategy in found if is_file(strategy.family)]
    taken = {path.stem: path.parent for path in (*SCRIPTS.glob("*.py"), SCRIPTS / "rmsweep")}
    for folder in dict.fromkeys(path.parent.resolve() for path in own):
        strategies_here = {path.stem for path in own if path.parent.resolve() == folder}
        packages = {path.parent for path in folder.glob("*/__init__.py")}
        for path in sorted({*folder.glob("*.py"), *packages}):
            other = taken.setdefault(path.stem, folder)
            if path.stem not in strategies_here and other != folder:
                _refuse(str(path), f"another name: {other} has a {path.stem}, too")


def _made(name: str, kind: Any, given: Mapping[str, Any]) -> Any:
    """A dataclass of options from the values that are its own."""
    hints = typing.get_type_hints(kind)
    own = {option.name: given[option.name] for option in fields(kind) if option.name in given}
    typed = {key: _typed(name, key, value, hints[key]) for key, value in own.items()}
    try:
        return kind(**typed)
    except (TypeError, ValueError) as error:
        _refuse({name: own}, f"options that fit together: {error}")


def _typed(name: str, key: str, value: Any, hint: Any) -> Any:
    """A value of an option as its type wants it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    where = {name: {key: value}}
    if origin is Literal:
        if value not in arguments:
            _refuse(where, f"for {key}: {', '.join(map(str, arguments))}")
        return value
    if origin in (types.UnionType, typing.Union):
        for alternative in arguments:
            try:
                return _typed(name, key, value, alternative)
            except StrategyError:
                continue
        _refuse(where, f"for {key}: {in_words(hint)}")
    if origin is tuple:
        if not isinstance(value, list | tuple):
            _refuse(where, f"for {key}: a list")
        return tuple(_typed(name, key, item, arguments[0]) for item in value)
    if is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        allowed = [option.name for option in fields(hint)]
        if not isinstance(value, dict) or not set(value) <= set(allowed):
            _refuse(where, f"for {key}: a mapping with {', '.join(allowed)}")
        return _made(name, hint, value)
    if hint is type(None):
        if value is not None:
            _refuse(where, f"for {key}: nothing")
        return None
    if hint not in (bool, int, float, str):
        _refuse(where, f"for {key}: nothing that a configuration can say; its type is {hint}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        _refuse(where, f"for {key}: {hint.__name__}")
    return value


def in_words(hint: Any) -> str:
    """A type as a person would say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is tuple:
        return "a list"
    if origin in (types.UnionType, typing.Union):
        return ", or ".join(map(in_words, arguments))
    return "nothing" if hint is type(None) else str(getattr(hint, "__name__", hint))


def _refuse(value: object, allowed: str) -> NoReturn:
    raise StrategyError(f"strategies: {value!r} is not allowed; allowed: {allowed}")
