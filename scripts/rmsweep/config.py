"""From a configuration file to a checked study.

The schema ``workflow/schemas/study.schema.yaml`` is the one place that says which keys there
are, what they default to and what they allow. Checks that need more than one key are here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml

from rmsweep import strategies
from rmsweep.design import Settings, Study

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.yaml"


class ConfigError(ValueError):
    """A configuration that can't be run: one line with the key, its value, what is allowed."""


@cache
def schema() -> dict[str, Any]:
    """The schema, with the list of strategies filled in."""
    text = SCHEMA.read_text().replace("{strategies}", ", ".join(strategies.names()))
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def load_study(config: Mapping[str, Any], name: str) -> Study:
    """Check a study's configuration.

    Parameters
    ----------
    config : mapping
        What the configuration file says.
    name : str
        The study's name unless the configuration has the key ``study``.

    Returns
    -------
    Study

    Raises
    ------
    ConfigError
        At the first thing that is wrong.
    """
    values = _checked({"study": name} | dict(config), schema())
    settings = _settings(values)
    all_native = set(settings.engine.values()) == {"native"}
    study = Study(
        settings=settings,
        n_groups=tuple(int(value) for value in values["n_groups"]),
        n_obs=tuple(int(value) for value in values["n_obs"]),
        sigma=tuple(float(value) for value in values["sigma"]),
        n_sims=int(values["n_sims"]),
        sims_per_job=values.get("sims_per_job", "auto" if all_native else 1),
        job_minutes=float(values["job_minutes"]),
        allow_incomplete=values["allow_incomplete"],
        persistent_worker=values["persistent_worker"],
    )
    _check_enough_data(study)
    return study


def read_study(source: str) -> Study:
    """Read and check a study, from a configuration file or from `Study.to_json`.

    Raises
    ------
    ConfigError
        If the file can't be read or says something wrong.
    """
    if source.lstrip().startswith("{"):
        return load_study(json.loads(source), name="")
    try:
        config = yaml.safe_load(Path(source).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source}: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{source}: not a list of `key: value` lines")
    try:
        return load_study(config, name=Path(source).stem)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def read_settings(source: str) -> Settings:
    """Read what a cell depends on, from a configuration file or from `Settings.to_json`.

    Raises
    ------
    ConfigError
        If the file can't be read or says something wrong.
    """
    if source.lstrip().startswith("{"):
        return _settings(_checked(json.loads(source), schema() | {"required": ["study"]}))
    return read_study(source).settings


def refuse(key: str, value: object, allowed: str) -> NoReturn:
    """Raise the one line that names key, value and what is allowed."""
    raise ConfigError(f"{key}: {value!r} is not allowed; allowed: {allowed}")


def _checked(config: dict[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with defaults filled in, once it agrees with the schema."""
    import jsonschema

    properties = rules["properties"]
    for key, value in config.items():
        # Snakemake's --config hands true and false over as text
        if value in ("true", "false") and properties.get(key, {}).get("type") == "boolean":
            config[key] = value == "true"
    for key in config:
        if key not in properties:
            raise ConfigError(f"{key}: unknown key; allowed: {', '.join(properties)}")
    for key in rules["required"]:
        if key not in config:
            raise ConfigError(f"{key}: missing; allowed: {properties[key]['allowed']}")
    for key, value in config.items():
        if not jsonschema.Draft202012Validator(properties[key]).is_valid(value) or not _finite(
            value
        ):
            refuse(key, value, properties[key]["allowed"])
    defaults = {key: rule["default"] for key, rule in properties.items() if "default" in rule}
    return defaults | config


def _finite(value: object) -> bool:
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _settings(values: Mapping[str, Any]) -> Settings:
    """The settings from checked values, per-predictor and per-coefficient keys spelled out."""
    n_predictors = int(values["n_predictors"])
    allowed = {key: rule["allowed"] for key, rule in schema()["properties"].items()}

    def vector(key: str, length: int, default: float | None = None) -> tuple[float, ...]:
        value = values.get(key, default)
        if not isinstance(value, list):
            return (float(value),) * length
        if len(value) != length:
            refuse(key, value, allowed[key])
        return tuple(float(item) for item in value)

    correlation = values["predictor_correlation"]
    if isinstance(correlation, list):
        matrix = tuple(tuple(float(item) for item in row) for row in correlation)
    else:
        matrix = tuple(
            tuple(1.0 if i == j else float(correlation) for j in range(n_predictors))
            for i in range(n_predictors)
        )
    if not _is_correlation(matrix, n_predictors):
        refuse("predictor_correlation", correlation, allowed["predictor_correlation"])

    known = strategies.names()
    for name in values["strategies"]:
        if name not in known:
            refuse("strategies", name, allowed["strategies"])

    return Settings(
        study=values["study"],
        seed=int(values["seed"]),
        n_predictors=n_predictors,
        sigma_ratio=vector("sigma_ratio", n_predictors + 1, default=1.0),
        predictor_mean=vector("predictor_mean", n_predictors),
        predictor_sd=vector("predictor_sd", n_predictors),
        predictor_correlation=matrix,
        noise_mean=float(values["noise_mean"]),
        noise_sd=float(values["noise_sd"]),
        strategies=tuple(values["strategies"]),
        engine=_engines(values["engine"], values["strategies"]),
        audit=float(values["audit"]),
        optimizer=values["optimizer"],
        reml=values["reml"],
        derivatives=values["derivatives"],
        verdict=values["verdict"],
    )


def _engines(wanted: object, names: list[str]) -> dict[str, str]:
    """The engine of each strategy."""
    possible = {name: strategies.engines(name) for name in names}
    if not isinstance(wanted, dict):
        return {name: possible[name][-1 if wanted == "native" else 0] for name in names}
    for name, engine in wanted.items():
        if name not in names:
            refuse("engine", name, f"the study's strategies: {', '.join(names)}")
        if engine not in possible[name]:
            refuse("engine", {name: engine}, f"for {name}: {', '.join(possible[name])}")
    return {name: wanted.get(name, possible[name][0]) for name in names}


def _is_correlation(rows: tuple[tuple[float, ...], ...], size: int) -> bool:
    """Whether the rows are a positive definite correlation matrix of that size."""
    if len(rows) != size or any(len(row) != size for row in rows):
        return False
    matrix = np.array(rows)
    return bool(
        np.array_equal(matrix, matrix.T)
        and (np.diag(matrix) == 1).all()
        and np.linalg.eigvalsh(matrix)[0] > 0
    )


def _check_enough_data(study: Study) -> None:
    """Refuse a grid in which a strategy could fit no dataset at all."""
    n_terms = len(study.settings.terms)
    for name in study.settings.strategies:
        n_groups, n_obs = strategies.minimum(name, n_terms)
        for key, values, least in (
            ("n_groups", study.n_groups, n_groups),
            ("n_obs", study.n_obs, n_obs),
        ):
            if min(values) < least:
                refuse(
                    key,
                    min(values),
                    f"at least {least}, which the strategy {name} needs for {n_terms} coefficients",
                )
    if min(study.n_groups) * min(study.n_obs) <= n_terms:
        refuse(
            "n_obs",
            min(study.n_obs),
            f"more than {n_terms} observations in all for {n_terms} coefficients",
        )
