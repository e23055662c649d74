"""What it takes to add a strategy to a finished study.

    python benchmarks/added_strategy.py [--sims 50] [--engine native]

Runs the default grid with `lm`, `lm2`, `lmer` and `lmer_mis`, adds a fifth strategy to the finished
study and runs it again, and then runs a study that has the fifth strategy alone. The fifth is
`lmer` with t intervals: its rows need a fit of their own, as costly as one of `lmer`. Prints wall
and CPU time (of all processes, user + system), start-up and merging included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from sweep import adopt_orphans, measured, pipeline

FOUR = ["lm", "lm2", "lmer", "lmer_mis"]
FIFTH = "lmer_t"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=50, help="datasets per condition")
    parser.add_argument("--engine", choices=("native", "lme4"), default="native")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()

    runs = [
        ("first run, four strategies", "grown", FOUR),
        ("second run, a fifth added", "grown", [*FOUR, FIFTH]),
        ("the fifth alone", "alone", [FIFTH]),
    ]
    adopt_orphans()
    print(f"engine {options.engine}, {options.cores} cores, {45 * options.sims} datasets")
    print(f"{'':28}{'wall s':>10}{'CPU s':>10}")
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for label, name, strategies in runs:
            keys = {"n_sims": options.sims, "engine": options.engine, "strategies": strategies}
            wall, cpu = measured(
                lambda name=name, keys=keys: pipeline(Path(folder), options.cores, name, **keys)
            )
            print(f"{label:28}{wall:10.1f}{cpu:10.1f}", flush=True)
            times.append((wall, cpu))
    _, (wall_second, cpu_second), (wall_alone, cpu_alone) = times
    print(f"second / alone: wall {wall_second / wall_alone:.2f}, CPU {cpu_second / cpu_alone:.2f}")


if __name__ == "__main__":
    main()
