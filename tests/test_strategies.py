"""Every strategy: the contract, the reference values, and what it does with bad data."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from known_data import known
from rmsweep import lme4, strategies
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Batch, Dataset, batches
from rmsweep.data.scenario import Simulated, simulate
from rmsweep.design import Block, Strategy
from rmsweep.strategies import Convergence, Fit, mixed
from rmsweep.strategies.inference import infer
from rmsweep.sweep import replication
from rmsweep.sweep.contract import CHECKS, fitted, outcome
from rmsweep.sweep.merge import converged, converged_published
from rmsweep.sweep.replication import Outcome, fit_datasets, flaw, in_order, rows

ROOT = Path(__file__).parents[1]
# fits of mixed models by R take their time; test_mixed_strategies.py has the others
MIXED = ("autoregressive", "likelihood_ratio", "mixed", "mundlak", "repeated_anova", "selection")
# R is needed by the engine of their own
NAMES = [
    pytest.param(
        name, marks=[pytest.mark.slow] if hasattr(strategies.load(family), "R_PACKAGES") else []
    )
    for name, (family, preset) in strategies.presets().items()
    if (family not in MIXED or name in ("lmer", "lmer_mis")) and not preset.needs_more
]
NATIVE = [
    name
    for name, (family, preset) in strategies.presets().items()
    if "native" in strategies.engines(family) and not preset.needs_more
]
# they say nothing of predictors of the groups
WITHIN = ("lm2", "lm2_hc3", "lm2_weighted", "lm2_signflip", "lm2_swamy", "fe", "fe_cr2")
# what the numbers themselves can rule out, however many there are
IMPOSSIBLE = (
    "the correlation within groups is estimated as",
    "the response is an exact function of the predictors within the groups",
)
VALUES_DECIDE = dict.fromkeys(("gee_exch", "gee_exch_md"), IMPOSSIBLE)
GRID = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1}


def named(name: str, **keys: object) -> Strategy:
    """A strategy as a study with those keys has it."""
    return load_study(GRID | {"strategies": [name]} | keys, "s").strategies[0]


def draw(n_groups: int, n_obs: int, sigma: float, sim: int = 0) -> Simulated:
    return simulate(0, condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma), sim)


def with_rows(data: Dataset, chosen: np.ndarray) -> Dataset:
    """The same with some rows, or in another order."""
    factors = {name: codes[chosen] for name, codes in data.factors.items()}
    return replace(data, y=data.y[chosen], X=data.X[chosen], factors=factors)


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


@pytest.fixture(scope="module")
def data() -> Dataset:
    return draw(10, 8, 1.0).data


@pytest.mark.slow
@pytest.mark.parametrize("name", SLEEPSTUDY)
def test_sleepstudy(name: str) -> None:
    fit = fitted(named(name), known("sleepstudy"))
    se, df, statistic = SLEEPSTUDY[name]
    np.testing.assert_allclose(fit.estimate, ESTIMATES, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.se, se, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.df, df, rtol=REFERENCE_RTOL)
    np.testing.assert_allclose(fit.estimate / fit.se, statistic, rtol=REFERENCE_RTOL)


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    """What the sweep relies on, for every strategy of the package."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(self, name: str, check: Callable[[Strategy], None]) -> None:
        check(named(name))

    def test_has_a_label(self, name: str) -> None:
        assert named(name).label not in ("", name)

    def test_does_not_mind_the_order_of_the_rows(self, name: str, data: Dataset) -> None:
        order = np.random.default_rng(0).permutation(len(data.y))
        one, two = (fitted(named(name), d) for d in (data, with_rows(data, order)))
        # an iterative fit ends within its tolerance of the optimum, not at the same bits
        np.testing.assert_allclose(one.estimate, two.estimate, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(one.se, two.se, rtol=1e-2)

    def test_can_fit_all_layouts_that_it_does_not_refuse(self, name: str) -> None:
        strategy = named(name)
        fitted_any = False
        for n_groups, n_obs in product(range(2, 8), range(1, 9)):
            data = draw(n_groups, n_obs, 1.0).data
            if len(data.y) <= len(data.terms):
                continue
            tried, reason = outcome(strategy, data), strategies.refuses(data, strategy)
            if not reason and tried.error.startswith(VALUES_DECIDE.get(name, "never")):
                continue
            assert (tried.fit is None) == bool(reason), tried.error
            assert tried.error == reason
            fitted_any |= tried.fit is not None
        assert fitted_any

    def test_a_rank_deficient_design_fails_as_a_row(self, name: str, data: Dataset) -> None:
        X = data.X.copy()
        X[:, 3] = X[:, 1] + X[:, 2]
        tried = outcome(named(name), replace(data, X=X))
        assert tried.fit is None
        assert "rank" in tried.error


def unbalanced(n_sets: int = 1, group_level: bool = False) -> list[Dataset]:
    """Groups of 6 to 12 rows, some far from the others, with a predictor far from zero."""
    rng = np.random.default_rng(8)
    sizes = np.array([6, 12, 9, 7, 11, 8, 10, 6, 12, 9, 7, 8])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = []
    for _ in range(n_sets):
        x = rng.normal(size=(len(groups), 2)) * [1.0, 3.0] + [0.0, 400.0]
        z = rng.normal(size=len(sizes))[groups]
        b = rng.normal(size=(len(sizes), 3))[groups]
        X = np.column_stack([np.ones(len(groups)), x, *([z] if group_level else [])])
        y = b[:, 0] + (x - [0.0, 400.0]) @ [1.0, -0.5] + (b[:, 1:] * (x - [0.0, 400.0])).sum(axis=1)
        y = y + rng.normal(size=len(groups))
        terms = ("Intercept", "near", "far", *(["between"] if group_level else []))
        level = ("between",) if group_level else ()
        factors = {"Group": groups.astype(np.int64)}
        found.append(Dataset(y, X, factors, terms, group_level=level, entropy=(len(found), 2)))
    return found


@pytest.mark.parametrize("name", NATIVE)
class TestNatively:
    """What holds for all strategies, by the engine that fits many datasets at once."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(self, name: str, check: Callable[[Strategy], None]) -> None:
        check(named(name, engine="native"))

    def test_moves_with_the_response(self, name: str) -> None:
        """The response plus Xδ moves estimates by δ and leaves all else alone."""
        strategy = named(name, engine="native")
        for group_level in (False, True):
            (data,) = unbalanced(group_level=group_level)
            # a predictor that a strategy leaves out is part of its intercept
            between = 0.0 if name in WITHIN else 1.0
            delta = np.array([300.0, -2.0, 5.0, between])[: len(data.terms)]
            one = outcome(strategy, data).fit
            other = outcome(strategy, replace(data, y=data.y + data.X @ delta)).fit
            assert one is not None
            assert other is not None
            said = ~np.isnan(one.se)
            off = (other.estimate - one.estimate - delta)[said] / one.se[said]
            np.testing.assert_allclose(off, 0.0, atol=1e-6)
            np.testing.assert_allclose(other.se, one.se, rtol=1e-6)
            np.testing.assert_allclose(other.df, one.df, rtol=1e-5)
            if one.own and other.own and not np.isnan(one.own.ci_low).all():
                ends = (one.own.ci_low, one.own.ci_high), (other.own.ci_low, other.own.ci_high)
                for before, after in zip(*ends, strict=True):
                    off = (after - before - delta)[said] / one.se[said]
                    np.testing.assert_allclose(off, 0.0, atol=1e-5)

    def test_does_not_depend_on_the_other_datasets(self, name: str) -> None:
        """Whether they have the same rows or not; one has a group that some strategies refuse."""
        strategy = named(name, engine="native")
        data = unbalanced(5)
        rng = np.random.default_rng(3)
        places = np.arange(len(data[0].y))
        data[1] = with_rows(data[1], np.sort(rng.permutation(places)[10:]))
        data[2] = with_rows(data[2], rng.permutation(places))
        data[3] = with_rows(data[3], np.flatnonzero((data[3].groups != 4) | (places % 5 == 0)))
        (structure,) = batches(data)
        together = fit_datasets([strategy], [structure], len(data))[strategy.name]
        assert together[0].fit is not None
        for one, among in zip(data, together, strict=True):
            alone, other = outcome(strategy, one), among.fit
            assert among.error == alone.error
            fit = alone.fit
            if fit is None or other is None:
                assert fit is other
                continue
            for part in ("estimate", "se", "df"):
                assert getattr(fit, part).tobytes() == getattr(other, part).tobytes(), part
            assert (fit.se_type, fit.df_type) == (other.se_type, other.df_type)
            assert fit.convergence == other.convergence
            if fit.own and other.own:
                assert fit.own.p_value.tobytes() == other.own.p_value.tobytes()
                assert fit.own.ci_low.tobytes() == other.own.ci_low.tobytes()

    def test_a_dataset_that_can_not_be_fitted_leaves_the_others_alone(self, name: str) -> None:
        strategy = named(name, engine="native")
        data = unbalanced(3)
        X = data[1].X.copy()
        X[:, 2] = 7.0 + 2.0 * X[:, 1]
        data[1] = replace(data[1], X=X)
        found = fit_datasets([strategy], [([0, 1, 2], Batch(data))], 3)[strategy.name]
        assert [one.fit is None for one in found] == [False, True, False]
        assert "rank" in found[1].error


@pytest.mark.parametrize("name", WITHIN)
def test_says_nothing_of_predictors_of_the_groups(name: str) -> None:
    """The other terms are those of the data without it."""
    (data,) = unbalanced(group_level=True)
    fit, without = (fitted(named(name, engine="native"), d) for d in (data, data.within()))
    assert "no estimate of between: constant within groups" in fit.unsaid
    assert np.isnan([fit.estimate[3], fit.se[3], fit.df[3]]).all()
    for part in ("estimate", "se", "df"):
        np.testing.assert_array_equal(getattr(fit, part)[:3], getattr(without, part))
    if fit.own:
        assert np.isnan([fit.own.p_value[3], fit.own.ci_low[3], fit.own.ci_high[3]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHIN)
def test_says_the_same_by_the_program_of_its_own(name: str) -> None:
    (data,) = unbalanced(group_level=True)
    one, other = (fitted(named(name, engine=engine), data) for engine in ("native", "lme4"))
    assert one.unsaid == other.unsaid
    for part in ("estimate", "se", "df"):
        np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=1e-6)


def test_lm2_level2_regresses_intercepts_on_predictors_of_the_groups() -> None:
    (data,) = unbalanced(group_level=True)
    b = np.array(
        [
            OLS(data.y[data.groups == g], data.X[data.groups == g, :3]).fit().params
            for g in range(data.n_groups)
        ]
    )
    z = np.column_stack([np.ones(data.n_groups), data.of_groups()])
    expected = OLS(b[:, 0], z).fit()
    for engine in ("native", "lme4"):
        fit = fitted(named("lm2_level2", engine=engine), data)
        np.testing.assert_allclose(fit.estimate[[0, 3]], expected.params, rtol=1e-6)
        np.testing.assert_allclose(fit.se[[0, 3]], expected.bse, rtol=1e-6)
        np.testing.assert_allclose(fit.estimate[1:3], b[:, 1:].mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(fit.df, [10, 11, 11, 10])
        assert not fit.unsaid
    same = replace(data, X=np.column_stack([data.X[:, :3], np.full(len(data.y), 2.0)]))
    assert outcome(named("lm2_level2", engine="native"), same).error


@pytest.mark.slow
def test_lm2_swamy_says_where_it_takes_no_sampling_variance_off() -> None:
    """Where plm doesn't, and without calling the fit a bad one."""
    found = set()
    for sim in range(4):
        for sigma in (0.1, 2.0):
            data = draw(10, 8, sigma, sim).data
            one, other = (fitted(named("lm2_swamy", engine=e), data) for e in ("native", "lme4"))
            np.testing.assert_allclose(one.se, other.se, rtol=1e-8)
            assert one.se_type == other.se_type
            assert one.convergence.clean
            found.add(one.se_type)
    assert found == {"Swamy", "Swamy, sampling variance not taken off"}


@pytest.mark.parametrize(
    ("name", "layout", "reason"),
    [
        ("lm", (4, 9), "4 groups for 4 coefficients leave no degree of freedom"),
        ("ols", (2, 2), "4 observations for 4 coefficients leave no degree of freedom"),
        ("lm_cr3", (2, 3), "without the largest group, 3 rows are left for 4 coefficients"),
        ("fe", (3, 2), "6 observations for 3 groups and 3 slopes leave no degree of freedom"),
        ("fe", (6, 1), "6 observations for 6 groups and 3 slopes leave no degree of freedom"),
        ("between", (4, 9), "4 groups for 4 coefficients leave no degree of freedom"),
        ("lm2_weighted", (5, 4), "20 rows for 20 coefficients of the groups leave no residuals"),
        ("lm2_hc3", (5, 3), "group 1 has 3 rows for 4 coefficients"),
        ("lm2_swamy", (5, 4), "group 1 has 4 rows for 4 coefficients and a variance"),
        ("gee_exch", (9, 1), "no group has two rows, so there is no correlation to estimate"),
        ("gee_exch_md", (4, 9), "4 groups for 4 coefficients leave no degree of freedom"),
    ],
)
@pytest.mark.parametrize("engine", ["native", "lme4"])
def test_refuses_layouts_in_one_line(
    name: str, layout: tuple[int, int], reason: str, engine: str
) -> None:
    assert outcome(named(name, engine=engine), draw(*layout, 1.0).data).error == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fe", "fixed effects take the place of an intercept, and there is none"),
        ("between", "the regression of group means has an intercept, and the model has none"),
        ("gee_exch", "an exchangeable correlation needs an intercept here, and there is none"),
    ],
)
def test_refuses_a_model_without_an_intercept(name: str, reason: str) -> None:
    (data,) = unbalanced()
    without = replace(data, X=data.X[:, 1:], terms=data.terms[1:])
    assert outcome(named(name, engine="native"), without).error == reason


@pytest.mark.parametrize(
    ("name", "by_group", "reason"),
    [
        ("fe", 1, "the response is an exact function of the predictors within the groups"),
        ("fe_cr2", 1, "the response is an exact function of the predictors within the groups"),
        ("gee_exch", 1, "the response is an exact function of the predictors within the groups"),
        ("lm2_weighted", 1, "a coefficient is the same in all groups"),
        ("lm2_weighted", 4, "the response is an exact function of the predictors within the gr"),
        ("lm2_swamy", 4, "the response is an exact function of the predictors within the gr"),
    ],
)
@pytest.mark.parametrize("engine", ["native", "lme4"])
def test_refuses_a_response_without_residuals_within_groups(
    name: str, by_group: int, reason: str, engine: str, data: Dataset
) -> None:
    """Coefficients that differ between groups, the first ones or all, and nothing else."""
    b = np.random.default_rng(3).normal(size=(data.n_groups, 4))
    b[:, by_group:] = b[0, by_group:]
    exact = replace(data, y=(data.X * b[data.groups]).sum(axis=1))
    assert outcome(named(name, engine=engine), exact).error.startswith(reason)


def test_groups_with_fewer_rows_than_coefficients() -> None:
    """Cluster-robust strategies fit them; two-stage regression names the group."""
    (data,) = unbalanced()
    keep = ~np.isin(data.groups, [2, 5]) | (np.arange(len(data.y)) % 9 == 0)
    short = with_rows(data, keep)
    assert np.bincount(short.groups).min() == 1
    for name in ("lm_cr1", "lm_cr2", "lm_cr3", "lm_wild", "fe", "fe_cr2", "between", "gee_exch"):
        assert np.nanmin(fitted(named(name, engine="native"), short).se) > 0.0
    for name in ("lm2_hc3", "lm2_weighted", "lm2_signflip", "lm2_level2", "lm2_swamy"):
        tried = outcome(named(name, engine="native"), short)
        assert tried.error.startswith("group ")
        assert "rows for 3 coefficients" in tried.error


def test_lm2_names_the_group_that_is_too_small(data: Dataset) -> None:
    keep = ~((data.groups == 2) & (np.arange(len(data.y)) % 8 >= 3))
    tried = outcome(named("lm2"), with_rows(data, keep))
    assert tried.fit is None
    assert tried.error == "group 3 has 3 rows for 4 coefficients"


@pytest.mark.slow
def test_lmer_hands_on_rs_own_words() -> None:
    data = draw(10, 4, 1.0).data
    with pytest.raises(lme4.LmerError, match=r"^fit: ") as caught:
        mixed.fit(data, named("lmer").options)
    words = "number of observations (=40) <= number of random effects (=40)"
    assert words in str(caught.value)
    # the same words without R
    assert outcome(named("lmer"), data).error.startswith(words)


def test_statsmodels_warnings_become_messages(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    lm = named("lm")
    family = strategies.load(lm.family)

    def warning_fit(data: Dataset, options: object) -> Fit:
        warnings.warn("mind the gap", stacklevel=1)
        return original(data, options)

    original = family.fit
    monkeypatch.setattr(family, "fit", warning_fit)
    tried = outcome(lm, data)
    assert tried.fit is not None
    assert tried.fit.convergence.messages == "mind the gap"
    assert not tried.fit.convergence.clean


def test_errors_of_the_program_are_let_through(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: Dataset, options: object) -> Fit:
        raise TypeError("a bug, no matter of the data")

    monkeypatch.setattr(strategies.load(named("lm").family), "fit", broken)
    with pytest.raises(TypeError, match="a bug"):
        outcome(named("lm"), data)


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
    one = np.ones(1)
    fit = Fit(one, one, one, se_type="", df_type="", ci_type="z", convergence=convergence)
    table = rows([Outcome(fit, "", 0.0, 0.0)], ["Intercept"], np.ones((1, 1)), {})
    assert convergence.clean is strict
    assert converged(table).to_pylist() == [strict]
    assert converged_published(table).to_pylist() == [published]


def test_a_fit_that_failed_has_not_converged() -> None:
    table = rows([Outcome(None, "why", 0.0, 0.0)], ["Intercept"], np.ones((1, 1)), {})
    assert converged(table).to_pylist() == converged_published(table).to_pylist() == [False]


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


@pytest.mark.slow
def test_a_singular_fit_is_seen_and_its_checks_are_made_all_the_same() -> None:
    lmer = named("lmer")
    outcomes = [outcome(lmer, draw(10, 5, 0.1, sim).data) for sim in range(10)]
    found = [one for one in outcomes if one.fit and one.fit.convergence.singular]
    assert found
    truth = np.zeros((len(found), 4))
    table = rows(found, ("Intercept", "IV1", "IV2", "IV3"), truth, {})
    assert not any(converged(table).to_pylist())
    assert any(converged_published(table).to_pylist())
    singular = [one.fit for one in found if one.fit]
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


@pytest.mark.slow
def test_lmer_is_rscripts(data: Dataset, tmp_path: Path) -> None:
    """Two programs, one answer: a script of a few lines, run by R itself on the same data."""
    np.column_stack([data.y, data.X[:, 1:]]).T.tofile(tmp_path / "data.bin")
    subprocess.run(["Rscript", "-e", RSCRIPT], check=True, cwd=tmp_path)
    expected = iter(np.fromfile(tmp_path / "fits.bin").reshape(12, 8, 4))
    for name in ("lmer", "lmer_mis"):
        for reml in (True, False):
            for optimizer in ("nloptwrap", "bobyqa", "Nelder_Mead"):
                keys = {"reml": reml, "optimizer": optimizer, "derivatives": "numerical"}
                fit = fitted(named(name, **keys), data)
                inferred = infer(fit.estimate, fit.se, fit.df, fit.ci_type)
                test = (inferred.statistic, inferred.p_value, inferred.ci_low, inferred.ci_high)
                found = [fit.estimate, fit.se, fit.df, *test, np.full(4, fit.criterion)]
                # the same program on the same bits; the p-values are two programs'
                np.testing.assert_allclose(found, next(expected), rtol=1e-9)


def test_the_example_of_the_docs_keeps_the_contract(data: Dataset, tmp_path: Path) -> None:
    label = "OLS without regard to the groups"
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [block for path in texts for block in path.read_text().split("```")[1::2]]
    (example,) = (block for block in blocks if block.startswith(f'python\n"""{label}'))
    path = tmp_path / "strategies" / "lm_naive.py"
    path.parent.mkdir()
    path.write_text(example.removeprefix("python\n"))
    (naive,) = load_study(GRID | {"strategies": ["lm_naive"]}, "s", tmp_path).strategies
    assert (naive.name, naive.label) == ("lm_naive", label)
    assert strategies.engines(naive.family) == ("python",)
    tried = outcome(naive, data)
    assert tried.fit is not None, tried.error
    np.testing.assert_allclose(tried.fit.estimate, fitted(named("lm"), data).estimate, rtol=1e-10)


class TestBlocks:
    """What a block does for many fits at once."""

    def test_a_glance_at_many_fits_sees_what_a_look_at_one_does(self) -> None:
        good = Fit(np.ones(3), np.ones(3), np.full(3, 5.0), "a", "b", "t")
        nan = np.array([1.0, np.nan, 1.0])
        fits = [
            good,
            replace(good, df=np.full(3, np.nan)),
            replace(good, estimate=nan),
            replace(good, estimate=nan, se=nan, df=nan, unsaid="no estimate of one"),
            replace(good, estimate=np.full(3, np.inf)),
            replace(good, se=-np.ones(3)),
            replace(good, df=np.zeros(3)),
            replace(good, se=np.ones(2)),
            replace(good, se=np.ones(3, dtype=int)),
            replace(good, unsaid="a reason for nothing"),
            replace(good, ci_type="q"),  # type: ignore[arg-type]
            replace(good, convergence=None),  # type: ignore[arg-type]
            good,
        ]
        found = in_order([strategies.FitError("no"), *fits], 3)
        assert not found[0]
        # what has terms left out has to be looked at, but is good
        assert [not flaw(fit, 3) and not fit.unsaid for fit in fits] == found[1:].tolist()
        assert found.sum() == 3

    @pytest.mark.parametrize("ended", ["well", "by an error"])
    def test_garbage_is_collected_again_after_it(
        self, monkeypatch: pytest.MonkeyPatch, ended: str
    ) -> None:
        seen = []

        def watched(*arguments: object) -> Simulated:
            seen.append(gc.isenabled())
            if ended == "by an error":
                raise RuntimeError
            return simulate(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(replication, "simulate", watched)
        keys = {"n_groups": [5], "n_obs": [5], "sigma": [1], "n_sims": 1}
        study = load_study(keys | {"strategies": ["lm"], "engine": "native"}, "s")
        try:
            replication.run_block(study, Block(study.conditions[0], range(1)))
        except RuntimeError:
            assert ended == "by an error"
        assert seen == [False]
        assert gc.isenabled()

    @pytest.mark.parametrize("level", [1, [1, 1, 2]])
    def test_native_fits_leave_no_datasets_for_it(self, level: object) -> None:
        """They would all stay in memory until it goes on."""
        keys = {"n_groups": [8], "n_obs": [6], "sigma": [1], "n_sims": 3, "engine": "native"}
        names = ["lm", "lm2" if level == 1 else "lm2_level2", "fe", "lmer", "lmer_mis", "lm_cr2"]
        study = load_study(keys | {"predictor_level": level, "strategies": names}, "s")

        def run() -> None:
            replication.run_batch(
                study, study.strategies, study.conditions[0], range(3), {"host": "", "worker": ""}
            )

        run()
        gc.collect()
        gc.disable()
        try:
            run()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [one for one in gc.garbage if isinstance(one, Dataset | Batch)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not left
