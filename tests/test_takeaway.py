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
from rmsweep.report.takeaway import (
    Measured,
    of_bias,
    of_estimates,
    of_fits,
    of_limits,
    of_power,
    of_tests,
    relative,
    takeaway,
)

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
    assert "Trust `lm`: type I error rates are within 2.5% to 7.5% in all 8 conditions" in text
    assert "on average over the conditions, 5.0% (MCSE 0.17%) with `lm`." in text
    assert "`lmer` holds up as far as 2,000 datasets a condition can tell" in text
    high = "`lmer_mis` in 3 of 8 conditions, up to 40% (MCSE 1.1%) with 16 groups, 12 observations"
    assert f"reject too often: {high} and SD 0.1." in text
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
        "Compared with `lmer` on the same datasets, the median error is, on average over the "
        "conditions, 25.0% larger (MCSE 0.44%) with `lm` and 2.000 times as large (MCSE 0.0071) "
        "with `lm2`. At worst, that of `lm2` is"
    )
    assert relative(0.9, 0.02) == "10% smaller (MCSE 2%)"
    assert relative(1.001, 0.02) == "as large (MCSE 2%)"


def test_only_bias_that_matters_is_told() -> None:
    study = a_study()
    spread = table(study, "empirical_se", {"lm": [1.0] * 8, "ols": [1.0] * 8}, term="IV1")
    bias = {"lm": [0.3] * 8, "ols": [0.0] * 6 + [-0.5, -0.9]}
    measured = both(spread, table(study, "bias", bias, term="IV1", mcse=0.01))
    where = "16 groups, 12 observations and SD 1"
    assert (
        of_bias(measured) == f"`ols` in 2 of 8 conditions, by up to −0.90 (MCSE 0.01) with {where}"
    )
    unsure = both(spread, table(study, "bias", bias, term="IV1", mcse=0.3))
    assert of_bias(unsure) == ""


def test_power_is_that_of_honest_tests() -> None:
    study = a_study()
    sizes = {"lm": [0.05] * 8, "lm2": [0.05] * 8, "lmer_mis": [0.3] * 8}
    size = table(study, "size_of_slopes", sizes)
    powers = {"lm": [0.6] * 8, "lm2": [0.5] * 8, "lmer_mis": [0.9] * 8}
    text = " ".join(of_power(both(size, table(study, "power", powers, term="IV1"))))
    assert "60.0% (MCSE 0.39%) with `lm` and 50.0% (MCSE 0.4%) with `lm2`." in text
    assert "`lmer_mis` reaches 90.0% (MCSE 0.24%), but its false positives come with that." in text
    assert list(of_power(size)) == []


def test_fits_that_failed_are_told_beside_the_findings() -> None:
    study = a_study(**ONE, n_sims=100)
    failed = table(study, "failed_rate", {"lm": [0.0], "lmer": [0.1]}, n_used=100)
    failed.frame["n_converged"] = [100, 60]
    assert " ".join(of_fits(failed)) == (
        "40 of 200 fits failed, or came with a warning that counts as a failure: 40% with `lmer`. "
        "10 of them gave no estimates and are left out of all numbers. The estimates of the others "
        "are in all numbers that don’t say otherwise."
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
