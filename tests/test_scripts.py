"""The scripts that a person runs by hand."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import assess_claims
import check_study
import compare_engines
import document
import document_claims
import draw
import fit_cell
import fit_table
import merge_shards
import render_report
import rerun_replication
import simulate_cell
import status
from checkout import TINY, until
from rmsweep import cli
from rmsweep.config import condition, read_study
from rmsweep.data.scenario import simulate
from rmsweep.sweep import provenance, tables
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


@pytest.mark.parametrize("benchmark", ["strategies", "reference_programs"])
def test_benchmarks_of_all_strategies_choose_those_that_their_data_allow(benchmark: str) -> None:
    script = ROOT / "benchmarks" / f"{benchmark}.py"
    shown = subprocess.run(
        [sys.executable, script, "--sims", "1"], check=True, capture_output=True, text=True
    )
    assert "lm2_swamy" in shown.stdout


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
    assert not (tmp_path / f"item_effects.{kind}").exists()


@pytest.mark.parametrize("factor", ["Item", "Site"])
def test_simulate_cell_writes_the_effects_of_other_factors(factor: str, tmp_path: Path) -> None:
    name = factor.lower()
    command = ["--config", CONFIG, *CELL, f"--n-{name}s", "4", "--sim", "3"]
    assert simulate_cell.main([*command, "--output", str(tmp_path)]) == 0
    one = condition(n_groups=10, n_obs=5, sigma=0.25, **{f"n_{name}s": 4})
    expected = simulate(read_study(CONFIG).seed, one, 3)
    effects = pd.read_csv(tmp_path / f"{name}_effects.csv")
    np.testing.assert_array_equal(effects.iloc[:, 1:], getattr(expected, f"{name}_effects"))
    data = pd.read_csv(tmp_path / "data.csv")
    np.testing.assert_array_equal(data[factor], expected.data.factors[factor] + 1)


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
    assert shown.count("97.5_t") == 2  # of the mixed models, whose intervals are by z
    assert fit_table.main([str(study / "data.csv"), *FORMULA, "--json"]) == 0
    for result in json.loads(capsys.readouterr().out):
        for row in result["coefs"]:
            half = stats.t.ppf(0.975, row["df"]) * row["se"]
            assert row["t_ci_high"] == pytest.approx(row["estimate"] + half)
            narrower = row["ci_high"] < row["t_ci_high"]
            assert narrower == (result["ci_type"] == "z")


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
        "halflate",
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no.csv", *FORMULA], "no.csv"),
        (["data.csv", "--formula", "DV ~ IV9", "--group", "Group"], "no column IV9, allowed: DV"),
        (["data.csv", "--formula", "DV ~ IV1", "--group", "g"], "no column 'g', allowed: DV"),
        (["data.csv", "--formula", "DV ~ IV1 + (1|IV2)", "--group", "Group"], "allowed: IV2"),
        (["data.csv", "--formula", "DV", "--group", "Group"], "no response"),
        (
            ["data.csv", *FORMULA, "--strategies", "lm3"],
            "strategies: 'lm3' is not allowed; allowed: ",
        ),
        (["data.csv", *FORMULA, "--optimizer", "x"], "optimizer: nloptwrap, bobyqa, Nelder_Mead"),
        (["data.csv", *FORMULA, "--verdict", "mild"], "as verdict strict, published"),
        (["data.csv", "--formula", "DV ~ 0", "--group", "Group"], "no coefficient to estimate"),
        (["data.csv", *FORMULA, "--truth", "data.csv"], "no column term, truth"),
        (["data.csv", *FORMULA, "--truth", "words.csv"], "truth: 'large' is no number"),
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
    Path("words.csv").write_text("term,truth\nIntercept,large\nIV1,1\nIV2,1\nIV3,1\n")
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
    assert fit_cell.main([*command, "--sims", "3", "--output", str(output)]) == 2
    assert "--condition: 'n_groups=11/n_obs=5/sigma=1'" in capsys.readouterr().err
    assert not output.exists()


SIMULATE = ["--config", CONFIG, "--n-obs", "5", "--sim", "0", "--output", "x", "--n-groups"]
HUGE = [*SIMULATE, "4e9", "--sigma", "1", "--n-predictors", "1000"]
FIT = ["--config", CONFIG, *CELL, "--output", "x.parquet", "--sims"]
STATUS = ["--config", CONFIG, "--watch"]
MERGE = ["--config", CONFIG, "--cells", ".", "--output"]


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (simulate_cell.main, [*SIMULATE, "0", "--sigma", "1"], "n_groups: 0 is not allowed"),
        (simulate_cell.main, HUGE, "allowed: datasets of at most 200,000,000 numbers"),
        (simulate_cell.main, [*SIMULATE, "5", "--sigma", "nan"], "sigma: 'nan' is not allowed"),
        (simulate_cell.main, [*SIMULATE, "5"], "required: --sigma"),
        (simulate_cell.main, [*SIMULATE, "5", "--sim", "-1"], "allowed: a whole number from 0 to"),
        (simulate_cell.main, [*SIMULATE, "5", "--sim", str(2**63)], "--sim: '9223372036854775808'"),
        (fit_cell.main, [*FIT, "0-99999999999999"], "--sims: 99999999999999"),
        (fit_cell.main, [*FIT, "3-1"], "'3-1' is not allowed; allowed: a replication, as 7"),
        (fit_cell.main, ["--config", "{", "--check"], "not a study: "),
        (check_study.main, ["absent.yaml"], "absent.yaml: No such file"),
        (status.main, [*STATUS, "nan"], "'nan' is not allowed; allowed: a number above 0"),
        (status.main, [*STATUS, "0"], "'0' is not allowed; allowed: a number above 0"),
        (draw.main, ["x", "--jobs", "0"], "'0' is not allowed; allowed: a whole number from 1"),
        (compare_engines.main, ["absent.parquet", "--output", "x.csv"], "absent.parquet"),
        (compare_engines.main, ["x", "--output", "x.txt"], "--output: x.txt is not allowed"),
        (merge_shards.main, [*MERGE, "x.txt"], "x.txt; a"),
        (document_claims.main, ["x.md", "absent.parquet"], "absent.parquet: not a table of claims"),
        (document.main, ["absent.md"], "absent.md: No such file"),
        (document.main, [__file__], "test_scripts.py: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    main: Callable[[list[str]], int],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


WRITERS = {
    "simulate_cell": (simulate_cell.main, [*ONE_CELL, "--sim", "0", "--output"]),
    "fit_cell": (fit_cell.main, [*ONE_CELL, "--sims", "0", "--output"]),
    "rerun": (
        rerun_replication.main,
        [*ONE_CELL, "--sim", "0", "--strategy", "lm", "--save"],
    ),
    "merge_shards": (merge_shards.main, MERGE),
    "compare_engines": (compare_engines.main, ["audit.parquet", "--output"]),
    "assess_claims": (
        assess_claims.main,
        ["performance.parquet", "--output", "x.csv", "--by-condition"],
    ),
    "draw": (draw.main, ["fits.parquet", "--output"]),
    "render_report": (render_report.main, ["fits.parquet", "--output"]),
}


@pytest.mark.parametrize("script", WRITERS)
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/dev/full", "can't be written"),
        ("file/fits.parquet", "file is no folder"),
        ("locked/new/fits.parquet", "no permission in"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    script: str,
    place: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir()
    # as for anybody but root
    monkeypatch.setattr("os.access", lambda path, mode: "locked" not in str(path))
    main, arguments = WRITERS[script]
    assert main([*arguments, place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {place}: can't be written")
    assert message in line
    assert Path("/dev/full").is_char_device()


def test_a_file_with_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 247}.parquet"
    with tables.atomic(path) as temporary:
        assert temporary.name.startswith(".aaa")
        temporary.touch()
    assert [*tmp_path.iterdir()] == [path]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    command = [*ONE_CELL, "--sim", "0", "--output", str(tmp_path)]
    ended = run("simulate_cell", *command, preexec_fn=small_files)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {tmp_path / 'data.csv'} can't be written: File too large\n"
    assert not list(tmp_path.iterdir())


def run(script: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script as a person does."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{script}.py", *arguments], **settings
    )


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A folder with what may be taken for a merged table."""
    made_with = {"study": json.dumps({**TINY, "study": "tiny"})}
    coefs = pa.table({"strategy": ["lm"], "estimate": [1.0]}).replace_schema_metadata(made_with)
    pq.write_table(coefs, tmp_path / "coefs.parquet")
    columns = {name: [0.0] * 1000 for name in ("fit_success", *tables.AUDIT.names, "sim")}
    pq.write_table(pa.table(columns), tmp_path / "foreign.parquet")
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(made_with), whole)
    content = whole.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-100])
    (tmp_path / "damaged.parquet").write_bytes(bytes(200) + content[200:])
    (tmp_path / "empty.parquet").touch()
    whole.unlink()
    return tmp_path


@pytest.mark.parametrize("name", ["coefs", "foreign", "cut", "damaged", "empty", "absent"])
@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (rerun_replication.main, ["--failed"]),
        (rerun_replication.main, ["--row", "0"]),
        (compare_engines.main, ["--output", "x.csv"]),
        (assess_claims.main, ["--output", "x.csv", "--by-condition", "y.csv"]),
        (draw.main, []),
        (render_report.main, []),
    ],
)
def test_another_file_than_a_merged_table_is_refused(
    main: Callable[[list[str]], int],
    arguments: list[str],
    name: str,
    merged: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(merged)
    assert main([f"{name}.parquet", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name}.parquet: not a table of ")
    assert not (merged / "x.csv").exists()


def test_a_reader_that_has_seen_enough_ends_a_script_silently(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*ONE_CELL, "--sim", "0", "--output", str(tmp_path)]
    ended = run("simulate_cell", *command, stdout=writer)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")
    assert len(list(tmp_path.iterdir())) == 3


def test_too_little_memory_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: object) -> int:
        raise MemoryError("Unable to allocate 1 TiB")

    assert cli.one_line_errors(main)(None) == 2
    assert capsys.readouterr().err == "error: not enough memory: Unable to allocate 1 TiB\n"


def test_output_that_is_lost_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run("status", "--config", CONFIG, cwd=tmp_path, stdout=full)
    assert ended.returncode == 2
    assert ended.stderr == "error: output: No space left on device\n"


WAITING = """
import time
from pathlib import Path


def fit(data, options):
    Path("begun").touch()
    time.sleep(60)
"""
WAITING_IN_R = """
fit <- function(data, formula, group) {
  file.create("begun")
  repeat sqrt(2)
}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("waiting.py", WAITING), pytest.param("waiting.R", WAITING_IN_R, marks=pytest.mark.slow)],
)
def test_an_interrupt_ends_a_script_at_once_and_silently(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "check_strategy.py", name],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # where the tests run in the background of a shell, interrupts are ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: process.poll() is not None or (tmp_path / "begun").exists())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert (process.returncode, output) == (-signal.SIGINT, b"")


BY_HAND = [path for path in SCRIPTS if path.stem != "warm"]


@pytest.mark.parametrize("script", BY_HAND, ids=lambda path: path.stem)
def test_without_the_environment_a_script_says_how_to_activate_it(script: Path) -> None:
    # -S leaves out what is installed
    ended = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: No module named ")
    assert ": activate the environment, by `source .venv/bin/activate`" in line


@pytest.mark.parametrize("script", BY_HAND, ids=lambda path: path.stem)
def test_pythons_own_variables_do_not_hide_the_library(script: Path, tmp_path: Path) -> None:
    (tmp_path / "rmsweep").mkdir()
    (tmp_path / "rmsweep" / "__init__.py").write_text("raise ValueError('another library')")
    env = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(tmp_path)}
    ended = run(script.stem, "--help", env=env, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_table_is_not_written_over(
    merged: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(merged)
    before = (merged / "coefs.parquet").read_bytes()
    for main, option in ((rerun_replication.main, "--save"), (compare_engines.main, "--output")):
        assert main(["coefs.parquet", option, "./coefs.parquet"]) == 2
        assert "allowed: another file than is read" in capsys.readouterr().err
    assert (merged / "coefs.parquet").read_bytes() == before


def test_options_that_say_the_same_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    key = "n_groups=10/n_obs=5/sigma=1"
    given = ["--config", CONFIG, "--condition", key, "--sims", "0", "--output", "x.parquet"]
    assert fit_cell.main([*given, "--sigma", "2"]) == 2
    assert "--condition says it all" in capsys.readouterr().err
    assert rerun_replication.main(["x.parquet", "--row", "1", "--sim", "3"]) == 2
    assert "--row says it all" in capsys.readouterr().err


def test_a_table_is_not_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "fits.parquet")
    assert rerun_replication.main([str(tmp_path / "fits.parquet"), "--failed"]) == 2
    assert "no regular file" in capsys.readouterr().err
    os.mkfifo(tmp_path / "grid.svg")
    with pytest.raises(ValueError, match="no regular file"):
        provenance.made_with(tmp_path / "grid.svg")


def test_no_standard_output_is_said() -> None:
    command = f"{shlex.quote(sys.executable)} scripts/check_study.py {CONFIG} >&-"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "error: standard output is closed\n")


def test_checks_that_could_not_fail_are_refused() -> None:
    ended = run("check_strategy", "lm", env=os.environ | {"PYTHONOPTIMIZE": "2"})
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: PYTHONOPTIMIZE leaves out")


def test_drawing_without_memory_is_said_in_one_line(
    merged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(draw, "draw_one", killed)
    row = {"n_groups": [5], "n_obs": [5], "sigma": [1.0], "strategy": ["lm"], "fit_success": [True]}
    row["status"] = ["ok"]
    made_with = {"study": json.dumps({**TINY, "study": "tiny"}), "versions": "{}", "code": ""}
    pq.write_table(pa.table(row).replace_schema_metadata(made_with), merged / "fits.parquet")
    assert draw.main([str(merged / "fits.parquet")]) == 2
    assert capsys.readouterr().err.startswith("error: a process that draws was killed")


def killed(*_: object) -> None:
    """End like a process that the system ends."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_check_study_says_how_much_work_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_study.main([CONFIG]) == 0
    said = capsys.readouterr().out
    assert said.startswith("quick: 8 conditions x 5 replications x 4 strategies, in 40 jobs ")


@pytest.mark.parametrize("file", ["config/README.md", "docs/strategies.md", "docs/scenarios.md"])
def test_generated_parts_are_up_to_date(file: str) -> None:
    text = (ROOT / file).read_text()
    assert document.with_parts(text) == text, "run `make docs`"
