"""Configurations: what is refused, in one line that names key, value and what is allowed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rmsweep import plan, settings
from rmsweep.config import ROOT, condition, load_study, one_line, read_settings, read_study
from rmsweep.data.scenario import simulate, terms
from rmsweep.errors import ConfigError

MINIMAL = {"n_groups": [10, 30], "n_obs": [25, 5], "sigma": [1, 0.25], "n_sims": 2}

REFUSED = {
    "unknown key": ({"sigmas": [1]}, "sigmas: unknown key; allowed: study, title, description"),
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
    "audit of nothing": (
        {"audit": 0.1},
        "audit: 0.1 is not allowed; allowed: 0, or some strategy with engine: native to audit",
    ),
    "too many replications": ({"n_sims": 4_000_000_000}, "n_sims: 4000000000 is not allowed"),
    "too many jobs": (
        {"n_sims": 1_000_000},
        "n_sims: 1000000 is not allowed; allowed: at most 1,000,000 jobs, not 8,000,000: raise",
    ),
    "too many conditions": (
        {"sigma": list(range(100_001))},
        "grid: '400,004 conditions' is not allowed; allowed: at most 100,000",
    ),
    "too much data": ({"n_groups": [2**31]}, "n_groups: 2147483648 is not allowed; allowed: data"),
    "too many digits": ({"seed": 10**400}, f"seed: 1{'0' * 139} ... (401 characters) is not"),
    "line break": ({"study": "abc\n"}, "study: 'abc\\n' is not allowed; allowed: up to"),
    "long name": ({"study": "a" * 101}, "study: 'aaaaaaa"),
    "too large": ({"sigma": [1e300]}, "sigma: [1e+300] is not allowed"),
    "rounded": ({"seed": 2.0**60}, "seed: 1.152921504606847e+18 is not allowed"),
    "number for name": ({"study": 2024}, "study: 2024 is not allowed"),
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
        (None, ": No such file or directory"),
        (b"sigma: [1, 2", ", line 1, column 13: expected ',' or ']'"),
        (b"- 1\n- 2\n", ": not a list of `key: value` lines"),
        (b"", ": not a list of `key: value` lines"),
        (b"1: 2", ": 1 is no key; keys are texts"),
        (b"[1]: 2", ": [1] is no key"),
        (b"\x7fELF\xff", ": no text file in UTF-8"),
        (b"n_sims: 1\0", ": unacceptable character #x0000"),
        (b"sigma: [-1]", ": n_sims: missing; allowed: "),
        (b"n_sims: 2\nn_sims: 3", ', line 2, column 1: found duplicate key "n_sims"'),
        (b"grid: {noise_sd: [1], noise_sd: [2]}", ', line 1, column 23: found duplicate key "noi'),
        (b"n_sims:\t2", ", line 1, column 8: found character"),
        (b"n_sims: 2\n---\nn_sims: 3", ", line 2, column 1: but found another document"),
        (b"n_sims: !many 3", ", line 1, column 9: a value of the kind !many is not allowed"),
        (b"study: 2024-01-01", ", line 1, column 8: a value of the kind timestamp is not allowed"),
        (b"n_sims: 1_000", ", line 1, column 9: 1_000 is no number that can be used here"),
        (b"noise_mean: .nan", ", line 1, column 13: .nan is no number"),
        (b"noise_mean: 1e400", ", line 1, column 13: 1e400 is no number"),
        (b"seed: " + b"9" * 5000, ", line 1, column 7: 99999"),
        (b"sigma: &it [*it]", ": more than 100,000 values, or one that holds itself"),
        (
            b"a0: &a0 [1]\n"
            + b"\n".join(b"a%d: &a%d [%s]" % (i + 1, i + 1, b"*a%d, " % i * 9) for i in range(9)),
            ": more than 100,000 values",
        ),
        (b"#" * 1_000_001, ": larger than 1,000,000 bytes"),
        (b"noise_sd: 1e-400", ", line 1, column 11: 1e-400 is no number"),
        (b'"a\\nb": 1', r": 'a\nb': unknown key; allowed: study"),
        (b"sigma: " + b"[" * 5000, ": nested too deeply"),
        (b"%YAML 1.1\n---\nseed: 0123", ", line 1: %YAML 1.1 is not allowed"),
    ],
)
def test_unusable_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_study(str(path))
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("0123", 123),
        ("10:30", "10:30"),
        ("yes", "yes"),
        ("0o17", 15),
        ("'1e-3'", "1e-3"),
        ("[lm, 1e-3]", ["lm", 0.001]),
        ("[1", "[1"),
        ("1_000", "1_000"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert settings.value(text) == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("n_sims: 2  # \u00e9\n", encoding=encoding)
    assert settings.load(path) == {"n_sims": 2}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["n_sims=1_0"], {"n_sims": 10}),
        (["n_sims=\u0661"], {"n_sims": 1}),
        (["n_sims=2", "n_sims=3"], {"n_sims": 3}),
    ],
)
def test_a_command_line_that_snakemake_reads_in_its_own_way(
    words: list[str], given: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=r"^n_sims: .* is not allowed; allowed: "):
        read_settings([], given, words)
    assert read_settings([], {"n_sims": 123}, ["n_sims=0123"]) == {"n_sims": 123}


def test_a_command_line_replaces_keys_of_the_files(tmp_path: Path) -> None:
    for name, keys in {"one": "n_sims: 2\ngrid: {noise_sd: [1]}", "two": "seed: 1"}.items():
        (tmp_path / name).write_text(keys)
    # as Snakemake hands them over
    given = {
        "n_groups": ["10", "30"],
        "grid": {"predictor_sd": {"mixed": ["1", "1e-3"]}},
        "reml": "false",
        "sims_per_job": 2.0,
        "strategies": ["lm", {"name": "no", "from": "lmer", "reml": "true"}],
    }
    assert read_settings([tmp_path / "one", tmp_path / "two"], given) == {
        "n_sims": 2,
        "seed": 1,
        "grid": {"predictor_sd": {"mixed": [1, 0.001]}},
        "n_groups": [10, 30],
        "reml": False,
        "sims_per_job": 2.0,
        "strategies": ["lm", {"name": "no", "from": "lmer", "reml": True}],
    }


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


def test_json_gives_the_same_study_back() -> None:
    keys = {"sigma_ratio": [1, 0, 0.5, 0], "predictor_correlation": 0.1, "seed": 2**100}
    study = load_study(MINIMAL | keys, name="test")
    again = read_study(one_line(study))
    assert again == study
    for one, two in zip(study.conditions, again.conditions, strict=True):
        assert one.values == two.values
        assert one.levels == two.levels


def test_how_work_is_cut_is_no_part_of_the_identity() -> None:
    whole = load_study(MINIMAL, name="test")
    keys = {"sims_per_job": "auto", "job_minutes": 1, "persistent_worker": False}
    cut = load_study(MINIMAL | keys | {"allow_incomplete": True}, name="test")
    assert cut.identity() == whole.identity()
    assert one_line(cut) != one_line(whole)
    assert cut.conditions == whole.conditions
    assert load_study(MINIMAL | {"seed": 1}, name="test").identity() != whole.identity()
