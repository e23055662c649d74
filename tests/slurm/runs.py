"""Small studies that run in copies of the checkout, and can be stopped in mid-fit."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self

from cluster import Cluster, wait_for

from checkout import SNAKEMAKE, Checkout

RESUME = ("scripts/resume.py",)

SMALL = {"seed": 1, "n_obs": [5], "sigma": [1], "n_predictors": 3}
STUDIES = {
    # with a further key in the names of its cells
    "plain": {
        "n_groups": [8, 9],
        "n_predictors": 2,
        "n_sims": 3,
        "strategies": ["lm", "lm2", "lmer"],
    },
    "gated": {
        "n_groups": [6, 7, 8, 9],
        "n_sims": 2,
        "strategies": ["lm2", {"from": "gated", "gate": "gated"}],
    },
    "adaptive": {
        "n_groups": [6, 30],
        "n_sims": 1,
        "engine": "native",
        "strategies": ["lm", "lmer"],
        "precision": {"measure": "rmse", "mcse": 0.02, "cap": 300},
    },
    "other": {"n_groups": [6], "n_sims": 2, "strategies": [{"from": "gated", "gate": "other"}]},
}

GATED_STRATEGY = '''"""Least squares that waits as long as there is a file that tells it to."""

import time
from dataclasses import dataclass
from pathlib import Path

from rmsweep.strategies import least_squares
from rmsweep.strategies.least_squares import ENGINE, PACKAGES, refuses, warm_up


@dataclass(frozen=True)
class Options:
    gate: str = ""


def fit(data, options):
    gate = Path(__file__).parents[2] / f"{options.gate}-{data.n_groups}.closed"
    if gate.exists():
        gate.with_suffix(".reached").touch()
    while gate.exists():
        time.sleep(0.1)
    fitted = least_squares.fit(data, least_squares.NoOptions())
    return least_squares.infer(data, fitted, least_squares.Inference())
'''


class GatedCheckout(Checkout):
    """A copy of the project with the studies above.

    A job of the strategy ``gated`` waits in mid-fit while its gate is closed; there is one for
    each study and number of groups.
    """

    def write_studies(self) -> Self:
        """Write the studies and their strategy."""
        self.strategy("gated").write_text(GATED_STRATEGY)
        for name, keys in STUDIES.items():
            self.write_study(name, **SMALL | keys)
        return self

    def close_gates(self, study: str, *n_groups: int) -> None:
        """Let the jobs of these numbers of groups wait."""
        for number in n_groups:
            (self.root / f"{study}-{number}.closed").touch()

    def open_gates(self, study: str) -> None:
        """Let all jobs of a study go on."""
        for gate in self.root.glob(f"{study}-*.closed"):
            gate.unlink()

    def wait_at_gates(self, study: str) -> None:
        """Wait until a job waits at each closed gate of a study."""
        gates = list(self.root.glob(f"{study}-*.closed"))
        reached = [gate.with_suffix(".reached") for gate in gates]
        wait_for(lambda: all(path.exists() for path in reached), f"jobs of {study} run", 120)


class Run:
    """A program that runs a study as far as its tables; a context manager that leaves none."""

    def __init__(
        self,
        checkout: Checkout,
        study: str,
        *options: str,
        program: tuple[str, ...] = SNAKEMAKE,
        environment: dict[str, str] | None = None,
    ) -> None:
        what = ("--configfile", f"config/{study}.yaml", "--", f"results/{study}/fits.parquet")
        self.log = checkout.root / f"{study}-{Path(program[-1]).stem}.log"
        with self.log.open("wb") as log:
            self.process = checkout.start(
                *options, *what, program=program, env=environment or checkout.env, stdout=log
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

    def __init__(self, cluster: Cluster, checkout: GatedCheckout) -> None:
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
