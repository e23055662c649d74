"""The scripts that a person runs by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import document_config
import fit_cell
import fit_table
import simulate_cell
from rmsweep import tables
from rmsweep.config import read_settings
from rmsweep.design import Condition
from rmsweep.dgp import simulate

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "config" / "quick.yaml")
CELL = ["--n-groups", "10", "--n-obs", "5", "--sigma", "0.25"]
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
    expected = simulate(read_settings(CONFIG), Condition(10, 5, 0.25), 3)
    np.testing.assert_array_equal(data["DV"], expected.data.y)
    np.testing.assert_array_equal(data[["IV1", "IV2", "IV3"]], expected.data.X[:, 1:])
    np.testing.assert_array_equal(data["Group"], expected.data.groups + 1)
    np.testing.assert_array_equal(betas["truth"], expected.betas)
    np.testing.assert_array_equal(coefficients.iloc[:, 1:], expected.coefficients)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A simulated dataset of 20 groups, and its truth, as files."""
    settings = read_settings(CONFIG)
    one = simulate(settings, Condition(20, 10, 0.5), 0)
    one.data.to_frame().to_csv(tmp_path / "data.csv", index=False)
    truth = pd.DataFrame({"term": settings.terms, "truth": one.betas})
    truth.sample(frac=1, random_state=0).to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


FORMULA = ["--formula", "DV ~ IV1 + IV2 + IV3", "--group", "Group"]


def test_fit_table_prints_the_posts_columns(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit_table.main([str(study / "data.csv"), *FORMULA]) == 0
    shown = capsys.readouterr().out
    for heading in ("Estimate", "2.5_ci", "97.5_ci", "SE", "DF", "T-stat", "P-val", "Sig"):
        assert shown.count(heading) >= 4
    assert "Absolute error" not in shown


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
    assert "Absolute error of the coefficients: " in capsys.readouterr().out


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
        (["data.csv", *FORMULA, "--strategies", "lm3"], "allowed: a list of different names"),
        (["data.csv", *FORMULA, "--optimizer", "x"], "allowed: nloptwrap, bobyqa"),
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


def test_fit_cell_writes_a_shard_with_its_provenance(tmp_path: Path) -> None:
    shard = tmp_path / "deep" / "shard.parquet"
    command = ["--config", CONFIG, *CELL, "--sims", "0-1", "--output", str(shard)]
    assert fit_cell.main(command) == 0
    found = tables.metadata(shard)
    assert json.loads(found["settings"])["study"] == "quick"
    assert {"python", "numpy", "numpy_blas", "statsmodels", "R", "lme4", "lmerTest"} <= set(
        json.loads(found["versions"])
    )
    assert [path.name for path in shard.parent.iterdir()] == ["shard.parquet"]


def test_the_table_of_keys_is_up_to_date() -> None:
    text = (ROOT / "config" / "README.md").read_text()
    assert document_config.with_table(text) == text, "run `make docs`"
