"""Fixtures: a cluster, copies of the checkout, and what a local run makes of the studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, wait_for
from runs import GatedCheckout, Run, Submitter

from checkout import FOLDER


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, workers: Path) -> dict[str, dict[str, str]]:
    """Digests of the tables of undisturbed local runs, one job per cell."""
    folder = tmp_path_factory.mktemp("reference") / "checkout"
    checkout = GatedCheckout.make(folder, workers).write_studies()
    studies = ("plain", "gated", "adaptive")
    for study in studies:
        with Run(checkout, study, "--cores", "2") as run:
            run.finish()
    checkout.close()
    return {study: checkout.digests(study) for study in studies}


@pytest.fixture
def checkout(tmp_path: Path, workers: Path) -> Iterator[GatedCheckout]:
    checkout = GatedCheckout.make(tmp_path / FOLDER.replace("'", ""), workers).write_studies()
    yield checkout
    checkout.close()


@pytest.fixture
def submitter(cluster: Cluster, checkout: GatedCheckout, workers: Path) -> Iterator[Submitter]:
    checkout.link_python()
    yield Submitter(cluster, checkout)
    for job in cluster.active_jobs():
        cluster.run("scancel", job)
    wait_for(lambda: not cluster.active_jobs(), "all jobs are cancelled")
