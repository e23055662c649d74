"""Performance measures: by brute force, against other formulas, and with counts that are exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

import measure_performance
from measured import made
from rmsweep.config import load_study
from rmsweep.design import Study
from rmsweep.measures.performance import COMPARISONS, MEASURES, PAIRED, Fits, Result, quantile, rate
from rmsweep.measures.table import compared_places

CONFIG = {
    "n_groups": [6, 10],
    "n_obs": [5],
    "sigma": [0.25],
    "n_sims": 30,
    "engine": "native",
}


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(CONFIG, name="measured")


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def table(study: Study, folder: Path) -> pd.DataFrame:
    return made(study, folder)


def small_study(rng: np.random.Generator, n: int) -> tuple[Fits, Fits]:
    """Two strategies' fits to the same data, the second a noisier one whose SE is too small."""
    truth = rng.uniform(size=n)
    first = rng.standard_t(12, size=n) * 0.3
    second = 0.05 + 0.8 * first + 0.25 * rng.normal(size=n)

    def fits(error: np.ndarray, scale: float) -> Fits:
        df = np.full(n, 12.0)
        se = scale * np.sqrt(rng.chisquare(12, size=n) / 12)
        estimate = truth + error
        half = stats.t.ppf(0.975, 12) * se
        p_value, p_truth = (2 * stats.t.sf(np.abs(it / se), df) for it in (estimate, error))
        ends = estimate - half, estimate + half
        return Fits(truth, estimate, se, df, estimate / se, p_value, *ends, p_truth)

    return fits(first, 0.32), fits(second, 0.3)


OF_TWO: dict[str, Callable[[Fits, Fits], Result]] = {
    **{
        name: lambda one, two, measure=measure: measure.of(two)
        for name, measure in MEASURES.items()
        if name not in ("relative_bias", "error_q025", "error_q975")
    },
    **{
        name: lambda one, two, measure=measure: measure.of(two, one)
        for name, measure in COMPARISONS.items()
    },
    **{
        name: lambda one, two, it=it: it.sum_up(it.of(two, one))  # type: ignore[misc]
        for name, it in PAIRED.items()
    },
}


def test_the_spread_of_a_measure_over_many_studies_is_its_standard_error() -> None:
    rng = np.random.default_rng(1)
    results: dict[str, list[Result]] = {name: [] for name in OF_TWO}
    for _ in range(2000):
        one, two = small_study(rng, 150)
        for name, measure in OF_TWO.items():
            results[name].append(measure(one, two))
    for name, found in results.items():
        values, errors = (
            np.array([getattr(it, part) for it in found]) for part in Result._fields[:2]
        )
        assert np.isfinite(values).all(), name
        ratio = np.sqrt(np.mean(errors**2)) / values.std()
        # of the quantiles, binomial ranks are wide; of the adjusted power, the densities are rough
        rough = name in ("error_q25", "error_median", "error_q75", "absolute_error_median")
        tolerance = 0.25 if rough or "size_adjusted_power" in name else 0.08
        assert abs(ratio - 1) < tolerance, f"{name}: {ratio}"


def test_measures_are_those_of_morris_white_and_crowther() -> None:
    fits, _ = small_study(np.random.default_rng(2), 400)
    error, se, n = fits.estimate - fits.truth, fits.se, 400
    covered = stats.t.cdf(np.abs(error) / se, 12) < 0.975
    expected = {
        "bias": (error.mean(), error.std(ddof=1) / np.sqrt(n)),
        "empirical_se": (error.std(ddof=1), None),
        "model_se": (
            np.sqrt((se**2).mean()),
            np.sqrt((se**2).var(ddof=1) / (4 * n * (se**2).mean())),
        ),
        "mse": ((error**2).mean(), (error**2).std(ddof=1) / np.sqrt(n)),
        "rmse": (
            np.sqrt((error**2).mean()),
            (error**2).std(ddof=1) / np.sqrt(n) / (2 * np.sqrt((error**2).mean())),
        ),
        "coverage": (covered.mean(), np.sqrt(covered.mean() * (1 - covered.mean()) / n)),
        "size": (1 - covered.mean(), np.sqrt(covered.mean() * (1 - covered.mean()) / n)),
        "rejection": ((fits.p_value < 0.05).mean(), None),
    }
    for name, (value, mcse) in expected.items():
        found = MEASURES[name].of(fits)
        assert found.value == pytest.approx(value, rel=1e-12), name
        if mcse is not None:
            assert found.mcse == pytest.approx(mcse, rel=5e-3), name


def test_a_rate_of_zero_has_an_interval() -> None:
    found = rate(np.zeros(50))
    assert found[:3] == (0.0, 0.0, 0.0)
    assert found.high == pytest.approx(0.0714, abs=1e-4)


def test_a_quantiles_interval_is_of_order_statistics() -> None:
    found = quantile(np.arange(1.0, 101.0), 0.5)
    assert (found.value, found.low, found.high) == (50.5, 41.0, 61.0)


def test_counts_are_exact(study: Study, folder: Path, table: pd.DataFrame) -> None:
    fits = pd.read_parquet(folder / "fits.parquet")
    by = fits.groupby(["n_groups", "strategy"])
    assert (table["n_planned"] == 30).all()
    assert (table["n_run"] == 30).all()
    for (n_groups, strategy), rows in by:
        here = table[(table.n_groups == n_groups) & (table.strategy == strategy)]
        assert (here["n_converged"] == rows["fit_success"].sum()).all()
        alone = here[here.reference.isna() & here.term.notna()]
        used = {"all": (rows.status != "failed").sum(), "converged": rows["fit_success"].sum()}
        for use, number in used.items():
            assert (alone[alone.fits == use]["n_used"] == number).all()
    assert set(table["fits"]) == {"all", "converged"}


def test_measures_use_the_fits_that_they_say(folder: Path, table: pd.DataFrame) -> None:
    coefs = pd.read_parquet(folder / "coefs.parquet")
    fits = pd.read_parquet(folder / "fits.parquet")
    keys = ["n_groups", "sim", "strategy"]
    joined = coefs.merge(fits[[*keys, "fit_success"]], on=keys)
    joined["error"] = joined.estimate - joined.truth
    for use, rows in {"all": joined, "converged": joined[joined.fit_success]}.items():
        expected = rows.groupby(["n_groups", "strategy", "term"])["error"].mean()
        found = table[(table.measure == "bias") & (table.fits == use) & (table.n_used > 0)]
        found = found.set_index(["n_groups", "strategy", "term"])["value"]
        pd.testing.assert_series_equal(
            found.sort_index(), expected[found.index].sort_index(), check_names=False
        )
    singular = fits.groupby(["n_groups", "strategy"])["singular"].agg(
        lambda flags: flags.dropna().astype(float).mean()
    )
    found = table[table.measure == "singular_rate"].set_index(["n_groups", "strategy"])["value"]
    pd.testing.assert_series_equal(
        found.sort_index(), singular.sort_index(), check_names=False, check_dtype=False
    )


def test_what_the_tails_leave_undefined_is_decided_by_n_and_p(table: pd.DataFrame) -> None:
    # groups of 5 and three predictors: tails of t with two degrees of freedom
    here = table[(table.measure == "rmse") & table.reference.isna()]
    undefined = here[~here.defined]
    assert set(undefined.strategy) == {"lm2"}
    assert undefined["value"].isna().all()
    bias = table[(table.measure == "bias") & (table.strategy == "lm2")]
    assert bias.defined.all()
    assert not bias.mcse_defined.any()
    assert bias["mcse"].isna().all()
    against = table[(table.measure == "rmse_ratio") & (table.reference == "lm2")]
    assert not against.defined.any()
    coverage = table[(table.measure == "coverage") & (table.strategy == "lm2")]
    assert coverage.mcse_defined.all()


@pytest.mark.parametrize(
    ("n_obs", "rmse", "error_of_rmse"), [(6, True, False), (7, True, False), (8, True, True)]
)
def test_more_observations_define_more(
    n_obs: int, rmse: bool, error_of_rmse: bool, tmp_path: Path
) -> None:
    keys = {"n_obs": [n_obs], "n_groups": [6], "n_sims": 3, "strategies": ["lm2"]}
    table = made(load_study(CONFIG | keys, name="tails"), tmp_path)
    of_rmse = table[table.measure == "rmse"][["defined", "mcse_defined"]].drop_duplicates()
    assert of_rmse.to_numpy().tolist() == [[rmse, error_of_rmse]]


def test_size_is_the_rejection_rate_of_a_null_study(table: pd.DataFrame, tmp_path: Path) -> None:
    null = made(load_study(CONFIG | {"beta": 0}, name="null"), tmp_path)
    size = table[table.measure == "size"].reset_index(drop=True)
    rejection = null[null.measure == "rejection"].reset_index(drop=True)
    assert len(size) == 2 * 4 * 4 * 2
    pd.testing.assert_series_equal(size["value"], rejection["value"], check_names=False)
    assert not null[null.measure == "power"].defined.any()


def test_rejections_with_the_wrong_sign_are_told_from_power() -> None:
    nothing = np.zeros(5)
    truth, estimate = np.array([1.0, -1.0, -1.0, 1.0, 0.0]), np.array([2.0, -2.0, 2.0, -0.1, 2.0])
    p_values = np.array([0.01, 0.01, 0.01, 0.5, 0.01])
    fits = Fits(truth, estimate, *[nothing] * 3, p_values, *[nothing] * 3)
    assert MEASURES["power"].of(fits).value == 0.8
    assert MEASURES["wrong_sign"].of(fits).value == 0.2
    none = Fits(truth, estimate, *[nothing] * 3, np.full(5, 0.5), *[nothing] * 3)
    difference = PAIRED["difference_of_directional_power"]
    # of the four whose truth is not zero, two have its sign
    assert difference.sum_up(difference.of(fits, none)).value == 0.5


def test_a_rejection_with_the_wrong_sign_rejects_the_truth_too(table: pd.DataFrame) -> None:
    keys = ["n_groups", "strategy", "term", "fits"]
    wrong, size = (
        table[table.measure == name].set_index(keys)["value"] for name in ("wrong_sign", "size")
    )
    known = wrong.notna()
    assert (wrong <= size)[known].all()
    assert (wrong > 0).any()


def test_failures_that_are_not_singular_fits_are_told(folder: Path, table: pd.DataFrame) -> None:
    fits = pd.read_parquet(folder / "fits.parquet")
    said = fits[["grad_msg", "hess_msg", "df_msg", "messages"]].fillna("").ne("").any(axis=1)
    real = said | fits["opt_code"].fillna(0).ne(0) | ~fits["singular"].eq(True)
    fits["real"] = ~fits["fit_success"] & real
    expected = fits.groupby(["n_groups", "strategy"])["real"].mean()
    found = table[table.measure == "nonsingular_failure_rate"]
    assert (found["n_used"] == 30).all()
    found = found.set_index(["n_groups", "strategy"])["value"]
    pd.testing.assert_series_equal(
        found.sort_index(), expected.sort_index(), check_names=False, check_dtype=False
    )
    converged = table[table.measure == "convergence_rate"].set_index(["n_groups", "strategy"])
    assert (found < 1 - converged["value"]).any()


def test_relative_bias_needs_a_truth_that_is_fixed(table: pd.DataFrame, tmp_path: Path) -> None:
    random = table[table.measure == "relative_bias"]
    assert not random.defined.any()
    assert random["reason"].str.contains("drawn anew").all()
    keys = {"beta": [1, 0, 0.5, 2], "strategies": ["lm"], "n_groups": [6]}
    fixed = made(load_study(CONFIG | keys, name="fixed"), tmp_path)
    here = fixed[fixed.measure == "relative_bias"].set_index(["fits", "term"])
    bias = fixed[fixed.measure == "bias"].set_index(["fits", "term"])
    assert here["defined"].tolist() == [True, False, True, True] * 2
    assert here.value["all", "IV3"] == pytest.approx(bias.value["all", "IV3"] / 2)


def test_comparisons_are_on_the_datasets_that_both_fitted(
    folder: Path, table: pd.DataFrame
) -> None:
    fits = pd.read_parquet(folder / "fits.parquet")
    converged = fits[fits.fit_success].groupby(["n_groups", "strategy"])["sim"].agg(set)
    here = table[(table.measure == "rmse_ratio") & (table.fits == "converged")]
    for row in here.itertuples():
        one, two = (
            converged.get((row.n_groups, name), set()) for name in (row.strategy, row.reference)
        )
        assert row.n_used == len(one & two)
    pairs = list(zip(here["reference"], here["strategy"], strict=True))
    names = ["lm", "lm2", "lmer", "lmer_mis"]
    assert set(pairs) == {(a, b) for i, a in enumerate(names) for b in names[i + 1 :]}


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([], {("lm", "lmer"), ("lm", "lmer_mis"), ("lmer", "lmer_mis")}),
        (["lmer"], {("lmer", "lm"), ("lmer", "lmer_mis")}),
        (["lmer_mis", "lmer"], {("lmer", "lm"), ("lmer_mis", "lm"), ("lmer", "lmer_mis")}),
    ],
)
def test_references_say_what_is_compared(
    references: list[str], expected: set[tuple[str, str]]
) -> None:
    names = ["lm", "lmer", "lmer_mis"]
    one = load_study(CONFIG | {"strategies": names, "references": references}, "s")
    assert {(names[a], names[b]) for a, b in compared_places(one)} == expected


def test_many_strategies_are_compared_with_the_first() -> None:
    names = ["ols", "lm", "lm_cr1", "lm_z", "lm2", "lm2_hc3", "lmer", "lmer_t", "lmer_mis"]
    one = load_study(CONFIG | {"strategies": names}, "s")
    assert compared_places(one) == [(0, other) for other in range(1, 9)]


def test_decisions_agree_where_both_reject_on_the_same_side_or_neither_does() -> None:
    def fits(p_values: list[float], sign: float = 1.0) -> Fits:
        nothing = np.zeros(len(p_values))
        return Fits(nothing, nothing + sign, *[nothing] * 3, np.array(p_values), *[nothing] * 3)

    def agreement_of(one: Fits, two: Fits) -> Result:
        return PAIRED["decision_agreement"].sum_up(PAIRED["decision_agreement"].of(one, two))

    one, two = fits([0.01, 0.2, 0.04, 0.5, np.nan]), fits([0.03, 0.9, 0.06, 0.01, 0.01])
    agreement = agreement_of(one, two)
    assert agreement == rate(np.array([1.0, 1.0, 0.0, 0.0]))
    assert agreement_of(two, one) == agreement
    assert agreement_of(one, one).value == 1.0
    # the opposite conclusion is no agreement
    opposite = agreement_of(one, fits([0.03, 0.9, 0.06, 0.01, 0.01], sign=-1.0))
    assert opposite == rate(np.array([0.0, 1.0, 0.0, 0.0]))


def test_tables_of_different_studies_are_refused(
    folder: Path, table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = load_study(CONFIG | {"seed": 5, "n_sims": 2, "strategies": ["lm"]}, name="other")
    made(other, tmp_path)
    arguments = [
        folder / "fits.parquet",
        tmp_path / "coefs.parquet",
        "--output",
        tmp_path / "x.csv",
    ]
    assert measure_performance.main(list(map(str, arguments))) == 2
    assert "not of the same study" in capsys.readouterr().err


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("rmsweep.measures.table.ROWS_AT_ONCE", 7)
    yield


def test_how_many_rows_are_read_at_once_changes_nothing(
    folder: Path, table: pd.DataFrame, tmp_path: Path, few_rows: None
) -> None:
    output = tmp_path / "performance.parquet"
    tables = [folder / "fits.parquet", folder / "coefs.parquet"]
    assert measure_performance.main([*map(str, tables), "--output", str(output)]) == 0
    assert pq.read_table(output).equals(pq.read_table(folder / "performance.parquet"))
