"""The page in a browser without a network: numbers, address, files, and who can use it."""

from __future__ import annotations

import base64
import io
import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from browser import APPEARANCES, STRANGE, TYPED, Page
from pages import HEAD, ODD, ONE, SAID, a_study, write_page
from rmsweep.report import page, words

pytestmark = pytest.mark.slow

LABEL = re.compile(
    r"(?P<analysis>\S+), (?P<condition>.+): (?P<value>\S+?)(?P<unit>%| points|) "
    r"\((?:MCSE|95% interval) .+\)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study with a page."""
    return write_page(a_study(), tmp_path_factory.mktemp("page")).parent


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with the page."""
    opened = Page(folder / "report.html", tmp_path_factory.mktemp("downloads"))
    yield opened
    opened.driver.quit()


@pytest.fixture
def opened(browser: Page) -> Iterator[Page]:
    """The page as it opens; nothing may complain."""
    browser.open()
    yield browser
    assert browser.console() == []


@pytest.fixture(scope="module")
def measured(folder: Path) -> pd.DataFrame:
    """The table that the page shows."""
    frame = pd.read_parquet(folder / "performance.parquet")
    parts = [
        frame[axis].map(lambda level, axis=axis: words.of_level(axis, level))
        for axis in ("n_groups", "n_obs", "sigma")
    ]
    return frame.assign(condition=parts[0] + ", " + parts[1] + ", " + parts[2])


def both_ways(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with each of its comparisons the other way round, too."""
    pairs = frame[frame["reference"].notna()]
    other = pairs.rename(columns={"strategy": "reference", "reference": "strategy"})
    value, measure = other["value"], other["measure"]
    other["value"] = np.select(
        [
            measure.str.startswith("difference"),
            measure.str.contains("ratio"),
            measure.str.startswith("precision_gain"),
        ],
        [-value, 1 / value, 100 * (1 / (1 + value / 100) - 1)],
        value,
    )
    return pd.concat([frame, other], ignore_index=True)


def numbers(opened: Page) -> dict[tuple[str, str], float]:
    """The values in the main chart, by analysis and condition."""
    found = {}
    for label in opened.marks():
        parts = LABEL.fullmatch(label)
        assert parts, label
        value = float(parts["value"].replace("−", "-")) / (100 if parts["unit"] else 1)
        found[parts["analysis"], parts["condition"]] = value
    assert len(found) == len(opened.marks())
    return found


def expected(measured: pd.DataFrame, measure: str, **chosen: Any) -> dict[tuple[str, str], float]:
    """The values of a measure, by analysis and condition."""
    rows = measured[(measured["measure"] == measure) & measured["value"].notna()]
    rows = both_ways(rows)
    for column, value in chosen.items():
        rows = rows[rows[column] == value]
    keys = zip(rows["strategy"], rows["condition"], strict=True)
    kind = words.of_measure(measure).kind
    scale = 0.01 if kind == "percent" else 1.0
    return dict(zip(keys, scale * rows["value"], strict=True))


def assert_shown(opened: Page, wanted: dict[tuple[str, str], float]) -> None:
    """The chart shows these values, to the digits that it has, and no others."""
    shown = numbers(opened)
    assert shown.keys() == wanted.keys()
    for key, value in wanted.items():
        assert shown[key] == pytest.approx(value, rel=6e-4, abs=1e-9), key


def test_every_measure_has_the_numbers_of_the_table(opened: Page, measured: pd.DataFrame) -> None:
    there = measured[measured["value"].notna()]
    assert set(opened.options("measure")) == set(there["measure"])
    for measure in opened.options("measure"):
        opened.set("measure", measure)
        rows = there[there["measure"] == measure]
        chosen: dict[str, Any] = {"fits": "all"}
        if rows["term"].notna().any():
            chosen["term"] = "IV1"
        if rows["reference"].notna().any():
            chosen["reference"] = "lmer"
        assert_shown(opened, expected(measured, measure, **chosen))


def test_every_control_shows_the_numbers_of_the_table(opened: Page, measured: pd.DataFrame) -> None:
    for term in opened.options("term"):
        opened.set("term", term)
        assert_shown(opened, expected(measured, "coverage", term=term, fits="all"))
    opened.set("fits", "converged")
    converged = expected(measured, "coverage", term="IV3", fits="converged")
    assert_shown(opened, converged)
    for x in opened.options("x"):
        opened.set("x", x)
        assert_shown(opened, converged)
    assert opened.run("return document.getElementById('columns').value") != "n_obs"
    opened.set("fits", "all")
    opened.set("rows", "")
    held = opened.run("return document.querySelector('#held .control:not([hidden]) select').id")
    axis = held.removeprefix("at-")
    for level in opened.options(held):
        opened.set(held, level)
        chosen = {axis: float(level), "term": "IV3", "fits": "all"}
        assert_shown(opened, expected(measured, "coverage", **chosen))
    opened.set("columns", "")
    assert len(numbers(opened)) == 2 * 4
    opened.driver.find_element(By.CSS_SELECTOR, "input[data-analysis=lm2]").click()
    opened.drawn()
    assert {analysis for analysis, _ in numbers(opened)} == {"lm", "lmer", "lmer_mis"}
    opened.open("#m=rmse_ratio")
    opened.set("reference", "lmer")
    compared = expected(measured, "rmse_ratio", term="IV1", fits="all", reference="lmer")
    assert_shown(opened, compared)
    keys = opened.driver.find_element(By.ID, "keys").text.split()
    assert keys == ["lm", "lm2", "lmer_mis"]
    opened.open("#m=difference_of_size")
    assert all(re.search(r"points \(", label) for label in opened.marks())
    assert "percentage points" in opened.driver.find_element(By.ID, "explorer-title").text
    opened.open("#m=coverage")
    assert "grey band" in opened.driver.find_element(By.ID, "explorer-caption").text
    opened.open("#m=rmse")
    opened.set("scale", "log")
    assert_shown(opened, expected(measured, "rmse", term="IV1", fits="all"))
    ticks = opened.run(
        "return [...document.querySelectorAll('#explorer text')].map((it) => it.textContent)"
    )
    assert sum(bool(re.fullmatch(r"[0-9.]+", tick)) for tick in ticks) >= 4
    assert not [tick for tick in ticks if re.search("[0-9]e[+−-]?[0-9]", tick)]
    # points have the room of their panels
    script = """const all = [...document.querySelectorAll("#explorer path[aria-label]")]
        .map((it) => it.getBoundingClientRect().y);
        const [first] = [...document.querySelectorAll("#explorer .background")]
            .map((it) => it.getBoundingClientRect())
            .filter((it) => it.height > 50)
            .sort((one, two) => one.height - two.height || one.top - two.top);
        const own = all.filter((y) => first.top <= y && y <= first.bottom);
        return (Math.max(...own) - Math.min(...own)) / first.height"""
    assert opened.run(script) > 0.4


def test_what_is_undefined_is_disabled_and_says_why(opened: Page) -> None:
    script = """const it = document.querySelector("#measure option[value=relative_bias]");
        return [it.disabled, it.textContent]"""
    disabled, text = opened.run(script)
    assert disabled
    assert "the true coefficient is drawn anew for each dataset" in text
    opened.set("measure", "rmse")
    caption = opened.driver.find_element(By.ID, "explorer-caption").text
    assert (
        "Some values are missing for lm2: with so few rows in a group, or such noise, estimates "
        "have tails like those of t with 2 df, so the measure does not exist."
    ) in caption


def test_the_address_restores_the_view(opened: Page) -> None:
    assert opened.run("return location.hash") == ""
    opened.set("measure", "size")
    opened.set("term", "IV2")
    opened.set("x", "n_obs")
    opened.driver.find_element(By.CSS_SELECTOR, "input[data-analysis=lmer]").click()
    opened.drawn()
    opened.set("condition", "5")
    opened.set("replications-of", "se")
    hash_, marks = opened.run("return location.hash"), opened.marks()
    state = dict(part.split("=") for part in hash_[1:].split("&"))
    assert state == {
        **{"m": "size", "t": "IV2", "x": "n_obs", "c": "sigma", "k": "5", "w": "se"},
        "a": "lm%2Clm2%2Clmer_mis",
    }
    opened.open(hash_)
    assert opened.marks() == marks
    assert opened.run("return document.getElementById('condition').value") == "5"
    opened.open("#m=size&t=nobody&zzz=1&k=99&a=&x=__proto__&c=constructor")
    assert {label.split(",")[0] for label in opened.marks()} == {"lm", "lm2", "lmer", "lmer_mis"}
    opened.run("location.hash = '#m=bias'")
    opened.until(lambda: "Bias" in opened.driver.find_element(By.ID, "explorer-title").text)
    opened.drawn()
    opened.run("location.hash = '#methods'")
    opened.drawn()
    assert "Bias" in opened.driver.find_element(By.ID, "explorer-title").text


def test_findings_link_to_their_views(opened: Page) -> None:
    links = opened.driver.find_elements(By.CSS_SELECTOR, ".findings a")
    assert links
    for link in links[:2]:
        opened.run("arguments[0].click()", link)
        hash_ = link.get_attribute("href").partition("#")[2]
        measure = dict(part.split("=") for part in hash_.split("&"))["m"]
        title = words.of_measure(measure).title
        opened.until(
            lambda title=title: opened.driver.find_element(By.ID, "explorer-title").text.startswith(
                title
            )
        )
        opened.drawn()
        assert opened.marks()


def test_files_hold_what_is_shown(opened: Page, measured: pd.DataFrame) -> None:
    columns = ["n_groups", "n_obs", "sigma", "strategy", "reference", "term", "measure", "fits"]
    numeric = ["value", "mcse", "low", "high"]
    counts = ["n_planned", "n_run", "n_converged", "n_used"]
    every = pd.read_csv(opened.download("csv-all", "performance.csv"))
    assert list(every.columns) == [*columns, *numeric, *counts, "reason"]
    table = measured.merge(every, on=columns, suffixes=("", "_page"), validate="1:1")
    assert len(table) == len(every) == len(measured)
    # of five significant digits of values, and four of standard errors and ends of intervals
    for name in numeric:
        assert (table[name].isna() == table[f"{name}_page"].isna()).all()
        rounding = 1e-4 * table["value"].abs() + 2e-3 * table["mcse"].abs().fillna(0)
        if name in ("low", "high"):
            rounding += 6e-4 * table[name].abs()
        far = (table[name] - table[f"{name}_page"]).abs() > rounding + 1e-9
        assert not far.any(), table[far][[*columns, *numeric, f"{name}_page"]]
    for name in counts:
        assert (table[f"{name}_page"] == table[name]).all()
    shown = pd.read_csv(opened.download("csv", "coverage.csv"))
    assert set(shown["measure"]) == {"coverage"}
    assert len(shown) == len(numbers(opened))
    opened.run(
        "const it = document.querySelector('input[type=search]'); it.value = 'lm2';"
        "it.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    found = pd.read_csv(opened.download("csv-shown", "shown.csv"))
    assert set(found["strategy"]) == {"lm2"}

    svg = opened.download("svg", "coverage.svg").read_text()
    assert svg.startswith("<svg")
    assert "var(" not in svg
    for text in ("Coverage of 95% intervals of IV1", "lmer_mis: Mixed model", "Study “paged”"):
        assert text in svg
    picture = opened.download("png", "coverage.png")
    opened.until(lambda: picture.stat().st_size)
    with Image.open(picture) as image:
        assert image.width > 1500
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_a_chart_has_the_room_that_it_had_before(opened: Page) -> None:
    width = "return document.querySelector('#explorer svg').getAttribute('width')"
    before = opened.run(width)
    columns = opened.run("return document.getElementById('columns').value")
    opened.set("columns", "")
    opened.set("columns", columns)
    assert opened.run(width) == before


def test_a_rate_without_exceptions_is_no_certainty(opened: Page, measured: pd.DataFrame) -> None:
    opened.set("measure", "failed_rate")
    rows = measured[measured["measure"] == "failed_rate"]
    assert (rows["value"] == 0).all()
    assert (rows["mcse"] == 0).all()
    end = f"{100 * rows['high'].iloc[0]:.3g}%"
    for label in opened.marks():
        assert label.endswith(f": 0% (95% interval 0% to {end})")
    shown = pd.read_csv(opened.download("csv", "failed_rate.csv"))
    assert (shown["low"] == 0).all()


def test_a_coefficient_that_a_strategy_does_not_estimate_is_named(
    browser: Page, tmp_path: Path
) -> None:
    path = write_page(a_study(**ONE, strategies=["lm", "fe_cr2", "lmer"], n_sims=3), tmp_path)
    browser.open(path=path)
    caption = browser.driver.find_element(By.ID, "explorer-caption")
    browser.set("term", "Intercept")
    assert "No values for fe_cr2: no fit of fe_cr2 estimates Intercept." in caption.text
    browser.set("measure", "coef_abs_err_median")
    assert "No values for fe_cr2: not every coefficient is estimated." in caption.text
    browser.open(path=path)
    svg = browser.download("svg", "coverage.svg").read_text()
    for strategy in a_study(strategies=["lm", "fe_cr2", "lmer"]).strategies:
        assert f">{strategy.name}: {strategy.label}<" in svg
    assert browser.console() == []


def test_a_click_on_a_point_shows_its_condition(opened: Page) -> None:
    label = "lmer, 16 groups, 12 observations, SD 1: "
    path = opened.driver.find_element(By.CSS_SELECTOR, f"#explorer path[aria-label^='{label}']")
    path.click()
    opened.drawn()
    caption = opened.driver.find_element(By.ID, "replications-caption").text
    assert caption.startswith("16 groups, 12 observations, SD 1. Points: all 60 replications.")
    said = opened.driver.find_element(By.ID, "explorer-chosen").text
    assert said.startswith("Ringed: 16 groups, 12 observations, SD 1, shown below.")
    for name in ("simulate", "dataset-page"):
        command = opened.driver.find_element(By.ID, name).text
        assert "--n-groups 16 --n-obs 12 --sigma 1 --sim 0" in command
    opened.click("next")
    opened.drawn()
    caption = opened.driver.find_element(By.ID, "replications-caption").text
    assert caption.startswith("8 groups, 5 observations, SD 0.1.")


def test_one_dataset_has_the_estimates_of_the_table(opened: Page, folder: Path) -> None:
    coefs = pd.read_parquet(folder / "coefs.parquet")
    own = coefs[
        (coefs["n_groups"] == 8)
        & (coefs["n_obs"] == 5)
        & (coefs["sigma"] == 0.1)
        & (coefs["sim"] == 0)
        & (coefs["term"] == "IV1")
    ]
    said = {label.split(":")[0]: label for label in opened.marks("forest")}
    assert list(said) == list(own["strategy"])
    for row in own.itertuples():
        value = re.search(r": (\S+), interval", said[row.strategy])
        assert value
        assert float(value[1].replace("−", "-")) == pytest.approx(row.estimate, rel=1e-3)


def test_figures_are_drawings_where_these_take_less_room(opened: Page) -> None:
    script = """return [...document.querySelectorAll(".static img")].map((it) => [
        it.dataset.kind, it.naturalWidth, it.width / it.height,
        it.closest("figure").innerText])"""
    drawing, picture = opened.run(script)
    # without what the title below it says
    assert drawing[:3] == ["image/svg+xml", 800, pytest.approx(1.5 / (1 - HEAD), rel=0.01)]
    assert SAID in drawing[3]
    assert picture[:3] == ["image/webp", page.PIXELS, pytest.approx(1.5, rel=0.01)]
    assert "Smaller is better only where the intervals also cover." in picture[3]


@pytest.mark.parametrize("appearance", APPEARANCES)
def test_figures_have_the_ground_of_the_page_and_legible_letters(
    browser: Page, appearance: str
) -> None:
    with browser.appearing(appearance):
        browser.open()
        figure = browser.driver.find_element(By.CSS_SELECTOR, ".static .scroll")
        with Image.open(io.BytesIO(figure.screenshot_as_png)) as picture:
            corner = picture.convert("RGB").getpixel((3, 3))
        assert isinstance(corner, tuple)
        ground = (20, 20, 20) if appearance == "dark" else (255, 255, 255)
        assert max(abs(one - two) for one, two in zip(corner, ground, strict=True)) < 5
        script = "const it = document.querySelector('.static img'); return it.width"
        if appearance == "phone":
            room = browser.run("return document.querySelector('.static .scroll').clientWidth")
            assert browser.run(script) == room
            browser.run("document.querySelector('.static .full').click()")
        assert browser.run(script) == 600
        assert browser.console() == []


def test_no_column_is_cut_on_a_usual_screen(opened: Page) -> None:
    for measure in ("coverage", "rmse_ratio", ""):
        opened.set("filter-measure", measure)
        wide = "return document.querySelector('#performance').offsetWidth"
        room = "return document.querySelector('#numbers .scroll').clientWidth"
        if measure:  # all at once have more columns
            assert opened.run(wide) <= opened.run(room), measure
        heads = opened.run(
            "return [...document.querySelectorAll('#performance thead th')]"
            ".map((it) => it.innerText)"
        )
        assert ("Measure" in heads) == (not measure)
        assert {"Value", "MCSE", "Used", "Groups"} <= set(heads)


def test_a_study_of_power_says_how_many_groups_it_takes(browser: Page, tmp_path: Path) -> None:
    keys = {"beta": [0, 0.3, 0, 0], "power": {"effect": "IV1"}, "n_obs": [5], "n_sims": 20}
    path = write_page(a_study(**keys), tmp_path)
    browser.open(path=path)
    table = pd.read_parquet(tmp_path / "sample_sizes.parquet")
    browser.set("needed-filter-strategy", "lmer")
    found = pd.read_csv(browser.download("needed-csv", "sample_sizes.csv"))
    own = table[table["strategy"] == "lmer"].reset_index(drop=True)
    assert list(found.columns) == list(table.columns)
    for name in table.columns:
        if found[name].dtype == float:
            np.testing.assert_allclose(found[name], own[name].astype(float), rtol=1e-4)
        else:
            assert list(found[name]) == list(own[name])
    assert browser.console() == []


def test_fits_with_warnings_have_their_command(opened: Page, folder: Path) -> None:
    fits = pd.read_parquet(folder / "fits.parquet")
    button = opened.driver.find_element(By.CSS_SELECTOR, "button[data-command]")
    command = button.get_attribute("data-command")
    assert command in set(fits["rerun"])
    counts = opened.run(
        "return [...document.querySelectorAll('#fit-complaints table.together td')]"
        ".map((it) => Number(it.textContent.replace(',', '')))"
    )
    assert sum(counts) == len(fits)


def test_on_a_phone_commands_are_below_what_they_are_of(browser: Page) -> None:
    with browser.appearing("phone"):
        browser.open()
        row = browser.driver.find_element(By.CSS_SELECTOR, "#complaints tbody tr")
        head = "return getComputedStyle(arguments[0].cells[0], '::before').content"
        assert browser.run(head, row) == '"Strategy: "'
        assert row.text.startswith("lmer")
        inside = """const [row] = arguments, {left, right} = row.getBoundingClientRect();
            return left >= 0 && right <= innerWidth &&
                [...row.querySelectorAll("*")].every((it) =>
                    it.getBoundingClientRect().right <= right + 1)"""
        # commands are what is widest
        assert browser.run(inside, row)
        keys = browser.driver.find_element(By.ID, "keys").text.split()
        assert keys == ["lm", "lm2", "lmer", "lmer_mis"]
        assert browser.console() == []


def test_tab_reaches_every_control_in_order(opened: Page) -> None:
    assert opened.controls_by_tab() > 40


@pytest.mark.parametrize("appearance", APPEARANCES)
def test_everybody_can_use_it(browser: Page, appearance: str) -> None:
    with browser.appearing(appearance):
        browser.open()
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (appearance != "dark")
        browser.can_be_used_by_all()
        assert browser.marks()
        assert browser.console() == []


def test_the_theme_can_be_chosen(opened: Page) -> None:
    for theme, ground in (("dark", (20, 23, 28)), ("light", (255, 255, 255))):
        opened.set("theme", theme)
        found = opened.run("return getComputedStyle(document.body).backgroundColor")
        assert found == f"rgb{ground}"
    opened.set("theme", "system")


def test_it_prints(opened: Page, tmp_path: Path) -> None:
    printed = opened.cdp("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
    path = tmp_path / "page.pdf"
    path.write_bytes(base64.b64decode(printed["data"]))
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True
    ).stdout
    headings = opened.run(
        "return [...document.querySelectorAll('h1, h2, h3')].map((it) => it.textContent.trim())"
    )
    flat = " ".join(text.split())
    for heading in headings:
        assert heading in flat, heading
    for sheet in text.split("\f"):
        lines = [line.strip() for line in sheet.splitlines() if line.strip()]
        if lines:
            assert lines[-1] not in headings, f"orphaned: {lines[-1]}"
            assert not re.match("(Strategy|Groups) {2,}", lines[-1]), f"orphaned: {lines[-1]}"
    assert "Copy" not in flat
    # whose marks are whose
    assert "lmer_mis: Mixed model with random intercepts only" in flat
    assert "@article{morris2019" in flat


def test_nothing_is_wider_than_a_sheet(browser: Page) -> None:
    browser.cdp("Emulation.setEmulatedMedia", media="print")
    # A4 without the printer's margins
    sheet = {"width": 717, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.cdp("Emulation.setDeviceMetricsOverride", **sheet)
    try:
        browser.open()
        browser.run("dispatchEvent(new Event('beforeprint'))")
        script = """return [...document.querySelectorAll("table, pre, img, .chart svg, td")]
            .filter((it) => it.checkVisibility())
            .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
            .map((it) => [it.outerHTML.slice(0, 80), it.getBoundingClientRect().right])"""
        assert browser.run(script) == []
        cut = """return [...document.querySelectorAll(".scroll, .chart, .dt-layout-table")]
            .filter((it) => getComputedStyle(it).overflowX !== "visible").length"""
        assert browser.run(cut) == 0
    finally:
        browser.cdp("Emulation.setEmulatedMedia", media="")
        browser.cdp("Emulation.clearDeviceMetricsOverride")


def test_it_draws_in_a_frame_of_another_page(opened: Page, folder: Path, tmp_path: Path) -> None:
    encoded = base64.b64encode((folder / "report.html").read_bytes()).decode()
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<!doctype html><title>outer</title><link rel="icon" href="data:,">'
        f'<iframe src="data:text/html;base64,{encoded}" width="1200" height="900"></iframe>'
    )
    opened.driver.get(outer.as_uri())
    opened.driver.switch_to.frame(0)
    opened.until(lambda: opened.run("return document.documentElement.dataset.page") == "drawn")
    assert opened.marks()
    opened.set("measure", "bias")
    assert "Bias" in opened.driver.find_element(By.ID, "explorer-title").text
    opened.driver.switch_to.default_content()


def marks_have_room(browser: Page) -> None:
    """However many marks there are on however small a screen, none hides another."""
    size = {"width": 240, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.cdp("Emulation.setDeviceMetricsOverride", **size)
    browser.run("for (const it of document.querySelectorAll('[data-family]')) it.click()")
    browser.run(
        "for (const it of document.querySelectorAll('[data-family]:not(:checked)')) it.click()"
    )
    browser.drawn()
    script = """return [...document.querySelectorAll("#explorer path[aria-label]")]
        .map((it) => it.getBoundingClientRect()).map((it) => Math.round(it.left + it.width / 2))"""
    browser.until(lambda: len(browser.run(script)) == 2 * 24)
    places = sorted(browser.run(script))
    assert min(two - one for one, two in itertools.pairwise(places)) >= 3
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    browser.drawn()


@pytest.mark.parametrize("name", ODD)
def test_odd_studies_have_pages_that_say_nothing_strange(
    browser: Page, tmp_path: Path, name: str
) -> None:
    path = write_page(a_study(**ODD[name].settings), tmp_path, ODD[name].failed)
    browser.console()
    browser.open(path=path)
    browser.run("for (const it of document.querySelectorAll('details')) it.open = true")
    # of a file, the address of a blob has a null for its origin
    text = browser.run(
        "return document.body.innerText + document.documentElement.outerHTML"
        ".replace(/<(script|style)[^]*?<\\/\\1>|blob:[^\"]*/g, '')"
    )
    assert not STRANGE.search(text), STRANGE.search(text)
    assert browser.run(TYPED) == []
    labels = browser.marks()
    assert labels
    assert ("No strategy gave a result here." in text) == ODD[name].failed
    if name == "not_crossed":
        assert "not in the study" in browser.driver.find_element(By.ID, "explorer").text
    if name == "many_strategies":
        marks_have_room(browser)
    for place in browser.options("condition")[:3]:
        browser.set("condition", place)
    for measure in browser.options("measure")[::12]:
        browser.set("measure", measure)
    assert browser.console() == []
    assert len(path.read_bytes()) < page.LARGEST
