"""The figures: what they count and state, and that they draw any grid the same way twice."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

import draw
from rmsweep.claims.post import CLAIMS
from rmsweep.claims.table import assess
from rmsweep.config import condition, load_study
from rmsweep.data.scenario import terms
from rmsweep.design import MAIN, Strategy, Study
from rmsweep.figures import (
    coefficients,
    colours,
    convergence,
    cost,
    facets,
    grid,
    metrics,
    names,
    nested_loop,
    points,
    style,
    zip_plot,
)
from rmsweep.figures.facets import KEYS, Rows, View, read_fits, read_measures
from rmsweep.figures.names import Layout
from rmsweep.measures.causes import CAUSES, causes
from rmsweep.measures.distributions import box_statistics
from rmsweep.measures.rates import success_rates, wilson_interval
from rmsweep.measures.table import performance
from rmsweep.report.pictures import pictures
from rmsweep.sweep import provenance, tables
from rmsweep.sweep.provenance import table_identity

POST = ["lm", "lm2", "lmer", "lmer_mis"]
MINE = {"name": "mine", "from": "lm2"}
RATES = [name for name, spec in points.SPECS.items() if not spec.of_pairs]
PAIRS = [name for name, spec in points.SPECS.items() if spec.of_pairs]


def write_fits(
    path: Path,
    *,
    n_groups: list[int] = [10],  # noqa: B006
    n_obs: list[int] = [5],  # noqa: B006
    sigma: list[float] = [0.1, 1],  # noqa: B006
    n_sims: int = 20,
    strategies: list[object] = POST,  # type: ignore[assignment]
    engine: str = "lme4",
    verdict: str = "published",
    grid: dict[str, object] | None = None,
    incomplete: str = "",
    values: pd.Series | None = None,
    failed: bool = False,
    references: list[str] = [],  # noqa: B006
    scenarios: dict[str, object] = {},  # noqa: B006
) -> Path:
    """The tables of made-up fits; `values` replaces the metrics, and all fits may have failed."""
    config = {"n_groups": n_groups, "n_obs": n_obs, "sigma": sigma, "n_sims": n_sims}
    config |= {"strategies": strategies, "engine": engine, "verdict": verdict}
    config |= {"references": references}
    config |= scenarios or {"grid": grid or {"noise_sd": [1]}}
    study = load_study(config, "made-up")
    axes = [axis.name for axis in study.axes]
    rows = [
        [*tables.levels(study.axes, one).values(), sim, strategy.name]
        for one in study.conditions
        for sim in range(n_sims)
        for strategy in study.strategies
    ]
    frame = pd.DataFrame(rows, columns=[*axes, "sim", "strategy"]).assign(study="made-up")
    rng = np.random.default_rng(0)
    drawn = rng.lognormal(size=len(frame)) if values is None else values
    mixed = frame["strategy"].str.startswith("lmer")
    singular = rng.random(len(frame)) < 0.3
    gradient = np.where(mixed & (rng.random(len(frame)) < 0.2), "|grad|", "")
    fits = frame.assign(
        coef_abs_err=np.nan if failed else drawn,
        se_sum=np.nan if failed else drawn,
        t_sum=np.nan if failed else drawn,
        status="failed" if failed else "ok",
        singular=pd.Series(singular, dtype="boolean").where(mixed),
        opt_code=0,
        grad_msg="" if failed else gradient,
        hess_msg="",
        df_msg="",
        messages="no rows" if failed else "",
        criterion_gap=np.where(mixed, rng.exponential(0.01, len(frame)), np.nan),
        fit_success=(not failed) & (gradient == ""),
    )
    if verdict == "strict":
        fits["fit_success"] &= ~(mixed & singular)
    names = terms(3)
    coefs = frame.loc[frame.index.repeat(4)].assign(term=names * len(frame), truth=0.5, df=9.0)
    estimate, se = rng.normal(0.5, 0.3, len(coefs)), rng.uniform(0.2, 0.4, len(coefs))
    missing = {"estimate": np.nan, "se": np.nan} if failed else {"estimate": estimate, "se": se}
    coefs = coefs.assign(**missing)
    coefs["statistic"] = coefs["estimate"] / coefs["se"]
    coefs["p_value"] = np.where(coefs["se"].isna(), np.nan, rng.random(len(coefs)) / 5)
    coefs["p_truth"] = np.where(coefs["se"].isna(), np.nan, rng.random(len(coefs)) / 2)
    coefs = coefs.assign(
        ci_low=coefs["estimate"] - 2 * coefs["se"], ci_high=coefs["estimate"] + 2 * coefs["se"]
    )
    timings = frame.assign(cpu_seconds=rng.lognormal(-5, 1, len(frame)))
    metadata = table_identity(study, {})
    if incomplete:
        metadata["incomplete"] = incomplete
    for name, table in {"fits": fits, "coefs": coefs, "timings": timings}.items():
        made = pa.Table.from_pandas(table, preserve_index=False)
        file = path if name == "fits" else path.with_name(f"{name}.parquet")
        pq.write_table(made.replace_schema_metadata(metadata), file)
    measured = list(performance(study, path, path.with_name("coefs.parquet")))
    made = {"performance": pa.concat_tables(measured)}
    assessed = assess(study, made["performance"].to_pandas(), CLAIMS)
    made |= dict(zip(("claims", "claims_by_condition"), assessed, strict=True))
    for name, table in made.items():
        kept = table.replace_schema_metadata(metadata)
        pq.write_table(kept, path.with_name(f"{name}.parquet"))
    return path


def measured(path: Path, measure: str) -> pd.DataFrame:
    """A measure of the table beside `path`."""
    table = pd.read_parquet(path.with_name("performance.parquet"))
    return table[(table["measure"] == measure) & (table["fits"] == "all")]


def marks(figure: Figure) -> list[float]:
    """The heights of all marks of a figure, sorted."""
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() != "None"]
    return sorted(y for line in lines for y in line.get_ydata())


def drawn(path: Path, name: str, **view: object) -> list[Figure]:
    """A figure of the study whose table is at `path`, slice by slice."""
    study = read_fits(path, "fit_success").study
    own_layout = "layout" in view
    wish = draw.Wish(path, View.of(study, **view), own_layout=own_layout)  # type: ignore[arg-type]
    return [figure for _, figure in draw.FIGURES[name](wish, name)]


def texts(figure: Figure) -> str:
    """All that a figure says, its lines joined."""
    found = figure.findobj(Text)
    return "\n".join(" ".join(text.get_text().split()) for text in found)


def a_study(**changes: object) -> Study:
    config = {"n_groups": [10, 30], "n_obs": [5, 25], "sigma": [0.1, 1], "n_sims": 5}
    return load_study(config | changes, name="made-up")


def of_all(draw_figure: Callable[..., Figure], study: Study) -> Figure:
    """The figure of a study that has no further axes."""
    return draw_figure(View.of(study), "")


@pytest.fixture
def fits(tmp_path: Path) -> Rows:
    return read_fits(write_fits(tmp_path / "fits.parquet"), "coef_abs_err")


def test_box_statistics_are_tukeys(fits: Rows) -> None:
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
    below = "1 point below (smallest 1e−09), " if scale == "log" else ""
    expected = f"2 points above (largest 1,000,000), {below}1 fit lacks a coefficient"
    assert expected in texts(figure)


def test_strategies_without_a_sum_are_named() -> None:
    values = pd.Series([1.0, np.nan, np.nan, np.nan])
    frame = pd.DataFrame({"value": values, "strategy": ["lm", "lm", "fe", "fe"]})
    frame["status"] = "failed"
    frame.loc[0, "status"] = "ok"
    assert metrics.remarks(frame, (0, 2)) == "1 failed fit not shown, no values: fe"
    assert metrics.remarks(frame[2:], (0, 2)) == "2 failed fits not shown"


def test_notes() -> None:
    nothing = np.nan
    assert metrics.note(pd.Series([1.0, 2]), (1, 2)) == ""
    said = metrics.note(pd.Series([3.0, 31, nothing, nothing, nothing]), (1, 2), failed=1)
    assert said == "2 points above (largest 31), 1 failed fit not shown, 2 fits lack a coefficient"
    assert metrics.note(pd.Series([0.5]), (1, 2)) == "1 point below (smallest 0.5)"


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_one_far_point_does_not_move_the_axis(fits: Rows, scale: metrics.Scale) -> None:
    limits = metrics.y_limits(box_statistics(fits.frame, KEYS), scale)
    frame = fits.frame.copy()
    frame.loc[frame["value"].idxmax(), "value"] = 1e9
    assert metrics.y_limits(box_statistics(frame, KEYS), scale) == limits


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_table_of_failed_fits_alone_is_drawn(tmp_path: Path, scale: metrics.Scale) -> None:
    path = write_fits(tmp_path / "fits.parquet", values=pd.Series(np.full(160, np.nan)))
    figure = metrics.draw(read_fits(path, "t_sum"), "t_sum", scale)
    assert "160 fits lack a coefficient" in texts(figure)
    style.save(figure, [tmp_path / "figure.png"], {})


def test_of_a_large_table_only_the_first_points_are_drawn(tmp_path: Path) -> None:
    n_sims = metrics.MAX_POINTS + 50
    path = write_fits(tmp_path / "fits.parquet", n_sims=n_sims)
    figure = metrics.draw(read_fits(path, "se_sum"), "se_sum")
    scattered = [it for it in figure.axes[0].collections if isinstance(it, PathCollection)]
    assert sum(len(it.get_offsets()) for it in scattered) == 8 * metrics.MAX_POINTS
    assert f"first {metrics.MAX_POINTS} fits of each box" in texts(figure)


def test_wilson_interval_agrees_with_statsmodels() -> None:
    from statsmodels.stats.proportion import proportion_confint

    successes, n = np.array([0.0, 1, 25, 49, 50, 7]), np.array([50.0, 50, 50, 50, 50, 9])
    expected = proportion_confint(successes, n, method="wilson")
    np.testing.assert_allclose(wilson_interval(successes, n), expected, atol=1e-15)


def test_convergence_counts_every_fit(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet")
    fits = read_fits(path, "fit_success")
    fits.frame["value"] = (fits.frame["strategy"] != "lmer") | (fits.frame.index >= 40)
    rates = success_rates(fits.frame, KEYS)["rate"]
    assert rates.loc[10, 5, "0.1", "lmer"] == 0.5
    assert rates.loc[10, 5, "0.1", "lm"] == 1
    said = texts(convergence.draw_rates(fits))
    assert "Rule “published”: a singular fit is no failure" in said
    assert "20 fits per bar" in said
    assert "native engine" not in said


def test_convergence_of_native_fits_is_not_taken_for_lme4s(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", engine="native")
    said = texts(convergence.draw(convergence.read_causes(path)))
    assert "lmer and lmer_mis by the native engine" in said
    assert "not how often lme4 fails" in said


def of_names(strategies: list[object]) -> tuple[Strategy, ...]:
    return a_study(strategies=strategies).strategies


def test_strategies_have_the_posts_order_of_colours_in_any_company() -> None:
    post = colours.looks(of_names([*POST]))
    assert [look.colour for look in post.values()] == ["#074076", "#b69012", "#12a773", "#5f080f"]
    more = colours.looks(of_names([MINE, "lmer"]))
    assert more["lmer"] == post["lmer"]
    # the place of the one that gave the family its name stays free
    assert more["mine"].colour != post["lm2"].colour
    assert [look.colour for look in colours.looks(of_names([*POST]), post=True).values()] == [
        *colours.POST.values()
    ]


TWENTY = [
    *POST,
    *({"name": f"{name}_{k}", "from": name} for k in range(4) for name in ("lmer", "lmer_mis")),
    *({"name": f"two{k}", "from": "lm2"} for k in range(8)),
]


def test_twenty_strategies_differ_in_colour_and_shape() -> None:
    looks = colours.looks(of_names(TWENTY)).values()
    assert len({look.colour for look in looks}) == 20
    for own in colours.families(of_names(TWENTY)).values():
        shapes = {colours.looks(of_names(TWENTY))[one.name].marker for one in own}
        assert len(shapes) == len(own)
    ends = [
        colour for family in (*colours.FAMILIES.values(), *colours.SPARE) for colour in family[:2]
    ]
    for colour in [*ends, *(look.colour for look in looks)]:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        # WCAG 2.2's contrast on white
        assert 1.05 / (luminance + 0.05) >= 2.95, colour


def test_of_many_strategies_some_of_each_family_are_shown() -> None:
    study = a_study(strategies=TWENTY)
    view = View.of(study)
    assert len(view.shown) == 8
    assert {"lm", "lm2", "lmer", "lmer_mis"} <= set(view.names)
    assert "8 of 20 strategies" in view.omission
    assert View.of(study, ["two3", "lm"]).names == ["lm", "two3"]
    assert View.of(study, ["lm"]).looks["lm"] == view.looks["lm"]


def test_of_strategies_that_share_a_fit_one_comes_before_others_with_a_fit_of_their_own() -> None:
    again = [{"name": f"lmer_{k}", "from": "lmer", "interval": "t"} for k in range(6)]
    study = a_study(strategies=[*again, *POST, "lmer_kr", "lmer_zcp", "lmer_mundlak"])
    view = View.of(study)
    assert {*POST, "lmer_zcp", "lmer_mundlak"} < set(view.names)
    assert len(view.names) == colours.MOST


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
        convergence.draw(convergence.read_causes(path)),
        *drawn(path, "nested_loop"),
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


SCENARIOS = {
    "scenarios": {
        "ideal": {},
        "clustered-x": {"predictor_icc": 0.5},
        "skewed-noise": {"noise_distribution": "lognormal"},
        "informative-sizes": {"group_sizes": {"from": "informative", "gamma": 2}},
        "scales": {"predictor_sd": [1, 1000, 0.001]},
    }
}


def spread_out(path: Path) -> Path:
    """A study of scenarios one of which is far from the others, by its errors and its sums."""
    far = np.repeat([1.0, 1, 1, 1, 500], 20 * 4)
    rng = np.random.default_rng(1)
    values = pd.Series(far * rng.uniform(1, 2, len(far)))
    return write_fits(path, n_obs=[25], sigma=[1], values=values, scenarios=SCENARIOS)


def test_what_is_far_from_all_else_has_an_axis_of_its_own(tmp_path: Path) -> None:
    path = spread_out(tmp_path / "fits.parquet")
    (figure,) = drawn(path, "se_sum")
    usual, apart = figure.axes
    assert [text.get_text() for text in apart.get_xticklabels()] == ["scales"]
    assert len(usual.get_xticklabels()) == 4
    assert usual.get_ylim()[1] < 5 < 400 < apart.get_ylim()[0]
    assert "“scales” has an axis of its own" in texts(figure)
    (rates,) = drawn(path, "size")
    assert len(rates.axes) == 1


def test_lines_join_only_what_has_an_order(tmp_path: Path) -> None:
    def lines(figure: Figure) -> int:
        found = [line for axes in figure.axes for line in axes.lines]
        # a reference line has no x of its own
        return sum(line.get_marker() == "None" and len(line.get_xdata()) > 2 for line in found)

    effects = {"none": [0] * 4, "small": [0, 0.1, 0.1, 0.1], "large": [0, -0.5, 0.5, 0.5]}
    kinds = {"n_obs": [25], "sigma": [1], "n_sims": 4}
    path = write_fits(tmp_path / "fits.parquet", grid={"beta": effects}, **kinds)  # type: ignore[arg-type]
    (figure,) = drawn(path, "power")
    assert lines(figure) == 4
    assert [it.get_text() for it in figure.axes[0].get_xticklabels()] == ["none", "small", "large"]
    mixed = {"large": effects["large"], "none": effects["none"], "small": effects["small"]}
    for grid_of in ({"beta": mixed}, {"noise_distribution": ["normal", "t", "lognormal"]}):
        path = write_fits(tmp_path / "fits.parquet", grid=grid_of, **kinds)  # type: ignore[arg-type]
        (figure,) = drawn(path, "power")
        assert lines(figure) == 0
        assert marks(figure)


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """The texts that a figure shows, and where."""
    figure.canvas.draw()
    ticks = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.majorTicks, *axis.minorTicks)
        for label in (tick.label1, tick.label2)
    }
    shown = {
        label
        for axes in figure.axes
        if axes.axison
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis._update_ticks()  # type: ignore[attr-defined]
        for label in (tick.label1, tick.label2)
    }
    found = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and (text not in ticks or text in shown)
    ]
    keys = [key for legend in figure.legends for key in legend.get_lines()]
    return [
        *((text.get_text(), text.get_window_extent()) for text in found),
        *((f"the key of {key.get_label()}", key.get_window_extent()) for key in keys),
    ]


def collisions(shown: list[tuple[str, Bbox]]) -> list[tuple[str, str]]:
    """The pairs of texts of which one is over the other, by more than a pixel."""
    found = [(text, box.padded(-0.7)) for text, box in shown]
    return [
        (text, other)
        for place, (text, box) in enumerate(found)
        for other, its in found[place + 1 :]
        if box.overlaps(its)
    ]


def test_texts_can_collide() -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    for x in (0.5, 0.51):
        figure.text(x, 0.5, "a text")
    assert collisions(boxes(figure)) == [("a text", "a text")]


@pytest.mark.parametrize("kind", ["scenarios", "small panels"])
def test_no_text_is_over_another_or_off_the_page(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fits.parquet"
    if kind == "scenarios":
        spread_out(path)
    else:
        fe = ["fe", "lmer_mundlak", *({"name": f"lmer_t_{k}", "from": "lmer"} for k in "ab")]
        sizes = {"n_groups": [10], "n_obs": [5, 25, 50, 100], "sigma": [0.25, 1]}
        write_fits(path, **sizes, n_sims=2, strategies=[*POST, *fe])  # type: ignore[arg-type]
    # the other sums are drawn as the one with the longest label
    for name in {*names.NAMES} - {"coef_abs_err", "se_sum"}:
        for figure in drawn(path, name)[:1]:
            FigureCanvasAgg(figure)
            shown = boxes(figure)
            assert collisions(shown) == [], name
            page = figure.bbox.padded(1)
            outside = [
                text
                for text, box in shown
                if not (page.x0 <= box.x0 and box.x1 <= page.x1)
                or not (page.y0 <= box.y0 and box.y1 <= page.y1)
            ]
            assert outside == [], name


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
    for draw_grid in (grid.draw, grid.draw_planes_of):
        said = texts(of_all(draw_grid, a_study()))
        assert "8 conditions, each with 5 simulated datasets: 40 datasets" in said
        assert "160 fits" in said
        assert "750 obs" in said
    small = a_study(n_groups=[10], n_obs=[5], sigma=[1])
    assert "= 1 condition, " in grid.describe(small, small.conditions)
    further = a_study(n_groups=[10], grid={"noise_sd": [1, 2, 3]})
    said = grid.describe(further, further.conditions)
    assert "2 between-group SDs × 3 levels of the SD of the noise = 12 conditions" in said


def test_grid_says_what_is_not_crossed() -> None:
    study = a_study(exclude=[{"n_groups": 30, "n_obs": 25}])
    for draw_grid in (grid.draw, grid.draw_planes_of):
        said = texts(of_all(draw_grid, study))
        assert "6 conditions of 2 numbers of groups × 2 numbers of observations" in said
        assert said.count("not in the study") == 1


@pytest.mark.parametrize("name", RATES)
def test_points_are_those_of_the_performance_table(tmp_path: Path, name: str) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_groups=[10, 30], n_obs=[25])
    (figure,) = drawn(path, name)
    spec = points.SPECS[name]
    expected = spec.in_view(measured(path, spec.measure)["value"])
    of_one = spec.scale == "share"
    expected = expected[measured(path, spec.measure)["term"] == "IV1"] if of_one else expected
    if name == "power":
        wrong = measured(path, points.WRONG).query("term == 'IV1'")["value"].to_numpy()
        hollow = wrong[wrong > points.WRONGLY]
        assert len(hollow)
        assert "Hollow marks: rejections with the wrong sign" in texts(figure)
        assert marks(figure) == pytest.approx(sorted([*expected - wrong, *hollow]))
    else:
        assert marks(figure) == pytest.approx(sorted(expected))
    assert len(expected) == 2 * 2 * 4 * (1 if of_one else 4)
    assert "20 fits per point" in texts(figure)


def test_power_is_of_the_terms_that_have_an_effect(tmp_path: Path) -> None:
    effects = {"none": [0, 0, 0, 0], "some": [0, 0.5, 0.5, 0]}
    path = write_fits(tmp_path / "fits.parquet", n_obs=[25], n_sims=40, grid={"beta": effects})
    (figure,) = drawn(path, "size_adjusted_power")
    table = measured(path, "size_adjusted_power").query("beta == 'some'")
    assert marks(figure) == pytest.approx(sorted(table[table["term"] == "IV1"]["value"]))
    said = texts(figure)
    assert "Not defined at times: the true coefficient is zero." in said
    # it is drawn against the effects: two panels of SDs
    assert [axes.get_xlim() for axes in figure.axes] == [(-0.5, 1.5)] * 2
    assert "not defined" not in said
    (figure,) = drawn(path, "size_adjusted_power", terms=["IV3"])
    assert "Not defined in this study: the true coefficient is zero." in texts(figure)
    assert not figure.axes
    (figure,) = drawn(path, "power", terms=["IV3"])
    rates = measured(path, "rejection").query("term == 'IV3'")
    assert marks(figure) == pytest.approx(sorted(rates["value"]))
    assert "Rejections with the right sign" in texts(*drawn(path, "nested_loop"))


def test_power_has_figures_where_there_is_an_effect(tmp_path: Path) -> None:
    none, some = (a_study(beta=beta) for beta in ([1, 0, 0, 0], [0, 0, 0.1, 0]))
    assert [len(names.slices(study, "power")) for study in (none, some)] == [0, 1]
    assert len(names.slices(none, "size")) == 1
    scenarios = {"scenarios": {"null": {"beta": 0}, "effect": {"beta": 0.5}}}
    sizes = {"n_groups": [10, 30], "n_obs": [5, 25], "n_sims": 2, "strategies": ["lm"]}
    path = write_fits(tmp_path / "fits.parquet", scenarios=scenarios, **sizes)  # type: ignore[arg-type]
    study = read_fits(path, "fit_success").study
    assert list(names.slices(study, "power")) == ["scenario=effect"]
    wish = draw.Wish(path, View.of(study))
    assert [part for part, _ in draw.draw_points(wish, "power")] == ["scenario=effect"]


def test_strategies_with_the_same_values_are_drawn_once(tmp_path: Path) -> None:
    values = pd.Series(np.repeat(np.arange(1.0, 41), 4))
    path = write_fits(tmp_path / "fits.parquet", values=values)
    (figure,) = drawn(path, "coef_abs_err")
    assert "lm, lm2, lmer, lmer_mis: OLS" in texts(figure)
    assert len(figure.legends[0].get_texts()) == 1


def test_effects_that_are_numbers_are_ticks() -> None:
    levels = {"none": [0] * 4, "d0.1": [0, 0.1, 0.1, 0.1], "less": [0, -0.2, -0.2, -0.2]}
    found = facets.slopes(a_study(grid={"beta": levels}), "beta")
    assert found == {"none": 0, "d0.1": 0.1, "less": -0.2}
    levels["mixed"] = [0, 0.1, 0.2, 0.1]
    assert facets.slopes(a_study(grid={"beta": levels}), "beta") == {}


def test_figures_say_the_sds_of_coefficients_that_differ() -> None:
    study = a_study(sigma=[2], scenarios={"one": {"sigma_ratio": [1, 0, 0, 0]}, "two": {}})
    said = facets.shared(View.of(study))
    assert said == " SDs of intercept and slopes: 2 and 0 and 0 and 0 (one); 2 for all else."


def test_a_figure_with_nothing_to_show_says_so_to_pages(tmp_path: Path) -> None:
    figure = Figure()
    style.say_nothing(figure)
    style.save(figure, [tmp_path / "claims.png"], {})
    style.save(Figure(), [tmp_path / "bias.png"], {})
    files = [tmp_path / "claims.png", tmp_path / "bias.png"]
    shown = pictures(a_study(), files, tmp_path, tmp_path)
    assert [picture.title for picture in shown] == ["Bias"]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reference", ["lm", "lmer"])
def test_comparisons_are_with_the_reference(tmp_path: Path, name: str, reference: str) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_obs=[25])
    (figure,) = drawn(path, name, reference=reference, terms=["IV2"])
    table = measured(path, points.SPECS[name].measure).query("term == 'IV2'")
    as_it_is = table[table["reference"] == reference]["value"]
    turned = table[table["strategy"] == reference]["value"]
    if name == "ratios":
        turned = 1 / turned
    assert marks(figure) == pytest.approx(sorted([*as_it_is, *turned]))
    assert len(marks(figure)) == 2 * 3
    assert f"Same decision as {reference}" in texts(figure) or name == "ratios"


def test_a_study_with_references_has_no_other_rows(tmp_path: Path) -> None:
    assert View.of(a_study(references=["lm2"])).reference.name == "lm2"
    path = write_fits(tmp_path / "fits.parquet", references=["lmer"], n_groups=[10, 30])
    rows = read_measures(path.with_name("performance.parquet"), ["size", "rmse_ratio"])
    assert rows.frame[["n_groups", "x", "strategy"]].notna().all(axis=None)
    _, places = nested_loop.in_loops(rows.frame, nested_loop.loops(rows.view), rows.view)
    assert len(places) == 4


def test_too_few_datasets_are_no_failure(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_obs=[25], n_sims=5, sigma=[1])
    said = texts(*drawn(path, "size_adjusted_power"))
    assert "too few datasets to tell" in said
    assert "no result" not in said


def test_what_is_not_defined_is_said_and_not_drawn(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_obs=[5])
    (figure,) = drawn(path, "standard_errors")
    table = measured(path, "relative_error_of_model_se")
    assert not table[table["strategy"] == "lm2"]["defined"].any()
    assert len(marks(figure)) == 2 * 3 * 4
    assert "not defined: lm2" in texts(figure)


def test_zip_plots_show_every_interval_and_its_coverage(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_sims=40)
    (figure,) = drawn(path, "zip")
    table = measured(path, "coverage").query("term == 'IV1' and sigma == 1").set_index("strategy")
    assert len(figure.axes) == 4
    for axes, name in zip(figure.axes, POST, strict=True):
        covering, missing = (len(it.get_segments()) for it in axes.collections)
        assert covering + missing == 40
        assert covering == round(40 * table.loc[name, "value"])
        assert f"{table.loc[name, 'value']:.1%}" in axes.get_title()
    assert "SD 0.1" in texts(*drawn(path, "zip", at=["sigma=0.1"]))


def test_zip_plots_reach_strategies_that_are_far_from_the_truth() -> None:
    def cell(*offsets: float) -> pd.DataFrame:
        names_ = [f"s{k}" for k in range(len(offsets)) for _ in range(20)]
        centre = np.repeat(offsets, 20)
        return pd.DataFrame({"strategy": names_, "low": centre - 0.1, "high": centre + 0.1})

    limit, root = zip_plot.reach(cell(0, 0, 0.1))
    assert not root
    assert limit == pytest.approx(1.05 * 0.2)
    limit, root = zip_plot.reach(cell(0, 0, -1))
    assert root
    assert limit > 1.1
    assert zip_plot.ticks(0.15, root=False) == [-0.1, 0.0, 0.1]
    assert zip_plot.ticks(1.2, root=True) == [-0.5, 0.0, 0.5]


def test_captions_say_why_a_measure_is_not_defined(tmp_path: Path) -> None:
    (figure,) = drawn(write_fits(tmp_path / "fits.parquet", n_obs=[5]), "standard_errors")
    said = texts(figure)
    assert "Not defined for lm2 at times: with hardly more observations per group than" in said
    assert "t distribution with 2 df" in said


def test_names_that_are_too_long_are_broken_where_they_have_parts() -> None:
    assert zip_plot.in_lines("lmer_mis", 9) == "lmer_mis"
    assert zip_plot.in_lines("lmer_items_select", 11) == "lmer_items_\nselect"
    assert zip_plot.in_lines("extraordinarily_new", 9) == "extraord…\nnew"


def test_lines_are_of_one_slope(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_obs=[25], n_sims=2)
    study = read_fits(path, "fit_success").study
    rows = read_measures(path.with_name("performance.parquet"), ["rejection"], View.of(study))
    terms_ = ["Intercept", "IV1", "IV2", "IV3"]
    assert points.chosen_terms(rows, terms_, joined=True) == ["IV1"]
    assert points.chosen_terms(rows, ["Intercept"], joined=True) == ["Intercept"]
    assert points.chosen_terms(rows, terms_) == terms_


def test_nested_loops_have_every_condition(tmp_path: Path) -> None:
    grid_of = {"noise_sd": [1, 2]}
    path = write_fits(tmp_path / "fits.parquet", n_groups=[10, 30], grid=grid_of, n_obs=[25])
    (figure,) = drawn(path, "nested_loop")
    steps = [
        [it.get_data()[0] for it in axes.patches if isinstance(it, StepPatch)]
        for axes in figure.axes
    ]
    table = measured(path, "size").query("term == 'IV1'")
    assert len(steps[0]) == 4
    assert np.sort(np.concatenate(steps[0])) == pytest.approx(np.sort(table["value"]))
    # the axes that change slowest come first
    first = table[table["strategy"] == "lm"].sort_values(["n_groups", "noise_sd", "sigma"])
    assert steps[0][0] == pytest.approx(first["value"].to_numpy())
    assert [len(of_axis) for of_axis in steps[2:]] == [1, 1, 1]


def test_cost_is_the_median_time_and_the_ratio(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_obs=[25])
    (figure,) = drawn(path, "cost", terms=["IV2"])
    timings = pd.read_parquet(tmp_path / "timings.parquet")
    expected = timings.groupby(["sigma", "strategy"])["cpu_seconds"].median().mul(1e3)
    shown = [
        np.asarray(it.get_offsets())
        for it in figure.axes[0].collections
        if isinstance(it, PathCollection)
    ]
    times = np.sort(np.concatenate(shown)[:, 0])
    assert times == pytest.approx(np.sort(expected))
    ratios = measured(path, "rmse_ratio").query("term == 'IV2'")
    with_lmer = ratios[ratios["reference"] == "lmer"]["value"]
    turned = 1 / ratios[ratios["strategy"] == "lmer"]["value"]
    heights = np.sort(np.concatenate(shown)[:, 1])
    assert heights == pytest.approx(np.sort([*with_lmer, *turned, 1.0, 1.0]))


def test_a_fit_that_strategies_share_costs_each_of_them() -> None:
    with_t = {"name": "lmer_again", "from": "lmer", "interval": "t"}
    study = a_study(strategies=["lmer", with_t])
    keys = ["n_groups", "n_obs", "sigma", "strategy"]
    rows = [[10, 5, 1.0, "lmer", 3.0], [10, 5, 1.0, "lmer_again", 0.5]]
    timings = pd.DataFrame(rows, columns=[*keys, "cpu_seconds"])
    assert cost.cpu_per_fit(timings, keys, study)["cpu"].tolist() == [3.0, 3.5]


def test_convergence_counts_each_fit_by_its_gravest_cause(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", verdict="strict", n_sims=50)
    rows = convergence.read_causes(path)
    table = rows.frame.set_index(["sigma", "strategy"])
    assert (table[list(CAUSES)].sum(axis=1) == 50).all()
    for measure, share in {
        "convergence_rate": table["none"] / 50,
        "gradient_rate": table["gradient"] / 50,
        "missed_optimum_rate": table["value"],
    }.items():
        rates = measured(path, measure).set_index(["sigma", "strategy"])["value"]
        assert share.sort_index().to_numpy() == pytest.approx(
            rates.sort_index().to_numpy(), nan_ok=True
        )
    said = texts(convergence.draw(rows))
    assert "left out: lm, lm2" in said
    assert "optimum" in said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "none"),
        ({"singular": True}, "singular"),
        ({"singular": True, "grad_msg": "large"}, "gradient"),
        ({"grad_msg": "large", "hess_msg": "bad"}, "hessian"),
        ({"df_msg": "bad"}, "df"),
        ({"opt_code": 5, "messages": "what"}, "optimizer"),
        ({"status": "failed", "messages": "no rows", "opt_code": 5}, "failed"),
        ({"messages": "what", "singular": None, "opt_code": None}, "other"),
    ],
)
def test_the_gravest_cause_counts(said: dict[str, object], expected: str) -> None:
    silent = {"status": "ok", "singular": False, "opt_code": 0, "grad_msg": "", "hess_msg": None}
    row = silent | {"df_msg": "", "messages": None} | said
    types = {"singular": pa.bool_(), "opt_code": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in row])
    assert causes(pa.Table.from_pylist([row], schema=schema)).to_pylist() == [expected]


ODD: dict[str, dict[str, object]] = {
    "one condition": {"sigma": [1]},
    "one replication": {"n_sims": 1},
    "one fit": {"strategies": ["lmer"], "n_sims": 1, "sigma": [1]},
    "all failed": {"failed": True, "n_sims": 3},
    "twenty strategies": {"strategies": TWENTY, "n_sims": 3, "sigma": [1]},
    "several axes, long names": {
        "n_sims": 2,
        "sigma": [1],
        "strategies": ["lm", {"name": "two_stage_" * 6, "from": "lm2", "label": "a label " * 40}],
        "grid": {
            "noise_sd": [1, 2],
            "predictor_correlation": [0, 0.5],
            "predictor_sd": {"equal": 1, "unequal_" * 4: [1, 2, 3]},
        },
    },
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_studies_are_drawn(tmp_path: Path, odd: str) -> None:
    path = write_fits(tmp_path / "fits.parquet", **ODD[odd])  # type: ignore[arg-type]
    for name in names.NAMES:
        figures = drawn(path, name)
        assert figures
        figures[0].draw_without_rendering()
        for word in ("nan", "None", "NaN", "undefined", "<NA>"):
            assert word not in re.findall(r"[\w<>]+", texts(figures[0])), name
        if "long names" in odd:
            inside = figures[0].get_tightbbox()
            assert -0.05 <= inside.x0 < inside.x1 <= figures[0].get_figwidth() + 0.05, name


def test_a_grid_of_640_conditions_is_drawn(tmp_path: Path) -> None:
    levels, sigma = [5, 6, 8, 10, 12, 15, 20, 25], [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4]
    small = write_fits(tmp_path / "fits.parquet", sigma=[1], strategies=["lm", "lmer"])
    config = {"n_groups": levels, "n_obs": levels, "sigma": sigma, "n_sims": 20}
    study = load_study(config | {"strategies": ["lm", "lmer"]}, "made-up")
    for name in ("fits", "performance"):
        one = pq.read_table(small.with_name(f"{name}.parquet"))
        # the one condition's rows for each of them
        columns = {
            column: np.repeat([condition[column] for condition in study.conditions], len(one))
            if column in MAIN
            else pa.concat_arrays(one[column].chunks * len(study.conditions))
            for column in one.column_names
        }
        made = pa.table(columns).cast(one.schema.remove_metadata())
        metadata = table_identity(study, {})
        pq.write_table(made.replace_schema_metadata(metadata), small.with_name(f"{name}.parquet"))
    for name in ("size", "nested_loop", "grid"):
        (figure,) = drawn(small, name)
        figure.draw_without_rendering()
        inside = figure.get_tightbbox()
        assert inside.x1 <= figure.get_figwidth() + 0.05 < 14, name


def test_axes_can_go_anywhere(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", n_groups=[10, 30], grid={"noise_sd": [1, 2]})
    study = read_fits(path, "fit_success").study
    # n_obs has one level: the further axis has its place
    assert Layout.of(study) == Layout("n_groups", "noise_sd", "sigma")
    assert Layout.of(study, x="n_groups") == Layout("sigma", "noise_sd", "n_groups")
    layout = Layout.of(study, columns="n_obs")
    assert layout == Layout("n_groups", "n_obs", "sigma")
    assert [
        rows.slice
        for rows in read_fits(path, "se_sum", View.of(study, layout=layout)).slices().values()
    ] == [
        "noise_sd=1",
        "noise_sd=2",
    ]
    alone = a_study(sigma=[1], n_obs=[5])
    assert Layout.of(alone) == Layout("sigma", "n_obs", "n_groups")
    (figure,) = drawn(path, "size", layout=Layout.of(study, x="n_groups"))
    assert "Number of groups" in texts(figure)
    assert marks(figure) == pytest.approx(sorted(measured(path, "size")["value"]))


def test_the_posts_figures_are_drawn_as_the_post_drew_them(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet")
    assert draw.main([str(path), "--style", "post", "--only", "se_sum"]) == 0
    folder = tmp_path / "figures-of-the-post"
    assert sorted(file.name for file in folder.iterdir()) == ["se_sum.png", "se_sum.svg"]
    assert provenance.made_with(folder / "se_sum.svg")["wishes"] == "style"
    (figure,) = drawn(path, "convergence", post=True)
    filled = {to_hex(patch.get_edgecolor()) for patch in figure.axes[0].patches}
    assert filled == {colour.lower() for colour in colours.POST.values()}


def test_pictures_have_256_colours(tmp_path: Path) -> None:
    table = write_fits(tmp_path / "fits.parquet")
    assert draw.main([str(table), "--only", "coef_abs_err"]) == 0
    with Image.open(tmp_path / "figures" / "coef_abs_err.png") as picture:
        assert picture.mode == "P"
        assert round(picture.info["dpi"][0]) == style.DPI


def test_a_machine_without_semaphores_draws_one_figure_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # as where /dev/shm can't be written
    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refused)
    table = write_fits(tmp_path / "fits.parquet")
    assert draw.main([str(table), "--only", "size", "se_sum", "--jobs", "2"]) == 0
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"size", "se_sum"}


def test_pdf_files_are_drawn_if_asked_and_never_older_than_the_others(tmp_path: Path) -> None:
    table = write_fits(tmp_path / "fits.parquet")
    command = [str(table), "--only", "size"]
    assert draw.main(command) == 0
    path = tmp_path / "figures" / "size.pdf"
    assert not path.exists()
    assert draw.main([*command, "--pdf"]) == 0
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"/CreationDate" not in content
    assert b"/Type3" not in content, "a font that journals refuse"
    assert b'"study"' in content
    path.write_text("of an older study")
    assert draw.main(command) == 0
    assert path.read_bytes() == content


def test_pictures_keep_the_colours_of_a_few_marks() -> None:
    figure = Figure(figsize=(4, 3))
    axes = figure.add_axes((0, 0, 1, 1))
    ramp = np.linspace(0, 1, 300)
    axes.imshow(
        np.stack(
            [np.outer(ramp, ramp), ramp[:, None] * np.ones(300), ramp[::-1] * np.ones((300, 1))],
            axis=-1,
        )
    )
    axes.plot([150], [150], "o", color="#5b3e96", markersize=5)
    figure.text(0.02, 0.98, "A text above", va="top")
    axes.set_position((0, 0, 1, 0.9))
    picture = style.in_palette(figure)
    assert picture.convert("RGB").getpixel((picture.width - 1, 0)) == (255, 255, 255)
    assert len(picture.getcolors()) <= 256
    assert (0x5B, 0x3E, 0x96) in [colour for _, colour in picture.convert("RGB").getcolors(10**6)]


def test_what_stands_above_the_legend_can_be_cut_off(tmp_path: Path) -> None:
    path = write_fits(tmp_path / "fits.parquet", incomplete="3 of 4")
    assert draw.main([str(path), "--only", "size"]) == 0
    with Image.open(tmp_path / "figures" / "size.png") as picture:
        head, said = float(picture.info["Head"]), picture.info["Description"]
    assert 0.1 < head < 0.4
    assert said.startswith("INCOMPLETE: 3 of 4. How often a strategy's test rejects")
    drawing = (tmp_path / "figures" / "size.svg").read_text()
    names_ = re.findall(r'id="(head-\w+|text_\d+|legend_\d+)"', drawing)
    # no letter that others need is drawn with it
    assert sorted(names_[-4:]) == ["head-0", "head-1", "head-2", "head-banner"]
    assert "head" not in "".join(names_[:-4])


def test_folders_of_slices_have_names_that_files_can_have() -> None:
    name = "noise_sd=1"
    assert names.paths(Path("f"), "size", [name])[0] == Path("f/noise_sd=1/size.png")
    long = [",".join(f"key_{k}={level}" for k in range(40)) for level in (1, 2)]
    folders = [path.parent.name for path in names.paths(Path("f"), "size", long)]
    assert len(set(folders)) == 2
    assert max(map(len, folders)) < 255


def test_numbers_have_a_minus() -> None:
    row = pd.Series({"value": -0.5, "mcse": 1e-7})
    assert points.spelled_value(row, points.SPECS["bias"]) == ("−0.5", "1e−07")


def test_large_numbers_have_no_exponent() -> None:
    row = pd.Series({"value": -1613.0, "mcse": 128.0})
    assert points.spelled_value(row, points.SPECS["bias"]) == ("−1,600", "100")


def test_names_are_known_without_what_draws() -> None:
    assert set(draw.FIGURES) == {*names.NAMES}
    code = "import sys, rmsweep.figures.names; print('matplotlib' in sys.modules)"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(Path(draw.__file__).parent)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == "False\n"


def test_each_slice_is_drawn_alone_and_named(tmp_path: Path) -> None:
    path = write_fits(
        tmp_path / "fits.parquet", n_groups=[10, 30], n_obs=[5, 25], grid={"noise_sd": [1, 2]}
    )
    whole = read_fits(path, "se_sum")
    slices = whole.slices()
    assert list(slices) == ["noise_sd=1", "noise_sd=2"]
    assert [len(fits.frame) for fits in slices.values()] == [640, 640]
    for name, fits in slices.items():
        assert fits.slice == name
        assert f"noise SD {name[-1]}" in texts(metrics.draw(fits, "se_sum"))
    first, second = (fits.frame["value"].to_numpy() for fits in slices.values())
    assert not np.isin(first, second).any()


def test_figures_of_slices_have_folders(tmp_path: Path) -> None:
    path = write_fits(
        tmp_path / "fits.parquet",
        n_groups=[10, 30],
        n_obs=[5, 25],
        grid={"noise_sd": [1, 2]},
        n_sims=2,
    )
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
    some = ["se_sum", "size", "zip", "convergence", "nested_loop", "coefficients"]
    for folder, only in (("first", []), ("second", ["--only", *some])):
        assert draw.main([str(table), "--output", str(tmp_path / folder), *only]) == 0
        runs.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert len(runs[0]) == 2 * len(names.NAMES)
    assert len(runs[1]) == 2 * len(some)
    assert runs[1].items() <= runs[0].items()
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
    wanted = ["se_sum", "grid"]
    assert draw.main([str(table), "--output", str(tmp_path / "plain"), "--only", *wanted]) == 0
    command = [sys.executable, draw.__file__, str(table), "--output", "users", "--only", *wanted]
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
