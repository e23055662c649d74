"""Studies on a real cluster, undisturbed and disturbed, end at the local run's very bytes."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cluster import Cluster, Job, wait_for
from runs import SMALL, STUDIES, GatedCheckout, Run, Submitter

from checkout import FOLDER, Checkout

pytestmark = pytest.mark.slow

Digests = dict[str, dict[str, str]]


def minutes(job: Job) -> int:
    """A job's time limit."""
    return int(job.limit.split(":")[0])


def test_a_cancelled_job_leaves_no_process(
    cluster: Cluster, checkout: GatedCheckout, tmp_path: Path
):
    """Not even one that outlives the shell that has started it, as Snakemake does for a while."""
    survivor = tmp_path / "survivor.py"
    survivor.write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(600)\n"
    )
    started = [tmp_path / "in the batch", tmp_path / "in a step"]
    batch, step = (shlex.join([sys.executable, str(survivor), str(path)]) for path in started)
    wrap = f"{batch} & srun -n1 sh -c {shlex.quote(f'{step}; true')}; true"
    where = f"--chdir={checkout.root}"
    job = cluster.run("sbatch", "--parsable", "--output=/dev/null", where, "--wrap", wrap)
    wait_for(lambda: all(path.exists() for path in started), "both processes have started")
    assert str(checkout.processes()).count(survivor.name) >= len(started)
    cluster.run("scancel", job)
    wait_for(lambda: not cluster.active_jobs(), "the job is cancelled")
    assert survivor.name not in str(checkout.processes())


def test_a_cluster_makes_the_bytes_of_a_local_run(
    submitter: Submitter, reference: Digests, tmp_path: Path, workers: Path
):
    before = submitter.cluster.calls("sbatch")
    with submitter.run("plain") as run:
        run.finish()
    assert submitter.checkout.digests("plain") == reference["plain"]
    assert submitter.cluster.calls("sbatch") - before == 2, "one job per condition"

    # and after a change, by one more run
    fresh = GatedCheckout.make(tmp_path / "fresh", workers)
    for checkout in (submitter.checkout, fresh):
        checkout.write_study("plain", **SMALL | STUDIES["plain"] | {"seed": 2})
    with submitter.run("plain") as run:
        run.finish()
    with Run(fresh, "plain", "--cores", "2") as run:
        run.finish()
    fresh.close()
    assert submitter.checkout.digests("plain") == fresh.digests("plain") != reference["plain"]


def test_later_batches_of_replications_are_jobs_of_the_same_run(
    submitter: Submitter, reference: Digests
):
    before = submitter.cluster.calls("sbatch")
    with submitter.run("adaptive") as run:
        run.finish()
    assert submitter.checkout.digests("adaptive") == reference["adaptive"]
    replications = submitter.checkout.results("adaptive") / "precision" / "1.parquet"
    assert pq.read_table(replications)["n_sims"].to_pylist() == [300, 200]
    assert submitter.cluster.calls("sbatch") - before == 3, "two conditions, one of them twice"


@pytest.mark.parametrize("name", [FOLDER, "back\\slash", "line\nbreak"])
def test_a_folder_that_snakemake_cannot_hand_over_is_refused(
    name: str, tmp_path: Path, workers: Path
):
    checkout = Checkout.make(tmp_path / name, workers)
    profile = ("--profile", "workflow/profiles/slurm")
    output = checkout.snakemake(*profile, "--configfile", checkout.write_study(), check=False)
    (error,) = (line for line in output.splitlines() if not line.startswith("Using "))
    assert error.startswith("error: ")
    assert "the name of the project's folder is not allowed" in error
    assert not list(tmp_path.rglob("pwned"))


def test_a_python_that_snakemake_cannot_hand_over_is_refused(tmp_path: Path, workers: Path):
    checkout = Checkout.make(tmp_path / "checkout", workers)
    (tmp_path / "a b").symlink_to(sys.prefix)
    checkout.python = str(tmp_path / "a b" / "bin" / "python")
    profile = ("--profile", "workflow/profiles/slurm")
    output = checkout.snakemake(*profile, "--configfile", checkout.write_study(), check=False)
    (error,) = (line for line in output.splitlines() if not line.startswith("Using "))
    assert error.startswith("error: ")
    assert "the path of Python is not allowed" in error


def test_lost_jobs_are_done_again(submitter: Submitter, reference: Digests):
    """A power cut, a cancelled job and one that is out of time, all in one run."""
    cluster, checkout = submitter.cluster, submitter.checkout
    checkout.close_gates("gated", 6, 7, 8, 9)
    with submitter.run("gated") as run:
        checkout.wait_at_gates("gated")
        first = cluster.active_jobs()
        load = Counter(job.node for job in first.values())
        # a node with one job, so that its end is that job's alone
        dark, cancelled, late, _ = sorted(first, key=lambda job: load[first[job].node])
        # a limit of a minute, the shortest there is, would take that long
        cluster.run("scontrol", "update", f"jobid={late}", "EndTime=now+2")
        cluster.cut_power(first[dark].node)
        cluster.run("scancel", cancelled)
        ends = {dark: "NODE_FAIL", cancelled: "CANCELLED", late: "TIMEOUT"}

        def have_ended() -> bool:
            jobs = cluster.jobs()
            return all(jobs[job].state == state for job, state in ends.items())

        wait_for(have_ended, f"jobs end: {ends}", 180)
        checkout.open_gates("gated")
        said = run.finish()
    assert checkout.digests("gated") == reference["gated"]
    assert said.count("Trying to restart job") == len(ends)
    again = {job.comment: job for id_, job in cluster.jobs().items() if id_ not in first}
    for job in ends:
        assert minutes(again[first[job].comment]) > minutes(first[job])


def test_resume_cancels_the_orphans_of_its_study_alone(submitter: Submitter, reference: Digests):
    cluster, checkout = submitter.cluster, submitter.checkout
    checkout.close_gates("gated", 6, 7)
    checkout.close_gates("other", 6)
    with submitter.run("gated") as gated, submitter.run("other") as other:
        checkout.wait_at_gates("gated")
        checkout.wait_at_gates("other")
        wait_for(lambda: len(cluster.active_jobs()) == 3, "jobs with open gates end")
        with submitter.resume("gated") as too_early:
            assert too_early.process.wait() == 2
            assert f"as process {gated.process.pid}" in too_early.log.read_text()
        gated.kill()
        other.kill()
        said = gated.log.read_text()
    foreign = cluster.run(
        *("sbatch", "--parsable", "--job-name=rmsweep_foreign", "--output=/dev/null"),
        *(f"--chdir={checkout.root}", "--wrap=sleep 600; wc results/gated/fits.parquet"),
    )
    orphans = {id_ for id_, job in cluster.active_jobs().items() if job.name in said}
    assert len(orphans) == 2
    with submitter.resume("gated") as run:
        wait_for(lambda: not orphans & set(cluster.active_jobs()), "orphans are cancelled")
        checkout.open_gates("gated")
        run.finish()
    assert checkout.digests("gated") == reference["gated"]
    jobs = cluster.jobs()
    assert {jobs[id_].state for id_ in orphans} == {"CANCELLED"}
    others = [foreign, *(id_ for id_, job in jobs.items() if job.name in other.log.read_text())]
    assert [jobs[id_].state for id_ in others] == ["RUNNING", "RUNNING"]
