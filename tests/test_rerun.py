"""One replication again, alone: the table's own numbers, and what R says of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rerun_replication
from rmsweep.config import condition, condition_of, load_study
from rmsweep.data.scenario import simulate
from rmsweep.design import Block
from rmsweep.sweep import rerun, tables
from rmsweep.sweep.merge import identified, rerun_commands
from rmsweep.sweep.replication import run_block

if TYPE_CHECKING:
    from conftest import Checkout

pytestmark = pytest.mark.slow


@pytest.fixture
def table(reference: Checkout, tmp_path: Path) -> Path:
    for name in ("fits", "coefs"):
        shutil.copy(reference.results() / f"{name}.parquet", tmp_path)
    return tmp_path / "fits.parquet"


def change(path: Path, column: str, row: int, value: object) -> None:
    """Change one value of a table."""
    stored = pq.read_table(path).replace_schema_metadata(tables.metadata(path))
    values = stored[column].to_pylist()
    values[row] = value
    field = stored.schema.field(column)
    place = stored.schema.get_field_index(column)
    pq.write_table(stored.set_column(place, field, pa.array(values, field.type)), path)


def test_every_strategy_gives_the_tables_numbers(table: Path) -> None:
    study = rerun.study_of(table)
    by_name = {strategy.name: strategy for strategy in study.strategies}
    for number in range(0, 40, 7):
        levels = rerun.levels_of(table, number)
        sim, strategy = int(levels.pop("sim")), by_name[levels.pop("strategy")]
        row = rerun.refit(study, condition_of(study, levels), sim, strategy)
        assert rerun.differences(row, table) == []


def test_native_fits_do_not_depend_on_their_neighbours() -> None:
    config = {"n_groups": [10], "n_obs": [5], "sigma": [0.25], "n_sims": 20, "engine": "native"}
    study = load_study(config, name="test")
    (one,) = study.conditions
    by_name = {strategy.name: strategy for strategy in study.strategies}
    shard = run_block(study, Block(one, range(20)))
    for together in identified(shard, study, one).to_pylist()[::11]:
        alone = rerun.refit(study, one, together["sim"], by_name[together["strategy"]])
        for key in ("seconds", "cpu_seconds"):
            del alone[key], together[key]
        assert repr(alone) == repr(together)


def test_rs_own_words(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--n-groups", "5", "--n-obs", "5", "--sigma", "0.25", "--sim", "0"]
    assert rerun_replication.main([str(table), *keys, "--strategy", "lmer"]) == 0
    said = capsys.readouterr().out
    assert "Linear mixed model fit by REML" in said
    assert "Formula: DV ~ IV1 + (IV1 | Group)" in said
    assert "boundary (singular) fit" in said
    assert said.endswith(f"equal to the bit to {table}\n")


def test_rs_errors_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "study.yaml"
    config.write_text("{n_groups: [5], n_obs: [9], sigma: [1], n_sims: 1}")
    # as many rows as coefficients, which lme4 tries all the same
    keys = ["--n-groups", "2", "--n-obs", "2", "--sigma", "1", "--sim", "0"]
    assert rerun_replication.main(["--config", str(config), *keys, "--strategy", "lmer_mis"]) == 0
    said = capsys.readouterr().out
    assert "Error" in said
    assert "status: failed" in said


@pytest.mark.parametrize(("name", "column"), [("fits", "se_sum"), ("coefs", "estimate")])
def test_differences_are_found(
    table: Path, capsys: pytest.CaptureFixture[str], name: str, column: str
) -> None:
    row = 0 if name == "fits" else 1
    path = table.with_name(f"{name}.parquet")
    value = pq.read_table(path)[column][row].as_py()
    change(path, column, row, value * (1 + 2**-52))
    assert rerun_replication.main([str(table), "--row", "0"]) == 1
    said = capsys.readouterr().out
    assert f"differs from {table}:\n  {'se_sum' if name == 'fits' else 'coefs'}: " in said
    assert said.endswith("which was made with the same code\n")


def test_no_such_row(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--n-groups", "5", "--n-obs", "5", "--sigma", "0.25", "--sim", "99"]
    assert rerun_replication.main([str(table), *keys, "--strategy", "lm"]) == 0
    assert capsys.readouterr().out.endswith("has no such row to compare with\n")


def test_list_of_failures(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(table, "status", 8, "failed")
    change(table, "fit_success", 8, False)
    n_failed = pq.read_table(table)["fit_success"].to_pylist().count(False)
    assert rerun_replication.main([str(table), "--failed", "2"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == (
        "row 8 (failed): python scripts/rerun_replication.py results/tiny/fits.parquet"
        " --n-groups 5 --n-obs 5 --sigma 0.25 --sim 2 --strategy lm"
    )
    assert second.startswith("row 2 (warning): python")
    assert last == f"2 of {n_failed} rows that were no success"


def test_failed_rows_carry_their_command_line(reference: Checkout) -> None:
    fits = pq.read_table(reference.results() / "fits.parquet")
    keys = tables.keys(rerun.study_of(reference.results() / "fits.parquet").axes)
    assert fits["rerun"].to_pylist() == rerun_commands(fits, keys).to_pylist()
    assert fits["rerun"].null_count == fits["fit_success"].to_pylist().count(True) > 0


def test_command_lines_work(reference: Checkout) -> None:
    command = rerun.unsuccessful(reference.results() / "fits.parquet")["command"][0].as_py()
    _, _, *arguments = command.split()
    assert reference.run("rerun_replication", *arguments).returncode == 0


def test_saved_data(table: Path, tmp_path: Path) -> None:
    saved = tmp_path / "data.csv"
    assert rerun_replication.main([str(table), "--row", "4", "--save", str(saved)]) == 0
    one = condition(n_groups=5, n_obs=5, sigma=0.25, n_predictors=1)
    data = simulate(rerun.study_of(table).seed, one, 1).data.to_frame()
    pd.testing.assert_frame_equal(pd.read_csv(saved), data, check_exact=True)


@pytest.fixture
def debugger(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give the commands that the debugger's user is going to type."""
    commands: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt: commands.pop(0))
    monkeypatch.setattr("pdb.Pdb.use_rawinput", True)
    yield commands


def test_debugger(table: Path, debugger: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    debugger += ["p data.n_groups + 1000", "continue"]
    assert rerun_replication.main([str(table), "--row", "0", "--pdb"]) == 0
    assert "1005" in capsys.readouterr().out
    assert debugger == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a table or --config"),
        (["--config", "x.yaml", "--row", "1"], "--row and --failed need a table"),
        (["TABLE"], "these are needed, too, or --row: --n-groups"),
        (["TABLE", "--row", "40"], "has no row 40; allowed: 0 to 39"),
        (["TABLE", "--row", "-1"], "--row: '-1' is not allowed"),
        (["nowhere.parquet", "--row", "1"], "nowhere.parquet: not a table of fits"),
        (["COEFS.csv", "--row", "1"], "not a table of fits"),
    ],
)
def test_usage_errors_are_one_line(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (table.parent / "COEFS.csv").write_text("term,truth\n")
    places = {"TABLE": str(table), "COEFS.csv": str(table.parent / "COEFS.csv")}
    assert rerun_replication.main([places.get(text, text) for text in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
