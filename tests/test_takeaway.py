"""The answer at the top of the page: what it says follows from the table of measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import measure_performance
from browser import STRANGE
from measured import made
from pages import ODD, ONE, a_study, fail
from rmsweep.design import Study
from rmsweep.report import words
from rmsweep.report.takeaway import takeaway
from rmsweep.report.takeaway.choice import of_choice
from rmsweep.report.takeaway.estimates import listed_bias, of_estimates
from rmsweep.report.takeaway.fits import of_fits
from rmsweep.report.takeaway.limits import of_limits
from rmsweep.report.takeaway.measured import Measured
from rmsweep.report.takeaway.power import of_power
from rmsweep.report.takeaway.sentences import relative
from rmsweep.report.takeaway.trust import of_tests

MANY = 2000
"""Datasets that decide about everything below."""


def table(
    study: Study, measure: str, values: dict[str, list[float]], **columns: object
) -> Measured:
    """A study of which one measure is known, by strategy, in the order of the conditions."""
    own: dict[str, object] = {"reference": None, "term": None, "mcse": None, "n_used": MANY}
    rows = [
        {**one.levels, "strategy": name, "measure": measure, "value": value} | own | columns
        for name, numbers in values.items()
        for one, value in zip(study.conditions, numbers, strict=True)
    ]
    frame = pd.DataFrame(rows)
    rates = np.sqrt(frame["value"].abs() * (1 - frame["value"].clip(0, 1)) / frame["n_used"])
    frame["mcse"] = frame["mcse"].astype(float).fillna(rates)
    return Measured(study, frame.assign(n_run=frame["n_used"], n_converged=frame["n_used"]))


def both(*parts: Measured) -> Measured:
    """Several measures of one study."""
    return Measured(parts[0].study, pd.concat([one.frame for one in parts], ignore_index=True))


def test_tests_are_sorted_by_their_type_i_error() -> None:
    study = a_study()
    rates = {
        "lm": [0.05] * 8,
        "lm2": [0.05] * 7 + [0.005],
        "lmer": [0.05] * 7 + [0.073],
        "lmer_mis": [0.05] * 5 + [0.2, 0.4, 0.3],
    }
    text = " ".join(of_tests(table(study, "size_of_slopes", rates)))
    rates_ = "type I error rates (means over the slopes)"
    assert f"Trust `lm`: its {rates_} are within 2.5% to 7.5% in all 8 conditions" in text
    assert "They are 5.0% (MCSE 0.17%) with `lm`, on average over the conditions." in text
    assert "`lmer` holds up as far as 2,000 datasets a condition can tell" in text
    high = "`lmer_mis` in 3 of 8 conditions, up to 40% (MCSE 1.1%) with 16 groups, 12 observations"
    assert f"that, averaged over the slopes, reject too often: {high} and SD 0.1." in text
    assert (
        "Too cautious, so that they miss effects: `lm2` in 1 of 8 conditions, down to 0.5%" in text
    )
    # the same rates, of few datasets
    few = " ".join(of_tests(table(study, "size_of_slopes", rates, n_used=19)))
    assert few == (
        "Type I error rates can’t be judged from 19 datasets a condition: that takes at least 20."
    )
    assert list(of_tests(table(study, "bias", rates))) == ["No strategy gave a test of a slope."]


def test_intervals_that_are_too_short_are_told_where_tests_are_not_amiss() -> None:
    study = a_study()
    size = table(study, "size_of_slopes", {"lmer": [0.05] * 8, "lmer_mis": [0.3] * 8})
    covers = {"lmer": [0.95] * 7 + [0.88], "lmer_mis": [0.7] * 8}
    text = " ".join(of_tests(both(size, table(study, "coverage_of_slopes", covers))))
    assert "the true slope too seldom: `lmer` in 1 of 8 conditions, down to 88.0%" in text
    assert text.count("lmer_mis") == 1


def test_errors_are_compared_either_way_round() -> None:
    study = a_study()
    straight = table(study, "coef_abs_err_ratio", {"lm2": [2.0] * 8}, reference="lmer", mcse=0.02)
    turned = table(study, "coef_abs_err_ratio", {"lmer": [0.8] * 8}, reference="lm", mcse=0.008)
    text = " ".join(of_estimates(both(straight, turned)))
    assert text.startswith(
        "Compared with `lmer` on the same datasets, the median sum of absolute errors over the "
        "coefficients is 25.0% larger (MCSE 0.44%) with `lm` and 2.000 times as large (MCSE "
        "0.0071) with `lm2`, on average over the conditions. At worst, that of `lm2` is"
    )
    assert relative(0.9, 0.02) == "10% smaller (MCSE 2%)"
    assert relative(1.001, 0.02) == "the same (MCSE 2%)"


def test_errors_are_averaged_over_the_conditions_that_all_fit() -> None:
    study = a_study()
    whole = table(study, "coef_abs_err_ratio", {"lm": [1.2] * 8}, reference="lmer", mcse=0.01)
    part = table(
        study, "coef_abs_err_ratio", {"lm2": [1.0] * 6 + [3.0] * 2}, reference="lmer", mcse=0.01
    )
    part.frame["n_run"] = part.frame["n_used"]
    part.frame.loc[6:, "n_used"] = 0.8 * MANY
    text = " ".join(of_estimates(both(whole, part)))
    assert "the same (MCSE 0.41%) with `lm2` and 20.0% larger" in text
    assert "on average over 6 of 8 conditions." in text
    left_out = "2 conditions are left out, since `lm2` does not estimate all coefficients in 90% of"
    assert f"{left_out} datasets there: 16 groups, 12 observations and SD 0.1 and" in text
    # a strategy that has less than half of them is not compared
    part.frame.loc[2:, "n_used"] = 0.8 * MANY
    text = " ".join(of_estimates(both(whole, part)))
    assert "20.0% larger (MCSE 0.35%) with `lm`, on average over the conditions." in text


def test_a_condition_that_would_rule_a_mean_is_told_apart() -> None:
    study = a_study()
    ratios = {"lm": [1.2] * 7 + [800.0], "lm2": [1.0] * 8}
    found = table(study, "coef_abs_err_ratio", ratios, reference="lmer", mcse=0.01)
    text = " ".join(of_estimates(found))
    assert "20.0% larger (MCSE 0.38%) with `lm`, on average over 7 of 8 conditions." in text
    where = "16 groups, 12 observations and SD 1"
    assert f"Data with {where} would dominate the averages and are left out of them" in text
    assert "with `lm2` and 800.00 times as large (MCSE 0.01) with `lm`." in text


def test_only_bias_that_matters_is_told() -> None:
    study = a_study()
    spread = table(study, "empirical_se", {"lm": [1.0] * 8, "ols": [1.0] * 8}, term="IV1")
    bias = {"lm": [0.3] * 8, "ols": [0.0] * 6 + [-0.5, -0.9]}
    measured = both(spread, table(study, "bias", bias, term="IV1", mcse=0.01))
    where = "16 groups, 12 observations and SD 1"
    expected = f"`ols` in 2 of 8 conditions, by up to −0.90 (MCSE 0.01) with {where}"
    assert listed_bias(measured) == expected
    unsure = both(spread, table(study, "bias", bias, term="IV1", mcse=0.3))
    assert listed_bias(unsure) == ""


def test_power_is_that_of_honest_tests() -> None:
    study = a_study()
    sizes = {"lm": [0.05] * 8, "lm2": [0.05] * 8, "lmer_mis": [0.3] * 8}
    size = table(study, "size_of_slopes", sizes)
    powers = {"lm": [0.6] * 8, "lm2": [0.5] * 8, "lmer_mis": [0.9] * 8}
    power = table(study, "power", powers, term="IV1")
    text = " ".join(of_power(both(size, power)))
    assert "the power is 60.0% (MCSE 0.39%) with `lm` and 50.0% (MCSE 0.4%) with `lm2`, on" in text
    most = "`lmer_mis` rejects zero more often, in 90.0% (MCSE 0.24%) of datasets."
    assert f"{most} That is no merit: it also rejects true values too often." in text
    assert list(of_power(size)) == []


def test_rejections_with_the_wrong_sign_are_no_power() -> None:
    study = a_study(strategies=["lm", "ols", "fe"])
    size = table(study, "size_of_slopes", {"lm": [0.05] * 8, "ols": [0.3] * 8, "fe": [0.05] * 8})
    power = table(study, "power", {"lm": [0.6] * 8, "ols": [1.0] * 8, "fe": [0.9] * 8}, term="IV1")
    signs = {"lm": [0.002] * 8, "ols": [1.0] * 8, "fe": [0.0] * 7 + [0.5]}
    measured = both(size, power, table(study, "wrong_sign", signs, term="IV1"))
    text = " ".join(of_power(measured))
    assert "the power is 60.0% (MCSE 0.39%) with `lm`, on average" in text
    wrong = "More than 2.5% of tests are significant with the wrong sign"
    assert f"{wrong}, so that they find the opposite of the truth: `ols` in all 8 " in text
    assert "conditions, up to 100% (above 99.81%) with" in text
    assert "`fe` in 1 of 8 conditions, up to 50% (MCSE 1.1%)" in text
    assert "`ols` rejects zero more often" in text
    assert "and the sign is wrong in 100% (above 99.976%)." in text
    # and are recommended nowhere
    assert "For tests of slopes, use `lm`: it keeps its type I error rate" in " ".join(
        of_choice(measured)
    )


def test_rates_of_0_and_1_have_an_interval_instead_of_no_error() -> None:
    study = a_study(strategies=["lm", "ols"])
    rates = {"lm": [0.05] * 7 + [0.0], "ols": [0.05] * 7 + [1.0]}
    text = " ".join(of_tests(table(study, "size_of_slopes", rates, n_used=500)))
    assert "`lm` in 1 of 8 conditions, far too cautious: no rejection (below 0.76%) with" in text
    assert "`ols` in 1 of 8 conditions, up to 100% (above 99.24%)" in text
    assert words.error_of_rate(1 / 3, 0.0, 50) == "95% interval 22% to 47%"
    assert words.error_of_rate(0.05, 0.01, 50) == "MCSE 1%"


def test_the_usual_strategy_is_named_in_full_if_it_is_wrong() -> None:
    names = ["ols", "lm", "lm2", "fe", "between"]
    study = a_study(strategies=[*names, "lmer"])
    rates = {name: [0.5] * 8 for name in names} | {"lmer": [0.05] * 7 + [0.8]}
    text = " ".join(of_tests(table(study, "size_of_slopes", rates)))
    assert "`lmer` in 1 of 8 conditions, up to 80.0% (MCSE 0.89%)" in text
    assert "in no more conditions than these, `between` (up to 50%)" in text


def test_what_to_use_is_said_by_rule() -> None:
    study = a_study(strategies=["lm", "lm2", "ols"])
    size = table(study, "size_of_slopes", {"lm": [0.05] * 8, "lm2": [0.05] * 8, "ols": [0.3] * 8})
    covers = {"lm": [0.95] * 7 + [0.85], "lm2": [0.95] * 8, "ols": [0.7] * 8}
    coverage = table(study, "coverage_of_slopes", covers)
    powers = {"lm": [0.6] * 8, "lm2": [0.5] * 8, "ols": [0.9] * 8}
    power = table(study, "power", powers, term="IV1")
    ratios = {"lm2": [1.3] * 8, "ols": [1.0] * 8}
    errors = table(study, "coef_abs_err_ratio", ratios, reference="lm", mcse=0.01)
    measured = both(size, coverage, power, errors)
    assert list(of_choice(measured)) == [
        "For tests of slopes, use `lm` or `lm2`: they keep their type I error rate in all "
        "conditions of this study. Among these, `lm` has the most power, 60.0% (MCSE 0.39%) on "
        "average.",
        "For 95% intervals of slopes, use `lm2`: it keeps its coverage in all conditions of this "
        "study.",
        "For estimates alone, the study can’t tell which of `ols` and `lm` has the smallest "
        "errors.",
    ]
    # of few datasets nothing is sure, of very few nothing is said
    unsure = Measured(study, measured.frame.assign(n_used=60, n_run=60, mcse=0.05))
    (first, *_) = of_choice(unsure)
    assert "nothing speaks against their type I error rate and coverage, though 60 data" in first
    few = Measured(study, measured.frame.assign(n_used=19, n_run=19))
    assert list(of_choice(few)) == []
    bad = table(study, "size_of_slopes", {"lm": [0.3] * 8, "ols": [0.3] * 8})
    assert "the study has no strategy to recommend" in next(of_choice(bad))


def test_what_is_wrong_on_average_over_a_level_is_not_recommended() -> None:
    study = a_study(strategies=["lm", "lm2", "lmer"], n_sims=50)
    sizes = {"lm": [0.0] * 4 + [0.05] * 4, "lm2": [0.05] * 8, "lmer": [0.05] * 8}
    covers = {"lm": [1.0] * 4 + [0.95] * 4, "lm2": [0.95] * 8, "lmer": [0.9] * 4 + [0.95] * 4}
    size = table(study, "size_of_slopes", sizes, n_used=80)
    measured = both(size, table(study, "coverage_of_slopes", covers, n_used=80))
    text = " ".join(of_tests(measured))
    # no condition has datasets enough to tell
    assert "`lm2` and `lmer` hold up as far as 80 datasets a condition can tell" in text
    cautious = "`lm` on average, far too cautious: no rejection (below 1.2%) with 8 groups"
    assert f"Too cautious, so that they miss effects: {cautious}" in text
    assert "too seldom: `lmer` on average, down to 90% (MCSE 1.7%) with 8 groups" in text
    assert "normal quantiles, which are too short with 8 groups: 90% (MCSE 1.7%)." in text
    tests, intervals = of_choice(measured)
    assert tests.startswith("For tests of slopes, use `lm2` or `lmer`: nothing speaks against")
    assert intervals.startswith("For 95% intervals of slopes, use `lm2`: nothing speaks against")


def test_slopes_that_vary_far_more_are_not_recommended() -> None:
    study = a_study(strategies=["lm", "lmer"])
    size = table(study, "size_of_slopes", {"lm": [0.05] * 8, "lmer": [0.05] * 8})
    spread = {"lm": [1.0] * 7 + [900.0], "lmer": [1.0] * 8}
    measured = both(size, table(study, "empirical_se", spread, term="IV1"))
    first, *_, last = of_choice(measured)
    assert "use `lmer`: it keeps" in first
    assert "Not recommended, although its tests are not clearly wrong: `lm`." in last
    assert "more than 10 times as much as the best with 16 groups, 12 obs" in last


def test_paired_differences_tell_which_has_the_most_power() -> None:
    study = a_study(strategies=["lm", "lm2", "lmer"])
    names = ["lm", "lm2", "lmer"]
    size = table(study, "size_of_slopes", {name: [0.05] * 8 for name in names})
    powers = {"lm": [0.5] * 8, "lm2": [0.49] * 8, "lmer": [0.51] * 8}
    power = table(study, "power", powers, term="IV1", mcse=0.05)
    unsure = " ".join(of_choice(both(size, power)))
    assert "the study can’t tell which of them has the most power" in unsure
    paired = [
        table(study, "difference_of_directional_power_of_slopes", {name: [less] * 8}, **columns)
        for name, less, columns in (
            ("lm", -0.01, {"reference": "lmer", "mcse": 0.01}),
            ("lmer", 0.02, {"reference": "lm2", "mcse": 0.01}),
        )
    ]
    text = " ".join(of_choice(both(size, power, *paired)))
    # a difference of one point is 2.8 standard errors of its mean
    assert "`lmer` has the most power, 51" in text


def test_a_level_that_a_difference_comes_from_is_named() -> None:
    study = a_study()
    ratios = {"lm2": [1.6, 1.6, 1.01, 1.01] * 2, "lm": [1.2] * 8}
    errors = table(study, "coef_abs_err_ratio", ratios, reference="lmer", mcse=0.01)
    text = " ".join(of_estimates(errors))
    where = "data with 5 observations: it is 60.0% larger (MCSE 0.5%) with 5 observations and 1.0%"
    assert f"The difference of `lm2` comes mostly from {where} larger" in text
    assert "of `lm` comes" not in text
    size = table(study, "size_of_slopes", {"lm2": [0.05] * 8, "lmer": [0.05] * 8})
    powers = {"lm2": [0.3, 0.3, 0.6, 0.6] * 2, "lmer": [0.5, 0.5, 0.6, 0.6] * 2}
    text = " ".join(of_power(both(size, table(study, "power", powers, term="IV1"))))
    said = "30% against 50% with 5 observations and 60% against 60% with 12 observations"
    assert f"`lm2` and `lmer` differ mostly in data with 5 observations: {said}." in text


def test_a_strategy_that_fits_few_datasets_is_not_recommended() -> None:
    study = a_study()
    size = table(study, "size_of_slopes", {"lm": [0.05] * 8, "lm2": [0.05] * 8})
    failed = table(study, "failed_rate", {"lm": [0.0] * 8, "lm2": [0.0] * 7 + [0.84]})
    failed.frame.loc[failed.frame["value"] > 0, "n_converged"] = 0.16 * MANY
    measured = both(size, failed)
    assert "use `lm`: it keeps" in next(of_choice(measured))
    text = " ".join(of_fits(measured))
    gap = "`lm2` gives estimates for less than 90% of datasets in 1 of 8 conditions, down to 16%"
    assert gap in text


def test_fits_that_failed_are_told_beside_the_findings() -> None:
    study = a_study(**ONE, n_sims=100)
    failed = table(study, "failed_rate", {"lm": [0.0], "lmer": [0.1]}, n_used=100)
    real = table(study, "nonsingular_failure_rate", {"lm": [0.0], "lmer": [0.15]}, n_used=100)
    failed.frame["n_converged"] = [100, 60]
    assert " ".join(of_fits(both(failed, real))) == (
        "40 of 200 fits came with a warning, were singular or failed, and don’t count as "
        "converged: 40% with `lmer`. Of these, 25 were singular without another warning (a "
        "variance is estimated as zero, or a correlation as ±1), and their estimates can be used; "
        "5 came with a warning; 10 failed: they gave no estimates and are left out of all numbers. "
        "All fits with estimates are in all numbers that don’t say otherwise."
    )
    failed.frame["n_converged"] = 100
    failed.frame["value"] = 0.0
    assert not list(of_fits(failed))


def test_what_a_study_lacks_is_told() -> None:
    text = " ".join(of_limits(Measured(a_study(), pd.DataFrame())))
    assert text.startswith("With 60 datasets a condition, a single rate near 5% is known to within")
    ranges = "8 to 16 groups, 5 to 12 observations and SD 0.1 to 1"
    assert f"The study says nothing of data beyond {ranges}, or with groups of unequal size" in text
    messy = a_study(**ONE, missing={"from": "mcar", "rate": 0.2}, strategies=["lm"], n_sims=5)
    text = " ".join(of_limits(Measured(messy, pd.DataFrame())))
    assert text.startswith("5 datasets a condition: too few for conclusions. With one strategy,")
    assert "missing" not in text
    assert "beyond" not in text


@pytest.mark.parametrize("name", ["one_of_each", "one_strategy", "all_failed", "several_axes"])
def test_odd_studies(name: str, tmp_path: Path) -> None:
    study, odd = a_study(**ODD[name].settings), ODD[name]
    made(study, tmp_path)
    if odd.failed:
        files = [tmp_path / f"{kind}.parquet" for kind in ("fits", "coefs", "performance")]
        fail(*files[:2])
        arguments = map(str, [*files[:2], "--output", files[2]])
        assert measure_performance.main(list(arguments)) == 0
    points = takeaway(study, tmp_path)
    text = " ".join(f"{point.lead}. {point.text}" for point in points)
    assert not STRANGE.search(text)
    assert "Trust" not in text
    assert ("failed, so there are no estimates" in text) == odd.failed
    assert ("With one strategy" in text) == (len(study.strategies) == 1)
    assert (points[0].lead, points[-1].lead) == ("Tests", "Limits")


def test_studies_of_power_say_how_many_groups_they_take(tmp_path: Path) -> None:
    study = a_study(
        n_groups=[6, 12, 48],
        n_obs=[6],
        beta=[0, 0.5, 0, 0],
        power={"effect": "IV1", "target": 0.8},
        strategies=["lm", "lmer"],
    )
    made(study, tmp_path)
    (text,) = (point.text for point in takeaway(study, tmp_path) if point.lead == "Power")
    assert text.startswith("For a power of 80% for IV1, `lmer` needs ")
    assert "groups (95% interval" in text
    assert ") with SD 0.1" in text
