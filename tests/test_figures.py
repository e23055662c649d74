"""The figures: what they count and state, and that they draw any grid the same way twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import draw
from rmsweep.claims.post import CLAIMS
from rmsweep.claims.table import assess
from rmsweep.config import condition, load_study
from rmsweep.data.scenario import terms
from rmsweep.design import Study
from rmsweep.figures import coefficients, convergence, grid, metrics, rates, style
from rmsweep.figures.facets import KEYS, Fits, read_fits
from rmsweep.measures.distributions import box_statistics
from rmsweep.measures.rates import success_rates, wilson_interval
from rmsweep.measures.table import schema
from rmsweep.sweep import provenance, tables
from rmsweep.sweep.provenance import table_identity

POST = ["lm", "lm2", "lmer", "lmer_mis"]
MINE = {"name": "mine", "from": "lm2"}


def write_fits(
    path: Path,
    *,
    n_groups: list[int] = [10],  # noqa: B006
    n_obs: list[int] = [5],  # noqa: B006
    n_sims: int = 20,
    strategies: list[object] = POST,  # type: ignore[assignment]
    engine: str = "lme4",
    noise_sd: list[float] = [1],  # noqa: B006
    incomplete: str = "",
    values: pd.Series | None = None,
) -> Path:
    """A merged table of made-up fits, all converged; `values` replaces the metrics."""
    config = {"n_groups": n_groups, "n_obs": n_obs, "sigma": [0.1, 1], "n_sims": n_sims}
    config |= {"strategies": strategies, "engine": engine, "verdict": "published"}
    config |= {"grid": {"noise_sd": noise_sd}}
    study = load_study(config, "made-up")
    axes = [axis.name for axis in study.axes]
    rows = [
        [*(one.levels[name] for name in axes), sim, strategy.name]
        for one in study.conditions
        for sim in range(n_sims)
        for strategy in study.strategies
    ]
    frame = pd.DataFrame(rows, columns=[*axes, "sim", "strategy"])
    drawn = np.random.default_rng(0).lognormal(size=len(frame)) if values is None else values
    frame = frame.assign(
        study="made-up", coef_abs_err=drawn, se_sum=drawn, t_sum=drawn, fit_success=True
    )
    metadata = table_identity(study, {})
    if incomplete:
        metadata["incomplete"] = incomplete
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(metadata)
    pq.write_table(table, path)
    write_measures(study, path, metadata)
    return path


def write_measures(study: Study, path: Path, metadata: dict[str, str]) -> None:
    """Made-up sizes and coverages beside a table, of fits that all were used, and the claims."""
    rng = np.random.default_rng(1)
    rows = []
    for one in study.conditions:
        levels = tables.levels(study.axes, one)
        for strategy in study.strategies:
            for term in terms(one["n_predictors"]):
                for measure in ("size", "coverage"):
                    value = rng.uniform()
                    row = levels | {"strategy": strategy.name, "term": term, "measure": measure}
                    row |= {"value": value, "low": 0.9 * value, "high": 0.5 + 0.5 * value}
                    counts = ("n_planned", "n_run", "n_converged", "n_used")
                    row |= dict.fromkeys(counts, study.n_sims) | {"fits": "all"}
                    rows.append(row | {"defined": True, "mcse_defined": True})
    table = pa.Table.from_pylist(rows, schema=schema(study))
    claims, by_condition = assess(study, table.to_pandas(), CLAIMS)
    made = {"performance": table, "claims": claims, "claims_by_condition": by_condition}
    for name, one in made.items():
        kept = one.replace_schema_metadata(metadata)
        pq.write_table(kept, path.with_name(f"{name}.parquet"))


def texts(figure: Figure) -> str:
    """All that a figure says, its lines joined."""
    found = figure.findobj(Text)
    return "\n".join(" ".join(text.get_text().split()) for text in found)


def a_study(**changes: object) -> Study:
    config = {"n_groups": [10, 30], "n_obs": [5, 25], "sigma": [0.1, 1], "n_sims": 5}
    return load_study(config | changes, name="made-up")


def of_all(draw_figure: Callable[..., Figure], study: Study) -> Figure:
    """The figure of a study that has no further axes."""
    ((name, conditions),) = study.slices().items()
    assert name == ""
    return draw_figure(study, name, conditions)


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    return read_fits(write_fits(tmp_path / "fits.parquet"), "coef_abs_err")


def test_box_statistics_are_tukeys(fits: Fits) -> None:
    from matplotlib.cbook import boxplot_stats

    boxes = box_statistics(fits.frame, KEYS)
    assert len(boxes) == 8
    for key, box in boxes.iterrows():
        own = fits.frame.set_index(KEYS).loc[[key], "value"]
        (expected,) = boxplot_stats(own.to_numpy())
        names = ["q1", "med", "q3", "whislo", "whishi"]
        np.testing.assert_allclose(box[names].to_numpy(float), [expected[name] for name in names])


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_each_point_and_failed_fit_that_is_not_to_be_seen_is_counted(
    tmp_path: Path, scale: metrics.Scale
) -> None:
    values = pd.Series(np.tile(np.linspace(1, 2, 160 // 8), 8))
    values[[3, 40, 77]] = [1e6, 500, np.nan]
    values[100] = 1e-9
    path = write_fits(tmp_path / "fits.parquet", values=values)
    figure = metrics.draw(read_fits(path, "se_sum"), "se_sum", scale)
    below = "1 point below, " if scale == "log" else ""
    assert f"2 points above, {below}1 failed fit not shown" in texts(figure)


def test_notes() -> None:
    assert metrics.note(0, 0, 0) == ""
    assert metrics.note(12, 0, 3) == "12 points above, 3 failed fits not shown"
    assert metrics.note(1, 1, 1) == "1 point above, 1 point below, 1 failed fit not shown"


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_one_far_point_does_not_move_the_axis(fits: Fits, scale: metrics.Scale) -> None:
    limits = metrics.y_limits(box_statistics(fits.frame, KEYS), scale)
    frame = fits.frame.copy()
    frame.loc[frame["value"].idxmax(), "value"] = 1e9
    assert metrics.y_limits(box_statistics(frame, KEYS), scale) == limits


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_table_of_failed_fits_alone_is_drawn(tmp_path: Path, scale: metrics.Scale) -> None:
    path = write_fits(tmp_path / "fits.parquet", values=pd.Series(np.full(160, np.nan)))
    figure = metrics.draw(read_fits(path, "t_sum"), "t_sum", scale)
    assert "160 failed fits not shown" in texts(figure)
    style.save(figure, [tmp_path / "figure.png"], {})


def test_of_a_large_table_only_the_first_points_are_drawn(tmp_path: Path) -> None:
    n_sims = metrics.MAX_POINTS + 50
    path = write_fits(tmp_path / "fits.parquet", n_sims=n_sims)
    figure = metrics.draw(read_fits(path, "se_sum"), "se_sum")
    # the points come first, then the whiskers and medians of each strategy
    assert len(figure.axes[0].collections[0].get_offsets()) == 8 * metrics.MAX_POINTS
    assert f"first {metrics.MAX_POINTS} fits of each box" in texts(figure)


def test_wilson_interval_agrees_with_statsmodels() -> None:
    from statsmodels.stats.proportion import proportion_confint

    successes, n = np.array([0.0, 1, 25, 49, 50, 7]), np.array([50.0, 50, 50, 50, 50, 9])
    expected = proportion_confint(successes, n, method="wilson")
    np.testing.assert_allclose(wilson_interval(successes, n), expected, atol=1e-15)


def test_convergence_counts_every_fit(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet")
    fits = read_fits(path, "fit_success")
    fits.frame.loc[(fits.frame["strategy"] == "lmer") & (fits.frame.index < 40), "value"] = False
    rates = success_rates(fits.frame, KEYS)["rate"]
    assert rates.loc[10, 5, "0.1", "lmer"] == 0.5
    assert rates.loc[10, 5, "0.1", "lm"] == 1
    said = texts(convergence.draw(fits))
    assert "Rule “published”: a singular fit is no failure" in said
    assert "20 fits per bar" in said
    assert "native engine" not in said


def test_convergence_of_native_fits_is_not_taken_for_lme4s(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", engine="native")
    said = texts(convergence.draw(read_fits(path, "fit_success")))
    assert "lmer and lmer_mis by the native engine" in said
    assert "not how often lme4 fails" in said


def test_palette_keeps_the_posts_order_and_extends() -> None:
    post = style.palette(POST)
    assert list(post.values()) == ["#0072B2", "#E69F00", "#009E73", "#A3151F"]
    more = style.palette(["mine", "lmer", "yours"])
    assert more["lmer"] == post["lmer"]
    assert len({*post.values(), *more.values()}) == 6
    assert len(style.palette([f"s{k}" for k in range(20)])) == 20


def test_legend_follows_the_study(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", strategies=["lmer", MINE, "lm"])
    (legend,) = metrics.draw(read_fits(path, "se_sum"), "se_sum").legends
    labels = [text.get_text().partition(":")[0] for text in legend.get_texts()]
    assert labels == ["lmer", "mine", "lm"]


@pytest.mark.parametrize("incomplete", ["", "1,234 of 2,250 datasets"])
def test_an_incomplete_table_is_called_so(tmp_path: Path, incomplete: str) -> None:
    path = write_fits(tmp_path / "fits.parquet", incomplete=incomplete)
    figures = [
        metrics.draw(read_fits(path, "se_sum"), "se_sum"),
        convergence.draw(read_fits(path, "fit_success")),
    ]
    for figure in figures:
        assert ("INCOMPLETE: 1,234 of 2,250 datasets" in texts(figure)) == bool(incomplete)


def test_panels_of_a_grid(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_groups=[30, 5], n_obs=[5, 25, 100], n_sims=2)
    table = pq.read_table(path)
    # an unfinished study: the last panel has no row yet
    there = [row["n_groups"] == 5 or row["n_obs"] < 100 for row in table.to_pylist()]
    pq.write_table(table.filter(pa.array(there)), path)
    figure = metrics.draw(read_fits(path, "se_sum"), "se_sum")
    assert len(figure.axes) == 6
    said = texts(figure)
    assert said.index("5 groups") < said.index("30 groups")
    assert said.count("no fits") == 1


def test_coefficients_widen_around_one_truth() -> None:
    one = condition(n_groups=10, n_obs=5, sigma=0.1)
    narrow, wide = (coefficients.population(0, one, sigma) for sigma in (0.1, 4.0))
    np.testing.assert_array_equal(narrow.betas, wide.betas)
    for simulated, sigma in ((narrow, 0.1), (wide, 4.0)):
        # 5,000 groups: the SD of an SD is 1%
        np.testing.assert_allclose(simulated.coefficients.std(axis=0), sigma, rtol=0.05)


def test_coefficients_are_those_of_the_scenario() -> None:
    keys = {"beta": [1, 2, 3, 4], "effect_distribution": "binary", "missing": "mcar"}
    one = condition(n_groups=10, n_obs=5, sigma=1, predictor_level=2, **keys)
    drawn = coefficients.population(0, one, 3.0)
    np.testing.assert_array_equal(drawn.betas, [1, 2])
    assert {*drawn.coefficients[:, 0]} == {-2.0, 4.0}
    # a predictor of level 2 has one coefficient for all groups
    assert {*drawn.coefficients[:, 1]} == {2.0}


def test_coefficients_that_do_not_vary_are_lines(tmp_path: Path) -> None:
    figure = of_all(coefficients.draw, a_study(sigma=[0], n_predictors=1))
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "-"]
    style.save(figure, [tmp_path / "figure.png"], {})


def test_grid_states_the_products() -> None:
    said = texts(of_all(grid.draw, a_study()))
    assert "8 conditions, each with 5 simulated datasets: 40 datasets" in said
    assert "160 fits" in said
    assert "30 × 25 = 750 observations" in said
    small = a_study(n_groups=[10], n_obs=[5], sigma=[1])
    assert "= 1 condition, " in grid.describe(small, small.conditions)


def test_grid_says_what_is_not_crossed() -> None:
    said = texts(of_all(grid.draw, a_study(exclude=[{"n_groups": 30, "n_obs": 25}])))
    assert "6 conditions of 2 numbers of groups × 2 numbers of observations" in said
    assert said.count("not in the study") == 1


@pytest.mark.parametrize("name", rates.TEXTS)
def test_rates_are_those_of_the_performance_table(tmp_path: Path, name: str) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_groups=[10, 30])
    measured = pd.read_parquet(tmp_path / "performance.parquet")
    figure = rates.draw(rates.read_rates(tmp_path / "performance.parquet", name), name)
    assert path.exists()
    drawn = [y for axes in figure.axes for line in axes.lines for y in line.get_ydata()]
    expected = measured[measured.measure == name]["value"]
    assert sorted(drawn) == pytest.approx(sorted(expected))
    assert len(drawn) == 2 * 2 * 4 * 4
    assert "20 fits per point" in texts(figure)
    assert tuple(rates.TEXTS) == tables.RATES


def test_each_slice_is_drawn_alone_and_named(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", noise_sd=[1, 2])
    whole = read_fits(path, "se_sum")
    slices = whole.slices()
    assert list(slices) == ["noise_sd=1", "noise_sd=2"]
    assert [len(fits.frame) for fits in slices.values()] == [160, 160]
    for name, fits in slices.items():
        assert fits.slice == name
        assert name.replace("=", " = ") in texts(metrics.draw(fits, "se_sum"))
    first, second = (fits.frame["value"].to_numpy() for fits in slices.values())
    assert not np.isin(first, second).any()


def test_figures_of_slices_have_folders(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", noise_sd=[1, 2], n_sims=2)
    assert draw.main([str(path), "--only", "convergence", "grid"]) == 0
    figures = tmp_path / "figures"
    assert sorted(str(file.relative_to(figures)) for file in figures.rglob("*.*g")) == sorted(
        f"noise_sd={level}/{name}.{kind}"
        for level in (1, 2)
        for name in ("convergence", "grid")
        for kind in ("png", "svg")
    )


def test_figures_are_the_same_bytes_each_time_and_say_what_made_them(tmp_path: Path) -> None:
    table = write_fits(tmp_path / "fits.parquet")
    made_with = provenance.made_with(table)
    runs = []
    for run in ("first", "second"):
        assert draw.main([str(table), "--output", str(tmp_path / run)]) == 0
        runs.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    assert len(runs[0]) == 18
    assert runs[0] == runs[1]
    # a folder of other studies' figures, too: they stay
    assert draw.main([str(table), "--output", str(tmp_path)]) == 0
    assert len(list((tmp_path / "first").iterdir())) == 18
    for name, content in runs[0].items():
        if name.endswith(".svg"):
            assert b"<dc:date>" not in content
            found = provenance.made_with(tmp_path / "first" / name)
            assert found == provenance.figure_identity(read_fits(table, "se_sum").study, made_with)


RC = """
backend: module://nowhere
figure.dpi: 50
font.size: 30
axes.grid: True
axes.formatter.limits: -1, 1
lines.linewidth: 7
savefig.bbox: tight
savefig.facecolor: red
svg.fonttype: none
"""


def test_a_users_matplotlib_and_a_notebooks_backend_change_no_figure(tmp_path: Path) -> None:
    table = write_fits(tmp_path / "fits.parquet")
    (tmp_path / "matplotlibrc").write_text(RC)
    variables = {
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    names = ["se_sum", "grid"]
    assert draw.main([str(table), "--output", str(tmp_path / "plain"), "--only", *names]) == 0
    command = [sys.executable, draw.__file__, str(table), "--output", "users", "--only", *names]
    subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | variables)
    plain, users = (
        {path.name: path.read_bytes() for path in (tmp_path / run).iterdir()}
        for run in ("plain", "users")
    )
    assert len(plain) == 4
    assert plain == users


def test_other_files_and_figures_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"x": [1]}), plain)
    for path in (plain, tmp_path / "absent.parquet", Path(__file__)):
        assert draw.main([str(path)]) == 2
        assert str(path) in capsys.readouterr().err
    made_with = table_identity(a_study(), {})
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata(made_with), plain)
    assert draw.main([str(plain), "--only", "pie"]) == 2
    assert "--only: 'pie'; allowed: coef_abs_err, se_sum" in capsys.readouterr().err
