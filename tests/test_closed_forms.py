"""Sweeps of some hundred replications against the strategies' known sampling variances.

The formulas hold for predictors ~ N(0, 1), noise SD 1 and one between-group SD for all
coefficients; they are good to a few percent where groups and observations number 25 or more.
"""

from __future__ import annotations

import numpy as np
import pytest

from rmsweep.config import condition as condition_of
from rmsweep.config import load_study
from rmsweep.data.dataset import Array
from rmsweep.design import Block, Condition
from rmsweep.sweep.replication import run_block

P = 3
N_SIMS = 400
# in Monte Carlo standard errors, which the formulas' own 5% joins
BOUND = 4
FORMULA = 0.05
GRID = {"n_groups": [25], "n_obs": [25], "sigma": [1], "n_sims": 1}
CONDITIONS = [
    condition_of(n_groups=n_groups, n_obs=n_obs, sigma=sigma)
    for n_groups, n_obs, sigma in ((30, 25, 0.25), (30, 25, 1.0), (25, 30, 4.0))
]


def lm_variance(c: Condition) -> Array:
    tau2, n = c.sigma**2, c.n_obs
    slope = (tau2 * (1 + (P + 2) / n) + 1 / n) / c.n_groups
    intercept = (tau2 * (1 + P / n) + 1 / n) / c.n_groups
    return np.array([intercept, *[slope] * P])


def lm2_variance(c: Condition) -> Array:
    tau2, n = c.sigma**2, c.n_obs
    slope = (tau2 + 1 / (n - P - 2)) / c.n_groups
    intercept = (tau2 + (1 + P / (n - P - 2)) / n) / c.n_groups
    return np.array([intercept, *[slope] * P])


def lmer_mis_reported(c: Condition) -> Array:
    tau2, n = c.sigma**2, c.n_obs
    slope = (1 + P * tau2) / (c.n_groups * n)
    intercept = (tau2 + (1 + P * tau2) / n) / c.n_groups
    return np.array([intercept, *[slope] * P])


def sweep(condition: Condition, strategy: str, n_sims: int) -> dict[str, Array]:
    study = load_study(GRID | {"strategies": [strategy]}, "s")
    shard = run_block(study, Block(condition, range(n_sims)))
    coefficients = shard["coefs"].combine_chunks().flatten()
    found = {
        name: coefficients.field(name).to_numpy().reshape(n_sims, P + 1)
        for name in ("truth", "estimate", "se", "ci_low", "ci_high")
    }
    return found | {"coef_abs_err": shard["coef_abs_err"].to_numpy()}


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize(("strategy", "variance"), [("lm", lm_variance), ("lm2", lm2_variance)])
def test_sampling_variance(strategy: str, variance, condition: Condition) -> None:  # type: ignore[no-untyped-def]
    found = sweep(condition, strategy, N_SIMS)
    error = found["estimate"] - found["truth"]
    expected = variance(condition)

    # no bias: the mean error is within its Monte Carlo standard error of zero
    assert np.abs(error.mean(axis=0) / np.sqrt(expected / N_SIMS)).max() < BOUND
    # the empirical variance, with standard error V sqrt(2 / (R - 1))
    bound = BOUND * np.sqrt(2 / (N_SIMS - 1)) + FORMULA
    assert np.abs(error.var(axis=0, ddof=1) / expected - 1).max() < bound
    # the mean reported variance is the true one; cluster-robust ones come out low with few groups
    reported = found["se"] ** 2
    mcse = reported.std(axis=0) / np.sqrt(N_SIMS)
    slack = BOUND * mcse / expected + FORMULA + (3 / condition.n_groups if strategy == "lm" else 0)
    assert (np.abs(reported.mean(axis=0) / expected - 1) < slack).all()
    # intervals cover as they should, to within the same small-sample shortfall
    covered = (found["ci_low"] < found["truth"]) & (found["truth"] < found["ci_high"])
    least = 0.95 - BOUND * np.sqrt(0.95 * 0.05 / N_SIMS) - (0.02 if strategy == "lm" else 0)
    assert covered.mean(axis=0).min() > least
    # E|error| of a normal error is sqrt(2/pi) standard errors
    scale = np.sqrt(2 / np.pi) * np.sqrt(expected).sum()
    mcse = found["coef_abs_err"].std() / np.sqrt(N_SIMS)
    assert abs(found["coef_abs_err"].mean() - scale) < BOUND * mcse + FORMULA * scale


@pytest.mark.slow
def test_lmer_mis_reports_the_variance_of_a_model_without_slopes() -> None:
    n_sims = 100
    condition = CONDITIONS[1]
    found = sweep(condition, "lmer_mis", n_sims)
    reported, expected = found["se"] ** 2, lmer_mis_reported(condition)
    mcse = reported.std(axis=0) / np.sqrt(n_sims)
    assert (np.abs(reported.mean(axis=0) - expected) < BOUND * mcse + FORMULA * expected).all()
    # which is the post's finding: far too small for the slopes
    assert (reported.mean(axis=0)[1:] < 0.25 * lm_variance(condition)[1:]).all()
