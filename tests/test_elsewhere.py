"""Inside of another workflow, with another file system, by another scheduler: the same bytes."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkout import ROOT, Checkout
from rmsweep.config import one_line, read_study

PROFILE = ROOT / "workflow" / "profiles" / "cluster-generic"
STUDY = {"engine": "native", "strategies": ["lm"], "n_sims": 2, "sims_per_job": "auto"}
TABLES = ("results/tiny/fits.parquet", "results/tiny/performance.parquet")

QSUB = """#!/bin/sh
# as of PBS: runs the script on this machine, and answers with a name
for script; do :; done
echo "$@" >> "$JOBS/asked"
id=$(wc -l < "$JOBS/asked")
(sh "$script" > /dev/null 2>&1; echo $? > "$JOBS/$id") < /dev/null > /dev/null 2>&1 &
echo "$id.server"
"""
QSTAT = """#!/bin/sh
for id; do :; done
code=$JOBS/${id%.server}
echo "Job Id: $id"
if [ -e "$code" ]; then
  [ "$1" = -x ] || exit 35  # it has finished, use -x
  printf '    job_state = F\\n    Exit_status = %s\\n' "$(cat "$code")"
else
  echo '    job_state = R'
fi
"""

IMPORTER = """
configfile: "importer.yaml"

module one:
    snakefile: "ROOT/workflow/Snakefile"
    config: config["one"]
    prefix: "sub"

use rule * from one as one_*

module two:
    snakefile: github("me/rmsweep", path="workflow/Snakefile", tag="v1")
    config: config["one"] | {"seed": 4}

use rule * from two as two_*

onstart:
    one.begin()

onsuccess:
    one.end()

rule mine:
    default_target: True
    input:
        "sub/results/tiny/performance.parquet",
        "results/tiny/performance.parquet",
    output:
        "mine.txt",
    shell:
        "ls {input} > {output}"
"""


def program(path: Path, text: str) -> None:
    """Write a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def planned(output: str) -> int:
    """How many jobs fit."""
    found = re.search(r"^fit_cell +(\d+)$", output, re.MULTILINE)
    assert found, output
    return int(found[1])


@pytest.fixture(scope="module")
def native(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Iterator[Checkout]:
    """Give a checkout in which the study was run as usual."""
    checkout = make_checkout(tmp_path_factory.mktemp("native"))
    checkout.snakemake("--cores", "1", "--configfile", checkout.write_study(**STUDY), "--", *TABLES)
    yield checkout
    checkout.close()


@pytest.fixture
def elsewhere(tmp_path: Path, workers: Path) -> Iterator[Checkout]:
    """Give a checkout in a folder that a scheduler can be told of."""
    checkout = Checkout.make(tmp_path / "it's a {b}", workers)
    checkout.link_python()
    yield checkout
    checkout.close()


@pytest.mark.slow
def test_another_scheduler_makes_the_same_bytes(native: Checkout, elsewhere: Checkout) -> None:
    jobs = elsewhere.root / "jobs"
    jobs.mkdir()
    for name, text in (("qsub", QSUB), ("qstat", QSTAT), ("qdel", "#!/bin/sh\n")):
        program(elsewhere.root / "bin" / name, text)
    path = f"{elsewhere.root / 'bin'}:{os.environ['PATH']}"
    elsewhere.env |= {"PATH": path, "JOBS": str(jobs), "SGE_ROOT": ""}
    study = elsewhere.write_study(**{key: STUDY[key] for key in STUDY if key != "sims_per_job"})
    hurry = ["--seconds-between-status-checks", "1", "--latency-wait", "5"]
    profile = ["--profile", "workflow/profiles/cluster-generic", "--configfile", study, *hurry]
    elsewhere.snakemake(*profile, "--", *TABLES)
    assert elsewhere.digests() == native.digests()
    asked = (jobs / "asked").read_text().splitlines()
    assert len(asked) == 2, "a job per condition, and nothing else"
    for line in asked:
        assert re.search(r"-l select=1:ncpus=1:mem=\d+mb -l walltime=\d+:00 ", line)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "n_jobs"),
    [
        (["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "qsub"], 2),
        ([], 4),
    ],
)
def test_jobs_are_long_under_every_executor_but_the_local_one(
    elsewhere: Checkout, arguments: list[str], n_jobs: int
) -> None:
    study = elsewhere.write_study(n_sims=2)
    output = elsewhere.snakemake("--dry-run", "--jobs", "3", "--configfile", study, *arguments)
    assert planned(output) == n_jobs


@pytest.mark.slow
def test_a_storage_provider_gets_the_same_bytes(
    native: Checkout, elsewhere: Checkout, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    options = ["--cores", "1", "--default-storage-provider", "fs"]
    options += ["--default-storage-prefix", str(store)]
    study = elsewhere.write_study(**STUDY)
    elsewhere.snakemake(*options, "--configfile", study, "--", *TABLES)
    assert not list(elsewhere.root.glob("results/*/*.parquet"))
    there = Checkout(store, elsewhere.workers)
    assert there.digests() == native.digests()
    tables = [str(store / name) for name in TABLES]
    elsewhere.env["RMSWEEP_STUDY"] = one_line(read_study(str(elsewhere.root / study)))
    assert elsewhere.run("verify", *tables).returncode == 0

    # another study: its files are not here to be looked at, but are made anew
    study = elsewhere.write_study(**STUDY, seed=4)
    stale = elsewhere.run("verify", "--config", study, *tables)
    assert "fits.parquet is not of the study as it is now: made with other study" in stale.stderr
    output = elsewhere.snakemake(*options, "--configfile", study, "--", *TABLES)
    assert planned(output) == 2
    assert elsewhere.run("verify", "--config", study, *tables).returncode == 0
    study = elsewhere.write_study(**STUDY, precision={"measure": "rmse", "mcse": 1, "cap": 300})
    refused = elsewhere.snakemake(*options, "--configfile", study, check=False)
    assert f"error: {elsewhere.root}/{study}: precision: " in refused


@pytest.mark.slow
def test_another_workflow_imports_this_one_twice(
    native: Checkout, tmp_path: Path, workers: Path
) -> None:
    importer = Checkout(tmp_path / "importer", workers)
    importer.root.mkdir()
    # GitHub, as far as git is concerned
    hosted = Checkout.make(tmp_path / "hub" / "me" / "rmsweep", workers).root
    git = ["git", "-C", str(hosted), "-c", "user.name=me", "-c", "user.email=me@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    importer.env |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path / 'hub'}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    # the folder's name has braces
    (importer.root / "Snakefile").write_text(IMPORTER.replace("ROOT", str(native.root)))
    study = (native.root / native.write_study(**STUDY)).read_text()
    indented = study.replace("\n", "\n  ")
    (importer.root / "importer.yaml").write_text(f"one:\n  study: tiny\n  {indented}")
    output = importer.snakemake("--cores", "1")
    assert "tables:  sub/results/tiny/ (" in output
    assert Checkout(importer.root / "sub", workers).digests() == native.digests()
    assert importer.digests() != native.digests()
    assert (importer.root / "mine.txt").read_text().count("tiny") == 2
    copies = [path.name for path in (tmp_path / "cache").rglob("rmsweep@*")]
    assert len(copies) == 1, "of the tag's commit, for all runs"
    assert "Nothing to be done" in importer.snakemake("--dry-run")
    importer.close()


STATUSES = [
    ("bjobs", "echo DONE", "success"),
    ("bjobs", '[ "$4" = 7 ] && echo EXIT', "failed"),
    ("bjobs", "echo PEND", "running"),
    ("bjobs", 'echo "Job <7> is not found"; exit 255', "failed"),
    ("bjobs", "echo no answer from the master; exit 255", "running"),
    ("qstat", "echo '    job_state = Q'", "running"),
    ("qstat", "echo '    job_state = C'; echo '    exit_status = 0'", "success"),
    ("qstat", "[ $1 = -f ] && exit 35; echo 'job_state = F'; echo 'Exit_status = 271'", "failed"),
    ("qstat", "echo 'qstat: Unknown Job Id 7.server'; exit 153", "failed"),
    ("qstat", "echo cannot connect to server; exit 111", "running"),
    ("qacct", "echo 'failed       0'; echo 'exit_status  0'", "success"),
    ("qacct", "echo 'failed       0'; echo 'exit_status  1'", "failed"),
    ("qacct", "echo 'failed       100 : assumedly after job'; echo 'exit_status  0'", "failed"),
    ("qacct", "echo 'error: job id 7 not found'; exit 1", "running"),
]


@pytest.mark.parametrize(("name", "answer", "expected"), STATUSES)
def test_what_became_of_a_job(name: str, answer: str, expected: str, tmp_path: Path) -> None:
    if name == "qacct":
        program(tmp_path / "qstat", "#!/bin/sh\nexit 1\n")
    program(tmp_path / name, f"#!/bin/sh\n{answer}\n")
    for tool in ("sh", "awk"):
        (tmp_path / tool).symlink_to(
            next(Path(d) / tool for d in ("/bin", "/usr/bin") if Path(d, tool).exists())
        )
    job = "Job <7> is submitted to queue <normal>." if name == "bjobs" else "7.server"
    environment = {"PATH": str(tmp_path), "SGE_ROOT": "/opt/sge" if name == "qacct" else ""}
    found = subprocess.run(
        [PROFILE / "status.sh", job], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{expected}\n"
    assert not found.stderr
