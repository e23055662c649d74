"""Going on after a Snakemake that was killed, as far as it needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import wait_for
from runs import RESUME, GatedCheckout, Run

from resume import study_of

Digests = dict[str, dict[str, str]]


@pytest.mark.parametrize(
    ("arguments", "study"),
    [
        ("--cores 2", "config"),
        ("--configfile config/a.yaml --cores 2", "a"),
        ("--cores 2 --configfiles config/a.yaml config/b.yaml", "named"),
        ("--configfile=config/b.yaml", "named"),
        ("--config n_sims=5 study=given --configfile config/b.yaml -- target", "given"),
        ("--configfile config/absent.yaml", "absent"),
    ],
)
def test_a_study_is_known_by_the_arguments(
    arguments: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/a.yaml").write_text("seed: 1\n")
    Path("config/b.yaml").write_text("study: named\n")
    assert study_of(arguments.split()) == study


@pytest.mark.slow
def test_resume_needs_no_cluster(checkout: GatedCheckout, reference: Digests):
    checkout.close_gates("gated", 6, 7)
    with Run(checkout, "gated", "--cores", "4") as run:
        checkout.wait_at_gates("gated")
        run.kill()
        with Run(checkout, "gated", "--cores", "4", program=RESUME) as resumed:
            wait_for(lambda: "ending process" in resumed.log.read_text(), "orphans are ended")
            checkout.open_gates("gated")
            resumed.finish()
    assert checkout.digests("gated") == reference["gated"]
