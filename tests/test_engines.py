"""The two engines behind the strategies, and the audit that holds one against the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import compare_engines
from rmsweep import r
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import simulate
from rmsweep.design import Block, Condition, Strategy, Study
from rmsweep.errors import ConfigError
from rmsweep.measures import agreement
from rmsweep.sweep import merge, replication, tables
from rmsweep.sweep.provenance import measures_identity, table_identity
from rmsweep.sweep.replication import Outcome, fit_datasets, run_block

GRID = {"n_groups": [10], "n_obs": [5], "sigma": [1], "n_sims": 1}
# closed forms of the same numbers: rounding only
ROUNDING = 1e-9
# lmerTest's numerical derivatives are good to about four figures of the degrees of freedom
NUMERICAL = 1e-3
# lme4 stops short of the optimum: relative, where it has nothing to complain of
STOPPING = 2e-3


def a_study(**keys: object) -> Study:
    return load_study(GRID | keys, "s")


def of(n_groups: int, n_obs: int, sigma: float) -> Condition:
    return condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma)


def outcomes(strategy: Strategy, data: list[Dataset]) -> list[Outcome]:
    """What the sweep makes of datasets of one layout."""
    return fit_datasets([strategy], [(range(len(data)), Batch(data))], len(data))[strategy.name]


def without_timings(shard: pa.Table) -> pa.Table:
    return shard.drop_columns(["seconds", "cpu_seconds", "host", "worker"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lm", "lm2", "lmer", "lmer_mis"])
@pytest.mark.parametrize("condition", [of(10, 6, 1.0), of(30, 25, 0.25)], ids=str)
def test_engines_agree(name: str, condition: Condition) -> None:
    data = [simulate(0, condition, sim).data for sim in range(6)]
    native, reference = (
        outcomes(a_study(strategies=[name], engine=engine).strategies[0], data)
        for engine in ("native", "lme4")
    )
    tolerance = ROUNDING if name in ("lm", "lm2") else STOPPING
    compared = 0
    for ours, theirs in zip(native, reference, strict=True):
        assert ours.fit
        assert theirs.fit
        assert (ours.fit.se_type, ours.fit.df_type) == (theirs.fit.se_type, theirs.fit.df_type)
        if not np.isnan(ours.fit.criterion):
            assert ours.fit.criterion <= theirs.fit.criterion + agreement.CRITERION_TOLERANCE
        if theirs.fit.convergence.clean:
            off = np.abs(ours.fit.estimate - theirs.fit.estimate) / theirs.fit.se
            assert off.max() < tolerance
            np.testing.assert_allclose(ours.fit.se, theirs.fit.se, rtol=tolerance)
            np.testing.assert_allclose(ours.fit.df, theirs.fit.df, rtol=2 * tolerance)
            compared += 1
    assert compared


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lmer", "lmer_mis"])
def test_closed_derivatives_give_what_lme4s_and_lmertests_own_do(name: str) -> None:
    closed, numerical = (
        a_study(strategies=[name], derivatives=derivatives).strategies[0]
        for derivatives in ("closed", "numerical")
    )
    for one in (of(10, 5, 0.1), of(10, 25, 1.0)):
        data = [simulate(0, one, sim).data for sim in range(8)]
        found, expected = outcomes(closed, data), outcomes(numerical, data)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.fit
            assert theirs.fit
            assert ours.fit.estimate.tobytes() == theirs.fit.estimate.tobytes()
            np.testing.assert_allclose(ours.fit.se, theirs.fit.se, rtol=1e-12)
            assert ours.fit.criterion == theirs.fit.criterion
            if theirs.fit.convergence.clean:
                np.testing.assert_allclose(ours.fit.df, theirs.fit.df, rtol=NUMERICAL)
        truth = np.zeros((len(data), 4))
        here, there = (
            replication.rows(tried, data[0].terms, truth, {}) for tried in (found, expected)
        )
        for verdict in (merge.converged, merge.converged_published):
            assert verdict(here).to_pylist() == verdict(there).to_pylist()


def exact_response(kind: str, data: Dataset) -> Dataset:
    """A dataset of which a model can explain the response to the last digit."""
    betas = np.random.default_rng(0).normal(size=(data.n_groups, len(data.terms)))
    X = data.X.copy()
    match kind:
        case "constant":
            betas[:] = [3.7, 0, 0, 0]
        case "linear":
            betas[:] = [1, 2.7, 0.3, -4]
        case "years":
            X[:, 1] = np.round(2005 + 9 * X[:, 1])
            betas[:] = [1, 2.7, 0.3, -4]
        case "group means":
            betas[:, 1:] = [2.7, 0.3, -4]
    return replace(data, X=X, y=(X * betas[data.groups]).sum(axis=1))


EXACT = {
    "constant": {"lm": "failed", "lm2": "failed", "lmer": "failed", "lmer_mis": "failed"},
    "linear": {"lm": "failed", "lm2": "failed", "lmer": "failed", "lmer_mis": "failed"},
    "years": {"lm": "failed", "lm2": "failed", "lmer": "failed", "lmer_mis": "failed"},
    "group means": {"lm": "ok", "lm2": "failed", "lmer": "failed", "lmer_mis": "failed"},
    "group lines": {"lm": "ok", "lm2": "ok", "lmer": "failed", "lmer_mis": "ok"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXACT)
def test_both_engines_judge_an_exact_response_alike(kind: str) -> None:
    data = exact_response(kind, simulate(0, of(10, 8, 1.0), 0).data)
    for name, expected in EXACT[kind].items():
        tried = [
            outcomes(a_study(strategies=[name], engine=engine).strategies[0], [data])[0]
            for engine in ("native", "lme4")
        ]
        assert [replication.status(one.fit) for one in tried] == [expected] * 2
        assert len({one.error for one in tried}) == 1
        if expected == "failed":
            assert "rounding" in tried[0].error


@pytest.mark.slow
@pytest.mark.parametrize("mean", [225.0, 2e4])
def test_years_are_fitted_as_lme4_fits_them_centred(mean: float) -> None:
    strategies = [
        a_study(strategies=["lmer"], engine=engine).strategies[0] for engine in ("native", "lme4")
    ]
    compared = 0
    for sim in range(4):
        data = simulate(0, of(30, 25, 1.0), sim).data
        far = replace(data, X=data.X + np.array([0.0, mean, 0.0, -mean]))
        native = outcomes(strategies[0], [far])[0].fit
        reference = outcomes(strategies[1], [data])[0].fit
        assert native
        assert reference
        assert native.criterion <= reference.criterion + agreement.CRITERION_TOLERANCE
        if reference.convergence.clean:
            off = (native.estimate - reference.estimate)[1:] / reference.se[1:]
            assert np.abs(off).max() < STOPPING
            np.testing.assert_allclose(native.se[1:], reference.se[1:], rtol=STOPPING)
            np.testing.assert_allclose(native.df[1:], reference.df[1:], rtol=2 * STOPPING)
            compared += 1
    assert compared


@pytest.mark.parametrize("name", ["lm", "lm2"])
@pytest.mark.parametrize("mean", [225.0, 1e6])
def test_engines_agree_on_predictors_far_from_zero(name: str, mean: float) -> None:
    data = simulate(0, of(10, 8, 1.0), 0).data
    data = replace(data, X=data.X + np.array([0.0, mean, 0.0, -mean]))
    native, reference = (
        outcomes(a_study(strategies=[name], engine=engine).strategies[0], [data])[0].fit
        for engine in ("native", "lme4")
    )
    assert native
    assert reference
    np.testing.assert_allclose(native.estimate, reference.estimate, rtol=ROUNDING)
    np.testing.assert_allclose(native.se, reference.se, rtol=ROUNDING)


@pytest.mark.slow
def test_lme4_rows_say_how_far_above_the_optimum_lme4_stopped() -> None:
    shard = run_block(a_study(), Block(of(10, 5, 0.1), range(4))).to_pylist()
    gaps = {row["strategy"]: [] for row in shard}
    for row in shard:
        gaps[row["strategy"]].append(row["criterion_gap"])
    assert gaps["lm"] == [None] * 4
    for name in ("lmer", "lmer_mis"):
        assert all(gap > -agreement.CRITERION_TOLERANCE for gap in gaps[name])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_native_rows_are_the_same_bytes_in_any_block(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = a_study(engine="native")
    condition = of(10, 7, 0.25)
    whole = without_timings(run_block(one, Block(condition, range(21))))
    blocks = [range(first, first + size) for first in range(0, 21, size)]
    parts = [without_timings(run_block(one, Block(condition, sims))) for sims in blocks]
    assert pa.concat_tables(parts).equals(whole)
    few = replication.VALUES_AT_ONCE // replication.datasets_at_once(condition) * 4
    monkeypatch.setattr(replication, "VALUES_AT_ONCE", few)
    assert without_timings(run_block(one, Block(condition, range(21)))).equals(whole)


def test_an_impossible_design_is_a_failed_row_natively_too() -> None:
    one = a_study(engine="native")
    shard = run_block(one, Block(of(10, 4, 1.0), range(2))).to_pylist()
    lmer = [row for row in shard if row["strategy"] == "lmer"]
    assert [row["status"] for row in lmer] == ["failed"] * 2
    assert "number of observations (=40) <= number of random effects (=40)" in lmer[0]["messages"]
    assert {row["engine"] for row in lmer} == {"native"}
    assert {row["status"] for row in shard if row["strategy"] == "lm"} == {"ok"}


def test_the_audit_is_a_growing_sample_of_about_its_size() -> None:
    condition = of(10, 5, 1.0)
    few, many = (a_study(engine="native", audit=share) for share in (0.1, 0.3))
    sample = [sim for sim in range(2000) if few.is_audited(condition, sim)]
    larger = {sim for sim in range(2000) if many.is_audited(condition, sim)}
    assert set(sample) < larger
    # five standard errors of a binomial share
    assert abs(len(sample) - 200) < 5 * np.sqrt(2000 * 0.1 * 0.9)
    assert not any(a_study().is_audited(condition, sim) for sim in range(100))


@pytest.fixture(scope="module")
def audited() -> pd.DataFrame:
    """The audit of a small native study, every dataset of it."""
    study = a_study(engine="native", audit=1, sigma=[0.1, 1])
    parts = []
    for one in study.conditions:
        shard = run_block(study, Block(one, range(8)))
        rows = merge.identified(shard, study, one)
        parts.append(merge.audit(rows, tables.keys(study.axes)))
    return pa.concat_tables(parts).to_pandas()


@pytest.mark.slow
def test_the_agreement_table_counts_and_compares(audited: pd.DataFrame) -> None:
    summary = agreement.summarise(audited)
    assert len(summary) == 2 * 4
    assert (summary["audited"] == 8).all()
    assert (summary["reference_lower"] == 0).all()
    assert not agreement.faults(audited)
    exact = summary[summary["strategy"].isin(["lm", "lm2"])]
    for column in ("estimate_diff_max", "se_diff_max", "df_diff_max"):
        assert exact[column].max() < ROUNDING


@pytest.mark.slow
def test_a_native_optimum_above_the_references_fails_the_run(
    audited: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = audited.index[audited["strategy"] == "lmer"][3]
    wrong = audited.copy()
    wrong.loc[row, "criterion_gap"] = -1e-3
    path = tmp_path / "audit.parquet"
    made_with = table_identity(a_study(), {})
    table = pa.Table.from_pandas(wrong, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(made_with), path)
    outputs = [tmp_path / f"agreement.{kind}" for kind in ("csv", "parquet")]
    assert compare_engines.main([str(path), "--output", *map(str, outputs)]) == 1
    shown = capsys.readouterr()
    assert "above it in 1" in shown.out
    sim = wrong.loc[row, "sim"]
    assert f"sim={sim} lmer: native criterion 0.001 above the reference's" in shown.err
    summaries = pd.read_csv(outputs[0]), pd.read_parquet(outputs[1])
    assert [summary["reference_lower"].sum() for summary in summaries] == [1, 1]
    pd.testing.assert_frame_equal(*summaries)
    assert tables.metadata(outputs[1]) == measures_identity(made_with, "compare_engines")


@pytest.mark.slow
def test_lme4_above_the_optimum_is_a_finding_and_no_fault(audited: pd.DataFrame) -> None:
    found = audited.assign(criterion_gap=audited["criterion_gap"] + 0.5)
    assert not agreement.faults(found)
    assert agreement.summarise(found)["native_lower"].sum() == 2 * 2 * 8


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("lme4", {"lm": "statsmodels", "lmer": "lme4"}),
        ("native", {"lm": "native", "lmer": "native"}),
        ({"lmer": "native"}, {"lm": "statsmodels", "lmer": "native"}),
    ],
    ids=str,
)
def test_engine_of_each_strategy(engine: object, expected: dict[str, str]) -> None:
    study = a_study(strategies=["lm", "lmer"], engine=engine)
    assert {strategy.name: strategy.engine for strategy in study.strategies} == expected


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("fast", "engine: 'fast' is not allowed; allowed: lme4, native"),
        (
            {"lmer": "statsmodels"},
            "strategies: {'lmer': 'statsmodels'} is not allowed; "
            "allowed: as engine of lmer: lme4, native",
        ),
        (
            {"lmer_mis": "native"},
            "engine: 'lmer_mis' is not allowed; allowed: the study's strategies: lm, lmer",
        ),
    ],
)
def test_engines_that_cannot_be(engine: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        a_study(strategies=["lm", "lmer"], engine=engine)
    assert str(caught.value).startswith(message)


def test_native_studies_go_by_blocks_unless_told_otherwise() -> None:
    assert load_study(GRID | {"engine": "native"}, "s").sims_per_job == "auto"
    assert load_study(GRID | {"engine": "native", "sims_per_job": 1}, "s").sims_per_job == 1
    assert load_study(GRID | {"engine": {"lmer": "native"}}, "s").sims_per_job == 1


def test_a_native_block_needs_no_r(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_r(*_: object) -> None:
        raise AssertionError("R was started")

    monkeypatch.setattr(r, "start", no_r)
    monkeypatch.setattr(r, "load", no_r)
    monkeypatch.setattr(r, "functions", no_r)
    block = Block(of(10, 6, 1.0), range(2))
    shard = run_block(a_study(engine="native"), block)
    assert shard["status"].to_pylist().count("failed") == 0
    with pytest.raises(AssertionError, match="R was started"):
        run_block(a_study(engine="native", audit=1), block)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "sim"), [(1.0, 25), (2.0, 14)])
def test_data_with_two_minima_are_searched_from_further_starts(sigma: float, sim: int) -> None:
    # one search alone ended 0.35 and 0.10 above lme4's criterion
    data = simulate(0, of(10, 5, sigma), sim).data
    (tried,) = outcomes(a_study(strategies=["lmer"]).strategies[0], [data])
    assert tried.fit
    assert tried.fit.criterion_gap > -agreement.CRITERION_TOLERANCE
