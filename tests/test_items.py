"""Data with items: which item each row is of, in what condition, and how items differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Batch, batches
from rmsweep.data.scenario import Simulated, rows_differ, simulate
from rmsweep.errors import ConfigError

# bounds in standard errors: 1 in 10^6 where the draws are as they should be
BOUND = 5
FACTOR = {"n_predictors": 1, "predictor_distribution": "factor"}


def draw(n_groups: int = 6, n_obs: int = 8, sim: int = 0, **keys: Any) -> Simulated:
    one = condition(**{"n_groups": n_groups, "n_obs": n_obs, "sigma": 1.0, "n_items": 8} | keys)
    return simulate(0, one, sim)


def table(one: Simulated, column: int | None = None) -> np.ndarray:
    """The items, or a predictor, of each group's rows."""
    values = one.data.factors["Item"] if column is None else one.data.X[:, column]
    return values.reshape(one.data.n_groups, -1)


class TestLayout:
    """Which item each row is of, and in what condition."""

    def test_groups_meet_all_items(self) -> None:
        one = draw()
        np.testing.assert_array_equal(table(one), np.tile(np.arange(8), (6, 1)))
        assert one.data.factors.keys() == {"Group", "Item"}
        assert one.data.group == "Group"

    def test_within_items_each_is_met_in_all_combinations(self) -> None:
        one = draw(n_obs=12, n_items=3, n_predictors=2, predictor_distribution="factor")
        for own, *x in zip(table(one), table(one, 1), table(one, 2), strict=True):
            met = set(zip(own, *x, strict=True))
            assert met == {(i, a, b) for i in range(3) for a in (-1, 1) for b in (-1, 1)}

    def test_between_items_a_level_is_the_item_s(self) -> None:
        one = draw(**FACTOR, item_design="between")
        np.testing.assert_array_equal(table(one, 1), np.where(table(one) % 2, 1.0, -1.0))
        assert one.data.constant == {"Item": ("IV1",)}

    @pytest.mark.parametrize("kind", ["normal", "binary", {"from": "chi_squared", "df": 2}])
    def test_between_items_so_is_a_draw(self, kind: object) -> None:
        keys = {"n_predictors": 2, "predictor_correlation": 0.5, "predictor_distribution": kind}
        one = draw(item_design=["within", "between"], **keys)
        first, second = table(one, 1), table(one, 2)
        assert (second == second[0]).all()
        assert len(np.unique(second)) > 1
        assert (first.std(axis=0) > 0).all() or kind == "binary"
        assert one.data.constant == {"Item": ("IV2",)}

    def test_predictors_between_items_have_their_mean_sd_and_correlation(self) -> None:
        keys = {"predictor_mean": [1, 2], "predictor_sd": [2, 3], "predictor_correlation": 0.6}
        one = draw(2, 20_000, n_items=20_000, n_predictors=2, item_design="between", **keys)
        x = one.data.X[:20_000, 1:]
        root = np.sqrt(20_000)
        assert np.abs((x.mean(axis=0) - [1, 2]) / [2, 3]).max() < BOUND / root
        assert np.abs(x.std(axis=0) / [2, 3] - 1).max() < BOUND / root
        assert abs(np.corrcoef(x.T)[0, 1] - 0.6) < BOUND / root

    @pytest.mark.parametrize("levels", [2, 3])
    def test_a_latin_square_is_balanced(self, levels: int) -> None:
        kind = {"from": "factor", "levels": levels}
        keys = {"n_predictors": 1, "predictor_distribution": kind, "item_design": "latin_square"}
        one = draw(6, 12, n_items=12, **keys)
        assert one.data.constant == {"Item": ()}
        x = table(one, 1)
        for values in (*x, *x.T):  # of each group, of each item
            _, counts = np.unique(values.round(9), return_counts=True)
            assert (counts == len(values) / levels).all()
        np.testing.assert_array_equal(x[0], x[levels])  # the same list
        assert (x[0] != x[1]).all()

    def test_factors_between_items_and_in_a_latin_square_are_crossed(self) -> None:
        keys = {"n_predictors": 2, "predictor_distribution": "factor"}
        one = draw(4, 8, item_design=["between", "latin_square"], **keys)
        a, b = table(one, 1), table(one, 2)
        assert (a == a[0]).all()
        for x in (a, b, a * b):
            assert (x.sum(axis=1) == 0).all()
        assert (b.sum(axis=0) == 0).all()

    def test_a_sample_of_the_items(self) -> None:
        one = draw(3000, 8, n_items=20, **FACTOR, item_design="between")
        met, x = table(one), table(one, 1)
        assert (np.diff(met, axis=1) > 0).all()
        assert (x.sum(axis=1) == 0).all()  # as many of each condition
        counts = np.bincount(met.ravel())
        assert len(counts) == 20
        sd = np.sqrt(3000 * 0.4 * 0.6)
        assert np.abs(counts - 1200).max() < BOUND * sd
        together = ((met == 0).any(axis=1) & (met == 2).any(axis=1)).mean()
        assert abs(together - 0.4 * 3 / 9) < BOUND * np.sqrt(0.13 * 0.87 / 3000)

    def test_a_sample_in_a_latin_square_is_balanced_for_each_group(self) -> None:
        one = draw(30, 8, n_items=20, **FACTOR, item_design="latin_square")
        assert (table(one, 1).sum(axis=1) == 0).all()
        assert (np.diff(np.sort(table(one), axis=1), axis=1) > 0).all()

    def test_more_rows_than_items_meet_them_again(self) -> None:
        one = draw(3, 10, n_items=5)
        assert (table(one)[:, :5] == table(one)[:, 5:]).all()
        assert not np.isclose(table(one, 1)[:, :5], table(one, 1)[:, 5:]).any()

    def test_nested_items_are_each_group_s_own(self) -> None:
        one = draw(3, 8, n_items=4, item_layout="nested", **FACTOR, item_design="between")
        codes = table(one)
        np.testing.assert_array_equal(codes[:, :4], np.arange(12).reshape(3, 4))
        np.testing.assert_array_equal(table(one, 1)[0], [-1, 1, -1, 1] * 2)
        assert one.item_effects is not None
        assert len(one.item_effects) == 12

    def test_all_items_are_as_many_as_a_group_meets(self) -> None:
        one = draw(3, 12, n_items="all", **FACTOR)
        np.testing.assert_array_equal(np.unique(table(one)), np.arange(6))
        assert one.data.y.tobytes() == draw(3, 12, n_items=6, **FACTOR).data.y.tobytes()

    def test_every_number_occurs(self) -> None:
        one = draw(2, 4, n_items=40, missing={"from": "mcar", "rate": 0.3})
        codes = one.data.factors["Item"]
        np.testing.assert_array_equal(np.unique(codes), np.arange(codes.max() + 1))
        assert one.item_effects is not None
        assert len(one.item_effects) == codes.max() + 1


class TestContrasts:
    """Factors of more than two levels, as predictors of their own."""

    def test_treatment_coding(self) -> None:
        kinds = [{"from": "treatment", "levels": 3, "level": level} for level in (2, 3)]
        one = draw(2, 6, n_items=0, n_predictors=2, predictor_distribution=kinds)
        np.testing.assert_array_equal(table_of(one), [[0, 0], [1, 0], [0, 1]] * 4)

    def test_sum_coding_crossed_with_another_factor(self) -> None:
        kinds = [{"from": "sum", "levels": 3, "level": level} for level in (1, 2)]
        kinds += [{"from": "sum", "levels": 2, "level": 1}]
        one = draw(1 + 1, 6, n_items=0, n_predictors=3, predictor_distribution=kinds)
        first = [[1, 0], [0, 1], [-1, -1]]
        rows = [[*own, other] for other in (1, -1) for own in first]
        np.testing.assert_array_equal(table_of(one), rows * 2)

    def test_a_contrast_of_the_same_level_begins_another_factor(self) -> None:
        one = draw(2, 4, n_items=0, n_predictors=2, predictor_distribution="treatment")
        np.testing.assert_array_equal(table_of(one), [[0, 0], [1, 0], [0, 1], [1, 1]] * 2)


def table_of(one: Simulated) -> np.ndarray:
    """The predictors."""
    return one.data.X[:, 1:]


class TestModel:
    """Variances and correlations are those of the equations."""

    def test_rows_are_the_sum_of_their_parts(self) -> None:
        one = draw(noise_sd=0, n_items=20, item_sigma_ratio=[1, 0.5, 0, 2], item_correlation=0.3)
        data = one.data
        assert one.item_effects is not None
        own = one.coefficients[data.groups] + one.item_effects[data.factors["Item"]]
        np.testing.assert_allclose(data.y, (data.X * own).sum(axis=1), rtol=1e-12)
        assert (one.item_effects[:, 2] == 0).all()

    def test_items_have_the_sds_and_correlations_asked_for(self) -> None:
        keys = {"n_predictors": 2, "item_sigma": 2.0, "item_sigma_ratio": [1, 0.5, 3]}
        R = np.array([[1, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 1]])
        one = draw(2, 20_000, n_items=20_000, item_correlation=R.tolist(), **keys)
        v, root = one.item_effects, np.sqrt(20_000)
        assert v is not None
        assert np.abs(v.mean(axis=0) / [2, 1, 6]).max() < BOUND / root
        assert np.abs(v.std(axis=0) / [2, 1, 6] - 1).max() < BOUND / root
        assert np.abs(np.corrcoef(v.T) - R).max() < BOUND / root

    def test_predictors_between_items_have_no_slope_of_items(self) -> None:
        one = draw(**FACTOR, item_design="between")
        assert one.item_effects is not None
        assert (one.item_effects[:, 1] == 0).all()
        assert (one.item_effects[:, 0] != 0).all()

    def test_variance_of_the_difference_between_conditions(self) -> None:
        # INFERENCE: tau11^2/G + 4 omega00^2/I + 4 sigma^2/(GI), items between conditions
        keys = {**FACTOR, "predictor_sd": 0.5, "item_sigma": 0.7, "beta": [0, 0.5]}
        found = []
        for sim in range(1000):
            one = draw(4, 12, sim, n_items=12, item_design="between", **keys)
            x, y = one.data.X[:, 1], one.data.y
            found.append(y[x > 0].mean() - y[x < 0].mean())
        expected = 1 / 4 + 4 * 0.49 / 12 + 4 / 48
        assert abs(np.var(found) / expected - 1) < BOUND * np.sqrt(2 / 1000)
        assert abs(np.mean(found) - 0.5) < BOUND * np.sqrt(expected / 1000)

    def test_variances_and_correlations_drawn_anew(self) -> None:
        keys = {"n_predictors": 1, "variances": "uniform", "correlation_range": 0.8}
        drawn = [
            draw(400, 2, sim, n_items=2, item_layout="nested", noise_sd=2.0, **keys)
            for sim in range(300)
        ]
        variances = np.array([(one.coefficients - one.betas).var(axis=0) for one in drawn])
        assert np.abs(variances.mean(axis=0) - 0.5).max() < BOUND * np.sqrt(1 / 12 / 300)
        rho = np.array([np.corrcoef(one.coefficients.T)[0, 1] for one in drawn])
        assert abs(rho.std() - 0.8 / np.sqrt(3)) < 0.08
        assert np.abs(rho).max() < 0.9
        of_items = np.array([one.item_effects.var(axis=0) for one in drawn])  # type: ignore[union-attr]
        assert np.abs(of_items.mean(axis=0) - 0.5).max() < BOUND * np.sqrt(1 / 12 / 300)
        noise = [
            one.data.y
            - (
                one.data.X
                * (
                    one.coefficients[one.data.groups] + one.item_effects[one.data.factors["Item"]]  # type: ignore[index]
                )
            ).sum(axis=1)
            for one in drawn
        ]
        assert abs(np.mean([e.var() for e in noise]) - 2) < BOUND * 4 * np.sqrt(1 / 12 / 300)
        both = np.corrcoef(np.column_stack([variances, of_items]).T)[np.triu_indices(4, 1)]
        assert np.abs(both).max() < BOUND / np.sqrt(300)

    def test_a_rate_of_missing_rows_drawn_anew(self) -> None:
        absent = {"from": "mcar", "rate": 0.2, "spread": 0.2}
        rates = np.array(
            [
                1 - len(draw(50, 20, sim, n_items=0, missing=absent).data.y) / 1000
                for sim in range(300)
            ]
        )
        assert rates.min() < 0.03
        assert rates.max() > 0.37
        assert abs(rates.mean() - 0.2) < BOUND * 0.4 / np.sqrt(12 * 300)


class TestRandomNumbers:
    """Items change nothing else, and data without items nothing at all."""

    def test_groups_predictors_and_noise_are_those_without_items(self) -> None:
        one, two = draw(), draw(n_items=0)
        assert one.data.X.tobytes() == two.data.X.tobytes()
        assert one.coefficients.tobytes() == two.coefficients.tobytes()
        assert one.item_effects is not None
        own = (one.data.X * one.item_effects[one.data.factors["Item"]]).sum(axis=1)
        np.testing.assert_allclose(one.data.y - own, two.data.y, rtol=1e-9, atol=1e-12)
        assert two.item_effects is None
        assert two.data.constant == {}

    def test_the_same_items_whatever_their_sd(self) -> None:
        one, two = draw(item_sigma=1), draw(item_sigma=3)
        assert one.item_effects is not None
        assert two.item_effects is not None
        np.testing.assert_allclose(3 * one.item_effects, two.item_effects, rtol=1e-12)

    def test_datasets_of_one_plan_are_one_batch(self) -> None:
        data = [draw(sim=sim).data for sim in range(3)]
        assert len(list(batches(data))) == 1
        other = draw(n_items=4).data
        assert [places for places, _ in batches([*data, other])] == [[0, 1, 2], [3]]
        with pytest.raises(ValueError, match="the same terms and like groups"):
            Batch([data[0], other])

    def test_planning_knows_whether_rows_differ(self) -> None:
        keys = {"n_groups": 6, "sigma": 1.0, "n_items": 8}
        assert not rows_differ(condition(n_obs=8, **keys))
        assert rows_differ(condition(n_obs=6, **keys))
        assert not rows_differ(condition(n_obs=6, item_layout="nested", **keys))


GRID = {"n_groups": [6], "n_obs": [8], "sigma": [1], "n_sims": 1, "strategies": ["lm"]}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one item": ({"n_items": 1}, "n_items: 1 is not allowed; allowed: 0, all, or a whole number"),
    "without items": (
        {"item_sigma": 2},
        "item_sigma: 2 is not allowed; allowed: no other than the default without items",
    ),
    "a design without items": (
        {"item_design": "between"},
        "item_design: 'between' is not allowed; allowed: no other than the default",
    ),
    "unequal groups": (
        {"n_items": 8, "group_sizes": "unequal"},
        "group_sizes: 'unequal' is not allowed; allowed: equal, with items",
    ),
    "a continuous Latin square": (
        {"n_items": 8, "item_design": "latin_square"},
        "item_design: 'latin_square' is not allowed; allowed: latin_square for factor, treatment",
    ),
    "clustered predictors": (
        {"n_items": 8, "item_design": "between", "predictor_icc": 0.5},
        "item_design: 'between' is not allowed; allowed: within for predictors with",
    ),
    "a trend between items": (
        {"n_items": 8, "item_design": "between", "predictor_distribution": "trend"},
        "item_design: 'between' is not allowed; allowed: within for trend",
    ),
    "slopes of items": (
        {"n_items": 8, "item_design": "between", "item_sigma_ratio": [1, 1, 0, 0]},
        "item_sigma_ratio: [1, 1, 0, 0] is not allowed; allowed: 0 for predictors that are",
    ),
    "too few items": (
        {"n_items": 4, "item_design": "between", "predictor_distribution": "factor"},
        "item_design: 'between' is not allowed; allowed: between with 8 items or more",
    ),
    "one item each": (
        {"n_items": 4, "n_obs": [8], "predictor_distribution": "factor"},
        "n_items: 4 is not allowed; allowed: with n_obs of 8 none: a group would meet one item",
    ),
    "impossible correlations": (
        {"effect_correlation": 0.5, "correlation_range": 0.5},
        "correlation_range: 0.5 is not allowed; allowed: what leaves all correlations within it",
    ),
    "a range around a matrix": (
        {
            "n_predictors": 2,
            "effect_correlation": [[1, 0.1, 0.2], [0.1, 1, 0], [0.2, 0, 1]],
            "correlation_range": 0.1,
        },
        "effect_correlation: [[1, 0.1, 0.2], [0.1, 1, 0], [0.2, 0, 1]] is not allowed; allowed: "
        "one number",
    ),
    "a wrong level": (
        {"predictor_distribution": {"from": "treatment", "level": 1}},
        "predictor_distribution: {'from': 'treatment', 'level': 1} is not allowed; allowed: for "
        "level a whole number from 2 to 2",
    ),
    "a wide spread": (
        {"missing": {"from": "mcar", "rate": 0.1, "spread": 0.2}},
        "missing: {'from': 'mcar', 'rate': 0.1, 'spread': 0.2} is not allowed; allowed: for spread",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(GRID | keys, "s")
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)
