"""How often the criterion has several minima, and how often the native engine misses the lowest.

    python benchmarks/minima.py [--sims 2000] [--starts 24]
    python benchmarks/minima.py --unbalanced [--sims 96] [--starts 24] [--lme4 24]
    python benchmarks/minima.py --crossed [--sims 500] [--starts 24]

Searches for the minima of the full model's REML criterion from many random starts, on datasets of
small designs, of groups of unequal size or of two crossed factors, and prints a Markdown table of
what that finds beside the engine's own search. Of unbalanced designs some datasets are also fitted
by lme4.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np

from rmsweep import lme4
from rmsweep.config import condition
from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.data.scenario import simulate, terms
from rmsweep.lmm import (
    Crossings,
    CrossProducts,
    Term,
    crossings,
    fit,
    fit_crossed,
    optimise,
    start,
)
from rmsweep.lmm.covariance import Model, direct_sum
from rmsweep.lmm.crossedfit import SeveralTerms

SIZES = [(10, 5), (5, 8), (8, 6), (10, 6), (20, 5), (10, 8), (10, 10), (20, 6), (30, 5), (10, 25)]
# what they are, and sizes for q random effects
UNEVEN = {
    "25 of 2 to 12": lambda q: [2 + 7 * g % 11 for g in range(25)],
    "10 of 2 to 12": lambda q: [2 + 7 * g % 11 for g in range(10)],
    "10 of 3 to 45, each a third larger": lambda q: [round(3 * 1.35**g) for g in range(10)],
    "30 of 2 and one of 150": lambda q: [2] * 30 + [150],
    "30 of 4 and one of 100": lambda q: [4] * 30 + [100],
    "15 of q and 15 of q + 1": lambda q: [q, q + 1] * 15,
    "6 of 3 to 12": lambda q: [3, 3, 4, 6, 10, 12],
}
# levels of two factors, and the share of rows that datasets lack
CROSSED = [((8, 6), 0.0), ((12, 8), 0.0), ((12, 8), 0.3), ((12, 12), 0.0), ((24, 12), 0.0)]
SIGMAS = (0.1, 0.25, 1.0, 2.0, 4.0)
SEED = 0
# Where two values of the criterion are two minima.
APART = 1e-5
# What differs by less has the same criterion.
SAME = 1e-6
AT_ONCE = 400


def uneven(sizes: list[int], q: int, sigma: float, n_datasets: int) -> list[Dataset]:
    """Datasets of the default study's kind with groups of these sizes."""
    # not the datasets that the starts were chosen on
    rng = np.random.default_rng([1_000_000, *sizes, q, int(100 * sigma)])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = np.ones((n_datasets, len(groups), q))
    X[:, :, 1:] = rng.normal(size=(n_datasets, len(groups), q - 1))
    b = rng.uniform(size=(n_datasets, 1, q)) + sigma * rng.normal(size=(n_datasets, len(sizes), q))
    y = (X * b[:, groups]).sum(axis=2) + rng.normal(size=X.shape[:2])
    return [Dataset(*one, {"Group": groups}, terms(q - 1)) for one in zip(y, X, strict=True)]


def balanced(n_groups: int, n_obs: int, sigma: float, n_datasets: int) -> list[Dataset]:
    """Datasets of the default study."""
    one = condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma)
    # not the datasets that the starts were chosen on
    return [simulate(SEED, one, 1_000_000 + sim).data for sim in range(n_datasets)]


def minima(products: CrossProducts, n_starts: int, key: list[int]) -> tuple[Array, Array]:
    """Criterion of the engine (R,), and of random searches (starts, R), NaN without convergence."""
    ours = fit(products)
    sizes = products.group_sizes
    even = bool((sizes == sizes[0]).all())
    model = Model(products.n_obs, reml=True, covariance="full", balanced=even)
    nu = products.n_obs - products.n_fixed
    units = 2.0 * (nu * np.log(products.y_unit) + np.log(products.x_unit).sum(axis=1))
    rng = np.random.default_rng(key)
    shape = products.z_unit.shape
    found = []
    for _ in range(n_starts):
        roots = start.random_roots(*shape, rng)
        one = optimise.search(optimise.OneFactor(products.blocks, model, np.ones(shape)), roots)
        found.append(np.where(one.converged, one.at.value + units, np.nan))
    return np.where(ours.converged, ours.criterion, np.nan), np.array(found)


def crossed(sizes: tuple[int, int], missing: float, sigma: float, n_datasets: int) -> Crossings:
    """Datasets of a crossed design with intercepts and a slope for both factors."""
    rng = np.random.default_rng([1_000_000, *sizes, int(100 * missing), int(100 * sigma)])
    rows = np.arange(sizes[0] * sizes[1])
    factors = rows // sizes[1], rows % sizes[1]
    X = np.ones((n_datasets, len(rows), 2))
    X[:, :, 1] = np.where((factors[0] + factors[1]) % 2 == 0, 0.5, -0.5)
    y = rng.normal(size=X.shape[:2])
    for codes in factors:
        b = sigma * rng.uniform(0.0, 1.0, (n_datasets, 1, 2))
        b = b * rng.normal(size=(n_datasets, codes.max() + 1, 2))
        y += (X * b[:, codes]).sum(axis=2)
    present = rng.uniform(size=y.shape) >= missing if missing else None
    return crossings(y, X, [Term(codes, X) for codes in factors], present)


def crossed_minima(data: Crossings, n_starts: int, key: list[int]) -> tuple[Array, Array]:
    """As `minima`, for several terms."""
    ours = fit_crossed(data)
    form = direct_sum(data.terms, symmetric=True)
    nu = (data.n_obs - data.n_fixed).astype(float)
    units = 2.0 * (nu * np.log(data.y_unit) + np.log(data.x_unit).sum(axis=1))
    rng = np.random.default_rng(key)
    found = np.full((n_starts, data.n_datasets), np.nan)
    for index, blocks in data.portions(np.arange(data.n_datasets)):
        problem = SeveralTerms(blocks, form, data, nu[index], True)
        for values in found:
            roots = np.zeros((len(index), *form.basis.shape[1:]))
            place = 0
            for q in data.layout.sizes:
                own = slice(place, place + q)
                roots[:, own, own] = start.random_roots(len(index), q, rng)
                place += q
            one = optimise.search(problem, roots)
            values[index] = np.where(one.converged, one.at.value, np.nan) + units[index]
    return np.where(ours.converged, ours.criterion, np.nan), found


class Count:
    """What is known of some datasets' minima."""

    def __init__(self) -> None:
        self.n_datasets = self.n_several = 0
        self.above: list[float] = []

    def add(self, ours: Array, found: Array) -> None:
        """Count the datasets of a batch."""
        values = np.concatenate([ours[None], found])
        lowest = np.nanmin(values, axis=0)
        self.n_datasets += len(ours)
        self.n_several += np.count_nonzero(np.nanmax(values, axis=0) > lowest + APART)
        self.above += (ours - lowest)[~(ours <= lowest + APART)].tolist()

    def __str__(self) -> str:
        return (
            f"{self.n_datasets:,} | {self.n_several / self.n_datasets:.2%} | {len(self.above)} "
            f"| {max(self.above, default=0):.2g}"
        )


def balanced_rows(n_sims: int, n_starts: int) -> Iterator[str]:
    """Rows of the table of groups of equal size."""
    q = 4
    for n_groups, n_obs in SIZES:
        count = Count()
        for sigma in SIGMAS:
            data = balanced(n_groups, n_obs, sigma, n_sims)
            for first in range(0, n_sims, AT_ONCE):
                products = Batch(data[first:][:AT_ONCE]).crossproducts(terms(3))
                count.add(*minima(products, n_starts, [n_groups, n_obs, first]))
        model = Model(n_groups * n_obs, reml=True, covariance="full")
        n_searches = 4 if start.several_minima(products.blocks, model) else 1
        df = n_groups * n_groups * (n_obs - q) / q
        yield f"{n_groups} × {n_obs} | {df:g} | {n_searches} | {count}"


def uneven_rows(n_sims: int, n_starts: int, n_lme4: int) -> Iterator[str]:
    """Rows of the table of groups of unequal size."""
    for name, sizes in UNEVEN.items():
        for q in (2, 3, 4):
            count, gaps = Count(), []
            for sigma in SIGMAS:
                data = uneven(sizes(q), q, sigma, n_sims)
                ours, found = minima(Batch(data).crossproducts(terms(q - 1)), n_starts, [q])
                count.add(ours, found)
                for one, mine in zip(data[:n_lme4], ours[:n_lme4], strict=True):
                    bars = [lme4.bar(one.terms, one.group, True)]
                    keys = {"reml": True, "optimizer": "nloptwrap", "numerical": False}
                    gaps.append(mine - lme4.lmer(one, bars, **keys)["criterion"][0])
            higher = [gap for gap in gaps if gap > SAME]
            yield (
                f"{name} | {q} | {count} | {len(gaps)} | {len(higher)} | "
                f"{max(higher, default=0):.2g} | {sum(gap < -0.01 for gap in gaps)}"
            )


def crossed_rows(n_sims: int, n_starts: int) -> Iterator[str]:
    """Rows of the table of crossed factors."""
    for sizes, missing in CROSSED:
        count = Count()
        for sigma in SIGMAS[1:3]:
            key = [*sizes, int(100 * missing)]
            count.add(*crossed_minima(crossed(sizes, missing, sigma, n_sims), n_starts, key))
        yield f"{sizes[0]} × {sizes[1]} | {missing:.0%} | {count}"


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unbalanced", action="store_true", help="groups of unequal size")
    parser.add_argument("--crossed", action="store_true", help="two crossed factors")
    parser.add_argument("--sims", type=int, help="datasets per design and sigma (2000; 96; 500)")
    parser.add_argument("--starts", type=int, default=24, help="random starts per dataset")
    parser.add_argument("--lme4", type=int, default=24, help="of these fitted by lme4")
    options = parser.parse_args()
    found = "datasets | several minima | engine above the lowest | by at most"
    if options.unbalanced:
        header = (
            f"groups | q | {found} | fitted by lme4, too | engine above lme4 | by at most "
            "| lme4 above by over 0.01"
        )
        rows = uneven_rows(options.sims or 96, options.starts, options.lme4)
    elif options.crossed:
        header = f"levels of both factors | missing rows | {found}"
        rows = crossed_rows(options.sims or 500, options.starts)
    else:
        header = f"groups × observations | groups × df within / 4 | searches | {found}"
        rows = balanced_rows(options.sims or 2000, options.starts)
    print(f"| {header} |\n|{'---|' * (header.count('|') + 1)}", flush=True)
    for row in rows:
        print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
