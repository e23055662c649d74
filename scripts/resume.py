"""Continue a study whose Snakemake was killed: use this instead of `snakemake`.

Usage: python scripts/resume.py SNAKEMAKE-ARGUMENTS, for instance

    python scripts/resume.py --profile workflow/profiles/slurm --configfile config/my-study.yaml

A Snakemake that is killed, or whose machine goes down, leaves its jobs running and its lock behind.
This ends the jobs of that study alone, on the cluster and on this machine, waits until they are
gone, removes the study's lock, then runs `snakemake` with the same arguments. Run it where that
Snakemake ran: one that still runs on another machine can't be seen from here.
"""

from __future__ import annotations

import getpass
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import psutil
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import CliException

from rmsweep.config import DEFAULT_STUDY, read_settings
from rmsweep.errors import ConfigError, UserError
from rmsweep.sweep import lock

PATIENCE_SECONDS = 300
"""Longer than SLURM takes to end a job, or to find out that its node is gone."""


def options_of(arguments: Sequence[str]) -> Namespace:
    """What Snakemake makes of a command line, with the profiles that it names."""
    # it says on the way which profiles it uses
    with redirect_stderr(io.StringIO()):
        _, options = parse_args(list(arguments))
    return options


def study_of(options: Namespace) -> str:
    """Name of the study that a Snakemake of these options runs.

    Raises
    ------
    ConfigError
        If a configuration file can't be read.
    """
    files = options.configfile or [DEFAULT_STUDY]
    settings = read_settings(files, parse_config(options.config))
    return str(settings.get("study", Path(files[-1]).stem))


def processes() -> Iterator[tuple[int, list[str]]]:
    """The user's Python processes that work in this folder, and their command lines."""
    for process in psutil.process_iter():
        # it has just ended, or is not to be looked at
        with suppress(psutil.Error, OSError):
            here = process.uids().real == os.getuid() and Path(process.cwd()).samefile(".")
            # on macOS, its name is Python
            if here and Path(process.exe()).name.lower().startswith("python"):
                yield process.pid, process.cmdline()


def snakemake_arguments(command: Sequence[str]) -> list[str] | None:
    """The arguments of a command line that runs Snakemake; None of any other."""
    for place, word in enumerate(command):
        if Path(word).name == "snakemake":
            return list(command[place + 1 :])
    return None


def runs_study(arguments: Sequence[str], study: str, home: Path) -> bool:
    """Whether a Snakemake of these arguments, started in the folder `home`, runs the study.

    It may have read its files before they were changed. What can't be read any more is taken to be
    the study's if it speaks of it.
    """
    here = Path.cwd()
    try:
        os.chdir(home)
        options = options_of(arguments)
        try:
            return study_of(options) == study
        except (ConfigError, ValueError):
            files = options.configfile or [DEFAULT_STUDY]
            said = [*(options.config or []), *(path.stem for path in files)]
            said += [path.read_text(errors="replace") for path in files if path.is_file()]
            return any(study in text for text in said)
    except (Exception, SystemExit):  # not even Snakemake understands it
        return False
    finally:
        os.chdir(here)


def drivers(study: str, home: Path) -> list[int]:
    """Snakemakes on this machine that run the study right now, other than in its jobs."""
    return [
        pid
        for pid, command in processes()
        if "--mode" not in command
        and (arguments := snakemake_arguments(command)) is not None
        and runs_study(arguments, study, home)
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


def cluster_runs(study: str, home: Path) -> list[str]:
    """Names that Snakemake gave to the study's jobs, one for each of its runs."""
    jobs = ask_slurm("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%j|%Z")
    of_study: dict[str, bool] = {}
    for line in jobs.splitlines():
        job, _, rest = line.partition("|")
        name, _, folder = rest.partition("|")
        if name not in of_study and Path(folder).resolve() == Path.cwd():
            script = ask_slurm("scontrol", "write", "batch_script", job, "-")
            command = shlex.split(script.rstrip().rpartition("\n")[2])
            arguments = snakemake_arguments(command)
            of_study[name] = (
                "slurm-jobstep" in command
                and arguments is not None
                and runs_study(arguments, study, home)
            )
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


def cancel_cluster_jobs(study: str, home: Path) -> None:
    """Cancel the study's jobs on the cluster, if there is one."""
    if not shutil.which("squeue") or not (runs := cluster_runs(study, home)):
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
    for left in Path(".snakemake/locks").glob("*.lock"):
        if f"results/{study}/" in left.read_text():
            left.unlink()


def run_snakemake(arguments: Sequence[str]) -> NoReturn:
    """Become Snakemake."""
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """End what is left of the study's last run, and run Snakemake."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in ([], ["-h"], ["--help"]):
        print(__doc__)
        return 0 if arguments else 2
    home = Path.cwd()
    try:
        options = options_of(arguments)
        study = study_of(options)
    except (SystemExit, CliException, ValueError):
        run_snakemake(arguments)  # it says what is wrong with them
    with suppress(FileNotFoundError):  # Snakemake would make it
        os.chdir(options.directory or home)
    if options.dryrun:
        os.chdir(home)
        run_snakemake(arguments)
    if running := drivers(study, home):
        raise UserError(f"Snakemake still runs the study {study}, as process {running[0]}")
    if lock.is_held(study):
        raise UserError(f"Snakemake still runs the study {study}; end it first")
    try:
        cancel_cluster_jobs(study, home)
    except subprocess.CalledProcessError as error:
        # without a cluster in use, it is no matter that SLURM's commands don't work
        if options.executor == "slurm":
            command = shlex.join(error.cmd)
            raise UserError(f"can't see whether jobs are left: {command} failed") from None
    end_local_jobs(study)
    remove_lock(study)
    os.chdir(home)
    run_snakemake(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
