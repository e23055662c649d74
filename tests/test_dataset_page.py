"""The page of one dataset: what it says, and in a browser, who can use it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from selenium.webdriver.common.by import By

import fit_table
import rerun_replication
from browser import APPEARANCES, STRANGE, Page
from pages import CONFIG
from rmsweep.report import dataset_page
from rmsweep.report.fitted import number
from test_notes import FOUR, a_case, sleepstudy

ROOT = Path(__file__).parents[1]
CELL = ["--n-groups", "8", "--n-obs", "5", "--sigma", "1", "--sim", "2"]
ORIGIN = dataset_page.Origin(
    source="a.csv",
    model="Reaction ~ Days",
    response="Reaction",
    read=["180 of 180 rows"],
    command="python x.py",
    versions={"numpy": "2"},
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a simulated dataset."""
    folder = tmp_path_factory.mktemp("simulated")
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    page = folder / "page.html"
    command = ["--config", str(config), *CELL]
    assert rerun_replication.main([*command, "--html", str(page)]) == 0
    return page


def cells_of(text: str, name: str) -> list[list[str]]:
    """The rows of a strategy's table of coefficients."""
    table = re.search(rf'aria-label="Coefficients by {name}">(.*?)</table>', text, re.DOTALL)
    assert table
    rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_a_simulated_dataset_has_the_numbers_of_its_fits(
    simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = simulated.read_text()
    config = str(simulated.with_name("small.yaml"))
    for name in FOUR:
        capsys.readouterr()
        assert rerun_replication.main(["--config", config, *CELL, "--strategy", name]) == 0
        printed = capsys.readouterr().out.splitlines()
        header = printed[1].split()
        rows = [dict(zip(header, line.split(), strict=True)) for line in printed[2:6]]
        shown = cells_of(text, name)[1:]
        assert [row[0] for row in shown] == [row["term"] for row in rows]
        for cells, row in zip(shown, rows, strict=True):
            assert float(cells[1].replace("−", "-")) == pytest.approx(float(row["truth"]), rel=1e-4)
            found = float(cells[2].replace("−", "-"))
            assert found == pytest.approx(float(row["estimate"]), rel=1e-4)
        sums = re.search(
            rf"<th scope=\"row\">{name}</th>(.*?)</tr>", text[text.index('id="sums"') :]
        )
        assert sums
        sum_of_se = next(line for line in printed if line.startswith("se_sum"))
        assert number(float(sum_of_se.split()[1]), 5) in sums[1]
    assert "replication 2 of study “small”" in text
    assert 'data-rule="truth"' in text


def test_it_loads_nothing_and_is_the_same_each_time(simulated: Path, tmp_path: Path) -> None:
    text = simulated.read_text()
    assert "default-src 'none'" in text
    for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", text):
        assert not re.search(r"(?:src|href)=[\"'](?!data:)", tag), tag
    assert "DataTables" not in text
    assert len(text) < 700_000
    again = tmp_path / "page.html"
    config = str(simulated.with_name("small.yaml"))
    assert rerun_replication.main(["--config", config, *CELL, "--html", str(again)]) == 0
    assert again.read_text().replace(str(again), str(simulated)) == text


def test_a_page_does_not_take_the_place_of_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("y,x,g\n1,2,3\n")
    command = [str(data), "--formula", "y ~ x", "--group", "g", "--html", str(data)]
    assert fit_table.main(command) == 2
    assert "allowed: another file than is read" in capsys.readouterr().err


def test_names_of_a_table_are_no_code() -> None:
    evil = "</script><b>x"
    case = replace(
        a_case(), terms=("Intercept", evil), groups=tuple(f"{evil}{k}" for k in range(18))
    )
    rows = [
        row | {"coefs": [row["coefs"][0], row["coefs"][1] | {"term": evil}]} for row in case.rows
    ]
    text = dataset_page.html(replace(case, rows=tuple(rows)), ["y ~ x"] * 4, ORIGIN)
    assert evil not in text
    assert "&lt;/script&gt;&lt;b&gt;x" in text


def test_groups_have_their_own_least_squares_lines() -> None:
    data = sleepstudy()
    shown = dataset_page.page_data(a_case(), "Reaction")
    assert shown["groups"] == [str(k) for k in range(18)]
    (days,) = shown["predictors"]
    for group in range(18):
        rows = data.groups == group
        slope, constant = np.polyfit(data.X[rows, 1], data.y[rows], 1)
        expected = [0, 9, constant, constant + 9 * slope]
        assert days["own"][group] == pytest.approx(expected, rel=1e-4)
    assert days["analyses"][0] == [0, 9, 250, 340]
    assert shown["panels_at_first"]


def test_of_many_groups_and_rows_some_are_in_the_page() -> None:
    data = sleepstudy()
    times = 100
    many = replace(
        data,
        y=np.tile(data.y, times),
        X=np.tile(data.X, (times, 1)),
        factors={"Subject": np.concatenate([data.groups + 18 * k for k in range(times)])},
    )
    shown = dataset_page.page_data(a_case(("lm",), many), "Reaction")
    assert len(shown["groups"]) == dataset_page.MOST_GROUPS
    assert max(shown["of"]) == dataset_page.MOST_GROUPS - 1
    assert len(shown["y"]) <= dataset_page.MOST_ROWS
    assert (shown["n_groups"], shown["n_rows"]) == (1800, 18000)
    assert not shown["panels_at_first"]


def test_zero_is_drawn_where_it_is_near() -> None:
    case = a_case(("lm",), ci_low=[(240.0, 1.0)], ci_high=[(260.0, 20.0)])
    assert [one["zero"] for one in dataset_page.page_data(case, "y")["forests"]] == [[], [0]]


@pytest.fixture(scope="module")
def browser(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with the page of a simulated dataset."""
    opened = Page(simulated, tmp_path_factory.mktemp("downloads"))
    yield opened
    opened.driver.quit()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a file."""
    page = tmp_path_factory.mktemp("own") / "page.html"
    data = str(ROOT / "examples" / "sleepstudy.csv")
    command = [data, "--formula", "Reaction ~ Days", "--group", "Subject", "--engine", "native"]
    assert fit_table.main([*command, "--html", str(page)]) == 0
    return page


def strange(browser: Page) -> re.Match[str] | None:
    """What a page says that no reader can make sense of."""
    text = browser.run(
        "return document.body.innerText + document.documentElement.outerHTML"
        ".replace(/<(script|style)[^]*?<\\/\\1>/g, '')"
    )
    return STRANGE.search(text)


@pytest.mark.slow
def test_a_file_has_a_page_with_its_data(
    own: Path, browser: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.open(path=own)
    assert browser.controls_by_tab() > 20
    assert browser.options("view") == ["panels", "lines"]
    caption = browser.driver.find_element(By.ID, "rows-caption")
    assert caption.text.startswith("Shown: 18 groups.")
    headings = browser.driver.find_element(By.ID, "rows").text
    for person in ("308", "372"):
        assert person in headings
    browser.set("group", "3")
    assert "Shown: group 330 of 18." in caption.text
    browser.set("view", "lines")
    assert "Shown: 18 groups." in caption.text
    assert "Thick: group 330." in caption.text
    coloured = "return document.querySelectorAll('#rows line[stroke^=\"var(--s\"]').length"
    assert browser.run(coloured) == 4
    browser.driver.find_element(By.CSS_SELECTOR, "#analyses-shown input").click()
    browser.drawn()
    assert browser.run(coloured) == 3
    text = browser.driver.find_element(By.TAG_NAME, "main").text
    assert "180 of 180 rows" in text
    assert "lmer_mis’s standard error of Days is 0.52 times lmer’s (0.804 against 1.55)." in text
    assert "in lmer their SD is 5.92" in text
    assert "Reaction ~ Days + (Days | Subject)" in text
    assert strange(browser) is None
    assert browser.console() == []
    estimates = {label.split(":")[0]: label for label in browser.marks("forest-1")}
    assert list(estimates) == list(FOUR)
    assert estimates["lmer_mis"] == "lmer_mis: 10.47, interval 8.891 to 12.04"


@pytest.mark.slow
@pytest.mark.parametrize("appearance", APPEARANCES)
def test_everybody_can_use_it(browser: Page, own: Path, appearance: str) -> None:
    with browser.appearing(appearance):
        browser.open(path=own if appearance == "phone" else None)
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (appearance != "dark")
        browser.can_be_used_by_all()
        assert len(browser.marks("forest-0")) == 4
        assert browser.console() == []


@pytest.mark.slow
def test_odd_datasets_have_pages(browser: Page, tmp_path: Path) -> None:
    constant = replace(sleepstudy(), group_level=("Days",))
    nothing = {"se_sum": [None] * 4, "t_sum": [None] * 4}
    cases = {
        "failed": a_case(status=["failed"] * 4, messages=["no", "no", "no", ""], **nothing),
        "one": a_case(("lm",)),
        "group_level": a_case(data=constant, estimate=[(250.0, np.nan)] * 4),
    }
    for name, case in cases.items():
        page = tmp_path / f"{name}.html"
        page.write_text(dataset_page.html(case, ["y ~ x"] * len(case.rows), ORIGIN))
        browser.open(path=page)
        assert strange(browser) is None, name
        assert browser.console() == [], name
        if name == "group_level":
            assert browser.options("view") == ["lines"]


@pytest.mark.slow
def test_json_stays_json_beside_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv(ROOT / "examples" / "sleepstudy.csv").iloc[:40]
    frame.to_csv(tmp_path / "data.csv", index=False)
    command = [str(tmp_path / "data.csv"), "--formula", "Reaction ~ Days", "--group", "Subject"]
    page = tmp_path / "page.html"
    engine = ["--engine", "native", "--strategies", "lm", "lm2"]
    assert fit_table.main([*command, *engine, "--json", "--html", str(page)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert "What do 2 strategies make of Reaction ~ Days?" in page.read_text()
