"""Groups that are nested in sites: the data, and the strategies that know of sites or don't.

Reference values were made with R 4.2.2: lme4 1.1-31 (bobyqa to 1e-10), lmerTest 3.1-3, pbkrtest
0.5.2, sandwich 3.0-2 (vcovCL by site, HC1), clubSandwich 0.5.8; lm of each site and t.test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, f

from rmsweep import strategies
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Dataset, batches
from rmsweep.data.scenario import Simulated, simulate
from rmsweep.design import Strategy
from rmsweep.errors import ConfigError
from rmsweep.strategies import Fit, mixed, mundlak
from rmsweep.strategies.mixed import Options, RandomTerm
from rmsweep.sweep.contract import CHECKS
from rmsweep.sweep.replication import Outcome, fit_datasets

# bounds in standard errors: 1 in 10^6 where the draws are as they should be
BOUND = 5
GRID = {"n_groups": [12], "n_obs": [6], "sigma": [1], "n_sims": 1, "n_sites": 4, "n_items": 6}
MISSING = {"missing": {"from": "mcar", "rate": 0.1}}
FACTOR = {"n_predictors": 1, "predictor_distribution": "factor", "predictor_sd": 0.5}
NEED_SITES = [name for name, (_, preset) in strategies.presets().items() if preset.needs_sites]
# lme4's nloptwrap stops so near its optimum: standard errors, and degrees of freedom
LME4_RTOL = 3e-4, 2e-3


def draw(n_groups: int = 12, n_obs: int = 6, sim: int = 0, seed: int = 0, **keys: Any) -> Simulated:
    values = {"n_groups": n_groups, "n_obs": n_obs, "sigma": 1.0, "n_sites": 4}
    return simulate(seed, condition(**(values | keys)), sim)


def named(name: str, engine: str = "native", **variant: Any) -> Strategy:
    """A strategy, or a variant of it, as a study has it."""
    entry: object = {"name": "variant", "from": name} | variant if variant else name
    return load_study(GRID | {"engine": engine, "strategies": [entry]}, "s").strategies[0]


def outcomes(strategy: Strategy, data: Sequence[Dataset]) -> list[Outcome]:
    return fit_datasets([strategy], list(batches(data)), len(data))[strategy.name]


def fitted(strategy: Strategy, data: Dataset) -> Fit:
    (found,) = outcomes(strategy, [data])
    assert found.fit, found.error
    return found.fit


def of_groups(data: Dataset) -> np.ndarray:
    """The site of each group."""
    return data.above["Site"]


class TestData:
    """Which site each group is of, and how sites differ."""

    def test_sites_have_as_many_groups_to_within_one(self) -> None:
        data = draw(n_groups=14).data
        assert tuple(data.factors) == ("Group", "Site")
        np.testing.assert_array_equal(of_groups(data), np.repeat(range(4), [4, 3, 4, 3]))

    def test_unequal_groups_are_dealt_out_in_turn(self) -> None:
        one = draw(group_sizes={"from": "unequal", "gamma": 2})
        np.testing.assert_array_equal(of_groups(one.data), np.tile(range(4), 3))
        rows = np.bincount(one.data.factors["Site"])
        assert rows.max() < 3 * rows.min()

    def test_rows_are_the_sum_of_their_parts(self) -> None:
        keys = {"site_sigma_ratio": [1, 0.5, 0, 2], "site_correlation": 0.3}
        one = draw(noise_sd=0, n_items=6, item_sigma=0.5, **keys)
        data = one.data
        assert tuple(data.factors) == ("Group", "Item", "Site")
        assert one.item_effects is not None
        assert one.site_effects is not None
        own = one.coefficients[data.groups] + one.site_effects[data.factors["Site"]]
        own += one.item_effects[data.factors["Item"]]
        np.testing.assert_allclose(data.y, (data.X * own).sum(axis=1), rtol=1e-12)
        assert (one.site_effects[:, 2] == 0).all()

    def test_all_else_is_as_without_sites(self) -> None:
        with_sites = draw(site_sigma=0, n_items=6)
        without = draw(n_sites=0, n_items=6)
        assert with_sites.data.y.tobytes() == without.data.y.tobytes()
        assert with_sites.data.X.tobytes() == without.data.X.tobytes()

    def test_sites_have_the_sds_and_correlations_asked_for(self) -> None:
        keys = {"n_predictors": 2, "site_sigma": 2.0, "site_sigma_ratio": [1, 0.5, 3]}
        R = np.array([[1, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 1]])
        one = draw(20_001, 1, n_sites=20_000, site_correlation=R.tolist(), **keys)
        t, root = one.site_effects, np.sqrt(20_000)
        assert t is not None
        assert np.abs(t.mean(axis=0) / [2, 1, 6]).max() < BOUND / root
        assert np.abs(t.std(axis=0) / [2, 1, 6] - 1).max() < BOUND / root
        assert np.abs(np.corrcoef(t.T) - R).max() < BOUND / root

    def test_variances_and_correlations_drawn_anew(self) -> None:
        keys = {"n_predictors": 1, "variances": "uniform", "correlation_range": 0.8}
        values = [draw(4_001, 1, sim, n_sites=4_000, **keys).site_effects for sim in range(40)]
        squares = np.array([np.var(one, axis=0) for one in values if one is not None])
        assert squares.min() < 0.2
        assert 0.8 < squares.max() < 1.1
        cors = np.array([np.corrcoef(one.T)[0, 1] for one in values if one is not None])
        assert cors.min() < -0.5
        assert cors.max() > 0.5
        # groups, items and noise have the draws that they have without sites
        with_sites, without = draw(site_sigma=0, **keys), draw(n_sites=0, **keys)
        assert with_sites.data.y.tobytes() == without.data.y.tobytes()

    @pytest.mark.parametrize("kind", ["normal", {"from": "chi_squared", "df": 2}])
    def test_predictors_of_level_3_are_the_site_s(self, kind: object) -> None:
        keys = {"predictor_level": [1, 2, 3], "predictor_correlation": 0.5}
        one = draw(60, predictor_distribution=kind, n_sites=20, **keys)
        data = one.data
        group, site = (data.X.reshape(60, 6, 4)[:, 0, column] for column in (2, 3))
        pairs = np.unique(np.column_stack([of_groups(data), site]), axis=0)
        np.testing.assert_array_equal(pairs[:, 0], np.arange(20))
        assert (len(np.unique(group)), len(np.unique(site))) == (60, 20)
        assert data.group_level == ("IV2", "IV3")
        assert data.constant == {"Site": ("IV3",)}
        assert data.varying("Site") == ("Intercept", "IV1", "IV2")
        assert one.site_effects is not None
        assert (one.site_effects[:, 3] == 0).all()
        assert np.ptp(one.coefficients[:, 3]) == 0

    def test_every_number_occurs(self) -> None:
        one = draw(30, 2, n_sites=15, missing={"from": "mcar", "rate": 0.7})
        for codes in one.data.factors.values():
            np.testing.assert_array_equal(np.unique(codes), np.arange(codes.max() + 1))
        assert one.site_effects is not None
        assert len(one.site_effects) == one.data.factors["Site"].max() + 1 < 15

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"n_sites": 12}, "n_sites: 12 is not allowed; allowed: fewer than n_groups"),
            ({"n_sites": 1}, "n_sites: 1 is not allowed; allowed: 0, or a whole number from 2"),
            ({"n_sites": 0, "site_sigma": 2}, "site_sigma: 2 is not allowed; allowed: no other"),
            ({"n_sites": 0, "predictor_level": [1, 1, 3]}, "allowed: 1 or 2 without sites"),
            ({"predictor_level": [1, 3, 2]}, "level 2 after those of level 1, and level 3 last"),
            ({"predictor_level": 3, "site_sigma_ratio": [1, 0, 0, 1]}, "0 for predictors of level"),
            (
                {"predictor_level": [1, 2, 3], "confounding": [0, 0.2, 0]},
                "confounding: [0, 0.2, 0] is not allowed; allowed: 0 beside predictors of level 3",
            ),
            ({"site_correlation": 1}, "site_correlation: 1 is not allowed"),
        ],
    )
    def test_refuses(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as error:
            load_study(GRID | keys, "s")
        assert message in str(error.value)


class TestBatches:
    """Datasets that are fitted together, some of whose rows are missing."""

    def test_groups_of_other_sizes_share_a_batch(self) -> None:
        data = [draw(sim=sim, **MISSING).data for sim in range(4)]
        ((places, _),) = batches(data)
        assert places == [0, 1, 2, 3]
        options = Options((RandomTerm(), RandomTerm(factor="Site")))
        assert mixed.wants_same_rows(data[0], options)

    def test_so_do_groups_that_meet_items(self) -> None:
        data = [draw(sim=sim, n_items=6, **MISSING).data for sim in range(4)]
        ((_, batch),) = batches(data)
        assert batch.crossings is not None
        assert not mixed.wants_same_rows(data[0], Options((RandomTerm(), RandomTerm())))
        for one, crossing in zip(data, batch.crossings, strict=True):
            for name, codes in one.factors.items():
                np.testing.assert_array_equal(batch.factors[name][crossing.places], codes)

    def test_but_not_those_whose_sites_have_other_groups(self) -> None:
        data = [draw(sim=sim).data for sim in range(2)]
        moved = data[1].factors["Site"][::-1].copy()
        other = replace(data[1], factors={"Group": data[1].groups, "Site": moved})
        assert len(list(batches([data[0], other]))) == 2

    @pytest.mark.parametrize("items", [0, 6])
    @pytest.mark.parametrize("name", ["lmer_sites_kr", "lmer_sites_mis", "lm2_sites", "lmer_t"])
    def test_rows_do_not_depend_on_those_beside_them(self, name: str, items: int) -> None:
        keys = {"n_predictors": 1, "n_items": items, **MISSING}
        data = [draw(sim=sim, **keys).data for sim in range(3)]
        strategy = named(name)
        together = outcomes(strategy, data)
        for one, own in zip(together, data, strict=True):
            alone = fitted(strategy, own)
            assert one.fit is not None
            for part in ("estimate", "se", "df"):
                assert getattr(one.fit, part).tobytes() == getattr(alone, part).tobytes()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
# one of each family
@pytest.mark.parametrize("name", ["lmer_sites_mis", "lm_sites", "lm2_sites", "lm_sites_cr2"])
def test_keeps_the_contract(name: str, check: Callable[[Strategy], None]) -> None:
    check(named(name))


@pytest.mark.parametrize("name", NEED_SITES)
def test_refuses_data_without_sites(name: str) -> None:
    (found,) = outcomes(named(name), [draw(n_sites=0).data])
    assert found.error == "no factor Site (see n_sites); the data have Group"


def test_a_study_without_sites_can_t_have_them() -> None:
    with pytest.raises(ConfigError, match=r"lmer_sites.*see n_sites"):
        load_study(GRID | {"n_sites": 0, "strategies": ["lmer_sites"]}, "s")


def test_few_sites_are_refused_in_one_line() -> None:
    data = draw(n_sites=3, predictor_level=[1, 3, 3]).data
    (found,) = outcomes(named("lm2_sites"), [data])
    assert found.error == "3 sites for 3 coefficients leave no degree of freedom"


@pytest.mark.parametrize(
    ("n_groups", "n_sites", "level", "reason"),
    [
        (12, 6, [2, 2], "too few groups in site 1: 2 for 3 coefficients between groups"),
        (12, 11, [1, 2], "too few groups in site 2: 1 for 2 coefficients between groups"),
        (12, 6, [1, 2], ""),
        (18, 6, [2, 2], ""),
        (12, 11, [1, 3], ""),
    ],
)
def test_sites_need_groups_for_their_predictors(
    n_groups: int, n_sites: int, level: list[int], reason: str
) -> None:
    keys = {"n_predictors": 2, "n_sites": n_sites, "predictor_level": level}
    one = condition(n_groups=n_groups, n_obs=6, sigma=0.5, **keys)
    assert strategies.refuses_layout(one, named("lm2_sites")) == reason
    assert not strategies.refuses_layout(one, named("lm_sites"))
    (found,) = outcomes(named("lm2_sites"), [simulate(1, one, 0).data])
    assert found.error == reason


# datasets of 18 groups of 6 rows in 6 sites: with a predictor of sites, or items and missing rows
DATASETS: dict[str, dict[str, Any]] = {
    "level 3": {
        "sim": 5,
        "n_predictors": 2,
        "predictor_level": [1, 3],
        "predictor_distribution": ["factor", "normal"],
        "predictor_sd": [0.5, 1.0],
        "site_correlation": 0.3,
        "beta": [1, 0.5, 0.3],
    },
    "items": {
        "sim": 2,
        "n_predictors": 1,
        "beta": [1, 0.5],
        "n_items": 6,
        "item_sigma": 0.6,
        **MISSING,
    },
}
THREE = {"random": [{"columns": "all", "factor": factor} for factor in (None, "Item", "Site")]}
# estimates, standard errors, degrees of freedom
BY_R: dict[tuple[str, str], tuple[list[float], list[float], list[float]]] = {
    ("lmer_sites", "level 3"): (
        [1.0785413579, 0.6563538798, -0.2118844008],
        [0.2661799466, 0.4679868135, 0.3157954315],
        [4.1043710663, 4.9999987870, 4.0000009005],
    ),
    ("lmer_sites_kr", "level 3"): (
        [1.0785413579, 0.6563538798, -0.2118844008],
        [0.2709557454, 0.4679868135, 0.3867688352],
        [4.1804094477, 5.0, 4.0],
    ),
    ("lmer_sites_mis", "level 3"): (
        [1.0995900843, 0.6563538798, -0.1190836151],
        [0.2462227109, 0.3224952245, 0.3262843326],
        [4.2413322084, 16.9999990677, 3.7848188844],
    ),
    ("lm_sites", "level 3"): (
        [1.12339939109, 0.65635387978, -0.01411183042],
        [0.2804198149, 0.4724227655, 0.2863454342],
        [5.0, 5.0, 5.0],
    ),
    ("lm_sites_cr2", "level 3"): (
        [1.12339939109, 0.65635387978, -0.01411183042],
        [0.3116863275, 0.4679867727, 0.3331827761],
        [2.965674103, 5.0, 2.440584070],
    ),
    ("lm2_sites", "level 3"): (
        [1.12339939109, 0.6563538798, -0.01411183042],
        [0.2675377903, 0.4679867727, 0.3609909330],
        [4.0, 5.0, 4.0],
    ),
    ("lmer_sites", "items"): (
        [0.7594623392, 0.9120781756],
        [0.4236445883, 0.3123132169],
        [5.8124171897, 7.1429541774],
    ),
    ("lmer_sites_kr", "items"): (
        [0.7594623392, 0.9120781756],
        [0.4245822746, 0.3162130167],
        [5.8580366889, 7.1668634313],
    ),
}


def assert_by_r(name: str, which: str, engine: str, tolerance: tuple[float, float]) -> None:
    """Compare with R; where groups meet items, the model has those, too."""
    values = {"seed": 5, "n_groups": 18, "sigma": 0.7, "n_sites": 6, "site_sigma": 0.8}
    data = draw(**(values | DATASETS[which])).data
    variant: dict[str, Any] = THREE if which == "items" else {}
    fit = fitted(named(name, engine, **variant), data)
    estimate, se, df = BY_R[name, which]
    np.testing.assert_allclose((fit.estimate - estimate) / se, 0, atol=tolerance[0])
    np.testing.assert_allclose(fit.se, se, rtol=tolerance[0])
    np.testing.assert_allclose(fit.df, df, rtol=tolerance[1])


@pytest.mark.parametrize(("name", "which"), BY_R)
def test_native_values_are_r_s(name: str, which: str) -> None:
    assert_by_r(name, which, "native", (1e-5, 1e-4))


@pytest.mark.parametrize("engine", ["native", "lme4"])
@pytest.mark.parametrize(
    ("name", "variant", "conventions"),
    [
        ("lm_sites", {}, ("cluster S/(S-1) (N-1)/(N-K)", "S-1")),
        ("lm2_sites", {}, ("SD of site coefficients / sqrt(S)", "S-1")),
        ("lm_sites_cr2", {}, ("CR2", "Satterthwaite")),
        ("lm_sites_cr2", {"errors": "CR3"}, ("CR3 (S-1)/S", "S-1")),
    ],
)
def test_conventions_are_about_sites(
    name: str, variant: dict[str, Any], conventions: tuple[str, str], engine: str
) -> None:
    data = draw().data
    fit = fitted(named(name, engine, **variant), data)
    assert (fit.se_type, fit.df_type) == conventions
    # where the sites are the groups, it is the strategy of groups
    alone = replace(data, factors={"Site": data.groups}, constant={})
    assert "S-1" not in fitted(named(name, engine, **variant), alone).df_type


def test_conventions_of_predictors_of_sites() -> None:
    fit = fitted(named("lm2_sites"), draw(predictor_level=[1, 1, 3]).data)
    assert (fit.se_type, fit.df_type) == ("OLS of site coefficients", "S-1-q, S-1")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "which"), BY_R)
def test_values_by_r_and_statsmodels_are_r_s(name: str, which: str) -> None:
    assert_by_r(name, which, "lme4", LME4_RTOL)


@cache
def balanced() -> list[Dataset]:
    """Of 24 groups of 8 rows in 8 sites, x = ±½; no effect of x on average."""
    keys = {**FACTOR, "n_sites": 8, "beta": 0.0, "sigma": 0.3, "site_sigma": 0.5}
    return [draw(24, 8, sim, 1, **keys).data for sim in range(2_000)]


class TestIgnoringSites:
    """False positives about a slope that differs between sites, in balanced data."""

    G, S, N_SIMS = 24, 8, 2_000

    def size(self, name: str, n_sims: int = N_SIMS) -> float:
        fits = [one.fit for one in outcomes(named(name), balanced()[:n_sims])]
        statistic = np.array([(fit.estimate[1] / fit.se[1]) ** 2 for fit in fits if fit])
        df = np.array([fit.df[1] for fit in fits if fit])
        assert len(df) == n_sims
        return float((statistic > f.isf(0.05, 1, df)).mean())

    def expected(self) -> float:
        """Share of G d̄² > F (SSB + SSW)/(G - 1), d being the groups' own slopes.

        G d̄² and SSB are (mA + B) times chi-squared of 1 and S - 1 degrees of freedom, SSW is B
        times that of G - S, all independent; (mA + B)/(A + B) is the design effect.
        """
        A, B, m = 0.5**2, 0.3**2 + 4 / 8, self.G // self.S
        quantiles = (np.arange(1000) + 0.5) / 1000
        between = (m * A + B) * chi2.ppf(quantiles, self.S - 1)
        within = B * chi2.ppf(quantiles, self.G - self.S)
        bound = f.isf(0.05, 1, self.G - 1) / (self.G - 1) * (between[:, None] + within)
        return float(chi2.sf(bound / (m * A + B), 1).mean())

    @pytest.mark.parametrize("name", ["lm2", "lmer_t"])
    def test_is_as_the_design_effect_says(self, name: str) -> None:
        expected = self.expected()
        assert 0.1 < expected < 0.2
        # mixed models whose variance of slopes is zero have other degrees of freedom
        mcse = np.sqrt(expected * (1 - expected) / self.N_SIMS)
        assert abs(self.size(name) - expected) < 3 * mcse

    @pytest.mark.parametrize("name", ["lm2_sites", "lm_sites", "lm_sites_cr2"])
    def test_sites_as_clusters_are_exact_in_balanced_data(self, name: str) -> None:
        mcse = np.sqrt(0.05 * 0.95 / self.N_SIMS)
        assert abs(self.size(name) - 0.05) < 3 * mcse

    def test_the_model_of_both_keeps_its_size(self) -> None:
        assert self.size("lmer_sites", 500) < 0.08
        assert self.size("lmer_sites_mis", 500) > 0.1


def test_tails_of_the_regressions_of_sites() -> None:
    def tails(**keys: Any) -> float:
        values = {"n_groups": 18, "n_obs": 6, "sigma": 1.0, "n_sites": 6}
        return strategies.tail_df(named("lm2_sites"), condition(**(values | keys)))

    assert tails() == 3 * 6 - 3
    assert tails(predictor_level=[1, 1, 2]) == 3 - 1
    assert tails(predictor_level=[1, 1, 3]) == 6 - 1
    assert tails(n_groups=180, predictor_level=[1, 2, 3]) == 6 - 1


@pytest.mark.parametrize("name", ["lm_cr1", "lm_sites", "lm_sites_cr2", "lmer_sites"])
def test_tails_of_strategies_with_one_regression(name: str) -> None:
    """They are those of few sites, whatever groups there are, and whoever fits."""

    def tails(**keys: Any) -> float:
        values = {"n_groups": 24, "n_obs": 8, "sigma": 0.5, "n_sites": 12}
        return strategies.tail_df(named(name), condition(**(values | keys)))

    assert tails(predictor_level=[1, 1, 2]) == np.inf
    assert tails(predictor_level=[1, 2, 3]) == 12 - 1
    assert tails(predictor_level=3) == 12 - 3
    assert tails(predictor_level=[1, 1, 3], n_sites=3) == 3 - 1
    assert tails(predictor_level=[1, 3, 3], n_sites=2) == 1
    assert tails(predictor_level=[1, 1, 3], noise_distribution="t") == 5


class TestMeansBySite:
    """Mundlak's model of groups and sites."""

    def model(self, engine: str = "native") -> Strategy:
        random = [{"columns": "all"}, {"columns": "all", "factor": "Site"}]
        own = {"name": "own", "from": "lmer_mundlak", "df": "between_within"}
        entry = own | {"random": random}
        keys = GRID | {"n_groups": [24], "n_sites": 8, "engine": engine, "strategies": [entry]}
        return load_study(keys, "s").strategies[0]

    def data(self, n_groups: int = 24) -> Dataset:
        return draw(n_groups, 8, sigma=0.5, n_sites=8, predictor_level=[1, 2, 3]).data

    def test_are_predictors_of_the_groups(self) -> None:
        whole, _ = mundlak.whole_of(self.data(), self.model().options)
        means = ("mean of IV1 by Site", "mean of IV2 by Site", "IV2", "IV3", "mean of IV1")
        assert whole.terms == ("Intercept", "IV1", *means)
        assert whole.group_level == means
        for term in whole.terms:
            column = whole.column(term)
            same = all(np.ptp(column[whole.groups == g]) == 0 for g in range(24))
            assert same == (term in (*means, "Intercept"))

    @pytest.mark.parametrize("engine", ["native", "lme4"])
    def test_take_degrees_of_freedom_between_groups(self, engine: str) -> None:
        # all terms have random slopes by group, or are constant within groups
        fit = fitted(self.model(engine), self.data())
        assert fit.df.tolist() == [24 - 1 - 5] * 4

    def test_need_groups(self) -> None:
        (found,) = outcomes(self.model(), [draw(7, n_sites=5, predictor_level=[1, 1, 2]).data])
        assert found.error == "7 groups for 7 coefficients between groups"
        assert not strategies.refuses(draw(8, n_sites=5).data, self.model())


class TestSamplesOfItems:
    """A study is refused if no sample of the items could be fitted, whatever the first one is."""

    def refused(self, name: str, **keys: Any) -> str:
        values = {"n_groups": 4, "n_obs": 6, "sigma": 1.0, "n_items": 12, "n_predictors": 2}
        return strategies.refuses_layout(condition(**(values | keys)), named(name))

    def test_some_samples_are_enough(self) -> None:
        # four groups meet half of the items; three rows of each of them are rare
        values = {"n_groups": 4, "n_obs": 6, "sigma": 1.0, "n_items": 12, "n_predictors": 2}
        data = simulate(0, condition(**values), 0).data
        assert strategies.refuses(data, named("f2"))
        assert not self.refused("f2")

    def test_none_is(self) -> None:
        assert "4 rows for 5 coefficients" in self.refused("f2", n_predictors=4)
        assert "6 rows for 7 coefficients" in self.refused("f1", n_predictors=6)
        assert "no factor Site" in self.refused("lmer_sites")
        assert not self.refused("lmer_items", n_predictors=1)
