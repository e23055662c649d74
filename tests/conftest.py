"""What the tests of the whole workflow share: checkouts of their own, and a finished study."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkout import FOLDER, Checkout

LONGEST = (
    *("test_stale", "test_slurm", "test_workflow", "test_resume", "test_chaos", "test_elsewhere"),
    *("test_axes", "test_page", "test_precision"),
)
"""The files that take longest, in that order: one that comes last leaves a core without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def workers() -> Iterator[Path]:
    """Give workers a folder with a short name: sockets' addresses are limited to 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="rmsweep") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def make_checkout(workers: Path) -> Callable[[Path], Checkout]:
    """Give the function that makes a checkout in a folder."""
    return lambda folder: Checkout.make(folder / FOLDER, workers)


@pytest.fixture
def to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have native searches go on for all digits that reference values have."""
    monkeypatch.setattr("rmsweep.lmm.optimise.DECREMENT", 1e-16)


@pytest.fixture
def checkout(tmp_path: Path, make_checkout: Callable[[Path], Checkout]) -> Iterator[Checkout]:
    """Give a fresh checkout; no process of it outlives the test."""
    checkout = make_checkout(tmp_path)
    yield checkout
    checkout.close()


@pytest.fixture(scope="session")
def reference(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Checkout:
    """Give a checkout in which the study `TINY` was run to its end, figures and all."""
    checkout = make_checkout(tmp_path_factory.mktemp("reference"))
    checkout.snakemake("--cores", "2", "--configfile", checkout.write_study())
    checkout.close()
    return checkout


@pytest.fixture
def finished(reference: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """Give a copy of the finished checkout, to be changed."""
    checkout = reference.copy(tmp_path / "finished")
    yield checkout
    checkout.close()
