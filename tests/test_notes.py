"""Notes on one dataset: each rule speaks where it should, by the numbers, and else is silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rmsweep.data.dataset import Dataset
from rmsweep.report import notes
from rmsweep.report.fitted import Fitted, number
from rmsweep.strategies import mundlak
from rmsweep.strategies.resolve import resolve

ROOT = Path(__file__).parents[1]
SHARED = {"engine": "native", "verdict": "strict", "optimizer": "nloptwrap", "reml": True}
FOUR = ("lm", "lm2", "lmer", "lmer_mis")


def sleepstudy() -> Dataset:
    """18 persons with the same ten days each."""
    frame = pd.read_csv(ROOT / "examples" / "sleepstudy.csv")
    groups = pd.factorize(frame["Subject"])[0]
    X = np.column_stack([np.ones(len(frame)), frame["Days"].to_numpy(float)])
    y = frame["Reaction"].to_numpy(float)
    return Dataset(y, X, {"Subject": groups}, ("Intercept", "Days"), "Reaction")


def unbalanced() -> Dataset:
    """The same without the last rows of the first persons."""
    data = sleepstudy()
    kept = np.ones(len(data.y), bool)
    kept[5:10] = kept[17:20] = False
    factors = {"Subject": data.groups[kept]}
    return replace(data, y=data.y[kept], X=data.X[kept], factors=factors)


def a_case(
    names: tuple[str, ...] = FOUR, data: Dataset | None = None, truth: Any = None, **columns: Any
) -> Fitted:
    """Fits of two coefficients that have given numbers: a list for each strategy.

    Parameters
    ----------
    **columns
        Of the rows, by strategy; those of ``PARTS`` have a pair for each.
    """
    chosen, _ = resolve(list(names), SHARED, Path())
    data = sleepstudy() if data is None else data
    parts = {"estimate": (250.0, 10.0), "se": (7.0, 1.5), "df": (17.0, 17.0), "statistic": (36, 7)}
    parts |= {"p_value": (0.001, 0.001), "ci_low": (240.0, 7.0), "ci_high": (260.0, 13.0)}
    row = {"status": "ok", "singular": False, "opt_code": 0, "criterion_gap": None, "unsaid": None}
    row |= {"ci_type": "t", "test_type": "t", "fit_success": True}
    row |= {"se_type": "REML", "df_type": "G-1", "coef_abs_err": None, "se_sum": 8.5, "t_sum": 43.0}
    row |= dict.fromkeys(("grad_msg", "hess_msg", "df_msg", "messages"), "")
    rows = []
    for place in range(len(names)):
        own = {key: values[place] for key, values in columns.items()}
        numbers = {part: own.pop(part, value) for part, value in parts.items()}
        coefs = [
            {"term": term, **{part: numbers[part][k] for part in parts}}
            for k, term in enumerate(("Intercept", "Days"))
        ]
        rows.append(row | {"coefs": coefs} | own)
    return Fitted(
        data=data,
        terms=("Intercept", "Days"),
        groups=tuple(map(str, range(data.n_groups))),
        group="Subject",
        strategies=tuple(chosen),
        rows=tuple(rows),
        truth=np.full(2, np.nan) if truth is None else np.array(truth),
    )


def said(rule: Callable[[Fitted], notes.Said], case: Fitted) -> str:
    """All that a rule says."""
    return " ".join(f"{what} {why}" for what, why in rule(case))


def test_random_effects_are_those_of_lme4() -> None:
    """Bates et al. (2015), J. Statistical Software 67:1, section 5.2; lme4 itself."""
    case = a_case()
    found = case.random_effects(FOUR.index("lmer"))
    assert found
    assert found.sd == pytest.approx({"Intercept": 24.7407, "Days": 5.9221}, rel=1e-4)
    assert found.correlations == pytest.approx({("Intercept", "Days"): 0.0656}, abs=1e-3)
    of_intercepts = case.random_effects(FOUR.index("lmer_mis"))
    assert of_intercepts
    assert of_intercepts.sd == pytest.approx({"Intercept": 37.1238}, rel=1e-4)
    assert case.random_effects(FOUR.index("lm")) is None


def test_random_effects_beside_group_means_are_those_of_that_model() -> None:
    data = unbalanced()
    case = a_case(("lmer_mundlak", "lmer"), data)
    found, without = case.random_effects(0), case.random_effects(1)
    assert found
    assert without
    assert abs(found.sd["Intercept"] / without.sd["Intercept"] - 1) > 1e-3
    means = mundlak.with_group_means(data)
    assert means.terms == ("Intercept", "Days", "mean of Days")
    direct = replace(a_case(("lmer",)), data=means).random_effects(0)
    assert direct
    assert direct.sd == pytest.approx(found.sd)


def test_estimates_without_a_standard_error_are_not_compared() -> None:
    nothing = (np.nan, np.nan)
    assert not said(notes.estimates, a_case(("lm", "lm2"), se=[nothing, nothing]))


def test_every_rule_is_asked() -> None:
    found = {note.rule for note in notes.notes(a_case(status=["failed", "ok", "ok", "ok"]))}
    assert {"failed", "estimates", "decisions"} <= found
    assert len({rule.__name__ for rule in notes.RULES}) == len(notes.RULES) == 14


def test_failed_fits_have_their_message() -> None:
    case = a_case(status=["ok", "failed", "ok", "ok"], messages=["", "group 7 is short", "", ""])
    assert said(notes.failed, case) == "lm2 gave no estimates. Its message: Group 7 is short."
    assert said(notes.failed, a_case()) == ""


def test_terms_without_an_estimate() -> None:
    none = [(250.0, 10.0), (250.0, np.nan), (250.0, 10.0), (250.0, 10.0)]
    of_groups = replace(sleepstudy(), group_level=("Days",))
    text = said(notes.unsaid, a_case(data=of_groups, estimate=none))
    assert text.startswith("lm2 has no estimate of Days. This predictor is constant within groups")
    own = a_case(estimate=none, unsaid=["", "it was dropped", "", ""])
    assert said(notes.unsaid, own) == "lm2 has no estimate of Days. It was dropped."
    assert said(notes.unsaid, a_case()) == ""


def test_equal_estimates_of_a_balanced_design() -> None:
    text = said(notes.estimates, a_case())
    assert text.startswith(
        "All strategies have the same estimates. All groups have the same predict"
    )
    near = a_case(estimate=[(250.0, 10.0), (250.0, 10.09), (250.0, 10.0), (250.0, 10.0)])
    assert "The estimates differ by 0.06 standard errors at most." in said(notes.estimates, near)
    unequal = said(notes.estimates, a_case(data=unbalanced()))
    assert "same predictors" not in unequal
    assert said(notes.estimates, a_case(("lm",))) == ""


def test_estimates_that_are_apart_have_reasons_from_the_families_and_sizes() -> None:
    apart = [(250.0, 10.0), (250.0, 13.0), (250.0, 10.0), (250.0, 10.0)]
    text = said(notes.estimates, a_case(data=unbalanced(), estimate=apart))
    assert "The estimates of Days are 2 standard errors apart, from 10 (lm) to 13 (lm2)." in text
    assert "Least squares weighs all rows alike." in text
    assert "Groups have 5 to 10 rows." in text
    without = said(notes.estimates, a_case(("lmer", "lmer_mis"), unbalanced(), estimate=apart[:2]))
    assert "Least squares" not in without


def test_slopes_left_out_have_their_sd() -> None:
    errors = [(7.0, 1.5), (7.0, 1.5), (6.8, 1.55), (9.7, 0.8)]
    case = a_case(se=errors)
    text = said(notes.slopes_left_out, case)
    assert "lmer_mis’s standard error of Days is 0.52 times lmer’s (0.8 against 1.55)." in text
    effects = case.random_effects(2)
    assert effects
    assert f"in lmer their SD is {number(effects.sd['Days'])}." in text
    assert "its intervals are too short" in text
    assert "lmer_mis’s standard error of Intercept is 1.4 times lmer’s (9.7 against 6.8)." in text
    across = replace(sleepstudy(), cross_level=("Days",))
    assert notes.full_model(a_case(data=across)) == 2
    assert said(notes.slopes_left_out, a_case(data=across, se=errors)) == ""
    alike = said(notes.slopes_left_out, a_case())
    assert alike.startswith("lmer_mis’s standard errors are nearly those of lmer.")
    assert said(notes.slopes_left_out, a_case(("lm", "lmer"))) == ""
    robust = a_case(("lmer", "lmer_mis_cr2"), se=[(7.0, 1.5), (7.0, 0.5)])
    assert said(notes.slopes_left_out, robust) == ""


def test_slopes_left_out_concern_interactions_with_predictors_of_the_groups() -> None:
    data = sleepstudy()
    both = np.column_stack([data.X, data.X[:, 1] * (data.groups % 2)])
    names = ("Intercept", "Days", "DaysSex")
    data = replace(data, X=both, terms=names, cross_level=names[2:])
    case = a_case(("lmer", "lmer_mis"), data, se=[(7.0, 1.5), (7.0, 0.6)])
    rows = [
        row | {"coefs": [*row["coefs"], row["coefs"][1] | {"term": names[2]}]} for row in case.rows
    ]
    text = said(notes.slopes_left_out, replace(case, terms=names, rows=tuple(rows)))
    assert "lmer_mis’s standard errors are 0.4 (Days) and 0.4 (DaysSex) times lmer’s." in text
    assert " (DaysSex)" not in text.partition("their SD is")[2]


def test_items_left_out() -> None:
    data = sleepstudy()
    items = np.arange(len(data.y)) % 10
    data = replace(data, factors={"Subject": data.groups, "Item": items})
    names = ("lmer", "lm", "lmer_items", "lmer_items_kr")
    se = [(7.0, 1.0), (7.0, 1.9), (7.1, 2.0), (9.0, 9.0)]
    text = said(notes.items_left_out, a_case(names, data, se=se))
    assert text == (
        "lmer’s standard error of Days is 0.5 times lmer_items’s (1 against 2). lmer knows of "
        "Subject alone, not that rows also share a level of Item. If these differ, its intervals "
        "are too short and its tests reject too often."
    )
    assert not said(notes.items_left_out, a_case(names[:2], data, se=se[:2]))
    assert not said(notes.items_left_out, a_case(("lmer", "lm"), se=se[:2]))


def test_rows_taken_for_independent() -> None:
    case = a_case(("ols", "lm"), se=[(7.0, 0.5), (7.0, 1.0)])
    text = said(notes.rows_taken_for_independent, case)
    assert text.startswith("ols’s standard error of Days is 0.5 times lm’s (0.5 against 1).")
    assert "takes all 180 rows for independent" in text
    assert said(notes.rows_taken_for_independent, a_case(("ols", "lm"))) == ""
    assert said(notes.rows_taken_for_independent, a_case(("ols", "lmer"))) == ""


def test_precision_beside_the_full_mixed_model() -> None:
    errors = [(7.0, 1.0), (7.0, 3.0), (7.0, 1.5), (7.0, 1.5)]
    text = said(notes.efficiency, a_case(se=errors))
    assert "lm’s standard error of Days is 0.67 times lmer’s" in text
    assert "how much 18 groups differ" in text
    assert "lm2’s standard error of Days is 2 times lmer’s" in text
    assert "lm2 fits each group alone, 10 rows for 2 coefficients" in text
    assert said(notes.efficiency, a_case()) == ""
    assert said(notes.efficiency, a_case(("lm", "lm2"), se=errors[:2])) == ""


def test_few_groups() -> None:
    text = said(notes.few_groups, a_case(df=[(16.0, 16.0)] * 4))
    assert text.startswith("The standard errors of lm rest on 18 groups, not on 180 rows.")
    assert "lm allows for that by 16 degrees of freedom." in text
    assert "lm_z does not" in said(notes.few_groups, a_case(("lm_z",), df=[(np.inf, np.inf)]))
    assert said(notes.few_groups, a_case(("lmer",))) == ""
    many = replace(sleepstudy(), factors={"Subject": np.arange(180) // 3})
    assert said(notes.few_groups, a_case(data=many)) == ""


def test_degrees_of_freedom() -> None:
    case = a_case(df=[(16.0, 16.0), (17.0, 17.0), (17.0, 17.0), (22.0, 161.0)])
    text = said(notes.degrees_of_freedom, case)
    assert text.startswith("Tests of Days have 16 (lm), 17 (lm2, lmer) and 161 (lmer_mis) degrees")
    assert "lmer_mis counts more than the 18 groups: its model" in text
    flat = a_case(df=[(16.0, 16.0), (17.0, 17.0), (17.0, 90.0), (22.0, 161.0)])
    text = said(notes.degrees_of_freedom, flat)
    assert "By the estimates of lmer, slopes of Days hardly differ between groups" in text
    assert "lmer_mis counts more than" in text
    assert said(notes.degrees_of_freedom, a_case()) == ""
    few = a_case(df=[(1.0, 1.0), (17.0, 17.0), (17.0, 17.0), (17.0, 17.0)])
    assert said(notes.degrees_of_freedom, few) == ""
    assert said(notes.degrees_of_freedom, a_case(df=[(np.inf, np.inf)] * 4)) == ""


def test_intervals_that_take_t_for_z() -> None:
    case = a_case(ci_type=["t", "t", "z", "z"], df=[(5.0, 5.0)] * 2 + [(17.0, 20.0), (99.0, 161.0)])
    text = said(notes.normal_intervals, case)
    assert text.startswith("The intervals of lmer are narrower than the tests")
    assert "lmer’s by up to 8% (Intercept, 17 degrees of freedom)" in text
    assert said(notes.normal_intervals, a_case()) == ""


def test_decisions() -> None:
    agreed = said(notes.decisions, a_case())
    assert agreed == "All strategies decide the same at the 5% level. They reject zero for Days."
    nowhere = said(notes.decisions, a_case(p_value=[(0.001, 0.2)] * 4))
    assert nowhere.endswith("They reject zero nowhere.")
    case = a_case(p_value=[(0.001, 0.2), (0.001, 0.06), (0.001, 0.0499), (0.001, 1e-9)])
    text = said(notes.decisions, case)
    assert (
        "Days: rejected by lmer (p = 0.0499) and lmer_mis (p < 0.001), not by lm (p = 0.2)" in text
    )
    assert "A strategy that rejects is not better for it" in text
    assert said(notes.decisions, a_case(("lm",))) == ""


def test_true_values_in_the_intervals() -> None:
    assert said(notes.truth, a_case()) == ""
    case = a_case(truth=(250.0, 9.0), ci_low=[(240.0, 7.0)] * 3 + [(240.0, 9.5)])
    text = said(notes.truth, case)
    assert "the intervals of lm, lm2 and lmer contain all true values" in text
    assert "those of lmer_mis miss Days." in text


def test_singular_fits_say_what_does_not_vary() -> None:
    data = sleepstudy()
    signs = np.repeat(np.where(np.arange(18) % 2, 1.0, -1.0), 10)
    noise = np.tile([1.0, -2.0, 1.0, 0.5, -1.0, 0.5, 2.0, -4.0, 2.0, 0.0], 18)
    same = data.X @ np.array([250.0, 10.0]) + 0.1 * signs * noise
    flat = a_case(data=replace(data, y=same), singular=[None, None, True, False])
    text = said(notes.singular, flat)
    assert text.startswith("lmer’s fit is singular. By its estimates groups do not differ in Inter")
    assert "Intercept and Days. 18 groups are few to estimate 3 variances and corr" in text
    together = same + np.repeat(np.linspace(-3, 3, 18), 10) * (1 + 0.5 * data.X[:, 1])
    perfect = a_case(data=replace(data, y=together), singular=[None, None, True, False])
    text = said(notes.singular, perfect)
    assert "Random effects have a correlation of ±1: Intercept and Days (1)." in text
    assert said(notes.singular, a_case()) == ""


@pytest.mark.parametrize(
    ("gap", "expected"), [(2.5, "2.5 above the optimum"), (1e-4, "are right in spite"), (None, "")]
)
def test_complaints_are_weighed_by_the_optimum(gap: float | None, expected: str) -> None:
    gradient = ["", "", "max|grad| is large", ""]
    case = a_case(grad_msg=gradient, criterion_gap=[None, None, gap, None])
    text = said(notes.complaints, case)
    assert text.startswith("lmer came with a warning: Max|grad| is large.")
    assert expected in text
    assert said(notes.complaints, a_case()) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.0, "0"), (-3.0, "−3"), (1234.5, "1,230"), (12345678.0, "12,300,000"), (0.8, "0.8")],
        *[
            (1.23456e-7, "1.23e−7"),
            (np.nan, "–"),
            (np.inf, "∞"),
            (0.012345, "0.0123"),
            (1e20, "1e20"),
        ],
    ],
)
def test_numbers_in_sentences(value: float, text: str) -> None:
    assert number(value) == text


def test_numbers_of_more_digits() -> None:
    assert number(1234.56, 5) == "1,234.6"
    assert number(251.4051, 5) == "251.41"
    assert number(-0.000012345, 5) == "−1.2345e−5"
