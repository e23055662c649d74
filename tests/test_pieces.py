"""The pieces of scenarios against the equations that their docstrings state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from rmsweep import lmm, strategies
from rmsweep.config import condition, load_study
from rmsweep.data import distributions
from rmsweep.data.dataset import batches
from rmsweep.data.rows import autoregressive, rows_of
from rmsweep.data.scenario import Simulated, simulate, smallest_group
from rmsweep.design import Block
from rmsweep.sweep.replication import run_block

# bounds in standard errors: 1 in 10^6 where the draws are as they should be
BOUND = 5
Array = np.ndarray[Any, np.dtype[np.float64]]


def draw(sim: int = 0, n_groups: int = 10, n_obs: int = 5, **others: Any) -> Simulated:
    return simulate(0, condition(n_groups=n_groups, n_obs=n_obs, sigma=1.0, **others), sim)


def standard_draws(name: str, n: int = 20_000, **options: float) -> Array:
    z = np.random.default_rng(1).standard_normal(n)
    drawn: Array = getattr(distributions, name)(np.random.default_rng(2), z, **options)
    return drawn


def t_cdf(x: Array, df: float) -> Array:
    return stats.t.cdf(x * np.sqrt(df / (df - 2)), df)


def contaminated_cdf(x: Array, share: float, ratio: float) -> Array:
    x = x * np.sqrt(1 - share + share * ratio**2)
    return (1 - share) * stats.norm.cdf(x) + share * stats.norm.cdf(x / ratio)


def lognormal_cdf(x: Array, s: float) -> Array:
    sd = np.sqrt((np.exp(s**2) - 1) * np.exp(s**2))
    return stats.lognorm.cdf(x * sd + np.exp(s**2 / 2), s)


def mixture_cdf(x: Array, pi: float, d: float) -> Array:
    high, low = d * np.sqrt((1 - pi) / pi), -d * np.sqrt(pi / (1 - pi))
    own = np.sqrt(1 - d**2)
    return pi * stats.norm.cdf(x, high, own) + (1 - pi) * stats.norm.cdf(x, low, own)


CDFS: dict[str, tuple[dict[str, float], Callable[[Array], Array]]] = {
    "normal": ({}, stats.norm.cdf),
    "t": ({"df": 3}, lambda x: t_cdf(x, 3)),
    "contaminated": ({"share": 0.2, "ratio": 4}, lambda x: contaminated_cdf(x, 0.2, 4)),
    "chi_squared": ({"df": 3}, lambda x: stats.chi2.cdf(x * np.sqrt(6) + 3, 3)),
    "lognormal": ({"log_sd": 0.8}, lambda x: lognormal_cdf(x, 0.8)),
    "mixture": ({"share": 0.3, "distance": 0.9}, lambda x: mixture_cdf(x, 0.3, 0.9)),
}


class TestDistributions:
    """All have mean 0 and variance 1, and the form that they are named for."""

    @pytest.mark.parametrize("name", CDFS)
    def test_draws_follow_the_distribution(self, name: str) -> None:
        options, cdf = CDFS[name]
        assert stats.kstest(standard_draws(name, **options), cdf).pvalue > 1e-6

    @pytest.mark.parametrize("name", CDFS)
    def test_mean_and_variance_are_0_and_1(self, name: str) -> None:
        _, cdf = CDFS[name]
        x = np.linspace(-2000, 2000, 400_001)
        mass, middle = np.diff(cdf(x)), (x[1:] + x[:-1]) / 2
        assert abs((mass * middle).sum()) < 1e-3
        # the tail of t beyond 2000 is worth 6e-4
        assert abs((mass * middle**2).sum() - 1) < 2e-3

    @pytest.mark.parametrize(
        ("name", "power", "moment"),
        [
            ("chi_squared", 3, np.sqrt(8 / 3)),
            ("lognormal", 3, 3.69),
            ("mixture", 3, 0.768),
            ("contaminated", 4, 16.45),
        ],
    )
    def test_skewness_and_kurtosis_are_those_of_the_docstrings(
        self, name: str, power: int, moment: float
    ) -> None:
        drawn = standard_draws(name, n=1_000_000) ** power
        # moments of moments are large, and so is their error
        assert abs(drawn.mean() - moment) < BOUND * drawn.std() / 1000 + 0.005

    def test_a_binary_variable_is_half_and_half(self) -> None:
        drawn = standard_draws("binary")
        assert {*drawn} == {-1.0, 1.0}
        assert abs(drawn.mean()) < BOUND / np.sqrt(len(drawn))

    @pytest.mark.parametrize("name", ["t", "contaminated", "lognormal", "mixture"])
    def test_most_keep_the_program_s_own_draws(self, name: str) -> None:
        z = np.random.default_rng(1).standard_normal(20_000)
        assert stats.spearmanr(z, standard_draws(name)).statistic > 0.5


class TestEffects:
    """How groups differ."""

    def test_correlated_effects(self) -> None:
        R = [[1, 0.6, 0, 0], [0.6, 1, -0.3, 0], [0, -0.3, 1, 0], [0, 0, 0, 1]]
        one = draw(n_groups=20_000, n_obs=1, effect_correlation=R)
        scatter = one.coefficients - one.betas
        assert np.abs(np.corrcoef(scatter.T) - R).max() < BOUND / np.sqrt(20_000)
        assert np.abs(scatter.std(axis=0) - 1).max() < BOUND / np.sqrt(40_000)

    def test_effects_of_another_distribution_have_the_same_sd(self) -> None:
        keys = {"effect_distribution": {"from": "mixture", "distance": 0.95}}
        one = draw(n_groups=20_000, n_obs=1, sigma_ratio=[2, 1, 1, 0], **keys)
        scatter = (one.coefficients - one.betas) / [2, 1, 1, np.inf]
        cdf = lambda x: mixture_cdf(x, 0.2, 0.95)  # noqa: E731
        assert min(stats.kstest(scatter[:, k], cdf).pvalue for k in range(3)) > 1e-6
        np.testing.assert_array_equal(scatter[:, 3], 0)


def within(simulated: Simulated) -> Array:
    """The predictors as deviations from their group means."""
    groups, X = simulated.data.groups, simulated.data.X[:, 1:]
    return X - means(simulated)[groups]


def means(simulated: Simulated) -> Array:
    groups, X = simulated.data.groups, simulated.data.X[:, 1:]
    sums = np.array([np.bincount(groups, column) for column in X.T]).T
    averages: Array = sums / np.bincount(groups)[:, None]
    return averages


class TestPredictors:
    """Predictors of two levels, clustered, in time."""

    def test_the_intraclass_correlation_is_the_one_asked_for(self) -> None:
        G, n = 4000, 10
        one = draw(n_groups=G, n_obs=n, predictor_icc=[0, 0.3, 0.8], predictor_sd=[1, 2, 1])
        inside = (within(one) ** 2).sum(axis=0) / (G * (n - 1))
        icc = means(one).var(axis=0, ddof=1) - inside / n
        sd2 = np.array([1, 4, 1])
        rho = np.array([0, 0.3, 0.8])
        # of a variance with G - 1 degrees of freedom
        error = (rho + (1 - rho) / n) * np.sqrt(2 / G)
        assert (np.abs(icc / sd2 - rho) < BOUND * error).all()
        assert (np.abs(inside / sd2 - (1 - rho)) < BOUND * np.sqrt(2 / (G * n))).all()

    def test_correlations_are_those_of_both_parts(self) -> None:
        keys = {"predictor_correlation": 0.5, "predictor_icc": [0, 0.36, 0.64]}
        one = draw(n_groups=10_000, n_obs=4, **keys)
        rho = np.array([0, 0.36, 0.64])
        shared = np.sqrt(np.outer(rho, rho)) + np.sqrt(np.outer(1 - rho, 1 - rho))
        expected = np.where(np.eye(3) == 1, 1, 0.5 * shared)
        assert np.abs(np.corrcoef(one.data.X[:, 1:].T) - expected).max() < BOUND / 100

    def test_predictors_of_level_2_are_constant_in_groups_and_said_to_be(self) -> None:
        plain, one = draw(), draw(predictor_level=[1, 2, 2])
        assert one.data.terms == ("Intercept", "IV1", "IV2", "IV3")
        assert one.data.group_level == ("IV2", "IV3")
        assert np.abs(within(one)[:, 1:]).max() < 1e-12
        np.testing.assert_array_equal(one.data.X[:, 1], plain.data.X[:, 1])
        # its coefficient can't differ between groups
        np.testing.assert_array_equal(one.coefficients[:, 2:], np.tile(one.betas[2:], (10, 1)))
        np.testing.assert_array_equal(one.coefficients[:, :2], plain.coefficients[:, :2])
        many = draw(n_groups=20_000, n_obs=1, predictor_level=2).data.X[:, 1:]
        assert np.abs(many.std(axis=0) - 1).max() < BOUND / 200

    def test_a_binary_predictor_of_level_2(self) -> None:
        keys = {"predictor_distribution": ["normal", "normal", "binary"]}
        one = draw(predictor_level=[1, 1, 2], predictor_sd=[1, 1, 0.5], **keys)
        assert {*one.data.X[:, 3]} == {-0.5, 0.5}
        np.testing.assert_array_equal(one.data.X[:, 1], draw().data.X[:, 1])

    def test_distributions_of_predictors_leave_the_others(self) -> None:
        one = draw(n_groups=100, n_obs=50, predictor_distribution=["lognormal", "t", "normal"])
        other = draw(n_groups=100, n_obs=50, predictor_distribution=["normal", "t", "normal"])
        np.testing.assert_array_equal(one.data.X[:, 2:], other.data.X[:, 2:])
        assert stats.kstest(one.data.X[:, 1], lambda x: lognormal_cdf(x, 0.8)).pvalue > 1e-6
        assert stats.kstest(one.data.X[:, 2], lambda x: t_cdf(x, 5)).pvalue > 1e-6

    def test_autocorrelated_predictors(self) -> None:
        one = draw(n_groups=4000, n_obs=6, predictor_autocorrelation=[0, 0.8, -0.5])
        x = one.data.X[:, 1:].reshape(4000, 6, 3)
        for j, phi in enumerate([0, 0.8, -0.5]):
            found = np.corrcoef(x[:, :, j].T)
            expected = phi ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
            assert np.abs(found - expected).max() < BOUND / np.sqrt(4000)
            assert np.abs(x[:, :, j].std(axis=0) - 1).max() < BOUND / np.sqrt(8000)

    def test_a_trend_is_the_same_in_every_group(self) -> None:
        x = draw(predictor_distribution=["trend", "normal", "normal"]).data.X[:, 1].reshape(10, 5)
        np.testing.assert_allclose(x, np.tile(np.arange(-2, 3) / np.sqrt(2), (10, 1)))

    def test_a_factor_has_the_same_levels_in_every_group(self) -> None:
        factors = ["factor", "normal", {"from": "factor", "levels": 3}]
        one = draw(n_obs=12, predictor_distribution=factors)
        values = one.data.X[:, [0, 1, 3]].reshape(10, 12, 3)
        for group in values:
            np.testing.assert_array_equal(group, values[0])
        # all combinations, as often as each other
        assert np.unique(values[0], axis=0, return_counts=True)[1].tolist() == [2] * 6
        np.testing.assert_allclose(values[0].T @ values[0] / 12, np.eye(3), atol=1e-14)
        single = draw(n_obs=4, n_predictors=1, predictor_distribution="factor")
        np.testing.assert_allclose(single.data.X[:4, 1], [-1, 1, -1, 1], rtol=1e-15)

    def test_factors_are_what_an_analysis_of_variance_takes(self) -> None:
        factors = ["factor", {"from": "factor", "levels": 3}]
        keys = {"n_predictors": 2, "predictor_distribution": factors, "strategies": ["rm_anova"]}
        study = load_study({"n_groups": [10], "n_obs": [6], "sigma": [1], "n_sims": 1} | keys, "s")
        (row,) = run_block(study, Block(study.conditions[0], range(1))).to_pylist()
        assert row["status"] == "ok", row["messages"]


# beta, rho, tau0, tau_m (sigma_w 1), and the limits of the slopes: least squares on all rows, on
# group means of 5 rows, and a random intercept
SIMPSON = [
    ((0.5, -0.9, 4.0, 2.0), (-0.94, -1.2143, 0.3834)),
    ((0.2, -0.95, 1.0, 1.0), (-0.275, -0.5917, -0.014)),
]


def random_intercept(beta: float, rho: float, tau0: float, tau_m: float, n: int) -> float:
    """The slope that a random-intercept model tends to, with its variances at their own limit."""
    B, W, delta = tau_m**2 + 1 / n, 1 - 1 / n, rho * tau0 / tau_m
    b = beta
    for _ in range(200):
        of_means = tau0**2 + 1 / n + (beta - b) ** 2 * B + 2 * (beta - b) * rho * tau0 * tau_m
        psi = (1 + (beta - b) ** 2) / (n * of_means)
        b = beta + delta * tau_m**2 * psi / (psi * B + W)
    return b


class TestSimpson:
    """Group means of a predictor that go along with the intercepts."""

    @pytest.mark.parametrize(("parameters", "plims"), SIMPSON)
    def test_each_estimator_goes_where_theory_says(
        self, parameters: tuple[float, ...], plims: tuple[float, ...]
    ) -> None:
        beta, rho, tau0, tau_m = parameters
        G, n = 20_000, 5
        expected = (
            beta + rho * tau0 * tau_m / (tau_m**2 + 1),
            beta + rho * tau0 * tau_m / (tau_m**2 + 1 / n),
            random_intercept(*parameters, n),
        )
        np.testing.assert_allclose(expected, plims, atol=5e-4)
        one = draw(
            n_groups=G,
            n_obs=n,
            n_predictors=1,
            beta=[0, beta],
            sigma_ratio=[tau0, 0],
            predictor_sd=np.sqrt(tau_m**2 + 1),
            predictor_icc=tau_m**2 / (tau_m**2 + 1),
            confounding=rho,
        )
        data = one.data
        pooled = np.polyfit(data.X[:, 1], data.y, 1)[0]
        y_means = np.bincount(data.groups, data.y) / n
        between = np.polyfit(means(one)[:, 0], y_means, 1)[0]
        x = within(one)[:, 0]
        fixed = (x @ data.y) / (x @ x)
        products = lmm.crossproducts(data.y[None], data.X[None], data.X[None, :, :1], data.groups)
        intercepts = lmm.fit(products).estimate[0, 1]
        np.testing.assert_allclose([pooled, between, intercepts], plims, atol=0.03)
        assert abs(fixed - beta) < BOUND / np.sqrt(G * (n - 1))
        correlation = np.corrcoef(one.coefficients[:, 0], means(one)[:, 0])[0, 1]
        attenuated = rho * tau_m / np.sqrt(tau_m**2 + 1 / n)
        assert abs(correlation - attenuated) < BOUND / np.sqrt(G)

    def test_several_predictors_have_a_correlation_each(self) -> None:
        keys = {"predictor_correlation": 0.4, "predictor_icc": 0.9999}
        one = draw(n_groups=20_000, n_obs=2, confounding=[0.6, -0.2, 0], **keys)
        found = np.corrcoef(one.coefficients[:, 0], means(one).T)[0, 1:]
        assert np.abs(found - [0.6, -0.2, 0]).max() < BOUND / np.sqrt(20_000)
        assert abs(one.coefficients[:, 0].std() - 1) < BOUND / 200


class TestNoise:
    """What the model does not explain."""

    @staticmethod
    def noise(**keys: Any) -> Array:
        one = draw(**keys)
        return one.data.y - (one.data.X * one.coefficients[one.data.groups]).sum(axis=1)

    def test_autocorrelated_noise(self) -> None:
        noise = self.noise(n_groups=4000, n_obs=6, noise_autocorrelation=0.6).reshape(4000, 6)
        expected = 0.6 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
        assert np.abs(np.corrcoef(noise.T) - expected).max() < BOUND / np.sqrt(4000)
        assert np.abs(noise.std(axis=0) - 1).max() < BOUND / np.sqrt(8000)

    def test_a_series_ends_with_its_group(self) -> None:
        rows = rows_of((2, 1, 3))
        series = autoregressive(np.array([1.0, 0, 1, 1, 0, 0]), rows, 0.5)
        np.testing.assert_allclose(series, [1, 0.5, 1, 1, 0.5, 0.25])

    @pytest.mark.parametrize("phi_x", [0, 0.9])
    def test_autocorrelation_matters_for_autocorrelated_predictors_only(self, phi_x: float) -> None:
        n, phi = 50, 0.6
        one = draw(n_groups=8000, n_obs=n, n_predictors=1, predictor_autocorrelation=phi_x)
        e = self.noise(n_groups=8000, n_obs=n, n_predictors=1, noise_autocorrelation=phi)
        inflation = (one.data.X[:, 1] * e).reshape(8000, n).sum(axis=1).var() / n
        lags = np.arange(1, n)
        exact = 1 + 2 * ((1 - lags / n) * (phi * phi_x) ** lags).sum()
        assert abs(inflation / exact - 1) < 0.12

    def test_heterogeneous_groups(self) -> None:
        h, G, n = 0.8, 4000, 100
        noise = self.noise(n_groups=G, n_obs=n, noise_heterogeneity=h, noise_sd=2).reshape(G, n)
        variances = (noise**2).mean(axis=1) / 4
        assert abs(variances.mean() - 1) < BOUND * np.sqrt(np.expm1(h**2) / G)
        logs = np.log(variances)
        assert abs(logs.std() - np.sqrt(h**2 + 2 / n)) < BOUND * h / np.sqrt(2 * G)

    def test_noise_has_the_sd_and_mean_asked_for_whatever_its_distribution(self) -> None:
        keys = {"noise_distribution": "chi_squared", "noise_sd": 3, "noise_mean": 2}
        noise = (self.noise(n_groups=1000, n_obs=20, **keys) - 2) / 3
        assert stats.kstest(noise, lambda x: stats.chi2.cdf(x * 6**0.5 + 3, 3)).pvalue > 1e-6


class TestLayouts:
    """How many rows groups have."""

    def test_unequal_groups(self) -> None:
        sizes = np.bincount(draw(n_obs=25, group_sizes={"from": "unequal", "gamma": 2}).data.groups)
        assert (sizes.sum(), sizes.min(), sizes.max()) == (250, 8, 58)
        assert (np.diff(sizes) > 0).all()

    def test_without_gamma_they_are_equal(self) -> None:
        one, two = draw(), draw(group_sizes={"from": "unequal", "gamma": 0})
        assert one.data.y.tobytes() == two.data.y.tobytes()

    @pytest.mark.parametrize("k", [0, 2])
    def test_informative_sizes(self, k: int) -> None:
        informative = {"from": "informative", "gamma": 2, "coefficient": k}
        one = draw(n_groups=200, n_obs=25, group_sizes=informative)
        sizes, b = np.bincount(one.data.groups), one.coefficients[:, k]
        assert (np.diff(sizes[np.argsort(b)]) >= 0).all()
        # the mean over rows is another one than that over groups
        by_rows = b[one.data.groups].mean()
        bias = np.cov(sizes, b, ddof=0)[0, 1] / sizes.mean()
        np.testing.assert_allclose(by_rows - b.mean(), bias)
        assert bias > 0.3
        equal = draw(n_groups=200, n_obs=25)
        np.testing.assert_array_equal(np.sort(equal.coefficients[:, k]), np.sort(b))

    def test_datasets_of_a_condition_have_one_layout(self) -> None:
        one, two = (draw(sim=sim, n_obs=25, group_sizes="informative") for sim in (0, 1))
        assert one.data.groups is two.data.groups


class TestMissing:
    """Which rows are observed."""

    @staticmethod
    def both(**keys: Any) -> tuple[Simulated, Simulated, Any]:
        """The data as they are and as they would be, and which rows of the latter those are."""
        missing = keys.pop("missing")
        seen, all_rows = draw(missing=missing, **keys), draw(**keys)
        y = all_rows.data.y
        observed = np.isin(y, seen.data.y)
        np.testing.assert_array_equal(y[observed], seen.data.y)
        np.testing.assert_array_equal(all_rows.data.X[observed], seen.data.X)
        np.testing.assert_array_equal(all_rows.betas, seen.betas)
        return seen, all_rows, observed

    def test_completely_at_random(self) -> None:
        keys = {"n_groups": 1000, "n_obs": 20, "missing": {"from": "mcar", "rate": 0.3}}
        _, _, observed = self.both(**keys)
        assert abs(observed.mean() - 0.7) < BOUND * np.sqrt(0.21 / 20_000)

    def test_a_group_without_rows_is_gone(self) -> None:
        seen, all_rows, observed = self.both(
            n_groups=50, n_obs=2, missing={"from": "mcar", "rate": 0.7}
        )
        there = np.unique(all_rows.data.groups[observed])
        assert 2 < len(there) < 50
        assert seen.data.n_groups == len(there) == len(seen.coefficients)
        np.testing.assert_array_equal(np.unique(seen.data.groups), np.arange(len(there)))
        np.testing.assert_array_equal(seen.coefficients, all_rows.coefficients[there])

    @pytest.mark.parametrize("kind", ["mar_dropout", "mnar_dropout"])
    def test_dropout(self, kind: str) -> None:
        G, n, a, b = 3000, 8, -2.0, 0.7
        missing = {"from": kind, "intercept": a, "slope": b}
        _, all_rows, seen = self.both(n_groups=G, n_obs=n, missing=missing)
        observed, y = seen.reshape(G, n), all_rows.data.y.reshape(G, n)
        assert observed[:, 0].all()
        assert (np.diff(observed.astype(int), axis=1) <= 0).all()
        at_risk, leaves = observed[:, :-1], ~observed[:, 1:]
        # what decides: the last row that is seen, or the first one that is not
        decisive = y[:, :-1] if kind == "mar_dropout" else y[:, 1:]
        p = expit(a + b * decisive[at_risk])
        residuals = leaves[at_risk] - p
        error = np.sqrt((p * (1 - p)).sum())
        assert abs(residuals.sum()) < BOUND * error
        slope_error = np.sqrt((p * (1 - p) * decisive[at_risk] ** 2).sum())
        assert abs((residuals * decisive[at_risk]).sum()) < BOUND * slope_error

    def test_without_any_row_all_fits_are_rows_that_failed(self) -> None:
        from rmsweep.sweep.contract import outcome

        study = load_study(
            {"n_groups": [2], "n_obs": [5], "sigma": [1], "n_sims": 1, "n_predictors": 1}
            | {"missing": {"from": "mcar", "rate": 0.999}, "strategies": ["lm2", "lmer_mis"]},
            "s",
        )
        empty = simulate(0, study.conditions[0], 0).data
        assert len(empty.y) == 0
        for strategy in study.strategies:
            found = outcome(strategy, empty)
            assert (found.fit, found.error) == (None, "no row is observed")


PARTS = {
    "X": lambda one: one.data.X,
    "effects": lambda one: one.coefficients,
    "noise": lambda one: one.data.y - (one.data.X * one.coefficients[one.data.groups]).sum(axis=1),
}
# the keys that change one part of the data alone
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "noise_distribution": ("noise", {"noise_distribution": "t"}),
    "noise_autocorrelation": ("noise", {"noise_autocorrelation": 0.5}),
    "noise_heterogeneity": ("noise", {"noise_heterogeneity": 1}),
    "effect_distribution": ("effects", {"effect_distribution": "lognormal"}),
    "effect_correlation": ("effects", {"effect_correlation": 0.5}),
    "predictor_icc": ("X", {"predictor_icc": 0.5}),
    "predictor_distribution": ("X", {"predictor_distribution": "chi_squared"}),
    "predictor_autocorrelation": ("X", {"predictor_autocorrelation": 0.5}),
}


class TestRandomNumbers:
    """A scenario changes one thing; the rest has the random numbers that it always had."""

    @pytest.mark.parametrize(("changed", "keys"), CHANGES.values(), ids=CHANGES)
    def test_a_key_changes_its_part_alone(self, changed: str, keys: dict[str, Any]) -> None:
        one, two = draw(), draw(**keys)
        np.testing.assert_array_equal(one.betas, two.betas)
        for name, part in PARTS.items():
            same = np.allclose(part(one), part(two), rtol=1e-9, atol=1e-9)
            assert same == (name != changed), name

    def test_confounding_changes_the_intercepts_alone(self) -> None:
        keys = {"predictor_icc": 0.5}
        one, two = draw(**keys), draw(confounding=0.5, **keys)
        np.testing.assert_array_equal(one.data.X, two.data.X)
        np.testing.assert_array_equal(one.coefficients[:, 1:], two.coefficients[:, 1:])
        assert not np.isclose(one.coefficients[:, 0], two.coefficients[:, 0]).any()

    def test_group_sizes_leave_rows_and_their_order(self) -> None:
        one, two = draw(), draw(group_sizes="unequal")
        np.testing.assert_array_equal(one.data.X, two.data.X)
        np.testing.assert_array_equal(one.coefficients, two.coefficients)

    def test_pieces_do_not_share_their_draws(self) -> None:
        keys = {"noise_distribution": "chi_squared", "effect_distribution": "chi_squared"}
        one = draw(n_groups=500, n_obs=4, sigma_ratio=[1, 1, 1, 1], **keys)
        noise = PARTS["noise"](one)
        u = (one.coefficients - one.betas).ravel()
        assert not np.isin(np.round(u, 9), np.round(noise, 9)).any()

    def test_other_replications_have_other_draws(self) -> None:
        keys = {"noise_distribution": "chi_squared", "missing": "mcar", "predictor_icc": 0.5}
        one, two = draw(sim=0, **keys), draw(sim=1, **keys)
        assert not np.isin(one.data.X[:, 1:], two.data.X).any()
        assert one.data.entropy != two.data.entropy


def tails(name: str, **keys: Any) -> float:
    study = load_study(
        {"n_groups": [30], "n_obs": [25], "sigma": [1], "n_sims": 1, "strategies": ["lm", "lm2"]}
        | keys,
        "s",
    )
    chosen = {strategy.name: strategy for strategy in study.strategies}
    return strategies.tail_df(chosen[name], study.conditions[0])


class TestTails:
    """Which moments estimates have."""

    def test_heavy_tails_are_those_of_every_estimate(self) -> None:
        assert tails("lm") == np.inf
        assert tails("lm", noise_distribution={"from": "t", "df": 3}) == 3
        assert tails("lm", effect_distribution="t") == 5
        assert tails("lm", noise_distribution="lognormal") == np.inf
        assert tails("lm2", noise_distribution="t") == 5

    def test_two_stage_regression_has_those_of_the_smallest_group(self) -> None:
        assert tails("lm2") == 22
        assert tails("lm2", predictor_level=[1, 1, 2]) == 23
        sizes = {"from": "unequal", "gamma": 1}
        smallest = np.bincount(draw(n_groups=30, n_obs=25, group_sizes=sizes).data.groups).min()
        assert tails("lm2", group_sizes=sizes) == smallest - 3
        assert tails("lm2", group_sizes={"from": "informative", "gamma": 1}) == smallest - 3

    def test_missing_rows_leave_smaller_groups(self) -> None:
        rare, often = ({"from": "mcar", "rate": rate} for rate in (0.01, 0.5))
        assert 10 < tails("lm2", missing=rare) < 20
        assert tails("lm2", missing=often) == 1
        assert tails("lm2", missing="mar_dropout") == 1
        one = condition(n_groups=10, n_obs=50, sigma=1, missing=rare)
        chances = stats.binom.cdf([smallest_group(one) - 1, smallest_group(one)], 50, 0.99)
        assert chances[0] < 1e-9 <= chances[1]


def test_datasets_with_as_many_groups_are_one_batch_whatever_rows_are_missing() -> None:
    keys = {"n_groups": 20, "n_obs": 10, "missing": {"from": "mcar", "rate": 0.1}}
    datasets = [draw(sim=sim, **keys).data for sim in range(4)]
    ((places, batch),) = batches(datasets)
    assert places == [0, 1, 2, 3]
    assert batch.same_rows == [[0], [1], [2], [3]]
    fewer = draw(sim=5, **keys | {"n_groups": 19}).data
    assert [places for places, _ in batches([datasets[0], fewer, *datasets[1:]])] == [
        [0, 2, 3, 4],
        [1],
    ]
