"""Claims: the rule, the numbers that it judges, and tables, figure and page made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import assess_claims
import document_claims
from measured import made
from rmsweep.claims import table as claims_table
from rmsweep.claims.cases import (
    MEASURES,
    OF_POWER,
    Case,
    Grid,
    Number,
    complement,
    find,
    in_words,
    level_of,
    pairs,
    pooled,
)
from rmsweep.claims.claim import Claim, Region, Test
from rmsweep.claims.post import CLAIMS, OURS
from rmsweep.claims.rule import (
    MIN_DATASETS,
    Side,
    Verdict,
    judge,
    overall,
    possible_verdicts,
    sure,
    verdict_of_claim,
)
from rmsweep.claims.table import assess, needed_measures
from rmsweep.config import load_study, read_settings
from rmsweep.design import Study
from rmsweep.figures import claims as figure
from rmsweep.measures.performance import Result, mean_over_terms, rate, ratio_of_medians
from rmsweep.measures.table import compared_places

CONFIG = {
    "n_groups": [6, 24],
    "n_obs": [5, 20],
    "sigma": [0.1, 2],
    "n_sims": 60,
    "engine": "native",
}
TOLD = {
    "lm2": {"lm2_hc3"},
    "lmer": {"lmer_zcp", "lmer_cr2", "lmer_mis_cr2", "lmer_items", "lmer_select"},
    "ols": {"ols"},
    "items": {"f1"},
    "anova": {"rm_anova"},
    "sites": {"lm_cr1", "lmer_sites"},
}
"""Strategies that the claims are about and the post's study has not."""


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(CONFIG, name="claimed")


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("claimed")
    made(study, folder)
    write(folder)
    return folder


@pytest.fixture(scope="module")
def performance(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "performance.parquet")


def write(folder: Path) -> None:
    """Run the script on a folder's measures."""
    arguments = [folder / "performance.parquet"]
    for option, name in {"--output": "claims", "--by-condition": "claims_by_condition"}.items():
        arguments += [option, *(folder / f"{name}.{kind}" for kind in ("parquet", "csv"))]
    assert assess_claims.main(list(map(str, arguments))) == 0


def verdicts(study: Study, performance: pd.DataFrame, *tests: Test) -> list[str]:
    """The verdict on each test, as a claim of its own."""
    claims = [Claim(k, "here", "a claim", (test,)) for k, test in enumerate(tests)]
    return assess(study, performance, claims)[0]["verdict"].to_pylist()


def numbers(*values: float, mcse: float = 0.01, n: int = 1000) -> list[Case]:
    """Differences in as many conditions."""
    return [
        Case("lm", "", "", {"sigma": float(k)}, "", Number(value, mcse, n), "difference")
        for k, value in enumerate(values)
    ]


def test_claims_are_complete() -> None:
    assert [claim.id for claim in CLAIMS] == list(range(1, 44))
    assert len({claim.text for claim in CLAIMS}) == 43
    assert [claim.id for claim in CLAIMS if claim.section == OURS] == [31]
    for claim in CLAIMS:
        assert bool(claim.tests) != bool(claim.lacks)
        assert claim.text.endswith(".")
        assert claim.section
        for test in claim.tests:
            assert test.measure in MEASURES
            assert test.region.low < test.region.high
            assert ("difference" in test.measure or "ratio" in test.measure) <= bool(test.against)


def can(study: Study, test: Test) -> bool:
    """Whether a study has what a test needs, before anything is computed."""
    places = compared_places(study)
    paired = {frozenset(study.strategies[place].name for place in pair) for pair in places}
    wanted = [
        frozenset({strategy.name, reference.name})
        for strategy, reference in pairs(test, study.strategies)
        if reference
    ]
    if not pairs(test, study.strategies) or (wanted and not paired.intersection(wanted)):
        return False
    fixed = test.measure != "relative_bias" or study.conditions[0]["beta"] is not None
    grids = [Grid(conditions) for conditions in study.slices().values()]
    return fixed and any(
        any(grid.compared(test))
        and not (test.measure in OF_POWER and not grid.has_effects)
        and not (test.needs and grid.departs.isdisjoint(test.needs))
        for grid in grids
    )


@pytest.fixture(scope="module")
def shipped() -> dict[str, Study]:
    folder = Path(__file__).parents[1] / "config"
    settings = {path.stem: read_settings([path], {}) for path in folder.glob("*.yaml")}
    return {name: load_study(given, name, folder) for name, given in settings.items()}


def test_studies_that_claims_name_can_test_them(shipped: dict[str, Study]) -> None:
    for claim in CLAIMS:
        for test in claim.tests:
            able = {name for name, study in shipped.items() if can(study, test)}
            assert test.study in able, (claim.id, test, able)


def test_claims_name_strategies_that_there_are_or_will_be() -> None:
    named = {name for claim in CLAIMS for test in claim.tests for name in (*test.of, *test.against)}
    assert named == {"lm", "lm2", "lmer", "lmer_mis"}.union(*TOLD.values())


def test_measures_of_claims_are_in_the_table(performance: pd.DataFrame) -> None:
    assert needed_measures(CLAIMS) <= set(performance["measure"])


@pytest.mark.parametrize(
    ("sides", "verdict"),
    [
        (["for"], "holds"),
        (["against"], "does not hold"),
        (["undecided"], "undecided"),
        ([], "not testable"),
        (["for"] * 9 + ["against"], "holds"),
        (["for"] * 9 + ["undecided"], "holds"),
        (["for"] * 8 + ["undecided"] * 2, "at least in part"),
        (["for"] + ["undecided"] * 9, "undecided"),
        (["for"] * 2 + ["undecided"] * 8, "at least in part"),
        (["for"] * 8 + ["against"] * 2, "in part"),
        (["for"] * 2 + ["against"] * 2 + ["undecided"] * 6, "in part"),
        (["for"] + ["against"] * 2 + ["undecided"] * 7, "at most in part"),
        (["against"] * 2 + ["undecided"] * 8, "at most in part"),
        (["against"] * 9 + ["for"], "does not hold"),
    ],
    ids=str,
)
def test_verdict_of_a_test(sides: list[Side], verdict: Verdict) -> None:
    assert sure(possible_verdicts(sides, Test("size", ("lm",), Region()))) == verdict


@pytest.mark.parametrize(
    ("sides", "verdict"),
    [
        (["for", "against"], "holds"),
        (["against", "undecided"], "undecided"),
        (["against"] * 2, "not testable"),
        ([], "not testable"),
    ],
    ids=str,
)
def test_what_happens_somewhere_cannot_be_refuted(sides: list[Side], verdict: Verdict) -> None:
    assert sure(possible_verdicts(sides, Test("size", ("lm",), Region(), some=True))) == verdict


@pytest.mark.parametrize(
    ("sides", "verdict"),
    [
        (["for"] * 20, "holds"),
        (["for"] * 19 + ["against"], "does not hold"),
        (["against"] + ["undecided"] * 19, "does not hold"),
        (["for"] * 19 + ["undecided"], "undecided"),
        ([], "not testable"),
    ],
    ids=str,
)
def test_one_exception_refutes_what_is_always_so(sides: list[Side], verdict: Verdict) -> None:
    test = Test("size", ("lm",), Region(), always=True)
    assert sure(possible_verdicts(sides, test)) == verdict


YES, NO, PART, NONE = ({"holds"}, {"does not hold"}, {"in part"}, {"not testable"})
ANY = {*YES, *NO, *PART}


@pytest.mark.parametrize(
    ("possible", "verdict"),
    [
        ([YES, YES], "holds"),
        ([YES, NONE], "holds"),
        ([NONE], "not testable"),
        ([NO, NO], "does not hold"),
        ([YES, NO], "in part"),
        ([PART, ANY], "in part"),
        ([YES, NO, ANY], "in part"),
        ([YES, ANY], "at least in part"),
        ([NO, ANY], "at most in part"),
        ([ANY, ANY], "undecided"),
        # undecided tests, of which it is clear that one can't hold and one can't fail
        ([{*YES, *PART}, {*NO, *PART}], "in part"),
        ([{*YES, *PART}, {*YES, *PART}], "at least in part"),
        ([{*NO, *PART}, {*NO, *PART}, NONE], "at most in part"),
    ],
)
def test_verdict_of_a_claim(possible: list[set[Verdict]], verdict: Verdict) -> None:
    assert verdict_of_claim(possible) == verdict


def test_sides_depend_on_the_interval_and_the_region() -> None:
    judged = judge(numbers(0.5, -0.5, 0.01), Region(low=0.0))
    assert [one.side for one in judged] == ["for", "against", "undecided"]
    judged = judge(numbers(0.5, 0.95, 1.5), Region(0.0, 1.0))
    assert [one.side for one in judged] == ["for", "for", "against"]
    assert {one.side for one in judge(numbers(0.5, n=MIN_DATASETS - 1), Region())} == {"undecided"}
    assert {one.side for one in judge(numbers(0.5, mcse=np.nan), Region(0.0))} == {"undecided"}


def test_intervals_hold_together() -> None:
    # 2.5 standard errors from the threshold: enough for one number, not for ten
    assert judge(numbers(0.025), Region(0.0))[0].side == "for"
    assert {one.side for one in judge(numbers(*[0.025] * 10), Region(0.0))} == {"undecided"}
    rng = np.random.default_rng(0)
    missed = []
    for _ in range(1000):
        judged = judge(numbers(*rng.normal(scale=0.01, size=20)), Region())
        missed.append(any(not one.low < 0 < one.high for one in judged))
    assert 0.03 < np.mean(missed) < 0.07


def test_the_overall_error_is_that_of_independent_conditions() -> None:
    judged = judge(numbers(1.0, 2.0, 3.0, 4.0), Region())
    assert overall(judged) == pytest.approx((2.5, 0.005, 4000))
    # two numbers of one condition are of the same data
    same = [replace(one, case=replace(one.case, at={})) for one in judged]
    assert overall(same) == pytest.approx((2.5, 0.01, 1000))
    # and so are, in part, those of conditions that differ in another key alone
    shared = [
        replace(one, case=replace(one.case, at={"sigma": 1, "beta": float(place)}))
        for place, one in enumerate(judged)
    ]
    assert overall(shared) == pytest.approx((2.5, 0.01, 1000))
    ratios = [replace(one, case=replace(one.case, scale="ratio")) for one in judged[1:]]
    expected = np.exp(np.mean(np.log([2, 3, 4])))
    assert overall(ratios)[0] == pytest.approx(expected)


def test_numbers_are_pooled_by_their_datasets() -> None:
    few, many = numbers(1.0, mcse=0.1, n=100) + numbers(0.0, mcse=0.0, n=300)
    expected = (0.25, 0.025, 400)
    assert pooled([few, many]).number == pytest.approx(expected)


def test_levels_are_thirds_of_the_studys_own() -> None:
    five = [0.1, 0.25, 1.0, 2.0, 4.0]
    assert [level_of(one, five) for one in five] == ["low", "low", "medium", "high", "high"]
    assert [level_of(one, [5.0, 25.0, 100.0]) for one in (5.0, 25.0, 100.0)] == [
        *("low", "medium", "high")
    ]
    assert [level_of(one, [1.0, 2.0]) for one in (1.0, 2.0)] == ["low", "high"]
    assert level_of(1.0, [1.0]) == ""


def test_which_conditions_a_test_is_about(study: Study) -> None:
    grid = Grid(study.conditions)
    where = {"sigma": ("low",), "n_obs": ("high",)}
    assert grid.matching((where,)) == [(6, 20, 0.1), (24, 20, 0.1)]
    # 30, 120, 120 and 480 in all
    assert grid.matching(({"rows": ("high",)},)) == [(24, 20, 0.1), (24, 20, 2)]
    assert grid.matching(({"n_groups": 40.0},)) == grid.matching(({"n_groups": ("high",)},))
    assert grid.matching(({"n_groups": 50.0},)) == []
    assert in_words(({"sigma": ("low",)}, {"n_obs": ("low",)})) == (
        "with a low between-group SD; or with few observations per group"
    )


class TestStudy:
    """A small native study."""

    def test_what_is_true_holds_and_what_is_false_does_not(
        self, study: Study, performance: pd.DataFrame
    ) -> None:
        names = ("lm", "lmer")
        larger = Test("se_sum_median", names, Region(1.5), over={"sigma": 1})
        smaller = replace(larger, region=Region(high=1.5))
        between = replace(larger, region=Region(1.5), over={"sigma": -1})
        at_low = Test("size_of_slopes", ("lmer_mis",), Region(0.2), where=({"sigma": ("low",)},))
        everywhere = replace(at_low, where=({},))
        assert verdicts(study, performance, larger, smaller, between, at_low) == [
            "holds",
            *["does not hold"] * 3,
        ]
        assert verdicts(study, performance, everywhere) == ["in part"]

    def test_estimates_are_those_of_the_table(
        self, folder: Path, performance: pd.DataFrame
    ) -> None:
        numbers = pd.read_parquet(folder / "claims_by_condition.parquet")
        pd.testing.assert_frame_equal(
            numbers, pd.read_csv(folder / "claims_by_condition.csv"), check_dtype=False
        )
        # claim 8 has lmer as the reference, the table lm: the ratio is the other way round
        row = numbers[(numbers.id == 8) & (numbers.strategy == "lm")].iloc[0]
        here = performance[
            (performance.measure == "coef_abs_err_ratio")
            & (performance.fits == "all")
            & (performance.strategy == "lmer")
            & (performance.reference == "lm")
        ].set_index(["n_groups", "n_obs", "sigma"])
        expected = here.loc[(row.n_groups, row.n_obs, row.sigma)]
        assert row.estimate == pytest.approx(1 / expected.value)
        assert row.mcse / row.estimate == pytest.approx(expected.mcse / expected.value)

    def test_other_data_have_other_verdicts(self, study: Study, performance: pd.DataFrame) -> None:
        test = Test("se_sum_ratio", ("lmer_mis",), Region(high=0.95), against=("lmer",))
        test = replace(test, where=({"sigma": ("high",), "n_obs": ("high",)},))
        assert verdicts(study, performance, test) == ["holds"]
        names = {"lmer": "lmer_mis", "lmer_mis": "lmer"}
        swapped = performance.assign(
            strategy=performance["strategy"].replace(names),
            reference=performance["reference"].replace(names),
        )
        assert verdicts(study, swapped, test) == ["does not hold"]
        few = performance.assign(n_used=MIN_DATASETS - 1)
        assert verdicts(study, few, test) == ["undecided"]

    def test_power_is_not_testable_without_an_effect(self, performance: pd.DataFrame) -> None:
        measure = "difference_of_directional_power_of_slopes"
        test = Test(measure, ("lmer_mis",), Region(-1), ("lmer",))
        size = replace(test, measure="difference_of_size_of_slopes")
        for beta, verdict in ((0, "not testable"), ([1, 0, 0, 0.5], "holds")):
            study = load_study(CONFIG | {"beta": beta}, name="claimed")
            assert verdicts(study, performance, test, size)[0] == verdict
            assert verdicts(study, performance, size) != ["not testable"]

    def test_failed_fits_are_those_that_did_not_converge(
        self, study: Study, folder: Path, performance: pd.DataFrame
    ) -> None:
        keys = ["n_groups", "n_obs", "sigma", "sim"]
        fits = pd.read_parquet(folder / "fits.parquet")
        own = fits[(fits.strategy == "lmer") & ~fits.fit_success]
        errors = own.groupby(keys[:3])["coef_abs_err"]
        test = Test("coef_abs_err_mean", ("lmer",), Region(), fits="not_converged")
        _, found = assess(study, performance, [Claim(1, "", "", (test,))])
        assert found.num_rows > 2
        for row in found.to_pylist():
            values = errors.get_group((row["n_groups"], row["n_obs"], row["sigma"]))
            assert row["n_used"] == len(values)
            assert row["estimate"] == pytest.approx(values.mean())
            assert row["mcse"] == pytest.approx(values.std() / np.sqrt(len(values)))

    def test_failed_fits_are_compared_with_those_that_converged(
        self, study: Study, folder: Path, performance: pd.DataFrame
    ) -> None:
        coefs = pd.read_parquet(folder / "coefs.parquet")
        fits = pd.read_parquet(folder / "fits.parquet")
        keys = ["n_groups", "n_obs", "sigma", "sim"]
        own = coefs[(coefs.strategy == "lmer") & (coefs.term != "Intercept")]
        own = own.assign(rejected=own["p_truth"] < 0.05).groupby(keys)["rejected"].mean()
        went = fits[fits.strategy == "lmer"].set_index(keys)["fit_success"]
        rates = own.groupby([*keys[:3], went.loc[own.index]]).mean().unstack()  # noqa: PD010
        test = Test("size_of_slopes", ("lmer",), Region(0.01), fits="not_converged")
        test = replace(test, against_fits="converged")
        table, found = assess(study, performance, [Claim(1, "", "", (test,))])
        assert table["unit"].to_pylist() == ["difference of rates"]
        assert "of fits that did not converge minus those that did" in table["compared"][0].as_py()
        assert found.num_rows > 2
        for row in found.to_pylist():
            here = rates.loc[row["n_groups"], row["n_obs"], row["sigma"]]
            assert row["estimate"] == pytest.approx(here[False] - here[True])

    def test_what_cannot_be_tested_says_why(self, folder: Path) -> None:
        claims = pd.read_parquet(folder / "claims.parquet")
        read = pd.read_csv(folder / "claims.csv")
        pd.testing.assert_frame_equal(claims, read, check_dtype=False)
        assert claims["id"].nunique() == 43
        assert claims[claims["id"] == 22]["reason"].unique().tolist() == [
            "the study has no lmer_zcp; "
            "config/type-one-error.yaml and config/anova.yaml can test it"
        ]
        assert claims[claims["id"] == 38]["reason"].tolist() == [
            "no study's tables have estimates of single groups or of missing responses"
        ]
        claims = claims.set_index(["id", "test"])
        assert claims.loc[(22, 1), "test_reason"] == "the study has no lmer_zcp"
        assert claims.loc[(20, 1), "reason"].startswith("it needs engine: lme4; config/config.yaml")
        assert "medium number of observations per group" in claims.loc[(7, 1), "reason"]
        untested = claims[claims.verdict == "not testable"]
        assert untested["reason"].notna().all()
        assert untested["estimate"].isna().all()
        decided = claims[~claims.verdict.isin(["undecided", "not testable"])]
        assert decided["estimate"].notna().all()
        sides = claims[["n_for", "n_against", "n_undecided"]].sum(axis=1)
        assert (sides == claims["n_numbers"]).all()

    def test_verdicts_agree_with_the_counts_beside_them(self, folder: Path) -> None:
        claims = pd.read_parquet(folder / "claims.parquet")
        always, some = (
            {
                (claim.id, place)
                for claim in CLAIMS
                for place, test in enumerate(claim.tests, 1)
                if getattr(test, kind)
            }
            for kind in ("always", "some")
        )
        for row in claims[claims["n_numbers"] > 0].itertuples():
            verdict = row.test_verdict
            most = row.n_for + row.n_undecided >= 0.9 * row.n_numbers
            if (row.id, row.test) in some:
                assert (verdict == "holds") == (row.n_for > 0)
            elif (row.id, row.test) in always:
                assert (verdict == "does not hold") == (row.n_against > 0)
            elif verdict in ("undecided", "at least in part"):
                assert row.n_undecided
                assert most
            elif verdict == "at most in part":
                assert row.n_against
                assert not most
            elif verdict in ("holds", "does not hold"):
                side = row.n_for if verdict == "holds" else row.n_against
                assert side >= 0.9 * row.n_numbers
        for number, rows in claims.groupby("id"):
            # what happens somewhere either holds or can't be tested
            open_ = {"undecided"} if (number, 1) in some else set()
            tested = set(rows["test_verdict"]) - {"not testable"} - open_
            verdict = rows["verdict"].iloc[0]
            if verdict in ("holds", "does not hold"):
                assert tested == {verdict}
            if verdict == "undecided":
                assert "undecided" in tested or len(tested) > 1

    def test_the_figure_has_every_claim_that_is_tested(self, folder: Path) -> None:
        (one,) = figure.read_claims(folder).slices().values()
        drawn = [text.get_text() for text in figure.draw(one).findobj(Text)]
        joined = " ".join(" ".join(drawn).split())
        tested = one.claims[one.claims["verdict"] != "not testable"]
        assert 0 < len(tested) < len(one.claims)
        for row in one.claims.itertuples():
            assert (row.claim in joined) == (row.id in tested["id"].to_numpy())
        assert {*tested["verdict"]} <= {*drawn}
        dots = [it.get_offsets() for it in figure.draw(one).axes[0].collections[1::2]]
        assert sum(map(len, dots)) == len(one.numbers)

    def test_the_page_is_made_anew(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = tmp_path / "claims.md"
        marks = ("<!-- claims: begin -->", "<!-- claims: end -->")
        page.write_text(f"before\n{marks[0]}\nas it was\n{marks[1]}\nafter\n")
        table = str(folder / "claims.parquet")
        assert document_claims.main([str(page), table, table]) == 0
        text = page.read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "as it was" not in text
        for claim in CLAIMS:
            assert f"| {claim.id} | {claim.section} | {claim.text} |" in text
        page.write_text("no marks")
        assert document_claims.main([str(page), table]) == 2
        assert document_claims.main([str(page), str(folder / "fits.parquet")]) == 2
        assert "not a table of claims" in capsys.readouterr().err


def test_every_verdict_follows_from_the_numbers(
    study: Study, performance: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(inside: bool) -> dict[int, str]:
        def cases(test: Test, *_: Any) -> list[Case]:
            low, high = test.region.low, test.region.high
            if inside:
                value = np.clip(0.5, low + 0.01, high - 0.01)
            else:
                value = low - 1.0 if np.isfinite(low) else high + 1.0
            return numbers(float(value), mcse=1e-9)

        monkeypatch.setattr(claims_table, "cases", cases)
        found = assess(study, performance, CLAIMS)[0].to_pandas()
        return dict(zip(found["id"], found["verdict"], strict=True))

    supported, refuted = given(inside=True), given(inside=False)
    # of the causes of differences, and estimates of groups, there are no numbers
    assert [supported.pop(number) for number in (38, 43)] == ["not testable"] * 2
    # what happens somewhere can't be refuted
    assert [refuted.pop(number) for number in (38, 43, 25, 41, 42)] == ["not testable"] * 5
    assert set(supported.values()) == {"holds"}
    assert set(refuted.values()) == {"does not hold"}


def test_a_study_of_a_fixed_truth_may_show_a_reversal(performance: pd.DataFrame) -> None:
    config = CONFIG | {"strategies": ["ols"]}
    study = load_study(config, name="reversed")
    (claim,) = (claim for claim in CLAIMS if claim.id == 28)
    rows = performance[(performance.measure == "relative_bias") & (performance.strategy == "lm")]
    rows = rows.assign(strategy="ols", value=0.0, mcse=0.01)
    _, second, _ = assess(study, rows, [claim])[0].to_pylist()
    assert second["test_verdict"] == "not testable"
    rows.loc[rows.index[rows.term == "IV1"][:1], "value"] = -1.5
    _, second, _ = assess(study, rows, [claim])[0].to_pylist()
    assert (second["test_verdict"], second["n_for"]) == ("holds", 1)


def test_variants_stand_for_their_origin() -> None:
    study = load_study(
        CONFIG | {"strategies": [{"name": "mine", "from": "lmer"}, "lm"]}, name="variants"
    )
    assert find("lmer", study.strategies) is study.strategies[0]
    assert find("lmer_mis", study.strategies) is None
    both = load_study(
        CONFIG | {"strategies": [{"name": "mine", "from": "lmer"}, "lmer"]}, name="variants"
    )
    assert find("lmer", both.strategies) is both.strategies[1]


@pytest.mark.parametrize(
    "keys",
    [
        {"n_groups": [6], "n_obs": [5], "sigma": [1], "n_sims": 3, "strategies": ["lm"]},
        {"n_groups": [6], "n_obs": [5], "sigma": [1], "n_sims": 1},
        {"n_groups": [6, 8], "n_obs": [5], "sigma": [1], "n_sims": 1},
        {"n_groups": [4, 6], "n_obs": [5], "n_sims": 25, "strategies": ["lm", "lmer"]},
        {"n_groups": [6], "n_obs": [5], "n_sims": 2, "grid": {"noise_sd": [1, 2]}},
        {"n_groups": [6], "n_obs": [5], "n_sims": 2, "n_predictors": 1, "beta": 0.5},
    ],
    ids=str,
)
def test_odd_studies(keys: dict[str, object], tmp_path: Path) -> None:
    study = load_study(CONFIG | keys, name="odd")
    made(study, tmp_path)
    write(tmp_path)
    claims = pd.read_parquet(tmp_path / "claims.parquet")
    n_slices = len(study.slices())
    assert len(claims) == n_slices * sum(len(claim.tests) or 1 for claim in CLAIMS)
    assert claims["reason"][claims.verdict.isin(["undecided", "not testable"])].notna().all()
    if study.n_sims < MIN_DATASETS:
        assert set(claims["verdict"]) <= {"undecided", "not testable"}
    if n_slices > 1:
        assert claims.groupby("noise_sd")["id"].nunique().tolist() == [43, 43]
    whole = figure.read_claims(tmp_path)
    for one in whole.slices().values():
        figure.draw(one)
    (together,) = whole.slices(["noise_sd"]).values()
    assert len(together.parts) == n_slices
    signs = [text.get_text() for text in figure.draw(together).findobj(Text)]
    if n_slices > 1:
        verdicts = claims.drop_duplicates(["noise_sd", "id"])["verdict"]
        assert {"noise SD 1", "noise SD 2"} <= {*signs}
        assert signs.count("?") == (verdicts == "undecided").sum()


def test_a_complement_is_that_of_the_rest() -> None:
    rng = np.random.default_rng(3)
    values, flags = rng.normal(2.0, 1.0, 50), rng.uniform(size=50) < 0.3

    def number(x: np.ndarray, scale: str) -> Number:
        ddof = 0 if scale == "rate" else 1
        return Number(x.mean(), x.std(ddof=ddof) / np.sqrt(len(x)), len(x))

    for scale, data in {"ratio": values, "rate": flags.astype(float)}.items():
        whole, part, rest = (number(x, scale) for x in (data, data[:20], data[20:]))
        assert complement(whole, part, scale) == pytest.approx(rest)  # type: ignore[arg-type]
        assert complement(whole, None, scale) == pytest.approx(whole)  # type: ignore[arg-type]
    assert complement(number(values, "ratio"), number(values, "ratio"), "ratio") is None


def spread(results: Sequence[Result]) -> float:
    """How large standard errors are, by the spread of the values."""
    values, errors = (np.array([it[part] for it in results]) for part in (0, 1))
    return float(np.sqrt(np.mean(errors**2)) / values.std())


def test_errors_of_paired_medians_and_of_rates_over_slopes_are_their_spread() -> None:
    rng = np.random.default_rng(4)
    ratios, rates = [], []
    for _ in range(2000):
        shared = rng.normal(size=(150, 4))
        one, two = (
            np.abs(shared + scale * rng.normal(size=(150, 4))).sum(axis=1) for scale in (0.4, 0.6)
        )
        ratios.append(ratio_of_medians(one, two))
        # the slopes of a dataset depend on each other
        flags = (shared[:, :1] + rng.normal(size=(150, 3)) > 1.0).astype(float)
        rates.append(rate(mean_over_terms(list(flags.T))))
    assert spread(ratios) == pytest.approx(1.08, abs=0.1)
    assert spread(rates) == pytest.approx(1.0, abs=0.05)
    covered = [one.low < np.median([it.value for it in ratios]) < one.high for one in ratios]
    assert np.mean(covered) > 0.94


def test_medians_of_the_same_values_have_a_ratio_of_one() -> None:
    values = np.arange(1.0, 31.0)
    found = ratio_of_medians(values, values)
    assert found.value == 1.0
    assert 0 < found.mcse < 0.1
    assert np.isnan(ratio_of_medians(values[:5], values[:5]).mcse)
    assert np.isnan(ratio_of_medians(np.full(3, np.nan), values[:3]).value)
