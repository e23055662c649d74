"""The comparison with published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import document_published
from measured import made
from rmsweep import settings
from rmsweep.config import load_study

ROOT = Path(__file__).parents[1]
NAME = "cameron-gelbach-miller-2008"
CONFIG = settings.load(ROOT / "config" / "published" / f"{NAME}.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with few replications and without the bootstrap's intervals."""
    folder: Path = tmp_path_factory.mktemp(NAME)
    made(load_study(CONFIG | {"n_sims": 100}, NAME), folder)
    return folder


def test_the_study_comes_near_the_published_table(folder: Path) -> None:
    name, frame = document_published.compared(folder / "performance.parquet")
    assert (name, len(frame)) == (NAME, 24)
    assert frame["published"].iloc[0] == 0.426
    assert frame["their_mcse"].iloc[0] == pytest.approx(np.sqrt(0.426 * 0.574 / 1000))
    assert (frame["mcse"] <= 0.05).all()
    assert (frame["difference"].abs() < 4.0).mean() > 0.9


def test_the_page_says_what_the_table_says(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before\n<!-- {NAME}: begin -->\nold\n<!-- {NAME}: end -->\nAfter\n")
    assert document_published.main([str(page), str(folder / "performance.parquet")]) == 0
    _, frame = document_published.compared(folder / "performance.parquet")
    text = page.read_text()
    assert text.startswith("Before\n")
    assert "old" not in text
    for row in frame.itertuples():
        assert f"{row.published:.3f} / {row.here:.3f} ({row.difference:+.1f})" in text


def test_other_tables_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    keys = {"n_groups": [6], "n_obs": [5], "sigma": [1], "n_sims": 2, "strategies": ["lm"]}
    made(load_study(keys, "other"), other)
    page = tmp_path / "page.md"
    page.write_text("nothing")
    for table, message in ((other, "allowed: complete ones of"), (folder, "without the marks")):
        assert document_published.main([str(page), str(table / "performance.parquet")]) == 2
        assert message in capsys.readouterr().err


BARR = "barr-2013"


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of people and items with few replications, its mixed models left out."""
    config = settings.load(ROOT / "config" / "published" / f"{BARR}.yaml")
    names = [it if isinstance(it, str) else it["name"] for it in config["strategies"]]
    natively = [
        it if it in ("f1", "min_f") else {"name": it, "from": "lm_twoway", "test": "z"}
        for it in names
    ]
    folder: Path = tmp_path_factory.mktemp(BARR)
    keys = {"n_sims": 100, "strategies": natively, "engine": "native", "sims_per_job": 100}
    made(load_study(config | keys, BARR), folder)
    return folder


def test_people_and_items_come_near_the_published_table(crossed: Path) -> None:
    name, frame = document_published.compared(crossed / "coefs.parquet")
    assert (name, len(frame)) == (BARR, 28)
    of_means = frame[frame["strategy"].isin(["f1", "min_f"])]
    assert (of_means["difference"].abs() < 4.0).all()
    assert frame["their_mcse"].max() < 0.002
    assert "| `f1` | 0.497 / 0." in document_published.in_markdown(name, frame)
    table = document_published.of_coefs(
        crossed / "coefs.parquet", document_published.PUBLISHED[BARR]
    )
    assert set(table["n"]) == {100}


def test_a_level_of_10_percent_needs_the_coefficients(
    crossed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert document_published.main([str(page), str(crossed / "performance.parquet")]) == 2
    assert "not a table of coefs: it has no column" in capsys.readouterr().err
