"""What the pipeline costs beside the fits: with its worker, without it, and a bare loop.

    python benchmarks/sweep.py [--sims 2]

On every condition of the default grid, three ways to the same rows, in turn, on the same cores:
(a) Snakemake, one job per cell, with the persistent worker; (b) the same without the worker; (c) a
loop in one process that has R loaded. Prints wall and CPU time (of all processes, user + system)
and the ratios between them.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

LOOP = """
import sys
from rmsweep.config import read_study
from rmsweep.replication import run_block
study = read_study(sys.argv[1])
for block in study.blocks():
    run_block(study.settings, block)
"""


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """Wall seconds of a run, and CPU seconds of all processes that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    run()
    wall = time.perf_counter() - start
    # the worker is a grandchild that outlives the run by its idle time: wait for it
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pipeline(folder: Path, config: Path, cores: int, worker: bool) -> None:
    """Run the workflow up to the merged tables."""
    study = yaml.safe_load(config.read_text()) | {"persistent_worker": worker}
    own = folder / f"worker-{worker}.yaml"
    own.write_text(yaml.safe_dump(study))
    tables = f"results/{own.stem}/fits.parquet"
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder, "--cores", str(cores), tables, "--configfile", own]
    environment = os.environ | {"RMSWEEP_WORKER_IDLE": "2"}
    subprocess.run(command, check=True, env=environment, capture_output=True)


def loop(config: Path) -> None:
    """Fit the same datasets one after the other in one process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", LOOP, config], check=True, env=environment)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2, help="datasets per condition")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "study.yaml"
        study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
        config.write_text(yaml.safe_dump(study | {"n_sims": options.sims}))
        results = {
            "a": measured(lambda: pipeline(folder, config, options.cores, worker=True)),
            "b": measured(lambda: pipeline(folder, config, options.cores, worker=False)),
            "c": measured(lambda: loop(config)),
        }
    labels = {"a": "pipeline, worker", "b": "pipeline, no worker", "c": "loop, one process"}
    print(f"{45 * options.sims} datasets x 4 strategies, {options.cores} cores")
    print(f"{'':24}{'wall s':>10}{'CPU s':>10}")
    for key, (wall, cpu) in results.items():
        print(f"({key}) {labels[key]:20}{wall:10.1f}{cpu:10.1f}")
    ideal = results["c"][0] / options.cores
    print(f"wall (a) / ((c) / cores) = {results['a'][0] / ideal:.2f}   (goal: at most 1.25)")
    print(
        f"wall (b) / (a)           = {results['b'][0] / results['a'][0]:.2f}   (goal: at least 3)"
    )
    print(f"CPU  (a) / (c)           = {results['a'][1] / results['c'][1]:.2f}")
    print(f"CPU  (b) / (a)           = {results['b'][1] / results['a'][1]:.2f}")


if __name__ == "__main__":
    main()
