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
