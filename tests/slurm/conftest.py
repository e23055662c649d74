"""Fixtures: a cluster, copies of the checkout, and what a local run makes of the studies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, wait_for
from runs import Checkout, Run, Submitter


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The tables of undisturbed local runs, one job per cell."""
    checkout = Checkout(tmp_path_factory.mktemp("reference") / "checkout")
    environment = os.environ | {"RMSWEEP_WORKER_IDLE": "1"}
    for study in ("plain", "gated"):
        with Run(checkout, study, "--cores", "2", environment=environment) as run:
            run.finish()
    return {study: checkout.tables(study) for study in ("plain", "gated")}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def submitter(cluster: Cluster, checkout: Checkout) -> Iterator[Submitter]:
    yield Submitter(cluster, checkout)
    for job in cluster.active_jobs():
        cluster.run("scancel", job)
    wait_for(lambda: not cluster.active_jobs(), "all jobs are cancelled")
