"""A study made from data of people and items."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

import study_from_data
from rmsweep import formula, like
from rmsweep.config import condition_of, load_study, read_study
from rmsweep.data.dataset import Batch
from rmsweep.data.files import Dialect, Table
from rmsweep.data.items import design_of
from rmsweep.data.scenario import simulate
from rmsweep.data.vectors import scale
from rmsweep.design import Block, Condition, Study
from rmsweep.strategies import mixed
from rmsweep.strategies.mixed import ITEMS, Options
from rmsweep.sweep.replication import run_block

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "config" / "power-of-items.yaml"
DESIGNS = ("between", "latin_square", "within")
FORMULAS = {
    "between": "y ~ loud + (loud | person) + (1 | `the word`)",
    "latin_square": "y ~ loud + (loud | person) + (loud | `the word`)",
    "within": "y ~ loud + (1 | person) + (loud || word)",
}


def source(design: str) -> Study:
    """Give a study of 20 people and 16 items: its dataset is a user's."""
    keys = {"n_groups": [20], "n_obs": [32 if design == "within" else 16], "sigma": [1]}
    keys |= {"n_sims": 2, "n_items": "all", "n_predictors": 1, "item_design": design}
    keys |= {"predictor_distribution": "treatment", "item_sigma": 0.8, "noise_sd": 0.7}
    return load_study(keys | {"strategies": ["lmer_items"], "engine": "native"}, "s")


def write(design: str, path: Path) -> np.ndarray[Any, Any]:
    """Write such data, the rows in disorder; give the predictor."""
    one = source(design)
    data = simulate(3, one.conditions[0], 0).data
    frame = data.to_frame().rename(columns={"DV": "y"})
    frame["person"] = "p" + frame["Group"].astype(str)
    frame["the word"] = "w" + frame["Item"].astype(str)
    frame["loud"] = frame["IV1"]
    if design == "within":  # what || does to texts is another model
        frame = frame.rename(columns={"the word": "word"})
    else:
        frame["loud"] = np.where(frame["loud"] == 1, "yes", "no")
    columns = ["y", "loud", "person", *frame.filter(like="word")]
    frame.sample(frac=1, random_state=0)[columns].to_csv(path, index=False)
    return data.X[:, 1]


def covariance(condition: Condition, of: str) -> np.ndarray[Any, Any]:
    """Give the true covariance of the coefficients of people, or with `item_` of items."""
    name = "item_correlation" if of else "effect_correlation"
    L = scale(2, 1.0, condition[name]) * condition[f"{of}sigma"]
    return np.outer(*[np.array(condition[f"{of}sigma_ratio"])] * 2) * (L @ L.T)


def averages(one: Study, condition: Condition, n_sims: int) -> tuple[Any, Any, Any]:
    """Give the mean estimates of a study's datasets, their MCSEs, and the study's own numbers.

    These are coefficients, variances and covariances of people and of items, and that of the noise.
    """
    data = [simulate(one.seed, condition, sim).data for sim in range(n_sims)]
    options = Options(ITEMS)
    fitted = mixed.fit_batch(Batch(data), options).fitted
    assert fitted.converged.all()
    found, truth, first = [fitted.estimate], [*condition["beta"]], 0
    for term, key in zip(ITEMS, ("", "item_"), strict=True):
        q = len(term.names(data[0]))
        last = first + q * (q + 1) // 2
        G = np.array([like.covariance(it, q, "full") for it in fitted.theta[:, first:last]])
        rows, columns = np.tril_indices(q)
        found.append((G * fitted.sigma[:, None, None] ** 2)[:, rows, columns])
        truth += covariance(condition, key)[rows, columns].tolist()
        first = last
    values = np.column_stack([*found, fitted.sigma**2])
    mcse = values.std(axis=0, ddof=1) / np.sqrt(n_sims)
    return values.mean(axis=0), mcse, np.array([*truth, condition["noise_sd"] ** 2])


class TestDesigns:
    """How a predictor goes along with items."""

    @pytest.mark.parametrize("design", DESIGNS)
    def test_those_of_simulated_data_are_found(self, design: str) -> None:
        data = simulate(0, source(design).conditions[0], 0).data
        order = np.random.default_rng(0).permutation(len(data.y))
        x, groups, items = data.X[order, 1], data.groups[order], data.factors["Item"][order]
        assert design_of(x, groups, items) == design
        assert design_of(3 - x, groups[::-1][::-1], items) == design
        assert design_of(x[1:], groups[1:], items[1:]) == ""

    def test_no_others_are(self) -> None:
        groups, items = np.repeat(np.arange(4), 6), np.tile(np.arange(6), 4)
        even = items % 2
        assert design_of(even, groups, items) == "between"
        assert design_of(items < 2, groups, items) == ""
        latin = (items + groups) % 2
        assert design_of(latin, groups, items) == "latin_square"
        assert design_of(np.where(groups == 1, even, latin), groups, items) == ""
        assert design_of(np.where(groups == 1, items < 3, even), groups, items) == ""
        assert design_of(groups % 2, groups, items) == ""
        twice = np.repeat(groups, 2), np.repeat(items, 2)
        assert design_of(np.repeat(even, 2), *twice) == ""
        assert design_of(np.tile([0, 1], 24), *twice) == "within"


class TestNumbers:
    """Datasets against the numbers of the shipped study, which are lme4's of VerbAgg."""

    def test_datasets_give_them_back(self) -> None:
        one = read_study(str(SHIPPED))
        condition = condition_of(one, {"n_groups": "50", "n_obs": "24", "sigma": "1"})
        found, mcse, truth = averages(one, condition, 200)
        assert (np.abs(found - truth) < 3 * mcse).all()

    def test_they_are_those_of_lme4(self) -> None:
        (one, *_) = read_study(str(SHIPPED)).conditions
        theta, sigma = (0.5554510970, -0.0070029022, 0.3971247361, 0.4593934255), 0.3999034933
        L = np.array([[theta[0], 0], theta[1:3]])
        np.testing.assert_allclose(covariance(one, ""), L @ L.T * sigma**2, rtol=2e-4)
        assert one["item_sigma_ratio"] == pytest.approx((theta[3] * sigma, 0), rel=1e-4)
        assert one["noise_sd"] == pytest.approx(sigma, rel=1e-5)
        assert one["beta"] == pytest.approx((0.4761339662, -0.2), rel=1e-5)


@pytest.mark.slow
class TestScript:
    """From a data file to a study."""

    def test_the_shipped_study_is_what_its_command_gives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = next(it for it in SHIPPED.read_text().splitlines() if it.startswith("#   python"))
        _, script, *command = shlex.split(line.removeprefix("#"))
        assert script == "scripts/study_from_data.py"
        (tmp_path / "tests").symlink_to(ROOT / "tests")
        monkeypatch.chdir(tmp_path)
        assert study_from_data.main(command) == 0
        assert (tmp_path / "config" / SHIPPED.name).read_text() == SHIPPED.read_text()
        # its keys describe the design: no file lies beside it
        assert capsys.readouterr().out.split() == [f"config/{SHIPPED.name}"]
        assert len([*(tmp_path / "config").iterdir()]) == 1
        lines = SHIPPED.read_text().splitlines()
        numbers = [
            it
            for it in lines
            if it.startswith(("  - ", "n_", "sigma", "item_", "predictor_", "noise"))
        ]
        assert len(numbers) > 12
        assert all(" # " in it for it in numbers)

    @pytest.mark.parametrize("design", DESIGNS)
    def test_all_designs(self, design: str, tmp_path: Path) -> None:
        x = write(design, tmp_path / "data.csv")
        output = tmp_path / "my.yaml"
        command = [str(tmp_path / "data.csv"), "--formula", FORMULAS[design], "--group", "person"]
        assert study_from_data.main([*command, "--output", str(output)]) == 0
        one = read_study(str(output))
        n_obs = 32 if design == "within" else 16
        assert [it.n_obs for it in one.conditions[:3]] == [n_obs // 2, n_obs, 2 * n_obs]
        n_groups = str(one.conditions[0].n_groups)
        condition = condition_of(one, {"n_groups": n_groups, "n_obs": str(n_obs), "sigma": "1"})
        assert condition["item_design"] == design
        data = simulate(0, condition, 0).data
        np.testing.assert_array_equal(data.X[:n_obs, 1], x[:n_obs])
        names = [it.name for it in one.strategies]
        assert ("lmer_formula" in names) == (design == "within")
        rows = run_block(one, Block(condition, range(2)))
        assert "failed" not in rows["status"].to_pylist()
        assert one.power
        assert one.power.effect == "IV1"
        found, mcse, truth = averages(one, condition, 100)
        # at a singular fit, such as that of no random slopes, variances are too large
        fixed = slice(None) if design == "between" else slice(2)
        assert (np.abs(found - truth)[fixed] < 3 * mcse[fixed]).all()

    @pytest.mark.parametrize("design", DESIGNS)
    def test_numbers_of_groups_know_of_the_items(self, design: str, tmp_path: Path) -> None:
        x = write(design, tmp_path / "data.csv")
        table = Table(tmp_path / "data.csv", Dialect())
        found = like.estimates(formula.model(table, FORMULAS[design], "person"))
        term = found.terms[1]
        of_items = like.variance_by_items(found, 1)
        assert of_items > 0
        # in a balanced design the rest is people's slopes and noise
        of_groups = (found.groups.sd[1] ** 2 + found.residual**2 / (len(x) / 20 * x.var())) / 20
        assert found.se[1] ** 2 == pytest.approx(of_items + of_groups, rel=1e-6)
        limit = (ndtri(0.8) + ndtri(0.975)) * np.sqrt(of_items)
        with_as_much = like.Wish(term, limit * np.sqrt(1 + of_groups / of_items) * 1.0001)
        assert like.enough(found, 1, with_as_much) == 20
        text = like.study(found, Path("d.csv"), "", "", like.Wish(term, 0.99 * limit))
        assert "no number is enough with 16 items; the data have 20" in text

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            ("y ~ loud + (1 | person) + (loud | item)", "of loudyes; allowed: of terms that vary"),
            ("y ~ x + (1 | person) + (1 | half)", "each person is of one half; allowed: --group"),
            ("y ~ 0 + x + (1 | person) + (1 | item)", "without an intercept; allowed: one with"),
            ("y ~ loud + (1 | person) + (1 | item) + (1 | half)", "3 random-effects terms"),
            ("y ~ loud + (1 | person) + (1 + loud | person)", "2 random-effects terms; allowed: o"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(
        self, typed: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rng = np.random.default_rng(0)
        lines = [
            f"p{p},i{i},{'yes' if i % 2 else 'no'},{int(p < 3)},{rng.normal()},{rng.normal()}"
            for p in range(6)
            for i in range(8)
        ]
        (tmp_path / "data.csv").write_text("\n".join(["person,item,loud,half,x,y", *lines]))
        command = [str(tmp_path / "data.csv"), "--formula", typed, "--group", "person"]
        assert study_from_data.main([*command, "--output", str(tmp_path / "my.yaml")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not [*tmp_path.glob("my.*")]
