"""What each strategy costs by the native engine.

    python benchmarks/strategies.py [--sims 1000] [--strategies lmer lmer_kr ...] [--missing 0.1]

Simulates datasets of three sizes, fits each strategy to all of them in one batch, and prints a
Markdown table of CPU time in ms per dataset: alone, from the data to the last test, and in
brackets its share where `lmer` is fitted first in the same job, which is what its own inference
costs if it has lmer's fit. The last column is the largest ratio to `lmer` alone. With `--missing`
rows are missing at random, and datasets that a strategy can't fit count as well.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from rmsweep import strategies
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Dataset, batches
from rmsweep.data.scenario import simulate
from rmsweep.design import Strategy
from rmsweep.sweep.replication import fit_datasets

SIZES = {(10, 5): (0.25, 1.0), (30, 25): (0.25, 1.0), (100, 100): (0.25, 1.0)}
REFERENCE = "lmer"


def cost(data: list[Dataset], strategy: Strategy, beside: Strategy | None = None) -> float:
    """CPU milliseconds per dataset of a strategy, perhaps beside another one."""
    structures = list(batches(data))  # without what an earlier one has made of the data
    start = time.process_time()
    if beside is None:
        fit_datasets([strategy], structures, len(data))
        return 1e3 * (time.process_time() - start) / len(data)
    found = fit_datasets([beside, strategy], structures, len(data))
    return 1e3 * sum(one.cpu_seconds for one in found[strategy.name]) / len(data)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=1000, help="datasets per condition")
    native = [
        name
        for name, (family, preset) in strategies.presets().items()
        if "native" in strategies.engines(family) and not preset.needs_more
    ]
    parser.add_argument("--strategies", nargs="+", default=native, choices=native)
    parser.add_argument("--missing", type=float, default=0.0, help="rate of missing rows")
    options = parser.parse_args()
    missing = {"from": "mcar", "rate": options.missing} if options.missing else "none"
    names = list(dict.fromkeys([REFERENCE, *options.strategies]))
    keys = {"n_groups": [10], "n_obs": [5], "sigma": [1], "n_sims": 1, "engine": "native"}
    chosen = load_study(keys | {"strategies": names}, "s").strategies

    milliseconds: dict[tuple[str, tuple[int, int]], list[tuple[float, float]]] = {}
    for (n_groups, n_obs), sigmas in SIZES.items():
        for sigma in sigmas:
            where = condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma, missing=missing)
            data = [simulate(0, where, sim).data for sim in range(options.sims)]
            cost(data[:1], chosen[0])  # what the first fit loads is not its time
            for strategy in chosen:
                beside = None if strategy is chosen[0] else chosen[0]
                both = cost(data, strategy), cost(data, strategy, beside) if beside else 0.0
                milliseconds.setdefault((strategy.name, (n_groups, n_obs)), []).append(both)
    mean = {
        key: tuple(sum(part) / len(parts) for part in zip(*parts, strict=True))
        for key, parts in milliseconds.items()
    }
    heads = [f"{n_groups} x {n_obs}" for n_groups, n_obs in SIZES]
    print(f"| strategy | {' | '.join(heads)} | times lmer |")
    print("|---" * (len(SIZES) + 2) + "|")
    for name in names:
        cells = [f"{mean[name, size][0]:.3f} ({mean[name, size][1]:.3f})" for size in SIZES]
        ratio = max(mean[name, size][0] / mean[REFERENCE, size][0] for size in SIZES)
        print(f"| `{name}` | {' | '.join(cells)} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
