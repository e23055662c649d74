"""A study made from data of people who each met some of the items, with several predictors."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rerun_replication
import study_from_data
from rmsweep import like
from rmsweep.config import load_study, read_study
from rmsweep.data import template
from rmsweep.data.cells import Cells, evenly
from rmsweep.data.scenario import Simulated, rows_differ, simulate
from rmsweep.design import MAIN, Block, Study
from rmsweep.errors import ConfigError
from rmsweep.sweep.replication import run_block

ROOT = Path(__file__).parents[1]
GRID = {"n_groups": [4], "n_obs": [5], "sigma": [1], "n_sims": 2} | {
    "strategies": ["lmer_items_mis"],
    "engine": "native",
}
OF_R = {
    "estimate": [-0.21362774, 0.04942268, -0.27999962, -0.24266793],
    "se": [0.03265769, 0.01899241, 0.02745613, 0.03798449],
    "sd": [0.03274025, 0.01885871, 0.02840222, 0.03746793],
    "size": [0.046, 0.054, 0.068, 0.042],
    "power": [1.0, 0.734, 1.0, 1.0],
}
"""Of the intercept, x1, x2 and x1:x2: what `benchmarks/power_of_incomplete_data.R` printed."""
FORMULA = "rt ~ kind * age + freq + trial + (trial | person) + (1 | word)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a design of four people and six items; a row's number is 10 of the person + the item."""
    met = {1: "abcde", 2: "abcdf", 3: "abce", 4: "bcdef"}
    rows = [(person, item) for person, items in met.items() for item in items]
    columns = {
        "person": [person for person, _ in rows],
        "word": [item for _, item in rows],
        "row": [10.0 * person + "abcdef".index(item) for person, item in rows],
        "freq": [float("abcdef".index(item)) for _, item in rows],
        "age": [float(person) for person, _ in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
    return tmp_path / "mine.parquet"


def study(file: Path, **keys: Any) -> Study:
    """Read a study of a file's predictors."""
    keys = {"predictors": file.name, "n_predictors": 3, "beta": 0, "n_items": "all"} | keys
    return load_study(GRID | keys, "s", file.parent)


def first(one: Study, sim: int = 0) -> Simulated:
    """Simulate a dataset of the first condition."""
    return simulate(one.seed, one.conditions[0], sim)


def write(path: Path) -> None:
    """Write data of 30 people and 40 words; each person met some 30 of them, in an order of his."""
    rng = np.random.default_rng(2)
    n_people, n_words = 30, 40
    kinds, freq = np.array(["fruit", "tool", "verb"])[np.arange(n_words) % 3], rng.normal(size=40)
    age, people, words = rng.normal(size=30), rng.normal(size=(30, 2)), rng.normal(size=40)
    rows = []
    for person in range(n_people):
        for trial, word in enumerate(rng.permutation(n_words)[: rng.integers(25, 36)]):
            slope = -0.5 + 0.3 * people[person, 1]
            y = 6 + people[person, 0] + 0.6 * words[word] + slope * trial / 10 + rng.normal()
            y += 0.4 * (kinds[word] == "verb") + 0.3 * freq[word] + 0.2 * age[person]
            row = (f"p{person}", f"w{word}", kinds[word], freq[word], age[person], trial / 10, y)
            rows.append(row)
    names = ["person", "word", "kind", "freq", "age", "trial", "rt"]
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)


class TestCells:
    """Which people, items and rows a dataset has."""

    def test_as_many_as_in_the_data_are_the_data(self, file: Path) -> None:
        data = first(study(file)).data
        rows = [10, 11, 12, 13, 14, 20, 21, 22, 23, 25, 30, 31, 32, 34, 41, 42, 43, 44, 45]
        assert data.X[:, 1].tolist() == rows
        assert (data.factors["Item"] == data.X[:, 2]).all()
        assert (data.groups + 1 == data.X[:, 3]).all()
        assert (data.group_level, data.constant) == (("age",), {"Item": ("freq",)})

    def test_copies_have_the_same_rows_and_are_others(self, file: Path) -> None:
        one = study(file, n_groups=[9], n_obs=[8])
        starts = set()
        for sim in range(6):
            found = first(one, sim)
            people = found.data.X[np.unique(found.data.groups, return_index=True)[1], 3]
            assert sorted(np.unique(people, return_counts=True)[1]) == [2, 2, 2, 3]
            # 6 · 8 / 5 items
            items = found.data.X[np.unique(found.data.factors["Item"], return_index=True)[1], 2]
            assert len(items) == 10
            assert set(np.unique(items, return_counts=True)[1]) == {1, 2}
            assert found.item_effects is not None
            assert len(np.unique(found.item_effects[:, 0])) == 10
            # all rows of a person are those of the items that he met
            for group, person in enumerate(people):
                own = found.data.groups == group
                met = {1: "01234", 2: "01235", 3: "0124", 4: "12345"}[int(person)]
                expected = [it for it in items if str(int(it)) in met]
                assert sorted(found.data.X[own, 2]) == sorted(expected)
            starts.add(tuple(items))
        assert len(starts) > 1

    def test_a_person_who_met_none_of_the_items_is_left_out(self, tmp_path: Path) -> None:
        columns = {"g": [1, 1, 1, 1, 2], "i": ["a", "b", "c", "d", "a"], "x": [0.0, 1, 2, 3, 4]}
        pq.write_table(pa.table(columns), tmp_path / "few.parquet")
        one = study(tmp_path / "few.parquet", n_predictors=1, n_groups=[6], n_obs=[2])
        for sim in range(8):
            found = first(one, sim)
            assert found.data.n_groups == len(found.coefficients) in (3, 6)

    def test_items_of_one_group_each_stay_its_own(self) -> None:
        groups, items = np.repeat([0, 1], 6), np.repeat(np.arange(6), 2)
        cells = Cells.of(groups, items)
        assert cells.nested
        assert cells.balanced
        assert not Cells.of(groups[1:], items[1:]).balanced
        assert not Cells.of(np.append(groups, 1), np.append(items, 6)).balanced
        rows, sizes, labels = cells.resampled(np.random.default_rng(0), 4, 5 / 3)
        assert sizes.tolist() == [10] * 4
        assert len(np.unique(labels)) == 20
        of = np.repeat(np.arange(4), sizes)
        assert all(len(np.unique(of[labels == label])) == 1 for label in range(20))
        assert (groups[rows] == of // 2).all()

    def test_each_is_taken_as_likely(self) -> None:
        rng = np.random.default_rng(0)
        assert evenly(rng, 3, 6).tolist() == [0, 0, 1, 1, 2, 2]
        taken = np.array([np.bincount(evenly(rng, 7, 10), minlength=7) for _ in range(3000)])
        assert set(taken.ravel()) == {1, 2}
        share = taken.mean(axis=0) - 1
        assert np.abs(share - 3 / 7).max() < 4 * np.sqrt(3 / 7 * 4 / 7 / 3000)

    def test_like_items_and_people_are_next_to_each_other(self) -> None:
        """A Latin square in disorder, with missing rows: halves of it keep the square."""
        rng = np.random.default_rng(1)
        lists, sets = rng.permutation(20) % 2, rng.permutation(12) % 2
        groups, items = (it.ravel() for it in np.indices((20, 12)))
        kept = rng.random(240) > 0.1
        groups, items = groups[kept], items[kept]
        X = np.column_stack([np.ones(len(items)), (lists[groups] + sets[items]) % 2])
        for levels, others, of in ((groups, items, lists), (items, groups, sets)):
            place = like.by_likeness(X, levels, others)
            assert (np.diff(of[np.argsort(place)]) != 0).sum() == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no items": ({"n_items": 0}, "n_items: 0 is not allowed; allowed: all, as the file has items"),
    "a number": ({"n_items": 4}, "n_items: 4 is not allowed; allowed: all, as the file has items"),
    "their design": ({"item_design": "between"}, "item_design: 'between' is not allowed"),
    "slopes": ({"item_sigma_ratio": [1, 1, 1, 0]}, "0 for what is constant within items, freq"),
    "rows": ({"predictors": {"from": "mine.parquet", "rows": "first"}}, "rows random, where the"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_that_cannot_be_is_refused_in_one_line(name: str, file: Path) -> None:
    keys, message = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        study(file, **keys)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_items_are_part_of_what_a_file_says(file: Path) -> None:
    table = pq.read_table(file)
    other = table.set_column(1, "word", pa.array(table["word"].to_pylist()[::-1]))
    pq.write_table(other, file.with_name("other.parquet"))
    digests = {
        template.read(str(file.with_name(f"{it}.parquet"))).digest for it in ("mine", "other")
    }
    assert len(digests) == 2


class TestScript:
    """From a data file to datasets like it."""

    def test_a_usual_experiment(self, tmp_path: Path) -> None:
        write(tmp_path / "data.csv")
        output = tmp_path / "my.yaml"
        command = [str(tmp_path / "data.csv"), "--formula", FORMULA, "--group", "person"]
        command += ["--effect", "trial=-0.3", "--output", str(output)]
        assert study_from_data.main(command) == 0
        one = read_study(str(output))
        assert one.power
        assert one.power.effect == "trial"
        names = [it.name for it in one.strategies]
        # nobody's own regression tells kindtool:age from kindtool
        assert "f1" not in names
        assert {"lmer_items", "lmer_items_kr", "lm_twoway", "lmer_formula"} <= {*names}
        data = first(one).data
        assert (data.group_level, data.cross_level) == (("age",), ("V1", "V2"))
        assert data.constant == {"Item": ("kindtool", "kindverb", "freq")}
        assert data.determined == {"Item": ("V1", "V2")}
        rows = run_block(one, Block(one.conditions[0], range(1)))
        assert "failed" not in rows["status"].to_pylist()
        chosen = {f"--{key.replace('_', '-')}": str(one.conditions[0][key]) for key in MAIN}
        page = tmp_path / "page.html"
        command = ["--config", str(output), "--sim", "0", "--html", str(page)]
        assert rerun_replication.main([*command, *chain(*chosen.items())]) == 0
        assert "V1 for kindtool:age, V2 for kindverb:age" in page.read_text(encoding="utf-8")

    def test_items_within_groups(self, tmp_path: Path) -> None:
        """Pastes of lme4: ten batches of three casks each, whose number is a predictor here."""
        data, output = ROOT / "tests" / "data" / "pastes.csv", tmp_path / "my.yaml"
        command = [str(data), "--group", "batch", "--output", str(output)]
        command += ["--formula", "strength ~ cask + (1 | batch/cask)", "--n-groups", "12"]
        assert study_from_data.main([*command, "--n-obs", "6", "12"]) == 0
        one = read_study(str(output))
        names = [it.name for it in one.strategies]
        # a cask's own intercept is the slope of its number
        assert "lmer_items" not in names
        assert [it.name for it in one.strategies if it.name in one.references] == ["lmer_items_mis"]
        for condition, n_casks in zip(one.conditions, (3, 6), strict=True):
            made = simulate(0, condition, 0).data
            casks = np.unique(np.column_stack([made.groups, made.factors["Item"]]), axis=0)
            assert np.bincount(casks[:, 0]).tolist() == [n_casks] * 12
            assert len(np.unique(casks[:, 1])) == len(casks)
            assert not rows_differ(condition)

    def test_an_edited_study_stays(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "data.csv")
        output = tmp_path / "my.yaml"
        formula = "rt ~ trial + (1 | person) + (1 | word)"
        command = [str(tmp_path / "data.csv"), "--formula", formula, "--group", "person"]
        command += ["--output", str(output)]
        assert study_from_data.main(command) == 0
        output.write_text(output.read_text().replace("seed: 0", "seed: 1"))
        assert study_from_data.main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{output}: is there already; allowed: --overwrite, or another --output" in line
        assert "seed: 1" in output.read_text()
        output.unlink()
        assert study_from_data.main(command) == 2
        assert "my.parquet: is there already" in capsys.readouterr().err
        assert study_from_data.main([*command, "--overwrite"]) == 0
        assert "seed: 0" in output.read_text()

    def test_datasets_are_those_of_simulation_in_r(self, tmp_path: Path) -> None:
        """`benchmarks/power_of_incomplete_data.R` simulated 500 datasets from lme4's fit."""
        data = pd.read_csv(ROOT / "tests" / "data" / "fhch2010.csv.gz")
        data = data[data["item"] <= 150]
        data.to_csv(tmp_path / "data.csv", index=False)
        output, most = tmp_path / "my.yaml", data["id"].value_counts().max()
        command = [str(tmp_path / "data.csv"), "--group", "id", "--output", str(output)]
        command += ["--formula", "log_rt ~ x1 * x2 + (x2 | id) + (1 | item)", "--effect", "x1"]
        assert study_from_data.main([*command, "--n-groups", "20", "--n-obs", str(most)]) == 0
        one = read_study(str(output))
        one = replace(one, strategies=one.strategies[-1:])
        assert [it.name for it in one.strategies] == ["lmer_formula"]
        (condition,) = one.conditions
        n_sims = 500
        rows = run_block(one, Block(condition, range(n_sims)))
        coefs = pd.DataFrame([it for fit in rows["coefs"].to_pylist() for it in fit])
        found = coefs.assign(size=coefs["p_truth"] < 0.05, power=coefs["p_value"] < 0.05).groupby(
            "term", sort=False
        )
        assert (found.size() == n_sims).all()
        mean, sd = found.mean(), found["estimate"].std()
        of_r = pd.DataFrame(OF_R, index=mean.index)
        unit = np.sqrt(2 / n_sims)
        assert (np.abs(mean["estimate"] - of_r["estimate"]) < 3 * unit * sd).all()
        assert (np.abs(mean["se"] / of_r["se"] - 1) < 0.02).all()
        assert (np.abs(sd / of_r["sd"] - 1) < 3 * unit * np.sqrt(0.5)).all()
        for share in ("size", "power"):
            mcse = unit * np.sqrt((of_r[share] * (1 - of_r[share])).clip(lower=1e-3))
            assert (np.abs(mean[share] - of_r[share]) < 3 * mcse).all()
