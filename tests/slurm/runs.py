"""Small studies that run in copies of the checkout, and can be stopped in mid-fit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from cluster import Cluster, wait_for

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(
    *(".*", "__pycache__", "benchmarks", "docs", "logs", "results", "tests")
)
TABLES = ("fits.parquet", "fits.csv.gz", "coefs.parquet", "coefs.csv.gz")

SNAKEMAKE = ("-m", "snakemake")
RESUME = ("scripts/resume.py",)

SMALL = "{seed: 1, n_obs: [5], sigma: [1], "
STUDIES = {
    "plain": SMALL + "n_groups: [8, 9], n_sims: 3, strategies: [lm, lm2, lmer]}",
    "gated": SMALL + "n_groups: [6, 7, 8, 9], n_sims: 2, strategies: [lm2, gated]}",
    "other": SMALL + "n_groups: [6], n_sims: 2, strategies: [gated]}",
}

GATED_STRATEGY = '''"""Least squares that waits as long as there is a file that tells it to."""

import time
from pathlib import Path

from rmsweep.strategies.lm import ENGINE, fit as fit_lm, minimum, warm_up


def fit(data, settings):
    gate = Path(__file__).parents[3] / f"{settings.study}-{data.n_groups}.closed"
    if gate.exists():
        gate.with_suffix(".reached").touch()
    while gate.exists():
        time.sleep(0.1)
    return fit_lm(data, settings)
'''


class Checkout:
    """A copy of the project with the studies above.

    A job of the strategy ``gated`` waits in mid-fit while its gate is closed; there is one for
    each study and number of groups.
    """

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT, folder, symlinks=True, ignore=NOT_COPIED)
        self.folder = folder
        (folder / "scripts/rmsweep/strategies/gated.py").write_text(GATED_STRATEGY)
        for name, study in STUDIES.items():
            (folder / f"config/{name}.yaml").write_text(f"{study}\n")

    def close_gates(self, study: str, *n_groups: int) -> None:
        """Let the jobs of these numbers of groups wait."""
        for number in n_groups:
            (self.folder / f"{study}-{number}.closed").touch()

    def open_gates(self, study: str) -> None:
        """Let all jobs of a study go on."""
        for gate in self.folder.glob(f"{study}-*.closed"):
            gate.unlink()

    def wait_at_gates(self, study: str) -> None:
        """Wait until a job waits at each closed gate of a study."""
        gates = list(self.folder.glob(f"{study}-*.closed"))
        reached = [gate.with_suffix(".reached") for gate in gates]
        wait_for(lambda: all(path.exists() for path in reached), f"jobs of {study} run", 120)

    def shard(self, study: str, n_groups: int) -> Path:
        """The shard with all replications of a condition."""
        return self.folder.joinpath(
            f"results/{study}/cells/n_groups={n_groups}/n_obs=5/sigma=1/sim=0-1.parquet"
        )

    def tables(self, study: str) -> dict[str, bytes]:
        """A study's merged tables, byte for byte."""
        folder = self.folder / "results" / study
        return {name: (folder / name).read_bytes() for name in TABLES}


class Run:
    """A program that runs a study as far as its tables; a context manager that leaves none."""

    def __init__(
        self,
        checkout: Checkout,
        study: str,
        *options: str,
        program: tuple[str, ...] = SNAKEMAKE,
        environment: dict[str, str],
    ) -> None:
        what = ("--configfile", f"config/{study}.yaml", "--", f"results/{study}/fits.parquet")
        self.log = checkout.folder / f"{study}-{Path(program[-1]).stem}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, *options, *what],
                cwd=checkout.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill(self) -> None:
        """End the program with no chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> str:
        """Wait for a good end.

        Returns
        -------
        str
            What the program has said.
        """
        code = self.process.wait(timeout=400)
        said = self.log.read_text()
        assert code == 0, said
        return said


class Submitter:
    """Runs studies on a cluster, with the shipped profile."""

    OPTIONS = (
        *("--profile", "workflow/profiles/slurm"),
        *("--default-resources", "slurm_partition=main"),
        # the profile's pauses are for jobs that last minutes
        *("--slurm-init-seconds-before-status-checks", "1"),
        *("--seconds-between-status-checks", "1"),
        *("--latency-wait", "5"),
    )

    def __init__(self, cluster: Cluster, checkout: Checkout) -> None:
        self.cluster = cluster
        self.checkout = checkout

    def run(self, study: str) -> Run:
        """Start a study as a user does."""
        return self._run(study, SNAKEMAKE)

    def resume(self, study: str) -> Run:
        """Go on with a study as a user does whose Snakemake was killed."""
        return self._run(study, RESUME)

    def _run(self, study: str, program: tuple[str, ...]) -> Run:
        environment = self.cluster.environment
        return Run(self.checkout, study, *self.OPTIONS, program=program, environment=environment)
