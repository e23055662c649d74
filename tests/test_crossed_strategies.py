"""Strategies with several random-effects terms: natively, by lme4, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Batch, Dataset, batches
from rmsweep.data.scenario import simulate
from rmsweep.strategies import Fit, FitError, likelihood_ratio, mixed, parametric_bootstrap
from rmsweep.strategies.mixed import Inference, Options, RandomTerm
from rmsweep.sweep.replication import fit_datasets

ITEMS = RandomTerm(("Intercept",), factor="Item")
CROSSED = (RandomTerm(), ITEMS)
STRUCTURES = {
    "intercepts": (RandomTerm(("Intercept",)), ITEMS),
    "items first": (ITEMS, RandomTerm()),
    "no correlation": (
        RandomTerm(("Intercept", "IV1", "IV2"), "diagonal"),
        RandomTerm(("Intercept", "IV2"), factor="Item"),
    ),
    "items alone": (RandomTerm(("IV1", "Intercept"), factor="Item"),),
    "split": (RandomTerm(("Intercept",)), RandomTerm(("IV2",)), ITEMS),
}


def draw(seed: int, n_groups: int = 14, n_items: int = 9, missing: float = 0.1) -> Dataset:
    """Groups that meet most of the items."""
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(n_groups * n_items)[: round(126 * (1 - missing))])
    groups, items = kept // n_items, kept % n_items
    X = np.column_stack([np.ones(len(kept)), rng.normal(size=(len(kept), 2))])
    y = 0.7 * rng.normal(size=len(kept))
    for codes in (groups, items):
        y += (rng.normal(size=(codes.max() + 1, 3))[codes] * [0.8, 0.5, 0.4] * X).sum(axis=1)
    terms = ("Intercept", "IV1", "IV2")
    return Dataset(y, X, {"Group": groups, "Item": items}, terms)


def natively(
    data: Dataset, random: Sequence[RandomTerm], inference: Inference, reml: bool = True
) -> Fit:
    batch = Batch([data])
    (fit,) = mixed.infer_batch(
        batch, mixed.fit_batch(batch, Options(tuple(random), reml)), inference
    )
    assert isinstance(fit, Fit)
    return fit


def test_inferences_share_a_fit_and_differ() -> None:
    data, random = draw(1), STRUCTURES["intercepts"]
    model, kr, z = (
        natively(data, random, Inference(df=df))  # type: ignore[arg-type]
        for df in ("satterthwaite", "kenward_roger", "normal")
    )
    assert model.convergence.clean
    assert (model.se_type, model.df_type) == ("REML", "Satterthwaite")
    assert (kr.se_type, kr.df_type) == ("REML, Kenward-Roger", "Kenward-Roger")
    assert (kr.se > model.se).all()
    assert (np.abs(kr.df / model.df - 1) < 0.2).all()
    assert np.isinf(z.df).all()
    assert z.estimate.tolist() == model.estimate.tolist() == kr.estimate.tolist()


def test_likelihood_ratios_are_differences_of_deviances() -> None:
    data = draw(2)
    (found,) = likelihood_ratio.fit_batch(Batch([data]), likelihood_ratio.Options(CROSSED))
    assert isinstance(found, Fit)
    assert found.own is not None
    assert found.criterion == natively(data, CROSSED, Inference(), reml=False).criterion
    assert (found.own.p_value > 0).all()
    assert (found.own.p_value < 1).all()


def test_what_is_refused_natively() -> None:
    data = draw(3)
    same = Dataset(
        data.y, data.X, {**data.factors, "Same": data.groups.max() - data.groups}, data.terms
    )
    twice = Options((RandomTerm(), RandomTerm(("IV1",), factor="Same")))
    assert "Group and Same have the same levels" in mixed.refuses_natively(same, twice)
    distinct = Options((RandomTerm(("Intercept",)), RandomTerm(("IV1",), factor="Same")))
    assert mixed.refuses_natively(same, distinct) == ""
    assert mixed.refuses_natively(data, Options(CROSSED)) == ""
    assert "penalty" in mixed.refuses_natively(data, Options(CROSSED, penalty=1.5))
    rows = np.arange(len(data.y))
    many = Dataset(data.y, data.X, {"Group": rows, "Item": rows % 100}, data.terms)
    reason = mixed.refuses(many, Options((RandomTerm(("Intercept",)), ITEMS)))
    assert "number of observations (=113) <= number of random effects (=113)" in reason
    codes = np.arange(6_500)
    factors = {"Group": codes // 3, "Item": codes % 2_100}
    large = Dataset(codes + 0.5, np.ones((6_500, 1)), factors, ("Intercept",))
    assert "2,100 random effects beside" in mixed.refuses_natively(
        large, Options((RandomTerm(), ITEMS))
    )
    fits = mixed.fit_batch(Batch([data]), Options(CROSSED))
    with pytest.raises(FitError, match="CR2 is for one"):
        mixed.infer_batch(Batch([data]), fits, Inference(se="cr2"))


def test_a_slope_that_is_constant_within_items_is_refused() -> None:
    data = draw(4, missing=0.0)
    X = data.X.copy()
    X[:, 1] = np.where(data.factors["Item"] < 4, 0.5, -0.5)
    data = Dataset(data.y, X, data.factors, data.terms)
    batch = Batch([data])
    options = Options((RandomTerm(), RandomTerm(("Intercept", "IV1"), factor="Item")))
    (found,) = mixed.infer_batch(batch, mixed.fit_batch(batch, options), Inference())
    assert isinstance(found, FitError)
    assert "constant within the levels of its factor" in str(found)


def test_parameters_in_lme4s_order() -> None:
    data = draw(5)
    by_lme4 = {
        "term_factors": ["Group", "Group", "Group", "Item"],
        "term_sizes": [1, 1, 1, 2],
        "term_columns": ["IV2", "IV1", "(Intercept)", "(Intercept)", "IV2"],
    }
    order = mixed.in_own_order(data, Options(STRUCTURES["no correlation"]), by_lme4)
    assert order == [2, 1, 0, 3, 4, 5]


def test_several_terms_of_the_groups_where_different_rows_are_missing() -> None:
    """Datasets that have as many rows, but not of the same groups, are no batch of theirs."""
    random = [{"columns": ["Intercept"]}, {"columns": ["IV1"]}]
    keys = {"n_groups": [8], "n_obs": [6], "sigma": [0.5], "n_predictors": 1, "n_sims": 1}
    entries = [
        {"name": f"of_{base}", "from": base, "random": random} for base in ("lmer", "lmer_lrt")
    ]
    study = load_study(keys | {"strategies": entries, "engine": "native"}, "s")
    with_missing = condition(n_groups=8, n_obs=6, sigma=0.5, n_predictors=1, missing="mcar")
    data = [simulate(1, with_missing, sim).data for sim in (5, 6, 7)]
    (structure,) = batches(data)
    assert len(data[1].y) == len(data[2].y) != len(data[0].y)
    together = fit_datasets(study.strategies, [structure], 3)
    for place, one in enumerate(data):
        alone = fit_datasets(study.strategies, list(batches([one])), 1)
        for name, found in together.items():
            own, expected = found[place].fit, alone[name][0].fit
            assert own is not None
            assert expected is not None
            assert own.estimate.tolist() == expected.estimate.tolist()
            assert own.se.tolist() == expected.se.tolist()


def test_the_order_of_columns_makes_no_difference_to_the_bootstrap() -> None:
    data = draw(7)
    found = [
        parametric_bootstrap.fit_batch(
            Batch([data]), parametric_bootstrap.Options((RandomTerm(columns),), draws=19)
        )[0]
        for columns in (("Intercept", "IV1"), ("IV1", "Intercept"))
    ]
    one, other = (it.own.p_value for it in found if isinstance(it, Fit) and it.own)
    assert one.tolist() == other.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", STRUCTURES)
def test_both_engines_agree(name: str, reml: bool) -> None:
    data, random = draw(6), STRUCTURES[name]
    native = natively(data, random, Inference(), reml)
    closed = mixed.fit(data, Options(random, reml)).model
    numerical = mixed.fit(data, Options(random, reml, derivatives="numerical")).model
    assert 0 <= closed.criterion_gap + 1e-9 < 1e-5
    np.testing.assert_allclose(closed.df, numerical.df, rtol=1e-5)
    assert closed.convergence.clean == numerical.convergence.clean
    np.testing.assert_allclose(native.se, closed.se, rtol=1e-3)
    np.testing.assert_allclose(native.df, closed.df, rtol=5e-3)
    if reml:
        kr = Inference(df="kenward_roger")
        by_r = mixed.infer(data, mixed.fit(data, Options(random)), kr)
        native = natively(data, random, kr)
        np.testing.assert_allclose(native.se, by_r.se, rtol=1e-3)
        np.testing.assert_allclose(native.df, by_r.df, rtol=5e-3)
