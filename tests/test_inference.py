"""Statistics, p-values and intervals against R's own."""

from __future__ import annotations

import numpy as np
import pytest

from rmsweep.strategies.inference import infer, stars

# R 4.2.2: 2 * pt(-abs(t), df)
R_P_VALUES = [
    (1.0, 3.0, 0.20483276469913345),
    (46.0, 17.8768, 2.460051296897e-22),
    (2477.9, 36.67, 1.4775849761e-235),
    (16.0, -2.0, 0.06277196351460335),
]


@pytest.mark.parametrize(("df", "t", "p_value"), R_P_VALUES)
def test_p_values_are_rs_and_do_not_underflow(df: float, t: float, p_value: float) -> None:
    found = infer(np.array([t]), np.ones(1), np.array([df]), False)
    assert found.p_value[0] == pytest.approx(p_value, rel=1e-8)


def test_t_and_z_intervals() -> None:
    estimate, se, df = np.array([1.0]), np.array([0.5]), np.array([3.0])
    # R: qt(.975, 3), qnorm(.975)
    for normal, quantile in ((False, 3.182446305284263), (True, 1.959963984540054)):
        found = infer(estimate, se, df, normal)
        assert found.ci_low[0] == pytest.approx(1 - 0.5 * quantile, rel=1e-12)
        assert found.ci_high[0] == pytest.approx(1 + 0.5 * quantile, rel=1e-12)


def test_a_zero_standard_error_gives_an_infinite_statistic_and_no_warning() -> None:
    found = infer(np.array([1.0, 0.0]), np.zeros(2), np.full(2, 5.0), False)
    assert found.statistic[0] == np.inf
    assert found.p_value[0] == 0
    assert np.isnan(found.statistic[1])


def test_missing_degrees_of_freedom_leave_the_p_value_missing() -> None:
    found = infer(np.ones(1), np.ones(1), np.full(1, np.nan), True)
    assert np.isnan(found.p_value[0])
    assert np.isfinite(found.ci_low[0])


def test_a_batch_is_the_single_fits() -> None:
    rng = np.random.default_rng(0)
    estimate, se, df = rng.normal(size=(7, 4)), rng.uniform(size=(7, 4)), rng.uniform(1, 50, (7, 4))
    together = np.stack(infer(estimate, se, df, False).columns())
    alone = np.stack(
        [infer(*one, False).columns() for one in zip(estimate, se, df, strict=True)], 1
    )
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("p_value", "code"),
    [(0, "***"), (0.001, "**"), (0.01, "*"), (0.049, "*"), (0.05, "."), (0.1, ""), (1, "")],
)
def test_stars_are_rs(p_value: float, code: str) -> None:
    assert stars(p_value) == code
