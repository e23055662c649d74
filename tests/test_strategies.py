"""Every strategy: the contract, the reference values, and what it does with bad data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rmsweep import mixed, strategies
from rmsweep.config import load_study
from rmsweep.dataset import Dataset, from_frame
from rmsweep.design import Condition, Settings
from rmsweep.dgp import simulate
from rmsweep.inference import infer
from rmsweep.replication import fit_strategy
from rmsweep.strategies import Convergence, FitError

NAMES = strategies.names()
SETTINGS = load_study(
    {"n_groups": [10], "n_obs": [5], "sigma": [1], "n_sims": 1}, name="test"
).settings

# lme4's sleepstudy by R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, and by lm's and t.test's formulas
ESTIMATES = [251.405105, 10.467286]
SLEEPSTUDY = {
    "lm": ([6.86278964, 1.55444885], [16, 16], [36.63307751, 6.73376032]),
    "lm2": ([6.82455653, 1.54578890], [17, 17], [36.83830644, 6.77148476]),
    "lmer": ([6.824597, 1.545790], [16.99973, 16.99998], [36.838090, 6.771481]),
    "lmer_mis": ([9.746716, 0.804221], [22.8102, 161.000], [25.793826, 13.015428]),
}
# the reference values have seven figures or more; lme4 stops within 1e-6 of its optimum
REFERENCE_RTOL = 1e-6


@pytest.fixture(scope="session")
def sleepstudy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    path = tmp_path_factory.mktemp("r") / "sleepstudy.csv"
    code = f"write.csv(lme4::sleepstudy, '{path}', row.names = FALSE)"
    subprocess.run(["Rscript", "-e", code], check=True)
    yield from_frame(pd.read_csv(path), "Reaction ~ Days", "Subject")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return simulate(SETTINGS, Condition(10, 8, 1.0), 0).data


@pytest.mark.parametrize("name", SLEEPSTUDY)
def test_sleepstudy(name: str, sleepstudy: Dataset) -> None:
    fit = strategies.load(name).fit(sleepstudy, SETTINGS)
    se, df, statistic = SLEEPSTUDY[name]
    np.testing.assert_allclose(fit.estimate, ESTIMATES, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.se, se, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.df, df, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.estimate / fit.se, statistic, rtol=REFERENCE_RTOL)


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    """What the sweep relies on, for every file of the folder."""

    def test_has_a_label(self, name: str) -> None:
        assert strategies.label(name) != name

    def test_gives_one_value_per_term(self, name: str, data: Dataset) -> None:
        fit = strategies.load(name).fit(data, SETTINGS)
        for values in (fit.estimate, fit.se, fit.df):
            assert values.shape == (len(data.terms),)
            assert values.dtype == np.float64
            assert np.isfinite(values).all()
        assert (fit.se > 0).all()
        assert (fit.df > 0).all()
        assert fit.ci_type in ("t", "z")
        assert fit.se_type
        assert fit.df_type

    def test_is_deterministic(self, name: str, data: Dataset) -> None:
        one, two = (strategies.load(name).fit(data, SETTINGS) for _ in range(2))
        assert one.estimate.tobytes() == two.estimate.tobytes()
        assert one.se.tobytes() == two.se.tobytes()
        assert one.df.tobytes() == two.df.tobytes()

    def test_leaves_the_data_alone(self, name: str, data: Dataset) -> None:
        before = data.y.tobytes(), data.X.tobytes(), data.groups.tobytes()
        strategies.load(name).fit(data, SETTINGS)
        assert before == (data.y.tobytes(), data.X.tobytes(), data.groups.tobytes())

    def test_recovers_the_truth_from_plenty_of_data(self, name: str) -> None:
        one = simulate(SETTINGS, Condition(200, 30, 0.1), 0)
        fit = strategies.load(name).fit(one.data, SETTINGS)
        assert np.abs(fit.estimate - one.betas).max() < 5 * fit.se.max()

    def test_does_not_mind_the_order_of_the_rows(self, name: str, data: Dataset) -> None:
        order = np.random.default_rng(0).permutation(len(data.y))
        shuffled = replace(data, y=data.y[order], X=data.X[order], groups=data.groups[order])
        one, two = (strategies.load(name).fit(d, SETTINGS) for d in (data, shuffled))
        # an iterative fit ends within its tolerance of the optimum, not at the same bits
        np.testing.assert_allclose(one.estimate, two.estimate, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(one.se, two.se, rtol=1e-2)

    def test_can_fit_the_least_data_that_it_declares(self, name: str) -> None:
        n_groups, n_obs = strategies.minimum(name, 4)
        while n_groups * n_obs <= 4:
            n_obs += 1
        one = simulate(SETTINGS, Condition(n_groups, n_obs, 1.0), 0)
        outcome = fit_strategy(name, one.data, SETTINGS)
        assert outcome.fit is not None, outcome.error

    def test_a_rank_deficient_design_fails_as_a_row(self, name: str, data: Dataset) -> None:
        X = data.X.copy()
        X[:, 3] = X[:, 1] + X[:, 2]
        outcome = fit_strategy(name, replace(data, X=X), SETTINGS)
        assert outcome.fit is None
        assert "rank" in outcome.error


def test_lm2_names_the_group_that_is_too_small(data: Dataset) -> None:
    keep = ~((data.groups == 2) & (np.arange(len(data.y)) % 8 >= 3))
    small = replace(data, y=data.y[keep], X=data.X[keep], groups=data.groups[keep])
    with pytest.raises(FitError, match="group 3 has 3 rows for 4 coefficients"):
        strategies.load("lm2").fit(small, SETTINGS)


def test_lmer_hands_on_rs_own_words(data: Dataset) -> None:
    one = simulate(SETTINGS, Condition(10, 4, 1.0), 0)
    with pytest.raises(FitError, match=r"fit: number of observations \(=40\) <= number of random"):
        strategies.load("lmer").fit(one.data, SETTINGS)


def test_statsmodels_warnings_become_messages(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    lm = strategies.load("lm")

    def warning_fit(data: Dataset, settings: Settings) -> strategies.Fit:
        warnings.warn("mind the gap", stacklevel=1)
        return original(data, settings)

    original = lm.fit
    monkeypatch.setattr(lm, "fit", warning_fit)
    outcome = fit_strategy("lm", data, SETTINGS)
    assert outcome.fit is not None
    assert outcome.fit.convergence.messages == "mind the gap"
    assert not outcome.fit.convergence.success("strict")


def test_errors_of_the_program_are_let_through(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: Dataset, settings: Settings) -> strategies.Fit:
        raise TypeError("a bug, no matter of the data")

    monkeypatch.setattr(strategies.load("lm"), "fit", broken)
    with pytest.raises(TypeError, match="a bug"):
        fit_strategy("lm", data, SETTINGS)


VERDICTS = [
    (Convergence(), True, True),
    (Convergence(opt_code=0, singular=False), True, True),
    (Convergence(singular=True), False, True),
    (Convergence(opt_code=5), False, False),
    (Convergence(grad_msg="Model failed to converge with max|grad| = 1"), False, False),
    (Convergence(hess_msg="Model is nearly unidentifiable"), False, False),
    (Convergence(df_msg="Model failed to converge with 1 negative eigenvalue"), False, True),
    (Convergence(messages="Some predictor variables are on very different scales"), False, False),
    (Convergence(singular=True, grad_msg="unable to evaluate scaled gradient"), False, False),
]


@pytest.mark.parametrize(("convergence", "strict", "published"), VERDICTS)
def test_verdicts(convergence: Convergence, strict: bool, published: bool) -> None:
    assert convergence.success("strict") is strict
    assert convergence.success("published") is published


MESSAGES = {
    "Model failed to converge with max|grad| = 0.0129501 (tol = 0.002, component 1)": "GRADIENT",
    "Model failed to converge with max|relative grad| = 1 (tol = 0.1)": "GRADIENT",
    "unable to evaluate scaled gradient": "GRADIENT",
    "Model failed to converge: degenerate  Hessian with 1 negative eigenvalues": "HESSIAN",
    "Hessian is numerically singular: parameters are not uniquely determined": "HESSIAN",
    "Model is nearly unidentifiable: large eigenvalue ratio\n - Rescale variables?": "HESSIAN",
    "Model is nearly unidentifiable: very large eigenvalue\n - Rescale variables?": "HESSIAN",
    "boundary (singular) fit: see help('isSingular')": "SINGULAR",
    "boundary (singular) fit: see ?isSingular": "SINGULAR",
    "Model failed to converge with 1 negative eigenvalue: -1.2e-02": "LMERTEST",
    "Model may not have converged with 2 eigenvalues close to zero: 1e-9 -1e-9": "LMERTEST",
    "convergence code 5 from nloptwrap: NLOPT_MAXEVAL_REACHED": None,
    "fixed-effect model matrix is rank deficient so dropping 1 column / coefficient": None,
    "Some predictor variables are on very different scales: consider rescaling": None,
}


@pytest.mark.parametrize(("text", "kind"), MESSAGES.items())
def test_messages_are_told_apart(text: str, kind: str | None) -> None:
    kinds = ("GRADIENT", "HESSIAN", "SINGULAR", "LMERTEST")
    assert [name for name in kinds if getattr(mixed, name).search(text)] == ([kind] if kind else [])


def test_a_singular_fit_is_seen_and_its_checks_are_made_all_the_same() -> None:
    singular = [
        fit
        for sim in range(10)
        if (
            fit := strategies.load("lmer").fit(
                simulate(SETTINGS, Condition(10, 5, 0.1), sim).data, SETTINGS
            )
        ).convergence.singular
    ]
    assert singular
    assert not any(fit.convergence.success("strict") for fit in singular)
    assert any(fit.convergence.success("published") for fit in singular)
    assert {fit.convergence.optimizer for fit in singular} == {"nloptwrap"}


RSCRIPT = """
suppressPackageStartupMessages(library(lmerTest))
v <- matrix(readBin("data.bin", "double", 80 * 4), ncol = 4)
d <- data.frame(DV = v[, 1], IV1 = v[, 2], IV2 = v[, 3], IV3 = v[, 4], Group = gl(10, 8))
out <- file("fits.bin", "wb")
for (random in c("IV1 + IV2 + IV3", "1")) for (reml in c(TRUE, FALSE))
  for (optimizer in c("nloptwrap", "bobyqa", "Nelder_Mead")) {
    f <- as.formula(sprintf("DV ~ IV1 + IV2 + IV3 + (%s | Group)", random))
    m <- suppressMessages(suppressWarnings(
      lmer(f, d, REML = reml, control = lmerControl(optimizer = optimizer))))
    ci <- confint(m, parm = "beta_", method = "Wald")
    criterion <- if (reml) REMLcrit(m) else deviance(m)
    writeBin(c(coef(summary(m)), ci, rep(criterion, 4)), out)
  }
close(out)
"""


def test_lmer_is_rscripts(data: Dataset, tmp_path: Path) -> None:
    """Two programs, one answer: a script of a few lines, run by R itself on the same data."""
    np.column_stack([data.y, data.X[:, 1:]]).T.tofile(tmp_path / "data.bin")
    subprocess.run(["Rscript", "-e", RSCRIPT], check=True, cwd=tmp_path)
    expected = iter(np.fromfile(tmp_path / "fits.bin").reshape(12, 8, 4))
    for name in ("lmer", "lmer_mis"):
        for reml in (True, False):
            for optimizer in ("nloptwrap", "bobyqa", "Nelder_Mead"):
                settings = replace(
                    SETTINGS, reml=reml, optimizer=optimizer, derivatives="numerical"
                )
                fit = strategies.load(name).fit(data, settings)
                inferred = infer(fit.estimate, fit.se, fit.df, fit.ci_type)
                test = (inferred.statistic, inferred.p_value, inferred.ci_low, inferred.ci_high)
                found = [fit.estimate, fit.se, fit.df, *test, np.full(4, fit.criterion)]
                # the same program on the same bits; the p-values are two programs'
                np.testing.assert_allclose(found, next(expected), rtol=1e-9)


def test_the_example_of_the_readme_keeps_the_contract(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "lm_naive.py").write_text(example)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    assert "lm_naive" in strategies.names()
    assert strategies.label("lm_naive") == "OLS without regard to the groups"
    assert strategies.engines("lm_naive") == ("python",)
    outcome = fit_strategy("lm_naive", data, replace(SETTINGS, strategies=("lm_naive",)))
    assert outcome.fit is not None
    np.testing.assert_allclose(
        outcome.fit.estimate, strategies.load("lm").fit(data, SETTINGS).estimate, rtol=1e-10
    )
