"""The native engine against the programs that strategies have of their own, on many datasets.

    python benchmarks/reference_programs.py [--sims 10] [--strategies lm_cr2 fe ...]

Prints a Markdown table for each kind of data: how many datasets both fitted and one alone, the
largest differences of estimates (in standard errors), and of standard errors and degrees of freedom
(as fractions), and CPU milliseconds per dataset. By default all strategies but those of lme4, which
`benchmarks/agreement.py` is about. The kinds are balanced data, groups with a third of the rows
missing at random, and predictors that are 1000 standard deviations from zero.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np

from rmsweep import strategies
from rmsweep.config import condition, load_study
from rmsweep.data.dataset import Dataset, batches
from rmsweep.data.scenario import simulate
from rmsweep.design import Strategy
from rmsweep.sweep.replication import Outcome, compare, fit_datasets

SIZES = ((10, 5), (10, 25), (30, 25))
SEED = 1
FAR = 1000.0


def as_it_is(data: Dataset, rng: np.random.Generator) -> Dataset:
    """All rows."""
    return data


def with_rows_missing(data: Dataset, rng: np.random.Generator) -> Dataset:
    """Two thirds of the rows, in groups that are still there."""
    keep = rng.random(len(data.y)) < 2 / 3
    keep[np.unique(data.groups, return_index=True)[1]] = True
    factors = {name: codes[keep] for name, codes in data.factors.items()}
    return replace(data, y=data.y[keep], X=data.X[keep], factors=factors)


def far_from_zero(data: Dataset, rng: np.random.Generator) -> Dataset:
    """Predictors with another origin."""
    return replace(data, X=data.X + FAR * (np.arange(data.X.shape[1]) > 0))


KINDS: dict[str, Callable[[Dataset, np.random.Generator], Dataset]] = {
    "balanced": as_it_is,
    "a third of the rows missing": with_rows_missing,
    "predictors far from zero": far_from_zero,
}


def datasets(kind: str, n_groups: int, n_obs: int, n_sims: int) -> Iterator[Dataset]:
    """Datasets of a kind and size, some with groups that hardly differ."""
    rng = np.random.default_rng([SEED, n_groups, n_obs])
    for sim in range(n_sims):
        of = condition(n_groups=n_groups, n_obs=n_obs, sigma=(0.1, 1.0)[sim % 2])
        yield KINDS[kind](simulate(SEED, of, sim).data, rng)


def fitted(strategy: Strategy, data: list[Dataset]) -> list[Outcome]:
    """What one engine makes of datasets of any structure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit_datasets([strategy], list(batches(data)), len(data))[strategy.name]


def line(native: Strategy, data: list[Dataset]) -> str:
    """A row of the table."""
    own = replace(native, engine=strategies.engines(native.family)[0])
    strategies.warm_up(native.family)
    for strategy in (native, own):
        fitted(strategy, data[:1])  # what the first fit loads is not its time
    pairs = list(zip(fitted(native, data), fitted(own, data), strict=True))
    both = [compare(*pair) for pair in pairs if pair[0].fit and pair[1].fit]
    alone = sum(bool(one.fit) != bool(other.fit) for one, other in pairs)
    cells = [native.name, own.engine, str(len(both)), str(alone)]
    for name in ("estimate_diff", "se_diff", "df_diff"):
        cells.append(f"{max((float(str(one[name])) for one in both), default=np.nan):.1e}")
    for place in range(2):
        cells.append(f"{1e3 * np.mean([pair[place].cpu_seconds for pair in pairs]):.3g}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Compare and print."""
    presets = strategies.presets()
    known = [
        name
        for name, (family, preset) in presets.items()
        if strategies.engines(family)[-1] == "native"
        and "lme4" not in strategies.engines(family)
        and not preset.needs_more
    ]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=10, help="datasets of each kind and size")
    parser.add_argument("--strategies", nargs="+", default=known, choices=sorted(presets))
    options = parser.parse_args()
    grid = {"n_groups": [10], "n_obs": [5], "sigma": [1], "n_sims": 1, "engine": "native"}
    study = load_study(grid | {"strategies": options.strategies}, "reference_programs")
    for kind in KINDS:
        data = [one for size in SIZES for one in datasets(kind, *size, options.sims)]
        print(f"\n{kind.capitalize()}\n")
        print(
            "| strategy | program | both | one alone | estimate | SE | df | native, ms | own, ms |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for strategy in study.strategies:
            print(line(strategy, data), flush=True)


if __name__ == "__main__":
    main()
