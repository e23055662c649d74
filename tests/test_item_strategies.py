"""Strategies that know of items, against programs of R and closed forms.

Reference values were made with R 4.2.2: lme4 1.1-31 (bobyqa to 1e-10), lmerTest 3.1-3, pbkrtest
0.5.2, stats' aov of means by subjects and by items, sandwich 3.0-2 (vcovCL by two factors, HC1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from rmsweep import lmm, strategies
from rmsweep.config import condition, load_study
from rmsweep.data import dataset
from rmsweep.data.dataset import Dataset, batches
from rmsweep.data.scenario import simulate
from rmsweep.design import Strategy
from rmsweep.errors import ConfigError
from rmsweep.strategies import Fit, likelihood_ratio, mixed, parametric_bootstrap, selection
from rmsweep.strategies.mixed import RandomTerm
from rmsweep.sweep import replication
from rmsweep.sweep.contract import CHECKS
from rmsweep.sweep.replication import Outcome, fit_datasets

# lme4's nloptwrap stops so near its optimum: standard errors, and degrees of freedom
LME4_RTOL = 3e-4, 2e-3
GRID = {"n_groups": [12], "n_obs": [8], "sigma": [0.7], "n_sims": 1, "n_items": 8}
ONE = {"n_predictors": 1, "predictor_distribution": "factor", "predictor_sd": 0.5}
DESIGNS: dict[str, dict[str, Any]] = {
    "latin": {"item_design": "latin_square"},
    "between": {"item_design": "between"},
    "missing": {
        "n_groups": 14,
        "n_obs": 12,
        "n_items": 12,
        "item_design": "latin_square",
        "missing": {"from": "mcar", "rate": 0.1},
    },
}
CLOSED = ("f1", "f2", "min_f", "lm_twoway")
MIXED = [f"lmer_items{end}" for end in ("", "_kr", "_zcp", "_mis", "_lrt", "_select")]
NEED_ITEMS = [name for name, (_, preset) in strategies.presets().items() if preset.needs_items]


def named(name: str, engine: str = "native", **variant: Any) -> Strategy:
    """A strategy, or a variant of it, as a study has it."""
    entry: object = {"name": "variant", "from": name} | variant if variant else name
    keys = GRID | ONE | {"engine": engine, "strategies": [entry]}
    return load_study(keys, "s").strategies[0]


def draws(n_sims: int, seed: int, **keys: Any) -> list[Dataset]:
    """The datasets of a condition."""
    values = {"n_groups": 12, "n_obs": 8, "sigma": 0.7, "n_items": 8, "item_sigma": 0.8, "beta": 0}
    one = condition(**(values | ONE | keys))
    return [simulate(seed, one, sim).data for sim in range(n_sims)]


def draw(**keys: Any) -> Dataset:
    return draws(3, 5, **keys)[2]


@cache
def data_of(design: str) -> Dataset:
    return draw(beta=[1, 0.5], **DESIGNS[design])


def outcomes(strategy: Strategy, data: list[Dataset]) -> list[Outcome]:
    return fit_datasets([strategy], list(batches(data)), len(data))[strategy.name]


def fitted(strategy: Strategy, data: Dataset) -> Fit:
    (found,) = outcomes(strategy, [data])
    assert found.fit, found.error
    return found.fit


# estimates, standard errors, degrees of freedom
BY_LME4: dict[tuple[str, str], tuple[list[float], list[float], list[float]]] = {
    ("lmer_items", "latin"): (
        [0.8203328586, 0.7347133827],
        [0.3366198187, 0.4519581230],
        [13.73524535, 10.64439302],
    ),
    ("lmer_items_kr", "latin"): (
        [0.8203328586, 0.7347133827],
        [0.3366198187, 0.4519581230],
        [14.65487683, 11.69131522],
    ),
    ("lmer_items_zcp", "latin"): (
        [0.8203328586, 0.7347133827],
        [0.3405070702, 0.4482513326],
        [13.44563490, 10.44659221],
    ),
    ("lmer_items_mis", "latin"): (
        [0.8203328586, 0.7347133827],
        [0.3609424301, 0.2293220416],
        [14.67168877, 76.00000018],
    ),
    ("lmer_items", "between"): (
        [0.8203328586, 1.3941354895],
        [0.339989237, 0.497400986],
        [14.64673068, 11.03648674],
    ),
    ("lmer_items_kr", "missing"): (
        [0.9528205576, 1.1746163335],
        [0.3071337190, 0.3302770326],
        [18.59599995, 12.06004169],
    ),
    ("lmer_items_zcp", "missing"): (
        [0.9526378223, 1.1640040375],
        [0.3057840595, 0.3269066407],
        [18.49495366, 12.10813248],
    ),
    ("lmer_items_mis", "missing"): (
        [0.9602010186, 1.1194502854],
        [0.3041589137, 0.1805640759],
        [17.70590663, 124.50084378],
    ),
}
LRT = {
    "latin": [0.02157902365, 0.1094704096],
    "between": [0.02014467231, 0.009598743242],
    "missing": [0.004219140298, 0.001966214952],
}
# F, and its degrees of freedom
ANOVA = {
    ("f1", "latin"): (2.83368, 11),
    ("f2", "latin"): (2.85383, 7),
    ("f1", "between"): (15.66545, 11),
    ("f2", "between"): (12.3481, 6),
}
TWO_WAY = {
    "latin": ([0.8203328586, 0.7347133827], [0.3467183141, 0.5336005456], 7),
    "between": ([0.8203328586, 1.3941354895], [0.3125834654, 0.4166339670], 7),
    "missing": ([0.9168491958, 1.1293378984], [0.2839266721, 0.3186147786], 11),
}


@pytest.mark.slow
class TestLme4:
    """By lme4, lmerTest and pbkrtest, called in R itself."""

    @pytest.mark.parametrize(("name", "design"), BY_LME4)
    def test_mixed_models(self, name: str, design: str) -> None:
        fit = fitted(named(name, "lme4"), data_of(design))
        estimate, se, df = BY_LME4[name, design]
        np.testing.assert_allclose(fit.estimate, estimate, rtol=1e-5)
        np.testing.assert_allclose(fit.se, se, rtol=LME4_RTOL[0])
        np.testing.assert_allclose(fit.df, df, rtol=LME4_RTOL[1])
        assert fit.ci_type == "t"

    @pytest.mark.parametrize("design", LRT)
    def test_likelihood_ratios(self, design: str) -> None:
        fit = fitted(named("lmer_items_lrt", "lme4"), data_of(design))
        assert fit.own is not None
        np.testing.assert_allclose(fit.own.p_value, LRT[design], rtol=1e-4)

    def test_selection_starts_with_the_full_model(self) -> None:
        full = fitted(named("lmer_items", "lme4"), data_of("latin"))
        fit = fitted(named("lmer_items_select", "lme4"), data_of("latin"))
        assert fit.df_type.endswith("(1 + IV1 | group) + (1 + IV1 | Item) after 0 steps")
        np.testing.assert_array_equal(fit.se, full.se)

    def test_selection_ends_with_intercepts_where_slopes_do_not_differ(self) -> None:
        data = draw(sigma=0.7, sigma_ratio=[1, 0], item_sigma_ratio=[1, 0], **DESIGNS["latin"])
        fit = fitted(named("lmer_items_select", "lme4"), data)
        assert "after 0 steps" not in fit.df_type
        assert fit.convergence.clean

    def test_theta_has_the_order_of_the_terms(self) -> None:
        data = draw(n_groups=6, n_obs=10, n_items=10, item_design="latin_square")
        random = tuple(RandomTerm(covariance="diagonal", factor=it) for it in (None, "Item"))
        found = mixed.fit(data, mixed.Options(random))
        # lme4 has the factor with more levels first, and slopes before intercepts
        assert found.order == (3, 2, 1, 0)
        assert found.theta_of_terms == [found.theta[place] for place in found.order]

    def test_the_bootstrap_s_null_model_is_lme4_s(self) -> None:
        # two engines simulate the same responses, so that the tests agree
        variant = {"random": [{}], "draws": 9}
        data = data_of("latin")
        ours, theirs = (
            fitted(named("lmer_items_boot", engine, **variant), data)
            for engine in ("native", "lme4")
        )
        assert ours.own is not None
        assert theirs.own is not None
        np.testing.assert_allclose(ours.own.p_value, theirs.own.p_value, atol=1e-12)
        assert theirs.own.kind == "parametric bootstrap, 9 draws"

    def test_the_bootstrap_of_groups_and_items(self) -> None:
        fit = fitted(named("lmer_items_boot", "lme4", draws=9), data_of("between"))
        assert fit.own is not None
        np.testing.assert_allclose(fit.own.p_value * 10, np.round(fit.own.p_value * 10))
        assert fit.own.p_value.max() <= 0.2


class TestAnalysesOfVariance:
    """F1, F2 and min F'."""

    @pytest.mark.parametrize("engine", ["statsmodels", "native"])
    @pytest.mark.parametrize(("name", "design"), ANOVA)
    def test_f_of_means(self, name: str, design: str, engine: str) -> None:
        F, df = ANOVA[name, design]
        fit = fitted(named(name, "native" if engine == "native" else "lme4"), data_of(design))
        assert fit.df[1] == df
        assert (fit.estimate[1] / fit.se[1]) ** 2 == pytest.approx(F, rel=3e-6)

    @pytest.mark.parametrize("design", DESIGNS)
    def test_min_f_is_clark_s(self, design: str) -> None:
        f1, f2, both = (fitted(named(name), data_of(design)) for name in ("f1", "f2", "min_f"))
        F1, F2 = ((one.estimate / one.se) ** 2 for one in (f1, f2))
        df = (F1 + F2) ** 2 / (F1**2 / f2.df + F2**2 / f1.df)
        expected = 2 * t.sf(np.sqrt(F1 * F2 / (F1 + F2)), df)
        assert both.own is not None
        np.testing.assert_allclose(both.own.p_value, expected, rtol=1e-10)
        if design != "missing":  # one estimate
            p = 2 * t.sf(np.abs(both.estimate / both.se), both.df)
            np.testing.assert_allclose(p, expected, rtol=1e-10)
            outside = (both.own.ci_low > 0) | (both.own.ci_high < 0)
            np.testing.assert_array_equal(outside, expected < 0.05)

    def test_of_no_effect_at_all(self) -> None:
        data = data_of("latin")
        y = data.y - data.X @ fitted(named("f1"), data).estimate
        fit = fitted(named("min_f"), replace(data, y=y))
        assert fit.own is not None
        assert fit.own.p_value.min() > 0.999

    def test_predictors_between_and_within_items(self) -> None:
        keys = {"n_predictors": 2, "beta": [0, 1, 2]}
        data = draw(item_design=["between", "latin_square"], **keys)
        assert data.constant == {"Item": ("IV1",)}
        f1, f2 = (fitted(named(name), data) for name in ("f1", "f2"))
        assert f2.df.tolist() == [6, 6, 7]
        np.testing.assert_allclose(f1.estimate, f2.estimate, rtol=1e-10)
        means = np.array([data.y[data.factors["Item"] == item].mean() for item in range(8)])
        low, high = means[::2], means[1::2]
        se = np.sqrt((low.var(ddof=1) + high.var(ddof=1)) / 4)
        assert f2.se[1] == pytest.approx(se)

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ({}, np.inf),  # conditions
            ({"missing": "mcar"}, np.inf),
            ({"predictor_distribution": "normal"}, 7),  # 8 rows of a group
            ({"predictor_distribution": "normal", "item_design": "between"}, 7),  # 8 items
            ({"predictor_distribution": "normal", "n_groups": 4}, 3),  # 4 rows of an item
            ({"predictor_distribution": "normal", "missing": "mcar"}, 1),
            ({"predictor_distribution": "normal", "n_items": 20}, 1),  # samples of the items
        ],
    )
    def test_tails(self, keys: dict[str, Any], expected: float) -> None:
        values = {"n_groups": 12, "n_obs": 8, "sigma": 0.7, "n_items": 8}
        one = condition(**(values | ONE | keys))
        assert strategies.tail_df(named("min_f"), one) == expected


class TestTwoWay:
    """OLS clustered by groups and items."""

    @pytest.mark.parametrize("engine", ["lme4", "native"])
    @pytest.mark.parametrize("design", TWO_WAY)
    def test_reference_values(self, design: str, engine: str) -> None:
        estimate, se, df = TWO_WAY[design]
        fit = fitted(named("lm_twoway", engine), data_of(design))
        np.testing.assert_allclose(fit.estimate, estimate, rtol=1e-9)
        np.testing.assert_allclose(fit.se, se, rtol=1e-9)
        assert fit.df.tolist() == [df, df]

    def test_the_formula(self) -> None:
        data = data_of("missing")
        X, item = data.X, data.factors["Item"]
        inverse = np.linalg.inv(X.T @ X)
        u = data.y - X @ (inverse @ X.T @ data.y)
        n, p = X.shape
        V = np.zeros((p, p))
        for sign, codes in ((1, data.groups), (1, item), (-1, data.groups * 99 + item)):
            levels = np.unique(codes)
            sums = np.array([X[codes == level].T @ u[codes == level] for level in levels])
            c = len(levels) / (len(levels) - 1) * (n - 1) / (n - p)
            V += sign * c * inverse @ (sums.T @ sums) @ inverse
        fit = fitted(named("lm_twoway"), data)
        np.testing.assert_allclose(fit.se, np.sqrt(V.diagonal()), rtol=1e-10)

    def test_a_negative_variance_is_repaired_by_both_engines(self) -> None:
        V = np.array([[2.0, 0.5], [0.5, -0.1]])
        repaired = lmm.positive(V)
        values, vectors = np.linalg.eigh(V)
        np.testing.assert_allclose(repaired, values[1] * np.outer(vectors[:, 1], vectors[:, 1]))
        good = np.array([[2.0, 3.0], [3.0, 2.0]])  # not definite, but with standard errors
        np.testing.assert_array_equal(lmm.positive(good), good)
        # without any effects of groups or items it is negative now and then
        keys = {"sigma": 0.0, "item_sigma": 0.0, "n_groups": 6, **DESIGNS["latin"]}
        data = draws(60, 5, **keys)
        ours, theirs = (outcomes(named("lm_twoway", it), data) for it in ("native", "lme4"))
        se = np.array([[one.fit.se for one in each] for each in (ours, theirs)])  # type: ignore[union-attr]
        np.testing.assert_allclose(se[0], se[1], rtol=1e-6)


class TestNatively:
    """Closed forms for many datasets at once."""

    @pytest.mark.parametrize("name", CLOSED)
    @pytest.mark.parametrize("engine", ["native", "lme4"])
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(
        self, name: str, engine: str, check: Callable[[Strategy], None]
    ) -> None:
        check(named(name, engine))

    @pytest.mark.parametrize("name", CLOSED)
    def test_moves_with_the_response(self, name: str) -> None:
        data = data_of("latin")
        delta = np.array([30.0, -2.0])
        one, other = (
            fitted(named(name), it) for it in (data, replace(data, y=data.y + data.X @ delta))
        )
        np.testing.assert_allclose(other.estimate, one.estimate + delta, rtol=1e-9)
        np.testing.assert_allclose(other.se, one.se, rtol=1e-8)
        np.testing.assert_allclose(other.df, one.df, rtol=1e-8)

    @pytest.mark.parametrize("design", ["latin", "missing"])
    @pytest.mark.parametrize("name", [*CLOSED, *MIXED])
    def test_bits_do_not_depend_on_what_is_beside(self, name: str, design: str) -> None:
        data = draws(5, 5, **DESIGNS[design])
        assert len(list(batches(data))) == 1
        together = outcomes(named(name), data)
        for one, beside in zip(data, together, strict=True):
            alone = fitted(named(name), one)
            assert beside.fit is not None
            for part in ("estimate", "se", "df"):
                assert getattr(alone, part).tobytes() == getattr(beside.fit, part).tobytes()

    @pytest.mark.parametrize("name", MIXED)
    def test_rows_of_zeros_are_rows_left_out(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = data_of("missing")
        one = fitted(named(name), data)
        monkeypatch.setattr(dataset, "MOST_PLACES", 0)
        other = fitted(named(name), data)
        for part in ("estimate", "se", "df"):
            np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=1e-6)

    def test_rows_are_sorted_by_what_they_lack(self) -> None:
        rows = {"n_groups": 8, "n_obs": 6, "item_design": "latin_square"}
        whole = draw(n_items=6, **rows)
        lacking = draws(6, 5, n_items=6, missing={"from": "mcar", "rate": 0.1}, **rows)
        sampled = draw(n_items=24, **rows)
        assert dataset.Crossing.of(whole) is None
        assert dataset.Crossing.of(sampled) is None
        assert all(dataset.Crossing.of(one) for one in lacking)
        data = [whole, *lacking, sampled]
        alike = [places for places, _ in batches(data)]
        assert [0] in alike
        assert [len(data) - 1] in alike
        for places, batch in batches(data):
            y = batch.stacked(lambda one: one.y)
            for row, place in zip(y, places, strict=True):
                there = row[row != 0]
                assert sorted(there) == sorted(data[place].y)

    @pytest.mark.parametrize("name", CLOSED)
    def test_engines_agree_in_any_order_of_rows(self, name: str) -> None:
        data = data_of("missing")
        order = np.random.default_rng(0).permutation(len(data.y))
        factors = {it: codes[order] for it, codes in data.factors.items()}
        shuffled = replace(data, y=data.y[order], X=data.X[order], factors=factors)
        ours = fitted(named(name), shuffled)
        theirs = fitted(named(name, "lme4"), data)
        for part in ("estimate", "se", "df"):
            np.testing.assert_allclose(getattr(ours, part), getattr(theirs, part), rtol=1e-8)
        assert (ours.se_type, ours.df_type) == (theirs.se_type, theirs.df_type)

    @pytest.mark.parametrize("name", CLOSED)
    @pytest.mark.parametrize("engine", ["native", "lme4"])
    def test_what_can_not_be_fitted_is_a_row(self, name: str, engine: str) -> None:
        data = draw(n_predictors=2, **DESIGNS["latin"])
        X = data.X.copy()
        X[:, 2] = 2 * X[:, 1]
        (found,) = outcomes(named(name, engine), [replace(data, X=X)])
        assert found.fit is None
        assert "collinear" in found.error or "rank" in found.error

    def test_what_is_said_of_items_names_items(self) -> None:
        data = draw(n_obs=4, n_items=40, item_design="latin_square", n_groups=6)
        (found,) = outcomes(named("f2"), [data])
        assert re_item(found.error)


def re_item(text: str) -> bool:
    """Whether it speaks of items and not of groups."""
    return "item" in text and "group" not in text


class TestBootstrap:
    """Datasets that follow the model without an effect."""

    @pytest.mark.parametrize("covariance", ["full", "diagonal"])
    def test_responses_have_the_model_s_mean_and_covariance(self, covariance: Any) -> None:
        data = draw(n_groups=3, n_obs=4, n_items=4, item_design="latin_square")
        random = tuple(RandomTerm(covariance=covariance, factor=it) for it in (None, "Item"))
        options = likelihood_ratio.Options(random)
        reduced = likelihood_ratio.without(data, "IV1")
        model = likelihood_ratio.reduced_model(data, options)
        assert all(term.columns == ("Intercept", "IV1") for term in model.random)
        theta = [0.5, 0.3, 0.8, 0.9, -0.4, 0.2] if covariance == "full" else [0.5, 0.8, 0.9, 0.2]
        null = parametric_bootstrap.Null(np.array([2.0]), 1.5, theta, 0.0)
        rng = np.random.default_rng(1)
        ys = parametric_bootstrap.simulated(reduced, model, null, 40_000, rng)
        if covariance == "full":
            roots = [np.array([[0.5, 0], [0.3, 0.8]]), np.array([[0.9, 0], [-0.4, 0.2]])]
        else:
            roots = [np.diag([0.5, 0.8]), np.diag([0.9, 0.2])]
        V = np.eye(12)
        for root, codes in zip(roots, data.factors.values(), strict=True):
            V += data.X @ root @ root.T @ data.X.T * (codes[:, None] == codes)
        V *= 1.5**2
        assert np.abs(ys.mean(axis=0) - 2).max() < 5 * np.sqrt(V.max() / 40_000)
        assert np.abs(np.cov(ys.T) - V).max() < 5 * np.sqrt(2) * V.max() / np.sqrt(40_000)

    def test_p_is_a_rank(self) -> None:
        drawn = np.array([0.1, 2.0, 3.0, np.nan])
        assert parametric_bootstrap.p_of(2.5, drawn) == 2 / 4
        assert parametric_bootstrap.p_of(9.0, drawn) == 1 / 4
        assert parametric_bootstrap.p_of(0.0, drawn) == 1

    def test_each_term_and_dataset_has_its_own_draws(self) -> None:
        data = draws(2, 5, n_groups=5, item_sigma=0.0)
        boot = named("lmer_items_boot", random=[{}], draws=19)
        one, two, again = (outcomes(boot, chosen) for chosen in (data, data[:1], data[1:]))
        p = [found.fit.own.p_value for found in (*one, *two, *again) if found.fit and found.fit.own]
        np.testing.assert_array_equal(p[:2], p[2:])
        first, second = (parametric_bootstrap.generators(data[0])[it].random() for it in (0, 1))
        assert first != second != parametric_bootstrap.generators(data[1])[1].random()


class TestSelection:
    """The sequence of simpler random effects."""

    def test_the_least_slope_is_dropped_wherever_it_is(self) -> None:
        data = draw(n_predictors=2, **DESIGNS["latin"])
        options = named("lmer_items_select", "lme4").options
        structure = selection.first(data, options)
        assert str(structure) == "(1 + IV1 + IV2 | group) + (1 + IV1 + IV2 | Item)"
        seen = []
        theta = {0: [1.0, 0.3, 0.5], 1: [1.0, 0.4, 0.2]}
        known = {
            (term.factor, name): value
            for place, term in enumerate(structure.random)
            for name, value in zip(term.columns, theta[place], strict=True)
        }
        following: selection.Structure | None = structure
        while following is not None:
            structure = following
            seen.append(str(structure))
            own = [known[term.factor, name] for term in structure.random for name in term.columns]
            following = structure.simpler(data, own)
        assert seen[1:] == [
            "(1 + IV1 + IV2 || group) + (1 + IV1 + IV2 || Item)",
            "(1 + IV1 + IV2 || group) + (1 + IV1 || Item)",
            "(1 + IV2 || group) + (1 + IV1 || Item)",
            "(1 + IV2 || group) + (1 | Item)",
            "(1 | group) + (1 | Item)",
        ]

    def test_items_have_slopes_of_what_varies_within_them(self) -> None:
        data = draw(n_predictors=2, item_design=["between", "latin_square"])
        structure = selection.first(data, named("lmer_items_select", "lme4").options)
        assert str(structure) == "(1 + IV1 + IV2 | group) + (1 + IV2 | Item)"
        assert mixed.bars(data, mixed.Options(mixed.ITEMS)) == [
            "(IV1 + IV2 | Group)",
            "(IV2 | Item)",
        ]


class TestRefusals:
    """Before any job."""

    @pytest.mark.parametrize("name", NEED_ITEMS)
    def test_data_without_items(self, name: str) -> None:
        keys = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1, "strategies": [name]}
        with pytest.raises(ConfigError) as caught:
            load_study(keys, "s")
        assert str(caught.value) == (
            f"strategies: '{name}' is not allowed; allowed: what some condition can fit; at best: "
            "no factor Item (see n_items); the data have Group"
        )
        assert load_study(keys | {"n_items": 9}, "s").strategies[0].name == name
        swept = keys | {"grid": {"n_items": [0, 9]}}
        assert len(load_study(swept, "s").conditions) == 2

    def test_more_random_effects_of_items_than_rows(self) -> None:
        data = draw(n_groups=2, n_obs=8, n_items=8, item_design="latin_square")
        reason = mixed.refuses(data, mixed.Options(mixed.ITEMS))
        assert reason.startswith("number of observations (=16) <= number of random effects (=16)")

    def test_too_few_items_between(self) -> None:
        data = draw(n_obs=2, n_items=2, item_design="between")
        module = strategies.load("by_subjects_and_items")
        reason = module.refuses(data, strategies.NoOptions())
        assert reason == "by items: 2 items for 2 coefficients leave no degree of freedom"


@cache
def ignored(design: str) -> tuple[list[Dataset], float]:
    """Datasets without an effect, and how often t tests over groups find one: INFERENCE 3.4."""
    G, items, tau, omega, sims = 12, 8, 0.6, 0.5, 1000
    n_obs = items if design == "between" else 2 * items
    keys = {"n_groups": G, "n_items": items, "n_obs": n_obs, "sigma": 1.0}
    ratios = {"sigma_ratio": [1, tau], "item_sigma": 1.0}
    ratios["item_sigma_ratio"] = [omega, 0 if design == "between" else 0.9]
    # of a difference of +1/2 and -1/2, over groups and over items
    known = tau**2 / G + 4 / (G * n_obs)
    unknown = 4 * omega**2 / items if design == "between" else 0.9**2 / items
    size = 2 * t.sf(t.ppf(0.975, G - 1) / np.sqrt(1 + unknown / known), G - 1)
    assert size > 0.2
    return draws(sims, 7, item_design=design, **keys, **ratios), size


def p_values(name: str, data: list[Dataset], engine: str = "native") -> np.ndarray:
    """Those of the slope."""
    fits = [one.fit for one in outcomes(named(name, engine), data)]
    assert all(fits)
    p = [
        one.own.p_value if one.own else 2 * t.sf(np.abs(one.estimate / one.se), one.df)
        for one in fits
        if one
    ]
    return np.array(p)[:, 1]


class TestIgnoringItems:
    """How often strategies that ignore items find effects that aren't there: closed forms."""

    @pytest.mark.parametrize("name", ["f1", "lm2", "lmer_t", "rm_anova"])
    @pytest.mark.parametrize("design", ["between", "within"])
    def test_size(self, name: str, design: str) -> None:
        data, size = ignored(design)
        p = p_values(name, data, "lme4" if name == "rm_anova" else "native")
        mcse = np.sqrt(size * (1 - size) / len(data))
        assert abs(np.mean(p < 0.05) - size) < 3 * mcse

    def test_min_f_knows_of_both(self) -> None:
        keys = {"n_groups": 16, "n_items": 16, "n_obs": 16, "sigma": 1.0, "item_sigma": 1.0}
        data = draws(1000, 8, item_design="between", **keys)
        rates = {name: np.mean(p_values(name, data) < 0.05) for name in ("f1", "f2", "min_f")}
        assert rates["min_f"] < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
        # each analysis knows of one of the two variances, 1/16 and 4/16, and of the noise, 4/16^2
        noise, both = 4 / 256, {"f1": (1 / 16, 15), "f2": (4 / 16, 14)}
        for name, (known, df) in both.items():
            ratio = (5 / 16 + noise) / (known + noise)
            size = 2 * t.sf(t.ppf(0.975, df) / np.sqrt(ratio), df)
            assert abs(rates[name] - size) < 3 * np.sqrt(size * (1 - size) / 1000)

    def test_own_tests_are_made_of_the_truth(self) -> None:
        one = simulate(5, condition(n_groups=12, n_obs=8, sigma=1.0, n_items=8), 1)
        strategy = named("min_f")
        found = {strategy.name: outcomes(strategy, [one.data])}
        p = replication.test_truth([one], [strategy], found)[strategy.name]
        moved = replace(one.data, y=one.data.y - one.data.X @ one.betas)
        own = fitted(strategy, moved).own
        assert own is not None
        np.testing.assert_array_equal(p[0], own.p_value)
