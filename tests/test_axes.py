"""Conditions: any key that describes the data can be an axis; at its default it leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import yaml

from rmsweep import plan
from rmsweep.config import (
    axis_defaults,
    axis_keys,
    condition,
    condition_of,
    load_study,
    one_line,
    read_study,
)
from rmsweep.data.scenario import simulate
from rmsweep.design import MAIN, Study, seed_sequence
from rmsweep.errors import ConfigError
from rmsweep.figures import names
from rmsweep.sweep import tables

if TYPE_CHECKING:
    from conftest import Checkout

GRID = {"n_groups": [10], "n_obs": [5], "sigma": [1], "n_sims": 2}
# a value of every axis that is not its default
OTHER: dict[str, Any] = {
    "n_predictors": 2,
    "beta": [0, 0.5, 1, -1],
    "sigma_ratio": [1, 0, 0, 0],
    "predictor_mean": 3,
    "predictor_sd": [1, 2, 3],
    "predictor_correlation": 0.5,
    "noise_mean": -1,
    "noise_sd": 2,
    "effect_correlation": 0.5,
    "effect_distribution": "mixture",
    "group_sizes": {"from": "unequal", "gamma": 0.2},
    "predictor_distribution": ["normal", "binary", {"from": "t", "df": 3}],
    "predictor_level": [1, 1, 2],
    "predictor_icc": [0, 0.2, 0.5],
    "predictor_autocorrelation": -0.5,
    "confounding": [-0.9, 0, 0],
    "noise_distribution": {"from": "t", "df": 3},
    "noise_autocorrelation": 0.6,
    "noise_heterogeneity": 1,
    "missing": {"from": "mcar", "rate": 0.3},
    "n_items": 5,
    "item_sigma": 0.5,
    "item_sigma_ratio": [1, 0, 0, 0],
    "item_correlation": 0.3,
    "item_design": ["within", "between", "within"],
    "item_layout": "nested",
    "n_sites": 4,
    "site_sigma": 0.5,
    "site_sigma_ratio": [1, 0, 0, 0],
    "site_correlation": 0.3,
    "variances": "uniform",
    "correlation_range": 0.3,
    "predictors": str(Path(__file__).parents[1] / "config" / "power-of-yours.parquet"),
}
OF_ITEMS = ("item_sigma", "item_sigma_ratio", "item_correlation", "item_design", "item_layout")
OF_SITES = ("site_sigma", "site_sigma_ratio", "site_correlation")
# what there has to be besides
NEEDED: dict[str, Any] = {
    "confounding": {"predictor_icc": 0.5},
    "predictors": {"n_predictors": 1},
    **{key: {"n_items": 5} for key in OF_ITEMS},
    **{key: {"n_sites": 4} for key in OF_SITES},
}


def study(**keys: Any) -> Study:
    return load_study(GRID | keys, "s")


def paths(one: Study) -> list[str]:
    return [block.path for block in plan.blocks(one)]


class TestSweeping:
    """Every key that describes the data, one after the other."""

    def test_every_axis_is_known_here(self) -> None:
        assert set(OTHER) == set(axis_defaults())

    @pytest.mark.parametrize("key", OTHER)
    def test_an_axis_adds_a_column_and_leaves_the_old_cells(self, key: str) -> None:
        default, other = axis_defaults()[key], OTHER[key]
        needed = NEEDED.get(key, {})
        alone, swept = study(**needed), study(grid={key: [default, other]}, **needed)
        assert [axis.name for axis in swept.axes] == [
            name for name in axis_keys() if name in (*MAIN, key)
        ]
        assert set(paths(alone)) < set(paths(swept))
        assert len(paths(swept)) == 4
        added = set(paths(swept)) - set(paths(alone))
        assert all(re.search(f"[/,]{key}=", path) for path in added)

    @pytest.mark.parametrize("key", OTHER)
    def test_its_only_value_is_the_same_as_at_the_top_level(self, key: str) -> None:
        needed = NEEDED.get(key, {})
        above = study(**{key: OTHER[key]}, **needed)
        below = study(grid={key: [OTHER[key]]}, **needed)
        assert above.conditions == below.conditions
        assert [axis.name for axis in above.axes] == list(MAIN)

    @pytest.mark.parametrize("key", OTHER)
    def test_at_its_default_it_leaves_no_trace(self, key: str) -> None:
        assert paths(study(grid={key: [axis_defaults()[key]]})) == paths(study())

    @pytest.mark.parametrize(
        ("key", "spelled_out"),
        [
            ("predictor_sd", [1, 1, 1]),
            ("sigma_ratio", [1, 1, 1, 1]),
            ("predictor_mean", [0, 0, 0]),
            ("predictor_correlation", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
            ("effect_correlation", np.eye(4).tolist()),
            ("predictor_distribution", ["normal", {"from": "normal"}, "normal"]),
            ("predictor_level", [1, 1, 1]),
            ("confounding", [0, 0, -0.0]),
            ("noise_distribution", {"from": "normal"}),
        ],
    )
    def test_a_default_that_is_spelled_out_is_the_default(
        self, key: str, spelled_out: object
    ) -> None:
        assert paths(study(**{key: spelled_out})) == paths(study())

    def test_main_axes_may_be_in_the_grid(self) -> None:
        grid = {key: GRID[key] for key in MAIN}
        assert load_study({"n_sims": 2, "grid": grid}, "s").conditions == study().conditions

    def test_all_axes_are_crossed(self) -> None:
        swept = study(sigma=[1, 2], grid={"noise_sd": [1, 2], "predictor_correlation": [0, 0.5]})
        assert len(swept.conditions) == 8
        assert len(swept.slices()) == 4
        assert list(swept.slices([*MAIN, "noise_sd"])) == [
            "predictor_correlation=0",
            "predictor_correlation=0.5",
        ]
        assert list(swept.slices([axis.name for axis in swept.axes])) == [""]
        assert list(swept.slices())[1] == "predictor_correlation=0,noise_sd=2"
        assert swept.slices()["predictor_correlation=0,noise_sd=2"][0]["noise_sd"] == 2


class TestSeeds:
    """Other axes change identity and path, never the draws."""

    @pytest.mark.parametrize("key", OTHER)
    def test_the_seed_is_that_of_the_main_axes(self, key: str) -> None:
        one, two = study(), study(**{key: OTHER[key]}, **NEEDED.get(key, {}))
        states = [seed_sequence(0, s.conditions[0], 3).generate_state(4) for s in (one, two)]
        np.testing.assert_array_equal(*states)

    def test_conditions_are_compared_on_the_same_random_numbers(self) -> None:
        quiet, loud = (
            simulate(0, condition(n_groups=10, n_obs=5, sigma=1, noise_sd=sd), 0) for sd in (1, 2)
        )
        np.testing.assert_array_equal(quiet.data.X, loud.data.X)
        np.testing.assert_array_equal(quiet.betas, loud.betas)
        signal = (quiet.data.X * quiet.coefficients[quiet.data.groups]).sum(axis=1)
        np.testing.assert_allclose(loud.data.y - signal, 2 * (quiet.data.y - signal), rtol=1e-9)


NAMED = {"predictor_sd": {"equal": 1, "mixed": [1, 2, 3]}}


class TestNames:
    """Values that are lists have names, which paths and columns carry."""

    def test_a_name_is_what_path_and_column_carry(self) -> None:
        one = study(grid=NAMED)
        assert paths(one)[2] == "n_groups=10/n_obs=5/sigma=1/predictor_sd=mixed,sim=0.parquet"
        assert [tables.levels(one.axes, c)["predictor_sd"] for c in one.conditions] == [
            "equal",
            "mixed",
        ]
        assert one.axes[-1].kind == "text"

    def test_the_values_behind_a_name_are_part_of_the_identity(self) -> None:
        one, two = (
            study(grid={"predictor_sd": {"mixed": sd}}).conditions[0].identity
            for sd in ([1, 2, 3], [1, 2, 4])
        )
        assert one != two

    def test_names_keep_the_order_of_the_configuration(self) -> None:
        one = study(grid={"noise_sd": {"loud": 3, "quiet": 1, "middling": 2}})
        assert [c.levels["noise_sd"] for c in one.conditions] == ["loud", "quiet", "middling"]

    def test_a_list_without_a_name_is_written_out(self) -> None:
        one = study(predictor_sd=[1, 2.5, 3])
        assert str(one.conditions[0]).endswith("/predictor_sd=1_2.5_3")

    def test_a_long_list_is_called_by_its_digest(self) -> None:
        matrix = (0.3 * np.ones((9, 9)) + 0.7 * np.eye(9)).tolist()
        matrix[0][1] = matrix[1][0] = 0.2
        keys = {"n_predictors": 9, "n_groups": [20], "n_obs": [15]}
        (one,) = study(**keys, predictor_correlation=matrix).conditions
        assert len(str(one)) < 120
        matrix[0][2] = matrix[2][0] = 0.2
        (two,) = study(**keys, predictor_correlation=matrix).conditions
        assert one != two


class TestListsAndExclusions:
    """Conditions one by one, and taken out of the crossing."""

    def test_listed_conditions_join_the_crossed_ones(self) -> None:
        one = study(conditions=[{"n_groups": 20, "n_obs": 9, "sigma": 2, "noise_sd": 3}])
        assert [str(c) for c in one.conditions] == [
            "n_groups=10/n_obs=5/sigma=1",
            "n_groups=20/n_obs=9/sigma=2/noise_sd=3",
        ]

    def test_listed_conditions_alone(self) -> None:
        listed = [{"n_groups": 20, "n_obs": 9, "sigma": 2}, {"n_groups": 9, "n_obs": 9, "sigma": 1}]
        one = load_study({"n_sims": 1, "conditions": listed}, "s")
        assert [c.n_groups for c in one.conditions] == [9, 20]

    def test_a_listed_condition_uses_the_names_of_levels(self) -> None:
        listed = [
            {"n_groups": 20, "predictor_sd": "mixed"},
            {"n_groups": 30},
        ]
        one = study(grid=NAMED, conditions=listed)
        by_size = {c.n_groups: c.levels["predictor_sd"] for c in one.conditions[2:]}
        assert by_size == {20: "mixed", 30: "equal"}

    def test_exclusions_match_values_and_names(self) -> None:
        grid = NAMED | {"noise_sd": [1, 2]}
        one = study(grid=grid, exclude=[{"predictor_sd": "mixed", "noise_sd": 2}])
        assert len(one.conditions) == 3


REFUSED = {
    "unknown axis": ({"grid": {"noise": [1]}}, "grid: 'noise' is not allowed; allowed: the data-"),
    "no axis": ({"grid": {"seed": [1, 2]}}, "grid: 'seed' is not allowed; allowed: the data-"),
    "twice": ({"noise_sd": 1, "grid": {"noise_sd": [1, 2]}}, "noise_sd: 1 is not allowed; allowed"),
    "wrong value": ({"grid": {"noise_sd": [1, -1]}}, "grid: noise_sd: -1 is not allowed; allowed"),
    "wrong main value": ({"grid": {"n_obs": [0]}}, "grid: n_obs: 0 is not allowed; allowed: a wh"),
    "infinite": ({"grid": {"noise_sd": [1, float("inf")]}}, "grid: "),
    "empty": ({"grid": {"noise_sd": []}}, "grid: {'noise_sd': []} is not allowed"),
    "same value": ({"grid": {"noise_sd": [2, 2.0]}}, "grid: {'noise_sd': [2, 2.0]} is not allowed"),
    "a path as name": (
        {"grid": {"noise_sd": {"../x": 2}}},
        "grid: noise_sd: '../x' is not allowed",
    ),
    "names of a main axis": ({"grid": {"sigma": {"small": 1}}, "drop": "sigma"}, "grid: sigma: "),
    "wrong length": ({"grid": {"predictor_sd": {"a": [1, 2]}}}, "predictor_sd: [1, 2] is not"),
    "length of another": (
        {"grid": {"n_predictors": [2, 3], "predictor_sd": [1, [1, 2, 3]]}},
        "predictor_sd: [1, 2, 3] is not allowed",
    ),
    "unknown in a list": ({"conditions": [{"noise": 1}]}, "conditions: 'noise' is not allowed"),
    "wrong in a list": ({"conditions": [{"noise_sd": -1}]}, "conditions: noise_sd: -1 is not"),
    "null in a list": ({"conditions": [{"n_groups": None}]}, "conditions: n_groups: None is not"),
    "boolean in a list": ({"conditions": [{"sigma": True}]}, "conditions: sigma: True is not"),
    "excludes a boolean": ({"exclude": [{"sigma": True}]}, "exclude: sigma: True is not allowed"),
    "excludes by no key": (
        {"exclude": [{"foo": 1}]},
        "exclude: 'foo' is not allowed; all",
    ),
    "two names for a value": (
        {"grid": {"noise_sd": {"a": 2, "b": 2.0}}},
        "grid: noise_sd: {'a': 2",
    ),
    "a number as name": (
        {"grid": {"noise_sd": {"nan": 2}}},
        "grid: noise_sd: 'nan' is not allowed",
    ),
    "400 digits": ({"noise_sd": 10**400}, "noise_sd: 1000"),
    "excludes nothing": ({"exclude": [{"noise_sd": 9}]}, "exclude: {'noise_sd': 9} is not allowed"),
    "excludes all": ({"exclude": [{"n_groups": 10}]}, "exclude: [{'n_groups': 10}] is not allowed"),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(keys: dict[str, Any], message: str) -> None:
    config = GRID | keys
    for key in [config.pop("drop", None), *(keys.get("grid") or {})]:
        if key in MAIN:
            config.pop(key, None)
    with pytest.raises(ConfigError) as caught:
        load_study(config, "s")
    assert str(caught.value).startswith(message), str(caught.value)
    assert "allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("2", 2), ("[1, 2, 3]", (1, 2, 3)), ("mixed", (1, 2, 3))]
)
def test_a_command_line_names_values_and_levels(text: str, value: object) -> None:
    given = {key: str(GRID[key][0]) for key in MAIN} | {"predictor_sd": text}
    assert condition_of(study(grid=NAMED), given)["predictor_sd"] == value


def test_a_list_without_a_name_is_found_by_its_text() -> None:
    one = study(conditions=[{"predictor_sd": [1, 2, 3]}])
    given = {key: str(GRID[key][0]) for key in MAIN} | {"predictor_sd": "1_2_3"}
    assert condition_of(one, given)["predictor_sd"] == (1, 2, 3)
    with pytest.raises(ConfigError, match="predictor_sd: '4_5_6' is not allowed"):
        condition_of(one, given | {"predictor_sd": "4_5_6"})


def test_exclusions_may_overlap_and_lists_match() -> None:
    grid = {"predictor_sd": {"equal": 1, "mixed": [1, 2, 3]}, "noise_sd": [1, 2]}
    one = study(grid=grid, exclude=[{"predictor_sd": [1, 2, 3]}, {"noise_sd": 2}])
    assert [str(c) for c in one.conditions] == ["n_groups=10/n_obs=5/sigma=1"]


def test_a_negative_zero_is_a_zero() -> None:
    assert study(sigma=[-0.0]).conditions == study(sigma=[0]).conditions
    minus = study(predictor_mean=[-0.0, 0.0, 1])
    assert minus.conditions == study(predictor_mean=[0, 0, 1]).conditions


@pytest.mark.parametrize("text", ["[1", "x", "-1", "[1, 2]", "nan"])
def test_a_command_line_that_names_neither_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^predictor_sd: .* is not allowed; allowed: "):
        condition_of(study(), {"predictor_sd": text})


def test_a_study_of_many_axes_survives_the_command_line() -> None:
    one = study(
        grid=NAMED | {"noise_sd": [1, 2]},
        conditions=[{"n_groups": 20, "predictor_sd": "mixed", "noise_sd": 3}],
        exclude=[{"predictor_sd": "mixed", "noise_sd": 2}],
    )
    assert read_study(one_line(one)) == one


SWEPT = {
    "seed": 0,
    "n_sims": 2,
    "engine": "native",
    "grid": {
        "n_groups": [10],
        "n_obs": [5],
        "sigma": [1],
        "noise_sd": [1, 2],
        "predictor_correlation": [0, 0.5],
    },
}


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Iterator[Checkout]:
    """Give a checkout in which `SWEPT` was run to its end."""
    checkout = make_checkout(tmp_path_factory.mktemp("axes"))
    (checkout.root / "config" / "swept.yaml").write_text(yaml.safe_dump(SWEPT))
    checkout.snakemake("--cores", "2", "--configfile", "config/swept.yaml")
    yield checkout
    checkout.close()


@pytest.mark.slow
class TestRun:
    """A study of five axes, run for real."""

    def test_tables_have_a_typed_column_for_each_axis(self, ran: Checkout) -> None:
        fits = pq.read_table(ran.results("swept") / "fits.parquet")
        keys = ["study", *MAIN, "predictor_correlation", "noise_sd", "sim", "strategy"]
        assert fits.column_names[: len(keys)] == keys
        assert str(fits.schema.field("noise_sd").type) == "double"
        assert fits.num_rows == 4 * 2 * 4
        assert fits.group_by(["noise_sd", "predictor_correlation"]).aggregate([]).num_rows == 4
        csv = pd.read_csv(ran.results("swept") / "coefs.csv.gz")
        assert list(csv.columns[: len(keys)]) == keys

    def test_figures_have_the_axes_that_have_levels(self, ran: Checkout) -> None:
        figures = ran.results("swept") / "figures"
        found = {str(path.relative_to(figures)) for path in figures.rglob("*.*g")}
        assert found == {f"{name}.{kind}" for name in names.NAMES for kind in names.KINDS}

    def test_scripts_know_the_axes(self, ran: Checkout, tmp_path: Path) -> None:
        status = ran.run("status", "--config", "config/swept.yaml")
        assert status.returncode == 0
        assert "predictor_correlation  noise_sd  cells" in status.stdout
        cell = "--n-groups 10 --n-obs 5 --sigma 1 --predictor-correlation 0.5 --noise-sd 2 --sim 1"
        table = "results/swept/fits.parquet"
        again = ran.run("rerun_replication", table, *cell.split(), "--strategy", "lmer")
        assert again.returncode == 0
        assert again.stdout.endswith(f"equal to the bit to {table}\n")
        row = ran.run("rerun_replication", table, "--row", "31")
        assert row.stdout.endswith(f"equal to the bit to {table}\n")
        arguments = ["--config", "config/swept.yaml", *cell.split(), "--output", str(tmp_path)]
        assert ran.run("simulate_cell", *arguments).returncode == 0
        expected = simulate(
            0, condition(n_groups=10, n_obs=5, sigma=1, noise_sd=2, predictor_correlation=0.5), 1
        )
        np.testing.assert_array_equal(
            pd.read_csv(tmp_path / "data.csv")["DV"].to_numpy(), expected.data.y
        )
        missing = ran.run("simulate_cell", *arguments[:8], "--sim", "1", *arguments[-2:])
        assert missing.stderr.startswith(
            "error: predictor_correlation: missing; allowed: the study"
        )

    def test_an_axis_that_grows_runs_the_new_cells_only(self, ran: Checkout) -> None:
        grown = SWEPT | {"grid": SWEPT["grid"] | {"noise_sd": [1, 2, 3]}}
        (ran.root / "config" / "swept.yaml").write_text(yaml.safe_dump(grown))
        output = ran.sweep("config/swept.yaml")
        (ran.root / "config" / "swept.yaml").write_text(yaml.safe_dump(SWEPT))
        # a rule for each number of keys in the cells' names
        assert sum(map(int, re.findall(r"^fit_cell\w* +(\d+)$", output, re.MULTILINE))) == 2

    def test_cells_are_read_by_everyones_reader(self, ran: Checkout) -> None:
        cells = ran.results("swept") / "cells"
        frames = [
            pd.read_parquet(cells),
            pq.read_table(cells).to_pandas(),
            pyarrow.dataset.dataset(cells, partitioning="hive").to_table().to_pandas(),
            duckdb.read_parquet(f"{cells}/**/*.parquet", hive_partitioning=True).df(),
            polars.read_parquet(cells).to_pandas(),
        ]
        for frame in frames:
            frame = frame.astype(dict.fromkeys(MAIN, float))
            assert {*MAIN, "condition", "sim", "strategy", "se_sum"} <= set(frame.columns)
            assert (frame[list(MAIN)] == [10, 5, 1]).all(axis=None)
            assert frame["condition"].nunique() >= 4


class TestScenarios:
    """Values that are set together."""

    SCENARIOS: ClassVar = {
        "ideal": {},
        "wild": {"noise_sd": 3, "noise_distribution": "contaminated"},
        "level-2": {"predictor_level": [1, 1, 2]},
    }

    def test_are_one_axis_crossed_with_the_others(self) -> None:
        one = study(n_obs=[6, 8], scenarios=self.SCENARIOS)
        assert [axis.name for axis in one.axes] == [*MAIN, "scenario"]
        found = [(c.n_obs, c.levels["scenario"], c["noise_sd"]) for c in one.conditions]
        expected = [("ideal", 1.0), ("wild", 3.0), ("level-2", 1.0)]
        assert found == [(n_obs, *rest) for n_obs in (6, 8) for rest in expected]

    def test_leave_paths_and_datasets_to_their_values(self) -> None:
        named = study(scenarios={"any": {"noise_sd": 3}})
        assert paths(named) == paths(study(noise_sd=3))
        assert read_study(one_line(named)).conditions == named.conditions

    def test_are_named_on_the_command_line(self) -> None:
        one = study(scenarios=self.SCENARIOS)
        found = condition_of(one, {"scenario": "wild"})
        assert (found, found.levels["scenario"]) == (one.conditions[1], "wild")
        assert condition_of(one, {"scenario": "wild", "noise_sd": "2"})["noise_sd"] == 2
        with pytest.raises(ConfigError, match="scenario: '' is not allowed; allowed: the study"):
            condition_of(one, {})

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            (
                {"scenarios": {"a": {"noise": 1}}},
                "scenarios: a: 'noise' is not allowed; allowed",
            ),
            (
                {"scenarios": {"a": {"n_obs": 5}}},
                "scenarios: a: 'n_obs' is not allowed; allowed",
            ),
            ({"scenarios": {"a b": {}}}, "scenarios: 'a b' is not allowed; allowed: names"),
            ({"scenarios": {"a": {"noise_sd": -1}}}, "scenarios: a: noise_sd: -1 is not allowed"),
            (
                {"scenarios": {"a": {}, "b": {"noise_sd": 1}}},
                "scenarios: 'b' is not allowed",
            ),
            (
                {"scenarios": {"a": {"noise_sd": 2}}, "grid": {"noise_sd": [1, 3]}},
                "scenarios: a: 'noise_sd' is not allowed; allowed: keys that are not swept",
            ),
        ],
    )
    def test_refused(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            study(**keys)
