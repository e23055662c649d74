"""Replications that are added until they are enough: the rule, and that it changes no row."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import check_precision
import check_study
import measure_performance
from rmsweep import plan, strategies
from rmsweep.config import load_study, one_line, read_study, schema
from rmsweep.data.scenario import simulate
from rmsweep.design import Precision, Study
from rmsweep.errors import ConfigError
from rmsweep.figures import grid
from rmsweep.measures import precision
from rmsweep.measures.performance import MEASURES, Fits
from rmsweep.measures.rates import wilson_interval
from rmsweep.sweep import looks, provenance, replication, shard, tables
from rmsweep.sweep.judge import Judge
from rmsweep.sweep.merge import MergeError, merge
from rmsweep.sweep.progress import Monitor, summary

if TYPE_CHECKING:
    from conftest import Checkout

KEYS = {
    "seed": 3,
    "n_groups": [6],
    "n_obs": [6],
    "sigma": [0.25, 1, 4],
    "n_predictors": 1,
    "n_sims": 20,
    "engine": "native",
    "strategies": ["lm", "lm2", "lmer"],
    "sims_per_job": 150,
}
RULE = {"measure": "rmse", "mcse": 0.022, "strategies": ["lm", "lmer"], "cap": 500}
LARGER = RULE | {"mcse": 0.2}
SIZES = [200, 300, 500]
"""What the rule gives for the three conditions, the last of which only the cap ends."""
MERGED = ["fits.parquet", "coefs.parquet", "fits.csv.gz", "coefs.csv.gz"]


def adaptive(**rule: object) -> Study:
    return load_study(KEYS | {"precision": RULE | rule}, "tiny")


def fit(study: Study, results: Path) -> None:
    """Make the shards that a study is without."""
    versions = provenance.study_versions(study, lambda _: {})
    for block in plan.blocks(study):
        path = results / "cells" / block.path
        if not path.exists():
            identity = provenance.shard_identity(study, block.condition, versions)
            shard.write(replication.run_block(study, block), path, identity)


def look(study: Study, results: Path, number: int) -> Path:
    """Look once."""
    made = looks.path(results, number)
    before = ["--before", str(looks.path(results, number - 1))] if number else []
    arguments = ["--config", one_line(study), "--cells", str(results / "cells"), *before]
    assert check_precision.main([*arguments, "--output", str(made)]) == 0
    return made


def sweep(study: Study, results: Path) -> Path:
    """Fit and look until there is enough; give the last look."""
    last = None
    for number in itertools.count():
        fit(looks.planned(study, last), results)
        last = look(study, results, number)
        if not looks.unsettled(study, last):
            return last
    raise AssertionError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the study, fitted and looked at."""
    folder = tmp_path_factory.mktemp("adaptive")
    sweep(adaptive(), folder)
    return folder


class TestRule:
    """When a condition ends."""

    @pytest.mark.parametrize(
        ("first", "cap", "expected"),
        [
            (200, 3000, [200, 300, 500, 800, 1200, 1800, 2700, 3000]),
            (200, 200, [200]),
            (333, 1200, [333, 501, 835, 1200]),
        ],
    )
    def test_looks_are_few(self, first: int, cap: int, expected: list[int]) -> None:
        rule = Precision("size", 0.01, ("lm",), first, cap)
        assert rule.looks() == expected
        assert [rule.after(n) for n in [0, *expected[:-1]]] == expected

    def test_the_first_look_is_not_early(self) -> None:
        for n_sims, first in ((1, 200), (200, 200), (300, 300)):
            study = load_study(KEYS | {"n_sims": n_sims, "precision": RULE}, "s")
            assert study.precision is not None
            assert study.precision.first == first

    @pytest.mark.parametrize("x", [0, 1, 10, 190, 200])
    def test_rates_are_shrunken(self, x: int) -> None:
        n, shrunken = 200, (x + 2) / 204
        flags = np.arange(n) < x
        fits = fits_of(n, p_value=np.where(flags, 0.0, 1.0))
        plain, found = precision.in_rule(MEASURES["rejection"], fits)
        assert plain == pytest.approx(np.sqrt(x / n * (1 - x / n) / n))
        assert found == pytest.approx(np.sqrt(shrunken * (1 - shrunken) / n))
        assert found >= 0.0068, "no rate is precise to .005 after 200 datasets"

    def test_so_is_the_power_of_a_test_that_always_rejects(self) -> None:
        fits = fits_of(200, statistic=np.full(200, 1e3))
        plain, found = precision.in_rule(MEASURES["size_adjusted_power"], fits)
        assert plain == 0
        assert found == pytest.approx(np.sqrt(202 * 2 / 204**2 / 200))

    def test_other_measures_are_not(self) -> None:
        plain, found = precision.in_rule(MEASURES["rmse"], fits_of(200))
        assert plain == found > 0

    def test_without_a_standard_error_there_is_no_end(self) -> None:
        assert precision.in_rule(MEASURES["bias"], fits_of(1))[1] == np.inf
        nowhere = fits_of(300, p_value=np.full(300, np.nan))
        assert precision.in_rule(MEASURES["rejection"], nowhere)[1] == np.inf

    def test_it_hardly_biases_rates(self) -> None:
        """As against looks from 50 on without shrinkage, which are off by .004."""
        rule = Precision("size", 0.005, ("lm",), 200, 20_000)
        error, covered = stopped(0.05, rule.mcse, rule.looks(), shrunken=True)
        assert abs(error.mean()) < 0.001
        assert 0.94 < covered.mean() < 0.96
        fifties = list(range(50, 20_000, 50))
        assert stopped(0.05, rule.mcse, fifties, shrunken=False)[0].mean() < -0.003


def fits_of(n: int, **columns: np.ndarray) -> Fits:
    """Make fits with errors of the normal distribution, and other columns as given."""
    rng = np.random.default_rng(1)
    error = rng.normal(size=n)
    known = {"truth": np.zeros(n), "estimate": error, "se": np.ones(n), "df": np.full(n, 9.0)}
    known |= dict.fromkeys(("statistic", "p_value", "ci_low", "ci_high", "p_truth"), error)
    return Fits(**known | columns)


def stopped(
    rate: float, mcse: float, at: list[int], shrunken: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Let 4,000 studies of a rate stop; give the errors and whether the interval has the rate."""
    rng = np.random.default_rng(0)
    x, n = np.zeros(4000), np.zeros(4000)
    going_on = np.ones(4000, dtype=bool)
    for before, number in zip([0, *at], at, strict=False):
        x[going_on] += rng.binomial(number - before, rate, going_on.sum())
        n[going_on] = number
        variance = x / n * (1 - x / n) / n + shrunken * precision.added_variance(x / n, n)
        going_on &= variance > mcse**2
    low, high = wilson_interval(x, n)
    return x / n - rate, (low <= rate) & (rate <= high)


class TestConfiguration:
    """What a study may ask for."""

    def test_the_measures_are_those_of_one_coefficient(self) -> None:
        rules = schema()["properties"]["precision"]["properties"]
        assert rules["measure"]["enum"] == list(MEASURES)

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"precision": RULE | {"measure": "speed"}}, "precision: {'measure': 'speed'.* a mapp"),
            ({"precision": RULE | {"mcse": 0}}, "precision: .* is not allowed; allowed: a mapping"),
            ({"precision": RULE | {"cap": 0.5}}, "precision: .* is not allowed; allowed: a mappi"),
            ({"precision": RULE | {"alpha": 0.5}}, "precision: .* is not allowed; allowed: a map"),
            ({"precision": {"measure": "rmse", "cap": 300}}, "precision: .* is not allowed; allo"),
            (
                {"precision": RULE | {"strategies": ["lm", "lmer_mis"]}},
                "precision: strategies: 'lmer_mis' is not allowed; allowed: the study's: lm, lm2, ",
            ),
            (
                {"precision": RULE | {"cap": 199}},
                "precision: cap: 199 is not allowed; allowed: at least the 200 replications of the",
            ),
            (
                {"precision": RULE, "n_sims": {"n_groups=6/n_obs=6/sigma=1": 3}},
                "n_sims: .* is not allowed; allowed: with precision, a whole number",
            ),
            (
                {"precision": RULE | {"cap": 10_000_000}, "sims_per_job": 1},
                "precision: cap: 10000000 is not allowed; allowed: at most 1,000,000 jobs, not 30,",
            ),
        ],
    )
    def test_mistakes(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=f"^{message}"):
            load_study(KEYS | keys, "s")

    @pytest.mark.parametrize(
        ("keys", "rule", "message"),
        [
            (
                {"n_obs": [9, 5], "n_predictors": 3},
                {"strategies": ["lm", "lm2"]},
                "precision: measure: rmse of lm2 has no Monte Carlo standard error at n_groups=6/"
                "n_obs=5/sigma=0.25 and 2 more conditions: estimates have the tails of t with 2 "
                "degrees of freedom; allowed: strategies without it, or error_q025, ",
            ),
            (
                {},
                {"measure": "relative_bias"},
                "precision: measure: relative_bias is not allowed; at n_groups=6/n_obs=6/"
                "sigma=0.25/n_predictors=1 no true coefficient is fixed by beta, and not at zero",
            ),
            (
                {"grid": {"beta": [1, 0]}},
                {"measure": "power"},
                "precision: measure: power is not allowed; at .*beta=0 no true coefficient is not "
                "zero",
            ),
            (
                {"n_obs": [6, 1]},
                {"measure": "size", "strategies": ["lm2"]},
                "precision: strategies: lm2 can't fit n_groups=6/n_obs=1/sigma=0.25/",
            ),
        ],
    )
    def test_what_no_number_of_replications_can_reach(
        self, keys: dict[str, Any], rule: dict[str, Any], message: str
    ) -> None:
        study = load_study(KEYS | keys | {"precision": RULE | rule}, "s")
        with pytest.raises(ConfigError, match=f"^{message}"):
            precision.check(study)

    def test_it_does_not_matter_to_other_strategies(self) -> None:
        precision.check(load_study(KEYS | {"n_obs": [5], "precision": RULE}, "s"))

    def test_rows_that_one_replication_lacks_do_not_matter(self) -> None:
        missing = {"from": "mcar", "rate": 0.7}
        rule = RULE | {"measure": "size", "strategies": ["lm2"]}
        study = load_study(KEYS | {"missing": missing, "precision": rule}, "s")
        (lm2,) = precision.named(study).strategies
        first = (simulate(study.seed, one, 0).data for one in study.conditions)
        assert any(strategies.refuses(data, lm2) for data in first)
        precision.check(study)

    def test_power_is_a_matter_of_the_terms_that_have_an_effect(self) -> None:
        study = load_study(KEYS | {"beta": [0, 1], "precision": RULE | {"measure": "power"}}, "s")
        precision.check(study)
        one = study.conditions[0]
        assert [precision.has_truth(MEASURES["power"], one, k) for k in (0, 1)] == [False, True]

    @pytest.mark.parametrize(
        ("measure", "mcse", "n_sims"),
        [
            ("size", 0.005, 1900),
            ("coverage", 0.005, 1900),
            ("size", 0.002, 11875),
            ("power", 0.01, 2500),
            ("rmse", 0.01, None),
        ],
    )
    def test_rates_can_be_planned(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        measure: str,
        mcse: float,
        n_sims: int | None,
    ) -> None:
        rule = RULE | {"measure": measure, "mcse": mcse, "cap": 20_000}
        path = tmp_path / "s.yaml"
        path.write_text(str(KEYS | {"precision": rule}))
        assert check_study.main([str(path)]) == 0
        said = capsys.readouterr().out
        assert "3 conditions x 200 to 20,000 replications x 3 strategies, in at most " in said
        assert (f"n_sims: {n_sims} gives" in said) == (n_sims is not None)


class TestSizes:
    """A number of replications for each condition."""

    def test_as_a_mapping(self) -> None:
        keys = [one.key for one in adaptive().conditions]
        sizes = dict(zip(keys, SIZES, strict=True))
        study = load_study(KEYS | {"n_sims": sizes | {"another": 5}}, "s")
        assert [study.size(one) for one in study.conditions] == SIZES
        assert (study.n_sims, study.n_datasets) == (500, 1000)
        assert sum(len(block.sims) for block in plan.blocks(study)) == 1000
        assert len(list(plan.blocks(study))) == plan.n_jobs(study)
        assert read_study(one_line(study)) == study
        assert study.source["n_sims"] == sizes

    def test_equal_ones_are_one(self) -> None:
        sizes = dict.fromkeys([one.key for one in adaptive().conditions], 5)
        one, two = (load_study(KEYS | {"n_sims": n}, "s") for n in (sizes, 5))
        assert one == two

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("n_sims\n5\n", "n_sims: .*sizes.csv' is not allowed; allowed: a CSV file with the"),
            ("condition,n_sims\nhere,5\n", "n_sims: 'sizes.csv' .* n_groups=6/n_obs=6/sigma=0.25/"),
            ("condition,n_sims\nhere,0\n", "n_sims: .*sizes.csv: 'here: 0' is not allowed; allow"),
            ("condition,n_sims\nhere\n", "n_sims: .* is not allowed; allowed: "),
            ("condition,n_sims\nhere,5\nhere,6\n", "n_sims: .*'here: 6' is not allowed"),
            (None, "n_sims: .*sizes.csv: No such file"),
        ],
    )
    def test_mistakes_in_a_table(self, tmp_path: Path, text: str | None, message: str) -> None:
        if text is not None:
            (tmp_path / "sizes.csv").write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_study(KEYS | {"n_sims": "sizes.csv"}, "s", tmp_path)

    def test_jobs_end_at_looks(self) -> None:
        study = adaptive()
        ends = {block.sims[-1] + 1 for block in plan.blocks_of(study, study.conditions[0])}
        assert ends >= {200, 300, 500}
        assert plan.n_jobs(study) == len(list(plan.blocks(study)))


class TestLook:
    """What the looks say of a study, and what comes of it."""

    def test_conditions_end_by_precision_or_by_the_cap(self, results: Path) -> None:
        rows = pq.read_table(looks.path(results, 2)).to_pandas()
        assert rows["n_sims"].tolist() == SIZES
        assert rows["precision_reached"].tolist() == [True, True, False]
        assert (rows["mcse"][:2] <= RULE["mcse"]).all()
        assert rows["mcse"][2] > RULE["mcse"]
        before = pq.read_table(looks.path(results, 0)).to_pandas()
        assert before["precision_reached"].tolist() == [True, False, False]
        assert not looks.path(results, 3).exists()

    def test_the_study_is_one_that_was_planned_at_that_size(
        self, results: Path, tmp_path: Path
    ) -> None:
        study = adaptive()
        last = looks.path(results, 2)
        pd.read_parquet(last).to_csv(tmp_path / "replications.csv", index=False)
        planned = load_study(KEYS | {"n_sims": "replications.csv"}, "tiny", tmp_path)
        assert planned.precision is None
        fit(planned, tmp_path)
        merge(planned, tmp_path / "cells", [tmp_path / name for name in MERGED])
        merge(looks.planned(study, last), results / "cells", [results / name for name in MERGED])
        for folder in (results, tmp_path):
            files = [str(folder / name) for name in MERGED[:2]]
            output = str(folder / "performance.parquet")
            assert measure_performance.main([*files, "--output", output]) == 0
        for name in [*MERGED, "performance.parquet"]:
            assert (results / name).read_bytes() == (tmp_path / name).read_bytes(), name

        found = pd.read_parquet(tmp_path / "performance.parquet")
        planned_sizes = found.groupby("sigma")["n_planned"].agg(["min", "max"])
        assert planned_sizes.to_numpy().tolist() == [[n, n] for n in SIZES]
        chosen = found["strategy"].isin(RULE["strategies"]) & (found["fits"] == "all")
        worst = found[chosen & (found["measure"] == "rmse")].groupby("sigma")["mcse"].max()
        assert worst.tolist() == pq.read_table(last)["mcse"].to_pylist()

    def test_its_table_stays_with_a_study_that_was_planned_by_it_alone(
        self, results: Path, tmp_path: Path
    ) -> None:
        for name in ("precision", "cells"):
            shutil.copytree(results / name, tmp_path / name)
        last, table = looks.path(tmp_path, 2), tmp_path / "replications.parquet"
        shutil.copy(last, table)
        sizes = looks.planned(adaptive(), last).sizes
        for n_sims, stays in ((sizes, True), (200, False)):
            study = load_study(KEYS | {"n_sims": n_sims, "sims_per_job": 50}, "tiny")
            fit(study, tmp_path)
            merge(study, tmp_path / "cells", [tmp_path / "fits.parquet"])
            assert table.exists() == stays

    def test_figures_say_how_many_there_are(self, results: Path) -> None:
        study = looks.planned(adaptive(), looks.path(results, 2))
        text = grid.describe(study, study.conditions)
        assert "each with 200 to 500 simulated datasets: 1,000 datasets. Analysed by " in text

    def test_the_cut_of_jobs_does_not_matter(self, results: Path, tmp_path: Path) -> None:
        study = load_study(KEYS | {"sims_per_job": 64, "precision": RULE}, "tiny")
        assert sweep(study, tmp_path).read_bytes() == looks.path(results, 2).read_bytes()

    def test_a_larger_target_takes_what_it_needs_of_what_is_there(self, results: Path) -> None:
        study = adaptive(mcse=0.04)
        last = results / "larger.parquet"
        arguments = ["--config", one_line(study), "--cells", str(results / "cells")]
        assert check_precision.main([*arguments, "--output", str(last)]) == 0
        assert pq.read_table(last)["n_sims"].to_pylist() == [200, 200, 200]
        assert [one.sigma for one in looks.unsettled(study, last)] == [4]
        assert Judge(study, results, programs=False).latest_look is None, "these are of another"

    def test_a_shard_that_is_missing_or_damaged(self, tmp_path: Path) -> None:
        study = adaptive()
        fit(looks.planned(study, None), tmp_path)
        first, second, *_ = plan.blocks(looks.planned(study, None))
        (tmp_path / "cells" / first.path).unlink()
        (tmp_path / "cells" / second.path).write_bytes(b"PAR1")
        with pytest.raises(MergeError, match=r"1 missing: .*; 1 damaged: .* were renamed to"):
            precision.look(study, tmp_path / "cells", None)

    def test_a_strategy_that_never_fits_goes_on_to_the_cap(self, tmp_path: Path) -> None:
        (tmp_path / "never.py").write_text(
            '"""Never."""\ndef fit(data, options):\n    raise ValueError("never")\n'
        )
        keys = {"sigma": [1], "strategies": ["lm", str(tmp_path / "never.py")], "engine": "lme4"}
        rule = RULE | {"strategies": ["lm", "never"], "cap": 300}
        study = load_study(KEYS | keys | {"precision": rule}, "tiny")
        (row,) = pq.read_table(sweep(study, tmp_path)).to_pylist()
        assert (row["n_sims"], row["strategy"]) == (300, "never")
        assert (row["mcse"], row["mcse_in_rule"]) == (None, None)
        assert not row["precision_reached"]

    def test_coefficients_that_a_strategy_does_not_estimate_are_no_targets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = adaptive(strategies=["lm"])
        values = np.random.default_rng(1).normal(size=(300, 1, 2))
        values[:, :, 0] = np.nan
        coefs = {name: values for name in tables.COEFFICIENT.names if name != "term"}
        failed = np.zeros((300, 1), dtype=bool)
        monkeypatch.setattr(precision, "columns", lambda *_: (coefs, failed))
        chosen = precision.named(study)
        assert [found.term for found in precision.measured(chosen, study.conditions[0], [])] == [
            "IV1"
        ]

    def test_progress(self, results: Path, tmp_path: Path) -> None:
        study = adaptive()
        state = Monitor(study, tmp_path / "cells").look()
        assert (state.planned, state.unsettled) == (600, 3)
        fit(looks.planned(study, None), tmp_path)
        monitor = Monitor(study, tmp_path / "cells")
        assert monitor.look().cells("done") == 600
        assert not monitor.look().complete
        look(study, tmp_path, 0)
        state = monitor.look()
        assert (state.planned, state.unsettled) == (800, 2)
        assert "600 of 800 datasets done" in summary(state, 0.0)
        assert "2 of 3 conditions may need more" in summary(state, 0.0)
        state = Monitor(study, results / "cells").look()
        assert state.complete
        assert "may need" not in summary(state, 0.0)


@pytest.fixture(scope="module")
def base(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Checkout:
    """Give a checkout in which the study ran to its end, after one that was content with less."""
    checkout = make_checkout(tmp_path_factory.mktemp("base"))
    run(checkout, precision=LARGER)
    there = inodes(checkout)
    run(checkout)
    assert len(there) == 6
    assert there.items() <= inodes(checkout).items()
    checkout.close()
    return checkout


@pytest.fixture
def finished(base: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    checkout = base.copy(tmp_path / "finished")
    yield checkout
    checkout.close()


def run(checkout: Checkout, *options: str, **keys: Any) -> str:
    """Run the study as far as its tables."""
    study = checkout.write_study(**KEYS | {"precision": RULE} | keys)
    targets = ["results/tiny/fits.parquet"]
    if not keys.get("allow_incomplete"):
        targets.append("results/tiny/replications.parquet")
    return checkout.snakemake("--cores", "2", "--configfile", study, *options, "--", *targets)


def inodes(checkout: Checkout) -> dict[Path, int]:
    """The files of the shards, each of which is another one when it was made anew."""
    return {path: path.stat().st_ino for path in checkout.shards()}


def configured(checkout: Checkout) -> Study:
    """Read the study; tables say of it what its file says, in that order."""
    return read_study(str(checkout.root / "config" / "tiny.yaml"))


@pytest.mark.slow
class TestRun:
    """One command, whatever has been before."""

    def test_it_ends_at_the_tables_of_the_rule(self, base: Checkout, results: Path) -> None:
        replications = base.results() / "replications.parquet"
        assert pq.read_table(replications).equals(pq.read_table(looks.path(results, 2)))
        assert len(base.table()) == sum(SIZES) * 3
        study = looks.planned(configured(base), looks.path(results, 2))
        merge(study, results / "cells", [results / name for name in MERGED])
        for name in MERGED:
            assert (base.results() / name).read_bytes() == (results / name).read_bytes()

    def test_it_does_nothing_twice(self, finished: Checkout) -> None:
        assert "Nothing to be done" in run(finished)

    def test_another_target_needs_no_fits(self, finished: Checkout) -> None:
        assert "Job stats" in (said := run(finished, precision=LARGER))
        assert "fit_cell" not in said
        assert len(finished.table()) == (200 + 200 + 200) * 3

    def test_incomplete(self, finished: Checkout) -> None:
        shards = [path for path in finished.shards() if "sigma=4" in str(path)]
        shards[-1].unlink()
        looks.path(finished.results(), 2).unlink()
        assert "fit_cell" not in run(finished, allow_incomplete=True)
        fits = finished.results() / "fits.parquet"
        n_there = 200 + 300 + 450
        assert tables.metadata(fits)["incomplete"] == f"{n_there} of 1,000 datasets"

    def test_killed_and_resumed(
        self, base: Checkout, tmp_path: Path, make_checkout: Callable[[Path], Checkout]
    ) -> None:
        checkout = make_checkout(tmp_path)
        study = checkout.write_study(**KEYS | {"precision": RULE})
        command = ["--cores", "1", "--configfile", study, "--", "results/tiny/fits.parquet"]
        process = checkout.start(*command, stdout=None)
        second = looks.path(checkout.results(), 0)
        checkout.until(lambda: second.exists() and len(checkout.shards()) > 6)
        process.kill()
        process.wait()
        there = inodes(checkout)
        with checkout.start(*command, program=("scripts/resume.py",), stdout=None) as process:
            assert process.wait(timeout=120) == 0
        assert checkout.digests() == base.digests()
        assert there.items() <= inodes(checkout).items()
        checkout.close()

    def test_another_seed(self, finished: Checkout, tmp_path: Path) -> None:
        run(finished, seed=4)
        study = configured(finished)
        fresh = looks.planned(study, sweep(study, tmp_path))
        merge(fresh, tmp_path / "cells", [tmp_path / name for name in MERGED])
        for name in MERGED:
            assert (finished.results() / name).read_bytes() == (tmp_path / name).read_bytes()

    def test_a_mistake_is_one_line(self, checkout: Checkout) -> None:
        study = checkout.write_study(**KEYS | {"precision": RULE | {"measure": "relative_bias"}})
        said = checkout.snakemake("--cores", "1", "--configfile", study, check=False)
        (error,) = (line for line in said.splitlines() if not line.startswith("Using "))
        assert "config/tiny.yaml: precision: measure: relative_bias is not allowed; at " in error
