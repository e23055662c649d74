"""A study made from data: its datasets are like these, and its power is what others find."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy import stats
from scipy.special import ndtr

import draw
import find_sample_sizes
import fit_table
import study_from_data
from measured import made
from rmsweep import lmm
from rmsweep.config import condition_of, load_study, one_line, read_study
from rmsweep.data import template
from rmsweep.data.dataset import Batch
from rmsweep.data.levels import cross_level
from rmsweep.data.scenario import Simulated, simulate, smallest_group, term_names
from rmsweep.design import Block, Condition, Study
from rmsweep.errors import ConfigError
from rmsweep.measures.sample_size import Curve, pooled
from rmsweep.sweep import merge, provenance
from rmsweep.sweep.replication import run_block

ROOT = Path(__file__).parents[1]
SLEEP = ROOT / "config" / "power-of-yours.yaml"
GRID = {"n_groups": [6], "n_obs": [4], "sigma": [1], "n_sims": 2} | {
    "strategies": ["ols"],
    "engine": "native",
}


def write(path: Path, **columns: Any) -> Path:
    """Write a design: the groups first."""
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a design of three persons of 4, 2 and 4 rows, whose rows tell whose they are."""
    return write(
        tmp_path / "mine.parquet",
        person=[1, 1, 1, 1, 2, 2, 3, 3, 3, 3],
        trial=[0.0, 1, 2, 3, 10, 11, 20, 21, 22, 23],
        age=[5.0, 5, 5, 5, 6, 6, 7, 7, 7, 7],
    )


def study(file: Path, **keys: Any) -> Study:
    """Read a study of a file's predictors."""
    keys = {"predictors": file.name, "n_predictors": 2, "beta": [0, 1, 2]} | keys
    return load_study(GRID | keys, "s", file.parent)


def first(one: Study, sim: int = 0) -> Simulated:
    """Simulate a dataset of the first condition."""
    return simulate(one.seed, one.conditions[0], sim)


def of_sleep(**values: int) -> tuple[Study, Condition]:
    """Read the shipped study, and a condition of it."""
    one = read_study(str(SLEEP))
    given = {key: str(value) for key, value in ({"sigma": 1} | values).items()}
    return one, condition_of(one, given)


class TestRows:
    """Which persons and which of their rows a dataset has."""

    def test_as_many_as_in_the_data_are_the_data(self, file: Path) -> None:
        data = first(study(file, n_groups=[3])).data
        assert data.X[:, 1].tolist() == [10, 11, 0, 1, 2, 3, 20, 21, 22, 23]
        assert data.groups.tolist() == [0] * 2 + [1] * 4 + [2] * 4
        assert (data.terms, data.group_level) == (("Intercept", "trial", "age"), ("age",))

    def test_persons_stay_whole(self, file: Path) -> None:
        one = study(file, n_groups=[7], n_obs=[3])
        for sim in range(5):
            data = first(one, sim).data
            for group in range(7):
                rows = data.X[data.groups == group]
                (age,) = np.unique(rows[:, 2])
                assert set(rows[:, 1] // 10) == {age - 5}
            # of each person as many as of any other, to within one
            counts = np.unique(data.X[:, 2][np.unique(data.groups, return_index=True)[1]], False, 0)
            assert len(counts) == 3
        sizes = {tuple(np.bincount(first(one, sim).data.groups)) for sim in range(9)}
        assert sizes == {(2, 2, 3, 3, 3, 3, 3)}

    @pytest.mark.parametrize(
        ("how", "n_obs", "expected"),
        [
            ("first", 3, [0, 1, 2]),
            ("first", 6, [0, 0, 1, 1, 2, 3]),
            ("spread", 2, [0, 3]),
            ("spread", 3, [0, 2, 3]),
            ("spread", 5, [0, 0, 1, 2, 3]),
            ("random", 4, [0, 1, 2, 3]),
            ("random", 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        ],
    )
    def test_rows_of_another_number(
        self, how: str, n_obs: int, expected: list[int], file: Path
    ) -> None:
        one = study(file, n_groups=[3], n_obs=[n_obs], predictors={"from": file.name, "rows": how})
        data = first(one).data
        assert data.X[data.X[:, 2] == 5, 1].tolist() == expected

    def test_random_rows_are_all_as_likely(self, file: Path) -> None:
        one = study(file, n_groups=[3], n_obs=[6])
        seen = np.zeros(4)
        for sim in range(400):
            data = first(one, sim).data
            counts = np.bincount(data.X[data.X[:, 2] == 5, 1].astype(int), minlength=4)
            assert sorted(counts) == [1, 1, 2, 2]
            seen += counts - 1
        # 400 draws of 2 of 4: 200 each, with a variance of 100 less than independent ones
        assert np.abs(seen - 200).max() < 5 * 10

    def test_the_smallest_group_is_known(self, file: Path) -> None:
        assert smallest_group(study(file, n_groups=[8]).conditions[0]) == 2

    def test_missing_rows_can_be_added(self, file: Path) -> None:
        whole = first(study(file, n_groups=[3])).data
        part = first(study(file, n_groups=[3], missing={"from": "mcar", "rate": 0.5})).data
        assert 0 < len(part.y) < len(whole.y)
        assert set(part.y) <= set(whole.y)


class TestNames:
    """Terms have the user's names in tables, and plain words for every program."""

    def test_any_name_will_do(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        columns = {name: rng.standard_normal(40) for name in ("I(x^2)", "Group", "DV", "dose b")}
        file = write(tmp_path / "odd.parquet", Group_=np.repeat(np.arange(8), 5), **columns)
        one = study(file, n_predictors=4, beta=[0, 1, 2, 3, 4], n_obs=[5], n_groups=[8])
        names = ("Intercept", *columns)
        assert term_names(one.conditions[0]) == names
        assert first(one).data.terms == ("Intercept", "V1", "V2", "V3", "V4")
        rows = run_block(one, Block(one.conditions[0], range(1)))
        assert rows["status"].to_pylist()[-1] != "failed"
        assert [coef["term"] for coef in rows["coefs"][0].as_py()] == list(names)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such file": ({"predictors": "yours.parquet"}, "predictors: 'yours.parquet' is not allowed"),
    "no such way": (
        {"predictors": {"from": "mine.parquet", "rows": "last"}},
        "allowed: for rows random, first, spread",
    ),
    "a Python file": (
        {"predictors": "mine.py"},
        "predictors: 'mine.py' is not allowed",
    ),
    "a file elsewhere": ({"missing": "mine.parquet"}, "missing: "),
    "predictors": (
        {"n_predictors": 3, "beta": 1},
        "n_predictors: 3 is not allowed; allowed: 2",
    ),
    "means": ({"predictor_mean": 1}, "predictor_mean: 1 is not allowed; allowed: its default"),
    "sizes": ({"group_sizes": "unequal"}, "group_sizes: 'unequal' is not allowed"),
    "items": ({"n_items": 4}, "n_items: 4 is not allowed; allowed: 0, as the file has none"),
    "correlations of items": ({"item_correlation": 0.5}, "item_correlation: 0.5 is not allowed"),
    "drawn correlations": (
        {
            "effect_correlation": [[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]],
            "correlation_range": 0.1,
        },
        "effect_correlation: [[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]] is not allowed; "
        "allowed: one number, with correlation_range",
    ),
    "slopes of age": ({"sigma_ratio": [1, 1, 1]}, ""),
    "slopes of age alone": ({"sigma_ratio": [1, 2, 3]}, "allowed: 0 for what is constant within"),
    "power of none": ({"power": {"effect": "dose"}}, "allowed: a coefficient of all data: Interc"),
    "power for zero": ({"power": {"effect": "age"}, "beta": [1, 1, 0]}, "power: effect: 'age' is"),
    "power for any": ({"power": {"effect": "age"}, "beta": "random"}, "beta is the same number"),
    "power of 1": ({"power": {"effect": "age", "target": 1}}, "power: {'effect': 'age', 'target'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_that_cannot_be_is_refused_in_one_line(name: str, file: Path) -> None:
    keys, message = REFUSED[name]
    if not message:
        assert study(file, **keys)
        return
    with pytest.raises(ConfigError) as caught:
        study(file, **keys)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"g": [1, 1, 2, 2], "x": ["a", "b", "c", "d"]}, "a Parquet file of numbers"),
        ({"g": [1, 1, 2, 2], "x": [1.0, 2, 3, None]}, "missing or not finite"),
        ({"g": [1, 1, 2, None], "x": [1.0, 2, 3, 4]}, "rows without a group"),
        ({"g": [1, 1, 2, 2]}, "0 columns beside the group"),
        ({"g": [1, 1, 2, 2], "Intercept": [1.0, 1, 1, 1]}, "a name twice, or Intercept"),
        ({"g": [1, 1, 2, 2], "a": [1.0, 1, 2, 2], "x": [1.0, 2, 3, 5]}, "constant within groups b"),
    ],
)
def test_a_file_that_is_no_design_is_refused(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "bad.parquet", **columns)
    with pytest.raises(ConfigError, match=message):
        study(file, n_predictors=1, beta=[0, 1])
    (tmp_path / "none.parquet").write_text("PAR1")
    with pytest.raises(ConfigError, match="a Parquet file of numbers"):
        study(tmp_path / "none.parquet")


class TestIdentity:
    """The numbers of a design are a part of what makes a dataset; where they lie is not."""

    @staticmethod
    def identity(one: Study) -> tuple[str, str]:
        template.read.cache_clear()
        shard = provenance.shard_identity(one, one.conditions[0], {})
        return shard["data"], provenance.table_identity(one, {})["code"]

    def test_a_changed_number_makes_all_anew(self, file: Path, tmp_path: Path) -> None:
        before = self.identity(study(file))
        other = tmp_path / "elsewhere"
        other.mkdir()
        shutil.copy(file, other)
        assert self.identity(study(other / file.name)) == before
        table = pq.read_table(file)
        pq.write_table(table, file, compression="none", use_dictionary=False)
        assert self.identity(study(file)) == before
        changed = pc.add(table["trial"], pa.array([0.0] * 9 + [1e-9]))
        pq.write_table(table.set_column(1, "trial", changed), file)
        after = self.identity(study(file))
        assert all(one != two for one, two in zip(before, after, strict=True))

    def test_a_study_without_a_file_leaves_no_trace(self, file: Path) -> None:
        plain = load_study(GRID, "s")
        assert plain == load_study(GRID | {"predictors": "drawn"}, "s")
        assert str(plain.conditions[0]) == "n_groups=6/n_obs=4/sigma=1"
        one = study(file)
        assert "/n_predictors=2,predictors=mine,beta=0_1_2" in str(one.conditions[0])
        assert read_study(one_line(one)) == one


def test_numbers_of_groups_of_a_study_that_no_longer_asks_are_removed(tmp_path: Path) -> None:
    keys = {"n_predictors": 1, "beta": [0, 1]}
    asks = load_study(GRID | keys | {"power": {"effect": "IV1"}}, "s")
    table = tmp_path / "sample_sizes.csv"
    for one, kept in ((asks, True), (load_study(GRID | keys, "s"), False)):
        table.touch()
        merge.tidy_up(one, tmp_path / "cells", [])
        assert table.exists() == kept


class TestCrossLevel:
    """Terms that others determine within each group have no slope of their own."""

    groups = np.repeat(np.arange(6), 8)
    trial = np.tile(np.arange(8.0), 6)
    condition = trial % 2
    age = np.array([20.0, 31, 45, 28, 60, 33])[groups]

    def found(self, *columns: Any) -> list[bool]:
        return cross_level(np.column_stack(columns), self.groups)

    def test_interactions_with_a_predictor_of_groups(self) -> None:
        trial, condition, age = self.trial, self.condition, self.age
        assert self.found(trial, age * trial) == [False, True]
        assert self.found(trial, 1e-6 * (age - 40) * trial) == [False, True]
        assert self.found(trial, condition, trial * condition) == [False] * 3
        crossed = age * trial, age * condition, age * trial * condition
        inner = trial, condition, trial * condition
        assert self.found(*inner, *crossed) == [False] * 3 + [True] * 3
        male = age > 30
        assert self.found(condition, male * condition) == [False, True]

    def test_too_few_rows_determine_nothing(self) -> None:
        x = np.random.default_rng(0).standard_normal((12, 2))
        assert cross_level(x, np.repeat(np.arange(6), 2)) == [False, False]

    def test_in_a_study(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "crossed.parquet",
            g=self.groups,
            trial=self.trial,
            both=self.age * self.trial,
            age=self.age,
        )
        one = study(file, n_predictors=3, beta=[1, 1, 1, 1], strategies=["lmer", "lm"], n_obs=[8])
        assert first(one).data.cross_level == ("both",)
        with pytest.raises(ConfigError, match="other terms determine both within each group"):
            study(file, n_predictors=3, beta=1, strategies=["lm2"])

    @pytest.mark.slow
    def test_in_a_formula(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rng = np.random.default_rng(1)
        frame = pd.DataFrame({"id": self.groups, "trial": self.trial, "age": self.age})
        slopes = rng.standard_normal((2, 6))[:, self.groups]
        frame["y"] = slopes[0] + slopes[1] * self.trial + rng.standard_normal(48)
        frame["product"] = frame["age"] * frame["trial"]
        frame.to_csv(tmp_path / "data.csv", index=False)
        formulas = {"y ~ age * trial": "age:trial", "y ~ trial + product + age": "product"}
        for formula, term in formulas.items():
            command = [str(tmp_path / "data.csv"), "--formula", formula, "--group", "id"]
            assert fit_table.main([*command, "--strategies", "lmer", "lm2"]) == 0
            shown = capsys.readouterr().out
            assert f"y ~ trial + {term} + age + (trial | id)" in shown
            assert f"Without a random slope of its own: {term}" in shown
            assert f"failed: other terms determine {term} within each group" in shown
            own = ["--strategies", "lmer_bw", "lmer_mundlak", "--engine", "native", "--json"]
            assert fit_table.main([*command, *own]) == 0
            for result in json.loads(capsys.readouterr().out):
                assert result["status"] != "failed"
                (coef,) = (it for it in result["coefs"] if it["term"] == term)
                # of 6 persons, 2 coefficients of theirs: balanced, so that all conventions agree
                assert coef["df"] == pytest.approx(4, rel=1e-3)
                assert term in result["se_type"] or result["strategy"] == "lmer_bw"


@pytest.mark.slow
class TestScript:
    """From a data file to a study."""

    def test_the_shipped_study_is_what_its_command_gives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = next(it for it in SLEEP.read_text().splitlines() if it.startswith("#   python"))
        _, script, *command = shlex.split(line.removeprefix("#"))
        assert script == "scripts/study_from_data.py"
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        monkeypatch.chdir(tmp_path)
        assert study_from_data.main(command) == 0
        made_now = tmp_path / "config" / SLEEP.name
        assert made_now.read_text() == SLEEP.read_text()
        one, two = (template.read(str(it.with_suffix(".parquet"))) for it in (made_now, SLEEP))
        assert one.digest == two.digest
        # what the README has is the same with other designs
        assert "examples/sleepstudy.csv" in line
        readme = (ROOT / "README.md").read_text().replace("\\\n", "")
        command = shlex.split(
            next(
                it
                for it in readme.splitlines()
                if it.strip().startswith("python scripts/study_from_data.py")
            )
        )
        assert study_from_data.main(command[2:]) == 0
        assert read_study(str(tmp_path / "config" / "mine.yaml")).power.effect == "Days"

    def test_a_run_ends_with_the_numbers_of_people(self, tmp_path: Path) -> None:
        command = ["snakemake", "-n", "--cores", "1", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(tmp_path), "--configfile", str(SLEEP), "--quiet", "host"]
        run = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, timeout=300
        )
        assert run.returncode == 0, run.stderr
        assert "results/power-of-yours/sample_sizes.csv" in run.stdout + run.stderr
        assert "figures/power.svg" in run.stdout + run.stderr

    def test_every_number_says_where_it_comes_from(self) -> None:
        lines = SLEEP.read_text().splitlines()
        numbers = [it for it in lines if it.startswith(("  - ", "n_", "sigma", "noise"))]
        assert len(numbers) > 10
        assert all(" # " in it for it in numbers)

    @pytest.mark.parametrize(
        ("formula", "terms", "between", "strategies"),
        [
            ("rt ~ trial + dose", ("trial", "doseLow", "doseNone"), 0, "lm2"),
            ("rt ~ trial + age", ("trial", "age"), 1, "lm2_level2"),
            (
                "rt ~ age * log(trial + 1)",
                ("log(trial + 1)", "age:log(trial + 1)", "age"),
                1,
                "lmer_zcp",
            ),
            ("rt ~ trial + (1 | person)", ("trial",), 0, "lm2"),
            (
                "rt ~ dose + log(trial + 1) + (log(trial + 1) || person)",
                ("doseLow", "doseNone", "log(trial + 1)"),
                0,
                "lmer_formula",
            ),
        ],
    )
    def test_data_of_all_kinds(
        self,
        formula: str,
        terms: tuple[str, ...],
        between: int,
        strategies: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        frame = pd.read_csv(ROOT / "tests" / "data" / "trials.csv", keep_default_na=False)
        frame["age"] = frame["person"].map(dict(enumerate(np.tile([20, 31, 45, 62], 8))))
        frame.loc[[3, 40, 41], "rt"] = np.nan
        frame[frame["person"] != 5].to_csv(tmp_path / "data.csv", index=False)
        output = tmp_path / "my.yaml"
        command = [str(tmp_path / "data.csv"), "--formula", formula, "--group", "person"]
        assert study_from_data.main([*command, "--output", str(output)]) == 0
        assert capsys.readouterr().out.split() == [str(output), str(output.with_suffix(".parquet"))]
        one = read_study(str(output))
        condition = one.conditions[0]
        assert term_names(condition) == ("Intercept", *terms)
        assert strategies in [it.name for it in one.strategies]
        data = simulate(0, condition_of(one, {"n_groups": "23", "n_obs": "18"}), 0).data
        assert len(data.y) == len(frame) - 18 - 3
        assert len(data.group_level) == between
        assert sorted(np.bincount(data.groups))[:2] == [16, 17]
        rows = run_block(one, Block(condition, range(2)))
        assert "failed" not in rows["status"].to_pylist()

    def test_standard_output_says_where_the_design_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copy(ROOT / "examples" / "sleepstudy.csv", tmp_path / "sleep.csv")
        monkeypatch.chdir(tmp_path)
        command = ["sleep.csv", "--formula", "Reaction ~ Days", "--group", "Subject"]
        assert study_from_data.main(command) == 0
        shown = capsys.readouterr()
        assert shown.err.startswith("config/sleep.parquet: ")
        (tmp_path / "config" / "mine.yaml").write_text(shown.out)
        one = read_study("config/mine.yaml")
        assert one.conditions[0]["beta"] == (251.405, 10.4673)

    def test_a_name_ends_no_comment(self, tmp_path: Path) -> None:
        frame = pd.read_csv(ROOT / "examples" / "sleepstudy.csv")
        frame = frame.rename(columns={"Days": "d\nseed: 7", "Subject": "s\nseed: 8"})
        data, output = tmp_path / "data.csv", tmp_path / "my.yaml"
        frame.to_csv(data, index=False)
        command = [str(data), "--formula", "Reaction ~ `d\nseed: 7`", "--group", "s\nseed: 8"]
        assert study_from_data.main([*command, "--output", str(output)]) == 0
        one = read_study(str(output))
        assert one.seed == 0
        assert one.power
        assert one.power.effect == term_names(one.conditions[0])[1]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--formula", "Reaction ~ 0 + Days"], "formula: without an intercept"),
            (["--formula", "Reaction ~ 1"], "formula: without a predictor"),
            (
                ["--formula", "Reaction ~ Days + (Days | Subject) + (1 | Subject)"],
                "2 random-effects terms; allowed: one",
            ),
            (
                ["--formula", "Reaction ~ Days + (exp(Days) | Subject)"],
                "random effects of exp(Days)",
            ),
            (["--formula", "Reaction ~ factor(Days)"], "number of observations (=180) <= number"),
            (
                ["--formula", "Reaction ~ Days", "--effect", "Day"],
                "'Day' is no term; allowed: Days",
            ),
            (["--formula", "Reaction ~ Days", "--effect", "Days=x"], "'x' is no number"),
            (["--formula", "Reaction ~ Days", "--power", "80"], "--power: '80' is not allowed"),
            (
                ["--formula", "Reaction ~ Days", "--effect", "Days=0"],
                "power: effect: 'Days' is not",
            ),
            (["--formula", "Reaction ~ Days", "--strategies", "lme"], "lme"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(
        self,
        options: list[str],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        data = str(ROOT / "examples" / "sleepstudy.csv")
        command = [data, "--group", "Subject", "--output", str(tmp_path / "my.yaml")]
        assert study_from_data.main([*command, *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not [*tmp_path.iterdir()]


class TestNumbers:
    """Datasets and power against what is known from elsewhere."""

    def test_datasets_give_back_the_numbers_of_the_study(self) -> None:
        one, condition = of_sleep(n_groups=108, n_obs=10)
        data = [simulate(one.seed, condition, sim).data for sim in range(200)]
        products = Batch(data).crossproducts(data[0].terms)
        fitted = lmm.fit(products, reml=True, covariance="full")
        L = np.zeros((200, 2, 2))
        L[:, 0, 0], L[:, 1, 0], L[:, 1, 1] = fitted.theta.T
        G = L @ L.transpose(0, 2, 1) * fitted.sigma[:, None, None] ** 2
        sd, R = np.array(condition["sigma_ratio"]), condition["effect_correlation"]
        found = np.column_stack([fitted.estimate, G[:, 0, 0], G[:, 1, 1], G[:, 1, 0]])
        found = np.column_stack([found, fitted.sigma**2])
        truth = [*condition["beta"], *sd**2, R * sd.prod(), condition["noise_sd"] ** 2]
        mcse = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - truth) < 3 * mcse).all()
        # the numbers themselves, which are lme4's
        np.testing.assert_allclose(sd, [24.7405, 5.92214], rtol=1e-4)
        assert condition["noise_sd"] == pytest.approx(25.5918, rel=1e-5)

    @pytest.mark.parametrize(("n_groups", "found"), [(12, 664), (18, 860)])
    def test_power_of_lmer_is_what_simulation_in_r_finds(self, n_groups: int, found: int) -> None:
        """`benchmarks/power_by_simulation.R` counted 1,000 fits of lmerTest's."""
        one, condition = of_sleep(n_groups=n_groups, n_obs=10)
        power = rejections(one, condition, "lmer", "Days", 2000).mean()
        mcse = np.sqrt(power * (1 - power) * (1 / 2000 + 1 / 1000))
        assert abs(power - found / 1000) < 3 * mcse

    def test_power_for_a_predictor_of_groups_has_a_closed_form(self, tmp_path: Path) -> None:
        """With random intercepts, balanced: that of the t test of two halves' group means."""
        G, n, tau, sigma, delta = 16, 10, 1.0, 2.0, 1.6
        drug = np.repeat(np.repeat([0.0, 1.0], G // 2), n)
        trial = np.tile(np.arange(n) - (n - 1) / 2, G)
        file = write(tmp_path / "two.parquet", g=np.repeat(np.arange(G), n), trial=trial, drug=drug)
        one = study(
            file,
            n_groups=[G],
            n_obs=[n],
            beta=[1, 0, delta],
            sigma_ratio=[tau, 0, 0],
            noise_sd=sigma,
            strategies=["lmer_mis", "lm2_level2"],
        )
        ncp = delta / np.sqrt(4 * (tau**2 + sigma**2 / n) / G)
        critical = stats.t.ppf(0.975, G - 2)
        expected = stats.nct.sf(critical, G - 2, ncp) + stats.nct.cdf(-critical, G - 2, ncp)
        assert 0.5 < expected < 0.9
        mcse = np.sqrt(expected * (1 - expected) / 2000)
        for strategy in ("lmer_mis", "lm2_level2"):
            power = rejections(one, one.conditions[0], strategy, "drug", 2000).mean()
            assert abs(power - expected) < 3 * mcse


def rejections(
    one: Study, condition: Condition, strategy: str, term: str, n_sims: int
) -> np.ndarray[Any, Any]:
    """Whether a strategy finds an effect, dataset by dataset."""
    keys = one.source | {"strategies": [strategy], "references": [], "n_sims": n_sims}
    rows = run_block(load_study(keys, "s"), Block(condition, range(n_sims)))
    flat = pc.list_flatten(rows["coefs"].combine_chunks())
    own = flat.filter(pc.equal(flat.field("term"), term))
    return np.asarray(own.field("p_value")) < 0.05


class TestSmallestNumber:
    """The least number of groups, from a curve of power."""

    n_groups = np.array([8.0, 12, 18, 27, 40])

    def test_a_curve_of_a_z_test_is_met(self) -> None:
        rates = ndtr(-1.96 + 0.7 * np.sqrt(self.n_groups))
        exact = ((1.96 + stats.norm.ppf(0.8)) / 0.7) ** 2
        curve = Curve(self.n_groups, rates, np.full(5, 1e9))
        assert curve.smallest(0.8) == (np.ceil(exact),) * 3
        few = Curve(self.n_groups, rates, np.full(5, 200.0)).smallest(0.8)
        assert few[1] < few[0] < few[2]

    def test_the_grid_may_not_reach(self) -> None:
        n = np.full(5, 1000.0)
        assert Curve(self.n_groups, np.linspace(0.1, 0.5, 5), n).smallest(0.8) == (None,) * 3
        assert Curve(self.n_groups, np.linspace(0.9, 0.99, 5), n).smallest(0.8) == (None,) * 3
        estimate, low, high = Curve(self.n_groups, np.linspace(0.1, 0.81, 5), n).smallest(0.8)
        assert (estimate, high) == (40, None)
        assert 27 < low < 40

    def test_power_that_falls_is_pooled(self) -> None:
        rates, weights = pooled(np.array([0.2, 0.6, 0.5, 0.9]), np.array([10.0, 10, 30, 10]))
        np.testing.assert_allclose(rates, [0.2, 0.525, 0.525, 0.9])
        np.testing.assert_allclose(weights, [10, 40, 40, 10])

    @pytest.mark.parametrize("seed", [0, 1])
    def test_intervals_hold_the_truth(self, seed: int) -> None:
        rates = ndtr(-1.96 + 0.7 * np.sqrt(self.n_groups))
        exact = np.ceil(((1.96 + stats.norm.ppf(0.8)) / 0.7) ** 2)
        rng = np.random.default_rng(seed)
        inside = 0
        for _ in range(400):
            seen = rng.binomial(1000, rates) / 1000
            _, low, high = Curve(self.n_groups, seen, np.full(5, 1000.0)).smallest(0.8)
            inside += low <= exact <= high
        assert inside >= 0.95 * 400

    def test_table_and_figure(self, file: Path, tmp_path: Path) -> None:
        keys = {
            "n_groups": [6, 12, 24],
            "n_obs": [2, 4],
            "beta": [0, 0.5, 0],
            "sigma_ratio": [1, 0.5, 0],
            "n_sims": 60,
            "strategies": ["lm", "lmer_mis"],
            "power": {"effect": "trial", "target": 0.7},
        }
        one = study(file, **keys)
        performance = made(one, tmp_path)
        outputs = [str(tmp_path / f"sample_sizes{kind}") for kind in (".parquet", ".csv")]
        source = str(tmp_path / "performance.parquet")
        assert find_sample_sizes.main([source, "--output", *outputs]) == 0
        found = pd.read_parquet(outputs[0])
        pd.testing.assert_frame_equal(found, pd.read_csv(outputs[1]), check_dtype=False)
        assert found[["n_obs", "strategy"]].to_numpy().tolist() == [
            [n_obs, strategy] for n_obs in (2, 4) for strategy in ("lm", "lmer_mis")
        ]
        for _, row in found.iterrows():
            at = (performance["n_groups"] == row["design"]) & (performance["n_obs"] == row["n_obs"])
            at &= (performance["strategy"] == row["strategy"]) & (performance["term"] == "trial")
            at &= (performance["measure"] == "rejection_of_run") & (performance["fits"] == "all")
            assert performance.loc[at, "value"].tolist() == [row["power"]]
            assert row["power"] >= 0.7 or "more than" in row["says"]
        assert draw.main([str(tmp_path / "fits.parquet"), "--only", "power"]) == 0
        drawn = plt.imread(tmp_path / "figures" / "power.png")
        assert drawn.std() > 0
        text = (tmp_path / "figures" / "power.svg").read_text()
        assert "Number of groups" in text
        assert "coefficient trial" in text
        for _, row in found[found["n_groups"].notna()].iterrows():
            assert f"{row['strategy']}\N{NO-BREAK SPACE}{row['n_groups']:.0f}" in text
