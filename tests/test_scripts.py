"""The scripts that a person runs by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import check_study
import compare_engines
import document_config
import fit_cell
import fit_table
import merge_shards
import simulate_cell
from rmsweep.config import condition, read_study
from rmsweep.data.scenario import simulate
from rmsweep.sweep import tables
from rmsweep.sweep.provenance import installed_r_versions, shard_identity, study_versions

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "config" / "quick.yaml")
CELL = ["--n-groups", "10", "--n-obs", "5", "--sigma", "0.25"]
ONE_CELL = ["--config", CONFIG, *CELL]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if "def main" in path.read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself(script: Path) -> None:
    shown = subprocess.run(
        [sys.executable, script, "--help"], check=True, capture_output=True, text=True
    )
    assert "usage" in shown.stdout.lower()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_simulate_cell_writes_data_truth_and_coefficients(kind: str, tmp_path: Path) -> None:
    command = ["--config", CONFIG, *CELL, "--sim", "3", "--output", str(tmp_path)]
    assert simulate_cell.main([*command, "--format", kind]) == 0
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    data, betas, coefficients = (
        read(tmp_path / f"{name}.{kind}") for name in ("data", "betas", "coefficients")
    )
    one = condition(n_groups=10, n_obs=5, sigma=0.25)
    expected = simulate(read_study(CONFIG).seed, one, 3)
    np.testing.assert_array_equal(data["DV"], expected.data.y)
    np.testing.assert_array_equal(data[["IV1", "IV2", "IV3"]], expected.data.X[:, 1:])
    np.testing.assert_array_equal(data["Group"], expected.data.groups + 1)
    np.testing.assert_array_equal(betas["truth"], expected.betas)
    np.testing.assert_array_equal(coefficients.iloc[:, 1:], expected.coefficients)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A simulated dataset of 20 groups, and its truth, as files."""
    one = simulate(0, condition(n_groups=20, n_obs=10, sigma=0.5), 0)
    one.data.to_frame().to_csv(tmp_path / "data.csv", index=False)
    truth = pd.DataFrame({"term": one.data.terms, "truth": one.betas})
    truth.sample(frac=1, random_state=0).to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


FORMULA = ["--formula", "DV ~ IV1 + IV2 + IV3", "--group", "Group"]


@pytest.mark.slow
def test_fit_table_prints_the_posts_columns(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit_table.main([str(study / "data.csv"), *FORMULA]) == 0
    shown = capsys.readouterr().out
    for heading in ("Estimate", "2.5_ci", "97.5_ci", "SE", "DF", "T-stat", "P-val", "Sig"):
        assert shown.count(heading) >= 4
    assert "absolute errors" not in shown


@pytest.mark.slow
def test_fit_table_measures_against_a_truth(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(study / "data.csv"), *FORMULA, "--truth", str(study / "truth.csv")]
    assert fit_table.main([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["strategy"] for result in results] == ["lm", "lm2", "lmer", "lmer_mis"]
    for result in results:
        errors = [abs(row["estimate"] - row["truth"]) for row in result["coefs"]]
        assert result["coef_abs_err"] == pytest.approx(sum(errors))
        assert result["se_sum"] == pytest.approx(sum(row["se"] for row in result["coefs"]))
    assert fit_table.main(command) == 0
    assert "Sum of absolute errors of the coefficients: " in capsys.readouterr().out


@pytest.mark.slow
def test_fit_table_takes_categories_missing_values_and_odd_names(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(study / "data.csv").rename(columns={"IV1": "first score"})
    frame["half"] = np.where(np.arange(len(frame)) % 2, "late", "early")
    frame.loc[3, "first score"] = np.nan
    frame["Group"] = "p" + frame["Group"].astype(str)
    frame.to_csv(study / "odd.csv", index=False)
    command = [str(study / "odd.csv"), "--formula", "DV ~ `first score` + half", "--group", "Group"]
    assert fit_table.main([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert {result["status"] for result in results} <= {"ok", "warning"}
    assert [row["term"] for row in results[0]["coefs"]] == [
        "Intercept",
        "first score",
        "half[T.late]",
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no.csv", *FORMULA], "no.csv"),
        (["data.csv", "--formula", "DV ~ IV9", "--group", "Group"], "no column IV9, allowed: DV"),
        (["data.csv", "--formula", "DV ~ IV1", "--group", "g"], "no column 'g', allowed: DV"),
        (["data.csv", "--formula", "DV ~ IV1 + (1|Group)", "--group", "Group"], "has a '|'"),
        (["data.csv", "--formula", "DV", "--group", "Group"], "no response"),
        (
            ["data.csv", *FORMULA, "--strategies", "lm3"],
            "strategies: 'lm3' is not allowed; allowed: lm, ",
        ),
        (["data.csv", *FORMULA, "--optimizer", "x"], "optimizer: nloptwrap, bobyqa, Nelder_Mead"),
        (["data.csv", *FORMULA, "--verdict", "mild"], "as verdict strict, published"),
        (["data.csv", *FORMULA, "--truth", "data.csv"], "no column term, truth"),
    ],
)
def test_fit_table_refuses_in_one_line(
    command: list[str],
    message: str,
    study: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(study)
    assert fit_table.main(command) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1


@pytest.mark.slow
def test_fit_cell_writes_a_shard_with_its_provenance(tmp_path: Path) -> None:
    shard = tmp_path / "deep" / "shard.parquet"
    command = ["--config", CONFIG, *CELL, "--sims", "0-1", "--output", str(shard)]
    assert fit_cell.main(command) == 0
    found = tables.metadata(shard)
    study, one = read_study(CONFIG), condition(n_groups=10, n_obs=5, sigma=0.25)
    data = dict(one.values)
    assert json.loads(found["data"]) == {"seed": study.seed, "condition": data}
    assert list(json.loads(found["strategies"])) == ["lm", "lm2", "lmer", "lmer_mis"]
    versions = json.loads(found["versions"])
    assert {"python", "numpy", "numpy_blas", "statsmodels", "R", "lme4", "lmerTest"} <= set(
        versions
    )
    # what the judge, in another process, holds it against
    assert found == shard_identity(study, one, study_versions(study, installed_r_versions))
    assert [path.name for path in shard.parent.iterdir()] == ["shard.parquet"]


@pytest.mark.slow
def test_fit_cell_takes_a_condition_by_its_key(tmp_path: Path) -> None:
    cell = ["--n-groups", "10", "--n-obs", "5", "--sigma", "1"]
    ways = {"options": cell, "key": ["--condition", "n_groups=10/n_obs=5/sigma=1"]}
    for name, way in ways.items():
        command = ["--config", CONFIG, *way, "--sims", "3", "--output", str(tmp_path / name)]
        assert fit_cell.main(command) == 0
    one, two = (pq.read_table(tmp_path / name) for name in ways)
    timings = ["seconds", "cpu_seconds"]
    assert one.drop_columns(timings).equals(two.drop_columns(timings))


def test_fit_cell_refuses_a_condition_of_another_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "shard.parquet"
    command = ["--config", CONFIG, "--condition", "n_groups=11/n_obs=5/sigma=1"]
    with pytest.raises(SystemExit) as stop:
        fit_cell.main([*command, "--sims", "3", "--output", str(output)])
    assert stop.value.code == 2
    assert "--condition: 'n_groups=11/n_obs=5/sigma=1'" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (
            simulate_cell.main,
            ["--config", CONFIG, *CELL, "--sim", "-1", "--output", "x"],
            "whole",
        ),
        (
            simulate_cell.main,
            ["--config", CONFIG, *CELL, "--sim", "0", "--output", CONFIG],
            "exists",
        ),
        (compare_engines.main, ["absent.parquet", "--output", "x.csv"], "absent.parquet"),
        (
            merge_shards.main,
            ["--config", CONFIG, "--cells", ".", "--output", "x.txt"],
            "x.txt; a",
        ),
        (document_config.main, ["absent.md"], "absent.md: No such file"),
        (fit_cell.main, ["--config", "{", "--check"], "not a study: "),
        (check_study.main, ["absent.yaml"], "absent.yaml: No such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    main: Callable[[list[str]], int],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert message in last


def test_check_study_says_how_much_work_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_study.main([CONFIG]) == 0
    said = capsys.readouterr().out
    assert said.startswith("quick: 8 conditions x 5 replications x 4 strategies, in 40 jobs ")


def test_the_table_of_keys_is_up_to_date() -> None:
    text = (ROOT / "config" / "README.md").read_text()
    assert document_config.with_table(text) == text, "run `make docs`"
