"""The repeated measures that come with R, through fit_table and through R's own lm and lmer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "benchmarks" / "r_datasets.py"


def load() -> ModuleType:
    """Load the command that makes the comparison."""
    spec = importlib.util.spec_from_file_location("r_datasets", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


r_datasets = load()


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """All datasets as CSV, and what R says of them."""
    folder = tmp_path_factory.mktemp("r_datasets")
    r_datasets.write(list(r_datasets.KNOWN), folder)
    return folder, r_datasets.reference(folder)


@pytest.mark.parametrize("name", r_datasets.KNOWN)
def test_fit_table_is_rs_own_lm_and_lmer(name: str, known: tuple[Path, Any]) -> None:
    compared = r_datasets.compare(name, *known)
    assert len(compared) >= 5
    assert [(what, found) for what, found, good in compared if not good] == []
