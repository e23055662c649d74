"""What a study can say of its strategies: presets, variants and files of the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import check_strategy
from rmsweep import strategies
from rmsweep.config import condition, load_study, one_line, read_study
from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import simulate
from rmsweep.design import Block, Study
from rmsweep.errors import ConfigError
from rmsweep.strategies import mixed
from rmsweep.sweep import content, provenance, replication, tables
from rmsweep.sweep.replication import run_block

if TYPE_CHECKING:
    from conftest import Checkout

GRID = {"n_groups": [10], "n_obs": [6], "sigma": [1], "n_sims": 2}
PRESETS = ", ".join(strategies.presets())
PYTHON = '''"""OLS that knows nothing of groups."""

import numpy as np
from rmsweep.strategies import Fit


def fit(data, options):
    {}
    inverse = np.linalg.inv(data.X.T @ data.X)
    estimate = inverse @ data.X.T @ data.y
    n, p = data.X.shape
    variance = ((data.y - data.X @ estimate) ** 2).sum() / (n - p)
    se = np.sqrt(variance * np.diag(inverse))
    df = np.full(p, float(n - p))
    return Fit(estimate, se, df, se_type="classical", df_type="N-K", ci_type="t")
'''
R = """# OLS by R's own lm
fit <- function(data, formula, group) {{
  {}
  model <- lm(formula, data)
  table <- summary(model)$coefficients
  data.frame(term = rownames(table), estimate = table[, 1], se = table[, 2],
             df = model$df.residual)
}}
"""


def study(folder: Path | None = None, **keys: Any) -> Study:
    return load_study(GRID | keys, "s", folder)


def rows(one: Study, n_sims: int = 1) -> list[dict[str, Any]]:
    """The rows of the study's first condition."""
    found: list[dict[str, Any]] = run_block(
        one, Block(one.conditions[0], range(n_sims))
    ).to_pylist()
    return found


class TestVariants:
    """A preset with options of its own, under a name of its own."""

    def test_an_option_of_the_study_is_everybodys_but_a_variants_own_wins(self) -> None:
        variant = {"name": "lmer_nm", "from": "lmer", "optimizer": "Nelder_Mead", "reml": True}
        one = study(strategies=["lm", "lmer", variant], optimizer="bobyqa", reml=False)
        _, preset, own = one.strategies
        assert (preset.options.optimizer, preset.options.reml) == ("bobyqa", False)
        assert (own.options.optimizer, own.options.reml) == ("Nelder_Mead", True)
        assert own.family == preset.family
        assert own.label == f"{preset.label} (optimizer: Nelder_Mead, reml: True)"

    def test_engine_and_verdict_are_each_strategys_own(self) -> None:
        variant = {"name": "lmer_n", "from": "lmer", "engine": "native", "verdict": "published"}
        one = study(strategies=["lmer", variant])
        assert [strategy.engine for strategy in one.strategies] == ["lme4", "native"]
        assert [strategy.verdict for strategy in one.strategies] == ["strict", "published"]

    def test_random_effects_are_a_list_of_terms(self) -> None:
        random = [{"columns": ["Intercept", "IV1"], "covariance": "diagonal"}]
        (own,) = study(strategies=[{"name": "zcp", "from": "lmer", "random": random}]).strategies
        assert own.options.random == (mixed.RandomTerm(("Intercept", "IV1"), "diagonal"),)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (
                {"name": "x", "from": "glm"},
                f"'glm' is not allowed; allowed: {PRESETS}; files",
            ),
            (
                {"name": "x", "from": "lmer", "optimiser": "b"},
                "{'x': 'optimiser'} is not allowed; a",
            ),
            (
                {"name": "x", "from": "lm", "optimizer": "bobyqa"},
                "{'x': 'optimizer'} is not allowed",
            ),
            (
                {"name": "x", "from": "lmer", "optimizer": "b"},
                "{'x': {'optimizer': 'b'}} is not all",
            ),
            ({"name": "x", "from": "lmer", "reml": "no"}, "{'x': {'reml': 'no'}} is not allowed"),
            ({"name": "x", "from": "lmer", "reml": 1}, "{'x': {'reml': 1}} is not allowed"),
            ({"name": "x", "from": "lmer", "verdict": "mild"}, "{'x': 'mild'} is not allowed"),
            ({"name": "x", "from": "lmer", "engine": "fast"}, "{'x': 'fast'} is not allowed"),
            ({"name": "x", "from": "lmer", "random": "all"}, "{'x': {'random': 'all'}} is not"),
            (
                {"name": "x", "from": "lmer", "random": [{"cols": 1}]},
                "{'x': {'random': {'cols': 1}}}",
            ),
            ({"name": "lm2", "from": "lmer"}, "'lm2' is not allowed; allowed: a name of its own"),
            ({"name": "a/b", "from": "lmer"}, "'a/b' is not allowed; allowed: a name of up to"),
            (
                {"name": "x", "from": "lmer", "random": []},
                "{'x': {'random': [], 'reml'",
            ),
            (
                {"name": "x", "from": "lmer", "label": 3},
                "{'x': {'label': 3}} is not allow",
            ),
            ("x" * 300, f"'{'x' * 300}' is not allowed; allowed: {PRESETS}; files"),
            ("nowhere.py", f"'nowhere.py' is not allowed; allowed: {PRESETS}; files"),
        ],
        ids=str,
    )
    def test_refused(self, entry: object, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            study(strategies=["lm", entry])
        assert str(caught.value).startswith(f"strategies: {message}"), caught.value
        assert "allowed: " in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_study_of_variants_survives_the_command_line(self) -> None:
        variant = {"name": "zcp", "from": "lmer", "random": [{"covariance": "diagonal"}]}
        one = study(strategies=["lm", variant])
        assert read_study(one_line(one)) == one


class TestSharedFits:
    """Strategies that differ in their inference alone share their fits."""

    def test_natively(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        fit_batch = mixed.fit_batch
        monkeypatch.setattr(mixed, "fit_batch", lambda *a: calls.append(a) or fit_batch(*a))
        z, t = rows(study(strategies=["lmer", "lmer_t"], engine="native"))
        assert len(calls) == 1
        self.compare(z, t)

    @pytest.mark.slow
    def test_by_lme4(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        fit = mixed.fit
        monkeypatch.setattr(mixed, "fit", lambda *a: calls.append(a) or fit(*a))
        z, t = rows(study(strategies=["lmer", "lmer_t"]))
        assert len(calls) == 1
        self.compare(z, t)

    def compare(self, z: dict[str, Any], t: dict[str, Any]) -> None:
        assert (z["ci_type"], t["ci_type"]) == ("z", "t")
        assert z["criterion"] == t["criterion"]
        assert z["seconds"] > 10 * t["seconds"]
        for one, two in zip(z["coefs"], t["coefs"], strict=True):
            assert (one["estimate"], one["p_value"]) == (two["estimate"], two["p_value"])
            assert two["ci_high"] > one["ci_high"]

    def test_other_options_are_other_fits(self) -> None:
        ml = {"name": "ml", "from": "lmer", "reml": False}
        one, two = rows(study(strategies=["lmer", ml], engine="native"))
        assert one["criterion"] != two["criterion"]


class TestRefusals:
    """What can't be fitted is a row with the reason; what no condition could fit is no study."""

    def test_a_row_where_other_conditions_can_be_fitted(self) -> None:
        one = study(n_obs=[3, 6], engine="native")
        small = rows(one)
        assert [row["status"] for row in small] == ["ok", "failed", "failed", "ok"]
        assert small[1]["messages"] == "group 1 has 3 rows for 4 coefficients"
        assert (
            "number of observations (=30) <= number of random effects (=40)" in small[2]["messages"]
        )

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            (
                {"n_groups": [4], "strategies": ["lm"]},
                "4 groups for 4 coefficients leave no degree",
            ),
            ({"n_obs": [3], "strategies": ["lm2"]}, "group 1 has 3 rows for 4 coefficients"),
            ({"n_obs": [4], "strategies": ["lmer"]}, "number of observations (=40) <= number of"),
        ],
    )
    def test_before_any_job(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            study(**keys)
        assert str(caught.value).startswith(f"strategies: '{keys['strategies'][0]}' is not allowed")

    @pytest.mark.parametrize(
        ("random", "message"),
        [
            ([{}, {"columns": ["Intercept"]}], "two terms have the effect of Intercept for Group"),
            ([{"factor": "Item"}], r"no factor Item \(see n_items\); the data"),
            ([{"columns": ["IV9"]}], "no term IV9; the data have Intercept, IV1, IV2, IV3"),
        ],
    )
    def test_models_that_the_native_engine_cannot_fit(self, random: object, message: str) -> None:
        entry = {"name": "x", "from": "lmer", "random": random}
        with pytest.raises(ConfigError, match=message):
            study(strategies=[entry], engine="native")

    @pytest.mark.slow
    def test_lme4_fits_a_second_factor(self) -> None:
        random = (mixed.RandomTerm(("Intercept",)), mixed.RandomTerm(("Intercept",), factor="Item"))
        data = with_items(simulate(0, condition(n_groups=10, n_obs=6, sigma=1), 0).data)
        fit = mixed.fit(data, mixed.Options(random=random)).model
        assert np.isfinite(fit.df).all()
        assert abs(fit.criterion_gap) < 1e-6


def with_items(data: Dataset) -> Dataset:
    """Give each group's observations items, the same ones in every group."""
    items = np.tile(np.arange(6), 10)
    return Dataset(data.y, data.X, {**data.factors, "Item": items}, data.terms)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a configuration, with strategies of its own."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text(PYTHON.format("pass"))
    (tmp_path / "strategies" / "theirs.R").write_text(R.format("NULL"))
    return tmp_path


class TestOwnFiles:
    """Strategies of the user's own, beside the configuration or by path."""

    @pytest.mark.parametrize("entry", ["mine", "strategies/mine.py"])
    def test_python(self, folder: Path, entry: str) -> None:
        one = study(folder, strategies=["lm", entry])
        assert [strategy.name for strategy in one.strategies] == ["lm", "mine"]
        assert one.strategies[1].label == "OLS that knows nothing of groups"
        assert one.strategies[1].engine == "python"
        ours, own = rows(one)
        np.testing.assert_allclose(
            [row["estimate"] for row in own["coefs"]],
            [row["estimate"] for row in ours["coefs"]],
            rtol=1e-10,
        )

    @pytest.mark.slow
    def test_r_is_its_python_twin(self, folder: Path) -> None:
        one = study(folder, strategies=["mine", "theirs"])
        assert one.strategies[1].label == "OLS by R's own lm"
        mine, theirs = rows(one)
        for part in ("estimate", "se", "df", "p_value", "ci_low"):
            np.testing.assert_allclose(
                [row[part] for row in theirs["coefs"]],
                [row[part] for row in mine["coefs"]],
                rtol=1e-10,
            )
        assert (theirs["engine"], theirs["status"]) == ("R", "ok")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("raise ValueError('not today')", "not today"),
            ("data.nothing", "AttributeError: 'Dataset' object has no attribute 'nothing'"),
            ("return None", "fit: gave a NoneType, not a Fit"),
            ("1 / 0", "division by zero"),
        ],
    )
    def test_an_error_in_python_is_a_row(self, folder: Path, line: str, message: str) -> None:
        (folder / "strategies" / "mine.py").write_text(PYTHON.format(line))
        strategies.load.cache_clear()
        one, own = rows(study(folder, strategies=["lm", "mine"]))
        assert (own["status"], own["messages"]) == ("failed", message)
        assert one["status"] == "ok"

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("line", "status", "message"),
        [
            ('stop("not today")', "failed", "not today (in fit("),
            ("undefined", "failed", "object 'undefined' not found"),
            ("return(1)", "failed", "returned no data frame with term, estimate, se, df"),
            ("formula <- DV ~ IV1", "failed", "returned the terms Intercept, IV1; expected: "),
            ('warning("careful")', "warning", "careful"),
            ('message("by the way")', "warning", "by the way"),
            ('cat("noise"); print(1)', "ok", ""),
            ("options(digits = 3); data <- data[order(data$DV), ]", "ok", ""),
        ],
    )
    def test_what_r_says_is_in_the_row(
        self, folder: Path, capfd: pytest.CaptureFixture[str], line: str, status: str, message: str
    ) -> None:
        (folder / "strategies" / "theirs.R").write_text(R.format(line))
        strategies.load.cache_clear()
        (own,) = rows(study(folder, strategies=["theirs"]))
        assert own["status"] == status
        assert own["messages"].startswith(message)
        assert bool(own["messages"]) == bool(message)
        assert capfd.readouterr().out == ""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("def fit(data, options:", r"mine.py: SyntaxError: "),
            ("import no_such_module", r"mine.py: ModuleNotFoundError: No module named"),
            ("x = 1", r"mine.py: no function fit\(data, options\)"),
        ],
    )
    def test_a_file_that_python_cannot_read_is_refused(
        self, folder: Path, text: str, message: str
    ) -> None:
        (folder / "strategies" / "mine.py").write_text(text)
        strategies.load.cache_clear()
        with pytest.raises(ConfigError, match=message):
            study(folder, strategies=["mine"])

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("fit <- function(data, ", "theirs.R: 2:0: unexpected end of input"),
            ("library(noSuchPackage)", "theirs.R: there is no package called"),
            ("x <- 1", "theirs.R: no function fit(data, formula, group)"),
        ],
    )
    def test_a_file_that_r_cannot_read_is_refused(
        self, folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
    ) -> None:
        (folder / "strategies" / "theirs.R").write_text(text)
        strategies.load.cache_clear()
        assert check_strategy.main([str(folder / "strategies" / "theirs.R")]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1

    def test_the_contract_runs_over_a_file(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = folder / "strategies" / "mine.py"
        assert check_strategy.main([str(path)]) == 0
        path.write_text(PYTHON.format("data.X[:] = 0"))
        strategies.load.cache_clear()
        assert check_strategy.main([str(path)]) == 1
        said = capsys.readouterr().out
        assert "  leaves the data alone: assignment destination is read-only\n" in said

    def test_the_contract_has_data_with_items_and_sites(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        needed = """
def refuses(data, options):
    return "" if {"Item", "Site"} <= {*data.factors} else "no items, or no sites"
"""
        path = folder / "strategies" / "mine.py"
        path.write_text(PYTHON.format("pass") + needed)
        strategies.load.cache_clear()
        assert check_strategy.main([str(path)]) == 0, capsys.readouterr().out

    def test_packages_are_recorded(self, folder: Path) -> None:
        text = 'PACKAGES = ("pandas", "no-such")\n' + PYTHON.format("pass")
        (folder / "strategies" / "mine.py").write_text(text)
        strategies.load.cache_clear()
        found = provenance.study_versions(study(folder, strategies=["mine"]), lambda packages: {})
        assert found["pandas"] == pd.__version__
        assert found["no-such"] == "none"

    def test_helpers_of_one_name_are_refused(self, folder: Path) -> None:
        (folder / "other").mkdir()
        (folder / "other" / "second.py").write_text(PYTHON.format("pass"))
        for place in ("strategies", "other"):
            (folder / place / "helper.py").write_text("K = 1\n")
        with pytest.raises(ConfigError, match=r"helper\.py' is not allowed; allowed: another name"):
            study(folder, strategies=["mine", "other/second.py"])
        (folder / "other" / "helper.py").rename(folder / "other" / "status.py")
        with pytest.raises(ConfigError, match=r"status\.py' is not allowed; allowed: another name"):
            study(folder, strategies=["mine", "other/second.py"])

    def test_each_row_has_its_own_kind_of_interval(self, folder: Path) -> None:
        lines = "kind = 'z' if data.y[0] > 0 else 't'"
        text = PYTHON.format(lines).replace('ci_type="t"', "ci_type=kind")
        (folder / "strategies" / "mine.py").write_text(text)
        strategies.load.cache_clear()
        one = study(folder, strategies=["mine"], n_sims=6)
        together = rows(one, 6)
        assert {row["ci_type"] for row in together} == {"t", "z"}
        for row in together:
            (alone,) = run_block(
                one, Block(one.conditions[0], range(row["sim"], row["sim"] + 1))
            ).to_pylist()
            assert alone["coefs"] == row["coefs"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('"t"', '"normal"', "fit: ci_type is not t or z"),
            ("Fit(estimate, se", "Fit(estimate, -se", "fit: a standard error is negative"),
            ("float(n - p)", "-1.0", "fit: degrees of freedom are not positive"),
            ("Fit(estimate, se", "Fit(list(estimate), se", "are not arrays of 4 numbers"),
            ("float(n - p)", "None", "are not arrays of 4 numbers"),
        ],
    )
    def test_a_fit_that_is_none_is_a_failed_row(
        self, folder: Path, old: str, new: str, message: str
    ) -> None:
        (folder / "strategies" / "mine.py").write_text(PYTHON.format("pass").replace(old, new))
        strategies.load.cache_clear()
        (own,) = rows(study(folder, strategies=["mine"]))
        assert own["status"] == "failed"
        assert message in own["messages"]

    def test_tests_and_terms_of_its_own(self, folder: Path) -> None:
        """A p-value of 0.5 for each slope above zero, or above the truth where that is tested."""
        own = """np.array([np.nan, 1.0, 1.0, 1.0])
    p = np.where(estimate > 0, 0.5, 0.01) * skip
    return Fit(estimate * skip, se * skip, df * skip, se_type="", df_type="", ci_type="t",
        unsaid="no intercept", own=OwnTests("signs", p, p * np.nan, p * np.nan))
"""
        text = PYTHON.format("pass").partition("    return Fit(")[0]
        text = text.replace("import Fit", "import Fit, OwnTests") + f"    skip = {own}"
        (folder / "strategies" / "mine.py").write_text(text)
        strategies.load.cache_clear()
        one = study(folder, strategies=["mine"], n_sims=20)
        block = Block(one.conditions[0], range(20))
        shard = run_block(one, block)
        content.check(shard, block, one, one.strategies)
        for row in shard.to_pylist():
            said = (row["status"], row["test_type"], row["unsaid"], row["coef_abs_err"])
            assert said == ("ok", "signs", "no intercept", None)
            intercept, *slopes = row["coefs"]
            assert {intercept[name] for name in tables.COEFFICIENT.names[2:]} == {None}
            for term in slopes:
                below = [term["estimate"] <= 0, term["estimate"] <= term["truth"]]
                expected = [0.01 if flag else 0.5 for flag in below]
                assert [term["p_value"], term["p_truth"]] == expected
                assert term["ci_low"] is None

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("class Options: ...", "mine.py: Options is no frozen dataclass"),
            ("PACKAGES = 'pandas'", "mine.py: PACKAGES is one text"),
            ("import sys; sys.exit(3)", "mine.py: SystemExit: 3"),
        ],
    )
    def test_a_file_that_breaks_the_contract_is_refused(
        self, folder: Path, text: str, message: str
    ) -> None:
        path = folder / "strategies" / "mine.py"
        path.write_text(f"{PYTHON.format('pass')}\n{text}\n")
        strategies.load.cache_clear()
        with pytest.raises(ConfigError, match=message):
            study(folder, strategies=["mine"])


class TestReuse:
    """Rows that would come out the same are not made again."""

    def test_a_strategy_that_is_added_is_fitted_alone(self) -> None:
        few, many = study(strategies=["lm"], engine="native"), study(engine="native")
        block = Block(few.conditions[0], range(3))
        before = run_block(few, block)
        after = run_block(many, block, reused={"lm": before})
        lm = after.filter(np.array(after["strategy"].to_pylist()) == "lm")
        assert lm.equals(before)
        assert after["strategy"].to_pylist() == ["lm", "lm2", "lmer", "lmer_mis"] * 3
        fresh = run_block(many, block)
        untimed = [name for name in tables.SHARD.names if name not in tables.TIMING.names]
        assert after.select(untimed).equals(fresh.select(untimed))

    @pytest.mark.slow
    def test_for_real(self, finished_natively: Checkout) -> None:
        checkout = finished_natively
        before = {name: checkout.table(name) for name in ("fits", "coefs", "timings")}
        zcp = {"name": "zcp", "from": "lmer", "random": [{"covariance": "diagonal"}]}
        checkout.sweep(checkout.write_study(engine="native", strategies=[zcp, "lm", "lmer"]))
        for name, old in before.items():
            new = checkout.table(name)
            assert new.filter(np.array(new["strategy"].to_pylist()) != "zcp").equals(old)
        # the other order, and one less, is only merged
        output = checkout.sweep(checkout.write_study(engine="native", strategies=["lmer", zcp]))
        assert "fit_cell" not in output
        assert checkout.table("fits")["strategy"].to_pylist()[:2] == ["lmer", "zcp"]

    @pytest.mark.slow
    def test_an_option_refits_its_strategy_alone(self, finished_natively: Checkout) -> None:
        checkout = finished_natively
        before = checkout.table("timings")
        ml = {"name": "ml", "from": "lmer", "reml": False}
        keys = {"engine": "native", "strategies": ["lm", ml]}
        checkout.sweep(checkout.write_study(**keys))
        kept = np.array(before["strategy"].to_pylist()) == "lm"
        after = checkout.table("timings")
        assert after.filter(np.array(after["strategy"].to_pylist()) == "lm").equals(
            before.filter(kept)
        )

    @pytest.mark.slow
    def test_blocks_that_are_cut_in_another_way_or_grow(self, finished_natively: Checkout) -> None:
        checkout = finished_natively
        before = checkout.table("timings")
        for keys in ({"sims_per_job": 2}, {"sims_per_job": 9, "n_sims": 7}):
            keys |= {"engine": "native", "strategies": ["lm", "lmer"]}
            assert "fit_cell" in checkout.sweep(checkout.write_study(**keys))
            after = checkout.table("timings")
            assert after.filter(np.array(after["sim"].to_pylist()) < 5).equals(before)
        assert after.num_rows == 7 * 2 * 2

    @pytest.mark.slow
    def test_a_kept_shard_that_is_damaged_costs_time_only(
        self, finished_natively: Checkout
    ) -> None:
        checkout = finished_natively
        reference = checkout.digests()
        for path in checkout.results().glob(".kept/*/*/*/*.parquet"):
            path.unlink()
            path.write_bytes(b"no shard")
        for path in checkout.shards():
            path.unlink()
        checkout.sweep(checkout.write_study(engine="native", strategies=["lm", "lmer"]))
        assert checkout.digests() == reference

    @pytest.fixture
    def finished_natively(self, checkout: Checkout) -> Iterator[Checkout]:
        """Give a checkout with a small native study, run as far as its tables."""
        checkout.sweep(checkout.write_study(engine="native", strategies=["lm", "lmer"]))
        yield checkout


def test_groups_that_differ_in_kind_are_fitted_apart() -> None:
    """What is searched for where groups are unequal would depend on the datasets beside it."""
    one = simulate(0, condition(n_groups=12, n_obs=6, sigma=1), 0).data
    keep = np.ones(len(one.y), dtype=bool)
    keep[[3, 17, 40]] = False
    other = Dataset(one.y[keep], one.X[keep], {"Group": one.groups[keep]}, one.terms)
    with pytest.raises(ValueError, match="must have the same terms and like groups"):
        Batch([one, other])
    (lmer,) = study(strategies=["lmer"], engine="native").strategies
    data = [one, other, one]
    together = replication.fit_datasets([lmer], list(replication.batches(data)), 3)["lmer"]
    for found, own in zip(together, data, strict=True):
        (alone,) = replication.fit_datasets([lmer], [([0], Batch([own]))], 1)["lmer"]
        assert found.fit.estimate.tobytes() == alone.fit.estimate.tobytes()
        assert found.fit.se.tobytes() == alone.fit.se.tobytes()
