"""From a configuration file to a checked study.

The schema ``workflow/schemas/study.schema.yaml`` is the one place that says which keys there are,
which of them are axes, what they default to and what they allow. Checks that need more than one
key are here.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from rmsweep import plan, settings, strategies
from rmsweep.data import pieces
from rmsweep.data.consistency import contradiction
from rmsweep.data.items import ALL
from rmsweep.data.options import NotAllowedError
from rmsweep.data.scenario import fixed_truth, term_names
from rmsweep.design import (
    MAIN,
    Axis,
    Condition,
    Level,
    Piece,
    Power,
    Precision,
    Study,
    Value,
    plain,
    spelled,
)
from rmsweep.errors import ConfigError
from rmsweep.strategies.resolve import resolve

ROOT = Path(__file__).parents[2]
DEFAULT_STUDY = ROOT / "config" / "config.yaml"
SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.yaml"
LEVEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.+_-]{0,39}")
SCENARIO = "scenario"
"""The axis of values that are set together."""
NUMBERS = ("nan", "NaN", "NAN", "inf", "Inf", "INF", "infinity", "Infinity")
"""What readers of CSV take for numbers."""
LARGEST = 1e100
WHOLE = ("n_groups", "n_obs", "n_items")
PER_COEFFICIENT = ("beta", "sigma_ratio", "item_sigma_ratio", "site_sigma_ratio")
"""Keys whose lists have a value for the intercept, too."""
DEFINITE = 1e-12
"""Smallest eigenvalue of a correlation matrix that is not taken for zero."""
MOST_CONDITIONS = 100_000
MOST_NUMBERS = 200_000_000
"""Of a dataset, which is held in memory several times."""
LEAST_FIRST_LOOK = 200
"""Replications before a precision is looked at: the fewer, the more often chance ends a study."""
MOST_JOBS = 1_000_000
"""More than Snakemake can plan in the memory of a workstation."""


class Named(NamedTuple):
    """A value of an axis, and the name that the configuration gives it, if any."""

    value: Any
    name: str | None = None


@cache
def schema() -> dict[str, Any]:
    """The schema, with the names of strategies and of pieces of scenarios filled in."""
    text = SCHEMA.read_text().replace("{strategies}", ", ".join(strategies.presets()))
    for key, kind in pieces.KINDS.items():
        text = text.replace(f"{{{key}}}", ", ".join(kind.known))
    loaded: dict[str, Any] = settings.parse(text)
    return loaded


@cache
def axis_keys() -> tuple[str, ...]:
    """The data-generating keys, the main ones first."""
    return tuple(key for key, rule in schema()["properties"].items() if rule.get("axis"))


def names_of_conditions() -> tuple[str, ...]:
    """What a command line names a condition by."""
    return (*axis_keys(), SCENARIO)


@cache
def axis_defaults() -> dict[str, Value]:
    """Default of every data-generating key that has one."""
    rules = schema()["properties"]
    return {key: rules[key]["default"] for key in axis_keys() if key not in MAIN}


def read_settings(
    files: Iterable[str | Path], overrides: Mapping[str, Any], words: Sequence[str] = ()
) -> dict[str, Any]:
    """What configuration files say, a later one's keys instead of an earlier one's.

    Parameters
    ----------
    files : iterable of str or Path
    overrides : mapping
        Keys that come last, as Snakemake's ``--config`` hands them over: numbers, true and false
        are values, but those inside of lists are texts.
    words : sequence of str
        The command line that these are from, if they are from one. Snakemake reads ``1_0`` as 10
        and keeps the last of equal keys.

    Raises
    ------
    ConfigError
        If a file can't be read, or the command line says something else than Snakemake makes of it.
    """
    found: dict[str, Any] = {}
    for file in files:
        found |= settings.load(file)
    for key, setting in overrides.items():
        spelled_out = [word.partition("=")[2] for word in words if word.startswith(f"{key}=")]
        if len(spelled_out) > 1:
            refuse(key, spelled_out, "one value")
        number = isinstance(setting, int | float) and not isinstance(setting, bool)
        for text in spelled_out if number else ():
            if settings.value(text.strip("'\"")) != setting:
                refuse(key, text, "a number in its usual form")
        found[key] = setting if key == "study" else settings.typed(setting)
    return found


def load_study(config: Mapping[str, Any], name: str, folder: Path | None = None) -> Study:
    """Check a study's configuration.

    Parameters
    ----------
    config : mapping
        What the configuration file says.
    name : str
        The study's name unless the configuration has the key ``study``.
    folder : Path, optional
        Where the configuration's paths start; default, the working folder.

    Returns
    -------
    Study

    Raises
    ------
    ConfigError
        At the first thing that is wrong.
    """
    values = _checked({"study": name} | dict(config))
    study = _study(values, folder or Path())
    _check_number_of_jobs(study)
    _check_that_something_can_be_fitted(study)
    return study


def read_study(source: str) -> Study:
    """Read a study, from a configuration file or from `one_line`, which was checked before.

    Raises
    ------
    ConfigError
        If the file can't be read or says something wrong.
    """
    if source.lstrip().startswith("{"):
        return _from_json(source)
    return read_overridden([Path(source)], [])


def read_overridden(files: Sequence[Path], words: Iterable[str]) -> Study:
    """Read a study as ``snakemake --configfile FILES --config WORDS`` does.

    Parameters
    ----------
    files : sequence of Path
        Configuration files; the last one names the study and has its folder.
    words : iterable of str
        ``key=value``, which come last.

    Raises
    ------
    ConfigError
        If a file can't be read, a word has no key, or the study has something wrong.
    """
    found = read_settings(files, {})
    for word in words:
        key, given, text = word.partition("=")
        if not given:
            refuse("--config", word, "key=value")
        found[key] = text if key == "study" else settings.value(text)
    try:
        return load_study(found, files[-1].stem, files[-1].parent)
    except ConfigError as error:
        raise ConfigError(f"{files[-1]}: {error}") from None


def one_line(study: Study) -> str:
    """A study in one line that `read_study` reads back: its settings but for the defaults."""
    rules = schema()["properties"]
    keys = {key: it for key, it in study.source.items() if it != rules[key].get("default", ...)}
    return json.dumps(keys, separators=(",", ":"))


@cache
def _from_json(source: str) -> Study:
    """The study behind `one_line`; once, for all jobs of a persistent worker."""
    try:
        return _study(_checked(json.loads(source)), Path())
    except ValueError as error:
        raise ConfigError(f"not a study: {error}") from None


def condition(**values: Any) -> Condition:
    """The condition of these values, with the defaults of all other keys.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """
    return _condition({key: Named(value) for key, value in (axis_defaults() | values).items()})


def condition_of(study: Study, given: Mapping[str, str]) -> Condition:
    """The condition that a command line names, which need not be one of the study's grid.

    Parameters
    ----------
    study : Study
        Its single values, and the names of its levels, are taken over.
    given : mapping of str to str
        Values or names of levels, by key.

    Raises
    ------
    ConfigError
        If a value is not allowed, or none is given where the study has several.
    """
    chosen = {}
    scenarios = _scenarios(study.source)
    name = given.get(SCENARIO, "")
    if (name or scenarios) and name not in scenarios:
        refuse(SCENARIO, name, f"the study's {', '.join(scenarios)}" if scenarios else "none")
    own = scenarios.get(name, {})
    for key, levels in _levels(study.source).items():
        known = {
            plain(named.name or spelled(canonical(key, named.value))): named for named in levels
        }
        text = given.get(key)
        if text is None and key in own:
            chosen[key] = own[key]
        elif text is None and len(levels) == 1:
            chosen[key] = levels[0]
        elif text is None:
            raise ConfigError(f"{key}: missing; allowed: the study's {', '.join(known)}, or others")
        elif text in known:
            chosen[key] = known[text]
        else:
            of_others = {plain(c.levels[key]): c.values[key] for c in study.conditions}
            named = thawed(of_others[text]) if text in of_others else settings.value(text)
            chosen[key] = Named(named)
            _check_value(key, chosen[key].value)
    return _condition(chosen, name)


def refuse(key: str, value: object, allowed: str) -> NoReturn:
    """Raise the one line that names key, value and what is allowed."""
    text = settings.shortened(repr(value), 160)
    raise ConfigError(f"{key}: {text} is not allowed; allowed: {allowed}")


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with defaults filled in, once it agrees with the schema."""
    import jsonschema

    properties = schema()["properties"]
    for key in config:
        if key not in properties:
            name = key if key.isidentifier() and len(key) < 60 else repr(settings.shortened(key))
            raise ConfigError(f"{name}: unknown key; allowed: {', '.join(properties)}")
    for key in schema()["required"]:
        if key not in config:
            raise ConfigError(f"{key}: missing; allowed: {properties[key]['allowed']}")
    for key, value in config.items():
        valid = jsonschema.Draft202012Validator(properties[key]).is_valid(value)
        rounded = isinstance(value, float) and abs(value) > 2**53
        if (
            not valid
            or not _finite(value)
            or (rounded and properties[key].get("type") == "integer")
        ):
            refuse(key, value, properties[key]["allowed"])
    swept = config.get("grid", {})
    for key in swept:
        if key not in axis_keys():
            refuse("grid", key, f"the data-generating keys: {', '.join(axis_keys())}")
        if key in config:
            refuse(key, config[key], "one place only; the grid has it, too")
    defaults = {key: rule["default"] for key, rule in properties.items() if "default" in rule}
    return {key: value for key, value in defaults.items() if key not in swept} | config


def _finite(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    # what is far larger overflows in the data, and a large float may be another whole number
    return not isinstance(value, float | int) or abs(value) < LARGEST


def _check_value(key: str, value: object, where: str = "") -> None:
    """Refuse a single value of an axis that the schema does not allow."""
    import jsonschema

    rule = schema()["properties"][key]
    one = rule["items"] if key in MAIN else rule
    if not jsonschema.Draft202012Validator(one).is_valid(value) or not _finite(value):
        refuse(f"{where}{key}", value, _allowed_value(key))
    canonical(key, value, where)


def _allowed_value(key: str) -> str:
    allowed = str(schema()["properties"][key]["allowed"])
    return allowed.replace("a list of different whole numbers", "a whole number").replace(
        "a list of different finite numbers", "a finite number"
    )


def _levels(values: Mapping[str, Any]) -> dict[str, list[Named]]:
    """All values of each axis; none for a main axis that only ``conditions`` gives values to."""
    found: dict[str, list[Named]] = {}
    swept = values.get("grid", {})
    for key in axis_keys():
        if key in swept and isinstance(swept[key], dict):
            found[key] = [Named(value, name) for name, value in swept[key].items()]
            if key in MAIN:
                refuse(f"grid: {key}", swept[key], schema()["properties"][key]["allowed"])
            for name in swept[key]:
                _check_name(f"grid: {key}", name)
        elif key in swept:
            found[key] = [Named(value) for value in swept[key]]
        elif key in MAIN:
            found[key] = [Named(value) for value in values.get(key, ())]
        else:
            found[key] = [Named(values[key])]
        for named in found[key]:
            _check_value(key, named.value, "grid: " if key in swept else "")
        if len({canonical(key, named.value) for named in found[key]}) < len(found[key]):
            refuse(f"grid: {key}" if key in swept else key, swept.get(key), "different values")
    return found


def _conditions(values: Mapping[str, Any]) -> tuple[list[Condition], list[Axis]]:
    """The conditions in the tables' order, and the axes that differ between them."""
    levels, scenarios = _levels(values), _scenarios(values)
    for key in MAIN:
        if not levels[key] and not all(key in row for row in values.get("conditions") or [{}]):
            raise ConfigError(f"{key}: missing; allowed: {schema()['properties'][key]['allowed']}")
    crossed = math.prod(len(known) for known in levels.values()) * max(len(scenarios), 1)
    if crossed > MOST_CONDITIONS:
        refuse("grid", f"{crossed:,} conditions", f"at most {MOST_CONDITIONS:,}")
    found: dict[str, Condition] = {}
    combinations = itertools.chain(_crossed(levels), _listed(values, levels))
    named = (scenarios or {"": {}}).items()
    for chosen, (name, own) in itertools.product(combinations, named):
        one = _condition(chosen | own, name)
        known = found.setdefault(one.key, one)
        if known.identity != one.identity:
            refuse("grid", str(one), "different names for different values")
        if known.levels.get(SCENARIO, "") != name:
            refuse("scenarios", name, f"another condition than {known.levels[SCENARIO]}'s {one}")
    _exclude(found, values.get("exclude", []), levels)

    axes, ranks = [], {}
    together = {key for own in scenarios.values() for key in own}
    for key in [*axis_keys(), *([SCENARIO] if scenarios else [])]:
        present = list(dict.fromkeys(one.levels[key] for one in found.values()))
        if (len(present) > 1 and key not in together) or key in (*MAIN, SCENARIO):
            axes.append(Axis(key, _kind(present)))
            # numbers in their order, names in that of the configuration
            ordered = present if axes[-1].kind == "text" else sorted(present)
            ranks[key] = {level: rank for rank, level in enumerate(ordered)}

    def place(one: Condition) -> list[int]:
        return [ranks[axis.name][one.levels[axis.name]] for axis in axes]

    return sorted(found.values(), key=place), axes


def _scenarios(values: Mapping[str, Any]) -> dict[str, dict[str, Named]]:
    """The values that each scenario sets, by its name."""
    found: dict[str, dict[str, Named]] = {}
    swept = [*MAIN, *values.get("grid", {}), *(key for row in values["conditions"] for key in row)]
    for name, own in values["scenarios"].items():
        _check_name("scenarios", name)
        for key, value in own.items():
            if key not in axis_keys() or key in swept:
                others = ", ".join(other for other in axis_keys() if other not in swept)
                refuse(f"scenarios: {name}", key, f"keys that are not swept: {others}")
            _check_value(key, value, f"scenarios: {name}: ")
        found[name] = {key: Named(value) for key, value in own.items()}
    return found


def _check_name(where: str, name: object) -> None:
    """Refuse a level's name that paths and tables can't have."""
    if not (isinstance(name, str) and LEVEL_NAME.fullmatch(name)) or name in NUMBERS:
        refuse(where, name, "names of up to 40 letters, digits and . + - _")


def _crossed(levels: Mapping[str, list[Named]]) -> Iterator[dict[str, Named]]:
    """The full crossing of the axes."""
    for combination in itertools.product(*levels.values()):
        yield dict(zip(levels, combination, strict=True))


def _listed(
    values: Mapping[str, Any], levels: Mapping[str, list[Named]]
) -> Iterator[dict[str, Named]]:
    """The conditions that the configuration lists one by one."""
    for row in values.get("conditions", []):
        for key in row:
            if key not in axis_keys():
                refuse("conditions", key, f"the data-generating keys: {', '.join(axis_keys())}")
        chosen = {}
        for key, known in levels.items():
            if key in row:
                chosen[key] = _known(key, row[key], known, "conditions")
            elif len(known) == 1:
                chosen[key] = known[0]
            elif key in axis_defaults():
                chosen[key] = _known(key, axis_defaults()[key], known, "conditions")
            else:
                refuse("conditions", row, f"a value for {key}")
        yield chosen


def _known(key: str, wanted: Any, levels: Iterable[Named], where: str) -> Named:
    """The level that is wanted by its name or its value; else the value as a level of its own."""
    if isinstance(wanted, str) and (named := [it for it in levels if it.name == wanted]):
        return named[0]
    _check_value(key, wanted, f"{where}: ")
    same = (it for it in levels if canonical(key, it.value) == canonical(key, wanted))
    return next(same, Named(wanted))


def _exclude(
    found: dict[str, Condition],
    patterns: Iterable[Mapping[str, Any]],
    levels: Mapping[str, list[Named]],
) -> None:
    """Take the conditions out that match any of the patterns."""
    excluded: set[str] = set()
    for pattern in patterns:
        for key in pattern:
            if key not in axis_keys():
                refuse("exclude", key, f"the data-generating keys: {', '.join(axis_keys())}")
        wanted = {
            key: canonical(key, _known(key, value, levels[key], "exclude").value)
            for key, value in pattern.items()
        }
        matching = {
            one.key
            for one in found.values()
            if all(one.values[key] == value for key, value in wanted.items())
        }
        if not matching:
            refuse("exclude", dict(pattern), "values that some condition has")
        excluded |= matching
    for one_key in excluded:
        del found[one_key]
    if not found:
        refuse("exclude", list(patterns), "less than all conditions")


def _kind(levels: Iterable[Level]) -> Any:
    """The type of a column with these levels."""
    if any(isinstance(level, str) for level in levels):
        return "text"
    return "integer" if all(isinstance(level, int) for level in levels) else "number"


def _condition(chosen: Mapping[str, Named], scenario: str = "") -> Condition:
    """One condition, its values in their shortest form; the scenario that it belongs to, if any.

    Raises
    ------
    ConfigError
        If a list's length is not that of the predictors, a matrix is no correlation matrix, or
        values contradict each other.
    """
    size = int(chosen["n_predictors"].value)
    in_group = int(chosen["n_obs"].value)
    if chosen["n_items"].value != ALL:
        in_group = max(in_group, int(chosen["n_items"].value))
    n_numbers = int(chosen["n_groups"].value) * in_group * (size + 1)
    if n_numbers > MOST_NUMBERS:
        n_groups = chosen["n_groups"].value
        refuse("n_groups", n_groups, f"datasets of at most {MOST_NUMBERS:,} numbers in all")
    sizes_of_matrices = {
        "predictor_correlation": size,
        "effect_correlation": size + 1,
        "item_correlation": size + 1,
        "site_correlation": size + 1,
    }
    values: dict[str, Value] = {}
    for key in axis_keys():
        value = chosen[key].value
        if key in sizes_of_matrices:
            if not _is_correlation(value, sizes_of_matrices[key]):
                refuse(key, value, _allowed_value(key))
        elif isinstance(value, list) and len(value) != size + (key in PER_COEFFICIENT):
            refuse(key, value, _allowed_value(key))
        values[key] = canonical(key, value)
        whole = key in WHOLE or schema()["properties"][key].get("type") == "integer"
        if whole and isinstance(value, int | float):
            values[key] = int(value)
    names = {key: named.name for key, named in chosen.items() if named.name}
    one = Condition.of(values, axis_defaults(), names)
    if scenario:
        one = replace(one, levels={**one.levels, SCENARIO: scenario})
    try:
        found = contradiction(one)
    except pieces.PieceError as error:
        raise ConfigError(f"group_sizes: {error}") from None
    if found:
        refuse(found[0], chosen[found[0]].value, found[1])
    return one


def canonical(key: str, value: Any, where: str = "") -> Any:
    """The one form of a key's value: a number, a name, a piece, or tuples of them.

    A list of equal numbers is that number, and so is a matrix of such a correlation.

    Raises
    ------
    ConfigError
        If a piece of a scenario can't be had; `where` comes before its key.
    """
    if not isinstance(value, list):
        if key in pieces.KINDS:
            return _piece(key, value, where)
        return float(value) + 0.0 if isinstance(value, int | float) else value
    rows = tuple(
        canonical(key, item, where) if not isinstance(item, list) else frozen(item)
        for item in value
    )
    if isinstance(value[0], list):
        beside = {item for i, row in enumerate(rows) for j, item in enumerate(row) if i != j}
        return next(iter(beside), 0.0) if len(beside) < 2 else rows
    return rows[0] if len({*rows}) == 1 else rows


def _piece(key: str, value: Any, where: str) -> str | Piece:
    """The one form of a piece, once it was tried."""
    try:
        piece = pieces.canonical(key, value)
        pieces.check(key, piece)
    except NotAllowedError as error:
        refuse(f"{where}{key}", value, str(error))
    except pieces.PieceError as error:
        raise ConfigError(f"{where}{key}: {error}") from None
    return piece


def frozen(row: list[Any]) -> tuple[float, ...]:
    """A row of a matrix; a negative zero is a zero."""
    return tuple(float(item) + 0.0 for item in row)


def thawed(value: Any) -> Any:
    """Tuples as lists, and pieces as mappings, as a configuration has them."""
    if isinstance(value, Piece):
        return {"from": value.name} | dict(value.options)
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


def _is_correlation(value: Any, size: int) -> bool:
    """Whether a number or rows are a positive definite correlation matrix of that size."""
    if not isinstance(value, list):
        # the eigenvalues are 1 - value and this one
        return bool(1 + (size - 1) * value > DEFINITE)
    if [len(row) for row in value] != [size] * size:
        return False
    matrix = np.array(value, dtype=float)
    return bool(
        np.array_equal(matrix, matrix.T)
        and (np.diag(matrix) == 1).all()
        and np.linalg.eigvalsh(matrix)[0] > DEFINITE
    )


def _study(values: dict[str, Any], folder: Path) -> Study:
    """The study from checked values."""
    values = _located(values, folder)
    conditions, axes = _conditions(values)
    shared = {key: values[key] for key in ("engine", "verdict", "optimizer", "reml", "derivatives")}
    try:
        resolved, source = resolve(values["strategies"], shared, folder)
    except strategies.StrategyError as error:
        raise ConfigError(str(error)) from None
    names = [strategy.name for strategy in resolved]
    for name in values["references"]:
        if name not in names:
            refuse("references", name, f"the study's strategies: {', '.join(names)}")
    native = [strategy.engine == "native" for strategy in resolved]
    if values["audit"] and not any(native):
        refuse("audit", values["audit"], "0, or some strategy with engine: native to audit")
    sims_per_job = values.get("sims_per_job", "auto" if all(native) else 1)
    precision = _precision(values, names)
    sizes = _sizes(precision.cap if precision else values["n_sims"], conditions, folder)
    n_sims = values["n_sims"] if precision else shortest(sizes)
    return Study(
        name=values["study"],
        seed=int(values["seed"]),
        conditions=tuple(conditions),
        axes=tuple(axes),
        sizes=sizes,
        precision=precision,
        power=_power(values, conditions),
        strategies=tuple(resolved),
        audit=float(values["audit"]),
        sims_per_job=sims_per_job if sims_per_job == "auto" else int(sims_per_job),
        job_minutes=float(values["job_minutes"]),
        allow_incomplete=values["allow_incomplete"],
        persistent_worker=values["persistent_worker"],
        csv=values["csv"],
        source=values | {"strategies": source, "n_sims": n_sims},
    )


def _located(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values with the paths of the files that are pieces of a scenario."""
    scenarios = values["scenarios"]
    places = [values, values["grid"], *scenarios.values()]
    places += [*values["conditions"], *values["exclude"]]
    own, grid, *rows = (
        {
            key: pieces.located(key, value, folder) if key in pieces.KINDS else value
            for key, value in place.items()
        }
        for place in places
    )
    named = dict(zip(scenarios, rows, strict=False))
    rows = rows[len(named) :]
    n_conditions = len(values["conditions"])
    lists = {"conditions": rows[:n_conditions], "exclude": rows[n_conditions:]}
    return own | {"grid": grid, "scenarios": named} | lists


def _precision(values: Mapping[str, Any], names: Sequence[str]) -> Precision | None:
    """What decides how many replications there are, if their number is not fixed."""
    given = values.get("precision")
    if given is None:
        return None
    if not isinstance(values["n_sims"], int | float):
        refuse("n_sims", values["n_sims"], "with precision, a whole number: the first look's")
    chosen = given.get("strategies", names)
    for name in chosen:
        if name not in names:
            refuse("precision: strategies", name, f"the study's: {', '.join(names)}")
    first, cap = max(LEAST_FIRST_LOOK, int(values["n_sims"])), int(given["cap"])
    if cap < first:
        refuse("precision: cap", cap, f"at least the {first} replications of the first look")
    return Precision(given["measure"], float(given["mcse"]), tuple(chosen), first, cap)


def _power(values: Mapping[str, Any], conditions: Iterable[Condition]) -> Power | None:
    """The question of how many groups it takes to find an effect, if it is asked."""
    if "power" not in values:
        return None
    power = Power(**values["power"])
    for one in conditions:
        names = term_names(one)
        if power.effect not in names:
            refuse("power: effect", power.effect, f"a coefficient of all data: {', '.join(names)}")
        if not fixed_truth(one, names.index(power.effect)):
            refuse("power: effect", power.effect, "one whose beta is the same number, not zero")
    return power


def _sizes(given: Any, conditions: Iterable[Condition], folder: Path) -> dict[str, int]:
    """Replications of each condition, from one number, a mapping, or a table's path."""
    keys = [one.key for one in conditions]
    if isinstance(given, int | float):
        return dict.fromkeys(keys, int(given))
    known = given if isinstance(given, dict) else _read_sizes(folder / given)
    for key in keys:
        if key not in known:
            refuse("n_sims", given, f"a number for every condition; {key} has none")
    return {key: int(known[key]) for key in keys}


def _read_sizes(path: Path) -> dict[str, int]:
    """The table of replications that a study with a precision has written, as CSV."""
    import jsonschema

    one = jsonschema.Draft202012Validator(schema()["properties"]["n_sims"]["oneOf"][0])
    found = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                key, number = row["condition"], settings.value(row["n_sims"] or "")
                if not one.is_valid(number) or key in found:
                    allowed = "one whole number from 1 to 10 million for each condition"
                    refuse(f"n_sims: {path}", f"{key}: {row['n_sims']}", allowed)
                found[key] = number
    except OSError as error:
        raise ConfigError(f"n_sims: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        refuse("n_sims", str(path), "a CSV file with the columns condition and n_sims")
    return found


def shortest(sizes: Mapping[str, int]) -> int | dict[str, int]:
    """Replications of each condition as a configuration says them: one number, if they are one."""
    numbers = set(sizes.values())
    return numbers.pop() if len(numbers) == 1 else dict(sizes)


def _check_number_of_jobs(study: Study) -> None:
    """Refuse a study of more jobs than can be planned."""
    n_jobs = plan.n_jobs(study)
    if n_jobs > MOST_JOBS:
        allowed = f"at most {MOST_JOBS:,} jobs, not {n_jobs:,}: raise sims_per_job"
        refuse("precision: cap" if study.precision else "n_sims", study.n_sims, allowed)


def _check_that_something_can_be_fitted(study: Study) -> None:
    """Refuse a strategy that could fit the data of no condition at all."""
    by_size = sorted(study.conditions, key=lambda one: one.n_groups * one.n_obs)
    for strategy in study.strategies:
        for one in by_size:
            reason = strategies.refuses_layout(one, strategy)
            if not reason:
                break
        else:
            refuse("strategies", strategy.name, f"what some condition can fit; at best: {reason}")
