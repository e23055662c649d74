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

import fit_cell
from rmsweep import plan
from rmsweep.config import load_study, schema
from rmsweep.figures.names import NAMES
from rmsweep.sweep import provenance, shard, tables
from rmsweep.sweep.judge import Judge

if TYPE_CHECKING:
    from conftest import Checkout

CONFIG = Path(__file__).parents[1] / "config"
BASE = {
    "n_groups": [10],
    "n_obs": [6],
    "sigma": [1],
    "n_sims": 2,
    "strategies": ["lm", "lmer"],
    "engine": "native",
    "sims_per_job": 1,
}

# A value of each key that differs from `BASE` and from its default, and what it makes outdated. A
# key that describes the data makes other cells: their paths say so.
CHANGES = {
    "seed": (7, "cells"),
    "n_groups": ([11], "tables"),
    "n_obs": ([7], "tables"),
    "sigma": ([2], "tables"),
    "grid": ({"noise_sd": [1, 2]}, "tables"),
    "conditions": ([{"noise_sd": 2}], "tables"),
    "exclude": ([{"n_groups": 11}], "tables"),
    "n_sims": (3, "tables"),
    "precision": ({"measure": "size", "mcse": 0.01, "cap": 300}, "tables"),
    "n_predictors": (1, "tables"),
    "beta": (0.5, "tables"),
    "sigma_ratio": ([1, 0, 0, 0], "tables"),
    "predictor_mean": (1, "tables"),
    "predictor_sd": (2, "tables"),
    "predictor_correlation": (0.5, "tables"),
    "effect_correlation": (0.5, "tables"),
    "effect_distribution": ("mixture", "tables"),
    "group_sizes": ("informative", "tables"),
    "predictor_distribution": ("trend", "tables"),
    "predictor_level": ([1, 1, 2], "tables"),
    "predictor_icc": (0.5, "tables"),
    "predictor_autocorrelation": (0.5, "tables"),
    "confounding": (0.5, "tables"),
    "noise_mean": (1, "tables"),
    "noise_sd": (2, "tables"),
    "noise_distribution": ("t", "tables"),
    "noise_autocorrelation": (0.5, "tables"),
    "noise_heterogeneity": (1, "tables"),
    "missing": ("mcar", "tables"),
    "predictors": (str(CONFIG / "power-of-yours.parquet"), "tables"),
    "power": ({"effect": "IV1"}, "tables"),
    "n_items": (6, "tables"),
    "item_sigma": (2, "tables"),
    "item_sigma_ratio": ([1, 0, 0, 0], "tables"),
    "item_correlation": (0.5, "tables"),
    "item_design": ("between", "tables"),
    "item_layout": ("nested", "tables"),
    "n_sites": (2, "tables"),
    "site_sigma": (2, "tables"),
    "site_sigma_ratio": ([1, 0, 0, 0], "tables"),
    "site_correlation": (0.5, "tables"),
    "variances": ("uniform", "tables"),
    "correlation_range": (0.3, "tables"),
    "strategies": (["lm", "lmer", "lm2"], "cells"),
    "engine": ("lme4", "cells"),
    "audit": (1, "cells"),
    "optimizer": ("bobyqa", "tables"),  # nothing to the native engine
    "reml": (False, "cells"),
    "derivatives": ("numerical", "tables"),  # nothing to the native engine
    "verdict": ("published", "tables"),
    # what tables say of their study, and figures of its question
    "references": (["lm"], "tables"),
    "scenarios": ({"noisy": {"noise_sd": 2}}, "tables"),
    "title": ("Who is right?", "tables"),
    "description": ("A study.", "tables"),
    "aims": ("To know.", "tables"),
}
# keys that change no row of any table
WITHOUT_EFFECT = {
    "study": "names the folder: another name is another study",
    "sims_per_job": "cuts the work into jobs",
    "job_minutes": "cuts the work into jobs",
    "allow_incomplete": "says what the tables may lack, which they say themselves",
    "persistent_worker": "says how jobs start",
    "csv": "says which tables are written twice",
}
# what a key needs to have an effect
WITH = {
    "exclude": {"n_groups": [10, 11]},
    "confounding": {"predictor_icc": 0.5},
    "predictors": {"n_predictors": 1},
    "power": {"beta": 0.5},
}
WITH |= {
    key: {f"n_{factor}s": 6}
    for factor in ("item", "site")
    for key in CHANGES
    if f"{factor}_" in key
}


def judge(**keys: object) -> Judge:
    return Judge(load_study(BASE | keys, "s"), Path("results/s"))


def changed(before: Judge, after: Judge) -> list[str]:
    """Which files of one study another would make anew."""
    found = []
    by_path = [
        {block.path: one.shards.expected(block.condition) for block in plan.blocks(one.study)}
        for one in (before, after)
    ]
    common = by_path[0].keys() & by_path[1].keys()
    names = after.shards.names
    if any(after.shards.differences(by_path[0][p], by_path[1][p], names) for p in common):
        found.append("cells")
    found += ["tables"] if before.table != after.table else []
    return found + (["figures"] if before.figure != after.figure else [])


def test_every_key_is_known_here() -> None:
    assert CHANGES.keys() | WITHOUT_EFFECT.keys() == schema()["properties"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_a_key_that_changes_rows_makes_them_outdated(key: str) -> None:
    value, what = CHANGES[key]
    others = WITH.get(key, {})
    stages = ["cells", "tables", "figures"]
    expected = stages[stages.index(what) :]
    assert changed(judge(**others), judge(**others, **{key: value})) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("sims_per_job", 2), ("job_minutes", 3), ("persistent_worker", False), ("csv", False)],
)
def test_a_key_that_changes_no_row_makes_nothing_outdated(key: str, value: object) -> None:
    assert changed(judge(), judge(**{key: value})) == []


def test_another_label_is_another_figure_alone() -> None:
    entry = {"name": "x", "from": "lm"}
    before, after = (judge(strategies=[entry | {"label": text}]) for text in ("Old", "New"))
    assert changed(before, after)[-1] == "figures"
    assert "cells" not in changed(before, after)


def test_a_strategy_less_needs_no_new_cells() -> None:
    assert changed(judge(), judge(strategies=["lmer"])) == ["tables", "figures"]


FITS = "results/tiny/fits.parquet"
TABLES = [f"{name}.{kind}" for name in ("fits", "coefs") for kind in ("parquet", "csv.gz")]


class Study:
    """A study by the native engine in a checkout of its own."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout

    def run(
        self, *options: str, target: str = FITS, check: bool = True, **keys: object
    ) -> dict[str, int]:
        """Run it, as far as its tables by default; give the numbers of jobs."""
        keys = {"engine": "native", "sims_per_job": 5, "strategies": ["lm", "lmer"]} | keys
        study = self.checkout.write_study(**keys)
        command = ["--cores", "2", "--configfile", study, *options, "--", target]
        self.said = self.checkout.snakemake(*command, check=check)
        stats = self.said.partition("Job stats:")[2].partition("\n\n")[0]
        return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}

    def results(self, figures: bool = False) -> dict[str, bytes]:
        """The tables but for the timings, and perhaps the figures, byte for byte."""
        folder = self.checkout.results()
        paths = [folder / name for name in TABLES]
        # the figure of costs shows times
        paths += [p for p in folder.glob("figures/*") if figures and p.stem != "cost"]
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
    Study(checkout).run(target="all")
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
    study.run(seed=7, target="all")
    study.checkout.close()
    return study.results(figures=True)


CELLS = {"fit_cell": 2, "merge_shards": 1, "total": 3}
TABLES_ONLY = {"merge_shards": 1, "total": 1}
MEASURES = {"measure_performance": 1, "assess_claims": 1}
SHOWN = {"draw": 1, "render_report": 1, "all": 1}
ALL = {"fit_cell": 2, "merge_shards": 1, **MEASURES, **SHOWN, "total": 8}


@pytest.mark.slow
class TestChange:
    """One change of each kind, one run."""

    @pytest.mark.parametrize(
        ("keys", "jobs"),
        [
            ({"noise_sd": 2}, CELLS),
            ({"reml": False}, CELLS),
            ({"verdict": "published"}, TABLES_ONLY),
            ({"n_sims": 4, "sims_per_job": 4}, CELLS),
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
            study.edit("data/scenario.py", "rng.random(n_terms)", "1 + rng.random(n_terms)")
        assert finished.run() == CELLS
        fresh.run()
        assert finished.results() == fresh.results()

    def test_of_the_merging_and_of_the_drawing_code(self, finished: Study) -> None:
        finished.edit("sweep/merge.py", "ROWS_PER_GROUP = 100_000", "ROWS_PER_GROUP = 99_999")
        assert finished.run() == TABLES_ONLY
        assert finished.run(target="all") == MEASURES | SHOWN | {"total": 5}
        finished.edit("claims/post.py", "ALIKE = 1.1", "ALIKE = 1.2")
        again = {"assess_claims": 1, **SHOWN, "total": 4}
        assert finished.run(target="all") == again
        finished.edit("figures/style.py", "DPI = 200", "DPI = 50")
        assert finished.run(target="all") == SHOWN | {"total": 3}
        finished.edit("report/page.css", "max-width: 75rem", "max-width: 80rem")
        assert finished.run(target="all") == {"render_report": 1, "all": 1, "total": 2}

    def test_of_one_strategys_code(self, finished: Study) -> None:
        before = finished.checkout.table("timings").to_pylist()
        finished.edit("strategies/mixed.py", '"trust-region Newton"', '"Newton"')
        assert finished.run() == CELLS
        after = finished.checkout.table("timings").to_pylist()
        same = [one["strategy"] for one, two in zip(before, after, strict=True) if one == two]
        assert same == ["lm"] * 10

    def test_of_a_file_of_the_users_own(self, finished: Study) -> None:
        """The persistent worker has the old one loaded."""
        keys = {"strategies": ["lm", "own"]}
        finished.checkout.write_strategy("own", "pass")
        finished.run(**keys)
        before = finished.checkout.table()
        finished.checkout.write_strategy(
            "own", "from dataclasses import replace; data = replace(data, y=2 * data.y)"
        )
        assert finished.run(**keys) == CELLS
        after = finished.checkout.table()
        for row, (one, two) in enumerate(zip(before["se_sum"], after["se_sum"], strict=True)):
            assert two.as_py() == (2 if row % 2 else 1) * one.as_py()

    def test_that_leaves_figures_and_tables_without_a_study(self, finished: Study) -> None:
        # the first two have places in the panels, as the study's other axes have one level
        grid = {"predictor_sd": [1, 2], "noise_mean": [0, 1], "noise_sd": [1, 2]}
        finished.run(target="all", audit=1, strategies=["lm"], grid=grid)
        folder = finished.checkout.results()
        assert {path.name for path in (folder / "figures").iterdir()} == {
            *("nested_loop.png", "nested_loop.svg", "noise_sd=1", "noise_sd=2")
        }
        (folder / "figures" / "mine.svg").write_text("<svg/>")
        finished.run(target="all", strategies=["lm"])
        assert not list(folder.glob("a*"))
        assert len(list((folder / "figures").iterdir())) == 2 * len(NAMES) + 1

    def test_of_a_comment(self, finished: Study) -> None:
        finished.edit("data/scenario.py", '"""The scenario:', '# Note.\n"""Our scenario:')
        assert finished.run(target="all") == {}

    @pytest.mark.parametrize("program", ["lme4", "R"])
    def test_of_the_version_of_a_program(
        self, reference: Checkout, tmp_path: Path, program: str
    ) -> None:
        checkout = reference.copy(tmp_path / "finished")
        for path in checkout.shards()[:3]:
            found = tables.metadata(path)
            versions = json.loads(found["versions"]) | {program: "0.9"}
            table = pq.read_table(path, partitioning=None)
            shard.write(table, path, found | {"versions": json.dumps(versions)})
        output = checkout.sweep("config/tiny.yaml")
        assert re.search(r"fit_cell +3\n", output)
        assert checkout.digests() == reference.digests()
        checkout.close()

    def test_of_lme4_r(self, reference: Checkout, tmp_path: Path) -> None:
        checkout = reference.copy(tmp_path / "finished")
        Study(checkout).edit("lme4.R", "tol = 1e-4", "tol = 1e-3")
        assert re.search(r"fit_cell +10\n", checkout.sweep("config/tiny.yaml", "--dry-run"))
        checkout.close()


@pytest.mark.slow
class TestCircumstances:
    """Another seed, one run, in every circumstance that has been known to hide it."""

    @pytest.mark.parametrize("records", [True, False])
    def test_everything_is_made_anew(
        self, finished: Study, other_seed: dict[str, bytes], records: bool
    ) -> None:
        if not records:
            shutil.rmtree(finished.checkout.root / ".snakemake")
        assert finished.run(seed=7, target="all") == ALL
        assert finished.results(figures=True) == other_seed

    @pytest.mark.parametrize("records", [True, False])
    def test_by_file_times_alone(
        self, finished: Study, other_seed: dict[str, bytes], records: bool
    ) -> None:
        if not records:
            shutil.rmtree(finished.checkout.root / ".snakemake")
        assert finished.run("--rerun-triggers", "mtime", seed=7) == CELLS
        assert finished.results().items() <= other_seed.items()

    @pytest.mark.parametrize("records", [True, False])
    def test_touched(self, finished: Study, other_seed: dict[str, bytes], records: bool) -> None:
        if not records:
            shutil.rmtree(finished.checkout.root / ".snakemake")
        finished.run("--touch", seed=7, check=False)
        assert "is not of the study as it is now: made with other data" in finished.said
        assert finished.run(seed=7) == CELLS
        assert finished.results().items() <= other_seed.items()

    def test_copied_without_times(self, finished: Study, other_seed: dict[str, bytes]) -> None:
        for path in finished.checkout.results().rglob("*"):
            path.touch()
        finished.run(seed=7)
        assert finished.results().items() <= other_seed.items()

    def test_dry_run_of_another_seed_and_back(self, finished: Study) -> None:
        assert finished.run("--dry-run", seed=7) == CELLS
        assert finished.run(target="all") == {}

    def test_a_target_of_one_cell(self, finished: Study) -> None:
        cell = str(finished.checkout.shards()[0].relative_to(finished.checkout.root))
        assert finished.run(target=cell, seed=7)["fit_cell"] == 1
        assert finished.run(seed=7)["fit_cell"] == 1

    def test_incomplete_leaves_outdated_shards_out(self, finished: Study) -> None:
        cell = str(finished.checkout.shards()[0].relative_to(finished.checkout.root))
        finished.run(target=cell, seed=7)
        assert "fit_cell" not in finished.run(seed=7, allow_incomplete=True)
        fits = finished.checkout.results() / "fits.parquet"
        assert tables.metadata(fits)["incomplete"] == "5 of 10 datasets"
        assert finished.run(seed=7, allow_incomplete=True) == {}
        assert finished.run(seed=7)["fit_cell"] == 1
        assert "incomplete" not in tables.metadata(fits)

    def test_a_rule_that_is_not_allowed_to_run(self, finished: Study) -> None:
        finished.run("--omit-from", "merge_shards", target="all", seed=7)
        finished.run(
            "--forcerun", "draw", "--allowed-rules", "draw", target="all", seed=7, check=False
        )
        assert "is not of the study as it is now" in finished.said

    def test_a_run_that_was_killed(self, finished: Study, other_seed: dict[str, bytes]) -> None:
        checkout = finished.checkout
        before = {path: path.stat().st_ino for path in checkout.shards()}
        study = checkout.write_study(
            engine="native", sims_per_job=5, strategies=["lm", "lmer"], seed=7
        )
        run = checkout.start("--cores", "1", "--configfile", study, "--", FITS, stdout=None)
        checkout.until(
            lambda: (
                {path: path.stat().st_ino for path in checkout.shards()} != before
                and checkout.shards()
            )
        )
        run.kill()
        run.wait()
        checkout.snakemake("--unlock", "--configfile", study)
        finished.run(seed=7)
        assert finished.results().items() <= other_seed.items()


LOADED = """
import sys
from rmsweep.config import load_study
study = load_study({"n_groups": [6], "n_obs": [6], "sigma": [1], "n_sims": 1, "audit": 1,
                    "engine": "native"}, "s")
for name in [name for name in sys.modules if name.startswith("rmsweep")]:
    del sys.modules[name]
from rmsweep.design import Block
from rmsweep.sweep.replication import run_block
run_block(study, Block(study.conditions[0], range(1)))
for name, module in sys.modules.items():
    if name.startswith("rmsweep"):
        print(module.__file__)
"""


CHANGING = """
from pathlib import Path
from rmsweep.strategies import least_squares
def fit(data, options):
    Path(__file__).write_text(Path(__file__).read_text() + "K = 1\\n")
    fitted = least_squares.fit(data, least_squares.NoOptions())
    return least_squares.infer(data, fitted, least_squares.Inference())
"""


def forget() -> None:
    """Let files be read again."""
    for cached in ("code_digest", "imports", "meaning", "tree"):
        getattr(provenance, cached).cache_clear()


class TestCode:
    """The digest of the code covers what runs, and nothing else."""

    @pytest.mark.slow
    def test_covers_the_modules_that_are_loaded(self) -> None:
        families = [
            f"rmsweep.strategies.{name}" for name in ("least_squares", "two_stage", "mixed")
        ]
        found = provenance.sources(["rmsweep.sweep.replication", *families])
        run = subprocess.run(
            [sys.executable, "-c", LOADED],
            env=os.environ | {"PYTHONPATH": str(provenance.SOURCE_ROOT)},
            check=True,
            capture_output=True,
            text=True,
        )
        files = set(found.values())
        assert {path for path in files if path.suffix == ".py"} == set(
            map(Path, run.stdout.splitlines())
        )
        assert {path.name for path in files if path.suffix == ".R"} == {"lme4.R"}

    def test_is_remembered_as_long_as_files_and_folders_are_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(provenance, "SOURCE_ROOT", tmp_path)
        monkeypatch.setattr(provenance, "SECOND", -60 * 10**9)  # also what was written just now
        (tmp_path / "mine.py").write_text("from helpers import half, more\n")
        package = tmp_path / "helpers"
        package.mkdir()
        helper = package / "__init__.py"
        helper.write_text("half = 1")

        def digest() -> str:
            forget()
            return provenance.code_digest("mine")

        first = digest()
        with monkeypatch.context() as nothing_is_read:
            nothing_is_read.setattr(provenance, "sources", None)
            assert digest() == first
        times = helper.stat().st_atime_ns, helper.stat().st_mtime_ns
        helper.write_text("half = 2")
        os.utime(helper, ns=times)
        second = digest()
        assert second != first
        (package / "more.py").write_text("")
        third = digest()
        assert third not in (first, second)
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path, copy)
        (copy / "helpers" / "__init__.py").write_text("half = 4")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(provenance, "SOURCE_ROOT", copy)
            assert digest() not in (first, second, third)
        (tmp_path / provenance.REMEMBERED).write_text('{"mine": {"editions": 0}}')
        assert digest() == third
        # another way to make digests is as good as other code
        (tmp_path / "rules.py").write_text("")
        monkeypatch.setattr(provenance, "__file__", str(tmp_path / "rules.py"))
        assert digest() == third
        (tmp_path / "rules.py").write_text("different = True")
        with monkeypatch.context() as rules, pytest.raises(TypeError):
            rules.setattr(provenance, "sources", None)
            digest()

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
            forget()
            digests.append(provenance.code_digest("mine"))
        assert digests[1] == digests[2]
        assert len(set(digests)) == 4

    @pytest.mark.parametrize(
        ("changed", "imported"),
        [
            ("helper.py", "import helper"),
            ("pk/consts.py", "from pk.core import K"),
            ("pk/core.py", "import pk"),
            ("pk/__init__.py", "from pk.consts import K"),
            ("extra.R", "import helper; SOURCE = 'extra.R'"),
        ],
    )
    def test_follows_what_an_own_file_imports_from_its_folder(
        self, tmp_path: Path, changed: str, imported: str
    ) -> None:
        files = {
            "mine.py": f"{imported}\nfrom scipy.constants import R\n",
            "helper.py": "K = 1\n",
            "pk/__init__.py": "from . import core\n",
            "pk/core.py": "from .consts import K\n",
            "pk/consts.py": "K = 1\n",
            "extra.R": "K <- 1\n",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        forget()
        before = provenance.code_digest(str(tmp_path / "mine.py"))
        with (tmp_path / changed).open("a") as file:
            file.write("K2 = 2\n")
        forget()
        assert provenance.code_digest(str(tmp_path / "mine.py")) != before

    def test_follows_what_an_r_file_sources(self, tmp_path: Path) -> None:
        (tmp_path / "mine.R").write_text('source("extra.R")\nfit <- function(...) 1\n')
        digests = []
        for text in ("K <- 1", "K <- 2", "# two\nK <- 2"):
            (tmp_path / "extra.R").write_text(text)
            forget()
            digests.append(provenance.code_digest(str(tmp_path / "mine.R")))
        assert digests[0] != digests[1] == digests[2]

    def test_is_that_of_the_code_that_ran(self, tmp_path: Path) -> None:
        """A file that changes while its fits run is not taken for what made the rows."""
        path = tmp_path / "changing.py"
        path.write_text(CHANGING)
        config = BASE | {"strategies": [str(path)], "n_predictors": 1}
        (tmp_path / "study.yaml").write_text(json.dumps(config))
        forget()
        digest = provenance.code_digest(str(path))
        command = ["--config", str(tmp_path / "study.yaml"), "--n-groups", "10", "--n-obs", "6"]
        command += ["--sigma", "1", "--sims", "0", "--output", str(tmp_path / "shard.parquet")]
        assert fit_cell.main(command) == 0
        found = json.loads(tables.metadata(tmp_path / "shard.parquet")["strategies"])
        assert found["changing"]["code"] == digest
        forget()
        assert provenance.code_digest(str(path)) != digest

    def test_is_blind_to_docstrings_and_type_checkers_imports(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one.py", tmp_path / "two.py"
        one.write_text('def f():\n    """Say."""\n    return 1\n')
        two.write_text("def f():\n    return (1)  # one\n")
        assert provenance.meaning(one) == provenance.meaning(two)
        one.write_text("if TYPE_CHECKING:\n    import rmsweep.config\nelse:\n    import json\n")
        forget()
        assert provenance.imports(one, "") == {"json"}


def test_snakemake_still_has_what_the_rules_reach_into() -> None:
    """The names that `common.smk` uses and that are no part of Snakemake's interface."""
    dag = inspect.getsource(DAG)
    assert "self.forcefiles = set()" in dag
    assert "self.forcefiles.isdisjoint(job.output)" in dag
    assert "self.job_rate_limiter is None" in inspect.getsource(JobScheduler)
    assert DAG.needrun_jobs
    assert isinstance(Workflow.is_main_process, property)
