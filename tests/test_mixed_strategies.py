"""Strategies with a mixed model, and repeated-measures ANOVA, by both engines and for hard data.

Reference values are those of the exact optimum, made with R 4.2.2, lme4 1.1-31, lmerTest 3.1-3,
pbkrtest 0.5.2, clubSandwich 0.5.8, nlme 3.1-162 and afex 1.2-1 (Debian 12).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from known_data import known
from rmsweep import lme4, lmm, strategies
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Batch, Dataset, batches
from rmsweep.data.scenario import simulate
from rmsweep.design import Strategy
from rmsweep.errors import ConfigError
from rmsweep.strategies import Fit, mixed, mundlak, repeated_anova
from rmsweep.strategies.mixed import Inference, Options, RandomTerm
from rmsweep.sweep.contract import CHECKS, fitted, outcome
from rmsweep.sweep.replication import fit_datasets

# the reference values, at the optimum that the engine finds, have nine figures or more
RTOL = 1e-8
# lme4's nloptwrap stops so near its optimum: standard errors, and degrees of freedom
LME4_RTOL = 3e-4, 2e-3
FAMILIES = ("mixed", "mundlak", "selection", "likelihood_ratio")
NATIVE = [
    name
    for name, (family, preset) in strategies.presets().items()
    if family in FAMILIES and not preset.needs_more
]
inf, nan = math.inf, math.nan


def named(name: str, engine: str = "native", **variant: object) -> Strategy:
    """A strategy, or a variant of it, as a study has it."""
    entry: object = {"name": "variant", "from": name} | variant if variant else name
    keys = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1, "engine": engine}
    return load_study(keys | {"strategies": [entry]}, "s").strategies[0]


def draw(n_groups: int, n_obs: int, sigma: float, sim: int = 0) -> Dataset:
    return simulate(0, condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma), sim).data


def unbalanced() -> Dataset:
    """20 groups of 1 to 9 rows, for 4 coefficients."""
    whole = draw(20, 9, 1.0)
    kept = np.random.default_rng(3).uniform(size=len(whole.y)) < 0.6
    kept &= ~((whole.groups == 7) & (np.arange(len(whole.y)) % 9 > 2))
    factors = {"Group": whole.groups[kept]}
    assert np.bincount(factors["Group"]).min() < 4
    return replace(whole, y=whole.y[kept], X=whole.X[kept], factors=factors)


# standard errors and degrees of freedom
VALUES = {
    ("lmer_t", "sleepstudy"): ([6.8245565321, 1.5457888963], [17, 17]),
    ("lmer_t", "Ovary"): (
        [0.99008644042, 0.68141181247, 0.40224231679],
        [10.00712745, 10.06051406, 9.783301834],
    ),
    ("lmer_t", "ChickWeight"): ([1.9572601753, 0.54082650938], [49.13175445, 48.66262007]),
    ("lmer_z", "ChickWeight"): ([1.9572601753, 0.54082650938], [inf, inf]),
    ("lmer_ml", "sleepstudy"): ([6.6322768070, 1.5022367823], [18, 18]),
    ("lmer_ml", "Ovary"): (
        [0.94404439947, 0.64997602193, 0.3825898696],
        [11.00860446, 11.07309833, 10.73544199],
    ),
    ("lmer_ml", "ChickWeight"): ([1.9377097984, 0.53535319681], [50.13167521, 49.64675173]),
    ("lmer_bw", "ChickWeight"): ([1.9572601753, 0.54082650938], [49, 49]),
    ("lmer_kr", "sleepstudy"): ([6.8245565321, 1.5457888963], [17, 17]),
    ("lmer_kr", "Ovary"): (
        [0.99009057745, 0.68142960228, 0.40244432812],
        [9.999928601, 9.999409289, 9.989255661],
    ),
    ("lmer_kr", "ChickWeight"): ([1.9574160720, 0.54091515151], [48.90858265, 48.73668013]),
    ("lmer_cr2", "Ovary"): (
        [0.99010744407, 0.6815624858, 0.40183549482],
        [9.999949761, 9.999542595, 9.991803427],
    ),
    ("lmer_cr2", "ChickWeight"): ([1.9572906870, 0.54081494836], [48.91179716, 48.74455065]),
    ("lmer_zcp", "sleepstudy"): ([6.8853812949, 1.5595659443], [18.15620406, 18.15620406]),
    ("lmer_zcp", "Ovary"): (
        [0.9707703154, 0.68057337262, 0.39925979081],
        [10.01019526, 10.06111553, 9.783406808],
    ),
    ("lmer_zcp", "ChickWeight"): ([1.82497056795, 0.50698564284], [48.8754147, 47.49186197]),
    ("lmer_mis", "Ovary"): (
        [0.93900092542, 0.28940128143, 0.2715986681],
        [10.08084053, 295.00876571, 295.01036103],
    ),
    ("lmer_mis_cr2", "Ovary"): (
        [0.99086890772, 0.6945766261, 0.40027975865],
        [9.999900859, 9.977605019, 9.938161288],
    ),
    ("lmer_mis_cr2", "ChickWeight"): ([2.0060777768, 0.52740732392], [48.96893801, 47.0178695]),
    # nothing to select
    ("lmer_select", "ChickWeight"): ([1.9572601753, 0.54082650938], [49.13175445, 48.66262007]),
    ("lmer_blme", "sleepstudy"): ([7.26566, 1.636855], [inf, inf]),
    ("lmer_blme", "Ovary"): ([1.07653, 0.74784, 0.45960], [inf, inf, inf]),
}
# these have six figures; the optimum of the ML criterion is flat
ROUGH = {"lmer_blme": 2e-5, "lmer_ml": 5e-7}

# differences of deviances, by lme4 with bobyqa and rhoend = 1e-12
LIKELIHOOD_RATIOS = {
    "sleepstudy": [nan, 1.22563996e-06],
    "Ovary": [3.169378799e-08, 0.0002714680976, 0.03888780997],
    "ChickWeight": [1.943742755e-20, 3.648678369e-21],
}


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize(("name", "data"), VALUES)
def test_reference_values_natively(name: str, data: str) -> None:
    fit = fitted(named(name), known(data))
    se, df = VALUES[name, data]
    np.testing.assert_allclose(fit.se, se, rtol=ROUGH.get(name, RTOL))
    np.testing.assert_allclose(fit.df, df, rtol=ROUGH.get(name, RTOL))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), VALUES)
def test_reference_values_by_lme4(name: str, data: str) -> None:
    fit = fitted(named(name, "lme4"), known(data))
    se, df = VALUES[name, data]
    np.testing.assert_allclose(fit.se, se, rtol=LME4_RTOL[0])
    np.testing.assert_allclose(fit.df, df, rtol=LME4_RTOL[1])


@pytest.mark.parametrize("engine", ["native", pytest.param("lme4", marks=pytest.mark.slow)])
@pytest.mark.parametrize("data", LIKELIHOOD_RATIOS)
def test_likelihood_ratios(data: str, engine: str) -> None:
    own = fitted(named("lmer_lrt", engine), known(data)).own
    assert own is not None
    assert own.kind == "likelihood ratio"
    assert np.isnan(own.ci_low).all()
    expected = np.array(LIKELIHOOD_RATIOS[data])
    some = ~np.isnan(expected)
    rtol = 1e-7 if engine == "native" else 1e-4
    np.testing.assert_allclose(own.p_value[some], expected[some], rtol=rtol)


@pytest.mark.parametrize(
    ("random", "se", "df"),
    [
        ([{"columns": ["Intercept"]}], 0.175930994, 527.0219),
        ([{}], 0.54303399, 48.093173),
    ],
)
def test_group_means(random: list[object], se: float, df: float) -> None:
    """The slope within groups; lme4's own digits."""
    fit = fitted(named("lmer_mundlak", random=random), known("ChickWeight"))
    assert fit.se[1] == pytest.approx(se, rel=1e-6)
    assert fit.df[1] == pytest.approx(df, rel=1e-6)
    if random != [{}]:
        # with a random intercept it is exactly that of fixed effects for groups
        assert fit.estimate[1] == pytest.approx(8.71519320003, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lmer_mundlak", "lmer_select"])
def test_two_programs(name: str) -> None:
    for data in (known("Ovary"), unbalanced()):
        one, two = (fitted(named(name, engine), data) for engine in ("native", "lme4"))
        assert (one.se_type, one.df_type) == (two.se_type, two.df_type)
        np.testing.assert_allclose(one.estimate, two.estimate, atol=2e-3 * one.se.max())
        np.testing.assert_allclose(one.se, two.se, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kenward_roger", "cr2"])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("columns", ["all", ("Intercept",)])
def test_small_sample_inference_is_rs_at_the_same_theta(
    kind: str, covariance: str, columns: object
) -> None:
    """Pbkrtest and clubSandwich, at singular optima and where groups are smaller than K, too."""
    options = Options((RandomTerm(columns, covariance),))  # type: ignore[arg-type]
    chosen = Inference(df="kenward_roger") if kind == "kenward_roger" else Inference(se="cr2")
    for data in (draw(10, 5, 0.25), unbalanced()):
        batch = Batch([data])
        native = mixed.fit_batch(batch, options)
        (fit,) = mixed.infer_batch(batch, native, chosen)
        assert isinstance(fit, Fit)
        found = lme4.small_sample(
            data,
            mixed.bars(data, options),
            reml=True,
            theta=native.fitted.theta[0].tolist(),
            kind=kind,  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(fit.se, found["se"], rtol=1e-5)
        np.testing.assert_allclose(fit.df, found["df"], rtol=1e-5)


@pytest.mark.slow
def test_the_penalised_optimum_is_the_same_by_nlminb() -> None:
    for data in (known("ChickWeight"), draw(10, 5, 0.25), unbalanced()):
        one, two = (fitted(named("lmer_blme", engine), data) for engine in ("native", "lme4"))
        assert two.criterion == pytest.approx(one.criterion, abs=1e-6)
        np.testing.assert_allclose(one.se, two.se, rtol=1e-4)
        assert two.convergence.clean
        assert two.convergence.optimizer == "nlminb"


class TestHardData:
    """By the native engine, beside what `test_strategies.py` asks of every strategy."""

    @pytest.mark.parametrize("name", NATIVE)
    def test_can_fit_all_layouts_that_it_does_not_refuse(self, name: str) -> None:
        strategy, n_fitted = named(name), 0
        for n_groups, n_obs in product((2, 5, 7), (2, 5, 8)):
            data = draw(n_groups, n_obs, 1.0)
            if len(data.y) <= len(data.terms):
                continue
            tried, reason = outcome(strategy, data), strategies.refuses(data, strategy)
            assert (tried.fit is None) == bool(reason), tried.error
            assert tried.error == reason
            n_fitted += tried.fit is not None
        assert n_fitted

    @pytest.mark.parametrize("name", NATIVE)
    def test_moves_with_the_response_where_groups_are_small(self, name: str) -> None:
        """Estimates by δ where it moves by Xδ; standard errors and degrees of freedom stay."""
        delta = np.array([3.0, -1.0, 0.5, 20.0])
        data = unbalanced()
        moved = replace(data, y=data.y + data.X @ delta)
        one, two = (fitted(named(name), some) for some in (data, moved))
        np.testing.assert_allclose(two.estimate - delta, one.estimate, atol=1e-6)
        np.testing.assert_allclose(two.se, one.se, rtol=1e-6)
        np.testing.assert_allclose(two.df, one.df, rtol=1e-5)

    @pytest.mark.parametrize("name", NATIVE)
    def test_a_batch_is_its_datasets_one_by_one(self, name: str) -> None:
        data = [draw(10, 5, 0.5, sim) for sim in range(8)]
        data[3] = replace(data[3], y=np.ones_like(data[3].y))
        strategy = named(name)
        (together,) = fit_datasets([strategy], [(range(8), Batch(data))], 8).values()
        for one, tried in zip(data, together, strict=True):
            alone = outcome(strategy, one)
            assert alone.error == tried.error
            if alone.fit and tried.fit:
                for part in ("estimate", "se", "df"):
                    whole = getattr(tried.fit, part)
                    assert getattr(alone.fit, part).tobytes() == whole.tobytes()
                assert alone.fit.df_type == tried.fit.df_type
        assert together[3].fit is None


def test_five_strategies_share_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = lmm.fit
    monkeypatch.setattr(lmm, "fit", lambda *a, **k: calls.append(a) or original(*a, **k))
    names = ["lmer", "lmer_t", "lmer_z", "lmer_bw", "lmer_kr", "lmer_cr2"]
    keys = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1, "engine": "native"}
    chosen = load_study(keys | {"strategies": names}, "s").strategies
    found = fit_datasets(chosen, [([0], Batch([draw(10, 9, 1.0)]))], 1)
    assert len(calls) == 1
    fits = [found[name][0].fit for name in names]
    assert len({fit.estimate.tobytes() for fit in fits if fit}) == 1
    assert [fit.ci_type for fit in fits if fit] == ["z", "t", "z", "t", "t", "t"]


class TestOptions:
    """What goes together."""

    @pytest.mark.parametrize(
        ("variant", "message"),
        [
            ({"df": "kenward_roger", "se": "cr2"}, "standard errors of its own"),
            ({"penalty": -1.0}, "penalty is -1; allowed: 0 and more"),
            ({"penalty": 1.5, "derivatives": "numerical"}, "needs derivatives: closed"),
            ({"df": "residual"}, "satterthwaite, kenward_roger, between_within, normal"),
        ],
    )
    def test_is_refused_before_any_job(self, variant: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            named("lmer", **variant)

    def test_kenward_roger_is_for_reml(self) -> None:
        tried = outcome(named("lmer", reml=False, df="kenward_roger"), draw(10, 8, 1.0))
        assert tried.fit is None
        assert "by REML" in tried.error

    def test_between_within_tells_terms_apart(self) -> None:
        data = replace(known("ChickWeight"), group_level=())
        fit = fitted(named("lmer_mis", df="between_within"), data)
        assert fit.df.tolist() == [49, 578 - 50 - 1]
        z = np.random.default_rng(0).normal(size=50)[data.groups]
        own = replace(
            data,
            X=np.column_stack([data.X, z]),
            terms=(*data.terms, "z"),
            group_level=("z",),
        )
        assert fitted(named("lmer_bw"), own).df.tolist() == [48, 48, 48]
        fit = fitted(named("lmer_mis", df="between_within"), own)
        assert fit.df.tolist() == [48, 527, 48]

    def test_between_within_can_run_out(self) -> None:
        data = replace(draw(2, 20, 1.0), group_level=("IV3",))
        strategy = named("lmer_mis", df="between_within")
        assert strategies.refuses(data, strategy) == (
            "2 groups leave no between-groups degree of freedom"
        )

    def test_packages_of_r_are_those_of_the_inference(self) -> None:
        of = {name: strategies.packages(named(name, "lme4"))[1] for name in ("lmer", "lmer_kr")}
        assert of == {"lmer": ("lme4", "lmerTest"), "lmer_kr": ("lme4", "lmerTest", "pbkrtest")}
        assert strategies.packages(named("lmer_kr")) == ((), None)

    def test_uncorrelated_effects_of_some_slopes_natively(self) -> None:
        random = [{"columns": ["Intercept", "IV2"], "covariance": "diagonal"}]
        fit = fitted(named("lmer", random=random, se="cr2", interval="t"), draw(10, 8, 1.0))
        assert fit.se_type == "REML, CR2"
        assert not np.isclose(fit.se, fitted(named("lmer_cr2"), draw(10, 8, 1.0)).se).any()


class TestSelection:
    """The sequence from the full model to the random intercept."""

    def test_says_what_it_chose(self) -> None:
        """IGF's slopes have no variance; lme4 stops at one of 1e-4, by chance not called zero."""
        fit = fitted(named("lmer_select"), known("IGF"))
        assert fit.df_type == "Satterthwaite, (1 | group) after 2 steps"
        assert fit.convergence.clean
        assert math.isnan(fit.criterion)
        assert fit.se.tobytes() == fitted(named("lmer_mis"), known("IGF")).se.tobytes()

    def test_drops_the_slope_that_adds_least(self) -> None:
        data = draw(10, 8, 1.0)
        X = data.X * [1.0, 1.0, 1e3, 1.0]
        y = X @ [1.0, 1.0, 1e-3, 1.0] + np.random.default_rng(1).normal(size=(10, 1)).repeat(8)
        y += np.random.default_rng(2).normal(size=80) + 2 * X[:, 3] * np.sin(data.groups)
        data = replace(data, X=X, y=y)
        fit = fitted(named("lmer_select"), data)
        assert fit.df_type.startswith("Satterthwaite, (1 + IV3")

    def test_begins_without_correlations_where_rows_are_too_few(self) -> None:
        fit = fitted(named("lmer_select"), draw(10, 4, 4.0))
        assert "||" in fit.df_type or "(1 | group)" in fit.df_type

    def test_the_last_one_may_be_singular(self) -> None:
        rng = np.random.default_rng(0)
        data = draw(10, 5, 0.1)
        noise = rng.normal(size=50)
        noise -= np.repeat(noise.reshape(10, 5).mean(axis=1), 5)
        fit = fitted(named("lmer_select"), replace(data, y=noise))
        assert fit.df_type.endswith("(1 | group) after 4 steps")
        assert fit.convergence.singular


class TestGroupMeans:
    """Mundlak's model."""

    def test_leaves_out_those_that_are_the_same_in_all_groups(self) -> None:
        fit = fitted(named("lmer_mundlak"), known("sleepstudy"))
        assert fit.se_type == "REML, with group means, but of Days"
        assert fit.se.tobytes() == fitted(named("lmer_t"), known("sleepstudy")).se.tobytes()

    def test_of_datasets_that_differ_in_which(self) -> None:
        data = [draw(10, 8, 1.0, sim) for sim in range(4)]
        for place in (1, 2):
            X = data[place].X.copy()
            X[:, 1] = np.tile(np.arange(8.0), 10)
            data[place] = replace(data[place], X=X)
        assert len(list(batches([mundlak.with_group_means(one) for one in data]))) == 2
        (found,) = fit_datasets([named("lmer_mundlak")], [(range(4), Batch(data))], 4).values()
        types = [one.fit.se_type for one in found if one.fit]
        with_all = "REML, with group means"
        assert types == [with_all, f"{with_all}, but of IV1", f"{with_all}, but of IV1", with_all]

    def test_are_predictors_of_the_groups(self) -> None:
        data = unbalanced()
        whole = mundlak.with_group_means(data)
        assert whole.group_level == ("mean of IV1", "mean of IV2", "mean of IV3")
        for k in range(1, 4):
            means = [data.X[data.groups == g, k].mean() for g in range(data.n_groups)]
            np.testing.assert_allclose(whole.X[:, 3 + k], np.array(means)[data.groups])

    @pytest.mark.parametrize("engine", ["native", "lme4"])
    def test_of_items_leave_slopes_within_both(self, engine: str) -> None:
        """Whatever levels of groups and of items have to do with their means of a predictor."""
        keys = {"n_groups": [12], "n_obs": [10], "sigma": [1], "n_sims": 1, "engine": engine}
        keys |= {"n_items": "all", "n_predictors": 2, "item_design": ["within", "between"]}
        random = [{"columns": "all"}, {"columns": ["Intercept"], "factor": "Item"}]
        own = {"name": "own", "from": "lmer_mundlak", "random": random}
        study = load_study(keys | {"beta": 1, "strategies": [own, "lmer_items"]}, "s")
        strategy, ignoring = study.strategies
        data = simulate(0, study.conditions[0], 0).data
        whole, model = mundlak.whole_of(data, strategy.options)
        assert whole.terms == (*data.terms, "mean of IV1 by Item", "mean of IV1")
        assert whole.constant["Item"] == ("IV2", "mean of IV1 by Item")
        assert model.random[0].columns == data.terms
        confounded = replace(data, y=data.y + whole.X[:, 3:] @ np.array([2.0, 3.0]))
        one, two = (fitted(strategy, it) for it in (data, confounded))
        assert one.se_type == "REML, with group means, but of IV2, means by Item"
        np.testing.assert_allclose(one.estimate[1], two.estimate[1], rtol=1e-4)
        np.testing.assert_allclose(one.se[1], two.se[1], rtol=1e-3)
        found = [fitted(ignoring, it).estimate[1] for it in (data, confounded)]
        assert abs(found[1] - found[0]) > 0.01

    def test_need_groups(self) -> None:
        reason = strategies.refuses(draw(4, 20, 1.0), named("lmer_mundlak"))
        assert reason == "4 groups for 4 coefficients between groups"


class TestAutoregressive:
    """nlme's lme with AR(1) errors."""

    @pytest.mark.slow
    def test_is_its_definition(self) -> None:
        data = known("sleepstudy")
        fit = fitted(named("lmer_ar1"), data)
        np.testing.assert_allclose(fit.estimate, [252.8414446, 10.46687369], rtol=1e-6)
        np.testing.assert_allclose(fit.se, [10.94092876, 1.344080156], rtol=1e-6)
        assert fit.df.tolist() == [161, 161]
        # -2 log REML likelihood of V = τ² + σ²φ^|i-j|, with nlme's φ and ratio of variances
        phi = 0.653133294753

        def criterion(ratio: float) -> float:
            lag = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
            V = ratio + phi**lag
            W = np.linalg.inv(V)
            X, y = data.X.reshape(18, 10, 2), data.y.reshape(18, 10)
            XWX = np.einsum("gia,ij,gjb->ab", X, W, X)
            beta = np.linalg.solve(XWX, np.einsum("gia,ij,gj->a", X, W, y))
            u = y - X @ beta
            rss = np.einsum("gi,ij,gj->", u, W, u)
            n, p = 180, 2
            return float(
                18 * np.linalg.slogdet(V)[1]
                + np.linalg.slogdet(XWX)[1]
                + (n - p) * (1 + np.log(2 * np.pi * rss / (n - p)))
            )

        least = min(criterion(ratio) for ratio in np.linspace(0.01, 3.0, 3000))
        assert fit.criterion == pytest.approx(least, abs=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(self, check: Callable[[Strategy], None]) -> None:
        check(named("lmer_ar1"))


def factorial() -> Dataset:
    """7 groups, a factor of 2 levels and one of 3, as R's ``expand.grid`` lists them."""
    ids, A, B = (
        part.ravel()
        for part in np.meshgrid(range(1, 8), [-0.5, 0.5], [1.0, 2.0, 4.0], indexing="ij")
    )
    y = np.sin(3 * np.arange(1, 43)) + 2 * A * np.cos(ids) + 0.4 * B + ids
    X = np.column_stack([np.ones(42), A, B])
    return Dataset(y, X, {"id": ids - 1}, ("Intercept", "A", "B"))


class TestRepeatedAnova:
    """afex's ``aov_ez`` with the Greenhouse-Geisser correction."""

    def test_is_afexs_for_one_factor(self) -> None:
        fit = fitted(named("rm_anova"), known("sleepstudy"))
        assert fit.own is not None
        assert fit.own.p_value[1] == pytest.approx(5.4631e-09, rel=1e-5)
        assert fit.estimate[1] == pytest.approx(10.46728596)
        assert fit.df[1] == 153
        assert math.isnan(fit.estimate[0])
        assert "intercept" in fit.unsaid
        # F 18.70270 of 9 and 153 df with epsilon .3690298448
        means = known("sleepstudy").y.reshape(18, 10)
        *_, p_value = repeated_anova.main_effect(means, np.arange(10.0))
        assert p_value == fit.own.p_value[1]

    def test_is_afexs_for_two_factors(self) -> None:
        data = factorial()
        fit = fitted(named("rm_anova"), data)
        assert fit.own is not None
        expected = [nan, 0.859992124713, 8.17715894100e-05]
        np.testing.assert_allclose(fit.own.p_value, expected, rtol=1e-8)
        # a factor of two levels is a paired t test, with its interval
        t = fit.estimate[1] / fit.se[1]
        assert t**2 == pytest.approx(3.38964176489e-02)
        assert fit.own.ci_low[1] < fit.estimate[1] < fit.own.ci_high[1]
        assert np.isnan(fit.own.ci_low[2])

    def test_does_not_mind_the_order_of_rows_and_moves_with_the_response(self) -> None:
        data = factorial()
        order = np.random.default_rng(0).permutation(len(data.y))
        shuffled = replace(
            data, y=data.y[order], X=data.X[order], factors={"id": data.groups[order]}
        )
        moved = replace(data, y=data.y + data.X @ [5.0, -1.0, 2.0])
        one, two, three = (fitted(named("rm_anova"), some) for some in (data, shuffled, moved))
        np.testing.assert_allclose(two.se[1:], one.se[1:])
        np.testing.assert_allclose(three.estimate[1:] - [-1.0, 2.0], one.estimate[1:])
        np.testing.assert_allclose(three.se[1:], one.se[1:])

    def test_other_data_are_rows_with_a_reason(self) -> None:
        tried = outcome(named("rm_anova"), draw(10, 8, 1.0))
        assert tried.error.startswith("IV1, IV2, IV3: not the same levels")
        assert "groups of 25 to 31 rows" in outcome(named("rm_anova"), known("Ovary")).error
        data = factorial()
        level = replace(data, group_level=("B",))
        assert outcome(named("rm_anova"), level).error == "B: no factor within groups"
        constant = replace(data, X=data.X * [1.0, 0.0, 1.0])
        assert outcome(named("rm_anova"), constant).error.startswith("A has one value")
        flat = replace(data, y=data.X @ [1.0, 2.0, 3.0])
        assert "no variation" in outcome(named("rm_anova"), flat).error
