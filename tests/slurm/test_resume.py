"""Going on after a Snakemake that was killed, as far as it needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import wait_for
from runs import RESUME, GatedCheckout, Run

from resume import options_of, runs_study, snakemake_arguments, study_of
from rmsweep.errors import ConfigError

Digests = dict[str, dict[str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some studies, as the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/a.yaml").write_text("seed: 1\n")
    Path("config/b.yaml").write_text("study: named\n")
    Path("profile").mkdir()
    Path("profile/config.yaml").write_text("configfile: config/b.yaml\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "study"),
    [
        ("--cores 2", "config"),
        ("--configfile config/a.yaml --cores 2", "a"),
        ("--cores 2 --configfiles config/a.yaml config/b.yaml", "named"),
        ("--configfile=config/b.yaml", "named"),
        ("--config n_sims=5 study=given --configfile config/b.yaml -- target", "given"),
        ("--config study=2024", "2024"),
        ("--profile profile", "named"),
        ("--profile profile --configfile config/a.yaml", "a"),
    ],
)
def test_a_study_is_known_by_the_arguments(home: Path, arguments: str, study: str):
    assert study_of(options_of(arguments.split())) == study


def test_a_study_without_a_file_is_unknown(home: Path):
    with pytest.raises(ConfigError, match=r"^config/absent.yaml: No such file"):
        study_of(options_of(["--configfile", "config/absent.yaml"]))


@pytest.mark.parametrize(
    "command",
    [
        "snakemake -c1",
        "/usr/bin/python3 /opt/env/bin/snakemake -c1",
        "python -m snakemake -c1",
        "python -u -X dev -m snakemake -c1",
    ],
)
def test_snakemake_is_known_however_it_was_started(command: str):
    assert snakemake_arguments(command.split()) == ["-c1"]


def test_other_programs_are_not_taken_for_it():
    assert snakemake_arguments(["python", "scripts/resume.py", "-c1"]) is None


@pytest.mark.parametrize("content", ["study: [", "\x00", None])
def test_a_snakemake_whose_files_have_changed_stops_no_other_study(home: Path, content: str | None):
    path = home / "config" / "a.yaml"
    path.unlink()
    if content:
        path.write_text(content)
    arguments = ["--configfile", "config/a.yaml"]
    assert runs_study(arguments, "a", home)
    assert not runs_study(arguments, "b", home)
    assert not runs_study(["--no-such-option"], "b", home)


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


@pytest.mark.slow
def test_resume_knows_a_snakemake_that_no_command_line_shows(checkout: GatedCheckout):
    checkout.close_gates("gated", 6)
    hidden = ("-c", "from snakemake.cli import main; main()")
    with Run(checkout, "gated", "--cores", "2", program=hidden) as run:
        checkout.wait_at_gates("gated")
        locks = list((checkout.root / ".snakemake" / "locks").iterdir())
        with Run(checkout, "gated", "--cores", "2", program=RESUME) as resumed:
            assert resumed.process.wait() == 2
            assert "Snakemake still runs the study gated" in resumed.log.read_text()
        with Run(checkout, "gated", "--cores", "2", "--dry-run", program=RESUME) as resumed:
            resumed.process.wait()
        assert locks
        assert all(path.exists() for path in locks)
        checkout.open_gates("gated")
        run.finish()


@pytest.mark.slow
def test_resume_looks_into_the_folder_where_the_study_runs(checkout: GatedCheckout):
    checkout.close_gates("gated", 6)
    elsewhere = ("--cores", "4", "--directory", "else where")
    with Run(checkout, "gated", *elsewhere) as run:
        checkout.wait_at_gates("gated")
        with Run(checkout, "gated", *elsewhere, program=RESUME) as too_early:
            assert too_early.process.wait() == 2
            assert f"as process {run.process.pid}" in too_early.log.read_text()
        run.kill()
        with Run(checkout, "gated", *elsewhere, program=RESUME) as resumed:
            wait_for(lambda: "ending process" in resumed.log.read_text(), "orphans are ended")
            checkout.open_gates("gated")
            resumed.finish()
    assert (checkout.root / "else where" / "results" / "gated" / "fits.parquet").exists()
