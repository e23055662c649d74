"""What a study can say of its scenario: pieces with options, and files of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import check_piece
from rmsweep.config import load_study, one_line, read_study
from rmsweep.data import contract
from rmsweep.data.pieces import KINDS
from rmsweep.data.scenario import Simulated, simulate, smallest_group
from rmsweep.design import Block, Study
from rmsweep.errors import ConfigError
from rmsweep.sweep import provenance
from rmsweep.sweep.replication import run_block

if TYPE_CHECKING:
    from conftest import Checkout

ROOT = Path(__file__).parents[1]
GRID = {"n_groups": [10], "n_obs": [8], "sigma": [1], "n_sims": 2}

DRAW = '''"""Laplace."""

import numpy as np


def draw(rng, z, *, weight: float = 1.0, side: str = "both", twice: bool = False):
    """Two-sided exponential, over its SD."""
    {}
    return rng.laplace(size=z.shape) / np.sqrt(2) * weight
'''
SIZES = '''"""One large group."""

import numpy as np


def sizes(rng, coefficients, n_obs, *, least: int = 6):
    n_groups = len(coefficients)
    sizes = np.full(n_groups, least)
    sizes[rng.integers(n_groups)] += n_groups * (n_obs - least)
    return sizes
'''
OBSERVED = '''"""The first rows are seen."""


def observed(rng, y, groups, times, *, rows: int = 6):
    return times < rows
'''


def study(folder: Path | None = None, **keys: Any) -> Study:
    return load_study(GRID | keys, "s", folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "laplace.py").write_text(DRAW.format(""))
    (tmp_path / "data" / "one_large.py").write_text(SIZES)
    (tmp_path / "data" / "early.py").write_text(OBSERVED)
    return tmp_path


def first(one: Study, sim: int = 0) -> Simulated:
    return simulate(one.seed, one.conditions[0], sim)


class TestPieces:
    """Pieces of this package, by name or with options."""

    def test_options_at_their_defaults_are_the_piece_itself(self) -> None:
        plain = study(noise_distribution="t")
        assert plain.conditions == study(noise_distribution={"from": "t", "df": 5}).conditions
        assert str(plain.conditions[0]).endswith("/noise_distribution=t")

    def test_options_are_part_of_the_condition(self) -> None:
        (one,) = study(missing={"from": "mar_dropout", "slope": 0.25, "intercept": -3}).conditions
        assert str(one).endswith("/missing=mar_dropout_intercept_-3_slope_0.25")
        (many,) = study(predictor_distribution=["t", "normal", {"from": "t", "df": 3}]).conditions
        assert str(many).endswith("/predictor_distribution=t_normal_t_df_3")

    def test_names_of_levels(self) -> None:
        tails = {"normal": "normal", "heavy": {"from": "t", "df": 3}}
        one = study(
            grid={"noise_distribution": tails},
            exclude=[{"noise_distribution": "normal"}],
            conditions=[{"n_groups": 20, "noise_distribution": "heavy"}],
        )
        assert [str(condition) for condition in one.conditions] == [
            "n_groups=10/n_obs=8/sigma=1/noise_distribution=heavy",
            "n_groups=20/n_obs=8/sigma=1/noise_distribution=heavy",
        ]
        assert read_study(one_line(one)) == one

    def test_levels_of_a_list(self) -> None:
        one = study(grid={"noise_distribution": ["normal", {"from": "t", "df": 3}, "t"]})
        levels = [condition.levels["noise_distribution"] for condition in one.conditions]
        assert levels == ["normal", "t_df_3", "t"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"noise_distribution": "cauchy"}, "noise_distribution: 'cauchy' is not allowed; "),
    "unknown in a grid": (
        {"grid": {"missing": ["none", "some"]}},
        "grid: missing: 'some' is not allowed; allowed: none, mcar, mar_dropout, mnar_dropout",
    ),
    "a pattern as noise": ({"noise_distribution": "trend"}, "noise_distribution: 'trend' is not"),
    "no name": ({"noise_distribution": {"df": 3}}, "noise_distribution: {'df': 3} is not allowed"),
    "a number": ({"noise_distribution": 3}, "noise_distribution: 3 is not allowed; allowed: norm"),
    "unknown option": (
        {"noise_distribution": {"from": "t", "nu": 3}},
        "noise_distribution: {'from': 't', 'nu': 3} is not allowed; allowed: with t the options df",
    ),
    "a text as number": (
        {"noise_distribution": {"from": "t", "df": "3"}},
        "noise_distribution: {'from': 't', 'df': '3'} is not allowed; allowed: for df a value of",
    ),
    "a boolean as number": (
        {"noise_distribution": {"from": "t", "df": True}},
        "noise_distribution: {'from': 't', 'df': True} is not allowed; allowed: for df a value of",
    ),
    "t without a variance": (
        {"noise_distribution": {"from": "t", "df": 2}},
        "noise_distribution: {'from': 't', 'df': 2} is not allowed; allowed: for df a number",
    ),
    "share": (
        {"effect_distribution": {"from": "mixture", "share": 1}},
        "effect_distribution: {'from': 'mixture', 'share': 1} is not allowed; allowed: for share",
    ),
    "rate": (
        {"missing": {"from": "mcar", "rate": 1}},
        "missing: {'from': 'mcar', 'rate': 1} is not allowed; allowed: for rate a number",
    ),
    "gamma": (
        {"group_sizes": {"from": "unequal", "gamma": -1}},
        "group_sizes: {'from': 'unequal', 'gamma': -1} is not allowed; allowed: for gamma a",
    ),
    "groups without rows": (
        {"group_sizes": {"from": "unequal", "gamma": 9}},
        "group_sizes: {'from': 'unequal', 'gamma': 9} is not allowed; allowed: what leaves no gr",
    ),
    "no such coefficient": (
        {"group_sizes": {"from": "informative", "coefficient": 4}},
        "group_sizes: {'from': 'informative', 'coefficient': 4} is not allowed; allowed: for co",
    ),
    "half a coefficient": (
        {"group_sizes": {"from": "informative", "coefficient": 0.5}},
        "group_sizes: {'from': 'informative', 'coefficient': 0.5} is not allowed; allowed: for co",
    ),
    "too few distributions": (
        {"predictor_distribution": ["t", "normal"]},
        "predictor_distribution: ['t', 'normal'] is not allowed; allowed: normal, t, ",
    ),
    "wrong in a list": (
        {"predictor_distribution": ["t", "normal", "x"]},
        "predictor_distribution: 'x' is not allowed; allowed: normal, t, ",
    ),
    "level 3": ({"predictor_level": 3}, "predictor_level: 3 is not allowed; allowed: 1 or 2"),
    "level 2 first": (
        {"predictor_level": [2, 1, 1]},
        "predictor_level: [2, 1, 1] is not allowed; allowed: predictors of level 2 after those",
    ),
    "a random slope of level 2": (
        {"predictor_level": [1, 1, 2], "sigma_ratio": [1, 1, 1, 0.5]},
        "sigma_ratio: [1, 1, 1, 0.5] is not allowed; allowed: 0 for predictors of level 2",
    ),
    "a trend of level 2": (
        {"predictor_level": [1, 1, 2], "predictor_distribution": ["normal", "normal", "trend"]},
        "predictor_distribution: ['normal', 'normal', 'trend'] is not allowed; allowed: no trend",
    ),
    "a factor of more levels than rows": (
        {"predictor_distribution": "factor", "n_obs": [3]},
        "predictor_distribution: 'factor' is not allowed; allowed: factor with n_obs of 8 or more",
    ),
    "a factor of one level": (
        {"predictor_distribution": {"from": "factor", "levels": 1}},
        "predictor_distribution: {'from': 'factor', 'levels': 1} is not allowed; allowed: for lev",
    ),
    "icc of 1": ({"predictor_icc": 1}, "predictor_icc: 1 is not allowed; allowed: a number from"),
    "phi": ({"predictor_autocorrelation": -1}, "predictor_autocorrelation: -1 is not allowed"),
    "phi of noise": ({"noise_autocorrelation": 1}, "noise_autocorrelation: 1 is not allowed"),
    "heterogeneity": ({"noise_heterogeneity": -1}, "noise_heterogeneity: -1 is not allowed"),
    "confounding without group means": (
        {"confounding": 0.5},
        "confounding: 0.5 is not allowed; allowed: 0 for predictors whose groups don't differ",
    ),
    "impossible correlations": (
        {"confounding": 0.7, "predictor_icc": 0.5},
        "confounding: 0.7 is not allowed; allowed: correlations that are possible together",
    ),
    "effect_correlation": (
        {"effect_correlation": -0.4},
        "effect_correlation: -0.4 is not allowed; allowed: a number above -1",
    ),
    "a matrix without the intercept": (
        {"effect_correlation": np.eye(3).tolist()},
        "effect_correlation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] is not allowed",
    ),
    "in a list of conditions": (
        {"conditions": [{"missing": "mcra"}]},
        "conditions: missing: 'mcra' is not allowed",
    ),
    "absent file": (
        {"noise_distribution": "absent.py"},
        "noise_distribution: absent.py: FileNotFoundError",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(**keys)
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)


class TestFiles:
    """A file of the user's own is a piece."""

    @pytest.mark.parametrize("key", ["noise_distribution", "effect_distribution"])
    def test_by_name_beside_the_configuration(self, folder: Path, key: str) -> None:
        one = study(folder, **{key: "laplace"})
        assert str(one.conditions[0]).endswith(f"/{key}=laplace")
        assert one.conditions[0][key] == str(folder / "data" / "laplace.py")
        assert read_study(one_line(one)) == one
        assert np.isfinite(first(one).data.y).all()

    def test_with_options_and_one_for_each_predictor(self, folder: Path) -> None:
        own = {"from": "laplace", "weight": 2, "side": "left", "twice": True}
        one = study(folder, predictor_distribution=["normal", own, "t"])
        # too long a text for a path
        assert re.search("/predictor_distribution=x[0-9a-f]{16}$", str(one.conditions[0]))
        plain = study(folder, predictor_distribution=["normal", "laplace", "t"])
        np.testing.assert_array_equal(first(one).data.X[:, 2], 2 * first(plain).data.X[:, 2])
        np.testing.assert_array_equal(first(one).data.X[:, 3], first(plain).data.X[:, 3])

    def test_by_path_in_a_grid(self, folder: Path) -> None:
        path = str(folder / "data" / "laplace.py")
        one = study(grid={"noise_distribution": ["normal", path, {"from": path, "weight": 3}]})
        levels = [condition.levels["noise_distribution"] for condition in one.conditions]
        assert levels == ["normal", "laplace", "laplace_weight_3"]

    def test_layouts(self, folder: Path) -> None:
        one = study(folder, group_sizes="one_large", engine="native", strategies=["lm", "lm2"])
        sizes = np.bincount(first(one).data.groups)
        assert sorted(sizes.tolist()) == [6] * 9 + [26]
        assert smallest_group(one.conditions[0]) == 1
        rows = run_block(one, Block(one.conditions[0], range(3))).to_pylist()
        assert {row["status"] for row in rows} == {"ok"}

    def test_missing_rows(self, folder: Path) -> None:
        one = study(folder, missing={"from": "early", "rows": 5})
        assert np.bincount(first(one).data.groups).tolist() == [5] * 10

    def test_draws_do_not_depend_on_the_number_of_replications(self, folder: Path) -> None:
        one, two = (study(folder, noise_distribution="laplace", n_sims=n) for n in (1, 5))
        np.testing.assert_array_equal(first(one).data.y, first(two).data.y)
        assert not np.array_equal(first(one).data.y, first(two, sim=1).data.y)

    def test_code_belongs_to_what_makes_rows(self, folder: Path) -> None:
        def identity() -> dict[str, str]:
            one = study(folder, noise_distribution="laplace")
            shard = provenance.shard_identity(one, one.conditions[0], {})
            return {"shard": shard["data"], "table": provenance.table_identity(one, {})["code"]}

        def changed(text: str) -> dict[str, str]:
            (folder / "data" / "laplace.py").write_text(text)
            for cached in (provenance.code_digest, provenance.meaning, provenance.tree):
                cached.cache_clear()
            return identity()

        before = identity()
        assert changed(DRAW.format("# a comment")) == before
        after = changed(DRAW.format("weight = 2 * weight"))
        assert all(after[part] != before[part] for part in before)

    def test_a_file_that_moves_makes_the_same_rows(self, folder: Path, tmp_path: Path) -> None:
        moved = tmp_path / "elsewhere" / "laplace.py"
        moved.parent.mkdir()
        moved.write_text(DRAW.format(""))
        values = ["laplace", str(moved), {"from": str(moved), "weight": 2.0}]
        found = [study(folder, noise_distribution=value) for value in values]
        identities = [provenance.shard_identity(s, s.conditions[0], {})["data"] for s in found]
        assert identities[0] == identities[1] != identities[2]

    def test_a_study_without_one_says_nothing_of_them(self) -> None:
        one = study()
        identity = provenance.shard_identity(one, one.conditions[0], {})
        assert json.loads(identity["data"]).keys() == {"seed", "condition"}

    def test_a_file_that_no_study_names_is_not_run(self, folder: Path) -> None:
        (folder / "data" / "broken.py").write_text("raise RuntimeError")
        study(folder, noise_distribution="laplace")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("def draw(rng, z:", "SyntaxError: "),
            ("raise RuntimeError('no\\nway')", "RuntimeError: no way"),
            ("", "no function draw(...)"),
            ("def draw(rng, z): return 1 / 0", "ZeroDivisionError: division by zero"),
            ("def draw(rng, z): return z[:3]", "draw does not give finite floats of the shape (8,"),
            ("def draw(rng, z): return z / 0", "draw does not give finite floats"),
            ("def draw(rng, z, *, a): return z", "the option a has no default of a plain type"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:divide by zero")
    def test_broken_files_are_one_line(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "mine.py"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            study(noise_distribution=str(path))
        assert str(caught.value).startswith(f"noise_distribution: {path}: {message}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["t.py", "a=b.py", "1.py"])
    def test_names_of_files(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text(DRAW.format(""))
        with pytest.raises(ConfigError, match=r"is not allowed; allowed: (another name|files who)"):
            study(noise_distribution=str(tmp_path / name))

    def test_sizes_that_are_none(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text("def sizes(rng, coefficients, n_obs): return [n_obs] * len(coefficients)")
        with pytest.raises(ConfigError, match=r"sizes does not give an array of 10 whole numbers"):
            study(group_sizes=str(path))


def test_the_check_of_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("laplace", "one_large", "early"):
        assert check_piece.main([str(folder / "data" / f"{name}.py")]) == 0
    wrong = folder / "data" / "wrong.py"
    wrong.write_text("def draw(rng, z): return 2 * z")
    assert check_piece.main([str(wrong)]) == 1
    assert "has variance 1: the variance of 200,000 draws is 3.9" in capsys.readouterr().out
    empty = folder / "data" / "empty.py"
    empty.write_text("")
    assert check_piece.main([str(empty)]) == 2


@pytest.mark.parametrize("name", [it for key in contract.OURS for it in KINDS[key].known])
def test_our_pieces_keep_the_contract_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_piece.main([name]) == 0, capsys.readouterr().out


def test_a_piece_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_piece.main(["nope"]) == 2
    assert capsys.readouterr().err.startswith("error: 'nope' is not allowed; allowed: a .py file, ")


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "laplace.py"
    path.write_text(example)
    assert check_piece.main([str(path)]) == 0
    path.with_name("skewed.py").write_text(
        example.replace("left: float = 0.5", "left: float = 0.2")
    )
    assert check_piece.main([str(path.with_name("skewed.py"))]) == 0
    level = {"from": "laplace", "left": 0.2}
    one = study(tmp_path, grid={"noise_distribution": {"normal": "normal", "skewed": level}})
    assert str(one.conditions[1]).endswith("/noise_distribution=skewed")


@pytest.mark.parametrize("block", range(5))
def test_the_designs_of_the_documentation(block: int) -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text()
    part = text.partition("## Some well-known designs")[2].partition("\n## ")[0]
    designs = re.findall(r"(?:^    .*\n)+", part, re.MULTILINE)
    assert len(designs) == 5
    one = study(**yaml.safe_load(designs[block]))
    assert np.isfinite(first(one).data.y).all()


def test_a_refusal_of_one_dataset_with_missing_rows_refuses_no_study() -> None:
    keys = {"n_obs": [4], "missing": {"from": "mcar", "rate": 0.02}, "engine": "native"}
    one = study(**keys, strategies=["lm2"], n_groups=[4], n_sims=40)
    rows = run_block(one, Block(one.conditions[0], range(40))).to_pylist()
    assert {row["status"] for row in rows} == {"ok", "failed"}
    with pytest.raises(ConfigError, match="strategies: 'lm2' is not allowed"):
        study(**keys | {"n_obs": [3]}, strategies=["lm2"])


SCENARIOS = {
    "n_groups": [10],
    "n_obs": [8],
    "sigma": [1],
    "n_sims": 3,
    "engine": "native",
    "grid": {
        "noise_distribution": {"normal": "normal", "laplace": "laplace"},
        "missing": ["none", {"from": "mar_dropout", "intercept": -3}],
    },
}


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Iterator[Checkout]:
    """Give a checkout in which `SCENARIOS` was run to its end."""
    checkout = make_checkout(tmp_path_factory.mktemp("pieces"))
    (checkout.root / "config" / "data").mkdir()
    (checkout.root / "config" / "data" / "laplace.py").write_text(DRAW.format(""))
    (checkout.root / "config" / "scenarios.yaml").write_text(yaml.safe_dump(SCENARIOS))
    checkout.sweep("config/scenarios.yaml")
    yield checkout
    checkout.close()


@pytest.mark.slow
class TestRun:
    """A study of two scenarios, one of them by a file of the user's own, run for real."""

    def test_tables_have_a_row_for_each(self, ran: Checkout) -> None:
        fits = pq.read_table(ran.results("scenarios") / "fits.parquet")
        assert fits.num_rows == 4 * 3 * 4
        levels = fits.group_by(["noise_distribution", "missing"]).aggregate([]).to_pylist()
        assert sorted(tuple(level.values()) for level in levels) == [
            (noise, missing)
            for noise in ("laplace", "normal")
            for missing in ("mar_dropout_intercept_-3", "none")
        ]

    @staticmethod
    def again(ran: Checkout) -> str:
        """What comes of a fit that is made once more, by a new process."""
        cell = "--n-groups 10 --n-obs 8 --sigma 1 --noise-distribution laplace --sim 1"
        missing = ["--missing", "mar_dropout_intercept_-3"]
        table = "results/scenarios/fits.parquet"
        return ran.run(
            "rerun_replication", table, *cell.split(), *missing, "--strategy", "lmer"
        ).stdout

    def test_a_changed_file_makes_its_own_cells_anew(self, ran: Checkout) -> None:
        assert "equal to the bit" in self.again(ran)
        path = ran.root / "config" / "data" / "laplace.py"
        path.write_text(DRAW.format("weight = weight * 2"))
        assert "equal to the bit" not in self.again(ran)
        output = ran.sweep("config/scenarios.yaml")
        # a rule for each number of keys in the cells' names
        assert sum(map(int, re.findall(r"^fit_cell\w* +(\d+)$", output, re.MULTILINE))) == 2
        # the jobs ran the new code, though their worker was there before
        assert "equal to the bit" in self.again(ran)
