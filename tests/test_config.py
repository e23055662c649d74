"""Configurations: what is refused, in one line that names key, value and what is allowed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rmsweep import plan
from rmsweep.config import ROOT, ConfigError, condition, load_study, read_study
from rmsweep.data.scenario import simulate, terms

MINIMAL = {"n_groups": [10, 30], "n_obs": [25, 5], "sigma": [1, 0.25], "n_sims": 2}

REFUSED = {
    "unknown key": ({"sigmas": [1]}, "sigmas: unknown key; allowed: study, seed, n_groups"),
    "text for number": ({"n_sims": "many"}, "n_sims: 'many' is not allowed; allowed: a whole"),
    "fraction": ({"n_sims": 2.5}, "n_sims: 2.5 is not allowed"),
    "boolean for number": ({"n_sims": True}, "n_sims: True is not allowed"),
    "number for list": ({"sigma": 1}, "sigma: 1 is not allowed; allowed: a list"),
    "null": ({"sigma": None}, "sigma: None is not allowed"),
    "no replication": ({"n_sims": 0}, "n_sims: 0 is not allowed"),
    "negative seed": ({"seed": -1}, "seed: -1 is not allowed"),
    "seed too large": ({"seed": 2**128}, f"seed: {2**128} is not allowed"),
    "negative sigma": ({"sigma": [1, -1]}, "sigma: [1, -1] is not allowed"),
    "negative noise": ({"noise_sd": -1}, "noise_sd: -1 is not allowed"),
    "no spread": ({"predictor_sd": 0}, "predictor_sd: 0 is not allowed"),
    "negative ratio": ({"sigma_ratio": [1, 1, 1, -1]}, "sigma_ratio: [1, 1, 1, -1] is not"),
    "empty grid": ({"n_obs": []}, "n_obs: [] is not allowed"),
    "double value": ({"sigma": [1, 2, 1.0]}, "sigma: [1, 2, 1.0] is not allowed"),
    "one group": ({"n_groups": [1]}, "n_groups: [1] is not allowed; allowed: a list"),
    "infinity": ({"sigma": [math.inf]}, "sigma: [inf] is not allowed"),
    "no number": ({"noise_mean": math.nan}, "noise_mean: nan is not allowed"),
    "no predictor": ({"n_predictors": 0}, "n_predictors: 0 is not allowed"),
    "means too few": ({"predictor_mean": [0, 0]}, "predictor_mean: [0, 0] is not allowed"),
    "ratios too few": ({"sigma_ratio": [1, 1, 1]}, "sigma_ratio: [1, 1, 1] is not allowed"),
    "correlation of one": ({"predictor_correlation": 1}, "predictor_correlation: 1 is not"),
    "not definite": ({"predictor_correlation": -0.6}, "predictor_correlation: -0.6 is not"),
    "wrong size": ({"predictor_correlation": [[1, 0], [0, 1]]}, "predictor_correlation: [[1, 0]"),
    "not symmetric": (
        {"n_predictors": 2, "predictor_correlation": [[1, 0.5], [0.4, 1]]},
        "predictor_correlation: [[1, 0.5], [0.4, 1]] is not allowed",
    ),
    "diagonal": (
        {"n_predictors": 2, "predictor_correlation": [[0.9, 0], [0, 1]]},
        "predictor_correlation: [[0.9, 0], [0, 1]] is not allowed",
    ),
    "unknown strategy": ({"strategies": ["lm", "glm"]}, "strategies: 'glm' is not allowed"),
    "no strategy": ({"strategies": []}, "strategies: [] is not allowed"),
    "strategy twice": ({"strategies": ["lm", "lm"]}, "strategies: ['lm', 'lm'] is not allowed"),
    "path as strategy": ({"strategies": ["../lm"]}, "strategies: '../lm' is not allowed"),
    "unknown engine": ({"engine": "julia"}, "engine: 'julia' is not allowed"),
    "engine of nobody": ({"engine": {"glm": "native"}}, "engine: 'glm' is not allowed"),
    "engine of another": (
        {"engine": {"lm": "lme4"}},
        "strategies: {'lm': 'lme4'} is not allowed; allowed: as engine of lm: statsmodels, native",
    ),
    "audit above one": ({"audit": 1.5}, "audit: 1.5 is not allowed"),
    "unknown optimizer": ({"optimizer": "newton"}, "optimizer: 'newton' is not allowed"),
    "text for boolean": ({"reml": "yes"}, "reml: 'yes' is not allowed; allowed: true, false"),
    "unknown derivatives": ({"derivatives": "symbolic"}, "derivatives: 'symbolic' is not"),
    "unknown verdict": ({"verdict": "mild"}, "verdict: 'mild' is not allowed; allowed: strict"),
    "block of none": ({"sims_per_job": 0}, "sims_per_job: 0 is not allowed"),
    "block by name": ({"sims_per_job": "all"}, "sims_per_job: 'all' is not allowed"),
    "job of no time": ({"job_minutes": 0}, "job_minutes: 0 is not allowed"),
    "name with a path": ({"study": "../other"}, "study: '../other' is not allowed"),
    "too few groups": (
        {"n_groups": [3, 4]},
        "strategies: 'lm' is not allowed; allowed: what some condition can fit; at best: "
        "4 groups for 4 coefficients leave no degree of freedom",
    ),
    "too few observations": (
        {"n_obs": [3, 4], "strategies": ["lm", "lmer"]},
        "strategies: 'lmer' is not allowed; allowed: what some condition can fit; at best: "
        "number of observations (=120) <= number of random effects (=120)",
    ),
    "too few for two-stage": (
        {"n_obs": [3], "strategies": ["lm2"]},
        "strategies: 'lm2' is not allowed; allowed: what some condition can fit; at best: "
        "group 1 has 3 rows for 4 coefficients",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(MINIMAL | keys, name="test")
    assert str(caught.value).startswith(message)
    assert "allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys", [{"n_groups": [4, 10]}, {"n_obs": [4, 5]}, {"n_obs": [3, 25]}], ids=str
)
def test_a_condition_that_some_strategy_cannot_fit_is_allowed(keys: dict[str, object]) -> None:
    study = load_study(MINIMAL | keys, name="test")
    assert len(study.conditions) == len(load_study(MINIMAL, name="test").conditions)


@pytest.mark.parametrize("key", MINIMAL)
def test_missing_key(key: str) -> None:
    keys = {name: value for name, value in MINIMAL.items() if name != key}
    with pytest.raises(ConfigError, match=f"^{key}: missing; allowed: "):
        load_study(keys, name="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"sigma: [1, 2", "expected ',' or ']'"),
        (b"- 1\n- 2\n", "not a list of `key: value` lines"),
        (b"", "not a list of `key: value` lines"),
        (b"\xff\xfe", "can't decode|unacceptable|special characters"),
        (b"sigma: [-1]", "missing; allowed: "),
    ],
)
def test_unusable_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_study(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_defaults_are_the_posts() -> None:
    study = load_study(MINIMAL, name="test")
    one = study.conditions[0]
    assert terms(one["n_predictors"]) == ("Intercept", "IV1", "IV2", "IV3")
    assert one["sigma_ratio"] == one["predictor_sd"] == one["noise_sd"] == 1
    assert one["predictor_mean"] == one["predictor_correlation"] == one["noise_mean"] == 0
    assert study.seed == 0
    assert [strategy.name for strategy in study.strategies] == ["lm", "lm2", "lmer", "lmer_mis"]
    assert {strategy.verdict for strategy in study.strategies} == {"strict"}
    for mixed in study.strategies[2:]:
        assert (mixed.options.optimizer, mixed.options.reml) == ("nloptwrap", True)
    assert study.sims_per_job == 1
    first, second = (condition(n_groups=10, n_obs=5, sigma=sigma) for sigma in (0.25, 1))
    assert study.conditions[:2] == (first, second)


SPELLED_OUT = {
    "sigma_ratio": [1, 1, 1, 1],
    "predictor_mean": [0, 0, 0],
    "predictor_sd": [1, 1, 1],
    "predictor_correlation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}


@pytest.mark.parametrize("key", SPELLED_OUT)
def test_a_list_of_equal_values_is_that_value(key: str) -> None:
    short, spelled = (
        load_study(MINIMAL | keys, name="test").conditions[0]
        for keys in ({}, {key: SPELLED_OUT[key]})
    )
    assert short == spelled
    one, two = (simulate(0, condition, 0).data for condition in (short, spelled))
    assert one.y.tobytes() == two.y.tobytes()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_studies_are_valid(path: Path) -> None:
    assert read_study(str(path)).name == path.stem


def test_the_post_has_2250_cells() -> None:
    study = read_study(str(ROOT / "config" / "config.yaml"))
    assert len(list(plan.blocks(study))) == 2250


def test_command_line_may_give_booleans_as_text() -> None:
    study = load_study(MINIMAL | {"reml": "false", "persistent_worker": "false"}, name="test")
    assert not study.persistent_worker
    assert [strategy.options.reml for strategy in study.strategies[2:]] == [False, False]


def test_json_gives_the_same_study_back() -> None:
    keys = {"sigma_ratio": [1, 0, 0.5, 0], "predictor_correlation": 0.1, "seed": 2**100}
    study = load_study(MINIMAL | keys, name="test")
    again = read_study(study.to_json())
    assert again == study
    for one, two in zip(study.conditions, again.conditions, strict=True):
        assert one.values == two.values
        assert one.levels == two.levels


def test_how_work_is_cut_is_no_part_of_the_identity() -> None:
    whole = load_study(MINIMAL, name="test")
    keys = {"sims_per_job": "auto", "job_minutes": 1, "persistent_worker": False}
    cut = load_study(MINIMAL | keys | {"allow_incomplete": True}, name="test")
    assert cut.identity() == whole.identity()
    assert cut.to_json() != whole.to_json()
    assert cut.conditions == whole.conditions
    assert load_study(MINIMAL | {"seed": 1}, name="test").identity() != whole.identity()
