"""How often the criterion has several minima, and how often the native engine misses the lowest.

    python benchmarks/minima.py [--sims 2000] [--starts 24]

Searches for the minima of the full model's REML criterion from many random starts, on datasets of
small designs, and prints a Markdown table of what that finds beside the engine's own search.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np

from rmsweep.config import condition
from rmsweep.data.dataset import Batch
from rmsweep.data.scenario import simulate, terms
from rmsweep.lmm import optimise, start
from rmsweep.lmm.covariance import Model

SIZES = [(10, 5), (5, 8), (8, 6), (10, 6), (20, 5), (10, 8), (10, 10), (20, 6), (30, 5), (10, 25)]
SIGMAS = (0.1, 0.25, 1.0, 2.0, 4.0)
SEED = 0
TERMS = terms(3)
# Where two values of the criterion are two minima.
APART = 1e-5
AT_ONCE = 400


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2000, help="datasets per size and sigma")
    parser.add_argument("--starts", type=int, default=24, help="random starts per dataset")
    options = parser.parse_args()
    print(
        "| groups × observations | groups × df within / 4 | searches | datasets | several minima "
        "| engine above the lowest | by at most |\n|---|---|---|---|---|---|---|"
    )
    for n_groups, n_obs in SIZES:
        above: list[float] = []
        n_several = 0
        model = Model(n_groups * n_obs, reml=True, covariance="full")
        for sigma in SIGMAS:
            one = condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma)
            # not the datasets that the starts were chosen on
            sims = range(1_000_000, 1_000_000 + options.sims)
            for first in range(0, len(sims), AT_ONCE):
                data = [simulate(SEED, one, sim).data for sim in sims[first:][:AT_ONCE]]
                products = Batch(data).crossproducts(TERMS)
                blocks, unit = products.blocks, np.ones_like(products.z_unit)
                ours = optimise.minimise(blocks, model, unit)
                rng = np.random.default_rng([n_groups, n_obs, first])
                searches = [ours]
                for _ in range(options.starts):
                    roots = start.random_roots(*unit.shape, rng)
                    searches.append(optimise.search(blocks, model, unit, roots))
                values = [np.where(one.converged, one.at.value, np.nan) for one in searches]
                lowest = np.nanmin(values, axis=0)
                n_several += np.count_nonzero(np.nanmax(values, axis=0) > lowest + APART)
                above += (values[0] - lowest)[values[0] > lowest + APART].tolist()
        n_datasets = options.sims * len(SIGMAS)
        q = len(TERMS)
        n_searches = 4 if start.several_minima(blocks, model) else 1
        print(
            f"| {n_groups} × {n_obs} | {n_groups * n_groups * (n_obs - q) / q:g} | {n_searches} "
            f"| {n_datasets:,} | {n_several / n_datasets:.2%} | {len(above)} "
            f"| {max(above, default=0):.2g} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
