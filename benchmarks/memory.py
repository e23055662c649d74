"""How much memory a native block takes, against what a cluster is asked for.

    python benchmarks/memory.py

Each line is one block in a process of its own, with equal groups unless it says otherwise: p is the
number of coefficients, all of which vary between groups. ``peak`` is the largest resident set.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from rmsweep import plan
from rmsweep.config import load_study
from rmsweep.design import Block
from rmsweep.sweep import replication

FOUR = ["lm", "lm2", "lmer", "lmer_mis"]
TWENTY = [
    *FOUR,
    *("ols", "lm_cr1", "lm_cr2", "lm_cr3", "fe", "fe_cr2", "between", "lm2_hc3", "lm2_weighted"),
    *("lm2_swamy", "gee_exch", "lmer_t", "lmer_bw", "lmer_kr", "lmer_cr2", "lmer_mis_cr2"),
]
# n_groups, n_obs, p, replications, group sizes, strategies
BLOCKS = [
    (10, 5, 4, 5000, "equal", FOUR),
    (10, 8, 4, 3000, "unequal", FOUR),
    (20, 15, 8, 700, "equal", FOUR),
    (20, 15, 11, 300, "equal", FOUR),
    (30, 20, 16, 40, "equal", FOUR),
    (100, 100, 4, 200, "equal", FOUR),
    (50, 10, 4, 2000, "equal", TWENTY),
    (1000, 100, 4, 12, "equal", TWENTY),
    (10_000, 5, 2, 60, "equal", FOUR),
    (10, 10_000, 2, 60, "equal", FOUR),
]


def measure(place: int) -> None:
    """Run one block and print its line."""
    n_groups, n_obs, p, n_sims, sizes, strategies = BLOCKS[place]
    keys = {"n_groups": [n_groups], "n_obs": [n_obs], "sigma": [1], "n_predictors": p - 1}
    keys |= {"n_sims": n_sims, "group_sizes": sizes, "strategies": strategies}
    study = load_study(keys | {"engine": "native"}, "memory")
    block = Block(study.conditions[0], range(n_sims))
    replication.run_block(study, block)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asked = plan.memory_mb(study, block, 1)
    print(
        f"{n_groups:6} x {n_obs:6} ({sizes}), p = {p:2}, {n_sims:4} replications, "
        f"{len(strategies):2} strategies: peak {peak:4.0f} MB, asked for {asked:4} MB",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        measure(int(sys.argv[1]))
    else:
        for number in range(len(BLOCKS)):
            subprocess.run([sys.executable, __file__, str(number)], check=True)
