"""What each stage of a native block costs, here and perhaps in another checkout.

    python benchmarks/stages.py [--sims 1000] [--base ../before] [--rounds 2]

Prints a Markdown table of CPU time in µs per dataset: `lm`, `lm2`, `lmer` and `lmer_mis` in blocks
of so many replications, three sizes of data, at two sigmas each. With `--base`, the folder of
another checkout, each cell has its time and that of this one: every block is measured in a process
of its own, in turn, and the fewest of the rounds count. What a stage calls of another one is the
other one's.

- simulate: datasets, and sorting them by structure
- cross-products: of the groups
- searches: for the minima of both mixed models
- closed forms: all other arithmetic, with verdicts, t tests and intervals
- objects, Arrow: what holds the fits, and making rows of them
- Parquet: writing the shard
- merge: to the three tables, as Parquet and CSV; and as Parquet alone
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
SIZES = ((10, 5), (30, 25), (100, 100))
SIGMAS = (0.25, 1.0)
TABLES = ("fits", "coefs", "timings")
STAGES = ("simulate", "cross-products", "searches", "closed forms", "objects, Arrow", "Parquet")
MERGES = ("merge", "merge, no CSV")


class Clock:
    """CPU seconds of this process by stage; one that another one calls stops the other's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._last = 0.0

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Charge a stage with what is done meanwhile."""
        self._charge()
        self._stack.append(stage)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._last
        self._last = now

    def charge(self, owner: Any, name: str, stage: str) -> None:
        """Charge a stage with all calls of a function of a module or class, if it has that."""
        function: Callable[..., Any] | None = getattr(owner, name, None)
        if function is None:
            return

        @wraps(function)
        def charged(*arguments: Any, **options: Any) -> Any:
            with self.of(stage):
                return function(*arguments, **options)

        setattr(owner, name, charged)


def measure(root: Path, n_groups: int, n_obs: int, n_sims: int) -> dict[str, float]:
    """CPU microseconds per dataset of each stage, by the code of a checkout."""
    sys.path.insert(0, str(root / "scripts"))
    from rmsweep import lmm, plan
    from rmsweep.config import load_study
    from rmsweep.data import dataset
    from rmsweep.design import Block
    from rmsweep.sweep import merge, provenance, replication, shard

    keys = {"n_groups": [n_groups], "n_obs": [n_obs], "sigma": list(SIGMAS), "n_sims": n_sims}
    study = load_study(keys | {"engine": "native", "sims_per_job": n_sims}, "stages")
    replication.run_block(study, Block(study.conditions[0], range(5)))
    versions = provenance.study_versions(study, provenance.installed_r_versions)

    clock = Clock()
    clock.charge(replication, "simulate", "simulate")
    clock.charge(replication, "batches", "simulate")
    for name in ("crossproducts", "_reduced"):
        clock.charge(dataset.Batch, name, "cross-products")
    for name in lmm.__all__:
        if isinstance(getattr(lmm, name), type(measure)):
            known = name in ("crossproducts", "joined")
            clock.charge(lmm, name, "cross-products" if known else "closed forms")
    clock.charge(sys.modules["rmsweep.lmm.fit"], "minimise", "searches")
    clock.charge(replication, "infer", "closed forms")
    with tempfile.TemporaryDirectory() as name:
        cells = Path(name, "results", "cells")
        for block in plan.blocks(study):
            with clock.of("objects, Arrow"):
                table = replication.run_block(study, block)
            identity = provenance.shard_identity(study, block.condition, versions)
            with clock.of("Parquet"):
                shard.write(table, cells / block.path, identity)
        for stage, kinds in zip(MERGES, ((".parquet", ".csv.gz"), (".parquet",)), strict=True):
            outputs = [cells.parent / f"{table}{kind}" for table in TABLES for kind in kinds]
            with clock.of(stage):
                merge.merge(study, cells, outputs)
    n_datasets = n_sims * len(SIGMAS)
    return {stage: 1e6 * clock.seconds[stage] / n_datasets for stage in (*STAGES, *MERGES)}


def in_own_process(root: Path, size: tuple[int, int], n_sims: int) -> dict[str, float]:
    """The same, measured by a process that knows no other checkout."""
    command = [sys.executable, __file__, "--measure", str(root), *map(str, (*size, n_sims))]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=1000, help="datasets per block")
    parser.add_argument("--base", type=Path, help="another checkout of the project")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each block")
    options = parser.parse_args()
    roots = [*([options.base.resolve()] if options.base else []), ROOT]
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    for size in SIZES:
        rounds = [
            [in_own_process(root, size, options.sims) for root in roots]
            for _ in range(options.rounds)
        ]
        found[size] = [
            {stage: min(one[stage] for one in measured) for stage in (*STAGES, *MERGES)}
            for measured in zip(*rounds, strict=True)
        ]
    print(f"blocks of {options.sims}{', before → after' if options.base else ''}")
    print(f"| stage | {' | '.join(f'{n_groups} x {n_obs}' for n_groups, n_obs in SIZES)} |")
    print("|---" * (len(SIZES) + 1) + "|")
    sums = {"**block**": STAGES}
    for line, stages in ({stage: (stage,) for stage in STAGES} | sums).items():
        print_line(line, [[sum(one[s] for s in stages) for one in found[size]] for size in SIZES])
    for stage in MERGES:
        print_line(stage, [[one[stage] for one in found[size]] for size in SIZES])


def print_line(stage: str, cells: list[list[float]]) -> None:
    """Print a line of the table."""
    texts = (" → ".join(f"{microseconds:,.0f}" for microseconds in cell) for cell in cells)
    print(f"| {stage} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), *map(int, sys.argv[3:6]))))
    else:
        main()
