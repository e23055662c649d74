"""What the pipeline costs beside the fits: with its worker, without it, and a bare loop.

    python benchmarks/sweep.py [--sims 8] [--cold-sims 1] [--runs abc]
    python benchmarks/sweep.py --base ../before [--study config/precise.yaml] [--engine native]

On every condition of the default grid, three ways to the same rows, in turn, on the same cores:
(a) Snakemake, one job per cell, with the persistent worker; (b) the same without the worker, on
fewer datasets, for each of them takes seconds to start; (c) a loop in one process that loads R.
Prints wall and CPU time (of all processes, user + system), start-up and merging included, the
ratios between them per dataset, and that of (a)'s CPU time to its fits' alone: wall time can't show
on a busy machine what there is beside them. `--runs a` makes but that one.

With `--base`, the folder of another checkout, a study runs up to its merged tables from a cold
start, there and here.
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
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT / "config" / "config.yaml"
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

LOOP = """
import sys
from rmsweep import plan
from rmsweep.config import read_study
from rmsweep.sweep.replication import run_block
study = read_study(sys.argv[1])
for block in plan.blocks(study):
    run_block(study, block)
"""


def adopt_orphans() -> None:
    """Become the parent of all processes that outlive their own, so that `measured` sees them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


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


def pipeline(
    folder: Path, cores: int, name: str, root: Path = ROOT, study: Path = DEFAULT, **keys: object
) -> None:
    """Run a checkout's workflow up to the merged tables, for a variant of a study."""
    config = write_study(folder, name, study, **keys)
    tables = f"results/{name}/fits.parquet"
    command = [sys.executable, "-m", "snakemake", "--snakefile", root / "Snakefile"]
    command += ["--directory", folder, "--cores", str(cores), tables, "--configfile", config]
    environment = os.environ | {"RMSWEEP_WORKER_IDLE": "2"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)


def write_study(folder: Path, name: str, study: Path = DEFAULT, **keys: object) -> Path:
    """Write a variant of a study."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | keys))
    return path


def loop(config: Path) -> None:
    """Fit the same datasets one after the other in one process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", LOOP, config], check=True, env=environment)


def side_by_side(base: Path, study: Path, cores: int, **keys: object) -> None:
    """Run a study by the code of another checkout and by that of this one, and print."""
    cpu_seconds = []
    print(f"{study.name}, {keys}, {cores} cores")
    for label, root in (("before", base.resolve()), ("after", ROOT)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run = partial(pipeline, folder, cores, label, root=root, study=study, **keys)
            wall, cpu = measured(run)
        cpu_seconds.append(cpu)
        print(f"{label:8}{wall:10.1f} s{cpu:10.1f} s of CPU time", flush=True)
    print(f"CPU after / before = {cpu_seconds[1] / cpu_seconds[0]:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=8, help="datasets per condition")
    parser.add_argument("--cold-sims", type=int, default=1, help="the same, without the worker")
    parser.add_argument("--runs", default="abc", help="which of (a), (b) and (c)")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--base", type=Path, help="another checkout of the project")
    parser.add_argument("--study", type=Path, default=DEFAULT, help="with --base: what to run")
    parser.add_argument("--engine", help="with --base: of the fits, if not the study's")
    options = parser.parse_args()
    cores, sims, cold_sims = options.cores, options.sims, options.cold_sims

    adopt_orphans()
    if options.base:
        keys = {"engine": options.engine} if options.engine else {}
        side_by_side(options.base, options.study, cores, n_sims=sims, **keys)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs: dict[str, tuple[str, int, Callable[[], None]]] = {
            "a": (
                "pipeline, worker",
                sims,
                lambda: pipeline(folder, cores, "warm", n_sims=sims),
            ),
            "b": (
                "pipeline, no worker",
                cold_sims,
                lambda: pipeline(folder, cores, "cold", n_sims=cold_sims, persistent_worker=False),
            ),
            "c": (
                "loop, one process",
                sims,
                lambda: loop(write_study(folder, "loop", n_sims=sims)),
            ),
        }
        print(f"4 strategies, {cores} cores")
        print(f"{'':24}{'datasets':>10}{'wall s':>10}{'CPU s':>10}")
        wall, cpu = {}, {}
        for letter, (label, n_sims, run) in runs.items():
            if letter not in options.runs:
                continue
            spent = measured(run)
            print(
                f"({letter}) {label:20}{45 * n_sims:10}{spent[0]:10.1f}{spent[1]:10.1f}", flush=True
            )
            wall[letter], cpu[letter] = (part / n_sims for part in spent)
        if "a" in cpu:
            timings = pq.read_table(folder / "results/warm/timings.parquet")
            fits = pc.sum(timings["cpu_seconds"]).as_py() / sims
            print(f"CPU  (a) / its fits      = {cpu['a'] / fits:.2f}   (goal: at most 1.25)")
    if {"a", "c"} <= cpu.keys():
        parallel = wall["a"] / (wall["c"] / cores)
        print(f"wall (a) / ((c) / cores) = {parallel:.2f}   (goal: at most 1.25)")
        print(f"CPU  (a) / (c)           = {cpu['a'] / cpu['c']:.2f}")
    if {"a", "b"} <= cpu.keys():
        print(f"wall (b) / (a)           = {wall['b'] / wall['a']:.2f}   (goal: at least 3)")
        print(f"CPU  (b) / (a)           = {cpu['b'] / cpu['a']:.2f}")


if __name__ == "__main__":
    main()
