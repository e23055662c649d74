"""Fits by lme4: step by step the same as its `lmer`, to the bit, and together the same as alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fit_cell
from rmsweep import lme4, r, strategies
from rmsweep.config import ROOT, condition, load_study, read_study
from rmsweep.data.cells import FACTOR
from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import simulate
from rmsweep.design import Block, Strategy, Study
from rmsweep.strategies import mixed
from rmsweep.strategies.mixed import RandomTerm
from rmsweep.sweep import replication
from rmsweep.sweep.replication import run_block

pytestmark = pytest.mark.slow

FULL, INTERCEPT, DIAGONAL = (
    RandomTerm(),
    RandomTerm(("Intercept",)),
    RandomTerm(covariance="diagonal"),
)
MODELS = {
    "full": (FULL,),
    "intercepts": (INTERCEPT,),
    "no correlations": (DIAGONAL,),
    "two terms": (INTERCEPT, RandomTerm(("IV1", "IV2"))),
}
# a formula's first dataset makes no template yet; what makes it has another layout than the rest
LAYOUTS = {
    "complete": ({}, {}),
    "rows missing": ({"missing": "mcar"}, {"n_groups": 7}),
    "zeros": ({"predictor_distribution": "binary"}, {"predictor_distribution": "binary"}),
    "nothing between groups": ({"sigma": 0.0}, {"sigma": 0.0}),
    "far from zero": ({"predictor_mean": 3000.0}, {}),
    "on other scales": ({"predictor_sd": 5000.0}, {"predictor_sd": 5000.0}),
}


def data_of(sim: int, **keys: Any) -> Dataset:
    return simulate(0, condition(**({"n_groups": 9, "n_obs": 7, "sigma": 0.5} | keys)), sim).data


def said(data: Dataset, options: mixed.Options, **keys: Any) -> Mapping[str, list[Any]]:
    """All that R says of a fit, or its error."""
    try:
        found = lme4.lmer(
            data,
            mixed.bars(data, options),
            reml=options.reml,
            optimizer=options.optimizer,
            numerical=False,
            **keys,
        )
    except lme4.LmerError as error:
        return {"error": [str(error)]}
    return {name: list(found[name]) for name in found}


def templates() -> Any:
    lme4.start()
    return r.functions(lme4.SOURCE)["templates"]


def kinds() -> list[str]:
    """What the templates are."""
    of = r.start().evalr("function(known) vapply(as.list(known), typeof, '')")
    return sorted(of(templates()))


def forget() -> None:
    r.start().evalr("function(known) rm(list = ls(known), envir = known)")(templates())


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Begin without templates."""
    forget()
    yield
    forget()


def by_lmer(data: Dataset, options: mixed.Options, **keys: Any) -> Mapping[str, list[Any]]:
    """The fit by lme4's `lmer` itself: that of a formula seen for the first time."""
    forget()
    return said(data, options, **keys)


class TestStepByStep:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("model", MODELS)
    def test_all_that_lme4_says(self, model: str, layout: str) -> None:
        options = mixed.Options(MODELS[model])
        keys, first_keys = LAYOUTS[layout]
        data = [data_of(sim, **keys) for sim in range(2)]
        expected = [by_lmer(one, options) for one in data]
        forget()
        for sim in (7, 8):
            said(data_of(sim, **first_keys), options)
        assert kinds() == ["list"]
        # the first one again: nothing that lme4 changes is left in the template
        assert [said(one, options) for one in (*data, data[0])] == [*expected, expected[0]]

    @pytest.mark.parametrize("optimizer", ["bobyqa", "Nelder_Mead"])
    @pytest.mark.parametrize("reml", [True, False])
    def test_other_options(self, optimizer: Any, reml: bool) -> None:
        options = mixed.Options(optimizer=optimizer, reml=reml)
        data = [data_of(sim, sigma=0.1) for sim in range(2)]
        expected = [by_lmer(one, options) for one in data]
        without = [by_lmer(one, options, without="IV2") for one in data]
        forget()
        said(data_of(9), options)
        assert [said(one, options) for one in data] == expected
        said(data_of(9), options, without="IV2")
        assert [said(one, options, without="IV2") for one in data] == without
        assert kinds() == ["list", "list"]

    def test_warnings_are_those_of_lmer(self) -> None:
        """The layouts above do call for them."""
        scales = by_lmer(data_of(0, predictor_sd=5000.0), mixed.Options())
        assert any("different scales" in text for text in scales["messages"])
        flat = by_lmer(data_of(0, sigma=0.0), mixed.Options())
        assert any("singular" in text for text in flat["messages"])

    def test_names_that_formulas_quote(self) -> None:
        data = [
            replace(data_of(sim), terms=("Intercept", "a b", "IV1:IV2", "x.1"), response="the y")
            for sim in range(3)
        ]
        expected = [by_lmer(one, mixed.Options()) for one in data]
        forget()
        said(data_of(5), mixed.Options())
        assert [said(one, mixed.Options()) for one in data] == expected
        assert [said(one, mixed.Options()) for one in data] == expected
        assert "list" in kinds()

    def test_what_lmer_refuses_it_refuses_in_its_own_words(self) -> None:
        """Whether or not there is a template."""
        one = data_of(0)
        X = one.X.copy()
        X[:, 2] = 2 * X[:, 1]
        alone = replace(one, factors={"Group": np.zeros(len(one.y), dtype=np.int64)})
        rows = slice(0, len(one.y), 2)
        each = replace(
            one,
            y=one.y[rows],
            X=one.X[rows],
            factors={"Group": one.groups[rows]},
        )
        missing = replace(one, y=np.where(np.arange(len(one.y)) == 3, np.nan, one.y))
        cases = [replace(one, X=X), alone, each, missing]
        expected = [by_lmer(case, mixed.Options()) for case in cases]
        for words, case in zip(["rank deficient", "> 1 sampled level"], expected[:2], strict=True):
            assert words in case["error"][0]
        assert "number of random effects" in expected[2]["error"][0]
        forget()
        for sim in range(2):
            said(data_of(sim), mixed.Options())
        assert kinds() == ["list"]
        assert [said(case, mixed.Options()) for case in cases] == expected

    def test_a_rank_deficient_dataset_makes_no_template(self) -> None:
        one = data_of(0)
        X = one.X.copy()
        X[:, 2] = 2 * X[:, 1]
        expected = by_lmer(one, mixed.Options())
        forget()
        for _ in range(3):
            said(replace(one, X=X), mixed.Options())
        assert kinds() == ["logical"]
        assert said(one, mixed.Options()) == expected
        assert kinds() == ["list"]

    def test_two_factors_have_no_template(self) -> None:
        """The order of their terms depends on the numbers of their levels."""
        data = data_of(0, n_items=5)
        assert FACTOR in data.factors
        options = mixed.Options((INTERCEPT, RandomTerm(("Intercept",), factor=FACTOR)))
        found = [said(data, options)["criterion"][0] for _ in range(3)]
        # lme4 rounds such fits otherwise from one run to the next
        np.testing.assert_allclose(found, found[0], rtol=1e-6)
        assert kinds() == ["logical"]


def test_a_worker_knows_the_formulas_before_its_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job is a fork of it, and may fit one dataset."""
    study = tmp_path / "s.yaml"
    study.write_text(
        "{n_groups: [9], n_obs: [7], sigma: [0.5], n_sims: 1, predictor_level: [1, 1, 2], "
        "strategies: [lmer, lmer_mis]}"
    )
    monkeypatch.setenv("RMSWEEP_STUDY", str(study))
    fit_cell.warm_up()
    assert kinds() == ["list", "list"]
    run_block(read_study(str(study)), Block(read_study(str(study)).conditions[0], range(1)))
    assert kinds() == ["list", "list"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda path: path.stem
)
def test_a_worker_can_get_ready_for_each_study(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMSWEEP_STUDY", str(path))
    fit_cell.warm_up()


def a_study(**keys: Any) -> Study:
    shape = {"n_groups": [8], "n_obs": [6], "sigma": [0.5], "n_sims": 2}
    return load_study(shape | {"strategies": ["lmer", "lmer_lrt"]} | keys, "s")


def rows_of(study: Study, sims: range) -> pa.Table:
    table = run_block(study, Block(study.conditions[0], sims))
    return table.drop_columns(["seconds", "cpu_seconds", "host", "worker"])


class TestTogether:
    @pytest.mark.parametrize("keys", [{}, {"missing": "mcar"}, {"n_items": 4}], ids=str)
    def test_blocks_have_the_rows_of_single_datasets(self, keys: dict[str, Any]) -> None:
        study = a_study(**keys)
        alone = pa.concat_tables(rows_of(study, range(sim, sim + 1)) for sim in range(2))
        assert rows_of(study, range(2)).equals(alone)

    def test_each_fit_bears_its_share_of_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        strategy = a_study().strategies[0]
        batch = Batch([data_of(sim) for sim in range(3)])
        (spent,) = {
            round(one.seconds, 6) for one in self.fitted(strategy, batch, monkeypatch, lambda: None)
        }
        assert spent == 1.0

    def test_data_that_can_t_be_looked_at_together_are_fitted_one_by_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ValueError("one of them")

        strategy = a_study().strategies[0]
        batch = Batch([data_of(sim) for sim in range(3)])
        for trouble in (fail, lambda: warnings.warn("of one of them", stacklevel=1)):
            found = self.fitted(strategy, batch, monkeypatch, trouble)
            assert [one.fitted for one in found] == [None, None, None]
            assert not any(one.messages for one in found)

    @staticmethod
    def fitted(
        strategy: Strategy, batch: Batch, monkeypatch: pytest.MonkeyPatch, trouble: Any
    ) -> list[replication.Attempt]:
        """Attempts whose fit is what was known; seconds go by three at a time, in advance."""
        clock = iter([0.0, 3.0])
        module = strategies.load(strategy.family)

        def in_advance(batch: Batch, options: object) -> list[object]:
            trouble()
            return ["known"] * len(batch.datasets)

        monkeypatch.setattr(module, "in_advance", in_advance)
        monkeypatch.setattr(module, "fit", lambda data, options, known=None: known)
        monkeypatch.setattr(replication.time, "perf_counter", lambda: next(clock, 3.0))
        return replication.fit_each(strategy, batch)
