"""How far a study is: counted right, also while it changes and where shards are damaged."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmsweep import plan
from rmsweep.config import load_study
from rmsweep.data.scenario import terms
from rmsweep.design import Block, Study
from rmsweep.strategies.inference import infer
from rmsweep.sweep import progress, shard, tables
from rmsweep.sweep.progress import Monitor, Progress, ShardReport
from rmsweep.sweep.provenance import installed_r_versions, shard_identity, study_versions

if TYPE_CHECKING:
    from conftest import Checkout

CONFIG = {"n_groups": [5], "n_obs": [10, 20], "sigma": [1], "n_sims": 4, "strategies": ["lm"]}
STUDY = load_study(CONFIG, name="test")
BLOCKS = list(plan.blocks(STUDY))
SLOW = ShardReport("done", fits=1, seconds=10.0, cpu_seconds=8.0)

ONE = (np.array([value]) for value in (1.0, 1.0, 9.0))
TERM = {"truth": 0.0} | {
    name: float(values[0])
    for name, values in zip(
        tables.COEFFICIENT.names[2:], infer(*ONE, normal=False, truth=0.0).columns(), strict=True
    )
}
MADE_UP = {
    "status": "ok",
    "engine": "statsmodels",
    **dict.fromkeys(("se_type", "df_type"), "made up"),
    "ci_type": "t",
    "test_type": "t",
    "seconds": 0.5,
    "cpu_seconds": 0.25,
    "coefs": [{"term": term} | TERM for term in terms(3)],
    **dict.fromkeys(tables.METRICS, 4.0),
}
"""What a shard says of a fit, as far as it is looked at."""
NO_FIT = dict.fromkeys(tables.COEFFICIENT.names[2:])


def write(study: Study, block: Block, cells: Path, **others: str) -> Path:
    """Write a shard without a fit behind it."""
    rows = [
        {"condition": str(block.condition), "sim": sim, "strategy": strategy.name} | MADE_UP
        for sim in block.sims
        for strategy in study.strategies
    ]
    identity = (
        shard_identity(study, block.condition, study_versions(study, installed_r_versions)) | others
    )
    path = cells / block.path
    shard.write(pa.Table.from_pylist(rows, schema=tables.SHARD), path, identity)
    return path


def finished_at(times: Iterable[float]) -> Progress:
    """Build the state in which shards of ten seconds were written at those times."""
    shards = (replace(SLOW, finished=second) for second in times)
    return Progress(STUDY, dict(zip(BLOCKS, shards, strict=False)))


class TestTime:
    """Elapsed and remaining time, from the shards' own."""

    def test_before_the_first_shard(self) -> None:
        state = finished_at([])
        assert state.elapsed() == 0
        assert "0 of 8 datasets done (0.0%); 8 missing" in progress.summary(state, 0.0)

    def test_one_by_one(self) -> None:
        state = finished_at([1010, 1020])
        assert state.elapsed() == 20
        shorter, longer = 2 * 10, 4 * 10  # the cost model is hardly above that for twice the rows
        assert shorter + longer <= state.remaining() <= shorter + 1.2 * longer

    def test_two_at_a_time(self) -> None:
        state = finished_at([1010, 1010, 1020, 1020])
        assert state.elapsed() == 20
        assert 20 <= state.remaining() <= 24

    def test_breaks_are_left_out(self) -> None:
        state = finished_at([1010, 1020, 1020 + progress.PAUSE + 10.5, 9000])
        assert state.elapsed() == 40
        assert len(state.busy()) == 3

    def test_nothing_remains_at_the_end(self) -> None:
        state = finished_at(range(1010, 1018))
        assert state.complete
        assert state.remaining() == 0
        assert "left" not in progress.summary(state, 2000.0)


class TestMonitor:
    """What is read, and how often."""

    @pytest.fixture
    def cells(self, tmp_path: Path) -> Path:
        for block in BLOCKS:
            write(STUDY, block, tmp_path)
        return tmp_path

    def test_reads_a_shard_once_and_again_if_it_was_replaced(
        self, cells: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocks: list[Block] = []
        read = Monitor.read
        monkeypatch.setattr(
            Monitor, "read", lambda self, block: blocks.append(block) or read(self, block)
        )
        monitor = Monitor(STUDY, cells)
        assert monitor.look().complete
        assert monitor.look().complete
        assert len(blocks) == 8
        write(STUDY, BLOCKS[0], cells)
        assert monitor.look().complete
        assert blocks[8:] == BLOCKS[:1]

    def test_missing_and_back(self, cells: Path) -> None:
        monitor = Monitor(STUDY, cells)
        block = BLOCKS[0]
        (cells / block.path).unlink()
        assert monitor.look().cells("done") == 7
        write(STUDY, block, cells)
        assert monitor.look().cells("done") == 8
        shutil.rmtree(cells)
        assert monitor.look().shards == {}

    @pytest.mark.parametrize("key", ["code", "data", "strategies", "versions", "schema_version"])
    def test_outdated(self, cells: Path, key: str) -> None:
        write(STUDY, BLOCKS[0], cells, **{key: "{}"})
        state = Monitor(STUDY, cells).look()
        assert state.cells("outdated") == 1
        assert "7 of 8 datasets done (87.5%); 1 outdated; " in progress.summary(state, 0.0)

    def test_damaged(self, cells: Path) -> None:
        empty, truncated, foreign, *_ = (cells / block.path for block in BLOCKS)
        truncated.write_bytes(truncated.read_bytes()[:-1])
        foreign.write_bytes(empty.read_bytes())
        empty.write_bytes(b"")
        state = Monitor(STUDY, cells).look()
        lines = progress.damage(state)
        assert state.cells("damaged") == 3
        assert [line.split()[1] for line in lines] == [
            str(path.relative_to(cells)) for path in (empty, truncated, foreign)
        ]
        assert "0 bytes" in lines[0]
        assert "holds other rows than planned" in lines[2]

    def test_failed_fits_are_not_those_that_did_not_converge(self, cells: Path) -> None:
        path = cells / BLOCKS[0].path
        table = pq.read_table(path)
        for status in ("failed", "warning"):
            row = table.to_pylist()[0] | {"status": status, "messages": "a reason"}
            if status == "failed":
                row |= dict.fromkeys(
                    (*tables.METRICS, "se_type", "df_type", "ci_type", "test_type")
                )
                row["coefs"] = [term | NO_FIT for term in row["coefs"]]
            changed = pa.Table.from_pylist([row], schema=tables.SHARD)
            shard.write(changed, path, tables.metadata(path))
            state = Monitor(STUDY, cells).look()
            counts = "1 of 8 fits failed, 0" if status == "failed" else "0 of 8 fits failed, 1"
            assert f"{counts} not converged" in progress.summary(state, 0.0)
            cells_and_fits = progress.by_condition(state)[1].split()
            found = [*counts.split()[::5]]
            assert cells_and_fits[3:] == ["4", "0", "4", "0", "0", "0", "4", *found]

    def test_blocks(self, tmp_path: Path) -> None:
        study = load_study(CONFIG | {"sims_per_job": 3}, name="test")
        write(study, next(plan.blocks(study)), tmp_path)
        assert Monitor(study, tmp_path).look().cells("done") == 3


@pytest.mark.slow
def test_command_line(finished: Checkout) -> None:
    done = finished.run("status", "--config", "config/tiny.yaml")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("tiny: 10 of 10 datasets done (100.0%); 0 of 40")
    assert "\x1b" not in done.stdout
    finished.shards()[0].unlink()
    some = finished.run("status", "--config", "config/tiny.yaml")
    assert some.returncode == 1
    assert "9 of 10 datasets done (90.0%); 1 missing" in some.stdout


@pytest.mark.slow
def test_a_study_by_its_folder_or_by_the_keys_of_its_run(finished: Checkout) -> None:
    last = "tiny: 10 of 10 datasets done (100.0%); 0 of 40"
    by_folder = finished.run("status", "results/tiny")
    assert by_folder.returncode == 0, by_folder.stderr
    assert by_folder.stdout.splitlines()[-1].startswith(last)
    # the run's own record is a configuration; tables say the same
    again = finished.run("status", "--configfile", "results/tiny/study.json")
    assert again.stdout == by_folder.stdout
    (finished.results() / "study.json").unlink()
    assert finished.run("status", "results/tiny").stdout == by_folder.stdout

    keys = ["sigma=[1,4]", "study=tiny"]
    for files in (
        ["--configfile", "config/tiny.yaml", "--config"],
        ["--config", "config/tiny.yaml"],
    ):
        other = finished.run("status", *files, *keys)
        assert other.returncode == 1
        assert "5 of 10 datasets done (50.0%); 5 missing" in other.stdout

    for words in (["results/tiny", "--config", "a=1"], ["results"], ["--config", "sims=1"]):
        refused = finished.run("status", *words)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert refused.stderr.count("\n") == 1
    wrong = finished.run("status", "results/config")
    assert wrong.stderr == "error: results/config: no results of a run; allowed: results/tiny\n"


@pytest.mark.slow
def test_watching_in_a_terminal(finished: Checkout) -> None:
    path = finished.shards()[0]
    away = path.rename(finished.root / "away")
    terminal, side = pty.openpty()
    command = [sys.executable, "scripts/status.py", "--config", "config/tiny.yaml"]
    command += ["--watch", "0.05"]
    with subprocess.Popen(command, cwd=finished.root, stdout=side, env=finished.env) as process:
        os.close(side)
        shown = ""
        while "9 of 10" not in shown:
            shown += os.read(terminal, 4096).decode(errors="replace")
        away.rename(path)
        while "10 of 10" not in shown:
            shown += os.read(terminal, 4096).decode(errors="replace")
        assert process.wait() == 0
    os.close(terminal)
    assert "█" * progress.BAR_WIDTH in shown
    assert "█░" in shown
