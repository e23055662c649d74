"""No table or figure is older than its study, whatever was changed and whatever became of it.

Each test takes a finished study, changes something, gives the same command once, and compares the
tables with those that a fresh folder makes.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import snakemake.api  # noqa: F401 (before its parts, which import each other)
from snakemake.dag import DAG
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from rmsweep import provenance, tables
from rmsweep.config import load_study, schema

if TYPE_CHECKING:
    from conftest import Checkout

BASE = {
    "n_groups": [5],
    "n_obs": [5],
    "sigma": [1],
    "n_sims": 2,
    "strategies": ["lm", "lmer"],
    "engine": "native",
}

# a value of each key that differs from `BASE` and from its default, and what it makes outdated
CHANGES = {
    "seed": (7, "cells"),
    "n_groups": ([6], "tables"),
    "n_obs": ([6], "tables"),
    "sigma": ([2], "tables"),
    "n_sims": (3, "tables"),
    "n_predictors": (1, "cells"),
    "sigma_ratio": ([1, 0, 0, 0], "cells"),
    "predictor_mean": (1, "cells"),
    "predictor_sd": (2, "cells"),
    "predictor_correlation": (0.5, "cells"),
    "noise_mean": (1, "cells"),
    "noise_sd": (2, "cells"),
    "strategies": (["lm"], "cells"),
    "engine": ("lme4", "cells"),
    "audit": (1, "cells"),
    "optimizer": ("bobyqa", "cells"),
    "reml": (False, "cells"),
    "derivatives": ("numerical", "cells"),
    "verdict": ("published", "cells"),
}
# keys that change no row of any table
WITHOUT_EFFECT = {
    "study": "names the folder: another name is another study",
    "sims_per_job": "cuts the work into jobs",
    "job_minutes": "cuts the work into jobs",
    "allow_incomplete": "says what the tables may lack, which they say themselves",
    "persistent_worker": "says how jobs start",
}


def identities(**keys: object) -> dict[str, object]:
    judge = provenance.Judge(load_study(BASE | keys, "s"), Path("results/s/cells"))
    return {"cells": judge.shard, "tables": judge.table, "figures": judge.figure}


def test_every_key_is_known_here() -> None:
    assert CHANGES.keys() | WITHOUT_EFFECT.keys() == schema()["properties"].keys()


@pytest.mark.parametrize("key", CHANGES)
def test_a_key_that_changes_rows_makes_them_outdated(key: str) -> None:
    value, what = CHANGES[key]
    before, after = identities(), identities(**{key: value})
    stages = ["cells", "tables", "figures"]
    changed = [stage for stage in stages if before[stage] != after[stage]]
    assert changed == stages[stages.index(what) :]


@pytest.mark.parametrize(
    ("key", "value"), [("sims_per_job", 2), ("job_minutes", 3), ("persistent_worker", False)]
)
def test_a_key_that_changes_no_row_makes_nothing_outdated(key: str, value: object) -> None:
    assert identities() == identities(**{key: value})


FITS = "results/tiny/fits.parquet"
TABLES = [f"{name}.{kind}" for name in ("fits", "coefs") for kind in ("parquet", "csv.gz")]


class Study:
    """A study by the native engine, run to its end in a checkout of its own."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout

    def run(self, *options: str, check: bool = True, **keys: object) -> dict[str, int]:
        """Run it, give the numbers of jobs."""
        study = self.checkout.write_study(**{"engine": "native", "sims_per_job": 5} | keys)
        output = self.checkout.snakemake(
            "--cores", "2", "--configfile", study, *options, check=check
        )
        stats = output.partition("Job stats:")[2].partition("\n\n")[0]
        self.said = output
        return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}

    def results(self) -> dict[str, bytes]:
        """All that a study ends with, but for its timings, byte for byte."""
        folder = self.checkout.results()
        paths = [*(folder / name for name in TABLES), *folder.glob("figures/*")]
        return {path.name: path.read_bytes() for path in paths}

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the library."""
        path = self.checkout.root / "scripts" / "rmsweep" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def base(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Checkout:
    checkout = make_checkout(tmp_path_factory.mktemp("base"))
    Study(checkout).run()
    checkout.close()
    return checkout


@pytest.fixture
def finished(base: Checkout, tmp_path: Path) -> Iterator[Study]:
    """Give the finished study, to be changed."""
    study = Study(base.copy(tmp_path / "finished"))
    yield study
    study.checkout.close()


@pytest.fixture
def fresh(tmp_path: Path, make_checkout: Callable[[Path], Checkout]) -> Iterator[Study]:
    """Give a fresh folder."""
    study = Study(make_checkout(tmp_path))
    yield study
    study.checkout.close()


@pytest.fixture(scope="module")
def other_seed(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> dict[str, bytes]:
    """Give the results of seed 7 in a fresh folder."""
    study = Study(make_checkout(tmp_path_factory.mktemp("seed7")))
    study.run(seed=7)
    study.checkout.close()
    return study.results()


ALL = {"fit_cell": 2, "merge_shards": 1, "draw": 1, "all": 1, "total": 5}
TABLES_ONLY = {"merge_shards": 1, "draw": 1, "all": 1, "total": 3}


class TestChange:
    """One change of each kind, one run."""

    @pytest.mark.parametrize(
        ("keys", "jobs"),
        [
            ({"noise_sd": 2}, ALL),
            ({"reml": False}, ALL),
            ({"verdict": "published"}, ALL),
            ({"n_sims": 4, "sims_per_job": 4}, ALL),
        ],
        ids=str,
    )
    def test_of_a_key(
        self, finished: Study, fresh: Study, keys: dict[str, object], jobs: dict[str, int]
    ) -> None:
        assert finished.run(**keys) == jobs
        fresh.run(**keys)
        assert finished.results() == fresh.results()
        assert finished.run(**keys) == {}

    def test_of_the_layout_of_jobs(self, finished: Study) -> None:
        before = finished.results()
        finished.run(sims_per_job=1)
        assert finished.results() == before

    def test_of_the_librarys_code(self, finished: Study, fresh: Study) -> None:
        for study in (finished, fresh):
            study.edit("dgp.py", "rng.uniform(size=n_terms)", "1 + rng.uniform(size=n_terms)")
        assert finished.run() == ALL
        fresh.run()
        assert finished.results() == fresh.results()

    def test_of_the_merging_and_of_the_drawing_code(self, finished: Study) -> None:
        finished.edit("merge.py", "ROWS_PER_GROUP = 100_000", "ROWS_PER_GROUP = 99_999")
        assert finished.run() == TABLES_ONLY
        finished.edit("plots/style.py", "DPI = 200", "DPI = 100")
        assert finished.run() == {"draw": 1, "all": 1, "total": 2}

    def test_of_a_comment(self, finished: Study) -> None:
        finished.edit("dgp.py", '"""The data-generating process', '# Note.\n"""Our process')
        assert finished.run() == {}

    @pytest.mark.parametrize("program", ["lme4", "R"])
    def test_of_the_version_of_a_program(
        self, reference: Checkout, tmp_path: Path, program: str
    ) -> None:
        checkout = reference.copy(tmp_path / "finished")
        for path in checkout.shards()[:3]:
            found = tables.metadata(path)
            versions = json.loads(found["versions"]) | {program: "0.9"}
            tables.write_shard(
                pq.read_table(path), path, found | {"versions": json.dumps(versions)}
            )
        output = checkout.snakemake("--cores", "2", "--configfile", "config/tiny.yaml")
        assert re.search(r"fit_cell +3\n", output)
        assert checkout.digests() == reference.digests()
        checkout.close()

    def test_of_lmer_r(self, reference: Checkout, tmp_path: Path) -> None:
        checkout = reference.copy(tmp_path / "finished")
        Study(checkout).edit("lmer.R", "tol = 1e-4", "tol = 1e-3")
        output = checkout.snakemake("--cores", "2", "--configfile", "config/tiny.yaml")
        assert re.search(r"fit_cell +10\n", output)
        checkout.close()


class TestCircumstances:
    """Another seed, one run, in every circumstance that has been known to hide it."""

    @pytest.mark.parametrize("options", [(), ("--rerun-triggers", "mtime"), ("--", FITS)], ids=str)
    @pytest.mark.parametrize("records", [True, False])
    def test_options_and_records(
        self, finished: Study, other_seed: dict[str, bytes], options: tuple[str, ...], records: bool
    ) -> None:
        if not records:
            shutil.rmtree(finished.checkout.root / ".snakemake")
        assert finished.run(*options, seed=7)["fit_cell"] == 2
        found = finished.results()
        compared = [name for name in found if FITS not in options or name in TABLES]
        assert all(found[name] == other_seed[name] for name in compared)

    @pytest.mark.parametrize("records", [True, False])
    def test_touched(self, finished: Study, other_seed: dict[str, bytes], records: bool) -> None:
        if not records:
            shutil.rmtree(finished.checkout.root / ".snakemake")
        finished.run("--touch", seed=7, check=False)
        assert "is not of the study as it is now: made with other settings" in finished.said
        finished.run(seed=7)
        assert finished.results() == other_seed

    def test_copied_without_times(self, finished: Study, other_seed: dict[str, bytes]) -> None:
        for path in finished.checkout.results().rglob("*"):
            path.touch()
        finished.run(seed=7)
        assert finished.results() == other_seed

    def test_dry_run_of_another_seed_and_back(self, finished: Study) -> None:
        assert finished.run("--dry-run", seed=7)["fit_cell"] == 2
        assert finished.run() == {}

    def test_a_target_of_one_cell(self, finished: Study) -> None:
        cell = str(finished.checkout.shards()[0].relative_to(finished.checkout.root))
        assert finished.run("--", cell, seed=7)["fit_cell"] == 1
        assert finished.run(seed=7)["fit_cell"] == 1

    def test_incomplete_leaves_outdated_shards_out(self, finished: Study) -> None:
        cell = str(finished.checkout.shards()[0].relative_to(finished.checkout.root))
        finished.run("--", cell, seed=7)
        assert "fit_cell" not in finished.run(seed=7, allow_incomplete=True)
        fits = finished.checkout.results() / "fits.parquet"
        assert tables.metadata(fits)["incomplete"] == "5 of 10 datasets"
        assert finished.run(seed=7, allow_incomplete=True) == {}
        assert finished.run(seed=7)["fit_cell"] == 1
        assert "incomplete" not in tables.metadata(fits)


LOADED = """
import sys
from rmsweep.config import load_study
study = load_study({"n_groups": [6], "n_obs": [6], "sigma": [1], "n_sims": 1, "audit": 1,
                    "engine": "native"}, "s")
before = set(sys.modules)
for name in before:
    if name.startswith("rmsweep"):
        del sys.modules[name]
from rmsweep.replication import run_block
run_block(study.settings, next(study.blocks()))
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("rmsweep")))
"""


class TestCode:
    """The digest of the code covers what runs, and nothing else."""

    def test_covers_the_modules_that_are_loaded(self) -> None:
        strategies = [f"rmsweep.strategies.{name}" for name in ("lm", "lm2", "lmer", "lmer_mis")]
        found = provenance.sources(["rmsweep.replication", *strategies])
        run = subprocess.run(
            [sys.executable, "-c", LOADED],
            env=os.environ | {"PYTHONPATH": str(provenance.SOURCE_ROOT)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert {path for path in found if path.suffix == ".py"} == set(
            map(Path, run.stdout.split())
        )
        assert {path.name for path in found if path.suffix == ".R"} == {"lmer.R"}

    def test_follows_a_helper_that_a_strategy_imports(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(provenance, "SOURCE_ROOT", tmp_path)
        (tmp_path / "mine.py").write_text("def fit():\n    from helper import half\n")
        digests = []
        for text in (
            "half = 0.5",
            "half = 0.25",
            "# why\nhalf = (0.25)",
            "half = False",
            "half = 0",
        ):
            (tmp_path / "helper.py").write_text(text)
            for cached in (provenance.imports, provenance.tree, provenance.dumped):
                cached.cache_clear()
            digests.append(provenance.code_digest("mine"))
        assert digests[1] == digests[2]
        assert len(set(digests)) == 4

    def test_is_blind_to_docstrings_and_type_checkers_imports(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one.py", tmp_path / "two.py"
        one.write_text('def f():\n    """Say."""\n    return 1\n')
        two.write_text("def f():\n    return (1)  # one\n")
        assert provenance.dumped(one) == provenance.dumped(two)
        one.write_text("if TYPE_CHECKING:\n    import rmsweep.config\nelse:\n    import json\n")
        provenance.tree.cache_clear()
        provenance.imports.cache_clear()
        assert provenance.imports(one) == {"json"}


def test_snakemake_still_has_what_the_rules_reach_into() -> None:
    """The names that `common.smk` uses and that are no part of Snakemake's interface."""
    dag = inspect.getsource(DAG)
    assert "self.forcefiles = set()" in dag
    assert "self.forcefiles.isdisjoint(job.output)" in dag
    assert "self.job_rate_limiter is None" in inspect.getsource(JobScheduler)
    assert DAG.needrun_jobs
    assert isinstance(Workflow.is_main_process, property)
