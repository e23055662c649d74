"""A copy of the project for tests of the whole workflow, and Snakemake in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 180.0
"""Seconds after which a test gives up; nothing takes nearly as long."""

SNAKEMAKE = ("-m", "snakemake")
KEYS = ["n_groups", "n_obs", "sigma", "sim", "strategy"]
TABLES = [f"{name}.{kind}" for name in ("fits", "coefs") for kind in ("parquet", "csv.gz")]
"""The merged tables that have to be the same bytes in every run."""

FOLDER = "it's a {b} $(touch pwned)"
"""Name of the folder of a checkout: a path that is not quoted somewhere fails, or runs."""

TINY = {
    "seed": 3,
    "n_groups": [5],
    "n_obs": [5],
    "sigma": [0.25, 1],
    "n_sims": 5,
    "n_predictors": 1,
}
"""A study that every strategy can fit, with ten cells."""


STRATEGY = '''"""A strategy of the tests."""

from rmsweep.strategies import least_squares


def fit(data, options):
    {body}
    fitted = least_squares.fit(data, least_squares.NoOptions())
    return least_squares.infer(data, fitted, least_squares.Inference())
'''


def until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait for a condition; fail if it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Checkout:
    """A copy of the project, its workers and its processes.

    Parameters
    ----------
    root : Path
        Where it is, or is to be made.
    workers : Path
        Private folder of its persistent workers.
    """

    until = staticmethod(until)

    def __init__(self, root: Path, workers: Path) -> None:
        self.root = root
        self.workers = workers
        self.env = os.environ | {"RMSWEEP_WORKER_DIR": str(workers)}
        self.python = sys.executable

    @classmethod
    def make(cls, root: Path, workers: Path) -> Self:
        """Copy what a commit of the working tree would have."""
        listing = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for name in filter(None, listing.stdout.decode().split("\0")):
            target = root / name
            if (ROOT / name).exists():  # not where it was deleted, but not yet from the index
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target, follow_symlinks=False)
        return cls(root, workers)

    def link_python(self) -> None:
        """Have a path of Python that needs no quotes, wherever these tests are."""
        environment = self.workers / "environment"
        if not environment.exists():
            environment.symlink_to(sys.prefix)
        self.python = str(environment / "bin" / "python")

    def copy(self, root: Path) -> Checkout:
        """Copy it with its results and what Snakemake knows of them."""
        return Checkout(Path(shutil.copytree(self.root, root, symlinks=True)), self.workers)

    def write_study(self, name: str = "tiny", **keys: object) -> str:
        """Write a variant of `TINY`; give its path as the command line takes it."""
        path = self.root / "config" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(TINY | keys))
        return str(path.relative_to(self.root))

    def write_strategy(self, name: str, body: str) -> None:
        """Write a strategy: lines of ``fit`` that come before its answer, that of ``lm``."""
        self.strategy(name).write_text(STRATEGY.format(body=body))

    def strategy(self, name: str) -> Path:
        """Where a strategy of the user's own is, in a folder that is there."""
        folder = self.root / "config" / "strategies"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.py"

    def start(
        self, *arguments: str, program: tuple[str, ...] = SNAKEMAKE, **options: object
    ) -> subprocess.Popen[str]:
        """Start Snakemake with the default profile, in a process group of its own.

        Parameters
        ----------
        *arguments : str
            Its command line.
        program : tuple of str
            What takes its place, such as the script that resumes a study.
        **options : object
            Of the process.
        """
        settings = {
            "cwd": self.root,
            "env": self.env,
            "text": True,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,
        }
        command = [self.python, *program, *arguments]
        return subprocess.Popen(command, **settings | options)

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake to its end and give what it says.

        Parameters
        ----------
        *arguments : str
            Its command line, such as ``--cores 2 --configfile config/tiny.yaml``.
        check : bool
            Whether it has to succeed; else it has to fail.
        """
        with self.start(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=DEADLINE)
            finally:
                kill_group(process)
        assert (process.returncode == 0) == check, output
        return output

    def run(
        self, script: str, *arguments: str, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the project to its end."""
        settings = {"cwd": self.root, "env": self.env, "text": True, "capture_output": True}
        command = [sys.executable, f"scripts/{script}.py", *arguments]
        return subprocess.run(command, timeout=DEADLINE, **settings | options)

    def sweep(self, study: str, *arguments: str, cores: int = 2, check: bool = True) -> str:
        """Make a study's tables, without the figures."""
        target = f"results/{Path(study).stem}/fits.parquet"
        options = ["--cores", str(cores), "--configfile", study, *arguments]
        return self.snakemake(*options, "--", target, check=check)

    def results(self, study: str = "tiny") -> Path:
        """The study's folder of results."""
        return self.root / "results" / study

    def shards(self, study: str = "tiny") -> list[Path]:
        """The study's shards, whole or not."""
        return sorted(self.results(study).glob("cells/*/*/*/*.parquet"))

    def digests(self, study: str = "tiny") -> dict[str, str]:
        """Digests of the merged tables' bytes."""
        files = {name: (self.results(study) / name).read_bytes() for name in TABLES}
        return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}

    def table(self, name: str = "fits", study: str = "tiny") -> pa.Table:
        """A merged table, sorted by its keys, without metadata."""
        table = pq.read_table(self.results(study) / f"{name}.parquet")
        keys = [(key, "ascending") for key in [*KEYS, "term"] if key in table.column_names]
        return table.sort_by(keys).replace_schema_metadata()

    def processes(self) -> dict[int, str]:
        """Command lines of the live processes that work in the checkout."""
        found = {}
        for process in Path("/proc").iterdir():
            try:
                inside = (process / "cwd").readlink().is_relative_to(self.root)
                command = (process / "cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            if inside and command:  # a zombie has no command line
                found[int(process.name)] = command.replace(b"\0", b" ").decode()
        return found

    def close(self) -> None:
        """End the idle workers; nothing else may be left running."""

        def left() -> dict[int, str]:
            running = self.processes()
            return {pid: text for pid, text in running.items() if "rmsweep/worker.py" not in text}

        try:
            until(
                lambda: not left(), seconds=60.0
            )  # what is ending may take its time on a busy machine
        except AssertionError:
            raise AssertionError(f"still running: {left()}") from None
        finally:
            for pid in self.processes():
                kill(pid, signal.SIGKILL)
            until(lambda: not self.processes())


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
