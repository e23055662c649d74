"""Continue a study whose Snakemake was killed: use this instead of `snakemake`.

Usage: python scripts/resume.py SNAKEMAKE-ARGUMENTS, for instance

    python scripts/resume.py --profile workflow/profiles/slurm --configfile config/my-study.yaml

A Snakemake that is killed, or whose machine goes down, leaves its jobs running and its lock behind.
This ends the jobs of that study alone, on the cluster and on this machine, waits until they are
gone, removes the study's lock, then runs `snakemake` with the same arguments. Run it where that
Snakemake ran: one that still runs on another machine can't be seen from here.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

DEFAULT_CONFIGURATION = "config/config.yaml"
PATIENCE_SECONDS = 300
"""Longer than SLURM takes to end a job, or to find out that its node is gone."""


def study_of(arguments: Sequence[str]) -> str:
    """Name of the study that a Snakemake of these arguments runs."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[DEFAULT_CONFIGURATION])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    options, _ = parser.parse_known_args(list(arguments))
    name = Path(options.configfile[-1]).stem
    for file in map(Path, options.configfile):
        if file.exists():  # if not, Snakemake will say so
            name = (yaml.safe_load(file.read_text()) or {}).get("study", name)
    for setting in options.config:
        key, _, value = setting.partition("=")
        if key == "study":
            name = value
    return str(name)


def processes() -> Iterator[tuple[int, list[str]]]:
    """The user's processes that work in this folder, and their command lines."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == os.getuid() and (process / "cwd").samefile("."):
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                yield int(process.name), command.split("\0")[:-1]
        except OSError:  # it has just ended
            continue


def runs_study(command: Sequence[str], study: str) -> bool:
    """Whether a command line is a Snakemake's that runs the study, or one of its jobs."""
    return (
        any(Path(word).name == "snakemake" for word in command[:3]) and study_of(command) == study
    )


def drivers(study: str) -> list[int]:
    """Snakemakes on this machine that run the study right now, other than in its jobs."""
    return [
        pid
        for pid, command in processes()
        if "--mode" not in command and runs_study(command, study)
    ]


def local_jobs(study: str) -> list[int]:
    """Processes on this machine that fit cells of the study."""
    return [
        pid
        for pid, command in processes()
        if any(word.endswith("scripts/fit_cell.py") for word in command)
        and any(word.startswith(f"results/{study}/") for word in command)
    ]


def ask_slurm(*command: str) -> str:
    """The output of one of SLURM's commands."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def cluster_runs(study: str) -> list[str]:
    """Names that Snakemake gave to the study's jobs, one for each of its runs."""
    jobs = ask_slurm("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%Z|%j")
    of_study: dict[str, bool] = {}
    for line in jobs.splitlines():
        job, folder, name = line.split("|", 2)
        if name not in of_study and Path(folder).resolve() == Path.cwd():
            script = ask_slurm("scontrol", "write", "batch_script", job, "-")
            command = shlex.split(script.rstrip().rpartition("\n")[2])
            of_study[name] = "slurm-jobstep" in command and runs_study(command, study)
    return [name for name in of_study if of_study[name]]


def wait_until_gone(jobs: Callable[[], object]) -> None:
    """Wait for the end of jobs, but not forever.

    Should a job still run then, no harm is done: two jobs of a cell write the same bytes, each
    by renaming its own file.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while left := jobs():
        if time.monotonic() > end:
            print(f"warning: still there: {left}; going on without", file=sys.stderr)
            return
        time.sleep(1)


def cancel_cluster_jobs(study: str) -> None:
    """Cancel the study's jobs on the cluster, if there is one."""
    if not shutil.which("squeue") or not (runs := cluster_runs(study)):
        return
    user = f"--user={getpass.getuser()}"
    for name in runs:
        print(f"cancelling the jobs of {name}", file=sys.stderr)
        ask_slurm("scancel", user, f"--name={name}")
    left = ("squeue", "--noheader", "--format=%i", user, f"--name={','.join(runs)}")
    wait_until_gone(lambda: ask_slurm(*left).split())


def end_local_jobs(study: str) -> None:
    """End the study's jobs on this machine."""
    for pid in local_jobs(study):
        print(f"ending process {pid}", file=sys.stderr)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until_gone(lambda: local_jobs(study))


def remove_lock(study: str) -> None:
    """Remove the study's lock, and leave those of other studies in this folder."""
    for lock in Path(".snakemake/locks").glob("*.lock"):
        if f"results/{study}/" in lock.read_text():
            lock.unlink()


def main() -> None:
    """End what is left of the study's last run, and run Snakemake."""
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return
    study = study_of(arguments)
    if running := drivers(study):
        sys.exit(f"error: Snakemake still runs the study {study}, as process {running[0]}")
    try:
        cancel_cluster_jobs(study)
    except subprocess.CalledProcessError as error:
        # without a cluster in use, it is no matter that SLURM's commands don't work
        if any("slurm" in word for word in arguments):
            sys.exit(f"error: can't see whether jobs are left: {shlex.join(error.cmd)} failed")
    end_local_jobs(study)
    remove_lock(study)
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])


if __name__ == "__main__":
    main()
