"""Two studies compared: the statistics, studies whose differences are known, and the page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

import compare
import document_comparison
import rerun_replication
from browser import APPEARANCES, STRANGE, Page
from measured import made
from rmsweep.comparison import differences, table
from rmsweep.comparison.differences import (
    LEVEL,
    MEANS,
    ORDERED,
    UNTESTED,
    adjusted,
    of_means,
    of_quantiles,
)
from rmsweep.comparison.studies import Part, Side, Studies, changes, made_of
from rmsweep.config import load_study
from rmsweep.design import Study
from rmsweep.measures.performance import MEASURES, Fits
from rmsweep.measures.table import RATES, Cell
from rmsweep.report.comparison import fits_that_differ, sentences, shared
from rmsweep.sweep import tables
from rmsweep.sweep.provenance import made_with

CONFIG = {
    **{"n_groups": [8], "n_obs": [6], "sigma": [0.1, 1], "n_predictors": 1, "n_sims": 40},
    **{"engine": "native", "strategies": ["lm", "lmer"]},
}


Change = Callable[[pa.Table], pa.Table]


# ---- statistics ----------------------------------------------------------------------------------


def random_fits(n: int, seed: int) -> Fits:
    """Fits of a true coefficient of one half, by a test that is a little too liberal."""
    rng = np.random.default_rng(seed)
    se = 0.25 * np.sqrt(rng.chisquare(8, n) / 8)
    estimate = 0.5 + 0.3 * rng.standard_normal(n)
    low, high = estimate - 2.0 * se, estimate + 2.0 * se
    p_values = (2.0 * differences.ndtr(-np.abs(value / se)) for value in (estimate, estimate - 0.5))
    p_value, p_truth = p_values
    truth, df = np.full(n, 0.5), np.full(n, 8.0)
    return Fits(truth, estimate, se, df, estimate / se, p_value, low, high, p_truth)


def test_what_datasets_add_has_the_measures_value_and_standard_error() -> None:
    fits = random_fits(200, 1)
    assert sorted([*MEANS, *ORDERED, *UNTESTED]) == sorted(MEASURES)
    for name, of in MEANS.items():
        added, measure = of(fits), MEASURES[name].of(fits)
        assert added.mean() == pytest.approx(measure.value, rel=1e-9), name
        # rates have n where means have n - 1
        error = added.std(ddof=1) / np.sqrt(200)
        assert error == pytest.approx(measure.mcse, rel=0.003), name
    for name, (of, share) in ORDERED.items():
        assert np.quantile(of(fits), share) == pytest.approx(MEASURES[name].of(fits).value), name


def test_the_error_is_that_of_pairs_or_of_two_samples() -> None:
    one, two = np.random.default_rng(2).standard_normal((2, 50))
    two = one + 0.1 * two
    paired = of_means(one, two).mcse
    assert paired == pytest.approx((two - one).std(ddof=1) / np.sqrt(50))
    nothing = np.full(50, np.nan)
    apart = of_means(np.append(one, nothing), np.append(nothing, two)).mcse
    assert apart == pytest.approx(np.hypot(one.std(ddof=1), two.std(ddof=1)) / np.sqrt(50))
    assert paired < apart / 5


def overlapping(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of 150 datasets in A and 200 in B, 100 of which are in both."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal(250)
    one, two = (shared + 0.5 * rng.standard_normal(250) for _ in "ab")
    one[150:], two[:50] = np.nan, np.nan
    return one, two


@pytest.mark.parametrize("kind", ["mean", "median"])
def test_the_error_is_how_much_differences_vary_where_some_datasets_are_shared(kind: str) -> None:
    found, errors = [], []
    for seed in range(300):
        one, two = overlapping(seed)
        if kind == "mean":
            found.append(np.nanmean(two) - np.nanmean(one))
            errors.append(of_means(one, two).mcse)
        else:
            mcse = [
                MEASURES["error_median"].of(random_of(values[~np.isnan(values)])).mcse
                for values in (one, two)
            ]
            found.append(np.nanmedian(two) - np.nanmedian(one))
            errors.append(of_quantiles(one, two, 0.5, (mcse[0], mcse[1])).mcse)
    # the spread of 300 values is known to within 4%; medians' errors are rather too large
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(found), rel=0.13)


def random_of(error: np.ndarray) -> Fits:
    """Fits with these errors."""
    nothing = np.full(len(error), np.nan)
    return Fits(np.zeros(len(error)), error, *(nothing,) * 7)


def test_rates_have_mcnemars_test_or_the_pooled_one() -> None:
    rng = np.random.default_rng(3)
    one, two = (rng.random((2, 200)) < [[0.9], [0.8]]).astype(float)
    counts = [[int(((one == i) & (two == j)).sum()) for j in (1, 0)] for i in (1, 0)]
    expected = mcnemar(counts, exact=False, correction=False).pvalue
    assert of_means(one, two).p_value == pytest.approx(expected)
    nothing = np.full(200, np.nan)
    apart = of_means(np.append(one, nothing), np.append(nothing, two))
    expected = proportions_ztest([one.sum(), two.sum()], [200, 200])[1]
    assert apart.p_value == pytest.approx(expected)


def test_a_difference_of_rounding_is_none() -> None:
    one = np.random.default_rng(4).standard_normal(30)
    assert of_means(one, one * (1.0 + 1e-12)).p_value == 1.0
    # however equal all differences are, 30 datasets are no more certain than that
    shifted = of_means(one, one + 0.1)
    assert shifted.mcse < 1e-12
    assert shifted.p_value == pytest.approx(differences.two_sided(np.sqrt(30)))


def test_p_values_are_adjusted_as_holm_does() -> None:
    values = np.array([0.01, np.nan, 0.04, 0.0001, 0.9, 0.04, np.nan])
    known = ~np.isnan(values)
    found = adjusted(values)
    assert found[known] == pytest.approx(multipletests(values[known], method="holm")[1])
    assert np.isnan(found[~known]).all()


# ---- the whole comparison, if nothing differs ----------------------------------------------------


def random_part(study: Study, draws: np.ndarray) -> Part:
    """A condition's fits from standard normal numbers, (4, n, 1, 2): heavy tails, some failures."""
    error, chance, spread, went = draws
    n = len(error)
    truth = np.full_like(error, 0.5)
    estimate = truth + error * np.sqrt(5.0 / (1.0 + np.square(chance) + 3.0 * np.abs(chance)))
    se = np.exp(0.2 * spread)
    statistic = estimate / se
    p_value, p_truth = (
        2.0 * differences.ndtr(-np.abs(z)) for z in (statistic, (estimate - truth) / se)
    )
    columns = {"truth": truth, "estimate": estimate, "se": se, "df": np.full_like(error, 7.0)}
    columns |= {"statistic": statistic, "p_value": p_value, "p_truth": p_truth}
    columns |= {"ci_low": estimate - 2 * se, "ci_high": estimate + 2 * se}
    flags = {name: (went[..., 0] > 0.5 + k / 5).astype(float) for k, name in enumerate(RATES)}
    flags |= {"failed_rate": np.zeros((n, 1)), "convergence_rate": (went[..., 1] < 1.0) * 1.0}
    sums = {name: np.abs(draws[k]).sum(axis=2) for k, name in enumerate(tables.METRICS)}
    cell = Cell(study.conditions[0], n, columns, flags, sums)
    return Part(cell, np.arange(n), np.zeros((n, 1)), np.full((n, 1), "none", dtype=object))


def null_rejections(n: int, shared: bool, times: int) -> int:
    """How many comparisons of studies that do not differ call something different."""
    study = load_study(CONFIG | {"sigma": [1], "strategies": ["lm"], "n_sims": n}, name="null")
    run = {made_of(study.conditions[0]): None}
    side = Side(Path("a"), study, {}, run)  # type: ignore[arg-type]
    other = Side(Path("b"), study, {}, run)  # type: ignore[arg-type]
    studies = Studies.of(side, other)
    found = 0
    for seed in range(times):
        rng = np.random.default_rng([seed, n, shared])
        common = rng.standard_normal((4, n, 1, 2))
        parts = []
        for _ in "ab":
            own = rng.standard_normal((4, n, 1, 2))
            parts.append(random_part(study, 0.8 * common + 0.6 * own if shared else own))
        with np.errstate(all="ignore"):
            rows = list(table.of_condition(studies, parts[0], parts[1], shared))
        p_values = np.array([row.get("p_value") for row in rows], dtype=float)
        assert (~np.isnan(p_values)).sum() > 50
        found += bool((adjusted(p_values) < LEVEL).any())
    return found


@pytest.mark.parametrize("shared", [True, False])
def test_studies_that_do_not_differ_are_seldom_called_different(shared: bool) -> None:
    # with a chance of 5% each, 5 and more of 20 have one of 0.3%
    assert null_rejections(40, shared, 20) <= 4


# ---- studies whose differences are known ---------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies: ``a``, one with other datasets, and one with more of everything."""
    place = tmp_path_factory.mktemp("compared")
    more = {"grid": {"noise_sd": [1, 2]}, "sigma": [1, 0.1, 2], "strategies": ["lmer", "lmer_t"]}
    for name, settings in {"a": {}, "seed": {"seed": 1}, "more": more | {"n_sims": 25}}.items():
        made(load_study(CONFIG | settings, name=name), place / name)
    return place


def changed(folder: Path, name: str, said: dict[str, str] | None = None, **changes: Change) -> Path:
    """A copy of the study ``a`` with changed tables, which say something more of themselves."""
    (folder / name).mkdir()
    for table_name in ("fits", "coefs"):
        original = folder / "a" / f"{table_name}.parquet"
        metadata = tables.metadata(original) | (said or {})
        rows = pq.read_table(original)
        rows = changes.get(table_name, lambda rows: rows)(rows)
        path = folder / name / f"{table_name}.parquet"
        # in groups that end anywhere
        pq.write_table(rows.replace_schema_metadata(metadata), path, row_group_size=97)
    return folder / name


def scaled(rows: pa.Table, strategy: str, by: float) -> pa.Table:
    """The rows of ``coefs`` with other standard errors of a strategy."""
    factor = pc.if_else(pc.equal(rows["strategy"], strategy), by, 1.0)
    place = rows.column_names.index("se")
    return rows.set_column(place, rows.schema.field(place), pc.multiply(rows["se"], factor))


def run(*arguments: object) -> int:
    """Compare, as the command line does."""
    return compare.main([str(it) for it in arguments])


def compared(a: Path, b: Path, *wanted: str) -> table.Comparison:
    """Two studies compared."""
    return table.compare(Studies.of(Side.open(a), Side.open(b), wanted))


def test_the_same_tables_do_not_differ(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = changed(folder, "same")
    assert run(folder / "a", same, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    found = pd.read_parquet(tmp_path / "out" / "comparison.parquet")
    assert f"All {found['p_value'].notna().sum():,} numbers are the same in A and B." in out
    assert out.count("all 80 fits are identical to the bit. No verdict differs.") == 2
    assert (found["difference"].dropna() == 0).all()
    assert not found["differs"].any()
    assert (found["n_shared"] == 40).all()
    fits = pd.read_parquet(tmp_path / "out" / "comparison_fits.parquet")
    assert (fits["n_identical"] == 40).all()
    again = pd.read_csv(tmp_path / "out" / "comparison.csv")
    pd.testing.assert_frame_equal(found, again, check_dtype=False)
    said = made_with(tmp_path / "out" / "comparison.html")
    assert said == tables.metadata(tmp_path / "out" / "comparison.parquet")
    assert json.loads(said["a"]) == json.loads(said["b"])
    text = (tmp_path / "out" / "comparison.html").read_text()
    assert "the programs and the code are the same" in text
    assert "No fit of the same dataset differs" in text


def test_its_values_are_those_of_performance(folder: Path) -> None:
    found = compared(folder / "a", folder / "seed").measures
    keys = ["n_groups", "n_obs", "sigma", "strategy", "term", "measure", "fits"]
    for side in ("a", "seed"):
        expected = pd.read_parquet(folder / side / "performance.parquet")
        expected = expected[expected["reference"].isna()].fillna({"term": ""})
        ours = found.rename(columns={"strategy_a": "strategy"}).fillna({"term": ""})
        both = ours.merge(expected, on=keys, validate="1:1")
        assert len(both) == len(ours)
        name = "a" if side == "a" else "b"
        for column, theirs in (("value", "value"), ("n", "n_used")):
            pd.testing.assert_series_equal(
                both[f"{column}_{name}"], both[theirs], check_names=False
            )
    converged = found[found["fits"] == "converged"]
    assert set(converged["strategy_a"]) == {"lmer"}  # all others would be there twice


def test_other_standard_errors_of_one_strategy_are_found(folder: Path) -> None:
    other = changed(folder, "shifted", coefs=lambda rows: scaled(rows, "lm", 1.2))
    found = compared(folder / "a", other)
    differ = found.measures[found.measures["differs"]]
    assert set(differ["strategy_a"]) == {"lm"}
    assert set(differ["measure"]) == {"model_se", "relative_error_of_model_se"}
    model_se = differ[differ["measure"] == "model_se"]
    assert len(model_se) == 2 * 2
    assert model_se["difference"].to_numpy() == pytest.approx(0.2 * model_se["value_a"].to_numpy())
    fits = found.fits.set_index("strategy_a")
    assert (fits.loc["lm", "n_se_apart"] == 40).all()
    assert fits.loc["lm", "se_max"].to_numpy() == pytest.approx([0.2, 0.2])
    assert (fits.loc["lm", "estimate_max"] == 0).all()
    assert (fits.loc["lmer", "n_identical"] == 40).all()
    said = sentences(found)
    assert said[0].startswith(f"{len(differ)} of ")
    assert any(text.startswith("Model standard error: 4 of ") for text in said)
    assert said[-2].startswith("lm: 0 of 80 fits are identical to the bit. No verdict differs.")
    assert "standard errors differ by more than 1% in 80 fits, at most by 20%" in said[-2]


def test_a_few_small_differences_are_no_difference_but_are_named(folder: Path) -> None:
    def moved(rows: pa.Table) -> pa.Table:
        values = rows["estimate"].to_numpy().copy()
        values[6] += 1e-4  # of the second dataset
        return rows.set_column(rows.column_names.index("estimate"), "estimate", pa.array(values))

    def worse(rows: pa.Table) -> pa.Table:
        place = rows.column_names.index("criterion")
        values = rows["criterion"].to_pylist()
        values[1] += 0.5  # of the first
        return rows.set_column(place, "criterion", pa.array(values, pa.float64()))

    other = changed(folder, "one_fit", coefs=moved, fits=worse)
    found = compared(folder / "a", other)
    assert not found.measures["differs"].any()
    identical = found.fits.groupby("strategy_a")["n_identical"].sum()
    assert identical.to_dict() == {"lm": 80, "lmer": 78}
    first = next(found.apart.found())
    assert first["strategy_a"] == "lmer"
    said = " ".join(sentences(found))
    assert "B ends more than 0.01 above A’s optimum in 1 fit, at most 0.5 above." in said


def test_other_datasets_are_compared_as_independent(folder: Path) -> None:
    found = compared(folder / "a", folder / "seed")
    assert found.n_paired == 0
    assert found.fits.empty
    assert (found.measures["n_shared"] == 0).all()
    biases = found.measures[found.measures["measure"] == "bias"]
    independent = np.hypot(biases["mcse_a"], biases["mcse_b"])
    assert biases["mcse"].to_numpy() == pytest.approx(independent.to_numpy())
    assert not found.measures["differs"].any()
    said = sentences(found)
    assert said[0].startswith("None of ")
    assert len(said) == 1
    assert changes(found.studies)[0] == ("setting seed", "0", "1")


def test_files_of_one_name_with_other_numbers_make_other_datasets(tmp_path: Path) -> None:
    own = {"predictors": "own.parquet", "n_predictors": 1, "beta": 1, "n_sims": 3}
    for name, slope in {"a": 1.0, "b": 1.0, "other": 2.0}.items():
        (tmp_path / name).mkdir()
        columns = {"g": [1, 1, 1, 2, 2, 2], "x": [0.0, slope, 2.0, 0.0, 1.0, 3.0]}
        pq.write_table(pa.table(columns), tmp_path / name / "own.parquet")
        study = load_study(CONFIG | {"sigma": [1]} | own, name, tmp_path / name)
        made(study, tmp_path / name)
    assert compared(tmp_path / "a", tmp_path / "b").n_paired == 1
    found = compared(tmp_path / "a", tmp_path / "other")
    assert found.n_paired == 0
    assert "(the files of their data differ)" in shared(found)


def test_files_of_one_name_with_other_columns_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"predictors": "own.parquet", "n_predictors": 1, "beta": 1, "n_sims": 3}
    for name, term in {"a": "dose", "b": "age"}.items():
        (tmp_path / name).mkdir()
        columns = {"g": [1, 1, 1, 2, 2, 2], term: [0.0, 1.0, 2.0, 0.0, 1.0, 3.0]}
        pq.write_table(pa.table(columns), tmp_path / name / "own.parquet")
        study = load_study(CONFIG | {"sigma": [1]} | own, name, tmp_path / name)
        made(study, tmp_path / name)
    assert run(tmp_path / "a", tmp_path / "b") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no condition in common: their coefficients are Intercept, dose, and Interc" in line


def test_studies_of_different_size_share_what_they_share(folder: Path) -> None:
    found = compared(folder / "a", folder / "more")
    studies = found.studies
    assert [pair.label for pair in studies.pairs] == ["lmer"]
    assert (len(studies.keys), studies.only(studies.b, studies.a)) == (2, 4)
    assert set(found.measures["noise_sd"]) == {1}
    assert list(found.measures.columns[:4]) == ["n_groups", "n_obs", "sigma", "noise_sd"]
    assert (found.measures["n_shared"] == 25).all()
    assert (found.fits["n_identical"] == 25).all()
    assert not found.measures["differs"].any()
    back = compared(folder / "more", folder / "a")
    keys = ["sigma", "term", "measure", "fits"]
    both = found.measures.merge(back.measures, on=keys, validate="1:1")
    assert both["difference_x"].to_numpy() == pytest.approx(
        -both["difference_y"].to_numpy(), nan_ok=True
    )
    assert both["p_value_x"].to_numpy() == pytest.approx(both["p_value_y"].to_numpy(), nan_ok=True)


def test_other_code_and_programs_are_named(folder: Path) -> None:
    said = tables.metadata(folder / "a" / "fits.parquet")
    versions = json.loads(said["versions"]) | {"numpy": ["1.0"], "R": ["4.0.0"]}
    code = [*said["code"].split()[:-1], "0123456789abcdef"]
    other = changed(folder, "old", {"versions": json.dumps(versions), "code": " ".join(code)})
    numpy, mixed = changes(Studies.of(Side.open(folder / "a"), Side.open(other)))
    assert (numpy.what, numpy.b) == ("version of numpy", "1.0")
    assert (mixed.what, mixed.b) == ("digest of the code of rmsweep.strategies.mixed", code[-1])


def test_findings_are_written_into_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a-and-seed: begin -->\nold\n<!-- a-and-seed: end -->\nafter\n")
    arguments = [str(page), str(folder / "a"), str(folder / "seed")]
    assert document_comparison.main(arguments) == 0
    text = page.read_text()
    found = compared(folder / "a", folder / "seed")
    assert all(f"\n- {said}\n" in text for said in sentences(found))
    assert text.startswith("before\n<!-- a-and-seed: begin -->\nBoth have 2 conditions and 2 ")
    assert text.endswith("<!-- a-and-seed: end -->\nafter\n")
    assert "old" not in text
    page.write_text("no marks")
    assert document_comparison.main(arguments) == 2
    assert "a file without the marks" in capsys.readouterr().err


def test_conditions_are_known_by_their_data_whatever_they_are_called(tmp_path: Path) -> None:
    settings = {
        "plain": {"noise_sd": 2},
        "named": {"grid": {"noise_sd": {"quiet": 1, "loud": 2}}},
        "scenario": {"scenarios": {"ideal": {}, "loud": {"noise_sd": 2}}},
    }
    for name, own in settings.items():
        study = load_study(CONFIG | {"sigma": [1], "n_sims": 3} | own, name=name)
        made(study, tmp_path / name)
    for a, b, levels in (
        ("plain", "named", {"noise_sd": "loud"}),
        ("named", "plain", {"noise_sd": "loud"}),
        ("plain", "scenario", {"scenario": "loud"}),
        ("scenario", "named", {"scenario": "loud", "noise_sd": "loud"}),
    ):
        found = compared(tmp_path / a, tmp_path / b)
        (row,) = found.fits[["n_identical", *levels]].drop_duplicates().to_dict("records")[-1:]
        assert row == {"n_identical": 3, **levels}
        assert len(found.tables()["comparison_fits"]) == 2 * len(found.studies.keys)
    said = sentences(compared(tmp_path / "plain", tmp_path / "plain", "lm=lmer"))
    assert said[1].startswith("With 3 datasets in a condition no difference can be found: it takes")


def test_differences_that_only_pairs_show_are_called_small(folder: Path) -> None:
    other = changed(folder, "slightly", coefs=lambda rows: scaled(rows, "lm", 1.001))
    said = sentences(compared(folder / "a", other))
    assert "none of them by more than the Monte Carlo standard error (MCSE) of either" in said[0]


def test_incomplete_studies_are_compared_on_what_is_there(folder: Path, tmp_path: Path) -> None:
    def some(rows: pa.Table) -> pa.Table:
        rows = rows.filter(pc.greater_equal(rows["sim"], 10))
        return rows.filter(pc.or_(pc.less(rows["sigma"], 1.0), pc.less(rows["sim"], 39)))

    incomplete = {"incomplete": "59 of 80 datasets"}
    other = changed(folder, "some", incomplete, fits=some, coefs=some)
    found = compared(folder / "a", other)
    assert found.fits.groupby("sigma")["n_shared"].first().to_dict() == {0.1: 30, 1.0: 29}
    assert (found.fits["n_identical"] == found.fits["n_shared"]).all()
    assert run(folder / "a", other, "--output", tmp_path) == 0
    assert "B IS INCOMPLETE: 59 of 80 datasets" in (tmp_path / "comparison.html").read_text()


def test_strategies_of_one_study_are_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(folder / "more", folder / "more", "lmer=lmer_t")
    differ = found.measures[found.measures["differs"]]
    assert set(differ["measure"]) <= {"interval_width", "coverage", "bias_eliminated_coverage"}
    assert "interval_width" in set(differ["measure"])
    assert (found.fits["estimate_max"] == 0).all()
    assert [change.what for change in changes(found.studies)] == [
        "inference.interval of lmer / lmer_t"
    ]
    assert run(folder / "more", "--strategies", "lmer=lmer_t") == 0
    output = folder / "comparison_of_more_and_more"
    assert capsys.readouterr().out.splitlines()[-1] == str(output / "comparison.html")
    # the commands on the page make the same fits again
    rows = list(fits_that_differ(compared(folder / "a", folder / "more", "lm=lmer")))
    for command in rows[0][-2:]:
        python, script, *arguments = shlex.split(command)
        assert (python, script) == ("python", "scripts/rerun_replication.py")
        assert rerun_replication.main(arguments) == 0
        assert "equal to the bit" in capsys.readouterr().out


def test_what_cannot_be_compared_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(load_study(CONFIG | {"n_groups": [9], "n_sims": 2}, name="other"), tmp_path / "other")
    made(load_study(CONFIG | {"strategies": ["lm2"], "n_sims": 2}, name="lm2"), tmp_path / "lm2")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    pq.write_table(pa.table({"x": [1]}), foreign / "fits.parquet")
    a = folder / "a"
    output = ["--output", tmp_path / "out"]
    for arguments, message in (
        ([a, tmp_path / "nothing"], "nothing: not a folder of a study's results"),
        ([a, foreign], "fits.parquet: not a table of fits"),
        ([a, tmp_path / "other"], "have no condition in common"),
        ([a, tmp_path / "lm2"], "have no strategy in common"),
        ([a, folder / "seed", "--strategies", "lm=x"], "'x' is not in "),
        ([a], "is compared with itself"),
        ([a, a, "--strategies", "lm"], "is compared with itself"),
    ):
        assert run(*arguments, *output) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert message in line
    assert run(a, folder / "seed", "--output", foreign / "fits.parquet") == 2
    assert "fits.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- the page in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with the page of two strategies that differ in everything."""
    downloads = tmp_path_factory.mktemp("downloads")
    assert run(folder / "a", folder / "a", "--strategies", "lm=lmer", "--output", downloads) == 0
    opened = Page(downloads / "comparison.html", downloads)
    opened.open()
    yield opened
    assert opened.console() == []
    opened.driver.quit()


@pytest.mark.slow
@pytest.mark.parametrize("appearance", APPEARANCES)
def test_everybody_can_use_the_page(browser: Page, appearance: str) -> None:
    with browser.appearing(appearance):
        browser.open()
        browser.can_be_used_by_all()
        assert not STRANGE.search(browser.run("return document.body.innerText"))


@pytest.mark.slow
def test_its_table_has_the_rows_of_the_file(browser: Page) -> None:
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    browser.open()
    table_of_file = pd.read_csv(browser.downloads / "comparison.csv")
    script = "return document.querySelector('#measures_wrapper .dt-info').textContent"
    assert browser.run(script).endswith(f" of {table_of_file['differs'].sum()}")
    for name, value in (("differs", ""), ("measure", "coverage"), ("term", "IV1")):
        browser.set(f"filter-{name}", value)
    chosen = (table_of_file["measure"] == "coverage") & (table_of_file["term"] == "IV1")
    rows = table_of_file[chosen].sort_values("p_value")
    browser.click("csv-shown")
    path = browser.downloads / "comparison-a-a.csv"
    browser.until(path.exists)
    shown = pd.read_csv(path)
    assert len(shown) == len(rows)
    assert sorted(shown["difference"]) == pytest.approx(sorted(rows["difference"]), rel=1e-4)
    button = browser.driver.find_element("css selector", "#apart button[data-command]")
    browser.run("arguments[0].click()", button)
    browser.until(lambda: button.text in ("Copied", "Not copied"))
